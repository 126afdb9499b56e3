"""Still images: pixels to a `.tjpg` file and back.

    encode   pixels -> strips -> each strip through the profile's stages -> chunks
    decode   chunks -> strips -> pixels

A strip is a band of rows, coded on its own: memory stays bounded however large the picture is, and damage to a strip
leaves the others. What happens inside one is the profile's: read `codec.baseline` next, JPEG's stages, and then
`codec.main`, where each of them is done better.

The file is a container of kind TJP (`bitstreams.chunks`) with these chunks, in this order:

    HEAD    width       4 bytes     1 to 2**32 - 1
            height      4 bytes
            channels    1 byte      1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha
            depth       1 byte      bits of a sample: 8
            sampling    1 byte      1 if chroma has half the resolution (4:2:0), else 0
            rows        4 bytes     rows of pixels in a strip, a multiple of the macroblock's side; the last may have
                                    fewer
            profile     1 byte, then so many ASCII characters: its name
            the profile's parameters, to the end
    ICCP    a colour profile, as in the file that the picture came from; optional
    EXIF    EXIF data, in the same way; optional
    STRP    index of the strip, 4 bytes, then its bytes; one for each strip, in order from 0
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import Chunk, read_chunks, recover_chunks, write_chunks
from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from codec import blocks, color
from codec.profiles import Profile, find_profile
from codec.stages import Stages, check_without

__all__ = [
    "DEFAULT_PROFILE",
    "DEFAULT_QUALITY",
    "DEFAULT_TUNE",
    "SIZE_LIMIT",
    "Header",
    "Recovered",
    "decode_image",
    "encode_image",
    "optional_stages",
    "read_header",
    "recover_image",
]

KIND = b"TJP"
HEAD, ICCP, EXIF, STRP = b"HEAD", b"ICCP", b"EXIF", b"STRP"
FIXED = struct.Struct(">IIBBBIB")
INDEX = struct.Struct(">I")

DEFAULT_QUALITY = 75.0  # libjpeg's
DEFAULT_PROFILE = "main"  # see README: half the bytes, for more time than most notice
DEFAULT_TUNE = "ms-ssim"  # see README: what a person sees follows it far closer than PSNR
SIZE_LIMIT = 1 << 28  # pixels that a decoder accepts if not told otherwise: 268 megapixels, 805 MB of RGB
LARGEST_STRIP = 1 << 22  # pixels that a strip may have: it bounds the memory of a decoder, and the width of a picture
MISSING = 128  # gray level of rows that could not be recovered

STAGES: Stages = {"subsampling": "chroma at full resolution"}  # optional ones that any profile has


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its pixels.

    Attributes
    ----------
    width, height : int
        In pixels.
    channels : int
        1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    subsampled : bool
        Whether chroma has half the resolution.
    rows : int
        Rows of pixels in a strip.
    profile : str
        Name of the profile.
    stages : Profile
        Its stages, with the parameters of this file.
    icc, exif : bytes or None
        Metadata, as they were given to the encoder.
    """

    width: int
    height: int
    channels: int
    subsampled: bool
    rows: int
    profile: str
    stages: Profile
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def strips(self) -> int:
        """Number of strips."""
        return -(-self.height // self.rows)

    def strip_rows(self, index: int) -> tuple[int, int]:
        """Return the first and the last row, not counted, of a strip."""
        return index * self.rows, min((index + 1) * self.rows, self.height)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the pixels: (H, W), or (H, W, channels) for more than one."""
        return (self.height, self.width) + ((self.channels,) if self.channels > 1 else ())

    def to_bytes(self) -> bytes:
        """Write the payload of the HEAD chunk."""
        name = self.profile.encode("ascii")
        fixed = FIXED.pack(self.width, self.height, self.channels, 8, self.subsampled, self.rows, len(name))
        return fixed + name + self.stages.to_bytes()

    @classmethod
    def from_bytes(cls, payload: bytes) -> Header:
        """Read the payload of a HEAD chunk, or raise FormatError or UnsupportedError."""
        if len(payload) < FIXED.size:
            raise FormatError(f"a header of {len(payload)} bytes")
        width, height, channels, depth, sampling, rows, length = FIXED.unpack_from(payload)
        name, parameters = payload[FIXED.size : FIXED.size + length], payload[FIXED.size + length :]
        if not (width and height and 1 <= channels <= 4 and sampling <= (channels >= 3) and name.isascii()):
            raise FormatError(f"a header of {width} x {height} pixels, {channels} channels, sampling {sampling}")
        if depth != 8:
            raise UnsupportedError(f"{depth} bits a sample; 8 are supported")
        profile = name.decode("ascii")
        stages = find_profile(profile).from_bytes(parameters, channels, bool(sampling))
        if not rows or rows % stages.macroblock or rows * width > LARGEST_STRIP:
            raise FormatError(
                f"strips of {rows} rows and {width} columns; rows must be multiples of {stages.macroblock}, "
                f"and a strip has at most {LARGEST_STRIP} pixels"
            )
        return cls(width, height, channels, bool(sampling), rows, profile, stages)


def optional_stages(profile: str = DEFAULT_PROFILE) -> Stages:
    """Return the stages of a profile that can be left out, and what there is without each (`codec.stages`)."""
    return {**STAGES, **find_profile(profile).STAGES}


def encode_image(
    pixels: NDArray[np.uint8],
    quality: float = DEFAULT_QUALITY,
    *,
    yuv: str = "420",
    profile: str = DEFAULT_PROFILE,
    effort: int | None = None,
    tune: str = DEFAULT_TUNE,
    tables: str | None = None,
    without: Collection[str] = (),
    icc: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """Encode a picture.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) uint8 array
        Gray, or C channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; any size from 1 x 1.
    quality : float
        In [0, 100], on JPEG's scale; hundredths count.
    yuv : {"420", "444", "400"}
        Chroma at half resolution, at full resolution, or none: "400" codes luma alone, and gives a gray picture.
    profile : str
        Name of a profile: "main" for small files, "baseline" for JPEG's stages and speed, or another that is installed.
    effort : int, optional
        In [1, 9]: how hard to try, time for size. The baseline profile has 1, its default, and 2, with restoration.
    tune : {"ms-ssim", "psnr"}
        What the quantiser is made for: what a person sees, or the mean square error.
    tables : {"jpeg", "flat", "sloped"}, optional
        Of the baseline profile: quantiser tables, instead of those of `tune`; "jpeg" is Annex K with plain rounding.
    without : collection of str
        Stages to leave out, names from `optional_stages`: to see what they are worth.
    icc, exif : bytes, optional
        Metadata to carry along.

    Returns
    -------
    bytes
        A `.tjpg` file, which decodes to the same pixels on every machine.

    Raises
    ------
    UnsupportedError
        If the array is not such a picture; the message says how to convert it.
    CodecError
        If an option is unknown or out of range.
    """
    _check_pixels(pixels)
    if yuv not in ("420", "444", "400"):
        raise CodecError(f"unknown sampling {yuv!r}; known are 420, 444, 400")
    if not 0 <= quality <= 100:
        raise CodecError(f"quality {quality} is outside 0 to 100")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if yuv == "400" and pixels.shape[2] >= 3:
        gray = color.rgb_to_gray(pixels[..., :3])
        pixels = np.concatenate([gray[..., None], pixels[..., 3:]], axis=-1)
    height, width, channels = pixels.shape
    without = check_without(without, optional_stages(profile))
    subsampled = yuv == "420" and channels >= 3 and "subsampling" not in without
    stages = find_profile(profile).choose(
        channels, subsampled, quality, tune, tables=tables, effort=effort, without=without - set(STAGES)
    )
    rows = max(1, stages.STRIP // (width * stages.macroblock)) * stages.macroblock
    if rows * width > LARGEST_STRIP:
        raise UnsupportedError(
            f"a picture {width} pixels wide; the limit is {LARGEST_STRIP // stages.macroblock}: cut or turn it"
        )
    header = Header(width, height, channels, subsampled, rows, profile, stages, icc, exif)
    return b"".join(write_chunks(KIND, _encode_chunks(pixels, header)))


def _encode_chunks(pixels: NDArray[np.uint8], header: Header) -> Iterator[tuple[bytes, bytes]]:
    yield HEAD, header.to_bytes()
    if header.icc is not None:
        yield ICCP, header.icc
    if header.exif is not None:
        yield EXIF, header.exif
    for index in range(header.strips):
        strip = blocks.pad(pixels[slice(*header.strip_rows(index))], header.stages.macroblock)
        yield STRP, INDEX.pack(index) + header.stages.encode_strip(strip)


def decode_image(data: bytes, *, size_limit: int = SIZE_LIMIT) -> NDArray[np.uint8]:
    """Decode a picture, strictly.

    Parameters
    ----------
    data : bytes
        A `.tjpg` file.
    size_limit : int
        Pixels above which the file is refused.

    Returns
    -------
    (H, W) or (H, W, C) uint8 array
        Gray, gray and alpha, RGB, or RGB and alpha; the same on every machine.

    Raises
    ------
    CodecError
        One of its kinds, and nothing else, whatever the bytes are.
    """
    header, strips = read_strips(data, size_limit)
    pixels = np.empty((header.height, header.width, header.channels), np.uint8)
    for index, chunk in enumerate(strips):
        _decode_strip(chunk, header, pixels[slice(*header.strip_rows(index))])
    return pixels.reshape(header.shape)


def read_header(data: bytes, *, size_limit: int = SIZE_LIMIT) -> Header:
    """Read and check everything but the insides of strips: structure, checksums, header and metadata.

    Parameters and errors are those of `decode_image`.
    """
    return read_strips(data, size_limit)[0]


@dataclass(frozen=True)
class Recovered:
    """What could be decoded of a damaged file.

    Attributes
    ----------
    pixels : (H, W) or (H, W, C) uint8 array
        Rows that are missing are mid-gray.
    missing : list of (first, last)
        Ranges of rows that could not be decoded, the last not counted; empty if all is there.
    problems : list of str
        What is wrong with the file; empty if nothing is.
    header : Header
    """

    pixels: NDArray[np.uint8]
    missing: list[tuple[int, int]]
    problems: list[str]
    header: Header


def recover_image(data: bytes, *, size_limit: int = SIZE_LIMIT) -> Recovered:
    """Decode what can be decoded of a damaged or truncated file.

    Parameters
    ----------
    data : bytes
        A `.tjpg` file, or what is left of one.
    size_limit : int
        Pixels above which the file is refused.

    Returns
    -------
    Recovered

    Raises
    ------
    CodecError
        If not even the header can be read, or no strip is left. Until then it may take the memory of the pixels that
        the header claims, up to `size_limit`.
    """
    chunks, problems = recover_chunks(bytes(data), KIND, (HEAD, ICCP, EXIF, STRP))
    header = _read_metadata([chunk for chunk in chunks if chunk.type != STRP])
    _check_size(header, len(data), size_limit, complete=False)
    strips = [chunk for chunk in chunks if chunk.type == STRP]
    if not strips:
        raise TruncatedError("nothing of the picture is left")
    found: dict[int, Chunk] = {}
    for chunk in strips:
        index = _index(chunk)
        if index in found or not 0 <= index < header.strips:
            problems.append(f"the strip at byte {chunk.start} has no place, or one that is taken")
        else:
            found[index] = chunk
    if list(found) != sorted(found) or chunks[len(chunks) - len(strips) :] != strips:
        problems.append("the chunks are not in order")
    if len(found) < header.strips:
        problems.append(f"{header.strips - len(found)} of {header.strips} strips are damaged or lost")
    pixels = np.full((header.height, header.width, header.channels), MISSING, np.uint8)
    missing: list[tuple[int, int]] = []
    decoded = 0  # rows up to here are accounted for
    for index in sorted(found):
        first, last = header.strip_rows(index)
        try:
            _decode_strip(found[index], header, pixels[first:last])
        except CodecError as error:
            problems.append(f"rows {first} to {last - 1}: {error}")
            pixels[first:last] = MISSING
            continue
        if decoded < first:
            missing.append((decoded, first))
        decoded = last
    if not decoded:
        raise TruncatedError("nothing of the picture is left: " + "; ".join(problems))
    if decoded < header.height:
        missing.append((decoded, header.height))
    return Recovered(pixels.reshape(header.shape), missing, problems, header)


def read_strips(data: bytes, size_limit: int) -> tuple[Header, list[Chunk]]:
    """Read header and strips of a file, strictly; nothing that the header claims is allocated before it is checked."""
    chunks = list(read_chunks(bytes(data), KIND))
    number = sum(chunk.type == STRP for chunk in chunks)
    metadata, strips = chunks[: len(chunks) - number], chunks[len(chunks) - number :]
    header = _read_metadata(metadata)
    _check_size(header, len(data), size_limit, complete=True)
    if number != header.strips:
        raise FormatError(f"{number} strips where {header.strips} belong")
    for index, chunk in enumerate(strips):
        if chunk.type != STRP or _index(chunk) != index:
            raise FormatError(f"strip {index} is not in its place")
    return header, strips


def _read_metadata(chunks: list[Chunk]) -> Header:
    """Read the chunks before the strips."""
    types = [chunk.type for chunk in chunks]
    if HEAD not in types:
        raise FormatError("the header is damaged or missing: nothing can be decoded without it")
    if types[:1] != [HEAD] or types[1:] not in ([], [ICCP], [EXIF], [ICCP, EXIF]):
        raise FormatError(f"chunks {b' '.join(types).decode('latin-1')!r} where a header and metadata belong")
    header = Header.from_bytes(chunks[0].payload)
    named = {chunk.type: chunk.payload for chunk in chunks}
    fields = {**vars(header), "icc": named.get(ICCP), "exif": named.get(EXIF)}
    return Header(**fields)


def _check_size(header: Header, size: int, size_limit: int, complete: bool) -> None:
    """Refuse a header that claims more pixels than the caller allows, or than the file can hold."""
    pixels = max(header.width, 16) * max(header.height, 16)  # as much as is decoded, whole macroblocks, to a factor
    if pixels > max(size_limit, 16 * 16):
        blocks_too = f", {pixels} with whole blocks," if header.width * header.height <= size_limit else ""
        raise LimitError(
            f"{header.width} x {header.height} pixels{blocks_too} are over the limit of {size_limit}; "
            "raise it with size_limit= (--size-limit on the command line)"
        )
    if complete and header.width * header.height > header.stages.PIXELS_A_BYTE * size:
        raise TruncatedError(f"{header.width} x {header.height} pixels do not fit into {size} bytes")


def _index(chunk: Chunk) -> int:
    """Return the index of a strip, -1 if the chunk is too short to have one."""
    return int.from_bytes(chunk.payload[: INDEX.size]) if len(chunk.payload) >= INDEX.size else -1


def _decode_strip(chunk: Chunk, header: Header, out: NDArray[np.uint8]) -> None:
    """Decode a strip into its rows of the picture."""
    side = header.stages.macroblock
    height, width = (-(-length // side) * side for length in out.shape[:2])
    if (height, width) == out.shape[:2]:
        header.stages.decode_strip(chunk.payload, INDEX.size, out)
        return
    whole = np.empty((height, width, header.channels), np.uint8)
    header.stages.decode_strip(chunk.payload, INDEX.size, whole)
    out[...] = whole[: out.shape[0], : out.shape[1]]


def _check_pixels(pixels: NDArray[np.uint8]) -> None:
    """Raise UnsupportedError, with advice, if an array is not a picture that can be coded."""
    if not isinstance(pixels, np.ndarray):
        raise UnsupportedError(f"a picture must be a NumPy array, not {type(pixels).__name__}")
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:  # in either byte order
        raise UnsupportedError("16 bits a sample; convert to 8 with (pixels >> 8).astype(np.uint8)")
    if pixels.dtype != np.uint8:
        raise UnsupportedError(
            f"samples of type {pixels.dtype}; convert to uint8, floats in [0, 1] with "
            "np.rint(255 * pixels).astype(np.uint8)"
        )
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and not 1 <= pixels.shape[2] <= 4) or 0 in pixels.shape:
        raise UnsupportedError(
            f"an array of shape {pixels.shape}; a picture is (H, W) or (H, W, C) with 1 to 4 channels"
        )
