"""Clips to files that others read, one frame at a time: the way back of `codec.clips`.

    .mp4 .mov .mkv    H.264 that looks the same: constant rate factor 12, where 18 is said to be visually lossless
    .avi              Motion JPEG at its best quality, which nearly all that reads AVI reads; constant rate
    .gif              256 colours, chosen anew for each frame, so that no clip has to be held
    .y4m              the samples as they are; constant rate
    a folder          PNG pictures 000000.png, 000001.png, ...

Where a kind of file has no place for something, it is written without, and a note says so. Where the rate has to be
constant and is not, each frame is written once all the same: no frame is lost or doubled, but the times are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import UnsupportedError
from codec.clip_frames import guess_matrix, to_frame
from codec.color import gray_to_rgb
from codec.files import atomic_open, write_picture
from codec.frames import Format, Planes, from_rgb, to_rgb

if TYPE_CHECKING:  # slow to import, and `tcodec --help` has no use for it
    from av import VideoFrame
    from av.filter.context import FilterContext
    from av.video.stream import VideoStream

__all__ = ["SUFFIXES", "write_clip"]

Frames = Iterator[tuple[Planes, int]]


class Encoder(NamedTuple):
    """One of FFmpeg's, and its options."""

    name: str
    options: dict[str, str]


H264 = Encoder("libx264", {"crf": "12"})
MJPEG = Encoder("mjpeg", {"qmin": "1", "qmax": "1"})  # the smallest step
GIF = Encoder("gif", {})

GIF_TICK = Fraction(1, 100)
GIF_SHORTEST = 2  # players show what should be shorter for 10 ticks
MKV_TICK = Fraction(1, 1000)
Y4M_SAMPLINGS = {"400": "mono", "420": "420jpeg", "444": "444"}


def write_clip(
    target: str | Path | BinaryIO,
    format: Format,
    frames: Iterable[tuple[Planes, int]],
    *,
    suffix: str | None = None,
    force: bool = False,
) -> list[str]:
    """Write a clip.

    Parameters
    ----------
    target : str, Path or binary stream
        A file; a folder, existing or named with "/" at the end; or an open stream, such as stdout.
    format : Format
        Of the frames.
    frames : iterable of (planes, time)
        At least one. Times are in units of `format.tick` and rise; the first is when the clip begins.
    suffix : str, optional
        Which kind of file: one of `SUFFIXES`, or "/" for a folder. By default that of the name; of a stream, ".y4m".
    force : bool
        Whether files that exist may be overwritten.

    Returns
    -------
    list of str
        What could not be kept, for people.

    Raises
    ------
    UnsupportedError
        If the kind of file is not known or cannot hold the clip, or a frame is not of the format.
    FileExistsError
        If there is a file of that name, and not `force`.
    OSError
        If it cannot be written. No error leaves a part of a file behind; of a folder, pictures before it stay.
    """
    notes: list[str] = []
    checked = _check(frames, format)
    checked = chain([next(checked)], checked)  # if there is nothing to write, nothing is touched
    path = Path(target) if isinstance(target, str | Path) else None
    if suffix is None:
        suffix = ".y4m" if path is None else "/" if str(target).endswith("/") or path.is_dir() else path.suffix
    if path and suffix == "/":
        _write_pictures(path, format, checked, notes, force)
        return notes
    write = WRITERS.get(suffix.lower())
    if write is None:
        given = f"the extension {suffix!r}" if suffix else "no extension"
        raise UnsupportedError(
            f"videos are not written with {given}; known are {', '.join(SUFFIXES)}, and a name with / at the end for a "
            "folder of pictures"
        )
    if path:
        with atomic_open(path, force=force) as file:
            write(file, format, checked, notes)
    else:
        write(cast(BinaryIO, target), format, checked, notes)
    return notes


