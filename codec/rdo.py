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

# What is coded takes about so many bits; in whole hundredths.
LEVEL_BITS = 2.6  # of a level of 1: run and size, sign
PLACE_BITS = 0.07  # more for each place further on in zigzag order
SIZE_BITS = 1.5  # more for a level of 2
LARGER_BITS = 0.75  # more for each further one, on average; left out where whole blocks are judged
BLOCK_BITS = 3.0  # of having any levels


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
    magnitude = np.abs(coefficients)
    levels = np.rint(magnitude)
    # In hundredths of a bit: sums of whole numbers are exact in any order, so every machine chooses alike.
    worth = np.float32(price / 100)
    bits_of_one = np.rint(100 * (LEVEL_BITS + PLACE_BITS * np.arange(64))).astype(np.float32)
    bits_of_two, bits_of_more = np.float32(round(100 * SIZE_BITS)), np.float32(round(100 * LARGER_BITS))
    # What a level costs more than the one below it, by magnitude; and how much more error that has:
    # (m - l + 1)**2 - (m - l)**2 = 1 + 2 (m - l).
    dearer = (levels > 2) * bits_of_more
    dearer += (levels == 2) * bits_of_two
    dearer += (levels == 1) * bits_of_one
    levels -= (levels > 0) & (worth * dearer > 1 + 2 * (magnitude - levels))
    first = 0
    if intra:
        levels[:, 0] = np.rint(magnitude[:, 0])
        first = 1
    some = levels[:, first:]
    bits = (some > 0) @ bits_of_one[first:] + (some > 1).sum(axis=1) * bits_of_two + np.float32(round(100 * BLOCK_BITS))
    # Each term is a whole multiple of 2**-24, since m is at least 1/2 where l is not 0, and 2**23 at most: such sums
    # are exact in float64, too.
    saved = (some * (2 * magnitude[:, first:] - some)).sum(axis=1, dtype=np.float64)  # m**2 - (m - l)**2
    some[saved <= worth * bits] = 0
    return np.copysign(levels, coefficients)
