"""The demo's second part: a clip, what it takes at several qualities, and one of its frames laid open."""

from __future__ import annotations

import io
import time
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec import metrics
from codec.clip_writer import write_clip
from codec.demo_clip import make_clip
from codec.files import atomic_write
from codec.frames import Format, Planes, from_rgb, to_rgb
from codec.group_decoder import Decoded
from codec.layout import Layout
from codec.motion import SIZE, show_residual
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA
from codec.video import encode_video
from codec.video_reader import FrameInfo, TracedFrame, open_video

if TYPE_CHECKING:  # slow to import, and `tcodec --help` has no use for it
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["show_clip"]

FORMAT = Format(width=256, height=160, sampling="420", rate=Fraction(25), tick=Fraction(1, 25))
FRAMES = 48
QUALITIES = (30, 60, 85)
SHOWN = 60  # the quality whose file is laid open

# How macroblocks are predicted: direction, or one of two more; tint, and words for it.
INHERITED, SKIPPED = 4, 5
MODES = {
    FORWARD: ("tab:orange", "from frame {before}"),
    BACKWARD: ("tab:blue", "from frame {after}"),
    BOTH: ("tab:green", "from both, the mean"),
    INTRA: ("tab:red", "from neither (intra)"),
    INHERITED: ("white", "as the neighbours are"),
    SKIPPED: ("gray", "so too, and no residual (skipped)"),
}
TINT = 0.4  # opacity
ARROWS = ("#8a3400", "#00407f")  # of vectors into each reference
SPLIT: dict[str, Any] = {"color": "black", "linestyle": "dotted", "linewidth": 1.2}
TYPES = {"I": "#5b2a86", "P": "#c2478b", "B": "#2a9d8f"}


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
        busiest = max((info for info in infos if info.type == "B"), key=lambda info: info.bytes).index
        (traced,) = video.trace(busiest, busiest + 1)
        _draw(traced, video.header.layout, infos, folder / "motion.png")


