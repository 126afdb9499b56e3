"""Tests of `codec.trellis`: the machine, the best path of all, quantisers in both directions, whole strips."""

import itertools
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec import strip_encoder
from codec.contexts import (
    CONTEXTS,
    DIAGONALS,
    ESCAPE,
    LAST,
    Surroundings,
    code_magnitudes,
    from_phases,
    slopes,
    to_phases,
)
from codec.dc_pyramid import CONTEXTS as DC_CONTEXTS
from codec.rdoq import choose_levels as choose_singly
from codec.scan import ZIGZAG
from codec.strip_encoder import PlaneEncoder, encode_plane
from codec.trained import KINDS as KINDS_OF_PLANES
from codec.trained import trained
from codec.trellis import NEXT, Chain, choose_levels
from tests.strips import KINDS, decode, draw_wanted, encode, encode_ahead, encode_once

# By state: where an even level leads, and an odd one.
MACHINE = ((0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5))
WEIGHT = 0.12
kinds = pytest.mark.parametrize("kind", KINDS)


def chain_of(last):
    """Return the order in which a chain goes through the levels of a group: phases and cells."""
    return [
        (phase, cell)
        for d in range(1, last + 1)
        for phase in range(4)
        for cell in range(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)
    ]


def dequantise(levels, last=LAST):
    """Step through the machine: levels (4, 63, N) to which are of the second quantiser, and to twice their values."""
    second, doubled = np.zeros(levels.shape, np.bool_), np.zeros(levels.shape, int)
    for group in range(levels.shape[2]):
        state = 0
        for phase, cell in chain_of(last):
            level = int(levels[phase, cell, group])
            second[phase, cell, group] = state % 2
            doubled[phase, cell, group] = 2 * level - state % 2 if level else 0
            state = MACHINE[state][1 if level >= 17 else level % 2]
    return second, doubled


def cost(levels, magnitudes, contexts, bits, weight, last=LAST):
    """Return J of each group, in float64."""
    second, doubled = dequantise(levels, last)
    total = np.square(magnitudes.astype(np.float64) - doubled / 2)
    price = bits[second.astype(int), np.maximum(contexts, 0), np.minimum(levels, ESCAPE).astype(int)].astype(np.float64)
    total += np.where(contexts >= 0, weight[:, None] * price, 0)
    cells = DIAGONALS[last].stop - 1
    return total[:, :cells].sum(axis=(0, 1))


def rising_bits(rng, contexts, step):
    """Draw what levels cost: the larger the more."""
    return rng.uniform(0, step, (2, contexts, ESCAPE + 1)).cumsum(axis=2).astype(np.float32)


def bits_of(kind):
    """Return what levels cost in the tables of the package, with their signs."""
    bits = trained().planes[kind].tables.bits[DC_CONTEXTS + CONTEXTS :].reshape(2, CONTEXTS, -1).copy()
    bits[..., 1:] += 1
    return bits


# The machine ------------------------------------------------------------------------------------------------


def test_each_state_is_entered_by_two_ways():
    assert NEXT.tolist() == [list(row) for row in MACHINE]
    for parity in range(2):
        assert sorted(NEXT[:, parity]) == [*range(8)]
    assert (NEXT[:, 0] != NEXT[:, 1]).all()


def test_every_state_is_reached_from_every_other_in_three_steps():
    for state in range(8):
        ends = {
            MACHINE[MACHINE[MACHINE[state][one]][two]][three]
            for one, two, three in itertools.product(range(2), repeat=3)
        }
        assert ends == {*range(8)}


# The best path ----------------------------------------------------------------------------------------------


