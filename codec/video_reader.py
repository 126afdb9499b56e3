"""Reading `.tvid` files: a jump to any frame decodes no more than its group; and reading them from a pipe.

with open_video("clip.tvid") as video:
    print(len(video), video.fps, video.shape)
    for picture in video: ...
    still, some = video[700], video[100:120]
"""

from __future__ import annotations

import io
import mmap
import operator
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from bitstreams.chunks import DONE, FRAMING, PREAMBLE, Chunk, check_preamble, read_chunk, stream_chunks, walk_chunks
from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError
from codec.frames import Format, Planes, to_rgb
from codec.gop import plan_gop
from codec.group_decoder import Decoded, decode_group, read_group
from codec.reconstruct import GRAY
from codec.video import ENTRY, FRAME_LIMIT, GROUP, HEAD, INDEX, KIND, LARGEST_GROUP, LENGTH, GroupHeader, Header, crop

HEADING, CHECKSUM = 8, 4  # bytes of a chunk before and after its payload

__all__ = ["FrameInfo", "TracedFrame", "Video", "open_video", "stream_video", "trace_video"]


class _Entry(NamedTuple):
    """Where a group is: offset of its chunk in the file, number of its first frame, number of frames."""

    offset: int
    first: int
    frames: int


@dataclass(frozen=True)
class FrameInfo:
    """What a file says of a frame, without its being decoded.

    Attributes
    ----------
    index : int
        Number in the video.
    type : {"I", "P", "B"}
    level : int
        Place in the pyramid.
    time : int
        In ticks.
    bytes : int
        What it takes; all frames together take the bytes of their groups.
    quality : float
    """

    index: int
    type: str
    level: int
    time: int
    bytes: int
    quality: float


@dataclass(frozen=True)
class TracedFrame:
    """A decoded frame, and how it came about.

    Attributes
    ----------
    index : int
        Number in the video.
    decoded : Decoded
        Prediction, vectors, modes and bits, in whole macroblocks.
    planes, predicted : tuple of uint8 arrays
        What is shown, and what was predicted.
    residual : tuple of int16 arrays
        What was sent, and what the deblocking filter did: planes minus predicted.
    """

    index: int
    decoded: Decoded
    planes: Planes
    predicted: Planes
    residual: tuple[NDArray[np.int16], ...]

    @property
    def type(self) -> str:
        """Type of the frame: "I", "P" or "B"."""
        return self.decoded.plan.type

    @property
    def bits(self) -> dict[str, int]:
        """What the frame takes, by kinds of symbols; "shared" is what its group has in common, with the first frame."""
        return self.decoded.bits

    @property
    def vectors(self) -> NDArray[np.int16]:
        """Vectors of all blocks of 8 x 8, for each of two references: (rows, columns, 2, 2), in quarter samples.

        (dy, dx), to where in the reference the block is predicted from; where a reference is not used, what the
        neighbours predict.
        """
        rows, columns = self._grid
        quarters = self.decoded.prediction.vectors.reshape(rows, columns, 2, 2, 2, 2)
        return quarters.swapaxes(1, 2).reshape(2 * rows, 2 * columns, 2, 2)

    @property
    def directions(self) -> NDArray[np.uint8]:
        """References of each macroblock, (rows, columns): 0 none (intra), 1 the one before, 2 the one after, 3 both."""
        return self.decoded.prediction.direction.reshape(self._grid)

    @property
    def split(self) -> NDArray[np.bool_]:
        """Whether the quarters of each macroblock have vectors of their own, (rows, columns)."""
        return self.decoded.split.reshape(self._grid)

    @property
    def skipped(self) -> NDArray[np.bool_]:
        """Whether nothing at all is sent for each macroblock, (rows, columns): inherited motion, and no levels."""
        skipped = self.decoded.inherits.reshape(self._grid).copy()
        for coded in self.decoded.coded:
            side = coded.shape[0] // self._grid[0]
            skipped &= ~coded.reshape(self._grid[0], side, self._grid[1], side).any(axis=(1, 3))
        return skipped

    @property
    def _grid(self) -> tuple[int, int]:
        """Rows and columns of macroblocks."""
        rows, columns = self.decoded.coded[0].shape
        return rows // 2, columns // 2


