"""Training of the filters across the edges of blocks (`codec.lapped`).

What is sought are two 4 x 4 matrices V, for edges with and without a block of 8 x 8, that make photographs cheap to
code: with the least distortion + lambda * bits, by the guess that block sizes are chosen by (`codec.block_choice`),
over crops of photographs at several steps. The lengths of the basis functions see to it that equal steps do equal harm.

The 16 numbers of a V are found by L-BFGS with differences for derivatives (scipy). First one V for all edges, between
blocks of 8 x 8 only, then with sizes as they are chosen with it; then from there the V of larger blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from codec.block_choice import choose_sizes, guess_cost
from codec.dct import basis
from codec.lapped import FILTER_UNIT, LENGTH_UNIT, REACH, SIZES, Lapping, Steps, forward

__all__ = ["lapping_of", "train_lapping"]

CROP = 256
ROUNDS = 2
EVALUATIONS = 17 * 15  # of the cost, each time: a gradient takes 17
DIFFERENCE = 1e-2
FINE = 1 << 24  # a step that is so large that rounding it, as a decoder does, does not blur derivatives
WEIGHT = 0.12


class Crop(NamedTuple):
    """A part of a photograph's luma, and the step that it is to be coded with."""

    samples: NDArray[np.float32]
    step: int


def _across(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the filter of 8 pixels that multiplies the differences of mirrored pairs by V."""
    one, mirror, none = np.eye(4), np.eye(4)[::-1], np.zeros((4, 4))
    turn = np.block([[one, mirror], [mirror, -one]]) / np.sqrt(2)
    return turn @ np.block([[one, none], [none, v]]) @ turn


def lapping_of(matrices: Sequence[NDArray[np.float64]], *, whole: bool = True) -> Lapping:
    """Return the filters of two V, (4, 4) each, of the pre-filter: in whole numbers, as a decoder has them, or not."""
    post = [(np.linalg.inv(_across(v)) - np.eye(8)) * FILTER_UNIT for v in matrices]
    if whole:
        post = [np.rint(of_v) for of_v in post]
    lengths = {}
    for n in SIZES:
        functions = np.zeros((n, 3 * n))  # of a block amid two of its size
        functions[:, n : 2 * n] = basis(n)
        exact = np.eye(8) + post[n > 8] / FILTER_UNIT
        for edge in (n, 2 * n):
            functions[:, edge - REACH : edge + REACH] = functions[:, edge - REACH : edge + REACH] @ exact.T
        lengths[n] = np.rint(np.sqrt((functions**2).sum(axis=1)) * LENGTH_UNIT).astype(np.int64)
    return Lapping(np.stack(post).astype(np.int64 if whole else np.float64), lengths)


def train_lapping(photos: Sequence[NDArray[np.float32]], steps: Sequence[int], rng: np.random.Generator) -> Lapping:
    """Find the filters.

    Parameters
    ----------
    photos : sequence of (H, W) float32 arrays
        Luma, centred on 0, at least 256 x 256.
    steps : sequence of int
        Of the quantiser, in gray levels; a crop of each photograph for each.
    rng : Generator
        Chooses the crops.

    Returns
    -------
    Lapping
    """
    crops = []
    for photo in photos:
        for step in steps:
            top, left = (int(rng.integers(0, side - CROP + 1)) for side in photo.shape)
            crops.append(Crop(np.ascontiguousarray(photo[top : top + CROP, left : left + CROP]), 64 * step))
    shared = larger = np.eye(4)
    sizes = [np.full((CROP // 8, CROP // 8), 8, np.uint8) for _ in crops]

    def cost(small: NDArray[np.float64], large: NDArray[np.float64]) -> float:
        total = 0.0
        fine = Steps(FINE, lapping_of([small, large], whole=False))
        for crop, of_crop in zip(crops, sizes, strict=True):
            cells = forward(crop.samples, of_crop, fine)[1:] * np.float32(FINE / crop.step)
            total += float(guess_cost(cells, WEIGHT).sum(dtype=np.float64))
        return total / (len(crops) * CROP * CROP)

    for _ in range(ROUNDS):
        shared = _minimise(lambda v: cost(v, v), shared)
        sizes = [choose_sizes(crop.samples, Steps(crop.step, lapping_of([shared, shared])), WEIGHT) for crop in crops]
    larger = _minimise(lambda v: cost(shared, v), shared)
    return lapping_of([shared, larger])


def _minimise(cost: Callable[[NDArray[np.float64]], float], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the 4 x 4 matrix of the least cost near a first one."""
    options = {"maxfun": EVALUATIONS, "eps": DIFFERENCE}
    found = minimize(lambda numbers: cost(numbers.reshape(4, 4)), start.ravel(), method="L-BFGS-B", options=options)
    print(f"  lapping: {found.fun:.5f}", flush=True)
    return found.x.reshape(4, 4)
