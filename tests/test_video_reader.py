"""Tests of `codec.video_reader`: any frame by any way is the same frame, damage stays where it is, lies are found."""

import dataclasses
import gc
import io
import itertools
import struct
import tracemalloc
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from bitstreams.chunks import FRAMING, PREAMBLE, VERSION
from bitstreams.symbols import HuffmanEncoder
from codec import group_decoder
from codec.frames import Format, to_rgb
from codec.gop import plan_gop
from codec.reconstruct import GRAY
from codec.syntax import KINDS
from codec.video import ENTRY, LARGEST_GROUP, LENGTH, GroupHeader, Header
from codec.video_reader import FrameInfo
from tests.clips import decode, encode, encode_watched, index_of, make_clip, put_together, same_frames, take_apart
from tests.pictures import make_picture

GROUPS = [(0, 6), (6, 12), (12, 18), (18, 20)]  # first frames, and those after the last
OPTIONS = {"keyframe": 6, "pyramid": 4, "scene_cut": False, "fps": 12}


@pytest.fixture(scope="module")
def encoded():
    """Return the bytes of a file of 20 frames of 24 x 40 in four groups, and its frames."""
    return encode_watched(make_clip(20, 24, 40), **OPTIONS)


@pytest.fixture(scope="module")
def data(encoded):
    return encoded[0]


@pytest.fixture(scope="module")
def shown(encoded):
    return encoded[1]


@pytest.fixture(scope="module")
def pictures(shown):
    """Return the frames as an array of RGB."""
    return np.array([to_rgb(planes) for planes in shown])


@pytest.fixture
def video(data):
    with codec.open_video(io.BytesIO(data)) as video:
        yield video


def chunk_starts(data):
    """Return where each chunk begins, and where the last one does."""
    starts = [PREAMBLE]
    for _, payload in take_apart(data):
        starts.append(starts[-1] + FRAMING + len(payload))
    return starts


def planes_of(frames):
    return [planes for planes, _ in frames]


class Counting(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    def __init__(self, data):
        super().__init__(data)
        self.given = 0

    def read(self, size=-1):
        piece = super().read(size)
        self.given += len(piece)
        return piece


class Pipe(io.RawIOBase):
    """A file that can only be read, a few bytes at a time."""

    def __init__(self, data, most=100):
        super().__init__()
        self._file, self._most = Counting(data), most

    @property
    def given(self):
        return self._file.given

    def readable(self):
        return True

    def read(self, size=-1):
        return self._file.read(min(size, self._most))


# Any frame by any way ---------------------------------------------------------------------------------------


def test_what_a_video_says_of_itself(video):
    assert len(video) == 20
    assert video.fps == 12
    assert video.shape == (20, 24, 40, 3)
    assert video.format == Format(40, 24, "420", Fraction(12), Fraction(1, 12), full_range=True, matrix="bt601")
    assert video.header == Header(video.format, 4, "baseline")
    assert (video.missing, video.problems) == ([], [])


def test_from_the_first_to_the_last(video, shown, pictures):
    for _ in range(2):
        assert np.array_equal(list(video), pictures)
    frames = list(video.planes())
    assert same_frames(planes_of(frames), shown)
    assert [time for _, time in frames] == list(range(20))


def test_every_frame_by_its_number(video, pictures):
    for number in [*range(20), *range(19, -1, -1), 3, 17, 3, 4, 16, 12, 11, 0]:
        assert np.array_equal(video[number], pictures[number])
        assert np.array_equal(video[number - 20], pictures[number])
    assert np.array_equal(video[np.int64(7)], pictures[7])


@pytest.mark.parametrize("number", [20, -21, 10**9])
def test_numbers_beyond_the_end(video, number):
    with pytest.raises(IndexError, match=f"frame {number} of a video of 20 frames"):
        video[number]


def test_what_is_no_number(video):
    with pytest.raises(TypeError):
        video[1.5]
    with pytest.raises(TypeError):
        video["first"]


edges = st.none() | st.integers(-25, 25)


@given(edges, edges, st.none() | st.integers(-7, 7).filter(bool))
@settings(max_examples=40)
def test_slices_are_those_of_the_array(data, pictures, start, stop, step):
    with codec.open_video(io.BytesIO(data)) as video:
        found = video[start:stop:step]
    expected = pictures[start:stop:step]
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("start", [0, 5, 6, 13, 19, 20, 30])
@pytest.mark.parametrize("stop", [None, 0, 1, 6, 7, 99])
def test_a_part(video, shown, start, stop):
    frames = list(video.planes(start, stop))
    assert same_frames(planes_of(frames), shown[start:stop])
    assert [time for _, time in frames] == list(range(20))[start:stop]
    traced = list(video.trace(start, stop))
    assert [frame.index for frame in traced] == list(range(20))[start:stop]


def test_several_ways_at_once(video, pictures, shown):
    from_the_middle = video.planes(9)
    for number, picture in enumerate(video):
        assert np.array_equal(picture, pictures[number])
        assert np.array_equal(video[19 - number], pictures[19 - number])
        if number < 11:
            assert same_frames([next(from_the_middle)[0]], [shown[9 + number]])


@pytest.mark.parametrize(("channels", "yuv"), [(1, "420"), (3, "400"), (3, "444"), (3, "420")])
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (16, 16)])
def test_every_sampling_and_odd_sizes(channels, yuv, size):
    data, shown = encode_watched(make_clip(5, *size, "moving", channels), yuv=yuv, keyframe=3, quality=90)
    with codec.open_video(io.BytesIO(data)) as video:
        assert video.shape == (5, *size, *(() if channels == 1 or yuv == "400" else (3,)))
        assert same_frames(planes_of(video.planes()), shown)
        for number in range(5):
            assert np.array_equal(video[number], to_rgb(shown[number]))


