"""Motion: where in another frame the blocks of this one have been (first working version)."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from codec import blocks, interpolation

__all__ = ["Reference", "pyramid", "refine_split", "search", "vector_bits"]

SIZE = 16
COARSE = 4
LONGEST = 1023  # quarter samples: longer differences of vectors are priced as this one

FOUR = np.array([(-1, 0), (0, -1), (0, 1), (1, 0)], np.int16)
EIGHT = np.array([(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)], np.int16)

EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
ADD_LANES = np.uint64(0x0001000100010001)


class Reference(NamedTuple):
    """What a search needs to know of a reference picture."""

    planes: NDArray[np.uint8]
    coarse: NDArray[np.uint8]

    @classmethod
    def of(cls, plane: NDArray[np.uint8]) -> Reference:
        return cls(interpolation.quarter_planes(plane), pyramid(plane))


def pyramid(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a plane at a quarter of its resolution: means of 4 x 4 samples."""
    plane = blocks.pad(plane, COARSE)
    tall = plane[0::4].astype(np.uint16)
    for i in (1, 2, 3):
        tall += plane[i::4]
    small = tall[:, 0::4] + tall[:, 1::4]
    small += tall[:, 2::4]
    small += tall[:, 3::4]
    small += 8
    small >>= 4
    return small.astype(np.uint8)


@cache
def _bits() -> NDArray[np.int32]:
    """Return the bits of a component in 1/16, for magnitudes of 0 to LONGEST."""
    # log2(n**32) = 32 * log2(n), and its whole part is exact in integers.
    return np.array([16 + ((1 + n) ** 32).bit_length() - 1 for n in range(LONGEST + 1)], np.int32)


def vector_bits(difference: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return about how many bits it takes to code a vector, given its difference from the predicted one."""
    sixteenths = _bits()[np.minimum(np.abs(difference), LONGEST)].sum(axis=-1)
    return sixteenths.astype(np.float32) / np.float32(16)


def _prices(cost_of_bit: float) -> NDArray[np.int32]:
    return np.rint(_bits() * (cost_of_bit / 16)).astype(np.int32)


def _sads(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(N, size, size) -> (N,)"""
    difference = np.maximum(one, other)
    difference -= np.minimum(one, other)
    words = difference.reshape(len(one), -1).view(np.uint64)
    odd = words >> np.uint64(8)
    odd &= EVEN_BYTES
    words &= EVEN_BYTES
    words += odd
    total = np.einsum("ij->i", words)
    total *= ADD_LANES
    total >>= np.uint64(48)
    return total.astype(np.int32)


def _median(vectors: NDArray[np.int16]) -> NDArray[np.int16]:
    """Median of left, above, above right."""
    framed = np.pad(vectors, ((1, 0), (1, 1), (0, 0)), mode="edge")
    left, above, right = framed[1:, :-2], framed[:-1, 1:-1], framed[:-1, 2:]
    return np.maximum(np.minimum(left, above), np.minimum(np.maximum(left, above), right))


def _neighbours(vectors: NDArray[np.int16]) -> NDArray[np.int16]:
    framed = np.pad(vectors, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return np.stack([framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]])


class _Matching:
    def __init__(self, current, reference, size, vectors, predicted, price, limit):
        self.blocks = blocks.split(current, size).reshape(-1, size, size)
        rows, columns = current.shape[0] // size, current.shape[1] // size
        self.shape = rows, columns
        self.top, self.left = np.repeat(np.arange(rows) * size, columns), np.tile(np.arange(columns) * size, rows)
        self.planes, self.size, self.price, self.limit = reference.planes, size, price, limit
        self.predicted = predicted.reshape(-1, 2)
        self.vectors = vectors.reshape(-1, 2)
        self.sad = self.measure(np.arange(len(self.blocks)), self.vectors)
        self.cost = self.sad + self.rate(self.vectors, self.predicted)

    def rate(self, vectors, predicted):
        prices = self.price.take(np.abs(vectors - predicted), mode="clip")
        return prices[..., 0] + prices[..., 1]

    def measure(self, index, vectors):
        found = interpolation.fetch(self.planes, vectors, self.top[index], self.left[index], self.size)
        return _sads(found, self.blocks[index])

    def predict(self, predicted):
        self.predicted = predicted.reshape(-1, 2)
        self.cost = self.sad + self.rate(self.vectors, self.predicted)

    def consider(self, candidates, among=None):
        """candidates (K, M, 2) for blocks among (M,); returns the blocks that changed."""
        among = np.arange(len(self.blocks)) if among is None else among
        candidates = np.clip(candidates, -self.limit, self.limit)
        rate = self.rate(candidates, self.predicted[among])
        worth = (rate < self.cost[among]) & (
            candidates.view(np.int32)[..., 0] != self.vectors[among].view(np.int32)[..., 0]
        )
        which, block = np.nonzero(worth)
        if not which.size:
            return among[:0]
        sad = np.full(worth.shape, 1 << 24, np.int32)
        sad[which, block] = self.measure(among[block], candidates[which, block])
        cost = sad + rate
        best = cost.argmin(axis=0)
        m = np.arange(len(among))
        better = np.nonzero(cost[best, m] < self.cost[among])[0]
        best = best[better]
        changed = among[better]
        self.vectors[changed] = candidates[best, better]
        self.sad[changed] = sad[best, better]
        self.cost[changed] = cost[best, better]
        return changed

    def refine(self, pattern, step, rounds=1, among=None):
        among = np.arange(len(self.blocks)) if among is None else among
        for _ in range(rounds):
            if not among.size:
                break
            among = self.consider(self.vectors[among] + step * pattern[:, None], among)

    @property
    def field(self):
        return self.vectors.reshape(*self.shape, 2)


def _coarse_search(current, reference, reach):
    """Return (2, rows, columns, 2) int16 vectors: best of each block, and best of it with its neighbours."""
    height, width = current.shape
    rows, columns = height // COARSE, width // COARSE
    count = 2 * reach + 1
    framed = np.pad(
        reference,
        ((reach, reach + height - reference.shape[0]), (reach, reach + width - reference.shape[1])),
        mode="edge",
    )
    flat = current.ravel()
    cost = np.empty((count, count, rows, columns), np.int32)  # right, down
    high, low = np.empty((2, count, flat.size), np.uint8)
    even = np.uint32(0x00FF00FF)
    for right in range(count):
        strip = np.ascontiguousarray(framed[:, right : right + width])
        windows = sliding_window_view(strip.ravel(), flat.size)[::width]
        np.maximum(windows, flat, out=high)
        np.minimum(windows, flat, out=low)
        np.subtract(high, low, out=high)
        words = high.view(np.uint32)
        pairs = (words >> np.uint32(8)) & even
        pairs += words & even
        pairs = pairs.reshape(count, rows, COARSE, columns)
        pairs = pairs[:, :, 0] + pairs[:, :, 1] + pairs[:, :, 2] + pairs[:, :, 3]
        cost[right] = (pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))
    distance = np.abs(np.arange(-reach, reach + 1, dtype=np.int32))
    cost += (distance[:, None] + distance)[:, :, None, None]
    tall = cost.copy()
    tall[:, :, 1:] += cost[:, :, :-1]
    tall[:, :, :-1] += cost[:, :, 1:]
    wide = tall.copy()
    wide[..., 1:] += tall[..., :-1]
    wide[..., :-1] += tall[..., 1:]
    result = []
    for volume in (cost, wide):
        right, down = np.divmod(volume.reshape(count * count, -1).argmin(axis=0), count)
        result.append(np.stack([down - reach, right - reach], axis=-1).reshape(rows, columns, 2))
    return np.array(result, np.int16)


