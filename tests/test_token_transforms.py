"""Tests of `transformers_np.token_transforms`: orthonormal, exact, and chosen where they are sparse."""

import numpy as np
import pytest

from bitstreams.rans import Tables
from transformers_np.token_model import learned
from transformers_np.token_transforms import CONTEXTS, UNIT, Transforms


@pytest.fixture(scope="module")
def shipped():
    return learned().model.transforms


def test_shipped_transforms_are_rotations_of_whole_multiples(shipped):
    assert np.array_equal(shipped.matrices[0], np.eye(63))
    for matrix in shipped.matrices:
        assert np.array_equal(matrix * UNIT, np.rint(matrix * UNIT))
        assert np.abs(matrix @ matrix.T - np.eye(63)).max() < 2e-3
    assert shipped.tables.frequencies.shape == (CONTEXTS, len(shipped.matrices))
    assert shipped.tables.frequencies.min() > 0


def test_the_inverse_is_the_exact_sum_rounded(shipped):
    rng = np.random.default_rng(1)
    levels = np.rint(rng.standard_normal((63, 40)) * rng.choice([1, 50, 60_000], 40)).astype(np.float32)
    choices = rng.integers(0, len(shipped.matrices), 40).astype(np.uint8)
    found = shipped.inverse(levels, choices)
    for place, k in enumerate(choices):
        whole = np.rint(shipped.matrices[k] * UNIT).astype(np.int64).T @ levels[:, place].astype(np.int64)
        assert np.array_equal(found[:, place], np.rint(16 * whole / UNIT).astype(np.float32))


def test_levels_come_back_where_the_encoder_had_them(shipped):
    rng = np.random.default_rng(2)
    rest = 20 * rng.standard_normal((63, 60), np.float32)
    choices, turned = shipped.choose(rest, np.full(60, CONTEXTS - 1), 0.12)
    assert np.abs(shipped.inverse(np.rint(turned), choices) / 16 - rest).max() < 4  # what rounding may add up to


def test_a_block_chooses_the_transform_that_has_it_as_a_single_level(shipped):
    number = len(shipped.matrices)
    even = Transforms(shipped.matrices, Tables(np.full((CONTEXTS, number), 4096 // number) + _rest(number)))
    blocks = np.stack([9 * matrix[5] for matrix in shipped.matrices], axis=1).astype(np.float32)
    choices, turned = even.choose(blocks, np.zeros(number, np.int32), 0.12)
    assert choices.tolist() == list(range(number))
    assert (np.abs(turned - 9 * (np.arange(63) == 5)[:, None]) < 0.02).all()


def _rest(number):
    """What is missing to 4096, for the last symbol."""
    return (4096 - number * (4096 // number)) * (np.arange(number) == number - 1)


def test_calm_blocks_stay_as_they_are(shipped):
    calm = np.full((63, 5), 0.49, np.float32)
    choices, turned = shipped.choose(calm, np.zeros(5, np.int32), 0.12)
    assert not choices.any()
    assert np.array_equal(turned, calm)


def test_expected_errors_are_spread_by_squares(shipped):
    errors = np.random.default_rng(3).integers(1, 9000, (63, len(shipped.matrices))) / 4096
    choices = np.arange(len(shipped.matrices), dtype=np.uint8)
    spread = shipped.spread(errors, choices)
    assert np.array_equal(spread[:, 0], errors[:, 0])
    for k, matrix in enumerate(shipped.matrices):
        assert np.allclose(spread[:, k], np.square(matrix) @ errors[:, k], atol=0.02)
    assert np.array_equal(spread * (1 << 24), np.rint(spread * (1 << 24)))


def test_contexts_rise_with_what_is_expected(shipped):
    errors = np.repeat(np.exp2(np.arange(-8, 12, 0.5))[None], 63, axis=0) / 63
    found = shipped.find_contexts(errors)
    assert found.tolist() == sorted(found.tolist())
    assert (found[0], found[-1]) == (0, CONTEXTS - 1)
