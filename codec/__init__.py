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
from codec.trace import Trace, trace_image


def register() -> None:
    """Teach imageio and Pillow to read and write `.tjpg` files; see `codec.plugins`."""
    from codec.plugins import register as register_plugins  # noqa: PLC0415 - Pillow is not needed for anything else here

    register_plugins()


__all__ = [
    "ChecksumError",
    "CodecError",
    "FormatError",
    "Header",
    "LimitError",
    "Recovered",
    "Trace",
    "TruncatedError",
    "UnsupportedError",
    "decode_image",
    "encode_image",
    "read_header",
    "recover_image",
    "register",
    "trace_image",
]
