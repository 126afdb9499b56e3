"""Images (and soon video) to files and back; see `codec.image` for the pipeline."""

from bitstreams.errors import (
    ChecksumError,
    CodecError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from codec.image import Header, Recovered, decode_image, encode_image, read_header, recover_image

__all__ = [
    "ChecksumError",
    "CodecError",
    "FormatError",
    "Header",
    "LimitError",
    "Recovered",
    "TruncatedError",
    "UnsupportedError",
    "decode_image",
    "encode_image",
    "read_header",
    "recover_image",
]
