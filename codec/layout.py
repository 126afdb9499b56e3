"""The grids of a video's frame: macroblocks, and the blocks of each plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout"]


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
        """Return the patterns (F, M) that mark some blocks, (F, rows, columns) of each plane; of chroma, all if one."""
        frames, cells = len(some[0]), (self.rows, self.columns)
        quarters = some[0].reshape(frames, self.rows, 2, self.columns, 2).swapaxes(2, 3).reshape(frames, *cells, 4)
        pattern = quarters @ (np.uint8(1) << np.arange(4, dtype=np.uint8))
        for plane, flags in enumerate(some[1:]):
            of_cells = flags.reshape(frames, self.rows, self.chroma, self.columns, self.chroma).any(axis=(2, 4))
            pattern |= of_cells.astype(np.uint8) << np.uint8(4 + plane)
        return pattern.reshape(frames, self.rows * self.columns)
