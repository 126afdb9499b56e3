"""imageio and Pillow, and matplotlib through Pillow: `.tjpg` wherever they read and write pictures, `.tvid` as video.

    codec.register()

    iio.imwrite("x.tjpg", pixels, quality=80)       image.save("x.tjpg", quality=80)
    pixels = iio.imread("x.tjpg")                   image = Image.open("x.tjpg")
    iio.improps("x.tjpg"), iio.immeta("x.tjpg")     plt.imread("x.tjpg")

    iio.imwrite("x.tvid", frames, fps=25)
    for frame in iio.imiter("x.tvid"): ...          all_frames = iio.imread("x.tvid")
    one = iio.imread("x.tvid", index=700)           iio.improps("x.tvid"), iio.immeta("x.tvid")

Neither library looks for plugins of its own accord, so registration is a call. Each has its own way to say "this file
is not mine, ask another plugin": InitializationError for imageio, SyntaxError for Pillow. The first bytes alone decide:
a file that starts like a `.tjpg` or `.tvid` and is damaged is ours, and raises a CodecError.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import IO, Any

import numpy as np
from imageio.config import FileExtension, PluginConfig, known_extensions, known_plugins
from imageio.core.request import RETURN_BYTES, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageFile

from bitstreams.chunks import signature
from bitstreams.errors import LimitError, TruncatedError, UnsupportedError
from codec.image import KIND, SIZE_LIMIT, decode_image, encode_image, read_header
from codec.video import FRAME_LIMIT, encode_video
from codec.video import KIND as VIDEO_KIND
from codec.video_reader import Video, open_video

__all__ = ["TjpgImageFile", "TjpgPlugin", "TruncatedFileError", "TvidPlugin", "register"]

NAME = "TJPG"
EXTENSION, VIDEO_EXTENSION = ".tjpg", ".tvid"
SIGNATURE, VIDEO_SIGNATURE = signature(KIND), signature(VIDEO_KIND)
MODES = ("L", "LA", "RGB", "RGBA")  # Pillow's names for 1 to 4 channels
OPTIONS = ("quality", "yuv", "profile", "effort", "tune", "tables")  # of `encode_image`, for `image.save`


def register() -> None:
    """Make imageio read and write `.tjpg` and `.tvid` files, Pillow and matplotlib `.tjpg`. Once more does no harm."""
    known_plugins["tcodec"] = PluginConfig("tcodec", TjpgPlugin.__name__, __name__)
    known_plugins["tcodec-video"] = PluginConfig("tcodec-video", TvidPlugin.__name__, __name__)
    # Without the extension imageio would ask all its plugins in turn, and some write a TIFF whatever the name says.
    for name, extension, plugin in (
        ("tcodec image", EXTENSION, "tcodec"),
        ("tcodec video", VIDEO_EXTENSION, "tcodec-video"),
    ):
        known_extensions[extension] = [FileExtension(name=name, extension=extension, priority=[plugin])]
    Image.register_open(NAME, TjpgImageFile, _accept)
    Image.register_decoder(NAME, TjpgDecoder)
    Image.register_save(NAME, _save)
    Image.register_extension(NAME, EXTENSION)
    Image.register_mime(NAME, "image/x-tjpg")


class TjpgPlugin(PluginV3):
    """What imageio calls; the contract is `PluginV3`'s. A file holds one picture, whose index is 0.

    Reading takes `size_limit`, as `decode_image` does; writing takes all keywords of `encode_image`.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        _accept_request(request, SIGNATURE, EXTENSION)

    @cached_property
    def _data(self) -> bytes:
        return self.request.get_file().read()

    def read(self, *, index: int | EllipsisType | None = 0, size_limit: int = SIZE_LIMIT) -> NDArray[np.uint8]:
        """Decode the picture.

        Parameters
        ----------
        index : 0, None or ...
            `...` asks for all pictures of the file, stacked: a stack of one.
        size_limit : int
            Pixels above which the file is refused.

        Returns
        -------
        (H, W[, C]) or (1, H, W[, C]) uint8 array

        Raises
        ------
        CodecError
            If the file is damaged.
        ValueError
            If there is no picture of that index.
        """
        _check_index(index)
        pixels = decode_image(self._data, size_limit=size_limit)
        return pixels[np.newaxis] if index is ... else pixels

    def iter(self, *, size_limit: int = SIZE_LIMIT) -> Iterator[NDArray[np.uint8]]:
        """Decode all pictures, one after another: there is one."""
        yield self.read(size_limit=size_limit)

    def write(self, ndimage: ArrayLike | list[ArrayLike], **options: Any) -> bytes | None:
        """Encode a picture, with the keywords of `encode_image`; return the bytes if the target is "<bytes>"."""
        data = encode_image(np.asarray(ndimage), **options)  # before the file is opened: an error leaves it as it was
        self.request.get_file().write(data)
        return data if self.request.filename == RETURN_BYTES else None

    def properties(self, index: int | EllipsisType | None = 0, *, size_limit: int = SIZE_LIMIT) -> ImageProperties:
        """Return shape and type of what `read` returns, without decoding it."""
        _check_index(index)
        shape = read_header(self._data, size_limit=size_limit).shape
        if index is ...:
            return ImageProperties((1, *shape), np.dtype(np.uint8), n_images=1, is_batch=True)
        return ImageProperties(shape, np.dtype(np.uint8))

    def metadata(
        self,
        index: int | EllipsisType | None = 0,
        exclude_applied: bool = True,
        *,
        size_limit: int = SIZE_LIMIT,
    ) -> dict[str, Any]:
        """Return profile, sampling and metadata, as the keywords by which `write` gives them to another file.

        Reading applies none of them to the pixels, neither the colour profile nor the orientation in EXIF, so that
        `exclude_applied` has nothing to leave out.
        """
        _check_index(index)
        header = read_header(self._data, size_limit=size_limit)
        yuv = "400" if header.channels < 3 else "420" if header.subsampled else "444"
        found = {"profile": header.profile, "yuv": yuv, "icc": header.icc, "exif": header.exif}
        return {name: value for name, value in found.items() if value is not None}


