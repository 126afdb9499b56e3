"""Video: frames to a `.tvid` file and back.

    encode   frames -> groups of pictures -> each group through motion search, transform and entropy coder -> chunks
    decode   chunks -> groups -> frames

A group begins with a frame that needs no other, and refers to nothing outside: it can be decoded alone, in another
process, or after a jump. Frames come one at a time and go one at a time: no more than a few groups are held, however
long the video is. What happens inside a group: `codec.gop` tells its structure, `codec.group_encoder` and
`codec.group_decoder` the way there and back. `codec.video_reader` opens files.

The file is a container of kind TVD (`bitstreams.chunks`) with these chunks, in this order:

    HEAD    width       4 bytes     1 to 65,535
            height      4 bytes
            sampling    1 byte      0 gray, 1 4:2:0, 2 4:4:4
            range       1 byte      1 full, 0 limited
            matrix      1 byte      0 BT.601, 1 BT.709
            rate        4 + 4 bytes numerator and denominator: frames a second
            tick        4 + 4 bytes numerator and denominator: seconds, the unit of timestamps
            pyramid     1 byte      frames from one I or P frame to the next: 1, 2, 4, 8, 16
            without     1 byte      stages that a decoder must leave out: bit 0 cascade, bit 1 deblocking
            profile     1 byte, then so many ASCII characters: its name
    GRUP    first       4 bytes     number of its first frame in the video
            frames      2 bytes     number of its frames, 1 to 512
            quality     2 bytes     in 1/100
            timed       1 byte      whether timestamps follow; if not, that of a frame is its number
            times       8 bytes and varints   the first timestamp, then each one's difference from the one before
            the group's symbols (`codec.syntax`), to the end
            ... one for each group
    INDX    for each group: 8 bytes, where in the file its chunk begins, and 4 bytes, the number of its frames
            4 bytes, the length of this payload: so the index is found from the end of the file

A file that is cut off has no index; a reader that is told to makes one by walking along the chunks.
"""

from __future__ import annotations

import operator
import os
import pickle
import struct
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import read_varint, write_varint
from bitstreams.chunks import DONE, FRAMING, chunk_bytes, preamble
from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from codec.files import atomic_open
from codec.frames import MATRICES, SAMPLINGS, Format, Planes, from_rgb, sampling_of
from codec.gop import PYRAMIDS
from codec.group_encoder import encode_group
from codec.layout import Layout
from codec.rate_control import Share, allot, encode_group_to_size
from codec.scenes import is_cut
from codec.stages import Stages, check_without

__all__ = [
    "DEFAULT_KEYFRAME",
    "DEFAULT_PYRAMID",
    "DEFAULT_QUALITY",
    "FRAME_LIMIT",
    "Frame",
    "GroupHeader",
    "Header",
    "Summary",
    "encode_video",
]

KIND = b"TVD"
HEAD, GROUP, INDEX = b"HEAD", b"GRUP", b"INDX"
FIXED = struct.Struct(">IIBBBIIIIBBB")
GROUP_FIXED = struct.Struct(">IHHB")
TIME = struct.Struct(">Q")
ENTRY = struct.Struct(">QI")
LENGTH = struct.Struct(">I")

DEFAULT_QUALITY = 75.0  # that of still images
DEFAULT_KEYFRAME = 32  # frames: about a second, what a jump costs at most
DEFAULT_PYRAMID = 8
LARGEST_SIDE = 65_535  # pixels
LARGEST_GROUP = 512  # frames
FRAME_LIMIT = 1 << 24  # pixels of a frame that a decoder accepts if not told otherwise; each takes it up to 250 bytes
GROUP_PIXELS = 1 << 28  # in all frames of a group: bounds the memory of a decoder
LARGEST_TIME = 1 << 62  # ticks
LARGEST_PAUSE = 1 << 35  # ticks: what a varint holds

Frame = NDArray[np.uint8] | Planes | tuple[Planes, int]

