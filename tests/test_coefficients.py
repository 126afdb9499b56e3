"""Tests of `codec.coefficients`: levels to bytes and back, and bytes that no levels give."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams.amplitudes import pack_amplitudes, sizes
from bitstreams.errors import FormatError, TruncatedError
from bitstreams.huffman import encode_streams
from codec.coefficients import decode_levels, encode_levels
from codec.scan import EOB, ZRL

LARGEST = 2047  # of DC: 8 * 128 in steps of 1/2 would reach it; differences are twice as large


def make_levels(shape, density, largest, seed):
    """Return levels of which a share is not 0."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(-largest, largest + 1, (*shape, 64))
    return np.where(rng.random(drawn.shape) < density, drawn, 0).astype(np.int16)


def check(groups):
    """Encode, decode between other bytes, and compare every plane, whole and cut."""
    data = encode_levels(groups)
    decoded = decode_levels(b"12345" + data, 5, [levels.shape[:3] for levels in groups])
    assert len(decoded) == len(groups)
    for coded, levels in zip(decoded, groups, strict=True):
        assert np.array_equal(coded.dc_levels, levels[..., 0])
        for number, plane in enumerate(levels):
            assert np.array_equal(coded.levels(number), plane)
            middle = len(plane) // 2
            assert np.array_equal(coded.levels(number, middle), plane[middle:])
            assert np.array_equal(coded.levels(number, middle, middle + 1), plane[middle : middle + 1])
    return decoded


shapes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
densities = st.sampled_from([0, 0.01, 0.1, 0.5, 1])
group = st.builds(make_levels, shapes, densities, st.sampled_from([1, 20, LARGEST]), st.integers(0, 99))


@given(st.lists(group, min_size=1, max_size=3))
@example([np.zeros((1, 1, 1, 64), np.int16)])
@example([np.zeros((2, 5, 40, 64), np.int16)])
@example([make_levels((1, 3, 3), 1, LARGEST, 0), np.zeros((2, 2, 2, 64), np.int16)])
@example([make_levels((1, 12, 17), 0.9, 3, 0)])  # several lanes
def test_there_and_back(groups):
    check(groups)


@pytest.mark.parametrize("largest", [LARGEST, -LARGEST])
def test_the_largest_levels_and_differences(largest):
    # A checkerboard of both extremes: every difference of DC is twice as large, and takes 12 bits.
    board = np.full((1, 4, 4, 64), largest, np.int16)
    board[:, ::2, ::2] *= -1
    board[:, 1::2, 1::2] *= -1
    (coded,) = check([board])
    assert coded.dc_sizes.max() == 12


def test_empty_blocks_take_two_bits():
    data = encode_levels([np.zeros((1, 100, 100, 64), np.int16)])
    assert 10_000 * 2 / 8 <= len(data) < 10_000 * 2 / 8 + 150


def test_dc_is_predicted_from_the_left_and_down_the_first_column():
    levels = np.zeros((1, 2, 3, 64), np.int16)
    levels[0, :, :, 0] = [[10, 12, 12], [11, 11, 4]]
    (coded,) = check([levels])
    assert coded.dc_sizes.tolist() == [abs(d).bit_length() for d in (10, 2, 0, 1, 0, -7)]


def test_values_are_the_levels_in_the_order_of_their_places():
    levels = make_levels((2, 3, 4), 0.1, 100, 1)
    (coded,) = check([levels])
    flat = levels.copy()
    flat[..., 0] = 0
    assert np.array_equal(coded.places, np.flatnonzero(flat))
    assert np.array_equal(coded.values, flat.ravel()[coded.places])


# Bytes that no levels give ----------------------------------------------------------------------------------


def write(dc, ac, values):
    """Write a strip of one group by hand, from symbols and values."""
    streams = [np.array(dc, np.uint8), np.array(ac, np.uint8)]
    numbers = np.array(values, np.int16)
    return encode_streams(streams, 256) + pack_amplitudes(numbers, sizes(numbers))


SHAPE = (1, 1, 2)


def test_a_strip_by_hand():
    (coded,) = decode_levels(write([3, 1], [2 << 4 | 1, EOB, EOB], [5, -1, -2]), 0, [SHAPE])
    expected = np.zeros((1, 2, 64))
    expected[0, 0, :3], expected[0, 1, 0] = [5, 0, -2], 4
    assert np.array_equal(coded.levels(0), expected)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (write([1], [EOB, EOB], [1]), FormatError, "1 DC and 2 AC symbols where there are 2"),
        (write([0, 0, 0], [EOB, EOB], []), FormatError, "3 DC and 2 AC symbols where there are 2"),
        (write([0, 0], [EOB], []), FormatError, "1 blocks where 2"),
        (write([0, 0], [ZRL] * 127 + [EOB, EOB], []), FormatError, "129 AC symbols"),
        (write([0, 0], [ZRL] * 4 + [EOB, EOB], []), FormatError, "leaves its block"),
        (write([13, 0], [EOB, EOB], [4096]), FormatError, "more than 12 bits"),
        (write([255, 0], [EOB, EOB], [1]), FormatError, "more than 12 bits"),
        (write([0, 0], [13 << 4, EOB, EOB], [4096]), FormatError, "more than 12 bits"),
        (write([0, 0], [EOB, EOB], []) + b"\0", FormatError, "1 bytes too many"),
        (write([0, 12], [EOB, EOB], [4095])[:-1], TruncatedError, "signs and mantissas"),
        (b"", TruncatedError, "end inside a number"),
    ],
)
def test_bytes_that_break_a_rule(data, error, message):
    with pytest.raises(error, match=message):
        decode_levels(data, 0, [SHAPE])


def test_sums_of_differences_that_leave_16_bits_wrap_around():
    # 20 differences of 4095 come to 81,900: the same remainder everywhere, and no warning.
    shape = (1, 1, 20)
    (coded,) = decode_levels(write([12] * 20, [EOB] * 20, [4095] * 20), 0, [shape])
    assert np.array_equal(coded.dc_levels.ravel(), (4095 * np.arange(1, 21)).astype(np.int16))
