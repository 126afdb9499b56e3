"""The codecs for clips: this project's, and those of ffmpeg.

ffmpeg gets raw planes and gives raw planes back. Neither way is there a conversion of range, matrix or size in between,
so PSNR compares what was given to a codec with what the codec made of it. The streams are elementary: no container
around them. All codecs have the same distance from one I frame to the next and none places more at cuts, and the MPEGs
have two B frames between the others.
"""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, BinaryIO, ClassVar

import numpy as np

import codec
from benchmarks.codecs import NotInstalledError, VideoCodec, fingerprint
from benchmarks.sources import Footage
from codec.frames import Planes, sampling_of
from codec.video import STAGES

__all__ = ["GOP", "Ffmpeg", "FfmpegError", "TcodecVideo", "write_tvid"]

GOP = 32  # frames from one I frame to the next
_H26X = ("-tune", "psnr", "-g", f"{GOP}")
ADDRESS = re.compile(r" @ 0x[0-9a-f]+")  # of something in ffmpeg's memory
NO_COMMENTS = "filter_units=remove_types="  # of units that tell the encoder's version and settings


def write_tvid(footage: Footage, file: BinaryIO, **options: Any) -> None:
    """Encode footage with GOPs of the common length; the options are keywords of `codec.encode_video`."""
    codec.encode_video(footage.frames, file, format=footage.format, keyframe=GOP, scene_cut=False, **options)


class TcodecVideo(VideoCodec):
    """The codec of this project.

    Parameters
    ----------
    without : collection of str
        Stages that are left out.
    """

    name = "tcodec"
    ladder = (12, 25, 45, 67, 84, 94)
    grain = 0.01

    def __init__(self, without: Collection[str] = ()) -> None:
        self.without = frozenset(without)
        self.name = " without ".join(["tcodec", *sorted(without)])

    def ablated(self) -> dict[str, tuple[str, TcodecVideo]]:
        """Return each stage that can be left out: what there is without it, and the codec without it."""
        return {stage: (instead, TcodecVideo([stage])) for stage, instead in STAGES.items()}

    def version(self) -> str:
        return fingerprint("bitstreams", "codec")

    def encode(self, frames: Footage, quality: float) -> bytes:
        file = io.BytesIO()
        write_tvid(frames, file, quality=quality, without=self.without)
        return file.getvalue()

    def decode(self, data: bytes) -> list[Planes]:
        with codec.open_video(io.BytesIO(data)) as video:
            return [planes for planes, _ in video.planes()]

    def play(self, data: bytes) -> None:
        with codec.open_video(io.BytesIO(data)) as video:
            for _ in video.planes():
                pass


class FfmpegError(Exception):
    """ffmpeg refuses the frames or the stream; says why."""


