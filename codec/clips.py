"""Clips: whatever video a user has, as planes and times, one frame at a time.

    file, stream    packets -> frames of FFmpeg, through PyAV -> planes, and a time    (`codec.clip_frames`)
    folder          pictures                                  -> planes, and a time

`codec.clip_writer` goes the other way.

Times. A container has timestamps in a unit of its own, such as 1/1000 of a second, to which they were rounded. So all
of them are read first, which needs no decoding. If one rate of frames explains each of them, that rate is the truth,
and frame i has the time i; thus 30000/1001 frames a second stay so, even out of a file that counts milliseconds. If
none does, the rate is variable, and the timestamps are kept as they are. Of a pipe nothing can be read first: its
timestamps are kept too.

Damage. FFmpeg makes the best of a file that is cut off or damaged, and says so in a log. Here it is an error: nobody
should find out later that the copy he kept lacks the end. (What comes through a pipe shows it only if it is y4m.)
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from io import SEEK_END
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from codec.clip_frames import SAMPLING_NAMES, WHITE, Converter, on_white
from codec.color import gray_to_rgb
from codec.files import pictures_in, read_picture
from codec.frames import SAMPLINGS, Format, Planes, from_rgb
from codec.image import SIZE_LIMIT

if TYPE_CHECKING:  # slow to import, and `tcodec --help` has no use for it
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["DEFAULT_RATE", "Clip", "open_clip"]

DEFAULT_RATE = Fraction(25)  # of what does not say its rate; FFmpeg's choice
Y4M = "yuv4mpegpipe"  # has a rate and no timestamps
RESCUE = "what can be decoded of it is saved by `ffmpeg -i INPUT OUTPUT.mkv`"
NO_PIPE = "save it to a file first: few formats but y4m and Matroska can be read from a pipe"

READ_SIZE = 1 << 18  # bytes that FFmpeg asks for at once
MISSING = np.iinfo(np.int64).min  # stands for a timestamp that is not there
ROUNDING = 1e-6  # of floats, when timestamps are compared
LARGEST_DENOMINATOR = 100_000  # of the mean of a variable rate

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # the outermost elements of Matroska (RFC 9559, 5.1)
# fmt: off
ISO_BOXES = frozenset([
    b"PICT", b"emsg", b"free", b"ftyp", b"mdat", b"meta", b"mfra", b"moof", b"moov", b"pnot", b"sidx", b"skip", b"styp",
    b"udta", b"uuid", b"wide",
])
# fmt: on


class Clip(Iterator[tuple[Planes, int]]):
    """The frames of a clip in order: an iterator of (planes, time), to be closed after use, as by a with statement.

    Planes are contiguous uint8 arrays of the shapes `format.shapes`. Times are in units of `format.tick`; the first is
    0, and they rise.

    Attributes
    ----------
    format : Format
    length : int or None
        Number of frames as far as it is known; not always exact, and meant for progress bars.
    notes : list of str
        What had to be converted or left out, for people. Complete after the last frame.
    """

    def __init__(
        self,
        format: Format,
        frames: Iterator[tuple[Planes, int]],
        *,
        length: int | None,
        notes: list[str],
        name: str = "",
        resources: ExitStack | None = None,
    ):
        self.format = format
        self.length = length
        self.notes = notes
        self._frames = frames
        self._name = name
        self._resources = resources or ExitStack()

    def __next__(self) -> tuple[Planes, int]:
        with _named(self._name):
            return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a stream that was given open stays open."""
        self._resources.close()


