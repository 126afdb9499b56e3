"""A strip of the main profile laid open: see `codec.trace`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitstreams.ledger import FILE, Ledger
from bitstreams.rans import Tables
from codec import color, dc_pyramid, lapped
from codec.chroma_from_luma import map_shape
from codec.context_strip import SIZE_BITS, CodedPlane, Head, Plane, StripDecoder
from codec.contexts import CONTEXTS, DIAGONALS, ESCAPE, from_phases
from codec.dc_pyramid import extra_bits
from codec.main import Main
from codec.scan import ZIGZAG

__all__ = [
    "MainPlaneTrace",
    "Tracer",
    "plain_bits",
    "plane_trace",
    "record_strip",
    "square",
    "trace_strip",
]

Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class MainPlaneTrace:
    """What decoding made of one plane, all strips together, with the padding of each strip to whole macroblocks.

    Attributes
    ----------
    sizes : (rows, columns) uint8 array
        Size of the block that each cell of 8 x 8 pixels is in.
    slopes : int8 array
        How detail follows luma, in 1/8, for each 32 x 32 samples (`codec.chroma_from_luma`).
    dc_symbols, ac_symbols : uint8 arrays
        Symbols that were decoded, in their order: of DC differences (`codec.dc_pyramid`), and of all other magnitudes
        (`codec.contexts`).
    levels : (rows, columns, 8, 8) float32 array
        Quantised coefficients, by vertical and horizontal frequency; of large blocks as in `codec.lapped`. Whole
        numbers, or with a trellis multiples of 1/2 (`codec.trellis`).
    contexts : (rows, columns, 8, 8) int16 array
        The context that each level was coded in, DC's counted by themselves; -1 where 0 was implied.
    transformed : (8 * rows, 8 * columns) float32 array
        Samples after the inverse transform, with what luma tells, centred on 0.
    samples : (8 * rows, 8 * columns) float32 array
        The same after the loop filter, if the plane has one.
    upsampled : float32 array
        At the picture's resolution: twice the sides for chroma with 4:2:0 sampling. The decoder itself upsamples what
        chroma adds to R, G and B (`color.chroma_offsets`), which is the same but for rounding.
    bits : (rows, columns) float64 array
        Bits that each cell took: symbols, signs and what follows large magnitudes. An arithmetic coder's symbols take
        fractions of bits.
    """

    sizes: NDArray[np.uint8]
    slopes: NDArray[np.int8]
    dc_symbols: NDArray[np.uint8]
    ac_symbols: NDArray[np.uint8]
    levels: NDArray[np.float32]
    contexts: NDArray[np.int16]
    transformed: NDArray[np.float32]
    samples: NDArray[np.float32]
    upsampled: NDArray[np.float32]
    bits: NDArray[np.float64]


class PlainBits(NamedTuple):
    """Plain bits of each level: (64, rows, columns) int64 arrays; signs, and what follows large magnitudes."""

    signs: NDArray[np.int64]
    mantissas: NDArray[np.int64]


class Watched:
    """What was decoded of a plane, and the bits of its symbols.

    Attributes
    ----------
    dc_symbols, dc_places : lists of arrays
        In the order of coding: symbols of DC differences, and of which blocks they are.
    ac_symbols : list of arrays
    side_bits : dict of str to float
        What is neither.
    dc_contexts, dc_bits : (rows * columns,) arrays
        Of each block's DC; -1 and 0 where it has no symbol.
    ac_contexts, ac_bits : (4, 63, N) arrays
        Of all other levels, in the order of phases; -1 and 0 where 0 was implied.
    """

    def __init__(self, plane: Plane) -> None:
        blocks = plane.rows // 2 * (plane.columns // 2 + 1)  # of a phase, as `to_phases` lays them out
        self.dc_symbols: list[NDArray[np.uint8]] = []
        self.dc_places: list[NDArray[np.intp]] = []
        self.ac_symbols: list[NDArray[np.uint8]] = []
        self.side_bits = {"slopes": 0.0, "block sizes": 0.0}
        self.dc_contexts = np.full(plane.rows * plane.columns, -1, np.int16)
        self.dc_bits = np.zeros(plane.rows * plane.columns)
        self.ac_contexts = np.full((4, 63, blocks), -1, np.int16)
        self.ac_bits = np.zeros((4, 63, blocks))


class Tracer(StripDecoder):
    """A decoder that keeps what it decodes."""

    watched: list[Watched]

    def begin(self, plane: Plane) -> Head:
        if not self._begun:
            self.watched = []
        self.watched.append(Watched(plane))
        return super().begin(plane)

    def decode(
        self, tables: Tables, contexts: NDArray[np.integer], places: NDArray[np.intp] | None, d: int = 0, phase: int = 0
    ) -> NDArray[np.uint8]:
        symbols = super().decode(tables, contexts, places, d, phase)
        now, bits = self.watched[-1], tables.bits[contexts, symbols].astype(np.float64)
        if places is None:
            now.side_bits["slopes" if tables is self._trained.slopes else "block sizes"] += float(bits.sum())
        elif d == 0:
            now.dc_symbols.append(symbols)
            now.dc_places.append(places)
            now.dc_contexts[places] = contexts
            now.dc_bits[places] = bits
        else:
            cells = slice(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)
            now.ac_symbols.append(symbols)
            now.ac_contexts[phase, cells].reshape(-1)[places] = (contexts - dc_pyramid.CONTEXTS) % CONTEXTS
            now.ac_bits[phase, cells].reshape(-1)[places] = bits
        return symbols


def trace_strip(
    stages: Main, data: bytes, at: int, height: int, width: int, ledger: Ledger
) -> dict[str, MainPlaneTrace]:
    """Decode a strip of so many pixels, which begins at a byte and ends with the data, and record all its bits."""
    planes = stages.planes(height, width)
    filters, coded, tracer = stages.read_strip(data, at, planes, Tracer)
    levels = tracer.levels(coded)
    every = stages.reconstruct(planes, filters, coded, levels)
    plain = [plain_bits(*pair) for pair in zip(levels, tracer.watched, strict=True)]
    record_strip(ledger, stages.names, tracer, plain, 8 * (len(data) - at))
    return {
        name: plane_trace(plane, of_plane, of_levels, samples, seen, of_plain)
        for name, plane, of_plane, of_levels, samples, seen, of_plain in zip(
            stages.names, planes, coded, levels, every, tracer.watched, plain, strict=True
        )
    }


def record_strip(ledger: Ledger, names: Sequence[str], tracer: Tracer, plain: Sequence[PlainBits], total: int) -> None:
    """Record the bits of a strip, of which there are so many in total: those of its planes, and what is about them."""
    recorded = 8 * (1 + len(names))
    ledger.record(FILE, "filters, heads", recorded)
    for name, seen, of_plane in zip(names, tracer.watched, plain, strict=True):
        recorded += _record_plane(ledger, name, seen, of_plane)
    # States and numbers of lanes, what is lost to whole bytes, and to rounding the bits of symbols here.
    ledger.record(FILE, "lanes, padding", total - recorded)


def plane_trace(
    plane: Plane,
    coded: CodedPlane,
    levels: NDArray[np.float32],
    samples: Sequence[NDArray[np.float32]],
    seen: Watched,
    plain: PlainBits,
) -> MainPlaneTrace:
    """Return the trace of a plane: samples are in 1/8, before and after the filter."""
    rows, columns = plane.rows, plane.columns
    contexts = np.empty((64, rows, columns), np.int16)
    contexts[0] = seen.dc_contexts.reshape(rows, columns)
    contexts[ZIGZAG[1:]] = from_phases(seen.ac_contexts, rows, columns)
    dc_symbols, ac_symbols = (
        np.concatenate([*of_kind, np.zeros(0, np.uint32)]).astype(np.uint8)
        for of_kind in (seen.dc_symbols, seen.ac_symbols)
    )
    bits = from_phases(seen.ac_bits, rows, columns).sum(axis=0) + seen.dc_bits.reshape(rows, columns)
    bits += plain.signs.sum(axis=0) + plain.mantissas.sum(axis=0)
    transformed, filtered = (samples[i] / np.float32(lapped.SAMPLE_UNIT) for i in (0, -1))
    upsampled = color.double(filtered) if plane.half else filtered
    return MainPlaneTrace(
        coded.sizes,
        np.zeros(map_shape(8 * rows, 8 * columns), np.int8) if coded.slopes is None else coded.slopes,
        dc_symbols,
        ac_symbols,
        square(levels),
        square(contexts),
        transformed,
        filtered,
        upsampled,
        bits,
    )


def plain_bits(levels: NDArray[np.float32], seen: Watched) -> PlainBits:
    """Return the plain bits of the levels of a plane, (64, rows, columns)."""
    magnitudes = np.ceil(np.abs(levels))
    signs = (magnitudes > 0).astype(np.int64)
    size = np.frexp(np.maximum(magnitudes - (ESCAPE - 1), 0))[1].astype(np.int64)
    mantissas = np.where(size > 0, SIZE_BITS + size - 1, 0)
    # DC's are those of the difference to its prediction, in the order of coding.
    symbols, order = np.concatenate(seen.dc_symbols).astype(np.int64), np.concatenate(seen.dc_places)
    for plain, of_dc in ((signs, symbols > 0), (mantissas, extra_bits(symbols))):
        plain[0] = 0
        plain[0].reshape(-1)[order] = of_dc
    return PlainBits(signs, mantissas)


def _record_plane(ledger: Ledger, name: str, seen: Watched, plain: PlainBits) -> int:
    """Record the bits of a plane; return how many there are."""
    parts = {
        **seen.side_bits,
        "DC symbols": seen.dc_bits.sum(),
        "AC symbols": seen.ac_bits.sum(),
        "signs": plain.signs.sum(),
        "mantissas": plain.mantissas.sum(),
    }
    whole = {kind: bits for kind, bits in ((kind, round(float(bits))) for kind, bits in parts.items()) if bits}
    for kind, bits in whole.items():
        ledger.record(name, kind, bits)
    return sum(whole.values())


def square(cells: NDArray[Number]) -> NDArray[Number]:
    """Turn (64, rows, columns) to (rows, columns, 8, 8)."""
    return np.ascontiguousarray(np.moveaxis(cells, 0, -1)).reshape(*cells.shape[1:], 8, 8)