class TvidPlugin(PluginV3):
    """What imageio calls for videos; the contract is `PluginV3`'s, the defaults are those of its other video plugins.

    Without an index, `imread` gives all frames, stacked, and `improps` and `immeta` tell of them. Reading takes
    `size_limit`, as `open_video` does; writing takes the keywords of `encode_video`.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        _accept_request(request, VIDEO_SIGNATURE, VIDEO_EXTENSION)
        self._video: Video | None = None
        self._is_written = False

    def _opened(self, size_limit: int) -> Video:
        """Open the video, once for all questions."""
        if self._video is None:
            self._video = open_video(self.request.get_file(), size_limit=size_limit)
        self._video.header.check_size(size_limit)
        return self._video

    def read(self, *, index: int | EllipsisType | None = ..., size_limit: int = FRAME_LIMIT) -> NDArray[np.uint8]:
        """Decode one frame, or all of them.

        Parameters
        ----------
        index : int, None or ...
            Number of the frame; `...` and None ask for all, stacked.
        size_limit : int
            Pixels of a frame above which the file is refused.

        Returns
        -------
        (H, W[, 3]) or (T, H, W[, 3]) uint8 array

        Raises
        ------
        CodecError
            If the file is damaged.
        IndexError
            If there is no frame of that number.
        """
        video = self._opened(size_limit)
        return video[:] if index in (..., None) else video[index]

    def iter(self, *, size_limit: int = FRAME_LIMIT) -> Iterator[NDArray[np.uint8]]:
        """Decode one frame after another."""
        yield from self._opened(size_limit)

    def write(self, ndimage: Any, *, is_batch: bool = True, **options: Any) -> bytes | None:
        """Encode a video, all of it at once.

        Parameters
        ----------
        ndimage : (T, H, W[, 3]) array, or iterable of (H, W[, 3]) arrays
            Frames, uint8.
        is_batch : bool
            False if it is a single frame.
        **options
            Keywords of `encode_video`, such as `fps` and `quality`.

        Returns
        -------
        bytes or None
            The file, if the target is "<bytes>".

        Raises
        ------
        CodecError
            If the frames cannot be coded. A file that is there already stays as it is.
        """
        if self._is_written:
            raise UnsupportedError("a .tvid file is written at once: give all frames, or an iterator of them")
        if is_batch and isinstance(ndimage, np.ndarray) and ndimage.ndim == 3 and ndimage.shape[2] == 3:
            raise UnsupportedError(
                "an array (H, W, 3) is one frame: say so with is_batch=False, or give a list of frames"
            )
        path = Path(self.request.get_local_filename())  # for what is no file, a temporary one, which imageio passes on
        encode_video(ndimage if is_batch else [ndimage], path, **options)
        self._is_written = True
        return path.read_bytes() if self.request.filename == RETURN_BYTES else None

    def properties(self, index: int | EllipsisType | None = ..., *, size_limit: int = FRAME_LIMIT) -> ImageProperties:
        """Return shape and type of what `read` returns, without decoding it."""
        shape = self._opened(size_limit).shape
        if index in (..., None):
            return ImageProperties(shape, np.dtype(np.uint8), n_images=shape[0], is_batch=True)
        range(shape[0])[index]  # raises an IndexError if there is no such frame
        return ImageProperties(shape[1:], np.dtype(np.uint8))

    def metadata(
        self,
        index: int | EllipsisType | None = ...,
        exclude_applied: bool = True,
        *,
        size_limit: int = FRAME_LIMIT,
    ) -> dict[str, Any]:
        """Return what the file says of the whole video, whatever the index; names are those of imageio's own plugins.

        Nothing of it is left out as applied: frames come as RGB, whatever range and matrix the file has.
        """
        found = self._opened(size_limit)
        return {
            "codec": "tvid",
            "profile": found.header.profile,
            "fps": float(found.fps),
            "duration": float(len(found) / found.fps),
            "yuv": found.format.sampling,
        }


class TruncatedFileError(TruncatedError, OSError):
    """A truncated file, met by Pillow.

    OSError is how Pillow's own plugins say it, and how `ImageFile.Parser` knows that it has to be fed more. As
    `io.UnsupportedOperation` does, this serves those who expect either.
    """


class TjpgImageFile(ImageFile.ImageFile):
    """What `Image.open` returns: size, mode and `info` at once, pixels when they are first used."""

    format = NAME
    format_description = "tcodec image"

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        if not _accept(data):
            raise SyntaxError("not a TJPG file")
        with _pillow_errors():
            header = read_header(data, size_limit=_size_limit())
        self._size = header.width, header.height
        self._mode = MODES[header.channels - 1]
        if header.icc is not None:
            self.info["icc_profile"] = header.icc
        if header.exif is not None:
            self.info["exif"] = header.exif
        self.decodermaxblock = len(data)  # so that the decoder is given the whole file at once
        self.tile = [ImageFile._Tile(NAME, (0, 0, *self.size))]


class TjpgDecoder(ImageFile.PyDecoder):
    """What Pillow calls for the pixels."""

    def decode(self, buffer: Any) -> tuple[int, int]:
        """Decode a whole file; the answer is Pillow's "finished, no error"."""
        with _pillow_errors():
            pixels = decode_image(bytes(buffer), size_limit=_size_limit())
        self.set_as_raw(pixels.tobytes())
        return -1, 0


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Write what `image.save` was called on.

    Options are quality, yuv, profile, effort, tune and tables, as in `encode_image`, icc_profile and exif. The latter
    two are by default those of the file that the picture was opened from; `None` and `b""` leave them out. As with
    Pillow's own plugins, options that are not known are ignored.
    """
    if image.mode not in MODES:
        raise OSError(f"cannot write mode {image.mode} as {NAME}; convert the picture to one of {', '.join(MODES)}")
    given = image.encoderinfo
    icc = given.get("icc_profile", image.info.get("icc_profile"))
    exif = given.get("exif", image.info.get("exif"))
    if isinstance(exif, Image.Exif):
        exif = exif.tobytes()
    if image.mode in ("L", "RGB") and "transparency" in image.info:  # one colour is transparent, as PNG can say
        image = image.convert(image.mode + "A")
    options = {name: given[name] for name in OPTIONS if name in given}
    file.write(encode_image(np.asarray(image), **options, icc=icc or None, exif=exif or None))


def _accept(first: bytes) -> bool:
    return first.startswith(SIGNATURE)


def _accept_request(request: Request, start: bytes, extension: str) -> None:
    """Leave a request of imageio to its other plugins, unless the file begins so, or is to be written so."""
    if request.mode.io_mode is IOMode.read:
        if not request.firstbytes.startswith(start):
            raise InitializationError(f"not a {extension} file: the signature is missing")
    elif request.extension not in (extension, None):  # None: "<bytes>" or a file object, and the plugin by name
        raise InitializationError(f"the extension is {request.extension}, not {extension}")


def _check_index(index: int | EllipsisType | None) -> None:
    if index not in (0, None, ...):
        raise ValueError(f"index {index}: a {EXTENSION} file holds one picture, of index 0")


def _size_limit() -> int:
    """Return the number of pixels above which Pillow refuses a picture; it warns from half of that."""
    return sys.maxsize if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """Raise those errors for which Pillow's users expect a certain class as that class."""
    try:
        yield
    except LimitError as error:
        raise Image.DecompressionBombError(
            f"over {_size_limit()} pixels, twice PIL.Image.MAX_IMAGE_PIXELS: could be a decompression bomb"
        ) from error
    except TruncatedError as error:
        raise TruncatedFileError(str(error)) from error
