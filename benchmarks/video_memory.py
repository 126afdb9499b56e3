"""Peak memory of encoding and decoding a video, and whether it grows with the length.

A clip is played forth and back to two lengths. Encoder and decoder run in a fresh process each, and nothing is kept of
frames that are done with. What counts is the largest resident set of that process: the interpreter, NumPy, and all that
the codec needs; for the encoder also the clip, once.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

import codec
from benchmarks import harness
from benchmarks.memory import in_fresh_process
from benchmarks.video_rivals import GOP, write_tvid
from benchmarks.video_speed import CIF, lengthen

LENGTHS = (2 * GOP, 6 * GOP)  # frames
LIMIT = 120.0  # MB, to decode CIF
GROWTH = 4.0  # MB between the two lengths: noise and an index, but no frames

MEGABYTES = 1.048576  # in a MiB

Peaks = dict[str, list[float]]  # "encode", "decode": MB at each of LENGTHS


def encode(clip: Path, length: int, file: Path) -> tuple[int, int]:
    """Encode a clip at a length; return its width and height."""
    footage = harness.load_clip(clip)
    with file.open("wb") as target:
        write_tvid(lengthen(footage, length), target)
    return footage.format.width, footage.format.height


def decode(file: Path) -> int:
    """Decode a file; return the number of its frames."""
    with codec.open_video(file) as video:
        return sum(1 for _ in video.planes())


def measure(clip: Path) -> tuple[tuple[int, int], Peaks]:
    """Return width and height of a clip, and the peaks of encoding and decoding it at both lengths."""
    peaks: Peaks = {"encode": [], "decode": []}
    with TemporaryDirectory() as folder:
        file = Path(folder, "clip.tvid")
        for length in LENGTHS:
            size, encoding = in_fresh_process(encode, clip, length, file)
            frames, decoding = in_fresh_process(decode, file)
            if frames != length:
                raise ValueError(f"{length} frames were encoded and {frames} decoded")
            peaks["encode"].append(encoding * MEGABYTES)
            peaks["decode"].append(decoding * MEGABYTES)
    return size, peaks


def report(measured: dict[str, tuple[tuple[int, int], Peaks]]) -> harness.Report:
    """Compare peaks with the limits."""
    rows, targets = [], []
    for clip, (size, peaks) in measured.items():
        for way, (short, long) in peaks.items():
            rows.append([clip, "{} x {}".format(*size), way, f"{short:.0f}", f"{long:.0f}"])
            targets.append(harness.Target(f"growth of memory to {way} {clip}", long - short, "at most", GROWTH, "MB"))
        if size == CIF:
            targets.append(
                harness.Target(f"memory to decode CIF, {clip}", max(peaks["decode"]), "at most", LIMIT, "MB")
            )
    header = ["clip", "size", "process", *(f"{length} frames, MB" for length in LENGTHS)]
    data = {clip: {"size": size, **peaks} for clip, (size, peaks) in measured.items()}
    return harness.Report("video_memory", harness.table(header, rows), targets, {"lengths": LENGTHS, "clips": data})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.command_line(__doc__, photos=False)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="video file, may end in .xz")
    arguments = parser.parse_args(argv)
    measured = {harness.clip_name(clip): measure(clip) for clip in tqdm(arguments.clips, disable=None)}
    return harness.finish(report(measured), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
