"""`tcodec encode`: pictures to `.tjpg` files, videos to `.tvid` files.

What the output is called decides which of the two it is, or else what the input is: a video if its name ends like one,
or it is an animation of several frames, or a stream of y4m. A folder is a batch of files, each of its own kind, unless
the output is called .tvid: then its pictures are the frames of one video.
"""

from __future__ import annotations

import argparse
import math
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from bitstreams.errors import CodecError
from codec.baseline import TABLES, TUNES
from codec.clip_writer import SUFFIXES
from codec.clips import DEFAULT_RATE
from codec.commands import batch
from codec.commands.info import as_words, parameters
from codec.commands.videos import encode_clip
from codec.files import PICTURES, read_picture
from codec.image import DEFAULT_QUALITY, DEFAULT_TUNE, encode_image, read_header
from codec.profiles import find_profile
from codec.video import DEFAULT_KEYFRAME, DEFAULT_QUALITY as DEFAULT_VIDEO_QUALITY

__all__ = ["add"]

# fmt: off
VIDEOS = frozenset([
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".tvid", ".vob",
    ".webm", ".wmv", ".y4m",
])
# fmt: on
ANIMATIONS = (".apng", ".gif")  # may be pictures or videos
Y4M = b"YUV4MPEG2"
TJPG, TVID = batch.Kind(video=False, suffix=".tjpg"), batch.Kind(video=True, suffix=".tvid")
OPTIONS_OF_PICTURES = ("target_size", "target_psnr", "profile", "tune", "tables")
OPTIONS_OF_VIDEOS = ("bitrate", "keyframe", "scene_cut", "fps", "keep_partial")


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "encode",
        help="encode pictures to .tjpg files",
        description="Encode pictures of any format that imageio reads to .tjpg files. Alpha, colour profile and EXIF "
        "data are kept.",
    )
    batch.add_writing_options(
        parser,
        "a picture, a folder of pictures, or - for stdin",
        "a file, a folder, or - for stdout; a folder if there are several pictures (default: beside each picture)",
    )
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument(
        "-q",
        "--quality",
        type=_quality,
        default=DEFAULT_QUALITY,
        metavar="N",
        help="0 to 100, on JPEG's scale; hundredths count (default: %(default)g)",
    )
    wish.add_argument(
        "--target-size",
        type=batch.amount,
        metavar="BYTES",
        help="find the highest quality that fits into so many bytes; 50k is 50000, 1M a million",
    )
    wish.add_argument(
        "--target-psnr",
        type=_decibels,
        metavar="DB",
        help="find the lowest quality that reaches this PSNR over all samples",
    )
    parser.add_argument(
        "-y",
        "--yuv",
        choices=("420", "444", "400"),
        default="420",
        help="chroma at half resolution, at full, or none, which gives a gray picture (default: %(default)s)",
    )
    parser.add_argument("--profile", default="baseline", help="which stages to use (default: %(default)s)")
    parser.add_argument(
        "--tune", choices=sorted(TUNES), default=DEFAULT_TUNE, help="what to be good at (default: %(default)s)"
    )
    parser.add_argument("--tables", choices=TABLES, help="quantiser tables (default: those that suit --tune)")
    parser.set_defaults(run=run)


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not in 0 to 100")
    return value


def _decibels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of decibels")
    return value


def run(args: argparse.Namespace) -> int:
    """Encode all inputs; return the exit status."""
    find_profile(args.profile)  # if it is unknown, say so once and not for each file
    tasks = batch.plan(args.inputs, args.output, PICTURES, ".tjpg")
    for _, target in tasks:
        if target.suffix.lower() in PICTURES:
            raise CodecError(f"{target}: what is written is a .tjpg file, not {target.suffix}; name it so")
    return batch.run(tasks, _encode, args)


def _encode(data: bytes, task: batch.Task, args: argparse.Namespace) -> batch.Product:
    """Encode one picture."""
    from codec.search import encode_to_psnr, encode_to_size  # noqa: PLC0415

    pixels, icc, exif = read_picture(data, suffix=task.source.suffix, size_limit=args.size_limit)
    if args.yuv == "400" and pixels.shape[2:] in ((3,), (4,)):
        icc = None  # it describes colours that the gray picture has no more
    options = {"yuv": args.yuv, "profile": args.profile, "tune": args.tune, "tables": args.tables}
    options |= {"icc": icc, "exif": exif}
    if args.target_size is not None:
        coded = encode_to_size(pixels, args.target_size, **options)
    elif args.target_psnr is not None:
        coded = encode_to_psnr(pixels, args.target_psnr, **options)
    else:
        coded = encode_image(pixels, args.quality, **options)
    height, width = pixels.shape[:2]
    line = f"{task.source}: {len(data):,} -> {len(coded):,} bytes, {8 * len(coded) / (height * width):.3f} bits a pixel"
    stages = as_words(parameters(read_header(coded, size_limit=sys.maxsize)))
    return batch.Product(coded, f"{line}, {stages}")
