"""What is hidden of a picture, by interpolation: the methods that a network has to beat.

    mean        the mean of what is visible, everywhere
    nearest     the nearest visible pixel
    bilinear    from the means of what is visible in squares of 2, 4, 8, ... pixels, enlarged bilinearly to where
                nothing finer is known ("push-pull": Gortler et al., "The lumigraph", 1996)
    laplace     each hidden pixel is the mean of its neighbours: a membrane that is fixed to what is visible

The last one solves Laplace's equation with the visible pixels as the boundary, and no flow across the edges of the
picture. Of all fills it has the least sum of squared differences between neighbours. So it is the best guess at a
picture of which nothing is known but that neighbours are alike, and hard to beat on average: it is never wrong by
much. What it cannot do is to go on with an edge or a texture.

**Solving it.** The equations of a large picture are hundreds of thousands, each with five terms. Conjugate gradients
(Hestenes, Stiefel, 1952) start from the bilinear fill, which is right but for details, and take some 50 steps. A step
is a few operations on whole arrays. All methods take planes of any number, and masks of any form.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["bilinear_fill", "laplace_fill", "mean_fill", "nearest_fill"]

Planes: TypeAlias = NDArray[np.floating[Any]]
Mask: TypeAlias = NDArray[np.bool_]

TOLERANCE = 1e-3  # of the root mean square of what a pixel is off from the mean of its neighbours, in steps of 8 bits
MOST_STEPS = 2000


def _check(planes: Planes, hidden: Mask) -> None:
    if planes.shape[-2:] != hidden.shape or hidden.all():
        raise ValueError(f"planes {planes.shape} with a mask {hidden.shape} that shows {(~hidden).sum()} pixels")


def mean_fill(planes: Planes, hidden: Mask) -> Planes:
    """Fill with the mean of what is visible; parameters and results are those of all methods.

    Parameters
    ----------
    planes : (..., H, W) float array
        What is hidden has no influence.
    hidden : (H, W) bool array
        Something is visible.

    Returns
    -------
    (..., H, W) array
        The visible pixels as they were, the others filled.
    """
    _check(planes, hidden)
    mean = planes[..., ~hidden].mean(axis=-1)
    return np.where(hidden, mean[..., None, None], planes)


def nearest_fill(planes: Planes, hidden: Mask) -> Planes:
    """Fill with the nearest visible pixel, by jump flooding (Rong, Tan, 2006).

    Each pixel asks eight others, some steps away, which visible pixel is the nearest that they know, and keeps the best
    answer; then from half as far, down to its neighbours. A few pixels end with the second nearest.
    """
    _check(planes, hidden)
    height, width = hidden.shape
    far = 4 * (height + width)
    rows, columns = np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)
    row = np.where(hidden, np.int32(-far), rows)  # of the nearest one that is known
    column = np.where(hidden, np.int32(-far), columns)
    best = (row - rows) ** 2 + (column - columns) ** 2
    step = 1 << max(height, width).bit_length()
    while step := step >> 1:
        for down in (-step, 0, step):
            for across in (-step, 0, step):
                here, there = _overlap(height, down), _overlap(height, -down)
                at, its = (here, _overlap(width, across)), (there, _overlap(width, -across))
                distance = (row[its] - rows[at[0]]) ** 2 + (column[its] - columns[at[1]]) ** 2
                nearer = distance < best[at]
                if nearer.any():
                    found = row[its], column[its]  # before anything is changed
                    row[at], column[at] = np.where(nearer, found[0], row[at]), np.where(nearer, found[1], column[at])
                    best[at] = np.where(nearer, distance, best[at])
    return planes[..., row, column]


def _overlap(size: int, shift: int) -> slice:
    """Return the places of a row that a row moved by so much covers."""
    return slice(max(shift, 0), max(size + min(shift, 0), 0))


def bilinear_fill(planes: Planes, hidden: Mask) -> Planes:
    """Fill from smaller and smaller pictures, each of the means of what is visible."""
    _check(planes, hidden)
    return _pull(np.where(hidden, planes.dtype.type(0), planes), ~hidden)


def _pull(planes: Planes, known: Mask) -> Planes:
    """Fill planes, which are 0 where nothing is known."""
    if known.all():
        return planes
    height, width = known.shape
    count = _pooled(known.astype(planes.dtype))
    sums = _pooled(planes)
    sums /= np.maximum(count, 1)
    coarse = _pull(sums, count > 0)
    return np.where(known, planes, _doubled(_doubled(coarse, -1), -2)[..., :height, :width])


def _pooled(planes: Planes) -> Planes:
    """Add up squares of 2 x 2."""
    height, width = planes.shape[-2:]
    even = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(0, height % 2), (0, width % 2)])
    rows = even[..., 0::2, :] + even[..., 1::2, :]
    return rows[..., 0::2] + rows[..., 1::2]


def _doubled(planes: Planes, axis: int) -> Planes:
    """Enlarge bilinearly along an axis: new samples lie a quarter of a step beside the old ones."""
    last = np.moveaxis(planes, axis, -1)
    beside = np.concatenate([last[..., :1], last, last[..., -1:]], axis=-1)
    large = np.empty((*last.shape[:-1], 2 * last.shape[-1]), planes.dtype)
    large[..., 0::2] = 0.75 * last + 0.25 * beside[..., :-2]
    large[..., 1::2] = 0.75 * last + 0.25 * beside[..., 2:]
    return np.moveaxis(large, -1, axis)


def laplace_fill(planes: Planes, hidden: Mask) -> Planes:
    """Fill such that each hidden pixel is the mean of its neighbours, up to `TOLERANCE`."""
    filled = bilinear_fill(planes, hidden)
    free = hidden.astype(planes.dtype)
    neighbours = _add_neighbours(np.ones_like(free), np.zeros_like(free))
    inverse = free / np.maximum(neighbours, 1)  # a picture of one pixel has no neighbours
    residual = _add_neighbours(filled, -neighbours * filled)
    residual *= free
    scaled = inverse * residual
    direction, image = scaled.copy(), np.empty_like(scaled)
    product = float(np.vdot(residual, scaled))
    enough = TOLERANCE**2 * 4 * max(int(hidden.sum()), 1) * max(planes[..., 0, 0].size, 1)
    for _ in range(MOST_STEPS):
        if product <= enough:
            break
        np.multiply(direction, -neighbours, out=image)
        _add_neighbours(direction, image)  # less what the equations make of the direction
        image *= free
        length = -product / float(np.vdot(direction, image))
        np.multiply(direction, length, out=scaled)
        filled += scaled
        image *= length
        residual += image
        np.multiply(inverse, residual, out=scaled)
        product, before = float(np.vdot(residual, scaled)), product
        direction *= product / before
        direction += scaled
    return filled


def _add_neighbours(planes: Planes, total: Planes) -> Planes:
    """Add to each pixel of a total its up to four neighbours."""
    total[..., 1:, :] += planes[..., :-1, :]
    total[..., :-1, :] += planes[..., 1:, :]
    total[..., :, 1:] += planes[..., :, :-1]
    total[..., :, :-1] += planes[..., :, 1:]
    return total
