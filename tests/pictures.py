"""Pictures made from formulas: what a photograph has, smooth shades, sharp edges and texture, at any size.

Only additions, products and comparisons of single samples go into them: the same picture on every machine.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["make_picture"]


def make_picture(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Make a picture like a photograph.

    Parameters
    ----------
    height, width : int
        In pixels, at least 1.
    channels : int
        1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. Alpha is a disc, opaque inside and with a soft edge.
    seed : int
        Another seed gives another picture.

    Returns
    -------
    (H, W) or (H, W, channels) uint8 array
    """
    rng = np.random.default_rng(seed)
    longer = max(height, width)
    row, column = np.arange(height)[:, None] / longer, np.arange(width) / longer
    distance = (row - 0.45) ** 2 + (column - 0.4) ** 2
    disc, band = distance < 0.06, (row + 0.5 * column) % 0.4 < 0.05
    light = 60 * row - 40 * column + 50 * disc - 45 * band + _photo_noise(rng, height, width, finest=1)
    planes = [128 + light]
    if channels >= 3:
        warm = 35 * disc - 20 * column + _photo_noise(rng, height, width, finest=8)  # chroma has less detail
        planes = [128 + light + warm, 128 + light, 128 + light - warm]
    if channels in (2, 4):
        planes.append(255 * (0.3 - distance) / 0.1)
    pixels = np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def _photo_noise(rng: np.random.Generator, height: int, width: int, finest: int) -> NDArray[np.float64]:
    """Return noise whose octaves grow with the size of their details, as in photographs."""
    noise = np.zeros((height, width))
    for size in (1, 2, 4, 8, 16, 32, 64):
        if size >= finest:
            noise += 4 * size**0.5 * _value_noise(rng, height, width, size)
    return noise


def _value_noise(rng: np.random.Generator, height: int, width: int, size: int) -> NDArray[np.float64]:
    """Return noise in [-1, 1] with details of so many pixels: random numbers on a grid, and lines between them."""
    row, column = np.arange(height)[:, None] / size, np.arange(width) / size
    top, left = row[:, 0].astype(int), column.astype(int)
    grid = rng.uniform(-1, 1, (top[-1] + 2, left[-1] + 2))
    down, right = row - top[:, None], column - left
    tall = grid[top] * (1 - down) + grid[top + 1] * down
    noise: NDArray[np.float64] = tall[:, left] * (1 - right) + tall[:, left + 1] * right
    return noise
