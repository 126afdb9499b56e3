"""Training of the main profile's tables (`codec.trained`) on a folder of photographs.

    python -m benchmarks.train_main photos/ -o codec/data/main.npz

It takes a quarter of an hour, a few GB of memory, and scipy. All that is drawn at random, the crops and blocks that
filters and weights are fitted to, comes from the seed: on one machine the same command makes the same file of the same
photographs. On another the last bits of a fit may differ.

First come the filters across edges (`benchmarks.train_lapping`). All else depends on what levels look like, and levels
depend on what they cost: so all photographs are coded with the tables there are, at several steps, for both tunes,
tables are fitted to the result, and this is done again. The first time levels are rounded with a deadzone. At the end
all is coded with a trellis (`codec.trellis`), whose quantisers have tables of their own.

    weights of expectations     least squares without negative weights, so that more around never means less here;
                                weighted by the variance that a magnitude of that expectation has, as far as it is known
    frequencies of symbols      counts in each context, with a little of a geometric distribution of that mean added
    loop filter                 least squares, for each step that has weights; others count for it by their distance
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.train_lapping import CROP, train_lapping
from bitstreams.rans import PRECISION, Tables
from codec import block_sizes, blocks, chroma_from_luma, color, contexts, dc_pyramid, lapped, loop_filter
from codec.context_strip import CodedPlane, Plane, known_before
from codec.contexts import DIAGONALS, ESCAPE, LAST, Surroundings, Weights, slopes, to_phases
from codec.files import pictures_in, read_picture
from codec.lapped import Lapping
from codec.main import EFFORTS, TRIES_SIZES, Main
from codec.origin import corpus_hash
from codec.scan import ZIGZAG
from codec.strip_encoder import DEADZONE, Wanted
from codec.trained import EARLIER, KINDS, LARGEST_WEIGHT, TUNES, UNIT, PlaneModel, Trained, to_arrays, weight_shapes

__all__ = ["fit_tables", "main", "quantise", "train"]

SEED = 1
ROUNDS = 3
TRELLIS_ROUNDS = 2
STEPS = (5, 8, 13, 21, 34, 56, 90)  # of luma, in gray levels
TRELLIS_STEPS = STEPS[::2]
LAPPING_STEPS = (16, 40)
SAMPLE = 60_000  # blocks of a phase that the weights of a kind of plane are fitted to
REWEIGHTINGS = 4
DROPPINGS = 12  # rounds of dropping negative weights
PRIOR = 20  # observations that a context's distribution is presumed to have
LEAST_AC, LEAST_DC = 2.0**-9, 2.0**-6  # expectation where all is 0

Pixels = NDArray[np.uint8]


class Item(NamedTuple):
    """A plane that was coded, and what it is fitted with.

    Attributes
    ----------
    coded : CodedPlane
    around : Surroundings
        With all magnitudes known.
    missed, others : (rows * columns,) float64 arrays
        How far off predictions of DC were, here and in planes before.
    """

    coded: CodedPlane
    around: Surroundings
    missed: NDArray[np.float64]
    others: NDArray[np.float64]


class Filtered(NamedTuple):
    """Samples as they were, and as the transform left them in 1/8; the step in 1/64."""

    wanted: NDArray[np.float32]
    decoded: NDArray[np.float32]
    step: int


def quantise(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turn counts of symbols in contexts into frequencies that sum to 2**12, of at least 1 where there is a count."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    frequencies = np.where(counts > 0, np.maximum(1, np.rint(shares * (1 << PRECISION))), 0).astype(np.int64)
    largest = frequencies.argmax(axis=1)
    frequencies[np.arange(len(frequencies)), largest] += (1 << PRECISION) - frequencies.sum(axis=1)
    return frequencies


def fit_weights(rows: NDArray[np.float32], wanted: NDArray[np.float32], least: float) -> NDArray[np.float64]:
    """Fit weights that are not negative: sum of weights * rows (R, N) to magnitudes (N,); the last row is all 1.

    The variance of a magnitude of expectation E is about E (E + 1), a geometric distribution's.
    """
    expected = np.maximum(rows.mean(axis=0) / 2, 0.02)
    weights = np.zeros(len(rows))
    for _ in range(REWEIGHTINGS):
        scale = (1 / np.sqrt(expected * (expected + 1) + 1e-3)).astype(np.float32)
        scaled = rows * scale
        gram = (scaled @ scaled.T).astype(np.float64)
        gram += np.eye(len(gram)) * (1e-4 * np.trace(gram) / len(gram) + 1e-2)
        right = (scaled @ (wanted * scale)).astype(np.float64)
        active = np.ones(len(right), np.bool_)
        for _ in range(DROPPINGS):
            weights = np.zeros(len(right))
            weights[active] = np.linalg.solve(gram[np.ix_(active, active)], right[active])
            if (weights >= 0).all():
                break
            active &= weights > 0
        weights = np.clip(np.rint(weights * UNIT), 0, LARGEST_WEIGHT) / UNIT
        weights[-1] = max(weights[-1], least)
        expected = np.maximum(weights.astype(np.float32) @ rows, 2e-3)
    return weights


def fit_ac(items: Sequence[Item], earlier: int, rng: np.random.Generator) -> tuple[list[Weights], NDArray[np.float64]]:
    """Fit the weights of a kind of plane; return them, and counts of symbols in contexts."""
    counts = np.zeros((contexts.CONTEXTS, dc_pyramid.SYMBOLS))
    share = SAMPLE / sum(item.coded.magnitudes.shape[2] for item in items)
    made = []
    for d in range(1, LAST + 1):
        cells = slice(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)
        weights = Weights(*(np.zeros(shape, np.float32) for shape in weight_shapes(d, earlier)))
        for phase in range(4):
            for item in items:
                item.around.recall(d)
            _fit_step(weights, items, d, phase, share, rng)
            for item in items:
                expected = item.around.expect(weights, d, phase)
                places = np.flatnonzero(expected)
                found = contexts.find_contexts(expected.reshape(-1).take(places), d)
                symbols = item.coded.magnitudes[phase, cells].reshape(-1).take(places).astype(np.intp)
                index = found * dc_pyramid.SYMBOLS + symbols
                counts += np.bincount(index, minlength=counts.size).reshape(counts.shape)
        made.append(weights)
    return made, counts


def _fit_step(
    weights: Weights, items: Sequence[Item], d: int, phase: int, share: float, rng: np.random.Generator
) -> None:
    """Fit the weights of a diagonal in a phase, in place, to a share of the blocks."""
    cells = slice(DIAGONALS[d].start - 1, DIAGONALS[d].stop - 1)
    shared, beside, targets = [], [], []
    for item in items:
        pick = np.flatnonzero(rng.random(item.coded.magnitudes.shape[2]) < share)
        window = item.around.window(d, phase)[:, pick] if d > 1 else np.zeros((0, pick.size), np.float32)
        steep = item.around.steep(phase)[:, pick] if d <= contexts.SLOPES else window[:0]
        shared.append(np.concatenate([window, steep]))
        beside.append([known[:, pick] if known.ndim else known for known in item.around.beside(d, phase)])
        targets.append(item.coded.magnitudes[phase, cells][:, pick])
    rows, target = np.concatenate(shared, axis=1), np.concatenate(targets, axis=1)
    there = [source for source, known in enumerate(beside[0]) if known.ndim]
    one = np.ones((1, rows.shape[1]), np.float32)
    windows = weights.window.shape[2]
    for cell in range(len(target)):
        own = [np.concatenate([of_item[source][cell] for of_item in beside])[None] for source in there]
        fitted = fit_weights(np.concatenate([rows, *own, one]), target[cell], LEAST_AC)
        weights.window[phase, cell] = fitted[:windows]
        weights.slopes[phase, cell, : len(rows) - windows] = fitted[windows : len(rows)]
        weights.beside[phase, cell, there] = fitted[len(rows) : -1]
        weights.constant[phase, cell] = fitted[-1]


def fit_dc(items: Sequence[Item]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the weights of a kind of plane's DC; return them, and counts of symbols in contexts."""
    steps: list[list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = [[] for _ in range(dc_pyramid.GROUPS)]
    for item in items:
        levels = item.coded.dc.astype(np.float64).ravel()
        rows, columns = item.coded.dc.shape
        for step in dc_pyramid.walk(rows, columns):
            known = levels.take(step.around)
            told = dc_pyramid.features(
                known, item.missed.take(step.around[:8]), dc_pyramid.predict(known), item.others.take(step.places)
            )
            steps[step.group].append((told, item.missed.take(step.places)))
    weights = np.zeros((dc_pyramid.GROUPS, dc_pyramid.FEATURES))
    counts = np.zeros((dc_pyramid.CONTEXTS, dc_pyramid.SYMBOLS))
    for group, of_group in enumerate(steps):
        told, missed = (np.concatenate(parts, axis=-1) for parts in zip(*of_group, strict=True))
        weights[group] = fit_weights(told.astype(np.float32), missed.astype(np.float32), LEAST_DC)
        index = dc_pyramid.find_contexts(weights[group] @ told) * dc_pyramid.SYMBOLS
        index += dc_pyramid.classify(missed.astype(np.int64))
        counts += np.bincount(index, minlength=counts.size).reshape(counts.shape)
    return weights, counts


def _with_prior(counts: NDArray[np.float64], middles: NDArray[np.float64], starts: Sequence[int]) -> NDArray[np.int64]:
    """Add geometric distributions of the contexts' means to counts; symbols begin at `starts`, the last has no end."""
    tail = (middles / (1 + middles))[:, None] ** np.array([*starts, np.inf])
    return quantise(counts + PRIOR * (tail[:, :-1] - tail[:, 1:]) + 1e-3)


def dc_frequencies(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the frequencies of DC symbols from their counts."""
    middles = 2.0 ** ((np.arange(dc_pyramid.CONTEXTS) + 0.5) / 4 - 6)
    extra = dc_pyramid.extra_bits(range(dc_pyramid.SYMBOLS)).tolist()
    starts = [0, 1, 2, 3, *((2 | symbol & 1) << extra[symbol] for symbol in range(4, dc_pyramid.SYMBOLS))]
    return _with_prior(counts, middles, starts)


def ac_frequencies(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the frequencies of all other symbols from their counts."""
    middles = np.tile(2.0 ** ((np.arange(contexts.BINS) - 0.5) / 4 - 6), len(contexts.BANDS))
    frequencies = np.zeros(counts.shape, np.int64)
    frequencies[:, : contexts.SYMBOLS] = _with_prior(counts[:, : contexts.SYMBOLS], middles, range(contexts.SYMBOLS))
    return frequencies


class Counter:
    """Counts what is coded, in place of a coder; each symbol has been there once already."""

    def __init__(self, contexts: int, symbols: int) -> None:
        self.counts = np.ones((contexts, symbols))

    def code(self, found: NDArray[np.integer], symbols: NDArray[np.integer] | None) -> NDArray[np.integer]:
        """Count symbols in contexts."""
        assert symbols is not None
        index = self.counts.shape[1] * found.astype(np.intp) + symbols
        self.counts += np.bincount(index, minlength=self.counts.size).reshape(self.counts.shape)
        return symbols


def fit_sizes(maps: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Return the frequencies of decisions about block sizes."""
    counter = Counter(block_sizes.CONTEXTS, 2)
    for sizes in maps:
        block_sizes.code_sizes(counter.code, sizes.shape[0], sizes.shape[1], sizes)
    return quantise(counter.counts)


def fit_slopes(maps: Sequence[NDArray[np.int8]]) -> NDArray[np.int64]:
    """Return the frequencies of differences of slopes."""
    counter = Counter(1, chroma_from_luma.SYMBOLS)
    for along in maps:
        chroma_from_luma.code_slopes(counter.code, along.shape[0], along.shape[1], along)
    return quantise(counter.counts)


def fit_filter(pairs: Sequence[Filtered]) -> NDArray[np.int64]:
    """Fit the loop filter: (knots, taps, limits) weights in 1/256."""
    taps, limits = len(loop_filter.TAPS), len(loop_filter.LIMITS)
    knots = loop_filter.FIRST_KNOT * 2.0 ** np.arange(loop_filter.KNOTS)
    grams, rights = np.zeros((knots.size, taps * limits, taps * limits)), np.zeros((knots.size, taps * limits))
    for wanted, decoded, step in pairs:
        samples = loop_filter.normalise(decoded, step)
        difference = np.empty(samples.size, np.int16)
        columns = np.zeros((taps, limits, samples.size), np.float32)
        for of_tap, tap in zip(columns, loop_filter.TAPS, strict=True):
            here, there = loop_filter.differences(samples, tap, 0, len(samples), difference)
            for column, limit in zip(of_tap, loop_filter.LIMITS, strict=True):
                clipped = np.clip(difference[: here.stop - here.start], -limit, limit).astype(np.float32)
                column[here] += clipped
                column[there] -= clipped
        rows = columns.reshape(taps * limits, -1)
        unit = np.float32(8 * loop_filter.STEP_UNIT / step)  # 1/8 in 64ths of the step
        error = ((lapped.SAMPLE_UNIT * wanted - decoded) * unit).ravel()
        near = 4.0 ** -np.abs(np.log2(step / lapped.COEFFICIENT_UNIT / knots))
        grams += near[:, None, None] * (rows @ rows.T)
        rights += near[:, None] * (rows @ error)
    damped = [gram + np.eye(len(gram)) * (1e-4 * np.trace(gram) / len(gram)) for gram in grams]
    fitted = np.array([np.linalg.solve(gram, right) for gram, right in zip(damped, rights, strict=True)])
    return np.rint(fitted * loop_filter.WEIGHT_UNIT).astype(np.int64).reshape(-1, taps, limits)


def _round_all(wanted: Wanted) -> tuple[CodedPlane, NDArray[np.float32]]:
    """Quantise a plane before there are any tables."""
    magnitudes = np.abs(wanted.cells)
    levels = np.floor(magnitudes + DEADZONE)
    levels[0] = np.rint(magnitudes[0])
    levels = np.copysign(levels, wanted.cells)
    clipped = np.minimum(to_phases(np.abs(levels[ZIGZAG[1:]])), ESCAPE)
    return CodedPlane(wanted.sizes, levels[0].astype(np.int32), clipped, LAST, misses(levels[0])), levels


def misses(dc: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far off the predictions of DC levels are."""
    levels = dc.astype(np.float64).ravel()
    missed = np.zeros(levels.size)
    rows, columns = dc.shape
    for step in dc_pyramid.walk(rows, columns):
        missed[step.places] = np.abs(levels.take(step.places) - dc_pyramid.predict(levels.take(step.around)))
    return missed


def _items(profile: Main, pixels: Pixels, first: bool) -> Iterator[tuple[int, Item, Filtered]]:
    """Code a photograph; give each of its planes with its number."""
    planes, samples = profile.planes(*pixels.shape[:2]), profile.samples(pixels)
    every = (
        _round_planes(profile, planes, samples)
        if first
        else ((plane.coded, plane.decoded) for plane in profile.encode_planes(planes, samples))
    )
    coded: list[CodedPlane] = []
    for number, (each, decoded) in enumerate(every):
        assert decoded is not None  # the default effort looks at it
        plane = planes[number]
        others, known = known_before(plane, coded)
        coded.append(each)
        around = Surroundings(plane.rows, plane.columns, slopes(each.dc), known)
        around.put_all(each.magnitudes)
        yield (
            number,
            Item(each, around, each.missed, others),
            Filtered(samples[number], decoded, profile.steps[number].step),
        )


def _round_planes(
    profile: Main, planes: Sequence[Plane], samples: Sequence[NDArray[np.float32]]
) -> Iterator[tuple[CodedPlane, NDArray[np.float32]]]:
    """Quantise planes before there are any tables; give what is coded and decoded of each."""
    coded: list[CodedPlane] = []
    for plane, of_plane, steps in zip(planes, samples, profile.steps, strict=True):
        wanted, _ = profile.want(plane, of_plane, steps, coded, of_plane)
        each, levels = _round_all(wanted)
        coded.append(each)
        yield each, profile.restore(each, levels, steps, None)


def fit_tables(
    photos: Sequence[Pixels],
    before: Trained,
    rng: np.random.Generator,
    *,
    first: bool,
    steps: Sequence[int] = STEPS,
    make: Callable[..., Main] = Main,
) -> Trained:
    """Code photographs with the tables there are, and fit new ones to the result.

    Parameters
    ----------
    photos : sequence of (H, W, 3) uint8 arrays
        Both sides are multiples of 32.
    before : Trained
        Tables to code with.
    rng : Generator
        Chooses the blocks that weights are fitted to.
    first : bool
        Whether `before` has only filters, so that levels have to be rounded.
    steps : sequence of int
        Of luma, in gray levels.
    make : function
        Makes the stages that photographs are coded with; called as `Main` is.
    """
    items: list[list[Item]] = [[] for _ in KINDS]
    pairs: list[dict[str, list[Filtered]]] = [{tune: [] for tune in TUNES} for _ in KINDS]
    sizes: list[NDArray[np.uint8]] = []
    along: list[NDArray[np.int8]] = []
    jobs = [(subsampled, i, j) for subsampled in (True, False) for i in range(len(photos)) for j in range(len(steps))]
    for subsampled, i, j in tqdm(jobs, desc="coding", leave=False, file=sys.stderr):
        tune = TUNES[(i + j) % len(TUNES)]
        profile = make(3, subsampled, lapped.COEFFICIENT_UNIT * steps[j], tune, tables=before)
        if first:
            profile = dataclasses.replace(profile, effort=TRIES_SIZES)
        for number, item, filtered in _items(profile, photos[i], first):
            if number or subsampled:  # luma is the same with both samplings
                which = number if subsampled or not number else number + 2
                items[which].append(item)
                pairs[which][tune].append(filtered)
            if not number and subsampled:
                sizes.append(item.coded.sizes)
            if item.coded.slopes is not None:
                along.append(item.coded.slopes)
    planes = {}
    for number, kind in enumerate(tqdm(KINDS, desc="fitting", leave=False, file=sys.stderr)):
        dc, dc_counts = fit_dc(items[number])
        ac, ac_counts = fit_ac(items[number], EARLIER[number], rng)
        # With a trellis to begin with as without.
        frequencies = np.concatenate([dc_frequencies(dc_counts), *[ac_frequencies(ac_counts)] * 3])
        filters = {tune: fit_filter(pairs[number][tune]) for tune in TUNES}
        planes[kind] = PlaneModel(dc, ac, Tables(frequencies), filters)
        items[number].clear()
    return Trained(planes, Tables(fit_sizes(sizes)), Tables(fit_slopes(along)), before.lapping, {})


def fit_trellis(photos: Sequence[Pixels], before: Trained, steps: Sequence[int] = STEPS) -> Trained:
    """Code photographs with a trellis, and fit tables of its two quantisers; parameters are those of `fit_tables`."""
    shape = (2, contexts.CONTEXTS, dc_pyramid.SYMBOLS)
    counts = [np.zeros(shape) for _ in KINDS]
    jobs = [(subsampled, i, j) for subsampled in (True, False) for i in range(len(photos)) for j in range(len(steps))]
    for subsampled, i, j in tqdm(jobs, desc="looking ahead", leave=False, file=sys.stderr):
        tune = TUNES[(i + j) % len(TUNES)]
        profile = Main(3, subsampled, lapped.COEFFICIENT_UNIT * steps[j], tune, effort=EFFORTS[-1], tables=before)
        planes, samples = profile.planes(*photos[i].shape[:2]), profile.samples(photos[i])
        for number, plane in enumerate(profile.encode_planes(planes, samples, always=True)):
            if number or subsampled:
                which = number if subsampled or not number else number + 2
                assert plane.coded.second is not None
                coded = plane.coder.contexts >= 0
                symbols = plane.coded.magnitudes[coded].astype(np.intp)
                index = np.ravel_multi_index(
                    (plane.coded.second[coded].astype(np.intp), plane.coder.contexts[coded], symbols), shape
                )
                counts[which] += np.bincount(index, minlength=counts[which].size).reshape(shape)
    planes_after = {}
    for kind, of_kind in zip(KINDS, counts, strict=True):
        model = before.planes[kind]
        plain = model.tables.frequencies[: dc_pyramid.CONTEXTS + contexts.CONTEXTS]
        of_quantisers = np.stack([ac_frequencies(of_quantiser) for of_quantiser in of_kind])
        # What is implied was not counted.
        of_quantisers[:, :: contexts.BINS] = plain[dc_pyramid.CONTEXTS :: contexts.BINS]
        tables = Tables(np.concatenate([plain, *of_quantisers]))
        planes_after[kind] = dataclasses.replace(model, tables=tables)
    return dataclasses.replace(before, planes=planes_after)


def _blank(lapping: Lapping) -> Trained:
    """Return tables that have nothing but filters."""
    even = Tables(quantise(np.ones((1, 2))))
    model = PlaneModel(np.zeros((dc_pyramid.GROUPS, dc_pyramid.FEATURES)), [], even, {})
    return Trained(dict.fromkeys(KINDS, model), even, even, lapping, {})


def train(
    photos: Sequence[Pixels], seed: int = SEED, rounds: int = ROUNDS, log: Callable[[str], None] = print
) -> Trained:
    """Train all tables on (H, W, 3) uint8 photographs."""
    rng = np.random.default_rng(seed)
    luma = [color.luma_chroma(photo)[0] for photo in photos if min(photo.shape[:2]) >= CROP]
    if not luma:
        raise ValueError(f"none of the {len(photos)} colour photographs has {CROP} x {CROP} pixels")
    tables = _blank(train_lapping(luma, LAPPING_STEPS, rng))
    whole = [blocks.pad(photo, lapped.SIZES[-1]) for photo in photos]
    for number in range(rounds):
        tables = fit_tables(whole, tables, rng, first=not number)
        log(f"tables fitted, {number + 1} of {rounds}")
    for number in range(TRELLIS_ROUNDS):
        tables = fit_trellis(whole, tables, TRELLIS_STEPS)
        log(f"tables of the trellis fitted, {number + 1} of {TRELLIS_ROUNDS}")
    return tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a folder, and write the file."""
    parser = argparse.ArgumentParser(description="Train the tables of the main profile on a folder of photographs.")
    parser.add_argument("photos", type=Path, help="a folder of pictures; gray ones are passed over")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="NAME", help="files not to train on")
    parser.add_argument("--seed", type=int, default=SEED, help="for what is drawn (default: %(default)s)")
    args = parser.parse_args(arguments)
    paths = [path for path in pictures_in(args.photos) if path.name not in args.leave_out]
    pictures = {path: read_picture(path).pixels for path in paths}
    photos = {path: pixels[..., :3] for path, pixels in pictures.items() if pixels.ndim == 3 and pixels.shape[2] >= 3}
    try:
        tables = train(list(photos.values()), args.seed)
    except ValueError as error:
        parser.error(str(error))
    options = f"--seed {args.seed}" + (f" --leave-out {' '.join(args.leave_out)}" if args.leave_out else "")
    origin = {
        "command": f"python -m benchmarks.train_main {args.photos.name}/ -o {args.output.name} {options}",
        "seed": args.seed,
        "photos": len(photos),
        "corpus": corpus_hash(photos),
    }
    with args.output.open("wb") as file:
        arrays: dict[str, Any] = to_arrays(dataclasses.replace(tables, origin=origin))
        np.savez_compressed(file, **arrays)
    print(f"{args.output}: {args.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