@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_pictures_are_made_as_the_format_says(full_range, matrix):
    format = Format(40, 24, "444", Fraction(25), Fraction(1, 25), full_range, matrix)
    rng = np.random.default_rng(0)
    frames = [tuple(rng.integers(0, 256, (24, 40)).astype(np.uint8) for _ in range(3)) for _ in range(2)]
    data, shown = encode_watched(frames, format=format)
    with codec.open_video(io.BytesIO(data)) as video:
        assert video.format == format
        assert np.array_equal(video[1], to_rgb(shown[1], full_range=full_range, matrix=matrix))


def test_from_a_path(tmp_path, data, pictures):
    path = tmp_path / "clip.tvid"
    path.write_bytes(data)
    for source in (path, str(path)):
        for partial in (False, True):
            with codec.open_video(source, allow_partial=partial) as video:
                assert np.array_equal(video[13], pictures[13])
    assert [frame.index for frame in codec.trace_video(path, 5, 7)] == [5, 6]
    with pytest.raises(FileNotFoundError):
        codec.open_video(tmp_path / "nothing.tvid")
    with path.open("rb") as file:
        assert np.array_equal(codec.open_video(file)[7], pictures[7])


def test_a_file_that_is_refused_is_closed(tmp_path):
    path = tmp_path / "clip.tvid"
    path.write_bytes(b"garbage")
    for partial in (False, True):
        with pytest.raises(codec.FormatError):
            codec.open_video(path, allow_partial=partial)
    gc.collect()  # an open file would give a warning here, and warnings are errors


# What a jump costs ------------------------------------------------------------------------------------------


def test_opening_reads_no_group(data):
    file = Counting(data)
    codec.open_video(file)
    without_groups = len(data) - sum(FRAMING + len(payload) for name, payload in take_apart(data) if name == b"GRUP")
    assert file.given <= without_groups + 20


