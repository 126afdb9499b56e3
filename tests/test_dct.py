"""Tests of `codec.dct` against SciPy, and of its exactness against arithmetic on 64-bit integers."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import fft

from codec import blocks, dct
from codec.scan import ZIGZAG
from tests.pictures import make_picture

FINEST = np.full(64, 16)  # quantiser steps in 1/16
COARSEST = np.full(64, 65_535)


def random_samples(*shape, seed=0):
    """Return float64 samples in [-128, 127]."""
    return np.random.default_rng(seed).uniform(-128, 127, shape)


# The transform in floats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 8, 16])
def test_one_dimension(n):
    signals = random_samples(3, n)
    expected = fft.dct(signals, norm="ortho")
    assert np.allclose(dct.dct(signals), expected, rtol=0, atol=1e-10)
    assert np.allclose([dct.dct_plain(list(signal)) for signal in signals], expected, rtol=0, atol=1e-10)
    assert np.allclose(dct.idct(expected), signals, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(8, 8), (3, 16, 16), (2, 3, 4, 6), (1, 5)])
def test_two_dimensions(shape):
    pictures = random_samples(*shape)
    expected = fft.dctn(pictures, axes=(-2, -1), norm="ortho")
    assert np.allclose(dct.dct2(pictures), expected, rtol=0, atol=1e-10)
    assert np.allclose(dct.idct2(expected), pictures, rtol=0, atol=1e-10)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_there_and_back_keeps_energy(height, width, seed):
    picture = random_samples(height, width, seed=seed)
    coefficients = dct.dct2(picture)
    assert np.allclose(dct.idct2(coefficients), picture, rtol=0, atol=1e-10)
    assert math.isclose(np.sum(coefficients**2), np.sum(picture**2), rel_tol=1e-12)


def test_a_flat_block_has_nothing_but_its_mean():
    coefficients = dct.dct2(np.full((8, 8), 3.0))
    assert math.isclose(coefficients[0, 0], 24)
    assert np.abs(coefficients.ravel()[1:]).max() < 1e-12


# Energy -----------------------------------------------------------------------------------------------------


def test_keep_top_keeps_the_largest_of_each_block():
    coefficients = np.array([[[1.0, -5], [2, 3]], [[0, 9], [-8, 7]]])
    assert dct.keep_top(coefficients, 2).tolist() == [[[0, -5], [0, 3]], [[0, 9], [-8, 0]]]
    assert np.array_equal(dct.keep_top(coefficients, 4), coefficients)
    assert not dct.keep_top(coefficients, 0).any()
    assert coefficients[0, 0, 0] == 1  # not changed


def test_the_error_of_keep_top_is_the_energy_left_out():
    cut = blocks.split(make_picture(64, 64, 1) - 128.0, 8)
    coefficients = dct.dct2(cut)
    held = dct.energy_compaction(coefficients)
    for k in (1, 5, 20, 64):
        error = np.sum((dct.idct2(dct.keep_top(coefficients, k)) - cut) ** 2)
        assert math.isclose(error / np.sum(cut**2), 1 - held[k - 1], rel_tol=1e-6, abs_tol=1e-12)


def test_energy_compaction_by_hand():
    two_blocks = np.array([[[3.0, -1], [0, 0]], [[0, 1], [1, 2]]])  # energies 9 1 0 0 and 4 1 1 0
    assert np.allclose(dct.energy_compaction(two_blocks), [13 / 16, 15 / 16, 1, 1], rtol=0, atol=1e-15)
    assert dct.energy_compaction(np.array([[[3j, 4], [0, 0]]])).tolist() == [16 / 25, 1, 1, 1]
    assert dct.energy_compaction(np.zeros((2, 2, 2))).tolist() == [1, 1, 1, 1]


def test_the_dct_beats_the_fft_on_a_ramp():
    # One period of a ramp ends with a jump; its mirror image does not.
    ramp = np.add.outer(np.arange(8.0), np.arange(8.0))
    cosine, fourier = dct.compare_with_fft(ramp[None])
    assert np.allclose(cosine, dct.energy_compaction(fft.dctn(ramp, norm="ortho")), rtol=0, atol=1e-12)
    assert np.allclose(fourier, dct.energy_compaction(np.fft.fft2(ramp, norm="ortho")), rtol=0, atol=1e-12)
    assert cosine[2] > 0.99
    assert fourier[2] < 0.9


# Matrices of whole numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [8, 16])
def test_no_cosine_is_near_a_rounding_border(n):
    # 1/100 of a unit of 2**-20 is a hundred million times the error of a cosine in double precision: no library rounds
    # one of these to another whole number.
    fraction = np.abs(dct.basis(n) * 2**20) % 1
    assert np.abs(fraction - 0.5).min() > 0.01


@pytest.mark.parametrize("size", [8, 16])
def test_forward_matrix_is_scipys_transform(size):
    unit_pictures = np.eye(size * size).reshape(-1, size, size)
    lowest = fft.dctn(unit_pictures, axes=(1, 2), norm="ortho")[:, :8, :8] * (8 / size)
    order = blocks.split(np.arange(size * size).reshape(size, size), 8, size // 8).ravel()
    expected = lowest.reshape(-1, 64)[order][:, ZIGZAG]
    matrix = dct.forward_matrix(size)
    assert matrix.shape == (size * size, 64)
    assert matrix.dtype == np.float32
    # Rounded to 2**-13, from cosines that were rounded to 2**-20.
    assert np.abs(matrix - expected).max() <= 2**-14 + 2**-20
    assert np.array_equal(matrix * 2.0**13, np.rint(matrix * 2.0**13))


@pytest.mark.parametrize("size", [8, 16])
def test_forward_product_is_exact(size):
    # Random pixels, and those that make each sum as large as it can be.
    matrix = dct.forward_matrix(size)
    whole = (matrix * 2.0**13).astype(np.int64)
    random = np.random.default_rng(0).integers(-128, 129, (200, size * size))
    largest = 128 * np.sign(whole.T)
    assert np.abs(largest @ whole).max() <= 2**24
    for pixels in (random, largest):
        assert np.array_equal(pixels.astype(np.float32) @ matrix * 2.0**13, pixels @ whole)


def test_a_flat_picture_has_the_same_coefficients_at_both_sizes():
    for size in (8, 16):
        assert np.allclose(np.full(size * size, 50) @ dct.forward_matrix(size), [400] + [0] * 63, rtol=0, atol=0.1)


# The exact inverse ------------------------------------------------------------------------------------------


def inverse_in_integers(inverse, levels):
    """Compute what `Inverse` documents: the exact product, rounded once to float32."""
    whole = np.rint(inverse.matrices.astype(np.float64) * 2**11).astype(np.int64)
    rows, columns, _ = levels.shape
    samples = np.einsum("rcl,ilj->ricj", levels.astype(np.int64), whole)
    return (samples / 2.0**11).astype(np.float32).reshape(8 * rows, 8 * columns)


@given(st.sampled_from([16, 17, 40, 255, 4080, 65_535]), st.integers(0, 15), st.integers(1, 64), st.integers(0, 99))
@example(16, 10, 64, 0)
@example(65_535, 15, 64, 0)
def test_inverse_is_exact_within_and_beyond_float32(step, bits, coded, seed):
    rng = np.random.default_rng(seed)
    levels = np.zeros((2, 3, 64), np.float32)
    levels[..., :coded] = rng.integers(-(2**bits), 2**bits + 1, (2, 3, coded))
    inverse = dct.Inverse(np.full(64, step))
    samples = inverse(levels)
    assert samples.dtype == np.float32
    assert np.array_equal(samples, inverse_in_integers(inverse, levels))


@given(st.sampled_from([16, 17, 255, 4080, 65_535]), st.integers(0, 15), st.integers(0, 5), st.integers(0, 99))
@example(16, 10, 300, 0)  # more than one small product
@example(65_535, 15, 3, 0)  # far beyond float32
def test_single_blocks_have_the_samples_of_a_plane(step, bits, number, seed):
    levels = np.random.default_rng(seed).integers(-(2**bits), 2**bits + 1, (number, 64)).astype(np.float32)
    inverse = dct.Inverse(np.full(64, step))
    found = inverse.blocks(levels)
    assert (found.shape, found.dtype) == ((number, 64), np.float32)
    plane = inverse_in_integers(inverse, levels[None])  # all blocks in one row
    assert np.array_equal(found, plane.reshape(8, number, 8).swapaxes(0, 1).reshape(number, 64))


@pytest.mark.parametrize("times", [0.5, 0.98, 1.02, 1.5, 2, 4, 16])
def test_inverse_is_exact_where_partial_sums_pass_the_bound_of_float32(times):
    # 32 products add up to so many times 2**24 units of 2**-11, and the next 32 take them away again: what float32 lost
    # on the way shows in the small number that is left.
    inverse = dct.Inverse(FINEST)
    row = inverse.matrices[0, :, 0]
    up_and_down = np.where(np.arange(64) < 32, row, -row)
    levels = np.sign(up_and_down) * np.floor(times * 2**13 / np.abs(row[:32]).sum())
    levels = (levels + np.random.default_rng(0).integers(-9, 10, (20, 1, 64))).astype(np.float32)
    assert np.array_equal(inverse(levels), inverse_in_integers(inverse, levels))


@pytest.mark.parametrize(
    "steps", [FINEST, np.arange(16, 16 + 64 * 7, 7), COARSEST], ids=["finest", "mixed", "coarsest"]
)
def test_inverse_is_scipys_transform_of_dequantised_levels(steps):
    levels = np.random.default_rng(0).integers(-20, 21, (4, 5, 64))
    coefficients = np.zeros((4, 5, 64))
    coefficients[..., ZIGZAG] = levels * steps / 16
    pictures = fft.idctn(coefficients.reshape(4, 5, 8, 8), axes=(2, 3), norm="ortho")
    expected = pictures.swapaxes(1, 2).reshape(32, 40)
    # An entry of the matrix is rounded to 2**-11; its two cosines, 1/2 at most, to 2**-20.
    entry = 2.0**-12 + steps / 16 * 2.0**-21
    bound = (np.abs(levels) @ entry).max()
    samples = dct.Inverse(steps)(levels.astype(np.float32))
    assert np.abs(samples - expected).max() <= bound + np.spacing(np.abs(expected).max(), dtype=np.float32)


def test_inverse_undoes_forward():
    pixels = make_picture(40, 64, 1).astype(np.float32) - 128
    coefficients = blocks.split(pixels, 8).reshape(-1, 64) @ dct.forward_matrix(8)
    levels = np.rint(coefficients).reshape(5, 8, 64)
    # Rounding moves each of 64 coefficients by 1/2 at most: a block by 4 at most (the transform is a rotation).
    assert np.abs(dct.Inverse(FINEST)(levels) - pixels).max() < 4
    assert np.sqrt(np.mean((dct.Inverse(FINEST)(levels) - pixels) ** 2)) < 0.5


def test_no_blocks():
    assert dct.Inverse(FINEST)(np.zeros((0, 5, 64), np.float32)).shape == (0, 40)
