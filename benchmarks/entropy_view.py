"""`tcodec entropy`: the Shannon bound, the bits of code words and the bytes of files, side by side.

A symbol of probability p is worth -log2 p bits, and the mean of that, the entropy, is what no code of single symbols
gets below (`bitstreams.entropy`). Beside it stand the bits that the file has in its place: Huffman words are above the
bound, and symbols coded in contexts (the main profile's) below it, since what is around a symbol tells more than how
often it occurs. Signs and mantissas have no statistics worth a code, and tables and the container no bound: they are
counted as they are.

Pictures and clips are shown before and after quantisation. "Before" is a file whose steps are all 1, with plain
rounding: coefficients as whole numbers, which is all that the samples had. A .tjpg or .tvid file is shown as it is;
what it was before quantisation, it does not know any more.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import codec
from benchmarks import harness
from benchmarks.sources import SUFFIXES, Footage, Pixels, find_sources
from benchmarks.video_codecs import write_tvid
from bitstreams.chunks import read_chunks
from bitstreams.entropy import entropy_bits
from bitstreams.errors import CodecError
from bitstreams.symbols import HuffmanDecoder
from codec import video
from codec.commands import batch, streams
from codec.main_trace import MainPlaneTrace
from codec.syntax import KINDS
from codec.trace import PlaneTrace

__all__ = ["Part", "View", "run", "view_content", "view_file"]

CODED = {".tjpg", ".tvid"}
CODED_AS = ("code words", "symbols")  # what a ledger calls the bits of symbols
FINEST = 100  # the quality at which all steps are 1


class Part(NamedTuple):
    """Symbols of a kind: how many there are, what they are worth, and what the file takes for them, in bits."""

    symbols: int
    bound: float
    coded: int

    def plus(self, symbols: int, bound: float, coded: int) -> Part:
        """Return this part with more symbols."""
        return Part(self.symbols + symbols, self.bound + bound, self.coded + coded)


class View(NamedTuple):
    """Where the bits of a file are.

    Attributes
    ----------
    parts : dict of str to Part
        By kinds of symbols.
    plain : int
        Bits that stand in the file as they are: signs and mantissas.
    rest : int
        Tables, entry points and the container.
    levels : float or None
        What the levels are worth one by one, each frequency of each plane by its own statistics; of pictures.
    size : int
        Bytes of the file.
    pixels : int
        Of all frames.
    """

    parts: dict[str, Part]
    plain: int
    rest: int
    levels: float | None
    size: int
    pixels: int

    @property
    def bound(self) -> float:
        """What all symbols and plain bits are worth."""
        return sum(part.bound for part in self.parts.values()) + self.plain

    @property
    def coded(self) -> int:
        """What all symbols and plain bits take."""
        return sum(part.coded for part in self.parts.values()) + self.plain


def view_picture(data: bytes) -> View:
    """Look at a `.tjpg` file of the main or the baseline profile."""
    trace = codec.trace_image(data)
    parts: dict[str, Part] = {}
    bits = trace.ledger.by(1)
    for planes in (("Y",), ("Cb", "Cr"), ("A",)):  # that the baseline profile has the same codes for
        own = [trace.planes[name] for name in planes if name in trace.planes]
        for kind in ("DC", "AC"):
            if own:
                every = np.concatenate([_symbols(plane, kind) for plane in own])
                taken = sum(trace.ledger.bits[name, f"{kind} {word}"] for name in planes for word in CODED_AS)
                parts[f"{' '.join(planes)} {kind}"] = Part(every.size, entropy_bits(every), taken)
    plain = bits["signs"] + bits["mantissas"]
    rest = 8 * len(data) - plain - sum(part.coded for part in parts.values())
    frequencies = [plane.levels.reshape(-1, 64).T for plane in trace.planes.values()]
    levels = sum(entropy_bits(each) for plane in frequencies for each in plane)
    return View(parts, plain, rest, levels, len(data), trace.header.width * trace.header.height)


def _symbols(plane: PlaneTrace | MainPlaneTrace, kind: str) -> NDArray[np.uint8]:
    """Return the symbols of a kind of a plane."""
    if kind == "AC":
        return plane.ac_symbols
    return plane.dc_symbols if isinstance(plane, MainPlaneTrace) else plane.dc_sizes


def view_video(data: bytes) -> View:
    """Look at a `.tvid` file."""
    parts = dict.fromkeys(KINDS, Part(0, 0.0, 0))
    plain = frames = 0
    header = None
    for chunk in read_chunks(data, video.KIND):
        if chunk.type == video.HEAD:
            header = video.Header.from_bytes(chunk.payload)
        if chunk.type == video.GROUP:
            group, at = video.GroupHeader.from_bytes(chunk.payload)
            frames += len(group.times)
            coder = HuffmanDecoder(chunk.payload, at, KINDS)
            plain += coder.plain_bits
            for kind, found in coder.statistics().items():
                parts[kind] = parts[kind].plus(*found)
    if header is None:
        raise CodecError("the header is missing")
    rest = 8 * len(data) - plain - sum(part.coded for part in parts.values())
    return View(parts, plain, rest, None, len(data), frames * header.format.width * header.format.height)


def view_content(content: Pixels | Footage, quality: float) -> dict[str, View]:
    """Encode a picture or clip, and look at it before and after quantisation."""
    if isinstance(content, Footage):
        files = []
        for step, without in ((FINEST, {"level-choice", "cascade"}), (quality, set())):
            file = io.BytesIO()
            write_tvid(content, file, quality=step, without=without)
            files.append(file.getvalue())
        views = [view_video(data) for data in files]
    else:
        before = codec.encode_image(content, FINEST, tune="psnr", without={"rdoq"})
        views = [view_picture(data) for data in (before, codec.encode_image(content, quality))]
    return dict(zip(("before", f"quality {quality:g}"), views, strict=True))


def view_file(path: Path) -> dict[str, View]:
    """Look at a `.tjpg` or `.tvid` file as it is."""
    data = path.read_bytes()
    return {"file": view_video(data) if streams.is_video(path) else view_picture(data)}


def table(views: Mapping[str, View]) -> str:
    """Lay views out side by side: numbers of symbols, bounds, bits, and how far above the bound they are."""
    header = ["bits"]
    for name in views:
        header += [f"{name}: symbols", "Shannon", "coded", "above"]
    columns = [_column(view) for view in views.values()]
    labels = dict.fromkeys(label for column in columns for label in column)
    return harness.table(header, [[label, *(cell for column in columns for cell in column[label])] for label in labels])


def _column(view: View) -> dict[str, list[str]]:
    """Return the four cells of a view in each row."""

    def cells(bound: float | None, bits: int | None, symbols: str = "") -> list[str]:
        both = bound and bits is not None
        return [
            symbols,
            "" if bound is None else f"{bound:,.0f}",
            "" if bits is None else f"{bits:,}",
            f"{bits / bound - 1:+.1%}" if both else "",  # type: ignore[operator]
        ]

    rows = {kind: cells(part.bound, part.coded, f"{part.symbols:,}") for kind, part in view.parts.items()}
    rows |= {
        "signs, mantissas": cells(view.plain, view.plain),
        "all of these": cells(view.bound, view.coded),
        "tables, container": cells(None, view.rest),
        "file": cells(view.bound, 8 * view.size),
        "bytes of the file": cells(None, view.size),
        "bits a pixel": ["", f"{view.bound / view.pixels:.3f}", f"{8 * view.size / view.pixels:.3f}", ""],
    }
    if view.levels is not None:
        rows["levels one by one"] = cells(view.levels, None)
    return rows


def run(args: argparse.Namespace) -> int:
    """Look at all inputs; return the exit status."""
    records: dict[str, dict[str, View]] = {}
    problems: list[str] = []
    for name in args.inputs:
        try:
            paths = [path for path, _ in batch.find([name], SUFFIXES | CODED)]
        except CodecError as error:
            problems.append(batch.explain(error))
            continue
        for path in paths:
            try:
                records[str(path)] = _view(path, args)
            except (CodecError, OSError, MemoryError) as error:
                problems.append(batch.explain(error, path))
    if args.json:
        print(json.dumps({name: _record(views) for name, views in records.items()}, indent=1))
    elif records:
        print("\n\n".join(f"{name}\n\n{table(views)}" for name, views in records.items()))
    for line in problems:
        batch.say(f"tcodec: {line}")
    return batch.FAILED if problems else 0


def _view(path: Path, args: argparse.Namespace) -> dict[str, View]:
    """Look at a file; tell what of it cannot be looked at as it is."""
    if path.suffix.lower() in CODED:
        return view_file(path)
    found = find_sources([str(path)], args.frames)
    if found.problems:
        raise CodecError(found.problems[0])
    for line in [] if args.quiet else found.notes:
        batch.say(line)
    return view_content(found.sources[0].load(), args.quality)


def _record(views: Mapping[str, View]) -> dict[str, Any]:
    """Return views as JSON can hold them."""
    return {
        name: {**view._asdict(), "parts": {kind: part._asdict() for kind, part in view.parts.items()}}
        for name, view in views.items()
    }
