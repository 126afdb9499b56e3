"""The operators that networks are made of, forward and backward, by hand.

Each operator f is a pair. `y, cache = f(x, ...)` computes the output and keeps what the way back needs;
`dx, ... = f_backward(dy, cache)` is given the gradient of a loss with respect to the output, and returns those with
respect to the inputs: dx has the shape of x, dw that of w. The chain rule is then a matter of calling the second
functions in the reverse order of the first.

Parameters have PyTorch's layouts: a linear layer's weight is (out, in), a convolution's (out, in / groups, h, w),
pictures are (B, C, H, W). The type follows the input: float32 for training, float64 for checking gradients by
differences. `tests/test_ops.py` does that, and compares all outputs and gradients with PyTorch's.

**Speed.** At these sizes a step is as much memory traffic as arithmetic. So sums over rows and columns are products
with a vector of ones; elementwise work happens in place; what a derivative needs is computed on the way forward, where
its parts are at hand; arrays have their memory used again (`transformers_np.workspace`); and narrow products are put
together from small ones (`transformers_np.products`). A convolution leaves pictures with axes in the order (C, H, W, B)
in memory, seen as (B, C, H, W): then the samples that pooling compares, or that the next convolution copies, lie in
runs as long as the batch, and nothing is ever moved to another order.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codec.convolution import col2im, im2col, output_size
from transformers_np import products
from transformers_np.workspace import empty

__all__ = [
    "attention",
    "attention_backward",
    "attention_plain",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_backward_first",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout_backward",
    "embedding",
    "embedding_backward",
    "gelu",
    "gelu_backward",
    "grid_sample",
    "grid_sample_backward",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "linear_backward",
    "linear_backward_first",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "self_attention",
    "self_attention_backward",
    "softmax",
    "softmax_backward",
    "split_heads",
]

Array: TypeAlias = NDArray[np.floating[Any]]
Cache: TypeAlias = tuple[Any, ...]


def _column_sums(x: Array) -> Array:
    """Sum (R, C) over rows: (C,)."""
    return np.ones(len(x), x.dtype) @ x


def _row_sums(x: Array) -> Array:
    """Sum over the last axis: (..., C) to (..., 1)."""
    return (x.reshape(-1, x.shape[-1]) @ np.ones(x.shape[-1], x.dtype)).reshape(*x.shape[:-1], 1)


def _like(x: Array) -> Array:
    """Return an array of the shape and type of another, with the order of axes in memory that it has."""
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return empty(tuple(x.shape[axis] for axis in order), x.dtype).transpose(np.argsort(order))


# Linear -----------------------------------------------------------------------------------------------------


def linear(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Cache]:
    """Compute y = x w^T + b.

    Parameters
    ----------
    x : (..., in) array
    w : (out, in) array
    b : (out,) array, optional

    Returns
    -------
    y : (..., out) array
    cache : tuple
    """
    if w.ndim != 2 or x.shape[-1:] != w.shape[1:] or (b is not None and b.shape != w.shape[:1]):
        raise ValueError(f"linear: x {x.shape}, w {w.shape}, b {None if b is None else b.shape} do not go together")
    # Tokens come in batches of matrices. Where there is but one, it is multiplied as a whole: so networks in `assets`
    # that have learned from rows come out of their training again, bit for bit.
    rows = x.reshape(-1, w.shape[1])  # (R, in)
    y = empty((len(rows), len(w)), x.dtype)  # (R, out)
    products.times(rows, w.T, y, small=x.ndim > 2)
    if b is not None:
        y += b
    return y.reshape(*x.shape[:-1], len(w)), (rows, w, x.shape)


def linear_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dx, dw, db; the last is there whether or not there is a b."""
    rows, w, shape = cache
    dx = _like(rows)
    products.times(dy.reshape(-1, len(w)), w, dx, small=len(shape) > 2)
    return dx.reshape(shape), *linear_backward_first(dy, cache)


def linear_backward_first(dy: Array, cache: Cache) -> tuple[Array, Array]:
    """Return dw and db only: nobody asks for the gradient of what a first layer sees."""
    rows, w, shape = cache
    dy = dy.reshape(-1, len(w))  # (R, out)
    dw = empty(w.shape, dy.dtype)
    products.add_up(dy, rows, dw, small=len(shape) > 2)
    return dw, _column_sums(dy)


# Convolution and pooling ------------------------------------------------------------------------------------


