"""Training of the token profile's networks, transforms and contexts on a folder of photographs.

    python -m benchmarks.train_tokens photos/ -o transformers_np/assets/tokens.npz

It takes seven minutes on one thread, and 2 GB of memory. All that is drawn at random comes from the seed.

    networks        one for each pass. Luma is coded plainly at random steps, in all eight orientations, and any block
                    may be any pass's: its neighbours are all there. Predictions are fitted by least squares of the
                    arcsinh of coefficients in steps; expected errors by the bits that a geometric distribution of that
                    mean takes. A photograph at a step counts by how little there is in it, since rates are compared by
                    their ratio
    transforms      of what the networks miss by (`transformers_np.token_transforms`)
    contexts        as in `benchmarks.train_main`, of what is coded pass by pass with networks and transforms
    restoration     a network that is shown blocks as they are decoded, and learns what they were, by least squares
    loop filter     as in `benchmarks.train_main`, of what restoration leaves
    tables          at the end counted again, twice, in what an encoder codes that weighs bits
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.train_main import (
    LEAST_AC,
    SAMPLE,
    Filtered,
    Item,
    ac_frequencies,
    dc_frequencies,
    fit_dc,
    fit_filter,
    fit_weights,
    misses,
)
from benchmarks.train_main import quantise as to_frequencies
from bitstreams.rans import Tables
from codec import blocks as grids
from codec import color, contexts, dc_pyramid, dct, lapped
from codec.context_strip import CodedPlane, Plane
from codec.contexts import CONTEXTS, ESCAPE, LAST, Surroundings, to_phases
from codec.files import pictures_in, read_picture
from codec.origin import corpus_hash
from codec.scan import ZIGZAG
from codec.strip_encoder import Wanted
from codec.trained import PlaneModel, Trained, trained
from transformers_np import token_strip, token_transforms
from transformers_np.ops import linear, linear_backward, relu, relu_backward
from transformers_np.optim import AdamW, clip_gradients, cosine, flatten, gather
from transformers_np.runs import DivergedError
from transformers_np.token_contexts import ERRORS, PASSES, Magnitudes, Pass, PassWeights, cells_of, source_sizes
from transformers_np.token_model import Learned, to_arrays
from transformers_np.token_network import (
    ALL_AROUND,
    AROUND,
    FRACTION,
    IN_UNIT,
    OUT_UNIT,
    RING,
    Network,
    compand,
    input_size,
    quantise,
    step_input,
)
from transformers_np.token_profile import Tokens
from transformers_np.token_strip import Blocks, TokenEncoder, TokenModel, Uses, code_tokens, to_samples
from transformers_np.token_transforms import Transforms

__all__ = ["main", "train"]

Floats = NDArray[np.float32]

SEED = 1
STEPS = (4.0, 110.0)  # of luma, in gray levels: for networks
LADDER = (5, 8, 13, 21, 34, 56, 90)  # for transforms and contexts
DEADZONE = np.float32(0.37)  # about what an encoder that weighs bits comes to
WIDTHS = (128, 256, 256, 256, 256)  # hidden units: of each pass, and of restoration
BATCH = 1024
SHARES, RATES, WARMUP = (0.7, 0.3), (1e-3, 5e-4), 200
DECAY = 0.02
CLIP = 50.0
BIT = np.float32(0.17)  # what a nat of an error's code is worth beside a squared error
LOGS = (-6.5, 4.5)  # of expected errors, to the base 2
FURTHEST = np.float32(2)  # steps that restoration may be off
SAMPLES = 20_000  # blocks that scales are measured on
REFITS, WIDE = 2, (3, 5, 8, 13, 21, 34, 56, 90, 150)
TYPICAL = 1e5  # bits of a picture
WEIGHT = 0.12  # lambda of the choice of transforms, in squared steps a bit, as in the main profile
PICTURES_OF_WAVES = np.kron(dct.basis(8), dct.basis(8))[ZIGZAG].astype(np.float32)
TRANSFORMS, ROUNDS = 6, 12
SPARSE = 0.7  # steps below which a coefficient is not coded
ACTIVE = 1.5  # squared steps of a block that is worth a transform
BLOCKS = 120_000  # that transforms are fitted to


# Blocks to train networks on --------------------------------------------------------------------------------------


class Pool(NamedTuple):
    """Blocks to train on: those of all pictures, one after another, with a margin of 2 around each picture.

    Attributes
    ----------
    decoded : (B, 64) int16 array
        In 1/16 of a step, zigzag order.
    seen : (B, 63) int8 array
        The same as networks see it.
    wanted : (B, 64) float16 array
        Coefficients in steps.
    places, pitches : (N,) int64 arrays
        Which of them are no margin; how far it is to the block below.
    steps, weights : (N,) float32 arrays
        What networks are told of the step; how much the block counts.
    """

    decoded: NDArray[np.int16]
    seen: NDArray[np.int8]
    wanted: NDArray[np.float16]
    places: NDArray[np.int64]
    pitches: NDArray[np.int64]
    steps: Floats
    weights: Floats


Decode = Callable[[Floats, int], Floats]  # (64, rows, columns) in steps to (rows, columns, 64) in 1/16, zigzag


def plainly(cells: Floats, step: int) -> Floats:
    """Quantise coefficients without networks."""
    levels = np.copysign(np.floor(np.abs(cells) + DEADZONE), cells)
    levels[0] = np.rint(cells[0])
    return np.moveaxis(FRACTION * levels[ZIGZAG], 0, -1)


def transform(plane: Floats, step: int) -> Floats:
    """Return coefficients in steps: (64, rows, columns), frequencies in raster order."""
    sizes = np.full((plane.shape[0] // 8, plane.shape[1] // 8), 8, np.uint8)
    return lapped.forward(plane, sizes, lapped.Steps(step, lapped.no_lapping()))


def turned(plane: Floats, way: int) -> Floats:
    """Turn or mirror a plane in one of eight ways."""
    plane = plane.T if way & 4 else plane
    return plane[:: -1 if way & 2 else 1, :: -1 if way & 1 else 1]


def make_pool(planes: Sequence[Floats], rng: np.random.Generator, decode: Decode = plainly, ways: int = 8) -> Pool:
    """Code planes at random steps, turned in some ways, cut at random."""
    parts: list[tuple[NDArray[Any], ...]] = []
    begin = 0
    for plane in tqdm(planes, desc="blocks", leave=False, file=sys.stderr):
        for way in rng.permutation(8)[:ways]:
            down, right = rng.integers(0, 8, 2)
            cut = turned(plane, int(way))[down:, right:]
            cut = np.ascontiguousarray(cut[: cut.shape[0] // 32 * 32, : cut.shape[1] // 32 * 32])
            step = round(lapped.COEFFICIENT_UNIT * float(np.exp(rng.uniform(*np.log(STEPS)))))
            cells = transform(cut, step)
            rows, columns = cells.shape[1:]
            decoded = decode(cells, step)
            wide = np.pad(decoded, ((2, 2), (2, 2), (0, 0)))
            wide[..., 0] = np.pad(decoded[..., 0], 2, mode="edge")
            wanted = np.pad(np.moveaxis(cells[ZIGZAG], 0, -1), ((2, 2), (2, 2), (0, 0)))
            pitch = columns + 4
            inside = (begin + (np.arange(rows)[:, None] + 2) * pitch + np.arange(columns) + 2).ravel()
            begin += (rows + 4) * pitch
            weight = 5 / (1 + np.log1p(np.square(cells[1:]) / 0.4).sum(axis=0).mean())
            parts.append(
                (
                    wide.astype(np.int16).reshape(-1, 64),
                    compand(wide[..., 1:]).astype(np.int8).reshape(-1, 63),
                    wanted.astype(np.float16).reshape(-1, 64),
                    inside,
                    np.full(inside.size, pitch),
                    np.full(inside.size, step_input(step), np.float32),
                    np.full(inside.size, weight, np.float32),
                )
            )
    return Pool(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def around(stage: int) -> Sequence[tuple[int, int]]:
    """Return which blocks a network sees: that of a pass, or after all passes that of restoration."""
    return AROUND[stage] if stage < PASSES else ALL_AROUND


def batch_of(pool: Pool, pick: NDArray[np.integer], stage: int) -> tuple[Floats, Floats]:
    """Return what a network sees of blocks, and what it should answer."""
    place, pitch = pool.places[pick], pool.pitches[pick]
    inputs = np.empty((pick.size, input_size(around(stage))), np.float32)
    for i, (down, right) in enumerate(around(stage)):
        inputs[:, 63 * i : 63 * (i + 1)] = pool.seen[place + down * pitch + right]
    own = pool.decoded[place, 0].astype(np.float32)
    ring = np.stack([pool.decoded[place + down * pitch + right, 0] - own for down, right in RING])
    inputs[:, -len(RING) - 1 : -1] = compand(ring).T
    inputs[:, -1] = pool.steps[pick]
    wanted = pool.wanted[place].astype(np.float32)
    if stage < PASSES:
        return inputs, wanted[:, 1:]
    return inputs, np.clip(wanted - pool.decoded[place] / np.float32(FRACTION), -FURTHEST, FURTHEST)


# Networks in floats -----------------------------------------------------------------------------------------------


def initial(sizes: Sequence[int], rng: np.random.Generator) -> dict[str, Floats]:
    """Draw the parameters of a network (He et al., 2015); the last layer begins near 0."""
    found: dict[str, Floats] = {}
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        scale = np.sqrt(2 / before) if i < len(sizes) - 2 else 0.2 / np.sqrt(before)
        found[f"{i}.weight"] = (scale * rng.standard_normal((after, before))).astype(np.float32)
        found[f"{i}.bias"] = np.zeros(after, np.float32)
    return found


def forward(parameters: Mapping[str, Floats], x: Floats) -> tuple[Floats, list[Any]]:
    """Return outputs, and what `backward` needs."""
    caches: list[Any] = []
    layers = len(parameters) // 2
    for i in range(layers):
        x, cache = linear(x, parameters[f"{i}.weight"], parameters[f"{i}.bias"])
        caches.append(cache)
        if i < layers - 1:
            x, cache = relu(x)
            caches.append(cache)
    return x, caches


def backward(dy: Floats, caches: Sequence[Any]) -> dict[str, Floats]:
    """Return the gradients of all parameters."""
    found: dict[str, Floats] = {}
    for i in range(len(caches) // 2, -1, -1):
        dy, found[f"{i}.weight"], found[f"{i}.bias"] = linear_backward(dy, caches[2 * i])
        if i:
            dy = relu_backward(dy, caches[2 * i - 1])
    return found


def prediction_loss(out: Floats, wanted: Floats, weight: Floats) -> tuple[float, Floats]:
    """Return the loss of values and expected errors (N, 126), a block, and its gradient."""
    values, logs = out[:, :63], np.clip(out[:, 63:], *LOGS)
    off = values - np.arcsinh(wanted)
    missed = np.abs(np.sinh(np.clip(values, -6.5, 6.5)) - wanted)
    levels = np.minimum(np.floor(missed + DEADZONE), ESCAPE)
    mean = np.exp2(logs)
    nats = (levels + 1) * np.log1p(mean) - levels * logs * np.float32(np.log(2))
    dout = np.empty_like(out)
    dout[:, :63] = 2 * off
    slope = BIT * np.float32(np.log(2)) * (mean - levels) / (1 + mean)
    # Beyond the limits nothing more is to be gained, and a pull outwards would never end.
    outwards = np.where(out[:, 63:] < LOGS[0], slope > 0, (out[:, 63:] > LOGS[1]) & (slope < 0))
    dout[:, 63:] = np.where(outwards, np.float32(0), slope)
    dout *= weight[:, None] / np.float32(len(out))
    loss = np.square(off).sum(axis=1) + BIT * nats.sum(axis=1)
    return float((weight * loss).mean()), dout


def restoration_loss(out: Floats, wanted: Floats, weight: Floats) -> tuple[float, Floats]:
    """Return the squared error of corrections (N, 64), a block, and its gradient."""
    off = out - wanted
    return float((weight * np.square(off).sum(axis=1)).mean()), 2 * off * (weight[:, None] / np.float32(len(out)))


def output_scales(pool: Pool, stage: int) -> Floats:
    """Return how large each output is wont to be, so that all of them learn at the same pace."""
    _, wanted = batch_of(pool, np.random.default_rng(0).integers(0, pool.places.size, SAMPLES), stage)
    if stage < PASSES:
        return np.concatenate([np.abs(np.arcsinh(wanted)).mean(axis=0), np.ones(63)]).astype(np.float32)
    return (np.sqrt(np.square(wanted).mean(axis=0)) / 2).astype(np.float32)


def fit(
    pool: Pool,
    stage: int,
    parameters: Mapping[str, Floats],
    scales: Floats,
    steps: int,
    rate: float,
    rng: np.random.Generator,
    log: Callable[[str], None],
) -> tuple[dict[str, Floats], Network]:
    """Train the network of a pass, or of restoration, from some parameters on; return new ones, and whole numbers."""
    vector, views = flatten(parameters)
    gradient, slots = flatten(parameters)
    optimiser = AdamW(vector, views, betas=(0.9, 0.99), weight_decay=DECAY)
    find_loss = prediction_loss if stage < PASSES else restoration_loss
    mean = 0.0
    for step in tqdm(range(steps), desc=f"network {stage}", leave=False, file=sys.stderr, mininterval=5):
        pick = rng.integers(0, pool.places.size, BATCH)
        inputs, wanted = batch_of(pool, pick, stage)
        out, caches = forward(views, inputs / np.float32(IN_UNIT))
        loss, dout = find_loss(out * scales, wanted, pool.weights[pick])
        gather(backward(dout * scales, caches), slots)
        if not math.isfinite(clip_gradients(gradient, CLIP)):
            raise DivergedError(f"network {stage}, step {step}: the gradient is not finite")
        optimiser.step(gradient, cosine(step, steps, rate, min(WARMUP, steps // 4)))
        mean += (loss - mean) / min(step + 1, 200)
    log(f"network {stage}: loss {mean:.4f}")
    sample, _ = batch_of(pool, rng.integers(0, pool.places.size, SAMPLES), stage)
    units, offsets = np.full(64, FRACTION, np.float32), np.zeros(64, np.float32)
    if stage < PASSES:
        units = np.repeat(np.array([OUT_UNIT, 4], np.float32), 63)
        offsets = np.repeat(np.array([0, 24], np.float32), 63)
    return {name: view.copy() for name, view in views.items()}, quantise(views, units * scales, offsets, sample)


def draw(stage: int, width: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Draw the parameters of the network of a pass, or of restoration."""
    return initial([input_size(around(stage)), width, width, 126 if stage < PASSES else 64], rng)


