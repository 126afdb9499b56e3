"""Images for the fuzzer: intact files, ways to change them, and what their readers must agree on."""

import random
from functools import cache

import numpy as np

from bitstreams.huffman import encode_streams
from codec import Header, decode_image, encode_image, read_header, recover_image
from codec.baseline import Baseline
from codec.coefficients import Shape, decode_levels
from codec.main import Main
from codec.trace import trace_image
from tests.damage import NUMBERS, spoil, watch
from tests.files import encode_in_strips, invent_strip, put_together, take_apart
from tests.golden.make import extreme_levels
from tests.pictures import make_picture

__all__ = ["change", "check", "intact_files"]

SIZE_LIMIT = 1 << 14  # pixels: what keeps memory small


@cache
def intact_files() -> list[bytes]:
    """Return a small file of each kind; decoding them fills what readers keep for the next file."""
    old = {"profile": "baseline"}
    files = [
        encode_image(make_picture(1, 1, 1), **old),
        encode_image(make_picture(40, 56, 1), 80, **old, tables="jpeg"),
        encode_image(make_picture(19, 23, 2), **old, tune="psnr"),
        encode_image(make_picture(37, 45), 90, **old),
        encode_image(make_picture(24, 31), yuv="444", **old, tables="jpeg", icc=b"a profile"),
        encode_image(make_picture(21, 34, 4), **old, icc=b"a profile", exif=b"a camera"),
        encode_in_strips(make_picture(70, 40), 16, **old, exif=b"a camera"),
        encode_in_strips(make_picture(70, 200, 1), 16, 95, **old),
        encode_in_strips(make_picture(45, 40, 4), 16, 30, **old, effort=2),
        extreme_levels(),
        encode_image(make_picture(1, 1, 1)),
        encode_image(make_picture(33, 40, 2), 95, tune="psnr"),
        encode_image(make_picture(30, 31), 90, yuv="444", icc=b"a profile"),
        encode_in_strips(make_picture(50, 40, 4), 32, exif=b"a camera"),
        encode_image(make_picture(32, 70), 20, without={"lapping"}),
        encode_image(make_picture(40, 60), 60, profile="tokens"),
        encode_in_strips(make_picture(50, 40, 2), 32, 90, profile="tokens"),
        encode_image(make_picture(40, 60), 60, profile="tokens", without={"last-two-passes"}),
    ]
    assert {check(data) for data in files} == {"decoded"}
    return files


def change(rng: random.Random, data: bytes) -> bytes:
    """Change the chunks of an intact file, or the symbols in them; checksums are made anew."""
    chunks = take_apart(data)
    if rng.random() < 0.4:
        _forge(rng, chunks)
    else:
        for _ in range(rng.choice([1, 1, 2, 3])):
            _rearrange(rng, chunks)
    return put_together(chunks)


def _rearrange(rng: random.Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Change a list of chunks: their order, number, types and payloads, or take one from another file."""
    i, j = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    name, payload = chunks[i]
    kind = rng.randrange(12)
    if kind == 0:
        chunks[i], chunks[j] = chunks[j], chunks[i]
    elif kind == 1:
        chunks.insert(j, chunks[i])
    elif kind == 2 and len(chunks) > 1:
        del chunks[i]
    elif kind == 3:
        chunks[i] = rng.choice([b"HEAD", b"ICCP", b"EXIF", b"STRP", b"DONE", rng.randbytes(4)]), payload
    elif kind == 4:
        chunks[i] = rng.choice(take_apart(rng.choice(intact_files())))
    elif kind == 5 and name == b"HEAD":
        side = rng.choice([0, 4])  # width or height
        chunks[i] = name, payload[:side] + rng.choice(NUMBERS).to_bytes(4) + payload[side + 4 :]
    else:
        chunks[i] = name, spoil(rng, payload)


def _forge(rng: random.Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Write a strip of an intact file anew with other symbols."""
    header = Header.from_bytes(chunks[0][1])
    index = rng.randrange(header.strips)
    place = len(chunks) - header.strips + index
    first, last = header.strip_rows(index)
    side = header.stages.macroblock
    height, width = (-(-length // side) * side for length in (last - first, header.width))
    name, payload = chunks[place]
    if isinstance(header.stages, Main):
        strip = invent_strip(header.stages, height, width, rng.getrandbits(32))
        strip = strip if rng.random() < 0.5 else spoil(rng, strip)
    elif isinstance(header.stages, Baseline):
        at = 4 + header.stages.restored
        strip = payload[4:at] + _swap_symbols(rng, header.stages.shapes(height, width), payload[at:])
    else:  # of another package
        strip = spoil(rng, payload[4:])
    chunks[place] = name, payload[:4] + strip


def _swap_symbols(rng: random.Random, shapes: list[Shape], levels: bytes) -> bytes:
    """Swap and change symbols of a strip of the baseline profile; add as many signs and mantissas as they ask for."""
    groups = decode_levels(levels, 0, shapes)
    streams = [symbols.copy() for group in groups for symbols in (group.dc_sizes, group.ac_symbols)]
    for _ in range(rng.choice([1, 2, 2, 5])):
        stream = rng.choice(streams)
        i, j = rng.randrange(stream.size), rng.randrange(stream.size)
        stream[i], stream[j] = stream[j], rng.choice([stream[i], stream[i], rng.randrange(256)])
    sizes = np.concatenate([stream if i % 2 == 0 else stream >> 4 for i, stream in enumerate(streams)])
    sizes = sizes[sizes > 0]
    amplitudes = rng.randbytes(-(-sizes.size // 8) + -(-(int(sizes.sum()) - sizes.size) // 8))
    return encode_streams(streams, 256) + amplitudes


def check(data: bytes) -> str:
    """Give a file to every reader; return what became of it: an error's name, or "decoded"."""
    readers = (decode_image, read_header, recover_image, trace_image)
    (pixels, error), (header, _), (recovered, _), (trace, untraced) = (
        watch(read.__name__, lambda read=read: read(data, size_limit=SIZE_LIMIT)) for read in readers
    )
    if error:
        if recovered:
            assert recovered.problems, "a file that decode_image refuses has no problems"
        return error
    assert header.shape == pixels.shape
    assert np.array_equal(trace.pixels, pixels) if trace else untraced == "UnsupportedError"
    assert np.array_equal(recovered.pixels, pixels)
    assert not recovered.missing
    assert not recovered.problems
    return "decoded"
