"""Frames of a video: planes of luma and chroma, and what their numbers mean.

A frame is a tuple of planes, (Y,) or (Y, Cb, Cr), each a uint8 array. Video is kept in these, not in RGB: most of it
was made so, and a conversion forth and back would lose what the codec never touched.

    sampling   4:0:0   gray, no chroma
               4:2:0   chroma has half the width and half the height, rounded up
               4:4:4   chroma has the size of luma
    range      full    0 is black, 255 is white, chroma is 128 +- 127.5 (JPEG's)
               limited 16 is black, 235 is white, chroma is 128 +- 112 (television's)
    matrix     bt601   luma has 0.299 of red and 0.114 of blue (standard definition, JPEG)
               bt709   luma has 0.2126 of red and 0.0722 of blue (high definition)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import UnsupportedError
from codec import color

__all__ = ["MATRICES", "SAMPLINGS", "Format", "Planes", "from_rgb", "sampling_of", "to_rgb"]

Planes = tuple[NDArray[np.uint8], ...]

SAMPLINGS = ("400", "420", "444")
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # shares of red and blue (ITU-R BT.601, BT.709)


@dataclass(frozen=True)
class Format:
    """What all frames of a video have in common.

    Attributes
    ----------
    width, height : int
        In pixels.
    sampling : {"400", "420", "444"}
        Resolution of chroma.
    rate : Fraction
        Frames a second; for a variable rate, the mean.
    tick : Fraction
        Seconds: the unit of timestamps. A video of constant rate has 1 / rate, and frame i the timestamp i.
    full_range : bool
        Whether samples use all of 0 to 255.
    matrix : {"bt601", "bt709"}
        How luma and chroma are made of RGB.
    """

    width: int
    height: int
    sampling: str
    rate: Fraction
    tick: Fraction
    full_range: bool = False
    matrix: str = "bt601"

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of each plane."""
        luma = self.height, self.width
        if self.sampling == "400":
            return [luma]
        chroma = luma if self.sampling == "444" else (-(-self.height // 2), -(-self.width // 2))
        return [luma, chroma, chroma]


def sampling_of(planes: Planes) -> str:
    """Return the sampling of a frame's planes, or raise UnsupportedError if they are not a frame."""
    shapes = [plane.shape for plane in planes]
    if any(plane.ndim != 2 or plane.dtype != np.uint8 for plane in planes) or not shapes or 0 in shapes[0]:
        raise UnsupportedError("the planes of a frame are uint8 arrays (rows, columns), (Y,) or (Y, Cb, Cr)")
    height, width = shapes[0]
    for sampling in SAMPLINGS:
        if shapes == Format(width, height, sampling, Fraction(1), Fraction(1)).shapes:
            return sampling
    raise UnsupportedError(f"planes of shapes {shapes} are neither gray nor 4:2:0 nor 4:4:4")


def from_rgb(
    rgb: NDArray[np.uint8], sampling: str = "420", *, full_range: bool = True, matrix: str = "bt601"
) -> Planes:
    """Convert a picture to the planes of a frame.

    Parameters
    ----------
    rgb : (H, W, 3) or (H, W) uint8 array
        Colour, or gray in full range.
    sampling : {"400", "420", "444"}
        "400" keeps luma alone. A gray picture has no chroma whatever is asked for.
    full_range, matrix
        As in `Format`.

    Returns
    -------
    tuple of uint8 arrays
        (Y,) or (Y, Cb, Cr).
    """
    scale, offset = (1.0, 0.0) if full_range else (219 / 255, 16.0)
    if rgb.ndim == 2:
        return (_to_bytes(rgb.astype(np.float32) * np.float32(scale) + np.float32(offset)),)
    share_of_red, share_of_blue = MATRICES[matrix]
    red, green, blue = (rgb[..., i].astype(np.float32) for i in range(3))
    y = np.float32(share_of_red) * red + np.float32(1 - share_of_red - share_of_blue) * green
    y += np.float32(share_of_blue) * blue
    planes = [y * np.float32(scale) + np.float32(offset)]
    if sampling != "400":
        reach = np.float32(1.0 if full_range else 224 / 255)
        cb = (blue - y) * (reach / np.float32(2 - 2 * share_of_blue)) + color.CENTRE
        cr = (red - y) * (reach / np.float32(2 - 2 * share_of_red)) + color.CENTRE
        planes += [_halve(cb), _halve(cr)] if sampling == "420" else [cb, cr]
    return tuple(_to_bytes(plane) for plane in planes)


def to_rgb(planes: Planes, *, full_range: bool = True, matrix: str = "bt601") -> NDArray[np.uint8]:
    """Convert the planes of a frame to a picture, the inverse of `from_rgb` up to rounding and sampling.

    Parameters
    ----------
    planes : (Y,) or (Y, Cb, Cr)
        uint8 arrays.
    full_range, matrix
        As in `Format`.

    Returns
    -------
    (H, W, 3) or (H, W) uint8 array
        Colour, or gray, in full range; values outside [0, 255] are clipped.
    """
    luma = planes[0]
    if len(planes) == 1 and full_range:
        return luma.copy()
    scale, offset = (1.0, 0.0) if full_range else (255 / 219, 16.0)
    y = (luma.astype(np.float32) - np.float32(offset)) * np.float32(scale)
    if len(planes) == 1:
        return _to_bytes(y)
    height, width = luma.shape
    share_of_red, share_of_blue = MATRICES[matrix]
    chroma = np.stack(planes[1:]).astype(np.int16) - np.int16(128)
    if chroma.shape[1:] != luma.shape:
        chroma = color.upsample(chroma)[:, :height, :width]  # 16 times the samples
        unit = np.float32(1 / 16)
    else:
        unit = np.float32(1)
    cb, cr = chroma.astype(np.float32) * (unit * np.float32(1.0 if full_range else 255 / 224))
    red = cr * np.float32(2 - 2 * share_of_red)
    blue = cb * np.float32(2 - 2 * share_of_blue)
    # Green is what keeps luma as it is: the shares of the three offsets add up to 0.
    green = (red * np.float32(share_of_red) + blue * np.float32(share_of_blue)) * np.float32(
        -1 / (1 - share_of_red - share_of_blue)
    )
    return _to_bytes(np.stack([y + red, y + green, y + blue], axis=-1))


def _halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average 2 x 2 samples: chroma sited in the middle of four of luma; the last row and column count twice."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    return (plane[::2, ::2] + plane[::2, 1::2] + plane[1::2, ::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _to_bytes(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8)
