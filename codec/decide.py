"""An encoder's decisions: how each macroblock of a frame is predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec import blocks, motion
from codec.interpolation import fetch
from codec.reconstruct import average
from codec.syntax import BACKWARD, BOTH, FORWARD, INTRA, Layout, Motion, settle

__all__ = ["decide"]

MODE_BITS = {
    (FORWARD, False): 2.0,
    (BACKWARD, False): 3.0,
    (BOTH, False): 3.0,
    (FORWARD, True): 4.0,
    (BACKWARD, True): 6.0,
    (BOTH, True): 6.0,
}
INTRA_BITS = 60.0
INHERITED_BITS = 0.5


def decide(
    luma: NDArray[np.uint8], references: Sequence[motion.Reference], layout: Layout, cost_of_bit: float
) -> Motion:
    """Choose direction, split and vectors of each macroblock; patterns are left open."""
    shape = layout.rows, layout.columns
    number = layout.rows * layout.columns
    row, column = np.divmod(np.arange(number), layout.columns)
    whole = blocks.split(luma, 16).reshape(number, 16, 16)
    top, left = 16 * row, 16 * column
    found, costs, fetched = [], [], []
    quarter = blocks.split(luma, 8, 2).reshape(-1, 8, 8)
    top8 = (16 * row[:, None] + 8 * np.array([0, 0, 1, 1])).ravel()
    left8 = (16 * column[:, None] + 8 * np.array([0, 1, 0, 1])).ravel()
    split_found, split_costs, split_fetched = [], [], []
    for reference in references:
        vectors, cost = motion.search(luma, reference, cost_of_bit=cost_of_bit)
        parts, part_cost = motion.refine_split(luma, reference, vectors, cost_of_bit)
        found.append(vectors.reshape(number, 2))
        costs.append(cost.ravel().astype(np.float32))
        fetched.append(fetch(reference.planes, found[-1], top, left, 16))
        parts = parts.reshape(layout.rows, 2, layout.columns, 2, 2).swapaxes(1, 2).reshape(number * 4, 2)
        split_found.append(parts.reshape(number, 4, 2))
        split_costs.append(
            part_cost.reshape(layout.rows, 2, layout.columns, 2).sum(axis=(1, 3)).ravel().astype(np.float32)
        )
        split_fetched.append(fetch(reference.planes, parts, top8, left8, 8))
    modes: list[tuple[int, bool]] = []
    scores: list[NDArray[np.float32]] = []

    def offer(direction: int, split: bool, score: NDArray[np.float32]) -> None:
        modes.append((direction, split))
        scores.append(score + np.float32(cost_of_bit * MODE_BITS[direction, split]))

    offer(FORWARD, False, costs[0])
    offer(FORWARD, True, split_costs[0])
    if len(references) == 2:
        sad16 = [_sads(f, whole) for f in fetched]
        sad8 = [_sads(f, quarter).reshape(number, 4).sum(axis=1) for f in split_fetched]
        offer(BACKWARD, False, costs[1])
        offer(BACKWARD, True, split_costs[1])
        both = _sads(average(*fetched), whole)
        offer(BOTH, False, both + (costs[0] - sad16[0]) + (costs[1] - sad16[1]))
        both = _sads(average(*split_fetched), quarter).reshape(number, 4).sum(axis=1)
        offer(BOTH, True, both + (split_costs[0] - sad8[0]) + (split_costs[1] - sad8[1]))
    mean = np.rint(whole.mean(axis=(1, 2), dtype=np.float32)).astype(np.uint8)
    modes.append((INTRA, False))
    scores.append(
        _sads(np.broadcast_to(mean[:, None, None], whole.shape).copy(), whole) + np.float32(cost_of_bit * INTRA_BITS)
    )
    score = np.array(scores)
    best = score.argmin(axis=0)
    score = score.min(axis=0)
    direction = np.array([mode for mode, _ in modes], np.uint8)[best]
    split = np.array([flag for _, flag in modes])[best]
    vectors = np.zeros((number, 4, 2, 2), np.int16)
    for reference in range(len(references)):
        vectors[:, :, reference] = np.where(split[:, None, None], split_found[reference], found[reference][:, None])
    decided = Motion(
        direction[None], split[None], vectors[None], np.zeros((1, number), np.bool_), np.zeros((1, number), np.uint8)
    )
    backward = np.array([len(references) == 2])
    usual = BOTH if len(references) == 2 else FORWARD
    for _ in range(2):
        predicted = settle(decided, layout, backward)[0]
        samples = fetch(references[0].planes, predicted[:, 0], top, left, 16)
        if len(references) == 2:
            samples = average(samples, fetch(references[1].planes, predicted[:, 1], top, left, 16))
        cost = _sads(samples, whole) + np.float32(cost_of_bit * INHERITED_BITS)
        better = (cost < score) & ~decided.inherits[0]
        decided.direction[0, better] = usual
        decided.split[0, better] = False
        decided.vectors[0, better] = predicted[better, None]
        score = np.where(better, cost, score)
    settle(decided, layout, backward)
    return decided


def _sads(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int32]:
    return motion._sums_of_differences(one.reshape(len(one), -1), other.reshape(len(other), -1))
