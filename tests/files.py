"""Small `.tjpg` files, taken apart and put together: how tests come to files that no encoder would write."""

from collections.abc import Iterable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import read_chunks, write_chunks
from codec.block_sizes import grow, halve
from codec.context_strip import StripEncoder, Wanted, code_strip
from codec.image import DEFAULT_PROFILE, encode_image
from codec.main import Main
from codec.profiles import find_profile

__all__ = ["encode_in_strips", "invent_strip", "put_together", "take_apart"]

KIND = b"TJP"


def encode_in_strips(
    pixels: NDArray[np.uint8], rows: int, *args: Any, profile: str = DEFAULT_PROFILE, **options: Any
) -> bytes:
    """Encode a small picture as if it were a large one: in strips of so many rows, a multiple of 32 (baseline: 16)."""
    with mock.patch.object(find_profile(profile), "STRIP", rows * pixels.shape[1]):
        return encode_image(pixels, *args, profile=profile, **options)


def take_apart(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and payload of the chunks of an intact file, without the last one."""
    return [(chunk.type, chunk.payload) for chunk in read_chunks(data, KIND)]


def put_together(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a file of such chunks, with the checksums that belong to them."""
    return b"".join(write_chunks(KIND, chunks))


def invent_strip(stages: Main, height: int, width: int, seed: int) -> bytes:
    """Write a strip of the main profile that no picture gives: levels of any size in blocks of any size."""
    rng = np.random.default_rng(seed)
    planes, wanted = stages.planes(height, width), []
    for plane in planes:
        if plane.chroma:
            sizes = halve(wanted[0].sizes) if plane.half else wanted[0].sizes
        else:
            whole, half = (rng.random((plane.rows // k, plane.columns // k)) < rng.random() for k in (4, 2))
            sizes = np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)
        cells = rng.standard_normal((64, plane.rows, plane.columns), np.float32) * rng.choice([0, 1, 30, 1000, 30_000])
        cells *= rng.random((64, 1, 1)) < rng.random()
        cells[0] = np.clip(cells[0], -8000, 8000)  # so that differences are below 2**14
        wanted.append(Wanted(np.clip(cells, -65_000, 65_000), sizes, 0.0, False))
    coder = StripEncoder(wanted, stages.tables.sizes)
    code_strip(coder, planes)
    return bytes([int(rng.integers(1 << len(planes)))]) + coder.finish()
