"""Tests of `bitstreams.huffman`: optimal lengths by brute force, the code words of RFC 1951, lanes against bitarray."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams import huffman
from bitstreams.bits import pack_fixed, write_varint
from bitstreams.entropy import entropy_bits
from bitstreams.errors import CodecError, FormatError, TruncatedError

ALPHABET = 256
counts = st.lists(st.integers(0, 1000) | st.sampled_from([0, 1, 10**6]), min_size=1, max_size=64)


def kraft(lengths):
    """Return Kraft's sum: 1 for a complete prefix code, less for one with room, more for none."""
    return sum(2.0 ** -int(n) for n in lengths if n)


def skewed(number, rng, ratio=0.7):
    """Draw uint8 symbols whose likelihoods fall geometrically, so that code words have many lengths."""
    return np.minimum(rng.geometric(1 - ratio, number) - 1, ALPHABET - 1).astype(np.uint8)


def read_whole(data, streams, alphabet=ALPHABET):
    """Read and decode a section that starts at the first byte; check that it ends with the last."""
    found, end = huffman.read_section(data, 0, streams, alphabet)
    assert end == len(data)
    return found, huffman.decode_streams(data, found)


# Code lengths -----------------------------------------------------------------------------------------------


@given(counts)
@example([1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])  # Fibonacci numbers give the longest words: 11 bits here
def test_without_a_binding_limit_the_cost_is_huffmans(numbers):
    plain = huffman.code_lengths_plain(numbers)
    lengths = huffman.code_lengths(numbers, limit=max(64, *plain))
    assert np.dot(numbers, lengths) == np.dot(numbers, plain)
    assert [n > 0 for n in lengths] == [n > 0 for n in numbers]


@given(counts, st.integers(6, 12))
@example([2**i for i in range(40)], 6)  # without a limit the rarest would take 39 bits
@example([1] * 64, 6)  # exactly as many symbols as there are words
def test_the_limit_is_kept_by_a_complete_code(numbers, limit):
    lengths = huffman.code_lengths(numbers, limit)
    used = [int(n) for n in lengths if n]
    assert len(used) == np.count_nonzero(numbers)
    assert max(used, default=0) <= limit
    if len(used) > 1:
        assert kraft(used) == 1


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(3, 5))
@example([1, 1, 2, 4, 8, 16], 3)
def test_no_code_within_the_limit_is_cheaper(numbers, limit):
    every = itertools.product(range(1, limit + 1), repeat=len(numbers))
    cheapest = min(np.dot(numbers, lengths) for lengths in every if kraft(lengths) <= 1)
    assert np.dot(numbers, huffman.code_lengths(numbers, limit)) == cheapest


def test_counts_of_a_large_picture_do_not_overflow():
    lengths = huffman.code_lengths([2**40, 2**39, 2**38, 2**38])
    assert lengths.tolist() == [1, 2, 3, 3]


@pytest.mark.parametrize("lengths_of", [huffman.code_lengths, huffman.code_lengths_plain])
def test_one_symbol_and_none(lengths_of):
    assert list(lengths_of([0, 0, 7])) == [0, 0, 1]
    assert list(lengths_of([0, 0])) == [0, 0]


def test_more_symbols_than_words():
    with pytest.raises(ValueError, match="5 symbols have no code of at most 2 bits"):
        huffman.code_lengths([1] * 5, limit=2)


# Codes ------------------------------------------------------------------------------------------------------


def test_the_canonical_words_of_rfc_1951():
    # Section 3.2.2: symbols A to H with lengths 3 3 3 3 3 2 4 4.
    code = huffman.Code(np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8))
    assert code.words.tolist() == [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]
    assert code.symbols.tolist() == [5, 0, 1, 2, 3, 4, 6, 7]


@given(counts)
def test_the_table_decodes_every_window_to_the_word_it_starts_with(numbers):
    code = huffman.Code(huffman.code_lengths(numbers))
    words = {format(int(code.words[s]), f"0{code.lengths[s]}b"): int(s) for s in code.symbols}
    for window in range(0, 1 << huffman.LONGEST, 37):
        bits = format(window, f"0{huffman.LONGEST}b")
        starts = [word for word in words if bits.startswith(word)]
        assert len(starts) <= 1  # a prefix code
        entry = int(code.table[window])
        assert entry == (words[starts[0]] << 4 | len(starts[0]) if starts else 0)


