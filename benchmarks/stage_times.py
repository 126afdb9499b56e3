"""How the time of encoding and decoding is shared out among the stages: the rooms of this project, a file each.

The code runs under the profiler of the standard library. The time of a function counts for the file that it is in; that
of NumPy and of the interpreter's own functions for the file that called them, directly or through others. So a stage
that is added later shows up by itself.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import codec

__all__ = ["shares"]

HOUSE = Path(codec.__file__).parents[1]
FLOORS = ("bitstreams", "codec", "transformers_np")

Function = tuple[str, int, str]  # file, line, name


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Run something; return what share of its time each file of the project takes, the largest first; 1 in all.

    What is called from no file of the project, such as what `work` itself does, is left out.
    """
    profile = cProfile.Profile()
    profile.runcall(work)
    stats: dict[Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # not in the stubs
    seconds: defaultdict[str, float] = defaultdict(float)
    for function, (_, _, own, _, callers) in stats.items():
        if _room(function) is not None:
            seconds[str(_room(function))] += own
            continue
        for caller, (_, _, own_for_caller, _) in callers.items():
            for room, share in _rooms(caller, stats, frozenset([function])).items():
                seconds[room] += own_for_caller * share
    total = sum(seconds.values())
    return {room: seconds[room] / total for room in sorted(seconds, key=seconds.__getitem__, reverse=True)}


def _rooms(function: Function, stats: dict[Function, Any], seen: frozenset[Function]) -> dict[str, float]:
    """Return for which files time spent below a function counts, and to what share.

    For its own file, or for those that it was called from, in proportion to the time that it and all below it took.
    """
    room = _room(function)
    if room is not None:
        return {room: 1.0}
    found: defaultdict[str, float] = defaultdict(float)
    callers = {caller: times for caller, times in stats[function][4].items() if caller not in seen}  # recursion ends
    total = sum(below for _, _, _, below in callers.values())
    for caller, (_, _, _, below) in callers.items():
        for name, share in _rooms(caller, stats, seen | {function}).items():
            found[name] += share * below / total if total else 0.0
    return found


def _room(function: Function) -> str | None:
    """Return the file that a function is in, if it is one of the project's."""
    path = Path(function[0])
    if not path.is_relative_to(HOUSE):
        return None
    room = path.relative_to(HOUSE)
    return str(room) if room.parts[0] in FLOORS else None
