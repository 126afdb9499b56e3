"""The error tree: everything that a decoder raises, whatever bytes it is given.

    CodecError (a ValueError)
    |-- FormatError        the bytes break a rule of the format
    |-- TruncatedError     the bytes end too early
    |-- ChecksumError      a chunk's CRC-32 does not match: it was damaged on the way
    |-- UnsupportedError   well formed, but made for another version, profile or kind of picture
    `-- LimitError         larger than the caller allows; the message names the limit and how to raise it

One tree means that a caller needs one `except codec.CodecError`.
"""

__all__ = [
    "ChecksumError",
    "CodecError",
    "FormatError",
    "LimitError",
    "TruncatedError",
    "UnsupportedError",
]


class CodecError(ValueError):
    """The base of every error that encoding or decoding raises on bad input."""


class FormatError(CodecError):
    """The bytes break a rule of the format."""


class TruncatedError(CodecError):
    """The bytes end before the picture does."""


class ChecksumError(CodecError):
    """A chunk's checksum does not match its bytes."""


class UnsupportedError(CodecError):
    """A version, profile, sample depth or shape that this codec does not handle."""


class LimitError(CodecError):
    """A size over the caller's limit; the message names the limit and how to raise it."""
