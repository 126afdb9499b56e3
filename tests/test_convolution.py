"""Tests of `codec.convolution`: fast forms against plain loops, and both against SciPy and numbers known by hand."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from codec import convolution as conv
from tests.pictures import make_picture

FLOATS = [np.float32, np.float64]


def random(*shape, dtype=np.float64, seed=0):
    """Return normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@st.composite
def windows(draw):
    """Draw sides of a kernel, its stride, padding and dilation, and sides of a picture that it fits into."""
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride, padding, dilation = draw(st.integers(1, 3)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    least = [max(1, dilation * (k - 1) + 1 - 2 * padding) for k in kernel]
    picture = draw(st.integers(least[0], least[0] + 6)), draw(st.integers(least[1], least[1] + 6))
    return picture, kernel, stride, padding, dilation


# Pictures ---------------------------------------------------------------------------------------------------

SMALL = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]])
CORNER = np.array([[1, 0], [-1, 1]])


@pytest.mark.parametrize("correlate", [conv.correlate_plain, conv.correlate])
def test_correlation_by_hand(correlate):
    assert correlate(SMALL, CORNER).tolist() == [[2, 3, 4], [-3, 2, 3], [4, -3, 2]]
    assert correlate(SMALL, CORNER, stride=2).tolist() == [[2, 4], [4, 2]]
    assert correlate(SMALL, CORNER, dilation=2).tolist() == [[-1, 4], [-2, -1]]
    padded = correlate(SMALL, CORNER, padding=1)
    assert padded[0].tolist() == [1, 1, 1, -3, 0]  # only -1 and 1, the second row of weights, meet samples
    assert padded[:, 0].tolist() == [1, 0, 3, 2, 0]


@pytest.mark.parametrize("convolve", [conv.convolve_plain, conv.convolve])
def test_convolution_by_hand(convolve):
    # The corner turned by 180 degrees has 1 -1 in its first row and 0 1 in its second.
    assert convolve(SMALL, CORNER).tolist() == [[0, 1, 6], [-1, 0, 1], [6, -1, 0]]


@given(windows(), st.sampled_from(FLOATS), st.integers(0, 99))
def test_fast_is_plain(window, dtype, seed):
    size, kernel, *numbers = window
    picture, weights = random(*size, dtype=dtype, seed=seed), random(*kernel, seed=seed + 1)
    for fast, plain in ((conv.correlate, conv.correlate_plain), (conv.convolve, conv.convolve_plain)):
        found, expected = fast(picture, weights, *numbers), plain(picture, weights, *numbers)
        assert found.dtype == expected.dtype == dtype
        assert np.array_equal(found, expected)


@given(windows(), st.integers(0, 99))
def test_correlation_and_convolution_are_scipys(window, seed):
    size, kernel, stride, padding, dilation = window
    picture, weights = random(*size, seed=seed), random(*kernel, seed=seed + 1)
    spread = np.zeros([dilation * (side - 1) + 1 for side in kernel])
    spread[::dilation, ::dilation] = weights
    padded = np.pad(picture, padding)
    for ours, theirs in ((conv.correlate, signal.correlate2d), (conv.convolve, signal.convolve2d)):
        # SciPy would exchange picture and kernel where the kernel is larger in both directions; it never is here.
        expected = theirs(padded, spread, mode="valid")[::stride, ::stride]
        assert np.allclose(ours(picture, weights, stride, padding, dilation), expected, rtol=0, atol=1e-12)


def test_two_convolutions_are_one_and_spectra_multiply():
    picture, first, second = random(9, 8), random(3, 3, seed=1), random(3, 3, seed=2)
    both = conv.convolve(first, second, padding=2)
    at_once = conv.convolve(picture, both, padding=4)
    assert np.allclose(conv.convolve(conv.convolve(picture, first, padding=2), second, padding=2), at_once)
    assert np.allclose(signal.fftconvolve(picture, both), at_once)
    # It is not so for correlation: the difference that the two names make.
    both = conv.correlate(first, second, padding=2)
    twice = conv.correlate(conv.correlate(picture, first, padding=2), second, padding=2)
    assert not np.allclose(conv.correlate(picture, both, padding=4), twice)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_])
