"""The syntax of levels: those of all blocks of a group of pictures, one function for encoder and decoder.

    dc        each block of an I frame   the difference of its DC level from a prediction
    count     each block                 how many levels it has (of an I frame: without DC)
    level     each level                 16 times its size, plus the zeros before it, up to 14; 15 stands for 15 and
                                         as many more as 6 plain bits say
    plain     each level                 sign, then mantissa (`bitstreams.amplitudes` tells what these are)

The i-th levels of all blocks of all frames are one step, so that what is known of a block's levels so far can be the
context of its next one, and still whole arrays are worked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.amplitudes import sizes
from bitstreams.errors import FormatError
from bitstreams.integers import code_integers
from bitstreams.symbols import SymbolCoder
from codec.wavefront import median, waves

__all__ = ["LEVEL_KINDS", "Blocks", "Levels", "code_dc", "code_levels"]

BLOCK_CLASSES = 6  # of blocks: luma and chroma of I, of P, of B frames
COUNT_CONTEXTS = 11  # of a class of blocks
SUMS = np.repeat(
    np.arange(8, dtype=np.uint8), [1, 1, 1, 2, 4, 8, 16, 224]
)  # of the levels of four neighbours, 0 to 256
# Of a class of blocks: whether the last level was larger than 1, how many are left, and where the next may be.
LEVEL_CONTEXTS = 2 * 4 * 5
PLACES = np.repeat(np.arange(5, dtype=np.uint8), [1, 2, 4, 8, 49])  # of the place that a level may have at the earliest
LEFT = np.repeat(np.arange(4, dtype=np.uint8), [2, 2, 5, 56])  # of the number of levels that are left in the block
ROUGH = 8  # of how much the neighbours of a DC level differ

LEVEL_KINDS = {"dc": 2 * ROUGH, "count": BLOCK_CLASSES * COUNT_CONTEXTS, "level": BLOCK_CLASSES * LEVEL_CONTEXTS}

LONGEST_RUN = 15  # in a symbol; stands for this and longer ones, which follow in 6 plain bits
LARGEST_SIZE = 12  # bits of a level: at step 1 a residual of 8-bit samples has 11, and rounding may add one


class Levels(NamedTuple):
    """Quantised levels of blocks, those that are 0 left out.

    Attributes
    ----------
    counts : (N,) uint8 array
        Levels of each block.
    places : (V,) uint8 array
        Their places in zigzag order, 0 to 63, rising in each block; block after block.
    values : (V,) int16 array
        The levels, in [-4095, 4095] and not 0.
    """

    counts: NDArray[np.uint8]
    places: NDArray[np.uint8]
    values: NDArray[np.int16]

    @classmethod
    def of(cls, levels: NDArray[np.float32]) -> Levels:
        """Find the levels that are not 0 in blocks (N, 64) of whole numbers."""
        block, place = np.nonzero(levels)
        counts = np.bincount(block, minlength=len(levels)).astype(np.uint8)
        return cls(counts, place.astype(np.uint8), levels[block, place].astype(np.int16))


class Blocks(NamedTuple):
    """Blocks of a plane that may have levels, in F frames.

    Attributes
    ----------
    marked : (F, rows, columns) bool array
        Which ones.
    classes : (F,) uint8 array
        The class of those of each frame, below `BLOCK_CLASSES`: each has contexts of its own.
    numbers : (F,) intp array
        Number of each frame in the group, for the account of bits.
    """

    marked: NDArray[np.bool_]
    classes: NDArray[np.uint8]
    numbers: NDArray[np.intp]


def code_dc(
    coder: SymbolCoder, grid: tuple[int, int], chroma: bool, levels: NDArray[np.int16] | None
) -> NDArray[np.int16]:
    """Code the DC levels of a plane of an I frame.

    The prediction is the median of the left level, the one above, and left + above - corner (LOCO-I, Weinberger,
    Seroussi, Sapiro, IEEE Trans. IP 9, 2000): a level on an edge follows the edge. The context is how rough the
    neighbourhood is.

    Parameters
    ----------
    coder : SymbolCoder
    grid : (int, int)
        Rows and columns of blocks.
    chroma : bool
        Chroma has contexts of its own.
    levels : (rows, columns) int16 array or None
        The levels for an encoder, None for a decoder.

    Returns
    -------
    (rows, columns) int16 array
        A decoder's may be any, whatever a file says: sums wrap around, and do so alike on every machine.

    Raises
    ------
    FormatError, TruncatedError
        From a decoder.
    """
    coded = np.zeros(grid[0] * grid[1] + 1, np.int16)
    for blocks, (left, above, _, corner) in waves(*grid):
        a, b, c = coded[left], coded[above], coded[corner]
        prediction = median(a, b, a + b - c)
        rough = np.abs(a - c).astype(np.int32) + np.abs(b - c)
        context = np.minimum(np.frexp(rough.astype(np.float32))[1], ROUGH - 1) + ROUGH * chroma
        wanted = None if levels is None else levels.reshape(-1)[blocks] - prediction
        coded[blocks] = prediction + code_integers(
            coder, "dc", context.astype(np.uint8), wanted, np.zeros(blocks.size, np.intp)
        )
    return coded[:-1].reshape(grid)


def code_levels(coder: SymbolCoder, planes: Sequence[Blocks], levels: Levels | None) -> Levels:
    """Code the levels of blocks.

    Parameters
    ----------
    coder : SymbolCoder
    planes : sequence of Blocks
        Which blocks may have levels.
    levels : Levels or None
        Their levels for an encoder, plane after plane, frame after frame, in raster order; None for a decoder.

    Returns
    -------
    Levels

    Raises
    ------
    FormatError, TruncatedError
        From a decoder.
    """
    counts, first = [], 0
    for plane in planes:
        last = first + int(np.count_nonzero(plane.marked))
        counts.append(_code_counts(coder, plane, None if levels is None else levels.counts[first:last]))
        first = last
    every = np.concatenate(counts)
    frames = [np.nonzero(plane.marked)[0] for plane in planes]
    kind = np.concatenate([plane.classes[frame] for plane, frame in zip(planes, frames, strict=True)])
    owners = np.concatenate([plane.numbers[frame] for plane, frame in zip(planes, frames, strict=True)])
    # The i-th level of all blocks is a step; blocks in the order of falling counts, so that each step is a slice.
    start = np.cumsum(every, dtype=np.int32) - every
    total = int(every.sum(dtype=np.int64))
    coder.expect("level", total)  # before memory is taken for so many
    order = np.argsort(63 - every.astype(np.int8), kind="stable")
    order = order[: int(np.count_nonzero(every))]
    base, left, start = kind.take(order) * np.uint8(LEVEL_CONTEXTS), every.take(order), start.take(order)
    steps = np.searchsorted(-left.astype(np.int16), -np.arange(int(every.max(initial=0))), side="left")
    places, size = np.empty(total, np.uint8), np.empty(total, np.uint8)
    ordered = owners.take(order)
    earliest = np.zeros(order.size, np.uint8)  # place that the next level of each block may have
    large = np.zeros(order.size, np.uint8)  # whether the last level was larger than 1
    own_sizes = None if levels is None else sizes(levels.values)
    for i, active in enumerate(steps.tolist()):
        at = start[:active] + i
        early = earliest[:active]
        context = base[:active] + large[:active] * np.uint8(LEVEL_CONTEXTS // 2)
        context += LEFT.take(left[:active] - np.uint8(i)) * np.uint8(5) + PLACES.take(early, mode="clip")
        wanted = None
        if levels is not None and own_sizes is not None:
            wanted = own_sizes.take(at), levels.places.take(at) - early
        found, run = _code_sizes_and_runs(coder, context, wanted, ordered[:active])
        place = early + run  # 64 + 15 + 63 at most
        if place.max(initial=0) > 63 or found.max(initial=1) > LARGEST_SIZE or found.min(initial=1) < 1:
            raise FormatError("a level leaves its block, or has a size that does not exist")
        places[at], size[at] = place, found
        earliest[:active], large[:active] = place + np.uint8(1), found > 1
    values = _code_amplitudes(coder, size, None if levels is None else levels.values, np.repeat(owners, every))
    return Levels(every, places, values)


def _code_sizes_and_runs(
    coder: SymbolCoder,
    contexts: NDArray[np.uint8],
    wanted: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None,
    owners: NDArray[np.integer],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Code the sizes of levels, one for each of N blocks, and the zeros before them: (N,) each."""
    symbols = None
    if wanted is not None:
        symbols = wanted[0] << np.uint8(4) | np.minimum(wanted[1], LONGEST_RUN)
    symbols = coder.code("level", contexts, symbols, owners)
    size, run = symbols >> np.uint8(4), symbols & np.uint8(LONGEST_RUN)
    long = np.flatnonzero(run == LONGEST_RUN)
    if long.size:
        more = None if wanted is None else wanted[1][long] - LONGEST_RUN
        run[long] += coder.bits(np.full(long.size, 6, np.uint8), more, owners[long]).astype(np.uint8)
    return size, run


