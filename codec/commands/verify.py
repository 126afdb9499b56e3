"""`tcodec verify`: whether `.tjpg` and `.tvid` files are whole and decode, strictly."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bitstreams.errors import CodecError
from codec.commands import batch, streams
from codec.commands.videos import check_video
from codec.image import SIZE_LIMIT, decode_image

__all__ = ["add"]


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verify",
        help="check that .tjpg and .tvid files are whole and decode",
        description="Decode .tjpg and .tvid files strictly, and tell what is wrong with those that do not. Nothing is "
        "written.",
    )
    batch.add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check all inputs; return the exit status."""
    records = []
    for path, _ in batch.find(args.inputs, {".tjpg", ".tvid"}):
        record = _check(path, args)
        records.append(record)
        if not args.json and not (record["ok"] and args.quiet):
            print(f"{path}: " + ("ok" if record["ok"] else f"{record['error']}: {record['message']}"), flush=True)
    if args.json:
        batch.print_json(records, args.inputs)
    return 0 if all(record["ok"] for record in records) else batch.FAILED


def _check(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Decode a file; return what came of it."""
    try:
        if streams.is_video(path):
            check_video(path, args)
        else:
            decode_image(streams.read_tjpg(path), size_limit=args.size_limit or SIZE_LIMIT)
    except (CodecError, OSError, MemoryError) as error:
        message = batch.explain(error).removeprefix(f"{path}: ")
        return {"file": str(path), "ok": False, "error": type(error).__name__, "message": message}
    return {"file": str(path), "ok": True, "error": None, "message": None}
