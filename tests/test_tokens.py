"""Tests of `transformers_np.tokens`: against convolutions, and the published formulas as plain loops."""

import math
import re

import numpy as np
import pytest

from transformers_np import ops
from transformers_np.tokens import (
    detr_positions,
    mae_positions,
    merge_patches,
    patches,
    simple_vit_positions,
    sliding_patches,
)


def random(*shape, dtype=np.float64, seed=0):
    """Return normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# Patches ----------------------------------------------------------------------------------------------------


def test_patches_by_hand():
    images = np.arange(2 * 2 * 2 * 4.0).reshape(2, 2, 2, 4)
    assert patches(images, 2).tolist() == [
        [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]],
        [[16, 17, 20, 21, 24, 25, 28, 29], [18, 19, 22, 23, 26, 27, 30, 31]],
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("size", "height", "width"), [(1, 2, 3), (2, 4, 6), (3, 9, 3), (4, 4, 8), (5, 5, 5)])
def test_projected_patches_are_a_convolution_without_overlap(size, height, width, dtype):
    images, w, b = random(2, 3, height, width, dtype=dtype), random(4, 3, size, size, dtype=dtype, seed=1), random(4)
    cut = patches(images, size)
    assert cut.dtype == dtype
    assert cut.flags.c_contiguous
    found, _ = ops.linear(cut, w.reshape(4, -1), b.astype(dtype))  # (B, N, 4)
    expected, _ = ops.conv2d(images, w, b.astype(dtype), stride=size)  # (B, 4, H / size, W / size)
    error = 1e-12 if dtype == np.float64 else 1e-5
    assert np.allclose(found, expected.reshape(2, 4, -1).swapaxes(1, 2), rtol=0, atol=error)
    assert np.array_equal(merge_patches(cut, size, height, width), images)
    assert np.array_equal(sliding_patches(images, size, size), cut)
    assert np.array_equal(patches(images.swapaxes(2, 3).copy().swapaxes(2, 3), size), cut)  # whatever lies where


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (2, 3)])
def test_patches_that_overlap(size, stride):
    images = random(2, 3, 7, 6)
    cut = sliding_patches(images, size, stride)
    places = [(r, c) for r in range(0, 7 - size + 1, stride) for c in range(0, 6 - size + 1, stride)]
    assert cut.shape == (2, len(places), 3 * size * size)
    for number, (row, column) in enumerate(places):
        window = images[:, :, row : row + size, column : column + size]
        assert np.array_equal(cut[:, number], window.reshape(2, -1))


# Positions --------------------------------------------------------------------------------------------------


def waves(place, width, divisor):
    """Return sines, then cosines, of a place in one direction: the lengths are 10000 ** (i / divisor)."""
    angles = [place / 10_000 ** (i / divisor) for i in range(width)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


def test_positions_of_mae():
    expected = [waves(column, 3, 3) + waves(row, 3, 3) for row in range(5) for column in range(4)]
    found = mae_positions(5, 4, 12)
    assert found.dtype == np.float64
    assert np.allclose(found, [[0] * 12, *expected], rtol=0, atol=1e-14)
    assert np.array_equal(mae_positions(5, 4, 12, cls=False), found[1:])


def test_positions_of_simple_vit():
    expected = [waves(column, 3, 2) + waves(row, 3, 2) for row in range(5) for column in range(4)]
    found = simple_vit_positions(5, 4, 12)
    assert found.dtype == np.float64
    assert np.allclose(found, expected, rtol=0, atol=1e-14)
    assert np.isclose(found[5, 2], math.sin(1 / 10_000))  # column 1: the longest wave
    assert simple_vit_positions(1, 2, 8).shape == (2, 8)


def test_positions_of_detr():
    # Four rows and five columns; in the second picture the last row and the last two columns are padding.
    mask = np.zeros((2, 4, 5), bool)
    mask[1, 3], mask[1, :, 3:] = True, True
    found = detr_positions(mask, 12)
    assert found.shape == (2, 12, 4, 5)
    assert found.dtype == np.float64
    for picture, (rows, columns) in enumerate([(4, 5), (3, 3)]):
        for row in range(rows):
            for column in range(columns):
                vector = []
                for place, count in ((row + 1, rows), (column + 1, columns)):
                    angle = place / (count + 1e-6) * 2 * math.pi
                    for i in range(6):
                        wave = math.cos if i % 2 else math.sin
                        vector.append(wave(angle / 10_000 ** (2 * (i // 2) / 6)))
                assert np.allclose(found[picture, :, row, column], vector, rtol=0, atol=1e-14)
    assert np.isfinite(detr_positions(np.ones((1, 2, 2), bool), 4)).all()  # nothing but padding


def test_places_that_are_near_are_alike():
    positions = mae_positions(1, 30, 32, cls=False)
    products = positions @ positions[0]
    assert np.allclose((positions**2).sum(axis=1), 16)  # all are of the same length
    assert products[0] > products[1] > products[2] > products[3]


# What is refused --------------------------------------------------------------------------------------------

IMAGES = np.zeros((2, 3, 4, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: patches(IMAGES, 4), "patches of 4 x 4 do not tile pictures (2, 3, 4, 6)"),
        (lambda: patches(IMAGES, 3), "patches of 3 x 3 do not tile pictures (2, 3, 4, 6)"),
        (lambda: patches(IMAGES, 0), "patches of 0 x 0 do not tile"),
        (lambda: patches(IMAGES[0], 2), "patches of 2 x 2 do not tile pictures (3, 4, 6)"),
        (lambda: merge_patches(np.zeros((2, 6, 12)), 2, 4, 4), "tokens (2, 6, 12) are no patches of 2 x 2 of pictures"),
        (lambda: merge_patches(np.zeros((2, 6, 11)), 2, 4, 6), "tokens (2, 6, 11) are no patches"),
        (lambda: merge_patches(np.zeros((6, 12)), 2, 4, 6), "tokens (6, 12) are no patches"),
        (lambda: merge_patches(np.zeros((2, 3, 12)), 2, 4, 3), "pictures of 4 x 3"),
        (lambda: merge_patches(np.zeros((2, 6, 12)), 0, 4, 6), "no patches of 0 x 0"),
        (lambda: sliding_patches(IMAGES, 5, 1), "spans 5 samples; 4 are allowed"),
        (lambda: sliding_patches(IMAGES, 2, 0), "stride is 0; at least 1"),
        (lambda: sliding_patches(IMAGES[0], 2, 1), "pictures (3, 4, 6); 4 axes"),
        (lambda: mae_positions(2, 2, 6), "positions of width 6; multiples of 4"),
        (lambda: mae_positions(2, 2, 0), "positions of width 0; multiples of 4 from 4"),
        (lambda: simple_vit_positions(2, 2, 4), "positions of width 4; multiples of 4 from 8"),
        (lambda: detr_positions(np.zeros((1, 2, 2), bool), 10), "positions of width 10"),
        (lambda: detr_positions(np.zeros((2, 2), bool), 8), "mask of bool (2, 2); 3 axes of bool"),
        (lambda: detr_positions(np.zeros((1, 2, 2), int), 8), "mask of int64 (1, 2, 2); 3 axes of bool"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
