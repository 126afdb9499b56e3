"""What it costs to fetch any frame of a 10-minute video: no more than to decode its GOP.

The video is a short clip, played forth and back for ten minutes. Random frames are fetched from it, each from another
GOP, and some GOPs are decoded in a row, as a player does. Time is CPU time; bytes are those that were read from the
file. Frames that were fetched are compared with what decoding their GOP gives. Encoding ten minutes takes four minutes
for a clip of QCIF: a small one will do.
"""

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import codec
from benchmarks import harness
from benchmarks.cells import cpu_seconds
from benchmarks.sources import Footage, lengthen
from benchmarks.video_codecs import GOP, write_tvid
from codec.frames import Planes

SEEKS = 40
ROW = 20  # GOPs to decode in a row
LIMIT = 1.1  # what a seek may cost, in GOPs: 1, and a little to find it

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class CountingFile(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb", buffering=0)
        self.count = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        count = self.file.readinto(buffer)
        self.count += count
        return count

    def close(self) -> None:
        self.file.close()
        super().close()


@dataclass(frozen=True)
class Cost:
    """CPU time, and bytes read from the file."""

    seconds: float
    size: float


@dataclass(frozen=True)
class Measured:
    """What seeking costs.

    Attributes
    ----------
    frames : int
        Of the file.
    size : int
        Of the file in bytes.
    opening : Cost
        To open it.
    gop : Cost
        To decode a GOP, the mean of some in a row.
    seeks : list of Cost
        To fetch a frame.
    wrong : int
        How many of these frames differ from what decoding their GOP gives.
    """

    frames: int
    size: int
    opening: Cost
    gop: Cost
    seeks: list[Cost]
    wrong: int


def encode(footage: Footage, length: int, path: Path) -> None:
    """Encode footage, played forth and back until there are `length` frames, to a file."""
    with path.open("wb") as target, tqdm(total=length, unit=" frames", disable=None) as bar:
        write_tvid(lengthen(footage, length), target, progress=bar.update)


def fetch(path: Path) -> Measured:
    """Fetch frames from a file whose GOPs are all of the same length."""

    def cost(
        work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> tuple[Result, Cost]:
        before = file.count
        result, seconds = cpu_seconds(work, *args, **kwargs)
        return result, Cost(seconds, file.count - before)

    def play(frames: int) -> None:
        for _ in video.planes(0, frames):
            pass

    def frames(start: int, stop: int) -> list[Planes]:
        return [planes for planes, _ in video.planes(start, stop)]

    with CountingFile(path) as file:
        video, opening = cost(codec.open_video, cast(BinaryIO, file))
        with video:
            gops = len(video) // GOP  # a shorter one at the end is left alone
            row = min(ROW, gops)
            _, playing = cost(play, row * GOP)
            chance = random.Random(0)
            seeks, wrong = [], 0
            for start in (GOP * gop for gop in chance.sample(range(gops), min(SEEKS, gops))):
                place = chance.randrange(GOP)
                [frame], seek = cost(frames, start + place, start + place + 1)
                seeks.append(seek)
                wrong += not all(map(np.array_equal, frame, frames(start, start + GOP)[place]))
            gop = Cost(playing.seconds / row, playing.size / row)
            return Measured(len(video), path.stat().st_size, opening, gop, seeks, wrong)


def report(name: str, measured: Measured) -> harness.Report:
    """Compare the cost of seeks with that of a GOP."""
    times, sizes = ([getattr(seek, key) for seek in measured.seeks] for key in ("seconds", "size"))
    gop = measured.gop
    rows = [
        ["open the file", f"{1e3 * measured.opening.seconds:.1f}", f"{measured.opening.size:.0f}"],
        [f"a GOP of {GOP} frames, in a row", f"{1e3 * gop.seconds:.1f}", f"{gop.size:.0f}"],
        ["any frame, mean", f"{1e3 * mean(times):.1f}", f"{mean(sizes):.0f}"],
        ["any frame, worst", f"{1e3 * max(times):.1f}", f"{max(sizes):.0f}"],
    ]
    return harness.Report(
        "video_seek",
        f"{name}: {measured.frames} frames, {measured.size} bytes, {len(measured.seeks)} seeks\n\n"
        + harness.table(["to", "CPU time, ms", "bytes read"], rows),
        [
            harness.Target("time to fetch any frame, mean", mean(times) / gop.seconds, "at most", LIMIT, "GOPs"),
            harness.Target("bytes to fetch any frame, mean", mean(sizes) / gop.size, "at most", LIMIT, "GOPs"),
            harness.Target("frames that came back wrong", measured.wrong, "at most", 0),
        ],
        asdict(measured),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.command_line(__doc__, photos=False)
    parser.add_argument("clip", type=Path, metavar="CLIP", help="video file, may end in .xz")
    parser.add_argument("--minutes", type=float, default=10, help="length of the video")
    arguments = parser.parse_args(argv)
    [(name, footage)] = harness.load_clips([arguments.clip]).items()
    with TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder, "long.tvid")
        encode(footage, round(60 * arguments.minutes * float(footage.format.rate)), path)
        return harness.finish(report(name, fetch(path)), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
