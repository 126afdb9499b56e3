"""`tcodec decode`: `.tjpg` files to pictures."""

from __future__ import annotations

import argparse
from typing import Any

from codec.commands import batch
from codec.files import FORMATS, picture_bytes
from codec.image import decode_image, read_header, recover_image

__all__ = ["add"]


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "decode",
        help="decode .tjpg files to pictures",
        description=f"Decode .tjpg files to PNG, or to the format of the output's extension: {', '.join(FORMATS)}.",
    )
    batch.add_writing_options(
        parser,
        "a .tjpg file, a folder of them, or - for stdin",
        "a file, a folder, or - for stdout, as PNG; a folder if there are several (default: beside each file)",
    )
    damage = parser.add_mutually_exclusive_group()
    damage.add_argument("--strict", action="store_true", help="refuse damaged files (the default)")
    damage.add_argument(
        "--allow-partial",
        action="store_true",
        help="decode what is left of damaged files, report what is missing, and exit with status 3",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Decode all inputs; return the exit status."""
    return batch.run(batch.plan(args.inputs, args.output, {".tjpg"}, ".png"), _decode, args)


def _decode(data: bytes, task: batch.Task, args: argparse.Namespace) -> batch.Product:
    """Decode one file."""
    losses: list[str] = []
    if args.allow_partial:
        recovered = recover_image(data, size_limit=args.size_limit)
        pixels, header = recovered.pixels, recovered.header
        losses = [f"{task.source}: {problem}" for problem in recovered.problems]
        losses += [f"{task.source}: rows {first} to {last - 1} are missing" for first, last in recovered.missing]
    else:
        pixels = decode_image(data, size_limit=args.size_limit)
        header = read_header(data, size_limit=args.size_limit)
    suffix = ".png" if task.target == batch.STANDARD else task.target.suffix
    picture = picture_bytes(suffix, pixels, header.icc, header.exif)
    line = f"{task.source}: {header.width} x {header.height}, {len(data):,} -> {len(picture):,} bytes"
    if (header.icc or header.exif) and not FORMATS[suffix.lower()].metadata:
        line += f", without colour profile and EXIF data, for which {suffix} has no place"
    return batch.Product(picture, line, losses)