STAGES: Stages = {  # optional ones (`codec.stages`)
    "motion": "every frame is coded by itself",
    "b-frames": "I and P frames only, each predicted from the one before",
    "cascade": "the same quantiser step for all frames",
    "sub-pel": "vectors in whole samples",
    "split": "one vector for each macroblock",
    "inheritance": "direction and vectors are sent for every macroblock",
    "level-choice": "plain rounding to the nearest level",
    "deblocking": "edges of blocks stay as they are",
    "contexts": "one code for all symbols of a kind",
}
DECODED = ("cascade", "deblocking")  # those that a decoder must know of, in the order of their bits in a header


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its groups.

    Attributes
    ----------
    format : Format
        Size, sampling, range, rate.
    pyramid : int
        Frames from one I or P frame to the next.
    profile : str
        Name of the profile.
    without : frozenset of str
        Which of `DECODED` are left out.
    """

    format: Format
    pyramid: int
    profile: str = "baseline"
    without: frozenset[str] = frozenset()

    @property
    def layout(self) -> Layout:
        """The grids of macroblocks and blocks."""
        return Layout(-(-self.format.height // 16), -(-self.format.width // 16), SAMPLINGS.index(self.format.sampling))

    def to_bytes(self) -> bytes:
        """Write the payload of the HEAD chunk."""
        format = self.format
        name = self.profile.encode("ascii")
        fixed = FIXED.pack(
            format.width,
            format.height,
            SAMPLINGS.index(format.sampling),
            format.full_range,
            list(MATRICES).index(format.matrix),
            *format.rate.as_integer_ratio(),
            *format.tick.as_integer_ratio(),
            self.pyramid,
            sum((stage in self.without) << bit for bit, stage in enumerate(DECODED)),
            len(name),
        )
        return fixed + name

    @classmethod
    def from_bytes(cls, payload: bytes) -> Header:
        """Read the payload of a HEAD chunk, or raise FormatError or UnsupportedError."""
        if len(payload) < FIXED.size:
            raise FormatError(f"a header of {len(payload)} bytes")
        width, height, sampling, full, matrix, *fractions, pyramid, flags, length = FIXED.unpack_from(payload)
        name = payload[FIXED.size :]
        if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE and all(fractions)):
            raise FormatError(f"a header of {width} x {height} pixels, rate and tick {fractions}")
        if sampling >= len(SAMPLINGS) or full > 1 or matrix >= len(MATRICES) or pyramid not in PYRAMIDS:
            raise FormatError(f"a header of sampling {sampling}, range {full}, matrix {matrix}, pyramid {pyramid}")
        if flags >> len(DECODED):
            raise FormatError(f"a header without unknown stages, {flags:#04x}")
        if len(name) != length or not name.isascii():
            raise FormatError("a header whose profile has no name")
        if name != b"baseline":
            raise UnsupportedError(f"unknown video profile {name.decode()!r}; known is baseline")
        rate, tick = Fraction(*fractions[:2]), Fraction(*fractions[2:])
        format = Format(width, height, SAMPLINGS[sampling], rate, tick, bool(full), list(MATRICES)[matrix])
        without = frozenset(stage for bit, stage in enumerate(DECODED) if flags >> bit & 1)
        return cls(format, pyramid, without=without)

    def check_size(self, size_limit: int) -> None:
        """Raise LimitError if a frame has more pixels than the caller allows."""
        if self.format.width * self.format.height > size_limit:
            raise LimitError(
                f"frames of {self.format.width} x {self.format.height} pixels are over the limit of {size_limit}; "
                "raise it with size_limit= (--size-limit on the command line)"
            )

    def check_group(self, frames: int) -> None:
        """Raise LimitError if a group has more frames than are allowed."""
        rows, columns, _ = self.layout
        if not 1 <= frames <= LARGEST_GROUP or frames * rows * columns * 256 > GROUP_PIXELS:
            raise LimitError(
                f"a group of {frames} frames of {self.format.width} x {self.format.height} pixels; at most "
                f"{LARGEST_GROUP} frames and {GROUP_PIXELS} pixels, in whole macroblocks, are possible: "
                "choose a smaller keyframe= (-k on the command line)"
            )


class GroupHeader(NamedTuple):
    """What a group's chunk says before its symbols.

    Attributes
    ----------
    first : int
        Number of its first frame in the video.
    quality : float
        In [0, 100], in hundredths.
    times : list of int
        Timestamp of each frame, in ticks; rising.
    """

    first: int
    quality: float
    times: list[int]

    def to_bytes(self) -> bytes:
        """Write the beginning of the payload of a GRUP chunk."""
        timed = self.times != list(range(self.first, self.first + len(self.times)))
        fixed = GROUP_FIXED.pack(self.first, len(self.times), round(100 * self.quality), timed)
        if not timed:
            return fixed
        steps = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        return fixed + TIME.pack(self.times[0]) + write_varint(*steps)

    @classmethod
    def from_bytes(cls, payload: bytes) -> tuple[GroupHeader, int]:
        """Read it again; return it and the index after it, or raise FormatError or TruncatedError."""
        if len(payload) < GROUP_FIXED.size:
            raise TruncatedError("a group ends inside its header")
        first, frames, hundredths, timed = GROUP_FIXED.unpack_from(payload)
        if not 1 <= frames <= LARGEST_GROUP or hundredths > 10_000 or timed > 1:
            raise FormatError(f"a group of {frames} frames at quality {hundredths / 100}")
        at = GROUP_FIXED.size
        if not timed:
            return cls(first, hundredths / 100, list(range(first, first + frames))), at
        if len(payload) < at + TIME.size:
            raise TruncatedError("a group ends inside its timestamps")
        times, at = [*TIME.unpack_from(payload, at)], at + TIME.size
        for _ in range(frames - 1):
            step, at = read_varint(payload, at)
            times.append(times[-1] + step)
        if times[-1] >= LARGEST_TIME or any(not step for step in np.diff(times)):
            raise FormatError("timestamps that do not rise, or are out of range")
        return cls(first, hundredths / 100, times), at


class Summary(NamedTuple):
    """What was written.

    Attributes
    ----------
    frames, groups : int
    bytes : int
        Of the whole file.
    seconds : Fraction
        Duration of the video.
    """

    frames: int
    groups: int
    bytes: int
    seconds: Fraction


class _Group(NamedTuple):
    """Frames to be coded together."""

    first: int
    frames: list[Planes]
    times: list[int]


def encode_video(
    frames: Iterable[Frame],
    target: str | Path | BinaryIO,
    *,
    fps: float | Fraction = 25,
    quality: float = DEFAULT_QUALITY,
    bitrate: float | None = None,
    keyframe: int = DEFAULT_KEYFRAME,
    pyramid: int = DEFAULT_PYRAMID,
    scene_cut: bool = True,
    yuv: str = "420",
    format: Format | None = None,
    without: Collection[str] = (),
    executor: Executor | None = None,
    keep_partial: bool = False,
    force: bool = True,
    progress: Callable[[int], object] | None = None,
    reconstruction: Callable[[int, Planes], object] | None = None,
) -> Summary:
    """Encode a video.

    Parameters
    ----------
    frames : iterable
        Pictures (H, W, 3) or (H, W) uint8, RGB or gray; or planes (Y, Cb, Cr) or (Y,); or pairs of planes and
        timestamp in ticks of `format`, as `codec.clips` reads them. All of one kind and size. They are copied, so an
        iterator may give the same array again with something else in it.
    target : path or binary file
        Where to write; need not be seekable. A file of that name is there as a whole or not at all.
    fps : float or Fraction
        Frames a second, in [0.0001, 1,000,000]; not used if there is a `format`, which tells its own.
    quality : float
        In [0, 100], hundredths count; the scale is that of still images, at equal quantiser steps.
    bitrate : float, optional
        Bits a second that the file shall have, instead of a quality: `frames` are then gone through twice. An iterator,
        which cannot be, is kept in a temporary file meanwhile, uncompressed. `quality` is that of the first pass.
    keyframe : int
        The largest number of frames in a group; each begins with a frame that stands alone. Groups have 512 frames
        at most, and fewer if they are large: 2**28 pixels in all.
    pyramid : int
        Frames from one I or P frame to the next: 1, 2, 4, 8 or 16. With 1 there are no B frames.
    scene_cut : bool
        Whether a group ends where another scene begins.
    yuv : {"420", "444", "400"}
        Chroma of pictures that come as RGB: at half resolution, at full, or none.
    format : Format, optional
        What the planes are; by default those of RGB pictures are in full range, others in limited range.
    without : collection of str
        Stages to leave out, of those in `STAGES`: to see what they are worth.
    executor : concurrent.futures.Executor, optional
        Where groups are encoded; by default here, one after another. The bytes are the same.
    keep_partial : bool
        Whether an encoding that is interrupted leaves a valid file of the groups that are ready.
    force : bool
        Whether an existing file may be overwritten.
    progress : function, optional
        Called with the number of frames of each group that has been written; with a bit rate in the second pass only.
    reconstruction : function, optional
        Called with number and planes of each frame as a decoder will see it; not possible with an executor.

    Returns
    -------
    Summary

    Raises
    ------
    CodecError
        If there are no frames, or they cannot be coded; the message says why.
    OSError
        If the file cannot be written.
    """
    _check_options(quality, keyframe, pyramid, yuv)
    without = check_without(without, STAGES)
    keyframe = 1 if "motion" in without else keyframe
    pyramid = 1 if "b-frames" in without else pyramid
    if not 1e-4 <= fps <= 1e6:
        raise CodecError(f"{fps} frames a second; it must be between 0.0001 and a million")
    fraction = (fps if isinstance(fps, Fraction) else Fraction(float(fps))).limit_denominator(100_000)
    if bitrate is not None and not 0 < bitrate <= 1e12:
        raise CodecError(f"{bitrate} bits a second; it must be more than 0, and at most a million million")
    if reconstruction is not None and executor is not None:
        raise CodecError("reconstruction= is for encoding here, and executor= for encoding elsewhere: choose one")
    with ExitStack() as stack:
        if bitrate is not None and iter(frames) is frames:
            frames = stack.enter_context(_Replay(frames))
        stream = _Planes(frames, format, fraction, yuv)
        header = Header(stream.format, pyramid, without=without & set(DECODED))
        header.check_group(1)
        pixels = header.layout.rows * header.layout.columns * 256
        cutter = partial(_cut, keyframe=min(keyframe, LARGEST_GROUP, GROUP_PIXELS // pixels), scene_cut=scene_cut)
        quality = round(100 * quality) / 100
        shares: Iterable[Share | None] = repeat(None)
        if bitrate is not None:
            first_pass = _encode(cutter(stream), shares, header, without, quality, executor, None)
            shares = _budget(((group, len(data)) for group, data, _ in first_pass), header, bitrate)
            stream = _Planes(frames, format, fraction, yuv)
        file = stack.enter_context(_opened(target, force))
        writer = _Writer(file, header)
        stop: BaseException | None = None
        try:
            coded = _encode(cutter(stream), shares, header, without, quality, executor, reconstruction)
            for group, data, chosen in coded:
                writer.group(GroupHeader(group.first, chosen, group.times), data)
                if progress is not None:
                    progress(len(group.frames))
        except BaseException as error:
            if not keep_partial or not writer.entries:
                raise
            stop = error
        summary = writer.finish()
    if stop is not None:
        raise stop
    return summary


def _check_options(quality: float, keyframe: int, pyramid: int, yuv: str) -> None:
    if not 0 <= quality <= 100:
        raise CodecError(f"quality {quality} is outside 0 to 100")
    if keyframe < 1:
        raise CodecError(f"groups of {keyframe} frames; they have at least 1")
    if pyramid not in PYRAMIDS:
        raise CodecError(f"a pyramid of {pyramid} frames; known are {', '.join(map(str, PYRAMIDS))}")
    if yuv not in SAMPLINGS:
        raise CodecError(f"unknown sampling {yuv!r}; known are {', '.join(SAMPLINGS)}")


class _Replay:
    """An iterator of frames that can be gone through again: the first time on, what it gave is in a file."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = iter(frames)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._kept = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        self._file.seek(0)
        for _ in range(self._kept):
            yield pickle.load(self._file)  # what this process has written there itself
        for frame in self._frames:
            pickle.dump(frame, self._file, protocol=5)
            self._kept += 1
            yield frame