def test_lengths_that_no_prefix_code_has():
    with pytest.raises(FormatError, match="over-full"):
        huffman.Code(np.array([1, 1, 12], np.uint8))
    with pytest.raises(FormatError, match="longer than 12"):
        huffman.Code(np.array([1, 13], np.uint8))
    huffman.Code(np.array([1, 2, 12], np.uint8))  # room that is left is harmless


@given(counts.filter(any), st.binary(max_size=3))
def test_codes_there_and_back(numbers, after):
    code = huffman.Code(huffman.code_lengths(numbers))
    data = b"." + code.to_bytes() + after
    found, at = huffman.Code.from_bytes(data, 1, ALPHABET)
    assert data[at:] == after
    assert found.lengths.tolist() == code.lengths.tolist() + [0] * (ALPHABET - code.lengths.size)


def test_a_code_for_too_large_an_alphabet():
    data = huffman.Code(np.array([1, 0, 0, 1], np.uint8)).to_bytes()
    with pytest.raises(FormatError, match="4 symbols for an alphabet of 3"):
        huffman.Code.from_bytes(data, 0, 3)


# Sections ---------------------------------------------------------------------------------------------------


def test_the_plain_form_spells_out_the_words():
    code = huffman.Code(huffman.code_lengths([5, 2, 1, 1]))  # the module's example: a 0, b 10, c 110, d 111
    data = huffman.encode_plain(code, [0, 1, 2, 3, 0])
    assert data == bytes([0b0_10_110_11, 0b1_0_000000])
    assert huffman.decode_plain(code, data, 5) == [0, 1, 2, 3, 0]


streams_of_symbols = st.lists(
    st.tuples(st.integers(0, 1000) | st.sampled_from([0, 1, 256, 257, 512]), st.integers(1, 256), st.integers(0, 99)),
    min_size=1,
    max_size=16,
)


