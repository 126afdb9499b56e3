"""Wavefronts: sequential prediction from neighbours, a diagonal of blocks at a time.

A block that is predicted from those to the left, above, and above to the right must wait for them. Blocks on the same
slanted line do not wait for each other, so a line is one step, over all frames of a group at once:

    0 1 2 3 4 5       step 2 row + column
    2 3 4 5 6 7       a block's left neighbour is one step earlier, the one above it two,
    4 5 6 7 8 9       the one above to the right one
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Wave", "median", "waves"]


class Wave(NamedTuple):
    """A slanted line of blocks.

    Attributes
    ----------
    blocks : (K,) intp array
        Indices into the flattened grid.
    neighbours : (4, K) intp array
        The blocks to the left, above, above to the right, and above to the left. Where one lies outside the grid
        another stands in for it: in the first row all are the one to the left, in the first column those to the left
        are the one above, in the last column the third is the fourth. The very first block has rows * columns, one past
        the end.
    """

    blocks: NDArray[np.intp]
    neighbours: NDArray[np.intp]


@lru_cache(maxsize=4)  # a video has at most two: of macroblocks, and of luma blocks
def waves(rows: int, columns: int) -> list[Wave]:
    """Return the lines of a grid of blocks, in the order of coding; the arrays are shared, and not to be written to."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    here = np.arange(rows * columns)
    before = np.where(column > 0, 1, 0)  # the way to the column before, if there is one
    after = np.where(column < columns - 1, 1, -before)
    left, above = np.where(column > 0, here - 1, here - columns), here - columns
    neighbours = np.stack([left, above, above + after, above - before])
    neighbours = np.where(row > 0, neighbours, left)
    neighbours[:, 0] = rows * columns
    step = 2 * row + column
    order = np.argsort(step, kind="stable")
    ends = np.cumsum(np.bincount(step))
    return [Wave(part, neighbours[:, part]) for part in np.split(order, ends[:-1]) if part.size]


def median(a: NDArray[np.int16], b: NDArray[np.int16], c: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the middle one of three values, element by element."""
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