# What comes after the networks of the passes ----------------------------------------------------------------------


class Coded(NamedTuple):
    """A plane coded for training.

    Attributes
    ----------
    magnitudes : Magnitudes
    errors : (4, 63, N) float64 array
        Expected, after transforms.
    contexts, choices : (4, N) integer arrays
        Of transforms.
    rests : (4, 63, N) float32 array
        What predictions missed, in steps, before transforms.
    dc : (rows, columns) int32 array
    blocks : Blocks
    """

    magnitudes: Magnitudes
    errors: NDArray[np.float64]
    contexts: NDArray[np.int32]
    choices: NDArray[np.uint8]
    rests: Floats
    dc: NDArray[np.int32]
    blocks: Blocks


def code_roughly(cells: Floats, step: int, networks: Sequence[Network], transforms: Transforms) -> Coded:
    """Code coefficients in steps (64, rows, columns), rounding levels with a deadzone."""
    rows, columns = cells.shape[1:]
    dc = np.rint(cells[0]).astype(np.int32)
    blocks, magnitudes = Blocks(dc, step), Magnitudes(rows, columns)
    rests = to_phases(cells[ZIGZAG[1:]])
    errors = np.zeros(rests.shape)
    choices = np.zeros((PASSES, magnitudes.places), np.uint8)
    found = np.zeros((PASSES, magnitudes.places), np.int32)
    for number in range(PASSES):
        values, logs = blocks.predict(networks[number], number)
        rests[number] -= values / np.float32(FRACTION)
        errors[number] = ERRORS.take(logs.astype(np.intp))
        found[number] = transforms.find_contexts(errors[number])
        choices[number], rest = transforms.choose(rests[number], found[number], WEIGHT)
        errors[number] = transforms.spread(errors[number], choices[number])
        levels = np.copysign(np.floor(np.abs(rest) + DEADZONE), rest)
        magnitudes.at(number)[...] = np.minimum(np.abs(levels), ESCAPE)
        blocks.put(number, values + transforms.inverse(levels, choices[number]))
    return Coded(magnitudes, errors, found, choices, rests, dc, blocks)


