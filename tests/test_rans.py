"""Tests of `bitstreams.rans`: lanes against the plain coder, a section by hand, damaged sections."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams.bits import read_varint, write_varint
from bitstreams.errors import CodecError, FormatError, TruncatedError
from bitstreams.rans import (
    HIDDEN_BITS,
    PRECISION,
    SYMBOLS_OF_LANE,
    RansDecoder,
    RansEncoder,
    Tables,
    decode_plain,
    encode_plain,
)

TOTAL = 1 << PRECISION
MOST_LANES = 1 << 14


def make_tables(contexts, symbols, seed):
    """Draw frequencies from even to very uneven, some of them 0; the last context knows only one symbol."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.multinomial(TOTAL, rng.dirichlet(np.full(symbols, rng.choice([0.03, 0.3, 3])))) for _ in range(contexts)
    ]
    rows[-1] = np.eye(symbols, dtype=int)[rng.integers(symbols)] * TOTAL
    return Tables(np.array(rows))


def draw(tables, number, rng, evenly=False):
    """Draw contexts, and symbols in them: as often as they should come, or rare ones as often as others."""
    contexts = rng.integers(0, len(tables.frequencies), number)
    if evenly:
        known = tables.frequencies[contexts] > 0
        return contexts, (known * rng.random(known.shape)).argmax(axis=1)
    slots = np.stack([np.repeat(np.arange(row.size), row) for row in tables.frequencies])
    return contexts, slots[contexts, rng.integers(0, TOTAL, number)]


def encode(tables, batches, lanes, hidden):
    encoder = RansEncoder()
    for contexts, symbols in batches:
        encoder.code(tables, contexts, symbols)
    return encoder.finish(lanes, hidden)


def decode(tables, data, batches, at=0):
    """Decode the symbols of batches and the hidden bits, to the end."""
    decoder = RansDecoder(data, at)
    symbols = [decoder.code(tables, contexts) for contexts, _ in batches]
    return symbols, decoder.finish(), decoder.end


def bits_of(rng, lanes):
    return rng.integers(0, 2, HIDDEN_BITS * lanes).astype(np.uint8)


# There and back ---------------------------------------------------------------------------------------------

sizes = st.integers(0, 40) | st.sampled_from([0, 1, 64, 200])


@given(
    st.integers(1, 40),
    st.lists(sizes, max_size=8),
    st.tuples(st.integers(1, 5), st.sampled_from([1, 2, 3, 18, 256])),
    st.booleans(),
    st.integers(0, 999),
)
@example(1, [], (1, 1), False, 0)
@example(7, [0, 0], (2, 3), True, 0)
@example(8, [8, 16, 7, 9, 0, 1], (3, 256), True, 1)  # batches that fill all lanes, and those that do not
@example(40, [200] * 8, (5, 18), True, 2)
def test_lanes_do_what_the_plain_coder_does(lanes, numbers, shape, evenly, seed):
    rng = np.random.default_rng(seed)
    tables, hidden = make_tables(*shape, seed), bits_of(rng, lanes)
    batches = [draw(tables, number, rng, evenly) for number in numbers]
    data = encode(tables, batches, lanes, hidden)
    pairs = [list(zip(contexts.tolist(), symbols.tolist(), strict=True)) for contexts, symbols in batches]
    assert data == encode_plain(tables, pairs, lanes, hidden.tolist())
    plain_symbols, plain_hidden = decode_plain(tables, data, [contexts.tolist() for contexts, _ in batches])
    assert plain_symbols == [symbols.tolist() for _, symbols in batches]
    assert plain_hidden == hidden.tolist()
    decoded, found, end = decode(tables, b"before" + data + b"after", batches, 6)
    assert [batch.tolist() for batch in decoded] == plain_symbols
    assert found.tolist() == hidden.tolist()
    assert end == 6 + len(data)


