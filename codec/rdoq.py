"""Rate-distortion optimised quantisation: a level is worth what it costs, or it is not.

Rounding to the nearest level gives the least error. But a decoder has to be paid too: of all levels l near a
coefficient c (in steps), the one is chosen that has the least

    J = (c - l)**2 + lambda * bits(l)

where the bits are those that the coder would really take in the context at hand, sign included (Ramchandran, Vetterli,
"Rate-distortion optimal fast thresholding", IEEE Trans. IP 3, 1994; Karczewicz et al., VCEG-AH21, 2008). With equal
steps, least error at the rate and least rate at the error are the same choice; lambda says how much a bit is worth.

Candidates are the nearest level, the one below it, and 0. Since all places of a step have their contexts at the time
(`codec.contexts`), they are all decided at once; what a level does to contexts to come is left out of account.

Measured on Kodak (`tcodec rd --ablate`): with a deadzone instead, +2.7 % by Y-PSNR in the default tune, +4.9 % with
equal steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.contexts import ESCAPE

__all__ = ["choose_levels"]


def choose_levels(
    magnitudes: NDArray[np.float32],
    contexts: NDArray[np.integer],
    bits: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Choose levels.

    Parameters
    ----------
    magnitudes : (N,) float32 array
        Magnitudes of coefficients in steps.
    contexts : (N,) integer array
        Their contexts.
    bits : (contexts, symbols) float32 array
        What each magnitude costs, with its sign.
    weight : (N,) float32 array
        Lambda of each, in squared steps a bit.

    Returns
    -------
    (N,) float32 array
        Magnitudes of levels, whole numbers.
    """
    levels = np.zeros(magnitudes.size, np.float32)
    some = np.flatnonzero(magnitudes >= np.float32(0.5))
    if not some.size:
        return levels
    wanted, rows = magnitudes.take(some), contexts.take(some).astype(np.intp) * bits.shape[1]
    nearest = np.floor(wanted + np.float32(0.5))
    flat = bits.reshape(-1)
    weight = weight.take(some)

    def cost(level: NDArray[np.float32]) -> NDArray[np.float32]:
        error = wanted - level
        return error * error + weight * flat.take(rows + np.minimum(level, ESCAPE).astype(np.intp))

    best, chosen = cost(nearest), nearest
    for candidate in (nearest - 1, np.zeros_like(nearest)):
        other = cost(candidate)
        better = other < best
        best, chosen = np.where(better, other, best), np.where(better, candidate, chosen)
    levels[some] = chosen
    return levels