def code_all(planes: Sequence[Floats], networks: Sequence[Network], transforms: Transforms) -> list[Coded]:
    """Code planes at the steps of `ladder`."""
    return [
        code_roughly(transform(plane, step), step, networks, transforms)
        for plane, step in tqdm(ladder(planes), desc="coding", leave=False, file=sys.stderr)
    ]


def ladder(planes: Sequence[Floats]) -> list[tuple[Floats, int]]:
    """Return each plane with each of its steps, in 1/64: in turn the even and the odd ones of the ladder."""
    return [(plane, lapped.COEFFICIENT_UNIT * step) for i, plane in enumerate(planes) for step in LADDER[i % 2 :: 2]]


def fit_matrices(blocks: Floats, number: int, log: Callable[[str], None]) -> NDArray[np.float64]:
    """Fit sparse orthonormal transforms to blocks (N, 63) in steps; the first is the identity.

    Each of the others begins with the principal components of blocks whose gradients point its way.
    """
    samples = (np.concatenate([np.zeros((len(blocks), 1), np.float32), blocks], axis=1) @ PICTURES_OF_WAVES).reshape(
        -1, 8, 8
    )
    across, down = samples[:, :-1, 1:] - samples[:, :-1, :-1], samples[:, 1:, :-1] - samples[:, :-1, :-1]
    one, two, both = (np.einsum("nij,nij->n", *pair) for pair in ((across, across), (down, down), (across, down)))
    angle = 0.5 * np.arctan2(2 * both, one - two) % np.pi
    coherent = np.hypot(one - two, 2 * both) > 0.4 * (one + two)
    found = [np.eye(63)]
    sector = np.pi / max(number - 1, 1)
    for k in range(number - 1):
        far = np.abs((angle - (k + 0.5) * sector + np.pi / 2) % np.pi - np.pi / 2)
        chosen = blocks[coherent & (far < sector / 2)].astype(np.float64)
        _, vectors = np.linalg.eigh(chosen.T @ chosen / max(len(chosen), 1) + 1e-3 * np.eye(63))
        found.append(vectors[:, ::-1].T)
    for turn in range(ROUNDS):
        limit = SPARSE * (2.2 - 1.2 * min(1.0, turn / (ROUNDS - 3)))  # few strong coefficients first
        costs = np.stack([_sparsity(blocks, matrix, limit) for matrix in found])
        choice = costs.argmin(axis=0)
        for k in range(1, number):
            chosen = blocks[choice == k].astype(np.float64)
            kept = chosen @ found[k].T
            kept[np.abs(kept) < limit] = 0
            u, _, v = np.linalg.svd(kept.T @ chosen)
            found[k] = u @ v
    log(f"transforms: cost {costs.min(axis=0).mean():.3f}, of the first alone {costs[0].mean():.3f}")
    for k in range(1, number):  # strong coefficients first, as low frequencies are
        strength = np.square(blocks[choice == k] @ found[k].T).sum(axis=0)
        found[k] = found[k][np.argsort(-strength)]
    return np.asarray(np.rint(np.stack(found) * token_transforms.UNIT) / token_transforms.UNIT)


