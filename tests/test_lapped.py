"""Tests of `codec.lapped`: against a plain DCT, there and back, and its exactness against whole numbers of Python's."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec import dct, lapped
from codec.block_sizes import grow
from codec.lapped import SAMPLE_UNIT, SIZES, Lapping, Steps, edges, forward, inverse
from codec.trained import trained
from tests.pictures import make_picture

FINEST, COARSEST = 64, 65_535  # steps in 1/64
LARGEST_SAMPLE, LARGEST_COEFFICIENT = int(lapped.LARGEST_SAMPLE), int(lapped.LARGEST_COEFFICIENT)
UNIT = lapped.FILTER_UNIT
LARGEST_LEVEL = 32_767
LAPPED = trained().lapping
PLAIN = Lapping(np.zeros((2, 8, 8), np.int64), {n: np.full(n, 1 << 12, np.int64) for n in SIZES})  # no filter at all
squares = st.integers(1, 3)  # of 32 x 32
lappings = pytest.mark.parametrize("lapping", [LAPPED, PLAIN], ids=["lapped", "plain"])


def draw_sizes(rows, columns, seed):
    """Draw a tree of sizes for so many squares of 32 x 32."""
    rng = np.random.default_rng(seed)
    whole = rng.random((rows, columns)) < rng.random()
    half = rng.random((2 * rows, 2 * columns)) < rng.random()
    return np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)


def all_of(size, rows, columns):
    return np.full((rows, columns), size, np.uint8)


def blocks_of(sizes):
    """Return size, row and column, in cells, of each block."""
    found = []
    for (row, column), n in np.ndenumerate(sizes):
        if row % (n // 8) == 0 and column % (n // 8) == 0:
            found.append((int(n), row, column))
    return found


def block_levels(levels, n, row, column):
    """Gather the levels of a block in the order of its own frequencies: (n, n)."""
    k = n // 8
    out = np.empty((n, n), levels.dtype)
    for i in range(k):
        for j in range(k):
            out[i::k, j::k] = levels[:, row + i, column + j].reshape(8, 8)
    return out


def photo(rows, columns, seed=0):
    return make_picture(8 * rows, 8 * columns, 1, seed).astype(np.float32) - 128


# Edges ------------------------------------------------------------------------------------------------------


@given(squares, squares, st.integers(0, 999))
def test_edges_are_where_blocks_meet(rows, columns, seed):
    sizes = draw_sizes(rows, columns, seed)
    number = np.zeros(sizes.shape, int)  # of the block that each cell is in
    for i, (n, row, column) in enumerate(blocks_of(sizes)):
        number[row : row + n // 8, column : column + n // 8] = i
    below, beside = edges(sizes)
    for found, one, other, of_one, of_other in (
        (below, number[:-1], number[1:], sizes[:-1], sizes[1:]),
        (beside, number[:, :-1], number[:, 1:], sizes[:, :-1], sizes[:, 1:]),
    ):
        small = (of_one == 8) | (of_other == 8)
        assert np.array_equal(found, np.where(one == other, 0, np.where(small, 1, 2)))


# Without filters it is a DCT --------------------------------------------------------------------------------


@given(squares, squares, st.sampled_from([64, 700, 10_000]), st.integers(0, 99))
def test_without_filters_each_block_is_its_dct(rows, columns, step, seed):
    sizes = draw_sizes(rows, columns, seed)
    plane = photo(*sizes.shape, seed)
    cells = forward(plane, sizes, Steps(step, PLAIN))
    assert cells.dtype == np.float32
    for n, row, column in blocks_of(sizes):
        k = n // 8
        expected = dct.dct2(plane[8 * row : 8 * row + n, 8 * column : 8 * column + n].astype(np.float64)) / (step / 64)
        expected[:k, :k] = dct.idct2(expected[:k, :k])  # the lowest ones are like DC levels of the parts
        found = block_levels(cells, n, row, column)
        assert np.allclose(found, expected, rtol=0, atol=1e-3 * 64 / step)


def test_low_frequencies_of_large_blocks_are_like_means_of_their_parts():
    plane = (100 * np.outer(dct.basis(32)[1], dct.basis(32)[1])).astype(np.float32)
    small = forward(plane, all_of(8, 4, 4), Steps(64, PLAIN))[0]
    for n in (16, 32):
        found = forward(plane, all_of(n, 4, 4), Steps(64, PLAIN))[0]
        assert np.abs(found - small).max() < 0.1 * np.abs(small).max()


@lappings
def test_the_border_of_a_plane_is_no_edge(lapping):
    # One block alone has nothing to be filtered with.
    plane = photo(4, 4)
    expected = dct.dct2(plane.astype(np.float64))
    expected[:4, :4] = dct.idct2(expected[:4, :4] * 64 / Steps(64, lapping).of_size[32][:4, :4])
    found = block_levels(forward(plane, all_of(32, 4, 4), Steps(64, lapping)), 32, 0, 0)
    assert np.allclose(found[:4, :4], expected[:4, :4], rtol=0, atol=1e-3)
    whole = found * (Steps(64, lapping).of_size[32] / 64)
    whole[:4, :4] = expected[:4, :4]
    assert np.allclose(whole, expected, rtol=0, atol=1e-3)


# There and back ---------------------------------------------------------------------------------------------


@given(squares, squares, st.booleans(), st.booleans(), st.integers(0, 99))
def test_fine_steps_give_the_picture_back(rows, columns, with_filters, smooth, seed):
    sizes = draw_sizes(rows, columns, seed)
    noise = np.random.default_rng(seed).integers(-128, 128, (8 * sizes.shape[0], 8 * sizes.shape[1]))
    plane = photo(*sizes.shape, seed) if smooth else noise.astype(np.float32)
    steps = Steps(8, LAPPED if with_filters else PLAIN)
    levels = np.rint(forward(plane, sizes, steps))
    assert np.abs(levels).max() < 2**16
    samples = inverse(levels, sizes, steps)
    assert samples.dtype == np.float32
    assert np.array_equal(samples, np.rint(samples))
    error = samples / SAMPLE_UNIT - plane
    # A step of 1/8, and roundings to 1/8: after the transform, and after each of two filters.
    assert np.abs(error).max() < 0.6
    assert np.sqrt(np.mean(error**2)) < 0.12


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("square", [3, 8, 16, 96])
def test_black_and_white_corners_come_back(size, square):
    # Filters across two edges amplify twice what is at a corner of four blocks: it must not leave the limits.
    row, column = np.arange(192)[:, None], np.arange(192)
    plane = np.where((row // square + column // square) % 2, 127, -128).astype(np.float32)
    steps = Steps(FINEST, LAPPED)
    samples = inverse(np.rint(forward(plane, all_of(size, 24, 24), steps)), all_of(size, 24, 24), steps)
    assert np.abs(samples / SAMPLE_UNIT - plane).max() < 3


@lappings
@pytest.mark.parametrize("size", SIZES)
def test_equal_steps_do_equal_harm(lapping, size):
    rng, sizes, steps = np.random.default_rng(size), all_of(size, 24, 24), Steps(64 * 20, lapping)
    levels = rng.integers(-1, 2, (64, 24, 24)).astype(np.float32)
    for cells in (slice(0, 1), slice(1, 8), slice(8, 36), slice(63, 64)):
        moved = levels.copy()
        inside = moved[cells, 4:20, 4:20]  # blocks with neighbours on all sides
        inside += rng.choice([-1, 1], inside.shape)
        changes = (inverse(moved, sizes, steps) - inverse(levels, sizes, steps)) / SAMPLE_UNIT
        # One step more or less in so many levels: that is the energy that samples differ by.
        assert np.isclose(np.square(changes).sum() / 20**2, inside.size, rtol=0.06)


@given(st.integers(-128, 127), st.sampled_from([FINEST, 256, 1000, 6000]), st.sampled_from(SIZES), st.booleans())
def test_flat_pictures_are_flat(value, step, size, with_filters):
    steps = Steps(step, LAPPED if with_filters else PLAIN, 0.15)
    cells = forward(np.full((64, 96), value, np.float32), all_of(size, 8, 12), steps)
    assert np.abs(cells[1:]).max() < 1e-3
    samples = inverse(np.rint(cells), all_of(size, 8, 12), steps)
    assert (samples == samples[0, 0]).all()
    # Half a step of DC, which the filters may make longer, is so much of a pixel.
    assert abs(samples[0, 0] / SAMPLE_UNIT - value) <= steps.of_size[8][0, 0] / 64 / 16 + 1 / SAMPLE_UNIT


@given(st.integers(-128, 127), st.sampled_from([FINEST, 256]), squares, squares, st.booleans(), st.integers(0, 99))
def test_flat_pictures_are_flat_whatever_the_sizes(value, step, rows, columns, with_filters, seed):
    # At steps of up to 4 levels, such as alpha has, no pixel is wrong.
    sizes = draw_sizes(rows, columns, seed)
    steps = Steps(step, LAPPED if with_filters else PLAIN)
    cells = forward(np.full((32 * rows, 32 * columns), value, np.float32), sizes, steps)
    samples = inverse(np.rint(cells), sizes, steps)
    assert (np.rint(samples / SAMPLE_UNIT) == value).all()


def test_filters_smooth_an_edge_between_blocks():
    # Two flat halves: the jump is where two blocks meet, and smaller after the filter.
    levels = np.zeros((64, 4, 8), np.float32)
    levels[0, :, 4:] = 50
    for size in (8, 32):
        sizes = all_of(size, 4, 8)
        plain, smooth = (inverse(levels, sizes, Steps(64, lapping)) for lapping in (PLAIN, LAPPED))
        assert 0 < (smooth[:, 32] - smooth[:, 31]).max() < 0.7 * (plain[:, 32] - plain[:, 31]).min()
        for samples in (plain, smooth):
            assert (samples[:, :28] == samples[0, 0]).all()
            assert (samples[:, 36:] == samples[0, -1]).all()


# Exactness --------------------------------------------------------------------------------------------------


def divide(number, by):
    """Divide whole numbers and round to the nearest, to the even one in the middle."""
    quotient, rest = number // by, number % by
    up = (2 * rest > by) | ((2 * rest == by) & (quotient % 2 == 1))
    return quotient + up


def filter_plain(plane, kinds, post):
    """Filter rows across horizontal edges: whole numbers in 1/8."""
    out = plane * UNIT
    for (row, column), kind in np.ndenumerate(kinds):
        if kind:
            place = slice(8 * row + 4, 8 * row + 12), slice(8 * column, 8 * column + 8)
            out[place] += post[kind - 1].dot(plane[place])
    return divide(out, UNIT)


def inverse_plain(levels, sizes, steps):
    """Do what `inverse` does, in Python's whole numbers."""
    levels = levels.astype(np.int64).astype(object)
    plane = np.zeros((8 * sizes.shape[0], 8 * sizes.shape[1]), object)
    square = {n: np.rint(dct.basis(n) * 4096).astype(np.int64).astype(object) for n in (2, 4, *SIZES)}
    for n, row, column in blocks_of(sizes):
        k, step = n // 8, steps.of_size[n].astype(np.int64).astype(object)
        found = block_levels(levels, n, row, column)
        coefficients = found * step
        if k > 1:
            coefficients[:k, :k] = divide(square[k].dot(found[:k, :k]).dot(square[k].T) * step[:k, :k], 2**24)
        coefficients = np.clip(coefficients, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
        samples = square[n].T.dot(coefficients).dot(square[n])
        samples = np.clip(divide(samples, 2**24 * 8), -LARGEST_SAMPLE, LARGEST_SAMPLE)
        plane[8 * row : 8 * row + n, 8 * column : 8 * column + n] = samples
    below, beside = edges(sizes)
    post = steps.lapping.post.astype(object)
    plane = filter_plain(plane, below, post)
    return filter_plain(plane.T, beside.T, post).T.astype(np.float64)


def draw_levels(shape, largest, density, rng):
    drawn = rng.integers(-largest, largest + 1, (64, *shape))
    return (drawn * (rng.random(drawn.shape) < density)).astype(np.float32)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([FINEST, 100, 777, 5000, COARSEST]),
    st.sampled_from([0, 0.15, 1]),
    st.sampled_from([1, 9, 300, LARGEST_LEVEL]),
    st.booleans(),
    st.integers(0, 99),
)
@example((1, 1), COARSEST, 1, LARGEST_LEVEL, True, 0)
@example((2, 2), COARSEST, 0, LARGEST_LEVEL, True, 1)
@example((2, 2), 777, 0.15, 9, True, 2)
def test_inverse_is_exact(shape, step, slope, largest, with_filters, seed):
    sizes = draw_sizes(*shape, seed)
    steps = Steps(step, LAPPED if with_filters else PLAIN, slope)
    rng = np.random.default_rng(seed)
    levels = draw_levels(sizes.shape, largest, rng.choice([0.05, 1]), rng)
    samples = inverse(levels, sizes, steps)
    assert np.array_equal(samples, inverse_plain(levels, sizes, steps))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("signs", ["same", "alternating", "waves"])
