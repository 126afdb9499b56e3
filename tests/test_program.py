"""Tests of the command line with pictures: what is written where, what is said, and the exit status."""

import errno
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageCms

import codec
from bitstreams.chunks import read_chunks
from codec import program
from codec.commands import batch
from codec.metrics import psnr
from codec.profiles import OWN
from tests.files import encode_in_strips, put_together
from tests.pictures import make_picture
from tests.program import ENVIRONMENT, call, files, process

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = b"Exif\0\0" + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
RGB = make_picture(45, 61)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run every test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tcodec(capsysbinary):
    """Run the program; return exit status, standard output and the lines of standard error."""

    return partial(call, capsysbinary)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)


def load(path):
    with Image.open(path) as image:
        return np.asarray(image)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# Round trips -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(45, 61), (1, 1), (16, 33)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_goes_in_and_comes_out_beside_it(tcodec, folder, size, channels):
    pixels = make_picture(*size, channels)
    save("x.png", pixels)
    assert tcodec("encode", "x.png")[0] == 0
    data = (folder / "x.tjpg").read_bytes()
    assert data == codec.encode_image(pixels)
    os.remove("x.png")
    assert tcodec("decode", "x.tjpg")[:2] == (0, b"")
    np.testing.assert_array_equal(load("x.png"), codec.decode_image(data))
    assert files(folder) == ["x.png", "x.tjpg"]


def test_a_format_that_only_its_extension_tells(tcodec, folder):
    np.savez("x.npz", RGB)
    assert tcodec("encode", "x.npz")[0] == 0
    assert (folder / "x.tjpg").read_bytes() == codec.encode_image(RGB)


def test_transparent_colours_of_a_palette_are_kept(tcodec):
    image = Image.fromarray(make_picture(45, 61, 1) // 64).copy()
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30])
    image.save("x.gif", transparency=2)
    assert tcodec("encode", "x.gif", "-q", "100", "-y", "444")[0] == 0
    assert tcodec("decode", "x.tjpg")[0] == 0
    back = load("x.png")
    assert back.shape == (45, 61, 4)
    expected = np.asarray(image.convert("RGB"))
    assert psnr(back[..., :3], expected) > 40
    transparent = np.asarray(image) == 2
    assert (back[transparent, 3] <= 2).all()
    assert (back[~transparent, 3] >= 253).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_colour_profile_and_exif_go_through(tcodec, suffix):
    save(f"x.{suffix}", RGB, icc_profile=ICC, exif=EXIF)
    assert tcodec("encode", f"x.{suffix}")[0] == 0
    assert tcodec("decode", "x.tjpg", "-o", f"back.{suffix}")[0] == 0
    with Image.open(f"back.{suffix}") as image:
        assert image.info["icc_profile"] == ICC
        assert image.getexif()[0x0112] == 6
        assert image.size == (61, 45)  # not turned


def test_what_a_format_has_no_place_for_is_told(tcodec):
    save("x.png", RGB, icc_profile=ICC)
    tcodec("encode", "x.png")
    status, _, lines = tcodec("decode", "x.tjpg", "-o", "x.bmp")
    assert status == 0
    assert "without colour profile" in lines[0]
    assert "without" not in tcodec("decode", "x.tjpg", "-o", "x.webp")[2][0]


@pytest.mark.parametrize("suffix", ["webp", "tif", "bmp", "ppm", "jpg"])
def test_the_extension_decides_the_format(tcodec, suffix):
    save("x.png", RGB)
    tcodec("encode", "x.png")
    assert tcodec("decode", "x.tjpg", "-o", f"x.{suffix}")[0] == 0
    with Image.open(f"x.{suffix}") as image:
        assert image.format == {"tif": "TIFF", "jpg": "JPEG"}.get(suffix, suffix.upper())


# Options of the encoder --------------------------------------------------------------------------------------

OPTIONS = {
    "-q 30.25": {"quality": 30.25},
    "--quality 0": {"quality": 0},
    "-y 444": {"yuv": "444"},
    "--yuv 400": {"yuv": "400"},
    "--profile baseline": {"profile": "baseline"},
    "--profile main": {},
    "-e 1": {"effort": 1},
    "--effort 9": {"effort": 9},
    "--tune psnr": {"tune": "psnr"},
    "--tune ms-ssim": {"tune": "ms-ssim"},
    "--profile baseline --tables jpeg": {"profile": "baseline", "tables": "jpeg"},
    "-y 444 -q 90 -e 3 --tune psnr": {"yuv": "444", "quality": 90, "effort": 3, "tune": "psnr"},
}


