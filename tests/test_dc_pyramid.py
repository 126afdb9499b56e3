"""Tests of `codec.dc_pyramid`: the order of pixels, predictions by their formula, levels there and back."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codec.dc_pyramid import (
    CONTEXTS,
    FEATURES,
    GROUPS,
    SYMBOLS,
    classify,
    code_dc,
    extra_bits,
    features,
    predict,
    walk,
)
from codec.trained import KINDS, trained

SMALL = [*itertools.product(range(1, 21), repeat=2)]
LARGE = [(1, 500), (500, 1), (2, 333), (333, 2), (3, 129), (64, 65), (63, 17), (48, 128), (100, 37)]
LARGEST = 2**15 - 1
sides = st.integers(1, 24)


@cache
def steps_of(shape):
    return walk(*shape)


def draw_levels(rows, columns, roughness, seed):
    """Draw levels that change from pixel to pixel by so much."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-roughness, roughness + 1, (rows, columns))
    return np.clip(steps.cumsum(axis=0).cumsum(axis=1), -LARGEST, LARGEST).astype(np.int32)


def code(levels, weights, others=None):
    """Code levels as an encoder does; return the calls, each with contexts, predictions, places and differences."""
    calls = []

    def difference(contexts, predicted, places):
        answer = levels.ravel()[places] - predicted.astype(np.int64)
        calls.append((contexts.copy(), predicted.copy(), places.copy(), answer))
        return answer

    others = np.zeros(levels.size) if others is None else others
    return calls, *code_dc(difference, weights, *levels.shape, others)


# The walk ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shapes", [SMALL, LARGE], ids=["small", "large"])
def test_every_pixel_but_the_first_comes_once(shapes):
    for rows, columns in shapes:
        visits = np.zeros(rows * columns, int)
        for step in steps_of((rows, columns)):
            assert step.places.size  # no step is empty
            assert 0 <= step.group < GROUPS
            np.add.at(visits, step.places, 1)
        assert visits[0] == 0
        assert (visits[1:] == 1).all()


@pytest.mark.parametrize("shapes", [SMALL, LARGE], ids=["small", "large"])
def test_neighbours_are_known_before(shapes):
    wrong = []
    for rows, columns in shapes:
        known = np.zeros(rows * columns, np.bool_)
        known[0] = True
        for step in steps_of((rows, columns)):
            if not known[step.around].all() and (rows, columns) not in wrong:
                wrong.append((rows, columns))
            known[step.places] = True
    assert wrong == []


def test_neighbours_inside_are_the_nearest_known_ones():
    rows, columns = 33, 37
    corners, sides = {(-1, -1), (1, 1), (-1, 1), (1, -1)}, {(0, -1), (0, 1), (-1, 0), (1, 0)}
    seen = set()
    for step in walk(rows, columns):
        kind, spacing = step.group % 3, step.group // 3
        row, column = np.divmod(step.places, columns)
        down, right = np.divmod(step.around[:4], columns) - np.stack([row, column])[:, None]
        # Away from the edges all are as far away as the grid is wide.
        far = np.abs([down, right]).max()
        inside = (np.minimum(row, rows - 1 - row) >= far) & (np.minimum(column, columns - 1 - column) >= far)
        for i in np.flatnonzero(inside):
            around = set(zip((down[:, i] / far).tolist(), (right[:, i] / far).tolist(), strict=True))
            assert around == (sides if kind else corners)
            seen.add((kind, spacing))
        # Each pair lies opposite each other.
        assert not (down[::2] + down[1::2])[:, inside].any()
        assert not (right[::2] + right[1::2])[:, inside].any()
    assert seen == {*itertools.product(range(3), range(3))}


def test_a_picture_of_one_pixel():
    assert not walk(1, 1)
    calls, levels, missed = code(np.array([[-77]], np.int32), trained().planes["Y"].dc)
    assert len(calls) == 1
    assert (levels.tolist(), missed.tolist()) == ([[-77]], [0])


# Predictions ------------------------------------------------------------------------------------------------

levels_of_four = st.lists(st.integers(-300, 300) | st.integers(-LARGEST, LARGEST), min_size=4, max_size=4)


@given(st.lists(levels_of_four, min_size=1, max_size=20), st.sampled_from([0, 4, 8]))
@example([[0, 1, 0, 1], [1, 2, 1, 2], [-1, 0, 0, -1]], 0)  # in the middle between two whole numbers
@example([[LARGEST, -LARGEST, LARGEST, -LARGEST], [LARGEST] * 4, [0, 0, LARGEST, LARGEST]], 4)
def test_predictions_by_their_formula(drawn, more):
    known = np.concatenate([np.array(drawn, np.float64).T, np.full((more, len(drawn)), 1e4)])
    expected = []
    for a, b, c, d in drawn:
        one, other = 1 / (1 + abs(a - b)) ** 2, 1 / (1 + abs(c - d)) ** 2
        expected.append(round(((a + b) * one + (c + d) * other) / (2 * (one + other))))
    found = predict(known)
    assert found.tolist() == expected
    assert (found >= known[:4].min(axis=0)).all()
    assert (found <= known[:4].max(axis=0)).all()


