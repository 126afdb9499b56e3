"""`tcodec demo`: the codec at work on a small photograph and a clip made of it, in numbers and pictures.

It needs no arguments, no network and no other files: the photograph ships with the package. The clip is shown by
`codec.commands.demo_video`.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

import codec
from codec import metrics
from codec.commands.demo_video import show_clip
from codec.files import atomic_write, write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["add"]

QUALITIES = (10, 30, 50, 75, 90)
SHOWN = 50  # the quality whose file is laid open: low enough for the stages to be seen
REPEATS = 3  # of a timing, the fastest of which counts: the demo is over in seconds

Result = TypeVar("Result")
Pixels = NDArray[np.uint8]


def add(subparsers: Any) -> None:
    """Add the subcommand to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="encode and decode a small photograph and a short clip, print tables, draw pictures",
        description=__doc__.split("\n\n")[0].split(": ", 1)[1],
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("tcodec-demo"), help="folder to write to (default: %(default)s)"
    )
    parser.set_defaults(run=run)


class Point(NamedTuple):
    """One file: its size, how good it is, and how fast it was made and read."""

    quality: float
    data: bytes
    pixels: Pixels
    psnr: float
    ssim: float
    encode_seconds: float
    decode_seconds: float

    @property
    def bpp(self) -> float:
        """Bits a pixel."""
        return 8 * len(self.data) / (self.pixels.shape[0] * self.pixels.shape[1])


def run(args: argparse.Namespace) -> int:
    """Run the demo; return the exit status."""
    photo = _photo()
    args.output.mkdir(parents=True, exist_ok=True)
    points = [_measure(photo, quality, codec.encode_image, codec.decode_image) for quality in QUALITIES]
    jpeg = {quality: _measure(photo, quality, _encode_jpeg, _decode_jpeg, repeats=1) for quality in range(5, 100)}
    rivals = [_at_psnr(list(jpeg.values()), point.psnr) for point in points]
    _print_table(photo, points, rivals)
    for point in points:
        name = f"coffee-q{point.quality:g}"
        atomic_write(args.output / f"{name}.tjpg", point.data, force=True)
        write_picture(args.output / f"{name}.png", point.pixels, force=True)
    _draw_curves(points, list(jpeg.values()), args.output / "rd.png")
    shown = next(point for point in points if point.quality == SHOWN)
    _draw_stages(photo, shown, args.output / "stages.png")
    show_clip(photo, args.output)
    print(f"\nWritten to {args.output.resolve()}: the .tjpg files, what they decode to (.png),")
    print("rd.png (rate-distortion curves), stages.png (inside one of the files), the clip at one quality (.tvid and")
    print(".mp4) and motion.png (inside one of its frames).")
    return 0


def _photo() -> Pixels:
    import imageio.v3 as iio  # noqa: PLC0415 - `tcodec --help` should not wait for it

    pixels: Pixels = iio.imread(resources.files("codec").joinpath("data/coffee.png").read_bytes(), extension=".png")
    return pixels


def _encode_jpeg(pixels: Pixels, quality: float) -> bytes:
    from PIL import Image  # noqa: PLC0415

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(quality), optimize=True, subsampling="4:2:0")
    return stream.getvalue()


def _decode_jpeg(data: bytes) -> Pixels:
    from PIL import Image  # noqa: PLC0415

    return np.asarray(Image.open(io.BytesIO(data)))


def _measure(
    photo: Pixels,
    quality: float,
    encode: Callable[[Pixels, float], bytes],
    decode: Callable[[bytes], Pixels],
    repeats: int = REPEATS,
) -> Point:
    """Encode and decode the photograph."""
    data, encode_seconds = _fastest(lambda: encode(photo, quality), repeats)
    pixels, decode_seconds = _fastest(lambda: decode(data), repeats)
    scores = metrics.psnr(photo, pixels), metrics.ssim(photo, pixels)
    return Point(quality, data, pixels, *scores, encode_seconds, decode_seconds)


def _fastest(action: Callable[[], Result], repeats: int) -> tuple[Result, float]:
    """Run an action several times; return its result and the CPU seconds of the fastest run."""
    fastest = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = action()
        fastest = min(fastest, time.process_time() - start)
    return result, fastest


def _at_psnr(points: list[Point], psnr: float) -> Point:
    """Return the smallest file that is at least as good, or the best there is."""
    good = [point for point in points if point.psnr >= psnr]
    return min(good, key=lambda point: len(point.data)) if good else max(points, key=lambda point: point.psnr)


