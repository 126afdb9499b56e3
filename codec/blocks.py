"""Pictures cut into blocks, and put together again.

Everything after this is a way to spend fewer bits on a grid of blocks. Cutting comes first in the pipeline, while
samples are bytes: what follows then works on whole rows of contiguous blocks, one element or one matrix at a time.

A macroblock groups blocks that share a chroma block: with 4:2:0 sampling that is 2 x 2 luma blocks. `split` can give
the blocks in the order of macroblocks,

    macroblock (0, 0)   macroblock (0, 1)
      block 0  block 1    block 4  block 5
      block 2  block 3    block 6  block 7     ...

so that the pixels of a macroblock are contiguous: they are four luma blocks of 8 x 8, and one chroma block of 16 x 16.
`raster` puts what was made of the blocks into the order of rows and columns.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["merge", "pad", "raster", "split"]

Sample = TypeVar("Sample", bound=np.generic)


def pad(picture: NDArray[Sample], multiple: int) -> NDArray[Sample]:
    """Extend a picture to whole blocks by repeating its last row and column.

    Parameters
    ----------
    picture : (H, W[, C]) array
        Any size of at least 1 x 1.
    multiple : int
        Both sides become multiples of it.

    Returns
    -------
    (H', W'[, C]) array
        The picture itself where nothing is missing.
    """
    below, right = -picture.shape[0] % multiple, -picture.shape[1] % multiple
    if not below and not right:
        return picture
    return np.pad(picture, ((0, below), (0, right)) + ((0, 0),) * (picture.ndim - 2), mode="edge")


def split(picture: NDArray[Sample], size: int, group: int = 1) -> NDArray[Sample]:
    """Cut a picture into square blocks, in the order of macroblocks.

    Parameters
    ----------
    picture : (H, W[, C]) array
        Sides are multiples of `size * group`.
    size : int
        Side of a block in samples.
    group : int
        Side of a macroblock in blocks; 1 gives plain raster order.

    Returns
    -------
    (rows, columns, group, group, size, size[, C]) array
        Contiguous; `rows` and `columns` count macroblocks.
    """
    height, width, *channels = picture.shape
    rows, columns = height // (size * group), width // (size * group)
    # A row of a block is moved as one element, which is faster than sample by sample.
    block_row = np.dtype((np.void, size * picture[0, 0].nbytes))
    grid = np.ascontiguousarray(picture).reshape(height, -1).view(block_row)
    cut = grid.reshape(rows, group, size, columns, group).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(cut).view(picture.dtype).reshape(rows, columns, group, group, size, size, *channels)


def raster(blocks: NDArray[Sample]) -> NDArray[Sample]:
    """Put blocks that stand in the order of macroblocks into raster order.

    Parameters
    ----------
    blocks : (rows, columns, group, group, ...) array

    Returns
    -------
    (rows * group, columns * group, ...) array
    """
    rows, columns, group, _, *block = blocks.shape
    return blocks.swapaxes(1, 2).reshape(rows * group, columns * group, *block)


def merge(blocks: NDArray[Sample]) -> NDArray[Sample]:
    """Put the blocks of `split` together again.

    Parameters
    ----------
    blocks : (rows, columns, group, group, size, size[, C]) array

    Returns
    -------
    (rows * group * size, columns * group * size[, C]) array
    """
    grid = raster(blocks)  # (rows, columns, size, size[, C])
    rows, columns, size, _, *channels = grid.shape
    return grid.swapaxes(1, 2).reshape(rows * size, columns * size, *channels)
