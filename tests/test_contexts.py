"""Tests of `codec.contexts`: expectations block by block, what a decoder knows at each step, and the order of steps."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec.contexts import (
    CONTEXTS,
    DIAGONALS,
    ESCAPE,
    LAST,
    PHASES,
    Surroundings,
    Weights,
    code_magnitudes,
    from_phases,
    pool,
    slopes,
    to_phases,
)
from codec.scan import ZIGZAG
from codec.trained import KINDS, trained

NEAREST = ((-1, 0), (1, 0), (0, -1), (0, 1))
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
WINDOW = 4
SLOPES = 3  # diagonals that look at the slopes of DC
MADE_UP = "made up"  # weights, none of which are 0
BINS = 41  # contexts of a table: one below 2**-6, then four an octave
STEPS = [(d, phase) for d in range(1, LAST + 1) for phase in range(4)]
even = st.integers(1, 4).map(lambda half: 2 * half)


def draw_magnitudes(rows, columns, seed, density=None):
    """Draw magnitudes (63, rows, columns) in zigzag order; small ones are likelier, and 0 the more so as they go on."""
    rng = np.random.default_rng(seed)
    density = rng.choice([0.02, 0.3, 1]) if density is None else density
    drawn = np.minimum(rng.geometric(rng.choice([0.1, 0.5]), (63, rows, columns)), ESCAPE)
    return (drawn * (rng.random(drawn.shape) < density)).astype(np.float32)


def cells_of(d):
    """Return which of the 63 magnitudes are on a diagonal."""
    return range(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)


def sum_around(plane, row, column, steps):
    """Sum over neighbours of a block, block by block; beyond the edges all is 0."""
    total = 0
    for down, right in steps:
        if 0 <= row + down < plane.shape[0] and 0 <= column + right < plane.shape[1]:
            total += int(plane[row + down, column + right])
    return total


def weights_of(kind):
    """Return the weights of a kind of plane, or ones that leave nothing out."""
    if kind != MADE_UP:
        return trained().planes[kind].ac
    rng = np.random.default_rng(0)

    def draw(*shape):
        return (rng.integers(1, 200, (4, *shape)) / 4096).astype(np.float32)

    numbers = [len(cells_of(d)) for d in range(LAST + 1)]
    rows = [2 * sum(numbers[max(1, d - WINDOW) : d]) for d in range(LAST + 1)]
    return [
        Weights(draw(numbers[d], rows[d]), draw(numbers[d], 2), draw(numbers[d], 3), draw(numbers[d], 1))
        for d in range(1, LAST + 1)
    ]


def expect_plain(weights, d, phase, magnitudes, steep, others):
    """Return what is expected of a step as a dictionary of (cell, row, column), in exact arithmetic."""
    _, rows, columns = magnitudes.shape
    window, beside, slope, constant = (np.asarray(part[phase], np.float64) for part in weights)
    expected = {}
    for row in range(PHASES[phase][0], rows, 2):
        for column in range(PHASES[phase][1], columns, 2):
            past = []
            for before in range(max(1, d - WINDOW), d):
                past += [int(magnitudes[cell, row, column]) for cell in cells_of(before)]
                past += [sum_around(magnitudes[cell], row, column, NEAREST) for cell in cells_of(before)]
            for i, cell in enumerate(cells_of(d)):
                total = constant[i, 0]
                if d <= SLOPES:
                    total += sum(w * known for w, known in zip(slope[i], steep[:, row, column], strict=True))
                if past:
                    total += float(np.dot(window[i], past))
                if phase in (2, 3):
                    total += beside[i, 0] * sum_around(magnitudes[cell], row, column, NEAREST)
                if phase in (1, 3):
                    total += beside[i, 1] * sum_around(magnitudes[cell], row, column, CORNERS)
                for weight, other in zip(beside[i, 2:], others, strict=True):
                    total += weight * int(other[cell, row, column])
                expected[cell, row, column] = total
    return expected


def planes_before(kind):
    """Return how many planes come before one of some kind: luma, and Cb before Cr."""
    return 0 if kind in ("Y", MADE_UP) else 1 if kind.startswith("Cb") else 2


def walk(weights, surroundings, magnitudes, last=LAST, explicit=False):
    """Code magnitudes as an encoder does; return the contexts and places of all steps by their diagonal and phase."""
    phases, calls = to_phases(magnitudes), {}

    def code(d, phase, places, contexts):
        assert (d, phase) not in calls
        calls[d, phase] = places.copy(), contexts.copy()
        return phases[phase, cells_of(d).start : cells_of(d).stop].reshape(-1).take(places)

    code_magnitudes(code, weights, surroundings, last, explicit)
    assert list(calls) == sorted(calls)  # in order
    return calls


# Phases -----------------------------------------------------------------------------------------------------


@given(even, even, st.sampled_from([(), (3,), (2, 5)]), st.sampled_from(["u1", "i4", "f4", "?"]))
def test_phases_there_and_back(rows, columns, before, dtype):
    planes = np.random.default_rng(0).integers(0, 99, (*before, rows, columns)).astype(dtype)
    phases = to_phases(planes)
    assert phases.dtype == planes.dtype
    assert phases.shape == (4, *before, rows // 2 * (columns // 2 + 1))
    assert np.array_equal(from_phases(phases, rows, columns), planes)


def test_phases_by_hand():
    plane = np.arange(1, 17).reshape(4, 4)
    assert to_phases(plane).tolist() == [
        [1, 3, 0, 9, 11, 0],
        [6, 8, 0, 14, 16, 0],
        [2, 4, 0, 10, 12, 0],
        [5, 7, 0, 13, 15, 0],
    ]


@pytest.mark.parametrize(("phase", "known"), [(0, ()), (1, CORNERS), (2, NEAREST), (3, CORNERS + NEAREST)])
def test_what_each_phase_knows_of_its_own_diagonal(phase, known):
    around = {
        step: PHASES.index(((PHASES[phase][0] + step[0]) % 2, (PHASES[phase][1] + step[1]) % 2))
        for step in NEAREST + CORNERS
    }
    assert {step for step, other in around.items() if other < phase} == set(known)


def test_diagonals_are_those_of_the_zigzag():
    for d, cells in enumerate(DIAGONALS):
        assert {sum(divmod(int(cell), 8)) for cell in ZIGZAG[cells]} == {d}
    assert DIAGONALS[LAST].stop == 64


# Slopes and pools -------------------------------------------------------------------------------------------


@given(even, even, st.sampled_from([1, 9, 2**15 - 1]), st.integers(0, 99))
def test_slopes_block_by_block(rows, columns, largest, seed):
    dc = np.random.default_rng(seed).integers(-largest, largest + 1, (rows, columns)).astype(np.int32)
    found = from_phases(slopes(dc), rows, columns)
    for row in range(rows):
        for column in range(columns):
            left, right = int(dc[row, max(column - 1, 0)]), int(dc[row, min(column + 1, columns - 1)])
            up, down = int(dc[max(row - 1, 0), column]), int(dc[min(row + 1, rows - 1), column])
            curved = 4 * int(dc[row, column]) - left - right - up - down
            expected = [min(abs(slope), 2 * ESCAPE) for slope in (right - left, down - up, curved)]
            assert found[:, row, column].tolist() == expected


@given(even, even, st.integers(0, 99))
def test_a_pool_is_the_sum_of_four_blocks_at_half_the_frequency(rows, columns, seed):
    luma = draw_magnitudes(2 * rows, 2 * columns, seed)
    found = from_phases(pool(to_phases(luma), rows, columns), rows, columns)
    place = {int(raster): i for i, raster in enumerate(ZIGZAG)}
    for i, raster in enumerate(ZIGZAG[1:]):
        u, v = divmod(int(raster), 8)
        of_luma = luma[place[8 * ((u + 1) // 2) + (v + 1) // 2] - 1]
        sums = of_luma[::2, ::2] + of_luma[1::2, ::2] + of_luma[::2, 1::2] + of_luma[1::2, 1::2]
        assert np.array_equal(found[i], sums)


def test_what_is_beside_a_pool_stays_0():
    assert not pool(to_phases(np.ones((63, 8, 4), np.float32)), 4, 2).reshape(4, 63, 2, 2)[..., -1].any()


# Expectations -----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.sampled_from(KINDS), st.sampled_from([(2, 2), (2, 6), (6, 2), (4, 4)]), st.integers(0, 99))
@example("Cr 4:2:0", (4, 4), 1)
@example("Y", (4, 4), 2)
@example(MADE_UP, (4, 4), 3)
@example(MADE_UP, (6, 2), 4)
@example(MADE_UP, (2, 2), 5)
def test_expectations_are_exact(kind, shape, seed):
    # Equal to the last bit, although float32 adds up in an order of its own.
    rng = np.random.default_rng(seed)
    magnitudes = draw_magnitudes(*shape, seed)
    steep = slopes(rng.integers(-30, 30, shape).astype(np.int32))
    others = [draw_magnitudes(*shape, seed + 1 + i) * rng.integers(1, 5) for i in range(planes_before(kind))]
    weights = weights_of(kind)
    surroundings = Surroundings(*shape, steep, [to_phases(other) for other in others])
    phases = to_phases(magnitudes)
    for d, phase in STEPS:
        if (seed + d + phase) % 3 == 0 or d in (1, 2, 5):
            plain = expect_plain(weights[d - 1], d, phase, magnitudes, from_phases(steep, *shape), others)
            found = surroundings.expect(weights[d - 1], d, phase)
            assert found.dtype == np.float32
            ours = np.zeros((4, *found.shape), np.float32)
            ours[phase] = found
            ours = from_phases(ours, *shape)
            for (cell, row, column), expected in plain.items():
                assert ours[cell - cells_of(d).start, row, column] == expected
        cells = cells_of(d)
        surroundings.put(d, phase, phases[phase, cells.start : cells.stop])
    assert np.array_equal(from_phases(surroundings.magnitudes(), *shape), magnitudes)


@pytest.mark.parametrize("kind", KINDS)
def test_no_sum_leaves_float32(kind):
    # Multiples of 2**-12 below 2**12 have 24 bits: whatever the magnitudes are, sums are exact in any order.
    around, external = 4 * ESCAPE, 4 * ESCAPE
    for d, weights in enumerate(trained().planes[kind].ac, 1):
        largest = []
        for before in range(max(1, d - WINDOW), d):
            largest += [ESCAPE] * len(cells_of(before)) + [around] * len(cells_of(before))
        assert weights.window.shape[2] == len(largest)
        assert weights.beside.shape[2] == 2 + planes_before(kind)
        most = (
            weights.window.astype(np.float64) @ np.array(largest)
            + weights.beside.astype(np.float64) @ np.array([around, around, *[external] * planes_before(kind)])
            + 2 * ESCAPE * weights.slopes.astype(np.float64).sum(axis=2)
            + weights.constant[..., 0]
        )
        assert most.max() < 2**12
        for part in weights:
            assert np.array_equal(part * 2.0**12, np.rint(part * 2.0**12))
            assert part.min(initial=0) >= 0
        assert weights.constant.min() >= 2.0**-9


# The walk ---------------------------------------------------------------------------------------------------

drawn_planes = st.tuples(st.sampled_from(KINDS), even, even, st.integers(0, 99))


def begin(kind, rows, columns, seed):
    """Return weights, surroundings of a plane and its magnitudes."""
    steep = slopes(np.random.default_rng(seed).integers(-9, 9, (rows, columns)).astype(np.int32))
    others = [to_phases(draw_magnitudes(rows, columns, seed + 1 + i)) for i in range(planes_before(kind))]
    return weights_of(kind), Surroundings(rows, columns, steep, others), draw_magnitudes(rows, columns, seed)


@settings(max_examples=40)
@given(drawn_planes, st.integers(0, LAST), st.booleans())
def test_a_decoder_comes_to_the_same_contexts(plane, last, explicit):
    weights, encoder, magnitudes = begin(*plane)
    calls = walk(weights, encoder, magnitudes, last, explicit)
    phases = to_phases(magnitudes)
    _, decoder, _ = begin(*plane)

    def code(d, phase, places, contexts):
        assert np.array_equal(places, calls[d, phase][0])
        assert np.array_equal(contexts, calls[d, phase][1])
        return phases[phase, cells_of(d).start : cells_of(d).stop].reshape(-1).take(places)

    code_magnitudes(code, weights, decoder, last, explicit)
    found = decoder.magnitudes(last)
    assert np.array_equal(found, encoder.magnitudes(last))
    assert all(d <= last for d, _ in calls)
    # What was coded is there, all else is 0.
    coded = np.zeros(phases.shape, np.bool_)
    for (d, phase), (places, _) in calls.items():
        coded[phase, cells_of(d).start : cells_of(d).stop].reshape(-1)[places] = True
    assert np.array_equal(found, np.where(coded, phases, 0))


@settings(max_examples=40)
@given(drawn_planes, st.booleans())
@example(("Y", 4, 4, 2), True)
def test_contexts_are_quarters_of_octaves(plane, explicit):
    weights, surroundings, magnitudes = begin(*plane)
    _, again, _ = begin(*plane)
    phases = to_phases(magnitudes)
    calls = walk(weights, surroundings, magnitudes, explicit=explicit)
    for d, phase in STEPS:
        expected = again.expect(weights[d - 1], d, phase).astype(np.float64).reshape(-1)
        step = np.zeros(expected.size, np.float32)
        places, contexts = calls.get((d, phase), (np.zeros(0, int), np.zeros(0, int)))
        assert np.array_equal(places, np.flatnonzero(expected >= (2.0**-9 if explicit else 2.0**-6)))
        mantissa, exponent = np.frexp(expected[places])  # in [1/2, 1): quarters of an octave are 1/8 there
        quarters = 4 * (exponent + 5) + np.floor(8 * mantissa).astype(int) - 4
        table = BINS * sum(d >= start for start in (4, 8))
        assert np.array_equal(contexts, table + np.clip(1 + quarters, 0, BINS - 1))  # all below 2**-6 are one
        step[places] = phases[phase, cells_of(d).start : cells_of(d).stop].reshape(-1)[places]
        again.put(d, phase, step.reshape(len(cells_of(d)), -1))


@settings(max_examples=40)
@given(st.sampled_from(KINDS), even, even, st.booleans(), st.integers(0, 99))
def test_nothing_is_coded_where_there_is_no_block(kind, rows, columns, explicit, seed):
    weights, surroundings, _ = begin(kind, rows, columns, seed)
    full = np.full((63, rows, columns), ESCAPE, np.float32)
    width, number = columns // 2 + 1, rows // 2 * (columns // 2 + 1)
    for (d, _), (places, contexts) in walk(weights, surroundings, full, explicit=explicit).items():
        assert (places % number % width < width - 1).all()
        assert places.max() < number * len(cells_of(d))
        assert contexts.min() >= 0
        assert contexts.max() < CONTEXTS


@settings(max_examples=40)
@given(st.sampled_from(KINDS), even, even, st.sampled_from(STEPS), st.integers(0, 99))
@example("Y", 8, 8, (1, 0), 0)
@example("Cr 4:4:4", 4, 6, (LAST, 3), 0)
@example(MADE_UP, 6, 6, (1, 1), 0)
@example(MADE_UP, 6, 6, (4, 2), 0)
@example(MADE_UP, 4, 6, (9, 3), 0)
def test_what_comes_later_has_no_influence(kind, rows, columns, step, seed):
    weights, one, magnitudes = begin(kind, rows, columns, seed)
    _, other, _ = begin(kind, rows, columns, seed)
    changed = to_phases(magnitudes)
    noise = to_phases(draw_magnitudes(rows, columns, seed + 50, 1))
    for d, phase in STEPS[STEPS.index(step) :]:
        changed[phase, cells_of(d).start : cells_of(d).stop] = noise[phase, cells_of(d).start : cells_of(d).stop]
    calls = walk(weights, one, magnitudes)
    calls_of_changed = walk(weights, other, from_phases(changed, rows, columns))
    for key in STEPS[: STEPS.index(step) + 1]:
        assert (key in calls) == (key in calls_of_changed)
        for found, expected in zip(calls_of_changed.get(key, ()), calls.get(key, ()), strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", [*KINDS, MADE_UP])
@pytest.mark.parametrize("shape", [(2, 2), (6, 4), (4, 10)])
def test_an_explicit_plane_codes_all_blocks(kind, shape):
    rows, columns = shape
    blocks = to_phases(np.ones((1, rows, columns), np.bool_))[:, 0]
    for magnitudes in (np.zeros((63, *shape), np.float32), draw_magnitudes(*shape, 3)):
        weights, _, _ = begin(kind, *shape, 0)
        steep = slopes(np.zeros(shape, np.int32))
        others = [to_phases(np.zeros((63, *shape), np.float32)) for _ in range(planes_before(kind))]
        surroundings = Surroundings(*shape, steep, others)
        calls = walk(weights, surroundings, magnitudes, explicit=True)
        assert list(calls) == STEPS
        for (d, phase), (places, _) in calls.items():
            assert np.array_equal(places, np.flatnonzero(np.tile(blocks[phase], len(cells_of(d)))))
        # So nothing is lost.
        assert np.array_equal(from_phases(surroundings.magnitudes(), *shape), magnitudes)


@pytest.mark.parametrize("explicit", [False, True])
def test_a_level_amid_nothing_is_implied_to_be_0_or_explicit(explicit):
    magnitudes = np.zeros((63, 8, 8), np.float32)
    magnitudes[cells_of(9).start, 3, 3] = 1
    surroundings = Surroundings(8, 8, slopes(np.zeros((8, 8), np.int32)))
    calls = walk(trained().planes["Y"].ac, surroundings, magnitudes, explicit=explicit)
    assert surroundings.magnitudes().any() == explicit
    _, contexts = calls[9, 1]
    assert contexts.tolist() == ([BINS * 2] * contexts.size if explicit else [])


def test_an_empty_plane_expects_the_least():
    weights = trained().planes["Y"].ac
    surroundings = Surroundings(4, 4, slopes(np.zeros((4, 4), np.int32)))
    empty = walk(weights, surroundings, np.zeros((63, 4, 4), np.float32))
    full = Surroundings(4, 4, slopes(np.zeros((4, 4), np.int32)))
    busy = walk(weights, full, np.full((63, 4, 4), 5, np.float32))
    for key, (places, contexts) in empty.items():
        assert set(places) <= set(busy[key][0])
        assert (contexts <= busy[key][1][np.isin(busy[key][0], places)]).all()
