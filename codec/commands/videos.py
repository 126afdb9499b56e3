"""What the subcommands do with videos, one frame at a time: memory does not grow with their length.

encode_clip   any clip -> .tvid
decode_clip   .tvid -> any clip
check_video   .tvid, every byte of it
"""

from __future__ import annotations

import argparse
import sys
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile

from bitstreams.chunks import signature
from bitstreams.errors import UnsupportedError
from codec import image
from codec.clip_writer import write_clip
from codec.clips import open_clip
from codec.commands import batch
from codec.frames import Format
from codec.video import KIND, encode_video
from codec.video_reader import Video, open_video, stream_video

__all__ = ["check_video", "decode_clip", "encode_clip", "is_video", "open_input"]


def is_video(source: Path) -> bool:
    """Tell whether an input is a `.tvid` file and not a `.tjpg` file: by how it begins, or else by its name."""
    start = batch.first_bytes(source)
    if start.startswith(signature(image.KIND)):
        return False
    return start.startswith(signature(KIND)) or source.suffix.lower() == ".tvid"


@contextmanager
def open_input(source: Path, args: argparse.Namespace, allow_partial: bool = False) -> Iterator[Video]:
    """Open a `.tvid` file; standard input is put into a temporary file, to be sought in."""
    with ExitStack() as stack:
        file: Path | TemporaryFile = source
        if source == batch.STANDARD:
            file = stack.enter_context(TemporaryFile())
            copyfileobj(sys.stdin.buffer, file)
        yield stack.enter_context(open_video(file, allow_partial=allow_partial, size_limit=args.size_limit))


def encode_clip(task: batch.Task, args: argparse.Namespace, executor: Executor | None) -> batch.Outcome:
    """Encode a clip, its groups in the processes of an executor if there is one."""
    if batch.first_bytes(task.source).startswith(signature(KIND)):
        raise UnsupportedError("a .tvid file already; decode it to have a video")
    source = sys.stdin.buffer if task.source == batch.STANDARD else task.source
    options = batch.given(args, "fps", "yuv")
    written, start = 0, time.perf_counter()

    def progress(frames: int) -> None:
        nonlocal written
        written += frames
        bar.update(frames)

    try:
        with (
            open_clip(source, rate=options.get("fps"), sampling=options.get("yuv"), size_limit=args.size_limit) as clip,
            batch.frame_bar(args, clip.length) as bar,
        ):
            summary = encode_video(
                clip,
                batch.destination(task),
                format=clip.format,
                executor=executor,
                force=args.force,
                progress=progress,
                **batch.given(args, "quality", "bitrate", "keyframe", "scene_cut", "keep_partial"),
            )
    except BaseException:  # Ctrl-C as well
        if "keep_partial" in args and written:
            batch.say(f"{task.source}: the first {written} frames are kept in {task.target}")
        raise
    size, rate = f"{clip.format.width} x {clip.format.height}", 8 * summary.bytes / summary.seconds / 1000
    speed = summary.frames / (time.perf_counter() - start)
    line = f"{summary.frames} frames of {size}, {summary.bytes:,} bytes, {float(rate):,.1f} kbit/s"
    line += f", encoded at {speed:.1f} fps"
    return batch.Outcome([f"{task.source}: {text}" for text in (line, *clip.notes)])


def decode_clip(task: batch.Task, args: argparse.Namespace, suffix: str | None = None) -> batch.Outcome:
    """Decode a video to a file of that extension, by default of the output's, or to pictures in a folder with "/"."""
    start = time.perf_counter()
    times = array("q")
    with ExitStack() as stack:
        if task.source == batch.STANDARD and not args.allow_partial:
            header, frames = stream_video(sys.stdin.buffer, size_limit=args.size_limit)
            format, length, video = header.format, None, None
        else:
            video = stack.enter_context(open_input(task.source, args, args.allow_partial))
            format, length, frames = video.format, len(video), video.planes()
        bar = stack.enter_context(batch.frame_bar(args, length))

        def watched():
            for planes, moment in frames:
                times.append(moment)
                yield planes, moment
                bar.update()

        notes = write_clip(batch.destination(task), format, watched(), suffix=suffix, force=args.force)
        losses = _losses(video, times) if video else []
    speed = len(times) / (time.perf_counter() - start)
    line = f"{len(times)} frames of {format.width} x {format.height} -> {task.target}, decoded at {speed:.1f} fps"
    return batch.Outcome(
        [f"{task.source}: {text}" for text in (line, *notes)], [f"{task.source}: {loss}" for loss in losses]
    )


def _losses(video: Video, times: array[int]) -> list[str]:
    """Say what is damaged in a video of which all frames have been decoded, and which of them are gone."""
    tick = video.format.tick
    missing = [
        f"frames {first} to {after - 1} are missing, {float(times[first] * tick):.3f} to "
        f"{float(times[after - 1] * tick):.3f} s"
        for first, after in video.missing
    ]
    return [*video.problems, *missing]


def check_video(source: Path, args: argparse.Namespace) -> None:
    """Decode a video strictly, from its first byte to its last; raise what is wrong with it."""
    with ExitStack() as stack:
        file = sys.stdin.buffer if source == batch.STANDARD else stack.enter_context(source.open("rb"))
        _, frames = stream_video(file, size_limit=args.size_limit)
        bar = stack.enter_context(batch.frame_bar(args, None))
        for _ in frames:
            bar.update()
