"""Luma of a strip in the token profile, coded in four passes: the walk that encoder and decoder share.

DC levels come first, as in the main profile (`codec.dc_pyramid`). Then, pass by pass
(`transformers_np.token_contexts`), a network predicts the blocks of the pass from what is decoded, and what it missed
by is coded:

    coefficient = prediction + level        both in steps, the prediction in 1/16

So a level's sign is needed as soon as its pass is over, when those of the main profile are still hidden in the states
of the entropy coder (`codec.context_strip`). Of passes 0 to 2, therefore, what large magnitudes have more, and signs,
are among the plain bits, after each pass; those of the last pass stay at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import FormatError
from bitstreams.rans import RansEncoder
from codec import lapped
from codec.context_strip import SIZE_BITS, CodedPlane, Coder, Head, Plane, StripDecoder
from codec.contexts import ESCAPE, LAST, PHASES
from codec.dc_pyramid import Code, code_dc
from codec.scan import ZIGZAG
from codec.strip_encoder import PlaneEncoder, Wanted
from codec.trained import Trained
from transformers_np.token_contexts import ERRORS, PASSES, Magnitudes, Pass, PassWeights, code_pass
from transformers_np.token_network import (
    ALL_AROUND,
    AROUND,
    FRACTION,
    Network,
    compand,
    gather_inputs,
    step_input,
)
from transformers_np.token_transforms import Transforms

__all__ = [
    "Blocks",
    "TokenCoder",
    "TokenDecoder",
    "TokenEncoder",
    "TokenModel",
    "Uses",
    "code_tokens",
    "encode_tokens",
    "to_samples",
]

# Lambda of `codec.rdoq`, in squared steps a bit. It is a quarter of the main profile's, where that is best without
# networks as well: a level that is sent makes for better predictions and corrections all around.
WEIGHT = 0.03
SWITCH_WEIGHT = 0.06  # the same, of a guess at what transforms cost
PLAIN_STEPS = lapped.Steps(1, lapped.no_lapping())  # of coefficients in 1/64 as levels
LATE = PASSES - 1  # the pass whose signs stand at the end
BAND = 1 << 11  # blocks that a network looks at at a time
LARGEST_CORRECTION = np.float32(2 * FRACTION)


class TokenModel(NamedTuple):
    """What was learned of tokens.

    Attributes
    ----------
    networks : sequence of Network
        Of each pass.
    restoration : Network
        What corrects coefficients when all are decoded.
    weights : sequence of sequences of PassWeights
        Of each pass, for diagonals from 1 on.
    transforms : Transforms
        What blocks can choose.
    """

    networks: Sequence[Network]
    restoration: Network
    weights: Sequence[Sequence[PassWeights]]
    transforms: Transforms


class Uses(NamedTuple):
    """Which parts of the profile a file uses.

    Attributes
    ----------
    predicted : bool
        Whether tokens are predicted, and not expected to be 0.
    switched : bool
        Whether each block chooses its transform.
    sent : int
        Passes that are sent, from 1 to 4. Blocks of the others are as the networks imagine them, AC, and as the pyramid
        of `codec.dc_pyramid` interpolates them, DC: its last three steps are those passes.
    """

    predicted: bool
    switched: bool
    sent: int = PASSES


class Blocks:
    """The coefficients of a plane, as far as they are known.

    Parameters
    ----------
    dc : (rows, columns) int32 array
        DC levels.
    step : int
        The quantiser's, in 1/64.
    """

    def __init__(self, dc: NDArray[np.integer], step: int) -> None:
        levels = np.float32(FRACTION) * dc.astype(np.float32)
        self._dc = np.pad(levels, 2, mode="edge")
        self._seen = np.zeros((dc.shape[0] + 2, dc.shape[1] + 2, 63), np.float32)
        self.coefficients = np.zeros((*dc.shape, 64), np.float32)  # in 1/16 of a step, zigzag order
        self.coefficients[..., 0] = levels
        self._step = step_input(step)

    def predict(self, network: Network, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return predictions in 1/16 and expected errors of a pass: (63, N) each, in the order of phases."""
        rows, columns = (size // 2 for size in self.coefficients.shape[:2])
        both = np.zeros((2, 63, rows, columns + 1), np.float32)
        band = max(1, BAND // columns)
        for first in range(0, rows, band):
            height = min(band, rows - first)
            down, right = PHASES[number]
            part = slice(2 * first, 2 * (first + height))
            inputs = self._gather(part, AROUND[number], (down, right), 2)
            for each, found in zip(both, network.predict(inputs), strict=True):
                each[:, first : first + height, :-1] = found.T.reshape(63, height, columns)
        return both[0].reshape(63, -1), both[1].reshape(63, -1)

    def put(self, number: int, coefficients: NDArray[np.float32]) -> None:
        """Tell the coefficients of a pass: (63, N) in 1/16, in the order of phases."""
        down, right = PHASES[number]
        rows, columns = (size // 2 for size in self.coefficients.shape[:2])
        grid = coefficients.reshape(63, rows, columns + 1)[..., :-1]
        self.coefficients[down::2, right::2, 1:] = np.moveaxis(grid, 0, -1)
        self._seen[1:-1, 1:-1][down::2, right::2] = np.moveaxis(compand(grid), 0, -1)

    def put_all(self, coefficients: NDArray[np.float32]) -> None:
        """Tell all coefficients but DC: (63, rows, columns) in 1/16."""
        self.coefficients[..., 1:] = np.moveaxis(coefficients, 0, -1)
        self._seen[1:-1, 1:-1] = np.moveaxis(compand(coefficients), 0, -1)

    def restored(self, network: Network) -> NDArray[np.float32]:
        """Return coefficients with what a network corrects of them: (rows, columns, 64) in 1/16."""
        out = self.coefficients.copy()
        rows, columns, _ = out.shape
        band = max(1, BAND // columns)
        for first in range(0, rows, band):
            part = slice(first, min(first + band, rows))
            corrections = np.rint(network(self._gather(part, ALL_AROUND, (0, 0), 1)))
            np.clip(corrections, -LARGEST_CORRECTION, LARGEST_CORRECTION, out=corrections)
            out[part] += corrections.reshape(-1, columns, 64)
        return out

    def _gather(
        self, rows: slice, around: Sequence[tuple[int, int]], start: tuple[int, int], pitch: int
    ) -> NDArray[np.float32]:
        """Collect what a network sees of some rows of blocks."""
        seen, dc = self._seen[rows.start : rows.stop + 2], self._dc[rows.start : rows.stop + 4]
        return gather_inputs(seen, dc, around, start, pitch, self._step)


def to_samples(coefficients: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Turn coefficients into samples.

    Parameters
    ----------
    coefficients : (rows, columns, 64) float32 array
        In 1/16 of a step, zigzag order, whole numbers below 2**22.
    step : int
        In 1/64.

    Returns
    -------
    (8 * rows, 8 * columns) float32 array
        In 1/8, whole numbers, the same on every machine.
    """
    rows, columns, _ = coefficients.shape
    cells = np.empty((64, rows, columns), np.float32)
    # Products are below 2**40, exact in float64.
    whole = np.rint(np.moveaxis(coefficients, -1, 0) * np.float64(step / FRACTION))
    cells[ZIGZAG] = np.clip(whole, -lapped.LARGEST_COEFFICIENT, lapped.LARGEST_COEFFICIENT)
    return lapped.inverse(cells, np.full((rows, columns), lapped.SIZES[0], np.uint8), PLAIN_STEPS)


class TokenCoder(Coder, Protocol):
    """What the walk needs of an encoder or a decoder, besides what that of the main profile needs."""

    def predict(self, number: int, values: NDArray[np.float32]) -> None: ...

    def choices(
        self, number: int, transforms: Transforms, contexts: NDArray[np.int32], places: NDArray[np.intp]
    ) -> NDArray[np.integer]: ...

    def levels_of(self, number: int, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]: ...


class CodedTokens(NamedTuple):
    """A plane after the walk.

    Attributes
    ----------
    coded : CodedPlane
        What other planes are told of it.
    blocks : Blocks
        Complete but for the last pass.
    predicted : (63, N) float32 array
        The prediction of the last pass, in 1/16.
    late : (63, N) float32 array
        The magnitudes of its levels, clipped at 17.
    transforms : Transforms
    choices : (N,) uint8 array
        Which of them its blocks use.
    """

    coded: CodedPlane
    blocks: Blocks
    predicted: NDArray[np.float32]
    late: NDArray[np.float32]
    transforms: Transforms
    choices: NDArray[np.uint8]

    def finish(self, levels: NDArray[np.float32]) -> Blocks:
        """Return all blocks, given the levels of the last pass."""
        self.blocks.put(LATE, self.predicted + self.transforms.inverse(levels, self.choices))
        return self.blocks


def code_tokens(coder: TokenCoder, plane: Plane, model: TokenModel, step: int, uses: Uses) -> CodedTokens:
    """Walk through a plane, in either direction."""
    head = coder.begin(plane)
    code = _only_sent(coder.dc, plane.columns, uses.sent)
    dc, missed = code_dc(code, plane.model.dc, plane.rows, plane.columns, np.zeros(plane.rows * plane.columns))
    blocks, magnitudes = Blocks(dc, step), Magnitudes(plane.rows, plane.columns)
    told = np.zeros((PASSES, 63, magnitudes.places), np.float32)
    there = np.flatnonzero(~magnitudes.beyond)
    for number in range(PASSES):
        predicted, logs = blocks.predict(model.networks[number], number)
        if not uses.predicted:
            predicted[...] = 0
        choices = np.zeros(magnitudes.places, np.uint8)
        if number < uses.sent:
            coder.predict(number, predicted)
            errors = ERRORS.take(logs.astype(np.intp))
            if uses.switched:
                contexts = model.transforms.find_contexts(errors[:, there])
                choices[there] = coder.choices(number, model.transforms, contexts, there)
                errors = model.transforms.spread(errors, choices)
            here = Pass(magnitudes, number, errors)
            code_pass(coder.ac, model.weights[number], here, number, head.last, head.explicit)
        clipped = magnitudes.at(number)
        told[number] = np.minimum(clipped + np.rint(np.abs(predicted) * np.float32(1 / FRACTION)), ESCAPE)
        if number != LATE:
            rest = model.transforms.inverse(coder.levels_of(number, clipped), choices)
            blocks.put(number, predicted + rest)
    last = coder.end(head.last)
    sizes = np.full((plane.rows, plane.columns), 8, np.uint8)
    coded = CodedPlane(sizes, dc, told, last, missed)
    return CodedTokens(coded, blocks, predicted, clipped, model.transforms, choices)


def _only_sent(code: Code, columns: int, sent: int) -> Code:
    """Return what codes DC differences of passes that are sent, and takes those of others to be 0."""

    def code_some(
        contexts: NDArray[np.int32], predicted: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        row, column = divmod(int(places[0]), columns)  # all of a step are of the same pass
        if PHASES.index((row % 2, column % 2)) < sent:
            return code(contexts, predicted, places)
        return np.zeros(places.size, np.int64)

    return code_some


class TokenDecoder(StripDecoder):
    """Reads levels."""

    def predict(self, number: int, values: NDArray[np.float32]) -> None:
        """Do nothing: the prediction matters to an encoder's choices alone."""

    def choices(
        self, number: int, transforms: Transforms, contexts: NDArray[np.int32], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        return self._rans.code(transforms.tables, contexts)

    def begin(self, plane: Plane) -> Head:
        head = super().begin(plane)
        if head.trellis or head.sloped:
            raise FormatError("the token profile has no trellis and no slopes")
        return head

    def levels_of(self, number: int, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read what large magnitudes of a pass have more, and signs: (63, N) to levels."""
        places = np.flatnonzero(magnitudes)
        values = magnitudes.ravel().take(places)
        self._add_escapes(values)
        values *= np.float32(1) - np.float32(2) * self._plain.read(np.ones(places.size, np.int64))
        levels = np.zeros(magnitudes.shape, np.float32)
        levels.reshape(-1)[places] = values
        return levels


class TokenEncoder(PlaneEncoder):
    """Chooses levels, and writes them; see `codec.strip_encoder.PlaneEncoder`."""

    LATE: ClassVar[slice] = slice(LATE, None)

    def __init__(self, plane: Plane, wanted: Wanted, tables: Trained, *, explicit: bool = False) -> None:
        super().__init__(plane, wanted, tables, explicit=explicit)
        self.highest = LAST  # nobody knows what predictions will miss
        self._first = self.rans
        self._steps: list[tuple[int, RansEncoder]] = []

    def predict(self, number: int, values: NDArray[np.float32]) -> None:
        self._coefficients[number] -= values * np.float32(1 / FRACTION)
        np.abs(self._coefficients[number], out=self.magnitudes[number])

    def choices(
        self, number: int, transforms: Transforms, contexts: NDArray[np.int32], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        """Choose transforms by a guess at what levels cost, and write which."""
        rest = self._coefficients[number]
        found, turned = transforms.choose(rest[:, places], contexts, SWITCH_WEIGHT)
        rest[:, places] = turned
        np.abs(rest, out=self.magnitudes[number])
        self.rans = RansEncoder()
        self._steps.append((0, self.rans))
        self.rans.code(transforms.tables, contexts, found)
        return found

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        self.rans = RansEncoder()
        self._steps.append((d, self.rans))
        return super().ac(d, phase, places, contexts)

    def levels_of(self, number: int, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the levels of a pass, and write what has to be known of them before the next."""
        levels = np.copysign(self._chosen[number], self._coefficients[number])
        some = levels.reshape(-1)[np.flatnonzero(levels)]
        more = np.abs(some).astype(np.int64) - (ESCAPE - 1)
        more = more[more > 0]
        size = np.frexp(more.astype(np.float64))[1].astype(np.int64)
        self.fields += [size - 1, more - (1 << np.maximum(size - 1, 0)), (some < 0).astype(np.int64)]
        self.lengths += [np.full(size.size, SIZE_BITS), size - 1, np.ones(some.size, np.int64)]
        return levels

    def late(self) -> NDArray[np.float32]:
        """Return the levels of the last pass."""
        return np.copysign(self._chosen[LATE], self._coefficients[LATE])

    def _forget_beyond(self, last: int) -> None:
        self.rans = self._first
        for d, rans in self._steps:
            if d <= last:
                self.rans.append(rans)


def encode_tokens(
    plane: Plane, wanted: Wanted, model: TokenModel, tables: Trained, step: int, uses: Uses
) -> tuple[TokenEncoder, CodedTokens]:
    """Code a plane, in as many attempts as it takes."""
    if uses.sent < PASSES:
        cells = wanted.cells.copy()
        for down, right in PHASES[uses.sent :]:
            cells[:, down::2, right::2] = 0
        wanted = wanted._replace(cells=cells)
    for explicit in (False, True):
        coder = TokenEncoder(plane, wanted, tables, explicit=explicit)
        result = code_tokens(coder, plane, model, step, uses)
        if not coder.implied_too_much:
            break
    return coder, result
