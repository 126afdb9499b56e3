"""Videos for the fuzzer: intact files, ways to change them, and what their readers must agree on."""

import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import FRAMING
from bitstreams.symbols import HuffmanEncoder
from codec import open_video, stream_video
from codec.frames import Format, Planes
from codec.gop import plan_gop
from codec.group_decoder import read_group
from codec.syntax import KINDS, code_group
from codec.video import LARGEST_GROUP, GroupHeader, Header
from tests.clips import encode, index_of, make_clip, put_together, take_apart
from tests.damage import NUMBERS, spoil, watch
from tests.groups import invent_group, levels_of

__all__ = ["change", "check", "intact_files"]

SIZE_LIMIT = 1 << 12  # pixels: what keeps memory small
MOST = 2000  # frames that are looked at, if a damaged file claims to have more


@cache
def intact_files() -> list[bytes]:
    """Return a small file of each kind."""
    times = itertools.accumulate([0, 1, 5, 2**34])
    timed = Format(20, 18, "400", Fraction(25), Fraction(1, 1000), full_range=True)
    return [
        encode(make_clip(1, 1, 1)),
        encode(make_clip(4, 24, 40), keyframe=3, pyramid=2, scene_cut=False),
        encode(make_clip(5, 16, 16, "still"), pyramid=4),
        encode(make_clip(3, 17, 33, "jumps"), yuv="444", quality=90, scene_cut=False),
        encode(make_clip(3, 16, 32, "noise"), quality=100, pyramid=1, keyframe=2),
        encode(zip(((p,) for p in make_clip(4, 18, 20, "moving", 1)), times, strict=True), format=timed, keyframe=2),
    ]


def change(rng: random.Random, data: bytes) -> bytes:
    """Change the chunks of an intact file, or the symbols in them; checksums are made anew, and mostly the index."""
    chunks = take_apart(data)
    if rng.random() < 0.4:
        _forge(rng, chunks)
    else:
        for _ in range(rng.choice([1, 1, 2, 3])):
            _rearrange(rng, chunks)
    if rng.random() < 0.7:
        chunks = [chunk for chunk in chunks if chunk[0] != b"INDX"]
        chunks.append(index_of(chunks))
    return put_together(chunks)


