"""Tests of `tcodec rd` as a user calls it: the report, bad input, resuming, ablation, the entropy view."""

import csv
import io
import json
import lzma
import shutil

import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks import codecs, rd, sweep
from benchmarks.cells import Cell
from benchmarks.entropy_view import view_frames
from benchmarks.picture_codecs import Tcodec
from bitstreams.entropy import entropy_bits
from codec.image import optional_stages
from codec.video import STAGES
from tests.footage import Broken, CoarsePicture, make_footage, write_y4m
from tests.pictures import make_picture
from tests.program import call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of two sizes, one of them gray, and a clip."""
    path = tmp_path_factory.mktemp("inputs")
    Image.fromarray(make_picture(48, 96)).save(path / "one.png")
    Image.fromarray(make_picture(64, 80, 1)).save(path / "two.png")
    write_y4m(path / "wave.y4m", make_footage(32, 48, 4))
    return path


@pytest.fixture
def tcodec(capsysbinary):
    return lambda *arguments: call(capsysbinary, *arguments)


@pytest.fixture(scope="module")
def report(folder, tmp_path_factory):
    """A report of all of it."""
    from codec import program  # noqa: PLC0415

    path = tmp_path_factory.mktemp("report")
    arguments = ["rd", str(folder), "--against", "jpeg-progressive,mpeg4", "-o", str(path), "-j", "2", "--quiet"]
    assert program.main(arguments) == 0
    return path


def document(report):
    return json.loads((report / "results.json").read_text())


# The report -------------------------------------------------------------------------------------------------


def test_results_have_compressais_layout_and_a_row_for_every_point(report):
    results = document(report)
    assert (results["name"], bool(results["description"])) == ("tcodec rd", True)
    assert "--against jpeg-progressive,mpeg4" in results["command"]
    assert [(each["name"], each["kind"]) for each in results["codecs"]] == [
        ("tcodec-baseline", "pictures"),
        ("tcodec-baseline-psnr", "pictures"),
        ("jpeg-progressive", "pictures"),
        ("tcodec", "clips"),
        ("mpeg4", "clips"),
    ]
    for each in results["codecs"]:
        assert len({len(column) for column in each["results"].values()}) == 1
        assert {"bpp", "psnr-y", "ms-ssim", "encoding_time", "decoding_time"} <= set(each["results"])
    assert [(each["name"], each["kind"], each["width"], each["frames"]) for each in results["sources"]] == [
        ("one", "pictures", 96, 1),
        ("two", "pictures", 80, 1),
        ("wave", "clips", 48, 4),
    ]
    assert len(results["rows"]) == 2 * 3 * 6 + 2 * 6
    assert results["left_out"] == results["failures"] == []
    assert results["notes"] == ["pictures of 2 sizes: means count each alike"]


def test_rows_are_real_files_and_means_are_of_rows(report, folder):
    results = document(report)
    picture = np.asarray(Image.open(folder / "one.png"))
    own = [row for row in results["rows"] if row["codec"] == "tcodec-baseline-psnr"]
    row = next(row for row in own if row["source"] == "one" and row["quality"] == 70)
    assert row["bytes"] == len(codec.encode_image(picture, 70, tune="psnr"))
    assert row["bpp"] == pytest.approx(8 * row["bytes"] / (48 * 96), rel=1e-5)
    [mean] = [each["results"] for each in results["codecs"] if each["name"] == "tcodec-baseline-psnr"]
    both = [row["psnr-rgb"] for row in own if row["quality"] == 70]
    assert mean["psnr-rgb"][mean["quality"].index(70)] == pytest.approx(sum(both) / 2, rel=1e-5)


def test_matrices_and_tables_say_the_same(report):
    results = document(report)
    rates = results["bd_rates"]["pictures"]["psnr-rgb"]
    assert rates["codecs"] == ["tcodec-baseline", "tcodec-baseline-psnr", "jpeg-progressive"]
    assert set(rates) == {"codecs", "mean", "one", "two"}
    assert rates["mean"][0][2] == pytest.approx((rates["one"][0][2] + rates["two"][0][2]) / 2, rel=1e-4)
    table = (report / "results.md").read_text()
    row = next(line for line in table.splitlines() if line.startswith("| tcodec-baseline-psnr"))
    assert f"{rates['mean'][1][2]:+.1f} %" in row.split("|")[2]


def test_csv_has_all_rows_and_pictures_are_drawn(report):
    rows = list(csv.DictReader(io.StringIO((report / "results.csv").read_text())))
    expected = document(report)["rows"]
    assert [(row["source"], row["codec"], int(row["bytes"])) for row in rows] == [
        (row["source"], row["codec"], row["bytes"]) for row in expected
    ]
    assert {row["kbit/s"] == "" for row in rows if row["source"] == "one"} == {True}
    drawn = sorted(str(path.relative_to(report)) for path in report.rglob("*.png"))
    assert drawn == ["clips.png", "curves/one.png", "curves/two.png", "curves/wave.png", "pictures.png"]
    for name in drawn:
        with Image.open(report / name) as picture:
            assert picture.format == "PNG"


def test_tables_go_to_stdout_and_all_else_to_stderr(tcodec, folder, report):
    arguments = ["rd", folder, "--against", "jpeg-progressive,mpeg4", "-o", report]
    status, out, err = tcodec(*arguments)
    assert (status, out.decode()) == (0, (report / "results.md").read_text())
    assert err == [f"the report is in {report / 'index.html'}"]
    status, out, _ = tcodec(*arguments, "--json")
    assert json.loads(out) == document(report)


def test_a_second_call_measures_only_what_is_new(tcodec, folder, report, tmp_path, monkeypatch):
    kept = shutil.copytree(report, tmp_path / "copy")
    measured = []
    run = sweep.work_on
    monkeypatch.setattr(sweep, "work_on", lambda work, items, crew: measured.extend(items) or run(work, items, crew))
    call = ["rd", folder, "-o", kept, "--quiet"]
    assert tcodec(*call, "--against", "jpeg-progressive,mpeg4")[0] == 0
    assert measured == []
    rows = document(report)["rows"]
    assert document(kept)["rows"] == rows
    assert tcodec(*call, "--against", "jpeg,mpeg4")[0] == 0
    cells = [work for work in measured if isinstance(work, Cell)]  # what is looked at follows the rates in common
    assert [(cell.source.name, cell.codec.name) for cell in cells[::6]] == [("one", "jpeg"), ("two", "jpeg")]
    assert len(cells) == 2 * 6
    assert [row for row in document(kept)["rows"] if not row["codec"].startswith("jpeg")] == [
        row for row in rows if not row["codec"].startswith("jpeg")
    ]


def test_chosen_measures_are_all_that_there_are(tcodec, folder, tmp_path):
    arguments = ["rd", folder / "one.png", "--against", "", "--metric", "ssim,psnr-rgb", "-o", tmp_path, "--quiet"]
    status, out, _ = tcodec(*arguments)
    assert status == 0
    assert set(document(tmp_path)["bd_rates"]["pictures"]) == {"ssim", "psnr-rgb"}
    assert "psnr-y" not in out.decode()
    assert [each["name"] for each in document(tmp_path)["codecs"]] == ["tcodec-baseline", "tcodec-baseline-psnr"]


# Bad input --------------------------------------------------------------------------------------------------


def test_unknown_names_and_unreadable_inputs_are_named_and_the_rest_goes_on(tcodec, folder, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    empty = tmp_path / "empty"
    empty.mkdir()
    status, out, err = tcodec(
        "rd", folder / "one.png", bad, empty, "--against", "jpeg,gif", "--metric", "psnr-y,vmaf", "-o", tmp_path / "out"
    )
    assert status == 1
    assert b"| jpeg " in out
    told = [line.removeprefix("tcodec: ") for line in err if line.startswith("tcodec: ")]
    starts = [f"{empty}: the folder has no files", f"{bad}: ", "no codec is called 'gif'; known are tcodec-baseline, ",
              "no measure is called 'vmaf'; known are psnr-rgb, "]  # fmt: skip
    assert all(line.startswith(start) for line, start in zip(told, starts, strict=True))
    results = document(tmp_path / "out")
    assert results["failures"] == told
    assert set(results["bd_rates"]["pictures"]) == {"psnr-y"}


def test_nothing_to_compare_is_an_error(tcodec, tmp_path):
    status, out, err = tcodec("rd", tmp_path, "-o", tmp_path / "out")
    assert (status, out) == (1, b"")
    assert err[-1] == "tcodec: there is nothing to compare"
    assert not (tmp_path / "out").exists()


def test_no_measure_that_is_known_is_an_error(tcodec, folder, tmp_path):
    status, _, err = tcodec("rd", folder / "one.png", "--metric", "psnr-yuv", "-o", tmp_path / "out")
    assert status == 1
    assert err == ["tcodec: no measure of pictures is left", "tcodec: there is nothing to compare"]


def test_a_codec_that_fails_on_one_picture_is_in_the_report(tcodec, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(rd.RIVALS, False, ("coarse-picture", "broken"))
    status, out, err = tcodec("rd", folder / "one.png", folder / "two.png", "-o", tmp_path)
    assert status == 1
    results = document(tmp_path)
    assert {codec["name"]: codec["sources"] for codec in results["codecs"]} == {
        "tcodec-baseline": 2, "tcodec-baseline-psnr": 2, "coarse-picture": 2, "broken": 1,
    }  # fmt: skip
    assert len([line for line in err if line.startswith("tcodec: two, broken, quality")]) == len(Broken.ladder)
    assert results["failures"][0] == "two, broken, quality 32: UnpicklableError: a library said a code"
    rates = results["bd_rates"]["pictures"]["psnr-rgb"]
    assert rates["two"][0][3] is None
    assert rates["mean"][0][3] == rates["one"][0][3]
    assert b"| broken " in out


def test_a_codec_that_is_not_installed_is_named_as_left_out(tcodec, folder, tmp_path, monkeypatch):
    def version(self):
        raise codecs.NotInstalledError("no such library")

    monkeypatch.setattr(CoarsePicture, "version", version)
    status, out, err = tcodec("rd", folder / "one.png", "--against", "jpeg,coarse", "-o", tmp_path)
    assert status == 0
    assert "left out: coarse-picture: no such library" in err
    assert b"left out: coarse-picture: no such library" in out
    assert "coarse-picture: no such library" in document(tmp_path)["left_out"]


@pytest.mark.parametrize(
    "arguments",
    [["--jobs", "0"], ["--ablate", "--against", "jpeg"], ["-j", "2", "--cluster", "tcp://x:1"], ["-q", "101"], []],
)
def test_wrong_usage(arguments, folder):
    from codec import program  # noqa: PLC0415

    with pytest.raises(SystemExit, match="2"):
        program.main(["rd", *([str(folder)] if arguments else []), *arguments])


# Ablation ---------------------------------------------------------------------------------------------------


def test_ablation_finds_every_stage_of_pictures_and_clips(tcodec, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Tcodec, "ladder", (20, 60, 90))
    status, out, _ = tcodec("rd", folder / "one.png", folder / "wave.y4m", "--ablate", "-o", tmp_path, "-j", "2")
    assert status == 0
    assert out.decode() == (tmp_path / "results.md").read_text()
    results = document(tmp_path)
    assert {each["codec"]: [stage["without"] for stage in each["stages"]] for each in results["ablation"]} == {
        "tcodec-baseline": list(optional_stages()),
        "tcodec-baseline-psnr": list(optional_stages()),
        "tcodec": list(STAGES),
    }
    rates = results["bd_rates"]["pictures"]["psnr-rgb"]
    place = rates["codecs"].index("tcodec-baseline-psnr without deadzone")
    whole = rates["codecs"].index("tcodec-baseline-psnr")
    lines = [line for line in out.decode().splitlines() if line.startswith("| deadzone")]
    assert f"{rates['mean'][place][whole]:+.1f} %" in lines[1]
    [deadzone] = [each for each in results["ablation"][1]["stages"] if each["without"] == "deadzone"]
    assert deadzone["bd_rate"]["psnr-rgb"] == rates["mean"][place][whole]
    rows = {name: [row for row in results["rows"] if row["codec"] == name] for name in rates["codecs"]}
    pairs = zip(rows["tcodec-baseline-psnr"], rows["tcodec-baseline-psnr without deadzone"], strict=True)
    ratios = [less["decoding_time"] / whole["decoding_time"] for whole, less in pairs]
    assert deadzone["time"]["decoding_time"] == pytest.approx(np.median(ratios), rel=1e-4)


# Entropy ----------------------------------------------------------------------------------------------------


def test_bounds_are_below_the_bits_and_all_bits_add_up_to_the_file():
    for frames, quality in ((make_picture(64, 80), 60), (make_picture(40, 48, 4), 30), (make_footage(32, 48, 6), 50)):
        views = view_frames(frames, quality)
        assert list(views) == ["before", f"quality {quality}"]
        for view in views.values():
            for part in view.parts.values():
                assert part.bound <= part.huffman
            assert view.huffman + view.rest == 8 * view.size
            assert view.rest > 0
        assert views["before"].bound > 2 * views[f"quality {quality}"].bound


def test_the_bound_is_the_entropy_of_the_symbols():
    picture = make_picture(64, 80)
    view = view_frames(picture, 60)["quality 60"]
    trace = codec.trace_image(codec.encode_image(picture, 60))
    assert view.parts["Y AC"].bound == entropy_bits(trace.planes["Y"].ac_symbols)
    assert view.parts["Cb Cr DC"].symbols == 2 * trace.planes["Cb"].dc_sizes.size
    assert view.levels == pytest.approx(
        sum(
            entropy_bits(plane.levels[..., i, j]) for plane in trace.planes.values() for i in range(8) for j in range(8)
        )
    )


def test_before_quantisation_coefficients_are_nearly_what_they_were():
    picture = make_picture(64, 80, 1)
    data = codec.encode_image(picture, 100, tune="psnr", without={"deadzone"})
    assert np.abs(codec.decode_image(data).astype(int) - picture).max() <= 2
    assert view_frames(picture, 50)["before"].size == len(data)


def test_entropy_of_files_and_pictures(tcodec, folder, tmp_path):
    picture = np.asarray(Image.open(folder / "one.png"))
    (tmp_path / "one.tjpg").write_bytes(codec.encode_image(picture, 60))
    codec.encode_video(list(make_picture(32, 48)[None]), tmp_path / "clip.tvid")
    inputs = [folder / "one.png", tmp_path / "one.tjpg", tmp_path / "clip.tvid"]
    status, out, err = tcodec("rd", *inputs, "--entropy", "-q", "60", "--json")
    assert (status, err) == (0, [])
    records = json.loads(out)
    assert {name: list(views) for name, views in records.items()} == {
        str(inputs[0]): ["before", "quality 60"],
        str(inputs[1]): ["file"],
        str(inputs[2]): ["file"],
    }
    assert records[str(inputs[1])]["file"] == records[str(inputs[0])]["quality 60"]
    assert records[str(inputs[2])]["file"]["size"] == inputs[2].stat().st_size
    status, out, _ = tcodec("rd", inputs[1], "--entropy")
    assert status == 0
    assert "| Y AC " in out.decode()


def test_entropy_names_what_it_cannot_read(tcodec, folder, tmp_path):
    bad, torn = tmp_path / "bad.tjpg", tmp_path / "torn.tvid"
    bad.write_bytes(b"nothing")
    data = io.BytesIO()
    codec.encode_video([make_picture(16, 16)], data)
    torn.write_bytes(data.getvalue()[:-30])
    status, out, err = tcodec("rd", bad, torn, tmp_path / "missing.tjpg", folder / "one.png", "--entropy")
    assert status == 1
    assert [line.split(": ")[1] for line in err] == [str(bad), str(torn), str(tmp_path / "missing.tjpg")]
    assert out.decode().startswith(str(folder / "one.png"))


def test_packed_clips_are_taken(tcodec, folder, tmp_path):
    packed = tmp_path / "packed.y4m.xz"
    packed.write_bytes(lzma.compress((folder / "wave.y4m").read_bytes()))
    status, out, _ = tcodec("rd", packed, "--entropy")
    assert status == 0
    assert "| vector " in out.decode()
