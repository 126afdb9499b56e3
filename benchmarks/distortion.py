"""Measures of quality by name, as the command line and the reports know them, for pictures and for clips.

    psnr-rgb    dB, over all samples of R, G and B, or of gray
    psnr-y      dB, of luma
    psnr-yuv    dB, clips only: (6 Y + U + V) / 8, that of Y if there is no chroma
    ssim, ms-ssim   similarity of luma, up to 1

Of a clip, each is the mean over its frames, in the samples of its planes. No error at all counts as 100 dB, as x264
counts it: infinity has no mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from benchmarks.sources import CLIPS, PICTURES, Footage, Kind, Pixels
from codec import color, metrics
from codec.frames import Format, Planes, to_rgb

__all__ = ["DEFAULTS", "IDENTICAL", "SIMILARITIES", "for_curves", "measure", "measures"]

IDENTICAL = 100.0  # dB
SIMILARITIES = ("ssim", "ms-ssim")

OfPictures = Callable[[Pixels, Pixels], float]
OfFrames = Callable[[Planes, Planes, Format], float]

DEFAULTS: Mapping[Kind, tuple[str, ...]] = {
    PICTURES: ("psnr-rgb", "psnr-y", "ssim", "ms-ssim"),
    CLIPS: ("psnr-y", "psnr-yuv", "ms-ssim"),
}


def _psnr(a: Pixels, b: Pixels) -> float:
    return min(metrics.psnr(a, b), IDENTICAL)


def _psnr_yuv(a: Planes, b: Planes, _: Format) -> float:
    y, *chroma = (_psnr(one, other) for one, other in zip(a, b, strict=True))
    return (6 * y + sum(chroma)) / (6 + len(chroma))


def _psnr_rgb(a: Planes, b: Planes, format: Format) -> float:
    return _psnr(*(to_rgb(planes, full_range=format.full_range, matrix=format.matrix) for planes in (a, b)))


OF_PICTURES: Mapping[str, OfPictures] = {
    "psnr-rgb": _psnr,
    "psnr-y": lambda a, b: min(metrics.psnr_y(a, b), IDENTICAL),
    "ssim": metrics.ssim,
    "ms-ssim": metrics.ms_ssim,
}
OF_FRAMES: Mapping[str, OfFrames] = {
    "psnr-rgb": _psnr_rgb,
    "psnr-y": lambda a, b, _: _psnr(a[0], b[0]),
    "psnr-yuv": _psnr_yuv,
    "ssim": lambda a, b, _: metrics.ssim(a[0], b[0]),
    "ms-ssim": lambda a, b, _: metrics.ms_ssim(a[0], b[0]),
}


def measures(kind: Kind) -> list[str]:
    """Return the names of all measures of a kind of source."""
    return list(OF_FRAMES if kind == CLIPS else OF_PICTURES)


def measure(content: Pixels | Footage, decoded: Pixels | Sequence[Planes], names: Sequence[str]) -> dict[str, float]:
    """Measure what a codec made of a picture or clip.

    Parameters
    ----------
    content : (H, W) or (H, W, 3) uint8 array, or Footage
        What it was given.
    decoded : array, or sequence of Planes
        What came back. RGB and planes of chroma are accepted for what was gray: not all codecs know gray.
    names : sequence of str
        Names of measures.

    Raises
    ------
    ValueError
        If another size came back, or another number of frames.
    """
    if isinstance(content, Footage):
        frames, format = content.frames, content.format
        if len(frames) != len(decoded):
            raise ValueError(f"{len(frames)} frames were encoded and {len(decoded)} decoded")
        pairs = [(planes, tuple(other[: len(planes)])) for planes, other in zip(frames, decoded, strict=True)]
        return {name: mean(OF_FRAMES[name](*pair, format) for pair in pairs) for name in names}
    picture: Pixels = decoded  # type: ignore[assignment]  # a picture was given
    if picture.ndim == 3 and content.ndim == 2:
        picture = color.rgb_to_gray(picture)
    return {name: OF_PICTURES[name](content, picture) for name in names}


def for_curves(name: str, value: float) -> float:
    """Return a measured value on the scale on which curves are compared and drawn: similarities in dB."""
    return min(metrics.decibel(value), IDENTICAL) if name in SIMILARITIES else value
