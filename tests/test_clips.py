"""Tests of `codec.clips`, `codec.clip_frames` and `codec.clip_writer`: videos of all kinds in and out, small ones."""

import io
import struct
import subprocess
import sys
import weakref
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import imageio.v3 as iio
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image, ImageSequence

from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from codec import clip_writer, clips, color
from codec.clip_frames import Converter
from codec.clip_writer import SUFFIXES, write_clip
from codec.clips import open_clip
from codec.frames import Format, from_rgb, to_rgb

NTSC = Fraction(30000, 1001)
LOSSLESS = {"qp": "0"}  # of libx264
UNEVEN = [0, 1001, 5005, 6006, 20000, 20001]


class Pipe(io.RawIOBase):
    """Bytes that can be read once, from first to last."""

    def __init__(self, data):
        self.rest = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.rest.readinto(buffer)


class Sink(io.RawIOBase):
    """Takes bytes from first to last."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def picture(height=26, width=38, phase=0):
    """A smooth RGB picture with all sorts of colours, different for each phase."""
    y, x = np.mgrid[:height, :width] + phase
    return np.stack([(3 * x + y) % 256, (2 * y + 40) % 256, (200 - 3 * x) % 256], axis=-1).astype(np.uint8)


def noise(format, number, *, seed=0):
    """Frames of random samples: whatever touches them shows."""
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in format.shapes) for _ in range(number)]


def smooth(format, number):
    """Frames that lossy codecs code well."""
    return [
        from_rgb(
            picture(format.height, format.width, phase),
            format.sampling,
            full_range=format.full_range,
            matrix=format.matrix,
        )
        for phase in range(number)
    ]


def make_format(sampling="420", rate=Fraction(25), *, width=38, height=26, tick=None, full_range=False, matrix="bt601"):
    return Format(width, height, sampling, rate, tick or 1 / rate, full_range, matrix)


def numbered(frames):
    return [(planes, time) for time, planes in enumerate(frames)]


def write_y4m(format, frames):
    out = io.BytesIO()
    write_clip(out, format, numbered(frames))
    return out.getvalue()


def encode(muxer, codec, pixel_format, frames, *, rate=Fraction(25), times=None, tick=None, options=None, **tags):
    """Encode frames, each a list of arrays, one for each plane of the pixel format, with FFmpeg."""
    out = io.BytesIO()
    tick = tick or 1 / rate
    with av.open(out, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate, options or {})
        for i, planes in enumerate(frames):
            size = planes[0].shape[1::-1]
            if i == 0:
                stream.width, stream.height = size
                stream.pix_fmt = pixel_format
                stream.codec_context.time_base = tick
                for name, value in tags.items():
                    setattr(stream.codec_context, name, value)
            frame = av.VideoFrame(*size, pixel_format)
            for plane, source in zip(frame.planes, planes, strict=True):
                rows = np.frombuffer(plane, source.dtype).reshape(plane.height, -1)
                rows[:, : source[0].size] = source.reshape(plane.height, -1)
            for name in {"color_range", "colorspace"} & tags.keys():
                setattr(frame, name, tags[name])
            frame.pts, frame.time_base = times[i] if times else i, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def encode_noise(muxer, codec="libx264", sampling="420", number=6, *, rate=Fraction(25), size=(36, 26), **more):
    """A clip without anything special about it, of these frames a second."""
    format = make_format(sampling, rate, width=size[0], height=size[1])
    pixel_format = {"400": "gray", "420": "yuv420p", "444": "yuv444p"}[sampling]
    return encode(muxer, codec, pixel_format, noise(format, number), rate=rate, **more)


def read(source, **options):
    """Return format, frames, times and notes of a clip."""
    with open_clip(io.BytesIO(source) if isinstance(source, bytes) else source, **options) as clip:
        pairs = list(clip)
    return clip.format, [planes for planes, _ in pairs], [time for _, time in pairs], clip.notes


def write(tmp_path, name, format, frames, **options):
    path = tmp_path / name
    notes = write_clip(path, format, frames, **options)
    return path, notes


def owner(array):
    """Return the array whose memory this one shows."""
    return array if array.base is None or not isinstance(array.base, np.ndarray) else owner(array.base)


def assert_same(frames, expected):
    assert len(frames) == len(expected)
    for planes, others in zip(frames, expected, strict=True):
        assert len(planes) == len(others)
        for plane, other in zip(planes, others, strict=True):
            assert plane.dtype == np.uint8 and plane.flags.c_contiguous and owner(plane).flags.owndata
            np.testing.assert_array_equal(plane, other)


def psnr(one, other):
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return 10 * np.log10(255**2 / error)


# Samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("size", [(38, 26), (37, 25), (1, 1)])
@pytest.mark.parametrize("sampling", ["400", "420", "444"])
def test_y4m_keeps_every_sample(sampling, size, full_range, stream):
    format = make_format(sampling, NTSC, width=size[0], height=size[1], full_range=full_range)
    frames = noise(format, 3)
    data = write_y4m(format, frames)
    found, back, times, notes = read(stream(data))
    assert (found, times, notes) == (format, [0, 1, 2], [])
    assert_same(back, frames)
    assert write_y4m(found, back) == data


def test_head_of_y4m():
    format = make_format(rate=NTSC)
    head, _, rest = write_y4m(format, noise(format, 1)).partition(b"\n")
    assert head == b"YUV4MPEG2 W38 H26 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED"
    assert rest.startswith(b"FRAME\n") and len(rest) == 6 + 38 * 26 * 3 // 2


@pytest.mark.parametrize(("sampling", "full_range"), [("420", False), ("444", False), ("400", True)])
def test_y4m_that_says_nothing_of_its_range(sampling, full_range):
    data = write_y4m(make_format(sampling), noise(make_format(sampling), 1))
    assert read(data.replace(b" XCOLORRANGE=LIMITED", b""))[0].full_range == full_range


@pytest.mark.parametrize("muxer", ["mp4", "matroska"])
@pytest.mark.parametrize(("sampling", "size"), [("420", (38, 26)), ("444", (37, 25))])
@pytest.mark.parametrize("color_range", [0, 1, 2])
def test_samples_are_the_decoders_own(muxer, sampling, size, color_range):
    format = make_format(sampling, width=size[0], height=size[1])
    frames = noise(format, 4)
    data = encode(
        muxer,
        "libx264",
        {"420": "yuv420p", "444": "yuv444p"}[sampling],
        frames,
        options=LOSSLESS,
        color_range=color_range,
    )
    found, back, _, notes = read(data)
    assert (found.sampling, found.full_range, notes) == (sampling, color_range == 2, [])
    assert_same(back, frames)


def test_planes_are_the_callers_to_change():
    data = encode_noise("mp4", number=8)
    _, expected, _, _ = read(data)
    with open_clip(io.BytesIO(data)) as clip:
        for (planes, _), others in zip(clip, expected, strict=True):
            np.testing.assert_array_equal(planes[0], others[0])
            planes[0][:] = 0  # a frame that others are predicted from


def test_more_bits_are_rounded():
    rng = np.random.default_rng(0)
    shapes = [(26, 38), (13, 19), (13, 19)]
    planes = [rng.integers(0, 1024, shape, dtype=np.uint16) for shape in shapes]
    data = encode("matroska", "ffv1", "yuv420p10le", [planes], color_range=1)
    _, (back,), _, notes = read(data)
    assert notes == ["10 bits a sample are rounded to 8"]
    for plane, source in zip(back, planes, strict=True):
        np.testing.assert_array_equal(plane, np.minimum((source + 2) // 4, 255))


def test_more_bits_of_gray_in_full_range():
    levels = np.arange(38 * 26, dtype=np.uint16).reshape(26, 38)
    format, ((luma,),), _, _ = read(encode("matroska", "ffv1", "gray10le", [[levels]]))
    assert (format.sampling, format.full_range) == ("400", True)
    assert np.abs(luma - levels * (255 / 1023)).max() < 0.51  # rounded, and not dithered


@pytest.mark.parametrize(
    ("pixel_format", "rows", "columns", "name"),
    [("yuv422p", 2, 1, "4:2:2"), ("yuv440p", 1, 2, "4:4:0"), ("yuv444p", 2, 2, "4:4:4")],
)
def test_chroma_is_averaged(pixel_format, rows, columns, name):
    rng = np.random.default_rng(1)
    luma = rng.integers(0, 256, (26, 38), dtype=np.uint8)
    chroma = [rng.integers(0, 256, (13 * rows, 19 * columns), dtype=np.uint8) for _ in range(2)]
    data = encode("matroska", "ffv1", pixel_format, [[luma, *chroma]])
    format, ((y, cb, cr),), _, notes = read(data, sampling="420")
    assert (format.sampling, notes) == ("420", [f"{name} becomes 4:2:0"])
    np.testing.assert_array_equal(y, luma)
    for plane, source in zip((cb, cr), chroma, strict=True):
        assert np.abs(plane - source.reshape(13, rows, 19, columns).mean((1, 3))).max() <= 0.5


def test_chroma_is_interpolated_as_the_codec_does():
    format = make_format()
    ((y, cb, cr),) = frames = noise(format, 1)
    found, ((luma, blue, red),), _, notes = read(write_y4m(format, frames), sampling="444")
    assert (found.sampling, notes) == ("444", ["4:2:0 becomes 4:4:4"])
    np.testing.assert_array_equal(luma, y)
    expected = color.upsample(np.stack([cb, cr]).astype(np.int16)) / 16
    assert np.abs(np.stack([blue, red]) - expected).max() <= 0.5


def test_luma_alone():
    format = make_format("444")
    frames = noise(format, 2)
    found, back, _, notes = read(write_y4m(format, frames), sampling="400")
    assert (found.sampling, found.full_range, notes) == ("400", False, ["4:4:4 becomes gray"])
    assert_same(back, [planes[:1] for planes in frames])


@pytest.mark.parametrize("sampling", ["420", "444"])
def test_gray_stays_gray(sampling):
    format = make_format("400")
    frames = noise(format, 1)
    found, back, _, notes = read(write_y4m(format, frames), sampling=sampling)
    assert (found, notes) == (format, [])
    assert_same(back, frames)


@pytest.mark.parametrize(("sampling", "expected"), [(None, "420"), ("444", "444"), ("400", "400")])
def test_rgb_is_converted_in_full_range(sampling, expected):
    rgb = picture()
    format, back, _, notes = read(encode("mov", "png", "rgb24", [[rgb]]), sampling=sampling)
    assert (format.sampling, format.full_range, format.matrix) == (expected, True, "bt601")
    assert notes == [f"RGB becomes {({'420': '4:2:0', '444': '4:4:4', '400': 'gray'})[expected]}"]
    assert_same(back, [from_rgb(rgb, expected)])


def test_transparency_is_shown_on_white():
    rgba = np.dstack([picture(), np.full((26, 38), 255, np.uint8)])
    opaque = rgba.copy()
    rgba[:13, :, 3], rgba[13:, :10, 3] = 0, 51
    _, back, _, notes = read(encode("mov", "png", "rgba", [[opaque], [rgba]]))
    expected = picture()
    expected[:13] = 255
    expected[13:, :10] = np.rint(expected[13:, :10] * 0.2 + 255 * 0.8)
    assert_same(back, [from_rgb(picture()), from_rgb(expected)])
    assert notes == ["RGB becomes 4:2:0", "what is transparent is shown on white"]
    _, _, _, notes = read(encode("mov", "png", "rgba", [[opaque]]))
    assert notes == ["RGB becomes 4:2:0"]


def test_transparency_beside_luma_and_chroma():
    planes = [np.full(shape, 100, np.uint8) for shape in ((26, 38), (13, 19), (13, 19))]
    alpha = np.full((26, 38), 255, np.uint8)
    alpha[:, 20:] = 0
    format, ((luma, cb, cr),), _, notes = read(
        encode("matroska", "ffv1", "yuva420p", [[*planes, alpha]], color_range=1)
    )
    assert (format.sampling, format.full_range) == ("420", False)
    assert notes == ["what is transparent is shown on white"]
    for plane, (half, white) in zip((luma, cb, cr), ((20, 235), (10, 128), (10, 128)), strict=True):
        assert np.abs(plane[:, :half] - 100.0).max() <= 2 and (plane[:, half:] == white).all()


def test_transparency_of_more_bits():
    planes = [np.full((26, 38), level, np.uint16) for level in (700, 512, 512, 1023)]
    format, ((luma, cb, cr),), _, notes = read(encode("matroska", "ffv1", "yuva444p10le", [planes], color_range=1))
    assert (format.sampling, notes) == ("444", ["10 bits a sample are rounded to 8"])
    assert (luma == 175).all() and (cb == 128).all() and (cr == 128).all()


def make_frame(pixel_format, planes, **tags):
    frame = av.VideoFrame(*planes[0].shape[::-1], pixel_format)
    for plane, source in zip(frame.planes, planes, strict=True):
        np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width] = source
    for name, value in tags.items():
        setattr(frame, name, value)
    return frame


def test_old_names_of_formats_say_that_the_range_is_full():
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((26, 38), (26, 19), (26, 19))]
    frame = make_frame("yuvj422p", planes)
    assert frame.color_range == 0
    converter = Converter(frame)
    assert (converter.full_range, converter.sampling) == (True, "420")
    np.testing.assert_array_equal(converter(frame)[0], planes[0])


def test_rows_may_be_stored_upside_down():
    luma = picture()[..., 0].copy()
    graph = av.filter.Graph()
    source = graph.add_buffer(width=38, height=26, format=av.VideoFormat("gray"), time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("vflip"), graph.add("buffersink")).configure()
    graph.push(make_frame("gray", [luma]))
    frame = graph.pull()
    assert frame.planes[0].line_size < 0
    np.testing.assert_array_equal(Converter(frame)(frame)[0], luma[::-1])


@pytest.mark.parametrize(
    ("colorspace", "size", "matrix"),
    [
        (1, (36, 26), "bt709"),
        (5, (1280, 16), "bt601"),
        (6, (36, 26), "bt601"),
        (2, (36, 26), "bt601"),
        (2, (1280, 16), "bt709"),
        (2, (16, 578), "bt709"),
    ],
)
def test_matrix(colorspace, size, matrix):
    format, _, _, notes = read(encode_noise("mp4", number=1, size=size, colorspace=colorspace))
    assert (format.matrix, notes) == (matrix, [])


def test_matrices_that_are_not_those_of_the_codec():
    format, _, _, notes = read(encode_noise("mp4", colorspace=9))
    assert (format.matrix, notes) == ("bt709", ["colours of BT.2020 are taken for those of BT.709"])
    with pytest.raises(UnsupportedError, match=r"matrix 8 of H\.273.*out_color_matrix"):
        read(encode_noise("mp4", "libx264", "444", colorspace=8))


def turn(data, matrix):
    """Write a matrix for display into the header of the only track of an .mp4."""
    start = data.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, 8.3.2
    a, b, c, d = (value << 16 for value in matrix)
    return data[:start] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[start + 36 :]


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((1, 0, 0, 1), lambda plane: plane),
        ((0, 1, -1, 0), lambda plane: np.rot90(plane, -1)),  # what a phone held upright writes
        ((-1, 0, 0, -1), lambda plane: np.rot90(plane, 2)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), np.transpose),
    ],
)
def test_frames_are_turned_as_the_file_asks_for(matrix, upright):
    data = encode_noise("mp4", size=(38, 26))
    _, frames, _, _ = read(data)
    format, back, _, notes = read(turn(data, matrix))
    assert_same(back, [tuple(upright(plane) for plane in planes) for planes in frames])
    assert (format.height, format.width) == back[0][0].shape
    assert notes == ([] if matrix == (1, 0, 0, 1) else ["the frames are turned, as the file asks for"])


def test_a_picture_is_a_clip_and_its_exif_is_left_alone():
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    data = io.BytesIO()
    Image.fromarray(picture()).save(data, "PNG", exif=exif)
    _, frames, _, notes = read(data.getvalue())
    assert_same(frames, [from_rgb(picture())])
    assert notes == ["RGB becomes 4:2:0"]


def test_other_things_in_the_file_are_noted():
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        small, large = (container.add_stream("libx264", 25, width=size, height=size) for size in (16, 32))
        sound = container.add_stream("pcm_s16le", 8000, layout="mono")
        small.pix_fmt = large.pix_fmt = "yuv420p"
        large.codec_context.sample_aspect_ratio = Fraction(12, 11)
        for stream, size in ((small, 16), (large, 32)):
            container.mux(stream.encode(av.VideoFrame(size, size, "yuv420p")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        for stream, frame in ((sound, samples), (small, None), (large, None), (sound, None)):
            container.mux(stream.encode(frame))
    format, frames, _, notes = read(out.getvalue())
    assert (format.width, format.height, len(frames)) == (32, 32, 1)
    assert notes == [
        "audio is left out",
        "of 2 videos in it, the one with the largest frames is taken",
        "pixels of 12:11 are taken for square ones",
    ]


def test_interlaced_frames_are_noted():
    data = write_y4m(make_format(), noise(make_format(), 1))
    (note,) = read(data.replace(b" Ip ", b" It "))[3]
    assert "interlaced" in note


# Times ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rate", [Fraction(25), Fraction(24000, 1001), NTSC, Fraction(60), Fraction(200, 7), Fraction(1, 2)]
)
@pytest.mark.parametrize(("muxer", "codec"), [("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4")])
def test_constant_rates_come_out_exactly(muxer, codec, rate):
    options = {"bf": "2"}  # timestamps are out of order
    with open_clip(
        io.BytesIO(encode_noise(muxer, codec, number=40, size=(16, 16), rate=rate, options=options))
    ) as clip:
        assert (clip.format.rate, clip.format.tick) == (rate, 1 / rate)
        assert [time for _, time in clip] == list(range(40))
        assert clip.length == 40


@pytest.mark.parametrize("rate", [10, 12, 15, 20, 25, 30, 50])
def test_whole_rates_are_found_behind_the_delays_of_a_gif(tmp_path, rate):
    format = make_format(rate=Fraction(rate), width=8, height=8)
    path, _ = write(tmp_path, "clip.gif", format, numbered(smooth(format, 7)))
    found, _, times, _ = read(path)
    assert (found.rate, found.tick, times) == (rate, Fraction(1, rate), list(range(7)))


@pytest.mark.parametrize("muxer", ["mp4", "mov"])
def test_variable_rates_keep_their_timestamps(muxer):
    tick = Fraction(1, 30000)
    format, _, times, _ = read(encode_noise(muxer, rate=NTSC, times=UNEVEN, tick=tick))
    assert [time * format.tick for time in times] == [time * tick for time in UNEVEN]
    assert format.rate == pytest.approx(5 / (20001 / 30000))


def test_variable_rates_of_other_containers():
    times = [0, 40, 50, 200, 210, 1000]
    for muxer, codec, tick in (("matroska", "libx264", Fraction(1, 1000)), ("mpegts", "libx264", Fraction(1, 90000))):
        format, _, found, _ = read(encode_noise(muxer, codec, times=times, tick=tick))
        assert [time * format.tick for time in found] == [time * tick for time in times]
    format, _, found, _ = read(
        encode_noise("avi", "mjpeg", times=[0, 1, 3, 7, 8, 12], color_range=2)
    )  # frames left out
    assert (found, format.tick, format.rate) == ([0, 1, 3, 7, 8, 12], Fraction(1, 25), Fraction(5 * 25, 12))


def test_a_late_start_does_not_count():
    format, _, times, _ = read(encode_noise("mp4", times=[7, 8, 9, 10, 11, 12]))
    assert (format.tick, times) == (Fraction(1, 25), list(range(6)))


def test_frames_that_an_edit_list_leaves_out():
    data = encode_noise("mp4", number=10, options={"bf": "0"})
    place = data.index(b"elst") + 16  # ISO/IEC 14496-12, 8.6.6: where in the media the clip begins
    assert data[place : place + 4] == bytes(4)
    with open_clip(io.BytesIO(data[:place] + (3 * 512).to_bytes(4) + data[place + 4 :])) as clip:
        assert (clip.format.rate, clip.length) == (25, 7)
        pairs = list(clip)
    assert [time for _, time in pairs] == list(range(7))
    assert_same([planes for planes, _ in pairs], read(data)[1][3:])


def test_timestamps_that_are_all_the_same():
    data = encode_noise("matroska", number=2, options={"bf": "0"})
    assert data.count(b"\x81\x00\x28") == 1  # the second block, at 40 ms
    _, _, times, notes = read(data.replace(b"\x81\x00\x28", b"\x81\x00\x00"))
    assert (times, notes) == ([0, 1], ["there are no timestamps in it; 25 frames a second are assumed"])


def test_no_timestamps():
    for number in (1, 6):
        _, frames, times, notes = read(encode_noise("h264", number=number))
        assert times == list(range(len(frames))) == list(range(number))
        assert notes == ["there are no timestamps in it; 25 frames a second are assumed"]


def test_a_clock_that_is_set_back():
    part = encode_noise("mpegts", times=[0, 3000, 7000, 10000, 20000, 23000], tick=Fraction(1, 90000))
    _, frames, times, _ = read(part + part)
    assert len(frames) == 12
    steps = [after - before for before, after in pairwise(times)]
    assert steps[:5] == steps[6:] == [3000, 4000, 3000, 10000, 3000] and steps[5] > 0


def test_timestamps_that_do_not_rise():
    data = encode_noise("matroska", times=[0, 40, 41, 200, 240, 280], tick=Fraction(1, 1000), options={"bf": "0"})
    # The third block of the cluster, at 41 ms, is given the time of the second.
    assert data.count(b"\x81\x00\x29") == 1
    _, _, times, _ = read(data.replace(b"\x81\x00\x29", b"\x81\x00\x28"))
    assert times == [0, 40, 41, 200, 240, 280]


def test_one_frame():
    format, _, times, _ = read(encode_noise("mp4", number=1, rate=NTSC))
    assert (format.rate, times) == (NTSC, [0])


def test_rate_of_the_caller():
    format, _, times, _ = read(encode_noise("mp4", times=UNEVEN, tick=Fraction(1, 30000)), rate=NTSC)
    assert (format.rate, format.tick, times) == (NTSC, 1 / NTSC, list(range(6)))
    with pytest.raises(CodecError, match="0 frames a second"):
        read(b"", rate=Fraction(0))


def test_timestamps_of_a_pipe_are_kept():
    format, _, times, _ = read(Pipe(encode_noise("matroska", rate=NTSC)))
    assert (format.rate, format.tick, times) == (NTSC, Fraction(1, 1000), [0, 33, 67, 100, 133, 167])


def test_length_is_known_where_it_can_be():
    y4m = write_y4m(make_format(), noise(make_format(), 5))
    for stream, length in ((io.BytesIO(y4m), 5), (Pipe(y4m), None)):
        with open_clip(stream) as clip:
            assert clip.length == length


# Folders ----------------------------------------------------------------------------------------------------


def fill(folder, pictures):
    folder.mkdir()
    for name, pixels in pictures.items():
        iio.imwrite(folder / name, pixels)
    return folder


def test_pictures_of_a_folder_in_natural_order(tmp_path):
    names = ["img1.png", "img2.png", "img10.png"]
    pictures = {name: picture(phase=phase) for phase, name in enumerate(names)}
    folder = fill(tmp_path / "frames", {name: pictures[name] for name in reversed(names)})
    (folder / "notes.txt").write_text("img3.png is missing")
    (folder / "._img1.png").write_bytes(b"what a Mac leaves behind")
    format, frames, times, notes = read(folder)
    assert format == Format(38, 26, "420", Fraction(25), Fraction(1, 25), full_range=True, matrix="bt601")
    assert (times, notes) == ([0, 1, 2], ["RGB becomes 4:2:0"])
    assert_same(frames, [from_rgb(pixels) for pixels in pictures.values()])
    format, frames, _, _ = read(str(folder), rate=NTSC, sampling="444")
    assert (format.rate, format.tick, format.sampling) == (NTSC, 1 / NTSC, "444")
    assert_same(frames, [from_rgb(pixels, "444") for pixels in pictures.values()])


def test_gray_pictures(tmp_path):
    folder = fill(tmp_path / "frames", {"a.png": picture()[..., 0], "b.png": picture()[..., 1]})
    format, frames, _, notes = read(folder, sampling="420")
    assert (format.sampling, format.full_range, notes) == ("400", True, [])
    assert_same(frames, [(picture()[..., 0],), (picture()[..., 1],)])


def test_gray_and_colour_together(tmp_path):
    gray, colour = picture()[..., 0], picture()
    _, frames, _, _ = read(fill(tmp_path / "colour first", {"1.png": colour, "2.png": gray}))
    assert_same(frames, [from_rgb(colour), from_rgb(color.gray_to_rgb(gray))])
    folder = fill(tmp_path / "gray first", {"1.png": gray, "2.png": colour})
    with pytest.raises(UnsupportedError, match=r"2\.png: colour.*sampling 400"):
        read(folder)
    _, frames, _, _ = read(folder, sampling="400")
    assert_same(frames, [(gray,), from_rgb(colour, "400")])


def test_transparent_pictures(tmp_path):
    clear = np.dstack([picture(), np.zeros((26, 38), np.uint8)])
    _, frames, _, notes = read(fill(tmp_path / "frames", {"1.png": picture(), "2.png": clear, "3.png": clear}))
    assert_same(frames[1:], [from_rgb(np.full((26, 38, 3), 255, np.uint8))] * 2)
    assert notes == ["RGB becomes 4:2:0", "what is transparent is shown on white"]


def test_colour_profiles_of_pictures(tmp_path):
    folder = fill(tmp_path / "frames", {})
    for name in ("1.png", "2.png"):
        Image.fromarray(picture()).save(folder / name, icc_profile=b"a profile")
    assert read(folder)[3] == ["colour profiles are left out", "RGB becomes 4:2:0"]


def test_folders_that_are_no_clip(tmp_path):
    with pytest.raises(UnsupportedError, match="no pictures"):
        read(fill(tmp_path / "empty", {}))
    with pytest.raises(UnsupportedError, match=r"2\.png: 38 x 24 pixels, and 38 x 26"):
        read(fill(tmp_path / "sizes", {"1.png": picture(), "2.png": picture(24)}))
    with pytest.raises(LimitError, match="size_limit"):
        read(fill(tmp_path / "large", {"1.png": picture()}), size_limit=900)
    folder = fill(tmp_path / "broken", {"1.png": picture()})
    (folder / "2.png").write_bytes(b"no picture")
    with pytest.raises(UnsupportedError, match=r"2\.png"):
        read(folder)


# What is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"once upon a time\n" * 200, bytes(5000), b"YUV4MPEG2 W"])
def test_what_is_no_video(tmp_path, content):
    path = tmp_path / "story.txt"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"story\.txt: damaged, or no video"):
        open_clip(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.mp4"):
        open_clip(tmp_path / "nowhere.mp4")


def test_a_playlist_opens_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "secret.mp4").write_bytes(encode_noise("mp4"))
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile secret.mp4\n"
    with av.open(io.BytesIO(playlist)) as container:
        assert container.streams.video  # so FFmpeg would have opened it
    with pytest.raises(CodecError):
        read(playlist)


def test_a_record_and_its_cover_are_no_video():
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        sound = container.add_stream("aac", 8000, layout="mono")
        cover = container.add_stream("mjpeg", 1, width=16, height=16, pix_fmt="yuvj420p")
        cover.disposition = Disposition.attached_pic
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        for stream, frame in (
            (cover, av.VideoFrame(16, 16, "yuvj420p")),
            (cover, None),
            (sound, samples),
            (sound, None),
        ):
            container.mux(stream.encode(frame))
    with pytest.raises(UnsupportedError, match="no video in it"):
        read(out.getvalue())


def test_an_unknown_codec():
    with pytest.raises(UnsupportedError, match="compressed in a way"):
        read(encode_noise("mp4").replace(b"avc1", b"zzzz"))


def test_no_frames():
    with pytest.raises(UnsupportedError, match="no frames"):
        read(b"YUV4MPEG2 W38 H26 F25:1 C420jpeg\n")


@pytest.mark.parametrize(
    ("muxer", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("matroska", "libx264"),
        ("webm", "libvpx"),
        ("avi", "mpeg4"),
        ("gif", "gif"),
    ],
)
def test_files_that_are_cut_off(muxer, codec):
    data = (
        encode("gif", "gif", "rgb8", [[np.eye(16, dtype=np.uint8)]] * 4)
        if muxer == "gif"
        else encode_noise(muxer, codec)
    )
    read(data)
    for size in (len(data) - 1, len(data) - 20, len(data) // 2):
        with pytest.raises(TruncatedError, match=r"cut off.*ffmpeg"):
            read(data[:size])


def test_a_long_box_that_is_cut_off():
    data = encode_noise("mp4")
    place = data.index(b"\0\0\0\x08free")
    size, kind = struct.unpack(">I4s", data[place + 8 : place + 16])
    assert kind == b"mdat"
    data = data[:place] + struct.pack(">I4sQ", 1, b"mdat", size + 8) + data[place + 16 :]  # ISO/IEC 14496-12, 4.2
    assert len(read(data)[1]) == 6
    with pytest.raises(TruncatedError):
        read(data[: place + 8 + size - 1])


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_what_was_written_to_a_pipe_does_not_know_its_length(suffix):
    sink = Sink()
    write_clip(sink, make_format(), numbered(smooth(make_format(), 3)), suffix=suffix)
    assert len(read(sink.data)[1]) == 3


def test_a_frame_that_lacks_its_end():
    with pytest.raises(FormatError, match="damaged at frame"):
        read(encode_noise("h264")[:-7])


def test_what_cannot_be_read_from_a_pipe(monkeypatch):
    monkeypatch.setattr(clips, "READ_SIZE", 2048)  # FFmpeg can go back so far
    data = encode_noise("mp4", number=12)
    assert len(data) > 4 * 2048
    with pytest.raises(FormatError, match="save it to a file first"):
        read(Pipe(data))


@pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
def test_y4m_that_is_cut_off(stream):
    format = make_format()
    data = write_y4m(format, noise(format, 3))
    with open_clip(stream(data[:-1])) as clip:
        assert len([next(clip), next(clip)]) == 2
        with pytest.raises(TruncatedError, match="cut off in frame 2"):
            next(clip)


def test_damage():
    data = encode("mov", "png", "rgb24", [[picture(phase=phase)] for phase in range(4)])
    first, _, third, _ = (start for start in range(len(data)) if data.startswith(b"\x89PNG", start))
    with open_clip(io.BytesIO(data[: third + 60] + bytes(40) + data[third + 100 :])) as clip:
        assert [time for _, time in (next(clip), next(clip))] == [0, 1]
        with pytest.raises(FormatError, match=r"damaged at frame 2.*ffmpeg"):
            list(clip)
    with pytest.raises(FormatError, match="damaged at frame 0"):
        read(data[: first + 60] + bytes(40) + data[first + 100 :])


def test_a_recording_may_begin_with_frames_that_need_others():
    data = encode_noise("webm", "libvpx", number=9, options={"g": "5", "deadline": "realtime"})
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="webm") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        assert [number for number, packet in enumerate(packets) if packet.is_keyframe] == [0, 5]
        for packet in packets[3:]:
            packet.stream = stream
            container.mux(packet)
    _, frames, times, _ = read(out.getvalue())
    assert_same(frames, read(data)[1][5:])
    assert times == [0, 1, 2, 3]


def test_frames_that_change_their_size():
    data = encode("mjpeg", "mjpeg", "yuvj420p", noise(make_format(), 2))
    data += encode("mjpeg", "mjpeg", "yuvj420p", noise(make_format(width=64), 2))
    with open_clip(io.BytesIO(data)) as clip:
        next(clip), next(clip)
        with pytest.raises(UnsupportedError, match=r"from 38 x 26 pixels.*to 64 x 26 pixels"):
            next(clip)


def test_size_limit():
    data = encode_noise("mp4", size=(36, 26))
    read(data, size_limit=36 * 26)
    with pytest.raises(LimitError, match=r"36 x 26 pixels are over the limit of 935; raise it with size_limit="):
        read(data, size_limit=36 * 26 - 1)


def test_unknown_sampling():
    with pytest.raises(CodecError, match="unknown sampling '422'"):
        read(b"", sampling="422")


def test_nothing_but_codec_errors_leaves_damaged_files():
    rng = np.random.default_rng(2)
    outcomes = set()
    for data in (encode_noise("mp4"), encode_noise("matroska"), encode_noise("avi", "mpeg4"), encode_noise("mpegts")):
        for _ in range(25):
            damaged = bytearray(data)
            for position in rng.integers(0, len(data), 6):
                damaged[position] = rng.integers(256)
            try:
                format, frames, _, _ = read(bytes(damaged), size_limit=1 << 20)
            except CodecError as error:
                outcomes.add(type(error))
            else:
                assert all([plane.shape for plane in planes] == format.shapes for planes in frames)
    assert {FormatError, UnsupportedError} <= outcomes


# Writing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("sampling", ["420", "444"])
def test_h264_keeps_all_but_a_little(tmp_path, suffix, matrix, full_range, sampling):
    format = make_format(sampling, NTSC, full_range=full_range, matrix=matrix)
    frames = smooth(format, 5)
    path, notes = write(tmp_path, f"clip{suffix}", format, numbered(frames))
    found, back, times, _ = read(path)
    assert (found, times, notes) == (format, list(range(5)), [])
    for planes, others in zip(back, frames, strict=True):
        assert all(psnr(plane, other) > 48 for plane, other in zip(planes, others, strict=True))


@pytest.mark.parametrize("full_range", [False, True])
def test_gray_in_h264(tmp_path, full_range):
    format = make_format("400", full_range=full_range)
    frames = smooth(format, 3)
    path, notes = write(tmp_path, "clip.mp4", format, numbered(frames))
    found, back, _, _ = read(path, sampling="400")
    assert (found, notes) == (format, [])
    assert min(psnr(planes[0], others[0]) for planes, others in zip(back, frames, strict=True)) > 38


def test_odd_sides_in_h264(tmp_path):
    format = make_format(width=37, height=25)
    frames = smooth(format, 2)
    path, (note,) = write(tmp_path, "clip.mp4", format, numbered(frames))
    assert "37 x 25 pixels become 38 x 26" in note
    found, back, _, _ = read(path)
    assert (found.width, found.height) == (38, 26)
    assert psnr(back[0][0][:25, :37], frames[0][0]) > 38 and psnr(back[0][0][25, :37], frames[0][0][24]) > 30
    path, notes = write(
        tmp_path,
        "444.mp4",
        replace(format, sampling="444"),
        numbered(smooth(make_format("444", width=37, height=25), 2)),
    )
    assert (read(path)[0].width, notes) == (37, [])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_variable_rates_are_written_exactly(tmp_path, suffix):
    tick = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    format = make_format(rate=Fraction(9), tick=tick)
    times = [5, 45, 1000, 1001, 2000]
    path, notes = write(tmp_path, f"clip{suffix}", format, list(zip(smooth(format, 5), times, strict=True)))
    found, _, back, _ = read(path)
    assert [time * found.tick for time in back] == [(time - 5) * tick for time in times]
    assert notes == []


def test_matroska_counts_milliseconds(tmp_path):
    format = make_format(rate=Fraction(9), tick=Fraction(1, 90000))
    path, notes = write(tmp_path, "clip.mkv", format, list(zip(smooth(format, 4), [0, 100, 5000, 90000], strict=True)))
    assert read(path)[2] == [0, 1, 56, 1000]
    assert notes == ["times of frames are rounded to milliseconds"]


@pytest.mark.parametrize("sampling", ["400", "420", "444"])
@pytest.mark.parametrize(("full_range", "matrix"), [(True, "bt601"), (False, "bt709")])
def test_avi(tmp_path, sampling, full_range, matrix):
    format = make_format(sampling, NTSC, width=37, height=25, full_range=full_range, matrix=matrix)
    frames = smooth(format, 3)
    path, notes = write(tmp_path, "clip.avi", format, numbered(frames))
    found, back, times, _ = read(path)
    stored = "420" if sampling == "400" else sampling
    assert found == replace(format, sampling=stored, full_range=True, matrix="bt601")
    assert (times, notes) == ([0, 1, 2], ["gray is stored as 4:2:0"] if sampling == "400" else [])
    for planes, others in zip(back, frames, strict=True):
        shown = to_rgb(others, full_range=full_range, matrix=matrix)
        assert psnr(to_rgb(planes), shown if shown.ndim == 3 else color.gray_to_rgb(shown)) > 45


@pytest.mark.parametrize("sampling", ["400", "444"])
def test_gif(tmp_path, sampling):
    format = make_format(sampling, Fraction(20), matrix="bt709")
    frames = smooth(format, 4)
    path, notes = write(tmp_path, "clip.gif", format, numbered(frames))
    found, back, times, _ = read(path, sampling="444")
    assert (found.rate, found.width, found.height, times, notes) == (20, 38, 26, [0, 1, 2, 3], [])
    for planes, others in zip(back, frames, strict=True):
        shown = to_rgb(others, full_range=False, matrix="bt709")
        if sampling == "400":  # has at most 256 levels
            np.testing.assert_array_equal(to_rgb(planes), color.gray_to_rgb(shown))
        else:
            assert psnr(to_rgb(planes), shown) > 30


def test_delays_of_a_gif(tmp_path):
    format = make_format(rate=Fraction(9), tick=Fraction(1, 1000), width=8, height=8)
    frames = smooth(format, 5)
    path, notes = write(tmp_path, "clip.gif", format, list(zip(frames, [0, 20, 50, 700, 1000], strict=True)))
    with Image.open(path) as image:
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert (delays[:4], notes) == ([20, 30, 650, 300], [])
    _, notes = write(tmp_path, "rounded.gif", format, list(zip(frames, [0, 33, 67, 100, 133], strict=True)))
    assert notes == ["times of frames are rounded to 1/100 s"]
    path, notes = write(tmp_path, "fast.gif", format, list(zip(frames, [0, 1, 2, 3, 4], strict=True)))
    assert len(notes) == 2 and "slow" in notes[1]
    with Image.open(path) as image:
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(image)][:4] == [10] * 4


def test_colours_of_a_gif_are_chosen_for_each_frame(tmp_path):
    format = make_format("444", full_range=True)
    flat = [from_rgb(np.full((26, 38, 3), colour, np.uint8), "444") for colour in ((250, 3, 7), (9, 11, 240))]
    path, _ = write(tmp_path, "clip.gif", format, numbered(flat))
    assert_same(read(path, sampling="444")[1], flat)


def test_a_folder_of_pictures(tmp_path):
    format = make_format(matrix="bt709")
    frames = smooth(format, 3)
    notes = write_clip(f"{tmp_path}/frames/", format, numbered(frames))
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert (names, notes) == (["000000.png", "000001.png", "000002.png"], [])
    for name, planes in zip(names, frames, strict=True):
        expected = to_rgb(planes, full_range=False, matrix="bt709")
        np.testing.assert_array_equal(iio.imread(tmp_path / "frames" / name), expected)
    with pytest.raises(FileExistsError, match=r"000000\.png"):
        write_clip(tmp_path / "frames", format, numbered(frames))
    write_clip(tmp_path / "frames", format, numbered(frames), force=True)
    gray = make_format("400", full_range=True)
    write_clip(tmp_path / "gray", gray, numbered(noise(gray, 1)), suffix="/")
    np.testing.assert_array_equal(iio.imread(tmp_path / "gray" / "000000.png"), noise(gray, 1)[0][0])


@pytest.mark.parametrize("name", ["clip.y4m", "clip.avi", "clip/"])
def test_where_the_rate_is_constant_a_variable_one_is_noted(tmp_path, name):
    format = make_format(rate=Fraction(5), tick=Fraction(1, 1000))
    frames = smooth(format, 4)
    notes = write_clip(f"{tmp_path}/{name}", format, list(zip(frames, [0, 10, 300, 600], strict=True)))
    assert len(notes) == 1 and "times of frames are lost; they are 5 a second" in notes[0]
    found, back, times, _ = read(tmp_path / name, rate=Fraction(5) if name == "clip/" else None)
    assert (found.rate, times, len(back)) == (5, [0, 1, 2, 3], 4)


def test_times_that_were_only_rounded_are_those_of_a_constant_rate():
    format = make_format(rate=NTSC, tick=Fraction(1, 1000))
    times = [round(1000 * i / NTSC) for i in range(40)]
    assert write_clip(io.BytesIO(), format, list(zip(smooth(format, 40), times, strict=True))) == []
    times[20] += 2
    assert len(write_clip(io.BytesIO(), format, list(zip(smooth(format, 40), times, strict=True)))) == 1


def test_y4m_says_nothing_of_the_matrix():
    format = make_format(matrix="bt709")
    (note,) = write_clip(io.BytesIO(), format, numbered(smooth(format, 1)))
    assert "bt709" in note
    gray, large = make_format("400", matrix="bt709"), make_format(width=1280, height=8, matrix="bt709")
    for format in (gray, large):
        assert write_clip(io.BytesIO(), format, numbered(smooth(format, 1))) == []


def test_pipes(tmp_path):
    format = make_format()
    frames = noise(format, 2)
    sink = Sink()
    write_clip(sink, format, numbered(frames))
    assert sink.data == write_y4m(format, frames)
    for suffix in (".mp4", ".mov"):
        sink = Sink()
        with pytest.raises(UnsupportedError, match=rf"\{suffix} cannot be written to a pipe; \.mkv and \.y4m can"):
            write_clip(sink, format, numbered(frames), suffix=suffix)
        assert not sink.data


def test_case_of_extensions_does_not_count(tmp_path):
    path, _ = write(tmp_path, "clip.Y4M", make_format(), numbered(smooth(make_format(), 1)))
    assert path.read_bytes().startswith(b"YUV4MPEG2")


def test_times_may_begin_anywhere():
    format = make_format()
    late = [(planes, time + 100) for planes, time in numbered(smooth(format, 3))]
    assert write_clip(io.BytesIO(), format, late) == []


@pytest.mark.parametrize("suffix", [*SUFFIXES, "/"])
def test_frames_that_cannot_be_written(tmp_path, suffix):
    format = make_format()
    frames = smooth(format, 3)
    with pytest.raises(UnsupportedError, match="no frames"):
        write(tmp_path, "clip", format, [], suffix=suffix)
    sink = Sink()
    with pytest.raises(UnsupportedError, match="no frames"):
        write_clip(sink, format, [])
    assert not sink.data
    with pytest.raises(UnsupportedError, match=r"planes of shapes \[\(26, 38\)\]"):
        write(tmp_path, "clip", format, [(frames[0][:1], 0)], suffix=suffix)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnsupportedError, match="planes of shapes"):
        write(tmp_path, "clip", format, numbered([frames[0], noise(make_format(width=40), 1)[0]]), suffix=suffix)
    with pytest.raises(UnsupportedError, match="must rise, and 1 comes after 1"):
        write(tmp_path, "clip", format, [(planes, 1) for planes in frames], suffix=suffix, force=True)
    assert [path.name for path in tmp_path.iterdir()] == (["clip"] if suffix == "/" else [])


def test_files_that_cannot_be_written(tmp_path):
    frames = numbered(smooth(make_format(), 2))
    for name, message in (("clip.wmv", r"'\.wmv'; known are \.avi"), ("clip", "no extension")):
        with pytest.raises(UnsupportedError, match=message):
            write(tmp_path, name, make_format(), frames)
    for format in (make_format(tick=Fraction(1, 1 << 40)), make_format(rate=Fraction(1 << 40, 3))):
        with pytest.raises(UnsupportedError, match="FFmpeg cannot write this clip"):
            write(tmp_path, "clip.mp4", format, frames)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path, suffix):
    format = make_format()
    path, _ = write(tmp_path, f"clip{suffix}", format, numbered(smooth(format, 2)))
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_clip(path, format, numbered(smooth(format, 3)))

    def interrupted():
        yield from numbered(smooth(format, 3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(path, format, interrupted(), force=True)
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], before)
    write_clip(path, format, numbered(smooth(format, 3)), force=True)
    assert len(read(path)[1]) == 3


def test_a_disk_that_is_full(tmp_path):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    format = make_format()
    for suffix in SUFFIXES:
        with pytest.raises(OSError, match="No space left"):
            write_clip(Full(), format, numbered(smooth(format, 2)), suffix=suffix)


# Memory, time, quiet ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*SUFFIXES, "/"])
def test_only_a_few_frames_are_held_when_writing(tmp_path, suffix):
    format = make_format(width=16, height=16)
    alive = []

    def frames():
        for time in range(40):
            (planes,) = smooth(format, 1)
            alive.append(weakref.ref(planes[0]))
            yield planes, time
            del planes
            assert sum(plane() is not None for plane in alive) <= 3

    write_clip(tmp_path / "clip", format, frames(), suffix=suffix)
    assert len(alive) == 40


def test_colours_of_a_gif_do_not_wait_for_the_last_frame():
    format, taken = make_format(), 0

    def frames():
        nonlocal taken
        for taken, planes in enumerate(smooth(format, 10), 1):
            yield planes, taken

    next(clip_writer._reduce_colours(frames(), format))
    assert taken <= 2


def test_only_a_few_frames_are_held_when_reading():
    format = make_format(width=64, height=64)
    for data in (write_y4m(format, noise(format, 50)), encode_noise("mp4", number=50, size=(64, 64))):
        with open_clip(io.BytesIO(data)) as clip:
            alive = []
            for planes, _ in clip:
                alive.append(weakref.ref(planes[0]))
                del planes
                assert sum(plane() is not None for plane in alive) <= 2
            assert len(alive) == 50


def test_a_pipe_is_read_as_frames_are_asked_for():
    format = make_format(width=128, height=128)
    frame = b"FRAME\n" + bytes(128 * 128 * 3 // 2)
    pipe = Pipe(b"YUV4MPEG2 W128 H128 F25:1 C420jpeg\n" + 100 * frame)
    with open_clip(pipe) as clip:
        for number, _ in enumerate(clip):
            assert pipe.rest.tell() <= (number + 1) * len(frame) + (1 << 19)
    assert (clip.format, number) == (format, 99)


def test_the_stream_of_the_caller_stays_open():
    stream = io.BytesIO(encode_noise("mp4"))
    with open_clip(stream) as clip:
        next(clip)
    assert not stream.closed
    assert list(clip) == []


def test_files_are_closed(tmp_path, monkeypatch):
    files, original = [], Path.open

    def record(path, *args, **options):
        files.append(original(path, *args, **options))
        return files[-1]

    monkeypatch.setattr(Path, "open", record)
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_noise("mp4"))
    with open_clip(path) as clip:
        next(clip)
        assert not files[-1].closed
    assert files[-1].closed
    path.write_bytes(b"no video")
    with pytest.raises(FormatError):
        open_clip(path)
    assert files[-1].closed


def test_importing_waits_for_nothing_slow():
    code = "import sys, codec.clips, codec.clip_writer; print({'av', 'PIL', 'imageio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_ffmpeg_is_silent(tmp_path, capfd):
    format = make_format()
    for suffix in SUFFIXES:
        path, _ = write(tmp_path, f"clip{suffix}", format, numbered(smooth(format, 2)))
        read(path)
        with pytest.raises(CodecError):
            read(path.read_bytes()[:-30])
    assert capfd.readouterr() == ("", "")