def test_the_largest_levels_at_the_coarsest_step(size, signs):
    levels = np.full((64, 4, 8), LARGEST_LEVEL, np.float32)
    if signs == "alternating":
        levels[:, ::2] *= -1
        levels[1::2] *= -1
    elif signs == "waves":  # all waves add up in one corner of each block
        corner = np.sign(np.outer(dct.basis(size)[:, -1], dct.basis(size)[:, -1]))
        k = size // 8
        for i in range(k):
            for j in range(k):
                levels[:, i::k, j::k] *= corner[i::k, j::k].reshape(64, 1, 1)
    sizes = all_of(size, 4, 8)
    samples = inverse(levels, sizes, Steps(COARSEST, LAPPED, 1.0))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() < 2**15
    assert np.array_equal(samples, inverse_plain(levels, sizes, Steps(COARSEST, LAPPED, 1.0)))


def test_products_of_the_filters_fit_float32():
    # Twice, one after the other: 2**24 units of the matrices are what float32 holds.
    longest = 1 + (np.abs(LAPPED.post) / UNIT).sum(axis=2).max()
    assert LARGEST_SAMPLE * longest**2 * UNIT < 2**24


def test_post_filters_keep_sums_and_mirror():
    for post in LAPPED.post:
        assert not post.sum(axis=1).any()  # a flat area stays as it is
        assert np.array_equal(post, post[::-1, ::-1])
        assert np.array_equal(post[:4], -post[7:3:-1])  # what one side gains the other loses
    for post, pre in zip(LAPPED.post, LAPPED.pre, strict=True):
        both = (np.eye(8) + post / UNIT) @ (np.eye(8) + pre)
        assert np.allclose(both, np.eye(8), rtol=0, atol=1e-5)


