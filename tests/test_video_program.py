"""Tests of the command line with videos: what is written where, what is said, and the exit status."""

import io
import json
import os
import pty
import shutil
import signal
import sys
import termios
from fractions import Fraction
from functools import partial
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from bitstreams.chunks import read_chunks
from codec import program
from codec.clip_writer import write_clip
from codec.clips import open_clip
from codec.commands import batch, videos
from codec.frames import Format, from_rgb
from codec.gop import plan_gop
from codec.reconstruct import steps
from tests.clips import encode, make_clip, same_frames
from tests.program import call, files, process

NTSC = Fraction(30000, 1001)
UNEVEN = [0, 40, 100, 130, 500, 550, 600, 640, 700, 710, 800, 890]  # milliseconds


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run every test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tcodec(capsysbinary):
    """Run the program; return exit status, standard output and the lines of standard error."""
    return partial(call, capsysbinary)


def save(name, frames=12, size=(34, 46), *, sampling="420", rate=Fraction(25), times=None, full_range=False):
    """Write a small clip to a file; return its bytes."""
    height, width = size
    format = Format(width, height, sampling, rate, Fraction(1, 1000) if times else 1 / rate, full_range)
    pictures = make_clip(frames, height, width, channels=1 if sampling == "400" else 3)
    planes = (from_rgb(picture, sampling, full_range=full_range) for picture in pictures)
    write_clip(name, format, zip(planes, times or range(frames), strict=True))
    with open(name, "rb") as file:
        return file.read()


def expected(name, rate=None, sampling=None, **options):
    """Return what the library makes of a clip."""
    with open_clip(name, rate=rate, sampling=sampling) as clip:
        return encode(list(clip), format=clip.format, **options)


def frames_of(name):
    """Return the planes and timestamps of any video file."""
    if str(name).endswith(".tvid"):
        with codec.open_video(name) as video:
            return list(video.planes())
    with open_clip(name) as clip:
        return list(clip)


def same_video(ours, theirs):
    one, other = frames_of(ours), frames_of(theirs)
    assert [time for _, time in one] == [time for _, time in other]
    return same_frames([planes for planes, _ in one], [planes for planes, _ in other])


def group_offsets(data):
    return [chunk.start for chunk in read_chunks(data, b"TVD") if chunk.type == b"GRUP"]


def flip(name, at):
    """Damage a byte of a file."""
    with open(name, "r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 4]))


# There and back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "gif", "y4m"])
def test_a_clip_goes_in_and_comes_out_beside_it(tcodec, folder, suffix):
    save(f"x.{suffix}", 4)
    assert tcodec("encode", f"x.{suffix}")[0] == 0
    assert (folder / "x.tvid").read_bytes() == expected(f"x.{suffix}")
    os.remove(f"x.{suffix}")
    assert tcodec("decode", "x.tvid")[:2] == (0, b"")
    assert files(folder) == ["x.mp4", "x.tvid"]
    assert len(frames_of("x.mp4")) == 4


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".gif", ".y4m"])
def test_the_extension_decides_the_format(tcodec, folder, suffix):
    save("x.y4m", 3)
    tcodec("encode", "x.y4m")
    assert tcodec("decode", "x.tvid", "-o", f"new/folder/back{suffix.upper()}")[0] == 0
    with codec.open_video("x.tvid") as video:
        write_clip(f"library{suffix}", video.format, video.planes())
    assert same_video(f"new/folder/back{suffix.upper()}", f"library{suffix}")


@pytest.mark.parametrize(
    ("size", "sampling", "full_range"),
    [
        ((1, 1), "400", True),
        ((1, 1), "420", False),
        ((1, 2), "444", False),
        ((17, 33), "400", True),
        ((17, 33), "420", True),
        ((17, 33), "444", True),
        ((34, 46), "420", False),
    ],
)
def test_y4m_keeps_what_was_decoded(tcodec, size, sampling, full_range):
    save("x.y4m", 3, size, sampling=sampling, full_range=full_range, rate=NTSC)
    assert tcodec("encode", "x.y4m")[0] == 0
    assert tcodec("decode", "x.tvid", "-o", "back.y4m")[0] == 0
    assert same_video("back.y4m", "x.tvid")
    with open_clip("back.y4m") as clip, codec.open_video("x.tvid") as video:
        assert clip.format == video.format
        assert (video.fps, video.format.sampling, video.format.full_range) == (NTSC, sampling, full_range)


