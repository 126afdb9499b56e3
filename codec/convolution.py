"""Convolution: what a sample becomes when it is mixed with its neighbours, everywhere in the same way.

Slide a small array of weights, the kernel, over a picture; at each place multiply it by the samples that it covers, and
add up. Blurring, finding edges and the layers of a convolutional network are this one operation with other weights.
With a picture X that is 0 outside, an (h, w) kernel K, stride s, padding p and dilation d, it is

    cross-correlation   Y[r, c] = sum over i, j of  K[i, j] X[r s + i d - p, c s + j d - p]
    convolution         the same with K turned by 180 degrees, K[h - 1 - i, w - 1 - j] for K[i, j]

Convolution is the one of mathematics: K and X may change places, two in a row are one, (X * K) * L = X * (K * L), and
spectra multiply (FFT). Networks correlate and call it convolution: with learned weights it is all the same.

**Size.** With dilation (Holschneider et al., "algorithme a trous", 1989) a row of k weights spans d (k - 1) + 1 samples
and fits into n of them floor((n + 2p - span) / s) + 1 times: `output_size`. With each layer an output depends on more
of the picture: `receptive_field`. Three layers of 3 x 3 see 7 x 7, with 27 weights in place of 49 (VGG: Simonyan and
Zisserman, 2014).

**A matrix product.** Outputs are weighted sums of samples: Y = T X for a matrix T. It is mostly 0, since each place
sees its neighbours only, and all its rows hold the same weights, since all places are treated alike. These two are what
a convolutional network takes for granted (Fukushima, 1980; LeCun et al., 1989) and one of dense layers has to learn.
`im2col` (Chellapilla, Puri, Simard, 2006) makes a dense product of it: what the kernel covers at each place becomes a
column. `col2im` is its transpose. A layer with weights (F, C, h, w), forward and backward, is then

    columns  = im2col(x, (h, w))                                     (C h w, H' W' B)
    y        = weights.reshape(F, -1) @ columns                      (F, H' W' B): B last, to be moved for NCHW
    dweights = dy @ columns.T                                        (F, C h w), with dy laid out like y
    dx       = col2im(weights.reshape(F, -1).T @ dy, x.shape, (h, w))

**Separable.** A kernel of rank 1 is a column times a row: two passes, h + w products in place of h w (Treitel, Shanks,
1971). Box and Gaussian are; so is each Sobel kernel, a difference one way and a blur the other.

**Numbers.** All arithmetic is in the type of the picture: float32 or float64. Integers and booleans become float32,
which is exact up to 2**24; other types are refused. A kernel takes the type of the picture. Whatever is not allowed, a
type, a shape, a stride of 0 or a kernel that spans more than the padded picture, is a ValueError that says so.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LAPLACIAN_4",
    "LAPLACIAN_8",
    "SOBEL_X",
    "SOBEL_Y",
    "box",
    "col2im",
    "convolve",
    "convolve_plain",
    "correlate",
    "correlate_plain",
    "edges",
    "gaussian",
    "im2col",
    "output_size",
    "parameter_count",
    "receptive_field",
    "same_padding",
    "separable",
    "separate",
]

Array: TypeAlias = NDArray[np.floating[Any]]
Shape: TypeAlias = tuple[int, ...]

# The difference of the neighbours on both sides, and a blur across it against noise: the gradient operator of Sobel and
# Feldman (Stanford Artificial Intelligence Project, 1968; in print in Duda and Hart, 1973).
DIFFERENCE = np.array([-1.0, 0, 1])
BLUR = np.array([1.0, 2, 1])
SOBEL_X = np.outer(BLUR, DIFFERENCE)  # positive where it gets brighter to the right
SOBEL_Y = np.outer(DIFFERENCE, BLUR)  # positive where it gets brighter downwards

# How much brighter than the sample its surroundings are: the second differences down and across (Courant, Friedrichs,
# Lewy, 1928), and along the diagonals too.
LAPLACIAN_4 = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
LAPLACIAN_8 = np.array([[1.0, 1, 1], [1, -8, 1], [1, 1, 1]])

for _constant in (DIFFERENCE, BLUR, SOBEL_X, SOBEL_Y, LAPLACIAN_4, LAPLACIAN_8):
    _constant.flags.writeable = False


def box(size: int) -> NDArray[np.float64]:
    """Return the kernel of the mean of (size, size) samples."""
    _at_least(1, size=size)
    return np.full((size, size), 1 / size**2)


def gaussian(sigma: float, radius: int) -> NDArray[np.float64]:
    """Return a Gaussian: of all blurs, only these are separable and the same in every direction.

    Parameters
    ----------
    sigma : float
        Standard deviation in samples, more than 0.
    radius : int
        At least 0. A radius of 3 sigma cuts off less than 0.3 % of the bell in each direction.

    Returns
    -------
    (2 * radius + 1, 2 * radius + 1) float64 array
        Its sum is 1.
    """
    _at_least(0, radius=radius)
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma is {sigma}; finite numbers above 0 are allowed")
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    bell /= bell.sum()
    return np.outer(bell, bell)


# Sizes, in one direction ------------------------------------------------------------------------------------


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Return how many times a row of weights fits into a row of samples with so many zeros on each side."""
    _at_least(1, size=size, kernel=kernel, stride=stride, dilation=dilation)
    _at_least(0, padding=padding)
    span, room = dilation * (kernel - 1) + 1, size + 2 * padding
    if span > room:
        raise ValueError(f"the kernel spans {span} samples; {room} are allowed, the size of the padded picture")
    return (room - span) // stride + 1


