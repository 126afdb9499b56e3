"""Colour: RGB, YCbCr and gray.

Y, Cb and Cr are those of JFIF 1.02 (ITU-R BT.601 weights, full range): luma is what a gray picture shows, Cb and Cr
are how far blue and red are from it. The eye sees detail in luma far better than in chroma, so chroma can be coarser.

    Y  = 0.299 R + 0.587 G + 0.114 B            R = Y             + 1.402 Cr
    Cb = (B - Y) / 1.772                        G = Y - 0.3441 Cb - 0.7141 Cr
    Cr = (R - Y) / 1.402                        B = Y + 1.772 Cb

All three are kept centred on 0, in -128 to 128, as the transform wants them: Y is shifted down by 128.

`rgb_to_ycbcr` and `ycbcr_to_rgb` are these formulas. The decoder reads the right-hand side differently: luma, plus an
offset for each of R, G and B that depends on chroma alone (`chroma_offsets`). With chroma at half resolution the
offsets are few; they are doubled by `upsample`, and added by `add_luma`, in 16-bit integers: twice the speed of floats,
and the same result everywhere.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "add_luma",
    "chroma_offsets",
    "double",
    "gray_to_rgb",
    "halve",
    "luma_chroma",
    "rgb_to_gray",
    "rgb_to_ycbcr",
    "upsample",
    "ycbcr_to_rgb",
]

RED, GREEN, BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)  # ITU-R BT.601, 2.5.1
CR_TO_RED, CB_TO_BLUE = np.float32(1.402), np.float32(1.772)  # 2 (1 - 0.299) and 2 (1 - 0.114)
CB_TO_GREEN, CR_TO_GREEN = np.float32(-0.344136), np.float32(-0.714136)  # so that Y stays: -1.772 * 0.114 / 0.587, ...
CENTRE = np.float32(128)

OFFSET_BITS = 1  # chroma offsets are in 1/2 ...
SAMPLE_BITS = 5  # ... and in 1/32 when upsampling has multiplied them by 16; luma is in 1/32 then
LUMA_UNIT = 1 << SAMPLE_BITS
# Limit of luma and of 16 times an offset, in 1/32, so that their sum fits int16; 8-bit pictures need half of it.
LARGEST = (1 << 14) - 1


def rgb_to_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of a colour picture as a gray one: (..., 3) uint8 to (...) uint8."""
    y, _, _ = rgb_to_ycbcr(rgb)
    return (y + CENTRE).astype(np.uint8)


