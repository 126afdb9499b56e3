"""Tests of `codec.context_strip`: strips of all kinds there and back, what their bytes are, and bytes that are none."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitstreams.bits import read_varint
from bitstreams.errors import CodecError, FormatError, TruncatedError
from bitstreams.rans import RansDecoder
from codec.block_sizes import grow, halve
from codec.context_strip import StripDecoder, StripEncoder, Wanted, code_strip
from codec.contexts import ESCAPE, LAST
from codec.main import Main
from codec.trained import trained

KINDS = {
    "gray": (1, False),
    "gray and alpha": (2, False),
    "4:2:0": (3, True),
    "4:4:4": (3, False),
    "4:2:0 and alpha": (4, True),
    "4:4:4 and alpha": (4, False),
}
kinds = pytest.mark.parametrize("kind", KINDS)
DIAGONAL = np.add.outer(np.arange(8), np.arange(8)).ravel()
LARGEST = 32_767


def planes_of(kind, height, width):
    channels, subsampled = KINDS[kind]
    return Main(channels, subsampled, 1000).planes(height, width)


def draw_wanted(kind, rows, columns, seed, *, scale=3.0, optimised=False, weight=0.12, last=LAST):
    """Draw planes and coefficients for so many squares of 32 x 32: the lower the frequency, the larger."""
    rng = np.random.default_rng(seed)
    planes, wanted = planes_of(kind, 32 * rows, 32 * columns), []
    for plane in planes:
        if plane.chroma:
            sizes = halve(wanted[0].sizes) if plane.half else wanted[0].sizes
        else:
            whole, half = rng.random((rows, columns)) < 0.3, rng.random((2 * rows, 2 * columns)) < 0.4
            sizes = np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)
        cells = rng.laplace(0, 1, (64, plane.rows, plane.columns)) * (scale / (1 + DIAGONAL**1.5))[:, None, None]
        cells[last < DIAGONAL] = 0
        cells[0] *= 20
        wanted.append(Wanted(cells.astype(np.float32), sizes, weight, optimised))
    return planes, wanted


def encode(planes, wanted):
    coder = StripEncoder(wanted, trained().sizes)
    coded = code_strip(coder, planes)
    return coder.finish(), coded, coder.levels


def decode(planes, data, at=0):
    coder = StripDecoder(data, at, planes, trained().sizes)
    coded = code_strip(coder, planes)
    return coded, coder.levels(coded)


def check(planes, wanted):
    """Code a strip there and back, between other bytes; return its bytes and levels."""
    data, coded, levels = encode(planes, wanted)
    found, decoded = decode(planes, b"before" + data, 6)
    for plane, want, one, other, of_one, of_other in zip(planes, wanted, coded, found, levels, decoded, strict=True):
        assert of_other.shape == (64, plane.rows, plane.columns)
        assert np.array_equal(of_one, of_other)
        assert np.array_equal(one.sizes, want.sizes)
        assert np.array_equal(other.sizes, want.sizes)
        assert one.last == other.last == DIAGONAL[of_other.any(axis=(1, 2))].max(initial=0)
        assert np.array_equal(one.dc, other.dc)
        assert np.array_equal(other.dc, of_other[0])
        assert np.array_equal(one.magnitudes, other.magnitudes)
        assert other.magnitudes.max() == min(np.abs(of_other[1:]).max(), ESCAPE)
    return data, decoded


def parts(data, planes):
    """Return where a strip's plain bits, symbols and signs begin, the number of lanes, and where all ends."""
    plain, at = read_varint(data, len(planes))
    lanes, _ = read_varint(data, at + plain)
    return at, at + plain, RansDecoder(data, at + plain).end, lanes, len(data)


# There and back ---------------------------------------------------------------------------------------------

drawn = st.tuples(st.sampled_from([*KINDS]), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))


@settings(max_examples=30)
@given(drawn, st.sampled_from([0.0, 0.5, 3.0, 40.0]), st.booleans(), st.integers(0, LAST))
@example(("4:2:0 and alpha", 1, 1, 0), 40.0, True, LAST)
@example(("4:4:4 and alpha", 3, 1, 1), 40.0, False, LAST)
@example(("gray", 1, 3, 2), 3.0, True, 1)
def test_there_and_back(strip, scale, optimised, last):
    planes, wanted = draw_wanted(*strip, scale=scale, optimised=optimised, last=last)
    _, levels = check(planes, wanted)
    for want, found in zip(wanted, levels, strict=True):
        # Never away from 0 by more than to the nearest level, and no other sign.
        assert (np.abs(found[1:]) <= np.floor(np.abs(want.cells[1:]) + np.float32(0.5))).all()
        assert (found[1:] * want.cells[1:] >= 0).all()
        assert np.abs(found[0] - want.cells[0]).max() <= 1.5
        if not optimised:
            assert np.array_equal(found[0], np.rint(want.cells[0]))