def open_video(source: str | Path | BinaryIO, *, allow_partial: bool = False, size_limit: int = FRAME_LIMIT) -> Video:
    """Open a video.

    Parameters
    ----------
    source : path or binary file
        A `.tvid` file; one that cannot be sought in is for `stream_video`.
    allow_partial : bool
        Whether a damaged or truncated file is opened too. `Video.missing` and `Video.problems` tell what is wrong.
    size_limit : int
        Pixels of a frame above which the file is refused.

    Returns
    -------
    Video
        To be closed; usable in a with statement.

    Raises
    ------
    CodecError
        One of its kinds, if this is no such file, or it is damaged; nothing else, whatever the bytes are.
    OSError
        If the file cannot be read.
    """
    if not isinstance(source, str | Path):
        return Video(source, allow_partial, size_limit, owned=False)
    with ExitStack() as stack:  # closes the file unless it is handed on
        file = stack.enter_context(Path(source).open("rb"))
        video = Video(file, allow_partial, size_limit)
        stack.pop_all()
    return video


class Video:
    """An open `.tvid` file; see `open_video`.

    Iteration gives pictures, (H, W, 3) uint8 RGB, or (H, W) for gray; `video[i]` a picture, `video[a:b]` an array of
    them. `planes` gives what is coded, without a conversion.

    Attributes
    ----------
    header : Header
    missing : list of (first, last)
        Ranges of frames that are lost, the last not counted. In their place are gray ones. Empty unless damage was
        allowed for; damage inside a group is found when the group is decoded.
    problems : list of str
        What is wrong with the file.
    """

    def __init__(self, file: BinaryIO, allow_partial: bool, size_limit: int, owned: bool = True) -> None:
        self._file, self._partial, self._owned = file, allow_partial, owned
        self.missing: list[tuple[int, int]] = []
        self.problems: list[str] = []
        self._lost_times: dict[int, list[int]] = {}  # of frames that no group of the file has
        file.seek(0)
        check_preamble(file.read(PREAMBLE), KIND)
        if allow_partial:
            self.header = self._recover(size_limit)
        else:
            self.header = _read_header(read_chunk(file, PREAMBLE), size_limit)
            self._entries = self._read_index()
        self._starts = [entry.first for entry in self._entries]
        self._frames = self._entries[-1].first + self._entries[-1].frames
        # Where a sequence of single frames has got to: number of the next, and the generator that gives it.
        self._next, self._running = 0, self.planes(0, 0)

    @property
    def format(self) -> Format:
        """Size, sampling, range and rate."""
        return self.header.format

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return self.format.rate

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all frames as one array: (T, H, W, 3), or (T, H, W) for gray."""
        colours = () if self.format.sampling == "400" else (3,)
        return (len(self), self.format.height, self.format.width, *colours)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for planes, _ in self.planes():
            yield self._picture(planes)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, index: slice) -> NDArray[np.uint8]: ...

    def __getitem__(self, index: int | slice) -> NDArray[np.uint8]:
        if isinstance(index, slice):
            wanted = range(len(self))[index]
            pictures = np.empty((len(wanted), *self.shape[1:]), np.uint8)
            places = {number: place for place, number in enumerate(wanted)}
            for number in sorted(places):
                pictures[places[number]] = self._picture(self._seek(number))
            return pictures
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"frame {number} of a video of {len(self)} frames")
        return self._picture(self._seek(number % len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless whoever opened the video gave an open one."""
        if self._owned:
            self._file.close()

    def planes(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[Planes, int]]:
        """Decode frames one after another.

        Parameters
        ----------
        start, stop : int
            Numbers of the first frame, and of the one after the last, as of a slice; by default all of them.

        Yields
        ------
        planes, time
            As `codec.frames` describes them; the timestamp is in ticks of `format`.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        for number in self._groups(start, stop):
            entry = self._entries[number]
            times = self._lost_times.get(number, [])
            try:
                payload, group, at = self._read_group(number)
                times = group.times
                for decoded in _frames(payload, group, at, self.header):
                    index = group.first + decoded.plan.index
                    if start <= index < stop:
                        yield crop(decoded.planes, self.format), times[decoded.plan.index]
                    if index >= stop - 1:
                        return
            except CodecError as error:  # it comes before the first frame of the group
                self._lose(number, error)
                for index in range(max(start, entry.first), min(stop, entry.first + entry.frames)):
                    gray: Planes = tuple(np.full(shape, GRAY, np.uint8) for shape in self.format.shapes)
                    yield gray, times[index - entry.first]

    def info(self) -> Iterator[FrameInfo]:
        """Tell of each frame what it is and what it takes, without decoding pixels; lost ones are left out."""
        for number in range(len(self._entries)):
            try:
                payload, group, at = self._read_group(number)
                self.header.check_group(len(group.times))
                plans = plan_gop(len(group.times), self.header.pyramid)
                _, account = read_group(payload, at, self.header.layout, plans, account=True)
            except CodecError as error:
                self._lose(number, error)
                continue
            # Whole bytes of all frames before, so that the roundings add up to nothing.
            bits = np.cumsum(sum(account.values())) + 8 * (FRAMING + at)
            size = np.diff(-(-bits // 8), prepend=0)
            order = np.argsort([plan.index for plan in plans])
            for plan, own in ((plans[i], int(size[i])) for i in order):
                index = group.first + plan.index
                yield FrameInfo(index, plan.type, plan.level, group.times[plan.index], own, group.quality)

    def trace(self, start: int = 0, stop: int | None = None) -> Iterator[TracedFrame]:
        """Decode frames and show how each came about; lost ones are left out. Parameters are those of `planes`."""
        start, stop, _ = slice(start, stop).indices(len(self))
        for number in self._groups(start, stop):
            try:
                payload, group, at = self._read_group(number)
                for decoded in _frames(payload, group, at, self.header, account=True):
                    index = group.first + decoded.plan.index
                    if start <= index < stop:
                        planes, predicted = crop(decoded.planes, self.format), crop(decoded.predicted, self.format)
                        residual = tuple(
                            one.astype(np.int16) - other for one, other in zip(planes, predicted, strict=True)
                        )
                        yield TracedFrame(index, decoded, planes, predicted, residual)
                    if index >= stop - 1:
                        return
            except CodecError as error:
                self._lose(number, error)

    def _picture(self, planes: Planes) -> NDArray[np.uint8]:
        return to_rgb(planes, full_range=self.format.full_range, matrix=self.format.matrix)

    def _seek(self, number: int) -> Planes:
        """Return a frame, going on from the last one if that is in the same group, and not behind."""
        group = bisect_right(self._starts, number) - 1
        if not (self._next <= number and self._next > self._starts[group]):
            self._next = self._starts[group]
            self._running = self.planes(self._next, self._next + self._entries[group].frames)
        while True:
            planes, _ = next(self._running)
            self._next += 1
            if self._next > number:
                return planes

    def _groups(self, start: int, stop: int) -> range:
        """Return the numbers of the groups that have frames from start to before stop."""
        if start >= stop:
            return range(0)
        return range(max(0, bisect_right(self._starts, start) - 1), bisect_right(self._starts, stop - 1))

    def _read_group(self, number: int) -> tuple[bytes, GroupHeader, int]:
        """Read the chunk of a group."""
        entry = self._entries[number]
        if entry.offset < 0:
            raise TruncatedError("it is not in the file")
        self._file.seek(entry.offset)
        chunk = read_chunk(self._file, entry.offset)
        if chunk.type != GROUP:
            raise FormatError(f"no group begins at byte {entry.offset}, as the index says")
        group, at = GroupHeader.from_bytes(chunk.payload)
        if (group.first, len(group.times)) != entry[1:]:
            raise FormatError(f"the group at byte {entry.offset} has other frames than the index says")
        return chunk.payload, group, at

    def _lose(self, number: int, error: CodecError) -> None:
        """Note that a group is lost, or raise the error if nothing may be."""
        entry = self._entries[number]
        if not self._partial:
            raise error
        lost = entry.first, entry.first + entry.frames
        if lost not in self.missing:
            self.missing = sorted([*self.missing, lost])
            self.problems.append(f"frames {lost[0]} to {lost[1] - 1}: {error}")

    def _recover(self, size_limit: int) -> Header:
        """Walk along the chunks of a damaged file for its header and groups."""
        header: Header | None = None
        entries: list[_Entry] = []
        index: list[_Entry] = []
        times: list[tuple[int, int]] = []  # first and last timestamp of each entry
        for found in walk_chunks(_mapped(self._file), KIND, (HEAD, GROUP, INDEX)):
            if not isinstance(found, Chunk):
                self.problems.append(found)
                continue
            try:
                if found.type == HEAD and header is None:
                    header = _read_header(found, size_limit)
                elif found.type == GROUP:
                    group, _ = GroupHeader.from_bytes(found.payload)
                    entry = _Entry(found.start - HEADING, group.first, len(group.times))
                    _check_order(entry, group.times, entries, times)
                    entries.append(entry)
                    times.append((group.times[0], group.times[-1]))
                elif found.type == INDEX:
                    index = _read_entries(found)
                else:
                    raise FormatError("it has no place here")
                if found.type == HEAD and entries:
                    raise FormatError("the header is not in its place")
            except LimitError:
                raise
            except CodecError as error:
                self.problems.append(f"the chunk at byte {found.start - HEADING}: {error}")
        if header is None:
            raise FormatError("the header is damaged or missing: nothing can be decoded without it")
        if not entries:
            raise TruncatedError("nothing of the video is left")
        if not self.problems and not set(entries) <= set(index):
            self.problems.append("the index is missing, or does not say where the groups are")
        # What the index says to come after the last group is lost too.
        last = entries[-1]
        end = max(last.first + last.frames, index[-1].first + index[-1].frames if index else 0)
        period = max(1, round(1 / (header.format.rate * header.format.tick)))
        after = times[-1][1] + period * (end - last.first - last.frames + 1)
        self._place([*entries, _Entry(-1, end, 0)], [*times, (after, after)])
        return header

    def _place(self, entries: list[_Entry], times: list[tuple[int, int]]) -> None:
        """Take over the groups of a damaged file, up to one without frames, and fill the gaps between them."""
        self._entries = []
        first, before = 0, -1
        for entry, (start, last) in zip(entries, times, strict=True):
            lost = entry.first - first
            if lost:
                number = len(self._entries)
                self._lost_times[number] = [before + (i + 1) * (start - before) // (lost + 1) for i in range(lost)]
                self._entries.append(_Entry(-1, first, lost))
                self._lose(number, TruncatedError("they are not in the file"))
            if entry.frames:
                self._entries.append(entry)
            first, before = entry.first + entry.frames, last

    def _read_index(self) -> list[_Entry]:
        """Read the index from the end of the file."""
        size = self._file.seek(0, io.SEEK_END)
        end = size - FRAMING  # of the index: only DONE follows
        chunk: Chunk | None = None
        self._file.seek(max(end, 0))
        with suppress(CodecError):
            if read_chunk(self._file, end).type == DONE:
                self._file.seek(end - CHECKSUM - LENGTH.size)
                (length,) = LENGTH.unpack(self._file.read(LENGTH.size))
                start = max(end - FRAMING - length, 0)
                self._file.seek(start)
                chunk = read_chunk(self._file, start)
        if chunk is None:
            raise TruncatedError("the file has no index at its end: it is cut off, or damaged there")
        if chunk.type != INDEX:
            raise FormatError("the index is not in its place")
        entries = _read_entries(chunk)
        if entries[-1].offset + FRAMING > start:
            raise FormatError("an index of groups that are not in the file")
        return entries


def _read_header(chunk: Chunk, size_limit: int) -> Header:
    if chunk.type != HEAD:
        raise FormatError("the header is not in its place")
    header = Header.from_bytes(chunk.payload)
    header.check_size(size_limit)
    return header


def _read_entries(chunk: Chunk) -> list[_Entry]:
    """Read an INDX chunk."""
    size = len(chunk.payload) - LENGTH.size
    if size <= 0 or size % ENTRY.size or LENGTH.unpack(chunk.payload[size:]) != (len(chunk.payload),):
        raise FormatError(f"an index of {len(chunk.payload)} bytes")
    entries, first, after = [], 0, PREAMBLE + FRAMING
    for offset, frames in ENTRY.iter_unpack(chunk.payload[:size]):
        if offset < after or not 1 <= frames <= LARGEST_GROUP:
            raise FormatError("an index whose groups are not in order")
        entries.append(_Entry(offset, first, frames))
        first, after = first + frames, offset + FRAMING
    return entries


def _check_order(entry: _Entry, times: list[int], entries: list[_Entry], known: list[tuple[int, int]]) -> None:
    """Raise FormatError if a group of a damaged file cannot follow those before it."""
    first, time = (entries[-1].first + entries[-1].frames, known[-1][1]) if entries else (0, -1)
    # What is between them were groups too, with so many frames at most, and a tick or more for each.
    gap = entry.first - first
    if not 0 <= gap <= entry.offset // FRAMING * LARGEST_GROUP or times[0] - time <= gap:
        raise FormatError("a group that is not in its place")


def _mapped(file: BinaryIO) -> bytes | mmap.mmap:
    """Return a file's bytes without reading all of them, if that is possible."""
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # it is in memory, or empty
        file.seek(0)
        return file.read()