class _Planes:
    """Frames of whatever kind as planes and timestamps, checked; the first is read at once, for its format."""

    def __init__(self, frames: Iterable[Frame], format: Format | None, rate: Fraction, yuv: str) -> None:
        self._yuv = yuv
        rest = iter(frames)
        try:
            first = next(rest)
        except StopIteration:
            raise CodecError("there are no frames to encode") from None
        self._frames = chain([first], rest)
        is_picture = isinstance(first, np.ndarray)
        self.format = format or Format(1, 1, "400", rate, 1 / rate, full_range=is_picture)
        planes, _ = self._convert(first, 0)
        height, width = planes[0].shape
        if width > LARGEST_SIDE or height > LARGEST_SIDE:
            raise UnsupportedError(f"frames of {width} x {height} pixels; the limit is {LARGEST_SIDE} a side")
        for fraction in (self.format.rate, self.format.tick):
            if not 0 < fraction.numerator < 1 << 32 or fraction.denominator >= 1 << 32:
                raise UnsupportedError(f"a rate or tick of {fraction}: numerator and denominator have 32 bits")
        if format is None:
            self.format = replace(self.format, width=width, height=height, sampling=sampling_of(planes))
        elif [plane.shape for plane in planes] != format.shapes:
            raise UnsupportedError(
                f"the first frame has planes {[plane.shape for plane in planes]}, not {format.shapes} as was announced"
            )

    def __iter__(self) -> Iterator[tuple[Planes, int]]:
        shapes = [tuple(shape) for shape in self.format.shapes]
        before: int | None = None
        for number, frame in enumerate(self._frames):
            planes, time = self._convert(frame, number)
            if [plane.shape for plane in planes] != shapes:
                raise UnsupportedError(
                    f"frame {number} has planes {[plane.shape for plane in planes]}, the first frame {shapes}; "
                    "all frames of a video have one size and sampling"
                )
            if not 0 <= time < LARGEST_TIME:
                raise UnsupportedError(f"frame {number} has the timestamp {time}; they begin at 0")
            if before is not None and not 0 < time - before < LARGEST_PAUSE:
                raise UnsupportedError(
                    f"frame {number} has the timestamp {time}, after {before}; they must rise, by less than "
                    f"{LARGEST_PAUSE} ticks"
                )
            yield planes, time
            before = time

    def _convert(self, frame: Frame, number: int) -> tuple[Planes, int]:
        if isinstance(frame, np.ndarray):
            if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3):
                raise UnsupportedError(
                    f"frame {number} is an array of shape {frame.shape} and type {frame.dtype}; a picture is (H, W, 3) "
                    "or (H, W) of uint8; convert floats in [0, 1] with np.rint(255 * frame).astype(np.uint8)"
                )
            if 0 in frame.shape:
                raise UnsupportedError(f"frame {number} has no pixels")
            return from_rgb(frame, self._yuv, full_range=self.format.full_range, matrix=self.format.matrix), number
        planes, time = frame if isinstance(frame, tuple) and len(frame) == 2 else (frame, number)
        if not isinstance(planes, tuple) or not all(isinstance(plane, np.ndarray) for plane in planes):
            raise UnsupportedError(f"frame {number} is neither a picture nor planes, with a timestamp or without")
        sampling_of(planes)
        try:
            return planes, operator.index(time)
        except TypeError:
            raise UnsupportedError(f"frame {number} has the timestamp {time!r}; it must be a whole number") from None


