"""Tests of `codec.interpolation` against the formulas of H.264, sample by sample, and against a wider border."""

import numpy as np
import pytest

from codec import interpolation
from codec.interpolation import BORDER

SHAPES = [(1, 1), (1, 6), (5, 1), (4, 5)]


def random_plane(height, width, seed=0):
    """Return a plane of extremes and of values between them, which brings every filter out of [0, 255]."""
    rng = np.random.default_rng(seed)
    return rng.choice([0, 255, 255, 0, 100, 37], (height, width)).astype(np.uint8)


def at(planes, y, x):
    """Return the sample of planes at a quarter position of the picture."""
    return planes[4 * (y & 3) + (x & 3), (y >> 2) + BORDER, (x >> 2) + BORDER]


# The planes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_and_fast_agree_in_and_around_the_picture(shape):
    plane = random_plane(*shape)
    planes = interpolation.quarter_planes(plane)
    height, width = shape
    for y in range(-16, 4 * height + 16):
        for x in range(-16, 4 * width + 16):
            assert at(planes, y, x) == interpolation.quarter_sample_plain(plane, y, x), (y, x)


@pytest.mark.parametrize("shape", SHAPES)
def test_further_out_nothing_changes(shape):
    planes = interpolation.quarter_planes(random_plane(*shape))
    near = BORDER - 4  # the filter no longer reaches the picture
    for axis in (1, 2):
        lines = np.moveaxis(planes, axis, 0)
        assert (lines[:near] == lines[near]).all()
        assert (lines[-near:] == lines[-near - 1]).all()


def test_planes_are_what_the_standard_says():
    plane = random_plane(9, 11)
    whole = np.pad(plane, 8, mode="edge").astype(int)

    def six_taps(samples):
        """Filter along the last axis; the result begins at the half sample after the third one."""
        a, b, c, d, e, f = (samples[..., i : samples.shape[-1] - 5 + i] for i in range(6))
        return np.clip((a - 5 * b + 20 * c + 20 * d - 5 * e + f + 16) >> 5, 0, 255)

    # Letters of figure 8-4 of the standard; G, H, M there are here, right, below. All are cut to the picture.
    rows, columns = slice(8, 18), slice(8, 20)  # one row and one column more, for what is derived from neighbours
    half_right = six_taps(whole)[:, 6:18]
    here, b = whole[rows, columns], half_right[rows]
    h, j = six_taps(whole.T).T[6:16, columns], six_taps(half_right.T).T[6:16]
    right, below, m, s = here[:-1, 1:], here[1:, :-1], h[:-1, 1:], b[1:, :-1]
    here, b, h, j = (letter[:-1, :-1] for letter in (here, b, h, j))

    def mean(one, other):
        return (one + other + 1) >> 1

    expected = [
        [here, mean(here, b), b, mean(b, right)],
        [mean(here, h), mean(b, h), mean(b, j), mean(b, m)],
        [h, mean(h, j), j, mean(j, m)],
        [mean(h, below), mean(h, s), mean(j, s), mean(s, m)],
    ]
    planes = interpolation.quarter_planes(plane)[:, BORDER : BORDER + 9, BORDER : BORDER + 11]
    assert np.array_equal(planes.reshape(4, 4, 9, 11), expected)


def test_half_samples_of_a_single_bright_one_are_the_taps():
    plane = np.zeros((9, 9), np.uint8)
    plane[4, 4] = 128
    planes = interpolation.quarter_planes(plane)[:, BORDER : BORDER + 9, BORDER : BORDER + 9]
    taps = [0, 4, 0, 80, 80, 0, 4, 0, 0]  # 128 * (1, -5, 20, 20, -5, 1) / 32; what is below 0 is 0
    assert planes[2, 4].tolist() == taps
    assert planes[8, :, 4].tolist() == taps


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_flat_picture_stays_flat(value):
    planes = interpolation.quarter_planes(np.full((3, 5), value, np.uint8))
    assert (planes == value).all()


def test_planes_are_one_contiguous_array_of_bytes():
    planes = interpolation.quarter_planes(random_plane(3, 200)[:, ::2])  # of a view, too
    assert planes.shape == (16, 3 + 2 * BORDER, 100 + 2 * BORDER)
    assert planes.dtype == np.uint8
    assert planes.flags.c_contiguous


# Blocks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 8, 16, BORDER - 4])
def test_blocks_are_cut_from_a_picture_that_never_ends(size):
    plane = random_plane(24, 40)
    wide = 128  # samples of edge: more than any of the vectors below needs
    vectors = np.random.default_rng(1).integers(-400, 400, (300, 2)).astype(np.int16)
    top, left = np.random.default_rng(2).integers(0, (24, 40), (300, 2)).T
    found = interpolation.fetch(interpolation.quarter_planes(plane), vectors, top, left, size)
    planes = interpolation.quarter_planes(np.pad(plane, wide, mode="edge"))
    for block, (down, right), y, x in zip(found, vectors.tolist(), top + wide, left + wide, strict=True):
        row, column = (4 * y + down >> 2) + BORDER, (4 * x + right >> 2) + BORDER
        assert np.array_equal(block, planes[4 * (down & 3) + (right & 3), row : row + size, column : column + size])


@pytest.mark.parametrize("down", [-32768, 32767])
@pytest.mark.parametrize("right", [-32768, 32767])
def test_the_longest_vectors_lead_to_the_corners(down, right):
    plane = random_plane(20, 33)
    vectors = np.array([[down, right]], np.int16)
    found = interpolation.fetch(interpolation.quarter_planes(plane), vectors, np.array([16]), np.array([32]), 16)
    assert (found == plane[-1 if down > 0 else 0, -1 if right > 0 else 0]).all()


def test_no_blocks():
    nowhere = np.zeros(0, int)
    found = interpolation.fetch(
        interpolation.quarter_planes(random_plane(4, 4)), np.zeros((0, 2), np.int16), nowhere, nowhere, 8
    )
    assert found.shape == (0, 8, 8)
