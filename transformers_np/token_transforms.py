"""Switched sparse orthonormal transforms: for each block the one of a few that leaves the fewest levels.

The cosine transform is best for blocks that are smooth, or whose waves run along rows or columns. An edge that runs
aslant takes many of its waves. A set of orthonormal transforms is trained such that each is sparse for the blocks that
choose it (Sezer, Guleryuz, Altunbasak, "Approximation and compression with sparse orthonormal transforms", IEEE Trans.
IP 24, 2015):

    assign    each block goes to the transform T that costs it least, the sum over its coefficients of min(c**2, l**2)
    fit       T of the blocks x that chose it: with c = T x cut off below l, the rotation that comes closest to c x^T

What is transformed here is what a prediction missed by, 63 coefficients without DC; the first transform is the
identity, which leaves the cosine transform as it is. Which one a block uses is a symbol, coded in the context of how
much the network expects to be missed: where that is nothing, nobody switches. A transform mixes what the network said
of each coefficient: of the errors e of a block it expects the squares of T times e.

**Exactness.** Matrices hold whole multiples of 2**-12, levels are whole numbers below 2**17: sums stay below 2**40,
exact in float64 in any order. The result is rounded to 1/16 of a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.rans import Tables
from codec.block_choice import guess_cost
from transformers_np.token_network import FRACTION

__all__ = ["CONTEXTS", "UNIT", "Transforms"]

UNIT = 1 << 12
CONTEXTS = 16  # expected errors of a whole block, half an octave each, from 1 on


class Transforms(NamedTuple):
    """The transforms, and how likely each is.

    Attributes
    ----------
    matrices : (K, 63, 63) float64 array
        Whole multiples of 2**-12; rows are basis vectors. The first is the identity.
    tables : Tables
        Frequencies of choices.
    """

    matrices: NDArray[np.float64]
    tables: Tables

    def find_contexts(self, errors: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the context of each block's choice, given its expected errors (63, N), multiples of 2**-12."""
        total = errors.sum(axis=0).astype(np.float32)
        return np.clip((total.view(np.int32) >> 22) - (127 << 1), 0, CONTEXTS - 1)

    def choose(
        self, rest: NDArray[np.float32], contexts: NDArray[np.integer], weight: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Choose the transform of each block by a guess at what its levels cost.

        Parameters
        ----------
        rest : (63, N) float32 array
            What predictions missed, in steps.
        contexts : (N,) integer array
        weight : float
            Lambda, in squared steps a bit.

        Returns
        -------
        choices : (N,) uint8 array
        turned : (63, N) float32 array
        """
        choices, turned = np.zeros(rest.shape[1], np.uint8), rest.copy()
        some = np.flatnonzero((np.abs(rest) >= np.float32(0.5)).any(axis=0))  # all others take no bits as they are
        if some.size:
            blocks, bits = rest[:, some], self.tables.bits[contexts[some]].T
            every = [blocks, *(matrix.astype(np.float32) @ blocks for matrix in self.matrices[1:])]
            costs = [guess_cost(each, weight).sum(axis=0) + weight * of for each, of in zip(every, bits, strict=True)]
            choices[some] = best = np.argmin(costs, axis=0)
            turned[:, some] = np.choose(best, every)
        return choices, turned

    def spread(self, errors: NDArray[np.float64], choices: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the errors that are to be expected after transforms: multiples of 2**-24, (63, N)."""
        out = errors
        for k, matrix in enumerate(self.matrices):
            there = np.flatnonzero(choices == k)
            if k and there.size:
                if out is errors:
                    out = errors.copy()
                shares = np.rint(np.square(matrix) * UNIT) / UNIT
                out[:, there] = shares @ errors[:, there]
        return out

    def inverse(self, levels: NDArray[np.float32], choices: NDArray[np.integer]) -> NDArray[np.float32]:
        """Turn levels (63, N) into coefficients in 1/16 of a step, whole numbers."""
        out = np.float32(FRACTION) * levels
        for k, matrix in enumerate(self.matrices):
            there = np.flatnonzero((choices == k) & levels.any(axis=0))
            if k and there.size:
                out[:, there] = np.rint(FRACTION * (matrix.T @ levels[:, there].astype(np.float64)))
        return out