def _cut(stream: _Planes, keyframe: int, scene_cut: bool) -> Iterator[_Group]:
    """Cut a video into groups."""
    group = _Group(0, [], [])
    for planes, time in stream:
        full = len(group.frames) >= keyframe
        if full or (scene_cut and group.frames and is_cut(group.frames[-1][0], planes[0])):
            yield group
            group = _Group(group.first + len(group.frames), [], [])
        # Whoever made the frame may write the next one over it.
        group.frames.append(tuple(plane.copy() for plane in planes))
        group.times.append(time)
    yield group


def _budget(sizes: Iterable[tuple[_Group, int]], header: Header, bitrate: float) -> list[Share]:
    """Turn the sizes of a first pass into the bytes that the symbols of each group may take."""
    taken: list[int] = []
    ends: list[int] = []  # timestamps of the first and the last frame of each group
    overhead = len(preamble(KIND)) + len(header.to_bytes()) + 3 * FRAMING + LENGTH.size  # HEAD, INDX and DONE
    for group, size in sizes:
        taken.append(size)
        overhead += FRAMING + ENTRY.size + len(GroupHeader(group.first, 0, group.times).to_bytes())
        ends += group.times[0], group.times[-1]
    seconds = (ends[-1] - ends[0]) * header.format.tick + 1 / header.format.rate
    return allot(taken, int(bitrate * seconds / 8) - overhead)


