"""Tests of `codec.block_sizes` and `codec.block_choice`: trees there and back, and which are chosen."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec.block_choice import CAUTION, _merge, activity, choose_by_coding, choose_sizes
from codec.block_sizes import CONTEXTS, code_sizes, grow, halve
from codec.context_strip import Plane
from codec.contexts import PHASES
from codec.lapped import SIZES, Steps, forward
from codec.trained import trained
from tests.pictures import make_picture

squares = st.integers(1, 7)  # of 32 x 32
WEIGHT = 0.12


def draw_sizes(rows, columns, seed):
    """Draw a valid tree for so many squares of 32 x 32, from nearly all large to nearly all small."""
    rng = np.random.default_rng(seed)
    whole = rng.random((rows, columns)) < rng.random()
    half = rng.random((2 * rows, 2 * columns)) < rng.random()
    return np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)


def is_a_tree(sizes):
    """Whether each block is whole, and where such a block may be."""
    assert sizes.dtype == np.uint8
    for n in SIZES:
        k = n // 8
        of_blocks = sizes.reshape(sizes.shape[0] // k, k, sizes.shape[1] // k, k) == n
        if (of_blocks.any(axis=(1, 3)) != of_blocks.all(axis=(1, 3))).any():
            return False
    return bool(np.isin(sizes, SIZES).all())


def code_plain(sizes):
    """Return contexts and symbols of a tree, square by square."""
    pairs = []
    for depth, n in enumerate((32, 16)):
        k = n // 8
        wanted = sizes[::k, ::k] >= n
        known = np.zeros_like(wanted) if depth == 0 else sizes[::k, ::k] == 32
        whole = known.copy()
        for phase, (i, j) in enumerate(PHASES):
            found = []
            for row in range(i, wanted.shape[0], 2):
                for column in range(j, wanted.shape[1], 2):
                    around = (
                        whole[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].sum() - whole[row, column]
                    )
                    if not known[row, column]:
                        pairs.append((9 * (4 * depth + phase) + int(around), int(wanted[row, column])))
                        found.append((row, column))
            for place in found:
                whole[place] = wanted[place]
    return pairs


# Trees ------------------------------------------------------------------------------------------------------


@given(squares, squares, st.integers(0, 999))
@example(1, 1, 0)
@example(1, 7, 1)
@example(5, 3, 2)
def test_there_and_back(rows, columns, seed):
    sizes = draw_sizes(rows, columns, seed)
    assert is_a_tree(sizes)
    pairs = []

    def write(contexts, symbols):
        pairs.extend(zip(contexts.tolist(), symbols.tolist(), strict=True))
        return symbols

    assert np.array_equal(code_sizes(write, *sizes.shape, sizes), sizes)
    assert pairs == code_plain(sizes)
    answers = iter(pairs)

    def read(contexts, symbols):
        assert symbols is None
        expected = [next(answers) for _ in contexts]
        assert contexts.tolist() == [context for context, _ in expected]
        return np.array([symbol for _, symbol in expected], np.uint32)

    decoded = code_sizes(read, *sizes.shape, None)
    assert next(answers, None) is None
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, sizes)


@pytest.mark.parametrize(("size", "decisions"), [(8, 5), (16, 5), (32, 1)])
def test_how_many_decisions_a_plane_takes(size, decisions):
    sizes = np.full((12, 20), size, np.uint8)
    assert len(code_plain(sizes)) == 15 * decisions


@given(squares, squares, st.integers(0, 999))
def test_any_symbols_give_a_tree_and_contexts_in_range(rows, columns, seed):
    rng = np.random.default_rng(seed)
    seen = []

    def read(contexts, _):
        seen.extend(contexts.tolist())
        return rng.integers(0, 2, contexts.size).astype(np.uint32)

    assert is_a_tree(code_sizes(read, 4 * rows, 4 * columns, None))
    assert min(seen) >= 0
    assert max(seen) < CONTEXTS


def test_every_context_has_a_row_in_the_table():
    assert trained().sizes.frequencies.shape == (CONTEXTS, 2)


@given(squares, squares, st.integers(0, 999))
def test_sizes_at_half_the_resolution(rows, columns, seed):
    sizes = draw_sizes(rows, columns, seed)
    halved = halve(sizes)
    assert is_a_tree_of_halves(halved)
    for (row, column), size in np.ndenumerate(halved):
        assert size == max(8, sizes[2 * row, 2 * column] // 2)


def is_a_tree_of_halves(sizes):
    """Whether blocks of 16 are whole; there are none of 32."""
    return is_a_tree(np.pad(sizes, ((0, -len(sizes) % 4), (0, -sizes.shape[1] % 4)), constant_values=8))


def test_growing():
    assert grow(np.array([[1, 2]]), 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


# Choices ----------------------------------------------------------------------------------------------------


def choose(how, samples, step=20):
    """Choose sizes in one of two ways."""
    steps = Steps(64 * step, trained().lapping)
    if how == "guess":
        return choose_sizes(samples, steps, WEIGHT)
    plane = Plane(trained().planes["Y"], samples.shape[0] // 8, samples.shape[1] // 8)
    return choose_by_coding(plane, samples, steps, WEIGHT, trained())


both = pytest.mark.parametrize("how", ["guess", "coding"])


ROW, COLUMN = np.arange(96)[:, None], np.arange(160)


@both
def test_large_blocks_for_what_is_smooth_or_regular(how):
    waves = 60 * np.sin((ROW + COLUMN) / 15)
    for step in (8, 20):
        sizes = choose(how, waves.astype(np.float32), step)
        assert (sizes >= 16).mean() > 0.8
        assert (sizes[4:8, 4:16] == 8).sum() == 0  # inside
    fabric = 60 * np.cos(COLUMN * 1.04) * np.cos(ROW * 0.73)  # few frequencies, the same everywhere
    assert (choose(how, fabric.astype(np.float32), 8) == 32).mean() > 0.3


@both
@pytest.mark.parametrize("step", [8, 20, 50])
def test_small_blocks_for_details(how, step):
    noise = np.random.default_rng(0).uniform(-100, 100, (96, 160))
    assert (choose(how, noise.astype(np.float32), step) == 8).mean() > 0.7
    # A small spot on plain ground: a large block would spread it over 16 or 32 pixels.
    spot = np.full((96, 160), -50, np.float32)
    spot[34:38, 34:38] = 100
    assert choose(how, spot, step)[4, 4] == 8


@both
def test_small_blocks_along_an_edge(how):
    sizes = choose(how, np.where(ROW + COLUMN > 120, 60, -60).astype(np.float32))
    crossed = [sizes[row, 15 - row] for row in range(12)]
    assert set(crossed) == {8}


@both
def test_sizes_follow_what_is_there(how):
    waves, noise = 60 * np.sin((ROW + COLUMN) / 15), np.random.default_rng(0).uniform(-100, 100, (96, 160))
    sizes = choose(how, np.where(COLUMN < 96, waves, noise).astype(np.float32))
    assert sizes[:, :8].min() >= 16
    assert sizes[:, 14:].mean() < 12


@both
@settings(max_examples=30)
@given(squares.filter(lambda n: n < 4), squares.filter(lambda n: n < 4), st.booleans(), st.integers(0, 99))
def test_choices_are_trees(how, rows, columns, smooth, seed):
    rng = np.random.default_rng(seed)
    noise = rng.integers(-128, 128, (32 * rows, 32 * columns)).astype(np.float32)
    samples = make_picture(32 * rows, 32 * columns, 1, seed).astype(np.float32) - 128 if smooth else noise
    sizes = choose(how, samples, int(rng.integers(1, 200)))
    assert sizes.shape == (4 * rows, 4 * columns)
    assert is_a_tree(sizes)


def merge_plain(costs, weight):
    """Choose trees square by square: a block costs what its cells do, a bit to decide, and 5 for each DC level."""
    rows, columns = costs[8].shape
    sizes = np.zeros((rows, columns), np.uint8)

    def block(n, row, column):
        k = n // 8
        return (costs[n][row : row + k, column : column + k].sum() + weight * (1 + 5 * k * k)) * CAUTION[n]

    for top in range(0, rows, 4):
        for left in range(0, columns, 4):
            total = 0
            for row in (top, top + 2):
                for column in (left, left + 2):
                    quarters = sum(block(8, row + i, column + j) for i in range(2) for j in range(2))
                    half = block(16, row, column)
                    sizes[row : row + 2, column : column + 2] = 16 if half < quarters else 8
                    total += min(half, quarters)
            if block(32, top, left) < total:
                sizes[top : top + 4, left : left + 4] = 32
    return sizes


@given(squares, squares, st.sampled_from([0.0, 0.12, 2.0]), st.integers(0, 999))
@example(1, 1, 0.12, 0)
def test_trees_by_made_up_costs(rows, columns, weight, seed):
    rng = np.random.default_rng(seed)
    levels = rng.uniform(3, 5, (3, *rng.choice([1, 2, 4], 2)))  # what is next to each other costs about the same
    costs = {
        n: (np.resize(level, (4 * rows, 4 * columns)) + rng.uniform(0, 0.3, (4 * rows, 4 * columns))).astype(np.float64)
        for n, level in zip(SIZES, levels, strict=True)
    }
    assert np.array_equal(_merge(costs, weight), merge_plain(costs, weight))


def test_large_blocks_save_decisions_but_no_dc_levels():
    # There is a DC level for each 8 x 8 pixels in all of them (`codec.lapped`).
    cells = {n: np.full((4, 4), cost) for n, cost in zip(SIZES, (10.0, 10.0, 50.0), strict=True)}
    quarters, half = 4 * (10 + 1 + 5), 1.04 * (40 + 1 + 4 * 5)
    assert half < quarters
    assert (_merge(cells, 1.0) == 16).all()
    cells[16] += 0.2  # 63.44 + 0.83 is more than 64
    assert (_merge(cells, 1.0) == 8).all()
    cells[32] = np.full((4, 4), (256 / 1.08 - 1 - 16 * 5) / 16 - 0.01)
    assert (_merge(cells, 1.0) == 32).all()
    cells[32] += 0.02
    assert (_merge(cells, 1.0) == 8).all()


def test_activity_is_large_where_there_is_much():
    samples = make_picture(64, 128, 1).astype(np.float32) - 128
    samples[:, :64] = 10
    sizes = np.full((8, 16), 8, np.uint8)
    sizes[:, 12:] = 32
    found = activity(forward(samples, sizes, Steps(640, trained().lapping)), sizes)
    assert found.dtype == np.float32
    assert found[:, 9:].min() > found[:, :7].max()
    assert found.min() >= np.float32(0.2)
    assert found.max() <= 2
    assert (found[:4, 12:] == found[0, 12]).all()  # one for each block
    assert (activity(np.zeros((64, 4, 4), np.float32), sizes[:4, :4]) == 1).all()
