"""Reconstruction: from vectors and levels to a frame, the same in encoder and decoder, to the last bit.

    predict      blocks of one or two references, moved by their vectors
    add          the inverse transform of the levels, where a block has any
    deblock      smooth the edges that quantising made
    interpolate  the samples between samples, if other frames are predicted from this one

Everything is arithmetic on integers, the inverse transform included (`codec.dct`), so that encoder and decoder never
drift apart. Frames are worked on in whole macroblocks; what a video shows is cut out of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec import blocks, dct, quantize
from codec.deblock import deblock, strengths
from codec.frames import Planes
from codec.gop import CASCADE
from codec.interpolation import fetch, quarter_planes
from codec.layout import Layout
from codec.motion_syntax import INTRA

__all__ = [
    "Prediction",
    "add_residual",
    "average",
    "blank",
    "filter_edges",
    "interpolate",
    "predict",
    "steps",
]

CHROMA_PERCENT = 88  # of the chroma steps of a still image: worth it for the weighted PSNR of all planes
GRAY = 128  # what an intra coded block is predicted as


class Prediction(NamedTuple):
    """How a frame of M macroblocks is predicted: a frame of `codec.motion_syntax.Motion`.

    Attributes
    ----------
    direction : (M,) uint8 array
    vectors : (M, 4, 2, 2) int16 array
    """

    direction: NDArray[np.uint8]
    vectors: NDArray[np.int16]


def steps(quality: float, level: int, cascade: bool = True) -> tuple[int, int]:
    """Return the quantiser steps of luma and chroma, in 1/16, for frames of a level of the pyramid: integers >= 16.

    Without the cascade all levels have those of a still image.
    """
    luma, chroma = quantize.scale(quantize.TABLES["flat"], quality)
    percent = CASCADE[level] if cascade else 100
    scaled = int(luma[0]) * percent // 100, int(chroma[0]) * CHROMA_PERCENT * percent // 10_000
    luma_step, chroma_step = (min(max(step, quantize.FINEST), quantize.COARSEST) for step in scaled)
    return luma_step, chroma_step


@lru_cache(maxsize=64)
def _inverse(step: int) -> dct.Inverse:
    return dct.Inverse(np.full(64, step, np.int64))


def interpolate(planes: Planes) -> list[NDArray[np.uint8]]:
    """Return the quarter planes of each plane of a reference (`codec.interpolation`)."""
    return [quarter_planes(plane) for plane in planes]


def blank(layout: Layout) -> list[NDArray[np.uint8]]:
    """Return the prediction of an I frame: gray planes."""
    return [np.full((8 * rows, 8 * columns), GRAY, np.uint8) for rows, columns in layout.grids]


def predict(
    layout: Layout, references: Sequence[list[NDArray[np.uint8]]], prediction: Prediction
) -> list[NDArray[np.uint8]]:
    """Predict a frame.

    Parameters
    ----------
    layout : Layout
    references : sequence of lists
        Quarter planes of the references, from `interpolate`.
    prediction : Prediction

    Returns
    -------
    list of uint8 arrays
        The predicted planes, in whole macroblocks.
    """
    row, column = np.divmod(np.arange(layout.rows * layout.columns), layout.columns)
    quarter_row, quarter_column = np.divmod(np.arange(4), 2)
    top = (2 * row[:, None] + quarter_row).ravel()
    left = (2 * column[:, None] + quarter_column).ravel()
    direction = np.repeat(prediction.direction, 4)
    vectors = prediction.vectors.reshape(-1, 2, 2)
    planes = []
    for plane, (rows, _) in enumerate(layout.grids):
        size = 4 * rows // layout.rows  # of what a quarter of a macroblock is in this plane
        moves = vectors if size == 8 else halve(vectors)
        samples = np.full((direction.size, size, size), GRAY, np.uint8)
        for reference, interpolated in enumerate(references):
            using = np.flatnonzero(direction >> reference & 1)
            moved = fetch(interpolated[plane], moves[using, reference], size * top[using], size * left[using], size)
            if reference == 0:
                samples[using] = moved
            else:
                both = direction[using] == 3
                moved[both] = average(samples[using[both]], moved[both])
                samples[using] = moved
        grid = samples.reshape(layout.rows, layout.columns, 2, 2, size, size)
        planes.append(blocks.merge(grid))
    return planes


def halve(vectors: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return vectors for chroma at half resolution: halves are rounded to the even side, so that none is preferred."""
    return (vectors + (vectors >> 1 & 1)) >> 1


def average(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (one + other + 1) // 2 without leaving eight bits: one + other is 2 * (one | other) - (one ^ other)."""
    return (one | other) - ((one ^ other) >> np.uint8(1))


def add_residual(plane: NDArray[np.uint8], where: NDArray[np.intp], levels: NDArray[np.float32], step: int) -> None:
    """Add the inverse transform of levels to the prediction of a plane, in place.

    Parameters
    ----------
    plane : (8 * rows, 8 * columns) uint8 array
    where : (N,) intp array
        Indices of blocks, in raster order.
    levels : (N, 64) float32 array
        Whole numbers, in zigzag order, of any size that a file can hold.
    step : int
        Quantiser step in 1/16.

    Notes
    -----
    The inverse transform is the exact sum (`codec.dct`), whatever the other blocks of the call. Rounding, adding and
    clipping go sample by sample. So nothing here can differ between machines.
    """
    if not where.size:
        return
    cells = plane.reshape(plane.shape[0] // 8, 8, plane.shape[1] // 8, 8)
    row, column = np.divmod(where, cells.shape[2])
    samples = np.rint(_inverse(step).blocks(levels)).reshape(-1, 8, 8)
    samples += cells[row, :, column]
    np.clip(samples, 0, 255, out=samples)
    cells[row, :, column] = samples.astype(np.uint8)


def filter_edges(
    layout: Layout,
    planes: list[NDArray[np.uint8]],
    coded: Sequence[NDArray[np.bool_]],
    prediction: Prediction,
    luma_and_chroma: tuple[int, int],
) -> None:
    """Deblock the planes of a frame, in place.

    Parameters
    ----------
    layout : Layout
    planes : list of uint8 arrays
    coded : sequence of (rows, columns) bool arrays
        Which blocks of each plane have levels.
    prediction : Prediction
    luma_and_chroma : (int, int)
        Quantiser steps in 1/16.
    """
    for plane, (rows, _) in enumerate(layout.grids):
        side = rows // layout.rows
        shape = layout.rows, layout.columns
        direction = prediction.direction.reshape(shape).repeat(side, axis=0).repeat(side, axis=1)
        vectors = prediction.vectors.reshape(*shape, 2, 2, 2, 2)[:, :, :side, :side]
        vectors = vectors.swapaxes(1, 2).reshape(*direction.shape, 2, 2)
        vertical, horizontal = strengths(direction == INTRA, coded[plane], vectors, direction)
        deblock(planes[plane], vertical, horizontal, luma_and_chroma[plane > 0])
