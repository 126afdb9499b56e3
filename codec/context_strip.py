"""The bytes of a strip in the main profile, and the walk through them that encoder and decoder share.

`code_plane` goes through a plane of a strip: how detail follows luma, sizes of blocks, DC levels, then all other
magnitudes. It is called with a `StripDecoder`, which reads them, or with a `codec.strip_encoder.PlaneEncoder`, which
chooses levels and writes them. The bytes:

    heads       1 byte a plane: the last diagonal of frequencies that is not all 0, 0 if there is none; and
                    1000 0000   the plane is explicit (`codec.contexts`)
                    0100 0000   its levels go through a trellis (`codec.trellis`)
                    0010 0000   it has slopes (`codec.chroma_from_luma`)
    plain       a varint, its length in bytes; then bit fields (`bitstreams.bits`):
                    for each DC difference that is not 0 its sign and extra bits, in the order of coding
                    for each magnitude from 17 on, of all planes: 4 bits, the size of what it has more than 16
                    then for each of them what follows the leading bit of that
    rANS        all symbols (`bitstreams.rans`); its first states hide the first signs
    signs       of all levels but DC that are not 0, the rest of them, plane by plane, in the order of phases, then
                frequencies, then places; filled up with zeros, as the plain bits are, which are not looked at
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import FieldReader, read_varint
from bitstreams.errors import FormatError, TruncatedError
from bitstreams.rans import RansDecoder, Tables
from codec import dc_pyramid
from codec.block_sizes import code_sizes, halve
from codec.chroma_from_luma import code_slopes, map_shape
from codec.contexts import ESCAPE, LAST, Surroundings, code_magnitudes, from_phases, pool, slopes
from codec.dc_pyramid import code_dc, extra_bits
from codec.scan import ZIGZAG
from codec.trained import PlaneModel, Trained
from codec.trellis import Chain

__all__ = [
    "SIZE_BITS",
    "CodedPlane",
    "Coder",
    "Head",
    "Plane",
    "StripDecoder",
    "code_plane",
    "code_strip",
    "sizes_of_chroma",
    "to_cells",
]

SIZE_BITS = 4
BYTES_A_LEVEL = 5  # at most: 19 plain bits, a word, a sign
LANES_BYTES = 1 << 17  # more than all other parts can take


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


class Head(NamedTuple):
    """What is told of a plane first.

    Attributes
    ----------
    last : int
        The last diagonal that is not all 0.
    explicit, trellis, sloped : bool
        Whether no level is implied to be 0; levels go through a trellis; detail follows luma.
    """

    last: int
    explicit: bool = False
    trellis: bool = False
    sloped: bool = False

    @classmethod
    def from_byte(cls, byte: int) -> Head:
        """Read it, or raise FormatError."""
        head = cls(byte & 0x1F, bool(byte & 0x80), bool(byte & 0x40), bool(byte & 0x20))
        if head.last > LAST:
            raise FormatError(f"frequencies up to diagonal {head.last}; the last is {LAST}")
        return head

    def to_byte(self) -> int:
        """Write it."""
        return self.last | self.explicit << 7 | self.trellis << 6 | self.sloped << 5


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
    second : (4, 63, N) bool array or None
        Which levels are of the trellis's second quantiser; None if there is no trellis.
    slopes : int8 array or None
        What detail is of luma's, in 1/8; None if it is not.
    """

    sizes: NDArray[np.uint8]
    dc: NDArray[np.int32]
    magnitudes: NDArray[np.float32]
    last: int
    missed: NDArray[np.float64]
    second: NDArray[np.bool_] | None = None
    slopes: NDArray[np.int8] | None = None


class Coder(Protocol):
    """What the walk needs of an encoder or a decoder."""

    def begin(self, plane: Plane) -> Head: ...

    def slopes(self, rows: int, columns: int) -> NDArray[np.int8]: ...

    def sizes(self, plane: Plane) -> NDArray[np.uint8]: ...

    def dc(
        self, contexts: NDArray[np.int32], predicted: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.integer]: ...

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]: ...

    def end(self, last: int) -> int: ...


def code_strip(coder: Coder, planes: Sequence[Plane]) -> list[CodedPlane]:
    """Walk through a strip."""
    coded: list[CodedPlane] = []
    for plane in planes:
        coded.append(code_plane(coder, plane, coded))
    return coded


def code_plane(coder: Coder, plane: Plane, coded: Sequence[CodedPlane]) -> CodedPlane:
    """Walk through a plane, in either direction, given those before it."""
    head = coder.begin(plane)
    along = coder.slopes(*map_shape(8 * plane.rows, 8 * plane.columns)) if head.sloped else None
    sizes = sizes_of_chroma(plane, coded) if plane.chroma else coder.sizes(plane)
    others, known = known_before(plane, coded)
    dc, missed = code_dc(coder.dc, plane.model.dc, plane.rows, plane.columns, others)
    surroundings = Surroundings(plane.rows, plane.columns, slopes(dc), known)
    code, second = coder.ac, None
    if head.trellis:
        chain = Chain(code, surroundings.places)
        code, second = chain.code, chain.second
    code_magnitudes(code, plane.model.ac, surroundings, head.last, head.explicit)
    last = coder.end(head.last)
    return CodedPlane(sizes, dc, surroundings.magnitudes(last), last, missed, second, along)


def sizes_of_chroma(plane: Plane, coded: Sequence[CodedPlane]) -> NDArray[np.uint8]:
    """Return luma's sizes of blocks at chroma's resolution."""
    return halve(coded[0].sizes) if plane.half else coded[0].sizes


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


