"""The codecs that are compared: anything that turns frames into bytes, and back.

A new codec is a new class, a child of `PictureCodec` or `VideoCodec` with a name, a ladder of qualities and three
methods; it is found by being there. The rest, from the command line to the report, needs no word about it:

    class Qoi(PictureCodec):
        name = "qoi"
        ladder = (0,)

        def version(self) -> str: ...
        def encode(self, frames, quality) -> bytes: ...
        def decode(self, data) -> Pixels: ...

All codecs work on one thread, and give the bytes of real files or streams. What they are given is called content here
where it may be either: an array, which is a picture, or `Footage`, which is a clip.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from benchmarks.sources import CLIPS, PICTURES, Footage, Kind, Pixels
from bitstreams.errors import CodecError
from codec.commands.batch import explain

__all__ = [
    "AnyCodec",
    "Codec",
    "NotInstalledError",
    "PictureCodec",
    "VideoCodec",
    "choose",
    "fingerprint",
    "is_ours",
    "known",
    "misplaced",
    "refuse_unknown",
]

Content = TypeVar("Content", Pixels, Footage)


class NotInstalledError(Exception):
    """A codec is not installed; says what is missing."""


class Codec(ABC, Generic[Content]):
    """What benchmarks need of a codec at one setting.

    Attributes
    ----------
    name : str
        What reports call it, and what selects it: "avif" selects "avif-speed2" and "avif-speed6".
    ladder : tuple of float
        Qualities for a rate-distortion curve, on the codec's own scale, from coarse to fine. On photos of half a
        megapixel they span about 0.1 to 3 bits a pixel, so that the curves of all codecs overlap.
    grain : float
        The smallest difference of two qualities that matters.
    outside : bool
        Whether processes of its own do the work, so that their time is what counts.
    """

    name: str
    ladder: tuple[float, ...]
    grain: float = 1
    outside: ClassVar[bool] = False

    @classmethod
    def variants(cls) -> Iterable[Self]:
        """Return the settings at which the codec is compared, each with a name of its own; one, as it is."""
        return [cls()]

    @abstractmethod
    def version(self) -> str:
        """Return name and version of what does the work, or raise NotInstalledError."""

    @abstractmethod
    def encode(self, frames: Content, quality: float) -> bytes:
        """Return the bytes of a whole file.

        Parameters
        ----------
        frames : (H, W) or (H, W, 3) uint8 array, or Footage
            A picture, gray or RGB; or the frames of a clip.
        quality : float
            On the codec's own scale.
        """

    @abstractmethod
    def decode(self, data: bytes) -> Any:
        """Return what is in a file that `encode` made: a picture, gray or RGB, or a list of the planes of frames."""

    def play(self, data: bytes) -> None:
        """Decode a file as who looks at it does, and keep no more than that takes."""
        self.decode(data)


class PictureCodec(Codec[Pixels]):
    """A codec for pictures."""


class VideoCodec(Codec[Footage]):
    """A codec for clips."""


AnyCodec = PictureCodec | VideoCodec
CLASSES: dict[Kind, type[AnyCodec]] = {PICTURES: PictureCodec, CLIPS: VideoCodec}


def known(kind: Kind) -> dict[str, AnyCodec]:
    """Return all codecs of a kind by their names: ours first, then in the order in which they were defined."""
    for module in ("benchmarks.picture_codecs", "benchmarks.masking", "benchmarks.video_codecs"):
        importlib.import_module(module)
    found = [codec for each in _concrete(CLASSES[kind]) for codec in each.variants()]
    return {codec.name: codec for codec in sorted(found, key=lambda codec: not is_ours(codec.name))}


def _concrete(parent: type[AnyCodec]) -> Iterator[type[AnyCodec]]:
    """Find the classes that descend from one and have a name: what others only share has none."""
    if hasattr(parent, "name"):
        yield parent
    for child in parent.__subclasses__():
        yield from _concrete(child)


def is_ours(name: str) -> bool:
    """Tell whether a codec is this project's."""
    return _selects("tcodec", name)


def _selects(name: str, codec: str) -> bool:
    """Tell whether a name selects a codec: if it is called so, or its name goes on after that with "-"."""
    return f"{codec}-".startswith(f"{name}-")


def choose(names: Sequence[str], kind: Kind) -> tuple[list[AnyCodec], list[str]]:
    """Choose codecs of a kind.

    Parameters
    ----------
    names : sequence of str
        A name selects the codec that is called so, and those whose names go on after it with "-".
    kind : {"pictures", "clips"}

    Returns
    -------
    chosen : list of Codec
        Those that are installed, in the order of the names.
    left_out : list of str
        A line for each that is not.
    """
    chosen: dict[str, AnyCodec] = {}
    left_out = []
    for name in names:
        for codec in known(kind).values():
            if _selects(name, codec.name) and codec.name not in chosen:
                try:
                    codec.version()
                    chosen[codec.name] = codec
                except NotInstalledError as error:
                    left_out.append(f"{codec.name}: {explain(error)}")
    return list(chosen.values()), left_out


def refuse_unknown(names: Sequence[str]) -> None:
    """Raise a CodecError if a name selects no codec of any kind; it tells those that are known."""
    every = dict.fromkeys(codec for kind in CLASSES for codec in known(kind))
    nothing = [repr(name) for name in names if not any(_selects(name, codec) for codec in every)]
    if nothing:
        raise CodecError(f"no codec is called {' or '.join(nothing)}; known are {', '.join(every)}")


def misplaced(names: Sequence[str], kinds: Sequence[Kind]) -> list[str]:
    """Return a line for each name, of those that are known, that selects no codec for these kinds of sources."""
    here = [codec for kind in kinds for codec in known(kind)]
    others = [name for name in names if not any(_selects(name, codec) for codec in here)]
    return [f"{name}: not for {' and '.join(kinds)}" for name in others]


@cache
def fingerprint(*packages: str) -> str:
    """Return a version of this project's own code: of its release, and a hash of the source files as they are now.

    Parameters
    ----------
    *packages : str
        Names of packages or modules whose files count.
    """
    digest = hashlib.sha256()
    for package in packages:
        file = Path(inspect.getfile(importlib.import_module(package)))
        files = sorted(file.parent.rglob("*")) if file.name == "__init__.py" else [file]
        for each in files:
            if each.is_file() and "__pycache__" not in each.parts:
                digest.update(each.name.encode() + each.read_bytes())
    return f"tcodec {_release()}, code {digest.hexdigest()[:12]}"


def _release() -> str:
    try:
        return version("tcodec")
    except PackageNotFoundError:
        return "(not installed)"
