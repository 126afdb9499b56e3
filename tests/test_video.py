"""Tests of `codec.video`: what is written, byte by byte and frame by frame, whatever comes in and wherever made."""

import io
import itertools
import os
import struct
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import codec
from bitstreams.bits import write_varint
from bitstreams.chunks import PREAMBLE, preamble
from codec.frames import SAMPLINGS, Format, from_rgb, to_rgb
from codec.group_encoder import encode_group
from codec.layout import Layout
from codec.video import DECODED, KIND, LARGEST_GROUP, GroupHeader, Header
from tests.clips import (
    CLIPS,
    decode,
    encode,
    encode_watched,
    index_of,
    make_clip,
    put_together,
    same_frames,
    take_apart,
)

RATE = Fraction(30_000, 1001)


def gray_frames(number, value=100, shape=(16, 16)):
    """Return planes of a gray clip, flat."""
    return [(np.full(shape, value + i, np.uint8),) for i in range(number)]


def gray_format(tick=Fraction(1, 1000), rate=RATE):
    return Format(16, 16, "400", rate, tick)


def group_sizes(data):
    """Return the number of frames of each group of a file."""
    return [len(GroupHeader.from_bytes(payload)[0].times) for name, payload in take_apart(data) if name == b"GRUP"]


# There and back ---------------------------------------------------------------------------------------------


OPTIONS = [{"keyframe": 3, "pyramid": 2}, {"keyframe": 1}, {"scene_cut": False}]


@pytest.mark.parametrize(("kind", "options"), [*((kind, {}) for kind in CLIPS), *(("cut", some) for some in OPTIONS)])
def test_a_decoder_sees_what_the_encoder_says(kind, options):
    data, shown = encode_watched(make_clip(7, 24, 40, kind), **options)
    decoded = decode(data)
    assert same_frames([planes for planes, _ in decoded], shown)
    assert [time for _, time in decoded] == list(range(7))


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 36), st.integers(1, 36)),
    st.sampled_from([1, 3]),
    st.sampled_from(SAMPLINGS),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.tuples(st.integers(1, 8), st.floats(0, 100), st.sampled_from(CLIPS)),
)
@settings(max_examples=50)
@example((1, 1, 1), 3, "420", 8, (32, 60, "moving"))
@example((5, 1, 36), 1, "420", 2, (5, 100, "noise"))
@example((3, 17, 16), 3, "444", 16, (32, 0, "jumps"))
def test_every_size_and_kind(size, channels, yuv, pyramid, others):
    keyframe, quality, kind = others
    clip = list(make_clip(*size, kind, channels))
    data, shown = encode_watched(clip, yuv=yuv, pyramid=pyramid, keyframe=keyframe, quality=quality)
    assert same_frames([planes for planes, _ in decode(data)], shown)
    with codec.open_video(io.BytesIO(data)) as video:
        gray = channels == 1 or yuv == "400"
        assert video.shape == (*size, *(() if gray else (3,)))
        assert max(group_sizes(data)) <= keyframe


def test_the_pictures_are_close_to_those_that_came_in():
    clip = np.array(list(make_clip(9, 48, 64)))
    for options, most in (({"quality": 100, "yuv": "444", "pyramid": 1}, 2), ({"quality": 60}, 14)):
        with codec.open_video(io.BytesIO(encode(clip, **options))) as video:
            errors = video[:].astype(int) - clip
        assert np.sqrt(np.mean(errors**2, axis=(1, 2, 3))).max() < most, options


def test_planes_and_pictures_are_coded_alike():
    clip = list(make_clip(5, 24, 40))
    planes = [from_rgb(picture, "420") for picture in clip]
    full = Format(40, 24, "420", Fraction(25), Fraction(1, 25), full_range=True)
    assert encode(planes, format=full) == encode(clip)
    assert encode([(one, time) for time, one in enumerate(planes)], format=full) == encode(clip)


def test_the_layout_of_arrays_does_not_matter():
    clip = list(make_clip(3, 24, 40))
    expected = encode(clip)
    assert encode(np.asfortranarray(picture) for picture in clip) == expected
    assert encode(np.array(clip)) == expected
    for picture in clip:
        picture.flags.writeable = False
    assert encode(clip) == expected


