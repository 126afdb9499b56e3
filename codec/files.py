"""Files of pictures: read with all that they hold, written whole or not at all.

imageio hands nearly every format to Pillow. Pictures are read through Pillow itself, which also tells what arrays
cannot: whether a colour of a palette is transparent, whether samples were cut down to 8 bits, how many frames follow.
What Pillow does not know goes to imageio's other plugins. Nothing is lost in silence: a picture of which a `.tjpg` can
hold only a part is refused, with advice.

A file is written under another name beside its own, which it is given at the end: whoever finds the file finds all of
it, even if the disk is full or the program killed.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import signature
from bitstreams.errors import CodecError, LimitError, UnsupportedError
from codec.image import KIND, SIZE_LIMIT

if TYPE_CHECKING:  # slow to import, and `tcodec --help` has no use for it
    from PIL import Image

__all__ = [
    "FORMATS",
    "PICTURES",
    "Format",
    "Picture",
    "atomic_open",
    "atomic_write",
    "picture_bytes",
    "pictures_in",
    "read_picture",
    "refuse_existing",
    "write_picture",
]

# In a folder, files with these extensions are pictures, and others are left alone. imageio's own list is of no help: it
# has documents, videos and tables of measurements.
# fmt: off
PICTURES = frozenset([
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pcx",
    ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
])
# fmt: on
ONE_PICTURE = ("MPO", "PSD")  # their further "frames" are previews and layers of the picture that comes first
EXIF_PREFIX = b"Exif\0\0"  # before EXIF data in a JPEG file (EXIF 2.32, 4.7.2); in a PNG or WebP file it is left out
# Tags that describe a picture (EXIF 2.32, 4.6.4); a TIFF file keeps them among those for its own layout.
DESCRIPTIVE_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
EXIF_IFD, GPS_IFD = 34665, 34853


class Picture(NamedTuple):
    """What is read from a file.

    Attributes
    ----------
    pixels : (H, W) or (H, W, C) uint8 array
        Gray, or 2 channels for gray and alpha, 3 for RGB, 4 for RGB and alpha.
    icc, exif : bytes or None
        Colour profile and EXIF data, as they are stored in the file.
    """

    pixels: NDArray[np.uint8]
    icc: bytes | None = None
    exif: bytes | None = None


class Format(NamedTuple):
    """What a kind of file can hold, and Pillow's options to lose as little as it can."""

    alpha: bool
    metadata: bool
    options: Mapping[str, Any]


