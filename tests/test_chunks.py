"""Tests of `bitstreams.chunks`: the layout byte by byte, zlib's checksum, strict reading, and the way over damage."""

import io
import mmap
import struct
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitstreams.chunks import (
    DONE,
    FRAMING,
    PREAMBLE,
    VERSION,
    Chunk,
    chunk_bytes,
    preamble,
    read_chunk,
    read_chunks,
    recover_chunks,
    stream_chunks,
    walk_chunks,
    write_chunks,
)
from bitstreams.errors import ChecksumError, FormatError, TruncatedError, UnsupportedError

KIND = b"TST"
TYPES = (b"HEAD", b"BODY")
CHUNKS = [(b"HEAD", b"title"), (b"BODY", b"first" * 20), (b"BODY", b""), (b"BODY", b"third" * 10)]


def write(chunks=CHUNKS):
    """Write a whole file."""
    return b"".join(write_chunks(KIND, chunks))


def read(data):
    """Read a whole file, to (type, payload) pairs."""
    return [(chunk.type, chunk.payload) for chunk in read_chunks(data, KIND)]


def recover(data):
    """Recover a file, to (type, payload) pairs and problems."""
    chunks, problems = recover_chunks(data, KIND, TYPES)
    return [(chunk.type, chunk.payload) for chunk in chunks], problems


def starts():
    """Return where each chunk of `write()` begins."""
    return [chunk.start - 8 for chunk in read_chunks(write(), KIND)]


# Intact files -----------------------------------------------------------------------------------------------


def test_the_layout():
    body = b"BODY" + struct.pack(">I", 3) + b"abc"
    done = b"DONE" + struct.pack(">I", 0)
    assert write([(b"BODY", b"abc")]) == (
        b"\x89TST\r\n\x1a\n"
        + struct.pack(">H", VERSION)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + done
        + struct.pack(">I", zlib.crc32(done))
    )


def test_where_payloads_start():
    data = write()
    for chunk in read_chunks(data, KIND):
        assert data[chunk.start :].startswith(chunk.payload)
    assert len(data) == PREAMBLE + sum(FRAMING + len(payload) for _, payload in [*CHUNKS, (DONE, b"")])


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.binary(max_size=50)), max_size=6))
def test_there_and_back(chunks):
    data = write(chunks)
    assert read(data) == chunks
    assert recover(data) == (chunks, [])


# Strict reading ---------------------------------------------------------------------------------------------


def test_every_prefix_is_truncated():
    data = write()
    for end in range(len(data)):
        with pytest.raises(TruncatedError):
            read(data[:end])


