"""Tests of `codec.rate_control`: shares add up, sizes are met, and bytes are those of the quality that is told."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codec import CodecError, rate_control
from codec.layout import Layout
from codec.rate_control import TOLERANCE, TRIALS, Share, allot, encode_group_to_size


class Group:
    """A group whose size follows from its quality by a law; its bytes tell the quality."""

    def __init__(self, largest, slope, *, noise=0.0, grain=1):
        self._law = largest, slope, noise, grain
        self.seen, self.trials = {}, []

    def size(self, quality):
        """Return the bytes that it takes: falling with the scale of the steps, but for noise and a grain."""
        largest, slope, noise, grain = self._law
        steps = 5000 / max(quality, 1) if quality < 50 else max(200 - 2 * quality, 2)
        factor = 1 + noise * np.random.default_rng(round(100 * quality)).uniform(-1, 1)
        return max(2, int(factor * largest * (steps / 100) ** -slope // grain * grain))

    def encode(self, frames, layout, pyramid, quality, seen=None, without=()):
        """Stand in for `encode_group`."""
        self.trials.append(quality)
        if seen is not None:
            seen["quality"] = quality
        return round(100 * quality).to_bytes(2) + bytes(self.size(quality) - 2)

    def meet(self, target, first=60.0):
        """Encode to a size; check that bytes, quality and what was seen belong together."""
        share = Share(target, self.size(first))
        with mock.patch("codec.rate_control.encode_group", self.encode):
            data, quality = encode_group_to_size([None] * 5, Layout(1, 1, 0), 8, share, first, self.seen)
        assert int.from_bytes(data[:2]) == round(100 * quality)
        assert round(100 * quality) == 100 * quality or abs(100 * quality - round(100 * quality)) < 1e-6
        assert self.seen["quality"] == quality
        return len(data), quality


# Shares -----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(0, 10**7))
@example([1, 10**6], 2)
def test_shares_are_in_proportion(sizes, budget):
    if budget < len(sizes):
        with pytest.raises(CodecError, match="too low"):
            allot(sizes, budget)
        return
    shares = allot(sizes, budget)
    assert [share.size for share in shares] == sizes
    for share in shares:
        fair = share.size * budget / sum(sizes)
        assert fair - 1 < share.target <= max(1, fair)


# Sizes ------------------------------------------------------------------------------------------------------


@given(st.floats(1000, 30_000), st.floats(0.7, 1.3), st.floats(30, 90), st.floats(10, 95))
def test_a_size_that_can_be_is_met(largest, slope, first, wanted):
    group = Group(largest, slope)
    target = group.size(wanted)
    size, _ = group.meet(target, first)
    assert abs(size - target) <= max(TOLERANCE * target, 2)
    assert len(group.trials) <= TRIALS + 1  # and once more for what is seen


@given(st.integers(0, 10_000))
@example(608)
def test_bytes_and_quality_belong_together_whatever_the_sizes(seed):
    rng = np.random.default_rng(seed)
    law = {"noise": rng.choice([0.0, 0.02, 0.2]), "grain": int(rng.choice([1, 5, 50]))}
    group = Group(rng.uniform(30, 3000), rng.uniform(0.3, 1.5), **law)
    target = max(2, int(group.size(rng.uniform(1, 99)) * rng.uniform(0.5, 2)))
    try:
        size, quality = group.meet(target, rng.uniform(1, 99))
    except CodecError:
        assert group.size(1) > 1.1 * target
        return
    assert size == group.size(quality)
    assert abs(size - target) == min(abs(group.size(trial) - target) for trial in group.trials)


def test_the_best_quality_may_be_small_enough():
    group = Group(1000, 0.9)
    size, quality = group.meet(10**7)
    assert quality == 99
    assert size == group.size(99)


def test_the_lowest_quality_may_be_too_large():
    group = Group(1000, 0.5)
    with pytest.raises(CodecError, match=f"5 frames take {group.size(1)} bytes at the lowest quality"):
        group.meet(70)
    assert group.meet(group.size(1))[0] <= 1.02 * group.size(1)


def test_a_size_that_no_quality_gives():
    # Sizes come in steps of 50: the nearest is taken.
    size, _ = Group(1000, 0.9, grain=50).meet(1024)
    assert size in (1000, 1050)


def test_scales_are_those_of_quantisation():
    for quality in (1, 10, 49.99, 50, 60, 75.5, 98, 99):
        assert abs(rate_control._quality(rate_control._scale(quality)) - quality) < 1e-9
    assert [rate_control._scale(quality) for quality in (1, 25, 50, 75, 99)] == [5000, 200, 100, 50, 2]