def search(
    current: NDArray[np.uint8],
    reference: Reference,
    *,
    reach: int = 32,
    cost_of_bit: float,
    predicted: NDArray[np.int16] | None = None,
) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """(rows, columns, 2) int16 vectors in quarter samples, (rows, columns) int32 cost."""
    price = _prices(cost_of_bit)
    coarse = _coarse_search(pyramid(current), reference.coarse, reach // COARSE) * np.int16(4 * COARSE)
    start = coarse[0].copy()
    candidates = [np.zeros_like(start), coarse[1], *_neighbours(start)]
    if predicted is not None:
        candidates.append(predicted)
    match = _Matching(current, reference, SIZE, start, _median(start), price, 4 * reach)
    match.consider(np.array(candidates).reshape(len(candidates), -1, 2))
    match.predict(_median(match.field))
    match.refine(EIGHT, 8)
    match.refine(EIGHT, 4, rounds=3)
    match.predict(_median(match.field))
    changed = match.consider(_neighbours(match.field).reshape(4, -1, 2))
    match.refine(EIGHT, 4, 2, changed)
    match.refine(EIGHT, 2)
    match.refine(EIGHT, 1)
    match.predict(_median(match.field))
    match.consider(_neighbours(match.field).reshape(4, -1, 2))
    match.predict(_median(match.field))
    return match.field, match.cost.reshape(match.shape)


def refine_split(
    current: NDArray[np.uint8], reference: Reference, vectors: NDArray[np.int16], cost_of_bit: float
) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """(2 * rows, 2 * columns, 2) int16 vectors in quarter samples, (2 * rows, 2 * columns) int32 cost."""
    price = _prices(cost_of_bit)
    own = vectors.repeat(2, axis=0).repeat(2, axis=1)
    framed = np.pad(vectors, ((1, 1), (1, 1), (0, 0)), mode="edge").repeat(2, axis=0).repeat(2, axis=1)
    above_or_below = np.empty_like(own)
    above_or_below[0::2], above_or_below[1::2] = framed[0:-4:2, 2:-2], framed[4::2, 2:-2]
    beside = np.empty_like(own)
    beside[:, 0::2], beside[:, 1::2] = framed[2:-2, 0:-4:2], framed[2:-2, 4::2]
    match = _Matching(current, reference, SIZE // 2, own.copy(), own, price, 1 << 13)
    match.consider(np.array([above_or_below, beside]).reshape(2, -1, 2))
    match.refine(FOUR, 4, 2)
    match.refine(FOUR, 2)
    match.refine(FOUR, 1)
    return match.field, match.cost.reshape(match.shape)