def test_a_jump_reads_and_decodes_one_group(data):
    file = Counting(data)
    sizes = [FRAMING + len(payload) for name, payload in take_apart(data) if name == b"GRUP"]
    video = codec.open_video(file)
    with mock.patch("codec.video_reader.decode_group", wraps=group_decoder.decode_group) as decoder:
        for number, group in ((15, 2), (3, 0), (19, 3), (6, 1)):
            file.given = 0
            decoder.reset_mock()
            video[number]
            assert file.given == sizes[group]
            assert decoder.call_count == 1
        # Onwards in the same group nothing is read again; to go back, it is.
        file.given = 0
        for number in range(7, 12):
            video[number]
        assert (file.given, decoder.call_count) == (0, 1)
        video[8]
        assert file.given == sizes[1]
        file.given = 0
        assert video[13:17].shape == (4, 24, 40, 3)
        assert file.given == sizes[2]


def test_memory_does_not_grow_with_the_length():
    peaks = []
    for groups in (2, 8):
        data = encode(make_clip(4 * groups, 48, 64, "still"), keyframe=4)
        with codec.open_video(io.BytesIO(data)) as video:
            next(video.planes())  # what is made once
            tracemalloc.start()
            for _ in video.planes():
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


# What is told of frames -------------------------------------------------------------------------------------


def test_bytes_of_frames_add_up_to_the_groups(data, video):
    frames = list(video.info())
    sizes = [FRAMING + len(payload) for name, payload in take_apart(data) if name == b"GRUP"]
    for (first, last), size in zip(GROUPS, sizes, strict=True):
        assert sum(frame.bytes for frame in frames[first:last]) == size
    head, index = (len(payload) for name, payload in take_apart(data) if name != b"GRUP")
    assert len(data) == PREAMBLE + 3 * FRAMING + head + index + sum(frame.bytes for frame in frames)
    assert min(frame.bytes for frame in frames) >= 0


def test_types_levels_and_times_of_frames():
    times = [0, 3, 4, 10, 11, 12, 100]
    planes = [(picture,) for picture in make_clip(7, 24, 40, "moving", 1)]
    format = Format(40, 24, "400", Fraction(25), Fraction(1, 1000))
    data = encode(zip(planes, times, strict=True), format=format, keyframe=5, pyramid=4, quality=71.5, scene_cut=False)
    with codec.open_video(io.BytesIO(data)) as video:
        frames = list(video.info())
        assert [time for _, time in video.planes()] == times
    assert [dataclasses.replace(frame, bytes=0) for frame in frames] == [
        FrameInfo(first + plan.index, plan.type, plan.level, times[first + plan.index], 0, 71.5)
        for first, number in ((0, 5), (5, 2))
        for plan in sorted(plan_gop(number, 4), key=lambda plan: plan.index)
    ]


def test_a_traced_frame_is_its_prediction_and_its_residual(video, shown, data):
    payloads = [payload for name, payload in take_apart(data) if name == b"GRUP"]
    frames = list(video.trace())
    assert [frame.index for frame in frames] == list(range(20))
    assert same_frames([frame.planes for frame in frames], shown)
    for frame in frames:
        for plane, predicted, residual in zip(frame.planes, frame.predicted, frame.residual, strict=True):
            assert residual.dtype == np.int16
            assert np.array_equal(predicted + residual, plane)
        if frame.decoded.plan.type == "I":
            assert all((plane == GRAY).all() for plane in frame.predicted)
        assert frame.decoded.prediction.vectors.shape == (2 * 3, 4, 2, 2)
        assert frame.decoded.inherits.shape == frame.decoded.split.shape == (2 * 3,)
    for (first, last), payload in zip(GROUPS, payloads, strict=True):
        _, at = GroupHeader.from_bytes(payload)
        assert sum(sum(frame.decoded.bits.values()) for frame in frames[first:last]) == 8 * (len(payload) - at)


def test_chunks_that_have_no_place_are_named(data, shown):
    chunks = take_apart(data)
    for place, extra in ((2, chunks[0]), (1, (b"MORE", b"what is this"))):
        damaged = put_together([*chunks[:place], extra, *chunks[place:]])
        with codec.open_video(io.BytesIO(damaged), allow_partial=True) as video:
            assert same_frames(planes_of(video.planes()), shown)
            assert len(video.problems) == 1
            assert "no place here" in video.problems[0]


