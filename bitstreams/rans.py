"""Range asymmetric numeral systems: many lanes in lockstep, static tables.

A rANS coder (Duda, arXiv:1311.2540, 2013) keeps a whole message in one number, its state x. With frequencies f that sum
to M = 2**12 and starts c (the sums of the frequencies before), a symbol s is pushed onto the number and popped off it:

    push    x' = (x // f[s]) * M + c[s] + x % f[s]
    pop     slot = x' % M; s = the symbol with c[s] <= slot < c[s] + f[s]; x = f[s] * (x' // M) + slot - c[s]

A push makes x about M / f[s] times as large: -log2(f[s] / M) bits, the ideal. To keep x in 32 bits, its low 16 bits are
moved to a list of words whenever a push would overflow, and moved back when a pop leaves x below 2**16 (Giesen,
"Interleaved entropy coders", arXiv:1402.3392, 2014). Last in, first out: encoding runs backwards, so that decoding runs
forwards.

**Lanes.** One pop waits for the one before it. But K numbers side by side are K independent coders: the symbols of a
batch go to lanes 0 to K - 1 in turn, and each array operation below pops a symbol from all of them. They share one list
of words, since each lane knows when it is its turn to take one. Every batch begins at lane 0.

**What lanes cost.** A state begins at 2**16; its 16 low bits may as well hold something, and hold plain bits of the
caller ("hidden" ones). It ends anywhere below 2**32, on a scale that is even in log x. So instead of 32 bits, the width
of what is above 2**16 and its bits are stored: about 4 bits a lane are lost, not 8. A lane has at most 2**12 symbols.
Otherwise a few bytes could keep a decoder busy for hours: the likeliest symbol takes 1/3000 bit, and in a single lane a
dozen array operations.

`encode_plain` and `decode_plain` do the same, symbol by symbol. The bytes of a section:

    lanes K, words    two varints (`bitstreams.bits`)
    widths            4 bits a lane: bits of its final state, less 17
    states            each without its leading one
                      widths and states together are filled up to whole bytes, with zeros that are not looked at
    words             2 bytes each, the low one first, in the order of decoding
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import FieldReader, pack, pack_plain, read_varint, unpack_plain, write_varint
from bitstreams.errors import FormatError, TruncatedError

__all__ = [
    "HIDDEN_BITS",
    "PRECISION",
    "SYMBOLS_OF_LANE",
    "RansDecoder",
    "RansEncoder",
    "Tables",
    "decode_plain",
    "encode_plain",
]

PRECISION = 12  # bits of M
M = 1 << PRECISION
HIDDEN_BITS = 16  # of a lane's first state
LOW = 1 << HIDDEN_BITS  # states are in [2**16, 2**32)
WIDTH_BITS = 4
MOST_LANES = 1 << 14
SYMBOLS_OF_LANE = 1 << 12  # at most

SHIFT, SLOT_MASK = np.uint32(PRECISION), np.uint32(M - 1)


class Tables:
    """Frequencies of symbols in contexts.

    Parameters
    ----------
    frequencies : (contexts, symbols) integer array
        Rows sum to 2**12; at most 256 symbols. A symbol of frequency 0 cannot be coded.

    Attributes
    ----------
    frequencies, starts : (contexts, symbols) uint32 arrays
    """

    def __init__(self, frequencies: NDArray[np.integer]) -> None:
        self.frequencies = frequencies.astype(np.uint32)
        if not (self.frequencies.sum(axis=1) == M).all() or frequencies.shape[1] > 256:
            raise ValueError(f"frequencies of up to 256 symbols must sum to {M}")
        self.starts = (np.cumsum(self.frequencies, axis=1) - self.frequencies).astype(np.uint32)

    @cached_property
    def symbols(self) -> NDArray[np.uint8]:
        """The symbol of each slot of each context: (contexts * 2**12,)."""
        contexts, symbols = self.frequencies.shape
        return np.repeat(np.tile(np.arange(symbols, dtype=np.uint8), contexts), self.frequencies.ravel())

    @cached_property
    def moves(self) -> NDArray[np.uint32]:
        """What pops from each slot make of a state: its symbol's frequency, and in the low 12 bits slot - start."""
        slots = np.tile(np.arange(M, dtype=np.uint32), len(self.frequencies))
        repeats = self.frequencies.ravel()
        return np.repeat(repeats << SHIFT, repeats) | slots - np.repeat(self.starts.ravel(), repeats)

    @cached_property
    def bits(self) -> NDArray[np.float32]:
        """Bits that each symbol takes: (contexts, symbols); very many for those that cannot be coded."""
        likely = np.maximum(self.frequencies, 2.0**-40 * M)
        return (PRECISION - np.log2(likely)).astype(np.float32)


