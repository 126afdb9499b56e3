"""Encoding a group of pictures: frames to bytes.

    decide        how each macroblock is predicted                 (`codec.decide`)
    predict       with what a decoder will have, not with the originals
    transform     the difference, quantised by what levels are worth   (`codec.rdo`)
    reconstruct   the frame as a decoder will see it               (`codec.reconstruct`)

Frame after frame in the order of coding; when all are through, their symbols are coded as one batch (`codec.syntax`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.symbols import HuffmanEncoder
from codec import blocks, dct, motion, reconstruct
from codec.decide import decide
from codec.frames import Planes
from codec.gop import FramePlan, last_uses, plan_gop
from codec.layout import Layout
from codec.level_syntax import Levels
from codec.motion_syntax import Motion
from codec.rdo import optimise_levels
from codec.reconstruct import Prediction
from codec.syntax import KINDS, Group, code_group

__all__ = ["encode_group"]

# What a bit is worth, by the level of the frame in its pyramid: in squared quantiser steps when levels are chosen, and
# when motion is. An error of a frame that others are predicted from is carried on to them, so it weighs more.
LEVEL_PRICE = (0.09, 0.1, 0.15, 0.22, 0.22, 0.22)
MOTION_PRICE = (0.16, 0.16, 0.18, 0.18, 0.18, 0.18)


class _Reference(NamedTuple):
    """A frame that others are predicted from: quarter planes of all planes, and what a search needs."""

    planes: list[NDArray[np.uint8]]
    searched: motion.Reference


class _Coded(NamedTuple):
    """What is sent of a frame: DC levels if it is an I frame, motion if not, and the levels of each plane."""

    dc: list[NDArray[np.int16]]
    motion: Motion
    levels: list[Levels]


def encode_group(
    frames: Sequence[Planes],
    layout: Layout,
    pyramid: int,
    quality: float,
    seen: dict[int, list[NDArray[np.uint8]]] | None = None,
    without: Collection[str] = (),
) -> bytes:
    """Encode a group of pictures.

    Parameters
    ----------
    frames : sequence of Planes
        In the order of display.
    layout : Layout
        The grids that cover a frame.
    pyramid : int
        Frames from one I or P frame to the next.
    quality : float
        In [0, 100], in steps of 0.01.
    seen : dict, optional
        Where to put what a decoder will see of each frame, in whole macroblocks.
    without : collection of str
        Stages to leave out (`codec.video.STAGES`).

    Returns
    -------
    bytes
        The same on every machine.
    """
    plans = plan_gop(len(frames), pyramid)
    references: dict[int, _Reference] = {}
    coded: list[_Coded] = []
    for plan, done in zip(plans, last_uses(plans), strict=True):
        source = _in_macroblocks(frames[plan.index], layout)
        step = reconstruct.steps(quality, plan.level, "cascade" not in without)
        refer_to = [references[index] for index in plan.references]
        frame, planes = _encode_frame(source, plan, refer_to, layout, step, without)
        coded.append(frame)
        if seen is not None:
            seen[plan.index] = planes
        for index in done:  # before more memory is taken
            references.pop(index, None)
        if plan.index not in done:
            interpolated = reconstruct.interpolate(tuple(planes))
            references[plan.index] = _Reference(
                interpolated, motion.Reference(interpolated[0], motion.pyramid(planes[0]))
            )
    still, moving = coded[0], coded[1:]
    planes_of = range(len(layout.grids))
    levels = still.levels + [frame.levels[plane] for plane in planes_of for frame in moving]
    group = Group(
        still.dc,
        Motion.join([Motion.empty(0, layout.rows * layout.columns), *(frame.motion for frame in moving)]),
        Levels(*(np.concatenate(parts) for parts in zip(*levels, strict=True))),
    )
    coder = HuffmanEncoder(KINDS, in_contexts="contexts" not in without)
    code_group(coder, layout, np.array([plan.level for plan in plans[1:]], np.uint8), group)
    return coder.finish()


def _encode_frame(
    source: Planes,
    plan: FramePlan,
    references: list[_Reference],
    layout: Layout,
    step: tuple[int, int],
    without: Collection[str],
) -> tuple[_Coded, list[NDArray[np.uint8]]]:
    """Encode a frame; return what is sent, and the planes as a decoder will see them."""
    intra = plan.type == "I"
    if intra:
        decided = Motion.empty(1, layout.rows * layout.columns)
        planes = reconstruct.blank(layout)
    else:
        cost_of_bit = np.sqrt(MOTION_PRICE[plan.level]) * step[0] / 16
        searched = [reference.searched for reference in references]
        decided = decide(source[0], searched, layout, float(cost_of_bit), without)
        prediction = Prediction(decided.direction[0], decided.vectors[0])
        planes = reconstruct.predict(layout, [reference.planes for reference in references], prediction)
    levels = []
    for plane, (wanted, predicted) in enumerate(zip(source, planes, strict=True)):
        residual = blocks.split(wanted.astype(np.int16) - predicted, 8).reshape(-1, 64).astype(np.float32)
        coefficients = dct.forward(residual) * np.float32(16 / step[plane > 0])
        if "level-choice" in without:
            levels.append(np.rint(coefficients))
        else:
            levels.append(optimise_levels(coefficients, LEVEL_PRICE[plan.level], intra))
    if intra:
        where = [np.arange(len(own)) for own in levels]
    else:
        some = [(own != 0).any(axis=1).reshape(1, *grid) for own, grid in zip(levels, layout.grids, strict=True)]
        decided.pattern[...] = layout.pattern(some)
        where = [np.flatnonzero(flags) for flags in layout.coded(decided.pattern)]
    dc: list[NDArray[np.int16]] = []
    sent: list[Levels] = []
    coded: list[NDArray[np.bool_]] = []
    for plane, (own, at) in enumerate(zip(levels, where, strict=True)):
        reconstruct.add_residual(planes[plane], at, own[at], step[plane > 0])
        if intra:
            dc.append(own[:, 0].astype(np.int16).reshape(layout.grids[plane]))
            own[:, 0] = 0
        sent.append(Levels.of(own[at]))
        coded.append((own != 0).any(axis=1).reshape(layout.grids[plane]))
    if "deblocking" not in without:
        reconstruct.filter_edges(layout, planes, coded, Prediction(decided.direction[0], decided.vectors[0]), step)
    return _Coded(dc, decided, sent), planes


def _in_macroblocks(planes: Planes, layout: Layout) -> Planes:
    """Extend the planes of a frame to whole macroblocks by repeating their edges."""
    return tuple(
        np.pad(plane, ((0, 8 * rows - plane.shape[0]), (0, 8 * columns - plane.shape[1])), mode="edge")
        for plane, (rows, columns) in zip(planes, layout.grids, strict=True)
    )
