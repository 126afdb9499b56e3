"""Training: the loop that all networks here share.

An epoch goes through all pictures once, in an order of its own, a batch at a time:

    images, labels -> augmented -> logits -> loss -> gradients -> clipped -> a step of AdamW

After each epoch all that it takes to go on is saved. A run that was stopped goes on from there, and comes to the same
parameters, to the bit, as if it had not been: everything random comes from one generator, whose state is saved too, and
products of matrices run in one thread. What is held out is looked at but never chosen by: the last epoch counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from codec.origin import arrays_hash
from transformers_np import ops
from transformers_np.cnn import Parameters
from transformers_np.data import Dataset, augment, batches, normaliser
from transformers_np.optim import cosine
from transformers_np.recipes import Model, Recipe
from transformers_np.runs import CHECKPOINT, DivergedError, Run, first_bad

__all__ = ["Result", "accuracy", "fit", "predict"]

WARMUP = 0.05  # share of all steps
EVALUATED_AT_A_TIME = 50  # pictures: with more, what lies between layers leaves the cache, and it takes twice as long


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes
    ----------
    parameters : dict of str to array
    losses, accuracies : list of float
        Mean loss of each epoch, and accuracy on what is held out after it.
    seconds : float
        That training took, without looking at what is held out.
    """

    parameters: Parameters
    losses: list[float]
    accuracies: list[float]
    seconds: float


def predict(model: Model, parameters: Parameters, images: NDArray[Any]) -> NDArray[np.intp]:
    """Return the class that has the highest score, of each picture: (B, C, H, W) to (B,)."""
    parts = range(0, len(images), EVALUATED_AT_A_TIME)
    logits = (model.forward(images[first : first + EVALUATED_AT_A_TIME], parameters)[0] for first in parts)
    return np.concatenate([part.argmax(axis=1) for part in logits])


def accuracy(model: Model, parameters: Parameters, images: NDArray[Any], labels: NDArray[np.integer]) -> float:
    """Return the share of pictures whose class has the highest score."""
    return float((predict(model, parameters, images) == labels).mean())


class _Run(Run):
    """A network that learns to tell classes apart, an epoch at a time."""

    progress: ClassVar = {"losses": list, "accuracies": list, "seconds": float}

    def __init__(self, recipe: Recipe, data: Dataset, seed: int) -> None:
        rng = np.random.default_rng(seed)
        settings = [repr(recipe), seed, arrays_hash([*data.train, *data.held_out])]
        super().__init__(settings, rng, recipe.model.init(rng), weight_decay=recipe.weight_decay)
        self.recipe, self.data = recipe, data
        self.batch = min(recipe.batch, len(data.train.images))
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.seconds = 0.0
        self.normalise = normaliser(data.train)
        self.steps = len(data.train.images) // self.batch  # an epoch

    def epoch(self) -> Iterator[float]:
        """Go through all pictures once, and give the loss of each step."""
        recipe, data = self.recipe, self.data
        step, total = len(self.losses) * self.steps, recipe.epochs * self.steps
        for chosen in batches(len(data.train.images), self.batch, self.rng):
            images = augment(
                data.train.images[chosen],
                self.rng,
                shift=recipe.shift,
                flip=recipe.flip,
                warp=recipe.warp,
                noise=recipe.noise,
            )
            yield self._step(self.normalise(images), data.train.labels[chosen], step, total)
            step += 1

    def _step(self, images: NDArray[np.float32], labels: NDArray[np.integer], step: int, total: int) -> float:
        model = self.recipe.model
        with self.stepping():
            logits, cache = model.forward(images, self.parameters)
            loss, loss_cache = ops.cross_entropy(logits, labels)
            if not np.isfinite(loss):
                layers = {**model.named(cache), "logits": logits}
                raise DivergedError(f"step {step}: the loss is {loss}; {first_bad(layers, 'layer')}")
            gradients = model.backward(ops.cross_entropy_backward(loss_cache), cache)
            self.follow(gradients, step, cosine(step, total, self.recipe.lr, round(WARMUP * total)))
        return loss


def fit(recipe: Recipe, data: Dataset, seed: int, folder: Path, *, quiet: bool = False) -> Result:
    """Train a network, or go on training it.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
    seed : int
        Of all that is drawn.
    folder : Path
        Where the checkpoint is, or will be.
    quiet : bool
        Whether to show no progress.

    Returns
    -------
    Result

    Raises
    ------
    DivergedError
        If the loss or a gradient is no number any more. The checkpoint is that of the last good epoch.
    CodecError
        If there is a checkpoint that cannot be read, or is of a run with other settings, seed or pictures.
    """
    run = _Run(recipe, data, seed)
    path = folder / CHECKPOINT
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        run.resume(path)
    held_out = run.normalise(data.held_out.images)
    done, total = len(run.losses) * run.steps, recipe.epochs * run.steps
    with (
        threadpool_limits(1),
        tqdm(total=total, initial=done, desc=f"seed {seed}", disable=quiet or None, leave=False) as bar,
    ):
        while len(run.losses) < recipe.epochs:
            start, losses = time.perf_counter(), []
            for loss in run.epoch():
                losses.append(loss)
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update()
            run.seconds += time.perf_counter() - start
            run.losses.append(float(np.mean(losses)))
            run.accuracies.append(accuracy(recipe.model, run.parameters, held_out, data.held_out.labels))
            run.save(path)
    return Result(run.parameters, run.losses, run.accuracies, run.seconds)