@kinds
def test_levels_are_rounded_with_a_deadzone_if_they_are_not_optimised(kind):
    # Magnitudes are large enough for none to be implied.
    planes, wanted = draw_wanted(kind, 2, 2, 0, scale=0)
    rng = np.random.default_rng(0)
    for want in wanted:
        want.cells[1:] = rng.choice([-1, 1], want.cells[1:].shape) * rng.uniform(5, 16, want.cells[1:].shape)
        want.cells[0] = rng.uniform(-200, 200, want.cells[0].shape)
    _, levels = check(planes, wanted)
    for want, found in zip(wanted, levels, strict=True):
        expected = np.copysign(np.floor(np.abs(want.cells[1:]) + np.float32(0.33)), want.cells[1:])
        coded = found[1:] != 0
        assert coded.mean() > 0.9
        assert np.array_equal(found[1:][coded], expected[coded])


@kinds
def test_optimised_levels_cost_less(kind):
    def cost(optimised):
        planes, wanted = draw_wanted(kind, 3, 3, 1, optimised=optimised)
        data, levels = check(planes, wanted)
        error = sum(np.square(want.cells - found).sum() for want, found in zip(wanted, levels, strict=True))
        return error + 0.12 * 8 * len(data)

    assert cost(optimised=True) < cost(optimised=False)


def test_a_larger_weight_makes_fewer_bytes():
    sizes = []
    for weight in (0.0, 0.05, 0.2, 1.0):
        data, _ = check(*draw_wanted("4:2:0", 3, 3, 1, optimised=True, weight=weight))
        sizes.append(len(data))
    assert sizes == sorted(set(sizes), reverse=True)


def test_a_weight_of_each_block():
    # Where a bit is worth more, fewer levels are left.
    planes, wanted = draw_wanted("gray", 4, 4, 2, optimised=True)
    weight = np.zeros((16, 16), np.float32)
    weight[:, 8:] = 2
    _, (levels,) = check(planes, [wanted[0]._replace(weight=weight)])
    assert np.count_nonzero(levels[1:, :, 8:]) < 0.5 * np.count_nonzero(levels[1:, :, :8])


# Large levels -----------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("optimised", [False, True])
def test_levels_far_beyond_the_symbols(kind, optimised):
    planes, wanted = draw_wanted(kind, 1, 2, 3, scale=0, optimised=optimised)
    rng = np.random.default_rng(0)
    for want in wanted:
        sizes = 2.0 ** rng.uniform(0, 15, want.cells.shape)
        want.cells[...] = np.minimum(np.rint(sizes), LARGEST) * rng.choice([-1, 1], sizes.shape)
        want.cells[1:8, 0, 0] = [ESCAPE - 1, ESCAPE, ESCAPE + 1, 2 * ESCAPE, LARGEST, -LARGEST, 1 - LARGEST]
        want.cells[0] = rng.integers(-8000, 8000, want.cells[0].shape)
    _, levels = check(planes, wanted)
    for want, found in zip(wanted, levels, strict=True):
        coded = found[1:] != 0
        assert coded.mean() > 0.8  # others are implied: at the beginning nothing tells that there is something
        assert np.abs(found[1:][coded] - want.cells[1:][coded]).max() <= (1 if optimised else 0)
        assert np.abs(found).max() >= LARGEST - 1


@pytest.mark.parametrize("level", [1, -1, 3, 100, -8000, 8000])
def test_flat_planes(level):
    for kind in KINDS:
        planes, wanted = draw_wanted(kind, 2, 3, 0, scale=0)
        for want in wanted:
            want.cells[0] = level
        data, levels = check(planes, wanted)
        assert all((found[0] == level).all() and not found[1:].any() for found in levels)
        assert not any(data[: len(planes)])


# What the bytes are -----------------------------------------------------------------------------------------


@kinds
def test_empty_planes(kind):
    planes, wanted = draw_wanted(kind, 4, 4, 0, scale=0)
    small = [
        want._replace(sizes=np.full(want.sizes.shape, 16 if plane.half else 32, np.uint8))
        for plane, want in zip(planes, wanted, strict=True)
    ]
    data, levels = check(planes, small)
    assert not any(found.any() for found in levels)
    plain, symbols, signs, lanes, end = parts(data, planes)
    assert (plain, lanes) == (symbols, 1)  # no plain bits
    assert signs == end
    assert len(data) < 10 + 25 * len(planes)