class StripDecoder:
    """Reads levels.

    Parameters
    ----------
    data : bytes
        What holds the strip; it ends with it.
    at : int
        Index of its first byte.
    planes : sequence of Plane
    tables : Trained

    Raises
    ------
    FormatError, TruncatedError
        Here and in the methods, whatever the bytes are.
    """

    def __init__(self, data: bytes, at: int, planes: Sequence[Plane], tables: Trained) -> None:
        self._trained = tables
        if len(data) - at < len(planes):
            raise TruncatedError("the strip ends inside its header")
        levels = 64 * sum(plane.rows * plane.columns for plane in planes)
        if len(data) - at > BYTES_A_LEVEL * levels + LANES_BYTES:
            raise FormatError(f"{len(data) - at} bytes are more than {levels} levels can take")
        self._heads = [Head.from_byte(byte) for byte in data[at : at + len(planes)]]
        for plane, head in zip(planes, self._heads, strict=True):
            if head.sloped and not plane.chroma:
                raise FormatError("only chroma can follow luma")
        plain, at = read_varint(data, at + len(planes))
        if plain > len(data) - at:
            raise TruncatedError(f"plain bits take {plain} bytes, {max(0, len(data) - at)} are left")
        self._plain_bits = 8 * plain
        self._plain = FieldReader(data[at : at + plain])
        self._rans = RansDecoder(data, at + plain)
        self._tail = data[self._rans.end :]
        self._begun = 0

    def begin(self, plane: Plane) -> Head:
        self._tables = plane.model.tables
        self._begun += 1
        return self._heads[self._begun - 1]

    def decode(
        self, tables: Tables, contexts: NDArray[np.integer], places: NDArray[np.intp] | None, d: int = 0, phase: int = 0
    ) -> NDArray[np.uint8]:
        """Decode symbols: of slopes and block sizes without places, of DC at d = 0; what a tracer looks at."""
        return self._rans.code(tables, contexts)

    def slopes(self, rows: int, columns: int) -> NDArray[np.int8]:
        return code_slopes(lambda contexts, _: self.decode(self._trained.slopes, contexts, None), rows, columns, None)

    def sizes(self, plane: Plane) -> NDArray[np.uint8]:
        sizes = self._trained.sizes
        return code_sizes(lambda contexts, _: self.decode(sizes, contexts, None), plane.rows, plane.columns, None)

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
        """Return the levels of each plane after the walk, (64, rows, columns); those of a second quantiser less 1/2."""
        every = self.signed([plane.magnitudes for plane in coded], [plane.second for plane in coded])
        return [to_cells(plane.dc, of_plane) for plane, of_plane in zip(coded, every, strict=True)]

    def signed(
        self, clipped: Sequence[NDArray[np.float32]], seconds: Sequence[NDArray[np.bool_] | None]
    ) -> list[NDArray[np.float32]]:
        """Read what is at the end of a strip: what large magnitudes have more, and signs.

        Parameters
        ----------
        clipped : sequence of float32 arrays
            Magnitudes as they were coded, of any shapes.
        seconds : sequence of bool arrays or None
            Which of them are of a second quantiser, if there is one.

        Returns
        -------
        list of float32 arrays
            Levels, in the same shapes.
        """
        values = [magnitudes.reshape(-1) for magnitudes in clipped]
        places = [np.flatnonzero(each) for each in values]
        magnitudes = np.concatenate([each.take(there) for each, there in zip(values, places, strict=True)])
        self._add_escapes(magnitudes)
        if not 0 <= self._plain_bits - self._plain.at < 8:
            raise FormatError(f"{self._plain_bits} plain bits, of which {self._plain.at} are used")
        signs = self._rans.finish()[: magnitudes.size]
        rest = magnitudes.size - signs.size
        if -(-rest // 8) != len(self._tail):
            raise FormatError(f"{len(self._tail)} bytes where {rest} signs belong")
        signs = np.concatenate([signs, np.unpackbits(np.frombuffer(self._tail, np.uint8), count=rest)])
        for second, there, part in zip(seconds, places, _each(magnitudes, places), strict=True):
            if second is not None:
                part[...] -= np.float32(0.5) * second.reshape(-1).take(there)
        magnitudes *= np.float32(1) - np.float32(2) * signs
        levels = []
        for each, there, part in zip(clipped, places, _each(magnitudes, places), strict=True):
            found = np.zeros(each.shape, np.float32)
            found.reshape(-1)[there] = part
            levels.append(found)
        return levels

    def _add_escapes(self, magnitudes: NDArray[np.float32]) -> None:
        """Add to magnitudes of 17 what they have more, in place."""
        large = np.flatnonzero(magnitudes == ESCAPE)
        if large.size:
            size = self._plain.read(np.full(large.size, SIZE_BITS)).astype(np.int64)
            magnitudes[large] = (ESCAPE - 1) + (1 << size | self._plain.read(size).astype(np.int64))


def to_cells(dc: NDArray[np.integer], levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put DC levels and all others (4, 63, N) into one array: (64, rows, columns), frequencies in raster order."""
    cells = np.empty((64, *dc.shape), np.float32)
    cells[0] = dc
    cells[ZIGZAG[1:]] = from_phases(levels, *dc.shape)
    return cells


def _each(levels: NDArray[np.float32], places: Sequence[NDArray[np.intp]]) -> list[NDArray[np.float32]]:
    """Split the levels of all planes into those of each: views."""
    return np.split(levels, np.cumsum([there.size for there in places])[:-1])
