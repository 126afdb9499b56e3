"""Tests of `codec.context_strip`: strips of all kinds there and back, what their bytes are, and bytes that are none."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitstreams import rans
from bitstreams.bits import read_varint, write_varint
from bitstreams.errors import CodecError, FormatError, TruncatedError
from bitstreams.rans import SYMBOLS_OF_LANE, RansDecoder
from codec import context_strip, strip_encoder
from codec.context_strip import Head
from codec.contexts import ESCAPE, LAST
from codec.main import Main
from tests.files import invent_strip
from tests.strips import DIAGONAL, KINDS, decode, draw_wanted, encode, encode_ahead, encode_once, planes_of

kinds = pytest.mark.parametrize("kind", KINDS)
LARGEST = 32_767


def check(planes, wanted, code=encode):
    """Code a strip there and back, between other bytes; return its bytes and levels."""
    data, coded, levels = code(planes, wanted)
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
        assert other.magnitudes.max() == min(np.ceil(np.abs(of_other[1:]).max()), ESCAPE)
        assert (one.second is None) == (other.second is None)
        assert other.second is None or want.trellis
        assert np.array_equal(of_other, np.rint(of_other)) or want.trellis
        for along in (one.slopes, other.slopes):
            assert np.array_equal(along, want.slopes) if want.slopes is not None else along is None
    return data, decoded


def parts(data, planes):
    """Return where a strip's plain bits, symbols and signs begin, the number of lanes, and where all ends."""
    plain, at = read_varint(data, len(planes))
    lanes, _ = read_varint(data, at + plain)
    return at, at + plain, RansDecoder(data, at + plain).end, lanes, len(data)


# There and back ---------------------------------------------------------------------------------------------

drawn = st.tuples(st.sampled_from([*KINDS]), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))


@settings(max_examples=30)
@given(drawn, st.sampled_from([0.0, 0.5, 3.0, 40.0]), st.booleans(), st.booleans(), st.integers(0, LAST))
@example(("4:2:0 and alpha", 1, 1, 0), 40.0, True, True, LAST)
@example(("4:4:4 and alpha", 3, 1, 1), 40.0, False, False, LAST)
@example(("4:4:4 and alpha", 3, 1, 1), 0.0, False, True, LAST)
@example(("gray", 1, 3, 2), 3.0, True, False, 1)
def test_there_and_back(strip, scale, optimised, sloped, last):
    planes, wanted = draw_wanted(*strip, scale=scale, optimised=optimised, sloped=sloped, last=last)
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


@given(st.integers(0, LAST), st.booleans(), st.booleans(), st.booleans())
def test_heads_there_and_back(last, explicit, trellis, sloped):
    head = Head(last, explicit, trellis, sloped)
    assert head.to_byte() == last + 128 * explicit + 64 * trellis + 32 * sloped
    assert Head.from_byte(head.to_byte()) == head


def test_every_byte_is_a_head_or_refused():
    heads = set()
    for byte in range(256):
        if byte & 31 <= LAST:
            assert Head.from_byte(byte).to_byte() == byte
            heads.add(Head.from_byte(byte))
        else:
            with pytest.raises(FormatError, match=f"up to diagonal {byte & 31}"):
                Head.from_byte(byte)
    assert len(heads) == 8 * (LAST + 1)


# Damaged strips ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strips():
    """Small strips of all kinds, nearly all of few frequencies, which take less time: the last one is full."""
    found = []
    for i, kind in enumerate([*KINDS, "gray", "4:4:4", "gray", "gray and alpha"]):
        options = {"scale": (0.5, 4, 12)[i % 3], "last": LAST if i == 8 else 1 + i % 2, "sloped": i % 4 < 2}
        planes, wanted = draw_wanted(kind, 1, 1, i, optimised=bool(i % 2), trellis=int(i % 3 == 2), **options)
        wanted[0].cells[1:3] *= 1 + 5 * (i % 3)  # beyond the symbols
        found.append((planes, encode_ahead(planes, wanted)[0]))
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
            for byte in (LAST + 1, 0x1F, 0x80 | LAST + 1, 0xDF):
                with pytest.raises(FormatError, match=f"up to diagonal {byte & 0x1F}; the last is {LAST}"):
                    decode(planes, data[:i] + bytes([byte]) + data[i + 1 :])


@pytest.mark.parametrize("kind", KINDS)
def test_luma_and_alpha_do_not_follow_luma(kind):
    planes, wanted = draw_wanted(kind, 1, 1, 0, sloped=True)
    data, *_ = encode(planes, wanted)
    for i, plane in enumerate(planes):
        sloped = data[:i] + bytes([data[i] | 0x20]) + data[i + 1 :]
        if plane.chroma:
            assert sloped == data
        else:
            with pytest.raises(FormatError, match="only chroma can follow luma"):
                decode(planes, sloped)