def test_modes_and_vectors_of_a_traced_frame_lie_where_their_blocks_do(video):
    skipped = 0
    for frame in video.trace():
        rows, columns = frame.directions.shape
        assert frame.split.shape == frame.skipped.shape == (rows, columns)
        for row, column, part in itertools.product(range(rows), range(columns), range(4)):
            block = row * columns + column
            vectors = frame.vectors[2 * row + part // 2, 2 * column + part % 2]
            assert np.array_equal(vectors, frame.decoded.prediction.vectors[block, part])
            assert frame.directions[row, column] == frame.decoded.prediction.direction[block]
            if frame.skipped[row, column]:  # only the filter changes it, and that the samples at the edges of blocks
                skipped += 1
                inside = slice(8 * (part // 2) + 1, 8 * (part // 2) + 7), slice(8 * (part % 2) + 1, 8 * (part % 2) + 7)
                assert not frame.residual[0][16 * row : 16 * row + 16, 16 * column : 16 * column + 16][inside].any()
    assert skipped


def test_prediction_leaves_less_to_be_sent(video):
    for frame in video.trace():
        if frame.decoded.plan.type != "I":
            left = np.abs(frame.residual[0]).mean()
            assert left < 0.5 * np.abs(frame.planes[0].astype(int) - GRAY).mean()


# Damage -----------------------------------------------------------------------------------------------------


def check_partial(damaged, shown, lost):
    """Open a file of which some groups are lost; check the frames and the account, and return the video."""
    video = codec.open_video(io.BytesIO(damaged), allow_partial=True)
    frames = list(video.planes())
    gone = [number for group in lost for number in range(*GROUPS[group])]
    assert len(frames) == len(video)
    for number, (planes, time) in enumerate(frames):
        assert time == number
        if number in gone:
            assert [plane.shape for plane in planes] == [(24, 40), (12, 20), (12, 20)]
        else:
            assert same_frames([planes], [shown[number]])
    assert [number for first, last in video.missing for number in range(first, last)] == gone
    for number in (*range(0, len(video), 5), 0):  # by any way the same
        assert np.array_equal(video[number], to_rgb(frames[number][0]))
    others = [number for number in range(len(video)) if number not in gone]
    assert [frame.index for frame in video.info()] == others
    assert [frame.index for frame in video.trace()] == others
    return video


def test_an_intact_file_has_no_problems(data, shown):
    assert check_partial(data, shown, []).problems == []


@pytest.mark.parametrize(
    ("lost", "where"), [(0, "type"), (1, "length"), (1, "first"), (2, "insides"), (3, "checksum"), (3, "length")]
)
def test_damage_in_a_group_loses_its_frames_only(data, shown, lost, where):
    starts = chunk_starts(data)[1:]
    offset = {"type": 0, "length": 4, "first": 8, "insides": 50, "checksum": starts[lost + 1] - starts[lost] - 1}[where]
    damaged = bytearray(data)
    damaged[starts[lost] + offset] ^= 0x81
    video = codec.open_video(io.BytesIO(damaged))  # the index is intact, so this is found out later
    frames = []
    with pytest.raises((codec.ChecksumError, codec.TruncatedError)):
        frames.extend(video.planes())
    assert same_frames(planes_of(frames), shown[: len(frames)])
    for group, (first, last) in enumerate(GROUPS):
        if group == lost:
            for number in (first, last - 1, first):
                with pytest.raises((codec.ChecksumError, codec.TruncatedError)):
                    video[number]
        else:
            assert same_frames(planes_of(video.planes(first, last)), shown[first:last])
    video = check_partial(bytes(damaged), shown, [lost])
    assert video.missing == [GROUPS[lost]]
    assert any(problem.startswith(f"bytes {starts[lost]} to {starts[lost + 1]}: ") for problem in video.problems)


def test_lost_frames_are_gray(data, shown):
    damaged = bytearray(data)
    damaged[chunk_starts(data)[2] + 40] ^= 1
    for number, planes in enumerate(planes_of(decode(bytes(damaged), allow_partial=True))):
        gray = all((plane == GRAY).all() for plane in planes)
        assert gray == (6 <= number < 12)


def test_any_flipped_bit_loses_one_group_at_most(data, shown):
    starts = chunk_starts(data)
    rng = np.random.default_rng(0)
    for place in [*range(0, starts[1], 5), *rng.integers(0, len(data), 25).tolist(), *range(starts[-2], len(data), 11)]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(codec.CodecError):
            decode(bytes(damaged))
        if place < starts[1]:  # without header, nothing
            with pytest.raises((codec.FormatError, codec.UnsupportedError)):
                codec.open_video(io.BytesIO(damaged), allow_partial=True)
            continue
        video = codec.open_video(io.BytesIO(damaged), allow_partial=True)
        frames = list(video.planes())
        assert video.problems
        assert video.missing in [[], *([group] for group in GROUPS)]
        gone = range(*video.missing[0]) if video.missing else ()
        assert len(frames) == 20
        assert all(
            number in gone or same_frames([planes], [shown[number]]) for number, (planes, _) in enumerate(frames)
        )


def test_a_file_that_is_cut_off(data, shown):
    starts = chunk_starts(data)
    for end in [*range(0, len(data), 211), *starts, len(data) - 1]:
        with pytest.raises(codec.TruncatedError):
            codec.open_video(io.BytesIO(data[:end]))
        whole = sum(start <= end for start in starts[2:-1])
        if whole == 0:
            with pytest.raises(codec.CodecError):
                codec.open_video(io.BytesIO(data[:end]), allow_partial=True)
        else:
            video = codec.open_video(io.BytesIO(data[:end]), allow_partial=True)
            assert len(video) == GROUPS[whole - 1][1]
            assert same_frames(planes_of(video.planes()), shown[: len(video)])
            assert video.problems[-1] == "the file ends before its last chunk"
            assert video.missing == []


def test_groups_that_are_not_in_the_file(data, shown):
    chunks = take_apart(data)
    for lost in ([0], [1], [0, 1], [1, 2], [3], [0, 3], [1, 3]):
        kept = [chunk for number, chunk in enumerate(chunks) if number - 1 not in lost]
        video = check_partial(put_together(kept), shown, lost)  # the index tells of the last ones
        assert len(video) == 20
    video = check_partial(put_together([chunks[0], chunks[2], chunks[4]]), shown, [0, 2])  # no index
    assert video.missing == [(0, 6), (12, 18)]
    assert len(check_partial(put_together(chunks[:3]), shown, [])) == 12


def test_lost_frames_have_timestamps_that_rise():
    times = [*itertools.accumulate([5, 1, 1, 1, 7, 40, 1, 300])]
    planes = [(picture,) for picture in make_clip(8, 16, 16, "moving", 1)]
    format = Format(16, 16, "400", Fraction(25), Fraction(1, 1000))
    data = encode(zip(planes, times, strict=True), format=format, keyframe=2, scene_cut=False)
    chunks = take_apart(data)
    for lost in itertools.chain.from_iterable(itertools.combinations(range(4), number) for number in range(4)):
        for forged in (False, True):
            kept = []
            for number, (name, payload) in enumerate(chunks):
                if number - 1 not in lost:
                    kept.append((name, payload))
                elif forged:  # with timestamps, but with insides that break a rule
                    kept.append((name, payload[:-1]))
            with codec.open_video(io.BytesIO(put_together(kept)), allow_partial=True) as video:
                found = [time for _, time in video.planes()]
                assert len(found) == 8
                assert found == sorted(set(found))
                gone = {2 * group + i for group in lost for i in (0, 1)}
                assert all(found[number] == times[number] for number in range(8) if forged or number not in gone)
                assert [time for _, time in video.planes(5)] == found[5:]
                assert {number for first, last in video.missing for number in range(first, last)} == gone


def test_bytes_inserted_between_groups(data, shown):
    for start in chunk_starts(data)[1:]:
        damaged = data[:start] + b"garbage" + data[start:]
        assert check_partial(damaged, shown, []).problems
        with pytest.raises(codec.CodecError):
            stream(damaged)


def test_insides_of_a_group_that_break_a_rule(data, shown):
    # With a right checksum: a faulty encoder, or malice.
    chunks = take_apart(data)
    for spoil in (lambda payload: payload[:-1], lambda payload: payload + b"\0", lambda payload: payload[:9]):
        broken = [*chunks[:2], (b"GRUP", spoil(chunks[2][1])), *chunks[3:5]]
        damaged = put_together([*broken, index_of(broken)])
        with pytest.raises((codec.FormatError, codec.TruncatedError)):
            decode(damaged)
        video = check_partial(damaged, shown, [1])
        assert [problem.split(":")[0] for problem in video.problems] == ["frames 6 to 11"]


def test_groups_twice_or_in_another_order(data, shown):
    chunks = take_apart(data)
    for order, lost in (
        ([0, 1, 2, 2, 3, 4], []),
        ([0, 1, 2, 1, 3, 4], []),
        ([0, 1, 3, 2, 4], [1]),
        ([0, 0, 1, 2, 3, 4], []),
    ):
        groups = [chunks[number] for number in order]
        damaged = put_together([*groups, index_of(groups)])
        with pytest.raises(codec.CodecError):
            stream(damaged)
        check_partial(put_together([*groups, chunks[-1]]), shown, lost)


def test_without_its_header_nothing_is_recovered(data):
    damaged = data[:30] + bytes([data[30] ^ 1]) + data[31:]
    with pytest.raises(codec.FormatError, match="the header is damaged or missing"):
        codec.open_video(io.BytesIO(damaged), allow_partial=True)
    with pytest.raises(codec.CodecError):
        codec.open_video(io.BytesIO(damaged))
    with pytest.raises(codec.CodecError):
        codec.open_video(io.BytesIO(put_together(take_apart(data)[1:])), allow_partial=True)


# Pipes ------------------------------------------------------------------------------------------------------


def stream(data, **options):
    header, frames = codec.stream_video(Pipe(data), **options)
    return header, list(frames)


def test_from_a_pipe(data, shown, video):
    header, frames = stream(data)
    assert header == video.header
    assert same_frames(planes_of(frames), shown)
    assert [time for _, time in frames] == list(range(20))


def test_a_pipe_is_read_group_by_group(data):
    starts = chunk_starts(data)
    pipe = Pipe(data)
    _, frames = codec.stream_video(pipe)
    assert pipe.given == starts[1]
    for number, _ in enumerate(frames):
        group = next(group for group, (first, last) in enumerate(GROUPS) if first <= number < last)
        assert pipe.given == starts[2 + group]
    assert pipe.given == len(data)


def test_a_pipe_that_ends_too_early(data, shown):
    starts = chunk_starts(data)
    for end in [*range(0, len(data), 211), *starts, len(data) - 1]:
        frames = []
        with pytest.raises(codec.TruncatedError):
            frames.extend(codec.stream_video(Pipe(data[:end]))[1])
        assert same_frames(planes_of(frames), shown[: len(frames)])


def test_a_pipe_that_is_damaged(data, shown):
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(data), 25).tolist():
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(8)
        frames = []
        with pytest.raises(codec.CodecError):
            frames.extend(codec.stream_video(Pipe(bytes(damaged)))[1])
        assert same_frames(planes_of(frames), shown[: len(frames)])


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: chunks[:-1],  # no index
        lambda chunks: [*chunks, chunks[-1]],
        lambda chunks: [*chunks[:-1], index_of(chunks[:-2])],
        lambda chunks: [chunks[0], chunks[2], *chunks[1:]],
        lambda chunks: [chunks[0], *chunks[2:-1], index_of([chunks[0], *chunks[2:-1]])],
        lambda chunks: [chunks[0], chunks[0], *chunks[1:]],
        lambda chunks: chunks[1:],
        lambda chunks: [*chunks[:2], (b"NOTE", b""), *chunks[2:]],
        lambda chunks: [chunks[0], index_of([])],
        lambda chunks: [],
    ],
)
def test_chunks_in_another_order_do_not_go_through_a_pipe(data, change):
    with pytest.raises(codec.FormatError):
        stream(put_together(change(take_apart(data))))


