"""Memory that one training step leaves to the next.

A step makes the same arrays in the same order every time. If each is new, the operating system has to hand out fresh
pages for it, one fault for every 4 KB, which at these sizes takes as long as filling them. In a workspace the n-th
array of a step takes the place of the n-th of the step before:

    workspace = Workspace()
    for x, y in batches:
        with workspace:
            loss, gradients = step(x, y)

What is made inside is valid until the next `with`: whoever wants to keep it copies it. A workspace is open in the
thread that opened it and in no other: threads that train side by side have one each.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Workspace", "empty"]


class _Open(threading.local):
    """The workspaces that are open in this thread, the last one last."""

    def __init__(self) -> None:
        self.stack: list[Workspace] = []


_open = _Open()


class Workspace:
    """The arrays of a step, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[Any]] = []
        self._next = 0

    def __enter__(self) -> Workspace:
        if self in _open.stack:
            raise RuntimeError("this workspace is open already: its arrays would be given out twice")
        self._next = 0
        _open.stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open.stack.remove(self)

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return the next array, with whatever is in it."""
        if self._next < len(self._arrays):
            array = self._arrays[self._next]
            if array.shape != shape or array.dtype != dtype:
                array = self._arrays[self._next] = np.empty(shape, dtype)
        else:
            array = np.empty(shape, dtype)
            self._arrays.append(array)
        self._next += 1
        return array


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array with whatever is in it: of the workspace that is open, or a new one."""
    stack = _open.stack
    return stack[-1].take(shape, dtype) if stack else np.empty(shape, dtype)
