"""Tests of `codec.strip_encoder`: the choice of DC levels, what is implied and what explicit, lanes."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitstreams.bits import read_varint
from bitstreams.rans import SYMBOLS_OF_LANE
from codec import dc_pyramid
from codec.context_strip import Head, code_plane
from codec.contexts import DIAGONALS, LAST, to_phases
from codec.scan import ZIGZAG
from codec.strip_encoder import MANY_LANES, SYMBOLS_A_LANE, PlaneEncoder, Wanted, encode_plane, join
from codec.trained import KINDS, trained
from tests.strips import decode, draw_wanted, encode, encode_once, planes_of

WEIGHT = 0.12


def flat(value, rows=4, columns=4, weight=WEIGHT, optimised=True):
    """Want a plane of one DC level, and nothing else."""
    cells = np.zeros((64, rows, columns), np.float32)
    cells[0] = value
    return Wanted(cells, np.full((rows, columns), 8, np.uint8), weight, optimised)


def star(rows=8, columns=8, level=3.0):
    """Want a plane with a single level of a high frequency."""
    wanted = flat(0, rows, columns)
    wanted.cells[ZIGZAG[DIAGONALS[9].start], rows // 2, columns // 2] = level
    return wanted


def heads(data, planes):
    return [Head.from_byte(byte) for byte in data[: len(planes)]]


# DC levels --------------------------------------------------------------------------------------------------


def choose_dc(target, contexts, predicted, weight, kind="Y", optimised=True):
    """Let an encoder choose DC levels at given predictions."""
    (plane,) = planes_of("gray", 32, 32)
    wanted = flat(0, optimised=optimised, weight=weight)
    wanted.cells[0] = np.resize(target, (4, 4))
    coder = PlaneEncoder(plane._replace(model=trained().planes[kind]), wanted, trained())
    contexts, predicted = np.resize(contexts, 16).astype(np.int32), np.resize(predicted, 16).astype(np.float64)
    return predicted + coder.dc(contexts, predicted, np.arange(16))


def dc_cost(target, level, context, predicted, weight, kind):
    """Return J of a DC level: its symbol, its extra bits, and a sign if it is not the prediction."""
    difference = abs(int(level - predicted))
    symbol = int(dc_pyramid.classify(np.array([difference]))[0])
    frequency = int(trained().planes[kind].tables.frequencies[context, symbol])
    bits = 12 - np.log2(frequency) + max(symbol // 2 - 1, 0) + (difference > 0)
    return (target - level) ** 2 + weight * bits


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.sampled_from([0.0, 0.05, 0.12, 0.5]), st.integers(0, 999))
def test_dc_levels_cost_the_least_of_the_nearest_and_the_next_on_the_way(kind, weight, seed):
    rng = np.random.default_rng(seed)
    target = np.float32(rng.uniform(-40, 40, 16)).astype(np.float64)
    predicted = np.rint(target + rng.choice([1, 4, 60]) * rng.normal(0, 1, 16))
    contexts = rng.integers(0, dc_pyramid.CONTEXTS, 16)
    found = choose_dc(target, contexts, predicted, weight, kind)
    for place in range(16):
        nearest = np.rint(target[place])
        # Towards the prediction there may be fewer bits; the other way there never are, for less error.
        candidates = [nearest, nearest + np.sign(predicted[place] - nearest)]
        costs = [dc_cost(target[place], level, contexts[place], predicted[place], weight, kind) for level in candidates]
        assert found[place] in candidates
        ours = costs[candidates.index(found[place])]
        assert ours <= min(costs) + 1e-4


def test_a_sign_is_a_bit():
    # A weight at which a difference of 1 is worth what its symbol takes, but not its sign in addition.
    for context in (0, 10, 25):
        bits = trained().planes["Y"].tables.bits[context].astype(float)
        more = bits[1] - bits[0]  # for an error that is less by 0.7**2 - 0.3**2
        for weight, expected in ((0.4 / (more + 2), 6), (0.4 / (more + 0.5), 5)):
            assert (choose_dc([5.7], [context], [5], weight) == expected).all()
            assert (choose_dc([4.3], [context], [5], weight) == 10 - expected).all()


@pytest.mark.parametrize("away", [0.55, -0.55])
def test_dc_levels_go_towards_the_prediction(away):
    for optimised in (False, True):
        wanted = flat(10, 8, 8, optimised=optimised)
        wanted.cells[0, 3, 5] += away
        planes = planes_of("gray", 64, 64)
        _, (levels,) = decode(planes, encode(planes, [wanted])[0])
        expected = np.full((8, 8), 10.0)
        if not optimised:
            expected[3, 5] += np.sign(away)
        assert np.array_equal(levels[0], expected)


def test_dc_levels_are_the_nearest_without_a_weight():
    target = np.random.default_rng(0).uniform(-99, 99, 16)
    for weight, optimised in ((0.0, True), (1.0, False)):
        found = choose_dc(target, [30], [0], weight, optimised=optimised)
        assert np.array_equal(found, np.rint(np.float32(target)))


# Implied and explicit ---------------------------------------------------------------------------------------


def test_a_star_makes_a_plane_explicit():
    planes = planes_of("gray", 64, 64)
    data, _, (told,) = encode(planes, [star()])
    assert heads(data, planes) == [Head(9, explicit=True)]
    _, (levels,) = decode(planes, data)
    assert np.array_equal(levels, told)
    assert np.count_nonzero(levels) == 1
    assert levels[ZIGZAG[DIAGONALS[9].start], 4, 4] == 3


def test_without_it_the_star_is_lost():
    planes = planes_of("gray", 64, 64)
    for explicit in (False, True):
        data, _, (told,) = encode_once(planes, [star()], explicit=explicit)
        _, (levels,) = decode(planes, data)
        assert np.array_equal(levels, told)
        assert levels.any() == explicit
        assert heads(data, planes) == [Head(9, explicit=True) if explicit else Head(0)]


def test_a_decoder_goes_by_what_the_head_says():
    planes, wanted = draw_wanted("gray", 2, 2, 1, scale=2)
    for explicit in (False, True):
        data, _, (told,) = encode_once(planes, wanted, explicit=explicit)
        assert np.array_equal(decode(planes, data)[1][0], told)
        other = bytes([data[0] ^ 0x80]) + data[1:]
        with pytest.raises(ValueError, match=r"signs belong|not those that|too early|plain bits|bit fields"):
            decode(planes, other)


def test_a_faint_star_is_not_worth_it():
    planes = planes_of("gray", 64, 64)
    assert heads(encode(planes, [star(level=0.6)])[0], planes) == [Head(0)]
    # The larger the plane, the more zeros are coded beside it.
    assert heads(encode(planes, [star(level=2.2)])[0], planes) == [Head(9, explicit=True)]
    large = planes_of("gray", 512, 512)
    assert heads(encode(large, [star(64, 64, level=2.2)])[0], large) == [Head(0)]
    # Unless nearly a whole block would be lost, for all to see.
    assert heads(encode(large, [star(64, 64, level=4.3)])[0], large) == [Head(9, explicit=True)]


def test_contexts_tell_what_was_implied():
    planes, wanted = draw_wanted("gray", 2, 2, 1, scale=2)
    coders = [PlaneEncoder(planes[0], wanted[0], trained(), explicit=explicit) for explicit in (False, True)]
    blocks = to_phases(np.ones((63, 8, 8), np.bool_))
    for coder in coders:
        code_plane(coder, planes[0], [])
    assert coders[0].highest == coders[1].highest
    cells = slice(DIAGONALS[coders[0].highest].stop - 1)
    implied, none = (coder.contexts < 0 for coder in coders)
    assert np.array_equal(none[:, cells], ~blocks[:, cells])
    assert none[:, cells.stop :].all()
    assert 0 < np.count_nonzero(implied & blocks) < blocks.sum()
    assert coders[0].contexts.max() < 3 * 41


def test_levels_that_are_given_are_broken_where_0_is_implied():
    planes, wanted = planes_of("gray", 64, 64), star()
    given_one = np.abs(to_phases(wanted.cells[ZIGZAG[1:]]))
    for explicit in (False, True):
        coder = PlaneEncoder(planes[0], wanted, trained(), explicit=explicit, given=given_one)
        result = code_plane(coder, planes[0], [])
        assert coder.broken != explicit
        # What is written is what a decoder gets all the same.
        assert np.array_equal(decode(planes, join([coder]))[1][0], coder.decoded(result))


# Diagonals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0, 1, 5, LAST])
def test_diagonals_after_the_last_level_are_not_coded(last):
    # Coefficients that could be levels, but are not worth it, in all that follow.
    planes, wanted = planes_of("gray", 64, 64), [flat(3, 8, 8)]
    of_d = np.add.outer(np.arange(8), np.arange(8)).ravel()
    wanted[0].cells[(of_d > 0) & (of_d <= last), 1:5, 1:3] = 9
    wanted[0].cells[of_d > last, 1:7, 6] = 0.51
    data, coded, _ = encode(planes, wanted)
    assert coded[0].last == last
    assert heads(data, planes)[0].last == last
    without = [wanted[0]._replace(cells=wanted[0].cells * (of_d <= last)[:, None, None])]
    assert encode(planes, without)[0] == data


# Lanes ------------------------------------------------------------------------------------------------------


def lanes_of(data, planes):
    plain, at = read_varint(data, len(planes))
    return read_varint(data, at + plain)[0]


def test_lanes_have_no_more_symbols_than_they_may():
    # Many symbols, and no signs to hide: explicit planes, the last diagonal of which has one level.
    planes, wanted = planes_of("gray", 256, 256), star(32, 32, 6.0)
    coder, _ = encode_plane(planes[0], wanted, [], trained())
    assert coder.head.explicit
    data = join([coder])
    assert lanes_of(data, planes) == -(-coder.rans.count // SYMBOLS_OF_LANE) > 5
    assert np.count_nonzero(decode(planes, data)[1][0]) == 1


def test_lanes_by_symbols_and_signs():
    planes, wanted = draw_wanted("gray", 6, 6, 1, scale=10)
    coder, _ = encode_plane(planes[0], wanted[0], [], trained())
    assert lanes_of(join([coder]), planes) == min(coder.rans.count // SYMBOLS_A_LANE, coder.signs.size // 16)
    assert MANY_LANES <= 1 << 14


def test_join_keeps_the_planes_apart():
    planes, wanted = draw_wanted("4:2:0", 1, 1, 1, sloped=True)
    coders, coded = [], []
    for plane, want in zip(planes, wanted, strict=True):
        coder, result = encode_plane(plane, want, coded, trained())
        coders.append(coder)
        coded.append(result)
    counts = [coder.rans.count for coder in coders]
    assert join(coders) == join(coders)
    assert [coder.rans.count for coder in coders] == counts  # joining changes none


# Costs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trellis", [0, 1])
@pytest.mark.parametrize(("scale", "weight"), [(0, 0.1), (3, 0.12), (40, 0.5)])
def test_costs_are_bits_and_errors(scale, weight, trellis):
    planes, wanted = draw_wanted("gray", 4, 4, 1, scale=scale, weight=weight, optimised=True, trellis=trellis)
    wanted[0].cells[1:3, :2] *= 20  # beyond the symbols
    weights = np.random.default_rng(0).uniform(0.5, 2, (16, 16)).astype(np.float32) * np.float32(weight)
    coder, coded = encode_plane(planes[0], wanted[0]._replace(weight=weights), [], trained())
    data = join([coder])
    error = (np.square(coder.decoded(coded) - wanted[0].cells) / weights).sum(dtype=float)
    # But for half a byte a lane, what fills up bytes, and fractions of bits of levels beyond the symbols.
    lanes = lanes_of(data, planes)
    bits = coder.cost(coded) - error
    assert 8 * len(data) - 6 * lanes - 64 < bits < 8 * len(data) + coder.escapes.size


# Attempts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trellis", [0, 1, 3])
def test_how_many_attempts_there_are(trellis):
    planes, wanted = draw_wanted("gray", 1, 1, 1, scale=2, last=2, optimised=True, trellis=trellis)
    lonely = [star(4, 4)._replace(trellis=trellis)]
    for want, explicit in ((wanted, False), (lonely, True)):
        with mock.patch("codec.strip_encoder.code_plane", wraps=code_plane) as spy:
            data, *_ = encode(planes, want)
        assert heads(data, planes)[0].explicit == explicit
        assert spy.call_count == 1 + trellis + explicit
