"""Decoding a group of pictures: bytes to frames, in the order of display."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.symbols import HuffmanDecoder
from codec import reconstruct
from codec.gop import FramePlan, last_uses, plan_gop
from codec.layout import Layout
from codec.motion_syntax import Motion
from codec.reconstruct import Prediction
from codec.syntax import KINDS, Group, code_group

__all__ = ["Decoded", "FrameLevels", "all_motion", "decode_group", "frame_levels", "read_group"]


@dataclass(frozen=True)
class FrameLevels:
    """The levels of a plane of a frame.

    Attributes
    ----------
    where : (N,) intp array
        Indices of the blocks that may have levels, in raster order.
    counts : (N,) uint8 array
        Levels of each.
    places : (V,) uint8 array
    values : (V,) int16 array
        As in `codec.level_syntax.Levels`.
    """

    where: NDArray[np.intp]
    counts: NDArray[np.uint8]
    places: NDArray[np.uint8]
    values: NDArray[np.int16]

    def dense(self) -> NDArray[np.float32]:
        """Return all 64 levels of each block, (N, 64), in the type that the inverse transform multiplies."""
        levels = np.zeros((self.where.size, 64), np.float32)
        levels[np.repeat(np.arange(self.where.size), self.counts), self.places] = self.values
        return levels


def frame_levels(group: Group, layout: Layout) -> list[list[FrameLevels]]:
    """Give each frame its part of a group's levels: a list for each frame, in the order of coding, of its planes."""
    planes = len(layout.grids)
    still = [np.ones((1, *grid), np.bool_) for grid in layout.grids]
    coded = [*still, *layout.coded(group.motion.pattern)]
    ends = np.cumsum(group.levels.counts, dtype=np.int64)
    frames: list[list[FrameLevels]] = [[] for _ in range(1 + len(group.motion.pattern))]
    first, start = 0, 0
    for i, flags in enumerate(coded):
        for j, frame in enumerate(flags):
            where = np.flatnonzero(frame)
            last = first + where.size
            end = int(ends[last - 1]) if last else 0
            own = slice(start, end)
            levels = FrameLevels(
                where, group.levels.counts[first:last], group.levels.places[own], group.levels.values[own]
            )
            frames[j + (i >= planes)].append(levels)
            first, start = last, end
    return frames


def all_motion(group: Group, layout: Layout) -> Motion:
    """Return the motion of all frames of a group, in the order of coding: the I frame has none, and is intra coded."""
    return Motion.join([Motion.empty(1, layout.rows * layout.columns), group.motion])


class Decoded(NamedTuple):
    """A frame, and how it came about.

    Attributes
    ----------
    plan : FramePlan
        Its place in the group.
    planes : list of uint8 arrays
        In whole macroblocks.
    predicted : list of uint8 arrays
        What was predicted, before the residual was added; gray for an I frame.
    prediction : Prediction
    inherits, split : (M,) bool arrays
        Of each macroblock: whether its motion is what its neighbours predict, and whether its quarters move by
        themselves.
    coded : list of (rows, columns) bool arrays
        Which blocks of each plane have levels.
    bits : dict of str to int
        What it takes, by kinds of symbols; empty unless bits are accounted for.
    """

    plan: FramePlan
    planes: list[NDArray[np.uint8]]
    predicted: list[NDArray[np.uint8]]
    prediction: Prediction
    inherits: NDArray[np.bool_]
    split: NDArray[np.bool_]
    coded: list[NDArray[np.bool_]]
    bits: dict[str, int]


def read_group(
    data: bytes, at: int, layout: Layout, plans: list[FramePlan], account: bool = False
) -> tuple[Group, dict[str, NDArray[np.int64]]]:
    """Read the symbols of a group.

    Parameters
    ----------
    data : bytes
        What holds the group; it ends with it.
    at : int
        Index of its first byte.
    layout : Layout
    plans : list of FramePlan
    account : bool
        Whether bits are accounted for.

    Returns
    -------
    group : Group
    bits : dict of str to (frames,) int64 arrays
        Bits of each kind of symbols that each frame takes, in the order of coding; what the frames share, tables and
        entry points, is the first one's. Empty unless wanted.

    Raises
    ------
    FormatError, TruncatedError
        Whatever the bytes are.
    """
    coder = HuffmanDecoder(data, at, KINDS, len(plans) if account else 0)
    group = code_group(coder, layout, np.array([plan.level for plan in plans[1:]], np.uint8), None)
    coder.finish()
    if account:
        shared = 8 * (len(data) - at) - sum(int(bits.sum()) for bits in coder.account.values())
        coder.account["shared"] = np.array([shared] + [0] * (len(plans) - 1), np.int64)
    return group, coder.account


def decode_group(
    data: bytes,
    at: int,
    layout: Layout,
    frames: int,
    pyramid: int,
    quality: float,
    *,
    without: Collection[str] = (),
    account: bool = False,
) -> Iterator[Decoded]:
    """Decode a group of pictures.

    Parameters
    ----------
    data : bytes
        What holds the group; it ends with it.
    at : int
        Index of its first byte.
    layout : Layout
    frames : int
        Number of frames in the group.
    pyramid : int
        Frames from one I or P frame to the next.
    quality : float
    without : collection of str
        Stages that the group was encoded without; "cascade" and "deblocking" count.
    account : bool
        Whether bits are accounted for.

    Yields
    ------
    Decoded
        Frame after frame in the order of display.

    Raises
    ------
    FormatError, TruncatedError
        Before the first frame, whatever the bytes are.
    """
    plans = plan_gop(frames, pyramid)
    group, account_of = read_group(data, at, layout, plans, account)
    levels, motion = frame_levels(group, layout), all_motion(group, layout)
    references: dict[int, list[NDArray[np.uint8]]] = {}
    ready: dict[int, Decoded] = {}
    shown = 0
    for number, (plan, done) in enumerate(zip(plans, last_uses(plans), strict=True)):
        prediction = Prediction(motion.direction[number], motion.vectors[number])
        if plan.type == "I":
            predicted = reconstruct.blank(layout)
        else:
            predicted = reconstruct.predict(layout, [references[index] for index in plan.references], prediction)
        planes = [plane.copy() for plane in predicted]
        step = reconstruct.steps(quality, plan.level, "cascade" not in without)
        coded = []
        for plane, own in enumerate(levels[number]):
            dense = own.dense()
            if plan.type == "I":
                dense[:, 0] = group.dc[plane].ravel()
            reconstruct.add_residual(planes[plane], own.where, dense, step[plane > 0])
            flags = np.zeros(layout.grids[plane], np.bool_)
            flags.reshape(-1)[own.where] = own.counts > 0
            coded.append(flags)
        if "deblocking" not in without:
            reconstruct.filter_edges(layout, planes, coded, prediction, step)
        for index in done:  # before more memory is taken
            references.pop(index, None)
        if plan.index not in done:
            references[plan.index] = reconstruct.interpolate(tuple(planes))
        bits = {kind: int(of_frames[number]) for kind, of_frames in account_of.items()}
        ready[plan.index] = Decoded(
            plan, planes, predicted, prediction, motion.inherits[number], motion.split[number], coded, bits
        )
        while shown in ready:
            yield ready.pop(shown)
            shown += 1
