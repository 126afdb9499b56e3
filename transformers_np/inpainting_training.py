"""How the small masked autoencoder (`transformers_np.inpainting`) learns: from photographs, each with many masks.

To fill a picture takes longer than a step of training. So it is done beforehand: each photograph, at full and at half
resolution, is hidden and filled a few times, with other masks, moved against the grid of blocks, and half of the time
with other weights of its colours than those of luma. From these pictures windows are cut, anywhere, and turned. The
loss is the square of what is wrong, in units of the window's contrast: a decibel in a pale picture is worth as much as
one in a gaudy picture, as in a mean of PSNRs.

The photographs are dealt out to those that are learned from, and a fifth that are looked at when all is done. All that
is random comes from one seed; a run that was stopped goes on from its last checkpoint, and comes to the same weights.
"""

from __future__ import annotations

import errno
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from bitstreams.errors import FormatError, UnsupportedError
from codec.files import pictures_in, read_picture
from codec.origin import corpus_hash
from transformers_np.fills import laplace_fill
from transformers_np.inpainting import (
    FAINT,
    FIXED,
    HIDDEN,
    MARGIN,
    OUTSIDE,
    SIDE,
    VISIBLE,
    Inpainter,
    Parameters,
    refine,
    to_tokens,
    turn_grid,
    turn_tokens,
)
from transformers_np.masking import random_mask
from transformers_np.optim import cosine
from transformers_np.runs import CHECKPOINT, DivergedError, SteppedRun, first_bad
from transformers_np.weights import load_npz, load_state_dict, save_npz

__all__ = ["SHIPPED", "Recipe", "hidden_pixels", "load_inpainter", "luma", "masked_psnr", "train_inpainter"]

LUMA = np.array([0.299, 0.587, 0.114])
HELD_OUT = 5  # one photograph of so many
RATIO, OTHERS = 0.75, (0.4, 0.95)  # share of tokens that is hidden: in half of the pictures, and in the others
MIDDLE = 128.0  # what is taken off pixels, so that small floats hold DC
WARMUP = 200
LOSS_WEIGHT = 10  # of the squared error; steps of AdamW are the same with any, but not at which norm they are clipped
WEIGHTS, REPORT = "mae.npz", "report.json"
SHIPPED = files("transformers_np") / "assets" / "mae.npz"


@dataclass(frozen=True)
class Recipe:
    """A model, and how it is trained: `masks` is how often each photograph is hidden and filled."""

    model: Inpainter = field(default_factory=Inpainter)
    steps: int = 6_000
    batch: int = 32
    masks: int = 8
    lr: float = 2e-3
    weight_decay: float = 0.05


class Filled(NamedTuple):
    """A picture as it is learned from, with `MARGIN` tokens around it.

    Attributes
    ----------
    tokens, wrong : (h + 4, w + 4, 64) float16 array
        Of the filled picture, less `MIDDLE`, and what has to be added to it.
    states : (h + 4, w + 4) int8 array
    """

    tokens: NDArray[np.float16]
    wrong: NDArray[np.float16]
    states: NDArray[np.int8]


# Pictures ---------------------------------------------------------------------------------------------------


def luma(pixels: NDArray[Any], weights: NDArray[np.float64] = LUMA) -> NDArray[np.float32]:
    """Return the luma of a picture: (H, W[, C]) to (H, W); of gray ones themselves, whatever their alpha."""
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return (pixels[..., :3] @ weights).astype(np.float32)
    return (pixels if pixels.ndim == 2 else pixels[..., 0]).astype(np.float32)


