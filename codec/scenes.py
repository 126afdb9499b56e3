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
# Blocks that are tried, by their side and how far they may have moved, in samples of the small picture: small ones near
# by, and large ones further away, for the camera may pan fast. Small ones would find something alike anywhere.
TRIALS = ((4, 2), (16, 8))
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
    old, new = pyramid(before), pyramid(after)
    cut = blocks.split(blocks.pad(new, SIZE), SIZE).reshape(-1, SIZE * SIZE).astype(np.int32)
    mean = (cut.sum(axis=1, keepdims=True) + SIZE * SIZE // 2) // (SIZE * SIZE)
    own = float(np.abs(cut - mean).mean())
    for size, reach in TRIALS:
        _, moved = full_search(blocks.pad(new, size), blocks.pad(old, size), size, reach)
        if float(moved.mean()) / size**2 <= max(NOTICEABLE, SHARE * own):
            return False
    return True
