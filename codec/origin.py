"""Where trained tables and weights come from: what it takes to tell whether two were learned from the same pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["corpus_hash"]


def corpus_hash(paths: Iterable[Path]) -> str:
    """Return the SHA-256, in hex, of the SHA-256 of files, in the order given."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