def _rearrange(rng: random.Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Change a list of chunks: their order, number, types, headers and payloads, or take one from another file."""
    i, j = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    name, payload = chunks[i]
    kind = rng.randrange(14)
    if kind == 0:
        chunks[i], chunks[j] = chunks[j], chunks[i]
    elif kind == 1:
        chunks.insert(j, chunks[i])
    elif kind == 2 and len(chunks) > 1:
        del chunks[i]
    elif kind == 3:
        chunks[i] = rng.choice([b"HEAD", b"GRUP", b"INDX", b"DONE", rng.randbytes(4)]), payload
    elif kind == 4:
        chunks[i] = rng.choice(take_apart(rng.choice(intact_files())))
    elif kind <= 8:  # a field of a header, or of the index
        fields = {
            b"HEAD": [(0, 4), (4, 4)] * 3 + [(8, 1), (11, 4), (15, 4), (19, 4), (23, 4), (27, 1), (28, 1), (29, 1)]
        }
        fields[b"GRUP"] = [(0, 4), (4, 2), (6, 2), (8, 1), (9, 8)]
        fields[b"INDX"] = [(at, 4) for at in range(0, len(payload), 4)]
        at, size = rng.choice(fields.get(name, [(0, 4)]))
        near = int.from_bytes(payload[at : at + size]) + rng.randrange(-2, 3)
        number = rng.choice([rng.choice(NUMBERS), near]) % (1 << 8 * size)
        chunks[i] = name, payload[:at] + number.to_bytes(size) + payload[at + size :]
    else:
        chunks[i] = name, spoil(rng, payload)


class _Forger(HuffmanEncoder):
    """An encoder that sometimes records another symbol than it is told."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(KINDS)
        self._rng = rng

    def code(
        self,
        kind: str,
        contexts: NDArray[np.uint8],
        symbols: NDArray[np.uint8] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Record symbols, and give back what was told, so that no more follows from a lie."""
        assert symbols is not None
        changed = symbols.copy()
        if changed.size and self._rng.random() < 0.03:
            another = int(self._rng.choice(changed.tolist()))
            changed[self._rng.randrange(changed.size)] = self._rng.choice([another, self._rng.randrange(256)])
        super().code(kind, contexts, changed)
        return symbols


def _forge(rng: random.Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Write a group of an intact file anew: with some symbols changed, or with all of them made up."""
    header = Header.from_bytes(chunks[0][1])
    place = rng.choice([number for number, (name, _) in enumerate(chunks) if name == b"GRUP"])
    name, payload = chunks[place]
    group, at = GroupHeader.from_bytes(payload)
    plans = plan_gop(len(group.times), header.pyramid)
    levels = levels_of(len(group.times), header.pyramid)
    if rng.random() < 0.5:
        coder = _Forger(rng)
        code_group(coder, header.layout, levels, read_group(payload, at, header.layout, plans)[0])
        symbols = coder.finish()
    else:
        symbols, _ = invent_group(header.layout, levels, rng.randrange(1 << 32), wild=rng.choice([0, 0.02]))
    quality = struct.pack(">H", rng.choice([0, 5000, 10_000]))
    chunks[place] = name, payload[:6] + quality + payload[8:at] + symbols


class _Seen(NamedTuple):
    """What a reader has seen: a checksum of each frame, timestamps, missing ranges, and whether there are problems."""

    frames: list[int]
    times: list[int]
    missing: list[tuple[int, int]]
    problems: bool


def _look(frames: Iterable[tuple[Planes, int]]) -> tuple[list[int], list[int]]:
    """Return checksums and timestamps of frames."""
    sums, times = [], []
    for planes, time in frames:
        checksum = 0
        for plane in planes:
            assert plane.dtype == np.uint8
            checksum = zlib.crc32(plane, zlib.crc32(repr(plane.shape).encode(), checksum))
        sums.append(checksum)
        times.append(time)
    return sums, times


def _open(data: bytes, allow_partial: bool) -> _Seen:
    with open_video(io.BytesIO(data), allow_partial=allow_partial, size_limit=SIZE_LIMIT) as video:
        assert len(video) <= LARGEST_GROUP * len(data) // FRAMING, f"{len(video)} frames in {len(data)} bytes"
        frames, times = _look(itertools.islice(video.planes(), MOST))
        assert len(frames) == min(MOST, len(video))
        assert times == sorted(set(times))
        missing = sorted(video.missing)
        last = len(frames) - 1  # by any way the same
        assert _look(video.planes(last, last + 1)) == ([frames[last]], [times[last]])
        if len(frames) == len(video):
            lost = {number for first, last in missing for number in range(first, last)}
            assert {frame.index for frame in video.info()} == set(range(len(video))) - lost
        return _Seen(frames, times, missing, bool(video.problems))


def _info(data: bytes) -> tuple[int, int]:
    """Return numbers of frames, and of bytes that they take, as they say."""
    with open_video(io.BytesIO(data), size_limit=SIZE_LIMIT) as video:
        frames = list(video.info())
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(frame.bytes >= 0 for frame in frames)
    return len(frames), sum(frame.bytes for frame in frames)


def _trace(data: bytes) -> list[int]:
    with open_video(io.BytesIO(data), size_limit=SIZE_LIMIT) as video:
        return _look((frame.planes, frame.index) for frame in video.trace())[0]


def _stream(data: bytes) -> tuple[list[int], list[int]]:
    return _look(stream_video(io.BytesIO(data), size_limit=SIZE_LIMIT)[1])


def check(data: bytes) -> str:
    """Give a file to every reader; return what became of it: an error's name, or "decoded"."""
    seen, error = watch("open_video", lambda: _open(data, allow_partial=False))
    partial, _ = watch("open_video, allow_partial", lambda: _open(data, allow_partial=True))
    info, info_error = watch("Video.info", lambda: _info(data))
    traced, trace_error = watch("Video.trace", lambda: _trace(data))
    streamed, stream_error = watch("stream_video", lambda: _stream(data))
    assert error == info_error == trace_error
    if error:
        assert stream_error, "a pipe takes what a file does not"
        assert not partial or partial.problems or partial.missing, "a file that open_video refuses has no problems"
        return error
    assert not seen.missing
    assert not seen.problems
    assert traced == seen.frames
    assert info[0] == len(seen.frames)
    if not stream_error:  # else there is something wrong beside the groups that the index names
        assert partial == seen
        assert streamed == (seen.frames, seen.times)
        assert info[1] == sum(FRAMING + len(payload) for name, payload in take_apart(data) if name == b"GRUP")
    return "decoded"