def test_integers_become_float32(dtype):
    picture = (make_picture(9, 7, 1) > 128).astype(dtype)
    found = conv.correlate(picture, -np.ones((2, 2), np.int8))
    assert found.dtype == np.float32
    assert found.min() < 0  # nothing wraps
    assert np.array_equal(found, signal.correlate2d(picture.astype(int), -np.ones((2, 2), int), mode="valid"))


# Separable kernels ------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from(FLOATS), st.integers(0, 99))
def test_two_passes_are_the_full_kernel(height, width, dtype, seed):
    picture = random(9, 11, dtype=dtype, seed=seed)
    column, row = random(height, seed=seed + 1), random(width, seed=seed + 2)
    found = conv.separable(picture, column, row)
    assert found.dtype == dtype
    expected = conv.correlate(picture, np.outer(column, row))
    assert np.allclose(found, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize(
    "kernel",
    [conv.SOBEL_X, conv.SOBEL_Y, conv.box(4), conv.gaussian(1.5, 4), -conv.gaussian(1.5, 4), random(1, 5), [[-3]]],
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_kernels_of_rank_1_are_split(kernel, dtype):
    kernel = np.asarray(kernel, dtype)
    column, row = conv.separate(kernel)
    assert (column.dtype, row.dtype) == (dtype, dtype)
    assert np.allclose(np.outer(column, row), kernel, rtol=0, atol=8 * np.finfo(dtype).eps)
    assert np.isclose(np.linalg.norm(column), np.linalg.norm(row))
    assert column[np.argmax(np.abs(column))] > 0


def test_a_gaussian_is_split_into_bells():
    column, row = conv.separate(conv.gaussian(0.8, 3))
    bell = conv.gaussian(0.8, 3).sum(axis=0)
    assert np.allclose(column, bell)
    assert np.allclose(row, bell)


@pytest.mark.parametrize(
    ("kernel", "rank"), [(conv.LAPLACIAN_4, 2), (conv.LAPLACIAN_8, 2), (np.eye(3), 3), (np.zeros((2, 3)), 0)]
)
def test_kernels_of_another_rank_are_refused(kernel, rank):
    with pytest.raises(ValueError, match=f"rank {rank}; rank 1"):
        conv.separate(kernel)


# Kernels and edges ------------------------------------------------------------------------------------------


def test_kernels_keep_or_remove_the_mean():
    for blur in (conv.box(3), conv.box(2), conv.gaussian(1.2, 3), conv.gaussian(0.1, 0), conv.gaussian(50, 1)):
        assert np.isclose(blur.sum(), 1)
        assert np.array_equal(blur, blur.T)
    for difference in (conv.SOBEL_X, conv.SOBEL_Y, conv.LAPLACIAN_4, conv.LAPLACIAN_8):
        assert difference.sum() == 0
        with pytest.raises(ValueError, match="read-only"):
            difference[0, 0] = 1  # they are shared


def test_a_gaussian_has_its_standard_deviation():
    kernel, offset = conv.gaussian(1.7, 12), np.arange(-12, 13)
    assert np.isclose(kernel.sum(axis=0) @ offset**2, 1.7**2)
    assert kernel.shape == (25, 25)
    assert np.isclose(kernel[12, 14] / kernel[12, 12], np.exp(-(2**2) / (2 * 1.7**2)))


def test_laplacians_of_a_bowl():
    # x**2 + 2 * y**2 has second differences 2 and 4; each diagonal has 2 + 4.
    bowl = np.add.outer(2.0 * np.arange(5) ** 2, np.arange(6.0) ** 2)
    assert np.array_equal(conv.correlate(bowl, conv.LAPLACIAN_4), np.full((3, 4), 6))
    assert np.array_equal(conv.correlate(bowl, conv.LAPLACIAN_8), np.full((3, 4), 18))


def test_sobel_on_a_ramp():
    ramp = np.add.outer(3.0 * np.arange(5), 2 * np.arange(6))  # down by 3, to the right by 2
    assert np.array_equal(conv.correlate(ramp, conv.SOBEL_X), np.full((3, 4), 16))
    assert np.array_equal(conv.correlate(ramp, conv.SOBEL_Y), np.full((3, 4), 24))
    magnitude, orientation = conv.edges(ramp)
    assert np.allclose(magnitude[1:-1, 1:-1], 8 * np.hypot(2, 3))
    assert np.allclose(orientation[1:-1, 1:-1], np.arctan2(3, 2))
    # At a border that is repeated, half of the rise is left in its direction.
    assert np.allclose(magnitude[1:-1, 0], 8 * np.hypot(1, 3))
    assert np.allclose(orientation[-1, 1:-1], np.arctan2(1.5, 2))


@pytest.mark.parametrize(
    ("brighter", "expected"),
    [
        (lambda y, x: x > 4, 0),  # on the right
        (lambda y, x: y > 4, np.pi / 2),  # below
        (lambda y, x: x < 4, np.pi),
        (lambda y, x: y < 4, -np.pi / 2),
        (lambda y, x: x + y > 8, np.pi / 4),  # below on the right of a diagonal
        (lambda y, x: x > y, -np.pi / 4),  # above on the right
    ],
)
def test_orientation_points_to_the_brighter_side(brighter, expected):
    picture = brighter(*np.mgrid[:9, :9])
    magnitude, orientation = conv.edges(picture)
    steep = np.zeros((9, 9), bool)
    steep[2:-2, 2:-2] = magnitude[2:-2, 2:-2] > 3
    assert steep.sum() >= 8
    assert np.allclose(orientation[steep], expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_flat_pictures_have_no_edges(dtype):
    # 0.1 + 0.2 - 0.1 - 0.2 is not 0: where the differences are not of equal numbers, rounding makes an edge.
    for level in (0.1, 0.7, -1.3):
        magnitude, orientation = conv.edges(np.full((3, 4), level, dtype))
        assert (magnitude.dtype, orientation.dtype) == (dtype, dtype)
        assert not magnitude.any()
        assert not orientation.any()


def test_edges_are_the_sobel_kernels_with_repeated_borders():
    picture = make_picture(13, 17, 1)
    bordered = np.pad(picture, 1, mode="edge").astype(float)
    across, down = (signal.correlate2d(bordered, k, mode="valid") for k in (conv.SOBEL_X, conv.SOBEL_Y))
    magnitude, orientation = conv.edges(picture)
    assert magnitude.dtype == np.float32
    assert np.allclose(magnitude, np.sqrt(across**2 + down**2))
    assert np.allclose(magnitude * np.cos(orientation), across, atol=1e-3)
    assert np.allclose(magnitude * np.sin(orientation), down, atol=1e-3)


# Batches ----------------------------------------------------------------------------------------------------


def test_columns_by_hand():
    pictures = np.arange(12.0).reshape(2, 1, 2, 3)
    assert conv.im2col(pictures, (2, 2)).tolist() == [[0, 6, 1, 7], [1, 7, 2, 8], [3, 9, 4, 10], [4, 10, 5, 11]]
    counts = conv.col2im(np.ones((4, 4)), (2, 1, 2, 3), (2, 2))
    assert counts.tolist() == [[[[1, 2, 1], [1, 2, 1]]]] * 2


@given(windows(), st.integers(1, 3), st.integers(1, 3), st.sampled_from(FLOATS), st.integers(0, 99))
def test_a_product_with_columns_is_correlation(window, batch, channels, dtype, seed):
    size, kernel, *numbers = window
    x, weights = random(batch, channels, *size, dtype=dtype, seed=seed), random(2, channels, *kernel, seed=seed + 1)
    columns = conv.im2col(x, kernel, *numbers)
    assert columns.dtype == dtype
    assert columns.flags.c_contiguous
    expected = [
        [
            sum(conv.correlate_plain(plane, k, *numbers) for plane, k in zip(picture, kernels, strict=True))
            for picture in x
        ]
        for kernels in weights
    ]
    pictures_last = np.moveaxis(expected, 1, -1).reshape(2, -1)
    assert np.allclose(weights.reshape(2, -1) @ columns, pictures_last, rtol=0, atol=1e-4)


@given(windows(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_col2im_is_the_transpose_of_im2col(window, batch, channels, seed):
    size, kernel, *numbers = window
    x = random(batch, channels, *size, seed=seed)
    columns = conv.im2col(x, kernel, *numbers)
    c = random(*columns.shape, seed=seed + 1)
    back = conv.col2im(c, x.shape, kernel, *numbers)
    assert back.shape == x.shape
    assert np.isclose(np.vdot(columns, c), np.vdot(x, back), rtol=0, atol=1e-9)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("dtype", FLOATS)
def test_results_go_where_they_are_asked_to(padding, dtype):
    x = random(2, 3, 6, 5, dtype=dtype)
    columns = conv.im2col(x, (3, 2), 2, padding)
    used = np.full_like(columns, np.nan)  # nothing of what was there before may be left
    assert conv.im2col(x, (3, 2), 2, padding, out=used) is used
    assert np.array_equal(used, columns)
    assert conv.col2im(columns, x.shape, (3, 2), 2, padding).dtype == dtype


def test_arguments_are_not_changed():
    x, columns = random(2, 1, 4, 4), random(9, 8)
    kept = x.copy(), columns.copy()
    conv.im2col(x, (3, 3))[:] = 0
    conv.im2col(x, (1, 1))[:] = 0
    conv.col2im(columns, x.shape, (3, 3))[:] = 0
    conv.correlate(x[0, 0], [[1]])[:] = 0
    assert np.array_equal(x, kept[0])
    assert np.array_equal(columns, kept[1])


# Sizes ------------------------------------------------------------------------------------------------------


@given(windows())
def test_output_size_counts_the_places(window):
    (size, _), (kernel, _), stride, padding, dilation = window
    places = [
        first
        for first in range(-padding, size + padding)
        if first + dilation * (kernel - 1) < size + padding and (first + padding) % stride == 0
    ]
    assert conv.output_size(size, kernel, stride, padding, dilation) == len(places)


def test_sizes_of_a_known_network():
    # 32 x 32 through three convolutions with a pooling after the first and the second.
    size, sizes = 32, []
    for kernel, stride in ((3, 1), (2, 2), (3, 1), (2, 2), (3, 1)):
        size = conv.output_size(size, kernel, stride)
        sizes.append(size)
    assert sizes == [30, 15, 13, 6, 4]
    assert conv.output_size(224, 7, stride=2, padding=3) == 112  # first layer of ResNet


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_keeps_the_size(size, kernel, stride, dilation):
    if dilation * (kernel - 1) % 2:
        with pytest.raises(ValueError, match="even"):
            conv.same_padding(kernel, dilation)
    else:
        padding = conv.same_padding(kernel, dilation)
        assert conv.output_size(size, kernel, 1, padding, dilation) == size
        assert conv.output_size(size, kernel, stride, padding, dilation) == -(-size // stride)


def test_receptive_fields_by_hand():
    assert conv.receptive_field([]) == (1, 1)
    assert conv.receptive_field([(3, 1, 1)] * 3) == (7, 1)
    assert conv.receptive_field([(3, 1, 1), (3, 1, 2), (3, 1, 4)]) == (15, 1)
    assert conv.receptive_field([(7, 2, 1), (3, 2, 1)]) == (11, 4)  # first convolution and pooling of ResNet


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)), max_size=4))
def test_the_receptive_field_is_what_changes_an_output(layers):
    size, jump = conv.receptive_field(layers)
    # With just so many samples there are two outputs. Follow back which samples they depend on.
    seen = np.eye(size + jump)
    for kernel, stride, dilation in layers:
        weights = np.ones((kernel, 1))
        seen = conv.correlate(seen, weights, stride=1, dilation=dilation)[::stride]
    assert len(seen) == 2
    for output, first in zip(seen, (0, jump), strict=True):
        assert np.flatnonzero(output)[[0, -1]].tolist() == [first, first + size - 1]


def test_parameter_counts_by_hand():
    assert conv.parameter_count(3, 32, (3, 3)) == 896
    assert conv.parameter_count(1, 1, (3, 3), bias=False) * 3 == 27
    assert conv.parameter_count(1, 1, (7, 7), bias=False) == 49
    assert conv.parameter_count(16, 32, (1, 3), groups=4) == 32 * (4 * 3 + 1)
    assert conv.parameter_count(16, 16, (5, 5), groups=16, bias=False) == 16 * 25  # depthwise


# What is refused --------------------------------------------------------------------------------------------

X = np.zeros((1, 2, 5, 5))
PICTURE = np.zeros((5, 5))


@pytest.mark.parametrize("correlate", [conv.correlate, conv.correlate_plain, conv.convolve, conv.convolve_plain])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 5, 5)), [[1]]), "picture has the shape (2, 5, 5); 2 axes"),
        ((np.zeros((0, 5)), [[1]]), "picture has the shape (0, 5); 2 axes"),
        ((PICTURE, [1, 2]), "kernel has the shape (2,); 2 axes"),
        ((PICTURE.astype(complex), [[1]]), "picture is of complex128; float32"),
        ((PICTURE, np.ones((1, 1), np.float16)), "kernel is of float16; float32"),
        ((PICTURE, np.ones((6, 1))), "spans 6 samples; 5 are allowed"),
        ((PICTURE, np.ones((1, 3)), 1, 0, 3), "spans 7 samples; 5 are allowed"),
        ((PICTURE, np.ones((10, 1)), 1, 2), "spans 10 samples; 9 are allowed"),
        ((PICTURE, [[1]], 0), "stride is 0; at least 1"),
        ((PICTURE, [[1]], 1, -1), "padding is -1; at least 0"),
        ((PICTURE, [[1]], 1, 0, 0), "dilation is 0; at least 1"),
    ],
)
def test_pictures_that_are_refused(correlate, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        correlate(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv.im2col(PICTURE, (3, 3)), "x has the shape (5, 5); 4 axes"),
        (lambda: conv.im2col(X, (0, 3)), "kernel is 0; at least 1"),
        (lambda: conv.im2col(X, (3, 6)), "spans 6 samples; 5 are allowed"),
        (lambda: conv.im2col(X, (3, 3), out=np.zeros((9, 18))), "out is float64 of shape (9, 18); contiguous"),
        (lambda: conv.im2col(X, (3, 3), out=np.zeros((18, 9), np.float32)), "out is float32 of shape (18, 9)"),
        (lambda: conv.im2col(X, (3, 3), out=np.zeros((9, 18)).T), "out is float64 of shape (18, 9); contiguous"),
        (lambda: conv.col2im(np.zeros((9, 18)), X.shape, (3, 3)), "columns have the shape (9, 18); (18, 9)"),
        (lambda: conv.col2im(np.zeros((18, 9)), X.shape, (3, 3), 0), "stride is 0; at least 1"),
        (lambda: conv.separable(PICTURE, [[1]], [1]), "column has the shape (1, 1); 1 axes"),
        (lambda: conv.separable(PICTURE, [1], 1), "row has the shape (); 1 axes"),
        (lambda: conv.edges(X), "picture has the shape (1, 2, 5, 5); 2 axes"),
        (lambda: conv.output_size(0, 1), "size is 0; at least 1"),
        (lambda: conv.same_padding(0), "kernel is 0; at least 1"),
        (lambda: conv.receptive_field([(3, 1, 1), (3, 0, 1)]), "stride is 0; at least 1"),
        (lambda: conv.parameter_count(3, 4, (1, 1), groups=2), "3 inputs and 4 outputs in 2 groups"),
        (lambda: conv.parameter_count(4, 3, (1, 1), groups=2), "4 inputs and 3 outputs in 2 groups"),
        (lambda: conv.parameter_count(4, 3, (1, 0)), "width is 0; at least 1"),
        (lambda: conv.box(0), "size is 0; at least 1"),
        (lambda: conv.gaussian(1, -1), "radius is -1; at least 0"),
        (lambda: conv.gaussian(0, 1), "sigma is 0; finite numbers above 0"),
        (lambda: conv.gaussian(float("nan"), 1), "sigma is nan; finite"),
        (lambda: conv.gaussian(float("inf"), 1), "sigma is inf; finite"),
    ],
)
def test_what_else_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
