"""Fuzzing: thousands of damaged files for every reader, which may raise errors of the tree and nothing else.

    python -m tests.fuzz --minutes 10 --seed 1

Some damage is a transfer's: bytes are flipped, overwritten, lost, repeated. Checksums find nearly all of it. The rest
is malice's: chunks, bytes inside them, or the symbols that they code are changed, and checksums and code words made
anew, so that what lies behind them is reached. Each case follows from a seed and its number: `case(seed, number)` gives
the file again.
"""

import argparse
import random
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from bitstreams.bits import write_varint
from bitstreams.huffman import encode_streams
from codec import CodecError, Header, decode_image, encode_image, read_header, recover_image
from codec.baseline import Baseline
from codec.coefficients import decode_levels
from codec.trace import trace_image
from tests.files import encode_in_strips, put_together, take_apart
from tests.golden.make import extreme_levels
from tests.pictures import make_picture

__all__ = ["case", "check"]

SIZE_LIMIT = 1 << 14  # pixels: what keeps memory small
MEMORY = 16 << 20  # bytes that a reader may take at its peak
SECONDS = 5  # of CPU time that a reader may take
NUMBERS = [0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 4096, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


@cache
def intact_files() -> list[bytes]:
    """Return a small file of each kind."""
    return [
        encode_image(make_picture(1, 1, 1)),
        encode_image(make_picture(40, 56, 1), 80, tables="jpeg"),
        encode_image(make_picture(19, 23, 2), tune="psnr"),
        encode_image(make_picture(37, 45), 90),
        encode_image(make_picture(24, 31), yuv="444", tables="jpeg", icc=b"a profile"),
        encode_image(make_picture(21, 34, 4), icc=b"a profile", exif=b"a camera"),
        encode_in_strips(make_picture(70, 40), 16, exif=b"a camera"),
        encode_in_strips(make_picture(70, 200, 1), 16, 95),
        extreme_levels(),
    ]


def _spoil(rng: random.Random, data: bytes) -> bytes:
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
        chunks[i] = name, _spoil(rng, payload)


def _forge(rng: random.Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Write a strip of an intact file anew with other symbols, and as many signs and mantissas as they ask for."""
    header = Header.from_bytes(chunks[0][1])
    assert isinstance(header.stages, Baseline)
    index = rng.randrange(header.strips)
    place = len(chunks) - header.strips + index
    first, last = header.strip_rows(index)
    side = header.stages.macroblock
    shapes = header.stages.shapes(*(-(-length // side) * side for length in (last - first, header.width)))
    name, payload = chunks[place]
    groups = decode_levels(payload, 4, shapes)
    streams = [symbols.copy() for group in groups for symbols in (group.dc_sizes, group.ac_symbols)]
    for _ in range(rng.choice([1, 2, 2, 5])):
        stream = rng.choice(streams)
        i, j = rng.randrange(stream.size), rng.randrange(stream.size)
        stream[i], stream[j] = stream[j], rng.choice([stream[i], stream[i], rng.randrange(256)])
    sizes = np.concatenate([stream if i % 2 == 0 else stream >> 4 for i, stream in enumerate(streams)])
    sizes = sizes[sizes > 0]
    amplitudes = rng.randbytes(-(-sizes.size // 8) + -(-(int(sizes.sum()) - sizes.size) // 8))
    chunks[place] = name, payload[:4] + encode_streams(streams, 256) + amplitudes


def case(seed: int, number: int) -> bytes:
    """Return a damaged file."""
    rng = random.Random(f"{seed} {number}")
    data = rng.choice(intact_files())
    if rng.random() < 0.75:
        chunks = take_apart(data)
        if rng.random() < 0.4:
            _forge(rng, chunks)
        else:
            for _ in range(rng.choice([1, 1, 2, 3])):
                _rearrange(rng, chunks)
        data = put_together(chunks)
        if rng.random() < 0.7:
            return data
    for _ in range(rng.choice([1, 1, 2, 5])):
        data = _spoil(rng, data)
    return data


def check(data: bytes) -> str:
    """Give a file to every reader; return what became of it: an error's name, or "decoded".

    Raises
    ------
    Exception
        Whatever leaves a reader and is not of the tree, warnings too; AssertionError if readers contradict each other,
        or take too much time or memory.
    """
    results: dict[object, Any] = {}
    errors: dict[object, str] = {}
    for read in (decode_image, read_header, recover_image, trace_image):
        begin = time.process_time()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            results[read] = read(data, size_limit=SIZE_LIMIT)
        except CodecError as error:
            errors[read] = type(error).__name__
        memory, seconds = tracemalloc.get_traced_memory()[1] - before, time.process_time() - begin
        assert memory < MEMORY, f"{read.__name__} took {memory} bytes"
        assert seconds < SECONDS, f"{read.__name__} took {seconds} seconds"
    if decode_image in errors:
        if recover_image in results:
            assert results[recover_image].problems, "a file that decode_image refuses has no problems"
        return errors[decode_image]
    pixels, recovered = results[decode_image], results[recover_image]
    assert results[read_header].shape == pixels.shape
    assert np.array_equal(results[trace_image].pixels, pixels)
    assert np.array_equal(recovered.pixels, pixels)
    assert not recovered.missing
    assert not recovered.problems
    return "decoded"


def run(seed: int, cases: int | None = None, minutes: float | None = None) -> Counter[str]:
    """Check so many cases, or for so many minutes; return how often what became of them.

    Raises
    ------
    AssertionError
        With the number of the case that failed.
    """
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + 60 * (minutes or 0)
    number = 0
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            while number < cases if cases is not None else time.monotonic() < end:
                try:
                    outcomes[check(case(seed, number))] += 1
                except Exception as error:
                    raise AssertionError(f"case({seed}, {number}): {type(error).__name__}: {error}") from error
                number += 1
    finally:
        tracemalloc.stop()
    return outcomes


def main() -> None:
    """Run for some minutes."""
    parser = argparse.ArgumentParser(description="Give damaged files to every reader.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for outcome, number in run(options.seed, minutes=options.minutes).most_common():
        print(f"{number:8} {outcome}")


if __name__ == "__main__":
    main()
