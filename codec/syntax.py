"""The syntax of a group of pictures: one function for encoder and decoder.

`code_group` describes, call by call, what a group is made of. An encoder gives it a group, a decoder gives None, and
both get the group back (`bitstreams.symbols`). All frames of the group are coded as one batch: first the motion of all
of them, a wavefront at a time, then which blocks have levels, then the levels, the i-th level of all blocks at a time.

    skip        8 macroblocks a symbol   no levels, motion inherited from the neighbours
    mode        each other macroblock    inherited, or direction and split
    vector      each vector              its difference from the median of three neighbours'
    part        three a split one        the difference from the macroblock's first vector
    pattern     each unskipped one       which of its blocks have levels
    dc          each block of an I frame the difference of its DC level from a prediction
    count       each block with levels   how many (of an I frame: each block, and without DC)
    level       each level               zeros before it, and its size
    plain bits  each level               sign, and mantissa (`bitstreams.amplitudes` tells what these are)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.amplitudes import sizes
from bitstreams.errors import FormatError
from bitstreams.integers import code_integers
from bitstreams.symbols import SymbolCoder
from codec.wavefront import Wave, median, waves

__all__ = [
    "BACKWARD",
    "BOTH",
    "FORWARD",
    "INTRA",
    "KINDS",
    "Field",
    "Group",
    "Layout",
    "Levels",
    "Motion",
    "code_group",
]

INTRA, FORWARD, BACKWARD, BOTH = 0, 1, 2, 3  # bit r: whether the r-th reference is used
MODE_SPLIT = 4  # symbols of modes: 0 inherited, else 1 + direction, and 4 more if split

LEVEL_CLASSES = 4  # frames of P, and of B in the first, second, and later levels have statistics of their own
BLOCK_CLASSES = 6  # of blocks: luma and chroma of I, of P, of B
COUNT_CONTEXTS = 11  # of a class of blocks
PLACES = np.repeat(np.arange(5, dtype=np.uint8), [1, 2, 4, 8, 49])  # of the place that a level may have at the earliest
LEFT = np.repeat(np.arange(4, dtype=np.uint8), [2, 2, 5, 56])  # of the number of levels that are left in the block
SUMS = np.repeat(np.arange(8, dtype=np.uint8), [1, 1, 1, 2, 4, 8, 16, 224])  # of the levels that neighbours have
SPREADS = 4  # of a vector's neighbours

KINDS = {
    "skip": LEVEL_CLASSES,
    "mode": 3 * LEVEL_CLASSES,
    "vector": 2 * SPREADS * 4,
    "part": 2,
    "pattern": 3 * LEVEL_CLASSES,
    "dc": 16,
    "count": BLOCK_CLASSES * COUNT_CONTEXTS,
    "level": BLOCK_CLASSES * 40,
}  # and how many contexts each has

LONGEST_RUN = 15  # in a symbol; stands for this and longer ones, which follow in 6 plain bits
LARGEST_SIZE = 12  # bits of a level: at step 1 a residual of 8-bit samples has 11, and rounding may add one


@dataclass
class Motion:
    """How frames are predicted, macroblock by macroblock; F frames of M macroblocks in raster order.

    Attributes
    ----------
    direction : (F, M) uint8 array
        `INTRA`, or which references are used: `FORWARD`, `BACKWARD`, `BOTH`.
    split : (F, M) bool array
        Whether the four quarters have vectors of their own.
    vectors : (F, M, 4, 2, 2) int16 array
        For each quarter (in raster order) and each reference (dy, dx) in quarter samples.
    inherits : (F, M) bool array
        Whether direction and vectors are what the neighbours predict.
    pattern : (F, M) uint8 array
        Which blocks have levels: bits 0 to 3 the quarters of luma, 4 Cb, 5 Cr.
    """

    direction: NDArray[np.uint8]
    split: NDArray[np.bool_]
    vectors: NDArray[np.int16]
    inherits: NDArray[np.bool_]
    pattern: NDArray[np.uint8]

    @classmethod
    def empty(cls, frames: int, blocks: int) -> Motion:
        """Return still frames without levels."""
        flags = np.zeros((frames, blocks), np.bool_)
        vectors = np.zeros((frames, blocks, 4, 2, 2), np.int16)
        return cls(flags.astype(np.uint8), flags.copy(), vectors, flags.copy(), flags.astype(np.uint8))

    @classmethod
    def join(cls, parts: Sequence[Motion]) -> Motion:
        """Put the frames of several parts one after another."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


