"""Signed integers of any size as one symbol each, and a few plain bits for the large ones.

Small integers are the ones worth statistics, so each has a symbol of its own. Larger ones share a symbol with those of
the same size and the same two bits below the leading one; the bits that are left are close to random, and stay plain.
This is JPEG XL's hybrid integer configuration 4-2-0 (ISO/IEC 18181-1, C.3.3) on magnitudes with the sign folded in:

    value    0  -1   1  -2   2 ...   folded   0  1  2  3  4 ...

    folded   symbol                                        plain bits
    0-15     folded                                        none
    16-19    16      10000 to 10011: size 5, then 00       2
    20-23    17      10100 to 10111: size 5, then 01       2
    32-39    20      size 6, then 00                       3       ...
"""

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import FormatError
from bitstreams.symbols import SymbolCoder

__all__ = ["code_integers"]

OWN = 16  # folded values with a symbol of their own
OWN_BITS = 4
LARGEST = 15  # the bits of the largest folded value
LAST = OWN + 4 * (LARGEST - OWN_BITS) - 1  # the last symbol


def code_integers(
    coder: SymbolCoder,
    kind: str,
    contexts: NDArray[np.uint8],
    values: NDArray[np.int16] | None,
    owners: NDArray[np.integer] | None = None,
) -> NDArray[np.int16]:
    """Code signed integers, in either direction.

    Parameters
    ----------
    coder : SymbolCoder
        An encoder, or a decoder.
    kind : str
        Kind of the symbols.
    contexts : (N,) uint8 array
        Context of each symbol.
    values : (N,) int16 array in [-2**14, 2**14), or None
        The integers for an encoder, None for a decoder.
    owners : (N,) integer array, optional
        As for `SymbolCoder.code`.

    Returns
    -------
    (N,) int16 array
        The integers.

    Raises
    ------
    FormatError, TruncatedError
        From a decoder.
    """
    symbols = large = rest = None
    if values is not None:
        wide = values.astype(np.int32)
        folded = np.abs(wide) * 2 - (wide < 0)
        size = np.frexp(np.maximum(folded, 1).astype(np.float32))[1].astype(np.int32)  # bits of the folded value
        below = np.maximum(size - 3, 0)  # bits after the leading one and the two that follow it
        symbols = np.where(folded < OWN, folded, OWN + 4 * (size - OWN_BITS - 1) + (folded >> below & 3))
        symbols = symbols.astype(np.uint8)
        large = np.flatnonzero(folded >= OWN)
        rest = folded[large] & ((1 << below[large]) - 1)
    symbols = coder.code(kind, contexts, symbols, owners)
    large = np.flatnonzero(symbols >= OWN)
    if not large.size:
        folded = symbols.astype(np.int16)
        return (folded >> 1) ^ -(folded & 1) if values is None else values
    beyond = symbols.take(large).astype(np.int32) - OWN
    if beyond.max() > LAST - OWN:
        raise FormatError(f"an integer of more than {LARGEST} bits")
    width = (beyond >> 2) + (OWN_BITS - 2)
    rest = coder.bits(width, rest, None if owners is None else owners[large])
    if values is not None:
        return values
    folded = symbols.astype(np.int32)
    folded[large] = ((4 | (beyond & 3)) << width) | rest
    return ((folded >> 1) ^ -(folded & 1)).astype(np.int16)
