"""Tests of `bitstreams.amplitudes`: sizes against Python's bit_length, and signs and mantissas there and back."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitstreams.amplitudes import pack_amplitudes, sizes, unpack_amplitudes
from bitstreams.errors import TruncatedError


def test_sizes_are_bit_lengths():
    values = np.arange(-(1 << 15), 1 << 15, dtype=np.int32)  # -32768 too, whose magnitude int16 does not hold
    assert sizes(values).tolist() == [int(v).bit_length() for v in values]


def test_sizes_at_the_ends_of_the_documented_range():
    values = np.array([2**23 - 1, 2**23, 2**24 - 1, 1 - 2**24])
    assert sizes(values).tolist() == [23, 24, 24, 24]


def test_the_example_of_the_module():
    # Signs 0 1 0 1 0 (1, -1, 3, -2, 12), then mantissas 1, 0 and 100.
    values = np.array([1, -1, 3, -2, 12], np.int16)
    assert pack_amplitudes(values, sizes(values)) == bytes([0b01010_000, 0b1_0_100_000])


nonzero = st.integers(-(2**15) + 1, 2**15 - 1).filter(bool)


@given(st.lists(nonzero | st.sampled_from([1, -1, 2, -2]), max_size=200), st.binary(max_size=3), st.binary(max_size=3))
@example([32767, -32767], b"", b"")
@example([1] * 8, b"", b"")  # whole bytes of signs and no mantissas
def test_unpack_undoes_pack(numbers, before, after):
    values = np.array(numbers, np.int16)
    data = before + pack_amplitudes(values, sizes(values)) + after
    found, at = unpack_amplitudes(data, len(before), sizes(values))
    assert found.dtype == np.int16
    assert found.tolist() == numbers
    assert data[at:] == after


@given(st.lists(nonzero, min_size=1, max_size=40), st.integers(1, 1000))
def test_bytes_that_end_too_early(numbers, missing):
    values = np.array(numbers, np.int16)
    data = pack_amplitudes(values, sizes(values))
    with pytest.raises(TruncatedError):
        unpack_amplitudes(data[: max(0, len(data) - missing)], 0, sizes(values))
    with pytest.raises(TruncatedError):
        unpack_amplitudes(data, missing, sizes(values))
