"""Signed integers as size, sign and mantissa (the "additional bits" of JPEG, ITU-T T.81, F.1.2).

An integer's size is the number of bits of its magnitude. Sizes are worth coding by their statistics; the sign and the
bits below the leading one are close to random, and stay plain:

    value       0    1   -1    3   -2     12
    size        0    1    1    2    2      4
    sign             0    1    0    1      0
    mantissa                   1    0    100      the leading 1 follows from the size

They are kept out of the Huffman stream, so that the decoder unpacks all of them at once: first one sign bit for each
integer that is not 0, then the mantissas, size - 1 bits each, both filled up with zeros to whole bytes.
"""

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import pack, unpack
from bitstreams.errors import TruncatedError

__all__ = ["pack_amplitudes", "sizes", "unpack_amplitudes"]


def sizes(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the number of bits of each magnitude: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7, ...

    Parameters
    ----------
    values : array of integers in (-2**24, 2**24)
        Any shape.

    Returns
    -------
    uint8 array of the same shape
    """
    # A float's exponent is its size; float32 holds integers below 2**24 exactly.
    return np.frexp(np.abs(values).astype(np.float32))[1].astype(np.uint8)


def pack_amplitudes(values: NDArray[np.int16], size: NDArray[np.uint8]) -> bytes:
    """Pack the signs and mantissas of integers whose sizes are coded elsewhere.

    Parameters
    ----------
    values : (N,) int16 array, no zeros
        The integers.
    size : (N,) uint8 array
        Their `sizes`.

    Returns
    -------
    bytes
        Signs, then mantissas.
    """
    large = np.flatnonzero(size > 1)
    below = size.take(large) - np.uint8(1)
    mantissa = np.abs(values.take(large)).astype(np.uint16) ^ (np.uint16(1) << below.astype(np.uint16))
    return np.packbits(values < 0).tobytes() + pack(mantissa, below)


def unpack_amplitudes(data: bytes, at: int, size: NDArray[np.uint8]) -> tuple[NDArray[np.int16], int]:
    """Read what `pack_amplitudes` wrote.

    Parameters
    ----------
    data : bytes
        What holds the signs and mantissas.
    at : int
        Index of their first byte.
    size : (N,) uint8 array in [1, 15]
        Size of each integer.

    Returns
    -------
    values : (N,) int16 array
        The integers.
    at : int
        Index after the mantissas.

    Raises
    ------
    TruncatedError
        If the bytes end too early.
    """
    signs_end = at + -(-size.size // 8)
    large = np.flatnonzero(size > 1)
    below = size.take(large) - np.uint8(1)
    end = signs_end + -(-int(below.sum(dtype=np.int64)) // 8)
    if end > len(data):
        raise TruncatedError(f"signs and mantissas take {end - at} bytes, {max(0, len(data) - at)} are left")
    values = np.ones(size.size, np.int16)
    values[large] = unpack(data[signs_end:end], below) | np.uint32(1) << below.astype(np.uint32)
    negative = np.unpackbits(np.frombuffer(data[at:signs_end], np.uint8), count=size.size).astype(np.int16)
    # Two's complement: -v is (v ^ -1) - -1.
    return (values ^ -negative) + negative, end
