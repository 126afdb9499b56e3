"""A cell of a sweep: one source, coded by one codec at one quality. Cells are independent of each other.

A cell can be measured anywhere: here, in another process, on another machine that has the same files and versions. It
knows what was asked for in every respect, so what was measured once need not be measured again (`Cell.key`).
"""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

from benchmarks.codecs import AnyCodec, fingerprint
from benchmarks.distortion import measure
from benchmarks.sources import Footage, Source

__all__ = ["Cell", "Row", "cpu_seconds", "describe", "key_of", "point"]

Row = dict[str, Any]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Cell(NamedTuple):
    """One source, coded by one codec at one quality.

    Attributes
    ----------
    source : Source
    codec : Codec
    quality : float
    measures : tuple of str
        Which measures of quality are taken.
    version : str
        Of the codec, where the sweep was begun.
    """

    source: Source
    codec: AnyCodec
    quality: float
    measures: tuple[str, ...]
    version: str

    @property
    def key(self) -> str:
        """A hash of all that the outcome depends on: file, codec and version, how it is called, quality, measures."""
        code = fingerprint(type(self.codec).__module__, "benchmarks.distortion", "codec.metrics")
        source = self.source.digest, self.source.frames
        return key_of(*source, self.codec.name, self.version, self.quality, self.measures, code)

    def run(self) -> Row:
        """Encode, decode and measure.

        Returns
        -------
        dict
            "quality", "bytes", "bpp" and for clips "kbit/s"; each of the measures; "encoding_time" and "decoding_time"
            in seconds of CPU time.

        Raises
        ------
        Exception
            Whatever a codec raises; RuntimeError if it has another version here.
        """
        if self.codec.version() != self.version:
            raise RuntimeError(f"{self.codec.name} is {self.codec.version()} here, not {self.version}")
        return point(self.codec, self.source.load(), self.quality, self.measures)


def key_of(*parts: Any) -> str:
    """Return a hash of whatever JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def point(codec: AnyCodec, frames: Any, quality: float, measures: Sequence[str]) -> Row:
    """Encode, decode and measure frames that are at hand: a point of a curve, as from `Cell.run`."""
    with threadpool_limits(1):
        data, encoding = cpu_seconds(codec.encode, frames, quality)
        decoded, decoding = cpu_seconds(codec.decode, data)
    rates = {"bytes": len(data), "bpp": 8 * len(data) / describe(frames)["pixels"]}
    if isinstance(frames, Footage):
        rates["kbit/s"] = frames.kilobits(len(data))
    measured = measure(frames, decoded, measures)
    return {"quality": quality, **rates, **measured, "encoding_time": encoding, "decoding_time": decoding}


def describe(frames: Any) -> dict[str, int]:
    """Return width, height and number of frames of a picture or clip, and the pixels in all of them."""
    if isinstance(frames, Footage):
        size = {"width": frames.format.width, "height": frames.format.height, "frames": len(frames.frames)}
    else:
        size = {"width": frames.shape[1], "height": frames.shape[0], "frames": 1}
    return {**size, "pixels": size["width"] * size["height"] * size["frames"]}


def cpu_seconds(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> tuple[Result, float]:
    """Call a function; return its result and the CPU time that it took, with that of processes that it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.process_time()
    result = work(*args, **kwargs)
    own = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, own + after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
