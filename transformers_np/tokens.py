"""Pictures as sequences: patches, and where they are.

A transformer knows nothing of pictures. It is given a set of vectors, the tokens; so a picture is cut into patches, as
the codec cuts it into blocks (`codec.blocks`), and each patch is one token (Dosovitskiy et al., "An image is worth
16x16 words", 2020). What is lost is where each was: attention treats tokens alike, whatever their order. So to each
token a vector is added that depends on its place only. Waves of many lengths, sine and cosine, make vectors whose
products depend on how far apart two places are (Vaswani et al., 2017). There are three usual ways to lay out waves in
two dimensions, which agree in nothing but the idea; or the vectors are learned.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from codec import blocks
from codec.convolution import im2col, output_size

__all__ = ["detr_positions", "mae_positions", "merge_patches", "patches", "simple_vit_positions", "sliding_patches"]

Array: TypeAlias = NDArray[np.floating[Any]]


def patches(images: Array, size: int) -> Array:
    """Cut pictures into patches side by side.

    Parameters
    ----------
    images : (B, C, H, W) array
        Sides are multiples of `size`.
    size : int

    Returns
    -------
    (B, N, C * size * size) array
        N = H / size * W / size patches in raster order; the samples of each by (channel, row, column), as the weights
        of a convolution.
    """
    if images.ndim != 4 or size < 1 or images.shape[2] % size or images.shape[3] % size:
        raise ValueError(f"patches of {size} x {size} do not tile pictures {images.shape}")
    batch, channels, height, width = images.shape
    planes = images.reshape(batch * channels * height, width)  # one below the other
    cut = blocks.split(planes, size)  # (B C H / size, W / size, size, size)
    cut = cut.reshape(batch, channels, height // size * (width // size), size * size)
    return np.ascontiguousarray(cut.swapaxes(1, 2)).reshape(batch, -1, channels * size * size)


def merge_patches(tokens: Array, size: int, height: int, width: int) -> Array:
    """Put patches together again, the inverse of `patches`: (B, N, C * size * size) to (B, C, H, W)."""
    tiled = size > 0 and height % size == width % size == 0 and tokens.ndim == 3
    if not tiled or tokens.shape[1] != height // size * (width // size) or tokens.shape[2] % (size * size):
        raise ValueError(f"tokens {tokens.shape} are no patches of {size} x {size} of pictures of {height} x {width}")
    batch, _, samples = tokens.shape
    channels = samples // (size * size)
    cut = tokens.reshape(batch, -1, channels, size, size).swapaxes(1, 2)
    planes = blocks.merge(cut.reshape(batch * channels * (height // size), width // size, 1, 1, size, size))
    return planes.reshape(batch, channels, height, width)


def sliding_patches(images: Array, size: int, stride: int) -> Array:
    """Cut pictures into patches that overlap: (B, C, H, W) to (B, N, C * size * size), ordered as in `patches`."""
    if images.ndim != 4:
        raise ValueError(f"pictures {images.shape}; 4 axes are allowed")
    batch, channels, height, width = images.shape
    places = output_size(height, size, stride) * output_size(width, size, stride)
    columns = im2col(images, (size, size), stride)  # (C size size, N B)
    return np.ascontiguousarray(columns.reshape(channels * size * size, places, batch).transpose(2, 1, 0))


def _angles(places: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle of each wave at each place: (N,) and (K,) to (N, K)."""
    return places[:, None] * lengths


def mae_positions(rows: int, columns: int, width: int, *, cls: bool = True) -> NDArray[np.float64]:
    """Return the positions of MAE (`util/pos_embed.py`).

    The first half of a vector is for the column: width / 4 sines, then as many cosines, of lengths from 1 to nearly
    10,000; the second half for the row.

    Parameters
    ----------
    rows, columns : int
        Patches.
    width : int
        A multiple of 4.
    cls : bool
        Whether a vector of zeros for the class token comes first.

    Returns
    -------
    (rows * columns [+ 1], width) float64 array
    """
    _multiple_of_4(width)
    lengths = 10_000.0 ** -(np.arange(width // 4) / (width / 4))
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = [_angles(place.astype(float), lengths) for place in (column, row)]
    positions = np.concatenate([part for angle in angles for part in (np.sin(angle), np.cos(angle))], axis=1)
    return np.concatenate([np.zeros((1, width)), positions]) if cls else positions


def simple_vit_positions(rows: int, columns: int, width: int) -> NDArray[np.float64]:
    """Return the positions of big_vision's and lucidrains' SimpleViT (Beyer, Zhai, Kolesnikov, 2022).

    As in `mae_positions`, but lengths reach 10,000 itself, which takes a width of at least 8: (rows * columns, width)
    float64.
    """
    _multiple_of_4(width, least=8)
    lengths = 10_000.0 ** -(np.arange(width // 4) / (width // 4 - 1))
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = [_angles(place.astype(float), lengths) for place in (column, row)]
    return np.concatenate([part for angle in angles for part in (np.sin(angle), np.cos(angle))], axis=1)


def detr_positions(mask: NDArray[np.bool_], width: int) -> NDArray[np.float64]:
    """Return the positions of DETR (`models/position_encoding.py`), which know how large a padded picture is.

    Places are counted from 1 over what is not padding, and stretched to 2 pi. Sines and cosines take turns; the first
    half is for the row.

    Parameters
    ----------
    mask : (B, H, W) bool array
        True where there is padding.
    width : int
        A multiple of 4.

    Returns
    -------
    (B, width, H, W) float64 array
    """
    _multiple_of_4(width)
    if mask.ndim != 3 or mask.dtype != bool:
        raise ValueError(f"mask of {mask.dtype} {mask.shape}; 3 axes of bool are allowed")
    there = (~mask).astype(np.float64)
    row, column = there.cumsum(axis=1), there.cumsum(axis=2)
    row *= 2 * np.pi / (row[:, -1:] + 1e-6)
    column *= 2 * np.pi / (column[:, :, -1:] + 1e-6)
    half = width // 2
    lengths = 10_000.0 ** -(2 * (np.arange(half) // 2) / half)
    parts = []
    for place in (row, column):
        angle = place[..., None] * lengths  # (B, H, W, half)
        parts.append(np.stack([np.sin(angle[..., 0::2]), np.cos(angle[..., 1::2])], axis=-1).reshape(angle.shape))
    return np.concatenate(parts, axis=-1).transpose(0, 3, 1, 2)


def _multiple_of_4(width: int, least: int = 4) -> None:
    if width < least or width % 4:
        raise ValueError(f"positions of width {width}; multiples of 4 from {least} are allowed")
