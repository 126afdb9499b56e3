"""Zigzag and run-length: 63 AC levels of a block, most of them 0, as a few symbols.

The zigzag (ITU-T T.81, figure A.6) walks a block from low to high frequency, so that zeros come in long runs at the
end. Each level that is not 0 then becomes one symbol, made of the run of zeros before it and of its size (how many bits
its magnitude has); sign and mantissa follow elsewhere (`bitstreams.amplitudes`):

    levels   5 0 0 -2 1 0 0 0 ... 0
    symbols  (0,3) (2,2) (0,1) EOB

    symbol   size << 4 | run        JPEG's (run, size) with the halves exchanged, so that the rare large sizes stand at
                                    the end of the alphabet, where a table of code lengths can stop
    0x0F     ZRL                    16 zeros and no level: for runs over 15
    0x00     EOB                    the rest of the block is 0; every block ends with it
    0x01-0x0E                       1 to 14 zeros more and no level: never written, and read as just that
"""

import numpy as np
from numpy.typing import NDArray

from bitstreams.amplitudes import sizes
from bitstreams.errors import FormatError

__all__ = [
    "EOB",
    "ZIGZAG",
    "ZRL",
    "run_length_decode",
    "run_length_decode_plain",
    "run_length_encode",
    "run_length_encode_plain",
]

CELLS = 64  # coefficients in a block
EOB = 0x00
ZRL = 0x0F
HALF = np.uint8(4)  # bits of each half of a symbol


def _zigzag() -> NDArray[np.intp]:
    """Return the 64 raster indices in zigzag order: diagonal by diagonal, up and down in turn."""
    row, column = np.divmod(np.arange(CELLS), 8)
    diagonal = row + column
    return np.lexsort((np.where(diagonal % 2, row, column), diagonal))


ZIGZAG = _zigzag()


def run_length_encode_plain(block: list[int]) -> tuple[list[int], list[int]]:
    """Run-length code one block, level by level: the plain form of `run_length_encode`.

    Parameters
    ----------
    block : list of 64 ints
        Levels in zigzag order; the first, DC, is coded elsewhere.

    Returns
    -------
    symbols, values : list of int, list of int
        The block's symbols, and the levels that are not 0.
    """
    symbols, values, run = [], [], 0
    for level in block[1:]:
        if level == 0:
            run += 1
            continue
        while run > 15:
            symbols.append(ZRL)
            run -= 16
        symbols.append(abs(level).bit_length() << 4 | run)
        values.append(level)
        run = 0
    return [*symbols, EOB], values


def run_length_decode_plain(symbols: list[int], values: list[int]) -> list[list[int]]:
    """Undo `run_length_encode_plain` for the symbols of any number of blocks, symbol by symbol."""
    blocks, level = [], iter(values)
    block = [0]
    for symbol in symbols:
        if symbol == EOB:
            blocks.append(block + [0] * (CELLS - len(block)))
            block = [0]
        else:
            block += [0] * (symbol & 15)
            block.append(next(level) if symbol >> 4 else 0)
    return blocks


def run_length_encode(
    levels: NDArray[np.int16],
) -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.uint8]]:
    """Run-length code the AC levels of many blocks.

    Parameters
    ----------
    levels : (N, 64) int16 array
        Levels in zigzag order; column 0 (DC) is ignored.

    Returns
    -------
    symbols : (S,) uint8 array
        Symbols of all blocks, each block ended by EOB.
    values : (V,) int16 array
        The levels that are not 0.
    size : (V,) uint8 array
        Their sizes.
    """
    # The place of a block's DC marks where the block before it ends: with those marks in, every entry of one flat list
    # of places is a symbol, and its run is the gap to the entry before.
    marked = levels != 0
    marked[:, 0] = True
    place = np.flatnonzero(marked)
    value = levels.ravel().take(place)
    low = place.astype(np.uint8)  # gaps are at most 64, so their low bytes are enough
    run = np.diff(low, append=np.uint8(levels.size & 0xFF)) - np.uint8(1)
    # Shift by one, since entry i tells the gap after it: symbol i belongs to entry i + 1, the last one is an EOB.
    is_level = np.append((low[1:] & np.uint8(CELLS - 1)) != 0, False)
    value = np.append(value[1:], np.int16(0))
    size = sizes(value)
    run *= is_level
    symbols = (size << HALF | run & np.uint8(15)) * is_level
    coded = np.flatnonzero(is_level)
    long = np.flatnonzero(run > 15)
    if long.size:
        symbols = np.insert(symbols, np.repeat(long, run.take(long) >> 4), ZRL)
    return symbols, value.take(coded), size.take(coded)


def run_length_decode(symbols: NDArray[np.uint8], blocks: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Find where the levels of many blocks stand: the inverse of `run_length_encode`, but for their values.

    Parameters
    ----------
    symbols : (S,) uint8 array
        Symbols of all blocks.
    blocks : int
        Number of blocks.

    Returns
    -------
    place : (V,) int32 array
        Index of each level that is not 0 in the flattened (blocks, 64) array.
    size : (V,) uint8 array
        Its size.

    Raises
    ------
    FormatError
        If there are more or fewer blocks, or a run leaves its block.
    """
    ends = np.flatnonzero(symbols == EOB)
    if ends.size != blocks or (blocks and ends[-1] != symbols.size - 1):
        raise FormatError(f"run-length symbols of {ends.size} blocks where {blocks} belong")
    if not blocks:
        return np.zeros(0, np.int32), np.zeros(0, np.uint8)
    step = ((symbols & 15) + np.uint8(1)).astype(np.int32)
    step[ends] = 0
    length = np.add.reduceat(step, np.append(0, ends[:-1] + 1), dtype=np.int32)
    if length.max() >= CELLS:
        raise FormatError("a run of zeros leaves its block")
    step[ends] = CELLS - length  # an EOB takes the cursor to the next block
    size = symbols >> HALF
    coded = np.flatnonzero(size > 0)
    return np.cumsum(step, dtype=np.int32, out=step).take(coded), size.take(coded)