def test_every_flipped_bit_is_found():
    data = write()
    for i in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[i // 8] ^= 1 << i % 8
        kind = FormatError if i < 64 else UnsupportedError if i < 80 else (ChecksumError, TruncatedError)
        with pytest.raises(kind):
            read(bytes(damaged))


@pytest.mark.parametrize("after", [b"\n", b"DONE", write()])
def test_bytes_after_the_end(after):
    with pytest.raises(FormatError, match=f"{len(after)} bytes follow"):
        read(write() + after)


def test_a_last_chunk_with_a_payload():
    damaged = preamble(KIND) + chunk_bytes(*CHUNKS[0]) + chunk_bytes(DONE, b"more") + write()[starts()[1] :]
    with pytest.raises(FormatError):
        read(damaged)
    with pytest.raises(FormatError):
        stream(damaged)
    found, problems = recover(damaged)
    assert found == CHUNKS
    assert problems


def test_another_version_is_refused_by_name():
    data = write()
    newer = data[:8] + struct.pack(">H", 258) + data[10:]
    with pytest.raises(UnsupportedError, match=f"version 258; this program reads version {VERSION}"):
        read(newer)
    with pytest.raises(UnsupportedError, match="258"):
        recover(newer)


@pytest.mark.parametrize(
    "transfer",
    [
        lambda data: data.replace(b"\r\n", b"\n"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: bytes([data[0] & 0x7F]) + data[1:],
        lambda data: data.replace(b"TST", b"TJP"),
    ],
    ids=["CR LF to LF", "LF to CR LF", "7 bits", "another kind"],
)
def test_the_signature_catches_what_transfers_do(transfer):
    with pytest.raises(FormatError, match="not a file of kind TST"):
        read(transfer(write()))
    with pytest.raises(FormatError, match="not a file of kind TST"):
        recover(transfer(write()))


# The way over damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", range(len(CHUNKS)))
@pytest.mark.parametrize("part", ["type", "length", "payload", "checksum"])
def test_damage_loses_one_chunk(lost, part):
    start, payload = starts()[lost], CHUNKS[lost][1]
    where = {"type": 0, "length": 4, "payload": 8, "checksum": 8 + len(payload)}[part]
    damaged = bytearray(write())
    damaged[start + where] ^= 0x40
    found, problems = recover(bytes(damaged))
    assert found == CHUNKS[:lost] + CHUNKS[lost + 1 :]
    end = start + FRAMING + len(payload)
    assert len(problems) == 1
    assert problems[0].startswith(f"bytes {start} to {end}: ")


def test_inserted_and_missing_bytes():
    data, (_, first, second, _) = write(), starts()
    found, problems = recover(data[:first] + b"garbage" + data[first:])
    assert found == CHUNKS
    assert problems[0].startswith(f"bytes {first} to {first + 7}: ")
    found, problems = recover(data[: first + 20] + data[first + 30 :])
    assert found == CHUNKS[:1] + CHUNKS[2:]
    assert problems[0].startswith(f"bytes {first} to {second - 10}: ")


def test_a_truncated_file_keeps_what_came_before():
    data, (*_, last) = write(), starts()
    found, problems = recover(data[: last + 20])
    assert found == CHUNKS[:3]
    assert problems[-1] == "the file ends before its last chunk"


def test_only_the_last_chunk_is_lost():
    assert recover(write()[:-FRAMING]) == (CHUNKS, ["the file ends before its last chunk"])


def test_names_inside_a_payload_are_no_chunks():
    chunks = [(b"HEAD", b"BODY" * 30), (b"BODY", b"DONE" * 30), (b"BODY", b"x")]
    damaged = bytearray(write(chunks))
    damaged[PREAMBLE + 8] ^= 1
    found, problems = recover(bytes(damaged))
    assert found == chunks[1:]
    assert len(problems) == 1


def test_bytes_after_the_end_are_a_problem_but_cost_nothing():
    found, problems = recover(write() + b"more")
    assert found == CHUNKS
    assert len(problems) == 1
    assert "4 bytes follow the last chunk" in problems[0]


def hostile(number, *, costly):
    """Write so many damaged headers, and an intact chunk behind each of them.

    The headers announce the whole rest of the file, or nothing at all: then only the search for the next chunk is left
    to take time, for the types that do not come up in the file.
    """
    intact = write([(b"BODY", b"")])[PREAMBLE:-FRAMING]
    unit = FRAMING + len(intact)
    lengths = [(number - i) * unit - FRAMING if costly else 0 for i in range(number)]
    return write([])[:PREAMBLE] + b"".join(struct.pack(">4sII", b"JUNK", n, 0) + intact for n in lengths)


@pytest.mark.parametrize("costly", [True, False])
def test_a_hostile_file_does_not_make_the_search_quadratic(costly):
    seconds = []
    for number in (1_500, 12_000):
        data = hostile(number, costly=costly)
        begin = time.process_time()
        recover(data)
        seconds.append(time.process_time() - begin)
    # Eight times the bytes; quadratic would be 64 times the time. Less than 10 ms cannot be measured.
    assert seconds[1] < 24 * max(seconds[0], 0.01)


# Pipes and parts --------------------------------------------------------------------------------------------


class Pipe:
    """A file that can only be read, a few bytes at a time, and counts them."""

    def __init__(self, data, most=7):
        self._rest, self._most, self.given = data, most, 0

    def read(self, size):
        piece, self._rest = self._rest[: min(size, self._most)], self._rest[min(size, self._most) :]
        self.given += len(piece)
        return piece


def stream(data):
    """Read a whole pipe, to chunks."""
    return list(stream_chunks(Pipe(data), KIND))


def test_a_file_is_its_parts():
    assert write() == preamble(KIND) + b"".join(chunk_bytes(*chunk) for chunk in [*CHUNKS, (DONE, b"")])


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.binary(max_size=50)), max_size=6))
def test_a_pipe_gives_the_chunks_of_a_file(chunks):
    data = write(chunks)
    assert stream(data) == list(read_chunks(data, KIND))