def in_one_lane(planes, wanted, **options):
    """Code a strip in a single lane, whatever number of symbols that is."""
    with (
        mock.patch.object(rans, "SYMBOLS_OF_LANE", 1 << 40),
        mock.patch.object(strip_encoder, "SYMBOLS_OF_LANE", 1 << 40),
        mock.patch.object(strip_encoder, "MANY_LANES", 1),
    ):
        data, *_ = encode_once(planes, wanted, **options)
        decode(planes, data)  # there is nothing else wrong with it
    return data


def test_more_symbols_than_a_lane_may_have_are_refused():
    planes, wanted = draw_wanted("gray", 2, 3, 0, scale=40)
    data = in_one_lane(planes, wanted, explicit=True)
    assert parts(data, planes)[3] == 1
    with pytest.raises(FormatError, match=f"more than {SYMBOLS_OF_LANE} symbols in 1 lanes"):
        decode(planes, data)
    planes, wanted = draw_wanted("gray", 2, 3, 0, scale=1, last=2)  # fewer than 4096
    decode(planes, in_one_lane(planes, wanted))


def test_few_bytes_do_not_keep_a_decoder_busy():
    # A large picture, all planes of it explicit, in one lane: a million symbols, for many seconds.
    planes = planes_of("4:4:4 and alpha", 512, 512)
    for plain, words in ((0, 0), (4000, 4000), (100_000, 1_000_000)):
        head = bytes([0x80 | LAST] * len(planes)) + write_varint(plain) + bytes(plain)
        data = head + write_varint(1, words) + bytes(3) + bytes(2 * words)
        with (
            mock.patch.object(rans.RansDecoder, "_pop", autospec=True, side_effect=rans.RansDecoder._pop) as pop,
            pytest.raises((FormatError, TruncatedError)),
        ):
            decode(planes, data)
        assert pop.call_count <= SYMBOLS_OF_LANE


def test_a_tail_that_no_levels_need_is_refused_before_anything_is_read():
    planes, wanted = draw_wanted("4:2:0", 1, 1, 0)
    data, *_ = encode(planes, wanted)
    levels = 64 * (16 + 4 + 4)
    limit = 5 * levels + (1 << 17)
    with pytest.raises(FormatError, match="signs belong"):
        decode(planes, data + bytes(limit - len(data)))
    nothing = mock.Mock(side_effect=AssertionError)
    with (
        mock.patch.object(context_strip, "RansDecoder", nothing),
        mock.patch.object(context_strip, "FieldReader", nothing),
        mock.patch.object(context_strip, "read_varint", nothing),
    ):
        for more in (limit - len(data) + 1, 5_000_000):
            with pytest.raises(FormatError, match=f"{len(data) + more} bytes are more than {levels} levels can take"):
                decode(planes, b"before" + data + bytes(more), 6)


@kinds
def test_no_levels_need_more_than_is_allowed(kind):
    # Levels as large as there are, where they are least expected.
    planes, wanted = draw_wanted(kind, 1, 1, 0, scale=0)
    for want in wanted:
        rng = np.random.default_rng(0)
        want.cells[1:] = rng.choice([-LARGEST, 2 * LARGEST], want.cells[1:].shape)
        want.cells[0] = rng.choice([-8000, 8000], want.cells[0].shape)
    with mock.patch.object(context_strip, "LANES_BYTES", 5 * (64 * sum(p.rows * p.columns for p in planes) // 500)):
        check(planes, wanted, encode_once)


@pytest.mark.parametrize(("channels", "subsampled"), KINDS.values())
def test_strips_that_no_picture_gives(channels, subsampled):
    stages = Main(channels, subsampled, 1000)
    kinds_of_planes = set()
    for seed in range(14):
        data = invent_strip(stages, 32, 32, seed)
        planes = stages.planes(32, 32)
        found, levels = decode(planes, data, 1)
        assert data[0] < 1 << channels
        for plane, of_plane, byte, of_levels in zip(planes, found, data[1:], levels, strict=False):
            head = Head.from_byte(byte)
            assert (of_plane.second is not None, of_plane.slopes is not None) == (head.trellis, head.sloped)
            assert of_plane.last == head.last == DIAGONAL[of_levels.any(axis=(1, 2))].max(initial=0)
            kinds_of_planes |= {(plane.chroma, name, value) for name, value in head._asdict().items() if name != "last"}
        stages.decode_strip(data, 0, np.zeros((32, 32, channels), np.uint8))
    for chroma in {plane.chroma for plane in planes}:
        for name in ("explicit", "trellis", "sloped"):
            assert (chroma, name, False) in kinds_of_planes
            assert ((chroma, name, True) in kinds_of_planes) == (chroma or name != "sloped")


def test_changed_bytes_give_levels_or_an_error_of_the_tree(strips):
    rng = np.random.default_rng(0)
    outcomes = {FormatError: 0, TruncatedError: 0, None: 0}
    for case in range(800):
        planes, data = strips[case // 8 % len(strips)] if case % 8 == 0 else strips[(0, 2)[case % 2]]
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
                assert np.array_equal(2 * found, np.rint(2 * found))  # whole levels, or halves
    assert min(outcomes.values()) > 10, outcomes
