"""Rate-distortion optimised quantisation: levels that are worth their bits.

Rounding to the nearest level makes the least error, but not the best use of bits: a level that saves less error than
its bits could save elsewhere is better left out. With errors in squared quantiser steps, a bit is worth `price` of
them. Twice it is asked what levels save, and what they cost:

    each level        one less, if that is cheaper
    each block        no levels at all, if they are not worth it together

What levels cost is not known before they are coded, and depends on their neighbours. The figures below are what they
cost on average; that is enough to choose well.

An encoder writes the same file on every machine, so no choice may hang on the order in which a sum is taken. Bits are
added up as whole numbers of hundredths, in float32; savings in float64, which has room for all of their digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["optimise_levels"]

# All in whole hundredths.
LEVEL_BITS = 2.6  # of a level of 1: run and size, sign
PLACE_BITS = 0.07  # more for each place further on in zigzag order
SIZE_BITS = 1.5  # more for a level of 2
LARGER_BITS = 0.75  # more for each further one, on average
BLOCK_BITS = 3.0  # of having any levels

# In hundredths of a bit: what a level of 1 takes at each place, and one of 2 more.
ONE = np.rint(100 * (LEVEL_BITS + PLACE_BITS * np.arange(64))).astype(np.float32)
TWO = np.full(64, 100 * SIZE_BITS, np.float32)


def optimise_levels(coefficients: NDArray[np.float32], price: float, intra: bool) -> NDArray[np.float32]:
    """Quantise blocks of coefficients.

    Parameters
    ----------
    coefficients : (N, 64) float32 array
        In zigzag order, in quantiser steps, which are at least 1: of the difference of 8-bit blocks.
    price : float
        What a bit is worth, in squared steps.
    intra : bool
        Whether these are blocks of an I frame: their DC is rounded to the nearest level, since the eye sees errors of
        mean brightness as blocks.

    Returns
    -------
    (N, 64) float32 array
        Levels: whole numbers, each the nearest to its coefficient, or one less, or 0.
    """
    worth = np.float32(price)
    magnitude = np.abs(coefficients)
    levels = np.rint(magnitude)
    # What a level costs more than the one below it, by magnitude; and how much more error that has:
    # (m - l + 1)**2 - (m - l)**2 = 1 + 2 (m - l).
    rest = magnitude - levels
    dearer = (levels > 2) * (worth * np.float32(LARGER_BITS))
    dearer += (levels == 2) * (worth * np.float32(SIZE_BITS))
    dearer += (levels == 1) * (worth / 100 * ONE)
    levels -= (levels > 0) & (dearer > 1 + 2 * rest)
    first = 0
    if intra:
        levels[:, 0] = np.rint(magnitude[:, 0])
        first = 1
    some = levels[:, first:]
    hundredths = (some > 0) @ ONE[first:] + (some > 1) @ TWO[first:]
    # m**2 - (m - l)**2. A magnitude that has a level is over 1/2, so in float32 these are whole multiples of 2**-23;
    # those of a block add up to its energy at most, 64 * 255**2 < 2**22. Such a sum is exact in float64.
    saved = (some * (2 * magnitude[:, first:] - some)).sum(axis=1, dtype=np.float64)
    some[saved <= worth * (hundredths / 100 + np.float32(BLOCK_BITS))] = 0
    return np.copysign(levels, coefficients)