def test_batches_may_have_tables_of_their_own():
    rng = np.random.default_rng(0)
    tables = [make_tables(2, 5, 1), make_tables(4, 28, 2)]
    batches = [draw(tables[i % 2], 30, rng) for i in range(6)]
    encoder = RansEncoder()
    for i, (contexts, symbols) in enumerate(batches):
        encoder.code(tables[i % 2], contexts, symbols)
    decoder = RansDecoder(encoder.finish(4, np.zeros(64, np.uint8)), 0)
    for i, (contexts, symbols) in enumerate(batches):
        assert np.array_equal(decoder.code(tables[i % 2], contexts), symbols)
    assert not decoder.finish().any()


def test_a_section_by_hand():
    # 2**16 // 2048 * 4096 + 2048 + 2**16 % 2048 = 2**17 + 2048: a width of 16 + 1, and 17 bits after the leading one.
    tables = Tables(np.array([[2048, 2048]]))
    data = encode(tables, [(np.zeros(1, int), np.ones(1, int))], 1, np.zeros(16, np.uint8))
    assert data == bytes([1, 0, 0b0001_0000, 0b0100_0000, 0b0000_0000])


def test_a_symbol_that_is_certain_takes_nothing():
    tables = Tables(np.array([[0, TOTAL, 0]]))
    batch = (np.zeros(1000, int), np.ones(1000, int))
    hidden = bits_of(np.random.default_rng(0), 3)
    assert encode(tables, [batch], 3, hidden) == encode(tables, [], 3, hidden)


def test_the_largest_number_of_lanes():
    rng = np.random.default_rng(0)
    tables = make_tables(3, 18, 0)
    batches = [draw(tables, number, rng) for number in (20_000, 5)]
    hidden = bits_of(rng, MOST_LANES)
    decoded, found, _ = decode(tables, encode(tables, batches, MOST_LANES, hidden), batches)
    assert all(np.array_equal(one, symbols) for one, (_, symbols) in zip(decoded, batches, strict=True))
    assert np.array_equal(found, hidden)


# What it takes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 8, 100])
def test_length_is_the_ideal_and_a_few_bits_a_lane(lanes):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tables = make_tables(4, 18, seed)
        batches = [draw(tables, number, rng) for number in (370 * lanes, 110 * lanes)]
        data = encode(tables, batches, lanes, bits_of(rng, lanes))
        ideal = sum(-np.log2(tables.frequencies[batch] / TOTAL).sum() for batch in batches)
        head = read_varint(data, read_varint(data, 0)[1])[1]
        lost = 8 * (len(data) - head) - HIDDEN_BITS * lanes - ideal
        # 4 bits tell a lane's width. Its first state is up to a bit longer than what it hides, its last up to a bit
        # longer than its width. All of that is filled up to whole bytes.
        assert 3 * lanes < lost < 5 * lanes + 8


def test_bits_of_symbols():
    tables = Tables(np.array([[2048, 1024, 1024, 0], [1, 4095, 0, 0]]))
    assert tables.bits[0, :3].tolist() == [1, 2, 2]
    assert tables.bits[1, 0] == PRECISION
    assert tables.bits[[0, 1, 1], [3, 2, 3]].min() > 3 * PRECISION  # those that cannot be coded


# What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frequencies",
    [[[4095, 0]], [[4096, 1]], [[4097, -1]], [[2048, 2048], [2048, 2047]], [[0, 0]], [[16] * 256 + [0]]],
    ids=["too few", "too many", "negative", "one row of two", "none", "257 symbols"],
)
def test_frequencies_that_are_no_table(frequencies):
    with pytest.raises(ValueError, match="must sum to 4096"):
        Tables(np.array(frequencies))


def test_a_symbol_of_frequency_0():
    tables, encoder = Tables(np.array([[0, TOTAL], [TOTAL, 0]])), RansEncoder()
    with pytest.raises(ValueError, match="frequency 0"):
        encoder.code(tables, np.array([0, 1, 0]), np.array([1, 0, 0]))
    assert (encoder.count, encoder.mark()) == (0, 0)  # nothing of it was taken


