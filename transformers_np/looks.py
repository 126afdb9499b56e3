"""What a network has learned to look at, drawn for a few pictures that it has not seen.

For a **convolutional network** the filters of its first layer, which see the pixels themselves; and for each picture
where the evidence for the network's answer lies: pixel by pixel (`cnn.saliency`), and in the maps of each layer
(`cnn.grad_cam`). A plain class activation map would take a network that ends with a mean over places, and this one ends
with dense layers; Grad-CAM is what it becomes there.

For a **vision transformer** the attention that the class token pays to each patch, in each block, as a mean over heads.
What it pays to itself is left out.

Pictures that the network gets wrong come first, since there is most to see in them; then one of each class in turn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from transformers_np.cnn import Cnn, Parameters, grad_cam, saliency
from transformers_np.data import Dataset, normaliser
from transformers_np.recipes import Model
from transformers_np.training import predict
from transformers_np.vit import Vit

__all__ = ["cls_attention", "draw_looks"]

PICTURES = 10  # columns
WRONG = 3  # of them at most, if there are right ones
FILTERS_A_ROW = 32
ROW_HEIGHT, FILTERS_HEIGHT = 1.17, 0.75  # inches
HEAT = "inferno"


def draw_looks(model: Model, parameters: Parameters, data: Dataset, path: Path, title: str) -> None:
    """Draw what a trained network looks at.

    Parameters
    ----------
    model : Cnn or Vit
    parameters : dict of str to array
    data : Dataset
        What it was trained on; pictures are of the part held out.
    path : Path
        Of the PNG file.
    title : str
    """
    images = normaliser(data.train)(data.held_out.images)
    said = predict(model, parameters, images)
    chosen = _choose(said, data.held_out.labels)
    seen, answers = images[chosen], said[chosen]
    filters = None
    if isinstance(model, Cnn):
        filters = parameters["conv1.weight"]
        rows = {"saliency": saliency(model, seen, parameters, answers)}
        for number in range(1, len(model.filters) + 1):
            rows[f"Grad-CAM, conv{number}"] = grad_cam(model, seen, parameters, answers, f"conv{number}")
    elif isinstance(model, Vit):
        found = cls_attention(model, seen, parameters)
        rows = {f"attention, block {number}": maps for number, maps in enumerate(found)}
    else:
        raise TypeError(f"no picture is known of what a {type(model).__name__} looks at")

    heights = ([] if filters is None else [FILTERS_HEIGHT]) + [0.2 + ROW_HEIGHT * (1 + len(rows))]
    figure = Figure(figsize=(1 + 1.15 * len(chosen), 0.4 + sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    if filters is not None:
        _draw_filters(parts[0].subplots(), filters)
    grid = parts[-1].subplots(1 + len(rows), len(chosen), squeeze=False)
    for axes, number in zip(grid[0], chosen, strict=True):
        is_, says = (data.classes[labels[number]] for labels in (data.held_out.labels, said))
        wrong = is_ != says
        pixels = data.held_out.images[number]
        axes.imshow(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1)
        axes.set_title(
            f"{is_}, said {says}" if wrong else is_, fontsize=9, color="tab:red" if wrong else "black", parse_math=False
        )
    for line, maps in zip(grid[1:], rows.values(), strict=True):
        for axes, values in zip(line, maps, strict=True):
            axes.imshow(values, cmap=HEAT, vmin=0, vmax=max(values.max(), np.finfo(values.dtype).tiny))
    for line, name in zip(grid, ["held out", *rows], strict=True):
        line[0].set_ylabel(name.replace(", ", ",\n"), rotation=0, ha="right", va="center", fontsize=9)
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    caption = "what the answer depends on" if filters is not None else "what the class token looks at"
    figure.suptitle(f"{title}: bright is {caption}", parse_math=False)
    figure.savefig(path, dpi=110)


def cls_attention(model: Vit, images: NDArray[Any], parameters: Parameters) -> list[NDArray[Any]]:
    """Return the attention that the class token pays to each patch.

    Parameters
    ----------
    model : Vit
    images : (B, channels, size, size) array
    parameters : dict of str to array

    Returns
    -------
    list of (B, rows, columns) array
        For each block, a mean over heads.
    """
    _, cache = model.forward(images, parameters)
    named = model.named(cache)
    side = model.size // model.patch
    return [
        named[f"blocks.{number}.attn"][:, :, 0, 1:].mean(axis=1).reshape(-1, side, side)
        for number in range(model.depth)
    ]


def _choose(said: NDArray[np.integer], labels: NDArray[np.integer]) -> list[int]:
    """Return the numbers of some pictures: the first wrong ones, then right ones of one class after another."""
    right, wrong = np.flatnonzero(said == labels), np.flatnonzero(said != labels)
    wrong = wrong[: max(WRONG, PICTURES - len(right))]
    # The how-manieth of its class each right one is, so that the first of all classes come before the second of any.
    order = np.argsort(labels[right], kind="stable")
    _, first, counts = np.unique(labels[right][order], return_index=True, return_counts=True)
    turn = np.empty(len(right), int)
    turn[order] = np.arange(len(right)) - np.repeat(first, counts)
    in_turn = right[np.lexsort((labels[right], turn))]
    return [*wrong.tolist(), *in_turn[: PICTURES - len(wrong)].tolist()]


def _draw_filters(axes: Axes, filters: NDArray[Any]) -> None:
    """Draw filters side by side, (F, C, h, w): of gray pictures in gray, of others in colour; 0 is in the middle."""
    count, _, height, width = filters.shape
    columns = min(count, FILTERS_A_ROW)
    rows = -(-count // columns)
    mosaic = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, 3))
    shades = 0.5 + 0.5 * filters / np.abs(filters).max()
    for number, shade in enumerate(shades):
        row, column = (step * (side + 1) for step, side in zip(divmod(number, columns), (height, width), strict=True))
        mosaic[row : row + height, column : column + width] = shade.transpose(1, 2, 0)  # (h, w, 1 or 3)
    axes.imshow(mosaic, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"the {count} filters of the first layer: dark below 0, bright above", fontsize=9)
