"""Tests of `codec.deblock` against the filter written down edge by edge, sample by sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import deblock
from codec.deblock import EDGE, EDGE_MOST, MOVE, MOVE_MOST, SIDE, SIDE_MOST

STEPS = [16, 40, 100, 300, 700, 5000, 65_535]


def filter_plain(line, strength, step):
    """Return p0 and q0 of one line of four samples across an edge."""
    p1, p0, q0, q1 = line
    edge, side = min(2 + EDGE * step // 256, EDGE_MOST), min(1 + SIDE * step // 256, SIDE_MOST)
    most = min((MOVE * step * strength + 128) // 256, MOVE_MOST)
    if strength == 0 or abs(q0 - p0) >= edge or abs(p1 - p0) >= side or abs(q1 - q0) >= side:
        return p0, q0
    move = (4 * (q0 - p0) + p1 - q1 + 4) // 8  # rounded down
    move = max(-most, min(most, move))
    return max(0, min(255, p0 + move)), max(0, min(255, q0 - move))


def deblock_plain(plane, vertical, horizontal, step):
    """Filter all vertical edges, then all horizontal ones, line by line."""
    plane = plane.astype(int)
    for strengths, lines in ((vertical, plane), (horizontal.T, plane.T)):
        for (row, edge), strength in np.ndenumerate(strengths):
            x = 8 * edge + 8
            for line in lines[8 * row : 8 * row + 8]:
                line[x - 1], line[x] = filter_plain(line[x - 2 : x + 2].tolist(), int(strength), step)
    return plane


def strengths_plain(intra, coded, vectors, direction):
    """Return the strengths between blocks and their right and lower neighbours, pair by pair."""
    rows, columns = intra.shape

    def between(one, other):
        if intra[one] or intra[other]:
            return 2
        if coded[one] or coded[other] or direction[one] != direction[other]:
            return 1
        for reference in (0, 1):
            if direction[one] >> reference & 1:
                apart = np.abs(vectors[one][reference].astype(int) - vectors[other][reference])
                if apart.max() >= 4:
                    return 1
        return 0

    vertical = [[between((r, c), (r, c + 1)) for c in range(columns - 1)] for r in range(rows)]
    horizontal = [[between((r, c), (r + 1, c)) for c in range(columns)] for r in range(rows - 1)]
    return vertical, horizontal


def smooth(rng, rows, columns, roughness):
    """Return a plane whose blocks differ a little from each other, and samples from their blocks."""
    blocks = rng.integers(-roughness, roughness + 1, (rows, columns)) + rng.integers(0, 256)
    plane = np.kron(blocks, np.ones((8, 8), int)) + rng.integers(
        -roughness // 3, roughness // 3 + 1, (8 * rows, 8 * columns)
    )
    return np.clip(plane, 0, 255).astype(np.uint8)


@given(
    st.integers(1, 3), st.integers(1, 4), st.sampled_from(STEPS), st.sampled_from([3, 12, 40, 120]), st.integers(0, 99)
)
def test_the_filter_is_the_formula(rows, columns, step, roughness, seed):
    rng = np.random.default_rng(seed)
    plane = smooth(rng, rows, columns, roughness)
    vertical = rng.integers(0, 3, (rows, columns - 1)).astype(np.uint8)
    horizontal = rng.integers(0, 3, (rows - 1, columns)).astype(np.uint8)
    expected = deblock_plain(plane, vertical, horizontal, step)
    deblock.deblock(plane, vertical, horizontal, step)
    assert np.array_equal(plane, expected)


def test_these_examples_reach_every_branch():
    rng = np.random.default_rng(0)
    plane = smooth(rng, 4, 6, 12)
    vertical, horizontal = np.full((4, 5), 2, np.uint8), np.full((3, 6), 1, np.uint8)
    filtered = plane.copy()
    deblock.deblock(filtered, vertical, horizontal, 700)
    moved = filtered != plane
    columns = np.arange(48) % 8
    rows = np.arange(32) % 8
    assert 0.05 < moved.mean() < 0.4
    beside = np.isin(columns, [0, 7]) | np.isin(rows, [0, 7])[:, None]
    assert not moved[~beside].any()
    assert not moved[0, 0] and not moved[-1, -1]  # the border of the picture is no edge


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_quantiser_is_smoothed_and_one_of_the_picture_is_not(step):
    edge = min(2 + EDGE * step // 256, EDGE_MOST)
    most = min((MOVE * step * 2 + 128) // 256, MOVE_MOST)
    for gap in (1, edge - 1, edge, 100):
        line = np.repeat([100, 100 + gap], 8).astype(np.uint8)
        plane = np.tile(line, (8, 1))
        deblock.deblock(plane, np.full((1, 1), 2, np.uint8), np.zeros((0, 2), np.uint8), step)
        # Across a step between flat sides a sample moves by half of it at most.
        move = min((3 * gap + 4) // 8, most) if gap < edge else 0
        assert plane[:, 7].tolist() == [100 + move] * 8
        assert plane[:, 8].tolist() == [100 + gap - move] * 8
        assert (plane[:, :7] == 100).all()
        assert (plane[:, 9:] == 100 + gap).all()


def test_samples_stay_in_range():
    plane = np.zeros((8, 16), np.uint8)
    plane[:, 8:] = 2
    plane[:, 6], plane[:, 9] = 3, 0  # slopes that overshoot
    expected = deblock_plain(plane, np.full((1, 1), 2), np.zeros((0, 2)), 4000)
    deblock.deblock(plane, np.full((1, 1), 2, np.uint8), np.zeros((0, 2), np.uint8), 4000)
    assert np.array_equal(plane, expected)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 999))
def test_strengths_are_the_rules(rows, columns, seed):
    rng = np.random.default_rng(seed)
    direction = rng.choice([0, 1, 1, 2, 3, 3], (rows, columns)).astype(np.uint8)
    coded = rng.random((rows, columns)) < 0.2
    vectors = (rng.integers(-1, 2, (rows, columns, 2, 2)) * rng.choice([1, 2, 3])).astype(np.int16)
    vertical, horizontal = deblock.strengths(direction == 0, coded, vectors, direction)
    expected = strengths_plain(direction == 0, coded, vectors, direction)
    assert (vertical.dtype, horizontal.dtype) == (np.uint8, np.uint8)
    assert (vertical.shape, horizontal.shape) == ((rows, columns - 1), (rows - 1, columns))
    assert vertical.tolist() == expected[0]
    assert horizontal.tolist() == expected[1]


def test_vectors_a_sample_apart_count_and_unused_ones_do_not():
    still = np.zeros((1, 2), bool)
    vectors = np.zeros((1, 2, 2, 2), np.int16)
    vectors[0, 1, 0] = [3, -3]
    vectors[0, 1, 1] = [500, 0]
    for direction, expected in ((1, 0), (2, 1), (3, 1)):
        (((strength,),), _) = deblock.strengths(still, still, vectors, np.full((1, 2), direction, np.uint8))
        assert strength == expected
    vectors[0, 1, 0] = [0, -4]
    (((strength,),), _) = deblock.strengths(still, still, vectors, np.full((1, 2), 1, np.uint8))
    assert strength == 1
