"""The demo's second part: a clip, what it takes at several qualities, and one of its frames laid open."""

from __future__ import annotations

import io
import time
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec import metrics
from codec.clip_writer import write_clip
from codec.demo_clip import make_clip
from codec.files import atomic_write
from codec.frames import Format, Planes, from_rgb
from codec.motion import SIZE, show_residual
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA
from codec.layout import Layout
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA
from codec.video import encode_video
from codec.video_reader import FrameInfo, TracedFrame, open_video

if TYPE_CHECKING:  # slow to import, and `tcodec --help` has no use for it
    from matplotlib.axes import Axes

__all__ = ["show_clip"]

FORMAT = Format(width=256, height=160, sampling="420", rate=Fraction(25), tick=Fraction(1, 25))
FRAMES = 48
QUALITIES = (20, 40, 60, 80)
SHOWN = 40  # the quality whose file is laid open
SHOWN_FRAME = 20  # a B frame in the middle between two others, with the disc before the cup

# How a macroblock is predicted: its tint and what it is called.
SKIPPED, INHERITED = 4, 5  # further than the directions
MODES = {
    SKIPPED: ("none", "skipped: nothing is sent"),
    INHERITED: ("white", "motion as of its neighbours"),
    FORWARD: ("tab:orange", "from the frame before"),
    BACKWARD: ("tab:blue", "from the frame after"),
    BOTH: ("tab:green", "the mean of both"),
    INTRA: ("tab:red", "not predicted"),
}
ARROWS = ("#ffb000", "#40b0ff")  # towards the frame before, and the frame after
TYPES = {"I": "tab:red", "P": "tab:orange", "B": "tab:blue"}


class Point(NamedTuple):
    """One file: what it takes, how good it is, and how fast it was made and read."""

    quality: float
    data: bytes
    psnrs: list[float]  # of the luma of each frame
    encode_fps: float
    decode_fps: float


def show_clip(photo: NDArray[np.uint8], folder: Path) -> None:
    """Make a clip of a photograph, encode and decode it, print tables, and write files and a picture to a folder."""
    clip = [
        from_rgb(frame, FORMAT.sampling, full_range=FORMAT.full_range)
        for frame in make_clip(photo, FRAMES, FORMAT.height, FORMAT.width)
    ]
    points = [_measure(clip, quality) for quality in QUALITIES]
    _print_points(points)
    shown = next(point for point in points if point.quality == SHOWN)
    atomic_write(folder / "clip.tvid", shown.data, force=True)
    with open_video(io.BytesIO(shown.data)) as video:
        infos = list(video.info())
        _print_types(shown, infos)
        write_clip(folder / "clip.mp4", video.format, video.planes(), force=True)
        (traced,) = video.trace(SHOWN_FRAME, SHOWN_FRAME + 1)
        _draw(traced, video.header.layout, infos, folder / "motion.png")


def _measure(clip: list[Planes], quality: float) -> Point:
    """Encode and decode the clip."""
    file = io.BytesIO()
    start = time.process_time()
    encode_video(zip(clip, range(len(clip)), strict=True), file, format=FORMAT, quality=quality)
    encoded = time.process_time()
    with open_video(file) as video:
        decoded = [planes for planes, _ in video.planes()]
    done = time.process_time()
    psnrs = [metrics.psnr(planes[0], known[0]) for planes, known in zip(clip, decoded, strict=True)]
    return Point(quality, file.getvalue(), psnrs, len(clip) / (encoded - start), len(clip) / (done - encoded))


def _print_points(points: list[Point]) -> None:
    frames = len(points[0].psnrs)
    print(f"\nA clip made of it: {frames} frames of {FORMAT.width} x {FORMAT.height} pixels, {FORMAT.rate} a second\n")
    print("quality   bytes   kbit/s  bits a pixel  Y-PSNR dB  fps in  fps out")
    for point in points:
        bits = 8 * len(point.data)
        print(
            f"{point.quality:7g} {len(point.data):7,} {float(bits * FORMAT.rate / frames) / 1000:8.1f}"
            f" {bits / (frames * FORMAT.width * FORMAT.height):13.3f} {fmean(point.psnrs):10.2f}"
            f" {point.encode_fps:7.1f} {point.decode_fps:8.1f}"
        )


def _print_types(point: Point, infos: list[FrameInfo]) -> None:
    print(f"\nIts frames at quality {point.quality:g}\n")
    print("type  frames  mean bytes   share  Y-PSNR dB")
    for kind in TYPES:
        own = [info for info in infos if info.type == kind]
        size = sum(info.bytes for info in own)
        psnr = fmean(point.psnrs[info.index] for info in own)
        print(f"{kind:>4} {len(own):7} {size / len(own):11,.0f} {size / len(point.data):7.1%} {psnr:10.2f}")


def _draw(traced: TracedFrame, layout: Layout, infos: list[FrameInfo], path: Path) -> None:
    """Draw how a frame is predicted, and what all frames take."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(12.5, 8.6), layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=(1, 1, 0.62))
    before, after = traced.decoded.plan.references[0], traced.decoded.plan.references[-1]
    first = traced.index - traced.decoded.plan.index  # of the group
    _draw_motion(figure.add_subplot(grid[:2, :2]), traced, layout)
    _draw_plane(figure.add_subplot(grid[0, 2]), traced.predicted[0], f"predicted from frames {first + before} and {first + after}")
    _draw_plane(figure.add_subplot(grid[1, 2]), show_residual(traced.residual[0]), "residual: what is left to be sent")
    _draw_sizes(figure.add_subplot(grid[2, :]), traced.index, infos)
    figure.savefig(path, dpi=100)


def _draw_plane(axes: Axes, plane: NDArray[np.uint8], title: str) -> None:
    axes.imshow(plane, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


def _modes(traced: TracedFrame, layout: Layout) -> NDArray[np.uint8]:
    """Return what each macroblock's mode is: (rows, columns), keys of `MODES`."""
    decoded = traced.decoded
    modes = np.where(decoded.inherits, np.uint8(INHERITED), decoded.prediction.direction)
    empty = layout.pattern([flags[None] for flags in decoded.coded])[0] == 0
    modes[decoded.inherits & empty] = SKIPPED
    return modes.reshape(layout.rows, layout.columns)


def _draw_motion(axes: Axes, traced: TracedFrame, layout: Layout) -> None:
    """Draw a frame, its macroblocks tinted by mode, and an arrow to where each has come from."""
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch, Rectangle  # noqa: PLC0415

    _draw_plane(axes, traced.planes[0], f"frame {traced.index}: macroblocks and motion")
    for (row, column), mode in np.ndenumerate(_modes(traced, layout)):
        tint, _ = MODES[mode]
        corner = column * SIZE - 0.5, row * SIZE - 0.5
        axes.add_patch(Rectangle(corner, SIZE, SIZE, facecolor=tint, alpha=0.4, linewidth=0))
    figure_legend = [Patch(facecolor=tint, alpha=0.4, edgecolor="gray", label=name) for tint, name in MODES.values()]
    axes.legend(handles=figure_legend, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3)
