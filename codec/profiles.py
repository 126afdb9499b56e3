"""Profiles: which stages a file was made with.

A file names its profile. This package brings `main` and `baseline`; another package adds one of its own with an entry
point in the group `tcodec.profiles`, so that a decoder down here can use it without importing it:

    [project.entry-points."tcodec.profiles"]
    mine = "my_package.my_module:MyProfile"

Another of the same name in the group `tcodec.tracers` lays its strips open (`codec.trace.find_tracer`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import UnsupportedError
from codec.baseline import Baseline
from codec.main import Main
from codec.stages import Stages

__all__ = ["Profile", "find_profile", "profile_names"]

GROUP = "tcodec.profiles"


class Profile(Protocol):
    """What an image's pipeline needs of a profile; `codec.baseline.Baseline` describes each method.

    Attributes
    ----------
    STAGES : mapping of str to str
        Its optional stages (`codec.stages`).
    TUNES : mapping of str
        What its pictures can be made good at, and how.
    STRIP : int
        Pixels of the strips that an encoder makes.
    PIXELS_A_BYTE : int
        More than a file can hold.
    """

    STAGES: ClassVar[Stages]
    TUNES: ClassVar[Mapping[str, Any]]
    STRIP: ClassVar[int]
    PIXELS_A_BYTE: ClassVar[int]

    @classmethod
    def choose(
        cls,
        channels: int,
        subsampled: bool,
        quality: float,
        tune: str,
        *,
        tables: str | None,
        effort: int | None,
        without: Collection[str],
    ) -> Profile: ...

    @classmethod
    def from_bytes(cls, parameters: bytes, channels: int, subsampled: bool) -> Profile: ...

    def to_bytes(self) -> bytes: ...

    @property
    def macroblock(self) -> int: ...

    def encode_strip(self, pixels: NDArray[np.uint8]) -> bytes: ...

    def decode_strip(self, data: bytes, at: int, pixels: NDArray[np.uint8]) -> None: ...


OWN: dict[str, type[Profile]] = {"main": Main, "baseline": Baseline}


def profile_names() -> list[str]:
    """Return the names of all profiles that are installed, this package's own first."""
    return [*OWN, *sorted(entry_points(group=GROUP).names - set(OWN))]


@cache
def find_profile(name: str) -> type[Profile]:
    """Return the profile of a name, or raise UnsupportedError."""
    if name in OWN:
        return OWN[name]
    found = entry_points(group=GROUP)
    if name not in found.names:
        raise UnsupportedError(f"unknown profile {name!r}; known are {', '.join(profile_names())}")
    profile: type[Profile] = found[name].load()
    return profile
