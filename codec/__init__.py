"""Images and video to files and back; see `codec.image` and `codec.video` for the pipelines."""

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
from codec.video import encode_video
from codec.video_reader import Video, open_video, stream_video, trace_video


def register() -> None:
    """Teach imageio to read and write `.tjpg` and `.tvid` files, and Pillow `.tjpg`; see `codec.plugins`."""
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
    "Video",
    "decode_image",
    "encode_image",
    "encode_video",
    "open_video",
    "read_header",
    "recover_image",
    "register",
    "stream_video",
    "trace_image",
    "trace_video",
]
