"""Bit fields of many lengths, packed and unpacked a whole array at a time.

A field is a value and a length: the value 5 in 4 bits is `0101`. Fields follow each other without gaps, the most
significant bit first, and the last byte is filled up with zeros:

    values   5     1    0    6            bytes   0x59 0x80
    lengths  4     1    2    3      ->    bits    0101 1 00 1|10 000000

`pack_plain` and `unpack_plain` say just that, one field after another. `pack` and `unpack` give the same bytes and
values with a fixed number of array operations: neighbours are merged in pairs until a pair would not fit a 64-bit
word, and what is left is shifted to its place in the word (or the two words) that it falls into.

Unsigned LEB128 varints (DWARF 4, section 7.6) hold the counts of the formats: 7 bits a byte, the least significant
group first, the top bit set on every byte but the last.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from bitarray import bitarray
from bitarray.util import ba2int, int2ba
from numpy.typing import ArrayLike, NDArray

from bitstreams.errors import FormatError, TruncatedError

__all__ = [
    "FieldReader",
    "pack",
    "pack_fixed",
    "pack_plain",
    "read_varint",
    "unpack",
    "unpack_fixed",
    "unpack_plain",
    "write_varint",
]

WORD = 64  # bits of the words that fields are merged into
MAX_VARINT = 5  # bytes: 35 bits, more than any count in a file


def pack_plain(values: Iterable[int], lengths: Iterable[int]) -> bytes:
    """Pack bit fields one after another: the plain form of `pack`, field by field.

    Parameters
    ----------
    values, lengths : iterables of int
        Each value is in [0, 2**length).

    Returns
    -------
    bytes
        The fields, most significant bit first, filled up with zero bits to whole bytes.
    """
    bits = bitarray(endian="big")
    for value, length in zip(values, lengths, strict=True):
        if length:
            bits += int2ba(int(value), int(length), endian="big")
    return bits.tobytes()


def unpack_plain(data: bytes, lengths: Iterable[int]) -> list[int]:
    """Read bit fields one after another: the plain form of `unpack`, field by field."""
    bits = bitarray(endian="big")
    bits.frombytes(data)
    values, at = [], 0
    for length in lengths:
        values.append(ba2int(bits[at : at + length]) if length else 0)
        at += length
    return values


def pack(values: ArrayLike, lengths: ArrayLike) -> bytes:
    """Pack bit fields of many lengths into bytes.

    Parameters
    ----------
    values : (N,) array of unsigned integers
        Each value is in [0, 2**length); one of length 0 must be 0.
    lengths : (N,) array of integers in [0, 64]
        Bits of each field.

    Returns
    -------
    bytes
        The same as `pack_plain`.
    """
    value, length = np.asarray(values), np.asarray(lengths).astype(np.uint8)
    if value.size == 0:
        return b""
    longest = int(length.max())
    value = value.astype(_unsigned(longest))
    while 2 * longest <= WORD and value.size > 1:
        if value.size % 2:  # an empty field makes the last pair whole
            value, length = np.append(value, value.dtype.type(0)), np.append(length, np.uint8(0))
        longest *= 2
        wide = _unsigned(longest)  # narrow words while they last: this is memory traffic
        value = (value[0::2].astype(wide) << length[1::2].astype(wide)) | value[1::2]
        length = length[0::2] + length[1::2]
    value, length = value.astype(np.uint64), length.astype(np.uint64)
    end = np.cumsum(length)
    start = end - length
    word = (start >> np.uint64(6)).astype(np.intp)
    offset = start & np.uint64(WORD - 1)
    # NumPy defines a shift by the whole width as 0, so empty and aligned fields need no special case.
    aligned = value << (np.uint64(WORD) - length)
    total = int(end[-1])
    words = np.zeros(total // WORD + 2, np.uint64)
    last = np.append(np.flatnonzero(word[1:] != word[:-1]), word.size - 1)  # the last field to start in each word
    first = np.append(0, last[:-1] + 1)
    words[word[first]] = np.bitwise_or.reduceat(aligned >> offset, first)
    words[word[last] + 1] |= aligned[last] << (np.uint64(WORD) - offset[last])  # only the last can cross over
    return words.astype(">u8").tobytes()[: -(-total // 8)]


def _unsigned(bits: int) -> type[np.unsignedinteger[Any]]:
    """Return the narrowest unsigned type of at least so many bits."""
    return np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64


def unpack(data: bytes, lengths: ArrayLike, at: int = 0) -> NDArray[np.uint32]:
    """Read bit fields of many lengths, the inverse of `pack`.

    Parameters
    ----------
    data : bytes
        What holds the fields, less than 512 MiB; bytes after the last field are ignored.
    lengths : (N,) array of integers in [0, 25]
        Bits of each field.
    at : int
        Index of the first bit of the first field.

    Returns
    -------
    (N,) uint32 array
        The values, each in [0, 2**length).

    Raises
    ------
    TruncatedError
        If the fields need more bits than `data` has.
    """
    return FieldReader(data, at).read(lengths)


class FieldReader:
    """Reads bit fields piece by piece.

    Parameters
    ----------
    data : bytes
        What holds the fields, less than 512 MiB.
    at : int
        Index of the first bit.

    Attributes
    ----------
    at : int
        Index of the next bit.
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.at, self._end = at, 8 * len(data)
        # The four bytes from every byte on, as overlapping words: a field of up to 25 bits lies inside one.
        byte = np.frombuffer(data + bytes(4), np.uint8).astype(np.uint32)
        self._words = byte[:-3] << 24 | byte[1:-2] << 16 | byte[2:-1] << 8 | byte[3:]

    def read(self, lengths: ArrayLike) -> NDArray[np.uint32]:
        """Read fields of (N,) lengths in [0, 25], or raise TruncatedError."""
        length = np.asarray(lengths).astype(np.uint32)
        end = np.cumsum(length, dtype=np.uint64)
        total = int(end[-1]) if end.size else 0
        if total > self._end - self.at:
            raise TruncatedError(f"bit fields need {total} bits, {self._end - self.at} are left")
        start = end.astype(np.uint32) - length
        start += np.uint32(self.at)
        self.at += total
        field = self._words.take(start >> np.uint32(3))
        field <<= start & np.uint32(7)
        # NumPy defines a shift by the whole width as 0, so empty fields need no special case.
        return np.right_shift(field, np.uint32(32) - length, out=field)


