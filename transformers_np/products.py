"""Products of many rows with narrow matrices, without what BLAS does before it multiplies.

For a product OpenBLAS first copies both matrices into panels, in the order in which it reads them. That is soon paid
back if they are large. But the layers of a small transformer are 64 or 128 wide: each number that is copied is used 64
times only, and copies are a fifth of the time. With AVX-512 OpenBLAS does without them if a product is small; so the
product is put together from small ones:

    times      x w    (R, in) by (in, out)     for some rows of x and some columns of w at a time
    add_up     y^T x  (out, R) by (R, in)      for some columns of each; what some rows give is added up

Measured on one thread of an AMD EPYC 9004 in float32, the products of a ViT's block with 3,200 tokens, in billions of
operations a second:

    64 wide     x w     97 as a whole, 109 as small ones        y^T x   95 and 103
    128 wide    x w     94 as a whole, 103 as small ones        y^T x   92 and 95

More threads than one would share a large product, but no small one: training has one thread.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from transformers_np.workspace import empty

__all__ = ["add_up", "times"]

Array: TypeAlias = NDArray[np.floating[Any]]

UNPACKED = 10**6  # multiplications, the most of a product without copies (OpenBLAS, sgemm_small_kernel_permit)
TILE = (8, 64)  # rows and columns: fewer of the former, or more of the latter, are slower
SIMD = np.show_config(mode="dicts").get("SIMD Extensions", {})  # NumPy leaves out what is empty
AVX512 = not {"X86_V4", "AVX512_SKX"}.isdisjoint(SIMD.get("found", ()))


def times(x: Array, w: Array, out: Array, *, small: bool) -> None:
    """Put x w, of (R, in) and (in, out), into `out`; by small products if that is wanted, and sooner done."""
    depth = len(w)
    height = UNPACKED // (depth * TILE[1]) // TILE[0] * TILE[0]
    # Not if w is too high, or would be copied for few rows.
    if not (small and AVX512 and height and len(x) >= depth):
        np.matmul(x, w, out=out)
        return
    whole = len(x) // height * height
    blocks = out[:whole].reshape(-1, height, w.shape[1])
    for first in range(0, w.shape[1], TILE[1]):
        columns = slice(first, first + TILE[1])
        tile = np.ascontiguousarray(w[:, columns])
        np.matmul(x[:whole].reshape(-1, height, depth), tile, out=blocks[..., columns])
        np.matmul(x[whole:], tile, out=out[whole:, columns])


def add_up(y: Array, x: Array, out: Array, *, small: bool) -> None:
    """Put y^T x, of (R, out) and (R, in), into `out`; by small products if that is wanted, and sooner done."""
    height = UNPACKED // TILE[1] ** 2 // TILE[0] * TILE[0]
    # Not if both are wide, or a large part of the rows would be left when they are dealt out.
    if not (small and AVX512 and min(out.shape) <= TILE[1] and len(x) >= 4 * height):
        np.matmul(y.T, x, out=out)
        return
    whole = len(x) // height * height
    of_y, of_x = (rows[:whole].reshape(-1, height, rows.shape[1]) for rows in (y, x))
    parts = empty((len(of_x), TILE[1], TILE[1]), x.dtype)
    for i in range(0, out.shape[0], TILE[1]):
        for j in range(0, out.shape[1], TILE[1]):
            own, other = slice(i, i + TILE[1]), slice(j, j + TILE[1])
            tile = out[own, other]
            np.matmul(y[whole:, own].T, x[whole:, other], out=tile)
            of_tile = parts[:, : len(tile), : tile.shape[1]]
            np.matmul(of_y[..., own].swapaxes(1, 2), of_x[..., other], out=of_tile)
            tile += of_tile.sum(axis=0)
