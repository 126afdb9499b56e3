"""Decoding laid open: every intermediate of a file as an array, and where each of its bits went.

`trace_image` runs the decoder's own stages and keeps what lies between them; the parts of its ledger add up to the
file's size. It is meant for looking at, not for speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import FRAMING, PREAMBLE
from bitstreams.errors import UnsupportedError
from bitstreams.huffman import Stream
from bitstreams.ledger import FILE, Ledger
from codec import color, quantize
from codec.baseline import Baseline, Group
from codec.coefficients import Coded
from codec.image import INDEX, SIZE_LIMIT, Header, decode_image, read_strips
from codec.main_trace import MainPlaneTrace, trace_strip
from codec.scan import EOB, ZIGZAG

__all__ = ["PlaneTrace", "Trace", "find_tracer", "trace_image"]

GROUP = "tcodec.tracers"

Number = TypeVar("Number", bound=np.number)
AnyPlane = TypeVar("AnyPlane", "PlaneTrace", MainPlaneTrace)


@dataclass(frozen=True)
class PlaneTrace:
    """What decoding made of one plane of the baseline profile.

    All strips are together, with the padding of each strip to whole macroblocks.

    Attributes
    ----------
    dc_sizes : (N,) uint8 array
        DC symbols: the size of each block's difference to its prediction.
    ac_symbols : (S,) uint8 array
        AC symbols, size << 4 | run.
    levels : (rows, columns, 8, 8) int16 array
        Quantised coefficients, by vertical and horizontal frequency.
    coefficients : (rows, columns, 8, 8) float32 array
        The same, dequantised.
    samples : (8 * rows, 8 * columns) float32 array
        After the inverse transform, centred on 0.
    restored : (8 * rows, 8 * columns) float32 array
        After restoration (`codec.restoration`); luma alone is restored, and of it such strips as say so.
    upsampled : float32 array
        The same at the picture's resolution: twice the sides for chroma with 4:2:0 sampling. The decoder itself
        upsamples what chroma adds to R, G and B (`color.chroma_offsets`), which is the same but for rounding.
    bits : (rows, columns) int64 array
        Bits of each block: code words, signs and mantissas.
    """

    dc_sizes: NDArray[np.uint8]
    ac_symbols: NDArray[np.uint8]
    levels: NDArray[np.int16]
    coefficients: NDArray[np.float32]
    samples: NDArray[np.float32]
    restored: NDArray[np.float32]
    upsampled: NDArray[np.float32]
    bits: NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """Everything between a file's bytes and its pixels.

    Attributes
    ----------
    header : Header
    planes : dict of str to PlaneTrace or MainPlaneTrace
        By name: Y, Cb, Cr, A, those that the picture has; which of the two is the profile's. Luma of the token profile
        has more to tell (`transformers_np.token_trace`).
    pixels : (H, W) or (H, W, C) uint8 array
        As from `decode_image`.
    ledger : Ledger
        Where every bit of the file went.
    """

    header: Header
    planes: dict[str, Any]
    pixels: NDArray[np.uint8]
    ledger: Ledger


def trace_image(data: bytes, *, size_limit: int = SIZE_LIMIT) -> Trace:
    """Decode a picture and keep every intermediate.

    Parameters
    ----------
    data : bytes
        A `.tjpg` file.
    size_limit : int
        Pixels above which the file is refused.

    Returns
    -------
    Trace

    Raises
    ------
    CodecError
        As from `decode_image`; UnsupportedError for a profile without a tracer.
    """
    header, strips = read_strips(data, size_limit)
    stages, trace = header.stages, find_tracer(header.profile)
    ledger = Ledger()
    ledger.record(FILE, "signature, version", 8 * PREAMBLE)
    ledger.record(FILE, "header", 8 * len(header.to_bytes()))
    metadata = [blob for blob in (header.icc, header.exif) if blob is not None]
    if metadata:
        ledger.record(FILE, "metadata", 8 * sum(map(len, metadata)))
    ledger.record(FILE, "chunks", 8 * FRAMING * (2 + len(metadata) + len(strips)))
    ledger.record(FILE, "strip numbers", 8 * INDEX.size * len(strips))
    parts: dict[str, list[Any]] = {}  # of either kind
    for index, chunk in enumerate(strips):
        first, last = header.strip_rows(index)
        height, width = (-(-side // stages.macroblock) * stages.macroblock for side in (last - first, header.width))
        of_strip = trace(stages, chunk.payload, INDEX.size, height, width, ledger)
        for name, part in of_strip.items():
            parts.setdefault(name, []).append(part)
    planes = {name: _join(of_strips) for name, of_strips in parts.items()}
    return Trace(header, planes, decode_image(data, size_limit=size_limit), ledger)


def _trace_baseline(
    stages: Baseline, data: bytes, at: int, height: int, width: int, ledger: Ledger
) -> dict[str, PlaneTrace]:
    """Decode a strip of the baseline profile, and record all its bits; parameters are those of `trace_strip`."""
    restored, coded = stages.read_strip(data, at, height, width)
    if stages.restored:
        ledger.record(FILE, "restoration", 8)
    _record_strip(ledger, stages.groups, coded, at + stages.restored)
    traces = {}
    for group, inverse, of_group in zip(stages.groups, stages.inverses, coded, strict=True):
        for plane, name in enumerate(group.planes):
            zigzag = of_group.levels(plane)
            levels = _square(zigzag.astype(np.int16))
            coefficients = _square(quantize.dequantize(zigzag.astype(np.int16), group.steps))
            samples = inverse(zigzag) / np.float32(inverse.unit)
            final = samples
            if restored and name == "Y":
                final = stages.restore(zigzag)[1] / np.float32(inverse.unit)
            upsampled = color.double(final) if group.size == 16 else final
            bits = _block_bits(of_group, plane)
            traces[name] = PlaneTrace(*of_group.symbols(plane), levels, coefficients, samples, final, upsampled, bits)
    return traces


TRACERS: dict[str, Callable[..., Mapping[str, Any]]] = {"main": trace_strip, "baseline": _trace_baseline}


@cache
def find_tracer(profile: str) -> Callable[..., Mapping[str, Any]]:
    """Return what lays the strips of a profile open, or raise UnsupportedError.

    It is called as `codec.main_trace.trace_strip` is. That of a profile from another package is an entry point of the
    profile's name in the group `tcodec.tracers`.
    """
    if profile in TRACERS:
        return TRACERS[profile]
    found = entry_points(group=GROUP)
    if profile not in found.names:
        raise UnsupportedError(f"no trace of profile {profile!r}")
    tracer: Callable[..., Mapping[str, Any]] = found[profile].load()
    return tracer


def _join(strips: Sequence[AnyPlane]) -> AnyPlane:
    """Put the strips of a plane together."""
    return type(strips[0])(
        *(np.concatenate(parts) for parts in zip(*(vars(strip).values() for strip in strips), strict=True))
    )


def _square(zigzag: NDArray[Number]) -> NDArray[Number]:
    """Turn (rows, columns, 64) in zigzag order to (rows, columns, 8, 8) by frequency."""
    raster = np.empty_like(zigzag)
    raster[..., ZIGZAG] = zigzag
    return raster.reshape(*zigzag.shape[:2], 8, 8)


def _word_bits(stream: Stream, symbols: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the length of each symbol's code word."""
    return stream.code.lengths.take(symbols).astype(np.int64)


