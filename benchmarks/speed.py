"""`tcodec speed`: how fast this codec encodes and decodes, beside others in the same run; and what takes the time.

    speeds      all codecs at about the same bits a pixel, taking turns, round after round, on one thread, in CPU time
    stages      which share of the time each file of the project takes (`benchmarks.stage_times`)
    scaling     time and peak memory against the size of a picture and the length of a clip (`benchmarks.scaling`)

The time of a source is its median over the rounds, and speeds divide the pixels of all sources by the sum of these. A
ratio is our speed by that of another codec: above 1 if ours is faster. The range behind it is that of single rounds: a
machine that slows down does so for all codecs.

ffmpeg is a process of its own. Its time is that of this process, less what it takes for a single frame: what is left
belongs to the other frames, and not to starting a program. Moving raw frames through pipes stays in it.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks import harness, scaling
from benchmarks.cells import cpu_seconds, describe
from benchmarks.codecs import AnyCodec, PictureCodec, VideoCodec, choose
from benchmarks.matching import match_rate, rate_of
from benchmarks.results import to_json, write
from benchmarks.sources import Footage, Source, find_sources, lengthen
from benchmarks.stage_times import shares
from benchmarks.video_codecs import Ffmpeg
from bitstreams.errors import CodecError
from codec.commands import batch
from codec.profiles import profile_names

__all__ = ["run"]

RIVALS = {  # of pictures, of clips
    False: ("jpeg", "webp", "avif-speed6", "jxl", "jp2"),
    True: ("mpeg2", "mpeg4", "h264-ultrafast-crf", "h264-medium-crf"),
}
KINDS: dict[bool, type[AnyCodec]] = {False: PictureCodec, True: VideoCodec}
LENGTH = 96  # frames to which a clip is extended, so that ffmpeg's start does not matter
STARTS = 5  # how often the start of a process is timed
LEAST = 0.01  # of the time: a stage with less is not shown

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Speed:
    """One codec on all sources.

    Attributes
    ----------
    codec : str
    quality : float
        On its own scale.
    bpp : float
        Bits a pixel.
    encode, decode : float
        Millions of pixels a second of CPU time.
    encode_ratio, decode_ratio : tuple of float
        Speed of ours by that of this codec: from the medians, the smallest of a round, and the largest.
    """

    codec: str
    quality: float
    bpp: float
    encode: float
    decode: float
    encode_ratio: tuple[float, float, float]
    decode_ratio: tuple[float, float, float]


class Entrant:
    """A codec at a quality, to be timed on some frames again and again."""

    def __init__(self, codec: AnyCodec, quality: float, frames: Sequence[Any]) -> None:
        self.codec, self.quality, self.frames = codec, quality, frames
        self.size = 0  # bytes of all files
        self.rounds: list[Seconds] = []
        first = frames[0]._replace(frames=frames[0].frames[:1]) if isinstance(frames[0], Footage) else frames[0]
        starts = [self._seconds(first) for _ in range(STARTS)]  # also loads and caches what is needed later
        self.start: Seconds = np.median(starts, axis=0) if isinstance(codec, Ffmpeg) else np.zeros(2)

    def run(self, index: int) -> Seconds:
        """Return the CPU time of encoding and decoding one of the frames, without that of starting a program."""
        return np.maximum(self._seconds(self.frames[index]) - self.start, 1e-6)

    def _seconds(self, frames: Any) -> Seconds:
        data, encoding = cpu_seconds(self.codec.encode, frames, self.quality)
        decoded, decoding = cpu_seconds(self.codec.decode, data)
        del decoded  # or the next codec would be timed with this one's memory still in use
        return np.array([encoding, decoding])


def entrants(codecs: Sequence[AnyCodec], frames: Sequence[Any], quality: float) -> tuple[list[Entrant], list[float]]:
    """Return ours at its quality, and all others at about its bits a pixel; and the bits a pixel of each."""
    ours, *rivals = codecs
    rates = [rate_of([ours.encode(each, quality) for each in frames], frames)]
    found = [Entrant(ours, quality, frames)]
    for rival in rivals:
        ends = {q: rate_of([rival.encode(frames[0], q)], frames[:1]) for q in (rival.ladder[0], rival.ladder[-1])}
        setting, files = match_rate(rival, frames, rates[0], ends)
        found.append(Entrant(rival, setting, frames))
        rates.append(rate_of(files, frames))
    return found, rates


def measure(taking_part: Sequence[Entrant], rounds: int, bar: bool) -> Seconds:
    """Time all entrants on all frames.

    Returns
    -------
    (entrants, 2, frames, rounds) float64 array
        CPU seconds of encoding and decoding.
    """
    frames = range(len(taking_part[0].frames))
    seconds = np.empty((len(taking_part), 2, len(frames), rounds))
    for turn in tqdm(range(rounds), unit=" rounds", disable=None if bar else True):
        for index in frames:
            for which, entrant in enumerate(taking_part):
                seconds[which, :, index, turn] = entrant.run(index)
    return seconds


def summarize(taking_part: Sequence[Entrant], rates: Sequence[float], seconds: Seconds) -> list[Speed]:
    """Turn times into speeds and ratios; the first entrant is ours."""
    pixels = sum(describe(frames)["pixels"] for frames in taking_part[0].frames)
    totals = np.median(seconds, axis=-1).sum(axis=-1)  # (entrants, 2)
    in_rounds = seconds.sum(axis=2)  # (entrants, 2, rounds)
    ratios, ratios_in_rounds = totals / totals[0], in_rounds / in_rounds[0]
    speeds = pixels / 1e6 / totals
    ranges = np.stack([ratios, ratios_in_rounds.min(axis=-1), ratios_in_rounds.max(axis=-1)], axis=-1).tolist()
    return [
        Speed(each.codec.name, each.quality, rate, *speed, *map(tuple, both))
        for each, rate, speed, both in zip(taking_part, rates, speeds.tolist(), ranges, strict=True)
    ]


class _Group(NamedTuple):
    """What is timed together: pictures or clips, and the codecs for them, ours first."""

    video: bool
    sources: list[Source]
    codecs: list[AnyCodec]

    @property
    def kind(self) -> str:
        return "clips" if self.video else "pictures"


def run(args: argparse.Namespace) -> int:
    """Measure, print tables and write the report; return the exit status."""
    found = find_sources(args.inputs or [str(resources.files("codec") / "data" / "coffee.png")], args.frames)
    for line in found.problems:
        batch.say(f"tcodec: {line}")
    if not found.sources:
        raise CodecError("there is nothing to time")
    document: dict[str, Any] = {
        "name": "tcodec speed",
        "description": "CPU time on one thread; ratios are the speed of this codec by that of another",
        "command": shlex.join(["tcodec", *args.argv]),
        "environment": harness.environment(),
    }
    grown: dict[str, Sequence[scaling.Measured]] = {}
    for group in _groups(args, found.sources):
        document[group.kind], grown_of = _time(group, args)
        if grown_of:
            grown["frames" if group.video else "megapixels"] = grown_of
    text = summary(document)
    args.output.mkdir(parents=True, exist_ok=True)
    write(args.output / "speed.json", to_json(document))
    write(args.output / "speed.md", text)
    if grown:
        write(args.output / "scaling.png", scaling.draw(grown))
    print(to_json(document) if args.json else text, end="")
    return batch.FAILED if found.problems else 0


def _groups(args: argparse.Namespace, sources: Sequence[Source]) -> Iterator[_Group]:
    """Decide which codecs are timed on what."""
    for video, kind in KINDS.items():
        own = [source for source in sources if source.video == video]
        if not own:
            continue
        ours = ["tcodec"] if video else [f"tcodec-{name}" for name in profile_names()]
        codecs = [codec for name in ours for codec in choose([name], kind)[0] if codec.name == name]
        rivals, left_out = choose(RIVALS[video] if args.against is None else args.against, kind)
        for line in left_out:
            batch.say(f"left out: {line}")
        yield _Group(video, own, [*codecs, *rivals])


def _time(group: _Group, args: argparse.Namespace) -> tuple[dict[str, Any], list[scaling.Measured]]:
    """Measure speeds, stages and scaling of a group."""
    frames = [source.load() for source in group.sources]
    frames = [lengthen(each, LENGTH) if isinstance(each, Footage) else each for each in frames]
    ours = group.codecs[0]
    with threadpool_limits(1):
        taking_part, rates = entrants(group.codecs, frames, args.quality)
        speeds = summarize(taking_part, rates, measure(taking_part, args.rounds, bar=not args.quiet))
        files = [ours.encode(each, args.quality) for each in frames]
        stages = {
            "encode": shares(lambda: [ours.encode(each, args.quality) for each in frames]),
            "decode": shares(lambda: [ours.decode(data) for data in files]),
        }
    sizes = args.lengths if group.video else args.sizes
    inside = [(each.codec, each.quality) for each in taking_part if not isinstance(each.codec, Ffmpeg)]
    bar = tqdm(total=len(sizes) * len(inside), unit=" sizes", disable=None if not args.quiet else True)
    grown = []
    for each in scaling.measure(group.sources, inside, sizes) if sizes else ():
        grown.append(each)
        bar.update()
    bar.close()
    record = {
        "sources": [source.name for source in group.sources],
        "megapixels": sum(describe(each)["pixels"] for each in frames) / 1e6,
        "frames": sum(describe(each)["frames"] for each in frames),
        "speeds": [asdict(speed) for speed in speeds],
        "stages": stages,
        "scaling": [each._asdict() for each in grown],
    }
    return record, grown


def speeds_table(document: dict[str, Any], kind: str) -> str:
    """Return a table of speeds and ratios; speeds of clips in frames a second, for one as large as they are."""
    record = document[kind]
    frame = record["megapixels"] / record["frames"]
    rows = []
    for index, speed in enumerate(record["speeds"]):
        row = [speed["codec"], f"{speed['quality']:g}", f"{speed['bpp']:.2f}"]
        for way in ("encode", "decode"):
            fast = speed[way] / frame if kind == "clips" else speed[way]
            ratio = "" if not index else "{:.3g} ({:.3g} to {:.3g})".format(*speed[f"{way}_ratio"])
            row += [f"{fast:.3g}", ratio]
        rows.append(row)
    unit = "frames/s" if kind == "clips" else "MP/s"
    ours = record["speeds"][0]["codec"]
    header = ["codec", "quality", "bits a pixel", f"encode, {unit}", f"{ours} by it"]
    return harness.table([*header, f"decode, {unit}", f"{ours} by it"], rows)


def summary(document: dict[str, Any]) -> str:
    """Return all tables, in Markdown."""
    parts = [", ".join(f"{name} {version}" for name, version in document["environment"].items())]
    for kind, unit in (("pictures", "megapixels"), ("clips", "frames")):
        if kind in document:
            record = document[kind]
            parts += [f"{len(record['sources'])} {kind}, {record['megapixels']:.3g} MP:", speeds_table(document, kind)]
            for way, stages in record["stages"].items():
                speed = record["speeds"][0][way]
                rows = [
                    [room, f"{share:.0%}", f"{1e3 * share / speed:.3g}"]
                    for room, share in stages.items()
                    if share >= LEAST
                ]
                parts += [harness.table([f"{way}, by stage", "share", "ms/MP"], rows)]
            if record["scaling"]:
                parts += [scaling.table([scaling.Measured(**each) for each in record["scaling"]], unit)]
    return "\n\n".join(parts) + "\n"