def open_clip(
    source: str | Path | BinaryIO,
    *,
    rate: Fraction | None = None,
    sampling: str | None = None,
    size_limit: int = SIZE_LIMIT,
) -> Clip:
    """Open a video to read its frames.

    Parameters
    ----------
    source : str, Path or binary stream
        A file of any format that FFmpeg knows; a folder, whose pictures are frames, in the order of the numbers in
        their names; or an open stream, such as stdin, which need not be seekable if the format does not ask for it.
    rate : Fraction, optional
        Frames a second, whatever the file says; by default its own, for a folder `DEFAULT_RATE`.
    sampling : {"400", "420", "444"}, optional
        Resolution of chroma. By default that of the source, or 4:2:0 if it is RGB or has another. Gray stays gray.
    size_limit : int
        Pixels of a frame above which the clip is refused.

    Returns
    -------
    Clip

    Raises
    ------
    FormatError
        If it is no video, or damaged; what can only be seen later is raised by the iterator.
    TruncatedError
        If its end is missing.
    UnsupportedError
        If it has no frames, or they cannot be converted, or change their size on the way.
    LimitError
        If frames are larger than `size_limit`.
    OSError
        If it cannot be read.
    """
    if sampling is not None and sampling not in SAMPLINGS:
        raise CodecError(f"unknown sampling {sampling!r}; known are {', '.join(SAMPLINGS)}")
    if rate is not None and rate <= 0:
        raise CodecError(f"{rate} frames a second; a rate is above 0")
    path = Path(source) if isinstance(source, str | Path) else None
    if path and path.is_dir():
        return _open_folder(path, rate or DEFAULT_RATE, sampling, size_limit)
    name = str(path or "")
    with ExitStack() as resources, _named(name):
        file = resources.enter_context(path.open("rb")) if path else cast(BinaryIO, source)
        return _open_video(file, resources, name=name, rate=rate, sampling=sampling, size_limit=size_limit)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the name of the file before the messages of errors."""
    try:
        yield
    except CodecError as error:
        if not name:
            raise
        raise type(error)(f"{name}: {error}") from error


# Files and streams ------------------------------------------------------------------------------------------


class _Bytes:
    """The bytes of a file for FFmpeg, without its name: going by names, it takes any .txt for a film of its text."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._count = 0
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.advice = RESCUE if file.seekable() else NO_PIPE

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._count += len(data)
        return data

    def size(self) -> int:
        """Return the number of bytes in the file; of a pipe, of those that came through it."""
        return self._file.seek(0, SEEK_END) if self.seekable() else self._count


def _open_video(
    file: BinaryIO, resources: ExitStack, *, name: str, rate: Fraction | None, sampling: str | None, size_limit: int
) -> Clip:
    """Open what FFmpeg knows; `resources` go to the clip, which closes them."""
    source = _Bytes(file)
    if source.seekable() and _is_cut_off(file):
        raise TruncatedError(f"cut off, the end is missing; {source.advice}")
    container = resources.enter_context(_open_container(source))
    stream = _find_video(container, size_limit)
    if rate or container.format.name == Y4M or not source.seekable():
        timing = _state_timing(container, stream, rate)
    else:
        timing = _read_timing(container, stream)
        file.seek(0)
        container = resources.enter_context(_open_container(source))  # not all formats can go back to their start
        stream = _find_video(container, size_limit)
    decoded = resources.enter_context(closing(_decode(container, stream, source)))
    first = next(decoded, None)
    if first is None:
        raise UnsupportedError("no frames in it, or none that can be decoded")
    converter = Converter(first, sampling)
    height, width = converter.shape
    format = Format(width, height, converter.sampling, timing.rate, timing.tick, converter.full_range, converter.matrix)
    converter.notes += timing.notes + _find_losses(container, stream)
    frames = _convert(chain([first], decoded), converter, timing)
    return Clip(format, frames, length=timing.length, notes=converter.notes, name=name, resources=resources.pop_all())


@contextmanager
def _refused(message: str) -> Iterator[None]:
    """Raise FormatError with this message where FFmpeg fails."""
    from av import FFmpegError  # noqa: PLC0415

    try:
        yield
    except FFmpegError as error:
        raise FormatError(message) from error


def _open_container(source: _Bytes) -> InputContainer:
    import av  # noqa: PLC0415

    advice = "" if source.seekable() else f"; {NO_PIPE}"
    with _refused(f"damaged, or no video in a format that FFmpeg knows{advice}"):
        return av.open(
            source,
            "r",
            container_options={"protocol_whitelist": "none"},  # a playlist could make it open other files, or addresses
            metadata_errors="replace",
            buffer_size=READ_SIZE,
        )


def _find_videos(container: InputContainer) -> list[VideoStream]:
    """Return the streams with frames; the cover of a record is none."""
    from av.stream import Disposition  # noqa: PLC0415

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _find_video(container: InputContainer, size_limit: int) -> VideoStream:
    """Return the stream with the largest frames."""
    streams = _find_videos(container)
    if not streams:
        raise UnsupportedError("no video in it")
    known = [stream for stream in streams if stream.codec_context]
    if not known:
        raise UnsupportedError("compressed in a way that FFmpeg does not know")
    stream = max(known, key=lambda stream: stream.width * stream.height)
    if stream.width * stream.height > size_limit:
        raise LimitError(
            f"frames of {stream.width} x {stream.height} pixels are over the limit of {size_limit}; "
            "raise it with size_limit= (--size-limit on the command line)"
        )
    return stream


def _find_losses(container: InputContainer, stream: VideoStream) -> list[str]:
    """Say what is in a file beside these frames."""
    notes = []
    if container.streams.audio:
        notes.append("audio is left out")
    if container.streams.subtitles:
        notes.append("subtitles are left out")
    if (videos := len(_find_videos(container))) > 1:
        notes.append(f"of {videos} videos in it, the one with the largest frames is taken")
    shape = stream.sample_aspect_ratio
    if shape and shape != 1:
        notes.append(f"pixels of {shape.numerator}:{shape.denominator} are taken for square ones")
    return notes


