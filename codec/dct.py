"""The discrete cosine transform: a block as a sum of 64 pictures of waves.

The DCT-II (Ahmed, Natarajan, Rao, IEEE Trans. Computers C-23, 1974) writes n samples as n amounts of cosine waves. With
the orthonormal scaling used here it is a rotation: energy and errors are the same on both sides, and the inverse is
the transpose. Natural pictures are smooth, so nearly all energy lands in a few low frequencies: that is what the rest
of the codec lives on. `dct`, `idct`, `dct2`, `idct2` show it in floats; `keep_top` and `energy_compaction` show why it
compresses, and `compare_with_fft` why it is the cosine transform and not Fourier's.

**Inside the codec** a transform is one matrix product: the 64 pixels of a block times 64 basis pictures. To give the
same bits on every machine the matrix holds whole multiples of 2**-13 (forward) or 2**-11 (inverse), and the vectors
whole numbers, so that every product and partial sum is a whole multiple too. As long as these stay below 2**24
multiples, float32 holds each of them exactly, and no order of summation, thread count or fused multiply-add can
change the result. Where a malicious file would exceed that, `Inverse` takes float64, whose 2**53 is out of reach.

**Chroma at half resolution**: of the 16 x 16 DCT of a block, the 8 x 8 lowest frequencies are kept. They are the
closest approximation with a quarter of the numbers (the transform is a rotation), and read by the 8-point inverse they
are the small picture. So halving needs no filter: it is part of the matrix.
"""

from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codec import blocks
from codec.scan import ZIGZAG

__all__ = [
    "Inverse",
    "basis",
    "compare_with_fft",
    "dct",
    "dct2",
    "dct_plain",
    "energy_compaction",
    "forward",
    "forward_matrix",
    "idct",
    "idct2",
    "keep_top",
]

# The largest possible sum over a block of 8-bit samples is 128 * 8 * 2**13 = 2**23 multiples, and over a block of
# differences of two such samples 255 * 8 * 2**13, which is below 2**24: both are exact.
FORWARD_BITS = 13
# Coefficients of an 8-bit block have a norm of at most 2**10, so their magnitudes sum to at most 2**13
# (Cauchy-Schwarz); basis pictures stay below 1/4. Rounding to levels at most doubles that: 2**12 pixel values, 2**23
# multiples. Differences may have twice that, and be just over the limit: float64 takes them.
INVERSE_BITS = 11
BASIS_BITS = 20  # of the integer cosines that both matrices are made of
STEP_BITS = 4  # quantiser steps are in 1/16
LIMIT = 0.99 * (1 << (24 - INVERSE_BITS))  # of exact float32 sums; 0.99, since the sum that is compared is rounded

# Multiplications in one call of BLAS. Above 2**18 OpenBLAS starts a thread for each core and waits for all of them (its
# GEMM_MULTITHREAD_THRESHOLD), which takes up to ten times as long as such small products take on one.
SMALL_PRODUCT = 1 << 17

LOW = 16  # levels in zigzag order that most blocks end within: those of chroma, and of smooth parts of luma
FEW = 1 / 8  # share of blocks with higher frequencies up to which these are worth a product of their own

Float = TypeVar("Float", np.float32, np.float64)


@cache
def basis(n: int) -> NDArray[np.float64]:
    """Return the orthonormal DCT-II matrix of n points.

    Returns
    -------
    (n, n) float64 array
        Row k is the k-th cosine wave, c(k) cos((2i + 1) k pi / 2n) with c(0) = sqrt(1/n) and c(k) = sqrt(2/n).
    """
    k, i = np.ogrid[:n, :n]
    waves: NDArray[np.float64] = np.cos((2 * i + 1) * k * np.pi / (2 * n)) * np.sqrt(2 / n)
    waves[0] = np.sqrt(1 / n)
    return waves


def dct_plain(signal: list[float]) -> list[float]:
    """Return the DCT-II of one signal, sum by sum: the definition, and the plain form of `dct`."""
    n = len(signal)
    result = []
    for k in range(n):
        total = sum(x * np.cos((2 * i + 1) * k * np.pi / (2 * n)) for i, x in enumerate(signal))
        result.append(float(total * np.sqrt((1 if k == 0 else 2) / n)))
    return result


def dct(signals: ArrayLike) -> NDArray[np.float64]:
    """Transform along the last axis: (..., n) samples to (..., n) coefficients."""
    signals = np.asarray(signals, np.float64)
    return signals @ basis(signals.shape[-1]).T


def idct(coefficients: ArrayLike) -> NDArray[np.float64]:
    """Undo `dct`: (..., n) coefficients to (..., n) samples."""
    coefficients = np.asarray(coefficients, np.float64)
    return coefficients @ basis(coefficients.shape[-1])