class Levels(NamedTuple):
    """Quantised levels of blocks, those that are 0 left out.

    Attributes
    ----------
    counts : (N,) uint8 array
        Levels of each block.
    places : (V,) uint8 array
        Their places in zigzag order, block after block.
    values : (V,) int16 array
        The levels.
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


class Layout(NamedTuple):
    """The grids of a frame.

    Attributes
    ----------
    rows, columns : int
        Of macroblocks.
    chroma : int
        Chroma blocks along a macroblock's side: 0 for gray, 1 for 4:2:0, 2 for 4:4:4.
    """

    rows: int
    columns: int
    chroma: int

    @property
    def grids(self) -> list[tuple[int, int]]:
        """(rows, columns) of blocks in each plane."""
        sides = [2] + [self.chroma] * (2 if self.chroma else 0)
        return [(self.rows * side, self.columns * side) for side in sides]

    def coded(self, pattern: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
        """Return which blocks of each plane may have levels: (F, M) patterns to (F, rows, columns) each."""
        shape = (len(pattern), self.rows, 1, self.columns, 1)
        quarters = (pattern[..., None] >> np.arange(4, dtype=np.uint8) & 1).astype(np.bool_)
        quarters = quarters.reshape(len(pattern), self.rows, self.columns, 2, 2).swapaxes(2, 3)
        planes = [quarters.reshape(len(pattern), *self.grids[0])]
        for plane, grid in enumerate(self.grids[1:]):
            flags = (pattern >> (4 + plane) & 1).astype(np.bool_).reshape(shape)
            whole = np.broadcast_to(flags, (len(pattern), self.rows, self.chroma, self.columns, self.chroma))
            planes.append(whole.reshape(len(pattern), *grid))
        return planes

    def pattern(self, some: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
        """Return the patterns (F, M) that mark these blocks of each plane, (F, rows, columns); of chroma, all beside."""
        frames, cells = len(some[0]), (self.rows, self.columns)
        quarters = some[0].reshape(frames, self.rows, 2, self.columns, 2).swapaxes(2, 3).reshape(frames, *cells, 4)
        pattern = quarters @ (np.uint8(1) << np.arange(4, dtype=np.uint8))
        for plane, flags in enumerate(some[1:]):
            of_cells = flags.reshape(frames, self.rows, self.chroma, self.columns, self.chroma).any(axis=(2, 4))
            pattern |= of_cells.astype(np.uint8) << np.uint8(4 + plane)
        return pattern.reshape(frames, self.rows * self.columns)


@dataclass
class Group:
    """What a group of pictures is made of: an I frame, and F others in the order of coding.

    Attributes
    ----------
    dc : list of (rows, columns) int16 arrays
        DC levels of each plane of the I frame.
    motion : Motion
        How the other frames are predicted.
    levels : Levels
        Of all blocks that may have some: plane by plane the I frame's (without DC), then plane by plane the others',
        frame after frame, in raster order.
    """

    dc: list[NDArray[np.int16]]
    motion: Motion
    levels: Levels


def code_group(coder: SymbolCoder, layout: Layout, levels: NDArray[np.uint8], group: Group | None) -> Group:
    """Code a group of pictures, in either direction.

    Parameters
    ----------
    coder : SymbolCoder
        An encoder, or a decoder.
    layout : Layout
        The grids of a frame.
    levels : (F,) uint8 array
        Level in the pyramid of each frame but the first, in the order of coding (`codec.gop`).
    group : Group or None
        The group for an encoder, None for a decoder.

    Returns
    -------
    Group

    Raises
    ------
    FormatError, TruncatedError
        From a decoder.
    """
    # Before memory is taken for so many: a symbol for each block of the I frame, and for eight macroblocks of the others.
    coder.expect("dc", sum(rows * columns for rows, columns in layout.grids))
    coder.expect("skip", len(levels) * _patches(layout))
    motion = _code_motion(coder, layout, levels, group.motion if group else None)
    dc = [
        _code_dc(coder, grid, plane > 0, group.dc[plane] if group else None) for plane, grid in enumerate(layout.grids)
    ]
    still = [np.ones((1, *grid), np.bool_) for grid in layout.grids]
    coded = [*still, *layout.coded(motion.pattern)]
    frame_class = [np.zeros(1, np.uint8)] * len(still) + [np.where(levels > 1, 4, 2).astype(np.uint8)] * len(still)
    classes = [
        np.broadcast_to((kind + (plane % len(still) > 0)).astype(np.uint8)[:, None, None], flags.shape)
        for plane, (kind, flags) in enumerate(zip(frame_class, coded, strict=True))
    ]
    return Group(dc, motion, _code_levels(coder, coded, classes, group.levels if group else None))


class Field:
    """Directions and first vectors of macroblocks as far as they are known, and what they predict for the next.

    Parameters
    ----------
    frames : int
        F, the number of frames that are worked on at once.
    layout : Layout
    backward : (F,) bool array
        Whether a frame has a second reference.

    Attributes
    ----------
    direction : (F, M + 1) uint8 array
        With one macroblock more for what lies outside, which uses all references.
    vectors : (F, M + 1, 2, 2) int16 array
        The first vector of each macroblock for each reference; where it is not used, what was predicted.
    """

    def __init__(self, frames: int, layout: Layout, backward: NDArray[np.bool_]) -> None:
        blocks = layout.rows * layout.columns + 1
        self._usual = np.where(backward, BOTH, FORWARD).astype(np.uint8)[:, None]
        self.direction = np.repeat(self._usual, blocks, axis=1)
        self.vectors = np.zeros((frames, blocks, 2, 2), np.int16)

    def predict(self, wave: Wave) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Return the vectors (F, K, 2, 2) and directions (F, K) that macroblocks inherit.

        The median of three vectors; the direction of the two nearest if they agree, else all references.
        """
        left, above, corner, _ = wave.neighbours
        vectors = median(self.vectors[:, left], self.vectors[:, above], self.vectors[:, corner])
        one, other = self.direction[:, left], self.direction[:, above]
        return vectors, np.where((one == other) & (one != INTRA), one, self._usual)

    def settle(self, wave: Wave, motion: Motion) -> None:
        """Take over what an encoder has decided for a wave, and note which macroblocks inherit it."""
        at = wave.blocks
        prediction, inherited = self.predict(wave)
        direction, first = motion.direction[:, at], motion.vectors[:, at, 0]
        used = (direction[..., None] >> np.arange(2, dtype=np.uint8) & 1).astype(np.bool_)
        same = ((first == prediction).all(axis=-1) | ~used).all(axis=-1)
        motion.inherits[:, at] = same & (direction == inherited) & ~motion.split[:, at]
        self.vectors[:, at] = np.where(used[..., None], first, prediction)
        self.direction[:, at] = direction

    def fill(self, motion: Motion) -> None:
        """Write the vectors that are not used into motion, as a decoder has them, when all waves are settled."""
        used = (motion.direction[..., None] >> np.arange(2, dtype=np.uint8) & 1).astype(np.bool_)
        whole = ~(used[:, :, None, :] & motion.split[:, :, None, None])
        np.copyto(motion.vectors, self.vectors[:, :-1, None], where=whole[..., None])


