"""What `tcodec train` does: runs with several seeds, their weights, a learning curve, a report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, StrMethodFormatter

from transformers_np.data import load
from transformers_np.looks import draw_looks
from transformers_np.recipes import recipe_for
from transformers_np.training import Result, fit
from transformers_np.weights import save_safetensors

__all__ = ["draw_curve", "train"]

COLOURS = ("#d55e00", "#e69f00", "#cc79a7", "#8c564b", "#000000", "#7f7f7f")  # of seeds
TICKS = (0, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)  # of an axis, in what is linear of it


def train(model: str, source: str, seeds: int, epochs: int | None, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Train with seeds 0, 1, ...; write weights, pictures and `report.json`, and return what the latter holds.

    Parameters
    ----------
    model : str
        "cnn" or "vit".
    source : str
        As `transformers_np.data.load` takes it.
    seeds : int
        How many runs.
    epochs : int or None
        If not the recipe's.
    folder : Path
        Each run has a folder of its own in it.
    quiet : bool
        Whether to show no progress.
    """
    data = load(source)
    how = recipe_for(model, source, data)
    if epochs is not None:
        how = dataclasses.replace(how, epochs=epochs)
    results = []
    for seed in range(seeds):
        result = fit(how, data, seed, folder / f"seed-{seed}", quiet=quiet)
        save_safetensors(folder / f"seed-{seed}" / "model.safetensors", result.parameters)
        results.append(result)
    report = {
        "model": model,
        "data": source,
        "accuracy": [result.accuracies[-1] for result in results],
        "seconds": [result.seconds for result in results],
        "parameters": sum(array.size for array in results[0].parameters.values()),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    title = f"{model} on {source.partition(':')[0]}"
    draw_curve(results, title).savefig(folder / "curve.png", dpi=110)
    draw_looks(how.model, results[0].parameters, data, folder / "looks.png", title)
    return report


def draw_curve(results: Sequence[Result], title: str) -> Figure:
    """Draw the loss and what is wrong on pictures held out, after each epoch, of all runs."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for seed, result in enumerate(results):
        epochs = range(1, len(result.losses) + 1)
        style: dict[str, Any] = {"label": f"seed {seed}", "color": COLOURS[seed % len(COLOURS)], "marker": "o"}
        style |= {"markersize": 2.5, "linewidth": 1, "clip_on": False}
        left.plot(epochs, result.losses, **style)
        right.plot(epochs, [100 * (1 - share) for share in result.accuracies], **style)
    left.set(title="pictures to learn from", ylabel="cross-entropy, nats")
    right.set(title="pictures held out", ylabel="wrong, %")
    for axes, linear in ((left, 0.1), (right, 1.0)):
        # Nothing is wrong where all is learned: from 0 up to here the axis is linear, and logarithmic from there on.
        axes.set_yscale("symlog", linthresh=linear, linscale=0.5)
        largest = max(max(line.get_ydata()) for line in axes.lines)
        axes.set_ylim(0, 1.3 * max(largest, linear))
        axes.yaxis.set_major_locator(FixedLocator([linear * tick for tick in TICKS]))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set(xlabel="epoch", xlim=(0.5, len(results[0].losses) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title, parse_math=False)
    return figure