class RansEncoder:
    """Collects batches of symbols, and encodes them from the last to the first.

    Attributes
    ----------
    count : int
        Number of symbols so far.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[NDArray[np.uint32], NDArray[np.uint32]]] = []
        self.count = 0

    def code(self, tables: Tables, contexts: NDArray[np.integer], symbols: NDArray[np.integer]) -> None:
        """Add a batch.

        Parameters
        ----------
        tables : Tables
        contexts, symbols : (N,) integer arrays
        """
        entries = contexts.astype(np.intp) * tables.frequencies.shape[1] + symbols
        frequencies = tables.frequencies.reshape(-1).take(entries)
        if not frequencies.all():
            raise ValueError("a symbol of frequency 0")
        self._batches.append((frequencies, tables.starts.reshape(-1).take(entries)))
        self.count += len(symbols)

    @property
    def bits(self) -> float:
        """Bits of all symbols, whatever the lanes cost."""
        return sum(float((PRECISION - np.log2(frequencies)).sum()) for frequencies, _ in self._batches)

    def append(self, other: RansEncoder) -> None:
        """Add all batches of another."""
        self._batches += other._batches
        self.count += other.count

    def mark(self) -> int:
        """Return how many batches there are."""
        return len(self._batches)

    def forget(self, mark: int) -> None:
        """Drop all batches since a mark."""
        self.count -= sum(len(starts) for _, starts in self._batches[mark:])
        del self._batches[mark:]

    def finish(self, lanes: int, hidden: NDArray[np.uint8]) -> bytes:
        """Encode all batches.

        Parameters
        ----------
        lanes : int
            In [1, 2**14], and at least 1/4096 of the number of symbols.
        hidden : (16 * lanes,) uint8 array
            Plain bits to be hidden in the first states.

        Returns
        -------
        bytes
            The section.
        """
        if not self.count <= lanes * SYMBOLS_OF_LANE <= MOST_LANES * SYMBOLS_OF_LANE:
            raise ValueError(f"{self.count} symbols in {lanes} lanes")
        states = LOW + np.packbits(hidden).view(">u2").astype(np.uint32)
        words = []
        for frequencies, starts in reversed(self._batches):
            for first in range((len(starts) - 1) // lanes * lanes, -1, -lanes):
                frequency, start = frequencies[first : first + lanes], starts[first : first + lanes]
                x = states[: len(start)]
                full = np.flatnonzero(x >> np.uint32(32 - PRECISION) >= frequency)
                words.append(x[full[::-1]].astype(np.uint16))
                x[full] >>= np.uint32(HIDDEN_BITS)
                quotient, remainder = np.divmod(x, frequency)
                x[:] = (quotient << SHIFT) + remainder + start
        backwards = np.concatenate(words) if words else np.zeros(0, np.uint16)
        widths = np.frexp(states.astype(np.float64))[1] - 1  # of what follows the leading one
        fields = np.concatenate([widths - HIDDEN_BITS, states.astype(np.int64) - (1 << widths.astype(np.int64))])
        lengths = np.concatenate([np.full(lanes, WIDTH_BITS), widths])
        head = write_varint(lanes, backwards.size)
        return head + pack(fields, lengths) + backwards[::-1].astype("<u2").tobytes()


class RansDecoder:
    """Decodes a section, batch by batch.

    Parameters
    ----------
    data : bytes
        What holds the section.
    at : int
        Index of its first byte.

    Attributes
    ----------
    end : int
        Index after the section.

    Raises
    ------
    FormatError, TruncatedError
    """

    def __init__(self, data: bytes, at: int) -> None:
        lanes, at = read_varint(data, at)
        words, at = read_varint(data, at)
        if not 0 < lanes <= MOST_LANES:
            raise FormatError(f"{lanes} lanes; there are 1 to {MOST_LANES}")
        head = FieldReader(data[at : at + 5 * lanes])  # a lane takes at most 35 bits
        widths = head.read(np.full(lanes, WIDTH_BITS)) + np.uint32(HIDDEN_BITS)
        # Fields of up to 31 bits, in two parts.
        lengths = np.stack([widths - np.uint32(HIDDEN_BITS), np.full_like(widths, HIDDEN_BITS)], axis=1).ravel()
        parts = head.read(lengths).reshape(-1, 2)
        self._states = np.uint32(1) << widths | parts[:, 0] << np.uint32(HIDDEN_BITS) | parts[:, 1]
        at += -(-head.at // 8)
        self.end = at + 2 * words
        if self.end > len(data):
            raise TruncatedError(f"{words} words take {2 * words} bytes, {max(0, len(data) - at)} are left")
        self._words = np.frombuffer(data, "<u2", words, at).astype(np.uint32)
        self._at = 0
        self._left = lanes * SYMBOLS_OF_LANE

    def code(self, tables: Tables, contexts: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Decode a batch: contexts (N,) to symbols (N,), or raise FormatError or TruncatedError."""
        lanes = len(self._states)
        self._left -= contexts.size
        if self._left < 0:
            raise FormatError(f"more than {lanes * SYMBOLS_OF_LANE} symbols in {lanes} lanes")
        slots = contexts.astype(np.uint32)
        slots <<= SHIFT
        for first in range(0, slots.size, lanes):
            self._pop(tables.moves, slots[first : first + lanes])
        return tables.symbols.take(slots)

    def _pop(self, moves: NDArray[np.uint32], slots: NDArray[np.uint32]) -> None:
        """Pop a symbol from each of the first lanes: add its slot to what the slots of its context begin with."""
        x = self._states[: slots.size]
        slots += x & SLOT_MASK
        move = moves.take(slots)
        x >>= SHIFT
        x *= move >> SHIFT
        move &= SLOT_MASK
        x += move
        empty = (x < LOW).nonzero()[0]
        if empty.size:
            words = self._words[self._at : self._at + empty.size]
            if words.size < empty.size:
                raise TruncatedError("the words end too early")
            x[empty] = x.take(empty) << np.uint32(HIDDEN_BITS) | words
            self._at += empty.size

    def finish(self) -> NDArray[np.uint8]:
        """Return the hidden bits, (16 * lanes,), or raise FormatError if the section did not come out even."""
        if self._at != self._words.size or (self._states >> np.uint32(HIDDEN_BITS) != 1).any():
            raise FormatError("the symbols are not those that were encoded")
        return np.unpackbits((self._states & np.uint32(LOW - 1)).astype(">u2").view(np.uint8))