def test_a_pipe_is_read_no_further_than_the_chunk():
    pipe = Pipe(write())
    for chunk in stream_chunks(pipe, KIND):
        assert pipe.given == chunk.start + len(chunk.payload) + 4
    assert pipe.given == len(write())


def test_a_pipe_that_ends_too_early():
    data = write()
    for end in range(len(data)):
        with pytest.raises(TruncatedError):
            stream(data[:end])


def test_a_pipe_and_a_file_have_the_same_damage():
    data = write()
    for i in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[i // 8] ^= 1 << i % 8
        with pytest.raises((FormatError, UnsupportedError, ChecksumError, TruncatedError)) as of_file:
            read(bytes(damaged))
        with pytest.raises(of_file.type):
            stream(bytes(damaged))


def test_a_pipe_with_bytes_after_the_end():
    with pytest.raises(FormatError, match="bytes follow the last chunk"):
        stream(write() + b"\n")


def test_one_chunk_from_where_a_file_stands():
    data, begin = write(), starts()
    file = io.BytesIO(data)
    for at, chunk in zip(begin, read_chunks(data, KIND), strict=True):
        file.seek(at)
        assert read_chunk(file, at) == chunk
        assert file.tell() == at + FRAMING + len(chunk.payload)
    assert read_chunk(file, file.tell()).type == DONE
    with pytest.raises(TruncatedError):
        read_chunk(file, file.tell())


def test_a_damaged_chunk_is_named_by_its_place_in_the_file():
    data, at = write(), starts()[2]
    file = io.BytesIO(data[:at] + b"\0" + data[at + 1 :])
    file.seek(at)
    with pytest.raises(ChecksumError, match=f"the chunk at byte {at} is damaged"):
        read_chunk(file, at)


def test_an_announced_length_that_is_not_there_is_not_allocated(tmp_path):
    path = tmp_path / "lie"
    path.write_bytes(preamble(KIND) + struct.pack(">4sI", b"BODY", 2**32 - 1) + bytes(1000))
    tracemalloc.start()
    try:
        with path.open("rb") as file, pytest.raises(TruncatedError, match="4294967295 bytes"):
            list(stream_chunks(file, KIND))
        assert tracemalloc.get_traced_memory()[1] < 3e6
    finally:
        tracemalloc.stop()


def test_a_walk_gives_chunks_and_problems_in_the_order_of_the_file():
    data, (_, first, second, _) = write(), starts()
    damaged = data[:first] + b"garbage" + data[first:second] + b"more" + data[second:]
    found = list(walk_chunks(damaged, KIND, TYPES))
    problems = found.pop(1), found.pop(2)
    assert [(chunk.type, chunk.payload) for chunk in found] == CHUNKS
    assert problems[0].startswith(f"bytes {first} to {first + 7}: ")
    assert problems[1].startswith(f"bytes {second + 7} to {second + 11}: ")


@pytest.mark.parametrize(
    "spoil", [lambda data: data, lambda data: data[:60] + b"x" + data[61:], lambda data: data[:-20]]
)
def test_a_walk_along_a_mapped_file(tmp_path, spoil):
    data = spoil(write())
    path = tmp_path / "mapped"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert list(walk_chunks(mapped, KIND, TYPES)) == list(walk_chunks(data, KIND, TYPES))


def test_a_chunk_is_a_plain_tuple():
    assert Chunk(b"BODY", b"abc") == (b"BODY", b"abc", 0)
