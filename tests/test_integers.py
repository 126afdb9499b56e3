"""Tests of `bitstreams.integers`: the table of its docstring, spelled out value by value, and the whole range back."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams.errors import FormatError
from bitstreams.integers import LAST, code_integers
from bitstreams.symbols import HuffmanDecoder, HuffmanEncoder

KINDS = {"number": 3}
WHOLE_RANGE = np.arange(-(2**14), 2**14, dtype=np.int16)


class Recorder:
    """A coder that is given symbols and bits, and keeps them."""

    def __init__(self):
        self.symbols, self.contexts, self.widths, self.values = [], [], [], []

    def code(self, kind, contexts, symbols, owners=None):
        assert kind == "number"
        self.contexts += contexts.tolist()
        self.symbols += symbols.tolist()
        return symbols

    def bits(self, widths, values, owners=None):
        self.widths += widths.tolist()
        self.values += values.tolist()
        return values


def symbol_plain(value):
    """Return symbol, number of plain bits and these, by the description."""
    folded = 2 * value if value >= 0 else -2 * value - 1
    if folded < 16:
        return folded, 0, 0
    digits = format(folded, "b")
    leading, below, rest = digits[0], digits[1:3], digits[3:]
    assert leading == "1"
    return 16 + 4 * (len(digits) - 5) + int(below, 2), len(rest), int(rest, 2)


def zeros(number):
    return np.zeros(number, np.uint8)


def encode(values, contexts):
    coder = HuffmanEncoder(KINDS)
    assert code_integers(coder, "number", contexts, values) is values
    return coder.finish()


def test_the_table_of_the_description():
    recorder = Recorder()
    folded = [0, 1, 2, 3, 4, 15, 16, 19, 20, 23, 32, 39]
    values = [(n + 1) // 2 * (-1) ** n for n in folded]
    code_integers(recorder, "number", zeros(len(values)), np.array(values, np.int16))
    assert values[:5] == [0, -1, 1, -2, 2]
    assert recorder.symbols == [0, 1, 2, 3, 4, 15, 16, 16, 17, 17, 20, 20]
    assert recorder.widths == [2, 2, 2, 2, 3, 3]
    assert recorder.values == [0, 3, 0, 3, 0, 7]


def test_every_value_has_the_symbol_and_bits_of_the_description():
    recorder = Recorder()
    code_integers(recorder, "number", zeros(WHOLE_RANGE.size), WHOLE_RANGE)
    plain = [symbol_plain(value) for value in WHOLE_RANGE.tolist()]
    assert recorder.symbols == [symbol for symbol, _, _ in plain]
    assert recorder.widths == [width for symbol, width, _ in plain if symbol >= 16]
    assert recorder.values == [rest for symbol, _, rest in plain if symbol >= 16]
    assert max(recorder.symbols) == LAST == 59


def test_the_whole_range_there_and_back():
    contexts = (np.arange(WHOLE_RANGE.size) % 3).astype(np.uint8)
    decoder = HuffmanDecoder(encode(WHOLE_RANGE, contexts), 0, KINDS)
    found = code_integers(decoder, "number", contexts, None)
    decoder.finish()
    assert found.dtype == np.int16
    assert np.array_equal(found, WHOLE_RANGE)


@given(st.lists(st.integers(-9, 8) | st.integers(-(2**14), 2**14 - 1), max_size=40))
@example([])
@example([7, -8])  # the last with symbols of their own: no plain bits
@example([8])
def test_any_integers_there_and_back(numbers):
    values, contexts = np.array(numbers, np.int16), np.arange(len(numbers)).astype(np.uint8) % 3
    decoder = HuffmanDecoder(encode(values, contexts), 0, KINDS)
    assert code_integers(decoder, "number", contexts, None).tolist() == numbers
    decoder.finish()


def test_contexts_are_handed_on():
    recorder = Recorder()
    code_integers(recorder, "number", np.array([2, 0, 1], np.uint8), np.array([5, 500, -5], np.int16))
    assert recorder.contexts == [2, 0, 1]


def test_bits_are_accounted_to_their_owners():
    values, owners = np.array([3, 700, 3, -700, 20], np.int16), np.array([0, 1, 0, 2, 1])
    decoder = HuffmanDecoder(encode(values, zeros(5)), 0, KINDS, 3)
    code_integers(decoder, "number", zeros(5), None, owners)
    # 700 is folded to 1400, of 11 bits, and 20 to 40, of 6: 8 and 3 of them are plain.
    assert decoder.account["plain"].tolist() == [0, 8 + 3, 8]
    assert decoder.account["number"].all()


@pytest.mark.parametrize("symbol", [LAST + 1, 255])
def test_a_size_that_does_not_exist(symbol):
    coder = HuffmanEncoder(KINDS)
    coder.code("number", zeros(2), np.array([0, symbol], np.uint8))
    decoder = HuffmanDecoder(coder.finish(), 0, KINDS)
    with pytest.raises(FormatError, match="an integer of more than 15 bits"):
        code_integers(decoder, "number", zeros(2), None)


def test_the_largest_symbol_with_all_bits_set():
    coder = HuffmanEncoder(KINDS)
    coder.code("number", zeros(1), np.array([LAST], np.uint8))
    coder.bits(np.array([12]), np.array([2**12 - 1]))
    assert code_integers(HuffmanDecoder(coder.finish(), 0, KINDS), "number", zeros(1), None).tolist() == [-(2**14)]