def _decode(container: InputContainer, stream: VideoStream, source: _Bytes) -> Generator[VideoFrame]:
    """Decode frame after frame, strictly."""
    import av  # noqa: PLC0415

    number, end = 0, 0
    try:
        for packet in container.demux(stream):
            if packet.size:
                end = (packet.pos or 0) + packet.size
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                if number or packet.is_keyframe:
                    raise
                continue  # a recording may begin with frames that need others from before
            for frame in frames:
                if frame.is_corrupt:
                    raise FormatError(f"damaged at frame {number}; {source.advice}")
                yield frame
                number += 1
    except av.FFmpegError as error:
        raise FormatError(f"damaged at frame {number}; {source.advice}") from error
    if container.format.name == Y4M and number and end != source.size():
        raise TruncatedError(f"cut off in frame {number}; {source.advice}")


def _convert(frames: Iterable[VideoFrame], converter: Converter, timing: _Timing) -> Iterator[tuple[Planes, int]]:
    """Convert frames to planes, and their timestamps to times that begin with 0 and rise."""
    time, origin = -timing.step, None
    for frame in frames:
        expected = time + timing.step
        stamp = frame.pts if timing.stamped else None
        if stamp is None:
            time = expected
        else:
            if origin is None or stamp - origin <= time - timing.step:  # the first, or the clock has been set back
                origin = stamp - expected
            time = max(stamp - origin, time + 1)
        yield converter(frame), time


def _is_cut_off(file: BinaryIO) -> bool:
    """Whether a file ends before the outermost of its boxes do, or is a GIF without its last byte."""
    size = file.seek(0, SEEK_END)
    if _read_at(file, 0, 4) == b"GIF8":
        cut_off = not _read_at(file, max(size - 1024, 0), 1024).rstrip(b"\0").endswith(b";")
    else:
        position = 0
        while position < size and (length := _box_length(_read_at(file, position, 16))):
            position += length
        cut_off = position > size
    file.seek(0)
    return cut_off


def _read_at(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)


def _box_length(head: bytes) -> int:
    """Return the length of a box that begins so, in bytes, or 0 if it does not say, or is none.

    Known are RIFF (AVI), elements of EBML (Matroska and WebM: RFC 8794, 4.2) and the boxes of ISO/IEC 14496-12, 4.2
    (MP4, QuickTime).
    """
    if head.startswith(b"RIFF"):
        length = int.from_bytes(head[4:8], "little")
        return 8 + length if length != 0xFFFFFFFF else 0  # not known when it was written to a pipe
    if head.startswith((EBML, SEGMENT)):
        width = 9 - head[4].bit_length()  # as many bytes as there are leading zeros, and one
        unknown = (1 << 7 * width) - 1
        length = int.from_bytes(head[4 : 4 + width]) & unknown
        return 4 + width + length if length != unknown else 0
    if head[4:8] in ISO_BOXES:
        length = int.from_bytes(head[:4])
        return int.from_bytes(head[8:16]) if length == 1 else length
    return 0


# Times ------------------------------------------------------------------------------------------------------


class _Timing(NamedTuple):
    """When the frames of a clip are shown."""

    rate: Fraction
    tick: Fraction
    step: int  # ticks between frames whose timestamps are not known
    stamped: bool  # whether their timestamps count; if not, frames are numbered
    length: int | None
    notes: list[str]


def _state_timing(container: InputContainer, stream: VideoStream, rate: Fraction | None) -> _Timing:
    """Return what the caller, or else the head of a file, says."""
    stated = rate or _stated_rates(container, stream)[0]
    length = stream.frames
    if not length and stream.duration and stream.time_base:
        length = round(stream.duration * stream.time_base * stated)
    if rate or container.format.name == Y4M or not stream.time_base:
        return _Timing(stated, 1 / stated, 1, False, length or None, [])
    step = max(1, round(1 / (stated * stream.time_base)))
    return _Timing(stated, stream.time_base, step, True, length or None, [])