def test_a_group_out_of_place_does_not_go_through_a_pipe(data, shown):
    chunks = take_apart(data)
    frames = []
    with pytest.raises(codec.FormatError, match="is not in its place"):
        frames.extend(codec.stream_video(Pipe(put_together([*chunks[:2], *chunks[3:]])))[1])
    assert same_frames(planes_of(frames), shown[:6])


# Lies -------------------------------------------------------------------------------------------------------


def with_index(data, *entries, length=None):
    """Return a file with another index."""
    payload = b"".join(ENTRY.pack(*entry) for entry in entries)
    length = len(payload) + LENGTH.size if length is None else length
    return put_together([*take_apart(data)[:-1], (b"INDX", payload + LENGTH.pack(length))])


def entries_of(data):
    return list(ENTRY.iter_unpack(take_apart(data)[-1][1][: -LENGTH.size]))


def refused_by_all(data, error=codec.CodecError):
    """Check that no strict reader takes a file, on disk or in memory."""
    for read in (decode, stream, lambda data: list(codec.open_video(io.BytesIO(data)).info())):
        with pytest.raises(error):
            read(data)


@pytest.mark.parametrize("offset", [0, 10, 2**31, 2**40, 2**62, 2**63, 2**64 - 1])
@pytest.mark.parametrize("entry", [0, 3])
def test_an_index_that_points_elsewhere(tmp_path, data, offset, entry):
    entries = entries_of(data)
    entries[entry] = offset, entries[entry][1]
    damaged = with_index(data, *entries)
    refused_by_all(damaged)
    (tmp_path / "clip.tvid").write_bytes(damaged)
    with pytest.raises(codec.CodecError), codec.open_video(tmp_path / "clip.tvid") as video:
        list(video)
    with codec.open_video(io.BytesIO(damaged), allow_partial=True) as video:
        assert (len(video), video.missing) == (20, [])
        assert video.problems


