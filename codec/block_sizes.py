"""Sizes of blocks: a tree of squares, and how a file tells it.

A square of 32 x 32 pixels is one block, or four squares of 16 x 16, each of which is one block or four of 8 x 8. A
plane has one yes or no for each square of 32, and one for each of 16 that is not inside a larger block. Neighbours tend
to agree, so the context of a decision is how many of the squares around are known to be whole; and as elsewhere
(`codec.contexts`) all squares of a phase are coded at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from codec.contexts import PHASES

__all__ = ["CONTEXTS", "code_sizes", "grow", "halve"]

AROUND = 9  # numbers of whole squares around: 0 to 8
CONTEXTS = 2 * len(PHASES) * AROUND

Square = TypeVar("Square", bound=np.generic)
Code = Callable[[NDArray[np.integer], NDArray[np.integer] | None], NDArray[np.integer]]


def grow(squares: NDArray[Square], times: int) -> NDArray[Square]:
    """Repeat each square in both directions."""
    return np.repeat(np.repeat(squares, times, axis=0), times, axis=1)


def halve(sizes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the sizes of a plane of half the resolution: half as large, but at least 8."""
    return np.maximum(sizes[::2, ::2] // 2, 8).astype(np.uint8)


def code_sizes(code: Code, rows: int, columns: int, sizes: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Code the sizes of a plane's blocks, in either direction.

    Parameters
    ----------
    code : function
        Called with contexts, and symbols or None; returns the symbols, having decoded or encoded them.
    rows, columns : int
        Cells of 8 x 8 pixels; multiples of 4.
    sizes : (rows, columns) uint8 array or None
        For an encoder the size of the block that each cell is in, None for a decoder.

    Returns
    -------
    (rows, columns) uint8 array
    """
    whole = np.zeros((rows // 4, columns // 4), np.bool_)
    whole = _code_whole(code, 0, whole, None if sizes is None else sizes[::4, ::4] == 32)
    inside = grow(whole, 2)
    half = _code_whole(code, 1, inside, None if sizes is None else sizes[::2, ::2] >= 16)
    return np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)


def _code_whole(
    code: Code, depth: int, known: NDArray[np.bool_], wanted: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Code which squares of one size are whole; those that are `known` to be so need no symbol."""
    rows, columns = known.shape
    wide = np.zeros((rows + 2, columns + 2), np.uint8)
    whole = wide[1:-1, 1:-1]
    whole[...] = known
    for phase, (i, j) in enumerate(PHASES):
        around = np.zeros(whole[i::2, j::2].shape, np.uint8)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if down or right:
                    around += wide[1 + down : rows + 1 + down, 1 + right : columns + 1 + right][i::2, j::2]
        open_ = ~known[i::2, j::2]
        contexts = (AROUND * (len(PHASES) * depth + phase) + around)[open_]
        if contexts.size:
            symbols = code(contexts, None if wanted is None else wanted[i::2, j::2][open_].astype(np.uint8))
            part = whole[i::2, j::2]
            part[open_] = symbols
    return whole.astype(np.bool_)