def _code_motion(coder: SymbolCoder, layout: Layout, levels: NDArray[np.uint8], motion: Motion | None) -> Motion:
    frames, blocks = len(levels), layout.rows * layout.columns
    kind = np.minimum(levels - 1, LEVEL_CLASSES - 1).astype(np.uint8)  # class of each frame
    coded = Motion.empty(frames, blocks)
    skipped = _code_flags(
        coder, "skip", kind, layout, motion.inherits & (motion.pattern == 0) if motion is not None else None
    )
    field = Field(frames, layout, levels > 1)
    # What the neighbours were, for the context of a mode; the outside inherits.
    inherits = np.ones((frames, blocks + 1), np.uint8)
    for wave in waves(layout.rows, layout.columns):
        prediction, inherited = field.predict(wave)
        field.vectors[:, wave.blocks], field.direction[:, wave.blocks] = prediction, inherited
        frame, nth = np.nonzero(~skipped[:, wave.blocks])
        if not frame.size:
            continue
        block, (left, above, corner, _) = wave.blocks[nth], wave.neighbours[:, nth]
        modes = None
        if motion is not None:
            modes = 1 + motion.direction[frame, block] + MODE_SPLIT * motion.split[frame, block].astype(np.uint8)
            modes *= ~motion.inherits[frame, block]
        modes = coder.code("mode", 3 * kind[frame] + inherits[frame, left] + inherits[frame, above], modes, frame + 1)
        if modes.max() > MODE_SPLIT + 1 + BOTH or (modes == MODE_SPLIT + 1).any():
            raise FormatError("a macroblock's mode does not exist")
        own = modes > 0
        inherits[frame, block] = ~own
        frame, block, left, above, corner = frame[own], block[own], left[own], above[own], corner[own]
        direction = modes[own] - 1 & 3
        if (direction[levels[frame] == 1] & BACKWARD).any():
            raise FormatError("a frame without a second reference uses it")
        field.direction[frame, block] = direction
        coded.split[frame, block] = modes[own] > MODE_SPLIT
        for reference in (0, 1):
            using = np.flatnonzero(direction >> reference & 1)
            if not using.size:
                continue
            at = frame[using], block[using], np.intp(reference)
            around = [field.vectors[at[0], where[using], reference].astype(np.int32) for where in (left, above, corner)]
            apart = np.abs(around[0] - around[1]) + np.abs(around[1] - around[2])  # how far the neighbours disagree
            spread = _spread(apart.sum(axis=1))
            wanted = None if motion is None else motion.vectors[at[0], at[1], 0, reference] - field.vectors[at]
            context = (spread + SPREADS * (levels[at[0]] > 1)).astype(np.uint8)
            down = code_integers(coder, "vector", context, None if wanted is None else wanted[:, 0], at[0] + 1)
            context = context + (2 * SPREADS * (1 + np.minimum(_spread(4 * np.abs(down.astype(np.int32))), 2))).astype(
                np.uint8
            )
            right = code_integers(coder, "vector", context, None if wanted is None else wanted[:, 1], at[0] + 1)
            field.vectors[at] += np.stack([down, right], axis=-1)
    coded.direction[...], coded.inherits[...] = field.direction[:, :-1], inherits[:, :-1]
    coded.vectors[...] = field.vectors[:, :-1, None]
    for reference in (0, 1):
        frame, block = np.nonzero(coded.split & (coded.direction >> reference & 1 > 0))
        first = coded.vectors[frame, block, :1, reference]
        wanted = None if motion is None else (motion.vectors[frame, block, 1:, reference] - first).reshape(-1, 2)
        context, owners = np.zeros(3 * frame.size, np.uint8), np.repeat(frame + 1, 3)
        down = code_integers(coder, "part", context, None if wanted is None else wanted[:, 0], owners)
        right = code_integers(coder, "part", context + 1, None if wanted is None else wanted[:, 1], owners)
        coded.vectors[frame, block, 1:, reference] += np.stack([down, right], axis=-1).reshape(-1, 3, 2)
    frame, block = np.nonzero(~skipped)
    context = 3 * kind[frame] + coded.inherits[frame, block] + 2 * (coded.direction[frame, block] == INTRA)
    wanted = None if motion is None else motion.pattern[frame, block]
    patterns = coder.code("pattern", context.astype(np.uint8), wanted, frame + 1)
    if (patterns >> (6 if layout.chroma else 4)).any():
        raise FormatError("a macroblock has levels in blocks that do not exist")
    coded.pattern[frame, block] = patterns
    return coded


