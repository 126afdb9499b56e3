"""What `tcodec mask` does: hide tokens of a picture, fill them in by each method, and show what came of it.

Luma is filled by the Laplace fill and then by the masked autoencoder (`transformers_np.inpainting`), colours by the
Laplace fill alone: they are smooth, and the network has learned from luma. So PSNR is that of luma, on hidden pixels,
for each method alike.
"""

from __future__ import annotations

import math
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bitstreams.errors import UnsupportedError
from codec import blocks, color
from codec.files import atomic_write, picture_bytes
from transformers_np.fills import bilinear_fill, laplace_fill, mean_fill, nearest_fill
from transformers_np.inpainting import SIDE, Inpainter, Parameters, attention_around, refine
from transformers_np.inpainting_training import hidden_pixels, load_inpainter, masked_psnr
from transformers_np.masking import PATTERNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["WRITTEN", "Masked", "fill_in", "from_planes", "mask_picture", "report", "to_planes"]

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

GRAY = 128  # where nothing is to be seen
CHANGE, ERROR = 64, 128  # levels at the ends of the scales on the sheet
SHEET, HEADING, TITLE = 13.2, 0.4, 0.45  # inches: how wide it is, room for its heading, and for a title of two lines
ERROR_GAIN = 4  # by which differences are made visible
WRITTEN = ("original.png", "visible.png", "reconstruction.png", "error.png", "attention.png", "sheet.png")


class Masked(NamedTuple):
    """A picture, what was hidden of it, and what was made of that.

    Attributes
    ----------
    original, found : (H, W) or (H, W, 3) uint8 array
    hidden : (h, w) bool array
        Of tokens; the last ones may reach beyond the picture.
    pixels : (H, W) bool array
    filled, refined : (8 h, 8 w) float32 array
        Luma by the Laplace fill and by the network, from 0 to 255.
    psnr : dict of str to float
        Of luma on hidden pixels, by method.
    """

    original: Pixels
    found: Pixels
    hidden: NDArray[np.bool_]
    pixels: NDArray[np.bool_]
    filled: Plane
    refined: Plane
    psnr: dict[str, float]


def to_planes(picture: Pixels) -> list[Plane]:
    """Return luma from 0 to 255, and chroma if there is any: (H, W) or (H, W, 3) uint8 to (H, W) float32 each."""
    if picture.ndim == 2:
        return [picture.astype(np.float32)]
    y, *chroma = color.luma_chroma(picture)
    return [y + np.float32(color.CENTRE), *chroma]


def from_planes(planes: list[Plane]) -> Pixels:
    """Undo `to_planes`; planes that were rounded nowhere come back exactly."""
    y, *chroma = planes
    return color.ycbcr_to_rgb(y - np.float32(color.CENTRE), *chroma) if chroma else y.round().astype(np.uint8)


def fill_in(planes: list[Plane], hidden: NDArray[np.bool_], model: Inpainter, parameters: Parameters) -> list[Plane]:
    """Fill in what is hidden.

    Parameters
    ----------
    planes : list of (8 h, 8 w) float32 arrays
        Luma from 0 to 255, and chroma if there is any; what is hidden has no influence.
    hidden : (h, w) bool array
        Of tokens.
    model, parameters
        As `load_inpainter` returns them.

    Returns
    -------
    list of (8 h, 8 w) float32 arrays
        Luma by the network, then all planes by the Laplace fill.
    """
    filled = laplace_fill(np.stack(planes), hidden_pixels(hidden))
    refined = refine(model, parameters, filled[0], hidden).clip(0, 255)
    return [refined, *filled]