def best_of_all(magnitudes, contexts, bits, weight, levels):
    """Return the least J of a group over all sequences of levels on the first diagonal: eight levels."""
    sequences = np.array([*itertools.product(range(levels), repeat=8)])
    state, total = np.zeros(len(sequences), int), np.zeros(len(sequences))
    for (phase, cell), level in zip(chain_of(1), sequences.T, strict=True):
        half = np.where(level > 0, state % 2 / 2, 0)
        total += np.square(float(magnitudes[phase, cell]) - (level - half))
        context = contexts[phase, cell]
        if context >= 0:
            total += float(weight[phase]) * bits[state % 2, context, level].astype(np.float64)
        else:
            total[level > 0] = np.inf
        state = np.array(MACHINE)[state, level % 2]
    return total.min()


@settings(max_examples=12)
@given(st.floats(0.1, 2.4), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.0, 0.3]), st.integers(0, 999))
@example(2.4, 0.0, 0.0, 0)
@example(1.2, 0.5, 0.9, 1)
def test_no_other_levels_cost_less(largest, weight, implied, seed):
    rng = np.random.default_rng(seed)
    groups = 2
    magnitudes = rng.uniform(0, largest, (4, 63, groups)).astype(np.float32)
    contexts = np.where(rng.random(magnitudes.shape) < implied, -1, rng.integers(0, 5, magnitudes.shape))
    bits = rising_bits(rng, 5, 3)
    weights = np.full((4, groups), weight, np.float32) * rng.choice([1, 2], (4, groups)).astype(np.float32)
    levels = choose_levels(magnitudes, contexts, bits, weights, 1)
    assert levels.dtype == np.float32
    assert not levels[:, DIAGONALS[1].stop - 1 :].any()
    found = cost(levels, magnitudes, contexts, bits, weights, 1)
    for group in range(groups):
        best = best_of_all(magnitudes[..., group], contexts[..., group], bits, weights[:, group], 4)
        assert found[group] == pytest.approx(best, rel=1e-5, abs=1e-5)


def best_by_table(magnitudes, contexts, bits, weight, last, largest):
    """Return the least J of a group over all levels up to the largest: for each state in turn, in float64."""
    least = {0: 0.0}
    for phase, cell in chain_of(last):
        after: dict[int, float] = {}
        context = contexts[phase, cell]
        for state, so_far in least.items():
            for level in range(largest + 1 if context >= 0 else 1):
                error = float(magnitudes[phase, cell]) - (level - (state % 2 / 2 if level else 0))
                total = so_far + error * error
                if context >= 0:
                    total += float(weight[phase]) * float(bits[state % 2, context, min(level, ESCAPE)])
                to = MACHINE[state][1 if level >= 17 else level % 2]
                after[to] = min(after.get(to, np.inf), total)
        least = after
    return min(least.values())


@pytest.mark.parametrize(("largest", "weight", "last"), [(6, 0.12, 5), (21, 0.12, 3), (21, 1.0, 2), (18.4, 0.5, 3)])
def test_no_other_levels_cost_less_with_larger_ones(largest, weight, last):
    # Beyond 16 all levels count as odd, and cost the same.
    rng = np.random.default_rng(1)
    for case in range(3):
        magnitudes = rng.uniform(0 if case else largest / 2, largest, (4, 63, 1)).astype(np.float32)
        contexts = np.where(rng.random(magnitudes.shape) < 0.1, -1, rng.integers(0, 5, magnitudes.shape))
        bits = rising_bits(rng, 5, 1)
        weights = np.full((4, 1), weight, np.float32)
        levels = choose_levels(magnitudes, contexts, bits, weights, last)
        best = best_by_table(magnitudes[..., 0], contexts[..., 0], bits, weights[:, 0], last, int(largest) + 2)
        assert cost(levels, magnitudes, contexts, bits, weights, last)[0] == pytest.approx(best, rel=1e-5)