def _spread(apart: NDArray[np.int32]) -> NDArray[np.int32]:
    """Put distances between vectors into four classes, by the sum of their components in quarter samples."""
    return (apart > 0).astype(np.int32) + (apart > 4) + (apart > 16)


def _patches(layout: Layout) -> int:
    """Return how many symbols the flags of a frame take."""
    return -(-layout.rows // 2) * -(-layout.columns // 2)


def _code_flags(
    coder: SymbolCoder, kind: str, contexts: NDArray[np.uint8], layout: Layout, flags: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Code a flag for each macroblock, (F, M), eight of them (two rows, four columns) as one symbol.

    A Huffman word has at least one bit, and most flags are worth much less.
    """
    frames, high, wide = len(contexts), -(-layout.rows // 2), -(-layout.columns // 2)
    owners = np.repeat(np.arange(1, frames + 1), _patches(layout))
    patches = None
    if flags is not None:
        whole = np.ones((frames, 2 * high, 2 * wide), np.bool_)
        whole[:, : layout.rows, : layout.columns] = flags.reshape(frames, layout.rows, layout.columns)
        fours = whole.reshape(frames, high, 2, wide, 2).swapaxes(2, 3).reshape(-1, 4)
        patches = np.packbits(fours, axis=1)[:, 0] >> np.uint8(4)
    patches = coder.code(kind, np.repeat(contexts, high * wide), patches, owners)
    if (patches > 15).any():
        raise FormatError("more than four flags in a symbol")
    fours = np.unpackbits(patches[:, None] << np.uint8(4), axis=1, count=4).astype(np.bool_)
    whole = fours.reshape(frames, high, wide, 2, 2).swapaxes(2, 3).reshape(frames, 2 * high, 2 * wide)
    whole = whole[:, : layout.rows, : layout.columns]
    return whole.reshape(frames, layout.rows * layout.columns)


def _code_dc(
    coder: SymbolCoder, grid: tuple[int, int], chroma: bool, levels: NDArray[np.int16] | None
) -> NDArray[np.int16]:
    """Code the DC levels of a plane of an I frame.

    The prediction is the median of the left level, the one above, and left + above - corner (LOCO-I, Weinberger,
    Seroussi, Sapiro 2000): a level on an edge follows the edge. The context is how rough the neighbourhood is.
    """
    coded = np.zeros(grid[0] * grid[1] + 1, np.int16)
    for blocks, (left, above, _, corner) in waves(*grid):
        a, b, c = coded[left], coded[above], coded[corner]
        prediction = median(a, b, a + b - c)
        rough = np.abs(a - c).astype(np.int32) + np.abs(b - c)
        context = np.minimum(np.frexp(rough.astype(np.float32))[1], 7) + 8 * chroma
        wanted = None if levels is None else levels.reshape(-1)[blocks] - prediction
        coded[blocks] = prediction + code_integers(
            coder, "dc", context.astype(np.uint8), wanted, np.zeros(blocks.size, np.intp)
        )
    return coded[:-1].reshape(grid)


def _code_levels(
    coder: SymbolCoder, coded: list[NDArray[np.bool_]], classes: list[NDArray[np.uint8]], levels: Levels | None
) -> Levels:
    """Code the levels of all blocks that are marked in `coded`, (F, rows, columns) for each plane."""
    counts, owner, first = [], [], 0
    for plane, (flags, kinds) in enumerate(zip(coded, classes, strict=True)):
        frame = np.nonzero(flags)[0].astype(np.int32) + (2 * plane >= len(coded))  # the I frame's planes come first
        own = None if levels is None else levels.counts[first : first + frame.size]
        counts.append(_code_counts(coder, flags, kinds, own, frame))
        owner.append(frame)
        first += frame.size
    every, kind = np.concatenate(counts), np.concatenate([k[f] for k, f in zip(classes, coded, strict=True)])
    # The i-th level of all blocks is a step; blocks in the order of falling counts, so that each step is a slice.
    start = np.cumsum(every, dtype=np.int32) - every
    total = int(every.sum(dtype=np.int64))
    coder.expect("level", total)  # before memory is taken for so many
    owners = np.concatenate(owner)
    order = np.argsort(63 - every.astype(np.int8), kind="stable")
    order = order[: int(np.count_nonzero(every))]
    base, left, start = kind.take(order) * np.uint8(40), every.take(order), start.take(order)
    steps = np.searchsorted(-left.astype(np.int16), -np.arange(int(every.max(initial=0))), side="left")
    places, size = np.empty(total, np.uint8), np.empty(total, np.uint8)
    ordered = owners.take(order)
    earliest = np.zeros(order.size, np.uint8)
    large = np.zeros(order.size, np.uint8)
    own_sizes = None if levels is None else sizes(levels.values)
    for i, active in enumerate(steps.tolist()):
        at = start[:active] + i
        early = earliest[:active]
        context = base[:active] + large[:active] * np.uint8(20)
        context += LEFT.take(left[:active] - np.uint8(i)) * np.uint8(5) + PLACES.take(early, mode="clip")
        symbols = run = None
        if levels is not None and own_sizes is not None:
            run = levels.places.take(at) - early
            symbols = own_sizes.take(at) << np.uint8(4) | np.minimum(run, LONGEST_RUN)
        symbols = coder.code("level", context, symbols, ordered[:active])
        found = symbols >> np.uint8(4)
        gap = symbols & np.uint8(LONGEST_RUN)
        long = np.flatnonzero(gap == LONGEST_RUN)
        if long.size:
            wanted = None if run is None else run[long] - LONGEST_RUN
            beyond = coder.bits(np.full(long.size, 6, np.uint8), wanted, ordered[long])
            gap[long] += beyond.astype(np.uint8)
        place = early + gap
        if place.max(initial=0) > 63 or found.max(initial=1) > LARGEST_SIZE or found.min(initial=1) < 1:
            raise FormatError("a level leaves its block, or has a size that does not exist")
        places[at], size[at] = place, found
        earliest[:active], large[:active] = place + np.uint8(1), found > 1
    values = _code_amplitudes(coder, size, None if levels is None else levels.values, np.repeat(owners, every))
    return Levels(every, places, values)


def _code_counts(
    coder: SymbolCoder,
    flags: NDArray[np.bool_],
    kinds: NDArray[np.uint8],
    counts: NDArray[np.uint8] | None,
    owners: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """Code how many levels the marked blocks of a plane have, in two steps like the colours of a chessboard.

    The context of a block in the second step is how many levels its four neighbours have; in the first step, how many
    of them have any.
    """
    frames, rows, columns = flags.shape
    known = np.zeros((frames, rows + 2, columns + 2), np.uint8)
    marked = np.zeros_like(known)
    marked[:, 1:-1, 1:-1] = flags
    wanted, owner = np.zeros(flags.shape, np.uint8), np.zeros(flags.shape, np.int32)
    owner[flags] = owners
    if counts is not None:
        wanted[flags] = counts
    black = (np.add.outer(np.arange(rows), np.arange(columns)) & 1).astype(np.bool_)
    for step, colour in enumerate((~black, black)):
        frame, row, column = np.nonzero(flags & colour)
        around = known if step else marked
        total = np.zeros(frame.size, np.uint16)
        for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
            total += around[frame, row + down, column + right]
        context = 3 + SUMS.take(np.minimum(total, 255)) if step else (total + 1) >> 1
        context = (kinds[frame, row, column] * COUNT_CONTEXTS + context).astype(np.uint8)
        at = frame, row, column
        found = coder.code("count", context, None if counts is None else wanted[at], owner[at])
        if found.max(initial=0) > 64:
            raise FormatError("a block has more than 64 levels")
        known[frame, row + 1, column + 1] = found
    return known[:, 1:-1, 1:-1][flags]


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