def _sparsity(blocks: Floats, matrix: NDArray[np.float64], limit: float) -> Floats:
    turned = blocks @ matrix.T.astype(np.float32)
    return np.minimum(np.square(turned), np.float32(limit * limit)).sum(axis=1)


def fit_transforms(
    planes: Sequence[Floats],
    networks: Sequence[Network],
    number: int,
    rng: np.random.Generator,
    log: Callable[[str], None],
) -> Transforms:
    """Fit transforms, and how often each is chosen in which context."""
    rests = []
    for each in code_all(planes, networks, no_transforms()):
        of_plane = np.moveaxis(each.rests, 1, 2).reshape(-1, 63)
        rests.append(of_plane[np.minimum(np.square(of_plane), SPARSE**2).sum(axis=1) > ACTIVE])
    blocks = np.concatenate(rests)
    matrices = fit_matrices(blocks[rng.permutation(len(blocks))[:BLOCKS]], number, log)
    counts = np.ones((token_transforms.CONTEXTS, number))
    counts[:, 0] += 2 * number
    for _ in range(2):
        transforms = Transforms(matrices, Tables(to_frequencies(counts)))
        counts = np.full(counts.shape, 0.5)
        for each in code_all(planes[::2], networks, transforms):
            there = ~each.magnitudes.beyond
            index = number * each.contexts[:, there] + each.choices[:, there]
            counts += np.bincount(index.ravel(), minlength=counts.size).reshape(counts.shape)
    shares = ", ".join(f"{share:.3f}" for share in counts.sum(axis=0) / counts.sum())
    log(f"transforms: chosen in shares of {shares}")
    return Transforms(matrices, Tables(to_frequencies(counts)))


