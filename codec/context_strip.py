"""The bytes of a strip in the main profile, and the walk through them that encoder and decoder share.

`code_strip` goes through a strip plane by plane: sizes of blocks, DC levels, then all other magnitudes. It is called
with a `StripEncoder`, which chooses levels and writes them, or with a `StripDecoder`, which reads them. The bytes:

    last        1 byte a plane: the last diagonal of frequencies that is not all 0, 0 if there is none; and 128 more if
                the plane is explicit (`codec.contexts`)
    plain       a varint, its length in bytes; then bit fields (`bitstreams.bits`):
                    for each DC difference that is not 0 its sign and extra bits, in the order of coding
                    for each magnitude from 17 on, of all planes: 4 bits, the size of what it has more than 16
                    then for each of them what follows the leading bit of that
    rANS        all symbols (`bitstreams.rans`); its first states hide the first signs
    signs       of all levels but DC that are not 0, the rest of them, plane by plane, in the order of phases, then
                frequencies, then places; filled up with zeros
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import FieldReader, pack, read_varint, write_varint
from bitstreams.errors import FormatError, TruncatedError
from bitstreams.rans import HIDDEN_BITS, RansDecoder, RansEncoder, Tables
from codec import dc_pyramid
from codec.block_sizes import code_sizes, halve
from codec.contexts import DIAGONALS, ESCAPE, LAST, Surroundings, code_magnitudes, from_phases, pool, slopes, to_phases
from codec.dc_pyramid import classify, code_dc, extra_bits
from codec.rdoq import choose_levels
from codec.scan import ZIGZAG
from codec.trained import PlaneModel

__all__ = ["CodedPlane", "Plane", "StripDecoder", "StripEncoder", "code_strip"]

SIZE_BITS = 4
EXPLICIT = 1 << 7
SYMBOLS_A_LANE = 500  # enough for what a lane costs to be forgotten, few enough to decode many at a time
MOST_LANES = 4096
DEADZONE = np.float32(0.33)  # what is added before levels are cut off, where they are not optimised


class Plane(NamedTuple):
    """A plane to be coded.

    Attributes
    ----------
    model : PlaneModel
        What is known of planes of its kind.
    rows, columns : int
        Blocks of 8 x 8.
    chroma : bool
        Whether it is Cb or Cr, and takes its sizes of blocks and contexts from luma.
    half : bool
        Whether it has half the resolution of luma.
    """

    model: PlaneModel
    rows: int
    columns: int
    chroma: bool = False
    half: bool = False


class CodedPlane(NamedTuple):
    """What is known of a plane after the walk.

    Attributes
    ----------
    sizes : (rows, columns) uint8 array
        Size of the block that each cell is in.
    dc : (rows, columns) int32 array
        DC levels.
    magnitudes : (4, 63, N) float32 array
        Of all other levels, clipped at 17.
    last : int
        The last diagonal that is not all 0.
    missed : (rows * columns,) float64 array
        How far off the predictions of DC were.
    """

    sizes: NDArray[np.uint8]
    dc: NDArray[np.int32]
    magnitudes: NDArray[np.float32]
    last: int
    missed: NDArray[np.float64]


class Coder(Protocol):
    """What the walk needs of an encoder or a decoder."""

    def begin(self, plane: Plane) -> tuple[int, bool]: ...

    def sizes(self, plane: Plane) -> NDArray[np.uint8]: ...

    def dc(
        self, contexts: NDArray[np.int32], predicted: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.integer]: ...

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]: ...

    def end(self, last: int) -> int: ...


def code_strip(coder: Coder, planes: Sequence[Plane]) -> list[CodedPlane]:
    """Walk through a strip, in either direction."""
    coded: list[CodedPlane] = []
    for plane in planes:
        last, explicit = coder.begin(plane)
        sizes = _halved(coded[0].sizes, plane.half) if plane.chroma else coder.sizes(plane)
        others, known = known_before(plane, coded)
        dc, missed = code_dc(coder.dc, plane.model.dc, plane.rows, plane.columns, others)
        surroundings = Surroundings(plane.rows, plane.columns, slopes(dc), known)
        code_magnitudes(coder.ac, plane.model.ac, surroundings, last, explicit)
        last = coder.end(last)
        coded.append(CodedPlane(sizes, dc, surroundings.magnitudes(last), last, missed))
    return coded


def _halved(sizes: NDArray[np.uint8], half: bool) -> NDArray[np.uint8]:
    return halve(sizes) if half else sizes


def known_before(plane: Plane, coded: Sequence[CodedPlane]) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
    """Return what planes that are coded tell about the next one: misses of DC, and magnitudes."""
    others = np.zeros((plane.rows, plane.columns))
    if not plane.chroma:
        return others.ravel(), []
    luma, *chroma = coded
    missed = luma.missed.reshape(luma.sizes.shape)
    if plane.half:
        others += missed[::2, ::2] + missed[1::2, ::2] + missed[::2, 1::2] + missed[1::2, 1::2]
        known = [pool(luma.magnitudes, plane.rows, plane.columns)]
    else:
        others += missed
        known = [luma.magnitudes]
    for other in chroma:
        others += other.missed.reshape(others.shape)
        known.append(other.magnitudes)
    return others.ravel(), known


class Wanted(NamedTuple):
    """What an encoder wants to be coded of a plane.

    Attributes
    ----------
    cells : (64, rows, columns) float32 array
        Coefficients in steps, frequencies in raster order.
    sizes : (rows, columns) uint8 array
    weight : (rows, columns) float32 array, or float
        Lambda of `codec.rdoq`, in squared steps a bit.
    optimised : bool
        Whether levels are chosen by what they cost, or rounded with a deadzone.
    explicit : bool
        Whether no level is implied to be 0.
    """

    cells: NDArray[np.float32]
    sizes: NDArray[np.uint8]
    weight: NDArray[np.float32] | float
    optimised: bool
    explicit: bool = False


class StripEncoder:
    """Chooses levels and writes them.

    Parameters
    ----------
    wanted : sequence of Wanted
        Of each plane.
    sizes : Tables
        Of decisions about block sizes.

    Attributes
    ----------
    levels : list of (64, rows, columns) float32 arrays
        The levels that were chosen, for each plane; complete after the walk.
    lossy : list of bool
        For each plane, whether too much was lost to implied zeros: it should be coded again, explicitly.
    """

    def __init__(self, wanted: Sequence[Wanted], sizes: Tables) -> None:
        self._sizes = sizes
        self._wanted = list(wanted)
        self._rans = RansEncoder()
        self._lasts: list[int] = []
        self._fields: list[NDArray[np.integer]] = []
        self._lengths: list[NDArray[np.integer]] = []
        self._escapes: list[NDArray[np.float32]] = []
        self._signs: list[NDArray[np.bool_]] = []
        self.levels: list[NDArray[np.float32]] = []
        self.lossy: list[bool] = []

    def begin(self, plane: Plane) -> tuple[int, bool]:
        self._now = self._wanted[len(self.levels)]
        self._plane = plane
        self._coefficients = to_phases(self._now.cells[ZIGZAG[1:]])
        self._scaled = np.abs(self._coefficients)
        weight = np.broadcast_to(np.asarray(self._now.weight, np.float32), self._now.sizes.shape)
        self._weight = to_phases(weight)
        self._dc_weight = weight.ravel() if self._now.optimised else np.zeros(weight.size, np.float32)
        self._chosen = np.zeros_like(self._scaled)
        self._target = self._now.cells[0].astype(np.float64).ravel()
        self._dc_levels = np.zeros_like(self._target)
        tables = plane.model.tables
        self._bits = tables.bits[dc_pyramid.CONTEXTS :].copy()
        self._bits[:, 1:] += 1  # signs
        self._dc_bits = tables.bits[: dc_pyramid.CONTEXTS] + extra_bits(np.arange(dc_pyramid.SYMBOLS))
        self._dc_bits[:, 1:] += 1
        self._marks: dict[int, int] = {}  # batches before each diagonal
        high = np.flatnonzero((self._scaled >= 0.5).any(axis=(0, 2)))
        self._coded = np.zeros(self._scaled.shape, np.bool_)
        return _diagonal(high), self._now.explicit

    def sizes(self, plane: Plane) -> NDArray[np.uint8]:
        def code(contexts: NDArray[np.integer], symbols: NDArray[np.integer] | None) -> NDArray[np.integer]:
            assert symbols is not None
            self._rans.code(self._sizes, contexts, symbols)
            return symbols

        return code_sizes(code, plane.rows, plane.columns, self._now.sizes)

    def dc(
        self, contexts: NDArray[np.int32], predicted: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        target = self._target.take(places)
        nearest = np.rint(target)
        # The level next to it on the way to the prediction may be enough.
        candidates = [nearest, nearest + np.sign(predicted - nearest)]
        weight = self._dc_weight.take(places)
        costs = []
        for level in candidates:
            symbols = classify(np.abs(level - predicted).astype(np.int64))
            costs.append((target - level) ** 2 + weight * self._dc_bits[contexts, symbols])
        level = np.where(costs[1] < costs[0], candidates[1], candidates[0])
        self._dc_levels[places] = level
        difference = (level - predicted).astype(np.int64)
        magnitude = np.abs(difference)
        symbols = classify(magnitude)
        self._rans.code(self._plane.model.tables, contexts, symbols)
        some = np.flatnonzero(symbols)
        extra = extra_bits(symbols.take(some))
        below = magnitude.take(some) & ((1 << extra) - 1)
        self._fields.append((difference.take(some) < 0).astype(np.int64) << extra | below)
        self._lengths.append(extra + 1)
        return difference

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        self._marks.setdefault(d, self._rans.mark())
        cells = slice(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)
        magnitudes = self._scaled[phase, cells].reshape(-1).take(places)
        if self._now.optimised:
            weight = self._weight[phase].take(places % self._scaled.shape[2])
            levels = choose_levels(magnitudes, contexts, self._bits, weight)
        else:
            levels = np.floor(magnitudes + DEADZONE)
        self._chosen[phase, cells].reshape(-1)[places] = levels
        self._coded[phase, cells].reshape(-1)[places] = True
        symbols = np.minimum(levels, ESCAPE).astype(np.uint8)
        self._rans.code(self._plane.model.tables, contexts + np.int32(dc_pyramid.CONTEXTS), symbols)
        return symbols

    def end(self, last: int) -> int:
        self.lossy.append(self._lost(last))
        true = _diagonal(np.flatnonzero(self._chosen.any(axis=(0, 2))))
        after = [mark for d, mark in self._marks.items() if d > true]
        if after:
            self._rans.forget(min(after))
        flat = self._chosen.reshape(-1)
        places = np.flatnonzero(flat)
        values = flat.take(places)
        self._escapes.append(values[values >= ESCAPE] - (ESCAPE - 1))
        self._signs.append(self._coefficients.reshape(-1).take(places) < 0)
        signed = np.copysign(self._chosen, self._coefficients)
        cells = np.zeros(self._now.cells.shape, np.float32)
        cells[0] = self._dc_levels.reshape(cells[0].shape)
        cells[ZIGZAG[1:]] = from_phases(signed, self._plane.rows, self._plane.columns)
        self.levels.append(cells)
        self._lasts.append(true | EXPLICIT * self._now.explicit)
        return true

    def _lost(self, last: int) -> bool:
        """Tell whether levels that were implied to be 0 would be worth more than it costs to code all places."""
        magnitudes = self._scaled[:, : DIAGONALS[last].stop - 1]
        implied = magnitudes[~self._coded[:, : DIAGONALS[last].stop - 1]]
        weight = float(np.mean(self._now.weight))
        levels = np.rint(implied)
        gain = implied**2 - (implied - levels) ** 2 - np.float32(weight * float(self._bits[0, 1])) * (levels > 0)
        return float(np.maximum(gain, 0).sum(dtype=np.float64)) > weight * float(self._bits[0, 0]) * implied.size

    def finish(self) -> bytes:
        """Return the bytes of the strip."""
        signs = np.concatenate(self._signs)
        escapes = np.concatenate(self._escapes).astype(np.int64)
        size = np.frexp(escapes.astype(np.float64))[1].astype(np.int64)
        fields = [*self._fields, size - 1, escapes - (1 << np.maximum(size - 1, 0))]
        lengths = [*self._lengths, np.full(size.size, SIZE_BITS), size - 1]
        plain = pack(np.concatenate(fields), np.concatenate(lengths))
        lanes = min(self._rans.count // SYMBOLS_A_LANE, signs.size // HIDDEN_BITS, MOST_LANES)
        lanes = max(lanes, 1)
        hidden = np.zeros(HIDDEN_BITS * lanes, np.uint8)
        hidden[: min(signs.size, hidden.size)] = signs[: hidden.size]
        rest = np.packbits(signs[hidden.size :]).tobytes()
        return bytes(self._lasts) + write_varint(len(plain)) + plain + self._rans.finish(lanes, hidden) + rest


def _diagonal(cells: NDArray[np.intp]) -> int:
    """Return the diagonal of the last of some cells, counted in zigzag order without DC; 0 if there are none."""
    return next((d for d, of_d in enumerate(DIAGONALS) if cells.size and of_d.stop > cells[-1] + 1), 0)


class StripDecoder:
    """Reads levels.

    Parameters
    ----------
    data : bytes
        What holds the strip; it ends with it.
    at : int
        Index of its first byte.
    planes : sequence of Plane
    sizes : Tables
        Of decisions about block sizes.

    Raises
    ------
    FormatError, TruncatedError
        Here and in the methods, whatever the bytes are.
    """

    def __init__(self, data: bytes, at: int, planes: Sequence[Plane], sizes: Tables) -> None:
        self._sizes = sizes
        self._lasts = list(data[at : at + len(planes)])
        if len(self._lasts) < len(planes):
            raise TruncatedError("the strip ends inside its header")
        if max(last & ~EXPLICIT for last in self._lasts) > LAST:
            raise FormatError(f"frequencies up to diagonals {self._lasts}; the last is {LAST}")
        plain, at = read_varint(data, at + len(planes))
        if plain > len(data) - at:
            raise TruncatedError(f"plain bits take {plain} bytes, {max(0, len(data) - at)} are left")
        self._plain_bits = 8 * plain
        self._plain = FieldReader(data[at : at + plain])
        self._rans = RansDecoder(data, at + plain)
        self._tail = data[self._rans.end :]
        self._begun = 0

    def begin(self, plane: Plane) -> tuple[int, bool]:
        self._tables = plane.model.tables
        last = self._lasts[self._begun]
        self._begun += 1
        return last & ~EXPLICIT, last >= EXPLICIT

    def decode(
        self, tables: Tables, contexts: NDArray[np.integer], places: NDArray[np.intp] | None, d: int = 0, phase: int = 0
    ) -> NDArray[np.uint32]:
        """Decode symbols: of block sizes without places, of DC at d = 0; what a tracer looks at."""
        return self._rans.code(tables, contexts)

    def sizes(self, plane: Plane) -> NDArray[np.uint8]:
        return code_sizes(lambda contexts, _: self.decode(self._sizes, contexts, None), plane.rows, plane.columns, None)

    def dc(
        self, contexts: NDArray[np.int32], predicted: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        symbols = self.decode(self._tables, contexts, places).astype(np.int64)
        difference = np.zeros(symbols.size, np.int64)
        some = np.flatnonzero(symbols)
        if some.size:
            symbols = symbols.take(some)
            extra = extra_bits(symbols)
            fields = self._plain.read(extra + 1).astype(np.int64)
            magnitude = np.where(symbols < 4, symbols, (2 | symbols & 1) << extra) | fields & ((1 << extra) - 1)
            difference[some] = np.where(fields >> extra, -magnitude, magnitude)
        return difference

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        contexts += np.int32(dc_pyramid.CONTEXTS)
        return self.decode(self._tables, contexts, places, d, phase)

    def end(self, last: int) -> int:
        return last

    def levels(self, coded: Sequence[CodedPlane]) -> list[NDArray[np.float32]]:
        """Return the levels of each plane, (64, rows, columns), after the walk."""
        values = [plane.magnitudes.reshape(-1) for plane in coded]
        places = [np.flatnonzero(of_plane) for of_plane in values]
        magnitudes = np.concatenate([of_plane.take(there) for of_plane, there in zip(values, places, strict=True)])
        large = np.flatnonzero(magnitudes == ESCAPE)
        if large.size:
            size = self._plain.read(np.full(large.size, SIZE_BITS)).astype(np.int64)
            magnitudes[large] = (ESCAPE - 1) + (1 << size | self._plain.read(size).astype(np.int64))
        if not 0 <= self._plain_bits - self._plain.at < 8:
            raise FormatError(f"{self._plain_bits} plain bits, of which {self._plain.at} are used")
        signs = self._rans.finish()[: magnitudes.size]
        rest = magnitudes.size - signs.size
        if -(-rest // 8) != len(self._tail):
            raise FormatError(f"{len(self._tail)} bytes where {rest} signs belong")
        signs = np.concatenate([signs, np.unpackbits(np.frombuffer(self._tail, np.uint8), count=rest)])
        magnitudes *= np.float32(1) - np.float32(2) * signs
        levels = []
        for plane, there, of_plane in zip(
            coded, places, np.split(magnitudes, np.cumsum([there.size for there in places])[:-1]), strict=True
        ):
            signed = np.zeros(plane.magnitudes.shape, np.float32)
            signed.reshape(-1)[there] = of_plane
            cells = np.empty((64, *plane.dc.shape), np.float32)
            cells[0] = plane.dc
            rows, columns = plane.dc.shape
            cells[ZIGZAG[1:]] = from_phases(signed, rows, columns)
            levels.append(cells)
        return levels
