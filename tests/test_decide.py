"""Tests of `codec.decide`: what a frame is made of is found out, and told as a decoder will have it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import motion, reconstruct
from codec.decide import decide
from codec.layout import Layout
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA
from codec.reconstruct import Prediction
from tests.clips import CLIPS, make_clip
from tests.groups import settle

PRICE = 6.0  # of a bit, in units of SAD


def texture(height, width, seed=0):
    """Return samples with much detail, which is still there at a quarter of the resolution."""
    rng = np.random.default_rng(seed)
    plane = rng.integers(0, 256, (-(-height // 3), -(-width // 3))).astype(np.uint8)
    return plane.repeat(3, axis=0).repeat(3, axis=1)[:height, :width].copy()


def decided(frame, *references, price=PRICE):
    """Decide on a frame in whole macroblocks; return the motion and the layout."""
    layout = Layout(frame.shape[0] // 16, frame.shape[1] // 16, 0)
    return decide(frame, [motion.Reference.of(plane) for plane in references], layout, price), layout


def sads(found, layout, frame, references):
    """Return the SAD that is left of each macroblock."""
    quarters = [reconstruct.interpolate((plane,)) for plane in references]
    (predicted,) = reconstruct.predict(layout, quarters, Prediction(found.direction[0], found.vectors[0]))
    apart = np.abs(predicted.astype(int) - frame).reshape(layout.rows, 16, layout.columns, 16)
    return apart.sum(axis=(1, 3)).ravel()


# What is found ----------------------------------------------------------------------------------------------


def test_what_stands_still_inherits():
    frame = texture(48, 64)
    for references, direction in (((frame,), FORWARD), ((frame, frame), BOTH)):
        found, _ = decided(frame, *references)
        assert found.inherits.all()
        assert (found.direction == direction).all()
        assert not found.vectors.any()
        assert not found.split.any()


def test_what_moves_together_is_told_once():
    large = texture(80, 96)
    found, _ = decided(large[6:54, 4:68].copy(), large[8:56, 9:73].copy())
    inside = found.vectors[0].reshape(3, 4, 4, 2, 2)[1:, 1:, :, 0]
    assert (inside == [-8, -20]).all()
    assert found.inherits[0].reshape(3, 4)[1:, 1:].all()
    assert (found.direction == FORWARD).all()


def test_from_which_side_something_comes():
    before, after = texture(48, 96, 1), texture(48, 96, 2)
    frame = before.copy()
    frame[:, 32:64] = after[:, 32:64]
    frame[:, 64:] = (before[:, 64:].astype(int) + after[:, 64:] + 1) // 2
    found, _ = decided(frame, before, after)
    assert found.direction[0].reshape(3, 6).tolist() == [[FORWARD] * 2 + [BACKWARD] * 2 + [BOTH] * 2] * 3


def test_quarters_that_move_by_themselves():
    before = texture(64, 64)
    frame = before.copy()
    frame[24:32, 24:32] = before[20:28, 27:35]
    found, _ = decided(frame, before)
    assert np.flatnonzero(found.split[0]).tolist() == [5]
    assert found.vectors[0, 5, :, 0].tolist() == [[0, 0], [0, 0], [0, 0], [-16, 12]]


def test_what_was_never_there_is_intra():
    before = texture(48, 64)
    frame = before.copy()
    frame[16:32, 16:32] = 128
    found, _ = decided(frame, before)
    assert np.flatnonzero(found.direction[0] == INTRA).tolist() == [5]


# What is promised of it -------------------------------------------------------------------------------------


@given(st.sampled_from(CLIPS), st.booleans(), st.sampled_from([0.0, 1.0, 6.0, 100.0]), st.integers(0, 99))
@settings(max_examples=30)
def test_motion_is_settled(kind, both, price, seed):
    before, frame, after = make_clip(3, 48, 64, kind, 1, seed=seed)
    found, layout = decided(frame, before, *([after] if both else []), price=price)
    again = dataclasses.replace(found, vectors=found.vectors.copy(), inherits=~found.inherits)
    settle(again, layout, np.array([both]))
    assert np.array_equal(again.vectors, found.vectors)
    assert np.array_equal(again.inherits, found.inherits)
    assert both or not (found.direction & BACKWARD).any()


@pytest.mark.parametrize("kind", ["moving", "jumps", "fade"])
def test_if_bits_cost_nothing_the_error_is_the_least(kind):
    before, frame, after = make_clip(3, 64, 80, kind, 1)
    found, layout = decided(frame, before, after, price=0.0)
    left = sads(found, layout, frame, [before, after])
    for direction, plane in ((FORWARD, before), (BACKWARD, after)):
        vectors, _ = motion.search(frame, motion.Reference.of(plane), cost_of_bit=0.0)
        one = dataclasses.replace(
            found, vectors=np.zeros_like(found.vectors), direction=found.direction * 0 + direction
        )
        one.vectors[0, :, :, direction - 1] = vectors.reshape(-1, 1, 2)
        inter = found.direction[0] != INTRA  # for intra, the mean of each block is what counts
        assert (left[inter] <= sads(one, layout, frame, [before, after])[inter]).all()


def test_dear_bits_are_saved():
    before, frame, after = make_clip(3, 64, 80, "moving", 1)
    shares = [decided(frame, before, after, price=price)[0].inherits.mean() for price in (0.0, 6.0, 1000.0)]
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[2] == 1
