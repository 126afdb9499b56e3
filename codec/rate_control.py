"""Rate control in two passes: a video of a wanted size, of even quality.

The first pass encodes every group at one quality, and notes the sizes. They tell how hard each group is, so the bytes
that are there are allotted in their proportion: what was one quality stays nearly one. The second pass finds, for each
group, the quality that gives its share. Groups do not wait for each other in either pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError
from codec.frames import Planes
from codec.group_encoder import encode_group
from codec.layout import Layout

__all__ = ["Share", "allot", "encode_group_to_size"]

TOLERANCE = 0.015  # of a group's size: errors of many groups cancel out, those of one clip may not
TRIALS = 7  # encodings of a group in the second pass, at most
SLOPE = 0.9  # how much smaller a group gets as quantiser steps grow, both on a log scale: a typical value to begin with
FLATTEST, STEEPEST = 0.2, 3.0  # slopes between trials that are believed
FINEST, COARSEST = 2.0, 5000.0  # scales of the steps in percent that are tried: qualities 99 and 1


class Share(NamedTuple):
    """What is known of a group after the first pass.

    Attributes
    ----------
    target : int
        Bytes that it shall take.
    size : int
        Bytes that it took in the first pass.
    """

    target: int
    size: int


def allot(sizes: Sequence[int], budget: int) -> list[Share]:
    """Divide bytes among groups in proportion to what they took in the first pass.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each group at one quality.
    budget : int
        Bytes for all of them.

    Returns
    -------
    list of Share

    Raises
    ------
    CodecError
        If there is not even a byte for each.
    """
    if budget < len(sizes):
        raise CodecError("the bit rate is too low: not even the headers fit in")
    total = sum(sizes)
    return [Share(max(1, size * budget // total), size) for size in sizes]


def encode_group_to_size(
    frames: Sequence[Planes],
    layout: Layout,
    pyramid: int,
    share: Share,
    quality: float,
    seen: dict[int, list[NDArray[np.uint8]]] | None = None,
    without: Collection[str] = (),
) -> tuple[bytes, float]:
    """Encode a group at the quality at which it has a wanted size.

    Parameters
    ----------
    frames, layout, pyramid, seen, without
        As for `encode_group`.
    share : Share
    quality : float
        That of the first pass.

    Returns
    -------
    data : bytes
        Within 1.5 % of the target if that is possible; less if even the best quality takes less.
    quality : float
        In steps of 0.01.

    Raises
    ------
    CodecError
        If even the lowest quality takes much more than is wanted.
    """
    # Trials as (log scale of the steps, log of size / target): the nearest that was too large, and too small.
    point = math.log(_scale(quality)), math.log(share.size / share.target)
    larger, smaller = (point, None) if point[1] > 0 else (None, point)
    slope = SLOPE
    tried: dict[float, bytes] = {}
    for _ in range(TRIALS):
        if larger and smaller:  # the wanted size lies between them: on the line through them
            middle = larger[0] + (smaller[0] - larger[0]) * larger[1] / (larger[1] - smaller[1])
        else:
            middle = point[0] + point[1] / slope
        trial = round(_quality(min(max(math.exp(middle), FINEST), COARSEST)), 2)
        if trial in tried:
            break
        tried[trial] = encode_group(frames, layout, pyramid, trial, seen, without)
        error = len(tried[trial]) / share.target
        if abs(error - 1) <= TOLERANCE:
            return tried[trial], trial
        before, point = point, (math.log(_scale(trial)), math.log(error))
        if point[0] != before[0]:
            slope = min(max((before[1] - point[1]) / (point[0] - before[0]), FLATTEST), STEEPEST)
        larger, smaller = (point, smaller) if point[1] > 0 else (larger, point)
    best = min(tried, key=lambda quality: abs(len(tried[quality]) - share.target))
    if len(tried[best]) > 1.1 * share.target and min(tried) <= 1:
        raise CodecError(
            f"the bit rate is too low: {len(frames)} frames take {len(tried[best])} bytes at the lowest quality, and "
            f"there are {share.target}"
        )
    if seen is not None:  # what it holds is of the last trial
        encode_group(frames, layout, pyramid, best, seen, without)
    return tried[best], best


def _scale(quality: float) -> float:
    """Return by how many percent a quality scales the quantiser's steps, as `quantize.scale` does."""
    return 5000 / max(quality, 1) if quality < 50 else max(200 - 2 * quality, FINEST)


def _quality(scale: float) -> float:
    """Undo `_scale`."""
    return 5000 / scale if scale > 100 else 100 - scale / 2