@pytest.mark.parametrize("frames", [0, 5, 7, LARGEST_GROUP + 1, 2**32 - 1])
def test_an_index_that_counts_otherwise(data, frames):
    entries = entries_of(data)
    entries[1] = entries[1][0], frames
    damaged = with_index(data, *entries)
    refused_by_all(damaged)
    with pytest.raises(codec.CodecError), codec.open_video(io.BytesIO(damaged)) as video:
        video[:]


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: [],
        lambda entries: entries[::-1],
        lambda entries: [entries[0]] * 4,  # a video that never ends
        lambda entries: [entries[0], entries[0], *entries[2:]],
        lambda entries: entries[1:],
        lambda entries: [*entries, (entries[-1][0] + 12, 6)],
        lambda entries: [(PREAMBLE, 6), *entries[1:]],  # the header is no group
    ],
)
def test_an_index_of_other_groups(data, change):
    refused_by_all(with_index(data, *change(entries_of(data))))


@pytest.mark.parametrize("length", [0, 1, 51, 53, 2**31, 2**32 - 1])
def test_an_index_of_another_length(data, length):
    refused_by_all(with_index(data, *entries_of(data), length=length))


def test_a_long_index_of_nothing_is_not_believed(data):
    # Twelve bytes of index for 512 frames each: the frames are counted before any of them is looked for.
    payload = b"".join(ENTRY.pack(47 + 12 * i, LARGEST_GROUP) for i in range(10_000))
    damaged = put_together([*take_apart(data)[:-1], (b"INDX", payload + LENGTH.pack(len(payload) + 4))])
    refused_by_all(damaged)


