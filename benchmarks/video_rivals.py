"""The video codecs that are compared: anything that turns frames into a stream of bytes, and back.

A new rival of ffmpeg's is one more `Ffmpeg` in `RIVALS`; any other is a class with the four members of `VideoCodec`.

ffmpeg gets raw planes and gives raw planes back. Neither way is there a conversion of range, matrix or size in between,
so PSNR compares what was given to a codec with what the codec made of it. The streams are elementary: no container
around them. All codecs have the same distance from one I frame to the next and none places more at cuts, and the MPEGs
have two B frames between the others.
"""

import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Protocol

import imageio_ffmpeg
import numpy as np

import codec
from codec.frames import Format, Planes, sampling_of

__all__ = [
    "GOP",
    "MJPEG",
    "MPEG2",
    "MPEG4",
    "RIVALS",
    "X264",
    "Ffmpeg",
    "Footage",
    "RivalError",
    "TcodecVideo",
    "VideoCodec",
    "write_tvid",
]

GOP = 32  # frames from one I frame to the next

QSCALES = (31, 21, 14, 9, 6, 4, 3, 2)  # 31 is the coarsest there is, and 2 the finest unless forced
QUANTISERS = (40, 36, 32, 28, 24, 20, 16)  # of H.264, for -qp; about the same range for -crf


class Footage(NamedTuple):
    """Frames in memory, and what they have in common."""

    format: Format
    frames: Sequence[Planes]

    def kilobits(self, size: int) -> float:
        """Return the rate in kbit/s of a stream of so many bytes."""
        return 8e-3 * size * float(self.format.rate) / len(self.frames)


class RivalError(Exception):
    """A rival is not installed, or refuses the footage; says why."""


class VideoCodec(Protocol):
    """What a benchmark needs of a video codec.

    Attributes
    ----------
    name : str
        What the tables call it.
    ladder : tuple of float
        Qualities for a rate-distortion curve, on the codec's own scale, from coarse to fine, so wide that the curves of
        all codecs overlap.
    """

    @property
    def name(self) -> str: ...

    @property
    def ladder(self) -> tuple[float, ...]: ...

    def encode(self, footage: Footage, quality: float) -> bytes:
        """Return the bytes of a whole stream, or raise RivalError."""
        ...

    def decode(self, data: bytes) -> list[Planes]:
        """Return the frames of a stream that `encode` made."""
        ...


@dataclass(frozen=True)
class Ffmpeg:
    """A codec of ffmpeg, by the program that comes with imageio-ffmpeg, on one thread.

    Attributes
    ----------
    name : str
    scale : str
        The option that takes the quality.
    ladder : tuple of float
    encoder : tuple of str
        Its name and its options.
    stream, parser : str
        What ffmpeg calls the elementary stream when it writes one, and when it reads one.
    pixels : str
        What ffmpeg is told that the samples are. "yuvj420p" has the planes of "yuv420p", and is what mjpeg takes
        without converting them.
    """

    name: str
    scale: str
    ladder: tuple[float, ...]
    encoder: tuple[str, ...]
    stream: str
    parser: str
    pixels: str = "yuv420p"

    def encode(self, footage: Footage, quality: float) -> bytes:
        width, height, rate = footage.format.width, footage.format.height, footage.format.rate
        source = ["-f", "rawvideo", "-pix_fmt", self.pixels, "-s", f"{width}x{height}", "-r", f"{rate}", "-i", "pipe:"]
        target = ["-c:v", *self.encoder, self.scale, f"{quality:g}", "-threads", "1", "-f", self.stream, "pipe:"]
        return _run([*source, *target], b"".join(_raw(planes) for planes in footage.frames))

    def decode(self, data: bytes) -> list[Planes]:
        source = ["-threads", "1", "-f", self.parser, "-i", "pipe:"]
        return read_y4m(_run([*source, "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "pipe:"], data))


def _run(arguments: Sequence[str], data: bytes) -> bytes:
    """Give bytes to ffmpeg; return what it makes of them, or raise RivalError with the first line of its complaint."""
    try:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
        child = subprocess.run(command, input=data, capture_output=True, check=False)
    except (RuntimeError, OSError) as error:
        raise RivalError(f"ffmpeg is not installed: {error}") from error
    if child.returncode or child.stderr:
        raise RivalError(f"ffmpeg: {child.stderr.decode().partition(chr(10))[0]} (status {child.returncode})")
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
        raise RivalError("only 4:2:0 and gray are compared")
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


def write_tvid(footage: Footage, file: BinaryIO, **options: Any) -> None:
    """Encode footage with GOPs of the common length; the options are keywords of `codec.encode_video`."""
    codec.encode_video(footage.frames, file, format=footage.format, keyframe=GOP, scene_cut=False, **options)


class TcodecVideo:
    """The codec of this project.

    Parameters
    ----------
    **options
        Keywords of `codec.encode_video`; none of them for its defaults.
    """

    ladder: tuple[float, ...] = (12, 20, 30, 45, 60, 75, 87, 94)

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.name = " ".join(["tcodec", *(f"{key}={value}" for key, value in options.items())])

    def encode(self, footage: Footage, quality: float) -> bytes:
        file = io.BytesIO()
        write_tvid(footage, file, quality=quality, **self.options)
        return file.getvalue()

    def decode(self, data: bytes) -> list[Planes]:
        with codec.open_video(io.BytesIO(data)) as video:
            return [planes for planes, _ in video.planes()]


_MPEG = ("-g", f"{GOP}", "-bf", "2", "-sc_threshold", "1000000000")
_H264 = ("-tune", "psnr", "-g", f"{GOP}", "-sc_threshold", "0", "-bsf:v", "filter_units=remove_types=6")  # no comments


def _x264(preset: str, scale: str) -> Ffmpeg:
    encoder = ("libx264", "-preset", preset, *_H264)
    return Ffmpeg(f"x264 {preset} -{scale}", f"-{scale}", QUANTISERS, encoder, "h264", "h264")


MPEG2 = Ffmpeg("mpeg2video", "-qscale:v", QSCALES, ("mpeg2video", *_MPEG), "mpeg2video", "mpegvideo")
MPEG4 = Ffmpeg("mpeg4", "-qscale:v", QSCALES, ("mpeg4", *_MPEG), "m4v", "m4v")
MJPEG = Ffmpeg("mjpeg", "-qscale:v", QSCALES, ("mjpeg", "-huffman", "optimal"), "mjpeg", "mjpeg", pixels="yuvj420p")
X264 = tuple(_x264(preset, scale) for preset in ("ultrafast", "medium") for scale in ("qp", "crf"))
RIVALS: tuple[Ffmpeg, ...] = (MPEG2, MPEG4, MJPEG, *X264)
