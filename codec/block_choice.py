"""Which size of block is worth what: the encoder's choice of a tree.

A large block packs a smooth area into few levels, and smears the noise of an edge over all of itself. What is better is
asked of both: each size is tried for the whole plane, which gives each block a cost J = distortion + lambda * bits, and
from small to large, four blocks are merged where one costs less than they do together.

`choose_sizes` guesses bits from levels alone, and takes a few transforms. `choose_by_coding` runs the real coder over
the plane three times, and counts the bits that each block takes in the contexts that it is coded in: 0.2 % fewer bits
for half as much time again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec import lapped
from codec.block_sizes import grow
from codec.context_strip import Head, Plane, code_plane
from codec.contexts import from_phases
from codec.lapped import Steps
from codec.strip_encoder import PlaneEncoder, Wanted
from codec.trained import Trained

__all__ = ["activity", "choose_by_coding", "choose_sizes", "guess_cost"]

# Bits of a level, by its magnitude: a few for it to be there at all, and two for each doubling. The sum over a block
# ranks sizes; it is not meant for a single level.
GUESS = np.array([0.3, *(3.5 + 2 * np.log2(np.arange(1, 256)))], np.float32)
ROUNDING = np.float32(0.4)
DC_BITS = 5.0  # a DC level, whatever the size of its block
BLOCK_BITS = 1.0  # the decision itself
CAUTION = {8: 1.0, 16: 1.04, 32: 1.08}  # by how much a large block has to be better, since its ringing reaches farther
LARGEST = np.float32(20)  # level that counts as activity
CALMEST, BUSIEST = 0.2, 2.0


def choose_sizes(samples: NDArray[np.float32], steps: Steps, weight: float) -> NDArray[np.uint8]:
    """Choose sizes by a guess at the bits.

    Parameters
    ----------
    samples : (H, W) float32 array
        A plane, centred on 0; both sides are multiples of 32.
    steps : Steps
    weight : float
        Lambda, in squared steps a bit.

    Returns
    -------
    (H / 8, W / 8) uint8 array
        Size of the block that each 8 x 8 pixels are in.
    """
    costs = {}
    for n in lapped.SIZES:
        sizes = np.full((samples.shape[0] // 8, samples.shape[1] // 8), n, np.uint8)
        costs[n] = guess_cost(lapped.forward(samples, sizes, steps)[1:], weight).sum(axis=0)
    return _merge(costs, weight)


def guess_cost(cells: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """Return distortion + lambda * bits of coefficients in steps, by a guess at the bits: any shape to the same."""
    magnitudes = np.abs(cells)
    levels = np.floor(magnitudes + ROUNDING)
    cost = GUESS.take(np.minimum(levels, GUESS.size - 1).astype(np.intp))
    cost *= np.float32(weight)
    magnitudes -= levels
    magnitudes *= magnitudes
    cost += magnitudes
    return cost


def choose_by_coding(
    plane: Plane, samples: NDArray[np.float32], steps: Steps, weight: float, tables: Trained
) -> NDArray[np.uint8]:
    """Choose sizes by what the coder takes for them; parameters are those of `choose_sizes`, and a strip's."""
    costs = {}
    for n in lapped.SIZES:
        sizes = np.full((plane.rows, plane.columns), n, np.uint8)
        wanted = Wanted(lapped.forward(samples, sizes, steps), sizes, weight, optimised=True)
        coder = _Meter(plane, wanted, tables)
        levels = coder.decoded(code_plane(coder, plane, []))
        error = np.square(levels - wanted.cells)[1:].sum(axis=0)
        costs[n] = error + np.float32(weight) * from_phases(coder.spent, plane.rows, plane.columns)
    return _merge(costs, weight)


class _Meter(PlaneEncoder):
    """An encoder that counts the bits of each block.

    Attributes
    ----------
    spent : (4, N) float64 array
        Bits of all levels but DC.
    """

    def begin(self, plane: Plane) -> Head:
        self.spent = np.zeros((4, self.contexts.shape[2]))
        return super().begin(plane)

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        symbols = super().ac(d, phase, places, contexts)
        bits = self._bits[contexts, symbols]
        self.spent[phase] += np.bincount(places % self.contexts.shape[2], bits, self.contexts.shape[2])
        return symbols


def _merge(costs: dict[int, NDArray[np.float32]], weight: float) -> NDArray[np.uint8]:
    """Choose a tree by the costs of the cells of each size, (rows, columns)."""
    of_blocks = {}
    for n, of_cells in costs.items():
        k = n // 8
        of_block = _sum(of_cells, k) + weight * (BLOCK_BITS + DC_BITS * k * k)
        of_blocks[n] = of_block * CAUTION[n]
    small, half, whole = of_blocks.values()
    quarters = _sum(small, 2)
    merge_half = half < quarters
    merge_whole = whole < _sum(np.minimum(half, quarters), 2)
    return np.where(grow(merge_whole, 4), 32, np.where(grow(merge_half, 2), 16, 8)).astype(np.uint8)


def _sum(cells: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Sum over squares of cells."""
    rows, columns = cells.shape
    return cells.reshape(rows // side, side, columns // side, side).sum(axis=(1, 3))


def activity(cells: NDArray[np.float32], sizes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much there is to see in each block, compared with the others.

    Where there is texture, the eye and MS-SSIM miss little; in calm areas every level counts.

    Parameters
    ----------
    cells : (64, rows, columns) float32 array
        Coefficients in steps.
    sizes : (rows, columns) uint8 array
        Size of the block that each cell is in.

    Returns
    -------
    (rows, columns) float32 array
        The sum of magnitudes, with a geometric mean of about 1, in [0.2, 2].
    """
    active = 1 + np.minimum(np.abs(cells[1:]), LARGEST).sum(axis=0)
    for n in lapped.SIZES[1:]:
        if (sizes == n).any():
            k = n // 8
            active = np.where(sizes == n, grow(_sum(active, k) / np.float32(k * k), k), active)
    return np.clip(active / np.exp(np.log(active).mean()), CALMEST, BUSIEST).astype(np.float32)