def test_times_of_a_variable_rate_are_kept(tcodec):
    save("x.mkv", times=UNEVEN)
    assert tcodec("encode", "x.mkv")[0] == 0
    assert tcodec("decode", "x.tvid", "-o", "back.mkv")[0] == 0
    for name in ("x.tvid", "back.mkv"):
        assert [time for _, time in frames_of(name)] == UNEVEN


@pytest.mark.parametrize("output", ["still/", "old"])
def test_frames_as_pictures_in_a_folder(tcodec, folder, output):
    (folder / "old").mkdir()
    save("x.y4m", 3)
    tcodec("encode", "x.y4m")
    assert tcodec("decode", "x.tvid", "-o", output)[0] == 0
    with codec.open_video("x.tvid") as video:
        for number, picture in enumerate(video):
            np.testing.assert_array_equal(np.asarray(Image.open(folder / output / f"{number:06}.png")), picture)
    assert len(files(folder / output)) == 3


def test_frames_are_not_strewn_among_other_files(tcodec, folder):
    (folder / "home").mkdir()
    (folder / "home" / "letter.txt").write_text("dear")
    save("x.y4m", 1)
    tcodec("encode", "x.y4m")
    status, _, lines = tcodec("decode", "x.tvid", "-o", "home")
    assert (status, len(lines)) == (1, 1)
    assert "home/x.mp4" in lines[0]  # what was meant, perhaps
    assert files(folder / "home") == ["letter.txt"]
    assert tcodec("decode", "x.tvid", "-o", "home", "--force")[0] == 0
    assert files(folder / "home") == ["000000.png", "letter.txt"]


def test_one_line_says_what_was_done_and_others_what_was_not_kept(tcodec, folder):
    save("x.gif", 5, (33, 45), rate=Fraction(10))
    status, out, (line, note) = tcodec("encode", "x.gif", "-y", "420")
    size = (folder / "x.tvid").stat().st_size
    assert (status, out) == (0, b"")
    assert line.startswith(f"x.gif: 5 frames of 45 x 33, {size:,} bytes, {8 * size / 0.5 / 1000:,.1f} kbit/s, encoded")
    assert line.endswith(" fps")
    assert note == "x.gif: RGB becomes 4:2:0"
    status, out, (line, note) = tcodec("decode", "x.tvid")
    assert (status, out) == (0, b"")
    assert line.startswith("x.tvid: 5 frames of 45 x 33 -> x.mp4, decoded at ")
    assert note.startswith("x.tvid: 45 x 33 pixels become 46 x 34")
    assert tcodec("encode", "x.gif", "-f", "--quiet") == (0, b"", [])
    assert tcodec("decode", "x.tvid", "-f", "--quiet") == (0, b"", [])


# Options of the encoder --------------------------------------------------------------------------------------

OPTIONS = {
    "-q 30.25 --scene-cut": {"quality": 30.25},
    "-k 2 --no-scene-cut": {"keyframe": 2, "scene_cut": False},
    "-y 444": {"sampling": "444"},
    "--yuv 400 --quality 0": {"sampling": "400", "quality": 0},
    "--fps 30000/1001 --keyframe 1": {"rate": NTSC, "keyframe": 1},
    "--fps 12.5": {"rate": Fraction(25, 2)},
    "--bitrate 0.06M -k 3": {"bitrate": 60_000, "keyframe": 3},
}


@pytest.mark.parametrize("arguments", OPTIONS)
def test_options_are_those_of_the_library(tcodec, folder, arguments):
    cut = [*make_clip(3, 34, 46), *make_clip(3, 34, 46, seed=5)]
    format = Format(46, 34, "420", Fraction(25), Fraction(1, 25))
    write_clip("x.y4m", format, ((from_rgb(rgb, full_range=False), time) for time, rgb in enumerate(cut)))
    assert tcodec("encode", "x.y4m", *arguments.split())[0] == 0
    assert (folder / "x.tvid").read_bytes() == expected("x.y4m", **OPTIONS[arguments])