def same_padding(kernel: int, dilation: int = 1) -> int:
    """Return the padding with which n samples become n, or ceil(n / stride); an odd kernel always has one."""
    _at_least(1, kernel=kernel, dilation=dilation)
    missing = dilation * (kernel - 1)
    if missing % 2:
        raise ValueError(f"kernel {kernel} with dilation {dilation} needs {missing} zeros; even numbers are allowed")
    return missing // 2


def receptive_field(layers: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Return what one output of a stack of layers sees (Araujo, Norris, Sim, Distill 2019).

    Parameters
    ----------
    layers : sequence of (kernel, stride, dilation)
        Convolutions and poolings, from the picture upwards.

    Returns
    -------
    size : int
        Samples of the picture from the first that it depends on to the last.
    jump : int
        Samples from what one output sees to what the next one does: the effective stride of the stack.
    """
    size = jump = 1
    for kernel, stride, dilation in layers:
        _at_least(1, kernel=kernel, stride=stride, dilation=dilation)
        size += dilation * (kernel - 1) * jump
        jump *= stride
    return size, jump


def parameter_count(inputs: int, outputs: int, kernel: tuple[int, int], groups: int = 1, bias: bool = True) -> int:
    """Return how many numbers a layer learns that makes `outputs` channels of `inputs`.

    Each output sees the inputs of its group only: all of them with 1 group, one in a depthwise layer (`inputs` groups).
    With `bias` it has a number to add as well.
    """
    height, width = kernel
    _at_least(1, inputs=inputs, outputs=outputs, height=height, width=width, groups=groups)
    if inputs % groups or outputs % groups:
        raise ValueError(f"{inputs} inputs and {outputs} outputs in {groups} groups; multiples of {groups} are allowed")
    return outputs * (inputs // groups * height * width + bias)


def _at_least(least: int, **numbers: int) -> None:
    """Refuse numbers that are too small."""
    for name, number in numbers.items():
        if operator.index(number) < least:
            raise ValueError(f"{name} is {number}; at least {least} is allowed")


# Pictures ---------------------------------------------------------------------------------------------------


def correlate_plain(
    picture: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """Correlate sample by sample: the definition, and the plain form of `correlate`."""
    x, weights, shape = _prepare(picture, kernel, stride, padding, dilation)
    y = np.zeros(shape, x.dtype)
    for r in range(shape[0]):
        for c in range(shape[1]):
            for i in range(weights.shape[0]):
                for j in range(weights.shape[1]):
                    row, column = r * stride + i * dilation - padding, c * stride + j * dilation - padding
                    if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:  # all is 0 outside
                        y[r, c] += weights[i, j] * x[row, column]
    return y


def convolve_plain(
    picture: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """Convolve sample by sample: the plain form of `convolve`."""
    return correlate_plain(picture, _floats(kernel, 2, "kernel")[::-1, ::-1], stride, padding, dilation)


def correlate(picture: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: int = 0, dilation: int = 1) -> Array:
    """Correlate a picture with a kernel: add up one picture for each weight, shifted and multiplied.

    `im2col` would need the memory of h * w pictures, and over twice the time for 7 x 7 weights on 512 x 512 samples.

    Parameters
    ----------
    picture, kernel : (H, W), (h, w) arrays
    stride : int
        Samples from one place of the kernel to the next, at least 1.
    padding : int
        Zeros on each side, at least 0.
    dilation : int
        Samples from what one weight meets to what the next one does, at least 1.

    Returns
    -------
    (H', W') array
        For finite numbers the same bits as from `correlate_plain`; see `output_size`.
    """
    x, weights, shape = _prepare(picture, kernel, stride, padding, dilation)
    padded = np.pad(x, padding)
    y, product = np.zeros(shape, x.dtype), np.empty(shape, x.dtype)
    for i, j in np.ndindex(weights.shape):
        np.multiply(padded[_met_by(i, j, shape, stride, dilation)], weights[i, j], out=product)
        y += product
    return y


def convolve(picture: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: int = 0, dilation: int = 1) -> Array:
    """Convolve a picture with a kernel: `correlate` with the kernel turned by 180 degrees."""
    return correlate(picture, _floats(kernel, 2, "kernel")[::-1, ::-1], stride, padding, dilation)


def separable(picture: ArrayLike, column: ArrayLike, row: ArrayLike) -> Array:
    """Correlate with `np.outer(column, row)` in two passes: (H, W), (h,) and (w,) to (H - h + 1, W - w + 1)."""
    across = correlate(picture, _floats(row, 1, "row")[None, :])
    return correlate(across, _floats(column, 1, "column")[:, None])


def separate(kernel: ArrayLike) -> tuple[Array, Array]:
    """Split a kernel of rank 1 into what `separable` takes, by its singular value decomposition.

    Parameters
    ----------
    kernel : (h, w) array
        Its rank is 1 if rounding explains all singular values but one, as in `np.linalg.matrix_rank`.

    Returns
    -------
    column, row : (h,), (w,) arrays
        Of the same norm, the largest entry of the column positive; `np.outer(column, row)` is the kernel.
    """
    weights = _floats(kernel, 2, "kernel")
    columns, singular, rows = np.linalg.svd(weights)
    rank = int(np.sum(singular > singular[0] * max(weights.shape) * np.finfo(weights.dtype).eps))
    if rank != 1:
        raise ValueError(f"a kernel of rank {rank}; rank 1 is allowed")
    column, row = columns[:, 0], rows[0]
    scale = np.sqrt(singular[0]) * np.sign(column[np.argmax(np.abs(column))])  # either sign is a decomposition
    return column * scale, row * scale


def edges(picture: ArrayLike) -> tuple[Array, Array]:
    """Return how steep a picture is at each sample and which way it rises, by the Sobel kernels.

    Parameters
    ----------
    picture : (H, W) array
        Its border is repeated outwards.

    Returns
    -------
    magnitude : (H, W) array
        Length of the gradient, 8 times the rise from one sample to the next.
    orientation : (H, W) array
        Where it gets brighter fastest, which is across an edge and not along it, in radians in [-pi, pi]: 0 to the
        right, pi / 2 downwards, since rows are counted downwards. 0 where the picture is flat.
    """
    bordered = np.pad(_floats(picture, 2, "picture"), 1, mode="edge")
    # Flat parts come to 0 exactly, as differences of blurs that are equal. In one pass rounding might leave something.
    across, down = separable(bordered, BLUR, DIFFERENCE), separable(bordered, DIFFERENCE, BLUR)
    return np.hypot(across, down), np.arctan2(down, across)


def _floats(array: ArrayLike, axes: int, name: str) -> Array:
    """Return an array as floats, its shape and type checked."""
    array = np.asarray(array)
    if array.ndim != axes or not array.size:
        raise ValueError(f"{name} has the shape {array.shape}; {axes} axes of at least 1 are allowed")
    if array.dtype.kind in "iub":
        return array.astype(np.float32)
    if array.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name} is of {array.dtype}; float32, float64, integers and booleans are allowed")
    return array


def _prepare(
    picture: ArrayLike, kernel: ArrayLike, stride: int, padding: int, dilation: int
) -> tuple[Array, Array, tuple[int, int]]:
    """Return picture and kernel in the same type, and the shape of the result."""
    x, weights = _floats(picture, 2, "picture"), _floats(kernel, 2, "kernel")
    return x, weights.astype(x.dtype), _output_shape(x.shape, weights.shape, stride, padding, dilation)


def _output_shape(size: Shape, kernel: Shape, stride: int, padding: int, dilation: int) -> tuple[int, int]:
    """Return (H', W') for pictures of (..., H, W)."""
    (height, width), (h, w) = size[-2:], kernel
    return output_size(height, h, stride, padding, dilation), output_size(width, w, stride, padding, dilation)


def _met_by(i: int, j: int, shape: tuple[int, int], stride: int, dilation: int) -> tuple[slice, slice]:
    """Return which rows and columns of padded pictures weight (i, j) meets: H' and W' of them."""
    top, left = i * dilation, j * dilation
    bottom, right = top + (shape[0] - 1) * stride + 1, left + (shape[1] - 1) * stride + 1
    return slice(top, bottom, stride), slice(left, right, stride)


# Batches ----------------------------------------------------------------------------------------------------


def im2col(
    x: ArrayLike,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    out: Array | None = None,
) -> Array:
    """Copy what a kernel covers at each place of each picture into a column.

    One matrix for a whole batch makes a layer one large product. Pictures come last in it (as in Krizhevsky's
    cuda-convnet, 2012): samples are copied in runs that are as long as a row of all pictures together, and what comes
    out of the product can be pooled and rectified in such runs as well.

    Parameters
    ----------
    x : (B, C, H, W) array
    kernel : (int, int)
        Its size (h, w).
    stride, padding, dilation : int
        As in `correlate`.
    out : (C * h * w, H' * W' * B) array, optional
        Where to write the result: contiguous, and of its type.

    Returns
    -------
    (C * h * w, H' * W' * B) array
        Contiguous. Rows are in the order of weights (C, h, w), columns in the order (H', W', B).
    """
    x = _floats(x, 4, "x")
    batch, channels = x.shape[:2]
    shape = _output_shape(x.shape, kernel, stride, padding, dilation)
    columns = _result(out, (channels * math.prod(kernel), batch * math.prod(shape)), x.dtype)
    by_weight = columns.reshape(channels, *kernel, *shape, batch)
    last = x.transpose(1, 2, 3, 0)  # (C, H, W, B)
    padded = np.pad(last, ((0, 0), (padding, padding), (padding, padding), (0, 0))) if padding else last
    for i, j in np.ndindex(kernel):
        by_weight[:, i, j] = padded[:, *_met_by(i, j, shape, stride, dilation)]
    return columns


def col2im(
    columns: ArrayLike,
    size: tuple[int, int, int, int],
    kernel: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Array:
    """Add each column onto the samples that `im2col` copied it from: its transpose, and not its inverse.

    Each step is the transpose of one of `im2col`, last step first: to copy becomes to add, to pad becomes to crop.

    Parameters
    ----------
    columns : (C * h * w, H' * W' * B) array
    size : (B, C, H, W)
        Of the pictures.
    kernel, stride, padding, dilation
        As in `im2col`.

    Returns
    -------
    (B, C, H, W) array
        In the type of the columns, and laid out as they are: in memory B comes last. A sample that the kernel covers n
        times is the sum of n entries.
    """
    columns = _floats(columns, 2, "columns")
    batch, channels, height, width = size
    shape = _output_shape(size, kernel, stride, padding, dilation)
    expected = channels * math.prod(kernel), batch * math.prod(shape)
    if columns.shape != expected:
        raise ValueError(f"columns have the shape {columns.shape}; {expected} is allowed")
    by_weight = columns.reshape(channels, *kernel, *shape, batch)
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding, batch), columns.dtype)
    for i, j in np.ndindex(kernel):
        padded[:, *_met_by(i, j, shape, stride, dilation)] += by_weight[:, i, j]
    return padded[:, padding : padding + height, padding : padding + width].transpose(3, 0, 1, 2)


def _result(out: Array | None, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return the array to write to, `out` if it fits."""
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} of shape {out.shape}; contiguous {dtype} of shape {shape} is allowed")
    return out