@given(streams_of_symbols)
@example([(0, 1, 0)])
@example([(513, 256, 0)] * 16)  # as many streams as there may be, all with full lanes
def test_lanes_decode_to_what_bitarray_reads(drawn):
    streams = [
        (np.random.default_rng(seed).integers(0, alphabet, number) ** 2 // alphabet).astype(np.uint8)
        for number, alphabet, seed in drawn
    ]
    data = huffman.encode_streams(streams, ALPHABET)
    found, decoded = read_whole(data, len(streams))
    for symbols, stream, fast in zip(streams, found, decoded, strict=True):
        assert stream.count == symbols.size
        assert np.array_equal(fast, symbols)
        words = data[stream.start : stream.start + stream.size]
        if symbols.size:  # an empty stream has no code to read it by
            assert words == huffman.encode_plain(stream.code, symbols.tolist())
            assert huffman.decode_plain(stream.code, words, stream.count) == symbols.tolist()


@pytest.mark.parametrize("lane", [1, 2, 100, 511, 512, 4096])
def test_lanes_of_any_length(lane):
    streams = [skewed(number, np.random.default_rng(number)) for number in (1500, 0, 1, lane, lane + 1)]
    data = huffman.encode_streams(streams, ALPHABET, lane)
    found, decoded = read_whole(data, 5)
    assert {stream.lane for stream in found if stream.count} == {lane}
    for symbols, stream, fast in zip(streams, found, decoded, strict=True):
        assert stream.entries.size == -(-symbols.size // lane)
        assert np.array_equal(fast, symbols)


def test_longer_lanes_take_fewer_bytes():
    symbols = skewed(20_000, np.random.default_rng(2))
    sizes = [len(huffman.encode_streams([symbols], ALPHABET, lane)) for lane in (64, 128, 512, 4096)]
    assert sizes == sorted(set(sizes), reverse=True)


def test_a_section_need_not_start_at_the_first_byte():
    symbols = skewed(1000, np.random.default_rng(1))
    section = huffman.encode_streams([symbols], ALPHABET)
    found, end = huffman.read_section(b"before" + section + b"after", 6, 1, ALPHABET)
    assert end == 6 + len(section)
    assert np.array_equal(huffman.decode_streams(b"before" + section + b"after", found)[0], symbols)


def test_the_account_of_a_section_is_complete():
    streams = [skewed(5000, np.random.default_rng(seed)) for seed in range(3)]
    data = huffman.encode_streams(streams, ALPHABET)
    found, _ = huffman.read_section(data, 0, 3, ALPHABET)
    counts_and_lane = len(write_varint(found[0].lane, *(s.count for s in found)))
    assert len(data) == counts_and_lane + sum(s.table_bytes + s.entry_bytes + s.size for s in found)


def test_words_take_hardly_more_than_the_entropy_and_entries_one_percent():
    symbols = skewed(100_000, np.random.default_rng(2), ratio=0.9)
    (stream,), _ = huffman.read_section(huffman.encode_streams([symbols], ALPHABET), 0, 1, ALPHABET)
    bound = entropy_bits(symbols)
    assert bound <= 8 * stream.size < 1.02 * bound
    assert stream.entry_bytes < 0.015 * stream.size


# Damaged sections -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def section():
    return huffman.encode_streams([skewed(600, np.random.default_rng(seed)) for seed in range(2)], ALPHABET)


def test_every_prefix_is_truncated(section):
    for end in range(len(section)):
        with pytest.raises(TruncatedError):
            huffman.read_section(section[:end], 0, 2, ALPHABET)


def test_any_changed_byte_gives_symbols_or_an_error_of_the_tree(section):
    outcomes = set()
    for i, value in itertools.product(range(len(section)), (0x00, 0x55, 0xFF)):
        damaged = section[:i] + bytes([value]) + section[i + 1 :]
        try:
            streams, _ = huffman.read_section(damaged, 0, 2, ALPHABET)
            decoded = huffman.decode_streams(damaged, streams)
        except CodecError as error:
            outcomes.add(type(error))
        else:
            assert [d.size for d in decoded] == [s.count for s in streams]
    assert outcomes == {FormatError, TruncatedError}


def test_a_word_that_is_not_the_encoders_shifts_its_lane(section):
    (first, _), _ = huffman.read_section(section, 0, 2, ALPHABET)
    damaged = bytearray(section)
    damaged[first.start + 1] ^= 0xFF
    streams, _ = huffman.read_section(bytes(damaged), 0, 2, ALPHABET)
    with pytest.raises(FormatError, match="does not end where the next begins"):
        huffman.decode_streams(bytes(damaged), streams)


def one_stream(count, size, least, width, *, fields=b"", lane=192):
    """Write a section by hand: one stream over two symbols of a bit each, whose code words are zeros."""
    two = huffman.Code(np.array([1, 1], np.uint8)).to_bytes()
    header = write_varint(lane, count) + two + write_varint(size, least) + bytes([width])
    return header + fields + bytes(min(size, 1000))


def test_a_section_by_hand():
    data = one_stream(500, 63, 190, 2, fields=pack_fixed([2, 2], 2))
    assert read_whole(data, 1)[1][0].tolist() == [0] * 500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (one_stream(500, 63, 192, 0, lane=0), "lanes of 0 symbols"),
        (one_stream(500, 63, 192, 0, lane=4097), "lanes of 4097 symbols"),
        (one_stream(500, 63, 192, 33), "33 bits; at most 32"),
        (one_stream(500, 62, 192, 0), "500 symbols are announced in 62 bytes"),
        (one_stream(500, 751, 192, 0), "500 symbols are announced in 751 bytes"),
        (one_stream(500, 63, 252, 0), "outside its stream"),
        (one_stream(500, 63, 191, 0), "does not end where the next begins"),
    ],
)
def test_headers_that_break_a_rule(data, message):
    with pytest.raises(FormatError, match=message):
        read_whole(data, 1)


@pytest.mark.parametrize("lane", [1, 4096])
def test_an_announced_stream_that_is_not_there_is_not_allocated(lane):
    # 2**33 symbols, with entry points of no bits: nothing in the bytes grows with the count.
    data = one_stream(2**33, 2**31, lane, 0, lane=lane)
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError):
            huffman.read_section(data, 0, 1, ALPHABET)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