PNG = Format(alpha=True, metadata=True, options={})
JPEG = Format(alpha=False, metadata=True, options={"quality": 95, "subsampling": "4:4:4"})
WEBP = Format(alpha=True, metadata=True, options={"lossless": True, "exact": True})  # exact: below transparency too
TIFF = Format(alpha=True, metadata=True, options={})
PLAIN = Format(alpha=False, metadata=False, options={})
FORMATS = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": WEBP,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".bmp": PLAIN,
    ".ppm": PLAIN,
    ".pgm": PLAIN,
}


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder, in the order of their names; what begins with a dot is left alone.

    Some systems put a `._photo.png` beside each `photo.png`, which is no picture whatever its name says.
    """
    files = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    return sorted(path for path in files if not path.name.startswith("."))


def read_picture(source: str | Path | bytes, *, suffix: str = "", size_limit: int = SIZE_LIMIT) -> Picture:
    """Read a picture from a file of any format that imageio reads.

    Palettes become colours, with alpha if one of them is transparent; 1-bit pictures become gray; CMYK becomes RGB by
    the plain formula, and loses its profile, which describes inks. EXIF data that ask for the picture to be turned stay
    as they are, and so do the pixels; only those of TIFF files have been turned by Pillow, and ask no more.

    Of several frames or pages all but one would be lost, so such files are refused. The further pictures in an MPO file
    (a camera's JPEG with previews) and the layers of a PSD file do not count: every viewer shows the first alone.

    Parameters
    ----------
    source : str, Path or bytes
        Path of a file, or what is in it.
    suffix : str
        Extension of the file that the bytes are from, for formats that do not show otherwise; a path has its own.
    size_limit : int
        Pixels above which a picture is refused before it is read.

    Returns
    -------
    Picture

    Raises
    ------
    UnsupportedError
        If it is no picture, is damaged, or would lose something; the message names the file, if there is one, and says
        how to convert it.
    LimitError
        If it is larger than `size_limit`.
    OSError
        If the file cannot be read.
    """
    if isinstance(source, bytes):
        return _read(source, suffix, size_limit)
    path = Path(source)
    try:
        return _read(path.read_bytes(), path.suffix, size_limit)
    except CodecError as error:
        raise type(error)(f"{path}: {error}") from error


def _read(data: bytes, suffix: str, size_limit: int) -> Picture:
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    if data.startswith(signature(KIND)):
        raise UnsupportedError("a .tjpg file already; decode it to have a picture")
    try:
        return _read_with_pillow(data, size_limit)
    except UnidentifiedImageError:
        return _read_with_imageio(data, suffix)
    except (CodecError, MemoryError):
        raise
    except Exception as error:  # damage shows in all kinds: OSError, SyntaxError, ValueError, struct.error, ...
        raise UnsupportedError(f"damaged, or not a picture: {error}") from error


def _read_with_pillow(data: bytes, size_limit: int) -> Picture:
    from PIL import Image  # noqa: PLC0415

    with _no_limit_of_pillow(), Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > size_limit:
            raise LimitError(
                f"{image.width} x {image.height} pixels are over the limit of {size_limit}; "
                "raise it with size_limit= (--size-limit on the command line)"
            )
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format not in ONE_PICTURE:
            raise UnsupportedError(f"{frames} frames or pages; save the one that you mean as a picture of its own")
        if _is_deep(image):
            raise UnsupportedError(
                "more than 8 bits a sample; convert it to 8 first, for example with `magick INPUT -depth 8 OUTPUT`"
            )
        image.load()
        mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
        if image.has_transparency_data:
            mode += "A"
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))
        icc = None if image.mode in ("CMYK", "LAB") else image.info.get("icc_profile")
        exif = image.info.get("exif") or (_exif_of_tiff(image) if image.format == "TIFF" else None)
        return Picture(pixels, icc or None, exif or None)


@contextmanager
def _no_limit_of_pillow() -> Iterator[None]:
    """Let Pillow open pictures of any size, since the caller has a limit of its own."""
    from PIL import Image  # noqa: PLC0415

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _is_deep(image: Image.Image) -> bool:
    """Whether samples have more than 8 bits in the file; Pillow cuts those of colour pictures in silence.

    To be asked before the pixels are loaded: it goes by what Pillow is about to decode. That tells for PNG, TIFF and
    Netpbm files, in which 16 bits are common.
    """
    if image.mode.startswith(("I", "F")):
        return True
    for decoder, _, _, arguments in getattr(image, "tile", ()):
        if ";16" in str(arguments):  # a raw mode, such as RGB;16B
            return True
        if decoder.startswith("ppm") and isinstance(arguments, tuple) and int(arguments[1]) > 255:  # the largest sample
            return True
    return False


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    """Put the descriptive tags of a TIFF file together to EXIF data of their own."""
    from PIL import Image  # noqa: PLC0415

    found = image.getexif()
    exif = Image.Exif()
    exif.update({tag: found[tag] for tag in DESCRIPTIVE_TAGS if tag in found})
    exif.update({tag: found.get_ifd(tag) for tag in (EXIF_IFD, GPS_IFD) if tag in found})
    return exif.tobytes() if exif else None


def _read_with_imageio(data: bytes, suffix: str) -> Picture:
    """Read what Pillow does not know with the other plugins of imageio, which tell nothing of colour profiles."""
    import imageio.v3 as iio  # noqa: PLC0415

    try:
        pictures = list(islice(iio.imiter(data, extension=suffix or ".unknown"), 2))
    except Exception as error:  # each plugin has its own kinds
        raise UnsupportedError("not a picture in a format that imageio reads") from error
    if len(pictures) != 1:
        raise UnsupportedError("a video, or several pictures; save the one that you mean as a picture of its own")
    return Picture(pictures[0])


def picture_bytes(suffix: str, pixels: NDArray[np.uint8], icc: bytes | None = None, exif: bytes | None = None) -> bytes:
    """Return a picture as a file of the format that belongs to an extension.

    PNG, WebP, TIFF, BMP and Netpbm keep every sample; JPEG is written at quality 95 with chroma at full resolution. The
    colour profile and EXIF data go along where the format has a place for them (`FORMATS`).

    Parameters
    ----------
    suffix : str
        One of `FORMATS`, with its dot; case does not count.
    pixels : (H, W) or (H, W, C) uint8 array
        Gray, or 2 channels for gray and alpha, 3 for RGB, 4 for RGB and alpha.
    icc, exif : bytes, optional
        Colour profile and EXIF data.

    Returns
    -------
    bytes

    Raises
    ------
    UnsupportedError
        If the extension is unknown, or the format cannot hold the picture: its alpha, its size.
    """
    import imageio.v3 as iio  # noqa: PLC0415

    target = FORMATS.get(suffix.lower())
    if target is None:
        given = f"the extension {suffix!r}" if suffix else "no extension"
        raise UnsupportedError(f"pictures are not written with {given}; known are {', '.join(FORMATS)}")
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and not target.alpha:
        able = ", ".join(name for name, format_ in FORMATS.items() if format_.alpha)
        raise UnsupportedError(f"the picture has transparency, and {suffix} files do not; {able} do")
    options = dict(target.options)
    if icc and target.metadata:
        options["icc_profile"] = icc
    if exif and target.metadata:
        options["exif"] = EXIF_PREFIX + exif.removeprefix(EXIF_PREFIX)
    try:
        data: bytes = iio.imwrite("<bytes>", pixels, extension=suffix.lower(), plugin="pillow", **options)
    except Exception as error:  # each of Pillow's plugins has its own kinds for sides or metadata that are too long
        raise UnsupportedError(f"cannot be written as {suffix}: {error}") from error
    return data


def write_picture(
    path: str | Path,
    pixels: NDArray[np.uint8],
    icc: bytes | None = None,
    exif: bytes | None = None,
    *,
    force: bool = False,
) -> None:
    """Write a picture to a file, in the format that belongs to its extension.

    Parameters and errors are those of `picture_bytes` and `atomic_write`.
    """
    refuse_existing(path, force)
    atomic_write(path, picture_bytes(Path(path).suffix, pixels, icc, exif), force=force)


def refuse_existing(path: str | Path, force: bool = False) -> None:
    """Raise FileExistsError if there is a file of that name, unless it may be overwritten."""
    if not force and Path(path).is_file():
        raise FileExistsError(errno.EEXIST, "exists already; --force overwrites it", str(path))


def atomic_write(path: str | Path, pieces: bytes | Iterable[bytes], *, force: bool = False) -> None:
    """Write a file that is there as a whole or not at all.

    Parameters
    ----------
    path : str or Path
        Its folder must exist. A device or a named pipe is written to directly.
    pieces : bytes or iterable of bytes
        What to write, one after another.
    force : bool
        Whether an existing file may be overwritten.

    Raises
    ------
    FileExistsError
        If there is a file of that name, and not `force`.
    OSError
        If it cannot be written; neither this error nor any from `pieces` leaves a part of the file behind.
    """
    with atomic_open(path, force=force) as file:
        file.writelines([pieces] if isinstance(pieces, bytes) else pieces)


@contextmanager
def atomic_open(path: str | Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a file to be written in any order, for a with statement: after an error in it, the file is not there.

    Parameters and errors are those of `atomic_write`.
    """
    refuse_existing(path, force)
    target = Path(path)
    if target.exists() and not target.is_file():  # to replace /dev/null by a file would do harm
        with target.open("wb") as file:
            yield file
        return
    temporary = target.with_name(f".tcodec-{secrets.token_hex(8)}")  # in the same folder: a new name is no copy there
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, target)
    except BaseException:  # the user's Ctrl-C as well
        temporary.unlink(missing_ok=True)
        raise
