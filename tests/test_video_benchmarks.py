"""Tests of the video benchmarks: that they measure what they say, on clips so small that the figures mean nothing."""

import hashlib
import io
import itertools
import json
import lzma
import math
import re
import subprocess
import sys
import zlib
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks import curves, exact, harness, video_curves, video_exact, video_memory, video_seek, video_speed
from benchmarks.video_rivals import GOP, MJPEG, MPEG2, MPEG4, RIVALS, X264, Footage, RivalError, TcodecVideo
from codec.frames import Format

RATE = Fraction(30000, 1001)


def make_footage(height, width, count, sampling="420"):
    """Waves that drift, at all levels from 0 to 255; frames are odd pictures of their own beyond 32."""
    footage = Footage(Format(width, height, sampling, RATE, 1 / RATE), [])
    for time in range(count):
        planes = []
        for number, (rows, columns) in enumerate(footage.format.shapes):
            y, x = np.mgrid[:rows, :columns] * (height / rows)
            wave = np.cos((x * 0.2 + y * (0.1 + 0.05 * number)) + 0.3 * time + number)
            planes.append(np.clip(127.5 + 140 * wave, 0, 255).astype(np.uint8))
        footage.frames.append(tuple(planes))
    return footage


def noise(height, width, count):
    """Frames that no other frame predicts."""
    rng = np.random.default_rng(0)
    footage = make_footage(height, width, 0)
    footage.frames.extend(
        tuple(rng.integers(0, 256, shape, np.uint8) for shape in footage.format.shapes) for _ in range(count)
    )
    return footage


def write_y4m(path, footage):
    form = footage.format
    space = {"400": "mono", "420": "420jpeg"}[form.sampling]
    frames = (b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in footage.frames)
    rate = f"{form.rate.numerator}:{form.rate.denominator}"
    header = f"YUV4MPEG2 W{form.width} H{form.height} F{rate} Ip A1:1 C{space}\n"
    path.write_bytes(header.encode() + b"".join(frames))
    return path


@pytest.fixture(scope="module")
def footage():
    return make_footage(48, 64, 5)


@pytest.fixture(scope="module")
def clip(footage, tmp_path_factory):
    return write_y4m(tmp_path_factory.mktemp("clips") / "wave.cif.y4m", footage)


def run(main, tmp_path, *arguments):
    """Run a command; return its exit status and what it wrote."""
    file = tmp_path / "result.json"
    status = main([*map(str, arguments), "--json", str(file)])
    return status, json.loads(file.read_text())


def unmet(result):
    return [target["what"] for target in result["targets"] if not harness.Target(**target).met]


def equal(frames, others):
    return len(frames) == len(others) and all(
        len(a) == len(b) and all(map(np.array_equal, a, b)) for a, b in zip(frames, others, strict=True)
    )


