"""Small `.tjpg` files, taken apart and put together: how tests come to files that no encoder would write."""

from collections.abc import Iterable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import read_chunks, write_chunks
from codec.block_sizes import grow
from codec.chroma_from_luma import STEEPEST, map_shape
from codec.context_strip import code_plane, sizes_of_chroma
from codec.image import DEFAULT_PROFILE, encode_image
from codec.main import Main
from codec.profiles import find_profile
from codec.strip_encoder import PlaneEncoder, Wanted, join

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
    coders, coded = [], []
    for plane in stages.planes(height, width):
        if plane.chroma:
            sizes = sizes_of_chroma(plane, coded)
        else:
            whole, half = (rng.random((plane.rows // k, plane.columns // k)) < rng.random() for k in (4, 2))
            sizes = np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)
        cells = rng.standard_normal((64, plane.rows, plane.columns), np.float32) * rng.choice([0, 1, 30, 1000, 30_000])
        cells *= rng.random((64, 1, 1)) < rng.random()
        cells[0] = np.clip(cells[0], -8000, 8000)  # so that differences are below 2**14
        slopes = None
        if plane.chroma and rng.random() < 0.5:
            areas = map_shape(8 * plane.rows, 8 * plane.columns)
            slopes = rng.integers(-STEEPEST, STEEPEST + 1, areas).astype(np.int8)
        wanted = Wanted(np.clip(cells, -65_000, 65_000), sizes, 0.0, optimised=False, slopes=slopes)
        explicit = rng.random() < 0.5
        coder = PlaneEncoder(plane, wanted, stages.tables, explicit=explicit)
        if rng.random() < 0.5:  # any levels are some path through a trellis
            given = np.floor(coder.magnitudes)
            coder = PlaneEncoder(plane, wanted, stages.tables, explicit=explicit, given=given)
        coded.append(code_plane(coder, plane, coded))
        coders.append(coder)
    return bytes([int(rng.integers(1 << len(coders)))]) + join(coders)
