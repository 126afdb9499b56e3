"""Encoding a group of pictures: frames to bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bitstreams.symbols import HuffmanEncoder
from codec import blocks, dct, motion, reconstruct
from codec.decide import decide
from codec.frames import Planes
from codec.gop import last_uses, plan_gop
from codec.group_decoder import blank
from codec.reconstruct import Prediction
from codec.syntax import KINDS, Group, Layout, Levels, Motion, code_group

LAMBDA = 0.16  # squared error, in squared quantiser steps, that a bit is worth
ROUND_INTRA, ROUND_INTER = 0.33, 0.2


def encode_group(
    frames: Sequence[Sequence[NDArray[np.uint8]]], layout: Layout, pyramid: int, quality: float, seen=None
) -> bytes:
    frames = [in_macroblocks(planes, layout) for planes in frames]
    plans = plan_gop(len(frames), pyramid)
    references: dict[int, list[NDArray[np.uint8]]] = {}
    searched: dict[int, motion.Reference] = {}
    number = layout.rows * layout.columns
    motions: list[Motion] = []
    dc: list[NDArray[np.int16]] = []
    parts: list[list[list[NDArray]]] = []  # frame, plane, (counts, places, values)
    for plan, done in zip(plans, last_uses(plans), strict=True):
        source = frames[plan.index]
        step = reconstruct.steps(quality, plan.level)
        if plan.type == "I":
            prediction = Prediction(np.zeros(number, np.uint8), np.zeros((number, 4, 2, 2), np.int16))
            planes = blank(layout)
            decided = None
        else:
            decided = decide(source[0], [searched[i] for i in plan.references], layout, np.sqrt(LAMBDA) * step[0] / 16)
            prediction = Prediction(decided.direction[0], decided.vectors[0])
            planes = reconstruct.predict(layout, [references[i] for i in plan.references], prediction)
        quantized = []
        for plane, (one, other) in enumerate(zip(source, planes, strict=True)):
            residual = blocks.split(one.astype(np.int16) - other, 8).reshape(-1, 64).astype(np.float32)
            coefficients = dct.forward(residual) * np.float32(16 / step[plane > 0])
            magnitude = np.abs(coefficients)
            levels = np.floor(magnitude + np.float32(ROUND_INTER if decided else ROUND_INTRA))
            if plan.type == "I":
                levels[:, 0] = np.rint(magnitude[:, 0])
            quantized.append(np.copysign(levels, coefficients))
        if decided is not None:
            pattern = np.zeros(number, np.uint8)
            for plane, levels in enumerate(quantized):
                some = levels.any(axis=1).reshape(layout.grids[plane])
                if plane == 0:
                    quarters = blocks.split(some, 2).reshape(number, 4)
                    pattern |= np.packbits(quarters[:, ::-1], axis=1)[:, 0] >> 4
                else:
                    side = layout.chroma
                    pattern |= blocks.split(some, side).reshape(number, -1).any(axis=1).astype(np.uint8) << (3 + plane)
            decided.pattern[0] = pattern
            motions.append(decided)
            where = [np.flatnonzero(flags[0]) for flags in layout.coded(decided.pattern)]
        else:
            where = [np.arange(len(levels)) for levels in quantized]
        coded, own = [], []
        for plane, levels in enumerate(quantized):
            reconstruct.add_residual(planes[plane], where[plane], levels[where[plane]], step[plane > 0])
            if decided is None:
                dc.append(levels[:, 0].astype(np.int16).reshape(layout.grids[plane]))
                levels[:, 0] = 0
            chosen = levels[where[plane]]
            row, place = np.nonzero(chosen)
            own.append(
                [
                    np.bincount(row, minlength=len(chosen)).astype(np.uint8),
                    place.astype(np.uint8),
                    chosen[row, place].astype(np.int16),
                ]
            )
            coded.append(levels.any(axis=1).reshape(layout.grids[plane]))
        parts.append(own)
        reconstruct.filter_edges(layout, planes, coded, prediction, step)
        if seen is not None:
            seen[plan.index] = planes
        if plan.index not in done:
            references[plan.index] = reconstruct.interpolate(tuple(planes))
            searched[plan.index] = motion.Reference(references[plan.index][0], motion.pyramid(planes[0]))
        for index in done:
            references.pop(index, None)
            searched.pop(index, None)
    planes_of = range(len(layout.grids))
    order = [parts[0][plane] for plane in planes_of] + [part[plane] for plane in planes_of for part in parts[1:]]
    levels = Levels(*(np.concatenate([part[i] for part in order]) for i in range(3)))
    moved = (
        Motion(*(np.concatenate([getattr(m, name) for m in motions]) for name in vars(motions[0])))
        if motions
        else Motion.empty(0, number)
    )
    coder = HuffmanEncoder(KINDS)
    group = Group(dc, moved, levels)
    code_group(coder, layout, np.array([plan.level for plan in plans[1:]], np.uint8), group)
    return coder.finish()


def in_macroblocks(planes: Planes, layout: Layout) -> Planes:
    """Extend the planes of a frame to whole macroblocks by repeating their edges."""
    return tuple(
        np.pad(plane, ((0, 8 * rows - plane.shape[0]), (0, 8 * columns - plane.shape[1])), mode="edge")
        for plane, (rows, columns) in zip(planes, layout.grids, strict=True)
    )
