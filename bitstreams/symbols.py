"""Coding symbols in contexts: one call for both directions, and Huffman codes behind it.

A syntax is written once, as a function that describes the stream in either direction:

    symbol = coder.code(kind, contexts, symbol_or_None)

An encoder is given the symbols, and returns them; a decoder is given None, and returns what it read. So encoder and
decoder cannot disagree about what comes next. Calls work on whole arrays, an element for each of many blocks.

`kind` is what the symbols are (a mode, a vector's difference, ...), a `context` is what is known beforehand about a
symbol of that kind: symbols in the same context have like statistics, and share a code. More contexts predict better,
but each code has to be sent, so **the encoder merges contexts**: it begins with a code for each context that occurs,
and merges two at a time as long as that makes the file smaller (as Brotli, RFC 7932, 7.3, and JPEG XL do). A short
stream ends with one code a kind, a long one with many.

    for each kind:
      codes     varint                  how many codes it has, at most 64; 0 if it has no symbols
      changed   a bit for each context, to whole bytes
                                        whether its code differs from that of the context before (of the first, from
                                        0); absent, as the map is, if there are fewer than two codes
      map       log2(codes) bits, rounded up, for each context that is marked so, to whole bytes
                                        its code
    bits        varint                  number of plain bits
    sections    of up to 16 streams each (`bitstreams.huffman`), a stream for each code of each kind, in this order
    plain bits  to whole bytes, filled up with zeros; nothing follows

Since nothing is adaptive, all streams are decoded at once, before the first call: a call only takes its symbols from
them. A coder with adaptive contexts can stand behind the same calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitstreams.bits import pack, pack_fixed, read_varint, unpack, unpack_fixed, write_varint
from bitstreams.entropy import entropy_bits
from bitstreams.errors import FormatError
from bitstreams.huffman import MAX_STREAMS, decode_streams, encode_streams, read_section, take

__all__ = ["HuffmanDecoder", "HuffmanEncoder", "SymbolCoder"]

ALPHABET = 256  # symbols are bytes
LANE = 512  # symbols; a stream here holds many pictures, so that lanes can be longer than in a still image
CODE_BITS = 100  # what a code takes beside its lengths: sizes, entry points, bits that fill up bytes
LENGTH_BITS = 5  # what a code word's length takes in the table, with the flags that tell which symbols have one
MAX_CODES = 64  # of a kind


class SymbolCoder(Protocol):
    """What a syntax function needs of an encoder or decoder."""

    def code(
        self,
        kind: str,
        contexts: NDArray[np.uint8],
        symbols: NDArray[np.uint8] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Code the symbols of a kind, each in a context; None asks for them.

        `owners` tells to which frame (or whatever else is counted) each symbol belongs, for the account of bits.
        """
        ...

    def bits(
        self,
        widths: NDArray[np.integer],
        values: NDArray[np.integer] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.integer]:
        """Code unsigned integers of so many bits, at most 25 each, without statistics; None asks for them."""
        ...

    def expect(self, kind: str, number: int) -> None:
        """Say how many symbols of a kind follow at least: a decoder raises FormatError if there are fewer."""
        ...