@pytest.mark.parametrize("first", [7, 5, 12, 2**31, 2**32 - 1])
def test_a_group_that_says_it_is_another(data, shown, first):
    chunks = take_apart(data)
    chunks[2] = chunks[2][0], struct.pack(">I", first) + chunks[2][1][4:]
    damaged = put_together(chunks)
    refused_by_all(damaged)
    with codec.open_video(io.BytesIO(damaged), allow_partial=True) as video:
        assert len(video) < LARGEST_GROUP * len(damaged) // FRAMING
    with codec.open_video(io.BytesIO(put_together(chunks[:3])), allow_partial=True) as video:
        assert len(video) < LARGEST_GROUP * len(damaged) // FRAMING
        frames = list(itertools.islice(video.planes(), 6))
        assert same_frames(planes_of(frames), shown[:6])


def claim(width, height, sampling="420", frames=1, symbols=None):
    """Write a file that claims so many pixels, with a group that has no symbols."""
    header = Header(Format(width, height, sampling, Fraction(25), Fraction(1, 25)), 8).to_bytes()
    symbols = HuffmanEncoder(KINDS).finish() if symbols is None else symbols
    chunks = [(b"HEAD", header), (b"GRUP", struct.pack(">IHHB", 0, frames, 6000, 0) + symbols)]
    return put_together([*chunks, index_of(chunks)])