def _encode(
    groups: Iterable[_Group],
    shares: Iterable[Share | None],
    header: Header,
    without: Collection[str],
    quality: float,
    executor: Executor | None,
    reconstruction: Callable[[int, Planes], object] | None,
) -> Iterator[tuple[_Group, bytes, float]]:
    """Encode groups, here or in an executor; give them back in order, with their bytes and qualities."""
    if executor is None:
        for group, share in zip(groups, shares, strict=False):
            seen: dict[int, list[NDArray[np.uint8]]] = {}  # of the last trial, if there are several
            noted = seen if reconstruction else None
            data, chosen = _encode_group(group.frames, header, without, quality, share, noted)
            if reconstruction is not None:
                for index in sorted(seen):
                    reconstruction(group.first + index, crop(seen[index], header.format))
            yield group, data, chosen
        return
    waiting: deque[tuple[_Group, Future[tuple[bytes, float]]]] = deque()
    ahead = 2 * (os.cpu_count() or 1)  # groups on their way: enough to keep workers busy, little enough to hold
    try:
        for group, share in zip(groups, shares, strict=False):
            waiting.append((group, executor.submit(_encode_group, group.frames, header, without, quality, share)))
            if len(waiting) >= ahead:
                ready, future = waiting.popleft()
                yield ready, *future.result()
        while waiting:
            ready, future = waiting.popleft()
            yield ready, *future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _encode_group(
    frames: list[Planes],
    header: Header,
    without: Collection[str],
    quality: float,
    share: Share | None,
    seen: dict[int, list[NDArray[np.uint8]]] | None = None,
) -> tuple[bytes, float]:
    """Encode a group at a quality, or to a number of bytes; note what a decoder will see of it."""
    if share is not None:
        return encode_group_to_size(frames, header.layout, header.pyramid, share, quality, seen, without)
    return encode_group(frames, header.layout, header.pyramid, quality, seen, without), quality


