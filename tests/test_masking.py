"""Tests of `transformers_np.masking`."""

import math

import numpy as np
import pytest
from scipy import ndimage

from transformers_np.masking import PATTERNS, block_mask, grid_mask, random_mask, visible_tokens


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (5, 7), (16, 16), (1, 90), (33, 20)])
@pytest.mark.parametrize("ratio", [0.001, 0.3, 0.75, 0.95, 0.999])
def test_each_pattern_hides_the_share_that_is_asked_for(pattern, rows, columns, ratio):
    hidden = PATTERNS[pattern](rng(), rows, columns, ratio)
    tokens = rows * columns
    assert hidden.shape == (rows, columns)
    assert hidden.dtype == bool
    assert (~hidden).sum() == min(max(int(tokens * (1 - ratio)), 1), tokens - 1)
    assert np.array_equal(hidden, PATTERNS[pattern](rng(), rows, columns, ratio))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_token_may_be_hidden_or_not(pattern):
    share = np.mean([PATTERNS[pattern](rng(seed), 6, 8, 0.5) for seed in range(200)], axis=0)
    assert share.min() > 0.2
    assert share.max() < 0.8


def test_what_is_visible_of_a_grid_is_every_second_of_every_second_row():
    begins = set()
    for seed in range(20):
        visible = ~grid_mask(rng(seed), 8, 12, 0.75)
        rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
        assert set(np.diff(rows)) == set(np.diff(columns)) == {2}
        assert visible[np.ix_(rows, columns)].all()
        begins.add((rows[0], columns[0]))
    assert begins == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_grid_is_regular_however_large_it_is():
    visible = np.flatnonzero(~grid_mask(rng(), 1, 1 << 19, 1 - 2**-17))
    assert np.diff(visible).tolist() == [1 << 17] * 3


def test_patterns_differ_in_how_far_what_is_hidden_lies_from_what_is_not():
    def distance(pattern):
        return np.mean(
            [ndimage.distance_transform_edt(PATTERNS[pattern](rng(s), 32, 32, 0.75)).max() for s in range(9)]
        )

    found = [distance(pattern) for pattern in ("grid", "random", "block")]
    assert found[0] < 1.5
    assert 2.5 < found[1] < 6
    assert found[2] > 6


def test_all_masks_of_random_tokens_are_as_likely():
    found = {random_mask(rng(seed), 2, 2, 0.5).tobytes() for seed in range(100)}
    assert len(found) == 6


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5, math.nan, math.inf])
def test_shares_that_are_no_shares(ratio):
    with pytest.raises(ValueError, match="above 0 and below 1 are allowed"):
        visible_tokens(10, ratio)
    with pytest.raises(ValueError, match="above 0 and below 1 are allowed"):
        block_mask(rng(), 3, 3, ratio)


def test_one_token_cannot_be_hidden_and_seen():
    with pytest.raises(ValueError, match="1 tokens; at least 2"):
        visible_tokens(1, 0.5)