@pytest.mark.parametrize(("rows", "scale"), [(1, 0.5), (1, 3), (3, 1), (3, 10), (4, 40)])
def test_signs_are_hidden_as_far_as_there_is_room(rows, scale):
    planes, wanted = draw_wanted("4:4:4", rows, rows, 4, scale=scale)
    data, levels = check(planes, wanted)
    _, _, signs, lanes, end = parts(data, planes)
    number = sum(np.count_nonzero(found[1:]) for found in levels)
    assert end - signs == -(-max(0, number - 16 * lanes) // 8)
    assert lanes == 1 or number >= 16 * lanes  # no lane that could hide nothing


def test_other_signs_change_nothing_but_signs():
    planes, wanted = draw_wanted("gray", 3, 3, 5, scale=5)
    data, levels = check(planes, wanted)
    turned = wanted[0].cells.copy()
    turned[1:] *= np.random.default_rng(0).choice([-1, 1], turned[1:].shape)
    other, levels_too = check(planes, [wanted[0]._replace(cells=turned)])
    assert np.array_equal(np.abs(levels[0]), np.abs(levels_too[0]))
    assert len(other) - len(data) in (-4, -2, 0, 2, 4)  # hidden bits change when lanes overflow
    assert data[: parts(data, planes)[1]] == other[: parts(other, planes)[1]]


def test_more_levels_take_more_lanes():
    lanes = []
    for rows in (1, 2, 4, 8):
        planes, wanted = draw_wanted("gray", rows, rows, 4, scale=10)
        lanes.append(parts(check(planes, wanted)[0], planes)[3])
    assert lanes == sorted(set(lanes))


# Damaged strips ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strips():
    """Small strips of all kinds, nearly all of few frequencies, which take less time: the last one is full."""
    found = []
    for i, kind in enumerate([*KINDS, "gray", "4:4:4", "gray"]):
        planes, wanted = draw_wanted(
            kind, 1, 1, i, scale=(0.5, 4, 12)[i % 3], optimised=bool(i % 2), last=LAST if i == 8 else 1 + i % 2
        )
        wanted[0].cells[1:3] *= 1 + 5 * (i % 3)  # beyond the symbols
        found.append((planes, encode(planes, wanted)[0]))
    return found


def test_every_prefix_is_refused(strips):
    for planes, data in strips[:7:2]:
        for end in range(len(data)):
            with pytest.raises((TruncatedError, FormatError)):
                decode(planes, data[:end])


def test_bytes_too_many_are_refused(strips):
    for planes, data in strips:
        for more in (b"\0", b"\xff", bytes(9)):
            with pytest.raises(FormatError, match="signs belong"):
                decode(planes, data + more)


def test_bytes_missing_or_too_many_inside_are_refused(strips):
    for planes, data in strips:
        plain, symbols, *_ = parts(data, planes)
        for damaged in (
            data[: plain - 1] + bytes([data[plain - 1] + 1]) + data[plain:symbols] + b"\0" + data[symbols:],
            data[: plain - 1] + bytes([data[plain - 1] - 1]) + data[plain : symbols - 1] + data[symbols:],
        ):
            if symbols - plain < 127:  # a length of one byte
                with pytest.raises((FormatError, TruncatedError), match=r"plain bits|bit fields"):
                    decode(planes, damaged)


def test_diagonals_that_there_are_not(strips):
    for planes, data in strips:
        for i in range(len(planes)):
            with pytest.raises(FormatError, match=rf"up to diagonals .*\b{LAST + 1}\b"):
                decode(planes, data[:i] + bytes([LAST + 1]) + data[i + 1 :])


def test_changed_bytes_give_levels_or_an_error_of_the_tree(strips):
    rng = np.random.default_rng(0)
    outcomes = {FormatError: 0, TruncatedError: 0, None: 0}
    for case in range(800):
        planes, data = strips[case // 8 % len(strips)] if case % 8 == 0 else strips[(0, 6)[case % 2]]
        damaged = bytearray(data)
        reach = len(data) if case % 4 else 16  # where numbers of bytes, words and lanes are
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(min(reach, len(data)))] = rng.integers(256)
        try:
            _, levels = decode(planes, bytes(damaged))
        except CodecError as error:
            outcomes[type(error)] += 1
        else:
            outcomes[None] += 1
            for found in levels:
                assert np.abs(found).max() <= ESCAPE + 2**16
                assert np.array_equal(found, np.rint(found))
    assert min(outcomes.values()) > 10
