"""`tcodec rd`: rate-distortion curves of pictures and videos, against other codecs, from real files.

    inputs -> sources, codecs -> cells -> sweep -> comparisons -> report

Each input is coded by each codec at each step of its ladder of qualities, decoded, and measured; the report's folder
then holds the figures, the curves and a page to look at (`benchmarks.results`, `benchmarks.page`), and also every cell
that was measured, so that the next call measures only what is new.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import ablation
from benchmarks.cells import Row, Setting
from benchmarks.codecs import CLASSES, AnyCodec, choose, misplaced, refuse_unknown
from benchmarks.crops import crops_of, original
from benchmarks.curves import Comparison
from benchmarks.distortion import DEFAULTS, measures
from benchmarks.page import page
from benchmarks.pool import Crew, cluster, processes
from benchmarks.results import Results, rounded, summary, to_json, write, write_files
from benchmarks.sources import CLIPS, PICTURES, REPORTS, Kind, Source, find_sources
from benchmarks.sweep import Store, Work, cells_of, sweep
from bitstreams.errors import CodecError
from codec.commands import batch

__all__ = ["run"]

RIVALS: dict[Kind, Sequence[str]] = {
    PICTURES: ("jpeg", "webp", "avif", "jxl", "jp2"),
    CLIPS: ("mjpeg", "mpeg1", "mpeg2", "mpeg4", "h264", "h265"),
}
ALWAYS = ("quality", "bytes", "bpp", "kbit/s", "encoding_time", "decoding_time")  # what a row has beside the measures
LOOKED_AT = 6  # sources of each kind of which the page shows pictures: each takes half a megabyte of it


class _Plan(NamedTuple):
    """What is compared on sources of a kind: this project's codecs, all of them, and by which measures."""

    kind: Kind
    sources: list[Source]
    ours: list[AnyCodec]
    settings: list[Setting]
    measures: list[str]


@dataclass
class _Remarks:
    """Lines for people, told as they come up and kept for the report: what is left out, what went wrong."""

    quiet: bool
    left_out: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def fail(self, *lines: str) -> None:
        """Tell and keep what went wrong."""
        for line in lines:
            self.failures.append(line)
            batch.say(f"tcodec: {line}")

    def leave_out(self, *lines: str) -> None:
        """Tell and keep what is not compared."""
        for line in lines:
            self.left_out.append(line)
            self.say(f"left out: {line}")

    def say(self, line: str) -> None:
        """Tell what need not be kept."""
        if not self.quiet:
            batch.say(line)


def run(args: argparse.Namespace) -> int:
    """Measure, and write the report; return the exit status: 1 if anything went wrong, whatever else is there."""
    try:
        return _run(args)
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or SIGTERM: nobody waits for what is being measured
        for worker in multiprocessing.active_children():
            worker.kill()
        batch.say(f"interrupted; what was finished is kept in {args.output}: call again to go on")
        raise


def _run(args: argparse.Namespace) -> int:
    if args.output.resolve() in {Path(name).resolve() for name in args.inputs}:
        raise CodecError(f"{args.output}: the report would be among the inputs; give it a folder of its own with -o")
    _refuse_unknown_names(args)
    remarks = _Remarks(args.quiet)
    found = find_sources(args.inputs, args.frames)
    remarks.fail(*found.problems)
    for line in found.notes:
        remarks.say(line)
    plans = _plan(args, found.sources, remarks)
    if not plans:
        raise CodecError("there is nothing to compare")
    args.output.mkdir(parents=True, exist_ok=True)
    store = Store(args.output / REPORTS[0])
    with cluster(args.cluster) if args.cluster is not None else nullcontext(processes(args.jobs)) as crew:
        comparisons = [_compare(plan, crew, store, remarks) for plan in plans]
        pictures = [_look(*both, crew, store, remarks) for both in zip(plans, comparisons, strict=True)]
    document = Results(
        shlex.join(["tcodec", *args.argv]),
        [source for plan in plans for source in plan.sources],
        comparisons,
        {setting.codec.name: setting.version for plan in plans for setting in plan.settings},
        remarks.left_out,
        remarks.failures,
        [*found.notes, *(note for plan in plans for note in _notes(plan))],
    ).document()
    if args.ablate:
        document["ablation"] = rounded(
            [
                each
                for plan, comparison in zip(plans, comparisons, strict=True)
                for each in ablation.ablate(comparison, document["bd_rates"][plan.kind], plan.ours)
            ]
        )
    write_files(document, comparisons, args.output)
    looks = {name: each for of_kind in pictures for name, each in of_kind.items()}
    write(args.output / "index.html", page(document, comparisons, looks, "Rate and distortion"))
    print(to_json(document) if args.json else summary(document), end="")
    remarks.say(f"the report is in {args.output / 'index.html'}")
    return batch.FAILED if remarks.failures else 0


