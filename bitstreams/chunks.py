r"""The container: a signature, a version, and chunks that each carry their own checksum.

    signature   8 bytes     0x89, three letters for the kind of file, CR LF 0x1A LF
    version     2 bytes     5
    chunks, each
      type      4 bytes     ASCII letters
      length    4 bytes     bytes of the payload
      payload
      checksum  4 bytes     CRC-32 (zlib's) of type, length and payload
    the last chunk has type DONE and no payload; nothing follows it

All numbers are unsigned, the most significant byte first. The signature follows PNG's (RFC 2083, 12.11): its first
byte is not ASCII, so the file is not taken for text; a transfer that rewrites line ends damages CR LF or LF; and a
listing on a terminal stops at 0x1A.

A version that differs is refused by name: before 1.0 the format changes freely, and no old version is kept.

`read_chunks` is strict. `recover_chunks` walks over damage: it looks for the next place at which a chunk with a right
checksum starts, and tells which bytes it had to pass over.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import BinaryIO, NamedTuple

from bitstreams.errors import ChecksumError, FormatError, TruncatedError, UnsupportedError

__all__ = [
    "DONE",
    "FRAMING",
    "PREAMBLE",
    "VERSION",
    "Chunk",
    "check_preamble",
    "chunk_bytes",
    "preamble",
    "read_chunk",
    "read_chunks",
    "recover_chunks",
    "signature",
    "stream_chunks",
    "walk_chunks",
    "write_chunks",
]

VERSION = 5
DONE = b"DONE"
PREAMBLE = 10  # bytes of signature and version
FRAMING = 12  # bytes of a chunk around its payload
HEADER = struct.Struct(">4sI")
CHECKSUM = struct.Struct(">I")
PIECE = 1 << 20  # bytes


class Chunk(NamedTuple):
    """A chunk: its type, its payload, and where in the file the payload starts."""

    type: bytes
    payload: bytes
    start: int = 0


def signature(kind: bytes) -> bytes:
    """Return the first 8 bytes of a file of a kind, three ASCII letters."""
    return b"\x89" + kind + b"\r\n\x1a\n"


def preamble(kind: bytes) -> bytes:
    """Return what a file of a kind begins with: signature and version."""
    return signature(kind) + struct.pack(">H", VERSION)


def chunk_bytes(name: bytes, payload: bytes) -> bytes:
    """Return a chunk as it stands in a file."""
    header = HEADER.pack(name, len(payload))
    return header + payload + CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(header)))


def write_chunks(kind: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Write a file piece by piece.

    Parameters
    ----------
    kind : bytes
        Three ASCII letters: the kind of file.
    chunks : iterable of (type, payload)
        All chunks but the last, which is added.

    Yields
    ------
    bytes
        The pieces, to be written one after another.
    """
    yield preamble(kind)
    for name, payload in chunks:
        yield chunk_bytes(name, payload)
    yield chunk_bytes(DONE, b"")


def read_chunks(data: bytes, kind: bytes) -> Iterator[Chunk]:
    """Read the chunks of a file, strictly.

    Parameters
    ----------
    data : bytes
        The whole file.
    kind : bytes
        Three ASCII letters: the kind of file that is expected.

    Yields
    ------
    Chunk
        Every chunk but the last.

    Raises
    ------
    FormatError
        If this is no such file, or bytes follow the last chunk.
    UnsupportedError
        If it has another version.
    TruncatedError
        If it ends before its last chunk.
    ChecksumError
        If a chunk is damaged.
    """
    check_preamble(data, kind)
    at = PREAMBLE
    while True:
        chunk = _chunk_at(data, at)
        at = chunk.start + len(chunk.payload) + CHECKSUM.size
        if chunk.type == DONE:
            break
        yield chunk
    if at != len(data):
        raise FormatError(f"{len(data) - at} bytes follow the last chunk")


def stream_chunks(file: BinaryIO, kind: bytes) -> Iterator[Chunk]:
    """Read the chunks of a file from where it stands, strictly, one at a time: `read_chunks` for a pipe.

    Parameters
    ----------
    file : binary file
        Need not be seekable; of a chunk no more memory is taken than the file has bytes.
    kind : bytes
        The kind of file that is expected.

    Yields
    ------
    Chunk
        Every chunk but the last.

    Raises
    ------
    FormatError, UnsupportedError, TruncatedError, ChecksumError
        As `read_chunks`.
    """
    check_preamble(_read(file, PREAMBLE), kind)
    at = PREAMBLE
    while (chunk := read_chunk(file, at)).type != DONE:
        yield chunk
        at = chunk.start + len(chunk.payload) + CHECKSUM.size
    if file.read(1):
        raise FormatError("bytes follow the last chunk")


def read_chunk(file: BinaryIO, at: int) -> Chunk:
    """Read the chunk at which a file stands, `at` bytes from its start; errors are those of `read_chunks`."""
    header = _read(file, HEADER.size)
    length = HEADER.unpack(header)[1] if len(header) == HEADER.size else 0
    return _chunk_at(header + _read(file, length + CHECKSUM.size), 0, at)