READERS = {
    "planes": lambda data: list(codec.open_video(io.BytesIO(data)).planes()),
    "picture": lambda data: codec.open_video(io.BytesIO(data))[0],
    "info": lambda data: list(codec.open_video(io.BytesIO(data)).info()),
    "trace": lambda data: list(codec.open_video(io.BytesIO(data)).trace()),
    "stream": stream,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "lie",
    [
        lambda: claim(16_384, 16_384, "444"),
        lambda: claim(65_535, 4_096, "420"),
        lambda: claim(4_096, 4_096, "400", frames=16),
        lambda: claim(720, 720, "400", frames=LARGEST_GROUP),
        lambda: claim(16_384, 16_384, "444", symbols=b""),
        lambda: claim(16_384, 16_384, "444", symbols=bytes(20)),
        lambda: claim(16_384, 16_384, frames=LARGEST_GROUP),
    ],
)
def test_claims_without_bytes_take_no_memory(read, lie):
    data = lie()
    tracemalloc.start()
    try:
        with pytest.raises(codec.CodecError):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [b"HEAD", b"GRUP", b"INDX"])
def test_an_announced_length_that_is_not_there_is_not_allocated(data, name):
    place = data.index(name) + 4
    damaged = data[:place] + struct.pack(">I", 2**32 - 1) + data[place + 4 :]
    for partial in (False, True):
        tracemalloc.start()
        try:
            if partial and name != b"HEAD":
                list(codec.open_video(io.BytesIO(damaged), allow_partial=True))
            else:
                with pytest.raises(codec.CodecError):
                    decode(damaged, allow_partial=partial)
            with pytest.raises(codec.CodecError):
                stream(damaged)
            assert tracemalloc.get_traced_memory()[1] < 3e6
        finally:
            tracemalloc.stop()


def test_frames_over_the_limit(data):
    for read in (decode, stream, lambda data, **options: decode(data, allow_partial=True, **options)):
        read(data, size_limit=24 * 40)
        with pytest.raises(
            codec.LimitError, match="40 x 24 pixels are over the limit of 959; raise it with size_limit="
        ):
            read(data, size_limit=959)


@pytest.mark.parametrize("data", [b"", b"\x89TVD", b"garbage" * 10, codec.encode_image(make_picture(8, 8))], ids=str)
def test_what_is_no_video(data):
    for partial in (False, True):
        with pytest.raises((codec.FormatError, codec.TruncatedError)):
            codec.open_video(io.BytesIO(data), allow_partial=partial)
    with pytest.raises((codec.FormatError, codec.TruncatedError)):
        stream(data)


def test_another_version(data):
    newer = data[:8] + struct.pack(">H", VERSION + 1) + data[10:]
    for partial in (False, True):
        with pytest.raises(codec.UnsupportedError, match=f"version {VERSION + 1}"):
            codec.open_video(io.BytesIO(newer), allow_partial=partial)


def test_bytes_after_the_end(data, shown):
    refused_by_all(data + b"\n")
    assert check_partial(data + b"\n", shown, []).problems == ["1 bytes follow the last chunk"]