def mask_picture(
    pixels: Pixels, ratio: float, pattern: str, seed: int, model: Inpainter, parameters: Parameters
) -> Masked:
    """Hide tokens of a picture, and fill them in by all methods.

    Parameters
    ----------
    pixels : (H, W), (H, W, 1) or (H, W, 3) uint8 array
        Of more than one token of 8 x 8.
    ratio : float
        Share of tokens that is hidden, above 0 and below 1.
    pattern : str
        One of `transformers_np.masking.PATTERNS`.
    seed : int
        Of the mask.
    model, parameters
        As `load_inpainter` returns them.

    Raises
    ------
    UnsupportedError
        If the picture has only one token.
    """
    original = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    height, width = original.shape[:2]
    padded = blocks.pad(original, SIDE)
    rows, columns = padded.shape[0] // SIDE, padded.shape[1] // SIDE
    if rows * columns < 2:
        raise UnsupportedError(f"{width} x {height} pixels are one token, which cannot be hidden and seen")
    planes = to_planes(padded)
    hidden = PATTERNS[pattern](np.random.default_rng(seed), rows, columns, ratio)
    inside = hidden_pixels(hidden)
    refined, filled, *chroma = fill_in(planes, hidden, model, parameters)
    found = from_planes([refined, *chroma])
    visible = np.s_[:height, :width]
    methods = {
        "mae": refined,
        "laplace": filled,
        "bilinear": bilinear_fill(planes[0], inside),
        "nearest": nearest_fill(planes[0], inside),
        "mean": mean_fill(planes[0], inside),
    }
    psnr = {name: masked_psnr(planes[0][visible], plane[visible], inside[visible]) for name, plane in methods.items()}
    return Masked(original, found[visible], hidden, inside[visible], filled, refined, psnr)