def hidden_pixels(hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of hidden tokens: (h, w) to (8 h, 8 w)."""
    return np.repeat(np.repeat(hidden, SIDE, axis=0), SIDE, axis=1)


def masked_psnr(original: NDArray[Any], found: NDArray[Any], hidden: NDArray[np.bool_]) -> float:
    """Return the PSNR of hidden pixels, for samples from 0 to 255; infinite if there is no difference."""
    error = float(np.square(original[hidden].astype(np.float64) - found[hidden]).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _read_photographs(folder: Path, least: int) -> tuple[list[Path], list[NDArray[Any]]]:
    """Read the photographs in a folder, in the order of their names."""
    paths = pictures_in(folder)
    if len(paths) < 2:
        raise FormatError(f"{folder}: {len(paths)} pictures; at least 2 are allowed, one of them to be held out")
    photographs = [read_picture(path).pixels for path in paths]
    for path, pixels in zip(paths, photographs, strict=True):
        if min(pixels.shape[:2]) < least:
            raise UnsupportedError(f"{path}: {pixels.shape[:2]} pixels; sides of at least {least} are allowed")
        if not np.ptp(luma(pixels)):
            raise UnsupportedError(f"{path}: all pixels are the same: nothing to learn from")
    return paths, photographs


def _fill(plane: NDArray[np.float32], ratio: float, rng: np.random.Generator) -> Filled:
    height, width = plane.shape[0] // SIDE, plane.shape[1] // SIDE
    plane = plane[: SIDE * height, : SIDE * width] - np.float32(MIDDLE)
    hidden = random_mask(rng, height, width, ratio)
    filled = laplace_fill(plane, hidden_pixels(hidden))
    edges = ((MARGIN, MARGIN), (MARGIN, MARGIN))
    tokens, wrong = (
        np.pad(to_tokens(pixels).astype(np.float16), (*edges, (0, 0))) for pixels in (filled, plane - filled)
    )
    states = np.where(hidden, HIDDEN, VISIBLE).astype(np.int8)
    return Filled(tokens, wrong, np.pad(states, edges, constant_values=OUTSIDE))


def _pool(
    photographs: Sequence[NDArray[Any]], masks: int, least: int, rng: np.random.Generator, quiet: bool
) -> list[Filled]:
    """Hide and fill photographs, so many times each."""
    pool = []
    with tqdm(total=masks * len(photographs), desc="filling", disable=quiet or None, leave=False) as bar:
        for _ in range(masks):
            for pixels in photographs:
                weights = LUMA if rng.random() < 0.5 else rng.dirichlet(np.ones(3))
                plane = luma(pixels, weights)
                height, width = plane.shape[0] // 2, plane.shape[1] // 2
                half = plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
                for size in (plane, half):
                    if min(size.shape) >= least:
                        down, across = rng.integers(0, SIDE, 2)
                        ratio = RATIO if rng.random() < 0.5 else rng.uniform(*OTHERS)
                        pool.append(_fill(size[down:, across:], ratio, rng))
                bar.update()
    return pool


# Training ---------------------------------------------------------------------------------------------------


class _Run(SteppedRun):
    """A masked autoencoder that learns to fill in, some windows at a time."""

    progress: ClassVar = {"done": int, "seconds": float, "gains": list}

    def __init__(self, recipe: Recipe, pool: list[Filled], seed: int, corpus: str) -> None:
        self.recipe, self.pool = recipe, pool
        rng = np.random.default_rng(seed)
        drawn = recipe.model.init(rng)
        self._set_scales(drawn)
        fixed = {name: drawn.pop(name) for name in FIXED}
        super().__init__(
            [repr(recipe), seed, corpus],
            rng,
            drawn,
            fixed,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            decays=_decays,
        )
        areas = np.array([filled.states.size for filled in pool], float)
        self._shares = areas / areas.sum()
        self.gains: list[float] = []  # dB over the Laplace fill, of each stretch of steps

    def _set_scales(self, parameters: Parameters) -> None:
        """Set the spread of coefficients, and of what is to be found, in units of contrast."""
        of_tokens, of_wrong = [], []
        for filled in self.pool:
            inside = filled.states != OUTSIDE
            tokens = filled.tokens[inside].astype(np.float32)
            tokens[:, 0] -= tokens[:, 0].mean()
            contrast = np.square(tokens).mean() + FAINT**2
            of_tokens.append(np.square(tokens).mean(axis=0) / contrast)
            wrong = filled.wrong[filled.states == HIDDEN].astype(np.float32)
            of_wrong.append(np.square(wrong).mean(axis=0) / contrast)
        for name, squares in zip(FIXED, (of_tokens, of_wrong), strict=True):
            spread = np.sqrt(np.mean(squares, axis=0))
            parameters[name] = np.maximum(spread, 0.02 * spread.max()).astype(np.float32)

    def _windows(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int8]]:
        """Cut windows from anywhere, all turned alike."""
        batch, side = self.recipe.batch, self.recipe.model.window + 2 * MARGIN
        parts = []
        for number in self.rng.choice(len(self.pool), batch, p=self._shares):
            filled = self.pool[number]
            top, left = (self.rng.integers(size - side + 1) for size in filled.states.shape)
            parts.append([array[top : top + side, left : left + side] for array in filled])
        turn = int(self.rng.integers(8))
        tokens, wrong = (
            turn_tokens(np.stack([part[which] for part in parts]).astype(np.float32), turn) for which in (0, 1)
        )
        return tokens, wrong, turn_grid(np.stack([part[2] for part in parts]), turn)

    def step(self) -> tuple[float, float]:
        """Take a step; return the squared error, in units of contrast, and that of the fill."""
        recipe, inner = self.recipe, slice(MARGIN, -MARGIN)
        tokens, wrong, states = self._windows()
        hidden = (states[:, inner, inner] == HIDDEN)[..., None]
        with self.stepping():
            found, contrast, cache = recipe.model.forward(tokens, states, self.parameters)
            target = wrong[:, inner, inner] * hidden
            number = max(int(hidden.sum()), 1) * SIDE * SIDE
            found -= target
            found /= contrast
            loss = float(np.square(found).sum()) / number
            if not math.isfinite(loss):
                bad = first_bad(self.parameters, "parameter")
                raise DivergedError(f"step {self.done}: the loss is {loss}; {bad}")
            found *= 2 * LOSS_WEIGHT / number / contrast  # the gradient of the squared error
            warmup = min(WARMUP, recipe.steps // 10)
            lr = cosine(self.done, recipe.steps, recipe.lr, warmup)
            self.follow(recipe.model.backward(found, cache), self.done, lr)
        return loss, float(np.square(target / contrast).sum()) / number

    def note(self, steps: list[Any]) -> str:
        """Keep the gain of some steps."""
        errors, of_fill = np.sum(steps, axis=0)
        self.gains.append(10 * math.log10(of_fill / errors))
        return f"gain={self.gains[-1]:.3f} dB"


def _decays(name: str, parameter: NDArray[Any]) -> bool:
    """Weights of layers decay, positions do not."""
    return parameter.ndim == 2 and not name.endswith("position")


def train_inpainter(
    source: Path, folder: Path, seed: int, command: str, recipe: Recipe | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Train, or go on training; write `mae.npz` and `report.json`, and return what the latter holds.

    Parameters
    ----------
    source : Path
        A folder of photographs.
    folder : Path
        Where the checkpoint is, or will be, and results go.
    seed : int
    command : str
        How to do it again, kept with the weights.
    recipe : Recipe, optional
        By default what the weights that come with the package were made by.
    quiet : bool
        Whether to show no progress.

    Raises
    ------
    CodecError
        If there are less than two pictures, or one that cannot be read, is too small or all the same, or a checkpoint
        of another run.
    DivergedError
        If the loss is no number any more.
    FileExistsError
        If there are weights that no run with a checkpoint has made.
    """
    recipe = Recipe() if recipe is None else recipe
    least = SIDE * (recipe.model.window + 1)  # pixels: a window, wherever it begins against the grid of blocks
    paths, photographs = _read_photographs(source, least)
    corpus = corpus_hash(paths)
    path, weights = folder / CHECKPOINT, folder / WEIGHTS
    if weights.exists() and not path.exists():
        raise FileExistsError(errno.EEXIST, "exists already; remove it, or use another folder", str(weights))
    folder.mkdir(parents=True, exist_ok=True)
    held_out = set(np.random.default_rng(0).permutation(len(paths))[: math.ceil(len(paths) / HELD_OUT)].tolist())
    with threadpool_limits(1):
        start = time.process_time()
        learned = [pixels for number, pixels in enumerate(photographs) if number not in held_out]
        pool = _pool(learned, recipe.masks, least, np.random.default_rng([seed, 1]), quiet)
        run = _Run(recipe, pool, seed, corpus)
        if path.exists():
            run.resume(path)
        else:
            run.seconds = time.process_time() - start
        run.advance(recipe.steps, path, f"seed {seed}", quiet=quiet)
        gains = {}
        for number in sorted(held_out):
            gains[paths[number].name] = _gain(run, luma(photographs[number]))
    report = {
        "steps": run.done,
        "seconds": run.seconds,
        "parameters": run.vector.size,
        "gains": run.gains,
        "held_out": gains,
        "mean": float(np.mean(list(gains.values()))),
    }
    origin = {
        "command": command,
        "seed": seed,
        "corpus": corpus,
        "held_out": list(gains),
        "gain_held_out": report["mean"],
        "seconds": round(run.seconds),
        "model": vars(recipe.model),
    }
    small = {name: array.astype(np.float16) for name, array in run.parameters.items()}
    save_npz(weights, {**small, "origin": np.frombuffer(json.dumps(origin).encode(), np.uint8)})
    (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    return report


def _gain(run: _Run, plane: NDArray[np.float32]) -> float:
    """Return by how much PSNR at 75 % is better than that of the Laplace fill."""
    height, width = plane.shape[0] // SIDE, plane.shape[1] // SIDE
    plane = plane[: SIDE * height, : SIDE * width]
    hidden = random_mask(np.random.default_rng(0), height, width, RATIO)
    pixels = hidden_pixels(hidden)
    filled = laplace_fill(plane, pixels)
    refined = refine(run.recipe.model, run.parameters, filled, hidden)
    return masked_psnr(plane, refined, pixels) - masked_psnr(plane, filled, pixels)


def load_inpainter(path: str | Path | None = None) -> tuple[Inpainter, Parameters, dict[str, Any]]:
    """Read weights that `train_inpainter` has written, by default those that come with the package.

    Returns
    -------
    model : Inpainter
    parameters : dict of str to float32 array
    origin : dict
        How they were made: command, seed, corpus.

    Raises
    ------
    CodecError
        If it is no such file.
    """
    arrays = load_npz(Path(str(SHIPPED)) if path is None else path)
    try:
        origin = json.loads(arrays.pop("origin").tobytes())
        model = Inpainter(**origin["model"])
        _check_shape(model, sum(array.size for array in arrays.values()))
        parameters = model.init(np.random.default_rng(0))
        load_state_dict(parameters, arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: no weights of a masked autoencoder: {error}") from error
    return model, parameters, origin


def _check_shape(model: Inpainter, numbers: int) -> None:
    """Refuse a model that does not fit so many numbers in a file, before memory is taken for its parameters."""
    shape = vars(model)
    if any(type(side) is not int or side < 1 for side in shape.values()) or model.width % model.heads:
        raise ValueError(f"a model of {shape}")
    if model.size != numbers:
        raise ValueError(f"a model of {shape} has {model.size} parameters; there are {numbers}")