def test_the_odd_level_below_18_is_not_16():
    # Where 17 is dear, and an odd level would lead to where the last one fits.
    magnitudes, contexts = np.zeros((4, 63, 1), np.float32), np.full((4, 63, 1), -1)
    magnitudes[0, 0], magnitudes[3, 1] = 17.6, 1.4
    contexts[0, 0] = contexts[3, 1] = 0
    bits = np.zeros((2, 1, ESCAPE + 1), np.float32)
    bits[..., ESCAPE] = 40
    weight = np.full((4, 1), 0.2, np.float32)
    levels = choose_levels(magnitudes, contexts, bits, weight, 1)
    assert (levels[0, 0, 0], levels[3, 1, 0]) == (16, 1)
    best = best_by_table(magnitudes[..., 0], contexts[..., 0], bits, weight[:, 0], 1, 20)
    assert cost(levels, magnitudes, contexts, bits, weight, 1)[0] == pytest.approx(best, rel=1e-5)


@settings(max_examples=20)
@given(st.sampled_from(KINDS_OF_PLANES), st.sampled_from([0.3, 2.0, 30.0]), st.integers(1, LAST), st.integers(0, 99))
def test_never_worse_than_rounding(kind, scale, last, seed):
    rng = np.random.default_rng(seed)
    magnitudes = np.abs(rng.laplace(0, scale, (4, 63, 3))).astype(np.float32)
    magnitudes[:, DIAGONALS[last].stop - 1 :] = 0
    contexts, bits = rng.integers(0, CONTEXTS, magnitudes.shape), bits_of(kind)
    weight = rng.uniform(0, 0.2, (4, 3)).astype(np.float32)
    found = cost(choose_levels(magnitudes, contexts, bits, weight, last), magnitudes, contexts, bits, weight, last)
    for deadzone in (0.5, 0.3):
        rounded = np.zeros_like(magnitudes)
        states = [0] * 3
        for phase, cell in chain_of(last):
            for group, state in enumerate(states):
                level = int(magnitudes[phase, cell, group] + state % 2 / 2 + deadzone)
                rounded[phase, cell, group] = level
                states[group] = MACHINE[state][1 if level >= 17 else level % 2]
        worse = cost(rounded, magnitudes, contexts, bits, weight, last)
        assert (found <= worse * (1 + 1e-5) + 1e-5).all()


def test_errors_lie_between_those_of_whole_and_of_half_steps():
    magnitudes = np.random.default_rng(0).uniform(2, 15, (4, 63, 50)).astype(np.float32)
    contexts, bits = np.zeros(magnitudes.shape, int), np.zeros((2, 1, ESCAPE + 1), np.float32)
    levels = choose_levels(magnitudes, contexts, bits, np.zeros((4, 50), np.float32))
    error = np.square(dequantise(levels)[1] / 2 - magnitudes).mean()
    # Of 1/12 and 1/48. Twice as many places at equal bits would be 1/48; the lattices' gain is up to 1.5 dB of 6.
    assert 1 / 48 < error < 1 / 12 / 10**0.08


def test_what_is_implied_stays_0():
    rng = np.random.default_rng(0)
    magnitudes = rng.uniform(0, 25, (4, 63, 40)).astype(np.float32)
    contexts = np.where(rng.random(magnitudes.shape) < 0.5, -1, 3)
    levels = choose_levels(magnitudes, contexts, bits_of("Y"), np.full((4, 40), WEIGHT, np.float32))
    assert not levels[contexts < 0].any()
    assert np.count_nonzero(levels[contexts >= 0]) > 0.9 * np.count_nonzero(contexts >= 0)
    assert np.array_equal(levels, np.rint(levels))


def test_diagonals_after_the_last_stay_0():
    magnitudes = np.full((4, 63, 3), 5, np.float32)
    for last in range(LAST + 1):
        contexts, weight = np.zeros(magnitudes.shape, int), np.zeros((4, 3), np.float32)
        levels = choose_levels(magnitudes, contexts, bits_of("Y"), weight, last)
        cells = DIAGONALS[last].stop - 1
        assert levels[:, :cells].all()
        assert not levels[:, cells:].any()


