"""Peak memory of a piece of work: the largest resident set of a fresh process that does nothing else.

That is the interpreter, NumPy, what the work is given, what it returns, and all that it needs beside.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from codec.commands import batch

__all__ = ["in_fresh_process", "peak"]

STATUS = Path("/proc/self/status")  # on Linux

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


def peak() -> float:
    """Return the largest resident set that this process has had, in MB (millions of bytes).

    On Linux a process inherits the figure of getrusage from the one that starts it, so there the kernel is asked how
    much this program itself has used.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def in_fresh_process(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> tuple[Result, float]:
    """Call a function in a new process; return its result and the peak memory of that process in MB."""
    with batch.process_pool(1) as executor:
        result = executor.submit(work, *args, **kwargs).result()
        return result, executor.submit(peak).result()
