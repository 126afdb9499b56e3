"""Profiles: which stages a file was made with.

A file names its profile. This package brings `baseline`; another package adds one of its own with an entry point in
the group `tcodec.profiles`, so that a decoder down here can use it without importing it:

    [project.entry-points."tcodec.profiles"]
    mine = "my_package.my_module:MyProfile"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import UnsupportedError
from codec.baseline import Baseline

__all__ = ["Profile", "find_profile"]


class Profile(Protocol):
    """What an image's pipeline needs of a profile; `Baseline` describes each method."""

    @classmethod
    def choose(cls, channels: int, subsampled: bool, quality: float, tune: str, tables: str | None) -> Profile: ...

    @classmethod
    def from_bytes(cls, parameters: bytes, channels: int, subsampled: bool) -> Profile: ...

    def to_bytes(self) -> bytes: ...

    @property
    def macroblock(self) -> int: ...

    def encode_strip(self, pixels: NDArray[np.uint8]) -> bytes: ...

    def decode_strip(self, data: bytes, at: int, pixels: NDArray[np.uint8]) -> None: ...


@cache
def find_profile(name: str) -> type[Profile]:
    """Return the profile of a name, or raise UnsupportedError."""
    if name == "baseline":
        return Baseline
    found = entry_points(group="tcodec.profiles")
    if name not in found.names:
        known = ", ".join(sorted({"baseline", *found.names}))
        raise UnsupportedError(f"unknown profile {name!r}; known are {known}")
    profile: type[Profile] = found[name].load()
    return profile
