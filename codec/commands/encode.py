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
from codec.baseline import FAST, RESTORED, TABLES
from codec.clips import DEFAULT_RATE
from codec.commands import batch, streams
from codec.commands.info import as_words, parameters
from codec.commands.videos import encode_clip
from codec.files import PICTURES, read_picture
from codec.image import DEFAULT_PROFILE, DEFAULT_QUALITY, DEFAULT_TUNE, SIZE_LIMIT, encode_image, read_header
from codec.main import DEFAULT_EFFORT, EFFORTS, TUNES
from codec.profiles import find_profile, profile_names
from codec.video import DEFAULT_KEYFRAME

__all__ = ["VIDEOS", "add", "is_clip", "quality"]

# fmt: off
VIDEOS = frozenset([
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob",
    ".webm", ".wmv", ".y4m",
])
# fmt: on
ANIMATIONS = (".apng", ".gif")  # may be pictures or videos
Y4M = b"YUV4MPEG2"
TJPG, TVID = batch.Kind(video=False, suffix=".tjpg"), batch.Kind(video=True, suffix=".tvid")
LARGEST_RATE = 10_000  # frames a second
LARGEST_DENOMINATOR = 100_000  # of a rate

# Options that are not given are no attributes of the arguments: the defaults are those of the library.
OF_PICTURES = ("target_size", "target_psnr", "profile", "effort", "tune", "tables")
OF_VIDEOS = ("bitrate", "keyframe", "scene_cut", "fps", "keep_partial")


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "encode",
        help="encode pictures to .tjpg files, videos to .tvid files",
        description="Encode pictures of any format that imageio reads to .tjpg files, with their alpha, colour profile "
        "and EXIF data, and videos of any format that FFmpeg reads to .tvid files, without their sound.",
    )
    batch.add_writing_options(
        parser,
        "a picture, a video, a folder of them, or - for stdin, which may be a picture or y4m",
        "a file, a folder, or - for stdout; a folder if there are several inputs (default: beside each input). With a "
        ".tvid file, the pictures of a folder become one video, in the order of the numbers in their names",
        "processes, each of which takes a picture at a time, or a group of frames of a video",
    )
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument(
        "-q",
        "--quality",
        type=quality,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"0 to 100, on JPEG's scale; hundredths count (default: {DEFAULT_QUALITY:g})",
    )
    wish.add_argument(
        "--target-size",
        type=batch.amount,
        default=argparse.SUPPRESS,
        metavar="BYTES",
        help="picture: find the highest quality that fits into so many bytes; 50k is 50000, 1M a million",
    )
    wish.add_argument(
        "--target-psnr",
        type=_decibels,
        default=argparse.SUPPRESS,
        metavar="DB",
        help="picture: find the lowest quality that reaches this PSNR over all samples",
    )
    wish.add_argument(
        "--bitrate",
        type=batch.amount,
        default=argparse.SUPPRESS,
        metavar="BITS",
        help="video: spend so many bits a second; 500k is 500000, 1.5M one and a half million",
    )
    parser.add_argument(
        "-y",
        "--yuv",
        choices=("420", "444", "400"),
        default=argparse.SUPPRESS,
        help="chroma at half resolution, at full, or none, which gives gray (default: 420, or what a video has)",
    )
    _add_options_of_pictures(parser.add_argument_group("pictures"))
    _add_options_of_videos(parser.add_argument_group("videos"))
    parser.set_defaults(run=run)


def _add_options_of_pictures(group: Any) -> None:
    group.add_argument(
        "--profile",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help=f"which stages to use: {' or '.join(profile_names())} (default: {DEFAULT_PROFILE})",
    )
    group.add_argument(
        "-e",
        "--effort",
        type=int,
        choices=EFFORTS,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"{EFFORTS[0]} to {EFFORTS[-1]}: how hard to try, time for size (default: {DEFAULT_EFFORT}); the "
        f"baseline profile has {FAST}, its default, and {RESTORED}, with restoration",
    )
    group.add_argument(
        "--tune",
        choices=sorted(TUNES),
        default=argparse.SUPPRESS,
        help=f"what to be good at (default: {DEFAULT_TUNE})",
    )
    group.add_argument(
        "--tables",
        choices=TABLES,
        default=argparse.SUPPRESS,
        help="quantiser tables of the baseline profile (default: those that suit --tune)",
    )


