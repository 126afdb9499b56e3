"""What `tcodec train` does: runs with several seeds, their weights, a learning curve, a report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from transformers_np.data import load
from transformers_np.recipes import recipe
from transformers_np.training import Result, fit
from transformers_np.weights import save_safetensors

__all__ = ["draw_curve", "train"]


def train(model: str, source: str, seeds: int, epochs: int | None, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Train with seeds 0, 1, ...; write weights, `curve.png` and `report.json`, and return what the latter holds.

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
    kind = source.partition(":")[0]
    kind = kind if kind in ("digits", "mnist", "cifar") else "folder"
    data = load(source)
    how = recipe(model, kind, data.train.images.shape[1:], len(data.classes))
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
    draw_curve(results, folder / "curve.png", f"{model} on {source}")
    return report


def draw_curve(results: Sequence[Result], path: Path, title: str) -> None:
    """Draw the loss and what is wrong on pictures held out, after each epoch, of all runs."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for seed, result in enumerate(results):
        epochs = range(1, len(result.losses) + 1)
        left.plot(epochs, result.losses, label=f"seed {seed}")
        right.plot(epochs, [100 * (1 - share) for share in result.accuracies], label=f"seed {seed}")
    left.set(title=title, xlabel="epoch", ylabel="cross-entropy in training, nats", yscale="log")
    right.set(title="pictures held out", xlabel="epoch", ylabel="wrong, %", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)
