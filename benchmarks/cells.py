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
from benchmarks.harness import cpu_model
from benchmarks.sources import Footage, Size, Source

__all__ = [
    "Cell",
    "Row",
    "Setting",
    "bits_a_pixel",
    "child_cpu_seconds",
    "clock_of",
    "cpu_seconds",
    "key_of",
    "point",
]

Row = dict[str, Any]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Setting(NamedTuple):
    """A codec, and what else decides what comes of it, where the sweep was begun.

    Attributes
    ----------
    codec : Codec
    version : str
        Of what does the work.
    code : str
        Of how it is called, and of the measures.
    """

    codec: AnyCodec
    version: str
    code: str

    @classmethod
    def of(cls, codec: AnyCodec) -> Setting:
        """Return a codec as it is here."""
        modules = "benchmarks.distortion", "benchmarks.sources", "codec.color", "codec.frames", "codec.metrics"
        return cls(codec, codec.version(), fingerprint(type(codec).__module__, *modules))

    def check(self) -> None:
        """Raise RuntimeError if things are different here, on another machine."""
        here = Setting.of(self.codec)
        if here[1:] != self[1:]:
            raise RuntimeError(f"{self.codec.name} is {' '.join(here[1:])} here, not {' '.join(self[1:])}")


class Cell(NamedTuple):
    """One source, coded by one codec at one quality.

    Attributes
    ----------
    source : Source
    setting : Setting
        The codec.
    quality : float
    measures : tuple of str
        Which measures of quality are taken.
    """

    source: Source
    setting: Setting
    quality: float
    measures: tuple[str, ...]

    @property
    def key(self) -> str:
        """A hash of all that the outcome depends on, but for what is measured of it."""
        return key_of(self.source, self.setting, self.quality)

    def suffices(self, row: Row) -> bool:
        """Tell whether a row that was measured before has all that is wanted."""
        return row.keys() >= set(self.measures)

    @property
    def place(self) -> str:
        """What it is but for the quality."""
        return f"{self.source.name}, {self.setting.codec.name}"

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
        self.setting.check()
        return point(self.setting.codec, self.source.load(), self.quality, self.measures)


def key_of(source: Source, setting: Setting, *parts: Any) -> str:
    """Return a hash of a source, a codec with all that decides what it does, the processor, and what else is asked."""
    about = source.digest, source.frames, setting.codec.name, setting.version, setting.code, cpu_model()
    return hashlib.sha256(json.dumps([about, parts]).encode()).hexdigest()[:24]


def point(codec: AnyCodec, content: Any, quality: float, measures: Sequence[str]) -> Row:
    """Encode, decode and measure a picture or clip that is at hand: a point of a curve, as from `Cell.run`."""
    clock = clock_of(codec)
    with threadpool_limits(1):
        data, encoding = clock(codec.encode, content, quality)
        decoded, decoding = clock(codec.decode, data)
    rates = {"bytes": len(data), "bpp": bits_a_pixel([data], [content])}
    if isinstance(content, Footage):
        rates["kbit/s"] = content.kilobits(len(data))
    measured = measure(content, decoded, measures)
    return {"quality": quality, **rates, **measured, "encoding_time": encoding, "decoding_time": decoding}


def bits_a_pixel(files: Sequence[bytes], contents: Sequence[Any]) -> float:
    """Return the bits a pixel of all files together, of pictures or clips."""
    return 8 * sum(map(len, files)) / sum(Size.of(content).pixels for content in contents)


def clock_of(codec: AnyCodec) -> Callable[..., tuple[Any, float]]:
    """Return what times the work of a codec: `cpu_seconds`, or `child_cpu_seconds` if processes of its own do it."""
    return child_cpu_seconds if codec.outside else cpu_seconds


def cpu_seconds(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> tuple[Result, float]:
    """Call a function; return its result and the CPU time that it took in this process, of all threads together."""
    start = time.process_time()
    result = work(*args, **kwargs)
    return result, time.process_time() - start


def child_cpu_seconds(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> tuple[Result, float]:
    """Call a function; return its result and the CPU time of the processes that it started and waited for."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = work(*args, **kwargs)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, end.ru_utime - start.ru_utime + end.ru_stime - start.ru_stime