def no_transforms() -> Transforms:
    """Return no transform but the identity."""
    return Transforms(np.eye(63)[None], Tables(to_frequencies(np.ones((token_transforms.CONTEXTS, 1)))))


def fit_contexts(
    coded: Sequence[Coded], rng: np.random.Generator
) -> tuple[list[list[PassWeights]], NDArray[np.float64]]:
    """Fit the weights of expectations, and count symbols in contexts."""
    counts = np.zeros((contexts.CONTEXTS, dc_pyramid.SYMBOLS))
    share = SAMPLE / sum(each.errors.shape[2] for each in coded)
    found: list[list[PassWeights]] = []
    for number in tqdm(range(PASSES), desc="contexts", leave=False, file=sys.stderr):
        passes = [Pass(each.magnitudes, number, each.errors[number]) for each in coded]
        for here in passes:
            here.recall()
        found.append([])
        for d in range(1, LAST + 1):
            weights = _fit_diagonal(coded, passes, number, d, share, rng)
            found[-1].append(weights)
            for each, here in zip(coded, passes, strict=True):
                expected = here.expect(weights, d).reshape(-1)
                places = np.flatnonzero(expected)
                index = contexts.find_contexts(expected.take(places), d) * dc_pyramid.SYMBOLS
                index += each.magnitudes.at(number, cells=cells_of(d)).ravel().take(places).astype(np.int32)
                counts += np.bincount(index, minlength=counts.size).reshape(counts.shape)
    return found, counts


