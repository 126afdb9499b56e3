"""`tcodec info`: what `.tjpg` and `.tvid` files say of themselves, without decoding pixels."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from io import SEEK_END
from pathlib import Path
from typing import Any

from bitstreams.errors import CodecError
from codec.commands import batch, streams
from codec.commands.video_info import describe_video, video_as_text
from codec.image import SIZE_LIMIT, Header, read_header
from codec.video import FRAME_LIMIT
from codec.video_reader import open_video

__all__ = ["add", "as_words", "parameters"]

CHANNELS = {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "info",
        help="show what .tjpg and .tvid files say of themselves",
        description="Show size, sampling, stages and metadata of .tjpg files, size, rate and frames of .tvid files, "
        "without decoding pixels. The JSON record of a .tvid file has the names and the order of ffprobe's.",
    )
    batch.add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Describe all inputs; return the exit status."""
    records, failed = [], False
    for path, _ in batch.find(args.inputs, {".tjpg", ".tvid"}):
        try:
            record = _describe_video(path, args) if streams.is_video(path) else _describe_picture(path, args)
        except (CodecError, OSError) as error:
            print(batch.report(error, path, args.verbose), file=sys.stderr)
            failed = True
            continue
        records.append(record)
        if not args.json:
            print(video_as_text(record) if "streams" in record else _as_text(record))
    if args.json:
        batch.print_json(records, args.inputs)
    return batch.FAILED if failed else 0


def parameters(header: Header) -> dict[str, Any]:
    """Return what a profile's stages were told beyond the kind of picture: for `baseline`, tables and quality."""
    stages = header.stages
    if not dataclasses.is_dataclass(stages):
        return {}
    known = {field.name for field in dataclasses.fields(header)}
    fields = (field for field in dataclasses.fields(stages) if field.compare)  # others matter to an encoder alone
    told = (field.name for field in fields if field.name not in known)
    return {name: getattr(stages, name) for name in told}


def as_words(values: dict[str, Any]) -> str:
    """Put parameters into words for people."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _describe_video(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    with (
        streams.opened(path) as file,
        open_video(file, size_limit=args.size_limit or FRAME_LIMIT) as video,
        batch.frame_bar(args, len(video), video.info()) as infos,
    ):
        return describe_video(str(path), file.seek(0, SEEK_END), video.header, infos)


def _describe_picture(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    data = streams.read_tjpg(path)
    header = read_header(data, size_limit=args.size_limit or SIZE_LIMIT)
    size = len(data)
    return {
        "file": str(path),
        "width": header.width,
        "height": header.height,
        "channels": header.channels,
        "sampling": "400" if header.channels < 3 else "420" if header.subsampled else "444",
        "profile": header.profile,
        "parameters": parameters(header),
        "strips": header.strips,
        "rows_per_strip": header.rows,
        "bytes": size,
        "bits_per_pixel": 8 * size / (header.width * header.height),
        "icc_bytes": len(header.icc or b""),
        "exif_bytes": len(header.exif or b""),
    }


def _as_text(record: dict[str, Any]) -> str:
    """Lay a record out for people."""
    values = {
        "size": f"{record['width']} x {record['height']} pixels",
        "channels": f"{record['channels']} ({CHANNELS[record['channels']]})",
        "sampling": ":".join(record["sampling"]),
        "profile": f"{record['profile']}, {as_words(record['parameters'])}",
        "strips": f"{record['strips']} of {min(record['rows_per_strip'], record['height'])} rows",
        "bytes": f"{record['bytes']:,}, {record['bits_per_pixel']:.3f} bits a pixel",
        "ICC, EXIF": f"{record['icc_bytes']:,} and {record['exif_bytes']:,} bytes",
    }
    return "\n".join([record["file"], *(f"  {name:11}{value}" for name, value in values.items())])
