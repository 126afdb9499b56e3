"""Tests of `codec.scan`: the zigzag of the JPEG standard, and runs against their plain form."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitstreams.errors import FormatError
from codec import scan


def test_zigzag_is_that_of_the_standard():
    # ITU-T T.81, figure A.6: the place of each coefficient of a block in the zigzag.
    # fmt: off
    figure = [
         0,  1,  5,  6, 14, 15, 27, 28,
         2,  4,  7, 13, 16, 26, 29, 42,
         3,  8, 12, 17, 25, 30, 41, 43,
         9, 11, 18, 24, 31, 40, 44, 53,
        10, 19, 23, 32, 39, 45, 52, 54,
        20, 22, 33, 38, 46, 51, 55, 60,
        21, 34, 37, 47, 50, 56, 59, 61,
        35, 36, 48, 49, 57, 58, 62, 63,
    ]
    # fmt: on
    assert np.argsort(scan.ZIGZAG).tolist() == figure
    assert scan.ZIGZAG[figure].tolist() == list(range(64))


def test_the_example_of_the_module():
    block = [5, 5, 0, 0, -2, 1] + [0] * 58
    symbols, values = scan.run_length_encode_plain(block)
    assert symbols == [3 << 4 | 0, 2 << 4 | 2, 1 << 4 | 0, scan.EOB]
    assert values == [5, -2, 1]


level = st.integers(-4095, 4095) | st.sampled_from([-2047, -1, 1, 2047])
# Mostly zeros, so that runs of every length come up.
blocks = arrays(np.int16, st.tuples(st.integers(1, 8), st.just(64)), elements=level, fill=st.just(0))
only_the_last = np.zeros((2, 64), np.int16)
only_the_last[:, 63] = -1
full = np.full((2, 64), 2047, np.int16)


@given(blocks)
@example(only_the_last)
@example(full)
@example(np.zeros((3, 64), np.int16))
@example(np.ones((5, 64), np.int16) * (np.arange(64) % 17 == 0))  # runs of 16 exactly
@example(np.ones((5, 64), np.int16) * (np.arange(64) % 16 == 0))  # runs of 15
def test_the_fast_form_gives_the_symbols_of_the_plain_one(levels):
    symbols, values, sizes = scan.run_length_encode(levels.astype(np.int16))
    plain = [scan.run_length_encode_plain(block) for block in levels.tolist()]
    assert symbols.tolist() == [s for of_block, _ in plain for s in of_block]
    assert values.tolist() == [v for _, of_block in plain for v in of_block]
    assert sizes.tolist() == [abs(v).bit_length() for v in values.tolist()]


@given(blocks)
@example(only_the_last)
@example(full)
def test_decoding_undoes_encoding(levels):
    levels = levels.copy()
    levels[:, 0] = 0  # DC is coded elsewhere
    symbols, values, sizes = scan.run_length_encode(levels)
    assert scan.run_length_decode_plain(symbols.tolist(), values.tolist()) == levels.tolist()
    place, decoded_sizes = scan.run_length_decode(symbols, len(levels))
    decoded = np.zeros(levels.size, np.int16)
    decoded[place] = values
    assert np.array_equal(decoded.reshape(levels.shape), levels)
    assert np.array_equal(decoded_sizes, sizes)


def test_thousands_of_blocks():
    # More than fit the narrow types in which the fast form counts places.
    rng = np.random.default_rng(0)
    levels = np.where(rng.random((5000, 64)) < 0.05, rng.integers(-20, 21, (5000, 64)), 0).astype(np.int16)
    levels[:, 0] = 0
    symbols, values, _ = scan.run_length_encode(levels)
    assert scan.run_length_decode_plain(symbols.tolist(), values.tolist()) == levels.tolist()
    place, _ = scan.run_length_decode(symbols, len(levels))
    assert np.array_equal(place, np.flatnonzero(levels))


def test_no_blocks():
    place, size = scan.run_length_decode(np.zeros(0, np.uint8), 0)
    assert place.size == size.size == 0


ONE = 1 << 4  # no zeros, then a level of one bit


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ([], "0 blocks where 2"),
        ([ONE, scan.EOB], "1 blocks where 2"),
        ([scan.EOB] * 3, "3 blocks where 2"),
        ([scan.EOB, scan.EOB, ONE], "2 blocks where 2"),  # levels after the last block
        ([ONE] * 64 + [scan.EOB] * 2, "leaves its block"),
        ([scan.EOB] + [scan.ZRL] * 4 + [scan.EOB], "leaves its block"),
        ([scan.EOB] + [scan.ZRL] * 10_000 + [scan.EOB], "leaves its block"),
        ([scan.ZRL] * 3 + [ONE | 15, scan.EOB, scan.EOB], "leaves its block"),
    ],
)
def test_symbols_that_no_blocks_give(symbols, message):
    with pytest.raises(FormatError, match=message):
        scan.run_length_decode(np.array(symbols, np.uint8), 2)


def test_the_last_place_of_a_block_can_be_reached():
    symbols = np.array([scan.ZRL] * 3 + [ONE | 14, scan.EOB] + [ONE] * 63 + [scan.EOB], np.uint8)
    place, _ = scan.run_length_decode(symbols, 2)
    assert place.tolist() == [63, *range(65, 128)]
