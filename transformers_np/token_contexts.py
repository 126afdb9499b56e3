"""How large levels of a pass are likely to be: the contexts of the token profile.

A plane's blocks are coded in four passes (`codec.contexts.PHASES`), a quarter of the blocks in each, all levels of a
pass before the next pass begins. What was a phase in each diagonal of frequencies there is a pass over all of them
here: only so can the blocks of a pass be predicted from those before (`transformers_np.token_network`).

    0 2 0 2        pass 0 knows nothing but DC; pass 1 knows the blocks at its four corners (0);
    3 1 3 1        pass 2 its four nearest ones (0 and 1); pass 3 all eight
    0 2 0 2

As there, a magnitude's context is how large it is expected to be, a weighted sum:

    own        magnitudes of the same block in the last `OWN` diagonals
    same       sums over the four nearest blocks of the same pass, two blocks away, in the last `SAME` diagonals
    nearest    sums over the four nearest blocks (passes 2 and 3), in diagonals from d - 1 to d + 1
    corners    sums over the four blocks at the corners (passes 1 and 3), likewise
    error      how far off the network expects its prediction to be

Weights are whole multiples of 2**-12 and not negative. The sum over magnitudes stays below 2**12, so that float32 holds
it exactly; the error is added in float64, and the result rounded to float32 once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.contexts import CORNERS, DIAGONALS, LAST, LEAST, NEAREST, find_contexts, neighbours
from transformers_np.token_network import LARGEST_ERROR

__all__ = ["Magnitudes", "Pass", "PassWeights", "code_pass", "source_sizes"]

OWN, SAME = 4, 2
PASSES = 4
# What errors stand for, whole multiples of 2**-12: no power of two that is rounded differently elsewhere.
ERRORS = np.rint(np.exp2(np.arange(LARGEST_ERROR + 1) / 4 - 6) * (1 << 12)) / (1 << 12)


class PassWeights(NamedTuple):
    """What the expectation of a diagonal of a pass is made of.

    Attributes
    ----------
    sources : list of 4 (cells, rows) float32 arrays
        Weights of `Pass.sources`.
    error : (cells, 1) float64 array
        Weight of the expected error.
    constant : (cells, 1) float32 array
        What is expected where all is 0.
    """

    sources: Sequence[NDArray[np.float32]]
    error: NDArray[np.float64]
    constant: NDArray[np.float32]


def cells_of(first: int, last: int | None = None) -> slice:
    """Return where the cells of some diagonals stand, both counted, DC not; of one diagonal without `last`."""
    first, last = max(first, 1), min(first if last is None else last, LAST)
    if first > last:
        return slice(0, 0)
    return slice(DIAGONALS[first].start - 1, DIAGONALS[last].stop - 1)


def windows(number: int, d: int) -> list[slice]:
    """Return the cells that each of a pass's sources tells of, on a diagonal."""
    none = slice(0, 0)
    around = cells_of(d - 1, d + 1)
    return [
        cells_of(d - OWN, d - 1),
        cells_of(d - SAME, d - 1),
        around if number >= 2 else none,
        around if number % 2 else none,
    ]


def source_sizes(number: int, d: int) -> list[int]:
    """Return the number of rows of each source."""
    return [window.stop - window.start for window in windows(number, d)]


