"""What the main profile learned from photographs: its tables, and the file that they come in.

They are made by `python -m benchmarks.train_main`, and are part of the format: a decoder has to have the same. The
file, `codec/data/main.npz`, is a NumPy archive of whole numbers. It also tells how it was made: the command, the seed,
and a hash of the photographs.

    post, lengths8, lengths16, lengths32    the filters across edges (`codec.lapped.Lapping`)
    sizes                                   frequencies of decisions about sizes (`codec.block_sizes`)
    slopes                                  frequencies of differences of slopes (`codec.chroma_from_luma`)
    origin                                  how they were made, as JSON
    dc, weights, tables, filters            of each kind of plane, with its number in `KINDS` at the end:
                                            weights of DC, of all other levels one after another, in 2**-12; frequencies
                                            of symbols; weights of the loop filter in 1/256
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitstreams.rans import Tables
from codec import contexts
from codec.contexts import DIAGONALS, LAST, Weights
from codec.lapped import SIZES, Lapping

__all__ = ["KINDS", "TUNES", "PlaneModel", "Trained", "from_arrays", "to_arrays", "trained"]

KINDS = ("Y", "Cb 4:2:0", "Cr 4:2:0", "Cb 4:4:4", "Cr 4:4:4")
EARLIER = (0, 1, 2, 1, 2)  # planes that each kind of plane knows when it is coded
TUNES = ("psnr", "ms-ssim")
UNIT = 1 << contexts.WEIGHT_BITS
LARGEST_WEIGHT = np.iinfo(np.int16).max  # in 1 / UNIT


@dataclass(frozen=True)
class PlaneModel:
    """What is known of planes of one kind.

    Attributes
    ----------
    dc : (groups, features) float64 array
        Weights of expected DC differences (`codec.dc_pyramid`).
    ac : list of Weights
        Weights of expected magnitudes, for each diagonal from 1 on (`codec.contexts`).
    tables : Tables
        Frequencies of symbols: contexts of DC, then of other levels, then of those of a trellis's two quantisers.
    filters : dict of str to (knots, taps, limits) int64 array
        Weights of the loop filter, for each tune (`codec.loop_filter`).
    """

    dc: NDArray[np.float64]
    ac: list[Weights]
    tables: Tables
    filters: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Trained:
    """All tables.

    Attributes
    ----------
    planes : dict of str to PlaneModel
        By kind, `KINDS`.
    sizes : Tables
        Frequencies of decisions about block sizes.
    slopes : Tables
        Frequencies of differences of slopes.
    lapping : Lapping
        Filters across the edges of blocks.
    origin : dict
        How they were made: command, seed, corpus.
    """

    planes: dict[str, PlaneModel]
    sizes: Tables
    slopes: Tables
    lapping: Lapping
    origin: Mapping[str, Any]


def weight_shapes(d: int, earlier: int) -> Weights:
    """Return the shapes of the weights of a diagonal, where so many planes are known."""
    cells = DIAGONALS[d].stop - DIAGONALS[d].start
    window = 2 * (DIAGONALS[d].start - DIAGONALS[max(1, d - contexts.WINDOW)].start)
    shapes: Any = Weights((4, cells, window), (4, cells, 2 + earlier), (4, cells, 3), (4, cells, 1))  # type: ignore[arg-type]
    return shapes


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Trained:
    """Read what is in a file."""
    planes = {}
    for number, (kind, earlier) in enumerate(zip(KINDS, EARLIER, strict=True)):
        ac, at, flat = [], 0, (arrays[f"weights{number}"] / UNIT).astype(np.float32)
        for d in range(1, LAST + 1):
            parts = []
            for shape in weight_shapes(d, earlier):
                size = int(np.prod(shape))
                parts.append(flat[at : at + size].reshape(shape))
                at += size
            ac.append(Weights(*parts))
        filters = dict(zip(TUNES, arrays[f"filters{number}"].astype(np.int64), strict=True))
        planes[kind] = PlaneModel(arrays[f"dc{number}"] / UNIT, ac, Tables(arrays[f"tables{number}"]), filters)
    lengths = {n: arrays[f"lengths{n}"].astype(np.int64) for n in SIZES}
    lapping = Lapping(arrays["post"].astype(np.int64), lengths)
    sizes, slopes = Tables(arrays["sizes"]), Tables(arrays["slopes"])
    return Trained(planes, sizes, slopes, lapping, json.loads(str(arrays["origin"])))


def to_arrays(tables: Trained) -> dict[str, NDArray[Any]]:
    """Return what belongs into a file."""
    arrays: dict[str, NDArray[Any]] = {
        "post": tables.lapping.post.astype(np.int16),
        "sizes": tables.sizes.frequencies.astype(np.uint16),
        "slopes": tables.slopes.frequencies.astype(np.uint16),
        "origin": np.array(json.dumps(dict(tables.origin))),
    }
    for n, lengths in tables.lapping.lengths.items():
        arrays[f"lengths{n}"] = lengths.astype(np.int16)
    for number, kind in enumerate(KINDS):
        model = tables.planes[kind]
        weights = np.concatenate([part.ravel() for of_diagonal in model.ac for part in of_diagonal])
        arrays[f"weights{number}"] = np.rint(weights * UNIT).astype(np.int16)
        arrays[f"dc{number}"] = np.rint(model.dc * UNIT).astype(np.int16)
        arrays[f"tables{number}"] = model.tables.frequencies.astype(np.uint16)
        arrays[f"filters{number}"] = np.stack([model.filters[tune] for tune in TUNES]).astype(np.int16)
    return arrays


@cache
def trained() -> Trained:
    """Return the tables that come with the package."""
    with (files("codec") / "data/main.npz").open("rb") as file, np.load(file) as arrays:
        return from_arrays(dict(arrays))