def dct2(pictures: ArrayLike) -> NDArray[np.float64]:
    """Transform pictures or blocks in both directions: (..., h, w) samples to coefficients.

    The 2-D transform is separable: rows first, then columns.
    """
    return np.swapaxes(dct(np.swapaxes(dct(pictures), -1, -2)), -1, -2)


def idct2(coefficients: ArrayLike) -> NDArray[np.float64]:
    """Undo `dct2`: (..., h, w) coefficients to samples."""
    return np.swapaxes(idct(np.swapaxes(idct(coefficients), -1, -2)), -1, -2)


def keep_top(coefficients: ArrayLike, k: int) -> NDArray[np.float64]:
    """Set all but the k largest coefficients of each block to 0.

    Parameters
    ----------
    coefficients : (..., h, w) array
        Transformed blocks.
    k : int
        How many to keep, in [0, h * w].

    Returns
    -------
    (..., h, w) float64 array
        Of all choices of k coefficients, the one whose inverse is closest to the block in mean square.
    """
    coefficients = np.asarray(coefficients, np.float64)
    flat = coefficients.reshape(*coefficients.shape[:-2], -1)
    largest = np.argsort(-np.abs(flat), axis=-1, kind="stable")[..., :k]
    kept = np.zeros_like(flat)
    np.put_along_axis(kept, largest, np.take_along_axis(flat, largest, -1), -1)
    return kept.reshape(coefficients.shape)


def energy_compaction(coefficients: ArrayLike) -> NDArray[np.float64]:
    """Return which share of the energy the k largest coefficients of each block hold, for k = 1, 2, ...

    Parameters
    ----------
    coefficients : (..., h, w) array
        Transformed blocks, real or complex.

    Returns
    -------
    (h * w,) float64 array
        Shares in [0, 1] over all blocks together, rising to 1; all 1 for blocks of zeros.
    """
    coefficients = np.asarray(coefficients)
    energy = np.abs(coefficients.reshape(-1, coefficients.shape[-2] * coefficients.shape[-1])) ** 2
    largest_first = -np.sort(-energy, axis=1)
    held = np.cumsum(largest_first.sum(axis=0))
    return held / held[-1] if held[-1] > 0 else np.ones_like(held)


