"""The codecs for pictures: this project's, and those of Pillow and imagecodecs."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

import codec
from benchmarks.codecs import NotInstalledError, PictureCodec, fingerprint
from benchmarks.sources import Pixels
from codec.baseline import RESTORED
from codec.image import DEFAULT_PROFILE, DEFAULT_TUNE, optional_stages
from codec.profiles import find_profile, profile_names

__all__ = ["Avif", "Jpeg", "Jpeg2000", "JpegXl", "ProgressiveJpeg", "Tcodec", "WebP"]


class Tcodec(PictureCodec):
    """The codec of this project.

    Parameters
    ----------
    profile : str
    tune : str
    without : collection of str
        Stages that are left out.
    **options
        Further keywords of `codec.encode_image`.
    """

    name = "tcodec"
    ladder = (5, 15, 40, 70, 86, 94)
    grain = 0.01

    def __init__(
        self, profile: str = DEFAULT_PROFILE, tune: str = DEFAULT_TUNE, without: Collection[str] = (), **options: Any
    ) -> None:
        self.options = {"profile": profile, "tune": tune, "without": frozenset(without), **options}
        told = [f"{option}{value}" if isinstance(value, int) else str(value) for option, value in options.items()]
        named = ["tcodec", profile, *([tune] if tune != DEFAULT_TUNE else []), *told]
        self.name = " without ".join(["-".join(named), *sorted(without)])

    @classmethod
    def variants(cls) -> Iterable[Tcodec]:
        """Return each profile that is installed, tuned for each measure, the default first; then the restored one."""
        variants = [
            cls(profile, tune)
            for profile in profile_names()
            for tune in sorted(find_profile(profile).TUNES, key=lambda tune: tune != DEFAULT_TUNE)
        ]
        plain = [variant.options for variant in variants if variant.options["profile"] == "baseline"]
        return [*variants, *(cls(**options, effort=RESTORED) for options in plain)]

    def ablated(self) -> dict[str, tuple[str, Tcodec]]:
        """Return each stage that can be left out: what there is without it, and the codec without it."""
        stages = optional_stages(self.options["profile"])
        return {stage: (instead, Tcodec(**{**self.options, "without": [stage]})) for stage, instead in stages.items()}

    def version(self) -> str:
        package = find_profile(self.options["profile"]).__module__.partition(".")[0]
        return fingerprint(*dict.fromkeys(("bitstreams", "codec", package)))

    def encode(self, frames: Pixels, quality: float) -> bytes:
        return codec.encode_image(frames, quality, **self.options)

    def decode(self, data: bytes) -> Pixels:
        return codec.decode_image(data)


class PillowCodec(PictureCodec):
    """A codec of Pillow.

    Attributes
    ----------
    format : str
        What Pillow calls it.
    feature : str
        What Pillow calls the library behind it.
    options : dict
        What Pillow is told when it encodes, beside the quality.
    """

    format: ClassVar[str]
    feature: ClassVar[str]
    options: ClassVar[dict[str, Any]]

    def version(self) -> str:
        found = features.version(self.feature)
        if found is None:
            raise NotInstalledError(f"this Pillow has no {self.format}")
        return f"{self.feature} {found} in Pillow {pillow_version}"

    def encode(self, frames: Pixels, quality: float) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frames).save(file, self.format, quality=round(quality), **self.options)
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        return np.asarray(Image.open(io.BytesIO(data)))


class Jpeg(PillowCodec):
    """JPEG by libjpeg-turbo: optimised Huffman codes, chroma at half resolution."""

    name = "jpeg"
    ladder = (5, 12, 32, 60, 82, 92)
    format = "JPEG"
    feature = "libjpeg_turbo"
    options: ClassVar = {"optimize": True, "subsampling": "4:2:0"}


class ProgressiveJpeg(Jpeg):
    """The same in several scans, whose statistics suit their codes better."""

    name = "jpeg-progressive"
    options: ClassVar = {**Jpeg.options, "progressive": True}


class WebP(PillowCodec):
    """Lossy WebP at its slowest effort."""

    name = "webp"
    ladder = (0, 7, 40, 75, 89, 95)
    format = "WEBP"
    feature = "webp"
    options: ClassVar = {"method": 6}


class Avif(PillowCodec):
    """AVIF, that is AV1's I frames, by libaom; chroma at half resolution."""

    name = "avif-speed6"
    ladder = (6, 18, 39, 60, 77, 90)
    format = "AVIF"
    feature = "avif"
    options: ClassVar = {"codec": "aom", "speed": 6, "subsampling": "4:2:0", "max_threads": 1}

    def version(self) -> str:
        libavif = super().version()  # or there is none, and no module for it either
        return f"{libavif}, {import_module('PIL._avif').codec_versions()}"

    def decode(self, data: bytes) -> Pixels:
        plugin: Any = import_module("PIL.AvifImagePlugin")  # an older Pillow has none
        plugin.DEFAULT_MAX_THREADS = 1
        return super().decode(data)


class SlowAvif(Avif):
    """AVIF with an encoder that takes ten times as long."""

    name = "avif-speed2"
    options: ClassVar = {**Avif.options, "speed": 2}


class ImagecodecsCodec(PictureCodec):
    """A codec of imagecodecs."""

    @staticmethod
    def _library() -> ModuleType:
        try:
            return import_module("imagecodecs")
        except ImportError as error:
            raise NotInstalledError(f"{error}; `pip install tcodec[bench]` brings it") from error


class JpegXl(ImagecodecsCodec):
    """JPEG XL by libjxl, at its default effort; its quality is a distance, in just noticeable differences."""

    name = "jxl"
    ladder = (20, 11, 5, 2.3, 1.1, 0.6)
    grain = 0.01

    def version(self) -> str:
        return str(self._library().jpegxl_version())

    def encode(self, frames: Pixels, quality: float) -> bytes:
        return bytes(self._library().jpegxl_encode(frames, distance=quality, effort=7, numthreads=1))

    def decode(self, data: bytes) -> Pixels:
        pixels: Pixels = self._library().jpegxl_decode(data, numthreads=1)
        return pixels


class Jpeg2000(ImagecodecsCodec):
    """JPEG 2000 by OpenJPEG: the lossy wavelet, to a PSNR, without the boxes of a JP2 file."""

    name = "jp2"
    ladder = (22, 25, 29, 33.5, 38.5, 43)
    grain = 0.1

    def version(self) -> str:
        return str(self._library().jpeg2k_version())

    def encode(self, frames: Pixels, quality: float) -> bytes:
        encode = self._library().jpeg2k_encode
        return bytes(encode(frames, level=quality, reversible=False, codecformat="j2k", mct=frames.ndim == 3))

    def decode(self, data: bytes) -> Pixels:
        pixels: Pixels = self._library().jpeg2k_decode(data)
        return pixels