def test_groups_do_not_depend_on_each_other():
    rng = np.random.default_rng(0)
    magnitudes = np.abs(rng.laplace(0, 3, (4, 63, 6))).astype(np.float32)
    contexts, weight = rng.integers(-1, CONTEXTS, magnitudes.shape), rng.uniform(0, 1, (4, 6)).astype(np.float32)
    whole = choose_levels(magnitudes, contexts, bits_of("Y"), weight)
    for group in range(6):
        one = slice(group, group + 1)
        alone = choose_levels(magnitudes[..., one], contexts[..., one], bits_of("Y"), weight[:, one])
        assert np.array_equal(alone, whole[..., one])


# Chains -----------------------------------------------------------------------------------------------------


def walk(rows, columns, answer, last, explicit):
    """Walk through a plane with a chain; `answer` gives the symbols of a step. Return all calls, and what is known."""
    around = Surroundings(rows, columns, slopes(np.arange(rows * columns).reshape(rows, columns)))
    calls = []

    def code(d, phase, places, contexts):
        symbols = answer(d, phase, places)
        calls.append((d, phase, places.copy(), contexts.copy(), symbols))
        return symbols

    chain = Chain(code, around.places)
    code_magnitudes(chain.code, trained().planes["Y"].ac, around, last, explicit)
    return calls, chain.second, around.magnitudes(last)