class Coarse:
    """A codec that divides all samples by the quality; its streams are so many times longer."""

    ladder = (16, 9, 5, 2)

    def __init__(self, name, times=1):
        self.name, self.times = name, times
        self.calls = []

    def encode(self, footage, quality):
        self.calls.append(("encode", quality, len(footage.frames)))
        self.shapes = footage.format.shapes
        samples = b"".join((plane // quality).tobytes() for planes in footage.frames for plane in planes)
        data = bytes([quality]) + zlib.compress(samples)
        return (len(data).to_bytes(4, "big") + data) * self.times

    def decode(self, data):
        size = int.from_bytes(data[:4], "big")
        quality, samples = data[4], np.frombuffer(zlib.decompress(data[5 : 4 + size]), np.uint8).astype(int)
        self.calls.append(("decode", quality, len(data)))
        frames, start = [], 0
        while start < len(samples):
            planes = []
            for rows, columns in self.shapes:
                plane = samples[start : start + rows * columns].reshape(rows, columns)
                planes.append(np.minimum(plane * quality + quality // 2, 255).astype(np.uint8))
                start += rows * columns
            frames.append(tuple(planes))
        return frames


# Clips ------------------------------------------------------------------------------------------------------


def test_clips_are_loaded_as_they_are_and_by_name(clip, footage, tmp_path):
    packed = tmp_path / "packed.y4m.xz"
    packed.write_bytes(lzma.compress(clip.read_bytes()))
    loaded = harness.load_clips([clip, packed])
    assert list(loaded) == ["wave", "packed"]
    for each in loaded.values():
        assert equal(each.frames, footage.frames)
        assert (each.format.width, each.format.height, each.format.rate) == (64, 48, RATE)


def test_only_the_first_frames_are_loaded_if_asked(clip, footage):
    assert equal(harness.load_clip(clip, 3).frames, footage.frames[:3])


def test_time_of_children_is_theirs_alone():
    code = "import time\nwhile time.process_time() < 0.3: pass"
    _, child = harness.child_cpu_seconds(subprocess.run, [sys.executable, "-c", code], check=True)
    _, own = harness.child_cpu_seconds(lambda: sum(range(3_000_000)))
    assert child >= 0.3
    assert own == 0


def test_kilobits_are_those_of_a_second(footage):
    # 5 frames of 30000/1001 a second; 1001 bytes
    assert footage.kilobits(1001) == pytest.approx(8 * 1001 / 1000 * (30000 / 1001) / 5)


# Rivals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival", [*RIVALS, TcodecVideo()], ids=lambda rival: rival.name)
def test_rivals_decode_what_they_encode_and_obey_the_quality(rival, footage):
    coarse, fine = (rival.encode(footage, rival.ladder[end]) for end in (0, -1))
    decoded = rival.decode(fine)
    assert [plane.shape for plane in decoded[0]] == footage.format.shapes
    assert min(video_curves.psnr(footage.frames, decoded)) > 40  # all planes: no range or matrix was converted
    assert len(coarse) < len(fine)
    assert video_curves.psnr(footage.frames, rival.decode(coarse))[0] < 37


@pytest.mark.parametrize(
    ("rival", "start"),
    [(MPEG2, "000001b3"), (MPEG4, "000001b0"), (MJPEG, "ffd8"), *((rival, "0000000167") for rival in X264)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_streams_are_elementary(rival, start, footage):
    assert rival.encode(footage, 20).hex().startswith(start)  # a sequence header or a picture


@pytest.mark.parametrize(
    ("rival", "header", "shift", "types"),
    [(MPEG2, rb"\x00\x00\x01\x00.(.)", 3, " IPB"), (MPEG4, rb"\x00\x00\x01\xb6(.)", 6, "IPB")],  # of a picture
    ids=["mpeg2video", "mpeg4"],
)
def test_mpegs_have_an_i_frame_every_gop_whatever_the_content(rival, header, shift, types):
    stream = rival.encode(noise(32, 32, 2 * GOP + 4), 31)
    pictures = "".join(types[match[1][0] >> shift & 3] for match in re.finditer(header, stream, re.DOTALL))
    assert len(pictures) == 2 * GOP + 4
    assert pictures.count("I") == 3
    assert "PBBP" in pictures
    assert "BBB" not in pictures


@pytest.mark.parametrize("rival", X264, ids=lambda rival: rival.name)
def test_x264_has_an_i_frame_every_gop_and_no_comments(rival):
    stream = rival.encode(noise(32, 32, 2 * GOP + 4), 40)
    units = [match[1][0] & 31 for match in re.finditer(rb"\x00\x00\x01(.)", stream, re.DOTALL)]
    assert units.count(5) == 3  # pictures to start at
    assert 6 not in units  # x264 would write its version and settings


def test_gray_gets_flat_chroma_and_only_luma_counts():
    gray = make_footage(48, 64, 3, "400")
    decoded = MPEG2.decode(MPEG2.encode(gray, 2))
    assert len(decoded[0]) == 3
    assert all((np.abs(plane.astype(int) - 128) <= 1).all() for planes in decoded for plane in planes[1:])
    [y] = video_curves.psnr(gray.frames, decoded)
    assert y > 40


@pytest.mark.parametrize("rival", [MPEG2, MPEG4, MJPEG], ids=lambda rival: rival.name)
def test_odd_sizes_come_back(rival):
    odd = make_footage(17, 33, 3)
    decoded = rival.decode(rival.encode(odd, 2))
    assert [plane.shape for plane in decoded[0]] == [(17, 33), (9, 17), (9, 17)]
    assert min(video_curves.psnr(odd.frames, decoded)) > 37


@pytest.mark.parametrize(
    ("rival", "footage", "reason"),
    [(X264[0], make_footage(17, 33, 2), "divisible by 2"), (MPEG2, make_footage(16, 16, 2, "444"), "4:2:0")],
)
def test_a_rival_says_what_it_refuses(rival, footage, reason):
    with pytest.raises(RivalError, match=reason):
        rival.encode(footage, 20)


def test_a_damaged_stream_is_not_patched_up_in_silence(footage):
    stream = bytearray(MPEG2.encode(footage, 2))
    stream[len(stream) // 3 : len(stream) // 2] = bytes(len(stream) // 2 - len(stream) // 3)
    with pytest.raises(RivalError, match="ffmpeg"):
        MPEG2.decode(bytes(stream))


# Curves -----------------------------------------------------------------------------------------------------


def test_psnr_is_the_mean_over_frames_of_each_plane():
    black = tuple(np.zeros(shape, np.uint8) for shape in ((4, 6), (2, 3), (2, 3)))
    one, four = (tuple(plane + np.uint8(step) for plane in black) for step in (1, 4))
    mixed = (one[0], four[1], black[2])
    full = 20 * math.log10(255)
    assert video_curves.psnr([black], [mixed]) == pytest.approx([full, full - 20 * math.log10(4), 100])
    assert video_curves.psnr([black, black], [one, four]) == pytest.approx([full - 20 * math.log10(2)] * 3)
    assert video_curves.psnr([black[:1]], [mixed]) == pytest.approx([full])


def test_a_lost_frame_is_an_error(footage):
    with pytest.raises(ValueError, match="5 frames were encoded and 4 decoded"):
        video_curves.psnr(footage.frames, footage.frames[1:])


def test_points_are_real_sizes_and_the_weighted_psnr(footage):
    coarse = Coarse("coarse")
    points = video_curves.draw(coarse, footage)
    assert [point["quality"] for point in points] == [16, 9, 5, 2]
    data = coarse.encode(footage, 5)
    y, u, v = video_curves.psnr(footage.frames, coarse.decode(data))
    assert points[2] == {
        "quality": 5,
        "bytes": len(data),
        "kbit/s": footage.kilobits(len(data)),
        "Y-PSNR": y,
        "U-PSNR": u,
        "V-PSNR": v,
        "weighted PSNR": pytest.approx(0.75 * y + 0.125 * u + 0.125 * v),
    }


def test_curves_of_several_clips_are_averaged_point_by_point():
    clips = {"a": [{"bytes": 10, "Y-PSNR": 30}, {"bytes": 20, "Y-PSNR": 36}], "b": [{"bytes": 30, "Y-PSNR": 31}] * 2}
    assert curves.mean_points(clips) == [{"bytes": 20, "Y-PSNR": 30.5}, {"bytes": 25, "Y-PSNR": 33.5}]


def test_half_the_bytes_are_minus_50_percent_and_gray_has_luma_only(footage):
    clips = {"colour": footage, "gray": make_footage(48, 64, 4, "400")}
    drawn = video_curves.measure(clips, [Coarse("ours"), Coarse("same"), Coarse("double", times=2)]).curves
    rates, doubts = video_curves.bd_rates(drawn, "ours")
    assert rates["same"] == {
        "Y-PSNR": {"colour": 0, "gray": 0, "mean": 0},
        "weighted PSNR": {"colour": 0, "mean": 0},
    }
    assert list(rates["double"]["Y-PSNR"].values()) == pytest.approx([-50] * 3)
    assert list(rates["double"]["weighted PSNR"]) == ["colour", "mean"]
    assert doubts == {}


def test_mean_is_over_clips_and_short_overlap_is_told():
    def line(factor, low):
        return [{"bytes": factor * 2.0**step, "Y-PSNR": low + 5.0 * step} for step in range(4)]

    drawn = {"ours": {"a": line(100, 30), "b": line(100, 30)}, "rival": {"a": line(200, 30), "b": line(100, 36)}}
    rates, doubts = video_curves.bd_rates(drawn, "ours")
    a, b = -50, 100 * (2 ** (6 / 5) - 1)  # 6 dB further up at a factor of 2 for each 5 dB
    assert rates == {"rival": {"Y-PSNR": pytest.approx({"a": a, "b": b, "mean": (a + b) / 2})}}
    [(reason, which)] = doubts.items()
    assert reason.startswith("b: the curves share only 60%")
    assert which == ["Y-PSNR against rival"]


def test_all_curves_come_from_streams_and_all_limits_are_checked(clip, footage, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(video_curves, "CODECS", (video_curves.TCODEC, MPEG2, MPEG4, MJPEG))
    folder = tmp_path / "new" / "folder"
    status = video_curves.main([str(clip), "-o", str(folder)])
    result = json.loads((folder / "video_curves.json").read_text())
    assert status == bool(unmet(result))
    with Image.open(folder / "wave.png") as picture:
        assert picture.format == "PNG"
    points = result["data"]["curves"]["mpeg2video"]["wave"]
    assert [point["quality"] for point in points] == list(MPEG2.ladder)
    assert points[3]["bytes"] == len(MPEG2.encode(footage, MPEG2.ladder[3]))
    assert [(target["what"], target["limit"]) for target in result["targets"]] == [
        (f"BD-rate by {measure} against {rival}", limit)
        for (rival, limit), measure in itertools.product(
            [("mpeg2video", -10), ("mpeg4", 0), ("mjpeg", -60)], ["Y-PSNR", "weighted PSNR"]
        )
    ]
    rates = result["data"]["bd_rates"]["mjpeg"]["weighted PSNR"]
    assert rates["wave"] == rates["mean"] == result["targets"][-1]["value"]
    assert f"{rates['mean']:+.1f}" in capsys.readouterr().out


def test_rivals_that_are_not_there_are_named_and_the_rest_goes_on(footage, monkeypatch):
    def missing():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr(video_curves, "TCODEC", Coarse("tcodec"))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    measured = video_curves.measure({"wave": footage}, [video_curves.TCODEC, Coarse("other"), MPEG2])
    report = video_curves.report(measured)
    assert measured.left_out == ["mpeg2video, wave: ffmpeg is not installed: No ffmpeg exe could be found"]
    assert f"left out: {measured.left_out[0]}" in report.text
    assert list(report.data["bd_rates"]) == ["other"]
    assert report.targets == []


def test_a_program_that_is_not_where_it_should_be_is_named(footage, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    with pytest.raises(RivalError, match="/nowhere/ffmpeg"):
        MPEG2.encode(footage, 2)
    assert harness.environment()["ffmpeg"] == "not installed"


# Speed ------------------------------------------------------------------------------------------------------


def test_a_clip_is_played_forth_and_back():
    abc = Footage(make_footage(8, 8, 0).format, ["a", "b", "c"])
    assert "".join(video_speed.lengthen(abc, 10).frames) == "abcbabcbab"
    assert "".join(video_speed.lengthen(abc, 2).frames) == "ab"
    assert "".join(video_speed.lengthen(abc._replace(frames=["a"]), 3).frames) == "aaa"


def test_the_nearest_stream_is_nearest_by_ratio():
    assert video_speed.nearest({31: 100, 9: 220, 2: 900}, 500) == 2  # 1.8 times as long; 9 is 2.3 times shorter
    assert video_speed.nearest({31: 100, 9: 220, 2: 900}, 400) == 9


def test_programs_are_timed_as_children_and_others_as_this_process(footage, monkeypatch):
    monkeypatch.setattr(harness, "child_cpu_seconds", lambda work, *args: (work(*args), 1.0))
    monkeypatch.setattr(harness, "cpu_seconds", lambda work, *args: (work(*args), 2.0))
    assert video_speed.seconds(MPEG2, footage, 9).tolist() == [1, 1]
    assert video_speed.seconds(Coarse("own"), footage, 9).tolist() == [2, 2]


def test_the_start_of_a_program_is_not_counted(footage, monkeypatch):
    def seconds(codec, footage, quality):
        calls.append((codec.name, quality, len(footage.frames)))
        return np.array([0.5, 0.3]) + len(footage.frames) * np.array([0.02, 0.01]) * next(rounds)

    calls = []
    long = video_speed.lengthen(footage, 101)
    monkeypatch.setattr(video_speed, "seconds", seconds)
    for rival, encode in ((MPEG2, 100 / 2.0), (Coarse("own"), 101 / 2.52)):
        rounds = itertools.chain([1] * video_speed.STARTS, [1, 2, 0.5])
        entrant = video_speed.Entrant(rival, long, 9, size=1001)
        for _ in range(3):
            entrant.run()
        speed = entrant.speed()
        assert (speed.codec, speed.quality, speed.rate) == (rival.name, 9, long.kilobits(1001))
        assert speed.encode[0] == pytest.approx(encode)
        assert speed.decode[1] < speed.decode[0] < speed.decode[2]
    assert calls[: video_speed.STARTS] == [("mpeg2video", 9, 1)] * video_speed.STARTS
    assert calls[video_speed.STARTS :][:3] == [("mpeg2video", 9, 101)] * 3


def test_all_codecs_take_turns_at_rates_like_ours(footage, monkeypatch):
    ours, rival = Coarse("ours"), Coarse("rival", times=2)
    monkeypatch.setattr(video_speed, "TCODEC", ours)
    monkeypatch.setattr(video_speed, "QUALITIES", (9, 2))
    monkeypatch.setattr(video_speed, "seconds", lambda codec, footage, q: turns.append((codec.name, q)) or np.ones(2))
    turns = []
    groups = video_speed.measure(footage, [rival], rounds=2)
    nearest = {
        ours_at: min(
            rival.ladder,
            key=lambda q: abs(math.log(len(rival.encode(footage, q)) / len(ours.encode(footage, ours_at)))),
        )
        for ours_at in (9, 2)
    }
    one_round = [("ours", 9), ("rival", nearest[9]), ("ours", 2), ("rival", nearest[2])]
    assert turns[4 * video_speed.STARTS :] == one_round * 2
    assert [[speed.quality for speed in group] for group in groups] == [[9, nearest[9]], [2, nearest[2]]]
    assert nearest[9] > 9  # its streams are longer, so it takes a coarser step


def test_ratios_are_our_speed_by_that_of_the_rival_and_limits_are_for_cif_at_low_rates():
    def speed(name, rate, encode, decode):
        return video_speed.Speed(name, 50, rate, [encode, encode - 1, encode + 1], [decode, decode - 1, decode + 1])

    groups = [
        [speed("tcodec", 300, 25, 90), speed("mpeg2video", 310, 1000, 3000)],
        [speed("tcodec", 1400, 21, 59), speed("mpeg2video", 1350, 1000, 2950)],
        [speed("tcodec", 1500, 9, 9), speed("mpeg2video", 1350, 1000, 2950)],
    ]
    clips = {"cif": make_footage(288, 352, 1), "other": make_footage(48, 64, 1)}
    report = video_speed.report(clips, dict.fromkeys(clips, groups), ["other, mpeg4: reason"])
    assert [(target.what, target.value, target.limit) for target in report.targets] == [
        ("encode CIF up to 1.4 Mbit/s, cif", 21, 20),
        ("decode CIF up to 1.4 Mbit/s, cif", 59, 60),
    ]
    row = next(line for line in report.text.splitlines() if "| 1350" in line.replace("   ", " ").replace("  ", " "))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "mpeg2video", "50", "1350", "1000 (999 to 1001)", "2950 (2949 to 2951)", "0.021", "0.020",
    ]  # fmt: skip
    assert "left out: other, mpeg4: reason" in report.text


def test_speed_of_all_codecs_on_a_clip(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video_speed, "QUALITIES", (30, 60))
    monkeypatch.setattr(video_speed, "RIVALS", (MPEG2,))
    status, result = run(video_speed.main, tmp_path, clip, "--rounds", 1, "--length", 40)
    assert status == 0
    groups = result["data"]["wave"]
    assert [[speed["codec"] for speed in group] for group in groups] == [["tcodec", "mpeg2video"]] * 2
    assert groups[0][0]["rate"] < groups[1][0]["rate"]
    assert all(speed[way][0] > 0 for group in groups for speed in group for way in ("encode", "decode"))


# Memory -----------------------------------------------------------------------------------------------------


def test_memory_is_that_of_both_lengths(clip, tmp_path, monkeypatch):
    def in_fresh_process(work, *args):
        calls.append((work.__name__, args[1:2] if work is video_memory.encode else ()))
        return work(*args), 50 + 10 * len(calls)

    calls = []
    monkeypatch.setattr(video_memory, "LENGTHS", (4, 9))
    monkeypatch.setattr(video_memory, "CIF", (64, 48))
    monkeypatch.setattr(video_memory, "in_fresh_process", in_fresh_process)
    status, result = run(video_memory.main, tmp_path, clip)
    assert calls == [("encode", (4,)), ("decode", ()), ("encode", (9,)), ("decode", ())]
    peaks = result["data"]["clips"]["wave"]
    assert peaks["size"] == [64, 48]
    assert peaks["encode"] + peaks["decode"] == pytest.approx([1.048576 * mebi for mebi in (60, 80, 70, 90)])
    assert status == 1
    assert unmet(result) == ["growth of memory to encode wave", "growth of memory to decode wave"]
    assert result["targets"][-1]["what"] == "memory to decode CIF, wave"
    assert result["targets"][-1]["value"] == pytest.approx(90 * 1.048576)


# Exactness --------------------------------------------------------------------------------------------------


def test_decoded_frames_are_compared_with_the_encoders(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(exact, "CORES", ("default", "Nehalem"))
    monkeypatch.setattr(exact, "THREADS", (1,))
    monkeypatch.setattr(video_exact, "QUALITIES", (20, 80))
    status, result = run(video_exact.main, tmp_path, clip)
    assert status == 0
    expected = result["data"]["expected"]
    assert list(expected) == ["wave, quality 20", "wave, quality 80"]
    assert len(set(expected.values())) == 2
    assert all(each["pictures"] == list(expected.values()) for each in result["data"]["runs"])


def test_reconstructions_are_hashed_in_the_order_of_display(footage, tmp_path, monkeypatch):
    def backwards(frames, target, *, reconstruction, **_):
        for index in reversed(range(len(frames))):
            reconstruction(index, frames[index])

    monkeypatch.setattr(codec, "encode_video", backwards)
    samples = b"".join(plane.tobytes() for planes in footage.frames for plane in planes)
    assert video_exact.encode(footage, 50, tmp_path / "x.tvid") == hashlib.sha256(samples).hexdigest()


def test_a_frame_that_was_not_reconstructed_is_an_error(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(
        codec, "encode_video", lambda frames, target, *, reconstruction, **_: reconstruction(0, frames[0])
    )
    with pytest.raises(ValueError, match=r"frames \[0\] of 5"):
        video_exact.encode(footage, 50, tmp_path / "x.tvid")


def test_one_kernel_that_differs_is_a_failure():
    same, other = exact.Run("Haswell", 1, "p", ["1", "2"]), exact.Run("Nehalem", 2, "q", ["1", "3"])
    report = video_exact.report({"a": "1", "b": "2"}, [same, other])
    assert [(target.value, target.met) for target in report.targets] == [(1, False)]
    assert "| b    |              2 |             1 of 2 | Nehalem/2 |" in report.text
    assert [target.met for target in video_exact.report({"a": "1", "b": "2"}, [same, same]).targets] == [True]


# Seeking ----------------------------------------------------------------------------------------------------


def test_all_bytes_read_are_counted(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)))
    with video_seek.CountingFile(path) as file:
        file.seek(-50, io.SEEK_END)
        assert file.tell() == 150
        assert file.read(20) == bytes(range(150, 170))
        assert file.count == 20
        assert len(file.read()) == 30
        file.seek(0)
        assert io.BufferedReader(file, 16).read(3) == b"\0\1\2"
        assert file.count == 66  # buffering is what the file system sees


def test_seeking_in_a_long_video(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video_seek, "SEEKS", 3)
    monkeypatch.setattr(video_seek, "ROW", 2)
    status, result = run(video_seek.main, tmp_path, clip, "--minutes", 0.075)
    data = result["data"]
    assert status == bool(unmet(result))
    assert data["frames"] == 135  # 4.5 s at 29.97 frames a second: 4 GOPs and a rest
    assert data["wrong"] == 0
    assert len(data["seeks"]) == 3
    assert data["gop"]["size"] * 4 < data["size"]
    assert all(0 < seek["size"] < data["size"] / 2 for seek in data["seeks"])


def test_a_seek_is_measured_in_gops():
    cost = video_seek.Cost
    measured = video_seek.Measured(1000, 5000, cost(1, 1), cost(0.2, 100), [cost(0.1, 100), cost(0.5, 60)], wrong=1)
    targets = video_seek.report("clip", measured).targets
    assert [target.value for target in targets] == pytest.approx([1.5, 0.8, 1])
    assert [target.met for target in targets] == [False, True, False]