def _code_counts(coder: SymbolCoder, plane: Blocks, counts: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Code how many levels the marked blocks of a plane have, in two steps like the colours of a chessboard.

    The context of a block in the second step is how many levels its four neighbours have; in the first step, how many
    of them have any.
    """
    frames, rows, columns = plane.marked.shape
    known = np.zeros((frames, rows + 2, columns + 2), np.uint8)
    marked = np.pad(plane.marked, ((0, 0), (1, 1), (1, 1))).astype(np.uint8)
    wanted = np.zeros(plane.marked.shape, np.uint8)
    if counts is not None:
        wanted[plane.marked] = counts
    black = (np.add.outer(np.arange(rows), np.arange(columns)) & 1).astype(np.bool_)
    for step, colour in enumerate((~black, black)):
        at = frame, row, column = np.nonzero(plane.marked & colour)
        around = known if step else marked
        total = np.zeros(frame.size, np.uint16)
        for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
            total += around[frame, row + down, column + right]
        context = 3 + SUMS.take(total) if step else total + 1 >> 1
        context = (plane.classes[frame] * COUNT_CONTEXTS + context).astype(np.uint8)
        found = coder.code("count", context, None if counts is None else wanted[at], plane.numbers[frame])
        if found.max(initial=0) > 64:
            raise FormatError("a block has more than 64 levels")
        known[frame, row + 1, column + 1] = found
    return known[:, 1:-1, 1:-1][plane.marked]


def _code_amplitudes(
    coder: SymbolCoder, size: NDArray[np.uint8], values: NDArray[np.int16] | None, owners: NDArray[np.int32]
) -> NDArray[np.int16]:
    """Code signs and mantissas: a field of `size` bits each, the sign in place of the leading one."""
    leading = np.int32(1) << (size.astype(np.int32) - 1)
    fields = None
    if values is not None:
        wide = values.astype(np.int32)
        fields = np.abs(wide) ^ leading | leading * (wide < 0)
    fields = coder.bits(size, fields, owners)
    magnitude = fields & (leading - 1) | leading
    return np.where(fields & leading, -magnitude, magnitude).astype(np.int16)
