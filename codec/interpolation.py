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

**Quarter samples** are means of the two nearest of these, rounded up: a of G and b, f of b and j, and so on. In the
corners, e, g, p and r are means of the two nearest of b, h, m and s.

This is the luma filter of H.264 (ITU-T Rec. H.264, 8.4.2.2.1), with one simplification: the centre j is filtered
from b as rounded to eight bits. The standard keeps b at full precision until then, which predicts 0.05 % closer.

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
    # Rows follow one another in memory, so in one long row a sample to the right is the next one, and a sample below
    # is `width` further. What is wrong by this, where rows meet, lies in the border, beside samples that are right.
    halves = {(0, 0): padded.ravel()}
    halves[0, 1] = _half_samples(padded.ravel(), 1)
    by_row = halves[0, 1].reshape(rows, width)
    by_row[:, :BEFORE] = by_row[:, BEFORE, None]
    by_row[:, -AFTER:] = by_row[:, -AFTER - 1, None]
    for x in (0, 1):
        halves[1, x] = _half_samples(halves[0, x], width)

    def shifted(y: int, x: int) -> NDArray[np.uint8]:
        """Return the samples that are y half samples below and x to the right of those of the plane."""
        start = (BEFORE + (y >> 1)) * width + (x >> 1)
        return halves[y & 1, x & 1][start : start + height * width]

    planes = np.empty((16, height, width), np.uint8)
    unlike = np.empty(height * width, np.uint8)
    for plane_out, (one, other) in zip(planes.reshape(16, -1), NEAREST, strict=True):
        if one == other:
            plane_out[:] = shifted(*one)
            continue
        # The mean rounded up, without leaving eight bits: a + b is 2 * (a | b) - (a ^ b).
        np.bitwise_xor(shifted(*one), shifted(*other), out=unlike)
        np.right_shift(unlike, 1, out=unlike)
        np.bitwise_or(shifted(*one), shifted(*other), out=plane_out)
        np.subtract(plane_out, unlike, out=plane_out)
    planes[3::4, :, -1] = planes[3::4, :, -2]  # these took their right neighbours from the next row
    return planes


def _half_samples(samples: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return the half samples that follow the samples of one long row, in which neighbours are `step` apart.

    The first BEFORE * step and the last AFTER * step of them are undefined.
    """
    size = samples.size - (BEFORE + AFTER) * step
    wide = samples.astype(np.int16)
    a, b, c, d, e, f = (wide[i * step : i * step + size] for i in range(len(TAPS)))
    # a - 5b + 20c + 20d - 5e + f as ((c + d) * 4 - b - e) * 5 + a + f
    total = c + d
    total *= 4
    total -= b
    total -= e
    total *= 5
    total += a
    total += f
    total += 16
    total >>= 5
    half = np.empty_like(samples)
    half[BEFORE * step : BEFORE * step + size] = np.clip(total, 0, 255, out=total)
    return half


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
        Side of a block, at most BORDER - 4: where such a block leaves the border, it shows nothing but the edge.

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