def _read(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or what is left; piece by piece, so that an announced size allocates nothing."""
    pieces = []
    while size > 0:
        piece = file.read(min(size, PIECE))
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def recover_chunks(data: bytes, kind: bytes, types: Iterable[bytes]) -> tuple[list[Chunk], list[str]]:
    """Read what can be read of a damaged file.

    Parameters
    ----------
    data : bytes
        The file, or what is left of it.
    kind : bytes
        The kind of file that is expected.
    types : iterable of bytes
        Types of chunks to look for.

    Returns
    -------
    chunks : list of Chunk
        All chunks whose checksum is right, in the order of the file, but the last.
    problems : list of str
        What is wrong with the file, an account for people.

    Raises
    ------
    FormatError, UnsupportedError, TruncatedError
        If not even signature and version can be read.
    """
    chunks: list[Chunk] = []
    problems: list[str] = []
    for found in walk_chunks(data, kind, types):
        if isinstance(found, Chunk):
            chunks.append(found)
        else:
            problems.append(found)
    return chunks, problems


def walk_chunks(data: bytes | mmap, kind: bytes, types: Iterable[bytes]) -> Iterator[Chunk | str]:
    """Read what can be read of a damaged file, one chunk at a time.

    Parameters and errors are those of `recover_chunks`.

    Yields
    ------
    Chunk or str
        A chunk whose checksum is right, or what is wrong with the file at this place.
    """
    check_preamble(data[:PREAMBLE], kind)
    at, done = PREAMBLE, False
    places = dict.fromkeys((*types, DONE), 0)  # where each type is found next: the search never goes back
    effort = 4 * len(data)  # bytes that may be checksummed in search: a hostile file cannot make it quadratic
    while at < len(data) and not done:
        try:
            chunk = _chunk_at(data, at)
        except (FormatError, TruncatedError, ChecksumError) as error:
            found, effort = _next_chunk(data, at + 1, places, effort - _cost(data, at))
            yield f"bytes {at} to {found.start - HEADER.size if found else len(data)}: {error}"
            if found is None:
                break
            chunk = found
        at = chunk.start + len(chunk.payload) + CHECKSUM.size
        done = chunk.type == DONE
        if not done:
            yield chunk
    if not done:
        yield "the file ends before its last chunk"
    elif at != len(data):
        yield f"{len(data) - at} bytes follow the last chunk"


def check_preamble(data: bytes, kind: bytes) -> None:
    """Raise FormatError, TruncatedError or UnsupportedError if data do not begin as a file of a kind does."""
    expected = signature(kind)
    if data[: len(expected)] != expected[: len(data)]:
        raise FormatError(f"not a file of kind {kind.decode()}: the signature is missing")
    if len(data) < PREAMBLE:
        raise TruncatedError("the file ends inside its signature")
    version = int.from_bytes(data[8:PREAMBLE])
    if version != VERSION:
        raise UnsupportedError(f"the file has format version {version}; this program reads version {VERSION}")


def _chunk_at(data: bytes | mmap, at: int, offset: int = 0) -> Chunk:
    """Read the chunk at an index of data that begin at an offset of the file; errors are those of `read_chunks`."""
    start = at + HEADER.size
    if start + CHECKSUM.size > len(data):
        raise TruncatedError("the file ends where a chunk should begin")
    name, length = HEADER.unpack_from(data, at)
    if start + length + CHECKSUM.size > len(data):
        raise TruncatedError(f"the file ends inside a chunk of {length} bytes")
    payload = data[start : start + length]
    (checksum,) = CHECKSUM.unpack_from(data, start + length)
    if zlib.crc32(payload, zlib.crc32(data[at:start])) != checksum:
        raise ChecksumError(f"the chunk at byte {offset + at} is damaged")
    if name == DONE and payload:
        raise FormatError(f"the last chunk, at byte {offset + at}, has a payload")
    return Chunk(name, payload, offset + start)


def _next_chunk(data: bytes | mmap, at: int, places: dict[bytes, int], effort: int) -> tuple[Chunk | None, int]:
    """Find the first chunk at or after an index; return it and the effort that is left."""
    start = at
    while effort > 0:
        for name, place in places.items():
            if 0 <= place < start:
                places[name] = data.find(name, start)
        place = min((place for place in places.values() if place >= 0), default=-1)
        if place < 0:
            break
        try:
            return _chunk_at(data, place), effort
        except (FormatError, TruncatedError, ChecksumError):
            effort -= _cost(data, place)
        start = place + 1
    return None, effort


def _cost(data: bytes | mmap, at: int) -> int:
    """Return how many bytes were read to find that no chunk is at an index."""
    if at + FRAMING > len(data):
        return FRAMING
    _, length = HEADER.unpack_from(data, at)
    return FRAMING + (length if at + FRAMING + length <= len(data) else 0)