def report(
    pixels: Pixels, ratio: float, pattern: str, seed: int, folder: Path, *, force: bool = False
) -> dict[str, Any]:
    """Hide and fill in; write pictures, and return what `--json` prints: no PSNR where there is no error at all.

    `WRITTEN` are `original.png`, `visible.png`, `reconstruction.png`, `error.png` (differences of luma, four times as
    large as they are), `attention.png` and `sheet.png`, which has all of them and the Laplace fill beside each other.
    With `force` they may overwrite files.
    """
    start = time.perf_counter()
    model, parameters, _ = load_inpainter()
    with threadpool_limits(1):  # or sums would depend on the number of processors
        masked = mask_picture(pixels, ratio, pattern, seed, model, parameters)
    visible = masked.original.copy()
    visible[masked.pixels] = GRAY
    error = to_planes(masked.original)[0] - to_planes(masked.found)[0]
    amplified = np.rint(np.minimum(ERROR_GAIN * np.abs(error), 255)).astype(np.uint8)
    figures = _draw_attention(masked, model, parameters), _draw_sheet(masked, visible, error, ratio)
    pictures = (masked.original, visible, masked.found, amplified)
    contents = [*(picture_bytes(".png", picture) for picture in pictures), *map(_png, figures)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(WRITTEN, contents, strict=True):
        atomic_write(folder / name, content, force=force)
    seconds = time.perf_counter() - start
    psnr = {name: value if math.isfinite(value) else None for name, value in masked.psnr.items()}
    return {"ratio": ratio, "seed": seed, "psnr_masked": psnr, "seconds": seconds}


def _png(figure: Figure) -> bytes:
    """Return a drawing as a file."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _draw_sheet(masked: Masked, visible: Pixels, error: Plane, ratio: float) -> Figure:
    """Draw all pictures beside each other, or one below the other if they are wide."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    height, width = error.shape
    shape = height / width
    columns = 1 if shape < 0.15 else 2 if shape < 0.4 else 3 if shape < 1.8 else 6
    rows = 6 // columns
    panel = min(max(SHEET / columns * shape, 0.3), 9)
    # All is laid out in inches: a layout engine would take as long as all else.
    tall = rows * (panel + TITLE) + HEADING
    figure = Figure(figsize=(SHEET, tall))
    figure.subplots_adjust(0.005, 0.01, 0.995, 1 - (HEADING + TITLE) / tall, wspace=0.02, hspace=TITLE / panel)
    grid = figure.subplots(rows, columns, squeeze=False)
    filled = masked.filled[:height, :width]
    change = masked.refined[:height, :width] - filled
    psnr = {name: f"{value:.2f} dB" if math.isfinite(value) else "no error" for name, value in masked.psnr.items()}
    mean_change, mean_error = (np.abs(levels)[masked.pixels].mean() for levels in (change, error))
    panels = [
        ("original", masked.original, "gray", (0, 255)),
        (f"visible\n{100 * (1 - ratio):.3g} % of the tokens", visible, "gray", (0, 255)),
        (f"masked autoencoder\n{psnr['mae']}", masked.found, "gray", (0, 255)),
        (f"Laplace fill, luma\n{psnr['laplace']}", filled, "gray", (0, 255)),
        (
            f"what the network changed: {mean_change:.1f} levels\nblue {-CHANGE}, white 0, red +{CHANGE}",
            change,
            "RdBu_r",
            (-CHANGE, CHANGE),
        ),
        (f"error: {mean_error:.1f} levels\nblack 0, pale {ERROR} and more", np.abs(error), "magma", (0, ERROR)),
    ]
    for axes, (title, picture, colours, limits) in zip(grid.flat, panels, strict=True):
        axes.imshow(picture, cmap=colours, vmin=limits[0], vmax=limits[1])
        _finish(axes, title, 10 if columns < 6 else 8)
    others = ", ".join(f"{name} {psnr[name]}" for name in ("bilinear", "nearest", "mean"))
    figure.suptitle(f"PSNR of luma on hidden pixels; others: {others}", fontsize=11)
    return figure


def _finish(axes: Axes, title: str, size: int) -> None:
    """Write a title, and draw no axes; matplotlib need not look for ticks that the title might hit."""
    axes.set_title(title, fontsize=size, y=1.0)
    axes.set(xticks=[], yticks=[])
    axes.set_axis_off()


def _draw_attention(masked: Masked, model: Inpainter, parameters: Parameters) -> Figure:
    """Draw where the decoder looks from the hidden tokens that the network changed most, one a quarter."""
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    rows, columns = masked.hidden.shape
    change = np.square(blocks.split(masked.refined - masked.filled, SIDE)).sum(axis=(2, 3, 4, 5))
    change[~masked.hidden] = -1
    places = []
    for down in (slice(0, rows // 2), slice(rows // 2, rows)):
        for across in (slice(0, columns // 2), slice(columns // 2, columns)):
            quarter = change[down, across]
            if quarter.size and quarter.max() >= 0:
                row, column = np.unravel_index(quarter.argmax(), quarter.shape)
                places.append((down.start + row, across.start + column))
    maps = attention_around(model, parameters, masked.filled, masked.hidden, np.array(places, np.intp))
    count, half = model.window, model.window // 2
    side = count * SIDE
    seen = np.where(hidden_pixels(masked.hidden), np.float32(GRAY), masked.filled)
    seen = np.pad(seen, half * SIDE, constant_values=255)
    refined = np.pad(masked.refined, half * SIDE, constant_values=255)
    figure = Figure(figsize=(3 * (2 + model.decoder_depth), 3.2 * len(places)))
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.3 / (3.2 * len(places)), wspace=0.04, hspace=0.1)
    grid = figure.subplots(len(places), 2 + model.decoder_depth, squeeze=False)
    for line, (row, column), of_place in zip(grid, places, maps, strict=True):
        window = np.s_[row * SIDE : row * SIDE + side, column * SIDE : column * SIDE + side]
        panels = [(f"visible around token ({row}, {column})", None), ("reconstruction", None)]
        panels += [
            (f"attention in block {number}: up to {100 * weights.max():.0f} %", weights)
            for number, weights in enumerate(of_place, 1)
        ]
        for axes, (title, weights) in zip(line, panels, strict=True):
            picture = refined if title == "reconstruction" else seen
            axes.imshow(picture[window], cmap="gray", vmin=0, vmax=255, extent=(0, count, count, 0))
            if weights is not None:
                strength = weights / max(float(weights.max()), 1e-9)
                axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.8, extent=(0, count, count, 0))
            axes.add_patch(Rectangle((half, half), 1, 1, fill=False, edgecolor="cyan", linewidth=1.5))
            _finish(axes, title, 9)
    return figure
