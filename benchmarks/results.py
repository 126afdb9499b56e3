"""What a sweep has found, as files: `results.json` first, and all others made of it.

    results.json    everything; for each codec the lists that CompressAI's benchmarks have, and more beside them
    results.csv     a row for every point
    results.md      tables of BD-rates, or of what stages are worth
    *.png           curves: the mean of all pictures, and each source by itself in curves/
    index.html      all of it to look at (`benchmarks.page`)

`results.json` is an object:

    name, description, command, environment
    results         for each codec: lists of the same length, a point of the mean curve each: quality, bpp, measures,
                    encoding_time and decoding_time (seconds of CPU time)
    codecs          for each: name, description (its version), kind ("pictures" or "clips"), sources (how many its mean
                    curve is of)
    sources         for each: name, kind, width, height, frames
    bd_rates        kind, measure: "codecs", their names; "mean", and each of the "sources": a matrix of percents, whose
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
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.ablation import tables
from benchmarks.cells import Row
from benchmarks.codecs import CLASSES, is_ours
from benchmarks.curves import Comparison, bd_rates
from benchmarks.plots import draw_curves, styles
from benchmarks.sources import Source
from codec.files import atomic_write

__all__ = ["Results", "against", "of_one", "summary", "write_files"]

DESCRIPTION = "Bytes of real files and quality of what was decoded from them; one thread, CPU time"
LONGEST = 80  # characters of the name of a file
DIGITS = 6  # of floats in results.json: beyond what is measured


@dataclass(frozen=True)
class Results:
    """Everything that a sweep has found.

    Attributes
    ----------
    command : str
        What was called.
    sources : sequence of Source
    comparisons : sequence of Comparison
        Of pictures, of clips, or of both.
    versions : mapping of str to str
        Of each codec.
    left_out, failures, notes : sequence of str
        Lines for people: which codecs are not installed, what went wrong, what else is to be known.
    """

    command: str
    sources: Sequence[Source]
    comparisons: Sequence[Comparison]
    versions: Mapping[str, str]
    left_out: Sequence[str] = ()
    failures: Sequence[str] = ()
    notes: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """Return what `results.json` holds."""
        codecs: list[dict[str, Any]] = []
        results: dict[str, dict[str, list[float]]] = {}
        rates: dict[str, dict[str, Any]] = {}
        doubts: list[dict[str, Any]] = []
        for comparison in self.comparisons:
            kind = comparison.kind
            for name in comparison.codecs:
                points = comparison.mean_curve(name)
                results[name] = {key: [point[key] for point in points] for key in (points[0] if points else [])}
                about = {"name": name, "description": self.versions[name], "kind": kind}
                codecs.append({**about, "sources": len(comparison.complete(name))})
            by_measure, doubtful = bd_rates(comparison)
            rates[kind] = {m: {"codecs": list(comparison.codecs), **of._asdict()} for m, of in by_measure.items()}
            doubts += [{"kind": kind, **doubt._asdict()} for doubt in doubtful]
        document = {
            "name": "tcodec rd",
            "description": DESCRIPTION,
            "command": self.command,
            "environment": harness.environment(),
            "results": results,
            "codecs": codecs,
            "sources": [{"name": each.name, "kind": each.kind, **each.size._asdict()} for each in self.sources],
            "bd_rates": rates,
            "doubts": doubts,
            "left_out": self.left_out,
            "failures": self.failures,
            "notes": self.notes,
            "rows": [row for comparison in self.comparisons for row in comparison.rows],
        }
        return {key: rounded(value) for key, value in document.items()}


def rounded(value: Any) -> Any:
    """Round all floats to `DIGITS` digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


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

    return lay_out(document, 0) + "\n"


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
    """Return a table: what each codec needs beyond one of them, by each measure; "?" where that is doubtful."""
    names = _names(document, kind)
    return _rates_table(document, kind, f"against {anchor}", {name: (name, anchor) for name in names})


def of_one(document: Mapping[str, Any], kind: str, codec: str) -> str:
    """Return a table: what a codec needs beyond each of the others, in the same way."""
    names = _names(document, kind)
    pairs = {name: (codec, name) for name in names if name != codec}
    return _rates_table(document, kind, f"{codec} against", pairs)