def test_whoever_makes_the_frames_may_use_one_array_for_all():
    frames = list(make_clip(7, 24, 40, "moving", 1))
    full = Format(40, 24, "400", Fraction(25), Fraction(1, 25), full_range=True)

    def drawn(kind):
        picture = np.zeros((24, 40), np.uint8)
        for time, frame in enumerate(frames):
            picture[...] = frame
            yield {"picture": picture, "planes": (picture,), "timed": ((picture,), time)}[kind]

    for kind in ("picture", "planes", "timed"):
        assert encode(drawn(kind), format=full) == encode(frames), kind


# The file byte by byte --------------------------------------------------------------------------------------


def test_the_layout_of_a_file():
    clip = list(make_clip(5, 20, 33))
    data = encode(clip, fps=RATE, quality=61.237, keyframe=3, pyramid=4, scene_cut=False)
    head = struct.pack(">IIBBBIIIIBBB", 33, 20, 1, 1, 0, 30_000, 1001, 1001, 30_000, 4, 0, 8) + b"baseline"
    planes = [from_rgb(picture, "420") for picture in clip]
    layout = Layout(2, 3, 1)
    groups = [
        struct.pack(">IHHB", first, len(frames), 6124, 0) + encode_group(frames, layout, 4, 61.24)
        for first, frames in ((0, planes[:3]), (3, planes[3:]))
    ]
    starts = PREAMBLE + 12 + len(head), PREAMBLE + 12 + len(head) + 12 + len(groups[0])
    index = struct.pack(">QIQII", starts[0], 3, starts[1], 2, 28)
    chunks = [(b"HEAD", head), (b"GRUP", groups[0]), (b"GRUP", groups[1]), (b"INDX", index)]
    assert data == put_together(chunks)
    assert data.startswith(preamble(b"TVD"))
    for start in starts:
        assert data[start : start + 4] == b"GRUP"
    assert index_of(chunks[:-1]) == chunks[-1]


formats = st.builds(
    Format,
    st.integers(1, 65_535),
    st.integers(1, 65_535),
    st.sampled_from(SAMPLINGS),
    st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
    st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
    st.booleans(),
    st.sampled_from(["bt601", "bt709"]),
)


@given(formats, st.sampled_from([1, 2, 4, 8, 16]), st.frozensets(st.sampled_from(DECODED)))
def test_headers_there_and_back(format, pyramid, without):
    header = Header(format, pyramid, without=without)
    assert header.to_bytes()[28] == ("cascade" in without) + 2 * ("deblocking" in without)
    assert Header.from_bytes(header.to_bytes()) == header
    rows, columns, chroma = header.layout
    assert 16 * (rows - 1) < format.height <= 16 * rows
    assert 16 * (columns - 1) < format.width <= 16 * columns
    assert chroma == {"400": 0, "420": 1, "444": 2}[format.sampling]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 10_000),
    st.integers(0, 2**40),
    st.lists(st.integers(1, 2**35 - 1), max_size=20),
    st.binary(max_size=3),
)
def test_group_headers_there_and_back(first, hundredths, start, steps, after):
    header = GroupHeader(first, hundredths / 100, list(itertools.accumulate(steps, initial=start)))
    data = header.to_bytes()
    assert GroupHeader.from_bytes(data + after) == (header, len(data))
    counted = header._replace(times=list(range(first, first + len(header.times))))
    assert counted.to_bytes() == struct.pack(">IHHB", first, len(header.times), hundredths, 0)
    assert GroupHeader.from_bytes(counted.to_bytes() + after) == (counted, 9)


HEAD = struct.Struct(">IIBBBIIIIBBB")


