"""Samples between samples: what a picture is at quarters of the sampling distance.

Things do not move by whole samples. So that motion can be followed more finely, a reference picture is made sixteen
times, shifted by every multiple of a quarter sample to the right and down. Around an integer sample G, with its right
neighbour H and the one below it, M and N, there are

    G  a  b  c  H        b, h, j   half samples: to the right, below, and in the centre
    d  e  f  g           m, s      the halves of the next column and of the next row: h of H, and b of M
    h  i  j  k  m
    n  p  q  r
    M     s     N

**Half samples** come from the six-tap filter (1, -5, 20, 20, -5, 1) / 32 along a row (b) or a column (h). It follows
waves up to half the sampling rate far better than the mean of two does, which would blur a little in each frame.

**Quarter samples** are means of two neighbours, rounded up: a of G and b, f of b and j, and so on; the four corners
e, g, p, r are means of the two nearest halves along the diagonal that passes b, h, m, s rather than j, so that only
samples of one filter take part.

This is the luma filter of H.264 (ITU-T Rec. H.264, 8.4.2.2.1), with one simplification: the centre j is filtered
from b as rounded to eight bits. The standard keeps b at full precision until then.

All arithmetic is on integers, so encoder and decoder have the same prediction on every machine. Outside a picture
lies its edge, repeated for ever. `BORDER` samples of that are stored, and further out nothing changes any more.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BORDER", "fetch", "quarter_planes", "quarter_sample_plain"]

BORDER = 32  # samples of edge around a picture: wider than the largest block and the filter that reaches out of it

TAPS = (1, -5, 20, 20, -5, 1)  # in 1/32, for the half sample between the third and the fourth
BEFORE, AFTER = 2, 3  # samples that the filter needs before and after the one at its left, or above

# For each quarter position 4 * y + x the two half samples of which it is the mean, in half samples down and right.
# Positions of half samples are their own mean.
NEAREST = [
    [(0, 0), (0, 0)], [(0, 0), (0, 1)], [(0, 1), (0, 1)], [(0, 1), (0, 2)],  # G a b c
    [(0, 0), (1, 0)], [(0, 1), (1, 0)], [(0, 1), (1, 1)], [(0, 1), (1, 2)],  # d e f g
    [(1, 0), (1, 0)], [(1, 0), (1, 1)], [(1, 1), (1, 1)], [(1, 1), (1, 2)],  # h i j k
    [(1, 0), (2, 0)], [(1, 0), (2, 1)], [(1, 1), (2, 1)], [(1, 2), (2, 1)],  # n p q r
]  # fmt: skip


def quarter_sample_plain(plane: NDArray[np.uint8], y: int, x: int) -> int:
    """Return the sample at a quarter position by the formula: the plain form of `quarter_planes`.

    Parameters
    ----------
    plane : (H, W) uint8 array
    y, x : int
        Position in quarter samples, anywhere inside the picture or outside.

    Returns
    -------
    int
        In [0, 255].
    """
    (dy, dx), (dy2, dx2) = NEAREST[4 * (y & 3) + (x & 3)]
    y, x = 2 * (y >> 2), 2 * (x >> 2)  # in half samples
    return (_half_sample_plain(plane, y + dy, x + dx) + _half_sample_plain(plane, y + dy2, x + dx2) + 1) >> 1


def _half_sample_plain(plane: NDArray[np.uint8], y: int, x: int) -> int:
    """Return the sample at a position in half samples."""
    if y & 1:
        samples = [_half_sample_plain(plane, y - 1 + 2 * i, x) for i in range(-BEFORE, AFTER + 1)]
    elif x & 1:
        samples = [_half_sample_plain(plane, y, x - 1 + 2 * i) for i in range(-BEFORE, AFTER + 1)]
    else:
        height, width = plane.shape
        return int(plane[min(max(y >> 1, 0), height - 1), min(max(x >> 1, 0), width - 1)])
    total = sum(tap * sample for tap, sample in zip(TAPS, samples, strict=True))
    return min(max((total + 16) >> 5, 0), 255)


def quarter_planes(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Interpolate a picture at all quarter positions.

    Parameters
    ----------
    plane : (H, W) uint8 array
        Any size of at least 1 x 1.

    Returns
    -------
    (16, H + 2 * BORDER, W + 2 * BORDER) uint8 array
        Contiguous. Entry 4 * y + x has the samples y / 4 below and x / 4 to the right of those of the picture.
    """
    padded = np.pad(plane, ((BORDER + BEFORE, BORDER + AFTER + 1), (BORDER, BORDER)), mode="edge")
    rows, width = padded.shape
    height = rows - BEFORE - AFTER - 1
    planes = np.empty((16, height, width), np.uint8)
    # Rows follow one another in memory, so a shift by a row or a sample is a shift of one long row. What is filtered
    # across the ends of rows is wrong; there lies the border, and the right value beside it.
    halves = {(0, 0): padded.ravel()}
    halves[0, 1] = _half(halves[0, 0], 1)
    _repair(halves[0, 1].reshape(-1, width))
    first, size = BEFORE * width, height * width
    for i in (0, 1):
        halves[1, i] = _half(halves[0, i], width)
    other, low = np.empty(size, np.uint8), np.empty(size, np.uint8)
    for position, nearest in enumerate(NEAREST):
        out = planes[position].ravel()
        one, two = (
            halves[y & 1, x & 1][start : start + size]
            for y, x in nearest
            for start in [first + (y >> 1) * width + (x >> 1)]
        )
        if nearest[0] == nearest[1]:
            out[:] = one
            continue
        # The mean rounded up, in eight bits: a + b = 2 * (a | b) - (a ^ b).
        np.bitwise_or(one, two, out=out)
        np.bitwise_xor(one, two, out=other)
        np.right_shift(other, 1, out=other)
        np.subtract(out, other, out=out)
        if position & 3 == 3:  # the last column took its right neighbour from the next row
            planes[position][:, -1] = planes[position][:, -2]
    return planes


