"""Encoding and decoding speed at several bit rates, against ffmpeg's codecs at about the same rates, in CPU time.

From planes in memory to a stream, and back, on one thread. A clip is played forth and back until there are frames
enough. Rivals take the step of their ladder whose stream comes closest in size to ours. All codecs take turns, round
after round; what counts is the median time of each, and a ratio divides our speed by the rival's: above 1 if ours is
faster. The range behind a speed is that of the single rounds.

ffmpeg is a process of its own. Its time is that of this process, less what it takes for a single frame: what is left
belongs to the other frames, and not to starting a program. Moving raw frames through pipes stays in it, for CIF about
0.1 ms a frame to encode and 0.03 ms to decode.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import harness
from benchmarks.video_rivals import MPEG2, MPEG4, X264, Ffmpeg, Footage, RivalError, TcodecVideo, VideoCodec

TCODEC = TcodecVideo()
QUALITIES = (30, 60, 75, 85, 90, 94)
RIVALS: tuple[VideoCodec, ...] = (MPEG2, MPEG4, *(rival for rival in X264 if rival.scale == "-qp"))

CIF = (352, 288)  # width and height of clips that have limits to keep ...
TOP_RATE = 1400.0  # ... up to this rate in kbit/s
LIMITS = {"encode": 20.0, "decode": 60.0}  # frames per second

STARTS = 5  # how often the start of a process is timed

Seconds = NDArray[np.float64]  # of CPU time: [encoding, decoding]


@dataclass(frozen=True)
class Speed:
    """One codec at one bit rate.

    Attributes
    ----------
    codec : str
    quality : float
        On its own scale.
    rate : float
        kbit/s at the frame rate of the clip.
    encode, decode : list of float
        Frames per CPU second: the median of all rounds, the slowest and the fastest.
    """

    codec: str
    quality: float
    rate: float
    encode: list[float]
    decode: list[float]


def lengthen(footage: Footage, length: int) -> Footage:
    """Play footage forth and back until there are `length` frames; they share memory."""
    frames = [*footage.frames, *footage.frames[-2:0:-1]]
    return footage._replace(frames=list(islice(cycle(frames), length)))


def nearest(sizes: Mapping[float, int], size: int) -> float:
    """Return the quality whose stream comes closest in size, by ratio."""
    return min(sizes, key=lambda quality: abs(math.log(sizes[quality] / size)))


def seconds(codec: VideoCodec, footage: Footage, quality: float) -> Seconds:
    """Encode and decode footage; return the CPU time of both."""
    clock = harness.child_cpu_seconds if isinstance(codec, Ffmpeg) else harness.cpu_seconds
    data, encoding = clock(codec.encode, footage, quality)
    _, decoding = clock(codec.decode, data)
    return np.array([encoding, decoding])


class Entrant:
    """A codec at a quality, to be timed on a clip again and again."""

    def __init__(self, codec: VideoCodec, footage: Footage, quality: float, size: int) -> None:
        self.codec, self.footage, self.quality, self.size = codec, footage, quality, size
        first = footage._replace(frames=footage.frames[:1])
        starts = [seconds(codec, first, quality) for _ in range(STARTS)]  # also loads and caches what is needed later
        self.frames = len(footage.frames)
        self.start: Seconds = np.zeros(2)
        if isinstance(codec, Ffmpeg):
            self.frames -= 1
            self.start = np.median(starts, axis=0)
        self.rounds: list[Seconds] = []

    def run(self) -> None:
        """Add a round."""
        self.rounds.append(seconds(self.codec, self.footage, self.quality))

    def speed(self) -> Speed:
        """Sum up all rounds."""
        times = np.array(self.rounds) - self.start
        order = np.array([np.median(times, axis=0), times.max(axis=0), times.min(axis=0)])
        encode, decode = (self.frames / order).T.tolist()
        return Speed(self.codec.name, self.quality, self.footage.kilobits(self.size), encode, decode)


def entrants(footage: Footage, rivals: Sequence[VideoCodec]) -> list[list[Entrant]]:
    """Return tcodec at each of its qualities, and all rivals at the rates nearest to its own."""
    ladders = [(rival, {quality: len(rival.encode(footage, quality)) for quality in rival.ladder}) for rival in rivals]
    groups = []
    for quality in QUALITIES:
        size = len(TCODEC.encode(footage, quality))
        group = [Entrant(TCODEC, footage, quality, size)]
        for rival, sizes in ladders:
            setting = nearest(sizes, size)
            group.append(Entrant(rival, footage, setting, sizes[setting]))
        groups.append(group)
    return groups


def measure(footage: Footage, rivals: Sequence[VideoCodec], rounds: int) -> list[list[Speed]]:
    """Time tcodec and rivals on a clip; return a list for each bit rate, tcodec first."""
    groups = entrants(footage, rivals)
    for _ in tqdm(range(rounds), disable=None):
        for group in groups:
            for entrant in group:
                entrant.run()
    return [[entrant.speed() for entrant in group] for group in groups]


def available(rivals: Sequence[VideoCodec], footage: Footage) -> tuple[list[VideoCodec], list[str]]:
    """Return the rivals that can encode this footage, and why others cannot."""
    able, left_out = [], []
    for rival in rivals:
        try:
            rival.encode(footage._replace(frames=footage.frames[:1]), rival.ladder[0])
            able.append(rival)
        except RivalError as error:
            left_out.append(f"{rival.name}: {error}")
    return able, left_out


def report(
    clips: Mapping[str, Footage], speeds: Mapping[str, list[list[Speed]]], left_out: Sequence[str]
) -> harness.Report:
    """Compare speeds with the limits and with those of rivals."""
    parts, targets = [], []
    for clip, groups in speeds.items():
        rows = [row for group in groups for row in _rows(group)]
        header = ["codec", "quality", "kbit/s", "encode, fps", "decode, fps", "encode, ratio", "decode, ratio"]
        parts += [f"{clip}, {len(clips[clip].frames)} frames:", "", harness.table(header, rows), ""]
        ours = [group[0] for group in groups if group[0].rate <= TOP_RATE]
        if (clips[clip].format.width, clips[clip].format.height) == CIF and ours:
            for way, limit in LIMITS.items():
                slowest = min(getattr(speed, way)[0] for speed in ours)
                what = f"{way} CIF up to {TOP_RATE / 1000:g} Mbit/s, {clip}"
                targets.append(harness.Target(what, slowest, "at least", limit, "fps"))
    parts += [f"left out: {each}" for each in left_out]
    data: dict[str, Any] = {
        clip: [[asdict(speed) for speed in group] for group in groups] for clip, groups in speeds.items()
    }
    return harness.Report("video_speed", "\n".join(parts).rstrip(), targets, data)


def _rows(group: Sequence[Speed]) -> list[list[str]]:
    ours = group[0]
    rows = []
    for speed in group:
        ways = [(speed.encode, ours.encode), (speed.decode, ours.decode)]
        frames = ["{:.0f} ({:.0f} to {:.0f})".format(*way) for way, _ in ways]
        ratios = ["" if speed is ours else f"{our[0] / way[0]:.3f}" for way, our in ways]
        rows.append([speed.codec, f"{speed.quality:g}", f"{speed.rate:.0f}", *frames, *ratios])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.clips_command_line(__doc__)
    parser.add_argument("--length", type=int, default=96, help="frames to which each clip is extended")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is timed")
    arguments = parser.parse_args(argv)
    clips = {
        name: lengthen(footage, arguments.length)
        for name, footage in harness.load_clips(arguments.clips, arguments.frames).items()
    }
    speeds, left_out = {}, []
    for name, footage in clips.items():
        rivals, reasons = available(RIVALS, footage)
        left_out += [f"{name}, {reason}" for reason in reasons]
        speeds[name] = measure(footage, rivals, arguments.rounds)
    return harness.finish(report(clips, speeds, left_out), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
