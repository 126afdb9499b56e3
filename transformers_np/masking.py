"""Masks: which tokens of a picture are hidden.

A network that has to tell what is behind a mask learns what pictures are like (He et al., "Masked autoencoders are
scalable vision learners", 2021). How much it has to know depends on the share that is hidden, and on the pattern:

    random      each token alike. At 75 % the nearest visible token is next to most of the hidden ones, yet no edge
                can be followed for long.
    grid        visible tokens lie as far apart as they can: every second one of every second row at 75 %. The easiest
                one, since what is hidden is never far from what is not.
    block       rectangles, one over the other, each hiding up to a sixteenth of the picture (as in BEiT: Bao et al.,
                2021). The hardest one: the middle of a rectangle is far from anything.

Each is a ranking of tokens, of which the first int(N (1 - ratio)) remain visible, as in the official code of MAE; but
at least one token is visible and at least one hidden, or there would be nothing to do. All are drawn from a generator
that the caller brings. So a seed stands for a mask: 32 bits, where to tell a quarter of 6,144 tokens takes 4,978.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["PATTERNS", "block_mask", "grid_mask", "random_mask", "visible_tokens"]

Mask = NDArray[np.bool_]

RECTANGLE = 1 / 16  # of the tokens that the largest may hide
FLATTEST = 0.3  # ratio of its sides, or 1 by that


def visible_tokens(tokens: int, ratio: float) -> int:
    """Return how many tokens remain visible.

    Parameters
    ----------
    tokens : int
        Of the picture, at least 2.
    ratio : float
        Share that is hidden, above 0 and below 1.

    Returns
    -------
    int
        From 1 to `tokens` - 1.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio is {ratio}; numbers above 0 and below 1 are allowed")
    if tokens < 2:
        raise ValueError(f"{tokens} tokens; at least 2 are allowed, one to be hidden and one to be seen")
    return min(max(int(tokens * (1 - ratio)), 1), tokens - 1)


def _hide_all_but(order: NDArray[np.intp], rows: int, columns: int, ratio: float) -> Mask:
    """Return the mask that shows the tokens that come first: numbers of all, (rows * columns,), to (rows, columns)."""
    hidden = np.ones(rows * columns, bool)
    hidden[order[: visible_tokens(rows * columns, ratio)]] = False
    return hidden.reshape(rows, columns)


def random_mask(rng: np.random.Generator, rows: int, columns: int, ratio: float) -> Mask:
    """Hide tokens anywhere; parameters and results are those of all patterns.

    Parameters
    ----------
    rng : np.random.Generator
    rows, columns : int
        Tokens of the picture.
    ratio : float
        Share that is hidden, above 0 and below 1.

    Returns
    -------
    (rows, columns) bool array
        True where a token is hidden.
    """
    return _hide_all_but(np.argsort(rng.random(rows * columns), kind="stable"), rows, columns, ratio)


def grid_mask(rng: np.random.Generator, rows: int, columns: int, ratio: float) -> Mask:
    """Hide what lies between the tokens of a regular grid, which begins anywhere.

    Tokens are ranked as in ordered dithering (Bayer, 1973): those with both places even come first, of these the ones
    whose halves are even, and so on. Tokens of one rank come in any order.
    """
    rank = np.zeros((rows, columns))
    row, column = np.ogrid[:rows, :columns]
    row, column = row + rng.integers(rows), column + rng.integers(columns)
    for level in range(max(rows, columns).bit_length()):
        down, across = row >> level & 1, column >> level & 1
        rank += (2 * (down ^ across) + across) / 4 ** (level + 1)
    return _hide_all_but(np.lexsort((rng.random(rows * columns), rank.ravel())), rows, columns, ratio)


def block_mask(rng: np.random.Generator, rows: int, columns: int, ratio: float) -> Mask:
    """Hide rectangles, until enough is hidden; of the last one, what lies above."""
    tokens = rows * columns
    still = tokens - visible_tokens(tokens, ratio)
    hidden = np.zeros((rows, columns), bool)
    while still:
        area, shape = tokens * RECTANGLE * rng.random(), math.exp(rng.uniform(math.log(FLATTEST), -math.log(FLATTEST)))
        height, width = (
            min(max(round(side), 1), most)
            for side, most in ((math.sqrt(area * shape), rows), (math.sqrt(area / shape), columns))
        )
        top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
        rectangle = hidden[top : top + height, left : left + width]
        new = np.flatnonzero(~rectangle)[:still]
        rectangle.flat[new] = True
        still -= len(new)
    return hidden


PATTERNS: dict[str, Callable[[np.random.Generator, int, int, float], Mask]] = {
    "random": random_mask,
    "grid": grid_mask,
    "block": block_mask,
}
