"""What a `.tvid` file says of itself: a record with ffprobe's names, and lines for people.

The record is what this command prints of other videos, as far as there is something to say here:

    ffprobe -of json -show_format -show_streams -show_frames INPUT

As there, sizes, bit rates, times in seconds and the number of frames are strings; all else that is a number is a
number. Two values of a frame are ours: its level in the pyramid (`codec.gop`), and its quality; and one of the stream:
which optional stages a decoder leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from math import gcd
from statistics import fmean
from typing import Any

from codec.commands.batch import count
from codec.reconstruct import steps
from codec.video import Header
from codec.video_reader import FrameInfo

__all__ = ["describe_video", "video_as_text"]

PIXEL_FORMATS = {"400": "gray", "420": "yuv420p", "444": "yuv444p"}
RANGES = {False: "tv", True: "pc"}
SPACES = {"bt601": "smpte170m", "bt709": "bt709"}
# fmt: off
WORDS = {  # what people call these
    "gray": "gray", "yuv420p": "4:2:0", "yuv444p": "4:4:4", "tv": "limited range", "pc": "full range",
    "smpte170m": "BT.601", "bt709": "BT.709",
}
# fmt: on


def describe_video(name: str, size: int, header: Header, infos: Iterable[FrameInfo]) -> dict[str, Any]:
    """Put what a video says of itself into a record.

    Parameters
    ----------
    name : str
        Of the file.
    size : int
        Its bytes.
    header : Header
    infos : iterable of FrameInfo
        All frames, from `Video.info`.

    Returns
    -------
    dict
        "format", "streams" (a list of one) and "frames", in the order of display.
    """
    format, infos = header.format, list(infos)
    picture: dict[str, Any] = {"width": format.width, "height": format.height}
    colours = {"pix_fmt": PIXEL_FORMATS[format.sampling], "color_range": RANGES[format.full_range]}
    if format.sampling != "400":
        colours["color_space"] = SPACES[format.matrix]
    times = [info.time for info in infos]
    period = max(1, round(1 / (format.rate * format.tick)))
    common = gcd(*(time - times[0] for time in times)) or period  # ticks: each frame begins after some of them
    times.append(times[-1] + period)  # the end of the last frame
    span = (times[-1] - times[0]) * format.tick
    clock = {"start_time": _seconds(times[0] * format.tick), "duration": _seconds(span)}
    stream = {
        "index": 0,
        "codec_name": "tvid",
        "profile": header.profile,
        "without": sorted(header.without),
        "codec_type": "video",
        **picture,
        "has_b_frames": int(any(info.type == "B" for info in infos)),
        "sample_aspect_ratio": "1:1",
        **colours,
        "r_frame_rate": _ratio(1 / (common * format.tick)),
        "avg_frame_rate": _ratio(format.rate),
        "time_base": _ratio(format.tick),
        "start_pts": times[0],
        "duration_ts": times[-1] - times[0],
        **clock,
        "bit_rate": str(int(8 * sum(info.bytes for info in infos) / span)),
        "bits_per_raw_sample": "8",
        "nb_frames": str(len(infos)),
    }
    container = {
        "filename": name,
        "nb_streams": 1,
        "format_name": "tvid",
        **clock,
        "size": str(size),
        "bit_rate": str(int(8 * size / span)),
    }
    frames = [
        {
            "media_type": "video",
            "stream_index": 0,
            "key_frame": int(info.type == "I"),
            "pts": info.time,
            "pts_time": _seconds(info.time * format.tick),
            "duration": after - info.time,
            "duration_time": _seconds((after - info.time) * format.tick),
            "pkt_size": str(info.bytes),
            **picture,
            "pict_type": info.type,
            **colours,
            "level": info.level,
            "quality": info.quality,
        }
        for info, after in zip(infos, times[1:], strict=True)
    ]
    return {"format": container, "streams": [stream], "frames": frames}


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f}"


def video_as_text(record: dict[str, Any]) -> str:
    """Lay a record out for people: what the file is, and then a line for each type of frame."""
    container, (stream,), frames = record["format"], record["streams"], record["frames"]
    size, rate = int(container["size"]), Fraction(stream["avg_frame_rate"])
    keys = [number for number, frame in enumerate(frames) if frame["key_frame"]]
    longest = max(after - before for before, after in pairwise([*keys, len(frames)]))
    constant = stream["avg_frame_rate"] == stream["r_frame_rate"]
    colours = [stream[name] for name in ("pix_fmt", "color_range", "color_space") if name in stream]
    values = {
        "size": f"{stream['width']} x {stream['height']} pixels",
        "colours": ", ".join(WORDS[name] for name in colours),
        "rate": f"{rate} frames a second" if constant else f"variable, in the mean {float(rate):.5g} frames a second",
        "duration": f"{float(container['duration']):.3f} s, {count(len(frames), 'frame')}",
        "groups": f"{len(keys)}, of {count(longest, 'frame')} at most",
        "profile": " without ".join([stream["profile"], *stream["without"]]),
        "bytes": f"{size:,}, {int(container['bit_rate']) / 1000:,.1f} kbit/s",
    }
    lines = [container["filename"], *(f"  {name:11}{value}" for name, value in values.items())]
    for kind in "IPB":
        own = [frame for frame in frames if frame["pict_type"] == kind]
        if own:
            total = sum(int(frame["pkt_size"]) for frame in own)
            cascade = "cascade" not in stream["without"]
            step = fmean(steps(frame["quality"], frame["level"], cascade)[0] / 16 for frame in own)
            quality = fmean(frame["quality"] for frame in own)
            lines.append(
                f"  {f'frames {kind}':11}{len(own):<6,} mean size {total / len(own):<9,.0f} share {total / size:<7.1%} "
                f"mean quantiser step {step:<6.1f} mean quality {quality:.2f}"
            )
    return "\n".join(lines)
