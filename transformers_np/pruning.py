"""Token pruning: how few tokens, and how few bits of them, tell what a picture shows.

A codec spends bits where a picture has structure, and leaves out what nobody misses. A transformer can do the same with
whole tokens: attention works on any number of them, so those that say nothing may stay away. Which are they?

    attention   that to which the class token pays least attention. In each block its weights, a mean over heads, are
                an opinion on what matters (EViT: Liang et al., "Not all patches are what you need", 2022)
    entropy     that which takes the fewest bits: it is what was to be expected
    random      any; the control

**In the file.** Tokens are chosen before the first block, as an encoder does that sends only some: their place is known
to it, all the rest is not there for the network, which has never been trained for that. Attention is taken from a pass
over all tokens, which an encoder has and a decoder has not, as a mean over blocks. What is sent is the bits of the kept
tokens, and which of the N they are: log2 of the binomial (N over k). A random choice is a seed, and costs nothing.

**In the network.** As EViT has it, all tokens go through the first block, and those that the class token attends to
there go on. It saves work, and no bits.

**Bits of a token** are those of the quantised DCT of its patch, with a flat step, coded by themselves: a level costs
-log2 of its share among the levels of the same frequency in the pictures to learn from (and as much as one that was
seen half as often as once if it was never there).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bitstreams.errors import FormatError, UnsupportedError
from codec.dct import dct2
from transformers_np.cnn import Parameters
from transformers_np.data import load, normaliser
from transformers_np.recipes import recipe
from transformers_np.tokens import patches
from transformers_np.vit import Vit, block
from transformers_np.weights import load_safetensors, load_state_dict

__all__ = ["Bits", "attention_scores", "classify_kept", "prune", "prune_inside"]

Array: TypeAlias = NDArray[np.floating[Any]]

STEP = 16 / 255  # of quantisation; pictures are from 0 to 1
SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05)  # of the tokens that are kept
AT_A_TIME = 500  # pictures
SEED = 0  # of the random choice
COLOURS = {"attention": "#d55e00", "attention, in the network": "#e69f00", "entropy": "#8c564b", "random": "#7f7f7f"}


# What a token costs -----------------------------------------------------------------------------------------


class Bits:
    """What tokens cost, given pictures like them.

    Parameters
    ----------
    images : (B, C, H, W) array
        From 0 to 1; what levels are likely is learned from them.
    patch : int
        Side of the patches.
    """

    def __init__(self, images: Array, patch: int) -> None:
        self.patch = patch
        levels = self._levels(images).reshape(-1, images.shape[1] * patch * patch)  # (B N, C P P)
        self._least = int(levels.min())
        counts = np.full((int(levels.max()) - self._least + 2, levels.shape[1]), 0.5)  # the last is for all others
        for frequency, column in enumerate(levels.T):
            counts[:-1, frequency] += np.bincount(column - self._least, minlength=len(counts) - 1)
        self._bits = -np.log2(counts / counts.sum(axis=0))

    def _levels(self, images: Array) -> NDArray[np.int64]:
        """Return quantised coefficients: (B, C, H, W) to (B, N, C P P)."""
        cut = patches(images, self.patch)
        blocks = cut.reshape(*cut.shape[:2], -1, self.patch, self.patch)
        return np.rint(dct2(blocks) / STEP).astype(np.int64).reshape(cut.shape)

    def __call__(self, images: Array) -> NDArray[np.float64]:
        """Return the bits of each token: (B, C, H, W) to (B, N)."""
        index = self._levels(images) - self._least
        index[(index < 0) | (index >= len(self._bits))] = len(self._bits) - 1
        return self._bits[index, np.arange(index.shape[-1])].sum(axis=-1)


def place_bits(tokens: int, kept: int) -> float:
    """Return what it takes to say which tokens are kept, log2 of (tokens over kept)."""
    return math.log2(math.comb(tokens, kept))


# What a token is worth --------------------------------------------------------------------------------------


def attention_scores(model: Vit, images: Array, parameters: Parameters) -> Array:
    """Return the attention that the class token pays to each token, a mean over blocks and heads: (B, N)."""
    _, cache = model.forward(images, parameters)
    named = model.named(cache)
    of_blocks = [named[f"blocks.{number}.attn"][:, :, 0, 1:].mean(axis=1) for number in range(model.depth)]
    return np.mean(of_blocks, axis=0)


def _largest(scores: Array, count: int) -> NDArray[np.intp]:
    """Return the numbers of the tokens with the largest scores, rising: (B, N) to (B, count)."""
    return np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :count], axis=1)


def _keep(x: Array, kept: NDArray[np.intp]) -> Array:
    """Return the class token and some others: (B, 1 + N, D) and (B, K) to (B, 1 + K, D)."""
    index = np.concatenate([np.zeros((len(kept), 1), kept.dtype), 1 + kept], axis=1)
    return np.take_along_axis(x, index[:, :, None], axis=1)


def classify_kept(model: Vit, images: Array, parameters: Parameters, kept: NDArray[np.intp]) -> Array:
    """Compute logits from some tokens of each picture.

    Parameters
    ----------
    model : Vit
    images : (B, C, H, W) array
    parameters : dict of str to array
    kept : (B, K) integer array
        Numbers of tokens, from 0 to N - 1.

    Returns
    -------
    (B, classes) array
    """
    x, _ = model.tokens_of(images, parameters)
    return model.classify(_keep(x, kept), parameters)[0]


def prune_inside(model: Vit, images: Array, parameters: Parameters, count: int) -> Array:
    """Compute logits with `count` tokens after the first block, those that the class token attends to most there."""
    x, _ = model.tokens_of(images, parameters)
    x, (weights, *_) = block(x, parameters, "blocks.0.", model.heads)
    kept = _largest(weights[:, :, 0, 1:].mean(axis=1), count)
    return model.classify(_keep(x, kept), parameters, first=1)[0]


# The experiment ---------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """What came of keeping so many tokens: the share of right answers, and bits a picture (None: all are sent)."""

    kept: int
    accuracy: float
    bits: float | None


def measure(
    model: Vit, parameters: Parameters, pixels: Array, images: Array, labels: NDArray[np.integer], bits: Bits
) -> dict[str, list[Point]]:
    """Prune with all methods, to all numbers of tokens.

    Parameters
    ----------
    model : Vit
    parameters : dict of str to array
    pixels, images : (B, C, H, W) array
        Pictures from 0 to 1, and as the network sees them.
    labels : (B,) integer array
    bits : Bits

    Returns
    -------
    dict of str to list of Point
        By method, from all tokens to few.
    """
    tokens = model.tokens
    counts = sorted({max(1, round(share * tokens)) for share in SHARES}, reverse=True)
    right = {name: np.zeros(len(counts)) for name in COLOURS}
    spent = {name: np.zeros(len(counts)) for name in COLOURS}
    rng = np.random.default_rng(SEED)
    for first in range(0, len(images), AT_A_TIME):
        part = slice(first, first + AT_A_TIME)
        seen, truth, costs = images[part], labels[part], bits(pixels[part])
        scores = {
            "attention": attention_scores(model, seen, parameters),
            "entropy": costs,
            "random": rng.random(costs.shape),
        }
        for place, count in enumerate(counts):
            for name, of_tokens in scores.items():
                kept = _largest(of_tokens, count)
                logits = classify_kept(model, seen, parameters, kept)
                right[name][place] += (logits.argmax(axis=1) == truth).sum()
                spent[name][place] += np.take_along_axis(costs, kept, axis=1).sum()
            logits = prune_inside(model, seen, parameters, count)
            right["attention, in the network"][place] += (logits.argmax(axis=1) == truth).sum()
    found = {}
    for name in COLOURS:
        points = []
        for place, count in enumerate(counts):
            own = None
            if "network" not in name:
                own = spent[name][place] / len(images) + (place_bits(tokens, count) if name != "random" else 0)
            points.append(Point(count, right[name][place] / len(images), own))
        found[name] = points
    return found


def prune(source: str, weights: Path, folder: Path) -> dict[str, Any]:
    """Prune the tokens of a trained network; write `pruning.png` and `pruning.json`, and return what the latter holds.

    Parameters
    ----------
    source : str
        As `transformers_np.data.load` takes it; the pictures held out are asked about.
    weights : Path
        What `tcodec train vit` wrote.
    folder : Path

    Raises
    ------
    UnsupportedError
        If the network sees no such pictures.
    FormatError
        If weights are those of another network.
    """
    kind = source.partition(":")[0]
    kind = kind if kind in ("digits", "mnist", "cifar") else "folder"
    data = load(source)
    model = recipe("vit", kind, data.train.images.shape[1:], len(data.classes)).model
    if not isinstance(model, Vit):
        raise UnsupportedError(f"{type(model).__name__} has no tokens")
    parameters = model.init(np.random.default_rng(0))
    state = load_safetensors(weights)
    try:
        load_state_dict(parameters, state)
    except ValueError as error:
        raise FormatError(f"{weights}: {error}") from error
    pixels = data.held_out.images
    with threadpool_limits(1):
        bits = Bits(data.train.images, model.patch)
        found = measure(model, parameters, pixels, normaliser(data.train)(pixels), data.held_out.labels, bits)
    report = {
        "data": source,
        "pictures": len(pixels),
        "tokens": model.tokens,
        "curves": {name: [point._asdict() for point in points] for name, points in found.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pruning.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(found, folder / "pruning.png", f"ViT on {source}, {len(pixels):,} pictures of {model.tokens} tokens")
    return report


def draw(found: Mapping[str, list[Point]], path: Path, title: str) -> None:
    """Draw accuracy over tokens, and over bits."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, points in found.items():
        shares = [100 * point.accuracy for point in points]
        style = {"color": COLOURS[name], "marker": "o", "markersize": 4, "label": name}
        left.plot([point.kept for point in points], shares, **style)
        if points[0].bits is not None:
            right.plot([point.bits for point in points], shares, **style)
    left.set(xlabel="tokens kept", ylabel="right on pictures held out, %", xlim=(0, None))
    right.set(xlabel="bits a picture: the tokens kept, and which they are", xlim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(loc="lower right")
    figure.suptitle(title, parse_math=False)
    figure.savefig(path, dpi=110)


def table(report: Mapping[str, Any]) -> str:
    """Return the report as text: a row for each number of tokens."""
    curves = report["curves"]
    width = max(18, *map(len, curves))
    lines = ["  ".join(["tokens", *(name.rjust(width) for name in curves)])]
    for row in zip(*curves.values(), strict=True):
        cells = [f"{row[0]['kept']:6}"]
        for point in row:
            bits = "" if point["bits"] is None else f", {point['bits']:,.0f} bits"
            cells.append(f"{100 * point['accuracy']:.2f} %{bits}".rjust(width))
        lines.append("  ".join(cells))
    return "\n".join(lines)
