"""The loop filter: what is left of quantisation is smoothed away, and what is an edge is not.

After the inverse transform each sample is compared with some of its neighbours. Small differences are mostly noise of
the quantiser, and a part of them is taken back; large ones are the picture's own. So a sample x moves by

    x += sum over neighbours y, and limits t, of w * clip(y - x, -t, t)

Limits are a few fractions and multiples of the quantiser's step. A sum of clipped differences can take any shape that
is straight between the limits, so the weights w, fitted by least squares to photographs (`benchmarks.train_main`),
decide how strongly differences of each size count. They turn out to rise to about half a step and then to fall off,
as in AV1's constrained directional filter (Midtskogen, Valin, ICASSP 2018), in which that shape is given by hand.

The filter is linear in what is fitted, has no classes, and its neighbours come in pairs at opposite sides. A clipped
difference then serves twice, for x with its sign and for y with the other: 12 neighbours take 6 passes over the plane.

Measured on photographs that the weights were not fitted to, before chroma went by luma: +0.16 dB of luma in the mean;
0.18 dB with 18 classes of pixels and 36 weights each, for many times the work; one limit instead of four 0.00 to 0.02
dB. On Kodak (`tcodec rd --ablate`) files without it are 2 % larger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["KNOTS", "LIMITS", "TAPS", "WEIGHT_UNIT", "apply", "differences", "interpolate", "normalise"]

TAPS = ((0, 1), (0, 2), (1, 0), (2, 0), (1, 1), (1, -1))  # rows down and columns to the right; and the opposite ones
LIMITS = (13, 32, 64, 128)  # in 1/64 of the step: 0.2, 0.5, 1 and 2
STEP_UNIT = 64
WEIGHT_UNIT = 1 << 8
KNOTS = 6  # weights are given for steps of 4, 8, 16, ... 128
FIRST_KNOT = 4
LARGEST = np.float32((1 << 14) - 1)  # in 1/64 of a step, so that differences fit 16 bits
BAND = 1 << 15  # samples filtered at a time, so that they stay in a level-2 cache


def interpolate(weights: NDArray[np.int64], step: int) -> NDArray[np.int16]:
    """Return the weights at a step.

    Parameters
    ----------
    weights : (KNOTS, taps, limits) int64 array
        In 1/256.
    step : int
        In 1/64.

    Returns
    -------
    (taps, limits) int16 array
        In 1/256.
    """
    step = min(max(step, 64 * FIRST_KNOT), (64 * FIRST_KNOT << (KNOTS - 1)) - 1)
    knot = (step // (64 * FIRST_KNOT)).bit_length() - 1
    low = 64 * FIRST_KNOT << knot
    between = (weights[knot] * (2 * low - step) + weights[knot + 1] * (step - low) + low // 2) // low
    return between.astype(np.int16)


def normalise(plane: NDArray[np.float32], step: int) -> NDArray[np.int16]:
    """Express samples, in 1/8, in 64ths of the step, itself in 1/64: (H, W) float32 to int16."""
    scaled = plane * np.float32(8 * STEP_UNIT / step)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -LARGEST, LARGEST, out=scaled)
    return scaled.astype(np.int16)


def _places(shape: tuple[int, int], tap: tuple[int, int], first: int, last: int) -> tuple[slice, slice, slice]:
    """Return which samples in some rows have a neighbour, and where it is, in the flattened plane.

    One dimension is several times as fast as two. But then the last samples of a row meet the first of the next, so the
    third slice tells the columns without a neighbour.
    """
    (height, width), (down, right) = shape, tap
    offset = down * width + right
    start = first * width
    stop = max(start, min(last * width, height * width - offset))
    alone = slice(max(0, width - right), width) if right >= 0 else slice(0, -right)
    return slice(start, stop), slice(start + offset, stop + offset), alone


def differences(
    samples: NDArray[np.int16], tap: tuple[int, int], first: int, last: int, out: NDArray[np.int16]
) -> tuple[slice, slice]:
    """Compute how much larger neighbours are.

    Parameters
    ----------
    samples : (H, W) int16 array
        Contiguous.
    tap : tuple of int
        How many rows below and columns to the right a neighbour lies.
    first, last : int
        Rows of samples, the last not counted.
    out : ((last - first) * W,) int16 array
        Where to put the differences, 0 where there is no neighbour.

    Returns
    -------
    here, there : slice
        Samples that may have one, and their neighbours, in the flattened plane; they belong to the first of `out`.
    """
    flat, width = samples.reshape(-1), samples.shape[1]
    here, there, alone = _places(samples.shape, tap, first, last)
    count = here.stop - here.start
    np.subtract(flat[there], flat[here], out=out[:count])
    out[count:] = 0
    out.reshape(-1, width)[:, alone] = 0
    return here, there


def apply(plane: NDArray[np.float32], step: int, weights: NDArray[np.int64]) -> NDArray[np.float32]:
    """Filter a plane.

    Parameters
    ----------
    plane : (H, W) float32 array
        Whole numbers in 1/8.
    step : int
        Of the quantiser, in 1/64.
    weights : (KNOTS, taps, limits) int64 array
        In 1/256.

    Returns
    -------
    (H, W) float32 array
        In 1/8, whole numbers.
    """
    height, width = plane.shape
    samples = normalise(plane, step)
    # In 2**-14 of a step. Parts of the sum may overflow; the sum does not, and modulo 2**16 that is all that counts.
    change = np.zeros(plane.size, np.int16)
    rows = min(max(1, BAND // width), height)
    buffers = np.empty((3, rows * width), np.int16)
    # Arrays of limits: minima and maxima with a number are several times as slow.
    upper = [np.full(rows * width, limit, np.int16) for limit in LIMITS]
    lower = [-limit for limit in upper]
    of_taps = interpolate(weights, step)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        size = (last - first) * width
        difference, total, part = buffers[:, :size]
        for tap, of_limits in zip(TAPS, of_taps, strict=True):
            here, there = differences(samples, tap, first, last, difference)
            for i, weight in enumerate(of_limits):
                clipped = part if i else total
                np.minimum(difference, upper[i][:size], out=clipped)
                np.maximum(clipped, lower[i][:size], out=clipped)
                clipped *= weight
                if i:
                    total += part
            change[here] += total[: here.stop - here.start]
            change[there] -= total[: there.stop - there.start]
    moved = change.reshape(plane.shape).astype(np.float32)
    moved *= np.float32(step / (8 * STEP_UNIT * WEIGHT_UNIT))
    np.rint(moved, out=moved)
    moved += plane
    return moved
