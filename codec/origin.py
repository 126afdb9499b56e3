"""Where trained tables and weights come from: what it takes to tell whether two were learned from the same pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["arrays_hash", "corpus_hash"]


def corpus_hash(paths: Iterable[Path]) -> str:
    """Return the SHA-256, in hex, of the SHA-256 of files, in the order given."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()


def arrays_hash(arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256, in hex, of types, shapes and samples of arrays, in the order given."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
