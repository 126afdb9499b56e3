"""Pictures as tensors of numbers: their formats, ranges and statistics.

    (H, W)          gray
    (H, W, C)       colour, C = 3, or 2 and 4 with alpha last
    (T, H, W, C)    video, frame by frame (gray video is (T, H, W))

A file holds uint8 in [0, 255]; arithmetic wants floats, mostly in [0, 1] or centred on 0. Networks written for other
libraries take channels first, (N, C, H, W): `channels_first` and `channels_last` go back and forth.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitstreams.entropy import entropy, histogram, probabilities

__all__ = [
    "Statistics",
    "channels_first",
    "channels_last",
    "entropy_by_frequency",
    "from_float",
    "pixel_histogram",
    "pixel_statistics",
    "standardize",
    "to_float",
]

Sample = TypeVar("Sample", bound=np.generic)


def to_float(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalise samples: uint8 in [0, 255] to float32 in [0, 1], any shape."""
    return pixels.astype(np.float32) / np.float32(255)


def from_float(samples: ArrayLike) -> NDArray[np.uint8]:
    """Undo `to_float`: round to the nearest of 256 levels, and clip what lies outside [0, 1]."""
    return np.clip(np.rint(np.asarray(samples) * 255.0), 0, 255).astype(np.uint8)


def channels_first(pictures: NDArray[Sample]) -> NDArray[Sample]:
    """Move channels before rows: (..., H, W, C) to (..., C, H, W), a view."""
    return np.moveaxis(pictures, -1, -3)


def channels_last(pictures: NDArray[Sample]) -> NDArray[Sample]:
    """Move channels after columns: (..., C, H, W) to (..., H, W, C), a view."""
    return np.moveaxis(pictures, -3, -1)


class Statistics(NamedTuple):
    """Statistics of the samples of one channel.

    Attributes
    ----------
    minimum, maximum, mean, deviation : float
        In the units of the samples; the deviation is that of the population.
    entropy : float
        Bits a sample, of the histogram: what coding samples one by one would take.
    """

    minimum: float
    maximum: float
    mean: float
    deviation: float
    entropy: float


def pixel_histogram(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count how often each of the 256 levels occurs: uint8 of any shape to (256,) int64."""
    return np.bincount(pixels.ravel(), minlength=256).astype(np.int64)


def pixel_statistics(pixels: NDArray[np.uint8]) -> list[Statistics]:
    """Return the statistics of each channel of a picture.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) uint8 array

    Returns
    -------
    list of Statistics
        One for each channel, one for a gray picture.
    """
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    statistics = []
    for i in range(channels.shape[-1]):
        counts = pixel_histogram(channels[..., i])
        p, level = probabilities(counts), np.arange(256)
        present = np.flatnonzero(counts)
        mean = float(p @ level)
        deviation = float(np.sqrt(p @ (level - mean) ** 2))
        statistics.append(Statistics(float(present[0]), float(present[-1]), mean, deviation, entropy(p)))
    return statistics


def entropy_by_frequency(levels: ArrayLike) -> NDArray[np.float64]:
    """Return the entropy of each coefficient of blocks, over all blocks: the bits that it is worth.

    Called on coefficients rounded to whole numbers, and on their quantised levels, it shows what quantisation saves,
    and where: before it nearly every frequency is worth several bits, after it only the lowest are worth any.

    Parameters
    ----------
    levels : (..., K) array of integers
        K coefficients of each block, for instance 64 in zigzag order.

    Returns
    -------
    (K,) float64 array
        Bits a coefficient; their sum is bits a block, of a code that treats coefficients one by one.
    """
    columns = np.asarray(levels).reshape(-1, np.shape(levels)[-1]).T
    return np.array([entropy(probabilities(histogram(column)[1])) for column in columns])


def standardize(samples: ArrayLike) -> NDArray[np.float64]:
    """Shift and scale each channel of (..., C) samples to mean 0 and deviation 1.

    A channel without any contrast becomes 0.
    """
    samples = np.asarray(samples, np.float64)
    axes = tuple(range(samples.ndim - 1))
    contrast = samples.max(axis=axes) > samples.min(axis=axes)  # rounding gives even a constant a deviation
    scaled = (samples - samples.mean(axis=axes)) / np.where(contrast, samples.std(axis=axes), 1)
    return np.where(contrast, scaled, 0.0)
