"""The subcommands of `tcodec` that this package brings: `rd`, `entropy` and `speed`.

Only their arguments are here, since every call of the program reads them; what they do is imported when they are run.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from codec.commands import batch
from codec.commands.encode import quality
from codec.image import DEFAULT_QUALITY

__all__ = ["add_entropy", "add_rd", "add_speed"]


def add_rd(subparsers: Any) -> None:
    """Add `tcodec rd` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "rd",
        help="compare rate-distortion curves with those of other codecs",
        description="Code pictures and videos with this codec and others at several qualities, from real files, and "
        "write a report: results.json, results.csv, BD-rates, curves, and a page to look at.",
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a picture, a video (.xz too), or a folder of them")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-rd"),
        metavar="FOLDER",
        help="where the report goes; what was measured for an earlier one there is not measured again "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--metric",
        type=_names,
        metavar="NAMES",
        help="psnr-rgb, psnr-y, ssim, ms-ssim, for videos psnr-yuv too, with commas (default: those that are usual)",
    )
    _add_frames(parser)
    parser.add_argument("--json", action="store_true", help="print what results.json holds, not tables")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--against",
        type=_names,
        metavar="NAMES",
        help="codecs for pictures: jpeg, webp, avif, jxl, jp2, masked; for videos: mjpeg, mpeg1, mpeg2, mpeg4, h264, "
        "h265; or one variant, such as avif-speed6 or h264-medium-crf (default: all but masked, which sends some "
        "blocks and guesses the others)",
    )
    what.add_argument(
        "--ablate", action="store_true", help="compare this codec with itself without each of its optional stages"
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "-j", "--jobs", type=batch.positive, default=1, metavar="N", help="processes (default: %(default)s)"
    )
    who.add_argument(
        "--cluster", metavar="ADDRESS", help="scheduler of a dask.distributed cluster, such as tcp://10.0.0.1:8786"
    )
    parser.set_defaults(run=_run_rd)


def add_entropy(subparsers: Any) -> None:
    """Add `tcodec entropy` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "entropy",
        help="show the Shannon bound, the Huffman bits and the bytes of files side by side",
        description="Show the Shannon bound, the Huffman bits and the bytes of pictures and videos before and after "
        "quantisation, or of .tjpg and .tvid files as they are.",
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a picture, video, .tjpg or .tvid file, or a folder")
    _add_quality(parser)
    _add_frames(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object with a record for each input")
    parser.set_defaults(run=_run_entropy)


def add_speed(subparsers: Any) -> None:
    """Add `tcodec speed` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "speed",
        help="time encoding and decoding beside other codecs, and stage by stage",
        description="Time this codec and others at about the same bits a pixel, in turn, on one thread, in CPU time; "
        "show what takes the time, and how time and memory grow with the size of a picture and the length of a clip.",
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="a picture, a video, or a folder of them (default: a small photo)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-speed"),
        metavar="FOLDER",
        help="where speed.json, speed.md and scaling.png go (default: %(default)s)",
    )
    parser.add_argument(
        "--against", type=_names, metavar="NAMES", help="codecs, as for tcodec rd (default: one of each kind)"
    )
    _add_quality(parser)
    parser.add_argument(
        "--rounds", type=batch.positive, default=5, metavar="N", help="how often everything is timed (default: 5)"
    )
    _add_frames(parser)
    parser.add_argument(
        "--sizes",
        type=_numbers,
        default=(0.1, 0.4, 1.6, 6.4, 25, 50),
        metavar="MP",
        help="megapixels of the pictures that show how time and memory grow; '' for none (default: 0.1,...,50)",
    )
    parser.add_argument(
        "--lengths",
        type=_lengths,
        default=(8, 16, 32, 64, 128, 256),
        metavar="N",
        help="frames of the clips that show the same; '' for none (default: 8,...,256)",
    )
    parser.add_argument("--json", action="store_true", help="print what speed.json holds, not tables")
    parser.set_defaults(run=_run_speed)


def _names(text: str) -> list[str]:
    """Read names with commas between them, for argparse."""
    return [name for part in text.split(",") if (name := part.strip())]


def _add_frames(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=batch.positive, metavar="N", help="only the first N frames of each video")


def _add_quality(parser: argparse.ArgumentParser) -> None:
    words = "of this codec (default: %(default)g)"
    parser.add_argument("-q", "--quality", type=quality, default=DEFAULT_QUALITY, metavar="N", help=words)


def _numbers(text: str) -> list[float]:
    """Read numbers above 0 with commas between them, for argparse."""
    try:
        numbers = [float(name) for name in _names(text)]
    except ValueError:
        numbers = [0.0]
    if not all(0 < number < math.inf for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers above 0, such as 0.1,1,10")
    return numbers


def _lengths(text: str) -> list[int]:
    """Read whole numbers above 0 with commas between them, for argparse."""
    return [batch.positive(name) for name in _names(text)]


def _run_rd(args: argparse.Namespace) -> int:
    from benchmarks.rd import run  # noqa: PLC0415

    return run(args)


def _run_entropy(args: argparse.Namespace) -> int:
    from benchmarks.entropy_view import run  # noqa: PLC0415

    return run(args)


def _run_speed(args: argparse.Namespace) -> int:
    from benchmarks.speed import run  # noqa: PLC0415

    return run(args)