def _measure(clip: list[Planes], quality: float) -> Point:
    """Encode and decode the clip."""
    file = io.BytesIO()
    start = time.process_time()
    encode_video(zip(clip, range(len(clip)), strict=True), file, format=FORMAT, quality=quality)
    encoded = time.process_time()
    data = file.getvalue()
    with open_video(file) as video:
        decoded = [planes for planes, _ in video.planes()]
    done = time.process_time()
    psnrs = [metrics.psnr(planes[0], known[0]) for planes, known in zip(clip, decoded, strict=True)]
    return Point(quality, data, psnrs, len(clip) / (encoded - start), len(clip) / (done - encoded))


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
    """Draw how a B frame is predicted, and what all frames take."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(12.8, 9), layout="constrained")
    above, below = figure.subfigures(2, squeeze=False, height_ratios=(3.9, 1))[:, 0]
    panels = above.subplot_mosaic(
        [["motion", "decoded"], ["motion", "prediction"], ["motion", "residual"]], width_ratios=(3, 1)
    )
    _draw_motion(panels["motion"], traced, layout)
    _draw_picture(panels["decoded"], to_rgb(traced.planes, full_range=FORMAT.full_range, matrix=FORMAT.matrix))
    _draw_picture(panels["prediction"], traced.predicted[0])
    _draw_picture(panels["residual"], show_residual(2 * traced.residual[0]))
    panels["decoded"].set_title(f"frame {traced.index}, decoded", fontsize=10)
    panels["prediction"].set_title("its luma as predicted", fontsize=10)
    panels["residual"].set_title("the residual, doubled (gray is 0)", fontsize=10)
    _draw_sizes(below.subplots(), traced.index, infos)
    figure.savefig(path, dpi=90)


def _draw_picture(axes: Axes, picture: NDArray[np.uint8]) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()


def _draw_motion(axes: Axes, traced: TracedFrame, layout: Layout) -> None:
    """Draw a B frame, its macroblocks tinted by mode, and arrows to where they come from."""
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch, Rectangle  # noqa: PLC0415

    decoded = traced.decoded
    before, after = (traced.index - decoded.plan.index + reference for reference in decoded.plan.references)
    axes.set_title(f"frame {traced.index}: how its macroblocks are predicted from frames {before} and {after}")
    _draw_picture(axes, traced.planes[0] // 3 + 160)  # pale, so that colours stand out
    modes = _modes(traced, layout)
    for block, mode in enumerate(modes):
        y, x = SIZE * np.array(divmod(block, layout.columns)) - 0.5
        axes.add_patch(Rectangle((x, y), SIZE, SIZE, facecolor=MODES[mode][0], alpha=TINT, edgecolor="white"))
        if decoded.split[block]:
            axes.plot([x, x + SIZE], [y + SIZE / 2, y + SIZE / 2], **SPLIT)
            axes.plot([x + SIZE / 2, x + SIZE / 2], [y, y + SIZE], **SPLIT)
    for reference, colour in enumerate(ARROWS):
        x, y, right, down = _arrows(decoded, layout, reference)
        axes.quiver(x, y, right, down, color=colour, angles="xy", scale_units="xy", scale=1, width=0.0022)
    legend: list[Artist] = []
    for mode, (tint, text) in MODES.items():
        label = f"{text.format(before=before, after=after)}: {np.count_nonzero(modes == mode)}"
        legend.append(Patch(facecolor=tint, alpha=TINT, edgecolor="black", label=label))
    legend.append(Line2D([], [], **SPLIT, label=f"split, a vector for each quarter: {np.count_nonzero(decoded.split)}"))
    for number, colour in zip((before, after), ARROWS, strict=True):
        legend.append(Line2D([], [], color=colour, marker=(3, 0, -90), label=f"where it is in frame {number}"))
    axes.legend(handles=legend, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)


def _modes(traced: TracedFrame, layout: Layout) -> NDArray[np.uint8]:
    """Return the mode of each macroblock, a key of `MODES`."""
    decoded = traced.decoded
    empty = layout.pattern([flags[None] for flags in decoded.coded])[0] == 0
    inherited = np.where(empty, np.uint8(SKIPPED), np.uint8(INHERITED))
    return np.where(decoded.inherits, inherited, decoded.prediction.direction)


def _arrows(decoded: Decoded, layout: Layout, reference: int) -> NDArray[np.float64]:
    """Return the vectors into a reference, of blocks that use it and of the quarters of those that are split.

    Returns
    -------
    (4, N) float64 array
        x and y of the middle of each block, and how far to the right and down it has to be fetched from, in samples.
    """
    quarter = np.arange(4)
    used = (decoded.prediction.direction >> reference & 1 == 1)[:, None] & (decoded.split[:, None] | (quarter == 0))
    block, part = np.nonzero(used)
    middle = np.where(decoded.split[block], SIZE // 2 * np.array(np.divmod(part, 2)) + SIZE // 4, SIZE // 2) - 0.5
    y, x = SIZE * np.array(np.divmod(block, layout.columns)) + middle
    down, right = decoded.prediction.vectors[block, part, reference].T / 4
    return np.stack([x, y, right, down])


def _draw_sizes(axes: Axes, shown: int, infos: list[FrameInfo]) -> None:
    """Draw what each frame takes."""
    kbits = np.array([8 * info.bytes / 1000 for info in infos])
    types = np.array([info.type for info in infos])
    for kind, colour in TYPES.items():
        own = np.flatnonzero(types == kind)
        label = f"{own.size} {kind} frames, {kbits[own].sum() / kbits.sum():.0%} of the bits"
        axes.bar(own, kbits[own], color=colour, label=label)
    axes.text(shown, kbits[shown], f"frame {shown}\n↓", ha="center", va="bottom")
    axes.set(xlabel="frame", ylabel="kbit", xlim=(-0.8, len(infos) - 0.2))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