def pack_fixed(values: ArrayLike, width: int) -> bytes:
    """Pack values into fields of one width: `pack` for short headers, in fewer steps."""
    places = np.arange(width - 1, -1, -1)
    return np.packbits((np.asarray(values, np.int64)[:, None] >> places & 1).astype(np.uint8)).tobytes()


def unpack_fixed(data: bytes, count: int, width: int) -> NDArray[np.int64]:
    """Read `count` fields of one width, the inverse of `pack_fixed`; `data` holds all of them."""
    places = np.arange(width - 1, -1, -1)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * width)
    return bits.reshape(count, width) @ (1 << places)


def write_varint(*numbers: int) -> bytes:
    """Write non-negative integers as unsigned LEB128."""
    out = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def read_varint(data: Sequence[int], at: int) -> tuple[int, int]:
    """Read one unsigned LEB128 integer.

    Parameters
    ----------
    data : bytes
        Where to read.
    at : int
        Index of its first byte.

    Returns
    -------
    number, at : int, int
        The integer, in [0, 2**35), and the index after it.

    Raises
    ------
    TruncatedError, FormatError
        If the bytes end inside it, or it is longer than 5 bytes.
    """
    number = 0
    for i in range(MAX_VARINT):
        if at + i >= len(data):
            raise TruncatedError("the bytes end inside a number")
        byte = data[at + i]
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, at + i + 1
    raise FormatError(f"a number is longer than {MAX_VARINT} bytes")