def head(*, size=(16, 16), kind=(1, 0, 0), fractions=(25, 1, 1, 25), pyramid=8, without=0, length=8, name=b"baseline"):
    """Write a header by hand."""
    return HEAD.pack(*size, *kind, *fractions, pyramid, without, length) + name


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", codec.FormatError),
        (head()[:29], codec.FormatError),
        (head(size=(0, 16)), codec.FormatError),
        (head(size=(16, 0)), codec.FormatError),
        (head(size=(65_536, 16)), codec.FormatError),
        (head(size=(16, 2**32 - 1)), codec.FormatError),
        (head(kind=(3, 0, 0)), codec.FormatError),
        (head(kind=(1, 2, 0)), codec.FormatError),
        (head(kind=(1, 0, 2)), codec.FormatError),
        *[(head(fractions=[25 * (i != zero) for i in range(4)]), codec.FormatError) for zero in range(4)],
        (head(pyramid=0), codec.FormatError),
        (head(pyramid=3), codec.FormatError),
        (head(pyramid=32), codec.FormatError),
        (head(without=4), codec.FormatError),
        (head(name=b"baselin"), codec.FormatError),
        (head(name=b"baseline."), codec.FormatError),
        (head(length=0, name=b""), codec.UnsupportedError),
        (head(name=b"baselin\xff"), codec.FormatError),
        (head(name=b"improved"), codec.UnsupportedError),
    ],
)
def test_headers_that_break_a_rule(payload, error):
    assert Header.from_bytes(head()).pyramid == 8
    with pytest.raises(error):
        Header.from_bytes(payload)


def group_header(first=0, frames=2, hundredths=6000, timed=0, rest=b""):
    """Write the beginning of a group by hand."""
    return struct.pack(">IHHB", first, frames, hundredths, timed) + rest


def timed(*steps, start=0):
    """Write timestamps by hand."""
    return struct.pack(">Q", start) + write_varint(*steps)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", codec.TruncatedError),
        (group_header()[:8], codec.TruncatedError),
        (group_header(frames=0), codec.FormatError),
        (group_header(frames=LARGEST_GROUP + 1), codec.FormatError),
        (group_header(hundredths=10_001), codec.FormatError),
        (group_header(timed=2), codec.FormatError),
        (group_header(timed=1), codec.TruncatedError),
        (group_header(timed=1, rest=bytes(7)), codec.TruncatedError),
        (group_header(timed=1, rest=timed()), codec.TruncatedError),
        (group_header(timed=1, rest=timed(0)), codec.FormatError),
        (group_header(timed=1, rest=timed(2**40)), codec.FormatError),
        (group_header(timed=1, rest=timed(1, start=2**64 - 1)), codec.FormatError),
        (group_header(timed=1, rest=timed(1, start=2**62 - 1)), codec.FormatError),
        (group_header(timed=1, frames=1, rest=timed(start=2**63)), codec.FormatError),
    ],
)
def test_group_headers_that_break_a_rule(payload, error):
    assert GroupHeader.from_bytes(group_header(timed=1, rest=timed(7, start=2**62 - 9)))[0].times[1] == 2**62 - 2
    with pytest.raises(error):
        GroupHeader.from_bytes(payload)


# Time -------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 2000) | st.sampled_from([2**34, 2**35 - 1]), min_size=1, max_size=5),
    st.integers(0, 2**34),
    st.integers(1, 8),
)
@settings(max_examples=30)
@example([1] * 4, 0, 3)
def test_timestamps_are_kept(steps, start, keyframe):
    times = list(itertools.accumulate(steps, initial=start))
    frames = zip(gray_frames(len(times)), times, strict=True)
    data = encode(frames, format=gray_format(), keyframe=keyframe, pyramid=4)
    assert [time for _, time in decode(data)] == times


def test_frames_of_an_even_rate_have_no_timestamps():
    even = encode(zip(gray_frames(4), range(4), strict=True), format=gray_format(), keyframe=2)
    assert even == encode(gray_frames(4), format=gray_format(), keyframe=2)
    uneven = encode(zip(gray_frames(4), [0, 1, 2, 4], strict=True), format=gray_format(), keyframe=2)
    assert [payload[8] for name, payload in take_apart(uneven) if name == b"GRUP"] == [0, 1]


