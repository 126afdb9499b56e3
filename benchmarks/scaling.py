"""How time and memory grow with the size of a picture, and with the length of a clip.

Pictures are tiled from photographs, clips are played forth and back. Each size has two fresh processes, one that
encodes and one that decodes; what they do first is a small warm-up, so that loading and caching are not timed. A
decoder keeps no frame that is done with; an encoder is given the clip in memory, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.cells import cpu_seconds
from benchmarks.codecs import AnyCodec
from benchmarks.memory import in_fresh_process
from benchmarks.plots import styles
from benchmarks.sources import Footage, Pixels, Source, lengthen

__all__ = ["Measured", "draw", "measure", "mosaic", "table"]

SHAPE = 2 / 3  # height of a picture to its width
SMALL = 128  # pixels: side of the picture that a process codes first


class Measured(NamedTuple):
    """One codec at one size.

    Attributes
    ----------
    codec : str
    size : float
        Megapixels of a picture, or frames of a clip.
    bytes : int
    encode, decode : float
        Seconds of CPU time.
    encode_memory, decode_memory : float
        Peaks in MB.
    """

    codec: str
    size: float
    bytes: int
    encode: float
    decode: float
    encode_memory: float
    decode_memory: float


def mosaic(photos: Sequence[Pixels], width: int, height: int) -> Pixels:
    """Tile a picture with photos.

    Each photo is cut to the smallest of them and used as it is, then mirrored from left to right, from top to bottom,
    and both: no tile repeats before 4 times as many tiles as there are photos.

    Returns
    -------
    (height, width, ...) uint8 array
    """
    rows, columns = (min(photo.shape[axis] for photo in photos) for axis in (0, 1))
    tiles = [photo[:rows, :columns][::down, ::right] for down in (1, -1) for right in (1, -1) for photo in photos]
    picture = np.empty((height, width, *photos[0].shape[2:]), np.uint8)
    corners = [(top, left) for top in range(0, height, rows) for left in range(0, width, columns)]
    for number, (top, left) in enumerate(corners):
        place = picture[top : top + rows, left : left + columns]
        place[...] = tiles[number % len(tiles)][: place.shape[0], : place.shape[1]]
    return picture


def make(sources: Sequence[Source], size: float) -> Any:
    """Return a picture of so many megapixels made of pictures, or so many frames of the first clip."""
    first = sources[0].load()
    if isinstance(first, Footage):
        return lengthen(first, round(size))
    width = round((size * 1e6 / SHAPE) ** 0.5)
    photos = [source.load() for source in sources]
    return mosaic([photo for photo in photos if photo.ndim == first.ndim], width, round(width * SHAPE))


def encode(codec: AnyCodec, quality: float, sources: Sequence[Source], size: float, file: Path) -> tuple[int, float]:
    """Encode a picture or clip of a size to a file; return bytes and CPU time."""
    content = make(sources, size)
    with threadpool_limits(1):
        codec.play(codec.encode(_small(content), quality))
        data, seconds = cpu_seconds(codec.encode, content, quality)
    file.write_bytes(data)
    return len(data), seconds


def decode(codec: AnyCodec, quality: float, small: Any, file: Path) -> float:
    """Decode a file, after a small picture or clip; return CPU time."""
    data = file.read_bytes()
    with threadpool_limits(1):
        codec.play(codec.encode(small, quality))
        return cpu_seconds(codec.play, data)[1]


def _small(content: Any) -> Any:
    return lengthen(content, 2) if isinstance(content, Footage) else content[:SMALL, :SMALL]


def measure(sources: Sequence[Source], codec: AnyCodec, quality: float, size: float) -> Measured:
    """Measure a codec at a size: megapixels of a picture, or frames of a clip."""
    small = _small(sources[0].load())
    with TemporaryDirectory() as folder:
        file = Path(folder, "file")
        (written, encoding), encoding_peak = in_fresh_process(encode, codec, quality, sources, size, file)
        decoding, decoding_peak = in_fresh_process(decode, codec, quality, small, file)
    return Measured(codec.name, size, written, encoding, decoding, encoding_peak, decoding_peak)


def table(measured: Sequence[Measured], unit: str) -> str:
    """Return a table with a row for each codec and size."""
    rows = [
        [
            each.codec,
            f"{each.size:g}",
            f"{each.encode:.3f}",
            f"{each.decode:.3f}",
            f"{each.encode_memory:.0f}",
            f"{each.decode_memory:.0f}",
        ]
        for each in measured
    ]
    return harness.table(["codec", unit, "encode, s", "decode, s", "encode, MB", "decode, MB"], rows)


def draw(groups: Mapping[str, Sequence[Measured]]) -> bytes:
    """Draw time and memory over size, a row of panels for each unit of size; return a PNG file.

    A codec has a colour, the same in all panels; encoding is a line with dots, decoding a dashed one with squares.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to load

    figure = Figure(figsize=(12, 4 * len(groups)), layout="constrained")
    rows = figure.subplots(len(groups), 2, squeeze=False)
    for (unit, measured), (times, peaks) in zip(groups.items(), rows, strict=True):
        looks = styles(dict.fromkeys(each.codec for each in measured))
        for name, style in looks.items():
            own = [each for each in measured if each.codec == name]
            sizes = [each.size for each in own]
            for way, line in (("encode", "o-"), ("decode", "s--")):
                label = f"{name}, {way}"
                drawn: dict[str, Any] = {"color": style.colour, "linewidth": 2.2 if style.ours else 1.2}
                times.plot(sizes, [getattr(each, way) for each in own], line, label=label, **drawn)
                peaks.plot(sizes, [getattr(each, f"{way}_memory") for each in own], line, **drawn)
        times.set(xlabel=unit, ylabel="seconds of CPU time", xscale="log", yscale="log")
        peaks.set(xlabel=unit, ylabel="peak memory, MB", xscale="log", ylim=(0, None))
        for axes in (times, peaks):
            axes.grid(alpha=0.3)
            axes.xaxis.set_major_formatter("{x:g}")
        peaks.legend(*times.get_legend_handles_labels(), fontsize="small", loc="upper left", bbox_to_anchor=(1.02, 1))
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