@pytest.mark.parametrize("arguments", OPTIONS)
def test_options_are_those_of_the_library(tcodec, folder, arguments):
    save("x.png", RGB)
    assert tcodec("encode", "x.png", *arguments.split())[0] == 0
    assert (folder / "x.tjpg").read_bytes() == codec.encode_image(RGB, **OPTIONS[arguments])


def test_a_gray_version_does_not_carry_a_profile_of_colours(tcodec, folder):
    save("x.png", RGB, icc_profile=ICC)
    tcodec("encode", "x.png", "-y", "400")
    assert codec.read_header((folder / "x.tjpg").read_bytes()).icc is None


@pytest.mark.parametrize(("text", "target"), [("600", 600), ("1k", 1000), ("0.0015M", 1500)])
def test_target_size(tcodec, folder, text, target):
    save("x.png", RGB)
    assert tcodec("encode", "x.png", "--target-size", text)[0] == 0
    assert 0.97 * target < (folder / "x.tjpg").stat().st_size <= target


def test_target_psnr(tcodec, folder):
    save("x.png", RGB)
    status, _, lines = tcodec("encode", "x.png", "--target-psnr", "33")
    assert status == 0
    data = (folder / "x.tjpg").read_bytes()
    assert 33 <= psnr(codec.decode_image(data), RGB) < 33.2
    found = codec.read_header(data).stages
    assert lines[0].endswith(f"step {found.step}, tune ms-ssim, lapped True")
    status, _, lines = tcodec("encode", "x.png", "--target-psnr", "33", "--profile", "baseline", "-f")
    assert status == 0
    found = codec.read_header((folder / "x.tjpg").read_bytes()).stages
    assert lines[0].endswith(f"quality {found.quality:g}, restored False")  # which one was found


def test_a_target_out_of_reach_is_an_error(tcodec, folder):
    save("x.png", RGB)
    status, _, lines = tcodec("encode", "x.png", "--target-size", "20")
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith("tcodec: x.png: the picture does not fit into 20 bytes")
    assert files(folder) == ["x.png"]


@pytest.mark.parametrize(
    ("profile", "stages"),
    [("main", "step 1229, tune ms-ssim, lapped True"), ("baseline", "tables sloped, quality 60, restored False")],
)
def test_one_line_says_what_was_done(tcodec, folder, profile, stages):
    save("x.png", RGB)
    status, out, lines = tcodec("encode", "x.png", "-q", "60", "--profile", profile)
    size = (folder / "x.tjpg").stat().st_size
    rate = 8 * size / RGB.shape[0] / RGB.shape[1]
    line = f"{(folder / 'x.png').stat().st_size:,} -> {size:,} bytes, {rate:.3f} bits a pixel, {stages}"
    assert (status, out, lines) == (0, b"", [f"x.png: {line}"])
    assert tcodec("encode", "x.png", "--force", "--quiet") == (0, b"", [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "flat"], "the main profile has no choice of tables"),
        (["--profile", "baseline", "-e", "5"], "effort 5; the baseline profile knows 1, fast, and 2, with restoration"),
    ],
)
def test_an_option_of_another_profile_is_an_error(tcodec, folder, arguments, message):
    save("x.png", RGB)
    status, out, lines = tcodec("encode", "x.png", *arguments)
    assert (status, out, len(lines)) == (1, b"", 1)
    assert lines[0].startswith(f"tcodec: x.png: {message}")
    assert files(folder) == ["x.png"]


# Pipes -------------------------------------------------------------------------------------------------------


def test_standard_streams():
    status, data, lines = process("encode", "-", "-q", "40", input=png(RGB))
    assert (status, data) == (0, codec.encode_image(RGB, 40))
    assert len(lines) == 1  # the report, which is no part of the payload
    status, picture, _ = process("decode", "-", "-o", "-", "--quiet", input=data)
    assert status == 0
    np.testing.assert_array_equal(load(io.BytesIO(picture)), codec.decode_image(data))
    assert picture.startswith(b"\x89PNG")
    assert json.loads(process("info", "-", "--json", input=data)[1])["width"] == 61
    assert process("verify", "-", input=data)[:2] == (0, b"-: ok\n")