def gray_to_rgb(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a gray picture as a colour one, R = G = B: (...) uint8 to (..., 3) uint8."""
    return np.repeat(gray[..., None], 3, axis=-1)


def rgb_to_ycbcr(
    rgb: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Convert RGB samples to luma and chroma.

    Parameters
    ----------
    rgb : (..., 3) uint8 array
        A picture, its blocks, a video: any shape.

    Returns
    -------
    y, cb, cr : (...) float32 arrays
        Whole numbers in [-128, 128].
    """
    y, cb, cr = luma_chroma(rgb)
    return np.rint(y, out=y), np.rint(cb, out=cb), np.rint(cr, out=cr)


def luma_chroma(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Convert RGB samples to luma and chroma without rounding them: (..., 3) uint8 to three (...) float32."""
    red, green, blue = (rgb[..., i].astype(np.float32) for i in range(3))
    y = red * RED
    green *= GREEN
    y += green
    y += blue * BLUE
    blue -= y
    blue *= 1 / CB_TO_BLUE
    red -= y
    red *= 1 / CR_TO_RED
    y -= CENTRE
    return y, blue, red


def ycbcr_to_rgb(y: NDArray[np.float32], cb: NDArray[np.float32], cr: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert luma and chroma to RGB samples, the inverse of `rgb_to_ycbcr` up to rounding.

    Parameters
    ----------
    y, cb, cr : (...) float32 arrays
        Centred on 0; values that give colours outside [0, 255] are clipped.

    Returns
    -------
    (..., 3) uint8 array
    """
    y = y + CENTRE
    rgb = np.stack([y + CR_TO_RED * cr, y + CB_TO_GREEN * cb + CR_TO_GREEN * cr, y + CB_TO_BLUE * cb], axis=-1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def chroma_offsets(cb: NDArray[np.float32], cr: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return what chroma adds to luma.

    Parameters
    ----------
    cb, cr : (H, W) float32 arrays
        Centred on 0.

    Returns
    -------
    (3, H, W) int16 array
        Offsets of R, G and B, in 1/2.
    """
    unit = np.float32(1 << OFFSET_BITS)
    offsets = np.empty((3, *cb.shape), np.float32)
    np.multiply(cr, unit * CR_TO_RED, out=offsets[0])
    np.multiply(cb, unit * CB_TO_GREEN, out=offsets[1])
    offsets[1] += cr * (unit * CR_TO_GREEN)
    np.multiply(cb, unit * CB_TO_BLUE, out=offsets[2])
    limit = np.float32(LARGEST // 16)
    np.clip(offsets, -limit, limit, out=offsets)
    return np.rint(offsets, out=offsets).astype(np.int16)


def halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Halve both sides of a plane, each of them even: (H, W) to (H / 2, W / 2).

    Of four samples in a row the new one, in their middle, takes -1/8, 5/8, 5/8, -1/8: what `upsample` makes of it is
    then closer to the plane than with the mean of two. Beyond the edge lies the edge again.
    """
    return np.ascontiguousarray(_halve_rows(_halve_rows(plane).T).T)


def _halve_rows(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
    return (np.float32(5) * (wide[1:-1:2] + wide[2::2]) - wide[:-2:2] - wide[3::2]) / np.float32(8)


def upsample(planes: NDArray[np.int16], first: int = 0, last: int | None = None) -> NDArray[np.int16]:
    """Double both sides of planes, with the triangle filter (libjpeg's "fancy upsampling", jdsample.c).

    A new sample lies a quarter of the way from the nearest old one to the next, and takes 3/4 of the one and 1/4 of the
    other. Beyond the edge lies the edge again.

    Parameters
    ----------
    planes : (P, H, W) int16 array
        In [-1023, 1023].
    first, last : int, optional
        Rows of `planes` that are wanted, the last not counted; all of them by default.

    Returns
    -------
    (P, 2 (last - first), 2 W) int16 array
        16 times the interpolated samples.
    """
    last = planes.shape[1] if last is None else last
    top, bottom = max(first - 1, 0), min(last + 1, planes.shape[1])  # neighbours that the filter reaches
    far = planes[:, top:bottom]
    near = far * np.int16(3)
    wide = np.empty((*far.shape[:2], 2 * far.shape[2]), np.int16)
    np.add(near[..., 1:], far[..., :-1], out=wide[..., 2::2])
    np.add(near[..., :-1], far[..., 1:], out=wide[..., 1:-1:2])
    wide[..., 0], wide[..., -1] = 4 * far[..., 0], 4 * far[..., -1]
    near = wide * np.int16(3)
    tall = np.empty((wide.shape[0], 2 * wide.shape[1], wide.shape[2]), np.int16)
    np.add(near[:, 1:], wide[:, :-1], out=tall[:, 2::2])
    np.add(near[:, :-1], wide[:, 1:], out=tall[:, 1:-1:2])
    tall[:, 0], tall[:, -1] = 4 * wide[:, 0], 4 * wide[:, -1]
    return tall[:, 2 * (first - top) : 2 * (last - top)]


def double(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Upsample a plane of samples: (H, W) to (2 H, 2 W), rounded to halves before and clipped at 511."""
    halves = np.clip(np.rint(2 * samples), -(LARGEST // 16), LARGEST // 16).astype(np.int16)
    return upsample(halves[None])[0].astype(np.float32) / 32


def add_luma(luma: NDArray[np.float32], offsets: NDArray[np.int16] | None, out: NDArray[np.uint8]) -> None:
    """Add luma to the offsets of each channel, round, clip and store.

    Parameters
    ----------
    luma : (H, W) float32 array
        Centred on 0, in 1/32; overwritten.
    offsets : (C, H, W) int16 array or None
        In 1/32, overwritten; None stands for a single channel without any.
    out : (H, W, C) uint8 array
        Where to put the samples.
    """
    # Half a level up, since the last shift rounds down; and half a unit, since the conversion to integers cuts off.
    luma += (CENTRE + np.float32(0.5)) * np.float32(LUMA_UNIT) + np.float32(0.5)
    np.clip(luma, np.float32(-LARGEST), np.float32(LARGEST), out=luma)
    samples = luma.astype(np.int16)
    channels = samples[None] if offsets is None else np.add(offsets, samples, out=offsets)
    channels >>= SAMPLE_BITS
    np.clip(channels, np.int16(0), np.int16(255), out=channels)
    for i, channel in enumerate(channels):
        np.copyto(out[..., i], channel, casting="unsafe")
