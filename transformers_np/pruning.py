"""Token pruning: how few tokens, and how few bits of them, tell what a picture shows.

A codec spends bits where a picture has structure, and leaves out what nobody misses. A transformer can do the same with
whole tokens: attention works on any number of them, so those that say nothing may stay away. Which are they?

    attention   those to which the class token pays least attention (EViT: Liang et al., "Not all patches are what you
                need", 2022)
    entropy     those that take the fewest bits: they are what was to be expected
    random      any; the control

**In the network.** All tokens go through the first block, those that are kept go on. Attention is that of the first
block, a mean over heads. It saves work, and no bits: what the others had to say, the class token has heard by then.

**In the file.** Tokens are chosen before the first block, as an encoder does that sends only some; the network never
sees the rest. Attention is taken from a pass over all tokens, which an encoder can do and a decoder cannot, as a mean
over blocks and heads. What is sent is the bits of the kept tokens, and which of the N they are: log2 of the binomial
(N over k). A random choice is a seed, and costs nothing.

**Bits of a token** are those of the quantised DCT of its patch, with a flat step, each channel by itself: whether it is
flat, its DC, and its AC levels if it is not. A level costs -log2 of its share among the levels of the same frequency in
the pictures to learn from, in which each is counted half a time more than it is there, and so are all others together.

The networks are those of `tcodec train vit`: none has ever seen a picture with tokens missing.

Measured on MNIST (10,000 to learn from, `tcodec train vit`, seed 0; of the test pictures, 49 tokens each, 97.9 % are
told right), with 27, 15 and 5 tokens:

                              27                    15                    5
    in the network  attention 97.2 %                81.7 %                57.0 %
                    entropy   97.7 %                96.9 %                78.6 %
                    random    90.4 %                77.5 %                54.5 %
    in the file     attention 95.3 %, 1,162 bits    70.6 %,   865 bits    27.2 %, 347 bits
                    entropy   60.9 %, 1,235 bits    38.0 %, 1,015 bits    20.7 %, 389 bits
                    random    75.9 %,   674 bits    50.6 %,   375 bits    23.2 %, 125 bits

After a block the bits of a token tell better than attention which ones matter here: with a third of the tokens one
picture in a hundred is lost. In a file they tell nothing of use: an empty token costs 1.3 bits and another one 60, and
which places are empty is what a network wants to know. All 49 tokens take 1,218 bits, so leaving out what nobody
attends to saves nearly nothing; for its bits, chance chooses best.

On the 8 x 8 digits, where no token is empty (16 of them, 222 bits, 99.2 %), attention is best everywhere: with 6 tokens
in the network 96.1 %, entropy 93.6 %, random 95.0 %; with 9 in the file 97.2 % for 145 bits, where 11 that chance chose
have 81.7 % for 153.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from bitstreams.errors import FormatError
from codec.dct import dct2
from transformers_np.cnn import Parameters
from transformers_np.data import load, normaliser
from transformers_np.recipes import recipe_for
from transformers_np.tokens import patches
from transformers_np.vit import Vit, block
from transformers_np.weights import load_safetensors, load_state_dict

__all__ = ["Bits", "attention_scores", "classify_kept", "first_block", "measure", "place_bits", "prune", "table"]

Array: TypeAlias = NDArray[np.floating[Any]]

STEP = 16 / 255  # of quantisation; pictures are from 0 to 1
SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05)  # of the tokens that are kept
AT_A_TIME = 50  # pictures
SEED = 0  # of the random choice
COLUMN = 19  # characters
NETWORK, FILE = PLACES = "in the network", "in the file"
COLOURS = {"attention": "#d55e00", "entropy": "#e69f00", "random": "#7f7f7f"}  # of methods


# What a token costs -----------------------------------------------------------------------------------------


class _Table:
    """What levels cost: columns of integers, each with a table of its own."""

    def __init__(self, levels: NDArray[np.int64]) -> None:
        self._least = int(levels.min(initial=0))
        counts = np.full((int(levels.max(initial=0)) - self._least + 2, levels.shape[1]), 0.5)  # the last: all others
        for number, column in enumerate(levels.T):
            counts[:-1, number] += np.bincount(column - self._least, minlength=len(counts) - 1)
        self._bits = -np.log2(counts / counts.sum(axis=0))

    def __call__(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the bits of each row: (..., K) to (...)."""
        index = levels - self._least
        index[(index < 0) | (index >= len(self._bits))] = len(self._bits) - 1
        return self._bits[index, np.arange(index.shape[-1])].sum(axis=-1)


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
        levels = self._levels(images).reshape(-1, patch * patch)
        flat = _flat(levels)
        self._of_flat, self._of_dc = _Table(flat[:, None].astype(np.int64)), _Table(levels[:, :1])
        self._of_ac = _Table(levels[~flat, 1:])

    def _levels(self, images: Array) -> NDArray[np.int64]:
        """Return quantised coefficients: (B, C, H, W) to (B, N, C, P P)."""
        cut = patches(images, self.patch)
        blocks = cut.reshape(*cut.shape[:2], -1, self.patch, self.patch)
        return np.rint(dct2(blocks) / STEP).astype(np.int64).reshape(*blocks.shape[:3], -1)

    def __call__(self, images: Array) -> NDArray[np.float64]:
        """Return the bits of each token: (B, C, H, W) to (B, N)."""
        levels = self._levels(images)
        flat = _flat(levels)
        ac = np.where(flat, 0, self._of_ac(levels[..., 1:]))
        return (self._of_flat(flat[..., None].astype(np.int64)) + self._of_dc(levels[..., :1]) + ac).sum(axis=-1)


