"""Scene cuts: where the next frame has nothing to do with the one before.

Predicting a frame from one of another scene costs more than beginning anew. Both frames are looked at in a quarter of
their resolution: if the blocks of the new one are as well described by their own mean as by anything near their place
in the old one, motion explains nothing.
"""

import numpy as np
from numpy.typing import NDArray

from codec import blocks
from codec.motion import full_search, pyramid

__all__ = ["is_cut"]

SIZE = 4  # side of a block of the small picture: 16 pixels
REACHES = 2, 8  # how far motion is looked for, 8 pixels and 32: the second only if the first explains nothing
SHARE = 0.8  # of the error that the mean leaves
NOTICEABLE = 2.0  # mean error a sample: below it motion compensation is good enough, however flat the picture


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Tell whether a scene begins.

    Parameters
    ----------
    before, after : (H, W) uint8 arrays
        Luma of two frames that follow each other.

    Returns
    -------
    bool
    """
    old, new = (blocks.pad(pyramid(plane), SIZE) for plane in (before, after))
    cut = blocks.split(new, SIZE).reshape(-1, SIZE * SIZE).astype(np.int32)
    mean = (cut.sum(axis=1, keepdims=True) + SIZE * SIZE // 2) // (SIZE * SIZE)
    own = int(np.abs(cut - mean).sum())
    for reach in REACHES:
        _, moved = full_search(new, old, SIZE, reach)
        if int(moved.sum()) <= max(NOTICEABLE * new.size, SHARE * own):
            return False
    return True
