"""Tests of `transformers_np.token_contexts`: expectations are sums over blocks around, known ones alone, and exact."""

import numpy as np
import pytest

from codec.contexts import DIAGONALS, ESCAPE, LAST, PHASES, from_phases, to_phases
from transformers_np.token_contexts import ERRORS, PASSES, Magnitudes, Pass, PassWeights, cells_of, source_sizes
from transformers_np.token_model import learned

ROWS, COLUMNS = 6, 8


@pytest.fixture
def plane():
    """Magnitudes of a plane of blocks: (63, rows, columns)."""
    return np.random.default_rng(1).integers(0, ESCAPE + 1, (63, ROWS, COLUMNS)).astype(np.float32)


def fill(plane, passes):
    magnitudes = Magnitudes(ROWS, COLUMNS)
    for number in range(passes):
        magnitudes.at(number)[...] = to_phases(plane)[number]
    return magnitudes


def weights_of(rng, number, d):
    cells = DIAGONALS[d].stop - DIAGONALS[d].start
    sources = [rng.integers(0, 300, (cells, size)).astype(np.float32) / 4096 for size in source_sizes(number, d)]
    return PassWeights(sources, rng.integers(0, 4096, (cells, 1)) / 4096, np.full((cells, 1), 2.0**-9, np.float32))


def expect_plainly(plane, errors, weights, number, d):
    """Sum over neighbours block by block; `plane` holds 0 where nothing is known."""
    wide = np.pad(plane.astype(np.float64), ((0, 0), (2, 2), (2, 2)))
    down, right = PHASES[number]
    expected = {}
    windows = [(d - 4, d - 1), (d - 2, d - 1), (d - 1, d + 1), (d - 1, d + 1)]
    steps = [[(0, 0)], [(-2, 0), (2, 0), (0, -2), (0, 2)]]
    steps += [[(-1, 0), (1, 0), (0, -1), (0, 1)], [(-1, -1), (-1, 1), (1, -1), (1, 1)]]
    for row in range(down, ROWS, 2):
        for column in range(right, COLUMNS, 2):
            total = weights.constant[:, 0].astype(np.float64)
            total = total + weights.error[:, 0] * errors[cells_of(d), row, column]
            for of_source, (first, last), around in zip(weights.sources, windows, steps, strict=True):
                if of_source.size:
                    seen = sum(wide[cells_of(first, last), 2 + row + i, 2 + column + j] for i, j in around)
                    total += of_source.astype(np.float64) @ seen
            expected[row, column] = total.astype(np.float32)
    return expected


@pytest.mark.parametrize("number", range(PASSES))
def test_an_expectation_is_a_weighted_sum_over_blocks_around(plane, number):
    rng = np.random.default_rng(2)
    errors = ERRORS.take(rng.integers(0, 41, plane.shape))
    phases = np.stack([np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 0 + 9] * 1)
    for phase, (i, j) in enumerate(PHASES):
        phases[0, i::2, j::2] = phase
    magnitudes = fill(plane, number)
    here = Pass(magnitudes, number, to_phases(errors)[number])
    for d in range(1, LAST + 1):
        weights = weights_of(rng, number, d)
        known = plane * (phases[0] < number)
        before = cells_of(1, d - 1)
        known[before] += plane[before] * (phases[0] == number)
        found = np.zeros((4, *here.expect(weights, d).shape), np.float32)
        found[number] = here.expect(weights, d)
        grid = from_phases(found, ROWS, COLUMNS)
        for (row, column), expected in expect_plainly(known, errors, weights, number, d).items():
            assert np.array_equal(grid[:, row, column], expected)
        here.put(d, to_phases(plane)[number, cells_of(d)])


def test_nothing_is_expected_where_there_is_no_block(plane):
    magnitudes = fill(plane, 2)
    here = Pass(magnitudes, 2, np.full((63, magnitudes.places), 9.0))
    expected = here.expect(weights_of(np.random.default_rng(0), 2, 3), 3).reshape(-1, ROWS // 2, COLUMNS // 2 + 1)
    assert (expected[..., -1] == 0).all()
    assert (expected[..., :-1] > 0).all()


def test_shipped_weights_keep_sums_exact_and_expect_no_less_where_there_is_more():
    for of_pass in learned().model.weights:
        assert len(of_pass) == LAST
        for weights in of_pass:
            largest = weights.constant[:, 0].astype(np.float64)
            # Of the block itself magnitudes of 17 at most, of all others sums over four blocks.
            for source, times in zip(weights.sources, (1, 4, 4, 4), strict=True):
                assert (source >= 0).all()
                assert np.array_equal(source * 4096, np.rint(source * 4096))
                largest += ESCAPE * times * source.sum(axis=1, dtype=np.float64)
            assert largest.max() < 1 << 12
            assert (weights.error >= 0).all()
            assert (weights.constant >= 2.0**-9).all()


def test_recalled_magnitudes_are_seen_as_those_that_were_put(plane):
    rng = np.random.default_rng(3)
    magnitudes = fill(plane, 3)
    one, other = (Pass(magnitudes, 2, np.zeros((63, magnitudes.places))) for _ in range(2))
    one.recall()
    for d in range(1, LAST + 1):
        other.put(d, to_phases(plane)[2, cells_of(d)])
    weights = weights_of(rng, 2, 9)
    assert np.array_equal(one.expect(weights, 9), other.expect(weights, 9))
