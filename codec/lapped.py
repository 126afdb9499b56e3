"""The lapped transform: DCTs of three sizes, with a filter across the edges of their blocks.

A block transform knows nothing beyond its block. Two neighbours spend bits on what they share, and after quantisation
their common edge shows. A lapped transform (Malvar, "Signal Processing with Lapped Transforms", 1992) takes care of
both. It can be had from a block transform by a filter across each edge, before the transforms, and its inverse after
them (Tran, Liang, Tu, "Lapped transform via time-domain pre- and post-filtering", IEEE Trans. SP 51, 2003):

    pixels -> pre-filter -> DCT -> levels -> inverse DCT -> post-filter -> pixels

The filter takes the 4 pixels on either side of an edge. It leaves the sums of pairs that lie mirrored about the edge,
and multiplies their four differences by a 4 x 4 matrix V, the post-filter by its inverse:

    sums s = (a + b) / sqrt 2, differences d = (a - b) / sqrt 2     d -> V d

An orthogonal V gives an orthogonal transform. Trained on photographs instead (`benchmarks.train_main`), V is
*biorthogonal*: the pre-filter amplifies differences, so that blocks of what has passed it are flatter at their edges,
and the post-filter smooths, the more so the rougher quantisation was. Basis functions are then of different lengths,
and each coefficient is weighted by the length of its own, so that equal steps do equal harm. There is a V for edges
where a block of 8 x 8 is involved, and one for those between larger blocks.

**Sizes.** A block is 8, 16 or 32 pixels wide: large for smooth areas, small for detail. All are stored alike, as cells
of 64 frequencies: a block of 16 x 16 is four neighbours, of which each has every second coefficient in both
directions; coefficient (2u + i, 2v + j) is frequency (u, v) of neighbour (i, j). The lowest k x k coefficients of a
block of k x k cells go through a small inverse DCT, and are something like the DC levels of its parts. So prediction of
DC and contexts do not have to know about sizes at all.

**Exactness.** A decoder's arithmetic is on whole numbers: matrices hold multiples of 2**-12, coefficients multiples of
2**-7, and their products and sums stay below 2**53, so that float64 holds each exactly, in any order of summation. (In
files that no picture gives more may come up, but it is clipped, to one value however it was rounded.) The result is
rounded to 1/8, and the filters work on that in the same way (multiples of 2**-9 in float32, below 2**24).

Measured on Kodak (`tcodec rd --ablate`), BD-rate of luma: without filters +7.5 %; with blocks of 8 x 8 only +0.1 to
+0.2 %. Filters and contexts reach across the edges of small blocks, and leave large ones little to gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.dct import basis

__all__ = ["SAMPLE_UNIT", "SIZES", "Lapping", "Steps", "edges", "forward", "inverse", "no_lapping"]

SIZES = (8, 16, 32)
REACH = 4  # pixels on either side of an edge
SAMPLE_UNIT = 8  # samples are whole multiples of 1/8
# In 1/8: 1024 gray levels. Where black and white meet at a corner of four blocks, the pre-filters come to 867.
LARGEST_SAMPLE = np.float32((1 << 13) - 1)
MATRIX_UNIT = 1 << 12
COEFFICIENT_UNIT = 1 << 6
LARGEST_COEFFICIENT = float(1 << 22)  # in 1/64; those of pictures are below 2**19
FILTER_UNIT = 1 << 9
LENGTH_UNIT = 1 << 12
CHUNK = 1 << 15  # pixels that are transformed at a time, so that they stay in a level-2 cache


class Lapping(NamedTuple):
    """The trained filters, and what follows from them.

    Attributes
    ----------
    post : (2, 8, 8) int64 array
        What the post-filter adds to the pixels across an edge, in 1/512: for edges where a block of 8 x 8 is involved,
        and for others.
    lengths : dict of int to (n,) int64 array
        For each size, the lengths of the basis functions that a decoder adds up, in 1/4096.
    """

    post: NDArray[np.int64]
    lengths: dict[int, NDArray[np.int64]]

    @property
    def pre(self) -> NDArray[np.float32]:
        """What the pre-filter adds, (2, 8, 8)."""
        return (np.linalg.inv(np.eye(8) + self.post / FILTER_UNIT) - np.eye(8)).astype(np.float32)


def no_lapping() -> Lapping:
    """Return filters that add nothing."""
    return Lapping(np.zeros((2, 8, 8), np.int64), {n: np.full(n, LENGTH_UNIT, np.int64) for n in SIZES})


def edges(sizes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Find the edges of blocks.

    Parameters
    ----------
    sizes : (rows, columns) uint8 array
        Size of the block that each 8 x 8 pixels are in.

    Returns
    -------
    below : (rows - 1, columns) uint8 array
        What lies below each cell: 0 the same block, 1 an edge with a block of 8 x 8 on one side, 2 another edge.
    beside : (rows, columns - 1) uint8 array
        What lies to the right of each cell.
    """

    def kinds(smaller: NDArray[np.uint8], at: NDArray[np.intp]) -> NDArray[np.uint8]:
        return np.where(8 * at % smaller, 0, np.where(smaller == 8, 1, 2)).astype(np.uint8)

    rows, columns = sizes.shape
    below = kinds(np.minimum(sizes[:-1], sizes[1:]), np.arange(1, rows)[:, None])
    beside = kinds(np.minimum(sizes[:, :-1], sizes[:, 1:]), np.arange(1, columns))
    return below, beside


