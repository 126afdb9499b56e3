"""`tcodec decode`: `.tjpg` files to pictures, `.tvid` files to videos that others play."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from bitstreams.errors import ChecksumError, TruncatedError
from codec.clip_writer import SUFFIXES
from codec.commands import batch, streams
from codec.commands.videos import decode_clip
from codec.files import FORMATS, picture_bytes
from codec.image import SIZE_LIMIT, decode_image, read_header, recover_image

__all__ = ["add"]

PNG, MP4 = batch.Kind(video=False, suffix=".png"), batch.Kind(video=True, suffix=".mp4")


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "decode",
        help="decode .tjpg files to pictures, .tvid files to videos",
        description=f"Decode .tjpg files to PNG, or to the format of the output's extension: {', '.join(FORMATS)}. "
        f"Decode .tvid files to MP4, or likewise: {', '.join(SUFFIXES)}, or a folder of PNG pictures. Only .y4m and "
        "the pictures are without further loss.",
    )
    batch.add_writing_options(
        parser,
        "a .tjpg or .tvid file, a folder of them, or - for stdin",
        "a file, a folder, or - for stdout, as PNG or y4m; a folder if there are several inputs (default: beside each "
        "file). With one video, a folder, named so with / at the end, gets its frames as 000000.png and so on",
        "processes, each of which takes a picture at a time",
    )
    damage = parser.add_mutually_exclusive_group()
    damage.add_argument("--strict", action="store_true", help="refuse damaged files (the default)")
    damage.add_argument(
        "--allow-partial",
        action="store_true",
        help="decode what is left of damaged files, report what is missing, and exit with status 3; rows and frames "
        "that are missing are gray",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Decode all inputs; return the exit status."""
    tasks, suffix = _plan(args)
    with batch.processes(args.jobs) as executor:
        on_pictures = partial(_advise, job=_decode)
        on_videos = partial(_advise, job=partial(decode_clip, suffix=suffix))
        return batch.run(tasks, on_pictures, on_videos, args, executor)


def _plan(args: argparse.Namespace) -> tuple[list[batch.Task], str | None]:
    """Decide what becomes of each input; "/" says that it is a folder of pictures."""
    if len(args.inputs) == 1 and args.output and batch.is_folder(args.output):
        source = Path(args.inputs[0])
        if streams.is_video(source) and not source.is_dir():
            return [batch.Task(source, Path(args.output), video=True)], "/"
    return batch.plan(args.inputs, args.output, {".tjpg", ".tvid"}, _kind), None


def _kind(source: Path) -> batch.Kind:
    return MP4 if streams.is_video(source) else PNG


def _advise(task: batch.Task, args: argparse.Namespace, job: batch.Job) -> batch.Outcome:
    """Do a job, and tell of --allow-partial where it would help."""
    try:
        return job(task, args)
    except (ChecksumError, TruncatedError) as error:
        if args.allow_partial:
            raise
        raise type(error)(f"{error}; --allow-partial decodes what is left") from error


def _decode(task: batch.Task, args: argparse.Namespace) -> batch.Outcome:
    """Decode one picture."""
    data = streams.read_tjpg(task.source)
    losses: list[str] = []
    if args.allow_partial:
        recovered = recover_image(data, size_limit=args.size_limit or SIZE_LIMIT)
        pixels, header = recovered.pixels, recovered.header
        losses = [f"{task.source}: {problem}" for problem in recovered.problems]
        losses += [f"{task.source}: rows {first} to {last - 1} are missing" for first, last in recovered.missing]
    else:
        pixels = decode_image(data, size_limit=args.size_limit or SIZE_LIMIT)
        header = read_header(data, size_limit=args.size_limit or SIZE_LIMIT)
    suffix = ".png" if task.target == streams.STANDARD else task.target.suffix
    picture = picture_bytes(suffix, pixels, header.icc, header.exif)
    streams.write(task.target, picture, args.force)
    line = f"{task.source}: {header.width} x {header.height}, {len(data):,} -> {len(picture):,} bytes"
    if (header.icc or header.exif) and not FORMATS[suffix.lower()].metadata:
        line += f", without colour profile and EXIF data, for which {suffix} has no place"
    return batch.Outcome([line], losses)
