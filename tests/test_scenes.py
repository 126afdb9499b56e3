"""Tests of `codec.scenes`: cuts are found, and what only moves, flickers or gets darker slowly is none."""

import numpy as np
import pytest

from codec.scenes import is_cut
from tests.clips import make_clip
from tests.pictures import make_picture


def cuts(frames):
    """Return before which frames a scene begins."""
    return [number for number in range(1, len(frames)) if is_cut(frames[number - 1], frames[number])]


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_is_found_and_nothing_else(seed):
    frames = list(make_clip(12, 96, 128, "cut", 1, seed=seed))
    assert cuts(frames) == [6]


@pytest.mark.parametrize("kind", ["still", "moving"])
def test_motion_is_no_cut(kind):
    assert cuts(list(make_clip(8, 96, 128, kind, 1))) == []


def test_every_frame_of_noise_is_a_cut():
    # Coarse noise, of which something is left at a quarter of the size.
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (12, 16)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1) for _ in range(4)]
    assert cuts(frames) == [1, 2, 3]


def test_motion_as_far_as_it_is_looked_for():
    large = make_picture(128, 400, 1).astype(int) * 2 % 256  # steep edges: hard to predict from the wrong place
    shown = {shift: large[:, shift : shift + 256].astype(np.uint8) for shift in (0, 8, 28, 60)}
    assert not is_cut(shown[0], shown[8])
    assert not is_cut(shown[0], shown[28])  # a fast pan
    assert is_cut(shown[0], shown[60])


def test_things_that_move_in_different_ways_are_no_cut():
    large = make_picture(128, 400, 1).astype(int) * 2 % 256
    before, after = np.zeros((2, 128, 256), np.uint8)
    for stripe in range(8):
        rows = slice(16 * stripe, 16 * stripe + 16)
        shift = 8 if stripe % 2 else -8
        before[rows], after[rows] = large[rows, 50:306], large[rows, 50 + shift : 306 + shift]
    assert not is_cut(before, after)


def test_a_slight_flicker_is_no_cut_however_flat_the_picture():
    flat = np.full((64, 80), 100, np.uint8)
    assert not is_cut(flat, flat + np.uint8(1))
    assert not is_cut(flat, flat - np.uint8(2))
    assert is_cut(flat, flat + np.uint8(60))  # nothing to be gained from the frame before


def test_both_directions_of_time_and_extremes():
    black, white = np.zeros((40, 40), np.uint8), np.full((40, 40), 255, np.uint8)
    assert is_cut(black, white)
    assert is_cut(white, black)
    assert not is_cut(white, white)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (17, 33)])
def test_any_size(shape):
    one = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert not is_cut(one, one)
    assert is_cut(np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8))