def _flat(levels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether all levels but DC's are 0: (..., P P) to (...)."""
    return (levels[..., 1:] == 0).all(axis=-1)


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


def first_block(model: Vit, images: Array, parameters: Parameters) -> tuple[Array, Array]:
    """Return all tokens after the first block, and the attention that the class token pays to each other one there.

    (B, C, H, W) to (B, 1 + N, D) and (B, N).
    """
    x, _ = model.tokens_of(images, parameters)
    x, (weights, *_) = block(x, parameters, "blocks.0.", model.heads)
    return x, weights[:, :, 0, 1:].mean(axis=1)


# The experiment ---------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """What came of keeping so many tokens: the share of right answers, and bits a picture (None: all are sent)."""

    kept: int
    accuracy: float
    bits: float | None


def measure(
    model: Vit,
    parameters: Parameters,
    pixels: Array,
    images: Array,
    labels: NDArray[np.integer],
    bits: Bits,
    *,
    quiet: bool,
) -> dict[str, dict[str, list[Point]]]:
    """Prune in both places, by all methods, to all numbers of tokens.

    Parameters
    ----------
    model : Vit
    parameters : dict of str to array
    pixels, images : (B, C, H, W) array
        Pictures from 0 to 1, and as the network sees them.
    labels : (B,) integer array
    bits : Bits
    quiet : bool
        Whether to show no progress.

    Returns
    -------
    dict of str to dict of str to list of Point
        By place and method, from all tokens to few.
    """
    tokens = model.tokens
    counts = sorted({max(1, round(share * tokens)) for share in SHARES}, reverse=True)
    right = {(place, method): np.zeros(len(counts)) for place in PLACES for method in COLOURS}
    spent = {method: np.zeros(len(counts)) for method in COLOURS}
    rng = np.random.default_rng(SEED)
    for first in tqdm(range(0, len(images), AT_A_TIME), unit=" parts", disable=quiet or None, leave=False):
        part = slice(first, first + AT_A_TIME)
        seen, truth, costs = images[part], labels[part], bits(pixels[part])
        after_first, attention = first_block(model, seen, parameters)
        by_chance = rng.random(costs.shape)
        scores = {
            NETWORK: {"attention": attention, "entropy": costs, "random": by_chance},
            FILE: {"attention": attention_scores(model, seen, parameters), "entropy": costs, "random": by_chance},
        }
        for (place, method), of_counts in right.items():
            for number, count in enumerate(counts):
                kept = _largest(scores[place][method], count)
                if place == NETWORK:
                    logits, _ = model.classify(_keep(after_first, kept), parameters, first=1)
                else:
                    logits = classify_kept(model, seen, parameters, kept)
                    spent[method][number] += np.take_along_axis(costs, kept, axis=1).sum()
                of_counts[number] += (logits.argmax(axis=1) == truth).sum()
    found: dict[str, dict[str, list[Point]]] = {place: {method: [] for method in COLOURS} for place in PLACES}
    for (place, method), of_counts in right.items():
        for number, count in enumerate(counts):
            sent = None
            if place == FILE:
                which = 0 if method == "random" else place_bits(tokens, count)
                sent = spent[method][number] / len(images) + which
            found[place][method].append(Point(count, of_counts[number] / len(images), sent))
    return found


def prune(source: str, weights: Path, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Prune the tokens of a trained network; write `pruning.png` and `pruning.json`, and return what the latter holds.

    Parameters
    ----------
    source : str
        As `transformers_np.data.load` takes it; the pictures held out are asked about.
    weights : Path
        What `tcodec train vit` wrote.
    folder : Path
    quiet : bool
        Whether to show no progress.

    Raises
    ------
    UnsupportedError
        If the network sees no such pictures.
    FormatError
        If weights are those of another network.
    """
    data = load(source)
    model = recipe_for("vit", source, data).model
    assert isinstance(model, Vit)
    parameters = model.init(np.random.default_rng(0))
    state = load_safetensors(weights)
    try:
        load_state_dict(parameters, state)
    except ValueError as error:
        raise FormatError(f"{weights}: {error}") from error
    pixels = data.held_out.images
    with threadpool_limits(1):
        bits = Bits(data.train.images, model.patch)
        images, labels = normaliser(data.train)(pixels), data.held_out.labels
        found = measure(model, parameters, pixels, images, labels, bits, quiet=quiet)
    report = {
        "data": source,
        "pictures": len(pixels),
        "tokens": model.tokens,
        "curves": {
            place: {method: [point._asdict() for point in points] for method, points in of_place.items()}
            for place, of_place in found.items()
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pruning.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(
        found,
        folder / "pruning.png",
        f"ViT on {source.partition(':')[0]}, {len(pixels):,} pictures of {model.tokens} tokens",
    )
    return report


def draw(found: Mapping[str, Mapping[str, Sequence[Point]]], path: Path, title: str) -> None:
    """Draw accuracy over tokens for both places, and over bits for the file."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for method, colour in COLOURS.items():
        style = {"color": colour, "marker": "o", "markersize": 4, "label": method}
        for axes, place in zip(panels, PLACES, strict=False):
            points = found[place][method]
            axes.plot([point.kept for point in points], [100 * point.accuracy for point in points], **style)
        points = found[FILE][method]
        panels[2].plot([point.bits for point in points], [100 * point.accuracy for point in points], **style)
    for axes, place in zip(panels, PLACES, strict=False):
        axes.set(title=f"{place}, over tokens", xlabel="tokens kept")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[2].set(title=f"{FILE}, over bits", xlabel="bits a picture: kept tokens, and which they are")
    for axes in panels:
        axes.set_xlim(0, None)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("right on pictures held out, %")
    panels[0].legend(loc="lower right")
    figure.suptitle(title, parse_math=False)
    figure.savefig(path, dpi=110)


def table(report: Mapping[str, Any]) -> str:
    """Return the report as text: a row for each number of tokens in each place."""
    lines = []
    for place, curves in report["curves"].items():
        lines.append("  ".join([f"kept {place:14}", *(method.rjust(COLUMN) for method in curves)]))
        for row in zip(*curves.values(), strict=True):
            cells = [f"{row[0]['kept']:19}"]
            for point in row:
                bits = "" if point["bits"] is None else f", {point['bits']:,.0f} bits"
                cells.append(f"{100 * point['accuracy']:.2f} %{bits}".rjust(COLUMN))
            lines.append("  ".join(cells))
        lines.append("")
    return "\n".join(lines[:-1])
