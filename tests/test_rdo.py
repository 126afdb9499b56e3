"""Tests of `codec.rdo`: levels are worth their bits, by the measure that it says it goes by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.rdo import BLOCK_BITS, LARGER_BITS, LEVEL_BITS, PLACE_BITS, SIZE_BITS, optimise_levels


def blocks_of(seed, number=40):
    """Return coefficients as a transform gives them: large ones first, most near 0, some blocks with hardly any."""
    rng = np.random.default_rng(seed)
    falling = rng.choice([0.3, 1.0, 4.0, 30.0], (number, 1)) * 0.95 ** np.arange(64)
    return rng.laplace(0, falling).astype(np.float32)


def cost(coefficients, levels, price, intra):
    """Return error and bits of a block, as they are estimated."""
    first = int(intra)
    sizes = np.abs(levels[first:]).astype(int)
    bits = BLOCK_BITS * bool(sizes.any())
    for place, size in enumerate(sizes.tolist(), start=first):
        if size:
            bits += LEVEL_BITS + PLACE_BITS * place
            bits += SIZE_BITS * (size > 1) + LARGER_BITS * max(0, size - 2)
    return float(np.sum((coefficients[first:] - levels[first:]) ** 2.0)) + price * bits


@given(st.integers(0, 999), st.sampled_from([0.02, 0.1, 0.2, 0.5]), st.booleans())
def test_each_level_is_the_nearest_or_one_less(seed, price, intra):
    coefficients = blocks_of(seed)
    levels = optimise_levels(coefficients.copy(), price, intra)
    assert (levels.dtype, levels.shape) == (np.float32, coefficients.shape)
    nearest = np.rint(coefficients)
    dropped = ~levels[:, int(intra) :].any(axis=1)
    less = np.abs(nearest) - np.abs(levels)
    assert np.isin(less[~dropped], [0, 1]).all()
    assert (levels * coefficients >= 0).all()
    if intra:
        assert np.array_equal(levels[:, 0], nearest[:, 0])


@given(st.integers(0, 999), st.sampled_from([0.02, 0.1, 0.2, 0.5]), st.booleans())
def test_of_the_nearest_level_and_one_less_the_cheaper_is_taken(seed, price, intra):
    # In a block that keeps some; what has no levels at all is another question.
    for block in blocks_of(seed, 6):
        (levels,) = optimise_levels(block[None].copy(), price, intra)
        if np.count_nonzero(levels[int(intra) :]) < 2:
            continue
        chosen = cost(block, levels, price, intra)
        for place in range(int(intra), 64):
            nearest, other = np.rint(block[place]), levels.copy()
            other[place] = nearest if levels[place] != nearest else nearest - np.sign(nearest)
            assert chosen <= cost(block, other, price, intra) + 1e-3, place


@given(st.integers(0, 999), st.sampled_from([0.1, 0.2, 0.5]), st.booleans())
def test_a_block_that_is_left_empty_is_cheaper_so(seed, price, intra):
    for block in blocks_of(seed, 10):
        (levels,) = optimise_levels(block[None].copy(), price, intra)
        first = int(intra)
        if levels[first:].any():
            continue
        nearest = np.rint(block)
        nearest[:first] = levels[:first]
        assert cost(block, levels, price, intra) <= cost(block, nearest, price, intra) + 1e-3


@pytest.mark.parametrize("intra", [False, True])
def test_bits_for_nothing_are_all_spent(intra):
    coefficients = blocks_of(1)
    assert np.array_equal(optimise_levels(coefficients.copy(), 0, intra), np.rint(coefficients))


@pytest.mark.parametrize("intra", [False, True])
def test_dearer_bits_are_saved(intra):
    coefficients = blocks_of(2, 300)
    numbers = [
        np.count_nonzero(optimise_levels(coefficients.copy(), price, intra)) for price in (0, 0.05, 0.1, 0.2, 0.5)
    ]
    assert numbers == sorted(set(numbers), reverse=True)


def test_a_lone_small_level_is_left_out_and_a_large_one_is_not():
    coefficients = np.zeros((3, 64), np.float32)
    coefficients[:, 5] = [0.7, 3.2, -3.2]
    assert optimise_levels(coefficients, 0.2, False)[:, 5].tolist() == [0, 3, -3]
    coefficients[:, 0] = [0.7, -0.7, 0.3]
    assert optimise_levels(coefficients, 0.2, True)[:, 0].tolist() == [1, -1, 0]  # DC of an I frame is just rounded


def test_later_places_are_dearer():
    coefficients = np.zeros((64, 64), np.float32)
    coefficients[np.arange(64), np.arange(64)] = 0.9
    coefficients[:, 0] += 6  # the block has levels anyway
    kept = optimise_levels(coefficients, 0.18, False)[np.arange(1, 64), np.arange(1, 64)]
    assert kept[0] == 1
    assert kept[-1] == 0
    assert kept.tolist() == sorted(kept.tolist(), reverse=True)


def test_no_blocks():
    assert optimise_levels(np.zeros((0, 64), np.float32), 0.1, True).shape == (0, 64)
