"""Tests of `codec.rdoq` against a loop over candidates."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codec import dc_pyramid
from codec.contexts import ESCAPE
from codec.rdoq import choose_levels
from codec.trained import KINDS, trained

CONTEXTS, SYMBOLS = 5, ESCAPE + 1
eighths = st.integers(0, 8 * 40).map(lambda eighth: eighth / 8)  # so that costs are exact in float32


def choose_plain(magnitude, bits, weight):
    """Choose among the nearest level, the one below and 0; of equal costs the larger level."""
    nearest = int(magnitude + 0.5)
    candidates = sorted({nearest, max(nearest - 1, 0), 0}, reverse=True)
    return min(candidates, key=lambda level: (magnitude - level) ** 2 + weight * bits[min(level, ESCAPE)])


def draw_bits(seed, rising):
    """Draw costs, multiples of 1/4; larger levels cost more, or whatever comes."""
    drawn = np.random.default_rng(seed).integers(0, 8 if rising else 60, (CONTEXTS, SYMBOLS))
    return ((drawn.cumsum(axis=1) if rising else drawn) / 4).astype(np.float32)


places = st.lists(
    st.tuples(eighths, st.integers(0, CONTEXTS - 1), st.integers(0, 16).map(lambda n: n / 16)), max_size=40
)


@given(places, st.booleans(), st.integers(0, 99))
@example([], True, 0)
@example([(0.375, 0, 1.0)] * 3, True, 0)  # nothing is above a half
@example([(0.5, 0, 0.0), (1.5, 1, 0.0), (40.0, 2, 1.0)], False, 0)
def test_a_loop_over_candidates(drawn, rising, seed):
    bits = draw_bits(seed, rising)
    magnitudes, weight = (np.array([place[i] for place in drawn], np.float32) for i in (0, 2))
    contexts = np.array([place[1] for place in drawn], np.int32)
    levels = choose_levels(magnitudes, contexts, bits, weight)
    assert levels.dtype == np.float32
    assert levels.tolist() == [choose_plain(m, bits[c].tolist(), w) for m, c, w in drawn]


@given(st.lists(st.floats(0, 30_000, width=32), min_size=1, max_size=50), st.integers(0, 99))
def test_without_a_weight_it_is_the_nearest_level(magnitudes, seed):
    wanted = np.array(magnitudes, np.float32)
    contexts = np.random.default_rng(seed).integers(0, CONTEXTS, wanted.size)
    levels = choose_levels(wanted, contexts, draw_bits(seed, False), np.zeros(wanted.size, np.float32))
    assert np.array_equal(levels, np.rint(levels))
    assert (np.abs(levels - wanted) <= 0.5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_levels_by_the_tables_of_the_package(kind):
    # Every context, magnitudes of 0 to 20 in steps of 1/50, and all weights that a picture may have.
    bits = trained().planes[kind].tables.bits[dc_pyramid.CONTEXTS :].copy()
    bits[:, 1:] += 1
    magnitude = np.arange(0, 20, 0.02).astype(np.float32)
    for weight in (0, 0.02, 0.06, 0.12, 0.16):
        for context in range(len(bits)):
            levels = choose_levels(
                magnitude,
                np.full(magnitude.size, context),
                bits,
                np.full(magnitude.size, weight, np.float32),
            )
            nearest = np.floor(magnitude + np.float32(0.5))
            assert (levels <= nearest).all()  # never away from 0
            assert np.isin(nearest - levels, [0, 1]).all(where=levels > 0)
            assert (np.diff(levels) >= 0).all()  # a larger coefficient has no smaller level


@given(places.filter(bool), st.integers(0, 99))
def test_a_larger_weight_makes_no_level_larger(drawn, seed):
    bits = draw_bits(seed, rising=True)
    magnitudes = np.array([place[0] for place in drawn], np.float32)
    contexts = np.array([place[1] for place in drawn], np.int32)
    before = magnitudes + 1
    for weight in (0, 0.125, 0.25, 1, 4, 1000):
        levels = choose_levels(magnitudes, contexts, bits, np.full(magnitudes.size, weight, np.float32))
        assert (levels <= before).all()
        assert (levels >= 0).all()
        before = levels


def test_what_is_not_worth_its_bits_is_0():
    bits = np.array([[0, *[10] * ESCAPE]], np.float32)
    magnitudes = np.array([0.6, 1, 2, 3, 3.4], np.float32)
    zeros = np.zeros(5, int)
    # Against 10 bits at 0.8 stand 8 squared steps.
    assert choose_levels(magnitudes, zeros, bits, np.full(5, 0.8, np.float32)).tolist() == [0, 0, 0, 3, 3]
    assert not choose_levels(magnitudes, zeros, bits, np.full(5, 100, np.float32)).any()


def test_what_is_beyond_the_symbols_costs_what_the_last_one_does():
    bits = np.zeros((1, SYMBOLS), np.float32)
    bits[0, ESCAPE] = 3
    levels = choose_levels(np.array([16.75, 17.5, 1000.25]), np.zeros(3, int), bits, np.full(3, 0.25, np.float32))
    assert levels.tolist() == [16, 18, 1000]
