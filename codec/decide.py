"""An encoder's decisions: how each macroblock of a frame is predicted.

First the best vectors are searched for, for all macroblocks and for their quarters at once (`codec.motion`). What they
cost depends on the neighbours, from which vectors are predicted, and so does what a macroblock can inherit for next to
nothing. So the choice among all possibilities is made in the order of coding, a wavefront at a time:

    inherit      direction and vectors as the neighbours predict them
    forward, backward, both             with vectors searched for, or with those predicted
    ... in quarters                     each of the four with vectors of its own
    intra        predicted from nothing

Each has a cost, the sum of absolute differences plus what its bits are worth, and the cheapest is taken; of equal ones
the first in this list. Wherever numbers are summed they are whole, or whole sixteenths of a bit: the order of summation
cannot tip the balance, and every machine decides alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec import blocks, motion
from codec.interpolation import fetch
from codec.layout import Layout
from codec.motion import sums_of_differences, vector_bits
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA, Field, Motion
from codec.reconstruct import average
from codec.wavefront import waves

__all__ = ["decide"]

# Bits of a mode and what goes with it, but for vectors: about what they come to on real clips. A macroblock that
# inherits mostly has no levels either, and one of four flags in a symbol.
INHERITED_BITS = 0.5
MODE_BITS = {FORWARD: 3.0, BACKWARD: 4.0, BOTH: 4.0}
SPLIT_BITS = 3.0
INTRA_BITS = 50.0
NEW_BITS = 3.0  # of a vector that is as predicted: two symbols

WHOLE_SAMPLE, QUARTER_SAMPLE = 4, 1  # how fine vectors are, in quarter samples


@dataclass(frozen=True)
class _Candidates:
    """Ways to predict each of M macroblocks with vectors that were searched for.

    Attributes
    ----------
    direction : int
    split : bool
    vectors : (M, 4, 2, 2) int16 array
        As in `Motion`.
    cost : (M,) float64 array
        SAD and what bits are worth, but for those of the first vectors.
    """

    direction: int
    split: bool
    vectors: NDArray[np.int16]
    cost: NDArray[np.floating]


def decide(
    luma: NDArray[np.uint8],
    references: Sequence[motion.Reference],
    layout: Layout,
    cost_of_bit: float,
    without: Collection[str] = (),
) -> Motion:
    """Choose how each macroblock of a frame is predicted.

    Parameters
    ----------
    luma : (H, W) uint8 array
        The frame, in whole macroblocks.
    references : sequence of motion.Reference
        One, or two for a B frame.
    layout : Layout
    cost_of_bit : float
        What a bit is worth, in units of SAD.
    without : collection of str
        Stages to leave out: "sub-pel", "split", "inheritance" (`codec.video.STAGES`).

    Returns
    -------
    Motion
        Of one frame; `pattern` is left open.
    """
    price = np.float32(cost_of_bit)
    number = layout.rows * layout.columns
    row, column = np.divmod(np.arange(number), layout.columns)
    top, left = 16 * row, 16 * column
    samples = blocks.split(luma, 16).reshape(number, 256)
    candidates = _search(luma, references, layout, cost_of_bit, samples, without)
    mean = samples.mean(axis=1, dtype=np.float32, keepdims=True)  # sums of 256 bytes are exact in any order
    flat = np.broadcast_to(np.rint(mean).astype(np.uint8), samples.shape)
    intra = sums_of_differences(np.ascontiguousarray(flat), samples) + price * np.float32(INTRA_BITS)

    field = Field(1, layout, np.array([len(references) == 2]))
    decided = Motion.empty(1, number)
    # For each possibility its direction, whether it is split, and its vectors: inherited first, then with predicted
    # vectors, then the candidates, then intra.
    predicted_directions = [FORWARD, BACKWARD, BOTH][: 2 * len(references) - 1]
    directions = np.array([0, *predicted_directions, *(c.direction for c in candidates), INTRA], np.uint8)
    splits = np.array([False] * (1 + len(predicted_directions)) + [c.split for c in candidates] + [False])
    searched = np.array([c.vectors for c in candidates])
    searched_cost = np.array([c.cost for c in candidates])
    for wave in waves(layout.rows, layout.columns):
        at = wave.blocks
        (prediction,), (inherited,) = field.predict(wave)
        fetched = [
            fetch(reference.planes, prediction[:, i], top[at], left[at], 16).reshape(-1, 256)
            for i, reference in enumerate(references)
        ]
        if len(references) == 2:
            fetched.append(average(*fetched))
        sads = [sums_of_differences(guess, samples[at]) for guess in fetched]
        by_direction = dict(zip(predicted_directions, sads, strict=True))
        costs = [np.choose(inherited - 1, sads) + price * np.float32(INHERITED_BITS)]
        if "inheritance" in without:
            costs[0][:] = np.inf
        for direction in predicted_directions:
            bits = MODE_BITS[direction] + NEW_BITS * (1 + (direction == BOTH))
            costs.append(by_direction[direction] + price * np.float32(bits))
        apart = vector_bits(searched[:, at, 0] - prediction)  # (candidates, K, references)
        used = (directions[-1 - len(candidates) : -1, None] >> np.arange(2) & 1).astype(np.float32)[:, None]
        costs += list(searched_cost[:, at] + price * (apart * used).sum(axis=-1))
        costs.append(intra[at])
        best = np.array(costs).argmin(axis=0)
        vectors = np.broadcast_to(prediction[:, None], (at.size, 4, 2, 2)).copy()
        from_search = best - (1 + len(predicted_directions))
        own = np.flatnonzero((from_search >= 0) & (from_search < len(candidates)))
        vectors[own] = searched[from_search[own], at[own]]
        direction = directions[best]
        direction[best == 0] = inherited[best == 0]
        decided.direction[0, at], decided.split[0, at], decided.vectors[0, at] = direction, splits[best], vectors
        field.settle(wave, decided)
    field.fill(decided)
    if "inheritance" in without:
        decided.inherits[...] = False
    return decided


def _search(
    luma: NDArray[np.uint8],
    references: Sequence[motion.Reference],
    layout: Layout,
    cost_of_bit: float,
    samples: NDArray[np.uint8],
    without: Collection[str],
) -> list[_Candidates]:
    """Search for vectors in each reference, and put them together."""
    number = layout.rows * layout.columns
    row, column = np.divmod(np.arange(number), layout.columns)
    part_row, part_column = np.divmod(np.arange(4), 2)
    top, left = (16 * row[:, None] + 8 * part_row).ravel(), (16 * column[:, None] + 8 * part_column).ravel()
    quarters = blocks.split(luma, 8, 2).reshape(-1, 64)
    price = np.float32(cost_of_bit)
    finest = WHOLE_SAMPLE if "sub-pel" in without else QUARTER_SAMPLE
    whole_vectors, part_vectors = np.zeros((2, number, 4, 2, 2), np.int16)
    whole, parts, part_bits = [], [], []
    for i, reference in enumerate(references):
        vectors, _ = motion.search(luma, reference, cost_of_bit=cost_of_bit, finest=finest)
        whole_vectors[:, :, i] = vectors.reshape(number, 1, 2)
        whole.append(fetch(reference.planes, vectors.reshape(-1, 2), 16 * row, 16 * column, 16).reshape(-1, 256))
        if "split" in without:
            continue
        refined, _ = motion.refine_split(luma, reference, vectors, cost_of_bit, finest)
        part_vectors[:, :, i] = blocks.split(refined, 2).reshape(number, 4, 2)
        parts.append(fetch(reference.planes, part_vectors[:, :, i].reshape(-1, 2), top, left, 8).reshape(-1, 64))
        apart = part_vectors[:, 1:, i] - part_vectors[:, :1, i]
        part_bits.append(vector_bits(apart).sum(axis=1))

    candidates = []
    for direction in [FORWARD, BACKWARD, BOTH][: 2 * len(references) - 1]:
        guess = average(*whole) if direction == BOTH else whole[direction - 1]
        cost = sums_of_differences(guess, samples) + price * np.float32(MODE_BITS[direction])
        candidates.append(_Candidates(direction, False, whole_vectors, cost))
        if "split" in without:
            continue
        guess = average(*parts) if direction == BOTH else parts[direction - 1]
        bits = MODE_BITS[direction] + SPLIT_BITS + (sum(part_bits) if direction == BOTH else part_bits[direction - 1])
        sad = sums_of_differences(guess, quarters).reshape(number, 4).sum(axis=1)
        candidates.append(_Candidates(direction, True, part_vectors, sad + price * bits.astype(np.float32)))
    return candidates