def _filter_below(plane: NDArray[np.float32], kinds: NDArray[np.uint8], matrices: NDArray[np.float32]) -> None:
    """Add to the rows on both sides of horizontal edges what a filter adds there, in place."""
    rows, columns = kinds.shape
    across = plane[REACH : REACH + 8 * rows].reshape(rows, 8, 8 * columns)
    change = np.matmul(matrices[0], across)
    row, column = np.nonzero(kinds == 2)
    edges_of = across.reshape(rows, 8, columns, 8)
    change.reshape(edges_of.shape)[row, :, column] = np.matmul(matrices[1], edges_of[row, :, column])
    _add(across, change, kinds)


def _filter_beside(plane: NDArray[np.float32], kinds: NDArray[np.uint8], matrices: NDArray[np.float32]) -> None:
    """Do the same at vertical edges."""
    rows, columns = kinds.shape
    inside = plane[:, REACH : REACH + 8 * columns]
    across = inside.reshape(-1, 8)  # a copy
    change = across @ matrices[0].T
    row, column = np.nonzero(kinds == 2)
    edges_of = across.reshape(rows, 8, columns, 8)
    change.reshape(edges_of.shape)[row, :, column] = edges_of[row, :, column] @ matrices[1].T
    _add(inside.reshape(rows, 8, 8 * columns), change.reshape(rows, 8, 8 * columns), kinds)


def _add(across: NDArray[np.float32], change: NDArray[np.float32], kinds: NDArray[np.uint8]) -> None:
    """Add the change where there are edges: (rows, 8, 8 * columns), in place."""
    there = np.repeat((kinds != 0).astype(np.float32), 8, axis=1)
    across += np.multiply(change, there[:, None], out=change)


@cache
def _square(n: int) -> NDArray[np.float64]:
    """Return the DCT matrix of n points in whole multiples of 2**-12."""
    return np.asarray(np.rint(basis(n) * MATRIX_UNIT) / MATRIX_UNIT, np.float64)


@cache
def _pictures() -> NDArray[np.float64]:
    """Return the products of two 8-point waves: (64 frequencies, 64 pixels), multiples of 2**-24."""
    return np.asarray(np.kron(_square(8), _square(8)), np.float64)


@dataclass(frozen=True)
class Steps:
    """Quantiser steps of one plane, for all sizes of blocks.

    Attributes
    ----------
    step : int
        Step of DC, in 1/64.
    lapping : Lapping
    slope : float
        By how much steps grow with frequency: a share of the DC step for each eighth of a block's waves.

    A step belongs to a coefficient whose wave has length 1; others are scaled to it.
    """

    step: int
    lapping: Lapping
    slope: float = 0.0

    @cached_property
    def of_size(self) -> dict[int, NDArray[np.float64]]:
        """Steps in 1/64 of the coefficients of blocks: (n, n) each."""
        return {n: self._of(n) for n in SIZES}

    def _of(self, n: int) -> NDArray[np.float64]:
        u, v = np.ogrid[:n, :n]
        # A square root is rounded correctly everywhere (IEEE 754), so that all machines find the same integers.
        sloped = np.rint(self.step * 16 * (1 + self.slope * np.sqrt(u * u + v * v) * (8 / n))).astype(np.int64)
        k = n // 8
        sloped[:k, :k] = 16 * self.step
        whole = sloped * _shorter(self.lapping, n) + (1 << 15) >> 16
        return np.asarray(np.maximum(whole, 1), np.float64)