class Ffmpeg(VideoCodec):
    """A codec of ffmpeg, by the program that comes with imageio-ffmpeg, on one thread.

    Attributes
    ----------
    scale : str
        The option that takes the quality.
    encoder : str
        What ffmpeg calls it.
    options : tuple of str
    stream, parser : str
        What ffmpeg calls the elementary stream when it writes one, and when it reads one.
    pixels : str
        What ffmpeg is told that the samples are. "yuvj420p" has the planes of "yuv420p", and is what mjpeg takes
        without converting them.
    """

    outside = True
    scale: str = "-qscale:v"
    ladder = (31, 18, 10, 6, 3, 2)  # 31 is the coarsest there is, and 2 the finest unless forced
    encoder: ClassVar[str]
    options: tuple[str, ...]
    stream: ClassVar[str]
    parser: ClassVar[str]
    pixels: ClassVar[str] = "yuv420p"

    def version(self) -> str:
        if self.encoder not in _encoders():
            raise NotInstalledError(f"this ffmpeg has no {self.encoder}")
        return f"{self.encoder} in {_program_version()}"

    def encode(self, frames: Footage, quality: float) -> bytes:
        width, height, rate = frames.format.width, frames.format.height, frames.format.rate
        source = ["-f", "rawvideo", "-pix_fmt", self.pixels, "-s", f"{width}x{height}", "-r", f"{rate}", "-i", "pipe:"]
        encoder = ["-c:v", self.encoder, *self.options, self.scale, f"{quality:g}", "-threads", "1"]
        return _run([*source, *encoder, "-f", self.stream, "pipe:"], b"".join(map(_raw, frames.frames)))

    def decode(self, data: bytes) -> list[Planes]:
        source = ["-threads", "1", "-f", self.parser, "-i", "pipe:"]
        return read_y4m(_run([*source, "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "pipe:"], data))


class Mjpeg(Ffmpeg):
    """Every frame a JPEG picture, with Huffman codes of its own."""

    name = "mjpeg"
    encoder = "mjpeg"
    options = ("-huffman", "optimal")
    stream = parser = "mjpeg"
    pixels = "yuvj420p"


class Mpeg(Ffmpeg):
    """What the three MPEGs share: two B frames between the others, modes and levels chosen by rate and distortion."""

    options: tuple[str, ...] = (
        *("-g", f"{GOP}", "-bf", "2", "-sc_threshold", "1000000000"),
        *("-mbd", "rd", "-trellis", "2", "-cmp", "2", "-subcmp", "2"),
    )


class Mpeg1(Mpeg):
    """MPEG-1 video."""

    name = "mpeg1"
    encoder = stream = "mpeg1video"
    parser = "mpegvideo"


class Mpeg2(Mpeg):
    """MPEG-2 video."""

    name = "mpeg2"
    encoder = stream = "mpeg2video"
    parser = "mpegvideo"


class Mpeg4(Mpeg):
    """MPEG-4 part 2, with four vectors for a macroblock and quarter samples."""

    name = "mpeg4"
    encoder = "mpeg4"
    options = (*Mpeg.options, "-flags", "+mv4+qpel")
    stream = parser = "m4v"


class X264(Ffmpeg):
    """H.264 by x264, tuned for PSNR.

    Parameters
    ----------
    preset : str
        How slow.
    scale : {"qp", "crf"}
        Constant quantisers, or constant quality: coarser ones where much moves.
    """

    name = "h264"
    ladder = (40, 35, 30, 25, 20, 16)
    encoder = "libx264"
    stream = parser = "h264"

    def __init__(self, preset: str, scale: str) -> None:
        self.name = f"{self.name}-{preset}-{scale}"
        self.scale = f"-{scale}"
        self.grain = 0.1 if scale == "crf" else 1
        self.options = ("-preset", preset, *_H26X, "-sc_threshold", "0", "-bsf:v", f"{NO_COMMENTS}6")

    @classmethod
    def variants(cls) -> Iterable[X264]:
        """Return three presets on two scales."""
        return [cls(preset, scale) for preset in ("ultrafast", "medium", "veryslow") for scale in ("qp", "crf")]


class X265(Ffmpeg):
    """H.265 by x265 at its default effort, tuned for PSNR."""

    name = "h265"
    ladder = X264.ladder
    scale = "-crf"
    grain = 0.1
    encoder = "libx265"
    options = (
        *("-preset", "medium", *_H26X),
        *("-x265-params", "log-level=error:pools=none:frame-threads=1:scenecut=0", "-bsf:v", f"{NO_COMMENTS}39"),
    )
    stream = parser = "hevc"


def _program() -> str:
    """Return the path of ffmpeg, or raise NotInstalledError."""
    try:
        import imageio_ffmpeg  # noqa: PLC0415  an extra: there may be none

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise NotInstalledError(f"ffmpeg: {error}; `pip install tcodec[bench]` brings it") from error


@cache
def _program_version() -> str:
    """Return the first words of what ffmpeg says of itself, such as "ffmpeg version 7.0.2"."""
    return " ".join(_run(["-version"], b"").decode().split()[:3])


@cache
def _encoders() -> frozenset[str]:
    """Return the names of all encoders that ffmpeg has: the second word of each line of its list."""
    lines = _run(["-encoders"], b"").decode().splitlines()
    return frozenset(words[1] for words in map(str.split, lines) if len(words) > 1)


def _run(arguments: Sequence[str], data: bytes) -> bytes:
    """Give bytes to ffmpeg; return what it makes of them, or raise FfmpegError with the first line of its complaint."""
    command = [_program(), "-v", "error", *arguments]
    child = subprocess.run(command, input=data, capture_output=True, check=False)
    if child.returncode or child.stderr:
        complaint = ADDRESS.sub("", child.stderr.decode().partition("\n")[0])
        raise FfmpegError(f"{complaint} (status {child.returncode})")
    return child.stdout


def _raw(planes: Planes) -> bytes:
    """Return the samples of a 4:2:0 frame, plane by plane.

    A gray frame gets flat chroma, which costs next to nothing: most rivals know no gray.
    """
    sampling = sampling_of(planes)
    if sampling == "400":
        height, width = planes[0].shape
        flat = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
        planes = (planes[0], flat, flat)
    elif sampling != "420":
        raise FfmpegError("only 4:2:0 and gray are compared")
    return b"".join(plane.tobytes() for plane in planes)


def read_y4m(data: bytes) -> list[Planes]:
    """Return the frames of a YUV4MPEG2 stream in 4:2:0.

    A line of text gives width and height, `YUV4MPEG2 W352 H288 ...`; each frame is a line that begins with FRAME, then
    the samples of its three planes.
    """
    header, _, rest = data.partition(b"\n")
    fields = {field[:1]: field[1:] for field in header.split()[1:]}
    width, height = int(fields[b"W"]), int(fields[b"H"])
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    frames = []
    start = 0
    while start < len(rest):
        start = rest.index(b"\n", start) + 1
        planes = []
        for rows, columns in shapes:
            planes.append(np.frombuffer(rest, np.uint8, rows * columns, start).reshape(rows, columns))
            start += rows * columns
        frames.append(tuple(planes))
    return frames
