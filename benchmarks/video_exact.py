"""Whether decoded frames equal the encoder's reconstruction bit for bit, under any matrix kernel and thread count.

Every clip is encoded at five qualities, and the frames that the encoder predicts from are hashed. The files are then
decoded in processes of their own under many kernels, as in `benchmarks.exact`. A decoder that differs in a single bit
would drift away, frame after frame.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from benchmarks import exact, harness
from benchmarks.sources import Footage
from benchmarks.video_codecs import write_tvid
from codec.frames import Planes

QUALITIES = (10, 30, 50, 70, 90)


def encode(footage: Footage, quality: float, file: Path) -> str:
    """Encode footage to a file; return the SHA-256 of the encoder's reconstruction, frame by frame, plane by plane."""
    frames: dict[int, bytes] = {}  # they come in the order of coding

    def keep(index: int, planes: Planes) -> None:
        frames[index] = b"".join(plane.tobytes() for plane in planes)

    with file.open("wb") as target:
        write_tvid(footage, target, quality=quality, reconstruction=keep)
    if sorted(frames) != list(range(len(footage.frames))):
        raise ValueError(f"the encoder reconstructed frames {sorted(frames)} of {len(footage.frames)}")
    return hashlib.sha256(b"".join(frames[index] for index in sorted(frames))).hexdigest()


def measure(clips: Mapping[str, Footage]) -> tuple[dict[str, str], list[exact.Run]]:
    """Encode all clips at all qualities, and decode them under all choices that this machine has.

    Returns
    -------
    expected : dict of str to str
        Clip and quality, and the hash of the encoder's reconstruction.
    runs : list of exact.Run
        Hashes of the decoded frames in the same order.
    """
    expected = {}
    with TemporaryDirectory() as folder:
        files: list[Path] = []
        for name, footage in tqdm(clips.items(), disable=None):
            for quality in QUALITIES:
                file = Path(folder, f"{len(files)}.tvid")
                expected[f"{name}, quality {quality}"] = encode(footage, quality, file)
                files.append(file)
        return expected, exact.measure(files)


def report(expected: Mapping[str, str], runs: Sequence[exact.Run]) -> harness.Report:
    """Compare hashes."""
    rows = []
    for index, (name, digest) in enumerate(expected.items()):
        wrong = [f"{run.core}/{run.threads}" for run in runs if run.pictures[index] != digest]
        rows.append([name, digest[:12], f"{len(runs) - len(wrong)} of {len(runs)}", " ".join(wrong)])
    different = sum(run.pictures != list(expected.values()) for run in runs)
    kernels = len({run.product for run in runs})
    choices = ", ".join(f"{run.core}/{run.threads}" for run in runs)
    return harness.Report(
        "video_exact",
        harness.table(["clip", "reconstruction", "runs that equal it", "others"], rows)
        + f"\n\n{len(runs)} runs, kernel/threads: {choices}; a product of random floats came out in {kernels} ways",
        [harness.Target("runs with frames other than the encoder's", different, "at most", 0)],
        {"expected": dict(expected), "runs": [run._asdict() for run in runs]},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = harness.clips_command_line(__doc__).parse_args(argv)
    return harness.finish(report(*measure(harness.load_clips(arguments.clips, arguments.frames))), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
