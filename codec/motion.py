"""Motion: where the blocks of a frame have been in another one.

Most of what changes from one frame to the next has not changed, it has moved. A frame is therefore predicted from one
that is known: for every block a **vector** says where in the reference it comes from, and what is coded are the
vectors and the **residual**, which is what motion cannot explain. Vectors are (down, right). Outside a reference lies
its edge, repeated for ever.

The first half of this file is that idea in whole samples: `difference` of frames, `sad` and `ssd` of blocks, exact
`full_search`, `compensate`, `residual`. A full search tries all (2 * reach + 1)**2 vectors for every block. Nothing can
be closer, so it is the oracle of what follows; but it takes some forty times as long.

`search` is the codec's, in quarter samples. It finds nearly the same, in steps that are taken for all blocks at once:

    coarse      in pictures of a quarter of the width and height: a sixteenth of the vectors, and of the samples
    descend     in steps of 2 samples, then 1: the best of the eight vectors around, and once more from there
    spread      the best of the eight neighbours' vectors, since most things are larger than a block; descend again
    descend     in steps of a half and a quarter sample; spread once more

It looks for the smallest SAD plus `cost_of_bit` times the bits of the vector. A vector is coded as its difference from
the median of three neighbours', so this asks for smooth fields: noise is not worth following. Neighbours move while a
block is looked at, so every now and then the field has to `settle`. `refine_split` goes on to blocks of 8 x 8, for
where one vector is not enough.

All of it is arithmetic on integers, so an encoder writes the same file on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from codec import blocks, interpolation
from codec.wavefront import median, waves

__all__ = [
    "SIZE",
    "Reference",
    "compensate",
    "difference",
    "full_search",
    "full_search_plain",
    "pyramid",
    "refine_split",
    "residual",
    "sad",
    "search",
    "show_residual",
    "ssd",
    "sums_of_differences",
    "vector_bits",
]

Word = TypeVar("Word", np.uint32, np.uint64)  # several bytes that are worked on at once

SIZE = 16  # of the blocks that `search` moves
COARSE = 4  # samples to one of the small pictures in which it begins
ROUNDS = 2  # of a descent or a spreading; later ones change little
LONGEST = 4 * 4095  # of components in quarter samples, so that differences fit into 16 bits
DEAREST = 1023  # quarter samples: longer differences are priced as this one
GROUP = 1 << 18  # bytes of blocks that are compared at a time, few enough to stay in the cache

# (down, right)
DIAGONAL = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
STRAIGHT = [(-1, 0), (0, -1), (0, 1), (1, 0)]
AROUND = STRAIGHT + DIAGONAL

EVEN_BYTES = 0x00FF00FF00FF00FF
ADD_ALL = 0x0001000100010001  # a word of four numbers of 16 bits times this has their sum in its highest 16 bits

NEVER = 1 << 30  # a cost above all others


# Motion in whole samples, step by step --------------------------------------------------------------------------------


def difference(frame: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Subtract a frame from another, sample by sample: how much changed, without any idea of motion.

    Returns
    -------
    int16 array
        In [-255, 255]. Bytes would wrap around below 0.
    """
    return frame.astype(np.int16) - reference


def sad(block: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sum of absolute differences of blocks: (..., h, w) and (..., h, w) to (...)."""
    return np.abs(difference(block, other)).sum(axis=(-2, -1), dtype=np.int64)


def ssd(block: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sum of squared differences of blocks: (..., h, w) and (..., h, w) to (...)."""
    return (difference(block, other).astype(np.int64) ** 2).sum(axis=(-2, -1))


MEASURES: dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.int64]]] = {"sad": sad, "ssd": ssd}


