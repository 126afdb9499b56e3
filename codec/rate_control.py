"""Rate control in two passes: a video of a wanted size, of even quality.

The first pass encodes every group at one quality, and notes the sizes. They tell how hard each group is, so the bytes
that are there are allotted in their proportion: what was one quality stays nearly one. The second pass finds, for each
group, the quality that gives its share. Groups do not wait for each other in either pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError
from codec.frames import Planes
from codec.group_encoder import encode_group
from codec.syntax import Layout

__all__ = ["allot", "encode_group_to_size"]

TOLERANCE = 0.015  # of a group's size: errors of many groups cancel out, those of one clip may not
TRIALS = 7
SLOPE = 0.9  # how much smaller a group gets as quantiser steps grow, both on a log scale: a typical value to begin with
FINEST, COARSEST = 2.0, 5000.0  # scales of the steps in percent that are tried: qualities 99 and 1


def allot(sizes: Sequence[int], budget: int) -> list[int]:
    """Divide bytes among groups in proportion to what they took in the first pass.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each group at one quality.
    budget : int
        Bytes for all of them.

    Returns
    -------
    list of int

    Raises
    ------
    CodecError
        If there is not even a byte for each.
    """
    if budget < len(sizes):
        raise CodecError("the bit rate is too low: not even the headers fit in")
    total = sum(sizes)
    return [max(1, size * budget // total) for size in sizes]


def encode_group_to_size(
    frames: Sequence[Planes],
    layout: Layout,
    pyramid: int,
    target: int,
    quality: float,
    seen: dict[int, list[NDArray[np.uint8]]] | None = None,
) -> tuple[bytes, float]:
    """Encode a group at the quality at which it has a wanted size.

    Parameters
    ----------
    frames, layout, pyramid
        As for `encode_group`.
    target : int
        Wanted bytes.
    quality : float
        Where to begin: that of the first pass.
    seen : dict, optional
        As for `encode_group`.

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
    tried: dict[float, bytes] = {}
    finer = coarser = None  # (log scale, log size) of the nearest trials that were too large, and too small
    scale = _scale(quality)
    for _ in range(TRIALS):
        quality = round(_quality(scale), 2)
        data = tried[quality] = encode_group(frames, layout, pyramid, quality, seen)
        if abs(len(data) / target - 1) <= TOLERANCE:
            return data, quality
        point = math.log(_scale(quality)), math.log(len(data) / target)
        if point[1] > 0:
            finer = point
        else:
            coarser = point
        if finer and coarser:  # the size lies between two trials: on the line through them
            following = finer[0] + (coarser[0] - finer[0]) * finer[1] / (finer[1] - coarser[1])
        else:
            following = point[0] + point[1] / SLOPE
        scale = min(max(math.exp(following), FINEST), COARSEST)
        if round(_quality(scale), 2) in tried:
            break
    quality = min(tried, key=lambda quality: abs(len(tried[quality]) - target))
    data = encode_group(frames, layout, pyramid, quality, seen) if seen else tried[quality]
    if len(data) > 1.1 * target and scale >= COARSEST:
        raise CodecError(
            f"the bit rate is too low: {len(frames)} frames take {len(data)} bytes at the lowest quality, and there "
            f"are {target}"
        )
    return data, quality


def _scale(quality: float) -> float:
    """Return by how many percent a quality scales the quantiser's steps, as `quantize.scale` does."""
    return 5000 / max(quality, 1) if quality < 50 else max(200 - 2 * quality, FINEST)


def _quality(scale: float) -> float:
    """Undo `_scale`."""
    return 5000 / scale if scale > 100 else 100 - scale / 2
