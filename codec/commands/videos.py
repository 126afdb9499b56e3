"""What the subcommands do with videos, one frame at a time: memory does not grow with their length.

    encode_clip   any clip -> .tvid
    decode_clip   .tvid -> any clip
    check_video   .tvid, every byte of it

What the subcommands share with pictures is in `codec.commands.batch`.
"""

from __future__ import annotations

import argparse
import errno
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bitstreams.errors import CodecError, TruncatedError, UnsupportedError
from codec.clip_writer import write_clip
from codec.clips import Clip, open_clip
from codec.commands import batch, streams
from codec.frames import Planes
from codec.video import FRAME_LIMIT, encode_video
from codec.video_reader import Video, open_video, stream_video

if TYPE_CHECKING:  # `tcodec --help` has no use for it
    from tqdm import tqdm

__all__ = ["check_video", "decode_clip", "encode_clip"]


def encode_clip(task: batch.Task, args: argparse.Namespace, executor: Executor | None) -> batch.Outcome:
    """Encode a clip, its groups in the processes of an executor if there is one."""
    if streams.is_video(task.source):
        raise UnsupportedError("a .tvid file already; decode it to have a video")
    source = sys.stdin.buffer if task.source == streams.STANDARD else task.source
    rate, sampling = getattr(args, "fps", None), getattr(args, "yuv", None)
    opening = partial(open_clip, source, rate=rate, sampling=sampling, size_limit=args.size_limit or FRAME_LIMIT)
    written, start = 0, time.perf_counter()

    def progress(frames: int) -> None:
        nonlocal written
        written += frames
        bar.update(frames)

    try:
        with opening() as clip, batch.frame_bar(args, clip.length) as bar:
            frames: Iterable[tuple[Planes, int]] = clip
            if "bitrate" in args:
                bar.total = clip.length and 2 * clip.length
                frames = _counted(clip, bar)
                if source is task.source:  # what comes through a pipe is kept by the encoder
                    frames = _Passes(frames, opening)
            summary = encode_video(
                frames,
                streams.destination(task.target),
                format=clip.format,
                executor=executor,
                force=args.force,
                progress=progress,
                **batch.given(args, "quality", "bitrate", "keyframe", "scene_cut", "keep_partial"),
            )
    except BaseException:  # Ctrl-C as well
        if "keep_partial" in args and written:
            batch.say(f"{task.source}: {task.target} has its first {batch.count(written, 'frame')}")
        raise
    size, bits = f"{clip.format.width} x {clip.format.height}", float(8 * summary.bytes / summary.seconds)
    speed = summary.frames / (time.perf_counter() - start)
    line = f"{batch.count(summary.frames, 'frame')} of {size}, {summary.bytes:,} bytes, {bits / 1000:,.1f} kbit/s"
    line += f", encoded at {speed:.1f} fps"
    return batch.Outcome([f"{task.source}: {text}" for text in (line, *clip.notes)])


def _counted(clip: Clip, bar: tqdm[Any]) -> Iterator[tuple[Planes, int]]:
    """Count the frames of a first pass, of which an encoder tells nothing."""
    for frame in clip:
        yield frame
        bar.update()


class _Passes:
    """A clip that can be gone through again: it is opened anew, and so nothing of it has to be kept."""

    def __init__(self, first: Iterator[tuple[Planes, int]], again: Callable[[], Clip]) -> None:
        self._first: Iterator[tuple[Planes, int]] | None = first
        self._again = again

    def __iter__(self) -> Iterator[tuple[Planes, int]]:
        first, self._first = self._first, None
        if first:
            yield from first
        else:
            with self._again() as clip:
                yield from clip


def decode_clip(task: batch.Task, args: argparse.Namespace, suffix: str | None) -> batch.Outcome:
    """Decode a video to a file of that extension, by default of the output's own; with "/" to pictures in a folder."""
    if suffix == "/":
        _refuse_full_folder(task, args.force)
    start, times = time.perf_counter(), array("q")
    with ExitStack() as resources:
        if task.source == streams.STANDARD and not args.allow_partial:  # decoded as it comes
            header, frames = stream_video(sys.stdin.buffer, size_limit=args.size_limit or FRAME_LIMIT)
            format, number = header.format, None
        else:
            file = resources.enter_context(streams.opened(task.source))
            video = resources.enter_context(
                open_video(file, allow_partial=args.allow_partial, size_limit=args.size_limit or FRAME_LIMIT)
            )
            format, number, frames = video.format, len(video), video.planes()
        bar = resources.enter_context(batch.frame_bar(args, number, frames))

        def watched() -> Iterator[tuple[Planes, int]]:
            for planes, moment in bar:
                times.append(moment)
                yield planes, moment

        notes = write_clip(streams.destination(task.target), format, watched(), suffix=suffix, force=args.force)
        losses = _losses(video, times, _is_cut_off(file)) if args.allow_partial else []
    speed = len(times) / (time.perf_counter() - start)
    line = f"{batch.count(len(times), 'frame')} of {format.width} x {format.height} -> {task.target}"
    line += f", decoded at {speed:.1f} fps"
    lines = [f"{task.source}: {text}" for text in (line, *notes)]
    return batch.Outcome(lines, [f"{task.source}: {loss}" for loss in losses])


def _refuse_full_folder(task: batch.Task, force: bool) -> None:
    """Raise an error if frames would be strewn among other files."""
    if not force and task.target.is_dir() and any(task.target.iterdir()):
        name = task.target / task.source.with_suffix(".mp4").name
        raise FileExistsError(
            errno.EEXIST,
            f"has files in it; --force puts a picture for each frame there, and -o {name} a video",
            str(task.target),
        )


def _losses(video: Video, times: array[int], cut_off: bool) -> list[str]:
    """Say what is wrong with a video of which all frames have been decoded, and which of them are gone."""
    seconds = [float(moment * video.format.tick) for moment in times]
    missing = [
        f"frames {first} to {after - 1} are missing, {seconds[first]:.3f} to {seconds[after - 1]:.3f} s"
        for first, after in video.missing
    ]
    if cut_off:
        missing.append(f"frames after number {len(times) - 1}, at {seconds[-1]:.3f} s, are missing, if there were more")
    return [*video.problems, *missing]


def _is_cut_off(file: BinaryIO) -> bool:
    """Tell whether a video has no index, which would say how many frames it has."""
    try:
        open_video(file, size_limit=sys.maxsize)
    except CodecError as error:
        return isinstance(error, TruncatedError)
    return False


def check_video(source: Path, args: argparse.Namespace) -> None:
    """Decode a video strictly, from its first byte to its last; raise what is wrong with it."""
    with nullcontext(sys.stdin.buffer) if source == streams.STANDARD else source.open("rb") as file:
        _, frames = stream_video(file, size_limit=args.size_limit or FRAME_LIMIT)
        with batch.frame_bar(args, None, frames) as bar:
            for _ in bar:
                pass