def test_along_an_edge_but_not_across_it():
    # Above and below agree, to the left and to the right they do not.
    assert predict(np.array([[0.0], [200], [190], [190]])) == 190


@given(st.integers(1, 9), st.sampled_from([4, 8]), st.integers(0, 99))
def test_features_by_their_formulas(number, ring, seed):
    rng = np.random.default_rng(seed)
    known = rng.integers(-500, 500, (4 + ring, number)).astype(np.float64)
    missed = rng.integers(0, 99, (8, number)).astype(np.float64)
    others = rng.integers(0, 99, number).astype(np.float64)
    predicted = predict(known)
    found = features(known, missed, predicted, others)
    assert found.shape == (FEATURES, number)
    for i in range(number):
        a, b, c, d, *further = known[:, i].tolist()
        near = a + b + c + d
        assert found[:, i].tolist() == [
            min(abs(a - b), abs(c - d)),
            max(a, b, c, d) - min(a, b, c, d),
            abs(4 * predicted[i] - near),
            abs(sum(further) - ring / 4 * near),
            sum(missed[:4, i]),
            sum(missed[4:, i]),
            others[i],
            1,
        ]


# There and back ---------------------------------------------------------------------------------------------


@given(st.sampled_from(KINDS), sides, sides, st.sampled_from([0, 1, 30, 2000, LARGEST]), st.integers(0, 99))
@example("Y", 1, 24, 30, 0)
@example("Cr 4:2:0", 24, 1, 30, 0)
def test_there_and_back(kind, rows, columns, roughness, seed):
    levels = draw_levels(rows, columns, roughness, seed)
    others = np.random.default_rng(seed).integers(0, 50, levels.size).astype(np.float64)
    weights = trained().planes[kind].dc
    calls, found, missed = code(levels, weights, others)
    assert found.dtype == np.int32
    assert np.array_equal(found, levels)
    # A decoder has only the differences, and comes to the same contexts and predictions.
    answers = iter(calls)

    def read(contexts, predicted, places):
        expected = next(answers)
        assert np.array_equal(contexts, expected[0])
        assert np.array_equal(predicted, expected[1])
        assert np.array_equal(places, expected[2])
        return expected[3]

    decoded, missed_too = code_dc(read, weights, rows, columns, others)
    assert next(answers, None) is None
    assert np.array_equal(decoded, levels)
    assert np.array_equal(missed, missed_too)
    assert missed[0] == 0  # nothing was predicted there
    for contexts, predicted, places, differences in calls[1:]:
        assert contexts.min() >= 0
        assert contexts.max() < CONTEXTS
        assert np.array_equal(predicted, np.rint(predicted))
        assert np.array_equal(missed[places], np.abs(differences))


@given(sides, sides, st.integers(-LARGEST, LARGEST))
def test_a_flat_picture_is_predicted_without_error(rows, columns, level):
    calls, _, missed = code(np.full((rows, columns), level, np.int32), trained().planes["Y"].dc)
    assert not missed.any()
    assert calls[0][3] == level
    assert not any(differences.any() for *_, differences in calls[1:])


@pytest.mark.parametrize("difference", [LARGEST, -LARGEST])
def test_differences_that_no_levels_have_stay_within_limits(difference):
    # What damaged bytes can say: each level as far from its prediction as symbols go.
    levels, missed = code_dc(
        lambda contexts, *_: np.full(contexts.size, difference), trained().planes["Y"].dc, 9, 14, np.zeros(9 * 14)
    )
    assert (levels == difference).all()
    assert (missed[1:] == LARGEST).all()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_what_makes_expectations_exact(kind):
    weights = trained().planes[kind].dc
    assert weights.shape == (GROUPS, FEATURES)
    assert np.array_equal(weights * 2**12, np.rint(weights * 2**12))
    assert weights.min() >= 0
    # Features are sums of up to 16 levels and 16 of their errors: 2**41 units of 2**-12 leave float64 room.
    assert weights.sum() * 2**12 * 32 * 2**16 < 2**53


def test_contexts_grow_with_what_is_around():
    levels = draw_levels(16, 16, 2, 0)
    smooth = np.concatenate([contexts for contexts, *_ in code(levels, trained().planes["Y"].dc)[0][1:]])
    rough = np.concatenate([contexts for contexts, *_ in code(50 * levels, trained().planes["Y"].dc)[0][1:]])
    assert (rough >= smooth).all()
    assert rough.mean() > smooth.mean() + 15  # 4 an octave, nearly 6 octaves


# Symbols ----------------------------------------------------------------------------------------------------


def test_symbols_and_extra_bits_divide_the_whole_numbers():
    extra = extra_bits(np.arange(SYMBOLS))
    magnitudes = np.arange(int((1 << extra).sum()))
    # In order, symbol by symbol, as many of each as its extra bits can tell apart.
    assert np.array_equal(classify(magnitudes), np.repeat(np.arange(SYMBOLS), 1 << extra))
    starts = np.flatnonzero(np.diff(classify(magnitudes), prepend=-1))
    assert not (starts & (1 << extra) - 1).any()  # so that the extra bits are the lowest ones


def test_symbols_by_hand():
    magnitudes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 16, 23, 24, 31, 32]
    assert classify(np.array(magnitudes)).tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10]
    assert extra_bits(np.arange(11)).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4]
