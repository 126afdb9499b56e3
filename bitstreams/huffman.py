"""Canonical Huffman codes: shorter bit strings for likelier symbols, and a decoder that runs many lanes at once.

A Huffman code is known from the length of each symbol's code word alone if the words are handed out in the order of
(length, symbol), each the one before plus 1 ("canonical", Schwartz and Kallick 1964; as in DEFLATE, RFC 1951, 3.2.2).
Lengths are limited to 12 bits, by package-merge (Larmore and Hirschberg, J. ACM 37, 1990), so that a table of 4096
entries decodes any word in one look-up.

    counts  a:5 b:2 c:1 d:1  ->  lengths  1 2 3 3  ->  words  a 0, b 10, c 110, d 111

Decoding is sequential, since where a word starts is known only when the one before has been read. So a stream carries
entry points: the bit offset of every 128th symbol. All lanes between entry points are decoded in lockstep, one symbol
of each at a step: a step is two table look-ups over whole arrays, and 128 steps decode any number of symbols. The
bits themselves are one contiguous Huffman stream, which `decode_plain` reads from its first bit to its last with
bitarray's prefix tree.

A section holds several streams, each with a code of its own, decoded in the same 128 steps:

    lane      varint                      symbols in a lane
    for each stream:
      count   varint                      symbols in the stream; the rest is absent if it is 0
      used    varint                      the alphabet up to its last used symbol
      present used bits, to whole bytes   which of those symbols have a code word
      lengths 4 bits each, to whole bytes the lengths of these words, 1 to 12
      size    varint                      bytes of the stream's code words
      least   varint                      bits of the shortest lane, the last lane not counted
      width   byte                        width of the fields that follow
      lanes   width bits each, whole bytes  bits of each lane, less the least; the last lane has no field
    code words of the first stream, of the second, ..., each filled up with zeros to whole bytes
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from bitarray import bitarray, decodetree
from numpy.typing import ArrayLike, NDArray

from bitstreams.bits import pack, pack_fixed, read_varint, unpack_fixed, write_varint
from bitstreams.errors import FormatError, TruncatedError

__all__ = [
    "LONGEST",
    "MAX_STREAMS",
    "Code",
    "Stream",
    "code_lengths",
    "code_lengths_plain",
    "decode_plain",
    "decode_streams",
    "encode_plain",
    "encode_streams",
    "read_section",
]

LONGEST = 12  # bits; a longer limit gains 0.1 % at most on photographs, and the table doubles with every bit
LANE = 128  # symbols; 256 would make a photograph's file 0.6 % smaller, and take twice the steps
MAX_LANE = 4096  # a lane is a step each: this bounds the time of a malicious file
MAX_STREAMS = 16  # in a section: the stream's number rides above the 12 bits of a window


def code_lengths_plain(counts: Sequence[int]) -> list[int]:
    """Return Huffman's code lengths by merging the two rarest nodes until one is left.

    The textbook form (Huffman, Proc. IRE 40, 1952), without a limit: `code_lengths` equals its cost when the limit
    does not bind.
    """
    order = count()
    heap = [(n, next(order), [symbol]) for symbol, n in enumerate(counts) if n]
    lengths = [0] * len(counts)
    if len(heap) == 1:
        lengths[heap[0][2][0]] = 1  # a lone symbol still needs a bit to be counted by
    heapq.heapify(heap)
    while len(heap) > 1:
        n0, _, rare = heapq.heappop(heap)
        n1, _, next_rare = heapq.heappop(heap)
        for symbol in rare + next_rare:  # every symbol below the new node moves one level down
            lengths[symbol] += 1
        heapq.heappush(heap, (n0 + n1, next(order), rare + next_rare))
    return lengths


def code_lengths(counts: ArrayLike, limit: int = LONGEST) -> NDArray[np.uint8]:
    """Return optimal code lengths of at most `limit` bits, by package-merge.

    Parameters
    ----------
    counts : (N,) array of non-negative integers
        How often each symbol occurs; symbols with count 0 get no code word.
    limit : int
        The longest length allowed, in bits; at least log2 of the number of symbols that occur.

    Returns
    -------
    (N,) uint8 array
        Code lengths, 0 for symbols that do not occur, 1 for a symbol that is alone.

    Raises
    ------
    ValueError
        If so many symbols have no code within the limit.

    References
    ----------
    Larmore, Hirschberg: A fast algorithm for optimal length-limited Huffman codes. J. ACM 37(3), 1990.
    """
    counts = np.asarray(counts, np.int64)
    symbols = np.flatnonzero(counts)
    lengths = np.zeros(counts.size, np.uint8)
    if symbols.size <= 1:
        lengths[symbols] = 1
        return lengths
    if symbols.size > 1 << limit:
        raise ValueError(f"{symbols.size} symbols have no code of at most {limit} bits")
    symbols = symbols[np.argsort(counts[symbols], kind="stable")]
    # A symbol is a coin at each of the denominations 2^-1 ... 2^-limit. From the smallest on, coins are merged in pairs
    # ("packages") worth one of the next. Items are sorted by weight; their lowest bit tells packages (1) from coins.
    coins = counts[symbols] << 1
    items = coins
    levels = [items]
    for _ in range(limit - 1):
        packages = (items[: items.size // 2 * 2] >> 1).reshape(-1, 2).sum(axis=1) << 1 | 1
        items = np.sort(np.concatenate([coins, packages]))
        levels.append(items)
    # Buying 2(n - 1) of the cheapest items at the top opens packages all the way down. Each coin that is bought adds
    # a bit to its symbol, and since coins are sorted, those bought on a level are the rarest symbols.
    depth = np.zeros(symbols.size, np.uint8)
    wanted = 2 * symbols.size - 2
    for items in reversed(levels):
        packages_bought = int((items[:wanted] & 1).sum())
        depth[: wanted - packages_bought] += 1
        wanted = 2 * packages_bought
    lengths[symbols] = depth
    return lengths


@dataclass(frozen=True)
class Code:
    """A canonical Huffman code, given by its lengths.

    Parameters
    ----------
    lengths : (N,) uint8 array
        Bits of each symbol's code word, at most 12; 0 for symbols without one.

    Raises
    ------
    FormatError
        If a length is over the limit, or there are more code words than a prefix code can have (Kraft's inequality).
    """

    lengths: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Refuse lengths that no prefix code has."""
        if self.lengths.max(initial=0) > LONGEST:
            raise FormatError(f"a code word is longer than {LONGEST} bits")
        if self._spans.sum() > 1 << LONGEST:
            raise FormatError("the code lengths are over-full: no prefix code has them")

    @cached_property
    def symbols(self) -> NDArray[np.intp]:
        """The symbols that have a code word, in canonical order: by length, then by symbol."""
        used = np.flatnonzero(self.lengths)
        return used[np.argsort(self.lengths[used], kind="stable")]

    @cached_property
    def _spans(self) -> NDArray[np.int64]:
        """How many of the 12-bit windows start with the word of each of `symbols`."""
        return 1 << (LONGEST - self.lengths[self.symbols].astype(np.int64))

    @cached_property
    def words(self) -> NDArray[np.uint16]:
        """(N,) code words, each in the low `lengths` bits; 0 where there is none."""
        words = np.zeros(self.lengths.size, np.uint16)
        words[self.symbols] = (np.cumsum(self._spans) - self._spans) // self._spans
        return words

    @cached_property
    def table(self) -> NDArray[np.uint16]:
        """(4096,) decoding table: for each 12-bit window, symbol << 4 | length of the word that it starts with.

        Windows that start with no word have length 0: decoding then stays where it is and never runs away.
        """
        filled = np.repeat((self.symbols << 4 | self.lengths[self.symbols]).astype(np.uint16), self._spans)
        return np.append(filled, np.zeros((1 << LONGEST) - filled.size, np.uint16))

    def to_bytes(self) -> bytes:
        """Serialise the lengths: used, present and lengths as the module describes."""
        used = int(self.symbols.max()) + 1
        present = self.lengths[:used] > 0
        length = self.lengths[:used][present]
        return write_varint(used) + np.packbits(present).tobytes() + pack_fixed(length, 4)

    @classmethod
    def from_bytes(cls, data: bytes, at: int, alphabet: int) -> tuple[Code, int]:
        """Read what `to_bytes` wrote; return the code and the index after it."""
        used, at = read_varint(data, at)
        if not 0 < used <= alphabet:
            raise FormatError(f"a code of {used} symbols for an alphabet of {alphabet}")
        present = np.unpackbits(np.frombuffer(take(data, at, -(-used // 8)), np.uint8), count=used).astype(bool)
        at += -(-used // 8)
        number = int(np.count_nonzero(present))
        packed = take(data, at, -(-number // 2))
        lengths = np.zeros(alphabet, np.uint8)
        lengths[:used][present] = unpack_fixed(packed, number, 4)
        return cls(lengths), at + len(packed)


@dataclass(frozen=True)
class Stream:
    """One stream of a section: its code, and where in the section's bytes its words lie.

    Attributes
    ----------
    count : int
        Symbols in the stream.
    code : Code
        The code of its symbols.
    lane : int
        Symbols in a lane.
    start, size : int
        First byte and number of bytes of the code words.
    entries : (lanes,) int64 array
        Bit offset, from `start`, of the first symbol of every lane.
    table_bytes, entry_bytes : int
        What the code's lengths and the entry points take in the section.
    """

    count: int
    code: Code
    lane: int
    start: int
    size: int
    entries: NDArray[np.int64]
    table_bytes: int
    entry_bytes: int


def take(data: bytes, at: int, size: int) -> bytes:
    """Return `size` bytes from index `at`, or raise TruncatedError."""
    if size > len(data) - at:
        raise TruncatedError(f"{size} bytes are announced, {max(0, len(data) - at)} are left")
    return data[at : at + size]


def encode_plain(code: Code, symbols: Sequence[int]) -> bytes:
    """Concatenate the code words of symbols with bitarray: the plain form of a stream's code words."""
    bits = bitarray(endian="big")
    bits.encode(_prefix_code(code), symbols)
    return bits.tobytes()


def decode_plain(code: Code, data: bytes, count: int) -> list[int]:
    """Read `count` symbols from the first bit of `data` on with bitarray: the plain form of `decode_streams`."""
    bits = bitarray(endian="big")
    bits.frombytes(data)
    symbols = bits.decode(decodetree(_prefix_code(code)))
    return [next(symbols) for _ in range(count)]


def _prefix_code(code: Code) -> dict[int, bitarray]:
    return {int(s): bitarray(format(int(code.words[s]), f"0{code.lengths[s]}b"), endian="big") for s in code.symbols}


def encode_streams(streams: Sequence[NDArray[np.uint8]], alphabet: int, lane: int = LANE) -> bytes:
    """Code several streams of symbols into one section, each with a Huffman code made for it.

    Parameters
    ----------
    streams : sequence of (N,) uint8 arrays, at most 16
        Symbols, each below `alphabet`; a stream may be empty.
    alphabet : int
        Number of symbols, at most 256.
    lane : int
        Symbols in a lane, at most 4096: longer ones take fewer bytes, and more steps to decode.

    Returns
    -------
    bytes
        The section, as the module describes it.

    Raises
    ------
    ValueError
        If there are too many streams.
    """
    if len(streams) > MAX_STREAMS:
        raise ValueError(f"{len(streams)} streams in a section; {MAX_STREAMS} are possible")
    header = [write_varint(lane)]
    fields, lengths = [], []
    for symbols in streams:
        header.append(write_varint(symbols.size))
        if not symbols.size:
            continue
        counts = np.bincount(symbols, minlength=alphabet)
        code = Code(code_lengths(counts))
        length = code.lengths.take(symbols)
        bits = int(counts @ code.lengths)
        whole = length[: (symbols.size - 1) // lane * lane].reshape(-1, lane)  # every lane but the last
        lanes = whole.sum(axis=1, dtype=np.int64)
        least = int(lanes.min(initial=lane * LONGEST))
        width = int(lanes.max(initial=least) - least).bit_length()
        header += [code.to_bytes(), write_varint(-(-bits // 8), least, width)]
        header.append(pack_fixed(lanes - least, width))
        # A field of zeros takes each stream to a byte boundary, so that all of them are packed at once.
        fields += [code.words.take(symbols), np.zeros(1, np.uint16)]
        lengths += [length, np.array([-bits % 8], np.uint8)]
    body = pack(np.concatenate(fields), np.concatenate(lengths)) if fields else b""
    return b"".join(header) + body


def read_section(data: bytes, at: int, streams: int, alphabet: int) -> tuple[list[Stream], int]:
    """Read a section up to its code words.

    Parameters
    ----------
    data : bytes
        What holds the section.
    at : int
        Index of its first byte.
    streams : int
        Number of streams in it.
    alphabet : int
        Number of symbols.

    Returns
    -------
    streams : list of Stream
        Where each stream lies.
    at : int
        Index after the section.

    Raises
    ------
    FormatError, TruncatedError
        If it breaks a rule, or announces more than `data` holds. Nothing is allocated before that is known.
    """
    lane, at = read_varint(data, at)
    if not 0 < lane <= MAX_LANE:
        raise FormatError(f"lanes of {lane} symbols; 1 to {MAX_LANE} are allowed")
    headers = []
    for _ in range(streams):
        count, at = read_varint(data, at)
        if not count:
            headers.append((0, Code(np.zeros(alphabet, np.uint8)), 0, np.zeros(0, np.int64), 0, 0))
            continue
        table_at = at
        code, at = Code.from_bytes(data, at, alphabet)
        entry_at = at
        size, at = read_varint(data, at)
        least, at = read_varint(data, at)
        width, at = take(data, at, 1)[0], at + 1
        if width > 32:
            raise FormatError(f"entry points of {width} bits; at most 32 are allowed")
        if size > len(data) - at:
            raise TruncatedError(f"{size} bytes of code words are announced, {len(data) - at} are left")
        if not count <= 8 * size < LONGEST * count + 8:
            raise FormatError(f"{count} symbols are announced in {size} bytes")
        lanes = (count - 1) // lane
        packed = take(data, at, -(-lanes * width // 8))
        at += len(packed)
        bits = least + unpack_fixed(packed, lanes, width)
        entries = np.concatenate([[0], np.cumsum(bits)])
        if entries[-1] >= 8 * size:
            raise FormatError("an entry point lies outside its stream")
        headers.append((count, code, size, entries, entry_at - table_at, at - entry_at))
    found = []
    for count, code, size, entries, table_bytes, entry_bytes in headers:
        found.append(Stream(count, code, lane, at, size, entries, table_bytes, entry_bytes))
        take(data, at, size)
        at += size
    return found, at


def decode_streams(data: bytes, streams: Sequence[Stream]) -> list[NDArray[np.uint8]]:
    """Decode all streams of a section in lockstep, one symbol of every lane at a step.

    Parameters
    ----------
    data : bytes
        What holds the section.
    streams : sequence of Stream, at most 16
        From `read_section`.

    Returns
    -------
    list of (count,) uint8 arrays
        The symbols of each stream.

    Raises
    ------
    FormatError
        If a lane does not end where the next begins.
    """
    # The largest stream first: it gets number 0, which need not be written into its windows.
    coded = sorted(((i, s) for i, s in enumerate(streams) if s.count), key=lambda item: -item[1].size)
    decoded = [np.zeros(0, np.uint8) for _ in streams]
    if not coded:
        return decoded
    first, lane = min(stream.start for _, stream in coded), coded[0][1].lane
    windows = _windows(data[first : max(stream.start + stream.size for _, stream in coded)])
    for number, (_, stream) in enumerate(coded[1:], start=1):
        begin = 8 * (stream.start - first)
        windows[begin : begin + 8 * stream.size] |= np.uint16(number << LONGEST)
    entries = np.concatenate([stream.code.table for _, stream in coded])
    table, advance = (entries >> 4).astype(np.uint8), (entries & 15).astype(np.int64)
    entry = np.concatenate([stream.entries + 8 * (stream.start - first) for _, stream in coded])
    # One step: the window at every lane's position, and the position after the word that it starts with. A lane that
    # ran past its stream reads zeros or another's words; what it gives there is cut off below.
    position, bits = entry.copy(), np.empty_like(entry)
    steps = np.empty((min(lane, max(s.count for _, s in coded)), entry.size), np.uint16)
    for window in steps:
        windows.take(position, out=window, mode="clip")
        position += advance.take(window, out=bits, mode="clip")
    symbols = table.take(steps.T, mode="clip")
    lanes = 0
    for i, stream in coded:
        own = slice(lanes, lanes + stream.entries.size)
        if not np.array_equal(position[own][:-1], entry[own][1:]):
            raise FormatError("a lane does not end where the next begins")
        decoded[i] = symbols[own].ravel()[: stream.count]
        lanes += stream.entries.size
    return decoded


def _windows(data: bytes) -> NDArray[np.uint16]:
    """Return the 12 bits from every bit offset of `data` on, zeros after its end: (8 * len(data),) uint16."""
    byte = np.frombuffer(data + bytes(2), np.uint8).astype(np.uint16)
    pair = byte[:-2] << 8 | byte[1:-1]
    windows = np.empty((pair.size, 8), np.uint16)
    for offset in range(8):
        # 16 bits from the byte on hold the window up to offset 4; past that its end comes from the third byte.
        shift = 16 - LONGEST - offset
        window = pair >> shift if shift >= 0 else pair << -shift | byte[2:] >> (8 + shift)
        np.bitwise_and(window, (1 << LONGEST) - 1, out=windows[:, offset])
    return windows.ravel()
