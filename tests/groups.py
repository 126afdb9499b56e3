"""Groups of pictures that no encoder would make: random ones within the rules, and symbols made up at random."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import FormatError
from bitstreams.symbols import HuffmanEncoder
from codec.gop import plan_gop
from codec.layout import Layout
from codec.level_syntax import Levels
from codec.motion_syntax import BOTH, FORWARD, INTRA, Field, Motion
from codec.syntax import KINDS, Group, code_group
from codec.wavefront import waves

__all__ = ["Inventor", "invent_group", "levels_of", "random_group", "settle"]


def levels_of(frames: int, pyramid: int) -> NDArray[np.uint8]:
    """Return the level of each frame of a group but the first, in the order of coding."""
    return np.array([plan.level for plan in plan_gop(frames, pyramid)[1:]], np.uint8)


def settle(motion: Motion, layout: Layout, backward: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Fill in what is left open of motion: which macroblocks inherit, and vectors that are not used.

    Returns
    -------
    (F, M, 2, 2) int16 array
        The vectors that each macroblock's neighbours predict.
    """
    field = Field(len(backward), layout, backward)
    predictions = np.zeros((*motion.direction.shape, 2, 2), np.int16)
    for wave in waves(layout.rows, layout.columns):
        predictions[:, wave.blocks], _ = field.predict(wave)
        field.settle(wave, motion)
    field.fill(motion)
    return predictions


def random_group(
    layout: Layout, levels: NDArray[np.uint8], seed: int = 0, *, liveliness: float = 0.5, largest: int = 4095
) -> Group:
    """Make a group that keeps all rules of the syntax.

    Parameters
    ----------
    layout : Layout
    levels : (F,) uint8 array
        From `levels_of`.
    seed : int
    liveliness : float
        In [0, 1]: how many macroblocks move in a way of their own, and have levels.
    largest : int
        Of the magnitudes of levels.

    Returns
    -------
    Group
        As an encoder hands it to `code_group`.
    """
    rng = np.random.default_rng(seed)
    frames, blocks = len(levels), layout.rows * layout.columns
    motion = Motion.empty(frames, blocks)
    backward = levels > 1
    own = rng.random((frames, blocks)) < liveliness
    usual = np.where(backward, BOTH, FORWARD)[:, None]
    any_direction = rng.integers(INTRA, np.where(backward, BOTH, FORWARD)[:, None] + 1, (frames, blocks))
    motion.direction[...] = np.where(own, any_direction, usual)
    motion.split[...] = own & (motion.direction != INTRA) & (rng.random((frames, blocks)) < 0.4)
    # Neighbours' vectors often agree, and some are as long as vectors come.
    reach = rng.choice([0, 1, 8, 100, 4000], (frames, blocks, 1, 1, 1))
    motion.vectors[...] = np.where(own[..., None, None, None], rng.integers(-reach, reach + 1, motion.vectors.shape), 3)
    motion.vectors[...] = np.where(motion.split[..., None, None, None], motion.vectors, motion.vectors[:, :, :1])
    motion.pattern[...] = rng.integers(0, 64 if layout.chroma else 16, (frames, blocks))
    motion.pattern[rng.random((frames, blocks)) >= liveliness] = 0
    settle(motion, layout, backward)
    number = sum(rows * columns for rows, columns in layout.grids)
    number += sum(int(flags.sum()) for flags in layout.coded(motion.pattern))
    counts = np.where(rng.random(number) < liveliness, rng.geometric(0.2, number), 0)
    counts = np.minimum(np.where(rng.random(number) < 0.02, 64, counts), 64).astype(np.uint8)
    places = [np.sort(rng.permutation(64)[:count]) for count in counts.tolist()]
    total = int(counts.sum())
    magnitudes = np.minimum(1 + rng.pareto(0.7, total), largest).astype(np.int16)
    values = magnitudes * rng.choice([-1, 1], total).astype(np.int16)
    dc = [rng.integers(-2000, 2001, grid).astype(np.int16) for grid in layout.grids]
    return Group(dc, motion, Levels(counts, np.concatenate([*places, []]).astype(np.uint8), values))


class Inventor(HuffmanEncoder):
    """A coder that is asked for symbols like a decoder, makes them up, and can write them down like an encoder.

    Parameters
    ----------
    likely : mapping from str to sequences of uint8
        For each kind, the symbols that it draws from.
    wild : float
        Share of the calls in which one symbol is any of 256.
    """

    def __init__(self, rng: np.random.Generator, likely: Mapping[str, NDArray[np.uint8]], wild: float = 0.0) -> None:
        super().__init__(KINDS)
        self._rng, self._likely, self._wild = rng, likely, wild

    def code(
        self,
        kind: str,
        contexts: NDArray[np.uint8],
        symbols: NDArray[np.uint8] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw symbols."""
        drawn = self._rng.choice(self._likely[kind], contexts.shape)
        if kind == "mode":  # contexts of P frames come first; B frames have more modes
            drawn = np.where(contexts < 3, drawn, self._rng.choice(self._likely["mode of B"], contexts.shape))
        if drawn.size and self._rng.random() < self._wild:
            drawn[self._rng.integers(drawn.size)] = self._rng.integers(256)
        return super().code(kind, contexts, drawn)

    def bits(
        self,
        widths: NDArray[np.integer],
        values: NDArray[np.integer] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.integer]:
        """Draw plain integers: mostly small ones, sometimes any, or the largest."""
        below = np.int64(1) << widths
        kind = self._rng.choice(3, p=[0.9, 0.08, 0.02])
        drawn = [self._rng.integers(0, (below + 3) // 4), self._rng.integers(0, below), below - 1][kind]
        return super().bits(widths, drawn.astype(np.int32))


LIKELY = {
    "skip": [0, 0, 0, 15, 12, 3],
    "mode": [0, 0, 1, 2, 2, 6],
    "mode of B": [0, 0, 1, 2, 3, 4, 6, 7, 8],
    "vector": [0, 0, 1, 2, 9, 20, 59],
    "part": [0, 0, 1, 2, 9, 20, 59],
    "pattern": [0, 0, 1, 2, 7, 15],
    "dc": [0, 1, 2, 3, 10, 25, 59],
    "count": [0, 0, 1, 2, 3],
    "level": [0x10, 0x20] * 20 + [0x11, 0x32] * 5 + [0xC0, 0x1F],
}


def invent_group(layout: Layout, levels: NDArray[np.uint8], seed: int, wild: float = 0.0) -> tuple[bytes, Group | None]:
    """Write a group of made-up symbols.

    Returns
    -------
    data : bytes
        What a decoder reads.
    group : Group or None
        What it finds there; None if the symbols break a rule.
    """
    coder = Inventor(
        np.random.default_rng(seed), {kind: np.array(drawn, np.uint8) for kind, drawn in LIKELY.items()}, wild
    )
    try:
        group = code_group(coder, layout, levels, None)
    except FormatError:
        group = None
    return coder.finish(), group
