"""The syntax of motion: how all macroblocks of a group of pictures are predicted, one function for encoder and decoder.

    skip      four macroblocks a symbol  no levels, and motion inherited from the neighbours
    mode      each other macroblock      0 inherited; else 1 + direction, and 4 more if it is split
    vector    each vector                its difference from the median of three neighbours'
    part      three of a split one       the difference from the macroblock's first vector
    pattern   each one not skipped       which of its blocks have levels

What a macroblock inherits depends on its neighbours, so modes and vectors are coded a wavefront at a time, over all
frames at once (`codec.wavefront`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import FormatError
from bitstreams.integers import code_integers
from bitstreams.symbols import SymbolCoder
from codec.layout import Layout
from codec.wavefront import Wave, median, waves

__all__ = ["BACKWARD", "BOTH", "FORWARD", "INTRA", "MOTION_KINDS", "Field", "Motion", "code_motion", "skip_symbols"]

INTRA, FORWARD, BACKWARD, BOTH = 0, 1, 2, 3  # bit r: whether the r-th reference is used
INHERITED, OWN, SPLIT = 0, 1, 4  # symbols of modes: inherited, or 1 + direction, and 4 more if split

LEVEL_CLASSES = 4  # frames of P, and of B in the first, second, and later levels have statistics of their own
SPREADS = 4  # of a vector's neighbours: how far they disagree

MOTION_KINDS = {
    "skip": LEVEL_CLASSES,
    "mode": 3 * LEVEL_CLASSES,
    "vector": 2 * SPREADS * 4,
    "part": 4,
    "pattern": 3 * LEVEL_CLASSES,
}  # and how many contexts each has


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
        For each quarter (in raster order) and each reference (down, right) in quarter samples. Those of an
        encoder differ by less than 2**14; a decoder's may be any, whatever a file says: sums wrap around, and do so
        alike on every machine.
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


def code_motion(coder: SymbolCoder, layout: Layout, levels: NDArray[np.uint8], motion: Motion | None) -> Motion:
    """Code the motion of frames.

    Parameters
    ----------
    coder : SymbolCoder
    layout : Layout
    levels : (F,) uint8 array
        Level in the pyramid of each frame, at least 1.
    motion : Motion or None
        The motion for an encoder, as `Field` has settled it; None for a decoder.

    Returns
    -------
    Motion

    Raises
    ------
    FormatError, TruncatedError
        From a decoder.
    """
    frames, blocks = len(levels), layout.rows * layout.columns
    kind = np.minimum(levels - 1, LEVEL_CLASSES - 1).astype(np.uint8)  # class of each frame
    coded = Motion.empty(frames, blocks)
    skipped = _code_flags(coder, kind, layout, None if motion is None else motion.inherits & (motion.pattern == 0))
    field = Field(frames, layout, levels > 1)
    inherits = np.ones((frames, blocks + 1), np.uint8)  # what lies outside inherits too
    for wave in waves(layout.rows, layout.columns):
        prediction, inherited = field.predict(wave)
        field.vectors[:, wave.blocks], field.direction[:, wave.blocks] = prediction, inherited
        frame, nth = np.nonzero(~skipped[:, wave.blocks])
        if not frame.size:
            continue
        block, neighbours = wave.blocks[nth], wave.neighbours[:3, nth]
        modes = None
        if motion is not None:
            modes = OWN + motion.direction[frame, block] + SPLIT * motion.split[frame, block].astype(np.uint8)
            modes[motion.inherits[frame, block]] = INHERITED
        context = 3 * kind[frame] + inherits[frame, neighbours[0]] + inherits[frame, neighbours[1]]
        modes = coder.code("mode", context, modes, frame + 1)
        if modes.max() > SPLIT + OWN + BOTH or (modes == SPLIT + OWN + INTRA).any():
            raise FormatError("a macroblock's mode does not exist")  # or is intra and split, which means nothing
        own = modes != INHERITED
        inherits[frame, block] = ~own
        frame, block, neighbours = frame[own], block[own], neighbours[:, own]
        direction = modes[own] - OWN & BOTH
        if (direction[levels[frame] == 1] & BACKWARD).any():
            raise FormatError("a frame without a second reference uses it")
        field.direction[frame, block] = direction
        coded.split[frame, block] = modes[own] >= SPLIT + OWN
        for reference in (0, 1):
            using = np.flatnonzero(direction >> reference & 1)
            at, around = (frame[using], block[using], reference), neighbours[:, using]
            wanted = None if motion is None else motion.vectors[at[0], at[1], 0, reference]
            field.vectors[at] = _code_vectors(coder, field.vectors, at, around, levels[at[0]] > 1, wanted)
    coded.direction[...], coded.inherits[...] = field.direction[:, :-1], inherits[:, :-1]
    coded.vectors[...] = field.vectors[:, :-1, None]
    for reference in (0, 1):
        _code_parts(coder, coded, reference, motion)
    frame, block = np.nonzero(~skipped)
    context = 3 * kind[frame] + coded.inherits[frame, block] + 2 * (coded.direction[frame, block] == INTRA)
    patterns = coder.code(
        "pattern", context.astype(np.uint8), None if motion is None else motion.pattern[frame, block], frame + 1
    )
    if (patterns >> (6 if layout.chroma else 4)).any():
        raise FormatError("a macroblock has levels in blocks that do not exist")
    coded.pattern[frame, block] = patterns
    return coded


def skip_symbols(layout: Layout) -> int:
    """Return how many symbols the skip flags of a frame take: one for each patch of 2 x 2 macroblocks."""
    return -(-layout.rows // 2) * -(-layout.columns // 2)


def _code_flags(
    coder: SymbolCoder, contexts: NDArray[np.uint8], layout: Layout, flags: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Code the skip flags of macroblocks, (F, M), four of them as one symbol; `contexts` has one for each frame.

    A Huffman word has at least one bit, and most flags are worth much less.
    """
    frames, high, wide = len(contexts), -(-layout.rows // 2), -(-layout.columns // 2)
    patches = None
    if flags is not None:
        whole = np.ones((frames, 2 * high, 2 * wide), np.bool_)
        whole[:, : layout.rows, : layout.columns] = flags.reshape(frames, layout.rows, layout.columns)
        fours = whole.reshape(frames, high, 2, wide, 2).swapaxes(2, 3).reshape(-1, 4)
        patches = np.packbits(fours, axis=1)[:, 0] >> np.uint8(4)
    frame = np.repeat(np.arange(frames), high * wide)
    patches = coder.code("skip", contexts[frame], patches, frame + 1)
    if (patches > 15).any():
        raise FormatError("more than four flags in a symbol")
    fours = np.unpackbits(patches[:, None] << np.uint8(4), axis=1, count=4).astype(np.bool_)
    whole = fours.reshape(frames, high, wide, 2, 2).swapaxes(2, 3).reshape(frames, 2 * high, 2 * wide)
    return whole[:, : layout.rows, : layout.columns].reshape(frames, layout.rows * layout.columns)


def _code_vectors(
    coder: SymbolCoder,
    vectors: NDArray[np.int16],
    at: tuple[NDArray[np.intp], NDArray[np.intp], int],
    neighbours: NDArray[np.intp],
    bidirectional: NDArray[np.bool_],
    wanted: NDArray[np.int16] | None,
) -> NDArray[np.int16]:
    """Code first vectors of macroblocks, N of them at (frame, block, reference); `vectors` there holds predictions.

    The context of the first component is how far the neighbours disagree, that of the second also how large the
    difference of the first is.
    """
    prediction = vectors[at]
    left, above, corner = vectors[at[0], neighbours, at[2]].astype(np.int32)
    spread = _spread((np.abs(left - above) + np.abs(above - corner)).sum(axis=1))
    difference = None if wanted is None else wanted - prediction
    context = (spread + SPREADS * bidirectional).astype(np.uint8)
    down = code_integers(coder, "vector", context, None if difference is None else difference[:, 0], at[0] + 1)
    size = np.minimum(_spread(4 * np.abs(down.astype(np.int32))), 2)
    context += (2 * SPREADS * (1 + size)).astype(np.uint8)
    right = code_integers(coder, "vector", context, None if difference is None else difference[:, 1], at[0] + 1)
    return prediction + np.stack([down, right], axis=-1)


def _code_parts(coder: SymbolCoder, coded: Motion, reference: int, motion: Motion | None) -> None:
    """Code the second, third and fourth vector of split macroblocks for a reference, into `coded`."""
    frame, block = np.nonzero(coded.split & (coded.direction >> reference & 1 > 0))
    first = coded.vectors[frame, block, :1, reference]
    difference = None if motion is None else (motion.vectors[frame, block, 1:, reference] - first).reshape(-1, 2)
    context, owners = np.zeros(3 * frame.size, np.uint8), np.repeat(frame + 1, 3)
    down = code_integers(coder, "part", context, None if difference is None else difference[:, 0], owners)
    context += 1 + np.minimum(_spread(4 * np.abs(down.astype(np.int32))), 2).astype(np.uint8)
    right = code_integers(coder, "part", context, None if difference is None else difference[:, 1], owners)
    coded.vectors[frame, block, 1:, reference] += np.stack([down, right], axis=-1).reshape(-1, 3, 2)


def _spread(apart: NDArray[np.int32]) -> NDArray[np.int32]:
    """Put distances between vectors into four classes, by the sum of their components in quarter samples."""
    return (apart > 0).astype(np.int32) + (apart > 4) + (apart > 16)