def crop(planes: Sequence[NDArray[np.uint8]], format: Format) -> Planes:
    """Cut what is shown out of planes in whole macroblocks; contiguous copies."""
    return tuple(
        np.ascontiguousarray(plane[:height, :width])
        for plane, (height, width) in zip(planes, format.shapes, strict=True)
    )


class _Writer:
    """Writes the chunks of a file one after another, and remembers where the groups are."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file, self._header = file, header
        self._size = 0
        self._times: list[int] = []  # of the first frame, and of the last
        self.entries: list[tuple[int, int]] = []
        self._write(preamble(KIND) + chunk_bytes(HEAD, header.to_bytes()))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)

    def group(self, header: GroupHeader, data: bytes) -> None:
        self.entries.append((self._size, len(header.times)))
        self._times = [(self._times or header.times)[0], header.times[-1]]
        self._write(chunk_bytes(GROUP, header.to_bytes() + data))

    def finish(self) -> Summary:
        entries = b"".join(ENTRY.pack(*entry) for entry in self.entries)
        index = entries + LENGTH.pack(len(entries) + LENGTH.size)
        self._write(chunk_bytes(INDEX, index) + chunk_bytes(DONE, b""))
        self._file.flush()
        format = self._header.format
        seconds = (self._times[-1] - self._times[0]) * format.tick + 1 / format.rate
        return Summary(sum(frames for _, frames in self.entries), len(self.entries), self._size, seconds)


@contextmanager
def _opened(target: str | Path | BinaryIO, force: bool) -> Iterator[BinaryIO]:
    if isinstance(target, str | Path):
        with atomic_open(target, force=force) as file:
            yield file
    else:
        yield target