def _shorter(lapping: Lapping, n: int) -> NDArray[np.int64]:
    """Return 1 / the length of each wave of a block, in 1/4096: (n, n)."""
    both = lapping.lengths[n][:, None] * lapping.lengths[n]
    return (LENGTH_UNIT**3 + both // 2) // both


def forward(plane: NDArray[np.float32], sizes: NDArray[np.uint8], steps: Steps) -> NDArray[np.float32]:
    """Transform a plane to coefficients.

    Parameters
    ----------
    plane : (8 * rows, 8 * columns) float32 array
        Centred on 0.
    sizes : (rows, columns) uint8 array
        Size of the block that each 8 x 8 pixels are in.
    steps : Steps

    Returns
    -------
    (64, rows, columns) float32 array
        Coefficients in steps; frequencies in raster order.
    """
    rows, columns = sizes.shape
    plane = plane.copy()
    pre = steps.lapping.pre
    below, beside = edges(sizes)
    _filter_beside(plane, beside, pre)
    _filter_below(plane, below, pre)
    cells = np.empty((64, rows, columns), np.float32)
    for n in SIZES:
        k = n // 8
        row, column = np.nonzero(sizes[::k, ::k] == n)
        if row.size:
            blocks = plane.reshape(rows // k, n, columns // k, n)[row, :, column]
            cells.reshape(64, rows // k, k, columns // k, k)[:, row, :, column] = _to_cells(blocks, steps)
    return cells


def _to_cells(blocks: NDArray[np.float32], steps: Steps) -> NDArray[np.float32]:
    """Transform blocks (N, n, n) to (N, 64, k, k)."""
    number, n, _ = blocks.shape
    k = n // 8
    waves = basis(n).T.astype(np.float32)  # (pixel, frequency)
    half = (blocks.reshape(-1, n) @ waves).reshape(number, n, n).swapaxes(1, 2)  # (N, horizontal frequency, pixel)
    both = (half.reshape(-1, n) @ waves).reshape(number, n, n)  # (N, horizontal, vertical)
    both *= (COEFFICIENT_UNIT / steps.of_size[n]).astype(np.float32)
    if k > 1:
        small = basis(k).astype(np.float32)
        both[:, :k, :k] = small.T @ both[:, :k, :k] @ small
    return np.asarray(both.reshape(number, 8, k, 8, k).transpose(0, 3, 1, 4, 2).reshape(number, 64, k, k), np.float32)


def inverse(levels: NDArray[np.float32], sizes: NDArray[np.uint8], steps: Steps, last: int = 14) -> NDArray[np.float32]:
    """Turn levels into samples.

    Parameters
    ----------
    levels : (64, rows, columns) float32 array
        Multiples of 1/2 below 2**17, frequencies in raster order.
    sizes : (rows, columns) uint8 array
        Size of the block that each 8 x 8 pixels are in.
    steps : Steps
    last : int
        The last diagonal of frequencies on which not all is 0.

    Returns
    -------
    (8 * rows, 8 * columns) float32 array
        Samples in 1/8, whole numbers, the same on every machine.
    """
    rows, columns = sizes.shape
    plane = np.empty((8 * rows, 8 * columns), np.float32)
    used = np.flatnonzero(np.add.outer(np.arange(8), np.arange(8)).ravel() <= last)
    low, pictures = levels.reshape(64, -1)[used], _pictures()[used]
    of_eight = steps.of_size[8].reshape(64, 1)[used]
    for n in SIZES:
        k = n // 8
        blocks = np.flatnonzero(sizes[::k, ::k] == n)
        if not blocks.size:
            continue
        # Rows of pixels of a block are moved as one element each, which is faster than pixel by pixel.
        block_rows = plane.view(np.dtype((np.void, 4 * n))).reshape(rows // k, n, columns // k)
        chunk = CHUNK // (n * n)
        for first in range(0, blocks.size, chunk):
            places = blocks[first : first + chunk]
            row, column = np.divmod(places, columns // k)
            if n == 8:
                samples = _from_levels(low.take(places, axis=1), of_eight, pictures)
            else:
                cells = levels.reshape(64, rows // k, k, columns // k, k)[:, row, :, column]
                samples = _from_cells(cells, steps)
            block_rows[row, :, column] = _round(samples).view(block_rows.dtype)[..., 0]
    post = (steps.lapping.post / FILTER_UNIT).astype(np.float32)
    below, beside = edges(sizes)
    _filter_below(plane, below, post)
    np.rint(plane, out=plane)
    _filter_beside(plane, beside, post)
    return np.rint(plane, out=plane)


def _from_levels(
    levels: NDArray[np.float32], steps: NDArray[np.float64], pictures: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the samples of some blocks of 8 x 8 in 1/64: (frequencies, N) to (N, 8, 8)."""
    coefficients = levels * steps
    np.clip(coefficients, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT, out=coefficients)
    return (coefficients.T @ pictures).reshape(-1, 8, 8)


def _from_cells(cells: NDArray[np.float32], steps: Steps) -> NDArray[np.float64]:
    """Return the samples of blocks of (N, 64, k, k) levels in 1/64: (N, n, n)."""
    number, _, k, _ = cells.shape
    n = 8 * k
    levels = cells.reshape(number, 8, 8, k, k).transpose(0, 1, 3, 2, 4).reshape(number, n, n).astype(np.float64)
    low = _square(k) @ levels[:, :k, :k] @ _square(k).T
    levels[:, :k, :k] = low
    levels *= steps.of_size[n]
    coefficients = np.rint(levels, out=levels)
    np.clip(coefficients, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT, out=coefficients)
    half = (coefficients.reshape(-1, n) @ _square(n)).reshape(number, n, n).swapaxes(1, 2)  # (N, x, vertical frequency)
    return (half.reshape(-1, n) @ _square(n)).reshape(number, n, n).swapaxes(1, 2)


def _round(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round samples in 1/64 to whole numbers in 1/8, within limits."""
    samples *= SAMPLE_UNIT / COEFFICIENT_UNIT
    np.rint(samples, out=samples)
    np.clip(samples, -LARGEST_SAMPLE, LARGEST_SAMPLE, out=samples)
    return samples.astype(np.float32, order="C")