Batch = Sequence[tuple[int, int]]  # contexts and symbols


def encode_plain(tables: Tables, batches: Sequence[Batch], lanes: int, hidden: Sequence[int]) -> bytes:
    """Encode batches of (context, symbol), one after another: the plain form of `RansEncoder`."""
    states = []
    for lane in range(lanes):
        state = 1
        for bit in hidden[HIDDEN_BITS * lane : HIDDEN_BITS * (lane + 1)]:
            state = 2 * state + bit
        states.append(state)
    words = []
    for batch in reversed(batches):
        for i, (context, symbol) in reversed(list(enumerate(batch))):
            frequency = int(tables.frequencies[context, symbol])
            x = states[i % lanes]
            if x // (1 << (32 - PRECISION)) >= frequency:
                words.append(x % LOW)
                x //= LOW
            states[i % lanes] = x // frequency * M + int(tables.starts[context, symbol]) + x % frequency
    widths = [state.bit_length() - 1 for state in states]
    fields = [width - HIDDEN_BITS for width in widths] + [
        state - (1 << width) for state, width in zip(states, widths, strict=True)
    ]
    head = write_varint(lanes, len(words)) + pack_plain(fields, [WIDTH_BITS] * lanes + widths)
    return head + b"".join(word.to_bytes(2, "little") for word in reversed(words))


def decode_plain(tables: Tables, data: bytes, batches: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[int]]:
    """Decode batches of contexts, one after another: the plain form of `RansDecoder`, for valid bytes.

    Returns
    -------
    symbols : list of lists of int
        Of each batch.
    hidden : list of int
        The plain bits.
    """
    lanes, at = read_varint(data, 0)
    _, at = read_varint(data, at)
    widths = [width + HIDDEN_BITS for width in unpack_plain(data[at:], [WIDTH_BITS] * lanes)]
    rest = unpack_plain(data[at:], [WIDTH_BITS] * lanes + widths)[lanes:]
    states = [(1 << width) + low for width, low in zip(widths, rest, strict=True)]
    at += (WIDTH_BITS * lanes + sum(widths) + 7) // 8
    symbols: list[list[int]] = []
    for contexts in batches:
        symbols.append([])
        for i, context in enumerate(contexts):
            x = states[i % lanes]
            slot = x % M
            symbol = int(np.searchsorted(tables.starts[context], slot, "right")) - 1
            while not tables.frequencies[context, symbol]:  # it begins where the next one does
                symbol -= 1
            x = int(tables.frequencies[context, symbol]) * (x // M) + slot - int(tables.starts[context, symbol])
            if x < LOW:
                x = x * LOW + int.from_bytes(data[at : at + 2], "little")
                at += 2
            states[i % lanes] = x
            symbols[-1].append(symbol)
    return symbols, [state >> place & 1 for state in states for place in range(HIDDEN_BITS - 1, -1, -1)]