@given(st.lists(sizes, max_size=6), st.lists(sizes, max_size=6), st.integers(0, 99))
def test_what_is_forgotten_was_never_there(kept, dropped, seed):
    rng = np.random.default_rng(seed)
    tables = make_tables(3, 5, seed)
    batches = [draw(tables, number, rng) for number in kept]
    encoder = RansEncoder()
    for batch in batches:
        encoder.code(tables, *batch)
    mark = encoder.mark()
    for number in dropped:
        encoder.code(tables, *draw(tables, number, rng))
    assert encoder.count == sum(kept) + sum(dropped)
    encoder.forget(mark)
    assert encoder.count == sum(kept)
    hidden = bits_of(rng, 2)
    assert encoder.finish(2, hidden) == encode(tables, batches, 2, hidden)


@given(st.lists(sizes, max_size=5), st.lists(sizes, max_size=5), st.integers(0, 99))
def test_what_is_appended_comes_after(ours, theirs, seed):
    rng = np.random.default_rng(seed)
    tables = make_tables(3, 5, seed)
    batches = [draw(tables, number, rng) for number in ours + theirs]
    encoders = [RansEncoder(), RansEncoder(), RansEncoder()]
    for number, batch in enumerate(batches):
        encoders[1 + (number >= len(ours))].code(tables, *batch)
    for each in encoders[1:]:
        encoders[0].append(each)
    assert encoders[0].count == sum(ours) + sum(theirs)
    assert encoders[0].mark() == len(batches)
    hidden = bits_of(rng, 2)
    assert encoders[0].finish(2, hidden) == encode(tables, batches, 2, hidden)


# How much a lane takes --------------------------------------------------------------------------------------

