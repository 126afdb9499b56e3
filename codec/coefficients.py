"""The run-length coefficient syntax: levels of a strip's planes to bytes, and back.

Planes that look alike share their codes, so levels come in groups: luma; Cb and Cr; alpha. A group is one array,
(planes, rows, columns, 64), of blocks in raster order and levels in zigzag order. It gives two streams of symbols.
**DC** levels are predicted from the block to the left, the first of each row from the block above it, the very first
from 0; the stream holds the sizes of the differences. **AC** levels are run-length coded (`codec.scan`), block after
block, plane after plane. The bytes of a strip:

    Huffman section             DC and AC stream of each group (`bitstreams.huffman`)
    signs, mantissas            of group 0's DC, group 0's AC, group 1's DC, ... (`bitstreams.amplitudes`)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitstreams.amplitudes import pack_amplitudes, sizes, unpack_amplitudes
from bitstreams.errors import FormatError
from bitstreams.huffman import Stream, decode_streams, encode_streams, read_section
from codec.scan import EOB, run_length_decode, run_length_encode

__all__ = ["Coded", "Shape", "decode_levels", "encode_levels"]

ALPHABET = 256
LARGEST_SIZE = 12  # bits of the largest difference: at step 1, DC of chroma goes from -2**10 to 2**10, and 2**11 has 12

Shape = tuple[int, int, int]  # planes, rows and columns of blocks


def encode_levels(groups: Sequence[NDArray[np.int16]]) -> bytes:
    """Code the levels of a strip.

    Parameters
    ----------
    groups : sequence of (planes, rows, columns, 64) int16 arrays

    Returns
    -------
    bytes
    """
    streams, values, value_sizes = [], [], []
    for levels in groups:
        difference = _difference(levels[..., 0])
        dc = sizes(difference)
        coded = np.flatnonzero(dc)
        ac, value, size = run_length_encode(levels.reshape(-1, 64))
        streams += [dc, ac]
        values += [difference.take(coded), value]
        value_sizes += [dc.take(coded), size]
    return encode_streams(streams, ALPHABET) + pack_amplitudes(np.concatenate(values), np.concatenate(value_sizes))


@dataclass(frozen=True)
class Coded:
    """A group of planes as read from a strip: symbols and values that are not in their places yet.

    Attributes
    ----------
    shape : (planes, rows, columns)
        The group.
    dc, ac : Stream
        Where the code words lie.
    dc_sizes, ac_symbols : uint8 arrays
        What the streams hold.
    dc_levels : (planes, rows, columns) int16 array
        DC levels.
    places : (V,) int32 array
        Index of each AC level that is not 0 in the flattened levels of the group, rising.
    values : (V,) int16 array
        These levels.
    """

    shape: Shape
    dc: Stream
    ac: Stream
    dc_sizes: NDArray[np.uint8]
    ac_symbols: NDArray[np.uint8]
    dc_levels: NDArray[np.int16]
    places: NDArray[np.int32]
    values: NDArray[np.int16]

    def symbols(self, plane: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the DC sizes and AC symbols of one of the group's planes."""
        ends = np.flatnonzero(self.ac_symbols == EOB).reshape(self.shape)[:, -1, -1] + 1
        return self.dc_sizes.reshape(self.shape[0], -1)[plane], np.split(self.ac_symbols, ends[:-1])[plane]

    def levels(self, plane: int, first: int = 0, last: int | None = None) -> NDArray[np.float32]:
        """Put levels in their places.

        Parameters
        ----------
        plane : int
            Which of the group's planes.
        first, last : int, optional
            Rows of blocks, the last not counted; all of them by default.

        Returns
        -------
        (last - first, columns, 64) float32 array
            Whole numbers, in the type that the inverse transform multiplies.
        """
        dc = self.dc_levels[plane, first:last]
        levels = np.zeros((*dc.shape, 64), np.float32)
        row = levels[0].size
        start = (plane * self.shape[1] + first) * row
        low, high = np.searchsorted(self.places, np.array([start, start + levels.size], np.int32))
        inside = np.subtract(self.places[low:high], start, dtype=np.intp)
        levels.reshape(-1)[inside] = self.values[low:high]
        levels[..., 0] = dc
        return levels


def decode_levels(data: bytes, at: int, shapes: Sequence[Shape]) -> list[Coded]:
    """Decode the levels of a strip.

    Parameters
    ----------
    data : bytes
        What holds the strip; it ends with the mantissas.
    at : int
        Index of the first byte.
    shapes : sequence of (planes, rows, columns)
        The groups.

    Returns
    -------
    list of Coded

    Raises
    ------
    FormatError, TruncatedError
        Whatever the bytes are.
    """
    streams, at = read_section(data, at, 2 * len(shapes), ALPHABET)
    blocks = [int(np.prod(shape)) for shape in shapes]
    for dc, ac, number in zip(streams[0::2], streams[1::2], blocks, strict=True):
        if dc.count != number or ac.count > 64 * number:
            raise FormatError(f"{dc.count} DC and {ac.count} AC symbols where there are {number} blocks")
    symbols = decode_streams(data, streams)
    dc_coded = [np.flatnonzero(dc_sizes) for dc_sizes in symbols[0::2]]
    scans = [run_length_decode(ac_symbols, number) for ac_symbols, number in zip(symbols[1::2], blocks, strict=True)]
    kinds: list[NDArray[np.uint8]] = []
    for dc_sizes, coded, (_, ac_sizes) in zip(symbols[0::2], dc_coded, scans, strict=True):
        kinds += [dc_sizes.take(coded), ac_sizes]
    every_size = np.concatenate(kinds)
    if every_size.max(initial=0) > LARGEST_SIZE:
        raise FormatError(f"a level of more than {LARGEST_SIZE} bits")
    values, at = unpack_amplitudes(data, at, every_size)
    if at != len(data):
        raise FormatError(f"{len(data) - at} bytes too many after the last mantissa")
    of_kind = np.split(values, np.cumsum([kind.size for kind in kinds])[:-1])
    groups = []
    for i, shape in enumerate(shapes):
        d, a = 2 * i, 2 * i + 1
        difference = np.zeros(blocks[i], np.int16)
        difference[dc_coded[i]] = of_kind[d]
        dc_levels = _undo_difference(difference, shape)
        groups.append(Coded(shape, streams[d], streams[a], symbols[d], symbols[a], dc_levels, scans[i][0], of_kind[a]))
    return groups


def _difference(dc: NDArray[np.int16]) -> NDArray[np.int16]:
    """Predict DC levels: (planes, rows, columns) to a flat array of differences."""
    difference = np.diff(dc, axis=2, prepend=np.int16(0))
    difference[:, 1:, 0] = np.diff(dc[:, :, 0], axis=1)
    return difference.ravel()


def _undo_difference(difference: NDArray[np.int16], shape: Shape) -> NDArray[np.int16]:
    """Undo `_difference`; a sum that overflows wraps around, the same on every machine."""
    dc = difference.reshape(shape)
    dc[:, :, 0] = np.cumsum(dc[:, :, 0], axis=1, dtype=np.int16)
    return np.cumsum(dc, axis=2, dtype=np.int16)
