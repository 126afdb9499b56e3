"""Small networks that look at blocks around a block, in whole numbers: what predicts a token from its neighbours.

A network sees the coefficients of some of the blocks around, those that a decoder has, and by how much the DC levels of
24 blocks around differ from the block's own. It tells two things of each of the 63 other coefficients of the block: its
value (where edges and waves go on, so does their sign), and how far off that may be, which is what an entropy coder
wants to know.

**Scale.** Coefficients are anything from a fraction of a step to hundreds of steps, and what matters about the large
ones is their ratio. So inputs are c(x) = arcsinh(x), which is x itself for small ones and a logarithm for large ones,
and the network answers in the same way: an error of its output is a share of a large prediction, and a fraction of a
step of a small one. The quantiser's step is told as well.

    x = c(inputs)      h = relu(W1 x + b1)      h = relu(W2 h + b2)      c(value) = W3 h + b3, log2(error) = W4 h + b4

**Exactness.** Decoder and encoder have to come to the same prediction on every machine. All numbers are whole: c and
its inverse are tables, inputs are in [-127, 127], weights have 8 bits, hidden units are in [0, 255] after a rounded
division by a power of two; `Network` checks that no sum of products can reach 2**24, below which float32 holds each
exactly, in any order of summation. The same network in floats is what is trained (`benchmarks.train_tokens`);
`quantise` turns it into this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.contexts import CORNERS, NEAREST

__all__ = [
    "ALL_AROUND",
    "AROUND",
    "FRACTION",
    "LARGEST_ERROR",
    "Network",
    "compand",
    "gather_inputs",
    "input_size",
    "quantise",
    "step_input",
]

AROUND: tuple[Sequence[tuple[int, int]], ...] = ((), CORNERS, NEAREST, NEAREST + CORNERS)  # what each pass knows
ALL_AROUND = ((0, 0), *NEAREST, *CORNERS)  # what there is when all is decoded
RING = [(down, right) for down in range(-2, 3) for right in range(-2, 3) if down or right]  # whose DC is looked at

FRACTION = 16  # coefficients are in 1/16 of a step
INPUT = 127.0  # the largest input
HIDDEN = 255.0
EXTRAS = len(RING) + 1
LARGEST_ERROR = 40  # in quarters of an octave, above 2**-6
EXACT = 1 << 24
LARGEST_BIAS = 1 << 21
IN_UNIT, OUT_UNIT = 20, 128  # c(x) is in 1/20 as an input, and in 1/128 as an output
# No entry lies near a half (a test tells how near), so every libm rounds to the same integers.
COMPANDED = np.minimum(np.rint(IN_UNIT * np.arcsinh(np.arange(1 << 13) / FRACTION)), INPUT).astype(np.float32)
EXPANDED = np.rint(FRACTION * np.sinh(np.arange(7 * OUT_UNIT + 1) / OUT_UNIT)).astype(np.float32)


def input_size(around: Sequence[tuple[int, int]]) -> int:
    """Return how many inputs there are with so many blocks around."""
    return 63 * len(around) + EXTRAS


def step_input(step: int) -> float:
    """Return what tells a network the quantiser's step, which is in 1/64: quarters of an octave, 0 at 16 levels."""
    quarters = int(np.float32(step / 64).view(np.int32) >> 21) - (131 << 2)
    return float(min(max(2 * quarters, -INPUT), INPUT))