@lappings
@pytest.mark.parametrize("chunk", [1024, 2048, 1 << 20])
def test_how_many_blocks_at_a_time_does_not_matter(lapping, chunk):
    sizes = draw_sizes(3, 4, 5)
    levels = draw_levels(sizes.shape, 200, 0.2, np.random.default_rng(0))
    steps = Steps(900, lapping, 0.15)
    expected = inverse(levels, sizes, steps)
    with mock.patch.object(lapped, "CHUNK", chunk):
        assert np.array_equal(inverse(levels, sizes, steps), expected)


@given(st.integers(0, 14), st.integers(0, 99))
def test_the_last_diagonal_only_skips_zeros(last, seed):
    sizes = draw_sizes(2, 2, seed)
    levels = draw_levels(sizes.shape, 50, 0.3, np.random.default_rng(seed))
    levels[np.add.outer(np.arange(8), np.arange(8)).ravel() > last] = 0
    steps = Steps(700, LAPPED)
    assert np.array_equal(inverse(levels, sizes, steps, last), inverse(levels, sizes, steps))


@lappings
def test_what_is_far_away_does_not_matter(lapping):
    # Blocks of another part of a plane, beyond a block in between, change nothing: strips may be cut.
    sizes = draw_sizes(1, 4, 3)
    levels = draw_levels(sizes.shape, 50, 0.3, np.random.default_rng(1))
    steps = Steps(700, lapping)
    alone = inverse(levels[..., :8], sizes[:, :8], steps)
    assert np.array_equal(inverse(levels, sizes, steps)[:, : 64 - 4], alone[:, : 64 - 4])


# Steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [FINEST, 999, COARSEST])
def test_steps_without_slope_or_filters_are_all_the_same(step):
    for n, steps in Steps(step, PLAIN).of_size.items():
        assert steps.shape == (n, n)
        assert (steps == step).all()


@lappings
@pytest.mark.parametrize("step", [FINEST, 777, COARSEST])
def test_steps_grow_with_the_slope(lapping, step):
    before = {n: np.zeros((n, n)) for n in SIZES}
    for slope in (0, 0.05, 0.15, 0.5, 1):
        for n, steps in Steps(step, lapping, slope).of_size.items():
            assert (steps >= before[n]).all()
            assert np.array_equal(steps, np.rint(steps))
            assert np.array_equal(steps, steps.T)
            assert steps.min() >= 1
            k = n // 8
            assert np.array_equal(steps[:k, :k], Steps(step, lapping).of_size[n][:k, :k])  # these are like DC
            before[n] = steps


def test_steps_grow_with_frequency():
    for n, steps in Steps(6400, PLAIN, 0.15).of_size.items():
        k = n // 8
        assert steps[-1, -1] > steps[-1, 0] > steps[n // 2, 0] > steps[k, 0] > steps[0, 0]
        # The same wave has the same step in all sizes.
        assert np.abs(steps[k::k, k::k] - Steps(6400, PLAIN, 0.15).of_size[8][1:, 1:]).max() <= 1


def test_steps_are_shorter_where_waves_are_longer():
    lengths = {n: np.full(n, 1 << 12, np.int64) for n in SIZES}
    lengths[8][3] = 1 << 13
    steps = Steps(1000, Lapping(PLAIN.post, lengths)).of_size[8]
    assert (steps[0, 0], steps[0, 3], steps[3, 3]) == (1000, 500, 250)