def _add_options_of_videos(group: Any) -> None:
    group.add_argument(
        "-k",
        "--keyframe",
        type=batch.positive,
        default=argparse.SUPPRESS,
        metavar="N",
        help="frames in a group, at most; each group begins with a frame that stands alone, and a jump into the video "
        f"decodes one of them (default: {DEFAULT_KEYFRAME})",
    )
    group.add_argument(
        "--scene-cut",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help="begin a group where a scene begins (default: yes)",
    )
    group.add_argument(
        "--fps",
        type=_rate,
        default=argparse.SUPPRESS,
        metavar="RATE",
        help="frames a second, such as 25, 12.5 or 30000/1001 (default: what the video says; for pictures of a folder "
        f"{DEFAULT_RATE})",
    )
    group.add_argument(
        "--keep-partial",
        action="store_true",
        default=argparse.SUPPRESS,
        help="if the input is damaged, or after Ctrl-C, leave a valid video of the frames up to there",
    )


def quality(text: str) -> float:
    """Read a quality, for argparse."""
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


def _rate(text: str) -> Fraction:
    try:
        value = Fraction(text).limit_denominator(LARGEST_DENOMINATOR)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= LARGEST_RATE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no rate, such as 25, 12.5 or 30000/1001, of at most {LARGEST_RATE} frames a second"
        )
    return value


def run(args: argparse.Namespace) -> int:
    """Encode all inputs; return the exit status."""
    if "profile" in args:
        find_profile(args.profile)  # if it is unknown, say so once and not for each file
    tasks = _plan(args)
    for task in tasks:
        _check(task, args)
    with batch.processes(args.jobs) as executor:
        return batch.run(tasks, _encode, partial(encode_clip, executor=executor), args, executor)


def _plan(args: argparse.Namespace) -> list[batch.Task]:
    """Decide what becomes of each input."""
    named = None
    if args.output and not batch.is_folder(args.output):
        named = {kind.suffix: kind for kind in (TJPG, TVID)}.get(Path(args.output).suffix.lower())
    if named is TVID and len(args.inputs) > 1:
        raise CodecError(f"{args.output}: a video is made of one input; of several pictures, if that is their folder")
    if named is TVID and args.inputs[0] and Path(args.inputs[0]).is_dir():
        return [batch.Task(Path(args.inputs[0]), Path(args.output), video=True)]
    return batch.plan(
        args.inputs, args.output, PICTURES | VIDEOS, lambda source: named or (TVID if is_clip(source) else TJPG)
    )


def is_clip(source: Path) -> bool:
    """Tell whether an input that nothing is said about is a video, not a picture."""
    suffix, start = source.suffix.lower(), streams.first_bytes(source, len(Y4M))
    if suffix in VIDEOS or suffix == TVID.suffix or (start and Y4M.startswith(start)):
        return True
    return suffix in ANIMATIONS and _moves(source)


def _moves(source: Path) -> bool:
    """Tell whether an animation has several frames."""
    from PIL import Image  # noqa: PLC0415 - `tcodec --help` has no use for it

    try:
        with Image.open(source) as image:
            return getattr(image, "is_animated", False)
    except Exception:  # damage shows in all kinds; who reads the file will tell
        return False


def _check(task: batch.Task, args: argparse.Namespace) -> None:
    """Raise an error if the output is called what it is not, or an option makes no sense for it."""
    kind, other = (TVID, "pictures") if task.video else (TJPG, "videos")
    suffix = task.target.suffix.lower()
    if suffix in PICTURES | VIDEOS:
        raise CodecError(f"{task.target}: what is written is a {kind.suffix} file, not {suffix}; name it so")
    for option in OF_PICTURES if task.video else OF_VIDEOS:
        if option in args:
            name = option.replace("_", "-")
            raise CodecError(f"{task.source}: --{name} is for {other}, and this becomes a {kind.suffix} file")


def _encode(task: batch.Task, args: argparse.Namespace) -> batch.Outcome:
    """Encode one picture."""
    from codec.search import encode_to_psnr, encode_to_size  # noqa: PLC0415

    data = streams.read(task.source)
    pixels, icc, exif = read_picture(data, suffix=task.source.suffix, size_limit=args.size_limit or SIZE_LIMIT)
    options = batch.given(args, "yuv", "profile", "effort", "tune", "tables") | {"icc": icc, "exif": exif}
    if options.get("yuv") == "400" and pixels.shape[2:] in ((3,), (4,)):
        options["icc"] = None  # it describes colours that the gray picture has no more
    if "target_size" in args:
        coded = encode_to_size(pixels, args.target_size, **options)
    elif "target_psnr" in args:
        coded = encode_to_psnr(pixels, args.target_psnr, **options)
    else:
        coded = encode_image(pixels, **batch.given(args, "quality"), **options)
    streams.write(task.target, coded, args.force)
    height, width = pixels.shape[:2]
    line = f"{task.source}: {len(data):,} -> {len(coded):,} bytes, {8 * len(coded) / (height * width):.3f} bits a pixel"
    stages = as_words(parameters(read_header(coded, size_limit=sys.maxsize)))
    return batch.Outcome([f"{line}, {stages}"])