def _fit_diagonal(
    coded: Sequence[Coded], passes: Sequence[Pass], number: int, d: int, share: float, rng: np.random.Generator
) -> PassWeights:
    """Fit the weights of a diagonal in a pass to a share of the blocks."""
    parts = []
    for each, here in zip(coded, passes, strict=True):
        pick = np.flatnonzero((rng.random(each.errors.shape[2]) < share) & ~each.magnitudes.beyond)
        told = np.concatenate([source[:, pick] for source in here.sources(d)])
        errors = here.errors(d)[:, pick].astype(np.float32)
        parts.append((told, errors, each.magnitudes.at(number, cells=cells_of(d))[:, pick]))
    told, errors, target = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    one = np.ones((1, told.shape[1]), np.float32)
    fitted = np.stack(
        [
            fit_weights(np.concatenate([told, errors[cell : cell + 1], one]), target[cell], LEAST_AC)
            for cell in range(len(target))
        ]
    )
    ends = np.cumsum(source_sizes(number, d))
    *sources, error, constant = np.split(fitted, [*ends, ends[-1] + 1], axis=1)
    single = [np.ascontiguousarray(source, np.float32) for source in sources]
    return PassWeights(single, error, constant.astype(np.float32))


class _Watched(TokenEncoder):
    """An encoder that keeps what it codes.

    Attributes
    ----------
    of_dc, of_choices : lists of (contexts, symbols)
    of_ac : list of (diagonal, contexts, symbols)
    """

    def __init__(self, plane: Plane, wanted: Wanted, tables: Trained) -> None:
        super().__init__(plane, wanted, tables)
        self.of_dc: list[tuple[NDArray[np.integer], NDArray[np.integer]]] = []
        self.of_choices: list[tuple[NDArray[np.integer], NDArray[np.integer]]] = []
        self.of_ac: list[tuple[int, NDArray[np.integer], NDArray[np.integer]]] = []

    def dc(
        self, contexts: NDArray[np.int32], predicted: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        difference = super().dc(contexts, predicted, places)
        self.of_dc.append((contexts, dc_pyramid.classify(np.abs(difference))))
        return difference

    def choices(
        self, number: int, transforms: Transforms, contexts: NDArray[np.int32], places: NDArray[np.intp]
    ) -> NDArray[np.integer]:
        found = super().choices(number, transforms, contexts, places)
        self.of_choices.append((contexts, found))
        return found

    def ac(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        symbols = super().ac(d, phase, places, contexts)
        self.of_ac.append((d, contexts % np.int32(CONTEXTS), symbols))
        return symbols


def refit_tables(planes: Sequence[Floats], before: Learned) -> Learned:
    """Code planes as an encoder does that weighs bits, and count again what is coded."""
    number = len(before.model.transforms.matrices)
    dc, ac = np.zeros((dc_pyramid.CONTEXTS, dc_pyramid.SYMBOLS)), np.zeros((CONTEXTS, dc_pyramid.SYMBOLS))
    choices = np.full((token_transforms.CONTEXTS, number), 0.5)

    def count(
        counts: NDArray[np.float64], found: NDArray[np.integer], symbols: NDArray[np.integer], weight: float
    ) -> None:
        index = found.astype(np.intp) * counts.shape[1] + symbols
        counts += weight * np.bincount(index, minlength=counts.size).reshape(counts.shape)

    jobs = [(plane, lapped.COEFFICIENT_UNIT * step) for i, plane in enumerate(planes) for step in WIDE[i % 3 :: 3]]
    for samples, step in tqdm(jobs, desc="counting", leave=False, file=sys.stderr):
        stages = Tokens(1, False, step, tables=before)
        (plane,) = stages.planes(*samples.shape)
        wanted, _ = stages.main.want(plane, samples, stages.main.steps[0], [], samples)
        coder = _Watched(plane, wanted._replace(weight=token_strip.WEIGHT), before.plain)
        last = code_tokens(coder, plane, before.model, step, Uses(predicted=True, switched=True)).coded.last
        weight = TYPICAL / (coder.rans.bits + TYPICAL / 20)  # rates are compared by their ratio
        for pair in coder.of_dc:
            count(dc, *pair, weight)
        for pair in coder.of_choices:
            count(choices, *pair, weight)
        for d, contexts_of, symbols in coder.of_ac:
            if d <= last:
                count(ac, contexts_of, symbols, weight)
    tables = Tables(np.concatenate([dc_frequencies(dc), ac_frequencies(ac)]))
    transforms = Transforms(before.model.transforms.matrices, Tables(to_frequencies(choices)))
    return before._replace(
        luma=dataclasses.replace(before.luma, tables=tables), model=before.model._replace(transforms=transforms)
    )


def _item(coded: Coded) -> Item:
    """Return what the weights of DC are fitted to."""
    rows, columns = coded.dc.shape
    missed, none = misses(coded.dc.astype(np.float64)), np.zeros(coded.dc.size)
    plane = CodedPlane(np.full(coded.dc.shape, 8, np.uint8), coded.dc, np.zeros(0, np.float32), LAST, missed)
    return Item(plane, Surroundings(rows, columns, np.zeros(0, np.float32)), missed, none)


def train(
    photos: Sequence[NDArray[np.uint8]],
    seed: int = SEED,
    steps: int = 4000,
    widths: Sequence[int] = WIDTHS,
    transforms: int = TRANSFORMS,
    log: Callable[[str], None] = print,
) -> Learned:
    """Train all there is on (H, W, 3) uint8 photographs, with so many steps for each network."""
    rng = np.random.default_rng(seed)
    planes = [color.luma_chroma(photo)[0] for photo in photos]
    whole = [grids.pad(plane, 32) for plane in planes]
    parameters = [draw(stage, width, rng) for stage, width in enumerate(widths)]
    networks: list[Network] = []
    # First on blocks that are coded without networks, then on what these make of them.
    for share, rate in zip(SHARES, RATES, strict=True):
        known = tuple(networks)

        def decode(cells: Floats, step: int, known: Sequence[Network] = known) -> Floats:
            return code_roughly(cells, step, known, no_transforms()).blocks.coefficients

        pool = make_pool(planes, rng, decode if known else plainly)
        if not known:
            scales = [output_scales(pool, stage) for stage in range(PASSES)]
        networks.clear()
        for stage in range(PASSES):
            parameters[stage], network = fit(
                pool, stage, parameters[stage], scales[stage], round(share * steps), rate, rng, log
            )
            networks.append(network)
    switched = fit_transforms(whole, networks, transforms, rng, log)
    coded = code_all(whole, networks, switched)
    weights, counts = fit_contexts(coded, rng)
    dc, dc_counts = fit_dc([_item(each) for each in coded])
    tables = Tables(np.concatenate([dc_frequencies(dc_counts), ac_frequencies(counts)]))
    del coded

    def decode_all(cells: Floats, step: int) -> Floats:
        return code_roughly(cells, step, networks, switched).blocks.coefficients

    pool = make_pool(planes, rng, decode_all)
    _, restoration = fit(pool, PASSES, parameters[PASSES], output_scales(pool, PASSES), steps, RATES[0], rng, log)
    model = TokenModel(networks, restoration, weights, switched)
    pairs = []
    for plane, step in ladder(whole):
        blocks = code_roughly(transform(plane, step), step, networks, switched).blocks
        decoded = to_samples(blocks.restored(restoration), step)
        pairs.append(Filtered(plane, decoded, step))
    made = Learned(model, PlaneModel(dc, [], tables, {"psnr": fit_filter(pairs)}), trained(), {})
    for _ in range(REFITS):
        made = refit_tables(whole, made)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a folder, and write the file."""
    parser = argparse.ArgumentParser(description="Train what the token profile knows on a folder of photographs.")
    parser.add_argument("photos", type=Path, help="a folder of pictures; gray ones are passed over")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="NAME", help="files not to train on")
    parser.add_argument("--seed", type=int, default=SEED, help="for what is drawn (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4000, help="for each network (default: %(default)s)")
    args = parser.parse_args(arguments)
    paths = [path for path in pictures_in(args.photos) if path.name not in args.leave_out]
    pictures = {path: read_picture(path).pixels for path in paths}
    photos = {path: pixels[..., :3] for path, pixels in pictures.items() if pixels.ndim == 3 and pixels.shape[2] >= 3}
    if not photos:
        parser.error(f"no colour photographs in {args.photos}")
    learned = train(list(photos.values()), args.seed, args.steps)
    options = f"--seed {args.seed} --steps {args.steps}"
    options += f" --leave-out {' '.join(args.leave_out)}" if args.leave_out else ""
    origin = {
        "command": f"python -m benchmarks.train_tokens {args.photos.name}/ -o {args.output.name} {options}",
        "seed": args.seed,
        "photos": len(photos),
        "corpus": corpus_hash(photos),
    }
    with args.output.open("wb") as file:
        arrays: dict[str, Any] = to_arrays(learned._replace(origin=origin))
        np.savez_compressed(file, **arrays)
    print(f"{args.output}: {args.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