def test_a_file_goes_to_standard_output_and_a_stream_to_a_file(folder):
    save("x.png", RGB)
    assert process("encode", "x.png", "-o", "-")[:2] == (0, codec.encode_image(RGB))
    assert process("encode", "-", "-o", "y.tjpg", input=png(RGB))[:2] == (0, b"")
    assert (folder / "y.tjpg").read_bytes() == codec.encode_image(RGB)


@pytest.mark.parametrize("arguments", [["encode", "x.png", "-o", "-", "--quiet"], ["info", "x.tjpg"]])
def test_an_output_that_nobody_reads_is_no_news(folder, arguments):
    save("x.png", RGB)
    (folder / "x.tjpg").write_bytes(codec.encode_image(RGB))
    reading, writing = os.pipe()
    os.close(reading)
    assert process(*arguments, stdout=writing) == (1, None, [])
    os.close(writing)


@pytest.mark.parametrize("arguments", [["a.png", "-"], ["-", "-o", "into/"]])
def test_standard_input_goes_alone(tcodec, folder, arguments):
    save("a.png", RGB)
    status, _, lines = tcodec("encode", *arguments)
    assert (status, len(lines)) == (1, 1)
    assert files(folder) == ["a.png"]


# Folders -----------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(folder):
    """Make a folder of three pictures, one damaged file, and files that are none of our business."""
    (folder / "photos" / "deep" / "er").mkdir(parents=True)
    save("photos/a.png", RGB)
    save("photos/deep/b.JPG", RGB)
    save("photos/deep/er/c.bmp", RGB)
    (folder / "photos" / "bad.png").write_bytes(png(RGB)[:1000])
    (folder / "photos" / "notes.txt").write_text("not a picture")
    (folder / "photos" / ".hidden.png").write_text("not ours")
    return folder / "photos"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_keeps_its_structure_and_a_bad_file_does_not_stop_the_rest(tcodec, folder, photos, jobs, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # the program sets it for its processes
    status, out, lines = tcodec("encode", "photos", "-o", "out", "-j", jobs)
    assert (status, out) == (1, b"")
    assert files(folder / "out") == ["a.tjpg", "deep/b.tjpg", "deep/er/c.tjpg"]
    assert (folder / "out" / "a.tjpg").read_bytes() == codec.encode_image(RGB)
    assert [line.split(":")[0] for line in lines] == [
        "photos/a.png",
        "photos/deep/b.JPG",
        "photos/deep/er/c.bmp",
        "tcodec",
    ]
    assert lines[-1].startswith("tcodec: photos/bad.png: damaged")
    status, _, lines = tcodec("decode", "out", "-o", "back", "-j", jobs)
    assert status == 0
    assert files(folder / "back") == ["a.png", "deep/b.png", "deep/er/c.png"]
    np.testing.assert_array_equal(load("back/a.png"), codec.decode_image(codec.encode_image(RGB)))


def test_without_output_results_are_beside_their_inputs(tcodec, photos):
    os.remove("photos/bad.png")
    before = files(photos)
    assert tcodec("encode", "photos")[0] == 0
    assert set(files(photos)) - set(before) == {"a.tjpg", "deep/b.tjpg", "deep/er/c.tjpg"}


def test_several_files_go_into_a_folder(tcodec, folder):
    save("a.png", RGB)
    save("b.png", RGB)
    assert tcodec("encode", "a.png", "b.png", "-o", "new/folder")[0] == 0
    assert files(folder / "new") == ["folder/a.tjpg", "folder/b.tjpg"]
    assert tcodec("decode", "new/folder/a.tjpg", "-o", "new")[0] == 0  # a folder that is there
    assert tcodec("decode", "new/folder/b.tjpg", "-o", "newer/")[0] == 0  # one that is named like a folder
    assert files(folder / "new") == ["a.png", "folder/a.tjpg", "folder/b.tjpg"]
    assert files(folder / "newer") == ["b.png"]


@pytest.mark.parametrize("output", ["-", "file"])
def test_several_files_do_not_go_into_one(tcodec, folder, output):
    save("a.png", RGB)
    save("b.png", RGB)
    (folder / "file").write_bytes(b"before")
    status, out, lines = tcodec("encode", "a.png", "b.png", "-o", output, "-f")
    assert (status, out, lines) == (1, b"", [f"tcodec: {output}: several outputs need a folder"])
    assert (folder / "file").read_bytes() == b"before"


@pytest.mark.parametrize("arguments", [["a.png", "a.jpg"], ["a.png", "other/a.png", "-o", "out"], ["."]])
def test_two_inputs_do_not_overwrite_each_others_output(tcodec, folder, arguments):
    (folder / "other").mkdir()
    for name in ("a.png", "a.jpg", "other/a.png"):
        save(name, RGB)
    status, _, lines = tcodec("encode", *arguments, "--force")
    assert (status, len(lines)) == (1, 1)
    assert "would both be written to" in lines[0]
    assert files(folder) == ["a.jpg", "a.png", "other/a.png"]


def test_a_folder_without_pictures_is_an_error(tcodec, folder):
    (folder / "empty").mkdir()
    for command in ("encode", "decode", "info", "verify"):
        status, out, lines = tcodec(command, "empty")
        assert (status, out, len(lines)) == (1, b"", 1)
        assert lines[0].startswith("tcodec: empty: the folder has no files with")


def test_a_bar_is_shown_on_terminals_only(photos):
    assert not any("file/s" in line for line in process("encode", "photos", "-o", "out")[2])
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    assert process("encode", "photos", "-o", "out", "-f", stderr=theirs)[:2] == (1, b"")
    assert b"| 4/4 [" in os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)