def _frames(payload: bytes, group: GroupHeader, at: int, header: Header, account: bool = False) -> Iterator[Decoded]:
    """Decode the frames of a group's chunk."""
    header.check_group(len(group.times))
    return decode_group(
        payload,
        at,
        header.layout,
        len(group.times),
        header.pyramid,
        group.quality,
        without=header.without,
        account=account,
    )


def stream_video(source: BinaryIO, *, size_limit: int = FRAME_LIMIT) -> tuple[Header, Iterator[tuple[Planes, int]]]:
    """Read a video from a pipe, from its first frame to its last.

    Parameters
    ----------
    source : binary file
        Need not be seekable.
    size_limit : int
        As for `open_video`.

    Returns
    -------
    header : Header
    frames : iterator of (planes, time)
        As from `Video.planes`. It raises a CodecError where the file is damaged or ends too early.
    """
    chunks = stream_chunks(source, KIND)
    first = next(chunks, None)
    if first is None:
        raise FormatError("a video without a header")
    header = _read_header(first, size_limit)

    def frames() -> Iterator[tuple[Planes, int]]:
        entries: list[_Entry] = []
        index: list[_Entry] | None = None
        for chunk in chunks:
            if index is not None or chunk.type not in (GROUP, INDEX):
                raise FormatError(f"a chunk {chunk.type.decode('latin-1')!r} where a group or the index belongs")
            if chunk.type == INDEX:
                index = _read_entries(chunk)
                continue
            group, at = GroupHeader.from_bytes(chunk.payload)
            if group.first != sum(entry.frames for entry in entries):
                raise FormatError(f"the group at byte {chunk.start} is not in its place")
            entries.append(_Entry(chunk.start - HEADING, group.first, len(group.times)))
            for decoded in _frames(chunk.payload, group, at, header):
                yield crop(decoded.planes, header.format), group.times[decoded.plan.index]
        if index != entries or not entries:
            raise FormatError("the index does not say where the groups are")

    return header, frames()


def trace_video(source: str | Path | BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[TracedFrame]:
    """Decode frames of a video and show how each came about: vectors, modes, prediction, residual, bits.

    Parameters
    ----------
    source : path or binary file
    start, stop : int
        Numbers of the first frame, and of the one after the last; by default all of them.

    Yields
    ------
    TracedFrame
    """
    with open_video(source) as video:
        yield from video.trace(start, stop)
