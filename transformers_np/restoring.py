"""Training of the network that restores what the baseline profile decodes (`codec.restoration`).

    tcodec train restore --data photos/ --seed 1 -o restore.npz

Each photograph is coded several times, each time at another quality, with other tables of steps, and cut into other
blocks, all drawn at random. Every step then turns and mirrors its blocks, which among features is an exchange of
numbers and signs. What the network shall find is by how much the levels are off. Its loss is the mean square error of
luma as a share of what it is without the network, so that all qualities count alike: a decibel is a share.

Features are computed by the codec itself, in whole numbers. Training makes floats of them, each divided by its standard
deviation, and the weights that come out are multiplied by it. In the end all weights are rounded to whole multiples of
a power of two, the finest with which no sum can leave what float32 adds exactly (`quantise`).
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitstreams.errors import CodecError, FormatError
from codec import blocks, color, dct, restoration
from codec.baseline import Baseline
from codec.files import atomic_open, pictures_in, read_picture
from codec.origin import corpus_hash
from codec.restoration import (
    ACTIVATION_LIMIT,
    ACTIVATION_UNIT,
    CONDITION_LIMIT,
    CONDITIONS,
    EXACT,
    FEATURE_LIMIT,
    FEATURE_UNIT,
    FEATURES,
    OUTPUT_UNIT,
    Network,
)
from transformers_np import ops
from transformers_np.optim import cosine
from transformers_np.runs import DivergedError, SteppedRun, first_bad
from transformers_np.workspace import empty

__all__ = ["RECIPE", "Examples", "Recipe", "Restorer", "TrainingRun", "make_examples", "quantise", "train_restore"]

BATCH = 512
RATE = 1e-3
WEIGHT_DECAY = 0.01
WARMUP = 200
TABLES = ("flat", "flat", "sloped", "sloped", "jpeg")  # drawn from these
FINEST, COARSEST = 0.08, 15.0  # by which the steps at quality 50 are multiplied
WEIGHT_BITS = 11  # of fractions, at most: more gain nothing, and take room in the file

Array = NDArray[np.floating[Any]]
Parameters = dict[str, Array]


class Recipe(NamedTuple):
    """How large the network is, and how long it is trained.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the layers between features and corrections.
    steps : int
        Of `BATCH` blocks each.
    codings : int
        How often each photograph is coded.
    """

    hidden: tuple[int, ...]
    steps: int
    codings: int


RECIPE = Recipe((320, 320), 40_000, 8)


class Examples(NamedTuple):
    """Blocks to learn from.

    Attributes
    ----------
    features : (N, FEATURES) int8 array
    wanted : (N, 64) float16 array
        By how much levels are off, in steps, in zigzag order.
    coding : (N,) int32 array
        Which coding of a photograph a block is from.
    conditions : (codings, CONDITIONS) int8 array
        Of its quantiser.
    weights : (codings, 64) float32 array
        What a squared error of each coefficient counts.
    """

    features: NDArray[np.int8]
    wanted: NDArray[np.float16]
    coding: NDArray[np.int32]
    conditions: NDArray[np.int8]
    weights: NDArray[np.float32]


def _cut(luma: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return most of a picture, whole blocks that begin anywhere."""
    top, left = (int(rng.integers(min(8, side - 7))) for side in luma.shape)
    height, width = (luma.shape[0] - top) // 8 * 8, (luma.shape[1] - left) // 8 * 8
    return np.ascontiguousarray(luma[top : top + height, left : left + width])


def _quality(factor: float) -> float:
    """Return the quality at which steps are multiplied by a factor."""
    return 50 / factor if factor > 1 else 100 - 50 * factor


def make_examples(lumas: Sequence[NDArray[np.uint8]], rng: np.random.Generator, codings: int) -> Examples:
    """Code (H, W) pictures of at least 8 x 8, and see what is lost."""
    parts: list[list[NDArray[Any]]] = [[], [], [], [], []]
    for number, luma in enumerate(luma for luma in lumas for _ in range(codings)):
        picture = _cut(luma, rng)
        tables = TABLES[rng.integers(len(TABLES))]
        quality = _quality(float(np.exp(rng.uniform(np.log(FINEST), np.log(COARSEST)))))
        stages = Baseline.choose(1, False, quality, "psnr", tables=tables)
        (levels,) = (group[0].astype(np.float32) for group in stages.forward(picture[..., None]))
        steps = stages.groups[0].steps
        windows = restoration.Windows(stages.inverses[0](levels), steps)(slice(None), slice(None))
        flat = levels.reshape(-1, 64)
        samples = blocks.split(picture, 8).reshape(-1, 64).astype(np.float32) - color.CENTRE
        wanted = dct.forward(samples) * np.float32(16) / steps.astype(np.float32) - flat
        squares = (steps / 16.0) ** 2
        error = float((wanted.astype(np.float64) ** 2 @ squares).mean()) / 64
        parts[0].append(restoration.features(windows, flat).astype(np.int8))
        parts[1].append(wanted.astype(np.float16))
        parts[2].append(np.full(len(flat), number, np.int32))
        parts[3].append(restoration.conditions(steps)[None].astype(np.int8))
        parts[4].append((squares / 64 / max(error, 1e-3))[None].astype(np.float32))
    return Examples(*(np.concatenate(part) for part in parts))


