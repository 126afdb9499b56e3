"""What codecs are compared on: pictures and clips, found on the command line and loaded as they are.

A picture is compared in the samples of its file, RGB or gray. A clip is a video whose frames are compared as planes, in
the sampling and range that its file has. What cannot be kept as it is, such as 10 bits or alpha, is left out or
converted here, once and for all codecs, and said to be; nothing is converted on the way into a codec or back.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError, LimitError, UnsupportedError
from codec.commands import batch, streams
from codec.commands.encode import VIDEOS, is_clip
from codec.files import PICTURES as PICTURE_SUFFIXES
from codec.files import read_picture
from codec.frames import Format, Planes

__all__ = [
    "CLIPS",
    "PICTURES",
    "REPORTS",
    "SUFFIXES",
    "Footage",
    "Found",
    "Kind",
    "Pixels",
    "Size",
    "Source",
    "find_sources",
    "lengthen",
]

PACKED = ".xz"  # a clip may be packed so, as raw ones often are
REPORTS = ("cells.jsonl", "speed.json")  # what is in the folder of a report, and in no other
SUFFIXES = PICTURE_SUFFIXES | VIDEOS | {PACKED}  # of files in folders
LARGEST = 1 << 30  # samples of a clip in memory

Pixels = NDArray[np.uint8]
Kind = Literal["pictures", "clips"]  # what sources are, and what codecs are for
PICTURES: Kind = "pictures"
CLIPS: Kind = "clips"


class Footage(NamedTuple):
    """Frames in memory, and what they have in common."""

    format: Format
    frames: Sequence[Planes]

    def kilobits(self, size: int) -> float:
        """Return the rate in kbit/s of a stream of so many bytes."""
        return 8e-3 * size * float(self.format.rate) / len(self.frames)


class Size(NamedTuple):
    """How much there is of a picture or clip."""

    width: int
    height: int
    frames: int

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.width * self.height * self.frames

    @classmethod
    def of(cls, content: Pixels | Footage) -> Size:
        """Return the size of a picture or clip."""
        if isinstance(content, Footage):
            return cls(content.format.width, content.format.height, len(content.frames))
        return cls(content.shape[1], content.shape[0], 1)


def lengthen(footage: Footage, length: int) -> Footage:
    """Play footage forth and back until there are `length` frames; they share memory."""
    frames = [*footage.frames, *footage.frames[-2:0:-1]]
    return footage._replace(frames=list(islice(cycle(frames), length)))


@dataclass(frozen=True)
class Source:
    """A picture or a clip that codecs are compared on.

    Attributes
    ----------
    name : str
        What reports call it.
    path : Path
    kind : {"pictures", "clips"}
    digest : str
        SHA-256 of the file: what was measured on another file of this name does not count.
    size : Size
    frames : int, optional
        Frames of a clip that are asked for, from the first one on; all by default.
    """

    name: str
    path: Path
    kind: Kind
    digest: str
    size: Size
    frames: int | None = None

    def load(self) -> Any:
        """Return its pixels or its Footage, as codecs of its kind take them.

        Those of the last two sources are kept, since many codecs want them in turn.

        Raises
        ------
        CodecError, OSError
            If it cannot be read, or is not the file that the digest is of.
        """
        return _load(self.path, self.kind, self.digest, self.frames)


@lru_cache(maxsize=2)
def _load(path: Path, kind: Kind, digest: str, frames: int | None) -> Pixels | Footage:
    if _digest(path) != digest:
        raise CodecError(f"{path}: not the same file as when the measurements began")
    return _load_clip(path, frames)[0] if kind == CLIPS else _without_alpha(read_picture(path).pixels)


def _without_alpha(pixels: Pixels) -> Pixels:
    """Return the gray or RGB samples alone: not all codecs have alpha, and no measure counts it."""
    if pixels.ndim == 2 or pixels.shape[2] in (1, 3):
        return pixels
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_clip(path: Path, frames: int | None = None) -> tuple[Footage, list[str]]:
    """Load a clip: any video file that `codec.clips` opens, also inside `.xz`.

    Parameters
    ----------
    path : Path
    frames : int, optional
        Load no more than these.

    Returns
    -------
    footage : Footage
    notes : list of str
        What had to be converted or left out.

    Raises
    ------
    CodecError
        If it is no such file; LimitError if its frames would take more than `LARGEST` bytes.
    """
    from codec.clips import open_clip  # noqa: PLC0415  loads PyAV, which benchmarks of pictures do without

    with contextlib.ExitStack() as stack:
        file = cast(BinaryIO, stack.enter_context(lzma.open(path))) if path.suffix.lower() == PACKED else path
        clip = stack.enter_context(open_clip(file))
        loaded: list[Planes] = []
        size = 0
        for planes, _ in islice(clip, frames):
            size += sum(plane.size for plane in planes)
            if size > LARGEST:
                raise LimitError(f"{path}: more than {LARGEST >> 20} MiB of frames; --frames {len(loaded)} takes fewer")
            loaded.append(planes)
        return Footage(clip.format, loaded), clip.notes


class Found(NamedTuple):
    """What the inputs on a command line mean.

    Attributes
    ----------
    sources : list of Source
        In the order of the inputs, with names of their own.
    problems : list of str
        A line for each input that cannot be used.
    notes : list of str
        A line for each source of which only a part is compared.
    """

    sources: list[Source]
    problems: list[str]
    notes: list[str]


def find_sources(inputs: Sequence[str], frames: int | None = None) -> Found:
    """Find what the inputs mean, and read each once to see that it can be.

    Parameters
    ----------
    inputs : sequence of str
        Files, and folders of them. A report inside of a folder is no input: its pictures show curves.
    frames : int, optional
        Frames of each clip that are used.
    """
    paths: dict[Path, Path] = {}  # each file once, whatever it is called
    found = Found([], [], [])
    for name in inputs:
        try:
            for path, relative in batch.find([name], SUFFIXES):
                above = [Path(name, parent) for parent in relative.parents if parent != Path()]
                if not any((folder / mark).exists() for folder in above for mark in REPORTS):
                    paths.setdefault(path.resolve(), path)
        except CodecError as error:
            found.problems.append(batch.explain(error, name))
    stems = Counter(_stem(path) for path in paths.values())
    for whole, path in paths.items():
        name = _printable(_stem(path) if stems[_stem(path)] == 1 else str(path))
        try:
            source, notes = _read(whole, name, frames)
            found.sources.append(source)
            found.notes.extend(f"{name}: {note}" for note in notes)
        except (CodecError, OSError, EOFError, lzma.LZMAError, MemoryError) as error:
            message = batch.explain(error).removeprefix(f"{whole}: ")
            found.problems.append(f"{_printable(str(path))}: {message.partition('; raise it with')[0]}")
    return found


def _read(path: Path, name: str, frames: int | None) -> tuple[Source, list[str]]:
    """Read a file; return it as a source, and what of it is not compared as it is."""
    if streams.is_video(path):
        raise UnsupportedError("a .tvid file already; decode it to have a clip to compare on")
    if path.suffix.lower() == PACKED or is_clip(path):
        footage, notes = _load_clip(path, frames)
        return Source(name, path, CLIPS, _digest(path), Size.of(footage), frames), notes
    pixels = read_picture(path).pixels
    notes = [] if _without_alpha(pixels) is pixels else ["alpha is not compared"]
    return Source(name, path, PICTURES, _digest(path), Size.of(pixels)), notes


def _printable(name: str) -> str:
    """Return a name as every page and terminal can show it: what is no character becomes "?"."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _stem(path: Path) -> str:
    """Return the name of a file up to the first dot, as of `foreman.y4m.xz`."""
    return path.name.partition(".")[0] or path.name
