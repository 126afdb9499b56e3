"""The token profile against its controls: the same coder without anything that is learned.

    python -m benchmarks.token_controls kodak/ --photos photos/

A learned part is worth what it gains over a control that has had its chance. There are two here, the cosine transform
of blocks of 8 x 8 and of 16 x 16, both with the entropy coder of the profile, DC prediction and RDOQ, and without
filters of any kind. The tables that come with the package were fitted to lapped blocks of mixed sizes, which would be a
handicap. So each control has tables fitted to what it codes of the photographs that the profile has learned from, in
two rounds. (Chroma in the token profile has to do with the tables there are.) It takes some minutes, and 5 GB.

What is compared is strips, which are all of a file but its few bytes of headers, each decoded from its bytes, at six
qualities, tuned for PSNR: luma and chroma at half resolution, and luma alone. On 12 pictures of Kodak the profile needs
14.0 % less than blocks of 8 x 8 and 13.8 % less than those of 16 x 16 (from 4 to 25 %), of luma alone 12.8 and 12.6 %.
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
PLAIN = ("lapping", "chroma-from-luma", "loop-filter")
SEED, ROUNDS = 1, 2
LIMITS = {8: -12.0, 16: -7.0}  # percent

Curve = list[tuple[float, float]]  # bits a pixel and PSNR of luma at each quality


@dataclass(frozen=True)
class FixedBlocks(Main):
    """The main profile with blocks of one size."""

    without: Collection[str] = PLAIN
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


def compare(pixels: Pixels, tables: Mapping[int, Trained]) -> list[float]:
    """Return BD-rates of the token profile for a picture, in percent: against each control, for each of `KINDS`."""
    rates = []
    for picture in (pixels, color.rgb_to_gray(pixels)[..., None]):
        channels = picture.shape[2]
        tokens = curve([Tokens.choose(channels, True, quality, "psnr") for quality in QUALITIES], picture)
        for size, of_size in tables.items():
            stages = [FixedBlocks(channels, True, step_at(q), tables=of_size, size=size) for q in QUALITIES]
            rates.append(bd_rate(curve(stages, picture), tokens))
    return rates


def run(args: Namespace) -> Report:
    """Fit the controls, and compare on colour photos; with these `main` makes its report."""
    photos = [photo for photo in harness.load_photos(args.photos).values() if photo.ndim == 3]
    pictures = {name: photo for name, photo in harness.load_photos(args.folder, args.every).items() if photo.ndim == 3}
    with threadpool_limits(1):
        tables = {size: control_tables(photos, size) for size in SIZES}
        rates = {name: compare(photo, tables) for name, photo in pictures.items()}
    rates["mean"] = np.mean(list(rates.values()), axis=0).tolist()
    columns = [f"{size} x {size}, {kind}" for kind in KINDS for size in SIZES]
    rows = [[name, *map(harness.percent, of_picture)] for name, of_picture in rates.items()]
    targets = [
        Target(f"BD-rate against {column}, mean", rate, "at most", LIMITS[size], "%")
        for column, rate, size in zip(columns, rates["mean"], SIZES * len(KINDS), strict=True)
    ]
    text = harness.table(["BD-rate of luma against", *columns], rows)
    return Report("token_controls", text, targets, {"columns": columns, "bd_rates": rates})


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, compare and print."""
    parser = harness.command_line(__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos that the controls learn from")
    args = parser.parse_args(arguments)
    return harness.finish(run(args), args.json)


if __name__ == "__main__":
    raise SystemExit(main())