def _check(frames: Iterable[tuple[Planes, int]], format: Format) -> Frames:
    """Pass frames on with times that begin with 0, or raise UnsupportedError if they are not of the format."""
    first = last = None
    for planes, time in frames:
        if [plane.shape for plane in planes] != format.shapes or any(plane.dtype != np.uint8 for plane in planes):
            shapes = [plane.shape for plane in planes]
            raise UnsupportedError(f"planes of shapes {shapes} in a clip of {format.shapes}")
        if last is not None and time <= last:
            raise UnsupportedError(f"the times of frames must rise, and {time} comes after {last}")
        first = time if first is None else first
        last = time
        yield planes, time - first
    if last is None:
        raise UnsupportedError("there are no frames to write")


def _number(frames: Frames, format: Format, notes: list[str]) -> Iterator[tuple[Planes, int]]:
    """Give frames numbers for times, and note it if those were not of a constant rate."""
    constant = True
    unit = format.tick * format.rate  # frames in a tick; times may be off by their rounding
    for number, (planes, time) in enumerate(frames):
        constant &= abs(time * unit - number) < unit
        yield planes, number
    if not constant:
        notes.append(f"times of frames are lost; they are {format.rate} a second throughout, the mean of what was")


def _mux(file: BinaryIO, muxer: str, encoder: Encoder, rate: Fraction, frames: Iterator[VideoFrame]) -> None:
    """Encode frames, all as the first one, and pack them into a file."""
    import av  # noqa: PLC0415

    try:
        first = next(frames)
        with av.open(file, "w", format=muxer) as container:
            stream = cast("VideoStream", container.add_stream(encoder.name, rate, encoder.options))
            stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
            stream.codec_context.time_base = cast(Fraction, first.time_base)
            stream.codec_context.color_range = first.color_range
            stream.codec_context.colorspace = first.colorspace
            for frame in chain([first], frames):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, OverflowError) as error:  # the second from fractions of more than 32 bits
        first_error = error.__context__
        if isinstance(first_error, OSError) and not isinstance(first_error, av.FFmpegError):
            raise first_error from None  # from the file, whose end could not be written either
        raise UnsupportedError(f"FFmpeg cannot write this clip: {error}") from error


def _write_h264(muxer: str, file: BinaryIO, format: Format, frames: Frames, notes: list[str]) -> None:
    if muxer != "matroska" and not file.seekable():
        raise UnsupportedError(f".{muxer} cannot be written to a pipe; .mkv and .y4m can")
    if muxer == "matroska" and format.tick * format.rate != 1 and (format.tick / MKV_TICK).denominator != 1:
        notes.append("times of frames are rounded to milliseconds")
    bottom, right = (format.height % 2, format.width % 2) if format.sampling == "420" else (0, 0)
    if bottom or right:
        notes.append(
            f"{format.width} x {format.height} pixels become {format.width + right} x {format.height + bottom}, the "
            "last ones repeated: with 4:2:0, H.264 has even sides only"
        )
    padding = (0, bottom), (0, right)
    padded = (((np.pad(luma, padding, mode="edge"), *chroma), time) for (luma, *chroma), time in frames)
    _mux(file, muxer, H264, format.rate, (to_frame(planes, format, time) for planes, time in padded))


def _write_avi(file: BinaryIO, format: Format, frames: Frames, notes: list[str]) -> None:
    if format.sampling == "400":
        notes.append("gray is stored as 4:2:0")
    # JPEG has colours in full range by BT.601, and FFmpeg's encoder no gray.
    sampling = "444" if format.sampling == "444" else "420"
    target = replace(format, sampling=sampling, tick=1 / format.rate, full_range=True, matrix="bt601")
    converted = ((_convert(planes, format, target), time) for planes, time in _number(frames, format, notes))
    _mux(file, "avi", MJPEG, format.rate, (to_frame(planes, target, time) for planes, time in converted))


def _convert(planes: Planes, format: Format, target: Format) -> Planes:
    """Bring planes from one format to another of the same size."""
    if (format.sampling, format.full_range, format.matrix) == (target.sampling, target.full_range, target.matrix):
        return planes
    return from_rgb(_colour(planes, format), target.sampling, full_range=target.full_range, matrix=target.matrix)


