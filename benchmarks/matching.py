"""Codecs at the same rate: the quality at which a codec takes about so many bits a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.cells import bits_a_pixel
from benchmarks.codecs import AnyCodec

__all__ = ["match_rate"]

TRIALS = 7  # encodings at the most
TOLERANCE = 0.005  # of the rate: closer is not asked for


def match_rate(
    codec: AnyCodec, contents: Sequence[Any], bpp: float, known: Mapping[float, float]
) -> tuple[float, list[bytes]]:
    """Find the quality at which a codec takes about so many bits a pixel.

    Parameters
    ----------
    codec : Codec
    contents : sequence of arrays or Footage
        What is coded, all at the same quality.
    bpp : float
        What is wanted of all of it together.
    known : mapping of float to float
        Bits a pixel at some qualities.

    Returns
    -------
    quality : float
        The one that came closest, of those that were tried.
    files : list of bytes
        The contents at this quality.
    """
    files: dict[float, list[bytes]] = {}
    rates = dict(known)
    for trial in range(TRIALS):
        quality = _guess(rates, bpp, codec.grain, halve=trial % 2 == 1)
        if quality in files:  # the step of the codec's scale is all that is left
            break
        files[quality] = [codec.encode(each, quality) for each in contents]
        rates[quality] = bits_a_pixel(files[quality], contents)
        if abs(rates[quality] / bpp - 1) < TOLERANCE:
            break
    best = min(files, key=lambda quality: abs(rates[quality] - bpp))
    return best, files[best]


def _guess(rates: Mapping[float, float], bpp: float, grain: float, halve: bool) -> float:
    """Return the quality at which a rate is to be expected, between the nearest known points below and above it.

    On a line between them, in octaves of the rate; or halfway, since where curves bend lines alone come closer and
    closer from one side only.
    """
    quality, known = np.array(sorted(rates.items(), key=lambda point: point[1])).T
    above = min(max(int(np.searchsorted(known, bpp)), 1), known.size - 1)
    if halve:
        guess = (quality[above - 1] + quality[above]) / 2
    else:
        guess = float(np.interp(np.log(bpp), np.log(known), quality))
    return round(round(guess / grain) * grain, 6)
