"""What a sweep has found, as files: `results.json` first, and all others made of it.

    results.json    everything; in the layout of CompressAI's benchmarks, with more beside it
    results.csv     a row for every point
    results.md      tables of BD-rates, or of what stages are worth
    *.png           curves: the mean of all pictures, and each source by itself in curves/
    index.html      all of it to look at (`benchmarks.page`)

`results.json` is an object:

    name, description, command, environment
    codecs          for each: name, description, kind ("pictures" or "clips"), sources (how many), and
        results     lists of the same length, a point of the mean curve each: quality, bpp, the measures,
                    encoding_time and decoding_time (seconds of CPU time)
    sources         for each: name, kind, width, height, frames
    bd_rates        kind, measure: the names of the codecs, and matrices of percents for "mean" and for each source;
                    row i, column j is what codec i needs beyond codec j
    doubts          what is to be said against some of these rates
    rows            a point for every source, codec and quality: bytes, bpp, the measures, times
    left_out, failures, notes      lines for people
    ablation        if that was asked for: what each stage is worth (`benchmarks.ablation`)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.ablation import tables
from benchmarks.cells import Row
from benchmarks.curves import MEAN, Comparison, bd_rates
from benchmarks.plots import draw_curves
from codec.files import atomic_write

__all__ = ["Results", "against", "of_one", "summary", "write_files"]

DESCRIPTION = "Bytes of real files and quality of what was decoded from them; one thread, CPU time"
DIGITS = 6  # of floats in results.json: beyond what is measured


@dataclass(frozen=True)
class Results:
    """Everything that a sweep has found.

    Attributes
    ----------
    command : str
        What was called.
    comparisons : sequence of Comparison
        Of pictures, of clips, or of both.
    left_out, failures, notes : sequence of str
        Lines for people: which codecs are not installed, what went wrong, what else is to be known.
    """

    command: str
    comparisons: Sequence[Comparison]
    left_out: Sequence[str] = ()
    failures: Sequence[str] = ()
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Return what `results.json` holds."""
        codecs: list[dict[str, Any]] = []
        sources: list[dict[str, Any]] = []
        rates: dict[str, dict[str, Any]] = {}
        doubts: list[dict[str, Any]] = []
        rows: list[Row] = []
        for comparison in self.comparisons:
            kind = comparison.kind
            found = bd_rates(comparison)
            for name in comparison.codecs:
                about = {"name": name, "description": comparison.versions[name], "kind": kind}
                points = comparison.mean_curve(name)
                columns = {key: [point[key] for point in points] for key in (points[0] if points else [])}
                codecs.append({**about, "sources": len(comparison.complete(name)), "results": columns})
            sources += [{"name": name, "kind": kind, **comparison.sizes[name]} for name in comparison.sources]
            rates[kind] = {m: {"codecs": comparison.codecs, **of} for m, of in found.matrices.items()}
            doubts += [{"kind": kind, **doubt._asdict()} for doubt in found.doubts]
            rows += comparison.rows
        return {
            "name": "tcodec rd",
            "description": DESCRIPTION,
            "command": self.command,
            "environment": harness.environment(),
            "codecs": codecs,
            "sources": sources,
            "bd_rates": rates,
            "doubts": doubts,
            "left_out": list(self.left_out),
            "failures": list(self.failures),
            "notes": list(self.notes),
            "rows": rows,
        }


def to_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON of which people can read a line at a time: an element of each list in a line."""

    def lay_out(value: Any, depth: int) -> str:
        inner = " " * (depth + 1)
        if isinstance(value, Mapping) and depth < 3:
            lines = (f"{inner}{json.dumps(key)}: {lay_out(each, depth + 1)}" for key, each in value.items())
            return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}" if value else "{}"
        if isinstance(value, list) and value and depth < 2:
            return "[\n" + ",\n".join(f"{inner}{json.dumps(each)}" for each in value) + "\n" + " " * depth + "]"
        return json.dumps(value)

    return lay_out(_rounded(document), 0) + "\n"


def _rounded(value: Any) -> Any:
    """Round all floats to `DIGITS` digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def to_csv(rows: Iterable[Row]) -> str:
    """Return rows as CSV; those of pictures and of clips need not have the same columns."""
    rows = list(rows)
    columns = dict.fromkeys(key for row in rows for key in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def against(document: Mapping[str, Any], kind: str, anchor: str) -> str:
    """Return a table: what each codec needs beyond one of them, by each measure."""
    rates = document["bd_rates"][kind]
    names = next(iter(rates.values()))["codecs"]
    column = names.index(anchor)
    rows = [[name, *(_percent(of[MEAN][row][column]) for of in rates.values())] for row, name in enumerate(names)]
    return harness.table([f"against {anchor}", *rates], rows)


def of_one(document: Mapping[str, Any], kind: str, codec: str) -> str:
    """Return a table: what a codec needs beyond each of the others, by each measure."""
    rates = document["bd_rates"][kind]
    names = next(iter(rates.values()))["codecs"]
    row = names.index(codec)
    rows = [
        [name, *(_percent(of[MEAN][row][column]) for of in rates.values())]
        for column, name in enumerate(names)
        if column != row
    ]
    return harness.table([f"{codec} against", *rates], rows)


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:+.1f} %"


def summary(document: Mapping[str, Any]) -> str:
    """Return the tables of `results.md`."""
    parts = []
    if "ablation" in document:
        parts += [
            "Bits (BD-rate) and times without each stage, against the codec with it",
            tables(document["ablation"]),
        ]
    else:
        for kind, rates in document["bd_rates"].items():
            names = next(iter(rates.values()))["codecs"]
            others = [name for name in names if not name.startswith("tcodec")]
            count = sum(source["kind"] == kind for source in document["sources"])
            parts += [
                f"BD-rate, mean of {count} {kind}: bits that are needed more (+) or less (-) for the same quality"
            ]
            parts += [against(document, kind, (others or names)[0])]
            parts += [of_one(document, kind, name) for name in names if name not in others]
    parts += [f"left out: {line}" for line in document["left_out"]]
    parts += document["notes"]
    if document["doubts"]:
        parts += [f"{len(document['doubts'])} of these rates are doubtful; results.json and index.html say why."]
    return "\n\n".join(parts) + "\n"


def write_files(document: Mapping[str, Any], comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write all files but the page into a folder."""
    write(folder / "results.json", to_json(document))
    write(folder / "results.csv", to_csv(document["rows"]))
    write(folder / "results.md", summary(document))
    (folder / "curves").mkdir(exist_ok=True)
    for comparison in comparisons:
        kind, codecs, measures = comparison.kind, comparison.codecs, comparison.measures
        means = {name: points for name in codecs if (points := comparison.mean_curve(name))}
        title = f"mean of {len(comparison.sources)} {kind}"
        write(folder / f"{kind}.png", draw_curves(means, measures, title))
        for source in comparison.sources:
            curves = {name: points for name in codecs if (points := comparison.curve(source, name))}
            file = folder / "curves" / f"{source.replace('/', '_')}.png"
            write(file, draw_curves(curves, measures, source))


def write(file: Path, content: str | bytes) -> None:
    """Write a file of the report, in the place of that of an earlier call."""
    atomic_write(file, content.encode() if isinstance(content, str) else content, force=True)
