"""`tcodec rd`: rate-distortion curves of pictures and videos, against other codecs, from real files.

    inputs -> sources, codecs -> cells -> sweep -> comparisons -> report

Each input is coded by each codec at each step of its ladder of qualities, decoded, and measured; the report's folder
then holds the figures, the curves and a page to look at (`benchmarks.results`, `benchmarks.page`), and also every cell
that was measured, so that the next call measures only what is new.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeVar

from benchmarks import ablation
from benchmarks.cells import Cell, Row, describe
from benchmarks.codecs import AnyCodec, PictureCodec, VideoCodec, choose, known
from benchmarks.crops import crops_of, original
from benchmarks.curves import Comparison
from benchmarks.distortion import DEFAULTS, measures
from benchmarks.page import page
from benchmarks.pool import Crew, cluster, processes
from benchmarks.results import Results, summary, to_json, write, write_files
from benchmarks.sources import Source, find_sources
from benchmarks.sweep import Store, Swept, Work, cells_of, sweep
from bitstreams.errors import CodecError
from codec.commands import batch

__all__ = ["run"]

RIVALS = {  # of pictures, of clips
    False: ("jpeg", "webp", "avif", "jxl", "jp2"),
    True: ("mjpeg", "mpeg1", "mpeg2", "mpeg4", "h264", "h265"),
}
KINDS: dict[bool, type[AnyCodec]] = {False: PictureCodec, True: VideoCodec}
LOOKED_AT = 6  # sources of each kind of which the page shows pictures: each takes half a megabyte of it

AnyWork = TypeVar("AnyWork", bound=Work)


class _Plan(NamedTuple):
    """What is compared on sources of a kind.

    Attributes
    ----------
    video : bool
    sources : list of Source
    whole : list of Codec
        This project's codecs.
    codecs : list of Codec
        All of them.
    measures : list of str
    """

    video: bool
    sources: list[Source]
    whole: list[AnyCodec]
    codecs: list[AnyCodec]
    measures: list[str]


class _Remarks(NamedTuple):
    """Lines for people, told as they come up: what is left out, what went wrong."""

    left_out: list[str]
    failures: list[str]

    def fail(self, line: str) -> None:
        """Tell and note what went wrong."""
        self.failures.append(line)
        batch.say(f"tcodec: {line}")

    def leave_out(self, line: str, quiet: bool) -> None:
        """Tell and note what is not compared."""
        self.left_out.append(line)
        if not quiet:
            batch.say(f"left out: {line}")


def run(args: argparse.Namespace) -> int:
    """Measure, and write the report; return the exit status: 1 if anything went wrong, whatever else is there."""
    remarks = _Remarks([], [])
    found = find_sources(args.inputs, args.frames, args.output)
    for line in found.problems:
        remarks.fail(line)
    if not args.quiet:
        for line in found.notes:
            batch.say(line)
    plans = _plan(args, found.sources, remarks)
    if not plans:
        raise CodecError("there is nothing to compare")
    args.output.mkdir(parents=True, exist_ok=True)
    store = Store(args.output / "cells.jsonl")
    with cluster(args.cluster) if args.cluster else nullcontext(processes(args.jobs)) as crew:
        comparisons = [_compare(plan, crew, store, args, remarks) for plan in plans]
        pictures = _look(plans, comparisons, crew, store, args, remarks)
    command = shlex.join(["tcodec", *args.argv])
    notes = [*found.notes, *(note for comparison in comparisons for note in _notes(comparison))]
    document = Results(command, comparisons, remarks.left_out, remarks.failures, notes).document()
    if args.ablate:
        pairs = zip(plans, comparisons, strict=True)
        document["ablation"] = [each for plan, own in pairs for each in ablation.ablate(own, plan.whole)]
    write_files(document, comparisons, args.output)
    write(args.output / "index.html", page(document, comparisons, pictures, "Rate and distortion"))
    print(to_json(document) if args.json else summary(document), end="")
    if not args.quiet:
        batch.say(f"the report is in {args.output / 'index.html'}")
    return batch.FAILED if remarks.failures else 0


def _plan(args: argparse.Namespace, sources: Sequence[Source], remarks: _Remarks) -> list[_Plan]:
    """Decide which codecs are compared by which measures, for pictures and for clips, those that there are."""
    _name_unknown(args, remarks)
    plans = []
    for video, kind in KINDS.items():
        own = [source for source in sources if source.video == video]
        wanted = [name for name in args.metric or DEFAULTS[video] if name in measures(video)]
        if own and not wanted:
            remarks.fail(f"no measure of {'clips' if video else 'pictures'} is left")
        if not own or not wanted:
            continue
        whole, _ = choose(["tcodec"], kind)
        if args.ablate:
            plans.append(_Plan(video, own, whole, ablation.codecs_to_compare(whole), wanted))
            continue
        rivals, left_out = choose(RIVALS[video] if args.against is None else args.against, kind)
        for line in left_out:
            remarks.leave_out(line, args.quiet)
        plans.append(_Plan(video, own, whole, list({c.name: c for c in (*whole, *rivals)}.values()), wanted))
    return plans


def _name_unknown(args: argparse.Namespace, remarks: _Remarks) -> None:
    """Note names of codecs and measures that nothing is called."""
    names = [name for kind in KINDS.values() for name in known(kind)]
    for name in args.against or ():
        if not any(f"{each}-".startswith(f"{name}-") for each in names):
            remarks.fail(f"no codec is called {name!r}; known are {', '.join(dict.fromkeys(names))}")
    of_any = dict.fromkeys(measures(False) + measures(True))
    for name in args.metric or ():
        if name not in of_any:
            remarks.fail(f"no measure is called {name!r}; known are {', '.join(of_any)}")


def _compare(plan: _Plan, crew: Crew, store: Store, args: argparse.Namespace, remarks: _Remarks) -> Comparison:
    """Measure all cells of a plan."""
    cells = cells_of(plan.sources, plan.codecs, plan.measures)
    swept = _sweep(cells, crew, store, args, remarks, "cells")
    rows: list[Row] = [
        {"source": cell.source.name, "codec": cell.codec.name, **row}
        for cell, row in zip(cells, swept.rows, strict=True)
        if row is not None
    ]
    return Comparison(
        plan.video,
        [source.name for source in plan.sources],
        [codec.name for codec in plan.codecs],
        plan.measures,
        {codec.name: codec.version() for codec in plan.codecs},
        {source.name: describe(source.load()) for source in plan.sources},
        rows,
    )


def _notes(comparison: Comparison) -> list[str]:
    """Say what is to be known of means."""
    sizes = {(size["width"], size["height"]) for size in comparison.sizes.values()}
    return [f"{comparison.kind} of {len(sizes)} sizes: means count each alike"] if len(sizes) > 1 else []


def _look(
    plans: Sequence[_Plan],
    comparisons: Sequence[Comparison],
    crew: Crew,
    store: Store,
    args: argparse.Namespace,
    remarks: _Remarks,
) -> dict[str, Any]:
    """Return the pictures that the page shows side by side, by the names of their sources."""
    pictures: dict[str, Any] = {}
    for plan, comparison in zip(plans, comparisons, strict=True):
        crops = crops_of(comparison, plan.sources[:LOOKED_AT], plan.codecs)
        swept = _sweep(crops, crew, store, args, remarks, "pictures to look at")
        for crop, row in zip(crops, swept.rows, strict=True):
            if row is not None:
                if crop.source.name not in pictures:
                    pictures[crop.source.name] = {**original(crop.source), "bpp": crop.bpp, "pictures": {}}
                pictures[crop.source.name]["pictures"][crop.codec.name] = row
    return pictures


def _sweep(
    work: Sequence[AnyWork], crew: Crew, store: Store, args: argparse.Namespace, remarks: _Remarks, unit: str
) -> Swept:
    swept = sweep(work, crew, store, _name, bar=not args.quiet, unit=unit)
    for line in swept.failures:
        remarks.fail(line)
    return swept


def _name(work: Any) -> str:
    """Say what was being done when it went wrong."""
    setting = f"quality {work.quality:g}" if isinstance(work, Cell) else f"{work.bpp:g} bits a pixel"
    return f"{work.source.name}, {work.codec.name}, {setting}"
