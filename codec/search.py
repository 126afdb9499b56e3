"""The quality that gives a file of a wanted size, or a picture of a wanted PSNR.

Both grow with quality, so the answer is found by bisection: every trial halves the range in which it lies, and after
14 trials one of the 10,001 qualities from 0 to 100 in steps of 0.01 is left.

Looked at closely they only nearly grow: from one hundredth to the next a file may shrink by a few bytes. The answer
always fulfils the wish, and the next hundredth has been tried and does not; further on another may, by as little.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError
from codec.color import rgb_to_gray
from codec.image import decode_image, encode_image
from codec.metrics import psnr

__all__ = ["encode_to_psnr", "encode_to_size"]

HUNDREDTHS = range(10_001)  # the qualities, in 1/100


def encode_to_size(pixels: NDArray[np.uint8], target_bytes: int, **options: Any) -> bytes:
    """Encode a picture at the highest quality at which the file is not larger than wanted.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) uint8 array
        As for `encode_image`.
    target_bytes : int
        The largest size that will do.
    **options
        Those of `encode_image`, without `quality`.

    Returns
    -------
    bytes
        A `.tjpg` file of at most `target_bytes`. It takes up to 14 encodings to find it.

    Raises
    ------
    CodecError
        If even the file at quality 0 is larger, or as `encode_image`.
    """
    best, smallest = b"", math.inf

    def size(hundredths: int) -> int:
        nonlocal best, smallest
        data = encode_image(pixels, hundredths / 100, **options)
        smallest = min(smallest, len(data))
        if len(data) <= target_bytes:
            best = data  # the search goes on above this quality
        return len(data)

    bisect_right(HUNDREDTHS, target_bytes, key=size)
    if not best:
        raise CodecError(f"the picture does not fit into {target_bytes} bytes; the smallest file takes {smallest}")
    return best


def encode_to_psnr(pixels: NDArray[np.uint8], target_db: float, **options: Any) -> bytes:
    """Encode a picture at the lowest quality at which it decodes with a wanted PSNR.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) uint8 array
        As for `encode_image`. With yuv="400" the decoded picture is gray, and is compared with the gray version of
        this one.
    target_db : float
        Peak signal-to-noise ratio over all samples, alpha included, in dB.
    **options
        Those of `encode_image`, without `quality`.

    Returns
    -------
    bytes
        A `.tjpg` file. It takes up to 14 encodings and decodings to find it.

    Raises
    ------
    CodecError
        If not even quality 100 reaches the PSNR, or as `encode_image`.
    """
    best, highest = b"", -math.inf

    def reach(hundredths: int) -> float:
        nonlocal best, highest
        data = encode_image(pixels, hundredths / 100, **options)
        decoded = decode_image(data, size_limit=sys.maxsize)
        reached = psnr(_as_coded(pixels, decoded.shape), decoded)
        highest = max(highest, reached)
        if reached >= target_db:
            best = data  # the search goes on below this quality
        return reached

    bisect_left(HUNDREDTHS, target_db, key=reach)
    if not best:
        raise CodecError(f"a PSNR of {target_db:g} dB is out of reach; the best is {highest:.2f} dB")
    return best


def _as_coded(pixels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the picture that the decoder aims at, of the shape that it gives."""
    if pixels.size == math.prod(shape):
        return pixels.reshape(shape)
    gray = rgb_to_gray(pixels[..., :3])[..., None]  # colour coded without its chroma
    return np.concatenate([gray, pixels[..., 3:]], axis=-1).reshape(shape)
