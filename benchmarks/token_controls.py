"""The token profile against its controls: the same coder without anything that is learned.

    python -m benchmarks.token_controls kodak/ --photos photos/

A learned part is worth what it gains over a control that has had its chance. There are two here, the cosine transform
of blocks of 8 x 8 and of 16 x 16, both with the entropy coder of the profile, DC prediction and RDOQ, and without
filters of any kind. The tables that come with the package were fitted to lapped blocks of mixed sizes, which would be a
handicap. So each control has tables fitted to what it codes of the photographs that the profile has learned from, in
two rounds. (Chroma in the token profile has to do with the tables there are.) It takes some minutes, and 5 GB.

The profile's loop filter is the main profile's, trained as well, but not what makes it a token profile. So there are
two more lines for each size: the control with such a filter, and both without.

What is compared is strips, which are all of a file but its few bytes of headers, each decoded from its bytes, at six
qualities, tuned for PSNR: luma and chroma at half resolution, and luma alone.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.distortion import measure
from benchmarks.harness import Report, Target
from benchmarks.sources import Pixels
from benchmarks.train_main import STEPS, fit_tables
from codec import blocks, color, lapped
from codec.context_strip import Plane
from codec.lapped import Steps
from codec.main import Main, step_at
from codec.metrics import bd_rate
from codec.profiles import Profile
from codec.trained import Trained, trained
from transformers_np.token_profile import Tokens

__all__ = ["FixedBlocks", "control_tables", "main", "run"]

SIZES = (8, 16)
QUALITIES = (10, 25, 40, 55, 70, 83)
KINDS = ("4:2:0", "luma alone")
PLAIN = {"lapping", "chroma-from-luma"}
FILTER = {"loop-filter"}
SEED, ROUNDS = 1, 2
LIMITS = {8: -12.0, 16: -7.0}  # percent, without a filter in the control

Curve = list[tuple[float, float]]  # bits a pixel and PSNR of luma at each quality


@dataclass(frozen=True)
class FixedBlocks(Main):
    """The main profile with blocks of one size."""

    without: Collection[str] = frozenset(PLAIN | FILTER)
    lapped: bool = False
    size: int = SIZES[0]

    def decide_sizes(self, plane: Plane, samples: NDArray[np.float32], steps: Steps) -> NDArray[np.uint8]:
        return np.full((plane.rows, plane.columns), self.size, np.uint8)


def control_tables(photos: Sequence[Pixels], size: int, steps: Sequence[int] = STEPS) -> Trained:
    """Fit the tables of a control to what it codes of (H, W, 3) uint8 photographs."""
    rng = np.random.default_rng(SEED)
    whole = [blocks.pad(photo, lapped.SIZES[-1]) for photo in photos]
    tables = trained()
    for _ in range(ROUNDS):
        tables = fit_tables(whole, tables, rng, first=False, steps=steps, make=partial(FixedBlocks, size=size))
    return tables


def curve(stages: Sequence[Profile], pixels: Pixels) -> Curve:
    """Code a picture (H, W, channels) with each of some stages, and decode it."""
    height, width, _ = pixels.shape
    padded = blocks.pad(pixels, lapped.SIZES[-1])
    points = []
    for each in stages:
        strip = each.encode_strip(padded)
        decoded = np.empty_like(padded)
        each.decode_strip(strip, 0, decoded)
        quality = measure(pixels.squeeze(), decoded[:height, :width].squeeze(), ["psnr-y"])
        points.append((8 * len(strip) / (height * width), quality["psnr-y"]))
    return points


def compare(pixels: Pixels, tables: Mapping[int, Trained]) -> dict[str, list[float]]:
    """Return BD-rates of the token profile for a picture, in percent: against each control, for each of `KINDS`."""
    rates: dict[str, list[float]] = {}
    for picture in (pixels, color.rgb_to_gray(pixels)[..., None]):
        channels = picture.shape[2]
        whole, bare = (
            curve([Tokens.choose(channels, True, q, "psnr", without=without) for q in QUALITIES], picture)
            for without in (set(), FILTER)
        )
        for size, of_size in tables.items():
            plain, filtered = (
                curve([FixedBlocks(channels, True, step_at(q), **how) for q in QUALITIES], picture)  # type: ignore[arg-type]
                for how in (
                    {"tables": of_size, "size": size},
                    {"tables": of_size, "size": size, "without": PLAIN},
                )
            )
            for name, control, tokens in (
                (f"{size} x {size}", plain, whole),
                (f"{size} x {size} with the loop filter", filtered, whole),
                (f"{size} x {size}, neither with the loop filter", plain, bare),
            ):
                rates.setdefault(name, []).append(bd_rate(control, tokens))
    return rates


def run(args: Namespace) -> Report:
    """Fit the controls, and compare on colour photos; with these `main` makes its report."""
    photos = [photo for photo in harness.load_photos(args.photos).values() if photo.ndim == 3]
    pictures = {name: photo for name, photo in harness.load_photos(args.folder, args.every).items() if photo.ndim == 3}
    with threadpool_limits(1):
        tables = {size: control_tables(photos, size) for size in SIZES}
        rates = {name: compare(photo, tables) for name, photo in pictures.items()}
    means = {name: np.mean([of[name] for of in rates.values()], axis=0) for name in next(iter(rates.values()))}
    rows = []
    for name, mean in means.items():
        every = np.array([of[name] for of in rates.values()])
        ranges = zip(mean, every.min(axis=0), every.max(axis=0), strict=True)
        rows.append([name, *(f"{harness.percent(of)} ({low:+.1f} to {high:+.1f})" for of, low, high in ranges)])
    targets = [
        Target(f"BD-rate against {size} x {size}, {kind}", float(rate), "at most", LIMITS[size], "%")
        for size in SIZES
        for kind, rate in zip(KINDS, means[f"{size} x {size}"], strict=True)
    ]
    text = harness.table(["BD-rate of luma against", *KINDS], rows)
    return Report("token_controls", text, targets, {"kinds": KINDS, "bd_rates": rates})


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, compare and print."""
    parser = harness.command_line(__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos that the controls learn from")
    args = parser.parse_args(arguments)
    return harness.finish(run(args), args.json)


if __name__ == "__main__":
    raise SystemExit(main())
