"""The codecs that are compared: anything that turns pixels into a file, and back.

A new rival is one class with the four members of `Codec`.
"""

import io
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import codec

__all__ = ["Codec", "Jpeg", "Pixels", "Tcodec"]

Pixels = NDArray[np.uint8]


class Codec(Protocol):
    """What a benchmark needs of a codec.

    Attributes
    ----------
    name : str
        What the tables call it.
    ladder : tuple of float
        Qualities for a rate-distortion curve, on the codec's own scale, from coarse to fine. On photos of half a
        megapixel they span about 0.1 to 3 bits per pixel, so that the curves of all codecs overlap.
    """

    @property
    def name(self) -> str: ...

    @property
    def ladder(self) -> tuple[float, ...]: ...

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """Return the bytes of a whole file with a picture of (H, W) or (H, W, 3)."""
        ...

    def decode(self, data: bytes) -> Pixels:
        """Return the picture in a file that `encode` made."""
        ...


class Jpeg:
    """JPEG by libjpeg-turbo, through Pillow: optimised Huffman codes, chroma at half resolution."""

    name = "JPEG"
    ladder: tuple[float, ...] = (5, 10, 20, 35, 50, 65, 75, 85, 92)

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=round(quality), optimize=True, subsampling="4:2:0")
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        return np.asarray(Image.open(io.BytesIO(data)))


class Tcodec:
    """The codec of this project.

    Parameters
    ----------
    **options
        Keywords of `codec.encode_image`; none of them for its defaults.
    """

    ladder: tuple[float, ...] = (5, 10, 20, 35, 50, 65, 80, 90, 94)

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.name = " ".join(["tcodec", *(f"{key}={value}" for key, value in options.items())])

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        return codec.encode_image(pixels, quality, **self.options)

    def decode(self, data: bytes) -> Pixels:
        return codec.decode_image(data)
