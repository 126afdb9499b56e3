"""Quantisation: the one step that loses information, and so the one that decides size and quality.

A coefficient is divided by a step and rounded to a level. Two things can be chosen:

**The steps.** Equal steps for all frequencies ("flat") give the least mean square error for the bits: the PSNR
optimum. Eyes forgive errors at high frequencies, so JPEG's tables (ITU-T T.81, Annex K) grow steeply there. "sloped"
steps grow linearly with frequency, by 0.4 of the DC step from one to the next: less steep than Annex K, and better by
every measure. Slope, deadzone and the balance of luma and chroma were chosen on photographs that are in no benchmark
of this project (`python -m benchmarks.tuning`). Their size at quality 50 is such that at quality 75 "flat" takes
about the bytes of JPEG, and "sloped" a little less for nearly its MS-SSIM.

**The rounding.** Plain rounding is the most exact. But small levels cost many bits for little accuracy, and
coefficients are distributed like a Laplacian, most of them near 0: rounding towards 0 (a wider zone for 0, the
"deadzone", Sullivan, IEEE Trans. IT 42, 1996) saves more bits than it costs quality.

Quality is JPEG's, from 0, which is taken for 1, to 100 (libjpeg, jcparam.c): a percentage by which all steps are
scaled, 100 % at quality 50.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.scan import ZIGZAG

__all__ = ["TABLES", "Table", "dequantize", "quantize", "scale", "sloped"]

# ITU-T T.81, tables K.1 and K.2, in raster order.
# fmt: off
ANNEX_K_LUMA = np.array(
    [
        [ 16,  11,  10,  16,  24,  40,  51,  61],
        [ 12,  12,  14,  19,  26,  58,  60,  55],
        [ 14,  13,  16,  24,  40,  57,  69,  56],
        [ 14,  17,  22,  29,  51,  87,  80,  62],
        [ 18,  22,  37,  56,  68, 109, 103,  77],
        [ 24,  35,  55,  64,  81, 104, 113,  92],
        [ 49,  64,  78,  87, 103, 121, 120, 101],
        [ 72,  92,  95,  98, 112, 100, 103,  99],
    ]
).ravel()
ANNEX_K_CHROMA = np.array(
    [
        [ 17,  18,  24,  47,  99,  99,  99,  99],
        [ 18,  21,  26,  66,  99,  99,  99,  99],
        [ 24,  26,  56,  99,  99,  99,  99,  99],
        [ 47,  66,  99,  99,  99,  99,  99,  99],
        [ 99,  99,  99,  99,  99,  99,  99,  99],
        [ 99,  99,  99,  99,  99,  99,  99,  99],
        [ 99,  99,  99,  99,  99,  99,  99,  99],
        [ 99,  99,  99,  99,  99,  99,  99,  99],
    ]
).ravel()
# fmt: on
UNIT = 16  # steps are whole multiples of 1/16
FINEST = UNIT  # a step below 1 would only code the rounding of the pixels
COARSEST = 65_535


@dataclass(frozen=True)
class Table:
    """Quantiser steps of luma and chroma at quality 50.

    Attributes
    ----------
    luma, chroma : (64,) int64 arrays
        Steps in 1/16, in zigzag order.
    integer : bool
        Whether scaled steps are rounded to whole numbers and end at 255, as a JPEG file stores them.
    deadzone : float
        By how much rounding is biased towards 0, in steps: 0 is plain rounding, 0.5 cuts off.
    """

    luma: NDArray[np.int64]
    chroma: NDArray[np.int64]
    integer: bool
    deadzone: float


def sloped(step: float, slope: float) -> NDArray[np.int64]:
    """Return steps that grow linearly with the distance from DC.

    Parameters
    ----------
    step : float
        The step of DC.
    slope : float
        Growth from one frequency to the next, in steps of DC; 0 gives a flat table.

    Returns
    -------
    (64,) int64 array
        In 1/16, in zigzag order.
    """
    row, column = np.divmod(ZIGZAG, 8)
    # A square root is rounded correctly everywhere (IEEE 754), and none of these lies near a half: the same integers.
    return np.rint(UNIT * step * (1 + slope * np.sqrt(row**2 + column**2))).astype(np.int64)


TABLES = {
    "jpeg": Table(UNIT * ANNEX_K_LUMA[ZIGZAG], UNIT * ANNEX_K_CHROMA[ZIGZAG], integer=True, deadzone=0),
    "flat": Table(sloped(28, 0), sloped(22, 0), integer=False, deadzone=0.17),
    "sloped": Table(sloped(11, 0.4), sloped(16.5, 0.4), integer=False, deadzone=0.14),
}


def scale(table: Table, quality: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the steps of a table at a quality.

    Parameters
    ----------
    table : Table
        One of `TABLES`.
    quality : float
        In [0, 100]; hundredths count, finer fractions do not. 0 is treated as 1.

    Returns
    -------
    luma, chroma : (64,) int64 arrays
        Steps in 1/16, in zigzag order. All arithmetic is on integers, so that a decoder on any machine finds the same.
    """
    hundredths = max(100, round(100 * quality))
    # In 1/100 of a percent; libjpeg's 5000 / quality below 50 and 200 - 2 quality from there on.
    percent = 50_000_000 // hundredths if hundredths < 5000 else 20_000 - 2 * hundredths
    if table.integer:
        whole = percent // 100  # libjpeg scales by whole percents

        def scaled(steps: NDArray[np.int64]) -> NDArray[np.int64]:
            return UNIT * np.clip((steps // UNIT * whole + 50) // 100, 1, 255)
    else:

        def scaled(steps: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.clip((steps * percent + 5000) // 10_000, FINEST, COARSEST)

    return scaled(table.luma), scaled(table.chroma)


def quantize(coefficients: NDArray[np.float32], steps: NDArray[np.int64], deadzone: float = 0.0) -> NDArray[np.int16]:
    """Round coefficients to levels.

    Parameters
    ----------
    coefficients : (..., 64) float32 array
        In zigzag order, DC first; not changed.
    steps : (64,) int64 array
        Steps in 1/16.
    deadzone : float
        Bias towards 0 of the AC levels, in [0, 0.5] steps.

    Returns
    -------
    (..., 64) int16 array
        The nearest level, or with a deadzone sign(x) * floor(|x| + 0.5 - deadzone) for x in steps.
    """
    scaled = coefficients * (np.float32(UNIT) / steps.astype(np.float32))
    if deadzone:
        dc = scaled[..., 0].copy()  # not biased: errors of the mean brightness are seen as blocks
        scaled -= np.clip(scaled, np.float32(-deadzone), np.float32(deadzone))
        scaled[..., 0] = dc
    return np.rint(scaled, out=scaled).astype(np.int16)


def dequantize(levels: NDArray[np.int16], steps: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the coefficients that levels stand for: (..., 64) int16 to float32, exactly level * step."""
    return levels.astype(np.float32) * (steps.astype(np.float32) / np.float32(UNIT))