@pytest.mark.parametrize(
    "times", [[-1], [0, 0], [5, 4], [0, 2**35], [2**62], [0, 1, 2, 2], [0.5], ["now"], [float("nan")], [None]]
)
def test_timestamps_that_do_not_rise_or_are_out_of_range(times):
    with pytest.raises(codec.CodecError):
        encode(zip(gray_frames(len(times)), times, strict=True), format=gray_format())


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(2997, 100)),
        (RATE, RATE),
        (0.5, Fraction(1, 2)),
        (1e-3, Fraction(1, 1000)),
    ],
)
def test_frame_rates(fps, rate):
    with codec.open_video(io.BytesIO(encode(gray_frames(2), fps=fps))) as video:
        assert (video.fps, video.format.tick) == (rate, 1 / rate)


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), 1e10, 1e-9, 1e-30])
def test_frame_rates_that_make_no_sense(fps):
    with pytest.raises(codec.CodecError):
        encode(gray_frames(2), fps=fps)


def test_what_was_written_is_told():
    file = io.BytesIO()
    told = []
    clip = make_clip(8, 16, 16, "still", 1)
    summary = codec.encode_video(clip, file, fps=RATE, keyframe=3, progress=told.append)
    assert summary == (8, 3, len(file.getvalue()), 8 / RATE)
    assert told == [3, 3, 2]
    times = zip(gray_frames(3), [500, 700, 1200], strict=True)
    seconds = codec.encode_video(times, io.BytesIO(), format=gray_format()).seconds
    assert seconds == Fraction(1200 - 500, 1000) + 1 / RATE


# Groups -----------------------------------------------------------------------------------------------------


def test_groups_end_where_a_scene_does():
    clip = list(make_clip(12, 48, 64, "cut"))
    assert group_sizes(encode(clip)) == [6, 6]
    assert group_sizes(encode(clip, scene_cut=False)) == [12]
    assert group_sizes(encode(clip, keyframe=4)) == [4, 2, 4, 2]
    assert group_sizes(encode(clip, keyframe=5, scene_cut=False)) == [5, 5, 2]


def test_the_largest_group():
    assert group_sizes(encode(gray_frames(1) * 35)) == [32, 3]
    with mock.patch("codec.video.LARGEST_GROUP", 20):
        assert group_sizes(encode(gray_frames(1) * 45, keyframe=10**9)) == [20, 20, 5]


def test_large_frames_make_smaller_groups():
    with mock.patch("codec.video.GROUP_PIXELS", 3 * 48 * 64):
        data = encode(make_clip(7, 40, 60, "still"))
    assert group_sizes(data) == [3, 3, 1]


def test_frames_that_are_too_large():
    tall = np.broadcast_to(np.zeros(1, np.uint8), (65_536, 1))
    with pytest.raises(codec.UnsupportedError, match="65536"):
        encode([tall])
    with mock.patch("codec.video.GROUP_PIXELS", 255), pytest.raises(codec.LimitError, match="at most"):
        encode(gray_frames(1))


# Wherever groups are encoded --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_of_groups():
    return list(make_clip(13, 24, 40))


@pytest.mark.parametrize(
    "make", [lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(3), lambda: ProcessPoolExecutor(2)]
)
def test_the_bytes_are_the_same_with_any_executor(clip_of_groups, make):
    expected = encode(clip_of_groups, keyframe=2, quality=55.55)
    with make() as executor:
        assert encode(clip_of_groups, keyframe=2, quality=55.55, executor=executor) == expected
        assert encode(iter(clip_of_groups), keyframe=2, quality=55.55, executor=executor) == expected


@pytest.mark.parametrize("threads", [0, 2])
def test_frames_are_taken_as_they_are_needed(threads):
    keyframe, taken, ahead = 3, 0, []

    def source():
        nonlocal taken
        for frame in gray_frames(1) * 100:
            taken += 1
            yield frame

    class Target(io.BytesIO):
        def write(self, data):
            if data.startswith(b"GRUP"):
                ahead.append(taken - keyframe * len(ahead))
            return super().write(data)

    with ThreadPoolExecutor(threads or 1) as executor:
        codec.encode_video(source(), Target(), keyframe=keyframe, executor=executor if threads else None)
    assert len(ahead) == 34
    groups = 1 if not threads else 2 * (os.cpu_count() or 1)
    assert max(ahead) <= keyframe * groups + 1  # and the frame that begins the next one
    assert min(ahead) >= 1


