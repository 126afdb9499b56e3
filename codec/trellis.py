"""Trellis-coded quantisation: steps half as fine for the price of whole ones.

A quantiser with steps of 1 has levels at 0, 1, 2, ... Let there be two, with levels that interleave:

    Q0    0     1     2     3          its level k stands for k
    Q1    0  0.5   1.5   2.5           its level k stands for k - 1/2, if k > 0

Which of them holds for a coefficient is not sent. It follows from the levels before it: whether each was even or odd
moves a machine of eight states on (all from 17 on count as odd), and the state says which quantiser is next. So all the
levels of a block together have twice as many places to be, per coefficient, as there are symbols, and an encoder that
looks far enough ahead finds levels whose errors are smaller than rounding's, as with a lattice in many dimensions
(Marcellin, Fischer, "Trellis coded quantization of memoryless and Gauss-Markov sources", IEEE Trans. Com. 38, 1990; as
"dependent quantization" in VVC: Schwarz et al., IEEE DCC 2019; eight states as in its successor ECM).

Looking ahead is the Viterbi algorithm: for each state the best way to it is kept, by error + lambda * bits
(`codec.rdoq`). Its bits are those of contexts that are known from an earlier attempt, since those of this one depend on
its levels; so there may be several attempts, each with the contexts of the one before.

**The chain.** A trellis does the better the longer it is. Here four neighbouring blocks, one of each phase, share one:
it goes through their levels in the order of coding (`codec.contexts`), 252 of them. All groups of four go through
theirs at the same time. For the state to be known, the cells of a diagonal have to be coded one after another.

Measured in real bytes on gray pictures: -1 to -3 % from 1.5 bits a pixel on, nothing below 1, where most levels are 0
and the few others seldom have a choice of paths; an encoder then does without (`codec.strip_encoder`). By the entropy
of all levels but DC, at 1 bit a pixel: -2.4 %; with four states -2.2; with a chain for each block -1.7; with one for
each row of a block +0.8, since half of a short chain is its beginning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.contexts import CONTEXTS, DIAGONALS, ESCAPE, LAST, Code

__all__ = ["NEXT", "Chain", "choose_levels"]

# By state and parity; odd states have Q1.
NEXT = np.array([[0, 2], [5, 7], [1, 3], [6, 4], [2, 0], [4, 6], [3, 1], [7, 5]], np.uint8)
# The two ways into each state: from which state, with which parity.
_WAYS = np.array([[(s, p) for s in range(8) for p in range(2) if NEXT[s, p] == to] for to in range(8)])


class Chain:
    """Codes the cells of each step one after another, with the machines of all groups of four blocks.

    Parameters
    ----------
    code : function
        Codes places of a step in given contexts (`codec.contexts.code_magnitudes`), here those of a single cell. There
        are two sets of contexts behind the usual one, for each quantiser.
    groups : int
        Groups of four blocks.

    Attributes
    ----------
    second : (4, 63, groups) bool array
        Which levels are of the second quantiser.
    """

    def __init__(self, code: Code, groups: int) -> None:
        self._code = code
        self._states = np.zeros(groups, np.uint8)
        self.second = np.zeros((4, 63, groups), np.bool_)

    def code(self, d: int, phase: int, places: NDArray[np.intp], contexts: NDArray[np.int32]) -> NDArray[np.integer]:
        """Code a step, in either direction."""
        groups = self._states.size
        symbols = np.empty(places.size, np.uint8)
        cells = _cells(DIAGONALS[d])
        bounds = np.searchsorted(places, groups * np.arange(len(cells) + 1)).tolist()
        for number, cell in enumerate(cells):
            here = slice(bounds[number], bounds[number + 1])
            group = places[here] - number * groups
            quantisers = self._states & np.uint8(1)
            self.second[phase, cell] = quantisers
            sets = contexts[here] + np.int32(CONTEXTS) * (1 + quantisers.take(group).astype(np.int32))
            symbols[here] = self._code(d, phase, places[here], sets)
            moves = 2 * self._states
            moves[group] |= symbols[here] & np.uint8(1)
            self._states = NEXT.reshape(-1).take(moves)
        return symbols


def choose_levels(
    magnitudes: NDArray[np.float32],
    contexts: NDArray[np.integer],
    bits: NDArray[np.float32],
    weight: NDArray[np.float32],
    last: int = LAST,
) -> NDArray[np.float32]:
    """Choose the levels of a plane.

    Parameters
    ----------
    magnitudes : (4, 63, N) float32 array
        Magnitudes of coefficients in steps, by phase and place in zigzag order.
    contexts : (4, 63, N) integer array
        Their contexts in an earlier attempt; negative where 0 is implied.
    bits : (2, contexts, symbols) float32 array
        What each level costs in each quantiser, with its sign.
    weight : (4, N) float32 array
        Lambda of each block, in squared steps a bit.
    last : int
        The last diagonal that has levels other than 0.

    Returns
    -------
    (4, 63, N) float32 array
        Magnitudes of levels, whole numbers.
    """
    order = [
        (phase, cell) for of_d in DIAGONALS[1 : last + 1] for phase in range(4) for cell in _cells(of_d)
    ]  # the chain
    phases, cells = np.array(order, np.intp).reshape(-1, 2).T
    costs, levels = _candidates(magnitudes[phases, cells], contexts[phases, cells], bits, weight[phases])
    from_state, parity = _WAYS[..., 0], _WAYS[..., 1]
    quantiser = from_state % 2
    groups = np.arange(magnitudes.shape[2])
    total = np.full((8, groups.size), np.float32(np.inf))
    total[0] = 0
    second = np.empty((len(order), 8, groups.size), np.bool_)  # which of the two ways into each state is better
    for at, cost in enumerate(costs):
        ways = [total[from_state[:, way]] + cost[quantiser[:, way], parity[:, way]] for way in range(2)]
        np.less(ways[1], ways[0], out=second[at])
        total = np.minimum(*ways)
    chosen = np.zeros(magnitudes.shape, np.float32)
    state = total.argmin(axis=0)
    for at in range(len(order) - 1, -1, -1):
        way = second[at, state, groups].astype(np.intp)
        before = from_state[state, way]
        chosen[phases[at], cells[at]] = levels[at, before % 2, parity[state, way], groups]
        state = before
    return chosen


def _cells(of_diagonal: slice) -> range:
    """Return the places of a diagonal, counted without DC."""
    return range(of_diagonal.start - 1, of_diagonal.stop - 1)


def _candidates(
    magnitudes: NDArray[np.float32],
    contexts: NDArray[np.integer],
    bits: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the best even and odd levels of both quantisers: (places, N) to costs and levels, (places, 2, 2, N)."""
    shape = (len(magnitudes), 2, 2, magnitudes.shape[1])
    costs, chosen = np.empty(shape, np.float32), np.empty(shape, np.float32)
    coded = contexts >= 0
    rows = np.where(coded, contexts, 0).astype(np.intp) * bits.shape[2]
    for quantiser in range(2):
        flat = bits[quantiser].reshape(-1)
        for parity in range(2):
            wanted = magnitudes + np.float32(0.5 * quantiser)
            nearest = 2 * np.rint((wanted - parity) / 2) + np.float32(parity)
            if parity:
                nearest = np.where(wanted >= ESCAPE, np.rint(wanted), nearest)
            else:
                np.minimum(nearest, ESCAPE - 1, out=nearest)
            best: NDArray[np.float32] | None = None
            lower = nearest - 2 + (nearest == ESCAPE + 1)  # below 18 the next one that counts as odd is 17
            for candidate in (np.maximum(nearest, parity), np.maximum(lower, parity)):
                error = magnitudes - candidate + np.float32(0.5 * quantiser) * (candidate > 0)
                cost = error * error + weight * flat.take(rows + np.minimum(candidate, ESCAPE).astype(np.intp))
                if best is None:
                    best, levels = cost, candidate
                else:
                    levels = np.where(cost < best, candidate, levels)
                    best = np.minimum(cost, best)
            assert best is not None
            if parity:
                best[~coded] = np.inf
            else:
                levels[~coded] = 0
                best[~coded] = np.square(magnitudes[~coded])
            costs[:, quantiser, parity], chosen[:, quantiser, parity] = best, levels
    return costs, chosen
