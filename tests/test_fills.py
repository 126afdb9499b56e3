"""Tests of `transformers_np.fills`: against equations solved at once, and distances of scipy."""

import numpy as np
import pytest
from scipy import ndimage

from transformers_np.fills import bilinear_fill, laplace_fill, mean_fill, nearest_fill

METHODS = {"mean": mean_fill, "nearest": nearest_fill, "bilinear": bilinear_fill, "laplace": laplace_fill}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((height, width)), 2)
    return (128 + 400 * smooth).astype(np.float32)


def holes(height, width, share=0.7, seed=1):
    """Hide squares of 4 x 4."""
    rng = np.random.default_rng(seed)
    tokens = rng.random((-(-height // 4), -(-width // 4))) < share
    return np.repeat(np.repeat(tokens, 4, axis=0), 4, axis=1)[:height, :width]


@methods
@pytest.mark.parametrize(("height", "width"), [(1, 2), (7, 1), (16, 16), (13, 41), (60, 33)])
def test_what_is_hidden_has_no_influence_and_what_is_visible_stays(method, height, width):
    plane, hidden = picture(height, width), holes(height, width)
    hidden[0, 0], hidden[-1, -1] = False, True
    before = plane.copy()
    filled = method(plane, hidden)
    assert np.array_equal(plane, before)
    assert filled.dtype == np.float32
    assert np.array_equal(filled[~hidden], plane[~hidden])
    plane[hidden] = np.nan
    assert np.array_equal(method(plane, hidden), filled)
    assert np.isfinite(filled).all()


@methods
def test_a_flat_picture_is_found_from_one_pixel_and_nothing_goes_beyond_what_is_seen(method):
    hidden = np.ones((21, 34), bool)
    hidden[20, 3] = False
    flat = method(np.where(hidden, 0, 77).astype(np.float32), hidden)
    assert np.abs(flat - 77).max() < 0.01
    plane, hidden = picture(40, 50), holes(40, 50)
    seen = plane[~hidden]
    filled = method(plane, hidden)
    assert seen.min() - 0.01 <= filled.min() <= filled.max() <= seen.max() + 0.01


@methods
def test_planes_are_filled_each_by_itself(method):
    planes, hidden = np.stack([picture(24, 30, seed) for seed in range(3)]), holes(24, 30)
    together = method(planes, hidden)
    for plane, filled in zip(planes, together, strict=True):
        assert np.abs(method(plane, hidden) - filled).max() < 0.05


def test_laplace_is_the_solution_of_the_equations():
    height, width = 17, 23
    plane, hidden = picture(height, width), holes(height, width)
    index = np.arange(height * width).reshape(height, width)
    matrix, right = np.eye(height * width), plane.ravel().astype(float)
    for place in index[hidden]:
        row, column = divmod(place, width)
        beside = [
            index[i, j]
            for i, j in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
            if 0 <= i < height and 0 <= j < width
        ]
        matrix[place, beside], right[place] = -1 / len(beside), 0
    solved = np.linalg.solve(matrix, right).reshape(height, width)
    assert np.abs(laplace_fill(plane, hidden) - solved).max() < 0.05


def test_laplace_is_smoother_than_all_others_and_converges_across_large_holes():
    plane, hidden = picture(128, 160), np.ones((128, 160), bool)
    hidden[::40, ::40] = False
    filled = {name: method(plane, hidden) for name, method in METHODS.items()}
    rough = {name: sum(np.square(np.diff(a, axis=axis)).sum() for axis in (0, 1)) for name, a in filled.items()}
    assert min(rough, key=rough.get) == "laplace"
    p = np.pad(filled["laplace"], 1, mode="edge")
    off = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4 - filled["laplace"]
    assert np.abs(off[hidden]).max() < 0.01


def test_nearest_is_nearest():
    plane, hidden = np.arange(90 * 70, dtype=np.float32).reshape(90, 70), holes(90, 70, 0.9)
    found = nearest_fill(plane, hidden).astype(int)
    rows, columns = np.divmod(found, 70)
    distances = np.hypot(rows - np.arange(90)[:, None], columns - np.arange(70))
    shortest = ndimage.distance_transform_edt(hidden)
    assert (distances > shortest + 1e-6).mean() < 0.01
    assert (distances - shortest).max() < 2


def test_bilinear_numbers():
    # Of two halves of a row the hidden one has its mean at half resolution from the visible one, a quarter further on.
    plane = np.array([[10, 20, 0, 0, 50, 70, 0, 0]], np.float32)
    hidden = np.array([[0, 0, 1, 1, 0, 0, 1, 1]], bool)
    # Halves: 15, ?, 60, ?; quarters: 15, 60; a quarter enlarged: 15, 26.25, 48.75, 60, of which 26.25 and 60 are used.
    halves = [15, 26.25, 60, 60]
    expected = [10, 20, 0.75 * halves[1] + 0.25 * halves[0], 0.75 * halves[1] + 0.25 * halves[2], 50, 70, 60, 60]
    assert bilinear_fill(plane, hidden)[0] == pytest.approx(expected)


@methods
def test_masks_that_show_nothing_or_do_not_fit(method):
    with pytest.raises(ValueError, match="that shows 0 pixels"):
        method(picture(8, 8), np.ones((8, 8), bool))
    with pytest.raises(ValueError, match=r"planes \(8, 8\) with a mask \(8, 9\)"):
        method(picture(8, 8), holes(8, 9))
