"""Tests of `bitstreams.symbols`: every call comes back, contexts are merged to advantage, and damage is an error."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams import symbols
from bitstreams.bits import pack, pack_fixed, write_varint
from bitstreams.errors import CodecError, FormatError, TruncatedError
from bitstreams.huffman import encode_streams
from bitstreams.symbols import HuffmanDecoder, HuffmanEncoder, merge_contexts

KINDS = {"flag": 1, "mode": 7, "never": 3, "level": 256}


def geometric(rng, number, ratio):
    """Draw symbols whose likelihoods fall geometrically, each with a ratio of its own."""
    return np.minimum(rng.geometric(1 - np.broadcast_to(ratio, number)) - 1, 255).astype(np.uint8)


def make_calls(seed, number, longest, spread=1.0):
    """Return calls of a coder: (kind, contexts, symbols, owners), or ("plain", widths, values, owners)."""
    rng = np.random.default_rng(seed)
    calls = []
    for _ in range(number):
        size = int(rng.choice([0, 1, rng.integers(longest + 1)]))
        owners = rng.integers(0, 5, size)
        kind = str(rng.choice(["flag", "mode", "level", "plain"]))
        if kind == "plain":
            widths = rng.integers(0, 26, size)
            calls.append((kind, widths, rng.integers(0, 1 << widths), owners))
        else:
            contexts = rng.integers(0, KINDS[kind], size).astype(np.uint8)
            ratio = 0.5 + 0.45 * spread * contexts / KINDS[kind]
            calls.append((kind, contexts, geometric(rng, size, ratio), owners))
    return calls


def write(calls, kinds=KINDS):
    """Encode calls; check that the encoder gives back what it is given."""
    coder = HuffmanEncoder(kinds)
    for kind, told, values, owners in calls:
        given_back = coder.bits(told, values) if kind == "plain" else coder.code(kind, told, values, owners)
        assert given_back is values
    return coder.finish()


def read(data, calls, at=0, owners=0, kinds=KINDS):
    """Decode the same calls; return the decoder and what it gave."""
    coder = HuffmanDecoder(data, at, kinds, owners)
    found = []
    for kind, told, _, owner in calls:
        found.append(coder.bits(told, None, owner) if kind == "plain" else coder.code(kind, told, None, owner))
    coder.finish()
    return coder, found


# There and back ---------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([1, 30, 2000]), st.binary(max_size=3))
@example(0, 0, 1, b"")
def test_every_call_comes_back(seed, number, longest, before):
    calls = make_calls(seed, number, longest)
    _, found = read(before + write(calls), calls, len(before))
    for (*_, values, _), back in zip(calls, found, strict=True):
        assert back.shape == values.shape
        assert back.tolist() == values.tolist()


def test_many_codes_take_several_sections():
    # 64 contexts whose symbols have nothing in common: as many codes as there may be, in sections of 16.
    contexts = np.repeat(np.arange(0, 256, 4, dtype=np.uint8), 300)
    values = contexts + (np.arange(contexts.size) % 4).astype(np.uint8)
    calls = [("level", contexts, values, None), ("flag", contexts[:9] * 0, values[:9], None)]
    data = write(calls)
    assert data[:4] == bytes([1, 0, 0, 64])  # codes of flag, mode, never, level
    _, found = read(data, calls)
    assert np.array_equal(found[0], values)
    assert np.array_equal(found[1], values[:9])


def test_the_layout_by_hand():
    kinds = {"one": 1, "none": 9, "two": 5}
    contexts = np.array([1] * 400 + [4, 3] * 200, np.uint8)
    values = np.repeat(np.arange(200, dtype=np.uint8), 4)
    calls = [
        ("two", contexts, values, None),
        ("plain", np.array([4, 0, 9]), np.array([5, 0, 257]), None),
        ("one", np.zeros(3, np.uint8), np.array([7, 7, 8], np.uint8), None),
    ]
    parts = [
        write_varint(1, 0, 2),
        # Contexts 0 and 2 do not occur; 1 has the first code, 3 and 4 share the second.
        bytes([0b0001_0000]) + pack_fixed([1], 1),
        write_varint(13),
        encode_streams([calls[2][2], values[:400], values[400:]], 256, 512),
        pack([5, 0, 257], [4, 0, 9]),
    ]
    assert write(calls, kinds) == b"".join(parts)


def test_nothing_at_all():
    assert write([]) == bytes(5)  # no codes of four kinds, no plain bits
    read(bytes(5), [])


def test_arrays_may_be_changed_after_a_call():
    coder = HuffmanEncoder(KINDS)
    arrays = [np.arange(7, dtype=np.uint8), np.arange(7, dtype=np.uint8), np.full(7, 3), np.arange(7)]
    coder.code("mode", *arrays[:2])
    coder.bits(*arrays[2:])
    for array in arrays:
        array[...] = 0
    decoder = HuffmanDecoder(coder.finish(), 0, KINDS)
    assert decoder.code("mode", np.arange(7, dtype=np.uint8), None).tolist() == list(range(7))
    assert decoder.bits(np.full(7, 3), None).tolist() == list(range(7))
    decoder.finish()


def test_symbols_of_calls_may_be_read_in_other_portions():
    contexts, values = np.arange(200, dtype=np.uint8) % 7, geometric(np.random.default_rng(0), 200, 0.8)
    coder = HuffmanDecoder(write([("mode", contexts, values, None)]), 0, KINDS)
    parts = [coder.code("mode", part, None) for part in np.split(contexts, [1, 1, 50, 120])]
    assert np.array_equal(np.concatenate(parts), values)
    coder.finish()


# The account ------------------------------------------------------------------------------------------------


def test_the_account_is_what_symbols_take():
    calls = make_calls(1, 30, 500)
    coder, _ = read(write(calls), calls, owners=5)
    lengths_of = HuffmanDecoder(write(calls), 0, KINDS)
    expected = {kind: np.zeros(5, int) for kind in (*KINDS, "plain")}
    for kind, told, values, owners in calls:
        for context, value, owner in zip(told.tolist(), values.tolist(), owners.tolist(), strict=True):
            if kind != "plain":
                code = lengths_of._code_of[kind][context]
                expected[kind][owner] += lengths_of._lengths[kind][code][value]
            else:
                expected[kind][owner] += context
    assert {kind: bits.tolist() for kind, bits in coder.account.items()} == {
        kind: bits.tolist() for kind, bits in expected.items()
    }
    assert not coder.account["never"].any()
    taken = sum(int(bits.sum()) for bits in coder.account.values())
    assert 0.7 * 8 * len(write(calls)) < taken < 8 * len(write(calls))


def test_no_account_unless_wanted():
    calls = make_calls(1, 30, 50)
    assert read(write(calls), calls)[0].account == {}


# What is missing or left ------------------------------------------------------------------------------------


@pytest.fixture
def decoder():
    """Return a decoder of 10 modes in two contexts, which have codes of their own, and of 12 plain bits."""
    contexts = np.array([0] * 6 + [1] * 4, np.uint8)
    calls = [("mode", contexts, contexts * 9, None), ("plain", np.array([12]), np.array([99]), None)]
    with mock.patch.object(symbols, "CODE_BITS", -1000):  # so that two codes are worth it
        data = write(calls)
    assert data[1] == 2
    return HuffmanDecoder(data, 0, KINDS)


def zeros(number):
    return np.zeros(number, np.uint8)


def test_expectations(decoder):
    decoder.expect("mode", 10)
    with pytest.raises(FormatError, match="too few symbols of mode"):
        decoder.expect("mode", 11)
    decoder.code("mode", zeros(4), None)
    decoder.expect("mode", 6)
    with pytest.raises(FormatError, match="too few symbols of mode"):
        decoder.expect("mode", 7)
    decoder.expect("never", 0)
    with pytest.raises(FormatError, match="too few symbols of never"):
        decoder.expect("never", 1)
    HuffmanEncoder(KINDS).expect("mode", 1000)  # an encoder has none


def test_too_few_symbols_of_a_context(decoder):
    with pytest.raises(FormatError, match="too few symbols of mode"):
        decoder.code("mode", zeros(7), None)


@pytest.mark.parametrize("kind", ["never", "flag", "level"])
def test_symbols_of_a_kind_that_has_none(decoder, kind):
    assert decoder.code(kind, zeros(0), None).size == 0
    with pytest.raises(FormatError, match=f"too few symbols of {kind}"):
        decoder.code(kind, zeros(1), None)


def test_too_few_plain_bits(decoder):
    with pytest.raises(CodecError):
        decoder.bits(np.array([12, 5]), None)


def test_symbols_and_bits_that_are_left(decoder):
    with pytest.raises(FormatError, match="12 plain bits are left"):
        decoder.finish()
    assert decoder.bits(np.array([12]), None).tolist() == [99]
    decoder.code("mode", zeros(6), None)
    with pytest.raises(FormatError, match="symbols of mode are left"):
        decoder.finish()
    decoder.code("mode", zeros(4) + 1, None)
    decoder.finish()


def test_plain_bits_read_past_their_end_are_noticed():
    # 9 bits fill two bytes: 16 can be read, but not without its being told.
    coder = HuffmanDecoder(write([("plain", np.array([9]), np.array([511]), None)]), 0, KINDS)
    with pytest.raises(FormatError):
        coder.bits(np.array([16]), None)
        coder.finish()


# Damage -----------------------------------------------------------------------------------------------------


def test_more_codes_than_contexts():
    with pytest.raises(FormatError, match="2 codes for the 1 contexts of flag"):
        HuffmanDecoder(write_varint(2), 0, KINDS)
    with pytest.raises(FormatError, match="65 codes for the 256 contexts of level"):
        HuffmanDecoder(write_varint(0, 0, 0, 65), 0, KINDS)


def test_a_context_whose_code_does_not_exist():
    with pytest.raises(FormatError, match="a context has a code that does not exist"):
        HuffmanDecoder(write_varint(0, 3) + bytes([0b0100_1000]) + pack_fixed([1, 3], 2), 0, KINDS)


@pytest.mark.parametrize("change", [lambda data: data + b"\0", lambda data: data[:-1]])
def test_plain_bits_fill_the_bytes_that_are_left(change):
    data = write([("plain", np.array([9]), np.array([511]), None)])
    with pytest.raises(FormatError, match="bytes where 9 plain bits belong"):
        HuffmanDecoder(change(data), 0, KINDS)


def test_every_prefix_is_an_error():
    data = write(make_calls(3, 12, 60))
    for end in range(len(data)):
        with pytest.raises((TruncatedError, FormatError)):
            HuffmanDecoder(data[:end], 0, KINDS)


def test_any_changed_byte_gives_symbols_or_an_error_of_the_tree():
    calls = make_calls(4, 12, 60)
    data = write(calls)
    outcomes = set()
    for i in range(len(data)):
        for value in (0x00, 0x01, 0x55, 0xFF):
            damaged = data[:i] + bytes([value]) + data[i + 1 :]
            try:
                _, found = read(damaged, calls)
            except CodecError as error:
                outcomes.add(type(error))
            else:
                assert [back.size for back in found] == [values.size for *_, values, _ in calls]
    assert outcomes == {FormatError, TruncatedError}


# Contexts that share a code ---------------------------------------------------------------------------------


def estimate(counts, code_of):
    """Return the bits of contexts that share codes, by the measure that merging goes by."""
    shared = np.array([counts[code_of == code].sum(axis=0) for code in range(code_of.max(initial=-1) + 1)])
    return float(symbols._code_bits(shared.reshape(-1, 256)).sum())


@given(st.integers(0, 100_000), st.integers(1, 9), st.sampled_from([0.05, 0.3, 5.0]), st.sampled_from([30, 300, 5000]))
def test_merging_is_never_worse_than_a_code_each_or_one_for_all(seed, contexts, alike, number):
    rng = np.random.default_rng(seed)
    likelihoods = rng.dirichlet(np.full(16, alike), contexts)
    counts = np.zeros((contexts, 256), np.int64)
    counts[:, :16] = [rng.multinomial(rng.integers(number), likelihood) for likelihood in likelihoods]
    code_of = merge_contexts(counts)
    occurs = counts.any(axis=1)
    assert (code_of >= 0).tolist() == occurs.tolist()
    codes = sorted(set(code_of[occurs].tolist()))
    assert codes == list(range(len(codes)))
    each, one = np.where(occurs, np.cumsum(occurs) - 1, -1), np.where(occurs, 0, -1)
    assert estimate(counts, code_of) <= min(estimate(counts, each), estimate(counts, one)) + 1e-6


def test_contexts_alike_share_a_code_and_others_do_not():
    rng = np.random.default_rng(0)
    likelihoods = rng.dirichlet(np.full(256, 0.2), 3)
    kinds = [0, 1, 2, 1, 0, 2, 0]
    counts = np.array([rng.multinomial(20_000, likelihoods[kind]) for kind in kinds])
    counts = np.insert(counts, 3, 0, axis=0)
    assert merge_contexts(counts).tolist() == [0, 1, 2, -1, 1, 0, 2, 0]


def test_there_are_never_more_codes_than_allowed():
    counts = np.zeros((256, 256), np.int64)
    counts[np.arange(256), np.arange(256)] = 1_000_000
    counts[np.arange(256), np.arange(256) ^ 1] = 900_000
    counts[:, :] += np.random.default_rng(0).integers(1, 1000, (256, 256))
    assert sorted(set(merge_contexts(counts).tolist())) == list(range(symbols.MAX_CODES))


def test_the_measure_is_close_to_real_bytes():
    rng = np.random.default_rng(0)
    for number, ratio in ((100, 0.5), (1000, 0.9), (20_000, 0.7), (50_000, 0.97)):
        values = geometric(rng, number, ratio)
        estimated = float(symbols._code_bits(np.bincount(values, minlength=256)))
        actual = 8 * len(encode_streams([values], 256, symbols.LANE))
        assert abs(estimated - actual) < 0.02 * actual + 80


def test_merging_makes_real_files_smaller():
    # Contexts of two kinds, a few hundred symbols each: a code each costs too much, and so does one for all.
    rng = np.random.default_rng(5)
    contexts = rng.integers(0, 64, 20_000).astype(np.uint8)
    calls = [("level", contexts, geometric(rng, contexts.size, np.where(contexts & 1, 0.3, 0.95)), None)]
    merged = len(write(calls))
    for choice in (np.arange(256) % 64, np.zeros(256)):
        with mock.patch.object(symbols, "merge_contexts", lambda counts, chosen=choice: chosen.astype(np.int8)):
            assert merged < 0.97 * len(write(calls))