def conv2d(
    x: Array, w: Array, b: Array | None = None, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> tuple[Array, Cache]:
    """Correlate pictures with filters (`codec.convolution`).

    Parameters
    ----------
    x : (B, C, H, W) array
    w : (F, C / groups, h, w) array
    b : (F,) array, optional
    stride, padding, dilation : int
        The same in both directions.
    groups : int
        Channels and filters are dealt out to so many groups, and filters see the channels of their own only.

    Returns
    -------
    y : (B, F, H', W') array
    cache : tuple
    """
    if (
        not x.ndim == w.ndim == 4
        or w.shape[1] * groups != x.shape[1]
        or len(w) % groups
        or (b is not None and b.shape != w.shape[:1])
    ):
        raise ValueError(
            f"conv2d: x {x.shape}, w {w.shape}, b {None if b is None else b.shape} and {groups} groups "
            "do not go together"
        )
    batch, channels, height, width = x.shape
    filters, _, *kernel = w.shape
    down, across = (output_size(n, k, stride, padding, dilation) for n, k in zip((height, width), kernel, strict=True))
    places = down * across * batch
    columns = empty((channels * kernel[0] * kernel[1], places), x.dtype)
    im2col(x, (kernel[0], kernel[1]), stride, padding, dilation, out=columns)  # (C h w, H' W' B)
    of_groups = columns.reshape(groups, -1, places)
    y = empty((groups, filters // groups, places), x.dtype)
    np.matmul(w.reshape(groups, filters // groups, -1), of_groups, out=y)  # (G, F / G, H' W' B)
    if b is not None:
        y += b.reshape(groups, -1, 1)
    return y.reshape(filters, down, across, batch).transpose(3, 0, 1, 2), (
        of_groups,
        w,
        x.shape,
        (stride, padding, dilation),
    )


def conv2d_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dx, dw, db; the last is there whether or not there is a b."""
    columns, w, shape, (stride, padding, dilation) = cache
    of_groups, dw, db = _conv2d_parameters(dy, cache)
    dcolumns = empty(columns.shape, dy.dtype)
    np.matmul(w.reshape(len(columns), -1, columns.shape[1]).swapaxes(1, 2), of_groups, out=dcolumns)
    kernel = (w.shape[2], w.shape[3])
    dx = col2im(dcolumns.reshape(-1, columns.shape[2]), shape, kernel, stride, padding, dilation)
    return dx, dw, db


def conv2d_backward_first(dy: Array, cache: Cache) -> tuple[Array, Array]:
    """Return dw and db only: nobody asks for the gradient of the pictures that a first layer sees."""
    _, dw, db = _conv2d_parameters(dy, cache)
    return dw, db


def _conv2d_parameters(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dy by groups and filters, (groups, F / groups, H' W' B), and dw and db."""
    columns, w, _, _ = cache
    groups, rows, places = columns.shape
    filters = len(w)
    by_filter = np.ascontiguousarray(dy.transpose(1, 2, 3, 0)).reshape(filters, places)
    of_groups = by_filter.reshape(groups, filters // groups, places)
    dw = empty((groups, filters // groups, rows), dy.dtype)
    np.matmul(of_groups, columns.swapaxes(1, 2), out=dw)
    return of_groups, dw.reshape(w.shape), by_filter @ np.ones(places, dy.dtype)


def _windows(x: Array, kernel: int, stride: int, down: int, across: int) -> list[Array]:
    """Return the samples at each place of a window, for all windows: kernel**2 views (B, C, H', W')."""
    return [
        x[..., i : i + stride * (down - 1) + 1 : stride, j : j + stride * (across - 1) + 1 : stride]
        for i in range(kernel)
        for j in range(kernel)
    ]


def _pooled_size(name: str, x: Array, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Return (H', W'); refuse what cannot be pooled, such as windows that lie beyond the edges as a whole."""
    if x.ndim != 4:
        raise ValueError(f"{name}: x {x.shape}; 4 axes are allowed")
    if 2 * padding > kernel:
        raise ValueError(f"{name}: padding {padding} with windows of {kernel} x {kernel}; up to half of one is allowed")
    return output_size(x.shape[2], kernel, stride, padding), output_size(x.shape[3], kernel, stride, padding)


def _pad(x: Array, padding: int, value: float) -> Array:
    edge = (padding, padding)
    return np.pad(x, ((0, 0), (0, 0), edge, edge), constant_values=value) if padding else x


def max_pool2d(x: Array, kernel: int, stride: int | None = None, padding: int = 0) -> tuple[Array, Cache]:
    """Take the largest sample of each window.

    Parameters
    ----------
    x : (B, C, H, W) array
    kernel : int
        Side of a window.
    stride : int, optional
        From one window to the next; by default windows lie side by side.
    padding : int
        Samples beyond the edges, which are never the largest; up to half of `kernel`.

    Returns
    -------
    y : (B, C, H', W') array
    cache : tuple
    """
    stride = kernel if stride is None else stride
    down, across = _pooled_size("max_pool2d", x, kernel, stride, padding)
    padded = _pad(x, padding, -np.inf)
    first, *others = _windows(padded, kernel, stride, down, across)
    y = _like(first)
    y[...] = first
    for window in others:
        np.maximum(y, window, out=y)
    return y, (y, padded, x.shape, kernel, stride, padding)


def max_pool2d_backward(dy: Array, cache: Cache) -> Array:
    """Return dx: each dy goes to the sample that was the largest; of equal ones, to the first."""
    y, seen, (_, _, height, width), kernel, stride, padding = cache
    padded, ordered, part = _like(seen), _like(y), _like(y)
    padded[...] = 0
    ordered[...] = dy
    free = np.ones_like(y, bool)  # whose gradient has not gone anywhere yet
    of_x, of_dx = (_windows(of, kernel, stride, *dy.shape[2:]) for of in (seen, padded))
    for samples, gradient in zip(of_x, of_dx, strict=True):
        chosen = samples == y
        chosen &= free
        free ^= chosen
        if stride < kernel:
            np.multiply(ordered, chosen, out=part)
            np.add(gradient, part, out=gradient)
        else:  # each sample is in one window
            np.multiply(ordered, chosen, out=gradient)
    return padded[..., padding : padding + height, padding : padding + width]


def avg_pool2d(x: Array, kernel: int, stride: int | None = None, padding: int = 0) -> tuple[Array, Cache]:
    """Take the mean of each window; parameters as in `max_pool2d`, samples beyond the edges count as 0."""
    stride = kernel if stride is None else stride
    down, across = _pooled_size("avg_pool2d", x, kernel, stride, padding)
    first, *others = _windows(_pad(x, padding, 0), kernel, stride, down, across)
    y = _like(first)
    y[...] = first
    for window in others:
        y += window
    y /= kernel * kernel
    return y, (x.shape, kernel, stride, padding)


def avg_pool2d_backward(dy: Array, cache: Cache) -> Array:
    """Return dx: each dy is shared among the samples of its window."""
    (batch, channels, height, width), kernel, stride, padding = cache
    padded = empty((batch, channels, height + 2 * padding, width + 2 * padding), dy.dtype)
    padded[...] = 0
    share = dy / (kernel * kernel)
    for window in _windows(padded, kernel, stride, *dy.shape[2:]):
        np.add(window, share, out=window)
    return padded[..., padding : padding + height, padding : padding + width]


# Normalisation ----------------------------------------------------------------------------------------------


def layer_norm(x: Array, w: Array, b: Array, eps: float = 1e-6) -> tuple[Array, Cache]:
    """Give each token mean 0 and variance 1, then scale and shift it (Ba, Kiros, Hinton, 2016).

    Parameters
    ----------
    x : (..., D) array
    w, b : (D,) arrays
    eps : float
        What is added to variances; 1e-6 in ViT, 1e-5 in PyTorch's layer.
    """
    if w.shape != x.shape[-1:] or b.shape != x.shape[-1:]:
        raise ValueError(f"layer_norm: x {x.shape}, w {w.shape}, b {b.shape} do not go together")
    share = x.dtype.type(1 / x.shape[-1])
    normal, y = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    np.subtract(x, _row_sums(x) * share, out=normal)
    np.multiply(normal, normal, out=y)
    scale = _row_sums(y)  # (..., 1): 1 / standard deviation
    scale *= share
    scale += eps
    np.sqrt(scale, out=scale)
    np.divide(1, scale, out=scale)
    normal *= scale
    np.multiply(normal, w, out=y)
    y += b
    return y, (normal, scale, w)


def layer_norm_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dx, dw, db.

    With n the normalised x and g = dy * w, dx = (g - mean(g) - n mean(g n)) / deviation: what a token gains by moving
    as a whole, or by growing, is taken back by the normalisation.
    """
    normal, scale, w = cache
    share = dy.dtype.type(1 / dy.shape[-1])
    dx, part = empty(dy.shape, dy.dtype), empty(dy.shape, dy.dtype)
    np.multiply(dy, normal, out=part)
    dw, db = _column_sums(part.reshape(-1, w.size)), _column_sums(dy.reshape(-1, w.size))
    along, mean = ((rows.reshape(-1, w.size) @ (w * share)).reshape(scale.shape) for rows in (part, dy))
    np.multiply(dy, w, out=dx)
    np.multiply(normal, along, out=part)
    dx -= part
    dx -= mean
    dx *= scale
    return dx, dw, db


def batch_norm(
    x: Array,
    w: Array,
    b: Array,
    running: tuple[Array, Array],
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Cache]:
    """Give each channel mean 0 and variance 1, then scale and shift it (Ioffe, Szegedy, 2015).

    Parameters
    ----------
    x : (B, C) or (B, C, H, W) array
    w, b : (C,) arrays
    running : pair of (C,) arrays
        Means and variances of the batches so far, changed in place when training, used when not.
    training : bool
        Whether to go by this batch or by those before.
    momentum : float
        Share of this batch in the running ones.
    eps : float
        What is added to variances.
    """
    if not w.shape == b.shape == running[0].shape == running[1].shape == x.shape[1:2]:
        raise ValueError(
            f"batch_norm: x {x.shape}, w {w.shape}, b {b.shape}, running {running[0].shape}, {running[1].shape} "
            "do not go together"
        )
    axes = (0, *range(2, x.ndim))
    wide = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        count = x.size // x.shape[1]
        if count < 2:
            raise ValueError(f"batch_norm: one sample a channel in x {x.shape} has no variance")
        mean = x.mean(axis=axes)
        centred = x - mean.reshape(wide)
        variance = np.square(centred).mean(axis=axes)
        running[0][...] += momentum * (mean - running[0])
        running[1][...] += momentum * (variance * (count / (count - 1)) - running[1])
    else:
        mean, variance = running
        centred = x - mean.reshape(wide)
    scale = (1 / np.sqrt(variance + eps)).reshape(wide).astype(x.dtype)
    normal = centred * scale
    return normal * w.reshape(wide) + b.reshape(wide), (normal, scale, w, training)


def batch_norm_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dx, dw, db; the former as in `layer_norm_backward`, over a channel of the batch."""
    normal, scale, w, training = cache
    axes = (0, *range(2, dy.ndim))
    wide = (1, -1) + (1,) * (dy.ndim - 2)
    dw, db = (dy * normal).sum(axis=axes), dy.sum(axis=axes)
    dx = dy
    if training:
        count = dy.size // dy.shape[1]
        dx = dy - (db / count).reshape(wide) - normal * (dw / count).reshape(wide)
    return dx * (w.reshape(wide) * scale), dw, db


# Elementwise ------------------------------------------------------------------------------------------------


def relu(x: Array) -> tuple[Array, Cache]:
    """Compute max(x, 0)."""
    y = _like(x)
    return np.maximum(x, 0, out=y), (y,)


def relu_backward(dy: Array, cache: Cache) -> Array:
    """Return dx."""
    (y,) = cache
    dx = _like(y)
    return np.multiply(dy, y > 0, out=dx)


def gelu(x: Array, *, tanh: bool = False) -> tuple[Array, Cache]:
    """Compute x Phi(x), Phi the share of a normal distribution below x (Hendrycks, Gimpel, 2016).

    Parameters
    ----------
    x : array
    tanh : bool
        Whether to use the approximation by tanh, as JAX does by default; it is off by up to 4.7e-4.
    """
    y, slope = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    flat = (x.reshape(-1), y.reshape(-1), slope.reshape(-1))
    density, spare = empty((CHUNK,), x.dtype), empty((CHUNK,), x.dtype)
    for first in range(0, x.size, CHUNK):
        of_x, of_y, of_slope = (whole[first : first + CHUNK] for whole in flat)
        _gelu(of_x, of_y, of_slope, density[: of_x.size], spare[: of_x.size], tanh=tanh)
    return y, (slope,)


def gelu_backward(dy: Array, cache: Cache) -> Array:
    """Return dx."""
    (slope,) = cache
    dx = empty(dy.shape, dy.dtype)
    return np.multiply(dy, slope, out=dx)


CHUNK = 1 << 15  # elements: two dozen passes over a few such arrays stay in a level-2 cache


def _gelu(x: Array, y: Array, slope: Array, density: Array, spare: Array, *, tanh: bool) -> None:
    """Put x Phi(x) into y, and its derivative, Phi(x) + x Phi'(x), into `slope`."""
    below = slope  # Phi(x), which is a part of it
    (_near_normal if tanh else _normal)(x, below, density, spare)
    np.multiply(x, below, out=y)
    density *= x
    slope += density


def _near_normal(x: Array, below: Array, density: Array, spare: Array) -> None:
    """Compute the approximation of `_normal` by tanh, and its derivative."""
    scale = math.sqrt(2 / math.pi)
    np.multiply(x, x, out=spare)
    inner = np.tanh(scale * x * (1 + 0.044715 * spare))
    below[...] = 0.5 * (1 + inner)
    density[...] = 0.5 * scale * (1 - inner * inner) * (1 + 3 * 0.044715 * spare)


def _normal(x: Array, below: Array, density: Array, spare: Array) -> None:
    """Compute the share of the normal distribution below x, and its density there."""
    np.multiply(x, x, out=density)
    density *= x.dtype.type(-0.5)
    np.exp(density, out=density)
    if x.dtype == np.float64:
        below[...] = 0.5 + 0.5 * np.frompyfunc(math.erf, 1, 1)(x * math.sqrt(0.5)).astype(np.float64)
    else:
        # The share beyond |x|: a polynomial in t = 1 / (1 + p |x|) times the density, off by at most 7.5e-8 (Hastings,
        # 1955; formula 26.2.17 of Abramowitz and Stegun). Written in t / p, it is one multiplication less.
        t, beyond = spare, below
        np.abs(x, out=t)
        t += np.float32(1 / HASTINGS_P)
        np.divide(np.float32(1), t, out=t)
        np.multiply(t, np.float32(HASTINGS[0]), out=beyond)
        for coefficient in HASTINGS[1:]:
            beyond += np.float32(coefficient)
            beyond *= t
        beyond *= density
        # 1 - beyond where x is positive, and beyond where it is not: 1/2 +- (1/2 - beyond), with the sign bit of x.
        np.subtract(np.float32(0.5), beyond, out=below)
        signs, bits = spare.view(np.uint32), below.view(np.uint32)
        np.bitwise_and(x.view(np.uint32), np.uint32(1 << 31), out=signs)
        bits |= signs
        below += np.float32(0.5)
    density *= x.dtype.type(1 / math.sqrt(2 * math.pi))


# p, and b5 / p**5 to b1 / p of 26.2.17, times the density's 1 / sqrt(2 pi).
HASTINGS_P = 0.2316419
HASTINGS = tuple(
    b / HASTINGS_P ** (5 - number) / math.sqrt(2 * math.pi)
    for number, b in enumerate((1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530))
)


def dropout(x: Array, p: float, rng: np.random.Generator, *, training: bool) -> tuple[Array, Cache]:
    """Set a share p of x to 0 and divide the rest by 1 - p, so that the mean stays (Srivastava et al., 2014).

    Outside training x passes as it is.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p is {p}; 0 <= p < 1 is allowed")
    if not training or p == 0:
        return x, (None,)
    kept = (rng.random(x.shape, np.float32) >= p).astype(x.dtype)
    kept /= 1 - p
    return x * kept, (kept,)


def dropout_backward(dy: Array, cache: Cache) -> Array:
    """Return dx."""
    (kept,) = cache
    return dy if kept is None else dy * kept


# Softmax and loss -------------------------------------------------------------------------------------------


def softmax(x: Array, temperature: float = 1.0) -> tuple[Array, Cache]:
    """Turn scores into shares that sum to 1 along the last axis: exp(x / temperature), normalised."""
    if not temperature > 0:
        raise ValueError(f"softmax: temperature is {temperature}; it has to be above 0")
    y = empty(x.shape, x.dtype)
    np.subtract(x, x.max(axis=-1, keepdims=True), out=y)  # the largest is 0: nothing overflows
    y *= x.dtype.type(1 / temperature)
    np.exp(y, out=y)
    y /= _row_sums(y)
    return y, (y, temperature)


def softmax_backward(dy: Array, cache: Cache) -> Array:
    """Return dx = y (dy - sum(dy y)) / temperature."""
    y, temperature = cache
    dx = empty(dy.shape, dy.dtype)
    np.multiply(dy, y, out=dx)
    total = _row_sums(dx)
    np.subtract(dy, total, out=dx)
    dx *= y
    dx *= dy.dtype.type(1 / temperature)
    return dx


def cross_entropy(logits: Array, targets: NDArray[np.integer]) -> tuple[float, Cache]:
    """Return the mean of -log(softmax(logits)[target]).

    Parameters
    ----------
    logits : (B, K) array
    targets : (B,) integer array
        In [0, K).
    """
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(f"cross_entropy: logits {logits.shape}, targets {targets.shape} do not go together")
    _check_integers("targets", targets)
    if targets.size and not 0 <= targets.min() <= targets.max() < logits.shape[1]:
        raise ValueError(f"cross_entropy: targets from {targets.min()} to {targets.max()}, {logits.shape[1]} classes")
    shares, _ = softmax(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(logits)), targets]
    loss = np.mean(np.log(np.exp(shifted).sum(axis=1)) - own)
    return float(loss), (shares, targets)


def _check_integers(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "iu":  # booleans would choose otherwise
        raise ValueError(f"{name} are of {array.dtype}; integers are allowed")


def cross_entropy_backward(cache: Cache) -> Array:
    """Return dlogits: the shares, less 1 at the target, over the size of the batch."""
    shares, targets = cache
    dlogits = shares.copy()
    dlogits[np.arange(len(targets)), targets] -= 1
    dlogits /= len(targets)
    return dlogits


# Attention --------------------------------------------------------------------------------------------------


def attention_plain(q: Array, k: Array, v: Array, mask: NDArray[np.bool_] | None = None) -> Array:
    """Attend, query by query: what `attention` does at once.

    Parameters
    ----------
    q : (N, d) array
    k : (M, d) array
    v : (M, e) array
    mask : (N, M) bool array, optional
        Which keys each query may see.

    Returns
    -------
    (N, e) array
    """
    y = np.zeros((len(q), v.shape[1]), q.dtype)
    for n, query in enumerate(q):
        seen = [m for m in range(len(k)) if mask is None or mask[n, m]]
        scores = np.array([query @ k[m] / math.sqrt(len(query)) for m in seen])  # how well each key matches
        if seen:
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            for weight, m in zip(weights, seen, strict=True):
                y[n] += weight * v[m]
    return y


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(n in (1, wanted) for n, wanted in pairs)


FAR = 60  # scores between -FAR and FAR have exponentials that float32 has room for, and so have sums of them


def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: NDArray[np.bool_] | None = None,
    out: Array | None = None,
    scale: float | None = None,
    bias: Array | None = None,
) -> tuple[Array, Cache]:
    """Compute softmax(q k^T / sqrt(d) + bias) v (Vaswani et al., 2017).

    Parameters
    ----------
    q : (..., N, d) array
    k : (..., M, d) array
    v : (..., M, e) array
    mask : bool array that broadcasts to (..., N, M), optional
        Which keys each query may see. A query that may see none gets 0.
    out : (..., N, e) array, optional
        Where to put y.
    scale : float, optional
        What products of queries and keys are multiplied by, if not by 1 / sqrt(d).
    bias : (..., N, M) array, optional
        What is added to scores: usually a number for each distance.

    Returns
    -------
    y : (..., N, e) array
    cache : tuple
        Its first element is the weights, (..., N, M).
    """
    (*lead, _, width), keys = q.shape, k.shape[-2]
    if k.shape != (*lead, keys, width) or v.shape[:-1] != k.shape[:-1] or not keys:
        raise ValueError(f"attention: q {q.shape}, k {k.shape}, v {v.shape} do not go together")
    weights = empty((*q.shape[:-1], keys), q.dtype)
    if mask is not None and (mask.dtype != bool or not _broadcasts(mask.shape, weights.shape)):
        raise ValueError(f"attention: mask of {mask.dtype} {mask.shape} for weights {weights.shape}; bool is allowed")
    if bias is not None and bias.shape != weights.shape:
        raise ValueError(f"attention: bias {bias.shape} for weights {weights.shape}")
    np.matmul(q, k.swapaxes(-1, -2), out=weights)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    if scale != 1:
        weights *= q.dtype.type(scale)
    if bias is not None:
        weights += bias
    if mask is not None:
        np.copyto(weights, -np.inf, where=~mask)
    # Weights are the same whatever is taken from the scores of a query: their largest, so that nothing overflows. Where
    # no score is far from 0 there is no need, and to see that takes a tenth of the time, since rows are short.
    if mask is not None or not (weights.min(initial=0) > -FAR and weights.max(initial=0) < FAR):
        top = weights.max(axis=-1, keepdims=True)
        top[np.isneginf(top)] = 0
        weights -= top
    np.exp(weights, out=weights)
    total = _row_sums(weights)
    if mask is not None:
        total[total == 0] = 1
    weights /= total
    y = empty((*q.shape[:-1], v.shape[-1]), q.dtype) if out is None else out
    np.matmul(weights, v, out=y)
    return y, (weights, q, k, v, y, scale, bias is not None)


def attention_backward(dy: Array, cache: Cache, out: tuple[Array, Array, Array] | None = None) -> tuple[Array, ...]:
    """Return dq, dk, dv, in `out` if it is given, and dbias if there was a bias.

    What was masked has weight 0, and so no part in any of them. What the softmax takes back, the sum of a query's
    weights times their gradients, is also the product of y and dy: d numbers in place of M (Dao et al.,
    "FlashAttention", 2022).
    """
    weights, q, k, v, y, scale, biased = cache
    dq, dk, dv = out or (empty(part.shape, dy.dtype) for part in (q, k, v))
    np.matmul(weights.swapaxes(-1, -2), dy, out=dv)
    dscores, part = empty(weights.shape, dy.dtype), _like(y)
    np.matmul(dy, v.swapaxes(-1, -2), out=dscores)
    np.multiply(dy, y, out=part)
    dscores -= part @ np.ones((y.shape[-1], 1), dy.dtype)
    dscores *= weights
    np.matmul(dscores, k, out=dq)
    np.matmul(dscores.swapaxes(-1, -2), q, out=dk)
    if scale != 1:
        dq *= dy.dtype.type(scale)
        dk *= dy.dtype.type(scale)
    return (dq, dk, dv, dscores) if biased else (dq, dk, dv)


def split_heads(x: Array, heads: int, parts: int) -> list[Array]:
    """View (B, N, parts * D) as the heads of each part: (B, heads, N, D / heads)."""
    batch, tokens, width = x.shape
    split = x.reshape(batch, tokens, parts, heads, width // (parts * heads))
    return [split[:, :, part].swapaxes(1, 2) for part in range(parts)]


def _query_scales(width: int, heads: int, dtype: DTypeLike) -> Array:
    """Return the factors of queries, keys and values, (3 D,): 1 / sqrt(D / heads), 1 and 1."""
    scales = np.ones(3 * width, dtype)
    scales[:width] = 1 / math.sqrt(width // heads)
    return scales


def self_attention(
    x: Array,
    qkv_w: Array,
    qkv_b: Array | None,
    proj_w: Array,
    proj_b: Array | None,
    heads: int,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[Array, Cache]:
    """Let tokens attend to each other, in several heads, each with a share of the width.

    Parameters
    ----------
    x : (B, N, D) array
    qkv_w, qkv_b : (3 D, D) and (3 D,) arrays
        Queries, keys and values one below the other.
    proj_w, proj_b : (D, D) and (D,) arrays
        What makes a token of the heads' results.
    heads : int
        A divisor of D.
    mask : bool array that broadcasts to (B, heads, N, N), optional
        Which keys each query may see.

    Returns
    -------
    y : (B, N, D) array
    cache : tuple
        Its first element is the weights, (B, heads, N, N).
    """
    if heads < 1 or x.shape[-1] % heads:
        raise ValueError(f"self_attention: {heads} heads do not divide a width of {x.shape[-1]}")
    if x.ndim != 3 or len(qkv_w) != 3 * x.shape[2]:
        raise ValueError(f"self_attention: x {x.shape}, qkv_w {qkv_w.shape} do not go together")
    # Weights that make queries are fewer than scores: they are what is multiplied by 1 / sqrt(d).
    scales = _query_scales(x.shape[2], heads, x.dtype)
    qkv, qkv_cache = linear(x, qkv_w * scales[:, None], None if qkv_b is None else qkv_b * scales)  # (B, N, 3 D)
    # Heads stay where they are: products of matrices take views with strides.
    q, k, v = split_heads(qkv, heads, 3)  # (B, heads, N, d)
    joined = empty(x.shape, x.dtype)
    _, attention_cache = attention(q, k, v, mask, split_heads(joined, heads, 1)[0], scale=1)
    y, proj_cache = linear(joined, proj_w, proj_b)
    return y, (attention_cache[0], heads, qkv_cache, attention_cache, proj_cache)


def self_attention_backward(dy: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dqkv_w, dqkv_b, dproj_w, dproj_b."""
    _, heads, qkv_cache, attention_cache, proj_cache = cache
    djoined, dproj_w, dproj_b = linear_backward(dy, proj_cache)
    dqkv = empty((*dy.shape[:-1], 3 * dy.shape[-1]), dy.dtype)
    dq, dk, dv = split_heads(dqkv, heads, 3)
    attention_backward(split_heads(djoined, heads, 1)[0], attention_cache, (dq, dk, dv))
    dx, dqkv_w, dqkv_b = linear_backward(dqkv, qkv_cache)
    scales = _query_scales(dy.shape[2], heads, dy.dtype)
    dqkv_w *= scales[:, None]
    dqkv_b *= scales
    return dx, dqkv_w, dqkv_b, dproj_w, dproj_b


# Look-ups ---------------------------------------------------------------------------------------------------


def embedding(ids: NDArray[np.integer], table: Array) -> tuple[Array, Cache]:
    """Look up rows: ids of any shape and (K, D) to (..., D)."""
    _check_integers("ids", ids)
    if ids.size and not 0 <= ids.min() <= ids.max() < len(table):
        raise ValueError(f"embedding: ids from {ids.min()} to {ids.max()}, {len(table)} rows")
    return table[ids], (ids, table.shape)


def embedding_backward(dy: Array, cache: Cache) -> Array:
    """Return dtable: a row has the sum of all dy that it was looked up for."""
    ids, shape = cache
    dtable = np.zeros(shape, dy.dtype)
    if ids.size:
        order = np.argsort(ids, axis=None, kind="stable")
        rows, starts = np.unique(ids.reshape(-1)[order], return_index=True)
        dtable[rows] = np.add.reduceat(dy.reshape(-1, shape[1])[order], starts, axis=0)
    return dtable


def grid_sample(x: Array, grid: Array) -> tuple[Array, Cache]:
    """Sample pictures at any places, between four samples; beyond the edges lies 0.

    Parameters
    ----------
    x : (B, C, H, W) array
    grid : (B, H', W', 2) array
        Places (across, down): -1 is the left or upper edge of the picture, 1 the other. Sample i of n has its middle at
        (2 i + 1) / n - 1 (PyTorch's align_corners=False).

    Returns
    -------
    y : (B, C, H', W') array
    cache : tuple
    """
    if not x.ndim == grid.ndim == 4 or len(x) != len(grid) or grid.shape[3] != 2:
        raise ValueError(f"grid_sample: x {x.shape}, grid {grid.shape} do not go together")
    batch, channels, height, width = x.shape
    flat = x.reshape(batch, channels, height * width)
    column, row = ((grid[..., axis] + 1) * (n / 2) - 0.5 for axis, n in enumerate((width, height)))
    left, top = np.floor(column), np.floor(row)
    right_share, lower_share = column - left, row - top  # (B, H', W')
    corners = []
    y = np.zeros((batch, channels, grid.shape[1] * grid.shape[2]), x.dtype)
    for down in (0, 1):
        for across in (0, 1):
            i, j = top + down, left + across
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            index = np.where(inside, i * width + j, 0).astype(np.intp).reshape(batch, 1, -1)
            shares = (right_share if across else 1 - right_share, lower_share if down else 1 - lower_share)
            beside, above = ((share * inside).reshape(batch, 1, -1) for share in shares)
            values = np.take_along_axis(flat, index, axis=2)  # (B, C, H' W')
            y += values * (beside * above)
            corners.append((index, beside, above, values, 2 * across - 1, 2 * down - 1))
    return y.reshape(batch, channels, *grid.shape[1:3]), (corners, x.shape, grid.shape)


def grid_sample_backward(dy: Array, cache: Cache) -> tuple[Array, Array]:
    """Return dx and dgrid."""
    corners, shape, grid_shape = cache
    batch, channels, height, width = shape
    dy = dy.reshape(batch, channels, -1)
    dx = np.zeros(batch * channels * height * width, dy.dtype)
    dplace = np.zeros((2, batch, dy.shape[2]), dy.dtype)
    pictures = height * width * np.arange(batch * channels).reshape(batch, channels, 1)
    for index, beside, above, values, right, lower in corners:
        dx += np.bincount((pictures + index).ravel(), (dy * (beside * above)).ravel(), dx.size).astype(dy.dtype)
        along = (dy * values).sum(axis=1)  # (B, H' W')
        dplace[0] += right * along * above[:, 0]
        dplace[1] += lower * along * beside[:, 0]
    dplace *= np.array([width / 2, height / 2], dy.dtype)[:, None, None]
    return dx.reshape(shape), np.moveaxis(dplace, 0, -1).reshape(grid_shape)