def test_an_error_in_a_worker_leaves_the_encoder():
    def broken(*_):
        raise RuntimeError("no memory left")

    with (
        mock.patch("codec.video.encode_group", broken),
        ThreadPoolExecutor(2) as executor,
        pytest.raises(RuntimeError, match="no memory left"),
    ):
        encode(gray_frames(9), keyframe=2, executor=executor)


# A wanted size ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("once", [False, True], ids=["a list", "an iterator"])
def test_a_bit_rate_is_reached(once):
    clip = list(make_clip(10, 48, 64))
    bitrate = 80_000 if once else 15_000
    data, shown = encode_watched(iter(clip) if once else clip, bitrate=bitrate, keyframe=5, fps=5)
    assert abs(8 * len(data) / 2 / bitrate - 1) < 0.05
    assert same_frames([planes for planes, _ in decode(data)], shown)


def test_a_bit_rate_that_even_the_best_quality_does_not_need():
    clip = list(make_clip(4, 24, 40))
    assert len(encode(clip, bitrate=1e9)) == len(encode(clip, quality=100))


def test_a_bit_rate_gives_the_same_bytes_with_an_executor(clip_of_groups):
    with ThreadPoolExecutor(2) as executor:
        expected = encode(clip_of_groups, bitrate=60_000, keyframe=5)
        assert encode(iter(clip_of_groups), bitrate=60_000, keyframe=5, executor=executor) == expected


@pytest.mark.parametrize("bitrate", [0, -5, float("nan"), float("inf"), 1, 300])
def test_bit_rates_that_cannot_be(bitrate):
    with pytest.raises(codec.CodecError):
        encode(make_clip(4, 48, 64), bitrate=bitrate)


# Interruptions ----------------------------------------------------------------------------------------------


class Interruption(BaseException):
    """Like Ctrl-C, no Exception."""


def interrupted(frames, error):
    """Give frames, and then fail."""
    yield from frames
    raise error


@pytest.mark.parametrize("error", [RuntimeError("the camera fell"), Interruption(), codec.FormatError("a bad file")])
@pytest.mark.parametrize("before", [0, 1, 5, 9])
def test_an_interruption_leaves_no_file(tmp_path, error, before):
    path = tmp_path / "clip.tvid"
    with pytest.raises(type(error)):
        codec.encode_video(interrupted(gray_frames(before), error), path, keyframe=4)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "clip.tvid"
    path.write_bytes(b"another")
    with pytest.raises(RuntimeError):
        codec.encode_video(interrupted(gray_frames(9), RuntimeError()), path, keyframe=4)
    assert path.read_bytes() == b"another"
    assert [file.name for file in tmp_path.iterdir()] == ["clip.tvid"]


@pytest.mark.parametrize("error", [RuntimeError("the camera fell"), Interruption()])
def test_a_partial_file_is_kept_if_that_is_wanted(tmp_path, error):
    path = tmp_path / "clip.tvid"
    with pytest.raises(type(error)):
        codec.encode_video(interrupted(gray_frames(11), error), path, keyframe=4, keep_partial=True)
    assert path.read_bytes() == encode(gray_frames(8), keyframe=4)
    with pytest.raises(type(error)):  # nothing is ready yet
        codec.encode_video(interrupted(gray_frames(3), error), tmp_path / "short.tvid", keyframe=4, keep_partial=True)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.tvid"]


def test_a_partial_file_from_an_executor(tmp_path):
    path = tmp_path / "clip.tvid"
    frames = gray_frames(1) * 200
    with ThreadPoolExecutor(2) as executor, pytest.raises(RuntimeError):
        source = interrupted(frames, RuntimeError())
        codec.encode_video(source, path, keyframe=4, keep_partial=True, executor=executor)
    decoded = decode(path.read_bytes())
    assert 0 < len(decoded) < 200
    assert len(decoded) % 4 == 0


def test_a_file_that_exists_is_kept_unless_forced(tmp_path):
    path = tmp_path / "clip.tvid"
    path.write_bytes(b"another")
    with pytest.raises(OSError, match=r"clip\.tvid"):
        codec.encode_video(gray_frames(2), path, force=False)
    assert path.read_bytes() == b"another"
    codec.encode_video(gray_frames(2), path)
    assert path.read_bytes() == encode(gray_frames(2))
    codec.encode_video(gray_frames(2), str(tmp_path / "new.tvid"), force=False)
    assert (tmp_path / "new.tvid").read_bytes() == encode(gray_frames(2))


