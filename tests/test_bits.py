"""Tests of `bitstreams.bits`: the fast forms against the plain ones, and LEB128 against the DWARF standard."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams import bits
from bitstreams.errors import FormatError, TruncatedError


def fields(longest):
    """Lists of (value, length), with lengths up to a limit."""
    field = st.integers(0, longest).flatmap(lambda n: st.tuples(st.integers(0, 2**n - 1), st.just(n)))
    return st.lists(field, max_size=300)


def separate(pairs):
    """Split (value, length) pairs into two arrays."""
    return np.array([v for v, _ in pairs], np.uint64), np.array([n for _, n in pairs], np.uint8)


# Packing ----------------------------------------------------------------------------------------------------


def test_the_example_of_the_module():
    assert bits.pack([5, 1, 0, 6], [4, 1, 2, 3]) == bytes([0b0101_1_00_1, 0b10_000000])
    assert bits.pack_plain([5, 1, 0, 6], [4, 1, 2, 3]) == bytes([0b0101_1_00_1, 0b10_000000])


@given(st.integers(0, 64).flatmap(fields))
@example([(1, 1)] * 64 + [(0, 0)])  # an empty field where a word begins
@example([(2**63 + 1, 64)] * 3)
@example([(1, 1), (2**64 - 1, 64), (0, 0), (2**64 - 1, 64)])  # fields across the words' borders
@example([(0, 0)] * 5)
def test_pack_gives_the_bytes_of_pack_plain(pairs):
    values, lengths = separate(pairs)
    assert bits.pack(values, lengths) == bits.pack_plain(values.tolist(), lengths.tolist())


@given(st.integers(0, 25).flatmap(fields))
def test_unpack_undoes_pack(pairs):
    values, lengths = separate(pairs)
    data = bits.pack(values, lengths)
    assert bits.unpack(data, lengths).tolist() == values.tolist()
    assert bits.unpack(data + b"\xff\xff", lengths).tolist() == values.tolist()  # what follows is ignored
    assert bits.unpack_plain(data, lengths.tolist()) == values.tolist()


@given(st.binary(max_size=40), st.lists(st.integers(0, 25), max_size=40))
def test_unpack_reads_any_bytes_as_unpack_plain_does(data, lengths):
    if sum(lengths) > 8 * len(data):
        with pytest.raises(TruncatedError, match=f"need {sum(lengths)} bits, {8 * len(data)} are left"):
            bits.unpack(data, lengths)
    else:
        assert bits.unpack(data, lengths).tolist() == bits.unpack_plain(data, lengths)


@given(st.binary(max_size=40), st.integers(0, 200), st.lists(st.integers(0, 25), max_size=20))
@example(b"\xff" * 5, 7, [25, 8])  # to the last bit, and over the borders of words
def test_unpack_from_any_bit_on(data, at, lengths):
    if at + sum(lengths) > 8 * len(data):
        with pytest.raises(TruncatedError, match=f"need {sum(lengths)} bits, {8 * len(data) - at} are left"):
            bits.unpack(data, lengths, at)
    else:
        assert bits.unpack(data, lengths, at).tolist() == bits.unpack_plain(data, [at, *lengths])[1:]


def test_pack_of_many_fields_in_narrow_types():
    # The pipeline hands over uint16 words and uint8 lengths.
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 17, 20_001).astype(np.uint8)
    values = (rng.integers(0, 1 << 16, lengths.size) >> (16 - lengths)).astype(np.uint16)
    assert bits.pack(values, lengths) == bits.pack_plain(values.tolist(), lengths.tolist())


def test_nothing_packs_to_nothing():
    assert bits.pack([], []) == b"" == bits.pack_plain([], [])
    assert bits.unpack(b"", []).shape == (0,)


# Fields of one width ----------------------------------------------------------------------------------------


@given(st.integers(0, 40).flatmap(lambda w: st.tuples(st.just(w), st.lists(st.integers(0, 2**w - 1), max_size=50))))
def test_fixed_fields(drawn):
    width, values = drawn
    data = bits.pack_fixed(values, width)
    assert data == bits.pack_plain(values, [width] * len(values))
    assert bits.unpack_fixed(data, len(values), width).tolist() == values


# Varints ----------------------------------------------------------------------------------------------------


# DWARF Debugging Information Format 4, figure 22, and the borders of each length.
@pytest.mark.parametrize(
    ("number", "data"),
    [
        (2, [2]),
        (127, [127]),
        (128, [0 + 0x80, 1]),
        (129, [1 + 0x80, 1]),
        (130, [2 + 0x80, 1]),
        (12857, [57 + 0x80, 100]),
        (0, [0]),
        (2**14 - 1, [0xFF, 0x7F]),
        (2**14, [0x80, 0x80, 1]),
        (2**35 - 1, [0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
    ],
)
def test_varints_of_the_dwarf_standard(number, data):
    assert bits.write_varint(number) == bytes(data)
    assert bits.read_varint(bytes(data), 0) == (number, len(data))


@given(st.lists(st.integers(0, 2**35 - 1), max_size=20), st.binary(max_size=3), st.binary(max_size=3))
def test_varints_follow_each_other(numbers, before, after):
    data, at = before + bits.write_varint(*numbers) + after, len(before)
    for number in numbers:
        found, at = bits.read_varint(data, at)
        assert found == number
    assert data[at:] == after


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff\xff\xff"])
def test_a_varint_that_does_not_end(data):
    with pytest.raises(TruncatedError):
        bits.read_varint(data, 0)


def test_a_varint_of_six_bytes_is_refused():
    with pytest.raises(FormatError, match="5 bytes"):
        bits.read_varint(bits.write_varint(2**35), 0)