def _read_timing(container: InputContainer, stream: VideoStream) -> _Timing:
    """Read all timestamps of a file, and find the rate that explains them, if there is one."""
    packets = (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)
    with _refused(f"damaged; {RESCUE}"):
        stamps = np.fromiter((MISSING if packet.pts is None else packet.pts for packet in packets), np.int64)
    stamps.sort()  # packets come in the order of decoding
    stated = _stated_rates(container, stream)
    unit = stream.time_base
    if unit is None or len(stamps) == 0 or stamps[0] == MISSING or (len(stamps) > 1 and stamps[0] == stamps[-1]):
        note = f"there are no timestamps in it; {stated[0]} frames a second are assumed"
        return _Timing(stated[0], 1 / stated[0], 1, False, len(stamps), [note])
    rate = _constant_rate(stamps, unit, stated)
    if rate:
        return _Timing(rate, 1 / rate, 1, False, len(stamps), [])
    mean = (len(stamps) - 1) / (int(stamps[-1] - stamps[0]) * unit)
    rate = max(mean.limit_denominator(LARGEST_DENOMINATOR), Fraction(1, LARGEST_DENOMINATOR))
    step = max(1, round(1 / (stated[0] * unit)))
    return _Timing(rate, unit, step, True, len(stamps), [])


def _stated_rates(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    """Return the rates that a file states, as FFmpeg understands them, the likeliest first."""
    rates = stream.average_rate, stream.guessed_rate, stream.base_rate
    if container.format.name == "gif":  # states none: these are guesses, such as 179/6
        rates = None, None, None
    return [rate for rate in rates if rate] or [DEFAULT_RATE]


def _constant_rate(stamps: NDArray[np.int64], unit: Fraction, stated: Sequence[Fraction]) -> Fraction | None:
    """Find a constant rate of which timestamps are the roundings.

    Parameters
    ----------
    stamps : (N,) int64 array
        Rising, in `unit`.
    unit : Fraction
        Seconds.
    stated : sequence of Fraction
        Rates that are likely. Whole ones, and those of American television (1000/1001 of whole ones), are too.

    Returns
    -------
    Fraction or None
        Frames a second, None if the rate is variable.
    """
    if len(stamps) == 1:
        return stated[0]
    mean = (len(stamps) - 1) / (int(stamps[-1] - stamps[0]) * unit)
    usual = (Fraction(round(mean)), Fraction(round(mean * 1001 / 1000) * 1000, 1001), mean.limit_denominator(1001))
    for rate in (*stated, *usual):
        if rate:
            errors = stamps - stamps[0] - np.arange(len(stamps)) * float(1 / (rate * unit))
            if np.ptp(errors) <= 1 + ROUNDING:
                return rate
    return None


# Folders ----------------------------------------------------------------------------------------------------


def _open_folder(folder: Path, rate: Fraction, sampling: str | None, size_limit: int) -> Clip:
    """Open the pictures of a folder as a clip, in full range, as pictures are."""
    files = sorted(pictures_in(folder), key=_natural_order)
    if not files:
        raise UnsupportedError(f"{folder}: no pictures in this folder")
    notes: list[str] = []
    first = _read_picture(files[0], size_limit, notes)
    height, width = first.shape[:2]
    own = "400" if first.ndim == 2 else sampling or "420"
    if own != "400":
        notes.append(f"RGB becomes {SAMPLING_NAMES[own]}")
    format = Format(width, height, own, rate, 1 / rate, full_range=True)
    frames = _read_pictures(files, format, sampling, size_limit, notes)
    return Clip(format, frames, length=len(files), notes=notes)


def _natural_order(file: Path) -> tuple[list[str | int], str]:
    """Sort by numbers where there are digits: img2 comes before img10."""
    parts: list[str | int] = list(re.split(r"(\d+)", file.name))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, file.name


def _read_pictures(
    files: Sequence[Path], format: Format, sampling: str | None, size_limit: int, notes: list[str]
) -> Iterator[tuple[Planes, int]]:
    for time, file in enumerate(files):
        pixels = _read_picture(file, size_limit, notes)
        height, width = pixels.shape[:2]
        if (width, height) != (format.width, format.height):
            raise UnsupportedError(
                f"{file}: {width} x {height} pixels, and {format.width} x {format.height} in the pictures before it; "
                "scale them to one size"
            )
        if pixels.ndim == 3 and format.sampling == "400" and sampling != "400":
            raise UnsupportedError(
                f"{file}: colour, and the pictures before it are gray; ask for gray (sampling 400), or save the first "
                "one with colour"
            )
        if format.sampling != "400" and pixels.ndim == 2:
            pixels = gray_to_rgb(pixels)
        yield from_rgb(pixels, format.sampling), time


def _read_picture(file: Path, size_limit: int, notes: list[str]) -> NDArray[np.uint8]:
    """Read a picture, (H, W) or (H, W, 3), and note what is not kept of it."""
    picture = read_picture(file, size_limit=size_limit)
    pixels, transparent = on_white(picture.pixels)
    for loss, note in ((transparent, WHITE), (picture.icc, "colour profiles are left out")):
        if loss and note not in notes:
            notes.append(note)
    return pixels
