"""Clips made from formulas, small and different in kind, and their files: encoded, taken apart and put together.

The pictures in them are those of `tests.pictures`, moved by whole pixels: the same clip on every machine.
"""

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import FRAMING, PREAMBLE, read_chunks, write_chunks
from codec import encode_video, open_video
from codec.frames import Planes
from codec.video import ENTRY, GROUP, INDEX, KIND, LENGTH, Frame
from tests.pictures import make_picture

__all__ = [
    "CLIPS",
    "decode",
    "encode",
    "encode_watched",
    "index_of",
    "make_clip",
    "put_together",
    "same_frames",
    "take_apart",
]

CLIPS = ("moving", "still", "fade", "cut", "noise", "jumps")


def make_clip(
    frames: int, height: int, width: int, kind: str = "moving", channels: int = 3, *, seed: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Make pictures that follow each other.

    Parameters
    ----------
    frames, height, width : int
        At least 1.
    kind : str
        "moving": a ground that pans, a disc before it that crosses, and a little noise.
        "still": one picture again and again.
        "fade": a picture that pans and gets darker.
        "cut": another picture that pans, from the middle frame on.
        "noise": every frame has nothing to do with any other.
        "jumps": a picture that is somewhere else in each frame.
    channels : int
        1 gray, 3 RGB.
    seed : int
        Another seed gives another clip.

    Yields
    ------
    (H, W) or (H, W, 3) uint8 array
    """
    rng = np.random.default_rng(seed)
    margin = 2 * frames + 16
    ground, other = (make_picture(height + margin, width + margin, channels, seed + i) for i in (0, 1))
    row, column = np.ogrid[:height, :width]
    colours = () if channels == 1 else (channels,)
    for time in range(frames):
        panned = ground[time : time + height, 2 * time : 2 * time + width]
        if kind == "moving":
            disc = (row - height // 2) ** 2 + (column - 3 * time) ** 2 < (height // 3) ** 2
            frame = np.where(disc.reshape(*disc.shape, *(1 for _ in colours)), other[:height, :width], panned)
            frame = frame + rng.integers(-2, 3, (height, width, *colours))
        elif kind == "still":
            frame = ground[:height, :width]
        elif kind == "fade":
            frame = panned.astype(int) * (frames - time) // frames
        elif kind == "cut":
            frame = panned if time < frames // 2 else other[margin - 2 * time :, time:][:height, :width]
        elif kind == "noise":
            frame = rng.integers(0, 256, (height, width, *colours))
        else:
            top, left = rng.integers(0, margin, 2)
            frame = ground[top : top + height, left : left + width]
        yield np.clip(frame, 0, 255).astype(np.uint8)


def encode(frames: Iterable[Frame], **options: Any) -> bytes:
    """Encode a clip to the bytes of a file."""
    file = io.BytesIO()
    encode_video(frames, file, **options)
    return file.getvalue()


def encode_watched(frames: Iterable[Frame], **options: Any) -> tuple[bytes, list[Planes]]:
    """Encode a clip; return the bytes, and the frames as the encoder says that a decoder will see them."""
    shown: dict[int, Planes] = {}

    def show(number: int, planes: Planes) -> None:
        assert number not in shown
        shown[number] = tuple(plane.copy() for plane in planes)

    data = encode(frames, reconstruction=show, **options)
    return data, [shown[number] for number in range(len(shown))]


def decode(data: bytes, **options: Any) -> list[tuple[Planes, int]]:
    """Decode all frames of a file, to planes and timestamps."""
    with open_video(io.BytesIO(data), **options) as video:
        return list(video.planes())


def same_frames(ours: Iterable[Planes], theirs: Iterable[Planes]) -> bool:
    """Tell whether two clips are equal, in number, shape and every sample."""
    return all(
        all(np.array_equal(one, other) for one, other in zip(mine, yours, strict=True))
        for mine, yours in zip(ours, theirs, strict=True)
    )


def take_apart(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and payload of the chunks of an intact file, without the last one."""
    return [(chunk.type, chunk.payload) for chunk in read_chunks(data, KIND)]


def put_together(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a file of such chunks, with the checksums that belong to them."""
    return b"".join(write_chunks(KIND, chunks))


def index_of(chunks: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Return the index that belongs behind such chunks: it tells the place and frames of all groups among them."""
    at, entries = PREAMBLE, b""
    for name, payload in chunks:
        if name == GROUP:
            entries += ENTRY.pack(at, int.from_bytes(payload[4:6]))
        at += FRAMING + len(payload)
    return INDEX, entries + LENGTH.pack(len(entries) + LENGTH.size)
