"""The deblocking filter: steps at the edges of blocks, smoothed where they are the quantiser's and not the picture's.

Each block is predicted and quantised on its own, so neighbours disagree at their common edge by up to about a
quantiser step. Four samples across the edge are looked at,

    p1 p0 | q0 q1

and p0 and q0 are moved towards each other if the step between them is no larger than quantising makes, and both sides
are smooth; by no more than a limit. This is the normal filter of H.264 (ITU-T Rec. H.264, 8.7.2.3). It works inside the
prediction loop: what it repairs is never carried on to other frames.

    strength 2    a block is intra coded
    strength 1    a block has levels, or the two blocks were moved differently: by one sample or more
    strength 0    neither: what is there has been filtered in the frames that it comes from

All arithmetic is on integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["deblock", "strengths"]

# In 1/256 of the quantiser step, which is in 1/16: how large a step is still taken for the quantiser's, how much either
# side may vary, and by how much a sample is moved at strength 1; and the largest of each.
EDGE, EDGE_MOST = 32, 60
SIDE, SIDE_MOST = 9, 20
MOVE, MOVE_MOST = 3, 12


def strengths(
    intra: NDArray[np.bool_], coded: NDArray[np.bool_], vectors: NDArray[np.int16], direction: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return how strongly each edge is filtered.

    Parameters
    ----------
    intra, coded : (rows, columns) bool arrays
        Of each block: whether it is intra coded, and whether it has levels.
    vectors : (rows, columns, 2, 2) int16 array
        Its vectors (down, right) for each reference, in quarter samples of luma; of all planes.
    direction : (rows, columns) uint8 array
        Which references it uses: bit r for the r-th.

    Returns
    -------
    vertical : (rows, columns - 1) uint8 array
        Strength between each block and the one to its right.
    horizontal : (rows - 1, columns) uint8 array
        Strength between each block and the one below.
    """
    edges = []
    for before, after in (((slice(None), slice(-1)), (slice(None), slice(1, None))), ((slice(-1),), (slice(1, None),))):
        moved = direction[before] != direction[after]
        used = (direction[before][..., None, None] >> np.arange(2, dtype=np.uint8)[:, None] & 1).astype(np.bool_)
        apart = np.abs(vectors[before] - vectors[after]) >= 4
        moved |= (apart & used).any(axis=(-2, -1))
        moved |= coded[before] | coded[after]
        edges.append(np.where(intra[before] | intra[after], np.uint8(2), moved.astype(np.uint8)))
    return edges[0], edges[1]


def deblock(plane: NDArray[np.uint8], vertical: NDArray[np.uint8], horizontal: NDArray[np.uint8], step: int) -> None:
    """Filter a plane in place: all vertical edges, then all horizontal ones.

    Parameters
    ----------
    plane : (8 * rows, 8 * columns) uint8 array
    vertical, horizontal : uint8 arrays
        From `strengths`.
    step : int
        Quantiser step in 1/16, at most 65,535.
    """
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    cells = plane.reshape(rows, 8, columns, 8)
    row, column = np.nonzero(vertical)
    if row.size:
        before, after = cells[row, :, column, 6:], cells[row, :, column + 1, :2]
        p, q = _filter(before.transpose(2, 0, 1), after.transpose(2, 0, 1), vertical[row, column], step)
        cells[row, :, column, 7] = p
        cells[row, :, column + 1, 0] = q
    row, column = np.nonzero(horizontal)
    if row.size:
        before, after = cells[row, 6:, column], cells[row + 1, :2, column]
        p, q = _filter(before.swapaxes(0, 1), after.swapaxes(0, 1), horizontal[row, column], step)
        cells[row, 7, column] = p
        cells[row + 1, 0, column] = q


def _filter(
    before: NDArray[np.uint8], after: NDArray[np.uint8], strength: NDArray[np.uint8], step: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return p0 and q0 of edges: (2, N, 8) p1, p0 and (2, N, 8) q0, q1 to (N, 8) each."""
    p1, p0 = before.astype(np.int16)
    q0, q1 = after.astype(np.int16)
    edge = np.int16(min(2 + (EDGE * step >> 8), EDGE_MOST))
    side = np.int16(min(1 + (SIDE * step >> 8), SIDE_MOST))
    most = np.minimum(((MOVE * step * strength.astype(np.int32)) + 128) >> 8, MOVE_MOST).astype(np.int16)[:, None]
    gap = q0 - p0
    move = np.clip((4 * gap + (p1 - q1) + np.int16(4)) >> np.int16(3), -most, most)
    move *= (np.abs(gap) < edge) & (np.abs(p1 - p0) < side) & (np.abs(q1 - q0) < side)
    return np.clip(p0 + move, 0, 255).astype(np.uint8), np.clip(q0 - move, 0, 255).astype(np.uint8)