# What must not be overwritten or left behind ---------------------------------------------------------------


def test_an_existing_file_is_left_alone_unless_forced(tcodec, folder):
    save("x.png", RGB)
    (folder / "x.tjpg").write_bytes(b"before")
    status, out, lines = tcodec("encode", "x.png")
    assert (status, out, lines) == (1, b"", ["tcodec: x.tjpg: exists already; --force overwrites it"])
    assert (folder / "x.tjpg").read_bytes() == b"before"
    assert tcodec("encode", "x.png", "-f")[0] == 0
    assert (folder / "x.tjpg").read_bytes() == codec.encode_image(RGB)


def test_an_input_is_not_its_own_output(tcodec, folder):
    data = codec.encode_image(RGB)
    (folder / "x.png").write_bytes(data)  # a .tjpg file of that name
    status, _, lines = tcodec("decode", "x.png", "--force")
    assert (status, len(lines)) == (1, 1)
    assert "would replace the input" in lines[0]
    assert (folder / "x.png").read_bytes() == data


@pytest.mark.parametrize("output", [[], ["-o", "y.tjpg"]])
def test_a_file_that_is_encoded_already_is_refused(tcodec, folder, output):
    (folder / "x.tjpg").write_bytes(codec.encode_image(RGB))
    status, _, lines = tcodec("encode", "x.tjpg", "--force", *output)
    assert (status, len(lines)) == (1, 1)
    assert ".tjpg file already" in lines[0]
    assert files(folder) == ["x.tjpg"]


