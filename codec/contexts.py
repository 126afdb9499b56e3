"""The context coefficient syntax: how large a level is likely to be, given all that is known around it.

Large levels stand together. Where edges and textures are, neighbours in space and in frequency are large too; where
nothing is, everything is 0. So each magnitude is coded with a table of frequencies that depends on how large it is
expected to be, and the expectation is a weighted sum of magnitudes that both sides know already. Contexts of that kind
are known from lossless coding (Wu, Memon, "CALIC", IEEE Trans. Com. 45, 1997).

    E = sum of weights * magnitudes        context = floor(4 log2 E), within limits

**The order.** Nothing here runs block by block. Frequencies come diagonal by diagonal, the low ones first; of one
diagonal (d + 1 cells of all blocks) a quarter of the blocks at a time, in the order of `PHASES`:

    0 2 0 2        phase 0 knows nothing of its own diagonal yet; phase 1 knows its four diagonal neighbours (0);
    3 1 3 1        phase 2 its four nearest ones (0 and 1); phase 3 all eight
    0 2 0 2

So a step is an array of (cells of the diagonal) x (blocks of the phase), with 56 steps for a whole plane, and the
expectation of all of it is one matrix product:

    own       magnitudes of the same block in the last `WINDOW` diagonals              (matrix)
    around    sums over the four nearest blocks, in the same diagonals                 (matrix)
    same      the same cell in the blocks around, as far as their phases are known     (cell by cell)
    external  the same cell in planes that came before: luma for Cb, luma and Cb for Cr
    slopes    how much DC changes to left and right, up and down, and its curvature: for the first diagonals

Weights are whole multiples of 2**-12 and not negative, magnitudes are integers clipped at `ESCAPE`: sums below 2**12
are exact in float32, in any order, on any machine. Four contexts an octave come from the bits of the float itself,
which are its logarithm but for the curve between powers of two. Where E is below 2**-6 nothing is coded: the level is
0 ("implied"). In photographs an encoder loses next to nothing by that. Where it would, as with a star in a black sky or
a fine pattern in a flat area, it says that a plane is "explicit": then all places are coded, those in a context of
their own. That takes few bits, but many times as many symbols.

Magnitudes up to 16 are symbols; the symbol 17 says that the rest follows as plain bits. Signs are plain bits as well.

Measured on 7 photographs that the tables were not trained on: diagonals take 0.3 % more bits than single cells would
with 252 steps; two phases instead of four 0.4 % more; the slopes of DC save 0.5 to 2 %; finer or further contexts
(block sizes, 8 neighbours) no more than 0.1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from codec.scan import ZIGZAG

__all__ = [
    "CONTEXTS",
    "CORNERS",
    "DIAGONALS",
    "ESCAPE",
    "LAST",
    "NEAREST",
    "PHASES",
    "SYMBOLS",
    "WEIGHT_BITS",
    "WINDOW",
    "Surroundings",
    "Weights",
    "code_magnitudes",
    "find_contexts",
    "from_phases",
    "neighbours",
    "pool",
    "slopes",
    "to_phases",
]

Number = TypeVar("Number", bound=np.generic)

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
NEAREST = ((-1, 0), (1, 0), (0, -1), (0, 1))
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
LAST = 14  # the diagonal of the highest frequency
# Where the cells of each diagonal stand in zigzag order (`codec.scan.ZIGZAG`).
_ENDS = np.cumsum([min(d, LAST - d) + 1 for d in range(LAST + 1)]).tolist()
DIAGONALS = tuple(slice(first, end) for first, end in zip([0, *_ENDS], _ENDS, strict=False))
WINDOW = 4  # diagonals that the expectation looks back
SLOPES = 3  # diagonals that look at DC
ESCAPE = 17
SYMBOLS = ESCAPE + 1
STEEPEST = np.float32(2 * ESCAPE)  # slopes of DC are clipped there
WEIGHT_BITS = 12
BINS = 41  # contexts: below 2**-6, then four an octave up to 2**4
SHIFT, FIRST = np.int32(21), ((127 - 6) << 2) - 1  # a float32's exponent and 2 more bits lie above; just below 2**-6
LEAST = np.float32(2.0**-6)  # below it 0 is implied
BANDS = (1, 4, 8)  # diagonals from which on other tables hold
CONTEXTS = BINS * len(BANDS)


class Weights(NamedTuple):
    """What the expectation of a diagonal is made of, for each of the 4 phases.

    Attributes
    ----------
    window : (4, cells, rows) float32 array
        Weights of `Surroundings.window`.
    beside : (4, cells, 2 + planes) float32 array
        Weights of `Surroundings.beside`: the same cell around, then in other planes.
    slopes : (4, cells, 3) float32 array
        Weights of the slopes of DC; 0 for all but the first diagonals.
    constant : (4, cells, 1) float32 array
        What is expected where all is 0; at least 2**-9.
    """

    window: NDArray[np.float32]
    beside: NDArray[np.float32]
    slopes: NDArray[np.float32]
    constant: NDArray[np.float32]


def to_phases(planes: NDArray[Number]) -> NDArray[Number]:
    """Deal blocks out to phases.

    Parameters
    ----------
    planes : (..., rows, columns) array
        Both sides are even.

    Returns
    -------
    (4, ..., N) array
        The blocks of each phase in raster order, with a 0 after each row: N = rows / 2 * (columns / 2 + 1). So that
        neighbours in all directions are so many places away, in one dimension, with zeros beyond the edges.
    """
    *before, rows, columns = planes.shape
    phases = np.zeros((4, *before, rows // 2, columns // 2 + 1), planes.dtype)
    for part, (i, j) in zip(phases, PHASES, strict=True):
        part[..., :-1] = planes[..., i::2, j::2]
    return phases.reshape(4, *before, -1)


def from_phases(phases: NDArray[Number], rows: int, columns: int) -> NDArray[Number]:
    """Undo `to_phases`: (4, ..., N) to (..., rows, columns)."""
    planes = np.empty((*phases.shape[1:-1], rows, columns), phases.dtype)
    for part, (i, j) in zip(phases, PHASES, strict=True):
        planes[..., i::2, j::2] = part.reshape(*part.shape[:-1], rows // 2, columns // 2 + 1)[..., :-1]
    return planes


def slopes(dc: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return how DC levels change around each block: (rows, columns) to (4, 3, N), by phase.

    From left to right, from top to bottom, and against the mean of these four; clipped at `STEEPEST`.
    """
    wide = np.pad(dc.astype(np.float32), 1, mode="edge")
    left, right, up, down = wide[1:-1, :-2], wide[1:-1, 2:], wide[:-2, 1:-1], wide[2:, 1:-1]
    steep = np.stack([right - left, down - up, 4 * wide[1:-1, 1:-1] - left - right - up - down])
    return to_phases(np.minimum(np.abs(steep), STEEPEST))