def _names(document: Mapping[str, Any], kind: str) -> list[str]:
    """Return the names of the codecs of a kind, in the order of the matrices."""
    return [codec["name"] for codec in document["codecs"] if codec["kind"] == kind]


def _rates_table(document: Mapping[str, Any], kind: str, title: str, pairs: Mapping[str, tuple[str, str]]) -> str:
    """Return a table with a row for each pair of codecs, (test, anchor), and a column for each measure."""
    rates, names = document["bd_rates"][kind], _names(document, kind)
    doubtful = {(d["measure"], d["test"], d["anchor"]) for d in document["doubts"] if d["kind"] == kind}
    rows = []
    for label, (test, anchor) in pairs.items():
        row = [label]
        for measure, matrices in rates.items():
            rate = matrices["mean"][names.index(test)][names.index(anchor)]
            row.append(harness.percent(rate, doubtful=(measure, test, anchor) in doubtful))
        rows.append(row)
    return harness.table([title, *rates], rows)


def summary(document: Mapping[str, Any]) -> str:
    """Return the tables of `results.md`."""
    parts = []
    if "ablation" in document:
        parts += [
            "Bits (BD-rate) and times without each stage, against the codec with it",
            tables(document["ablation"], document["doubts"]),
        ]
    else:
        for kind in document["bd_rates"]:
            names = _names(document, kind)
            others = [name for name in names if not is_ours(name)]
            count = harness.many(sum(source["kind"] == kind for source in document["sources"]), kind)
            if len(names) == 1:
                parts += [f"{count}: {names[0]} alone, and nothing to compare it with; results.csv has its points"]
                continue
            parts += [f"BD-rate, mean of {count}: bits needed more (+) or less (-) for the same quality"]
            parts += [against(document, kind, (others or names)[0])]
            parts += [of_one(document, kind, name) for name in names if name not in others]
    if any(" ? |" in part for part in parts):
        parts += ["?: doubtful; `doubts` in results.json, and index.html, say why."]
    parts += [f"left out: {line}" for line in document["left_out"]]
    parts += [f"failed: {line}" for line in document["failures"]]
    parts += document["notes"]
    return "\n\n".join(parts) + "\n"


def write_files(document: Mapping[str, Any], comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write all files but the page into a folder, in the place of those of an earlier call."""
    write(folder / "results.json", to_json(document))
    write(folder / "results.csv", to_csv(document["rows"]))
    write(folder / "results.md", summary(document))
    (folder / "curves").mkdir(exist_ok=True)
    for old in [*(folder / "curves").glob("*.png"), *(folder / f"{kind}.png" for kind in CLASSES)]:
        old.unlink(missing_ok=True)
    for comparison in comparisons:
        looks, measures = styles(comparison.codecs), comparison.measures
        means = {name: points for name in comparison.codecs if (points := comparison.mean_curve(name))}
        number = len(comparison.sources)
        counts = {name: len(comparison.complete(name)) for name in means}
        some = [f"{name} of {count}" for name, count in counts.items() if count < number]
        title = ", ".join([f"mean of {harness.many(number, comparison.kind)}", *some])
        write(folder / f"{comparison.kind}.png", draw_curves(means, looks, measures, title))
        for source, file in zip(comparison.sources, _file_names(comparison.sources), strict=True):
            curves = {name: points for name in comparison.codecs if (points := comparison.curve(source, name))}
            write(folder / "curves" / file, draw_curves(curves, looks, measures, source))


def _file_names(sources: Sequence[str]) -> list[str]:
    """Return names of files for sources: short, without anything that a file system might not like, all different."""
    plain = [re.sub(r"[^\w.-]+", "_", name).strip("._")[-LONGEST:] for name in sources]
    return [
        f"{name}-{number}.png" if not name or plain.count(name) > 1 else f"{name}.png"
        for number, name in enumerate(plain, 1)
    ]


def write(file: Path, content: str | bytes) -> None:
    """Write a file of the report, in the place of that of an earlier call."""
    atomic_write(file, content.encode() if isinstance(content, str) else content, force=True)