def test_a_disk_that_is_full_half_way_leaves_nothing(folder):
    # The system refuses what goes beyond 200 bytes of a file, as it does on a full disk.
    script = """if True:
        import resource, sys
        from codec import program
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        sys.exit(program.main(["encode", "x.bmp"]))
    """
    save("x.bmp", RGB)
    assert len(codec.encode_image(RGB)) > 200
    done = subprocess.run(
        [sys.executable, "-Bc", script], capture_output=True, check=False, timeout=60, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr.decode() == f"tcodec: x.bmp: {os.strerror(errno.EFBIG)}\n"
    assert files(folder) == ["x.bmp"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(folder, monkeypatch, number, status):
    def interrupt(*_):
        signal.raise_signal(number)

    save("x.png", RGB)
    monkeypatch.setattr(os, "replace", interrupt)  # everything is written, but not under its name
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert program.main(["encode", "x.png"]) == status
    except SystemExit as error:
        assert error.code == status
    assert files(folder) == ["x.png"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # ours was for that time only


# Damage ------------------------------------------------------------------------------------------------------

TALL = make_picture(150, 40)


@pytest.fixture
def damaged(folder):
    """Write a file of strips of 32 rows, with a byte flipped in the second and the last; return it without damage."""
    data = encode_in_strips(TALL, 32)
    strips = [chunk.start for chunk in read_chunks(data, b"TJP") if chunk.type == b"STRP"]
    assert len(strips) == 5
    broken = bytearray(data)
    broken[strips[1] + 30] ^= 1
    broken[strips[4] + 30] ^= 1
    (folder / "x.tjpg").write_bytes(broken)
    return data


@pytest.mark.parametrize("option", [[], ["--strict"]])
def test_a_damaged_file_is_refused(tcodec, folder, damaged, option):
    status, _, lines = tcodec("decode", "x.tjpg", *option)
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: x.tjpg: ")
    assert files(folder) == ["x.tjpg"]


@pytest.mark.parametrize("option", [[], ["--quiet"]])
def test_what_is_left_of_a_damaged_file(tcodec, damaged, option):
    status, out, lines = tcodec("decode", "x.tjpg", "--allow-partial", *option)
    assert (status, out) == (3, b"")
    assert "x.tjpg: rows 32 to 63 are missing" in lines
    assert "x.tjpg: rows 128 to 149 are missing" in lines
    assert sum("missing" in line for line in lines) == 2
    assert sum("is damaged" in line for line in lines) == 2
    back, whole = load("x.png"), codec.decode_image(damaged)
    lost = np.zeros(150, bool)
    lost[32:64] = lost[128:] = True
    np.testing.assert_array_equal(back[~lost], whole[~lost])
    assert (back[lost] == 128).all()


def test_an_intact_file_has_no_losses(tcodec, folder):
    (folder / "x.tjpg").write_bytes(codec.encode_image(TALL))
    status, _, lines = tcodec("decode", "x.tjpg", "--allow-partial")
    assert (status, len(lines)) == (0, 1)


def test_an_error_outweighs_losses(tcodec, folder, damaged):
    (folder / "y.tjpg").write_bytes(b"nothing of use")
    assert tcodec("decode", ".", "--allow-partial")[0] == 1
    assert files(folder) == ["x.png", "x.tjpg", "y.tjpg"]


def test_strict_and_partial_exclude_each_other(tcodec, damaged):
    with pytest.raises(SystemExit) as stop:
        tcodec("decode", "x.tjpg", "--strict", "--allow-partial")
    assert stop.value.code == 2


@pytest.mark.parametrize("command", ["encode", "decode", "info", "verify"])
def test_the_size_limit(tcodec, folder, command):
    name = "x.png" if command == "encode" else "x.tjpg"
    (folder / name).write_bytes(png(RGB) if command == "encode" else codec.encode_image(RGB))
    status, out, lines = tcodec(command, name, "--size-limit", "2k")
    assert status == 1
    assert "--size-limit" in "".join(lines) + out.decode()
    assert tcodec(command, name, "--size-limit", "10k")[0] == 0


# info and verify ---------------------------------------------------------------------------------------------


@pytest.fixture
def no_pixels(monkeypatch):
    def fail(*_):
        raise AssertionError("pixels were decoded")

    for profile in OWN.values():
        monkeypatch.setattr(profile, "decode_strip", fail)


PARAMETERS = {
    "main": {"step": 18 * 64, "tune": "psnr", "lapped": True},
    "baseline": {"tables": "flat", "quality": 62.5, "restored": False},
}


@pytest.mark.parametrize("profile", OWN)
def test_info_as_json(tcodec, folder, no_pixels, profile):
    data = encode_in_strips(make_picture(150, 40, 4), 32, 62.5, profile=profile, tune="psnr", icc=ICC, exif=EXIF)
    (folder / "x.tjpg").write_bytes(data)
    status, out, lines = tcodec("info", "x.tjpg", "--json")
    assert (status, lines) == (0, [])
    assert json.loads(out) == {
        "file": "x.tjpg",
        "width": 40,
        "height": 150,
        "channels": 4,
        "sampling": "420",
        "profile": profile,
        "parameters": PARAMETERS[profile],
        "strips": 5,
        "rows_per_strip": 32,
        "bytes": len(data),
        "bits_per_pixel": 8 * len(data) / 6000,
        "icc_bytes": len(ICC),
        "exif_bytes": len(EXIF),
    }


@pytest.mark.parametrize(("channels", "yuv", "sampling"), [(1, "420", "400"), (3, "400", "400"), (3, "444", "444")])
def test_info_names_the_sampling_that_is_in_the_file(tcodec, folder, channels, yuv, sampling):
    (folder / "x.tjpg").write_bytes(codec.encode_image(make_picture(20, 30, channels), yuv=yuv))
    assert json.loads(tcodec("info", "x.tjpg", "--json")[1])["sampling"] == sampling


@pytest.mark.parametrize("parts", [("main", "step 1152", "ms-ssim"), ("baseline", "sloped", "62.5")])
def test_info_for_people(tcodec, folder, no_pixels, parts):
    data = codec.encode_image(RGB, 62.5, profile=parts[0], icc=ICC)
    (folder / "x.tjpg").write_bytes(data)
    status, out, lines = tcodec("info", "x.tjpg")
    assert (status, lines) == (0, [])
    for words in ("61 x 45", "RGB", "4:2:0", *parts, f"{len(data):,}", str(len(ICC))):
        assert words in out.decode()


def test_json_is_a_list_for_several_files_or_a_folder(tcodec, folder, damaged):
    (folder / "y.tjpg").write_bytes(damaged)
    status, out, lines = tcodec("info", ".", "--json")
    assert status == 1
    assert [record["file"] for record in json.loads(out)] == ["y.tjpg"]
    assert len(lines) == 1
    assert lines[0].startswith("tcodec: x.tjpg: ")
    status, out, lines = tcodec("verify", "x.tjpg", "y.tjpg", "--json")
    assert (status, lines) == (1, [])
    bad, good = json.loads(out)
    assert good == {"file": "y.tjpg", "ok": True, "error": None, "message": None}
    assert (bad["file"], bad["ok"], bad["error"]) == ("x.tjpg", False, "ChecksumError")
    assert "damaged" in bad["message"]


def test_verify_decodes_and_names_the_kind_of_error(tcodec, folder):
    data = codec.encode_image(RGB)
    (folder / "good.tjpg").write_bytes(data)
    (folder / "short.tjpg").write_bytes(data[:-5])
    (folder / "other.tjpg").write_bytes(png(RGB))
    status, out, lines = tcodec("verify", ".", "missing.tjpg")
    assert (status, lines) == (1, [])
    found = [line.split(": ")[:2] for line in out.decode().splitlines()]
    assert found == [
        ["good.tjpg", "ok"],
        ["other.tjpg", "FormatError"],
        ["short.tjpg", "TruncatedError"],
        ["missing.tjpg", "FileNotFoundError"],
    ]
    assert tcodec("verify", "good.tjpg", "--quiet") == (0, b"", [])
    assert json.loads(tcodec("verify", "good.tjpg", "--json")[1])["ok"] is True


def test_verify_finds_what_checksums_do_not(tcodec, folder):
    intact = codec.encode_image(RGB)
    header, strip = (chunk.payload for chunk in read_chunks(intact, b"TJP"))
    broken = put_together([(b"HEAD", header), (b"STRP", strip[:4] + bytes(len(strip) - 4))])
    (folder / "x.tjpg").write_bytes(broken)
    assert tcodec("info", "x.tjpg")[0] == 0
    assert tcodec("verify", "x.tjpg")[0] == 1


# The program as such -----------------------------------------------------------------------------------------

USAGE = [
    [],
    ["unknown"],
    ["encode"],
    ["encode", "x.png", "-q", "101"],
    ["encode", "x.png", "-q", "nan"],
    ["encode", "x.png", "-q", "fine"],
    ["encode", "x.png", "-y", "422"],
    ["encode", "x.png", "--tune", "vmaf"],
    ["encode", "x.png", "--tables", "round"],
    ["encode", "x.png", "--effort", "0"],
    ["encode", "x.png", "-e", "10"],
    ["encode", "x.png", "-e", "2.5"],
    ["encode", "x.png", "--target-size", "0"],
    ["encode", "x.png", "--target-size", "1G"],
    ["encode", "x.png", "--target-size", "inf"],
    ["encode", "x.png", "-q", "50", "--target-size", "1k"],
    ["encode", "x.png", "-j", "0"],
    ["encode", "x.png", "-j", "-1"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_has_status_2(tcodec, folder, arguments):
    save("x.png", RGB)
    with pytest.raises(SystemExit) as stop:
        tcodec(*arguments)
    assert stop.value.code == 2
    assert files(folder) == ["x.png"]


def test_16_bits_are_refused_with_advice(tcodec, folder):
    save("x.png", make_picture(9, 9, 1).astype(np.uint16) * 257)
    status, _, lines = tcodec("encode", "x.png")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("tcodec: x.png: more than 8 bits a sample; convert it")
    assert files(folder) == ["x.png"]


ERRORS = [
    ["encode", "missing.png"],
    ["encode", "x.png", "rgba.tjpg", "-o", "out", "--profile", "unknown"],
    ["encode", "x.png", "-o", "x.png/y.tjpg"],
    ["decode", "x.png", "-o", "y.png"],
    ["decode", "rgba.tjpg", "-o", "y.jpg"],
    ["decode", "rgba.tjpg", "-o", "y.unknown"],
    ["info", "x.png"],
    ["info", "missing.tjpg"],
]


@pytest.mark.parametrize("arguments", ERRORS, ids=" ".join)
def test_an_error_is_one_line_and_status_1(tcodec, folder, arguments):
    save("x.png", RGB)
    (folder / "rgba.tjpg").write_bytes(codec.encode_image(make_picture(9, 9, 4)))
    status, out, lines = tcodec(*arguments)
    assert (status, out, len(lines)) == (1, b"", 1)
    assert lines[0].startswith("tcodec: ")
    assert files(folder) == ["rgba.tjpg", "x.png"]


@pytest.mark.parametrize("arguments", [["encode", "missing.png"], ["info", "missing.tjpg"], ["decode", "."]])
def test_verbose_shows_where_an_error_arose(tcodec, arguments):
    lines = tcodec(*arguments, "-v")[2]
    assert lines[0].startswith("Traceback")
    assert lines[-1:] == tcodec(*arguments)[2]


def test_a_process_that_dies_is_an_error(tcodec, folder, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    save("a.png", RGB)
    save("b.png", RGB)
    monkeypatch.setattr(batch, "_start_worker", die)
    status, _, lines = tcodec("encode", "a.png", "b.png", "-j", "2")
    assert status == 1
    assert lines[-1].startswith("tcodec: a process died")


def die():
    os._exit(1)


class Entry:
    """Stands in for an entry point of another package."""

    def __init__(self, name, status):
        self.name, self.status = name, status

    def load(self):
        def add(subparsers):
            subparsers.add_parser(self.name).set_defaults(run=lambda _: self.status)

        return add


def test_other_packages_bring_commands_but_do_not_replace_ours(tcodec, monkeypatch):
    monkeypatch.setattr(program, "entry_points", lambda group: [Entry("verify", 8), Entry("mine", 7)])
    assert tcodec("mine", "--quiet") == (7, b"", [])
    assert tcodec("verify", "missing.tjpg")[0] == 1


def test_help_does_not_wait_for_what_it_does_not_need():
    script = """if True:
        import sys
        from codec import program
        try:
            program.main(["--help"])
        except SystemExit as stop:
            assert stop.code == 0
        slow = {"PIL", "av", "imageio", "matplotlib", "tqdm"} & set(sys.modules)
        sys.exit(f"imported: {slow}" if slow else 0)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=60, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, b"")
    for command in program.COMMANDS:
        assert command.encode() in done.stdout


def test_the_version(tcodec, capsysbinary):
    with pytest.raises(SystemExit) as stop:
        tcodec("--version")
    assert stop.value.code == 0
    assert capsysbinary.readouterr().out.startswith(b"tcodec ")


def test_what_encode_writes_is_not_called_a_picture(tcodec, folder):
    Image.fromarray(RGB).save(folder / "x.png")
    before = (folder / "x.png").read_bytes()
    (folder / "sub").mkdir()
    for name in ("y.png", "sub/../x.png"):
        status, _, lines = tcodec("encode", "x.png", "-o", name, "--force")
        assert (status, len(lines)) == (1, 1)
        assert "what is written is a .tjpg file" in lines[0]
    assert (folder / "x.png").read_bytes() == before


@pytest.mark.parametrize("command", ["encode", "decode", "info", "verify"])
def test_an_empty_name_is_not_the_folder(tcodec, folder, command):
    Image.fromarray(RGB).save(folder / "x.png")
    (folder / "x.tjpg").write_bytes(codec.encode_image(RGB))
    status, out, lines = tcodec(command, "")
    assert (status, out, lines) == (1, b"", ["tcodec: an input has an empty name"])


def test_a_psnr_is_a_number():
    with pytest.raises(SystemExit) as caught:
        program.main(["encode", "x.png", "--target-psnr", "nan"])
    assert caught.value.code == 2