def test_groups_are_encoded_in_processes(tcodec, folder, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # the program sets it for its processes
    save("x.y4m", 4)
    assert tcodec("encode", "x.y4m", "-k", "1", "-j", "2")[0] == 0
    assert (folder / "x.tvid").read_bytes() == expected("x.y4m", keyframe=1)


def test_a_process_that_dies_is_an_error(tcodec, folder, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setattr(batch, "_start_worker", die)
    save("x.y4m", 2)
    status, _, lines = tcodec("encode", "x.y4m", "-k", "1", "-j", "2")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: a process died")
    assert files(folder) == ["x.y4m"]


def die():
    os._exit(1)


OTHER_KIND = [
    ("x.y4m", "--target-size 4k", "pictures"),
    ("x.y4m", "--target-psnr 30", "pictures"),
    ("x.y4m", "--tables jpeg", "pictures"),
    ("x.y4m", "--tune psnr", "pictures"),
    ("x.y4m", "--profile baseline", "pictures"),
    ("x.y4m", "--effort 3", "pictures"),
    ("x.png", "--bitrate 500k", "videos"),
    ("x.png", "-k 5", "videos"),
    ("x.png", "--no-scene-cut", "videos"),
    ("x.png", "--fps 25", "videos"),
    ("x.png", "--keep-partial", "videos"),
]


@pytest.mark.parametrize(("name", "option", "kind"), OTHER_KIND)
def test_an_option_for_the_other_kind_is_an_error(tcodec, folder, name, option, kind):
    save("x.y4m", 1)
    Image.new("RGB", (9, 9)).save("x.png")
    status, _, lines = tcodec("encode", name, *option.split())
    assert (status, len(lines)) == (1, 1)
    assert f"is for {kind}, and this becomes a " in lines[0]
    assert files(folder) == ["x.png", "x.y4m"]


@pytest.mark.parametrize(
    "arguments", ["-q 50 --bitrate 1M", "--fps 0", "--fps 1/0", "--fps fast", "--fps 1e9", "-k 0", "--bitrate 0"]
)
def test_wrong_usage_has_status_2(tcodec, folder, arguments):
    save("x.y4m", 1)
    with pytest.raises(SystemExit) as stop:
        tcodec("encode", "x.y4m", *arguments.split())
    assert stop.value.code == 2
    assert files(folder) == ["x.y4m"]


# Picture or video? -------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(folder):
    """Make a folder of pictures whose names sort otherwise than their numbers."""
    (folder / "shots").mkdir()
    for number, picture in enumerate(make_clip(11, 20, 30)):
        Image.fromarray(picture).save(f"shots/{number}.png")
    return folder / "shots"


@pytest.mark.parametrize(("arguments", "rate"), [([], 25), (["--fps", "24000/1001"], Fraction(24000, 1001))])
def test_pictures_of_a_folder_become_one_video(tcodec, folder, pictures, arguments, rate):
    assert tcodec("encode", "shots", "-o", "x.tvid", *arguments)[0] == 0
    assert (folder / "x.tvid").read_bytes() == encode(make_clip(11, 20, 30), fps=rate)


def test_without_a_name_for_a_video_they_stay_pictures(tcodec, folder, pictures):
    assert tcodec("encode", "shots", "-o", "out")[0] == 0
    assert files(folder / "out") == sorted(f"{number}.tjpg" for number in range(11))


def test_an_animation_is_a_video_and_one_frame_a_picture(tcodec, folder):
    save("moving.gif", 3)
    save("still.gif", 1)
    shots = [Image.fromarray(picture) for picture in make_clip(3, 20, 30)]
    shots[0].save("moving.apng", format="PNG", save_all=True, append_images=shots[1:], duration=100)
    shots[0].save("still.apng", format="PNG")
    assert tcodec("encode", "moving.gif", "still.gif", "-o", "gif")[0] == 0
    assert tcodec("encode", "moving.apng", "still.apng", "-o", "apng")[0] == 0
    assert files(folder / "gif") == files(folder / "apng") == ["moving.tvid", "still.tjpg"]
    for name in ("gif", "apng"):
        with codec.open_video(f"{name}/moving.tvid") as video:
            assert len(video) == 3


def test_the_name_of_the_output_decides(tcodec, folder):
    save("still.gif", 1)
    save("moving.gif", 3)
    assert tcodec("encode", "still.gif", "-o", "x.tvid")[0] == 0
    with codec.open_video("x.tvid") as video:
        assert len(video) == 1
    status, _, lines = tcodec("encode", "moving.gif", "-o", "x.tjpg")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: moving.gif: 3 frames")


@pytest.mark.parametrize("jobs", [1, 2])
def test_pictures_and_videos_in_one_go(tcodec, folder, monkeypatch, jobs):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    (folder / "all" / "deep").mkdir(parents=True)
    save("all/a.mp4", 5)
    save("all/deep/b.y4m", 5)
    (folder / "all" / "bad.mkv").write_text("no video")
    for name in ("c.png", "deep/d.png"):
        Image.fromarray(next(make_clip(1, 20, 30))).save(f"all/{name}")
    status, out, lines = tcodec("encode", "all", "-o", "out", "-k", "2", "-j", jobs)
    assert (status, out, len(lines)) == (1, b"", 1)
    assert "all/c.png: --keyframe is for videos" in lines[0]
    status, out, lines = tcodec("encode", "all", "-o", "out", "-j", jobs)
    assert (status, out) == (1, b"")
    assert lines[-1].startswith("tcodec: all/bad.mkv: damaged, or no video")
    assert files(folder / "out") == ["a.tvid", "c.tjpg", "deep/b.tvid", "deep/d.tjpg"]
    assert (folder / "out" / "deep" / "b.tvid").read_bytes() == expected("all/deep/b.y4m")
    assert tcodec("verify", "out")[1].decode().splitlines() == [f"out/{name}: ok" for name in files(folder / "out")]
    assert tcodec("decode", "out", "-o", "back", "-j", jobs)[0] == 0
    assert files(folder / "back") == ["a.mp4", "c.png", "deep/b.mp4", "deep/d.png"]


def test_what_a_file_is_called_does_not_matter_to_the_decoder(tcodec, folder):
    save("x.y4m", 2)
    tcodec("encode", "x.y4m")
    shutil.move("x.tvid", "x.bin")
    assert tcodec("decode", "x.bin", "-o", "back.y4m")[0] == 0
    assert tcodec("verify", "x.bin")[0] == 0


# Pipes -------------------------------------------------------------------------------------------------------


def test_standard_streams(folder):
    source = save("x.y4m", 3)
    status, data, lines = process("encode", "-", "-k", "2", input=source)
    assert (status, data) == (0, expected("x.y4m", keyframe=2))
    assert len(lines) == 1  # the report, which is no part of the payload
    status, back, _ = process("decode", "-", "-o", "-", input=data)
    with codec.open_video(io.BytesIO(data)) as video:
        written = io.BytesIO()
        write_clip(written, video.format, video.planes())
    assert (status, back) == (0, written.getvalue())
    assert process("verify", "-", input=data)[:2] == (0, b"-: ok\n")
    assert len(json.loads(process("info", "-", "--json", input=data)[1])["frames"]) == 3
    assert process("decode", "-", "-o", "back.mkv", input=data)[0] == 0
    assert len(frames_of("back.mkv")) == 3
    status, back, lines = process("decode", "-", input=data[:-200])
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: -: the file ends inside a chunk")
    status, back, _ = process("decode", "-", "--allow-partial", input=data[:-200])
    assert (status, written.getvalue().startswith(back), back.count(b"FRAME\n")) == (3, True, 2)


def test_a_bit_rate_for_what_comes_through_a_pipe(tcodec, folder, monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(save("x.y4m", 3))
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert tcodec("encode", "-", "-o", "x.tvid", "--bitrate", "100k")[0] == 0
    assert (folder / "x.tvid").read_bytes() == expected("x.y4m", bitrate=100_000)


def test_an_output_that_nobody_reads_is_no_news(tcodec):
    save("x.y4m", 3)
    tcodec("encode", "x.y4m")
    for arguments in (["encode", "x.y4m", "-o", "-"], ["decode", "x.tvid", "-o", "-"]):
        reading, writing = os.pipe()
        os.close(reading)
        assert process(*arguments, stdout=writing) == (1, None, [])
        os.close(writing)


def test_a_bar_is_shown_on_terminals_only():
    save("x.y4m")
    assert len(process("encode", "x.y4m", "-k", "4")[2]) == 1
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    assert process("encode", "x.y4m", "-k", "4", "-f", stderr=theirs)[0] == 0
    shown = os.read(ours, 1 << 16)
    assert b"/12 [" in shown
    assert b" frames/s]" in shown
    os.close(ours)
    os.close(theirs)


# Damage and interruption -------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tcodec, folder):
    """Write a video of four groups, the second of which is damaged; return it without damage."""
    save("x.y4m")
    tcodec("encode", "x.y4m", "-k", "3", "-o", "good.tvid")
    data = (folder / "good.tvid").read_bytes()
    shutil.copy("good.tvid", "x.tvid")
    flip("x.tvid", group_offsets(data)[1] + 20)
    os.remove("x.y4m")
    return data


@pytest.mark.parametrize("option", [[], ["--strict"]])
def test_a_damaged_file_is_refused(tcodec, folder, damaged, option):
    status, _, lines = tcodec("decode", "x.tvid", *option)
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: x.tvid: the chunk at byte ")
    assert lines[0].endswith("is damaged; --allow-partial decodes what is left")
    assert files(folder) == ["good.tvid", "x.tvid"]


@pytest.mark.parametrize("option", [[], ["--quiet"]])
def test_what_is_left_of_a_damaged_file(tcodec, damaged, option):
    status, _, lines = tcodec("decode", "x.tvid", "-o", "x.y4m", "--allow-partial", *option)
    assert status == 3
    assert "x.tvid: frames 3 to 5 are missing, 0.120 to 0.200 s" in lines
    back, whole = frames_of("x.y4m"), frames_of("good.tvid")
    assert len(back) == 12
    kept = [*range(3), *range(6, 12)]
    assert same_frames([back[number][0] for number in kept], [whole[number][0] for number in kept])


def test_a_file_that_is_cut_off(tcodec, folder, damaged):
    (folder / "x.tvid").write_bytes(damaged[: group_offsets(damaged)[2] + 20])
    status, _, lines = tcodec("decode", "x.tvid")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: x.tvid: the file has no index at its end: it is cut off")
    assert lines[0].endswith("--allow-partial decodes what is left")
    status, _, lines = tcodec("decode", "x.tvid", "-o", "x.y4m", "--allow-partial")
    assert status == 3
    assert lines[-1] == "x.tvid: frames after number 5, at 0.200 s, are missing, if there were more"
    assert same_frames([f for f, _ in frames_of("x.y4m")], [f for f, _ in frames_of("good.tvid")[:6]])


def test_an_intact_file_has_no_losses(tcodec, damaged):
    status, _, lines = tcodec("decode", "good.tvid", "--allow-partial")
    assert (status, len(lines)) == (0, 1)


def test_an_input_that_is_damaged_leaves_nothing_or_what_is_wanted(tcodec, folder):
    data = save("x.y4m")
    whole = expected("x.y4m", keyframe=4)
    (folder / "x.y4m").write_bytes(data[: len(data) * 10 // 12])
    status, _, lines = tcodec("encode", "x.y4m", "-k", "4")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: x.y4m: cut off in frame 9")
    assert files(folder) == ["x.y4m"]
    status, _, lines = tcodec("encode", "x.y4m", "-k", "4", "--keep-partial", "--quiet")
    assert status == 1
    assert lines[0] == "x.y4m: x.tvid has its first 8 frames"
    assert lines[1].startswith("tcodec: x.y4m: cut off")
    (folder / "whole.tvid").write_bytes(whole)
    assert tcodec("verify", "x.tvid")[0] == 0
    assert same_frames([f for f, _ in frames_of("x.tvid")], [f for f, _ in frames_of("whole.tvid")[:8]])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("option", [[], ["--keep-partial"]])
def test_a_signal_leaves_nothing_or_what_is_wanted(capsys, monkeypatch, number, status, option):
    save("x.y4m")

    class Interrupted(videos.Clip):
        def __next__(self):
            planes, time = super().__next__()
            if time == 9:
                signal.raise_signal(number)
            return planes, time

    def open_interrupted(*args, **options):
        clip = open_clip(*args, **options)
        clip.__class__ = Interrupted
        return clip

    monkeypatch.setattr(videos, "open_clip", open_interrupted)
    try:
        assert program.main(["encode", "x.y4m", "-k", "4", *option]) == status
    except SystemExit as error:
        assert error.code == status
    said = capsys.readouterr().err
    if option:
        assert files(Path()) == ["x.tvid", "x.y4m"]
        assert said == "x.y4m: x.tvid has its first 8 frames\n"
        assert len(frames_of("x.tvid")) == 8
    else:
        assert files(Path()) == ["x.y4m"]
        assert said == ""


def test_an_existing_file_is_left_alone_unless_forced(tcodec, folder):
    save("x.y4m", 1)
    (folder / "x.tvid").write_bytes(b"before")
    assert tcodec("encode", "x.y4m") == (1, b"", ["tcodec: x.tvid: exists already; --force overwrites it"])
    assert (folder / "x.tvid").read_bytes() == b"before"
    assert tcodec("encode", "x.y4m", "-f")[0] == 0
    (folder / "x.mp4").write_bytes(b"before")
    assert tcodec("decode", "x.tvid") == (1, b"", ["tcodec: x.mp4: exists already; --force overwrites it"])
    assert (folder / "x.mp4").read_bytes() == b"before"
    assert tcodec("decode", "x.tvid", "-f")[0] == 0


# info and verify ---------------------------------------------------------------------------------------------


@pytest.fixture
def no_pixels(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(codec.video_reader, "decode_group", fail)


def test_info_as_json(tcodec, folder, no_pixels):
    save("x.y4m", rate=NTSC)
    tcodec("encode", "x.y4m", "-k", "9", "-q", "62.5")
    status, out, lines = tcodec("info", "x.tvid", "--json")
    record = json.loads(out)
    size = (folder / "x.tvid").stat().st_size
    seconds = 12 / float(NTSC)
    assert (status, lines) == (0, [])
    assert record["format"] == {
        "filename": "x.tvid",
        "nb_streams": 1,
        "format_name": "tvid",
        "start_time": "0.000000",
        "duration": "0.400400",
        "size": str(size),
        "bit_rate": str(int(8 * size / seconds)),
    }
    (stream,) = record["streams"]
    of_frames = sum(int(frame["pkt_size"]) for frame in record["frames"])
    chunks = [chunk for chunk in read_chunks((folder / "x.tvid").read_bytes(), b"TVD") if chunk.type == b"GRUP"]
    assert of_frames == sum(12 + len(chunk.payload) for chunk in chunks)
    assert stream == {
        "index": 0,
        "codec_name": "tvid",
        "profile": "baseline",
        "without": [],
        "codec_type": "video",
        "width": 46,
        "height": 34,
        "has_b_frames": 1,
        "sample_aspect_ratio": "1:1",
        "pix_fmt": "yuv420p",
        "color_range": "tv",
        "color_space": "smpte170m",
        "r_frame_rate": "30000/1001",
        "avg_frame_rate": "30000/1001",
        "time_base": "1001/30000",
        "start_pts": 0,
        "duration_ts": 12,
        "start_time": "0.000000",
        "duration": "0.400400",
        "bit_rate": str(int(8 * of_frames / seconds)),
        "bits_per_raw_sample": "8",
        "nb_frames": "12",
    }
    plans = [plan for frames in (9, 3) for plan in sorted(plan_gop(frames, 8), key=attrgetter("index"))]
    assert len(record["frames"]) == len(plans) == 12
    for number, (frame, plan) in enumerate(zip(record["frames"], plans, strict=True)):
        assert int(frame.pop("pkt_size")) > 0
        assert frame == {
            "media_type": "video",
            "stream_index": 0,
            "key_frame": int(number in (0, 9)),
            "pts": number,
            "pts_time": f"{number * 1001 / 30000:.6f}",
            "duration": 1,
            "duration_time": "0.033367",
            "width": 46,
            "height": 34,
            "pict_type": plan.type,
            "pix_fmt": "yuv420p",
            "color_range": "tv",
            "color_space": "smpte170m",
            "level": plan.level,
            "quality": 62.5,
        }


def test_info_of_a_variable_rate(tcodec, folder):
    save("x.mkv", times=UNEVEN)
    tcodec("encode", "x.mkv")
    record = json.loads(tcodec("info", "x.tvid", "--json")[1])
    assert [frame["pts"] for frame in record["frames"]] == UNEVEN
    assert [frame["pts_time"] for frame in record["frames"]] == [f"{time / 1000:.6f}" for time in UNEVEN]
    assert [frame["duration"] for frame in record["frames"]] == [*np.diff(UNEVEN), 81]  # the mean is 890 / 11
    (stream,) = record["streams"]
    assert (stream["time_base"], stream["r_frame_rate"]) == ("1/1000", "100/1")
    assert Fraction(stream["avg_frame_rate"]) == Fraction(11000, 890)
    assert stream["duration"] == record["format"]["duration"] == "0.971000"
    assert "variable" in tcodec("info", "x.tvid")[1].decode()


def test_info_names_what_is_in_the_file(tcodec):
    save("gray.y4m", 1, sampling="400", full_range=True)
    save("full.y4m", 1, sampling="444", full_range=True)
    tcodec("encode", "gray.y4m", "full.y4m")
    gray, full = (record["streams"][0] for record in json.loads(tcodec("info", "gray.tvid", "full.tvid", "--json")[1]))
    assert (gray["pix_fmt"], gray["color_range"], "color_space" in gray) == ("gray", "pc", False)
    assert (full["pix_fmt"], full["color_range"], full["color_space"]) == ("yuv444p", "pc", "smpte170m")
    assert (full["r_frame_rate"], full["duration"], full["has_b_frames"]) == ("25/1", "0.040000", 0)
    text = tcodec("info", "gray.tvid", "full.tvid")[1].decode()
    assert "gray, full range\n" in text
    assert "4:4:4, full range, BT.601\n" in text


def test_info_for_people(tcodec, folder, no_pixels):
    save("x.y4m", rate=NTSC)
    tcodec("encode", "x.y4m", "-k", "9", "-q", "60")
    status, out, lines = tcodec("info", "x.tvid")
    assert (status, lines) == (0, [])
    size = (folder / "x.tvid").stat().st_size
    text = out.decode()
    for words in ("46 x 34", "4:2:0", "limited range", "30000/1001", "0.400 s, 12 frames", "2, of 9", f"{size:,}"):
        assert words in text
    frames = json.loads(tcodec("info", "x.tvid", "--json")[1])["frames"]
    for kind, line in zip("IPB", text.splitlines()[-3:], strict=True):
        own = [frame for frame in frames if frame["pict_type"] == kind]
        mean = np.mean([int(frame["pkt_size"]) for frame in own])
        step = np.mean([steps(60, frame["level"])[0] / 16 for frame in own])
        said = f"{len(own)} mean size {mean:,.0f} share {len(own) * mean / size:.1%} mean quantiser step {step:.1f}"
        assert " ".join(line.split()) == f"frames {kind} {said} mean quality 60.00"


def test_verify_names_the_kind_of_error(tcodec, folder, damaged):
    (folder / "short.tvid").write_bytes(damaged[:-5])
    (folder / "long.tvid").write_bytes(damaged + b"more")
    Image.new("RGB", (9, 9)).save("photo.tvid", format="JPEG")
    status, out, lines = tcodec("verify", ".", "--json")
    assert (status, lines) == (1, [])
    found = {record["file"]: record["error"] for record in json.loads(out)}
    assert found == {
        "good.tvid": None,
        "long.tvid": "FormatError",
        "photo.tvid": "FormatError",
        "short.tvid": "TruncatedError",
        "x.tvid": "ChecksumError",
    }


@pytest.mark.parametrize("command", ["encode", "decode", "info", "verify"])
def test_the_size_limit(tcodec, command):
    save("x.y4m", 1)
    tcodec("encode", "x.y4m")
    arguments = [command, "x.y4m", "-f"] if command == "encode" else [command, "x.tvid"]
    status, out, lines = tcodec(*arguments, "--size-limit", "1k")
    assert status == 1
    assert "--size-limit" in "".join(lines) + out.decode()
    assert tcodec(*arguments, "--size-limit", "2k")[0] == 0  # 34 x 46 are 1564


# Mistakes ----------------------------------------------------------------------------------------------------

MISTAKES = {
    "encode missing.mp4": "missing.mp4: No such file",
    "encode text.mp4": "text.mp4: damaged, or no video in a format that FFmpeg knows",
    "encode cut.mp4": "cut.mp4: cut off, the end is missing",
    "encode x.y4m -o x.mkv": "x.mkv: what is written is a .tvid file, not .mkv; name it so",
    "encode x.y4m -o x.png": "x.png: what is written is a .tvid file, not .png; name it so",
    "encode x.png -o x.mp4": "x.mp4: what is written is a .tjpg file, not .mp4; name it so",
    "encode two.y4m -o y.tjpg": "two.y4m: a video, or several pictures",
    "encode x.tvid -f": "x.tvid: the output would replace the input; if that is no .tvid file already",
    "encode x.tvid -o y.tvid": "x.tvid: a .tvid file already",
    "encode x.png x.png -o y.tvid": "y.tvid: a video is made of one input",
    "encode x.y4m text.mp4 -o y.tjpg": "y.tjpg: several outputs need a folder",
    "encode x.y4m -o x.png/y.tvid": "x.png: File exists",
    "encode nothing -o y.tvid": "nothing: no pictures in this folder",
    "decode missing.tvid": "missing.tvid: No such file",
    "decode photo.tvid -o y.mp4": "photo.tvid: neither a .tjpg nor a .tvid file",
    "decode x.y4m -o y.mp4": "x.y4m: neither a .tjpg nor a .tvid file",
    "decode x.tvid -o y.png": "x.tvid: videos are not written with the extension '.png'; known are",
    "decode x.tvid -o y": "x.tvid: videos are not written with no extension; known are",
    "decode x.tvid x.tvid -o y.mp4": "y.mp4: several outputs need a folder",
    "decode empty.tvid -o y.mp4": "empty.tvid: the file ends inside its signature",
    "info x.y4m": "x.y4m: neither a .tjpg nor a .tvid file",
    "info photo.tvid": "photo.tvid: neither a .tjpg nor a .tvid file",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_answered_in_one_line(tcodec, folder, arguments):
    data = save("x.mp4", 3)
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    os.remove("x.mp4")
    (folder / "text.mp4").write_text("dear diary\n" * 100)
    (folder / "empty.tvid").write_bytes(b"")
    (folder / "nothing").mkdir()
    save("x.y4m", 1)
    save("two.y4m", 2)
    tcodec("encode", "x.y4m")
    Image.new("RGB", (9, 9)).save("x.png")
    Image.new("RGB", (9, 9)).save("photo.tvid", format="JPEG")
    before = files(folder)
    status, out, lines = tcodec(*arguments.split())
    assert (status, out, len(lines)) == (1, b"", 1)
    assert lines[0].startswith(f"tcodec: {MISTAKES[arguments]}")
    assert files(folder) == before