def clipped_relu(x: Array) -> tuple[Array, tuple[Array]]:
    """Compute x, but 0 below 0 and the largest activation above it."""
    y = empty(x.shape, x.dtype)
    np.maximum(x, 0, out=y)
    np.minimum(y, ACTIVATION_LIMIT / ACTIVATION_UNIT, out=y)
    return y, (y,)


def clipped_relu_backward(dy: Array, cache: tuple[Array]) -> Array:
    """Return dx."""
    (y,) = cache
    dx = empty(dy.shape, dy.dtype)
    np.multiply(dy, y > 0, out=dx)
    return np.multiply(dx, y < ACTIVATION_LIMIT / ACTIVATION_UNIT, out=dx)


@dataclass(frozen=True)
class Restorer:
    """The network in floats.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the layers between input and corrections.
    inputs : int
        Features and conditions.
    """

    hidden: tuple[int, ...]
    inputs: int = FEATURES + CONDITIONS

    def init(self, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Parameters:
        """Draw parameters (He et al., 2015); the last layer begins near 0, as no correction is a good first guess."""
        sizes = [self.inputs, *self.hidden, 64]
        parameters: Parameters = {}
        for i, (before, after) in enumerate(pairwise(sizes)):
            deviation = np.sqrt(2 / before) if i < len(self.hidden) else 0.02 / np.sqrt(before)
            parameters[f"{i}.weight"] = (deviation * rng.standard_normal((after, before))).astype(dtype)
            parameters[f"{i}.bias"] = np.zeros(after, dtype)
        return parameters

    def forward(self, x: Array, parameters: Parameters) -> tuple[Array, list[Any]]:
        """Compute corrections in steps: (N, inputs) to (N, 64)."""
        caches: list[Any] = []
        for i in range(len(self.hidden) + 1):
            x, cache = ops.linear(x, parameters[f"{i}.weight"], parameters[f"{i}.bias"])
            caches.append(cache)
            if i < len(self.hidden):
                x, cut = clipped_relu(x)
                caches.append(cut)
        return x, caches

    def backward(self, dy: Array, caches: list[Any]) -> Parameters:
        """Return the gradients of all parameters."""
        gradients: Parameters = {}
        for i in reversed(range(len(self.hidden) + 1)):
            if i < len(self.hidden):
                dy = clipped_relu_backward(dy, caches[2 * i + 1])
            if i:
                dy, dw, db = ops.linear_backward(dy, caches[2 * i])
            else:
                dw, db = ops.linear_backward_first(dy, caches[0])
            gradients[f"{i}.weight"], gradients[f"{i}.bias"] = dw, db
        return gradients


def weighted_error(y: Array, wanted: Array, weights: Array) -> tuple[float, Array]:
    """Return the mean over blocks of the weighted sums of squared errors, and its gradient."""
    difference = y - wanted
    weighted = difference * weights
    loss = float((weighted * difference).sum()) / len(y)
    weighted *= 2 / len(y)
    return loss, weighted


class TrainingRun(SteppedRun):
    """A network that learns to restore, a batch of blocks at a time."""

    progress: ClassVar = {"done": int, "seconds": float, "losses": list}

    def __init__(
        self, settings: list[Any], rng: np.random.Generator, examples: Examples, model: Restorer, steps: int
    ) -> None:
        super().__init__(settings, rng, model.init(rng), weight_decay=WEIGHT_DECAY)
        self.examples, self.model, self.steps = examples, model, steps
        self.losses: list[float] = []  # of each step
        sample = examples.features[:: len(examples.features) // 100_000 + 1].astype(np.float32)
        deviations = sample.std(axis=0) / FEATURE_UNIT + 0.02
        self.deviations = np.concatenate([deviations, np.ones(CONDITIONS)], dtype=np.float32)
        self._scale = np.float32(1 / FEATURE_UNIT) / self.deviations[:FEATURES]
        self._of_codings = examples.conditions.astype(np.float32) / FEATURE_UNIT

    def step(self) -> float:
        """Take a step; return its loss."""
        examples, model = self.examples, self.model
        chosen = self.rng.integers(len(examples.features), size=BATCH)
        (inputs, of_inputs), (outputs, of_outputs) = restoration.orient(int(self.rng.integers(8)))
        x = np.empty((BATCH, model.inputs), np.float32)
        np.multiply(examples.features[chosen][:, inputs], self._scale * of_inputs, out=x[:, :FEATURES])
        coding = examples.coding[chosen]
        x[:, FEATURES:] = self._of_codings[coding]
        wanted = examples.wanted[chosen][:, outputs] * of_outputs
        with self.stepping():
            y, caches = model.forward(x, self.parameters)
            loss, dy = weighted_error(y, wanted, examples.weights[coding][:, outputs])
            if not math.isfinite(loss):
                bad = first_bad(self.parameters, "parameter")
                raise DivergedError(f"step {self.done}: the loss is {loss}; {bad}")
            lr = cosine(self.done, self.steps, RATE, min(WARMUP, self.steps - 1))
            self.follow(model.backward(dy, caches), self.done, lr)
        return loss

    def note(self, steps: list[Any]) -> str:
        """Keep the losses of some steps."""
        self.losses += steps
        return f"loss={np.mean(steps):.4f}"

    def result(self) -> Parameters:
        """Return parameters for features and conditions in steps."""
        return {**self.parameters, "0.weight": self.parameters["0.weight"] / self.deviations}


def quantise(parameters: Parameters, origin: dict[str, Any]) -> Network:
    """Round parameters to whole multiples of the finest powers of two with which all sums are exact."""
    weights, biases, shifts = [], [], []
    conditions = np.zeros(0, np.float32)
    layers = len(parameters) // 2
    for i in range(layers):
        of_inputs, bias = parameters[f"{i}.weight"].T.astype(np.float64), parameters[f"{i}.bias"].astype(np.float64)
        unit, limit = (ACTIVATION_UNIT, ACTIVATION_LIMIT) if i else (FEATURE_UNIT, FEATURE_LIMIT)
        limits = np.full(len(of_inputs), limit)
        if not i:
            limits[FEATURES:] = CONDITION_LIMIT
        for bits in range(WEIGHT_BITS, -1, -1):
            whole, added = np.rint(of_inputs * 2**bits), np.rint(bias * unit * 2**bits)
            if (limits @ np.abs(whole) + np.abs(added)).max() < EXACT and np.abs(whole).max() < 1 << 15:
                break
        else:
            raise CodecError(f"the weights of layer {i} are too large")
        passed_on = OUTPUT_UNIT if i == layers - 1 else ACTIVATION_UNIT
        shifts.append(bits + unit.bit_length() - passed_on.bit_length())
        if not i:
            whole, conditions = whole[:FEATURES], whole[FEATURES:].astype(np.float32)
        weights.append(np.ascontiguousarray(whole.astype(np.float32)))
        biases.append(added.astype(np.float32))
    return Network(weights, biases, conditions, shifts, origin)


def train_restore(
    folder: Path, seed: int, output: Path, command: str, recipe: Recipe | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Train on the pictures in a folder, or go on training, and write a file of weights.

    Parameters
    ----------
    folder : Path
    seed : int
        Of all that is drawn: on one machine the same seed and photographs give the same file.
    output : Path
        The file. Its checkpoint is beside it: `restore.checkpoint.npz` beside `restore.npz`.
    command : str
        How to do it again, kept with the weights.
    recipe : Recipe, optional
        `RECIPE` by default.
    quiet : bool
        Whether to show no progress.

    Returns
    -------
    dict
        What the file tells of its origin; "error left", the mean square error over the last steps as a share of what it
        is without the network; and "blocks", "bytes" and "seconds" of a processor.

    Raises
    ------
    CodecError
        If the folder has no pictures, or one below 8 x 8 pixels, or training fails, or a checkpoint is of another run.
    OSError
        If the folder or a file cannot be read or written, or the file is there and has no checkpoint: it is replaced
        only by the run that wrote it.
    """
    recipe = recipe or RECIPE
    paths = pictures_in(folder)
    lumas = []
    for path in paths:
        pixels = read_picture(path).pixels
        if pixels.ndim == 3:
            pixels = color.rgb_to_gray(pixels[..., :3]) if pixels.shape[2] >= 3 else pixels[..., 0]
        lumas.append(pixels)
    if not lumas or min(min(luma.shape) for luma in lumas) < 8:
        raise FormatError(f"{folder}: it takes pictures, each of at least 8 x 8 pixels")
    checkpoint = output.parent / f"{output.name.removesuffix('.npz')}.checkpoint.npz"
    if output.exists() and not checkpoint.exists():  # asked now, not after a quarter of an hour
        raise FileExistsError(errno.EEXIST, "exists already; remove it, or use another name", str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    start, rng = time.process_time(), np.random.default_rng(seed)
    examples = make_examples(lumas, rng, recipe.codings)
    corpus = corpus_hash(paths)
    run = TrainingRun([repr(recipe), seed, corpus], rng, examples, Restorer(recipe.hidden), recipe.steps)
    if checkpoint.exists():
        run.resume(checkpoint)
    else:
        run.seconds = time.process_time() - start
    run.advance(recipe.steps, checkpoint, "restore", quiet=quiet)
    origin = {"command": command, "seed": seed, "photos": len(paths), "corpus": corpus}
    arrays: dict[str, Any] = restoration.to_arrays(quantise(run.result(), origin))
    with atomic_open(output, force=True) as file:
        np.savez_compressed(file, **arrays)
    return {
        **origin,
        "error left": float(np.mean(run.losses[-(len(run.losses) // 20 + 1) :])),
        "blocks": len(examples.features),
        "bytes": output.stat().st_size,
        "seconds": run.seconds,
    }
