"""Pictures to look at side by side: what each codec makes of a source at the same number of bits a pixel.

The rate is one that all codecs reach, a third of the way, in octaves, from the lowest that they have in common to the
highest: low enough for differences to be seen. What is shown is the middle of the picture, or of the middle frame.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.cells import Row, Setting, bits_a_pixel, key_of
from benchmarks.codecs import fingerprint
from benchmarks.curves import Comparison
from benchmarks.distortion import measure
from benchmarks.matching import match_rate
from benchmarks.sources import Footage, Pixels, Source
from codec.frames import to_rgb

__all__ = ["Crop", "common_rate", "crops_of", "original"]

SIDE = 160  # pixels, at most


class Crop(NamedTuple):
    """What a codec makes of a source at some bits a pixel.

    Attributes
    ----------
    source : Source
    setting : Setting
        The codec.
    bpp : float
        What is wanted.
    known : tuple of (quality, bpp)
        Points of the codec's curve.
    measure : str
        What the caption tells.
    """

    source: Source
    setting: Setting
    bpp: float
    known: tuple[tuple[float, float], ...]
    measure: str

    @property
    def key(self) -> str:
        """A hash of all that the outcome depends on."""
        code = fingerprint(__name__, "benchmarks.matching")
        return key_of(self.source, self.setting, self.bpp, self.known, self.measure, code)

    def suffices(self, row: Row) -> bool:
        """Tell that a row that was made before has all that is wanted."""
        return bool(row)

    @property
    def place(self) -> str:
        """What it is."""
        return f"{self.source.name}, {self.setting.codec.name}, to look at"

    def run(self) -> Row:
        """Find the quality, encode and decode; return "bpp", "caption" and "picture", a data URL."""
        self.setting.check()
        codec, content = self.setting.codec, self.source.load()
        with threadpool_limits(1):
            _, [data] = match_rate(codec, [content], self.bpp, dict(self.known))
            decoded = codec.decode(data)
        measured = measure(content, decoded, [self.measure])[self.measure]
        return {
            "bpp": bits_a_pixel([data], [content]),
            "caption": f"{self.measure} {measured:.4g}",
            "picture": _data_url(_middle(content, decoded)),
        }


def common_rate(comparison: Comparison, source: str) -> float | None:
    """Return the bits a pixel at which codecs are looked at side by side; None if there is no curve.

    Where the curves of all codecs have no rate in common, a third of the way through the first codec's own.
    """
    curves = [[row["bpp"] for row in comparison.curve(source, codec)] for codec in comparison.codecs]
    curves = [curve for curve in curves if curve]
    if not curves:
        return None
    low, high = max(map(min, curves)), min(map(max, curves))
    if low >= high:
        low, high = min(curves[0]), max(curves[0])
    return float(f"{low ** (2 / 3) * high ** (1 / 3):.2g}")


def crops_of(comparison: Comparison, sources: Sequence[Source], settings: Sequence[Setting]) -> list[Crop]:
    """Return what is to be made of some sources: a crop for each codec whose curve reaches the rate."""
    crops: list[Crop] = []
    for source in sources:
        rate = common_rate(comparison, source.name)
        if rate is None:
            continue
        for setting in settings:
            curve = comparison.curve(source.name, setting.codec.name)
            known = tuple((row["quality"], row["bpp"]) for row in curve)
            if known and min(bpp for _, bpp in known) <= rate <= max(bpp for _, bpp in known):
                crops.append(Crop(source, setting, rate, known, comparison.measures[0]))
    return crops


def original(source: Source) -> dict[str, Any]:
    """Return the middle of a source as it is: "original", a data URL, and its "width" and "height"."""
    content = source.load()
    middle = _middle(content, content.frames if isinstance(content, Footage) else content)
    return {"original": _data_url(middle), "width": middle.shape[1], "height": middle.shape[0]}


def _middle(content: Pixels | Footage, decoded: Any) -> Pixels:
    """Return the middle of a decoded picture, or of the middle frame of a clip."""
    if isinstance(content, Footage):
        format, planes = content.format, decoded[len(decoded) // 2]
        decoded = to_rgb(planes, full_range=format.full_range, matrix=format.matrix)
    height, width = decoded.shape[:2]
    top, left = max(0, height - SIDE) // 2, max(0, width - SIDE) // 2
    crop: Pixels = decoded[top : top + SIDE, left : left + SIDE]
    return crop


def _data_url(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