def _half(samples: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return the half samples after each sample of one long row, whose neighbours are `step` away."""
    size = samples.size - (BEFORE + AFTER) * step
    wide = samples.astype(np.int16)
    at = [wide[i * step : i * step + size] for i in range(len(TAPS))]
    # (1, -5, 20, 20, -5, 1), by factoring
    total = at[2] + at[3]
    total *= 4
    total -= at[1]
    total -= at[4]
    total *= 5
    total += at[0]
    total += at[5]
    total += 16
    total >>= 5
    np.clip(total, 0, 255, out=total)
    half = np.empty_like(samples)
    half[BEFORE * step : BEFORE * step + size] = total
    return half


def _repair(half: NDArray[np.uint8]) -> None:
    half[:, :BEFORE] = half[:, BEFORE, None]
    half[:, -AFTER:] = half[:, -AFTER - 1, None]


def fetch(
    planes: NDArray[np.uint8],
    vectors: NDArray[np.integer],
    top: NDArray[np.integer],
    left: NDArray[np.integer],
    size: int,
) -> NDArray[np.uint8]:
    """Cut the blocks out of a reference to which vectors point.

    Parameters
    ----------
    planes : (16, H + 2 * BORDER, W + 2 * BORDER) uint8 array
        From `quarter_planes`.
    vectors : (N, 2) integer array
        (down, right) in quarter samples; any vector is legal.
    top, left : (N,) integer arrays
        Where in the picture the blocks lie that are predicted.
    size : int
        Side of a block, at most 16.

    Returns
    -------
    (N, size, size) uint8 array
    """
    _, height, width = planes.shape
    vectors = vectors.astype(np.intp)
    down, right = vectors[:, 0], vectors[:, 1]
    start = (4 * (down & 3) + (right & 3)) * height
    start += np.minimum(np.maximum(top + (down >> 2) + BORDER, 0), height - size)
    start *= width
    start += np.minimum(np.maximum(left + (right >> 2) + BORDER, 0), width - size)
    # All windows there are, one for each sample at which they start. A row of a window is moved as one element, which
    # is three times as fast as sample by sample.
    count = planes.size - (size - 1) * (width + 1)
    windows: NDArray[np.void] = np.ndarray((count, size), np.dtype((np.void, size)), planes, strides=(1, width))
    return windows[start].view(np.uint8).reshape(-1, size, size)