def test_a_target_need_not_be_seekable():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    codec.encode_video(gray_frames(5), pipe, keyframe=2)
    assert pipe.data == encode(gray_frames(5), keyframe=2)
    assert not pipe.closed


# What the encoder refuses -----------------------------------------------------------------------------------


def zeros(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        (iter([]), "no frames"),
        ([zeros(16, 16), zeros(16, 17)], r"frame 1 .*\(16, 17\).*one size"),
        ([zeros(16, 16), zeros(16, 16, 3)], "frame 1 .*one size and sampling"),
        ([zeros(16, 16, 3), zeros(16, 16)], "frame 1 .*one size and sampling"),
        ([zeros(16, 16), zeros(16, 16).astype(np.uint16)], "frame 1 .*type uint16"),
        ([zeros(16, 16).astype(float)], r"frame 0 .*type float64.*np.rint\(255 \* frame\)"),
        ([zeros(16, 16, 4)], r"frame 0 .*shape \(16, 16, 4\)"),
        ([zeros(16)], r"shape \(16,\)"),
        ([zeros(0, 16)], "frame 0 has no pixels"),
        ([zeros(16, 0, 3)], "frame 0 has no pixels"),
        ([[[1, 2], [3, 4]]], "frame 0 is neither"),
        ([()], "planes"),
        ([None], "frame 0 is neither"),
        ([zeros(16, 16), None, zeros(16, 16)], "frame 1 is neither"),
        ([(zeros(16, 16), zeros(8, 8), zeros(8, 9))], "neither gray nor 4:2:0 nor 4:4:4"),
        ([([[1, 2]],)], "planes"),
        ([(zeros(16, 16),), ([[1, 2]],)], "planes"),
        ([((zeros(16, 16), zeros(16, 8)), 0)], "neither gray"),
        ([(zeros(16, 16),), (zeros(16, 16), zeros(8, 8), zeros(8, 8))], "frame 1 .*one size and sampling"),
    ],
)
def test_frames_that_are_none(frames, message):
    with pytest.raises(codec.CodecError, match=message):
        encode(frames)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": -0.01}, "quality -0.01 is outside 0 to 100"),
        ({"quality": 100.01}, "quality 100.01 is outside"),
        ({"quality": float("nan")}, "quality nan is outside"),
        ({"keyframe": 0}, "groups of 0 frames"),
        ({"pyramid": 3}, "a pyramid of 3 frames; known are 1, 2, 4, 8, 16"),
        ({"yuv": "422"}, "unknown sampling '422'; known are 400, 420, 444"),
        ({"format": Format(16, 17, "400", RATE, 1 / RATE)}, "not .* as was announced"),
        ({"format": Format(16, 16, "420", RATE, 1 / RATE)}, "not .* as was announced"),
        ({"format": gray_format(tick=Fraction(1, 2**32))}, "32 bits"),
        ({"format": gray_format(rate=Fraction(2**32, 3))}, "32 bits"),
    ],
    ids=str,
)
def test_options_that_are_unknown_or_out_of_range(options, message):
    with pytest.raises(codec.CodecError, match=message):
        encode(gray_frames(2), **options)


def test_what_is_refused_leaves_no_file(tmp_path):
    for frames in ([], [zeros(16, 16), zeros(16, 17)]):
        with pytest.raises(codec.CodecError):
            codec.encode_video(frames, tmp_path / "clip.tvid")
    assert list(tmp_path.iterdir()) == []


def test_colour_without_chroma():
    clip = list(make_clip(3, 24, 40))
    with codec.open_video(io.BytesIO(encode(clip, yuv="400", quality=100))) as video:
        assert video.shape == (3, 24, 40)
        assert np.abs(video[1].astype(int) - to_rgb(from_rgb(clip[1], "400"))).max() <= 6


def test_the_kind_of_file():
    assert KIND == b"TVD"