class Magnitudes:
    """All magnitudes of a plane that are known so far.

    Parameters
    ----------
    rows, columns : int
        Blocks of the plane; both even.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.pitch = columns // 2 + 1
        self.places = rows // 2 * self.pitch
        self._margin = self.pitch + 1
        self.beyond = np.arange(self.places) % self.pitch == self.pitch - 1  # places where there are no blocks
        self._wide = np.zeros((PASSES, 63, self.places + 2 * self._margin), np.float32)

    def at(self, number: int, down: int = 0, right: int = 0, cells: slice = slice(None)) -> NDArray[np.float32]:
        """Return magnitudes of a pass, moved by some of its blocks: (cells, N), a view."""
        first = self._margin + down * self.pitch + right
        return self._wide[number, cells, first : first + self.places]

    def around(self, steps: Sequence[tuple[int, int, int]], cells: slice = slice(None)) -> NDArray[np.float32]:
        """Sum over four blocks around: (cells, N)."""
        total = self.at(*steps[0], cells) + self.at(*steps[1], cells)
        total += self.at(*steps[2], cells)
        total += self.at(*steps[3], cells)
        return total

    def all(self) -> NDArray[np.float32]:
        """Return all of them: (4, 63, N)."""
        return np.stack([self.at(number) for number in range(PASSES)])


class Pass:
    """A pass, and what is known when it is coded.

    Parameters
    ----------
    magnitudes : Magnitudes
        Of all passes; those before are complete.
    number : int
        0 to 3.
    errors : (63, N) float64 array
        How large levels are expected to be, multiples of 2**-24.
    """

    def __init__(self, magnitudes: Magnitudes, number: int, errors: NDArray[np.float64]) -> None:
        self._magnitudes, self._number, self._errors = magnitudes, number, errors
        empty = np.zeros((0, magnitudes.places), np.float32)
        self._same = np.zeros((63, magnitudes.places), np.float32)
        self._known = [
            magnitudes.around(neighbours(number, NEAREST)) if number >= 2 else empty,
            magnitudes.around(neighbours(number, CORNERS)) if number % 2 else empty,
        ]

    def sources(self, d: int) -> list[NDArray[np.float32]]:
        """Return what tells about a diagonal, arrays of (rows, N)."""
        every = [self._magnitudes.at(self._number), self._same, *self._known]
        return [source[window] for source, window in zip(every, windows(self._number, d), strict=True)]

    def errors(self, d: int) -> NDArray[np.float64]:
        """Return the expected errors on a diagonal, (cells, N)."""
        return self._errors[cells_of(d)]

    def expect(self, weights: PassWeights, d: int) -> NDArray[np.float32]:
        """Return the expected magnitudes on a diagonal, (cells, N)."""
        errors = self.errors(d)
        total = np.repeat(weights.constant, errors.shape[1], axis=1)
        for of_source, source in zip(weights.sources, self.sources(d), strict=True):
            if source.size:
                total += of_source @ source
        expected = (total + weights.error * errors).astype(np.float32)
        expected[:, self._magnitudes.beyond] = 0  # there are no blocks
        return expected

    def recall(self) -> None:
        """Look at all magnitudes of the pass, when they are known, as in training."""
        for d in range(1, LAST + 1):
            self.put(d, self._magnitudes.at(self._number, cells=cells_of(d)).copy())

    def put(self, d: int, magnitudes: NDArray[np.float32]) -> None:
        """Tell the magnitudes of a diagonal: (cells, N), clipped at `codec.contexts.ESCAPE`."""
        cells, number = cells_of(d), self._number
        self._magnitudes.at(number, cells=cells)[...] = magnitudes
        steps = [(number, -1, 0), (number, 1, 0), (number, 0, -1), (number, 0, 1)]
        self._same[cells] = self._magnitudes.around(steps, cells)


Code = Callable[[int, int, NDArray[np.intp], NDArray[np.int32]], NDArray[np.integer]]


def code_pass(
    code: Code, weights: Sequence[PassWeights], here: Pass, number: int, last: int, explicit: bool = False
) -> None:
    """Walk through the magnitudes of a pass, in either direction; parameters as of `codec.contexts.code_magnitudes`."""
    least = np.finfo(np.float32).tiny if explicit else LEAST
    for d in range(1, last + 1):
        expected = here.expect(weights[d - 1], d)
        places = (expected.reshape(-1) >= least).nonzero()[0]
        magnitudes = np.zeros(expected.shape, np.float32)
        magnitudes.reshape(-1)[places] = code(d, number, places, find_contexts(expected.reshape(-1).take(places), d))
        here.put(d, magnitudes)
