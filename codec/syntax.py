"""The syntax of a group of pictures: one function for encoder and decoder.

`code_group` describes, call by call, what a group is made of. An encoder gives it a group, a decoder gives None, and
both get the group back (`bitstreams.symbols`). All frames of the group are coded as one batch: first their motion
(`codec.motion_syntax`), then the DC levels of the I frame, then all other levels (`codec.level_syntax`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitstreams.symbols import SymbolCoder
from codec.layout import Layout
from codec.level_syntax import LEVEL_KINDS, Blocks, Levels, code_dc, code_levels
from codec.motion_syntax import MOTION_KINDS, Motion, code_motion, skip_symbols

__all__ = ["KINDS", "Group", "code_group"]

KINDS = {**MOTION_KINDS, **LEVEL_KINDS}  # of symbols, and how many contexts each has
OF_I, OF_P, OF_B = 0, 2, 4  # classes of luma blocks by their frames; of chroma blocks one more


@dataclass
class Group:
    """What a group of pictures is made of: an I frame, and F others in the order of coding.

    Attributes
    ----------
    dc : list of (rows, columns) int16 arrays
        DC levels of each plane of the I frame.
    motion : Motion
        How the other frames are predicted.
    levels : Levels
        Of all blocks that may have some: plane by plane the I frame's (without DC), then plane by plane the others',
        frame after frame, in raster order.
    """

    dc: list[NDArray[np.int16]]
    motion: Motion
    levels: Levels


def code_group(coder: SymbolCoder, layout: Layout, levels: NDArray[np.uint8], group: Group | None) -> Group:
    """Code a group of pictures, in either direction.

    Parameters
    ----------
    coder : SymbolCoder
        An encoder, or a decoder.
    layout : Layout
        The grids of a frame.
    levels : (F,) uint8 array
        Level in the pyramid of each frame but the first, in the order of coding (`codec.gop`).
    group : Group or None
        The group for an encoder, None for a decoder.

    Returns
    -------
    Group

    Raises
    ------
    FormatError, TruncatedError
        From a decoder.
    """
    # Before memory is taken for so many: the I frame has a symbol for each block, others for each four macroblocks.
    coder.expect("dc", sum(rows * columns for rows, columns in layout.grids))
    coder.expect("skip", len(levels) * skip_symbols(layout))
    motion = code_motion(coder, layout, levels, group.motion if group else None)
    dc, still = [], []
    for plane, grid in enumerate(layout.grids):
        chroma = plane > 0
        dc.append(code_dc(coder, grid, chroma, group.dc[plane] if group else None))
        kind = np.array([OF_I + chroma], np.uint8)
        still.append(Blocks(np.ones((1, *grid), np.bool_), kind, np.zeros(1, np.intp)))
    of_luma, numbers = np.where(levels > 1, OF_B, OF_P).astype(np.uint8), np.arange(1, len(levels) + 1)
    moving = [
        Blocks(some, of_luma + np.uint8(plane > 0), numbers) for plane, some in enumerate(layout.coded(motion.pattern))
    ]
    return Group(dc, motion, code_levels(coder, [*still, *moving], group.levels if group else None))