def _print_table(photo: Pixels, points: list[Point], rivals: list[Point]) -> None:
    height, width, _ = photo.shape
    megabytes = photo.nbytes / 1e6
    print(f"coffee.png, {width} x {height} pixels, {photo.nbytes:,} bytes of RGB\n")
    print("                       tcodec                          |  JPEG (Pillow, optimised) at that PSNR")
    print("quality   bytes   bpp  PSNR dB   SSIM   MB/s in    out | quality   bytes   bpp   SSIM   tcodec's bytes")
    for point, rival in zip(points, rivals, strict=True):
        ours = (
            f"{point.quality:7g} {len(point.data):7,} {point.bpp:5.2f} {point.psnr:8.2f} {point.ssim:6.4f}"
            f" {megabytes / point.encode_seconds:9.1f} {megabytes / point.decode_seconds:6.1f}"
        )
        theirs = f"{rival.quality:7g} {len(rival.data):7,} {rival.bpp:5.2f} {rival.ssim:6.4f}"
        print(f"{ours} | {theirs} {len(point.data) / len(rival.data) - 1:+16.1%}")


def _draw_curves(points: list[Point], jpeg: list[Point], path: Path) -> None:
    """Draw PSNR and SSIM over the rate."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    top = 1.15 * max(point.bpp for point in points)
    for axes, measure, label in zip(figure.subplots(1, 2), ("psnr", "ssim"), ("PSNR (dB)", "SSIM"), strict=True):
        near = [point for point in jpeg if point.bpp <= top]
        axes.plot([p.bpp for p in near], [getattr(p, measure) for p in near], color="tab:gray", label="JPEG (Pillow)")
        axes.plot([p.bpp for p in points], [getattr(p, measure) for p in points], "o-", color="tab:red", label="tcodec")
        for point in points:
            axes.annotate(
                f"q{point.quality:g}", (point.bpp, getattr(point, measure)), (4, -12), textcoords="offset points"
            )
        axes.set(xlabel="bits a pixel", ylabel=label, xlim=(0, top))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.suptitle("coffee.png, 384 x 256")
    figure.savefig(path, dpi=120)


def _draw_stages(photo: Pixels, point: Point, path: Path) -> None:
    """Draw what lies between the pixels and the bytes of one file."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    trace = codec.trace_image(point.data)
    luma = trace.planes["Y"]
    error = np.abs(photo.astype(int) - trace.pixels).mean(axis=-1)
    corner = luma.levels[14:26, 24:42]  # the spoon: 12 x 18 cells
    mosaic = np.log2(1 + np.abs(corner)).swapaxes(1, 2).reshape(8 * corner.shape[0], -1)
    mosaic[::8, ::8] = 0  # DC, which would outshine the rest
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    grid = figure.subplots(2, 3)
    pictures = (
        ("original", photo, None),
        (f"decoded: {point.bpp:.2f} bits a pixel, {point.psnr:.1f} dB; blocks of luma", trace.pixels, None),
        ("where the bits went: bits of each 8 x 8 pixels of luma", luma.bits, "inferno"),
        (f"error (mean {error.mean():.1f} levels)", error, "magma"),
        ("levels of the spoon's 12 x 18 cells but DC: log2(1 + |level|)", mosaic, "viridis"),
    )
    for axes, (title, picture, colours) in zip(grid.flat, pictures, strict=False):
        shown = axes.imshow(picture, cmap=colours, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
        if picture is trace.pixels:
            _draw_blocks(axes, luma.sizes)
        if colours:
            figure.colorbar(shown, ax=axes, shrink=0.8)
    kinds = trace.ledger.by(1).most_common()
    largest = [*kinds[:6], ("all else", sum(bits for _, bits in kinds[6:]))]
    bars = grid[1, 2]
    bars.barh([kind for kind, _ in reversed(largest)], [bits / 8 for _, bits in reversed(largest)], color="tab:red")
    bars.set_title(f"where the {len(point.data):,} bytes went", fontsize=10)
    figure.savefig(path, dpi=100)


def _draw_blocks(axes: Axes, sizes: NDArray[np.uint8]) -> None:
    """Draw the edges of blocks larger than 8 x 8: sizes of the blocks that cells are in, (rows, columns)."""
    from matplotlib.collections import PatchCollection  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    squares = []
    for size in (16, 32):
        for row, column in zip(*np.nonzero(sizes[:: size // 8, :: size // 8] == size), strict=True):
            squares.append(Rectangle((size * column - 0.5, size * row - 0.5), size, size))
    axes.add_collection(PatchCollection(squares, facecolor="none", edgecolor="white", linewidth=0.4, alpha=0.7))