def _refuse_unknown_names(args: argparse.Namespace) -> None:
    """Raise a CodecError if there is no such codec or measure: a slip of the pen must not cost hours of measuring."""
    refuse_unknown(args.against or ())
    every = dict.fromkeys(name for kind in CLASSES for name in measures(kind))
    nothing = [repr(name) for name in args.metric or () if name not in every]
    if nothing:
        raise CodecError(f"no measure is called {' or '.join(nothing)}; known are {', '.join(every)}")


def _plan(args: argparse.Namespace, sources: Sequence[Source], remarks: _Remarks) -> list[_Plan]:
    """Decide which codecs are compared by which measures, for pictures and for clips, those that there are."""
    by_kind = {kind: [source for source in sources if source.kind == kind] for kind in CLASSES}
    by_kind = {kind: own for kind, own in by_kind.items() if own}
    against, metric = _names(args, list(by_kind), remarks)
    plans = []
    for kind, own in by_kind.items():
        wanted = [name for name in metric or DEFAULTS[kind] if name in measures(kind)]
        if not wanted:
            remarks.fail(f"no measure of {kind} is left")
            continue
        ours, _ = choose(["tcodec"], kind)
        if args.ablate:
            codecs = ablation.codecs_to_compare(ours)
        else:
            rivals, left_out = choose(RIVALS[kind] if args.against is None else against, kind)
            remarks.leave_out(*left_out)
            codecs = [*ours, *(rival for rival in rivals if rival.name not in {codec.name for codec in ours})]
        plans.append(_Plan(kind, own, ours, [Setting.of(codec) for codec in codecs], wanted))
    return plans


def _names(args: argparse.Namespace, kinds: Sequence[Kind], remarks: _Remarks) -> tuple[list[str], list[str]]:
    """Return the codecs and measures that are asked for, each once; tell which are not for these kinds."""
    against, metric = (list(dict.fromkeys(names or ())) for names in (args.against, args.metric))
    remarks.leave_out(*misplaced(against, kinds))
    for kind in kinds:
        remarks.leave_out(*(f"{m}: no measure of {kind}" for m in metric if m not in measures(kind)))
    return against, metric


def _compare(plan: _Plan, crew: Crew, store: Store, remarks: _Remarks) -> Comparison:
    """Measure all cells of a plan."""
    cells = cells_of(plan.sources, plan.settings, plan.measures)
    columns = {*ALWAYS, *plan.measures}  # a row that is kept may have more
    rows: list[Row] = [
        {"source": cell.source.name, "codec": cell.setting.codec.name}
        | {key: value for key, value in row.items() if key in columns}
        for cell, row in zip(cells, _sweep(cells, crew, store, remarks, "cells"), strict=True)
        if row is not None
    ]
    ladders = {setting.codec.name: setting.codec.ladder for setting in plan.settings}
    return Comparison(plan.kind, [source.name for source in plan.sources], ladders, plan.measures, rows)


def _look(plan: _Plan, comparison: Comparison, crew: Crew, store: Store, remarks: _Remarks) -> dict[str, Any]:
    """Return the pictures that the page shows side by side, by the names of their sources."""
    crops = crops_of(comparison, plan.sources[:LOOKED_AT], plan.settings)
    pictures: dict[str, Any] = {}
    for crop, row in zip(crops, _sweep(crops, crew, store, remarks, "pictures to look at"), strict=True):
        if row is not None:
            if crop.source.name not in pictures:
                pictures[crop.source.name] = {**original(crop.source), "bpp": crop.bpp, "pictures": {}}
            pictures[crop.source.name]["pictures"][crop.setting.codec.name] = row
    return pictures


def _sweep(work: Sequence[Work], crew: Crew, store: Store, remarks: _Remarks, unit: str) -> list[Row | None]:
    swept = sweep(work, crew, store, bar=not remarks.quiet, unit=unit)
    if swept.known:
        remarks.say(f"{swept.known} of {len(work)} {unit} are known from before")
    remarks.fail(*swept.failures)
    return swept.rows


def _notes(plan: _Plan) -> list[str]:
    """Say what is to be known of means."""
    sizes = {source.size[:2] for source in plan.sources}
    return [f"{plan.kind} of {len(sizes)} sizes: means count each alike"] if len(sizes) > 1 else []
