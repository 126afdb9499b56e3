"""Frames of FFmpeg, as PyAV has them, to planes of this codec and back.

    frame -> 8-bit samples that the codec knows -> upright planes
    planes -> frame of the same samples

Most video is 4:2:0 of 8 bits. Its samples are copied and nothing else, and so are those of 4:4:4 and of gray. All other
kinds (more bits, 4:2:2, RGB, transparency) are converted, and each conversion leaves a note for the user.

What samples mean is told by numbers of ITU-T H.273, or not at all. Silence is taken as those who watch take it:

    range    limited; but RGB and gray are full, since FFmpeg itself treats them so, and its users' files with them
    matrix   BT.709 from 1280 columns or 577 rows on, else BT.601. So do mpv and VLC, and what has no tag was made to
             look right there; FFmpeg's converter would take BT.601 for all sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import UnsupportedError
from codec import frames
from codec.frames import Format, Planes

if TYPE_CHECKING:  # slow to import, and `tcodec --help` has no use for it
    from av import VideoFormat, VideoFrame
    from av.video.plane import VideoPlane

__all__ = ["SAMPLING_NAMES", "WHITE", "Converter", "guess_matrix", "on_white", "to_frame"]

LIMITED, FULL = 1, 2  # FFmpeg's numbers of ranges; 0 is silence
MATRICES = {1: "bt709", 5: "bt601", 6: "bt601"}  # H.273, table 4
MATRIX_NUMBERS = {"bt709": 1, "bt601": 6}
NEAR_MATRICES = {4: ("FCC", "bt601"), 7: ("SMPTE 240M", "bt709"), 9: ("BT.2020", "bt709"), 10: ("BT.2020", "bt709")}
NO_MATRIX = 2
WHITE = "what is transparent is shown on white"

SAMPLING_NAMES = {"400": "gray", "420": "4:2:0", "444": "4:4:4"}
RATIOS = {(1, 1): "4:4:4", (2, 2): "4:2:0", (2, 1): "4:2:2", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 4): "4:1:0"}
PLANAR = {"400": "gray", "420": "yuv420p", "444": "yuv444p"}
INTERLEAVED = {2: ("ya8", "ya16le"), 3: ("rgb24", "rgb48le"), 4: ("rgba", "rgba64le")}  # by channels: 8 bits, 16 bits


class Storage(NamedTuple):
    """What a pixel format says of its samples."""

    gray: bool
    rgb: bool
    alpha: bool
    bits: int
    ratio: tuple[int, int]  # columns and rows of luma for one of chroma

    @classmethod
    def of(cls, format: VideoFormat) -> Storage:
        """Read the properties of a format of FFmpeg."""
        components = format.components
        alpha = format.has_palette or any(component.is_alpha for component in components)
        rgb = format.is_rgb or format.has_palette
        gray = not rgb and len(components) - alpha == 1
        ratio = 16 // format.chroma_width(16), 16 // format.chroma_height(16)
        return cls(gray, rgb, alpha, max(component.bits for component in components), ratio)

    @property
    def name(self) -> str:
        """What people call it."""
        return "gray" if self.gray else "RGB" if self.rgb else RATIOS.get(self.ratio, "an unusual sampling of chroma")


class Converter:
    """Converts the frames of a clip to planes.

    Parameters
    ----------
    first : VideoFrame
        Decides for all: which side is up, how many pixels, what range and matrix.
    sampling : {"400", "420", "444"}, optional
        What is wanted; by default what the frame has, or 4:2:0 if the codec does not know that. Gray stays gray.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of luma.
    sampling, full_range, matrix
        As in `codec.frames.Format`.
    notes : list of str
        What is converted; further frames may add to it.

    Raises
    ------
    UnsupportedError
        If the colours of the frame are stored in a way that is not known.
    """

    def __init__(self, first: VideoFrame, sampling: str | None = None):
        from av.video.reformatter import Interpolation, VideoReformatter  # noqa: PLC0415

        storage = Storage.of(first.format)
        own = "444" if storage.ratio == (1, 1) and not storage.rgb else "420"
        self.sampling = "400" if storage.gray else sampling or own
        self.full_range = _is_full_range(first, storage)
        self.notes: list[str] = []
        if storage.name != SAMPLING_NAMES[self.sampling]:
            self.notes.append(f"{storage.name} becomes {SAMPLING_NAMES[self.sampling]}")
        if storage.bits > 8:
            self.notes.append(f"{storage.bits} bits a sample are rounded to 8")
        if first.interlaced_frame:
            self.notes.append("interlaced frames are kept so: two moments in each, one in every other row")
        self.matrix = self._choose_matrix(first, storage)
        self._transposed, self._order = self._find_orientation(first)
        self.shape = (first.width, first.height) if self._transposed else (first.height, first.width)
        self._look = _look(first, storage)
        self._reformatter = VideoReformatter()
        # At half the size these are means of 2 x 2 samples, at twice the size the triangle filter: the same as in
        # `codec.frames`. Without the second flag swscale rounds a little differently from one processor to another.
        self._interpolation = Interpolation.AREA | Interpolation.ACCURATE_RND

    def __call__(self, frame: VideoFrame) -> Planes:
        """Return the planes of a frame, arrays of their own, or raise UnsupportedError if it is not as the first."""
        storage = Storage.of(frame.format)
        if (look := _look(frame, storage)) != self._look:
            raise UnsupportedError(
                f"the frames change from {self._look} to {look}; make them the same throughout, as "
                "`ffmpeg -i INPUT OUTPUT.mkv` does"
            )
        if storage.rgb or storage.alpha:
            planes = self._by_way_of_pixels(frame, storage)
        else:
            wanted = "gray" if storage.gray else "yuv444p" if self.sampling == "444" else "yuv420p"
            planes = self._samples(frame, wanted if storage.bits <= 8 else f"{wanted}16le")
            planes = planes[:1] if self.sampling == "400" else planes
        return tuple(np.ascontiguousarray(self._upright(plane)) for plane in planes)

    def _by_way_of_pixels(self, frame: VideoFrame, storage: Storage) -> Planes:
        """Convert RGB, and whatever has transparency."""
        channels = (1 if storage.gray else 3) + storage.alpha
        (samples,) = self._samples(frame, INTERLEAVED[channels][storage.bits > 8], channels)
        pixels, transparent = on_white(samples.reshape(frame.height, frame.width, channels))
        if transparent and WHITE not in self.notes:
            self.notes.append(WHITE)
        return frames.from_rgb(pixels, self.sampling, full_range=self.full_range, matrix=self.matrix)

    def _samples(self, frame: VideoFrame, wanted: str, channels: int = 1) -> Planes:
        """Copy the samples of a frame, in a pixel format of 8 bits, or of 16 that are rounded here.

        FFmpeg would dither them: noise, which costs bits.
        """
        if frame.format.name.replace("yuvj", "yuv") != wanted:
            frame.color_range = FULL if self.full_range else LIMITED  # said aloud, so that it is not changed
            frame = self._reformatter.reformat(frame, format=wanted, interpolation=self._interpolation, threads=1)
        planes = [_rows(plane, channels, "<u2" if wanted.endswith("le") else "u1") for plane in frame.planes]
        if wanted.endswith("le"):
            step = 257 if self.full_range else 256  # 65535 is 255, or 60160 is 235 (and RGB of that as well)
            planes = [np.minimum((plane.astype(np.uint32) + 128) // step, 255) for plane in planes]
        return tuple(plane.astype(np.uint8) for plane in planes)

    def _choose_matrix(self, first: VideoFrame, storage: Storage) -> str:
        number = int(first.colorspace)
        if storage.gray or storage.rgb:
            return "bt601"
        if number in MATRICES:
            return MATRICES[number]
        if number in NEAR_MATRICES:
            name, near = NEAR_MATRICES[number]
            self.notes.append(f"colours of {name} are taken for those of {near.upper().replace('BT', 'BT.')}")
            return near
        if number == NO_MATRIX:
            return guess_matrix(first.width, first.height)
        raise UnsupportedError(
            f"colours are stored by matrix {number} of H.273; convert them first, for example with "
            "`ffmpeg -i INPUT -vf scale=out_color_matrix=bt709 OUTPUT.mkv`"
        )

    def _find_orientation(self, first: VideoFrame) -> tuple[bool, tuple[slice, slice]]:
        """Return whether rows become columns, and then the order of rows and of columns."""
        try:
            matrix = first.side_data.get("DISPLAYMATRIX")
        except ValueError:  # data of a kind that PyAV cannot name: EXIF, which `codec.files` does not obey either
            matrix = None
        if matrix is None:
            return False, (slice(None), slice(None))
        # Where x and y go to on the screen: x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 8.3.2; 8.5.1).
        a, b, _, c, d = np.frombuffer(cast(Any, matrix), np.int32)[:5].tolist()
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        right, down = (c, b) if transposed else (a, d)
        backwards = slice(None, None, -1)
        order = backwards if down < 0 else slice(None), backwards if right < 0 else slice(None)
        if transposed or backwards in order:
            self.notes.append("the frames are turned, as the file asks for")
        return transposed, order

    def _upright(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return (plane.T if self._transposed else plane)[self._order]


def guess_matrix(width: int, height: int) -> str:
    """Return the matrix that players take where none is named."""
    return "bt709" if width >= 1280 or height > 576 else "bt601"


def _look(frame: VideoFrame, storage: Storage) -> str:
    """Say what must not change within a clip."""
    range_ = "full" if _is_full_range(frame, storage) else "limited"
    return f"{frame.width} x {frame.height} pixels, {'gray' if storage.gray else 'colour'}, {range_} range"


def _is_full_range(frame: VideoFrame, storage: Storage) -> bool:
    if storage.rgb or frame.format.name.startswith("yuvj"):
        return True
    return frame.color_range == FULL or (storage.gray and frame.color_range != LIMITED)


def _rows(plane: VideoPlane, channels: int, dtype: str) -> NDArray[Any]:
    """View a plane as an array, without the padding of its rows, which may be stored from the last to the first."""
    rows = np.frombuffer(cast(Any, plane), dtype).reshape(plane.height, -1)
    return rows[:: -1 if plane.line_size < 0 else 1, : plane.width * channels]


def on_white(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """Lay a picture on white paper, for which most pictures with transparency are made.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) uint8 array
        Gray, or 2 channels for gray and alpha, 3 for RGB, 4 for RGB and alpha.

    Returns
    -------
    pixels : (H, W) or (H, W, 3) uint8 array
    transparent : bool
        Whether any of it was.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels, False
    alpha = pixels[..., -1:]
    blend = pixels[..., :-1] * (alpha / np.float32(255)) + (255 - alpha)
    shown = np.rint(blend).astype(np.uint8)
    return (shown if shown.shape[2] == 3 else shown[..., 0]), bool((alpha < 255).any())


def to_frame(planes: Planes, format: Format, time: int = 0) -> VideoFrame:
    """Return planes as a frame of FFmpeg, with the range, the matrix and the unit of time of their format."""
    import av  # noqa: PLC0415

    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, PLANAR[format.sampling])
    for source, plane in zip(planes, frame.planes, strict=True):
        rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, -1)
        rows[:, : plane.width] = source
    frame.color_range = FULL if format.full_range else LIMITED
    frame.colorspace = MATRIX_NUMBERS[format.matrix]
    frame.pts, frame.time_base = time, format.tick
    return frame
