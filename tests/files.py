"""Small `.tjpg` files, taken apart and put together: how tests come to files that no encoder would write."""

from collections.abc import Iterable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import read_chunks, write_chunks
from codec import image

__all__ = ["encode_in_strips", "put_together", "take_apart"]

KIND = b"TJP"


def encode_in_strips(pixels: NDArray[np.uint8], rows: int, *args: Any, **options: Any) -> bytes:
    """Encode a small picture as if it were a large one: in strips of so many rows, a multiple of 16."""
    with mock.patch.object(image, "STRIP", rows * pixels.shape[1]):
        return image.encode_image(pixels, *args, **options)


def take_apart(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and payload of the chunks of an intact file, without the last one."""
    return [(chunk.type, chunk.payload) for chunk in read_chunks(data, KIND)]


def put_together(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a file of such chunks, with the checksums that belong to them."""
    return b"".join(write_chunks(KIND, chunks))