def compare_with_fft(pictures: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the energy compaction of the DCT and of the DFT of the same blocks.

    The DFT sees a block as one period of an endless repetition, and the jump from its right edge to its left one
    spreads energy over all frequencies. The DCT sees it mirrored at the edges, without a jump. A real block's DFT is
    conjugate symmetric, so its n * n complex numbers carry n * n real ones, as many as the DCT's.

    Parameters
    ----------
    pictures : (..., h, w) array

    Returns
    -------
    dct, fft : (h * w,) float64 arrays
        As from `energy_compaction`; a DFT coefficient counts as one number of the h * w.
    """
    pictures = np.asarray(pictures, np.float64)
    return energy_compaction(dct2(pictures)), energy_compaction(np.fft.fft2(pictures, norm="ortho"))


@cache
def _basis_pictures(size: int) -> NDArray[np.int64]:
    """Return the 8 x 8 lowest basis pictures of a block, as whole multiples of 2**-40.

    Returns
    -------
    (64, size * size) int64 array
        Frequencies in zigzag order; pixels in the order of `blocks.split(_, 8, size // 8)`, raster order for size 8.
    """
    # No cosine here lies near a half multiple of 2**-20 (a test tells how near), so every libm rounds to the same
    # integers.
    waves = np.rint(basis(size)[:8] * (1 << BASIS_BITS)).astype(np.int64)
    pictures = np.einsum("ui,vj->ijuv", waves, waves).reshape(size, size, 64)
    return blocks.split(pictures, 8, size // 8).reshape(size * size, 64).T[ZIGZAG]


@cache
def forward_matrix(size: int) -> NDArray[np.float32]:
    """Return the matrix from pixels to coefficients, in whole multiples of 2**-13.

    Parameters
    ----------
    size : int
        Side of the block of pixels: 8, or 16 to keep the 8 x 8 lowest frequencies of 16 x 16.

    Returns
    -------
    (size * size, 64) float32 array
        Scaled by 8 / size, so that the same picture at half resolution has the same coefficients.
    """
    pictures = _basis_pictures(size) // (size // 8)  # off by 2**-40 at most
    shift = 2 * BASIS_BITS - FORWARD_BITS
    whole = pictures + (1 << (shift - 1)) >> shift
    return np.ascontiguousarray(whole.T.astype(np.float32) / np.float32(1 << FORWARD_BITS))


def forward(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transform blocks of pixels.

    Parameters
    ----------
    samples : (N, size * size) float32 array
        Whole numbers in [-128, 128], or [-255, 255] if size is 8; it is 8 or 16, see `forward_matrix`.

    Returns
    -------
    (N, 64) float32 array
        Coefficients in zigzag order, the same on every machine: the exact product.
    """
    return _multiply(samples, forward_matrix(8 if samples.shape[1] == 64 else 16))


def _multiply(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply (N, K) rows by a (K, M) matrix in small products."""
    product = np.empty((len(rows), matrix.shape[1]), np.float32)
    step = SMALL_PRODUCT // matrix.size
    whole = len(rows) // step * step
    np.matmul(
        rows[:whole].reshape(-1, step, len(matrix)), matrix, out=product[:whole].reshape(-1, step, matrix.shape[1])
    )
    np.matmul(rows[whole:], matrix, out=product[whole:])
    return product


class Inverse:
    """Dequantisation, zigzag and inverse transform of a plane in one exact product.

    Parameters
    ----------
    steps : (64,) int64 array in [1, 65535]
        Quantiser steps in 1/16, in zigzag order.
    unit : int
        A power of two: samples come out as multiples of 1/unit.

    Attributes
    ----------
    matrices : (8, 64, 8) float32 array
        Whole multiples of 2**-11 units: entry i takes the 64 levels of a block, in zigzag order, to its i-th row of
        pixels.
    """

    def __init__(self, steps: NDArray[np.int64], unit: int = 1) -> None:
        self.unit = unit
        pictures = _basis_pictures(8) * steps[:, None]
        shift = 2 * BASIS_BITS + STEP_BITS - INVERSE_BITS
        whole = pictures + (1 << (shift - 1)) >> shift
        matrix = whole.astype(np.float32) / np.float32(1 << INVERSE_BITS)
        self.matrices = np.ascontiguousarray(matrix.reshape(64, 8, 8).swapaxes(0, 1)) * np.float32(unit)
        self._matrix = matrix * np.float32(unit)
        self._high = self._matrix[LOW:]
        # Magnitudes times this (in levels, whatever the unit, which is a power of two): the largest sum that a block
        # can come to, and whether it has high frequencies at all.
        self._measures = np.stack([np.abs(matrix).max(axis=1), np.arange(64) >= LOW], axis=1, dtype=np.float32)

    def __call__(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples of blocks of levels.

        Parameters
        ----------
        levels : (rows, columns, 64) float32 array
            Whole numbers, in zigzag order.

        Returns
        -------
        (8 * rows, 8 * columns) float32 array
            The plane in 1/unit, the same on every machine: the exact product.
        """
        shape = 8 * levels.shape[0], 8 * levels.shape[1]
        measures = np.abs(levels) @ self._measures
        # No partial sum of a block is larger than this. What an encoder makes of 8-bit pixels stays below the limit.
        largest = float(measures[..., 0].max(initial=0))
        if largest > LIMIT:
            exact = self._product(levels.astype(np.float64), self.matrices.astype(np.float64))
            return exact.astype(np.float32).reshape(shape)
        row, column = np.nonzero(measures[..., 1])
        if row.size > FEW * measures[..., 1].size:
            samples = self._product(levels, self.matrices)
        else:  # most blocks of chroma: a quarter of the work for all of them, and the rest for a few
            samples = self._product(levels[..., :LOW], self.matrices[:, :LOW])
            samples[row, :, column] += _multiply(levels[row, column, LOW:], self._high).reshape(-1, 8, 8)
        return samples.reshape(shape)

    def blocks(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples of single blocks.

        Parameters
        ----------
        levels : (N, 64) float32 array
            Whole numbers, in zigzag order.

        Returns
        -------
        (N, 64) float32 array
            Pixels in raster order, in 1/unit, the same on every machine: the exact product.
        """
        largest = float((np.abs(levels) @ self._measures[:, 0]).max(initial=0))
        if largest > LIMIT:
            return (levels.astype(np.float64) @ self._matrix.astype(np.float64)).astype(np.float32)
        return _multiply(levels, self._matrix)

    @staticmethod
    def _product(levels: NDArray[Float], matrices: NDArray[Float]) -> NDArray[Float]:
        """Multiply (rows, columns, K) levels by (8, K, 8) matrices: (rows, 8, columns, 8), pixels in raster order."""
        rows, columns, bandwidth = levels.shape
        samples = np.empty((rows, 8, columns, 8), levels.dtype)
        step = SMALL_PRODUCT // (8 * bandwidth)
        for first in range(0, columns, step):
            part = slice(first, first + step)
            np.matmul(levels[:, None, part], matrices, out=samples[:, :, part])
        return samples
