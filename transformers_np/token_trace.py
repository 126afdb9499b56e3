"""A strip of the token profile laid open: see `codec.trace`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bitstreams.ledger import Ledger
from codec.context_strip import Head, Plane, to_cells
from codec.contexts import PHASES, from_phases
from codec.main_trace import MainPlaneTrace, Tracer, plain_bits, plane_trace, record_strip, square
from codec.scan import ZIGZAG
from transformers_np.token_network import FRACTION
from transformers_np.token_profile import FILTERED, RESTORED, Tokens
from transformers_np.token_strip import LATE, TokenDecoder
from transformers_np.token_transforms import Transforms

__all__ = ["TokenPlaneTrace", "trace_strip"]


@dataclass(frozen=True)
class TokenPlaneTrace(MainPlaneTrace):
    """What decoding made of luma; all other planes have a `MainPlaneTrace`.

    Levels are of what predictions missed, in the transform that a block chose: of all but the first transform they
    stand in zigzag order, where frequencies stand otherwise. Bits have those of choices in them.

    Attributes
    ----------
    choices : (rows, columns) uint8 array
        The transform of each block (`transformers_np.token_transforms`).
    predicted : (rows, columns, 8, 8) float32 array
        What was predicted of each coefficient but DC, in steps; all there is of blocks that were not sent.
    coefficients : (rows, columns, 8, 8) float32 array
        What was decoded, in steps.
    restored : (rows, columns, 8, 8) float32 array
        The same with what the network corrects, if it does.
    """

    choices: NDArray[np.uint8]
    predicted: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    restored: NDArray[np.float32]


class _TokenTracer(Tracer, TokenDecoder):
    """A decoder that keeps what it decodes, and luma's predictions, transforms and levels, in the order of phases."""

    def begin(self, plane: Plane) -> Head:
        if not self._begun:
            blocks = plane.rows // 2 * (plane.columns // 2 + 1)
            self.predicted, self.luma = np.zeros((2, len(PHASES), 63, blocks), np.float32)
            self.chosen = np.zeros((len(PHASES), blocks), np.uint8)
            self.choice_bits = np.zeros((len(PHASES), blocks))
        return super().begin(plane)

    def predict(self, number: int, values: NDArray[np.float32]) -> None:
        self.predicted[number] = values

    def choices(
        self, number: int, transforms: Transforms, contexts: NDArray[np.int32], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        found = super().choices(number, transforms, contexts, places)
        self.chosen[number, places] = found
        self.choice_bits[number, places] = transforms.tables.bits[contexts, found]
        return found

    def levels_of(self, number: int, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        self.luma[number] = super().levels_of(number, magnitudes)
        return self.luma[number]

    def signed(
        self, clipped: Sequence[NDArray[np.float32]], seconds: Sequence[NDArray[np.bool_] | None]
    ) -> list[NDArray[np.float32]]:
        found = super().signed(clipped, seconds)
        if clipped[0].ndim == self.luma.ndim:  # of luma that is coded as in the main profile
            self.luma[...] = found[0]
        else:
            self.luma[LATE] = found[0]
        return found


def trace_strip(
    stages: Tokens, data: bytes, at: int, height: int, width: int, ledger: Ledger
) -> dict[str, MainPlaneTrace]:
    """Decode a strip of so many pixels, which begins at a byte and ends with the data, and record all its bits."""
    planes = stages.planes(height, width)
    strip, tracer = stages.read_strip(data, at, planes, _TokenTracer)
    rows, columns = planes[0].rows, planes[0].columns
    levels = [to_cells(strip.coded[0].dc, tracer.luma), *strip.others]
    samples = [[stages.finish(strip.blocks, flags) for flags in (strip.flags & ~FILTERED, strip.flags)]]
    for each, of_plane, steps in zip(strip.coded[1:], strip.others, stages.main.steps[1:], strict=True):
        samples.append([stages.main.restore(each, of_plane, steps, None)])
    tracer.watched[0].side_bits["transforms"] = float(tracer.choice_bits.sum())
    plain = [plain_bits(*pair) for pair in zip(levels, tracer.watched, strict=True)]
    names = stages.main.names
    record_strip(ledger, names, tracer, plain, 8 * (len(data) - at))
    luma, *others = (
        plane_trace(*parts) for parts in zip(planes, strip.coded, levels, samples, tracer.watched, plain, strict=True)
    )
    blocks = strip.blocks
    predicted = np.zeros_like(blocks.coefficients)
    predicted[..., 1:] = np.moveaxis(from_phases(tracer.predicted, rows, columns), 0, -1)
    for down, right in PHASES[stages.sent :]:
        predicted[down::2, right::2, 1:] = blocks.coefficients[down::2, right::2, 1:]
    restored = blocks.restored(stages.tables.model.restoration) if strip.flags & RESTORED else blocks.coefficients
    whole = replace(luma, bits=luma.bits + from_phases(tracer.choice_bits, rows, columns))
    traced = TokenPlaneTrace(
        **vars(whole),
        choices=from_phases(tracer.chosen, rows, columns),
        predicted=_in_steps(predicted),
        coefficients=_in_steps(blocks.coefficients),
        restored=_in_steps(restored),
    )
    return dict(zip(names, [traced, *others], strict=True))


def _in_steps(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (rows, columns, 64) in 1/16, in zigzag order, to (rows, columns, 8, 8) by frequency."""
    cells = np.empty((64, *coefficients.shape[:2]), np.float32)
    cells[ZIGZAG] = np.moveaxis(coefficients, -1, 0) / np.float32(FRACTION)
    return square(cells)
