"""Damage to bytes, and readers under watch: what fuzzing images and videos has in common."""

import random
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from bitstreams.bits import write_varint
from codec import CodecError

__all__ = ["NUMBERS", "spoil", "watch"]

MEMORY = 16 << 20  # bytes that a reader may take at its peak
SECONDS = 5  # of CPU time that a reader may take
NUMBERS = [0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 4096, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def spoil(rng: random.Random, data: bytes) -> bytes:
    """Damage bytes: near the start, where the headers are, as often as anywhere else."""
    at = rng.randrange(min(len(data), rng.choice([64, len(data)])) + 1)
    length = rng.choice([1, 2, 4, rng.randrange(1, 40)])
    end = at + length
    number = rng.choice(NUMBERS)
    kinds: list[Callable[[], bytes]] = [
        lambda: data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :],
        lambda: data[:at] + rng.randbytes(length) + data[end:],
        lambda: data[:at] + bytes([rng.choice([0x00, 0x7F, 0x80, 0xFF])]) * length + data[end:],
        lambda: data[:at] + number.to_bytes(4) + data[at + 4 :],
        lambda: data[:at] + write_varint(number) + data[at + len(write_varint(number)) :],
        lambda: data[:at] + write_varint(number) + data[at + 1 :],
        lambda: data[:at] + data[end:],
        lambda: data[:end] + data[at:],
        lambda: data[:at],
        lambda: data + rng.randbytes(length),
    ]
    return rng.choice(kinds)()


def watch(name: str, read: Callable[[], Any]) -> tuple[Any, str | None]:
    """Let a reader read; return what it gives, and None, or None and the name of an error of the tree.

    Memory is watched only while `tracemalloc` runs.

    Raises
    ------
    Exception
        Whatever leaves the reader and is not of the tree; AssertionError if it takes too much time or memory.
    """
    begin = time.process_time()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    result, failure = None, None
    try:
        result = read()
    except CodecError as error:
        failure = type(error).__name__
    memory, seconds = tracemalloc.get_traced_memory()[1] - before, time.process_time() - begin
    assert memory < MEMORY, f"{name} took {memory} bytes"
    assert seconds < SECONDS, f"{name} took {seconds} seconds"
    return result, failure