def pool(magnitudes: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Sum luma's magnitudes where chroma has half the resolution: (4, 63, N) to (4, 63, N / 4).

    A block of chroma lies on four of luma, one of each phase. Its frequency u, in 16 pixels, is luma's frequency u / 2.

    Parameters
    ----------
    magnitudes : (4, 63, N) float32 array
        Of luma.
    rows, columns : int
        Blocks of chroma.
    """
    row, column = np.divmod(ZIGZAG[1:], 8)
    place = np.empty(64, np.intp)
    place[ZIGZAG] = np.arange(64)
    half = place[8 * ((row + 1) // 2) + (column + 1) // 2] - 1
    return to_phases(magnitudes.sum(axis=0)[half].reshape(63, rows, columns + 1)[..., :-1])


def neighbours(phase: int, steps: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return the phase of blocks so many rows and columns away, and by how many blocks of that phase they are off."""
    row, column = PHASES[phase]
    return [
        (PHASES.index(((row + down) % 2, (column + right) % 2)), (row + down) // 2, (column + right) // 2)
        for down, right in steps
    ]


class Surroundings:
    """The magnitudes of a plane that are known so far, and what they tell about the next ones.

    Parameters
    ----------
    rows, columns : int
        Blocks of the plane; both even.
    steep : (4, 3, N) float32 array
        `slopes` of its DC levels.
    planes : sequence of (4, 63, N) float32 arrays
        Magnitudes of planes that came before.

    Attributes
    ----------
    places : int
        N, of each phase.
    """

    def __init__(
        self, rows: int, columns: int, steep: NDArray[np.float32], planes: Sequence[NDArray[np.float32]] = ()
    ) -> None:
        self._steep, self._planes = steep, planes
        self._pitch = columns // 2 + 1
        self.places = places = rows // 2 * self._pitch
        # For each diagonal the magnitudes of its cells, then what is around them.
        self._rows = np.empty((4, 2 * 63, places), np.float32)
        # The diagonal that is being coded, with zeros before and after it.
        self._margin = self._pitch + 1
        self._wide = np.zeros((4, 8, places + 2 * self._margin), np.float32)
        self._nearest = [self._views(phase, NEAREST) for phase in range(4)]
        self._diagonal = [self._views(phase, CORNERS) for phase in range(4)]

    def window(self, d: int, phase: int) -> NDArray[np.float32]:
        """Return the rows of the last diagonals: own magnitudes and those around, (rows, N)."""
        first, last = DIAGONALS[max(1, d - WINDOW)].start, DIAGONALS[d].start
        return self._rows[phase, 2 * first - 2 : 2 * last - 2]

    def beside(self, d: int, phase: int) -> list[NDArray[np.float32]]:
        """Return the same cells around, as far as they are known, and in other planes: arrays of (cells, N).

        There are two of the blocks around: the nearest (phases 2 and 3), and the diagonal ones (1 and 3). Where they
        are not known stands a single 0.
        """
        first, cells = 2 * DIAGONALS[d].start - 2, DIAGONALS[d].stop - DIAGONALS[d].start
        around: list[NDArray[np.float32]] = [np.zeros((), np.float32)] * 2
        if phase >= 2:
            around[0] = self._rows[phase, first + cells : first + 2 * cells]
        if phase % 2:
            around[1] = _sum(self._diagonal[phase], np.empty((cells, self.places), np.float32))
        return around + [plane[phase, DIAGONALS[d].start - 1 : DIAGONALS[d].stop - 1] for plane in self._planes]

    def steep(self, phase: int) -> NDArray[np.float32]:
        """Return the slopes of DC, (3, N)."""
        return self._steep[phase]

    def expect(self, weights: Weights, d: int, phase: int) -> NDArray[np.float32]:
        """Return the expected magnitudes of a step, (cells, N)."""
        if d == 1:  # no diagonal before it
            expected = weights.slopes[phase] @ self._steep[phase]
        else:
            expected = weights.window[phase] @ self.window(d, phase)
            if d <= SLOPES:
                expected += weights.slopes[phase] @ self._steep[phase]
        expected += weights.constant[phase]
        for source, known in enumerate(self.beside(d, phase)):
            if known.ndim:
                expected += known * weights.beside[phase, :, source, None]
        expected.reshape(len(expected), -1, self._pitch)[..., -1] = 0  # there are no blocks
        return expected

    def put(self, d: int, phase: int, magnitudes: NDArray[np.float32]) -> None:
        """Tell the magnitudes of a step: (cells, N), clipped at `ESCAPE`."""
        first, cells = 2 * DIAGONALS[d].start - 2, len(magnitudes)
        self._rows[phase, first : first + cells] = magnitudes
        self._wide[phase, :cells, self._margin : -self._margin] = magnitudes
        if phase % 2:  # those whose nearest blocks are all known now
            for each in (2, 3) if phase == 1 else (0, 1):
                _sum(self._nearest[each], self._rows[each, first + cells : first + 2 * cells])

    def put_all(self, magnitudes: NDArray[np.float32]) -> None:
        """Tell all magnitudes at once, (4, 63, N): what training starts from."""
        for d in range(1, LAST + 1):
            for phase in range(4):
                self.put(d, phase, magnitudes[phase, DIAGONALS[d].start - 1 : DIAGONALS[d].stop - 1])

    def recall(self, d: int) -> None:
        """Return to a diagonal when all magnitudes are known, as in training."""
        first, cells = 2 * DIAGONALS[d].start - 2, DIAGONALS[d].stop - DIAGONALS[d].start
        self._wide[:, :cells, self._margin : -self._margin] = self._rows[:, first : first + cells]

    def magnitudes(self, last: int = LAST) -> NDArray[np.float32]:
        """Return all magnitudes up to a diagonal, and 0 beyond it: (4, 63, N)."""
        out = np.zeros((4, 63, self._rows.shape[2]), np.float32)
        for d in range(1, last + 1):
            first, cells = DIAGONALS[d].start - 1, DIAGONALS[d].stop - DIAGONALS[d].start
            out[:, first : first + cells] = self._rows[:, 2 * first : 2 * first + cells]
        return out

    def _views(self, phase: int, steps: Sequence[tuple[int, int]]) -> list[NDArray[np.float32]]:
        """Return where the present diagonal is of the blocks so many rows and columns away from a phase's: (8, N)."""
        starts = ((other, self._margin + down * self._pitch + right) for other, down, right in neighbours(phase, steps))
        return [self._wide[other, :, first : first + self.places] for other, first in starts]


def _sum(views: Sequence[NDArray[np.float32]], out: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum as many cells of four views as `out` has."""
    first, second, third, fourth = (view[: len(out)] for view in views)
    np.add(first, second, out=out)
    out += third
    out += fourth
    return out


def find_contexts(expected: NDArray[np.float32], d: int) -> NDArray[np.int32]:
    """Return the contexts of expected magnitudes on a diagonal."""
    band = BINS * (sum(d >= start for start in BANDS) - 1)
    contexts = expected.view(np.int32) >> SHIFT
    contexts += np.int32(band - FIRST)
    np.maximum(contexts, np.int32(band), out=contexts)
    return np.minimum(contexts, np.int32(band + BINS - 1), out=contexts)


Code = Callable[[int, int, NDArray[np.intp], NDArray[np.int32]], NDArray[np.integer]]


def code_magnitudes(
    code: Code, weights: Sequence[Weights], surroundings: Surroundings, last: int, explicit: bool = False
) -> None:
    """Walk through the magnitudes of a plane, in either direction.

    Parameters
    ----------
    code : function
        Called with the diagonal, the phase, which of the step's places are coded (indices into (cells, N), flattened),
        and their contexts; returns their symbols, having decoded or encoded them.
    weights : sequence of Weights
        For diagonals 1, 2, ...
    surroundings : Surroundings
        Of the plane, to begin with; at the end it has all its magnitudes.
    last : int
        The last diagonal in which not all is 0; 0 if there is none.
    explicit : bool
        Whether all places are coded, and none implied to be 0.
    """
    least = np.finfo(np.float32).tiny if explicit else LEAST
    for d in range(1, last + 1):
        for phase in range(4):
            expected = surroundings.expect(weights[d - 1], d, phase)
            places = (expected.reshape(-1) >= least).nonzero()[0]
            magnitudes = np.zeros(expected.shape, np.float32)
            magnitudes.reshape(-1)[places] = code(d, phase, places, find_contexts(expected.reshape(-1).take(places), d))
            surroundings.put(d, phase, magnitudes)
