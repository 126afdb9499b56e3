"""What the subcommands read and write: files, or the standard streams, for which "-" stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from bitstreams.chunks import signature
from bitstreams.errors import FormatError
from codec import image, video
from codec.files import atomic_write

__all__ = ["STANDARD", "destination", "first_bytes", "is_video", "opened", "read", "read_tjpg", "write"]

STANDARD = Path("-")


def first_bytes(source: Path, size: int) -> bytes:
    """Return what an input begins with, and leave it there; nothing of what is no file, or cannot be read."""
    if source == STANDARD:
        return cast(BufferedReader, sys.stdin.buffer).peek(size)[:size]
    try:
        with source.open("rb") as file:
            return file.read(size) if source.is_file() else b""
    except OSError:
        return b""


def is_video(source: Path) -> bool:
    """Tell whether an input is a `.tvid` file, whatever it is called."""
    start = signature(video.KIND)
    return first_bytes(source, len(start)) == start


def read(source: Path) -> bytes:
    """Read a whole input."""
    return sys.stdin.buffer.read() if source == STANDARD else source.read_bytes()


def read_tjpg(source: Path) -> bytes:
    """Read an input that begins like a `.tjpg` file, as far as it goes, or raise FormatError."""
    data = read(source)
    if not data.startswith(signature(image.KIND)[: len(data)]):
        raise FormatError("neither a .tjpg nor a .tvid file")
    return data


@contextmanager
def opened(source: Path) -> Iterator[BinaryIO]:
    """Open an input to be sought in: standard input is copied to a temporary file."""
    if source != STANDARD:
        with source.open("rb") as file:
            yield file
    else:
        with TemporaryFile() as copy:
            copyfileobj(sys.stdin.buffer, copy)
            yield copy


def destination(target: Path) -> Path | BinaryIO:
    """Return where an output goes: a path, in a folder that exists from here on, or standard output."""
    if target == STANDARD:
        return sys.stdout.buffer
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def write(target: Path, data: bytes, force: bool) -> None:
    """Write an output, whole or not at all."""
    place = destination(target)
    if isinstance(place, Path):
        atomic_write(place, data, force=force)
    else:
        place.write(data)