@settings(max_examples=20)
@given(
    st.sampled_from([(2, 2), (2, 6), (4, 4), (6, 2)]),
    st.sampled_from([0.05, 0.5, 1.0]),
    st.integers(0, LAST),
    st.booleans(),
    st.integers(0, 99),
)
@example((4, 4), 1.0, LAST, True, 0)
def test_both_directions_know_the_quantisers(shape, density, last, explicit, seed):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(1, ESCAPE + 1, (63, *shape)) * (rng.random((63, *shape)) < density)
    levels = to_phases(drawn.astype(np.uint8))

    def given_ones(d, phase, places):
        return levels[phase, DIAGONALS[d].start - 1 : DIAGONALS[d].stop - 1].reshape(-1).take(places)

    calls, second, magnitudes = walk(*shape, given_ones, last, explicit)
    expected, _ = dequantise(magnitudes, last)
    assert np.array_equal(second, expected)
    coded = np.zeros(levels.shape, np.bool_)
    groups = levels.shape[2]
    for d, phase, places, contexts, symbols in calls:
        cells = DIAGONALS[d].start - 1 + places // groups
        assert len(set(cells.tolist())) <= 1  # a single cell at a time, since the next one depends on it
        coded[phase, cells, places % groups] = True
        assert np.array_equal(magnitudes[phase, cells, places % groups], symbols)
        assert np.array_equal(contexts // CONTEXTS - 1, expected[phase, cells, places % groups])
    assert np.array_equal(magnitudes, np.where(coded, levels, 0))
    answers = iter(calls)

    def read(d, phase, places):
        known = next(answers)
        assert (d, phase) == known[:2]
        assert np.array_equal(places, known[2])
        return known[4].astype(np.uint32)

    calls_too, second_too, magnitudes_too = walk(*shape, read, last, explicit)
    assert next(answers, None) is None
    assert all(np.array_equal(one[3], other[3]) for one, other in zip(calls, calls_too, strict=True))
    assert np.array_equal(second_too, second)
    assert np.array_equal(magnitudes_too, magnitudes)


def test_a_chain_codes_all_that_is_coded_without_one():
    # The left half is empty, the right one full.
    levels = to_phases((np.ones((63, 8, 1)) * (np.arange(10) > 4)).astype(np.uint8))
    dc = np.ones((8, 1), int) * np.array([*[0] * 5, *[9, 0, 9, 0, 9]])
    found = {}
    for chained in (False, True):
        around = Surroundings(8, 10, slopes(dc))
        coded = found.setdefault(chained, {})

        def code(d, phase, places, contexts, coded=coded):
            for place, context in zip(places.tolist(), contexts.tolist(), strict=True):
                assert (d, phase, place) not in coded
                coded[d, phase, place] = context % CONTEXTS
            return levels[phase, DIAGONALS[d].start - 1 : DIAGONALS[d].stop - 1].reshape(-1).take(places)

        code_magnitudes(Chain(code, around.places).code if chained else code, trained().planes["Y"].ac, around, LAST)
    assert found[False] == found[True]
    assert 300 < len(found[True]) < 63 * 8 * 10 - 300  # some are implied to be 0, and some are not


# Whole strips -----------------------------------------------------------------------------------------------


def check(planes, wanted, code=encode_ahead):
    """Code a strip there and back; return its bytes, and levels by a plain dequantiser."""
    data, coded, levels = code(planes, wanted)
    found, decoded = decode(planes, data)
    for plane, want, one, other, of_one, of_other in zip(planes, wanted, coded, found, levels, decoded, strict=True):
        assert np.array_equal(of_one, of_other)
        assert np.array_equal(one.magnitudes, other.magnitudes)
        magnitudes = to_phases(np.ceil(np.abs(of_other[ZIGZAG[1:]])))
        assert np.array_equal(np.minimum(magnitudes, ESCAPE), other.magnitudes)
        second, doubled = dequantise(magnitudes, other.last)
        cells = DIAGONALS[other.last].stop - 1
        for of_either in (one, other):
            assert np.array_equal(of_either.second[:, :cells], second[:, :cells])
        plain = from_phases(doubled, plane.rows, plane.columns)
        assert np.array_equal(2 * np.abs(of_other[ZIGZAG[1:]]), plain)
        assert (of_other * want.cells >= 0)[1:].all()
    return data, decoded


drawn_strips = st.tuples(st.sampled_from([*KINDS]), st.integers(1, 2), st.integers(1, 2), st.integers(0, 99))


@settings(max_examples=10)
@given(drawn_strips, st.sampled_from([0.0, 0.5, 3.0, 40.0]), st.booleans(), st.sampled_from([0, 1, 5, LAST]))
@example(("4:2:0 and alpha", 1, 1, 0), 3.0, True, LAST)
@example(("4:4:4 and alpha", 1, 1, 0), 40.0, True, 2)
def test_there_and_back(strip, scale, sloped, last):
    planes, wanted = draw_wanted(*strip, scale=scale, optimised=True, trellis=2, sloped=sloped, last=last)
    check(planes, wanted)


@kinds
def test_huge_levels_there_and_back(kind):
    planes, wanted = draw_wanted(kind, 1, 1, 0, optimised=True, trellis=2)
    rng = np.random.default_rng(0)
    for want in wanted:
        drawn = 2.0 ** rng.uniform(3, 15.5, want.cells[1:].shape) * rng.choice([-1, 1], want.cells[1:].shape)
        want.cells[1:] = np.where(rng.random(drawn.shape) < 0.5, drawn, rng.uniform(-18, 18, drawn.shape))
    _, levels = check(planes, wanted)
    for want, found in zip(wanted, levels, strict=True):
        assert np.abs(found).max() > 2**14
        large = (found != 0) & (np.abs(want.cells) > ESCAPE + 1)
        assert large.sum() > 100
        assert np.abs(found - want.cells)[large].max() <= 0.5  # all are odd: nothing keeps them from the nearest


@kinds
@pytest.mark.parametrize("explicit", [False, True])
def test_any_levels_are_a_path(kind, explicit):
    planes, wanted = draw_wanted(kind, 1, 1, 3, trellis=2)
    rng = np.random.default_rng(0)
    given_ones = []
    for want in wanted:
        sign = rng.choice([-1, 1], want.cells[1:].shape)
        want.cells[1:] = sign * rng.choice([0, 1, 2, 16, 17, 18, 19, 40_000], sign.shape)
        given_ones.append(to_phases(np.abs(want.cells[ZIGZAG[1:]])))

    def code(planes, wanted):
        return encode_once(planes, wanted, explicit=explicit, given=given_ones)

    _, levels = check(planes, wanted, code)
    for want, of_plane in zip(wanted, levels, strict=True):
        found, wanted_ones = np.ceil(np.abs(of_plane[1:])), np.abs(want.cells[1:])
        assert np.array_equal(found, wanted_ones if explicit else np.where(found, wanted_ones, 0))
        assert np.count_nonzero(found) > 0.4 * found.size


def test_attempts_end_with_levels_that_can_be_coded():
    # Where little is coded at all, a better attempt often wants a level where an earlier one implies 0.
    broken = set()
    for attempts in (1, 3):
        planes, wanted = draw_wanted("4:2:0", 2, 2, 0, scale=1.2, optimised=True, trellis=attempts)
        coders: list[PlaneEncoder] = []

        def attempt(*args, coders=coders, **options):
            coders.append(PlaneEncoder(*args, **options))
            return coders[-1]

        coded = []
        with (
            mock.patch.object(strip_encoder, "PlaneEncoder", attempt),
            mock.patch.object(PlaneEncoder, "cost", lambda coder, _: 0 if coder.head.trellis else 1),
        ):
            for plane, want in zip(planes, wanted, strict=True):
                coder, result = encode_plane(plane, want, coded, trained())
                coded.append(result)
                assert coder is coders[-1]
                assert not coder.broken
                assert coder.head.trellis
        check(planes, wanted)
        broken |= {(attempts, coder.broken) for coder in coders}
    assert broken == {(1, False), (1, True), (3, False), (3, True)}


def test_what_was_implied_once_stays_0_in_all_attempts():
    # Otherwise two attempts could break each other in turn for ever.
    numbers = set()
    for seed in range(6):
        planes, wanted = draw_wanted("gray", 2, 2, seed, scale=1.2, optimised=True, trellis=4)
        with mock.patch.object(strip_encoder.trellis, "choose_levels", wraps=choose_levels) as spy:
            _, coded, _ = encode_ahead(planes, wanted)
        implied = [call.args[1] < 0 for call in spy.call_args_list]
        assert len(implied) >= 4
        for before, after in itertools.pairwise(implied):
            assert (after | ~before).all()
            numbers.add(np.count_nonzero(after & ~before))
        assert not coded[0].magnitudes[implied[-1]].any()
    assert max(numbers) > 0


def test_what_costs_less_is_kept():
    # Levels of the trellis or single ones, as an encoder counts costs.
    kept = set()
    for scale, seed in ((0.3, 0), (6, 1), (6, 2), (0, 3)):
        planes, wanted = draw_wanted("4:4:4", 1, 1, seed, scale=scale, optimised=True, trellis=2)
        coded = []
        for plane, want in zip(planes, wanted, strict=True):
            costs = {}
            for trellis in (0, 2):
                with mock.patch.object(PlaneEncoder, "cost", lambda coder, _: 0 if coder.head.trellis else 1):
                    coder, result = encode_plane(plane, want._replace(trellis=trellis), coded, trained())
                costs[bool(trellis)] = coder.cost(result)
            coder, result = encode_plane(plane, want, coded, trained())
            assert coder.head.trellis == (costs[True] < costs[False])
            assert coder.cost(result) == min(costs.values())
            kept.add(coder.head.trellis)
            coded.append(result)
    assert kept == {False, True}


def test_the_head_tells_of_the_trellis():
    planes, wanted = draw_wanted("gray", 1, 1, 1, scale=6, optimised=True, trellis=2)
    assert encode_ahead(planes, wanted)[0][0] & 0x40
    assert not encode_ahead(planes, [wanted[0]._replace(trellis=0)])[0][0] & 0x40


def test_single_choices_are_the_first_attempt():
    # What the trellis starts from are levels by `codec.rdoq`.
    planes, wanted = draw_wanted("gray", 1, 1, 1, scale=6, optimised=True, trellis=2)
    with mock.patch.object(strip_encoder, "choose_levels", wraps=choose_singly) as singly:
        encode(planes, wanted)
    assert singly.call_count >= 4 * LAST // 2