EVEN = Tables(np.array([[TOTAL // 2, TOTAL // 2]]))


@pytest.mark.parametrize("lanes", [1, 3])
def test_as_many_symbols_as_lanes_may_have(lanes):
    assert SYMBOLS_OF_LANE == 4096
    rng = np.random.default_rng(0)
    batches = [(np.zeros(number, int), rng.integers(0, 2, number)) for number in (lanes * 4096 - 100, 99, 1)]
    hidden = bits_of(rng, lanes)
    data = encode(EVEN, batches, lanes, hidden)
    decoded, found, _ = decode(EVEN, data, batches)
    assert all(np.array_equal(one, symbols) for one, (_, symbols) in zip(decoded, batches, strict=True))
    assert np.array_equal(found, hidden)
    with pytest.raises(ValueError, match=f"{lanes * 4096 + 1} symbols in {lanes} lanes"):
        encode(EVEN, [*batches, (np.zeros(1, int), np.zeros(1, int))], lanes, hidden)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("number", [1, 5000, 10**6])
def test_more_symbols_than_lanes_may_have_are_refused(lanes, number):
    # Whatever the bytes are, and before anything of the batch is decoded.
    some = np.zeros(lanes * 4096, int)
    decoder = RansDecoder(encode(EVEN, [(some, some)], lanes, np.zeros(16 * lanes, np.uint8)) + bytes(999), 0)
    decoder.code(EVEN, some)
    with pytest.raises(FormatError, match=f"more than {lanes * 4096} symbols in {lanes} lanes"):
        decoder.code(EVEN, np.zeros(number, int))


@pytest.mark.parametrize("lanes", [0, MOST_LANES + 1])
def test_lanes_that_there_are_not_are_not_written(lanes):
    with pytest.raises(ValueError, match=f"symbols in {lanes} lanes"):
        encode(EVEN, [(np.zeros(1, int), np.zeros(1, int))], lanes, np.zeros(16 * lanes, np.uint8))


def test_what_fills_up_whole_bytes_is_not_looked_at():
    tables, batches, data = a_section(3, 40, 5)
    head = read_varint(data, read_varint(data, 0)[1])[1]
    words = 2 * read_varint(data, 1)[0]
    width = sum(16 + (data[head + i // 2] >> (4 - i % 2 * 4) & 15) for i in range(3))
    used = 4 * 3 + width
    spare = 8 * (len(data) - head - words) - used
    assert 0 < spare < 8
    changed = bytearray(data)
    changed[-words - 1] |= (1 << spare) - 1
    assert changed != data
    (symbols, hidden, end), (symbols_too, hidden_too, end_too) = (
        decode(tables, bytes(each), batches) for each in (data, changed)
    )
    assert [batch.tolist() for batch in symbols] == [batch.tolist() for batch in symbols_too]
    assert hidden.tolist() == hidden_too.tolist()
    assert end == end_too


# Damaged sections -------------------------------------------------------------------------------------------


def a_section(lanes, number, seed):
    rng = np.random.default_rng(seed)
    tables = make_tables(4, 18, seed)
    batches = [draw(tables, size, rng) for size in (number, 0, number // 3)]
    return tables, batches, encode(tables, batches, lanes, bits_of(rng, lanes))


@pytest.mark.parametrize(("lanes", "number"), [(1, 0), (1, 60), (3, 5), (16, 100), (200, 300)])
def test_every_prefix_is_refused(lanes, number):
    tables, batches, data = a_section(lanes, number, 1)
    for end in range(len(data)):
        with pytest.raises((TruncatedError, FormatError)):
            decode(tables, data[:end], batches)


def test_changed_bytes_give_symbols_or_an_error_of_the_tree():
    rng = np.random.default_rng(0)
    sections = [a_section(lanes, number, lanes) for lanes, number in ((1, 30), (2, 9), (5, 60), (30, 45))]
    outcomes = set()
    for case in range(3000):
        tables, batches, data = sections[case % len(sections)]
        damaged = bytearray(data)
        reach = len(data) if case % 3 else 4  # the head is where most can go wrong
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(reach)] = rng.integers(256)
        try:
            decoded, hidden, end = decode(tables, bytes(damaged), batches)
        except CodecError as error:
            outcomes.add(type(error))
        else:
            outcomes.add(None)
            assert end <= len(data)
            assert hidden.size % HIDDEN_BITS == 0
            for symbols, (contexts, _) in zip(decoded, batches, strict=True):
                assert tables.frequencies[contexts, symbols].all()
    assert outcomes == {FormatError, TruncatedError, None}


def test_another_symbol_is_noticed_at_the_end():
    tables, batches, data = a_section(3, 40, 5)
    contexts, _ = batches[0]
    decoder = RansDecoder(data, 0)
    decoder.code(tables, contexts)  # not the last batch
    with pytest.raises(FormatError, match="not those that were encoded"):
        decoder.finish()


def test_words_that_are_left_over():
    tables = Tables(np.array([[TOTAL]]))
    batch = (np.zeros(5, int), np.zeros(5, int))
    data = bytearray(encode(tables, [batch], 1, np.zeros(16, np.uint8)))
    data[1] = 1
    with pytest.raises(FormatError, match="not those that were encoded"):
        decode(tables, bytes(data) + b"..", [batch])


@pytest.mark.parametrize("lanes", [0, MOST_LANES + 1, 2**34])
def test_numbers_of_lanes(lanes):
    with pytest.raises(FormatError, match=f"{lanes} lanes"):
        RansDecoder(write_varint(lanes, 0) + bytes(100), 0)


@pytest.mark.parametrize(("lanes", "words"), [*itertools.product([1, MOST_LANES], [1, 2**20, 2**35 - 1])])
def test_announced_words_that_are_not_there_are_not_allocated(lanes, words):
    data = write_varint(lanes, words) + bytes(3 if lanes == 1 else lanes * 5 // 2)
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError, match=f"{words} words"):
            RansDecoder(data, 0)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