def full_search_plain(
    current: NDArray[np.uint8], reference: NDArray[np.uint8], size: int, reach: int, measure: str = "sad"
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Try every vector for every block, one after the other: the plain form of `full_search`."""
    rows, columns = current.shape[0] // size, current.shape[1] // size
    vectors = np.zeros((rows, columns, 2), np.int16)
    costs = np.full((rows, columns), np.iinfo(np.int64).max)
    for row in range(rows):
        for column in range(columns):
            top, left = row * size, column * size
            block = current[top : top + size, left : left + size]
            for down, right in _displacements(reach):
                cost = MEASURES[measure](block, _windows(reference, top + down, left + right, size))
                if cost < costs[row, column]:
                    vectors[row, column], costs[row, column] = (down, right), cost
    return vectors, costs


def full_search(
    current: NDArray[np.uint8], reference: NDArray[np.uint8], size: int, reach: int, measure: str = "sad"
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Find the best of all vectors for every block.

    Parameters
    ----------
    current, reference : (H, W) uint8 arrays
        Sides are multiples of `size`.
    size : int
        Side of a block.
    reach : int
        Longest component of a vector, in samples.
    measure : {"sad", "ssd"}
        What is to be smallest.

    Returns
    -------
    vectors : (H / size, W / size, 2) int16 array
        (down, right) in whole samples. Of equally good ones the shortest, by |down| + |right|, then the one that
        points further up, then further left.
    costs : (H / size, W / size) int64 array
    """
    height, width = current.shape
    cut = _cut(current, size)
    framed = np.pad(reference, reach, mode="edge")
    vectors = np.zeros((*cut.shape[:2], 2), np.int16)
    costs = np.full(cut.shape[:2], np.iinfo(np.int64).max)
    for down, right in _displacements(reach):
        top, left = reach + down, reach + right
        cost = MEASURES[measure](cut, _cut(framed[top : top + height, left : left + width], size))
        better = cost < costs
        costs[better] = cost[better]
        vectors[better] = down, right
    return vectors, costs


def compensate(reference: NDArray[np.uint8], vectors: NDArray[np.int16], size: int) -> NDArray[np.uint8]:
    """Predict a frame: put together the blocks of a reference to which vectors point.

    Parameters
    ----------
    reference : (H, W) uint8 array
    vectors : (rows, columns, 2) integer array
        (down, right) in whole samples, of any length.
    size : int
        Side of a block.

    Returns
    -------
    (rows * size, columns * size) uint8 array
    """
    row, column = np.indices(vectors.shape[:2]) * size
    found = _windows(reference, row + vectors[..., 0], column + vectors[..., 1], size)
    return blocks.merge(found[:, :, None, None])


def residual(current: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return what a prediction leaves to be coded: the frame less the prediction, in [-255, 255]."""
    return difference(current, prediction)


def show_residual(residual: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Make a residual visible: 0 is mid gray, and what is beyond [-128, 127] is clipped."""
    return np.clip(residual + 128, 0, 255).astype(np.uint8)


def _displacements(reach: int) -> list[tuple[int, int]]:
    """Return all vectors within reach, the preferred ones first."""
    within = range(-reach, reach + 1)
    return sorted(((y, x) for y in within for x in within), key=lambda v: (abs(v[0]) + abs(v[1]), v))


def _cut(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Cut a picture into (rows, columns, size, size) blocks."""
    return blocks.raster(blocks.split(picture, size))


def _windows(
    picture: NDArray[np.uint8], top: NDArray[np.int64] | int, left: NDArray[np.int64] | int, size: int
) -> NDArray[np.uint8]:
    """Cut blocks out of a picture at any place: (...) tops and lefts to (..., size, size)."""
    rows, columns = np.add.outer(top, np.arange(size)), np.add.outer(left, np.arange(size))
    rows, columns = np.clip(rows, 0, picture.shape[0] - 1), np.clip(columns, 0, picture.shape[1] - 1)
    return picture[rows[..., :, None], columns[..., None, :]]


# The codec's search, in quarter samples -------------------------------------------------------------------------------


class Reference(NamedTuple):
    """What a search needs to know of a reference.

    Attributes
    ----------
    planes : (16, H + 2 * BORDER, W + 2 * BORDER) uint8 array
        From `interpolation.quarter_planes`.
    coarse : (H / 4, W / 4) uint8 array
        From `pyramid`.
    """

    planes: NDArray[np.uint8]
    coarse: NDArray[np.uint8]

    @classmethod
    def of(cls, plane: NDArray[np.uint8]) -> Reference:
        """Prepare a (H, W) uint8 plane to be searched."""
        return cls(interpolation.quarter_planes(plane), pyramid(plane))


def pyramid(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a plane at a quarter of its width and height.

    Parameters
    ----------
    plane : (H, W) uint8 array

    Returns
    -------
    (H / 4, W / 4) uint8 array
        Means of 4 x 4 samples, rounded; sides are rounded up, and the last row and column repeated.
    """
    plane = blocks.pad(plane, COARSE)
    rows = plane.reshape(-1, COARSE, plane.shape[1]).sum(axis=1, dtype=np.uint16)
    sums = rows[:, 0::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]
    return (sums + 8 >> 4).astype(np.uint8)


def vector_bits(difference: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return about how many bits a vector takes, given its difference from the predicted one.

    Parameters
    ----------
    difference : (..., 2) integer array
        In quarter samples.

    Returns
    -------
    (...) float32 array
        1 + 2 * log2(1 + |d|) for each component d, the length of an Exp-Golomb code, without its steps; in 1/16 bit,
        rounded down.
    """
    sixteenths = _sixteenths().take(np.abs(difference), mode="clip")
    return (sixteenths[..., 0] + sixteenths[..., 1]).astype(np.float32) / np.float32(16)


@cache
def _sixteenths() -> NDArray[np.int32]:
    """Return the bits of components of 0 to DEAREST, in 1/16."""
    # 32 * log2(n) is log2(n**32), whose whole part is the same on every machine.
    return np.array([16 + (n**32).bit_length() - 1 for n in range(1, DEAREST + 2)], np.int32)


def search(
    current: NDArray[np.uint8],
    reference: Reference,
    *,
    reach: int = 32,
    cost_of_bit: float,
    predicted: NDArray[np.int16] | None = None,
    finest: int = 1,
) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Find vectors for blocks of 16 x 16.

    Parameters
    ----------
    current : (H, W) uint8 array
        Sides are multiples of 16.
    reference : Reference
        Of the same size, or smaller: outside lies its edge.
    reach : int
        Longest component of a vector, in samples.
    cost_of_bit : float
        What a bit of a vector may save at least, in units of SAD; at least 0.
    predicted : (H / 16, W / 16, 2) int16 array, optional
        Vectors that are worth a try, such as those of another frame: in quarter samples, multiples of `finest`.
    finest : {1, 2, 4}
        The last step, in quarter samples: 4 keeps to whole samples.

    Returns
    -------
    vectors : (H / 16, W / 16, 2) int16 array
        (down, right) in quarter samples.
    costs : (H / 16, W / 16) int32 array
        SAD plus `cost_of_bit` times `vector_bits` of the difference from the median of the neighbours (those by which
        `wavefront` predicts), this product rounded to an integer for each component.
    """
    coarse = _coarse_search(pyramid(current), reference.coarse, reach // COARSE)
    start, limit = coarse * np.int16(4 * COARSE), min(4 * reach, LONGEST)
    match = _Match(current, reference, SIZE, start, cost_of_bit=cost_of_bit, limit=limit)
    match.expect_medians()
    match.descend(8)
    match.descend(4)
    match.consider(np.zeros_like(match.vectors))
    if predicted is not None:
        match.consider(_components(predicted))
    match.expect_medians()
    for _ in range(ROUNDS):
        match.descend(4, among=match.spread())
    match.settle()
    for step in (2, 1):
        if step >= finest:
            match.descend(step)
    match.settle()
    match.descend(finest, among=match.spread())
    match.settle()
    return match.result()


def refine_split(
    current: NDArray[np.uint8],
    reference: Reference,
    vectors: NDArray[np.int16],
    cost_of_bit: float,
    finest: int = 1,
) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Find vectors for blocks of 8 x 8, near those of the blocks of 16 x 16 around them.

    Parameters
    ----------
    current, reference, cost_of_bit, finest
        As for `search`.
    vectors : (H / 16, W / 16, 2) int16 array
        From `search`.

    Returns
    -------
    vectors : (H / 8, W / 8, 2) int16 array
        (down, right) in quarter samples; no component is more than 8 samples longer than those given.
    costs : (H / 8, W / 8) int32 array
        As from `search`, but for the difference from the vector of the block of 16 x 16.
    """
    own = vectors.repeat(2, axis=0).repeat(2, axis=1)
    match = _Match(current, reference, SIZE // 2, own, cost_of_bit=cost_of_bit)
    match.spread(DIAGONAL)  # one in the same block of 16 x 16, and one in each of the three that are nearest
    for step in (8, 4, 2, 1):
        if step >= finest:
            match.descend(step, STRAIGHT)
    return match.result()


class _Match:
    """Blocks, the best vector found for each so far, and what it costs.

    Parameters
    ----------
    current : (H, W) uint8 array
    reference : Reference
    size : int
        Side of a block.
    vectors : (H / size, W / size, 2) int16 array
        To begin with; also what vectors are expected to be.
    cost_of_bit : float
    limit : int
        Longest component of a vector that is considered, in quarter samples.
    """

    def __init__(
        self,
        current: NDArray[np.uint8],
        reference: Reference,
        size: int,
        vectors: NDArray[np.int16],
        *,
        cost_of_bit: float,
        limit: int = LONGEST,
    ) -> None:
        self.shape = rows, columns = vectors.shape[:2]
        self.size, self.limit, self.planes = size, limit, reference.planes
        self.blocks = blocks.split(current, size).reshape(-1, size * size)
        self.all = np.arange(rows * columns)
        self.top, self.left = np.indices(self.shape).reshape(2, -1) * size
        self.prices = np.rint(_sixteenths() * (cost_of_bit / 16)).astype(np.int32)
        self.vectors = _components(vectors)
        self.expected = self.vectors.copy()
        self.costs = self._sads(self.vectors, self.all) + self._rates(self.vectors, self.all)

    def result(self) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
        """Return vectors (rows, columns, 2) and costs (rows, columns)."""
        vectors = np.ascontiguousarray(self.vectors.T)
        return vectors.reshape(*self.shape, 2), self.costs.reshape(self.shape)

    def expect_medians(self) -> None:
        """Price vectors by their differences from what neighbours predict now."""
        known = np.append(self.vectors, np.zeros((2, 1), np.int16), axis=1)  # what lies outside is at rest
        left, above, corner = (known.take(place, axis=1) for place in _predictors(*self.shape))
        self.costs -= self._rates(self.vectors, self.all)
        self.expected = median(left, above, corner)
        self.costs += self._rates(self.vectors, self.all)

    def settle(self) -> None:
        """Try what neighbours predict, which is what costs the fewest bits."""
        for _ in range(ROUNDS):
            self.expect_medians()
            self.consider(self.expected)
        self.expect_medians()

    def descend(self, step: int, around: list[tuple[int, int]] = AROUND, among: NDArray[np.intp] | None = None) -> None:
        """Try vectors a step, in quarter samples, away from that of each block, and again where one was better."""
        among = self.all if among is None else among
        steps = step * np.array(around, np.int16).T
        for _ in range(ROUNDS):
            among = self._take_better(self.vectors.take(among, axis=1)[:, None] + steps[..., None], among)

    def spread(self, neighbours: list[tuple[int, int]] = AROUND) -> NDArray[np.intp]:
        """Try the vectors of neighbours of each block; return the blocks where one was better."""
        rows, columns = self.shape
        framed = np.pad(self.vectors.reshape(2, rows, columns), ((0, 0), (1, 1), (1, 1)), mode="edge")
        shifted = [framed[:, 1 + y : 1 + y + rows, 1 + x : 1 + x + columns] for y, x in neighbours]
        return self._take_better(np.stack(shifted, axis=1).reshape(2, len(shifted), -1), self.all)

    def consider(self, vectors: NDArray[np.int16]) -> None:
        """Try other vectors, (2, blocks)."""
        self._take_better(vectors[:, None], self.all)

    def _take_better(self, candidates: NDArray[np.int16], among: NDArray[np.intp]) -> NDArray[np.intp]:
        """Take better vectors for some blocks.

        Parameters
        ----------
        candidates : (2, K, M) int16 array
            K vectors for each block.
        among : (M,) intp array
            The blocks.

        Returns
        -------
        (L,) intp array
            The blocks whose vector has changed, in rising order.
        """
        candidates = np.clip(candidates, -self.limit, self.limit)
        costs = self.costs.take(among)
        totals = self._rates(candidates, among)
        # What a block has already, and what costs more by its bits alone, need not be looked at.
        worth = (candidates != self.vectors.take(among, axis=1)[:, None]).any(axis=0) & (totals < costs)
        worthy = candidates.reshape(2, -1).take(np.flatnonzero(worth), axis=1)
        totals[worth] += self._sads(worthy, np.broadcast_to(among, worth.shape)[worth])
        totals[~worth] = NEVER
        better = np.flatnonzero(totals.min(axis=0) < costs)
        best = totals[:, better].argmin(axis=0)
        changed = among[better]
        self.vectors[:, changed] = candidates[:, best, better]
        self.costs[changed] = totals[best, better]
        return changed

    def _rates(self, vectors: NDArray[np.int16], index: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return the price of the bits of vectors (2, ..., M) for blocks (M,)."""
        expected = self.expected.take(index, axis=1).reshape(2, *(1,) * (vectors.ndim - 2), -1)
        down, right = self.prices.take(np.abs(vectors - expected), mode="clip")
        return down + right

    def _sads(self, vectors: NDArray[np.int16], index: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return the SAD of blocks (M,) and what vectors (2, M) point to."""
        sads = np.empty(len(index), np.int32)
        step = GROUP // self.size**2
        for first in range(0, len(index), step):
            group = slice(first, first + step)
            block = index[group]
            top, left = self.top.take(block), self.left.take(block)
            found = interpolation.fetch(self.planes, vectors[:, group].T, top, left, self.size)
            sads[group] = sums_of_differences(found.reshape(len(block), -1), self.blocks.take(block, axis=0))
        return sads


def _components(vectors: NDArray[np.int16]) -> NDArray[np.int16]:
    """Turn (rows, columns, 2) vectors into components (2, rows * columns), which is what is fast to work with."""
    return np.ascontiguousarray(vectors.reshape(-1, 2).T)


@lru_cache(maxsize=4)
def _predictors(rows: int, columns: int) -> NDArray[np.intp]:
    """Return the three neighbours (3, rows * columns) that the vector of each block is predicted from."""
    neighbours = np.empty((4, rows * columns), np.intp)
    for wave in waves(rows, columns):
        neighbours[:, wave.blocks] = wave.neighbours
    return neighbours[:3]


def sums_of_differences(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the SAD of blocks, (N, samples) and (N, samples) to (N,), for up to 256 samples: `sad` in wide words."""
    pairs = _pairs_of_differences(one, other, np.uint64(EVEN_BYTES))
    sums = np.einsum("ij->i", pairs)  # still four numbers a word, each of up to 64 bytes: at most 16320
    sums *= np.uint64(ADD_ALL)  # at most 65280
    sums >>= np.uint64(48)
    return sums.astype(np.int32)


def _pairs_of_differences(one: NDArray[np.uint8], other: NDArray[np.uint8], even_bytes: Word) -> NDArray[Word]:
    """Return the absolute differences of samples, added two by two: words of numbers of 16 bits."""
    differences = np.maximum(one, other)
    differences -= np.minimum(one, other)
    words: NDArray[Word] = differences.view(even_bytes.dtype)
    odd = words >> 8
    odd &= even_bytes
    words &= even_bytes
    words += odd
    return words


def _coarse_search(current: NDArray[np.uint8], reference: NDArray[np.uint8], reach: int) -> NDArray[np.int16]:
    """Find the best of all vectors in small pictures, for blocks of 4 x 4.

    Parameters
    ----------
    current, reference : (H, W) uint8 arrays
        From `pyramid`.
    reach : int
        In samples of the small pictures.

    Returns
    -------
    (H / 4, W / 4, 2) int16 array
        In samples of the small pictures.
    """
    height, width = current.shape
    rows, columns, count = height // COARSE, width // COARSE, 2 * reach + 1
    below, right = height - reference.shape[0], width - reference.shape[1]
    framed = np.pad(reference, ((reach, reach + below), (reach, reach + right)), mode="edge")
    # For each displacement to the right a picture whose rows follow one another in memory: there a displacement
    # downwards is nothing but a later start.
    strips = np.ascontiguousarray(sliding_window_view(framed, width, axis=1).swapaxes(0, 1)).reshape(count, -1)
    windows = sliding_window_view(strips, height * width, axis=1)[:, ::width]
    costs = np.empty((count, count, rows, columns), np.int32)  # by displacement to the right, and down
    for displaced, cost in zip(windows, costs, strict=True):
        pairs = _pairs_of_differences(displaced, current.ravel(), np.uint32(EVEN_BYTES >> 32))
        pairs = pairs.reshape(count, rows, COARSE, columns)  # a word is a row of a block
        sums = pairs[:, :, 0] + pairs[:, :, 1] + pairs[:, :, 2] + pairs[:, :, 3]
        cost[:] = (sums >> 16) + (sums & 0xFFFF)
    distance = np.abs(np.arange(-reach, reach + 1, dtype=np.int32))
    costs += (distance[:, None] + distance)[..., None, None]  # where nothing tells them apart, the shortest
    best = costs.reshape(count * count, -1).argmin(axis=0)
    vectors = np.stack([best % count, best // count], axis=-1) - reach
    return vectors.astype(np.int16).reshape(rows, columns, 2)