def _colour(planes: Planes, format: Format) -> NDArray[np.uint8]:
    """Return planes as an (H, W, 3) picture, gray ones too."""
    pixels = to_rgb(planes, full_range=format.full_range, matrix=format.matrix)
    return gray_to_rgb(pixels) if pixels.ndim == 2 else pixels


def _write_gif(file: BinaryIO, format: Format, frames: Frames, notes: list[str]) -> None:
    _mux(file, "gif", GIF, format.rate, _reduce_colours(_time_gif(frames, format, notes), format))


def _time_gif(frames: Frames, format: Format, notes: list[str]) -> Frames:
    """Round times to those of GIF, one after another, with notes on what that does."""
    last, exact, shortest = -GIF_SHORTEST, True, GIF_SHORTEST
    for planes, time in frames:
        ideal = time * format.tick / GIF_TICK
        rounded = max(round(ideal), last + 1)
        exact &= rounded == ideal
        shortest = min(shortest, rounded - last)
        last = rounded
        yield planes, rounded
    if not exact:
        notes.append("times of frames are rounded to 1/100 s")
    if shortest < GIF_SHORTEST:
        notes.append("players will slow this down: they show each frame of a GIF for 1/50 s at least")


def _reduce_colours(frames: Frames, format: Format) -> Iterator[VideoFrame]:
    """Choose 256 colours for each frame, and dither it with them."""
    import av  # noqa: PLC0415

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=format.width, height=format.height, format=av.VideoFormat("rgb24"), time_base=GIF_TICK
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    choose, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(choose, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for planes, time in frames:
        frame = av.VideoFrame.from_ndarray(_colour(planes, format))
        frame.pts, frame.time_base = time, GIF_TICK
        source.push(frame)
        yield from _pull(sink)
    source.push(None)
    yield from _pull(sink)


def _pull(sink: FilterContext) -> Iterator[VideoFrame]:
    """Take what has come through a graph of filters."""
    import av  # noqa: PLC0415

    while True:
        try:
            yield cast("VideoFrame", sink.pull())
        except (av.error.BlockingIOError, av.error.EOFError):  # not yet, no more
            return


def _write_y4m(file: BinaryIO, format: Format, frames: Frames, notes: list[str]) -> None:
    """Write YUV4MPEG2 (mjpegtools, yuv4mpeg(5)); the tag of the range is FFmpeg's."""
    if format.sampling != "400" and format.matrix != guess_matrix(format.width, format.height):
        notes.append(f"players will take the wrong colours: .y4m does not say that the matrix is {format.matrix}")
    rate, range_ = format.rate, "FULL" if format.full_range else "LIMITED"
    size = f"W{format.width} H{format.height} F{rate.numerator}:{rate.denominator} Ip A1:1"
    file.write(f"YUV4MPEG2 {size} C{Y4M_SAMPLINGS[format.sampling]} XCOLORRANGE={range_}\n".encode())
    for planes, _ in _number(frames, format, notes):
        file.write(b"FRAME\n" + b"".join(plane.tobytes() for plane in planes))


def _write_pictures(folder: Path, format: Format, frames: Frames, notes: list[str], force: bool) -> None:
    folder.mkdir(exist_ok=True)
    for planes, number in _number(frames, format, notes):
        pixels = to_rgb(planes, full_range=format.full_range, matrix=format.matrix)
        write_picture(folder / f"{number:06}.png", pixels, force=force)


WRITERS: dict[str, Callable[[BinaryIO, Format, Frames, list[str]], None]] = {
    ".avi": _write_avi,
    ".gif": _write_gif,
    ".mkv": partial(_write_h264, "matroska"),
    ".mov": partial(_write_h264, "mov"),
    ".mp4": partial(_write_h264, "mp4"),
    ".y4m": _write_y4m,
}
SUFFIXES = tuple(WRITERS)
