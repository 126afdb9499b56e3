"""What the token profile learned from photographs, and the file that it comes in.

The file is made by `python -m benchmarks.train_tokens`, and is part of the format: a decoder has to have the same. It
is a NumPy archive of whole numbers, `transformers_np/assets/tokens.npz`, described beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.rans import Tables
from codec.contexts import DIAGONALS, LAST
from codec.trained import UNIT, PlaneModel, Trained, trained
from transformers_np import token_transforms as transforms
from transformers_np.token_contexts import PASSES, PassWeights, source_sizes
from transformers_np.token_network import Network
from transformers_np.token_strip import TokenModel
from transformers_np.token_transforms import Transforms

__all__ = ["Learned", "from_arrays", "learned", "to_arrays"]

LAYERS = 3


class Learned(NamedTuple):
    """All that was learned.

    Attributes
    ----------
    model : TokenModel
    luma : PlaneModel
        DC weights, frequencies of symbols, and the loop filter.
    plain : Trained
        Tables for planes that are coded without networks.
    origin : mapping
        How it was made: command, seed, corpus.
    """

    model: TokenModel
    luma: PlaneModel
    plain: Trained
    origin: Mapping[str, Any]


def to_arrays(of: Learned) -> dict[str, NDArray[Any]]:
    """Return what belongs into a file."""
    arrays: dict[str, NDArray[Any]] = {"origin": np.array(json.dumps(dict(of.origin)))}
    for number, network in enumerate([*of.model.networks, of.model.restoration]):
        for layer, parts in enumerate(network.layers):
            for name, part in zip(("weights", "biases", "shifts"), parts, strict=True):
                arrays[f"{name}{number}_{layer}"] = part
    flat = [
        np.concatenate([*(source.ravel() for source in each.sources), each.error.ravel(), each.constant.ravel()])
        for of_pass in of.model.weights
        for each in of_pass
    ]
    arrays["contexts"] = np.rint(np.concatenate(flat) * UNIT).astype(np.uint16)
    arrays["transforms"] = np.rint(of.model.transforms.matrices[1:] * transforms.UNIT).astype(np.int16)
    arrays["choices"] = of.model.transforms.tables.frequencies.astype(np.uint16)
    arrays["dc"] = np.rint(of.luma.dc * UNIT).astype(np.int32)
    arrays["filters"] = of.luma.filters["psnr"].astype(np.int16)
    arrays["tables"] = of.luma.tables.frequencies.astype(np.uint16)
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Learned:
    """Read what is in a file."""
    networks = [
        Network(
            [
                tuple(arrays[f"{name}{number}_{layer}"] for name in ("weights", "biases", "shifts"))  # type: ignore[misc]
                for layer in range(LAYERS)
            ]
        )
        for number in range(PASSES + 1)
    ]
    flat, at = arrays["contexts"] / UNIT, 0
    weights: list[list[PassWeights]] = []
    for number in range(PASSES):
        weights.append([])
        for d in range(1, LAST + 1):
            cells = DIAGONALS[d].stop - DIAGONALS[d].start
            parts = []
            for size in (*source_sizes(number, d), 1, 1):
                parts.append(flat[at : at + cells * size].reshape(cells, size))
                at += cells * size
            *sources, error, constant = parts
            single = [np.ascontiguousarray(part, np.float32) for part in sources]
            weights[-1].append(PassWeights(single, error, constant.astype(np.float32)))
    luma = PlaneModel(arrays["dc"] / UNIT, [], Tables(arrays["tables"]), {"psnr": arrays["filters"].astype(np.int64)})
    matrices = np.concatenate([np.eye(63)[None], arrays["transforms"] / transforms.UNIT])
    model = TokenModel(networks[:PASSES], networks[PASSES], weights, Transforms(matrices, Tables(arrays["choices"])))
    return Learned(model, luma, trained(), json.loads(str(arrays["origin"])))


@cache
def learned() -> Learned:
    """Return what comes with the package."""
    with (files("transformers_np") / "assets/tokens.npz").open("rb") as file, np.load(file) as arrays:
        return from_arrays(dict(arrays))