def compand(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return c(x) in 1/20 of whole numbers in 1/16: whole numbers in [-127, 127]."""
    index = np.minimum(np.abs(x), np.float32(COMPANDED.size - 1)).astype(np.int32)
    return np.copysign(COMPANDED.take(index), x)


def expand(y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo c: outputs in 1/128, not rounded, to whole numbers in 1/16."""
    index = np.minimum(np.rint(np.abs(y)), np.float32(EXPANDED.size - 1)).astype(np.int32)
    return np.copysign(EXPANDED.take(index), y)


def gather_inputs(
    companded: NDArray[np.float32],
    dc: NDArray[np.float32],
    around: Sequence[tuple[int, int]],
    start: tuple[int, int],
    pitch: int,
    step: float,
) -> NDArray[np.float32]:
    """Collect what a network sees of blocks on a lattice.

    Parameters
    ----------
    companded : (rows + 2, columns + 2, 63) float32 array
        Coefficients from `compand`, zigzag order, with a margin of zeros.
    dc : (rows + 4, columns + 4) float32 array
        DC levels in 1/16, with a margin of the outermost ones.
    around : sequence of (down, right)
        Blocks that are seen.
    start : (int, int)
        Row and column of the first block.
    pitch : int
        From one block to the next.
    step : float
        From `step_input`.

    Returns
    -------
    (N, inputs) float32 array
        Whole numbers in [-127, 127].
    """
    rows, columns = (-(-(size - 4 - first) // pitch) for size, first in zip(dc.shape, start, strict=True))
    inputs = np.empty((rows, columns, input_size(around)), np.float32)
    for i, (down, right) in enumerate(around):
        there = companded[1 + start[0] + down :: pitch, 1 + start[1] + right :: pitch]
        inputs[..., 63 * i : 63 * (i + 1)] = there[:rows, :columns]
    own = dc[2 + start[0] :: pitch, 2 + start[1] :: pitch][:rows, :columns]
    ring = np.empty((len(RING), rows, columns), np.float32)
    for each, (down, right) in zip(ring, RING, strict=True):
        there = dc[2 + start[0] + down :: pitch, 2 + start[1] + right :: pitch][:rows, :columns]
        np.subtract(there, own, out=each)
    inputs[..., 63 * len(around) : -1] = np.moveaxis(compand(ring), 0, -1)
    inputs[..., -1] = step
    return inputs.reshape(rows * columns, -1)


class Network:
    """A network of whole numbers.

    Parameters
    ----------
    layers : sequence of (weights, biases, shifts)
        (in, out) int8, (out,) int32 and (out,) int8 arrays: sums are divided by 2**shift.

    Raises
    ------
    ValueError
        If a sum of products could reach 2**24.
    """

    def __init__(self, layers: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]) -> None:
        largest = INPUT
        for weights, biases, _ in layers:
            bound = largest * np.abs(weights.astype(np.int64)).sum(axis=0) + np.abs(biases.astype(np.int64))
            if bound.max() >= EXACT:
                raise ValueError(f"sums of up to {bound.max():,.0f}; they are exact below {EXACT:,}")
            largest = HIDDEN
        self.layers = layers

    @cached_property
    def _ready(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
        return [
            (
                np.ascontiguousarray(weights, np.float32),
                biases.astype(np.float32),
                np.ldexp(np.float32(1), -shifts.astype(np.int32)).astype(np.float32),
            )
            for weights, biases, shifts in self.layers
        ]

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs of blocks of inputs, (N, in) to (N, out), not rounded: the same on every machine."""
        x = inputs
        *hidden, (weights, biases, scales) = self._ready
        for of_weights, of_biases, of_scales in hidden:
            x = x @ of_weights
            x += of_biases
            x *= of_scales
            np.rint(x, out=x)
            np.clip(x, np.float32(0), np.float32(HIDDEN), out=x)
        x = x @ weights
        x += biases
        x *= scales
        return x

    def predict(self, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predict blocks.

        Parameters
        ----------
        inputs : (N, in) float32 array
            From `gather_inputs`.

        Returns
        -------
        values : (N, 63) float32 array
            In 1/16 of a step, whole numbers below 2**14.
        errors : (N, 63) float32 array
            How large they are expected to be: whole numbers from 0 to 40, quarters of an octave above 2**-6 steps.
        """
        out = self(inputs)
        errors = np.rint(out[:, 63:])
        return expand(out[:, :63]), np.clip(errors, np.float32(0), np.float32(LARGEST_ERROR), out=errors)


def quantise(
    parameters: Mapping[str, NDArray[np.float32]],
    scales: NDArray[np.float32],
    offsets: NDArray[np.float32],
    sample: NDArray[np.float32],
) -> Network:
    """Turn a network of floats into one of whole numbers.

    Parameters
    ----------
    parameters : mapping of str to array
        "0.weight" (out, in), "0.bias" (out,), and so on for each layer.
    scales, offsets : (out,) float32 arrays
        What the outputs are multiplied by, and what is then added.
    sample : (N, in) float32 array
        Inputs, whole numbers, that show how large hidden units get.
    """
    layers = []
    x, unit = sample / np.float32(IN_UNIT), np.full(sample.shape[1], 1 / IN_UNIT)  # what a whole number stands for
    number = len(parameters) // 2
    for i in range(number):
        weights = parameters[f"{i}.weight"].T.astype(np.float64)
        biases = parameters[f"{i}.bias"].astype(np.float64)
        if i == number - 1:
            weights, biases = weights * scales, biases * scales + offsets
        wanted = weights * unit[:, None]  # of whole numbers
        largest = np.maximum(np.abs(wanted).max(axis=0), 2.0**-40)
        up = np.minimum(
            np.floor(np.log2(INPUT / largest)), np.floor(np.log2(LARGEST_BIAS / np.maximum(np.abs(biases), 1)))
        )
        up = up.astype(np.int64)
        whole = np.clip(np.rint(wanted * 2.0**up), -INPUT, INPUT)
        shifts = up
        if i < number - 1:
            x = np.maximum(x @ weights.astype(np.float32) + biases.astype(np.float32), 0)
            high = np.maximum(np.quantile(x, 0.9995, axis=0), 2.0**-20)
            unit = 2.0 ** np.ceil(np.log2(high / HIDDEN))
            shifts = up + np.log2(unit).astype(np.int64)
        layers.append((whole.astype(np.int8), np.rint(biases * 2.0**up).astype(np.int32), shifts.astype(np.int8)))
    return Network(layers)