class HuffmanEncoder:
    """Records what it is asked to code; `finish` makes bytes of it.

    Parameters
    ----------
    kinds : mapping from str to int
        All kinds of symbols, and how many contexts each has (at most 256).
    in_contexts : bool
        Whether contexts may have codes of their own; if not, each kind has one code.
    """

    def __init__(self, kinds: Mapping[str, int], in_contexts: bool = True) -> None:
        self._kinds = kinds
        self._in_contexts = in_contexts
        nothing = np.zeros(0, np.uint8)
        self._contexts = {kind: [nothing] for kind in kinds}
        self._symbols = {kind: [nothing] for kind in kinds}
        self._widths: list[NDArray[np.integer]] = [nothing]
        self._values: list[NDArray[np.integer]] = [nothing]

    def code(
        self,
        kind: str,
        contexts: NDArray[np.uint8],
        symbols: NDArray[np.uint8] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Record copies of symbols (N,) in contexts (N,), and return the symbols."""
        assert symbols is not None and symbols.shape == contexts.shape
        self._contexts[kind].append(contexts.copy())  # whoever calls may go on working in these arrays
        self._symbols[kind].append(symbols.copy())
        return symbols

    def bits(
        self,
        widths: NDArray[np.integer],
        values: NDArray[np.integer] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.integer]:
        """Record plain integers (N,) of `widths` bits and return them."""
        assert values is not None
        self._widths.append(widths.copy())
        self._values.append(values.copy())
        return values

    def expect(self, kind: str, number: int) -> None:
        """Do nothing: it is a decoder that has expectations."""

    def finish(self) -> bytes:
        """Choose the codes and write everything, as the module describes."""
        header: list[bytes] = []
        streams: list[NDArray[np.uint8]] = []
        for kind, number in self._kinds.items():
            contexts, symbols = np.concatenate(self._contexts[kind]), np.concatenate(self._symbols[kind])
            pairs = np.bincount(contexts.astype(np.int64) << 8 | symbols, minlength=number * ALPHABET)
            counts = pairs.reshape(number, ALPHABET)
            code_of = merge_contexts(counts) if self._in_contexts else np.zeros(number, np.int8)
            codes = int(code_of.max(initial=-1)) + 1 if symbols.size else 0
            header.append(write_varint(codes))
            if codes > 1:
                header.append(_write_map(code_of, codes))
            chosen = code_of.take(contexts)
            streams += [symbols[chosen == code] for code in range(codes)]
        widths = np.concatenate(self._widths)
        header.append(write_varint(int(widths.sum(dtype=np.int64))))
        for first in range(0, len(streams), MAX_STREAMS):
            header.append(encode_streams(streams[first : first + MAX_STREAMS], ALPHABET, LANE))
        return b"".join(header) + pack(np.concatenate(self._values), widths)


class HuffmanDecoder:
    """Reads what `HuffmanEncoder` wrote.

    Parameters
    ----------
    data : bytes
        What holds the stream; it ends with it.
    at : int
        Index of its first byte.
    kinds : mapping from str to int
        As for the encoder.
    owners : int
        If not 0, bits are accounted for so many owners of symbols.

    Attributes
    ----------
    account : dict of str to (owners,) int64 arrays
        Bits of the symbols of each kind, and of "plain" bits, as far as they were read. What is left of the stream are
        tables, entry points and bits that fill up bytes.
    plain_bits : int
        All plain bits of the stream.

    Raises
    ------
    FormatError, TruncatedError
        From here and from every method, whatever the bytes are. Memory is bounded by the length of `data`.
    """

    def __init__(self, data: bytes, at: int, kinds: Mapping[str, int], owners: int = 0) -> None:
        self.account = {kind: np.zeros(owners, np.int64) for kind in (*kinds, "plain")} if owners else {}
        code_of: dict[str, NDArray[np.uint8]] = {}
        codes_of: dict[str, int] = {}
        for kind, number in kinds.items():
            codes, at = read_varint(data, at)
            if codes > min(number, MAX_CODES):
                raise FormatError(f"{codes} codes for the {number} contexts of {kind}")
            codes_of[kind] = codes
            code_of[kind] = np.zeros(number, np.uint8)
            if codes > 1:
                code_of[kind], at = _read_map(data, at, number, codes)
        self.plain_bits, at = read_varint(data, at)
        self._plain_bits_read = 0
        streams: list[NDArray[np.uint8]] = []
        lengths: list[NDArray[np.uint8]] = []  # of the code words of each stream's symbols
        total = sum(codes_of.values())
        for first in range(0, total, MAX_STREAMS):
            section, at = read_section(data, at, min(MAX_STREAMS, total - first), ALPHABET)
            streams += decode_streams(data, section)
            lengths += [stream.code.lengths for stream in section]
        self._plain = data[at:]
        if len(self._plain) != -(-self.plain_bits // 8):
            raise FormatError(f"{len(self._plain)} bytes where {self.plain_bits} plain bits belong")
        self._code_of = code_of
        self._left: dict[str, list[NDArray[np.uint8]]] = {}
        self._lengths: dict[str, list[NDArray[np.uint8]]] = {}
        for kind, codes in codes_of.items():
            self._left[kind], streams = streams[:codes], streams[codes:]
            self._lengths[kind], lengths = lengths[:codes], lengths[codes:]

    def code(
        self,
        kind: str,
        contexts: NDArray[np.uint8],
        symbols: NDArray[np.uint8] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Return the next symbols of a kind, one for each of the contexts (N,)."""
        assert symbols is None
        if not contexts.size:
            return np.zeros(0, np.uint8)
        left = self._left[kind]
        codes = self._code_of[kind].take(contexts)
        if len(left) <= 1:
            found = self._take(left, 0, contexts.size, kind)
        else:
            numbers = np.bincount(codes, minlength=len(left)).tolist()
            taken = [self._take(left, code, number, kind) for code, number in enumerate(numbers)]
            found = np.empty(contexts.size, np.uint8)
            found[np.argsort(codes, kind="stable")] = np.concatenate(taken)
        if self.account and owners is not None:
            bits = np.array(self._lengths[kind])[codes, found]
            self._record(kind, owners, bits)
        return found

    def _take(self, left: list[NDArray[np.uint8]], code: int, number: int, kind: str) -> NDArray[np.uint8]:
        symbols = left[code][:number] if left else np.zeros(0, np.uint8)
        if symbols.size < number:
            raise FormatError(f"too few symbols of {kind}")
        left[code] = left[code][number:]
        return symbols

    def bits(
        self,
        widths: NDArray[np.integer],
        values: NDArray[np.integer] | None,
        owners: NDArray[np.integer] | None = None,
    ) -> NDArray[np.integer]:
        """Return the next plain integers (N,) of `widths` bits each."""
        assert values is None
        if self.account and owners is not None:
            self._record("plain", owners, widths)
        fields = unpack(self._plain, widths, self._plain_bits_read)
        self._plain_bits_read += int(widths.sum(dtype=np.int64))
        return fields.astype(np.int32)

    def _record(self, kind: str, owners: NDArray[np.integer], bits: NDArray[np.integer]) -> None:
        account = self.account[kind]
        account += np.bincount(owners, bits, minlength=account.size).astype(np.int64)

    def expect(self, kind: str, number: int) -> None:
        """Raise FormatError if fewer symbols of a kind are left."""
        if sum(stream.size for stream in self._left[kind]) < number:
            raise FormatError(f"too few symbols of {kind}")

    def statistics(self) -> dict[str, tuple[int, float, int]]:
        """Return, of the symbols of each kind that are still to be read: their number, their bound, their bits.

        The bound is the Shannon entropy of the symbols behind each code; the bits are those of their code words.
        """
        found = {}
        for kind, streams in self._left.items():
            bits = sum(int(own.take(each).sum()) for own, each in zip(self._lengths[kind], streams, strict=True))
            found[kind] = sum(each.size for each in streams), sum(map(entropy_bits, streams)), bits
        return found

    def finish(self) -> None:
        """Raise FormatError if something is left."""
        if self._plain_bits_read != self.plain_bits:
            raise FormatError(f"{self.plain_bits - self._plain_bits_read} plain bits are left")
        for kind, left in self._left.items():
            if any(stream.size for stream in left):
                raise FormatError(f"symbols of {kind} are left")


def _write_map(code_of: NDArray[np.int8], codes: int) -> bytes:
    """Write which code each context has, as the module describes; where that does not matter (-1), nothing changes."""
    known = np.maximum.accumulate(np.where(code_of >= 0, np.arange(code_of.size), -1))
    filled = np.where(known >= 0, code_of[known], 0)
    changed = np.diff(filled, prepend=np.int8(0)) != 0
    return np.packbits(changed).tobytes() + pack_fixed(filled[changed], (codes - 1).bit_length())


def _read_map(data: bytes, at: int, number: int, codes: int) -> tuple[NDArray[np.uint8], int]:
    """Read what `_write_map` wrote; return it and the index after it."""
    flags = take(data, at, -(-number // 8))
    changed = np.unpackbits(np.frombuffer(flags, np.uint8), count=number).astype(np.bool_)
    changes, width = int(np.count_nonzero(changed)), (codes - 1).bit_length()
    packed = take(data, at + len(flags), -(-changes * width // 8))
    values = np.append(0, unpack_fixed(packed, changes, width)).astype(np.uint8)
    if values.max() >= codes:
        raise FormatError("a context has a code that does not exist")
    return values[np.cumsum(changed)], at + len(flags) + len(packed)


def merge_contexts(counts: NDArray[np.int64]) -> NDArray[np.int8]:
    """Decide which contexts share a code.

    Parameters
    ----------
    counts : (contexts, alphabet) int64 array
        How often each symbol occurs in each context.

    Returns
    -------
    (contexts,) int8 array
        Number of the code of each context, from 0 on; -1 for a context that does not occur.
    """
    code_of = np.full(len(counts), -1, np.int8)
    used = np.flatnonzero(counts.any(axis=1))
    if not used.size:
        return code_of
    tables = counts[used][:, counts.any(axis=0)]
    members = [[context] for context in used]
    bits = _code_bits(tables)
    # What each pair would save if it were merged; pairs are compared once, and again when one of them has changed.
    saved = np.full((len(tables), len(tables)), -np.inf)
    for i in range(len(tables) - 1):
        saved[i, i + 1 :] = bits[i] + bits[i + 1 :] - _code_bits(tables[i] + tables[i + 1 :])
    left = np.arange(len(tables))
    while left.size > 1:
        i, j = divmod(int(saved.argmax()), len(tables))
        if saved[i, j] <= 0 and left.size <= MAX_CODES:
            break
        tables[i] += tables[j]
        members[i] += members[j]
        members[j] = []
        bits[i] = _code_bits(tables[i])
        saved[j], saved[:, j] = -np.inf, -np.inf
        left = left[left != j]
        others = left[left != i]
        gains = bits[i] + bits[others] - _code_bits(tables[i] + tables[others])
        saved[np.minimum(i, others), np.maximum(i, others)] = gains
    for code, contexts in enumerate(group for group in members if group):
        code_of[contexts] = code
    return code_of


def _code_bits(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimate what symbols and their code take: (..., alphabet) counts to (...) bits.

    Logarithms are rounded to 1/4096: sums are exact then, and every machine merges alike.
    """
    total = counts.sum(axis=-1)
    entropy = total * _log2(total) - (counts * _log2(counts)).sum(axis=-1)
    # A lone symbol still takes a bit, and a Huffman code about 2 % more than the entropy.
    present = (counts > 0).sum(axis=-1)
    return np.maximum(1.02 * entropy, total) + CODE_BITS + LENGTH_BITS * present


def _log2(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return logarithms in bits, rounded to 1/4096; 0 for 0."""
    return np.rint(4096 * np.log2(np.maximum(numbers, 1))) / 4096
