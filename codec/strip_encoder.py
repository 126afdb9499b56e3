"""The encoder of a strip in the main profile: chooses the levels of each plane, and writes them all.

`encode_plane` codes a plane in as many attempts as it takes. The first chooses levels one step at a time
(`codec.rdoq`), in the contexts that the levels before them give. If that loses too much to implied zeros, the second is
explicit. If there is a trellis, more follow, each with the levels that `codec.trellis` finds by the contexts of the one
before. `join` then puts planes together: the format is described in `codec.context_strip`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import pack, write_varint
from bitstreams.rans import HIDDEN_BITS, SYMBOLS_OF_LANE, RansEncoder, Tables
from codec import dc_pyramid, trellis
from codec.block_sizes import code_sizes
from codec.chroma_from_luma import code_slopes
from codec.context_strip import SIZE_BITS, CodedPlane, Head, Plane, code_plane
from codec.contexts import CONTEXTS, DIAGONALS, ESCAPE, from_phases, to_phases
from codec.dc_pyramid import classify, extra_bits
from codec.rdoq import choose_levels
from codec.scan import ZIGZAG
from codec.trained import Trained

__all__ = ["DEADZONE", "PlaneEncoder", "Wanted", "encode_plane", "join"]

SYMBOLS_A_LANE = 500  # enough for what a lane costs to be forgotten, few enough to decode many at a time
MANY_LANES = 4096  # no more are needed for speed
DEADZONE = np.float32(0.33)  # what is added before levels are cut off, where they are not optimised
VISIBLE = 16  # squared steps


class Wanted(NamedTuple):
    """What is to be coded of a plane.

    Attributes
    ----------
    cells : (64, rows, columns) float32 array
        Coefficients in steps, frequencies in raster order.
    sizes : (rows, columns) uint8 array
    weight : (rows, columns) float32 array, or float
        Lambda of `codec.rdoq`, in squared steps a bit.
    optimised : bool
        Whether levels are chosen by what they cost, or rounded with a deadzone.
    trellis : int
        How many attempts are made at levels of `codec.trellis`; none if 0.
    slopes : int8 array or None
        What was taken away of luma (`codec.chroma_from_luma`), if anything.
    """

    cells: NDArray[np.float32]
    sizes: NDArray[np.uint8]
    weight: NDArray[np.float32] | float
    optimised: bool
    trellis: int = 0
    slopes: NDArray[np.int8] | None = None


class PlaneEncoder:
    """An attempt at a plane.

    Parameters
    ----------
    plane : Plane
    wanted : Wanted
    tables : Trained
    explicit : bool
        Whether no level is implied to be 0.
    given : (4, 63, N) float32 array, optional
        Magnitudes of the trellis's levels; without, levels are chosen here.

    Attributes
    ----------
    head : Head
    rans : RansEncoder
        Symbols.
    fields, lengths : lists of arrays
        Plain bits of DC.
    escapes : (E,) float32 array
        What magnitudes from 17 on have more than 16.
    signs : (S,) bool array
        Of all levels but DC that are not 0, true for negative ones.
    magnitudes : (4, 63, N) float32 array
        Of the coefficients, in steps.
    highest : int
        The last diagonal in which one of them is at least half a step.
    weight : (4, N) float32 array
        Lambda of each block.
    contexts : (4, 63, N) int16 array
        The context of each level, whatever the quantiser; -1 where 0 was implied.
    """

    LATE: ClassVar[slice] = slice(None)  # phases whose signs, and what large magnitudes have more, stand at the end

    def __init__(
        self,
        plane: Plane,
        wanted: Wanted,
        tables: Trained,
        *,
        explicit: bool = False,
        given: NDArray[np.float32] | None = None,
    ) -> None:
        self._plane, self._wanted, self._trained, self._explicit, self._given = plane, wanted, tables, explicit, given
        self._coefficients = to_phases(wanted.cells[ZIGZAG[1:]])
        self.magnitudes = np.abs(self._coefficients)
        self.highest = _diagonal(np.flatnonzero((self.magnitudes >= 0.5).any(axis=(0, 2))))
        weight = np.broadcast_to(np.asarray(wanted.weight, np.float32), wanted.sizes.shape)
        self.weight = to_phases(weight)
        self._dc_weight = weight.ravel() if wanted.optimised else np.zeros(weight.size, np.float32)
        self._target = wanted.cells[0].astype(np.float64).ravel()
        self._dc_levels = np.zeros_like(self._target)
        bits = plane.model.tables.bits
        self._bits = bits[dc_pyramid.CONTEXTS :].copy()
        self._bits[:, 1:] += 1  # signs
        self._dc_bits = bits[: dc_pyramid.CONTEXTS] + extra_bits(np.arange(dc_pyramid.SYMBOLS))
        self._dc_bits[:, 1:] += 1
        self._marks: dict[int, int] = {}  # batches before each diagonal
        self._chosen = np.zeros_like(self.magnitudes)
        self.contexts: NDArray[np.int16] = np.full(self.magnitudes.shape, -1, np.int16)
        self.rans = RansEncoder()
        self.fields: list[NDArray[np.integer]] = []
        self.lengths: list[NDArray[np.integer]] = []

    def begin(self, plane: Plane) -> Head:
        sloped = self._wanted.slopes is not None
        self.head = Head(self.highest, self._explicit, self._given is not None, sloped)
        return self.head

    def _code(
        self, tables: Tables, contexts: NDArray[np.integer], symbols: NDArray[np.integer] | None
    ) -> NDArray[np.integer]:
        assert symbols is not None
        self.rans.code(tables, contexts, symbols)
        return symbols

    def slopes(self, rows: int, columns: int) -> NDArray[np.int8]:
        def code(contexts: NDArray[np.integer], symbols: NDArray[np.integer] | None) -> NDArray[np.integer]:
            return self._code(self._trained.slopes, contexts, symbols)

        return code_slopes(code, rows, columns, self._wanted.slopes)

    def sizes(self, plane: Plane) -> NDArray[np.uint8]:
        def code(contexts: NDArray[np.integer], symbols: NDArray[np.integer] | None) -> NDArray[np.integer]:
            return self._code(self._trained.sizes, contexts, symbols)

        return code_sizes(code, plane.rows, plane.columns, self._wanted.sizes)

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
        self.rans.code(self._plane.model.tables, contexts, symbols)
        some = np.flatnonzero(symbols)
        extra = extra_bits(symbols.take(some))
        below = magnitude.take(some) & ((1 << extra) - 1)
        self.fields.append((difference.take(some) < 0).astype(np.int64) << extra | below)
        self.lengths.append(extra + 1)
        return difference

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        self._marks.setdefault(d, self.rans.mark())
        cells = slice(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)
        if self._given is not None:
            levels = self._given[phase, cells].reshape(-1).take(places)
        else:
            magnitudes = self.magnitudes[phase, cells].reshape(-1).take(places)
            if self._wanted.optimised:
                weight = self.weight[phase].take(places % self.magnitudes.shape[2])
                levels = choose_levels(magnitudes, contexts, self._bits, weight)
            else:
                levels = np.floor(magnitudes + DEADZONE)
        self._chosen[phase, cells].reshape(-1)[places] = levels
        self.contexts[phase, cells].reshape(-1)[places] = contexts % CONTEXTS
        symbols = np.minimum(levels, ESCAPE).astype(np.uint8)
        self.rans.code(self._plane.model.tables, contexts + np.int32(dc_pyramid.CONTEXTS), symbols)
        return symbols

    def end(self, last: int) -> int:
        true = _diagonal(np.flatnonzero(self._chosen.any(axis=(0, 2))))
        self._forget_beyond(true)
        flat = self._chosen[self.LATE].reshape(-1)
        places = np.flatnonzero(flat)
        values = flat.take(places)
        self.escapes = values[values >= ESCAPE] - (ESCAPE - 1)
        self.signs = self._coefficients[self.LATE].reshape(-1).take(places) < 0
        self.head = self.head._replace(last=true)
        return true

    def _forget_beyond(self, last: int) -> None:
        """Drop the symbols of diagonals beyond one: all zeros."""
        after = [mark for d, mark in self._marks.items() if d > last]
        if after:
            self.rans.forget(min(after))

    @property
    def implied_too_much(self) -> bool:
        """Whether too much is lost to levels that were implied to be 0.

        Either all of them together would be worth more than it costs to code all places, or most of what there is in
        some block would vanish: errors of that kind are seen, however few they are.
        """
        cells = slice(DIAGONALS[self.highest].stop - 1)
        magnitudes, implied = self.magnitudes[:, cells], self.contexts[:, cells] < 0
        rounded = np.rint(magnitudes)
        energy = magnitudes * magnitudes
        gain = (energy - np.square(magnitudes - rounded)) * implied  # (4, cells, N)
        of_block = gain.sum(axis=1)
        vanishing = (of_block > VISIBLE) & (of_block > energy.sum(axis=1) / 2)
        weight = float(np.mean(self.weight))
        gain -= np.float32(weight * float(self._bits[0, 1]))
        places = 4 * implied.shape[1] * (self._plane.rows // 2)  # that there are not, see `to_phases`
        cost = weight * float(self._bits[0, 0]) * (np.count_nonzero(implied) - places)
        return bool(vanishing.any()) or float(np.maximum(gain, 0).sum(dtype=np.float64)) > cost

    def cost(self, coded: CodedPlane) -> float:
        """Return bits, and squared errors over what a bit is worth."""
        error = np.square(self.decoded(coded) - self._wanted.cells).sum(axis=0)  # (rows, columns)
        weight = np.maximum(np.asarray(self._wanted.weight, np.float32), np.finfo(np.float32).tiny)
        plain = sum(int(length.sum()) for length in self.lengths)
        escapes = SIZE_BITS * self.escapes.size + float(np.log2(self.escapes).sum())
        return float((error / weight).sum(dtype=np.float64)) + self.rans.bits + plain + escapes + self.signs.size

    @property
    def broken(self) -> bool:
        """Whether levels that were given could not be coded, where 0 is implied: all after them would be misread."""
        return self._given is not None and not np.array_equal(self._chosen, self._given)

    def decoded(self, coded: CodedPlane) -> NDArray[np.float32]:
        """Return the levels as a decoder has them: (64, rows, columns), those of a second quantiser less 1/2."""
        levels = self._chosen
        if coded.second is not None:
            levels = levels - np.float32(0.5) * (coded.second & (levels > 0))
        cells = np.zeros(self._wanted.cells.shape, np.float32)
        cells[0] = coded.dc
        cells[ZIGZAG[1:]] = from_phases(np.copysign(levels, self._coefficients), self._plane.rows, self._plane.columns)
        return cells


def _diagonal(cells: NDArray[np.intp]) -> int:
    """Return the diagonal of the last of some cells, counted in zigzag order without DC; 0 if there are none."""
    return next((d for d, of_d in enumerate(DIAGONALS) if cells.size and of_d.stop > cells[-1] + 1), 0)


def encode_plane(
    plane: Plane, wanted: Wanted, coded: Sequence[CodedPlane], tables: Trained, *, always: bool = False
) -> tuple[PlaneEncoder, CodedPlane]:
    """Code a plane, given those before it, in as many attempts as it takes.

    A trellis is used if it costs less, or `always`, as in training.
    """
    coder = PlaneEncoder(plane, wanted, tables)
    result = code_plane(coder, plane, coded)
    explicit = coder.implied_too_much
    if explicit:
        coder = PlaneEncoder(plane, wanted, tables, explicit=True)
        result = code_plane(coder, plane, coded)
    if wanted.trellis:
        other, ahead = _look_ahead(coder, plane, wanted, coded, tables, explicit=explicit)
        if always or other.cost(ahead) < coder.cost(result):
            return other, ahead
    return coder, result


def _look_ahead(
    coder: PlaneEncoder,
    plane: Plane,
    wanted: Wanted,
    coded: Sequence[CodedPlane],
    tables: Trained,
    *,
    explicit: bool,
) -> tuple[PlaneEncoder, CodedPlane]:
    """Code a plane with a trellis, after an attempt without."""
    sets = plane.model.tables.bits[dc_pyramid.CONTEXTS + CONTEXTS :].reshape(2, CONTEXTS, -1).copy()
    sets[..., 1:] += 1  # signs
    implied = coder.contexts < 0
    attempts = 0
    while attempts < wanted.trellis or coder.broken:
        attempts += 1
        # What was implied once stays 0, so that sooner or later no level is given that cannot be coded.
        implied |= coder.contexts < 0
        contexts = np.where(implied, np.int16(-1), coder.contexts)
        given = trellis.choose_levels(coder.magnitudes, contexts, sets, coder.weight, coder.highest)
        coder = PlaneEncoder(plane, wanted, tables, explicit=explicit, given=given)
        result = code_plane(coder, plane, coded)
    return coder, result


def join(coders: Sequence[PlaneEncoder]) -> bytes:
    """Return the bytes of a strip of such planes."""
    rans = RansEncoder()
    for coder in coders:
        rans.append(coder.rans)
    signs = np.concatenate([coder.signs for coder in coders])
    escapes = np.concatenate([coder.escapes for coder in coders]).astype(np.int64)
    size = np.frexp(escapes.astype(np.float64))[1].astype(np.int64)
    fields = [field for coder in coders for field in coder.fields]
    fields += [size - 1, escapes - (1 << np.maximum(size - 1, 0))]
    lengths = [length for coder in coders for length in coder.lengths]
    lengths += [np.full(size.size, SIZE_BITS), size - 1]
    plain = pack(np.concatenate(fields), np.concatenate(lengths))
    lanes = min(rans.count // SYMBOLS_A_LANE, signs.size // HIDDEN_BITS, MANY_LANES)
    lanes = max(1, lanes, -(-rans.count // SYMBOLS_OF_LANE))
    hidden = np.zeros(HIDDEN_BITS * lanes, np.uint8)
    hidden[: min(signs.size, hidden.size)] = signs[: hidden.size]
    rest = np.packbits(signs[hidden.size :]).tobytes()
    heads = bytes(coder.head.to_byte() for coder in coders)
    return heads + write_varint(len(plain)) + plain + rans.finish(lanes, hidden) + rest