def _block_bits(coded: Coded, plane: int) -> NDArray[np.int64]:
    """Return the bits of each block of a plane: (rows, columns)."""
    dc_sizes, ac_symbols = coded.symbols(plane)
    # A value's sign and mantissa take as many bits as its size.
    dc = _word_bits(coded.dc, dc_sizes) + dc_sizes
    ac = _word_bits(coded.ac, ac_symbols) + (ac_symbols >> 4)
    starts = np.append(0, np.flatnonzero(ac_symbols == EOB)[:-1] + 1)
    return (dc + np.add.reduceat(ac, starts)).reshape(coded.shape[1:])


def _record_strip(ledger: Ledger, groups: Sequence[Group], coded: Sequence[Coded], at: int) -> None:
    """Record every bit of a strip's levels, which begin at an index."""
    signs = mantissas = 0
    counts = coded[0].dc.start - at  # bytes before the first code word that are neither table nor entry point
    for group, of_group in zip(groups, coded, strict=True):
        words = 0
        for plane, name in enumerate(group.planes):
            dc_sizes, ac_symbols = of_group.symbols(plane)
            dc, ac = (int(_word_bits(*pair).sum()) for pair in ((of_group.dc, dc_sizes), (of_group.ac, ac_symbols)))
            sizes = np.concatenate([dc_sizes, ac_symbols >> 4])
            sign, mantissa = int(np.count_nonzero(sizes)), int(np.maximum(sizes.astype(np.int64) - 1, 0).sum())
            parts: dict[str, int] = {"DC code words": dc, "AC code words": ac, "signs": sign, "mantissas": mantissa}
            for kind, bits in parts.items():
                ledger.record(name, kind, bits)
            words, signs, mantissas = words + dc + ac, signs + sign, mantissas + mantissa
        for kind, stream in (("DC", of_group.dc), ("AC", of_group.ac)):
            ledger.record(" ".join(group.planes), f"{kind} code table", 8 * stream.table_bytes)
            ledger.record(" ".join(group.planes), f"{kind} entry points", 8 * stream.entry_bytes)
            counts -= stream.table_bytes + stream.entry_bytes
        ledger.record(FILE, "padding", 8 * (of_group.dc.size + of_group.ac.size) - words)
    ledger.record(FILE, "padding", -signs % 8 + -mantissas % 8)
    ledger.record(FILE, "symbol counts", 8 * counts)
