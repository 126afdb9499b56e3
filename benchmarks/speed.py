"""`tcodec speed`: how fast this codec encodes and decodes, beside others in the same run; and what takes the time.

    speeds      all codecs at about the same bits a pixel, taking turns, round after round, on one thread, in CPU time
    stages      which share of the time each file of the project takes (`benchmarks.stage_times`)
    scaling     time and peak memory against the size of a picture and the length of a clip (`benchmarks.scaling`)

The time of a source is its median over the rounds, and speeds divide the pixels of all sources by the sum of these. A
ratio is our speed by that of another codec: above 1 if ours is faster. The range behind it is that of single rounds: a
machine that slows down does so for all codecs.

ffmpeg is a process of its own, and the time of that process alone is counted, less what it takes for a single frame:
what is left belongs to the other frames, and not to starting a program. Reading raw frames from a pipe and writing them
to one stays in it.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks import harness, scaling
from benchmarks.cells import bits_a_pixel, clock_of
from benchmarks.codecs import CLASSES, AnyCodec, choose, known, misplaced, refuse_unknown
from benchmarks.matching import match_rate
from benchmarks.results import rounded, to_json, write
from benchmarks.sources import CLIPS, PICTURES, Footage, Kind, Size, Source, find_sources, lengthen
from benchmarks.stage_times import shares
from bitstreams.errors import CodecError
from codec.commands import batch
from codec.profiles import profile_names

__all__ = ["run", "speeds_table"]

RIVALS: dict[Kind, Sequence[str]] = {
    PICTURES: ("jpeg", "webp", "avif-speed6", "jxl", "jp2"),
    CLIPS: ("mpeg2", "mpeg4", "h264-ultrafast-crf", "h264-medium-crf"),
}
LENGTH = 192  # frames to which a clip is extended: the start of ffmpeg is then a small part of what is measured
STARTS = 5  # how often the start of a process is timed
UNITS: dict[Kind, str] = {PICTURES: "megapixels", CLIPS: "frames"}  # in which sources grow
CLOSE = 0.1  # of the rate: codecs that are further off are named
LEAST = 0.01  # of the time: a stage with less is not shown

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Speed:
    """One codec on all sources.

    Attributes
    ----------
    codec, version : str
    quality : float
        On its own scale.
    bpp : float
        Bits a pixel.
    encode, decode : list of float
        Millions of pixels a second of CPU time: from the medians, the slowest round, and the fastest.
    encode_ratio, decode_ratio : list of float
        Speed of ours by that of this codec: from the medians, the smallest of a round, and the largest.
    """

    codec: str
    version: str
    quality: float
    bpp: float
    encode: list[float]
    decode: list[float]
    encode_ratio: list[float]
    decode_ratio: list[float]


class Entrant:
    """A codec at a quality, to be timed on some pictures or clips again and again.

    Raises
    ------
    Exception
        Whatever the codec raises: it is tried out here on all of them, which also loads and caches what it needs later.
    """

    def __init__(self, codec: AnyCodec, quality: float, contents: Sequence[Any]) -> None:
        self.codec, self.quality, self.contents = codec, quality, contents
        files = []
        for content in contents:
            files.append(codec.encode(content, quality))
            codec.play(files[-1])
        self.rate = bits_a_pixel(files, contents)
        if codec.outside:
            one = contents[0]._replace(frames=contents[0].frames[:1])
            self.start: Seconds = np.median([self._seconds(one) for _ in range(STARTS)], axis=0)

    def run(self, index: int) -> Seconds:
        """Return the CPU time of encoding and decoding one of the contents, without that of starting a program."""
        content = self.contents[index]
        seconds = self._seconds(content)
        if self.codec.outside:  # what is left are all frames but one
            frames = len(content.frames)
            seconds = (seconds - self.start) * frames / (frames - 1)
        return np.maximum(seconds, 1e-6)

    def _seconds(self, content: Any) -> Seconds:
        clock = clock_of(self.codec)
        data, encoding = clock(self.codec.encode, content, self.quality)
        decoded, decoding = clock(self.codec.decode, data)
        del decoded  # or the next codec would be timed with this one's memory still in use
        return np.array([encoding, decoding])


def entrants(codecs: Sequence[AnyCodec], contents: Sequence[Any], quality: float) -> tuple[list[Entrant], list[str]]:
    """Return ours at its quality, and all others at about its bits a pixel; and a line for each that failed."""
    ours, *rivals = codecs
    found = [Entrant(ours, quality, contents)]
    failures = []
    for rival in rivals:
        try:
            ends = (rival.ladder[0], rival.ladder[-1])
            rates = {end: bits_a_pixel([rival.encode(contents[0], end)], contents[:1]) for end in ends}
            matching, _ = match_rate(rival, contents, found[0].rate, rates)
            found.append(Entrant(rival, matching, contents))
        except Exception as error:  # whatever a library raises concerns this codec only
            failures.append(f"{rival.name}: {type(error).__name__}: {batch.explain(error)}")
    return found, failures


def measure(taking_part: Sequence[Entrant], rounds: int, bar: bool) -> Seconds:
    """Time all entrants on all contents.

    Returns
    -------
    (entrants, 2, contents, rounds) float64 array
        CPU seconds of encoding and decoding.
    """
    contents = range(len(taking_part[0].contents))
    seconds = np.empty((len(taking_part), 2, len(contents), rounds))
    for turn in tqdm(range(rounds), unit=" rounds", disable=None if bar else True):
        for index in contents:
            for which, entrant in enumerate(taking_part):
                seconds[which, :, index, turn] = entrant.run(index)
    return seconds


def summarize(taking_part: Sequence[Entrant], seconds: Seconds) -> list[Speed]:
    """Turn times into speeds and ratios; the first entrant is ours."""
    pixels = sum(Size.of(content).pixels for content in taking_part[0].contents)
    totals = np.median(seconds, axis=-1).sum(axis=-1)  # (entrants, 2)
    in_rounds = seconds.sum(axis=2)  # (entrants, 2, rounds)
    speeds = _with_range(pixels / 1e6 / totals, pixels / 1e6 / in_rounds)
    ratios = _with_range(totals / totals[0], in_rounds / in_rounds[0])
    return [
        Speed(each.codec.name, each.codec.version(), each.quality, each.rate, *speed, *ratio)
        for each, speed, ratio in zip(taking_part, speeds, ratios, strict=True)
    ]


def _with_range(medians: Seconds, in_rounds: Seconds) -> list[list[list[float]]]:
    """Put figures (entrants, 2) and their ranges over the rounds (entrants, 2, rounds) together: (entrants, 2, 3)."""
    figures: list[list[list[float]]] = np.stack([medians, in_rounds.min(axis=-1), in_rounds.max(axis=-1)], -1).tolist()
    return figures


def run(args: argparse.Namespace) -> int:
    """Measure, print tables and write the report; return the exit status: 1 if anything went wrong."""
    refuse_unknown(args.against or ())
    found = find_sources(args.inputs or [str(resources.files("codec") / "data" / "coffee.png")], args.frames)
    kinds = [kind for kind in CLASSES if any(source.kind == kind for source in found.sources)]
    notes = [*found.notes, *(f"left out: {line}" for line in misplaced(args.against or (), kinds))]
    for line in [*(f"tcodec: {problem}" for problem in found.problems), *([] if args.quiet else notes)]:
        batch.say(line)
    if not kinds:
        raise CodecError("there is nothing to time")
    args.output.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "name": "tcodec speed",
        "description": "CPU time on one thread; ratios are the speed of this codec by that of another",
        "command": shlex.join(["tcodec", *args.argv]),
        "environment": harness.environment(),
        "failures": found.problems,
        "notes": notes,
    }
    for kind in kinds:
        document[kind] = _time(kind, [source for source in found.sources if source.kind == kind], args)
    document = rounded(document)
    text = summary(document)
    write(args.output / "speed.json", to_json(document))
    write(args.output / "speed.md", text)
    grown = {UNITS[kind]: _grown(document[kind]) for kind in kinds if _grown(document[kind])}
    if grown:
        write(args.output / "scaling.png", scaling.draw(grown))
    print(to_json(document) if args.json else text, end="")
    return batch.FAILED if found.problems or any(document[kind]["failures"] for kind in kinds) else 0


def _time(kind: Kind, sources: Sequence[Source], args: argparse.Namespace) -> dict[str, Any]:
    """Measure speeds, stages and scaling of the codecs for a kind of sources."""
    ours = ["tcodec"] if kind == CLIPS else [f"tcodec-{name}" for name in profile_names()]
    rivals, left_out = choose(RIVALS[kind] if args.against is None else args.against, kind)
    codecs = [*(known(kind)[name] for name in ours), *(rival for rival in rivals if rival.name not in ours)]
    contents = [source.load() for source in sources]
    contents = [lengthen(each, LENGTH) if isinstance(each, Footage) else each for each in contents]
    with threadpool_limits(1):
        taking_part, failures = entrants(codecs, contents, args.quality)
        speeds = summarize(taking_part, measure(taking_part, args.rounds, bar=not args.quiet))
        files = [codecs[0].encode(each, args.quality) for each in contents]
        stages = {
            "encode": shares(lambda: [codecs[0].encode(each, args.quality) for each in contents]),
            "decode": shares(lambda: [codecs[0].decode(data) for data in files]),
        }
    sizes = args.lengths if kind == CLIPS else args.sizes
    inside = [each for each in taking_part if not each.codec.outside]
    grown, more = _grow(sources, inside, sizes, bar=not args.quiet)
    failures += more
    for line in failures:
        batch.say(f"tcodec: {line}")
    for line in [] if args.quiet else left_out:
        batch.say(f"left out: {line}")
    return {
        "sources": [source.name for source in sources],
        "megapixels": sum(Size.of(each).pixels for each in contents) / 1e6,
        "frames": sum(Size.of(each).frames for each in contents),
        "speeds": [asdict(speed) for speed in speeds],
        "off": [speed.codec for speed in speeds if abs(speed.bpp / speeds[0].bpp - 1) > CLOSE],
        "stages": stages,
        "scaling": [each._asdict() for each in grown],
        "left_out": left_out,
        "failures": failures,
    }


def _grow(
    sources: Sequence[Source], taking_part: Sequence[Entrant], sizes: Sequence[float], bar: bool
) -> tuple[list[scaling.Measured], list[str]]:
    """Measure all entrants at all sizes; return also a line for each that failed."""
    grown, failures = [], []
    works = list(product(sizes, taking_part))
    for size, each in tqdm(works, unit=" sizes", disable=None if works and bar else True):
        try:
            grown.append(scaling.measure(sources, each.codec, each.quality, size))
        except Exception as error:  # as for entrants; or its process died, for lack of memory perhaps
            failures.append(f"{each.codec.name}, size {size:g}: {type(error).__name__}: {batch.explain(error)}")
    return grown, failures


def _grown(record: dict[str, Any]) -> list[scaling.Measured]:
    return [scaling.Measured(**each) for each in record["scaling"]]


def speeds_table(document: dict[str, Any], kind: str) -> str:
    """Return a table of speeds and ratios; speeds of clips in frames a second, for one as large as they are."""
    record = document[kind]
    frame = record["megapixels"] / record["frames"]
    rows = []
    for index, speed in enumerate(record["speeds"]):
        row = [speed["codec"], f"{speed['quality']:g}", f"{speed['bpp']:.3g}"]
        for way in ("encode", "decode"):
            fast = [figure / frame if kind == CLIPS else figure for figure in speed[way]]
            row += [_range(fast), _range(speed[f"{way}_ratio"]) if index else ""]
        rows.append(row)
    unit = "frames/s" if kind == CLIPS else "MP/s"
    ours = record["speeds"][0]["codec"]
    header = ["codec", "quality", "bits a pixel", f"encode, {unit}", f"{ours} by it"]
    return harness.table([*header, f"decode, {unit}", f"{ours} by it"], rows)


def _range(figures: Sequence[float]) -> str:
    """Return a figure, and its range over the rounds."""
    return "{} ({} to {})".format(*map(harness.figure, figures))


def summary(document: dict[str, Any]) -> str:
    """Return all tables, in Markdown."""
    parts = [", ".join(f"{name} {version}" for name, version in document["environment"].items())]
    for kind, unit in UNITS.items():
        if kind in document:
            record = document[kind]
            many = harness.many(len(record["sources"]), kind)
            parts += [f"{many}, {record['megapixels']:.3g} MP:", speeds_table(document, kind)]
            parts += [f"{name}: its scale does not reach the rate" for name in record["off"]]
            parts += ["; ".join(f"{speed['codec']}: {speed['version']}" for speed in record["speeds"])]
            for way, stages in record["stages"].items():
                speed = record["speeds"][0][way][0]
                rows = [
                    [room, f"{share:.0%}", f"{1e3 * share / speed:.3g}"]
                    for room, share in stages.items()
                    if share >= LEAST
                ]
                parts += [harness.table([f"{way}, by stage", "share", "ms/MP"], rows)]
            if record["scaling"]:
                parts += [scaling.table(_grown(record), unit)]
            parts += [f"left out: {line}" for line in record["left_out"]]
            parts += [f"failed: {line}" for line in record["failures"]]
    parts += document["notes"]
    parts += [f"failed: {line}" for line in document["failures"]]
    return "\n\n".join(parts) + "\n"
