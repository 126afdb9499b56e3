"""What benchmarks share: machine and versions, tables and figures in words; targets and the command line of most."""

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.sources import CLIPS, PICTURES, Footage, Found, Kind, Pixels, find_sources

__all__ = [
    "Report",
    "Target",
    "clips_command_line",
    "command_line",
    "cpu_model",
    "environment",
    "figure",
    "finish",
    "load_clips",
    "load_photos",
    "many",
    "percent",
    "table",
]

TARGET_HEADER = ["figure", "measured", "target", ""]


@dataclass(frozen=True)
class Target:
    """A figure and the limit that it must keep.

    Attributes
    ----------
    what : str
        What was measured, to be understood without its surroundings.
    value : float
        The measured figure.
    relation : {"at most", "at least"}
        The better side of the limit is open: there is no "too good".
    limit : float
    unit : str
        Of both, or empty.
    """

    what: str
    value: float
    relation: Literal["at most", "at least"]
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value <= self.limit if self.relation == "at most" else self.value >= self.limit

    @property
    def row(self) -> list[str]:
        """Its cells in a table: what, the figure, the limit, and PASS or FAIL."""
        limit = f"{self.relation} {self.limit:g} {self.unit}".strip()
        return [self.what, f"{self.value:.4g} {self.unit}".strip(), limit, "PASS" if self.met else "FAIL"]


@dataclass(frozen=True)
class Report:
    """The outcome of a benchmark.

    Attributes
    ----------
    name : str
        Of the benchmark's module.
    text : str
        Tables for people, in Markdown.
    targets : list of Target
    data : dict
        All measurements, as JSON can hold them.
    """

    name: str
    text: str
    targets: list[Target]
    data: dict[str, Any]


def load_photos(folder: Path, every: int = 1) -> dict[str, Pixels]:
    """Load the photos of a folder by their names: the first, and each `every`-th after it.

    Returns
    -------
    dict of str to (H, W) or (H, W, 3) uint8 array
        Without alpha.

    Raises
    ------
    SystemExit
        If there are none.
    """
    return _load(find_sources([str(folder)]), PICTURES, every)


def load_clips(paths: Iterable[Path], frames: int | None = None) -> dict[str, Footage]:
    """Load clips by their names, or the first frames of each; SystemExit if there are none."""
    return _load(find_sources(list(map(str, paths)), frames), CLIPS)


def _load(found: Found, kind: Kind, every: int = 1) -> dict[str, Any]:
    sources = [source for source in found.sources if source.kind == kind][::every]
    if not sources:
        raise SystemExit("\n".join([f"there are no {kind}", *found.problems]))
    return {source.name: source.load() for source in sources}


def environment() -> dict[str, str]:
    """Return the machine and the versions behind the figures; codecs tell their own."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        blas["name"]: blas["version"],
        "pillow": importlib.metadata.version("pillow"),
    }


@cache
def cpu_model() -> str:
    """Return what the processor calls itself."""
    information = Path("/proc/cpuinfo")
    if information.exists():  # Linux, where platform.processor() knows the architecture only
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that also reads well as it is: the first column to the left, the others to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    lines = (
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def many(number: int, kind: Kind) -> str:
    """Say how many pictures or clips there are."""
    return f"{number:,} {kind if number != 1 else kind.removesuffix('s')}"


def figure(value: float) -> str:
    """Return a number with three digits, or more if it is larger."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percent(rate: float | None, *, doubtful: bool = False) -> str:
    """Return a BD-rate as tables have it: nothing for none, and "?" if it is doubtful."""
    shown = "" if rate is None else f"{rate:+.1f} %"
    return f"{shown} ?".strip() if doubtful else shown


def command_line(documentation: str | None, *, photos: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have.

    Parameters
    ----------
    documentation : str
        Of the benchmark's module; its first line becomes the description.
    photos : bool
        Whether it works on a folder of photos.
    """
    parser = argparse.ArgumentParser(description=(documentation or "").partition("\n")[0])
    if photos:
        parser.add_argument("folder", type=Path, help="folder of photos")
        parser.add_argument("--every", type=int, default=1, metavar="N", help="use only every N-th photo")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements to a file")
    return parser


def clips_command_line(documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser as `command_line` does, for a benchmark that works on clips."""
    parser = command_line(documentation, photos=False)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="video file, may end in .xz")
    parser.add_argument("--frames", type=int, metavar="N", help="use only the first N frames of each clip")
    return parser


def finish(report: Report, json_file: Path | None) -> int:
    """Print a report, write it to a file if one is named, and return the exit status: 0 if all targets are met."""
    where = environment()
    print(", ".join(f"{name} {version}" for name, version in where.items()), report.text, sep="\n\n")
    if report.targets:
        print("\n" + table(TARGET_HEADER, [target.row for target in report.targets]))
    if json_file is not None:
        targets = [asdict(target) for target in report.targets]
        content = {
            "name": report.name,
            "environment": where,
            "targets": targets,
            "data": report.data,
            "text": report.text,
        }
        json_file.write_text(json.dumps(content, indent=1) + "\n")
    return 0 if all(target.met for target in report.targets) else 1
