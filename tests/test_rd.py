"""Tests of `tcodec rd` as a user calls it: the report, bad input, resuming, ablation."""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks import codecs, rd, sweep
from benchmarks.cells import Cell
from benchmarks.picture_codecs import Tcodec
from codec import program
from codec.image import optional_stages
from codec.video import STAGES
from tests.footage import CoarsePicture, make_footage, write_y4m
from tests.pictures import make_picture
from tests.program import COMMAND, ENVIRONMENT, call, process

OURS = ["tcodec-main", "tcodec-main-psnr", "tcodec-baseline", "tcodec-baseline-psnr"]
OURS += ["tcodec-tokens", "tcodec-tokens-psnr", "tcodec-baseline-effort2", "tcodec-baseline-psnr-effort2"]


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


@pytest.fixture
def one_of_ours(monkeypatch):
    """Compare one codec of ours instead of four, where it does not matter which: it takes less time."""
    monkeypatch.setattr(Tcodec, "variants", lambda: [Tcodec("baseline")])


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
        *((name, "pictures") for name in OURS),
        ("jpeg-progressive", "pictures"),
        ("tcodec", "clips"),
        ("mpeg4", "clips"),
    ]
    assert list(results["results"]) == [each["name"] for each in results["codecs"]]
    for columns in results["results"].values():
        assert {len(column) for column in columns.values()} == {6}
        assert {"bpp", "psnr-y", "ms-ssim", "encoding_time", "decoding_time"} <= set(columns)
    assert [(each["name"], each["kind"], each["width"], each["frames"]) for each in results["sources"]] == [
        ("one", "pictures", 96, 1),
        ("two", "pictures", 80, 1),
        ("wave", "clips", 48, 4),
    ]
    assert len(results["rows"]) == 2 * (len(OURS) + 1) * 6 + 2 * 6
    assert results["left_out"] == results["failures"] == []
    assert results["notes"] == ["pictures of 2 sizes: means count each alike"]


def test_rows_are_real_files_and_means_are_of_rows(report, folder):
    results = document(report)
    picture = np.asarray(Image.open(folder / "one.png"))
    own = [row for row in results["rows"] if row["codec"] == "tcodec-baseline-psnr"]
    row = next(row for row in own if row["source"] == "one" and row["quality"] == 70)
    assert row["bytes"] == len(codec.encode_image(picture, 70, profile="baseline", tune="psnr"))
    assert row["bpp"] == pytest.approx(8 * row["bytes"] / (48 * 96), rel=1e-5)
    mean = results["results"]["tcodec-baseline-psnr"]
    both = [row["psnr-rgb"] for row in own if row["quality"] == 70]
    assert mean["psnr-rgb"][mean["quality"].index(70)] == pytest.approx(sum(both) / 2, rel=1e-5)


def test_matrices_and_tables_say_the_same(report):
    results = document(report)
    rates = results["bd_rates"]["pictures"]["psnr-rgb"]
    assert rates["codecs"] == [*OURS, "jpeg-progressive"]
    assert set(rates["sources"]) == {"one", "two"}
    both = [matrix[0][len(OURS)] for matrix in rates["sources"].values()]
    assert rates["mean"][0][len(OURS)] == pytest.approx(sum(both) / 2, rel=1e-4)
    table = (report / "results.md").read_text()
    row = next(line for line in table.splitlines() if line.startswith("| tcodec-baseline-psnr"))
    assert f"{rates['mean'][3][len(OURS)]:+.1f} %" in row.split("|")[2]


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
    assert err == [
        "108 of 108 cells are known from before",
        "12 of 12 cells are known from before",
        "18 of 18 pictures to look at are known from before",
        "2 of 2 pictures to look at are known from before",
        f"the report is in {report / 'index.html'}",
    ]
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
    assert [(cell.source.name, cell.setting.codec.name) for cell in cells[::6]] == [("one", "jpeg"), ("two", "jpeg")]
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
    assert [each["name"] for each in document(tmp_path)["codecs"]] == OURS


# Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--against", "jpeg,gif,masked"], "no codec is called 'gif'; known are tcodec-main, .*jpeg, .*h265"),
        (["--metric", "psnr-y,vmaf,x"], "no measure is called 'vmaf' or 'x'; known are psnr-rgb, .*psnr-yuv"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_measured(option, message, tcodec, folder, tmp_path):
    status, out, err = tcodec("rd", folder / "one.png", *option, "-o", tmp_path / "out")
    assert (status, out, len(err)) == (1, b"", 1)
    assert re.match(f"tcodec: {message}", err[0])
    assert not (tmp_path / "out").exists()


def test_every_codec_can_be_found_in_the_help(capsys):
    with pytest.raises(SystemExit):
        program.main(["rd", "--help"])
    words = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    for kind in rd.RIVALS:
        for name, each in codecs.known(kind).items():
            assert name.partition("-")[0] in words or not type(each).__module__.startswith("benchmarks.")  # but tests'


def test_unreadable_inputs_are_named_and_the_rest_goes_on(tcodec, folder, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    empty = tmp_path / "empty"
    empty.mkdir()
    status, out, err = tcodec("rd", folder / "one.png", bad, empty, "--against", "jpeg", "-o", tmp_path / "out")
    assert status == 1
    assert b"| jpeg " in out
    told = [line.removeprefix("tcodec: ") for line in err if line.startswith("tcodec: ")]
    starts = [f"{empty}: the folder has no files", f"{bad}: "]
    assert all(line.startswith(start) for line, start in zip(told, starts, strict=True))
    results = document(tmp_path / "out")
    assert results["failures"] == told
    assert [line.removeprefix("failed: ") for line in out.decode().splitlines() if line.startswith("failed: ")] == told


def test_nothing_to_compare_is_an_error(tcodec, tmp_path):
    status, out, err = tcodec("rd", tmp_path, "-o", tmp_path / "out")
    assert (status, out) == (1, b"")
    assert err[-1] == "tcodec: there is nothing to compare"
    assert not (tmp_path / "out").exists()


def test_no_measure_that_is_known_is_an_error(tcodec, folder, tmp_path):
    status, _, err = tcodec("rd", folder / "one.png", "--metric", "psnr-yuv", "-o", tmp_path / "out")
    assert status == 1
    assert err == [
        "left out: psnr-yuv: no measure of pictures",
        "tcodec: no measure of pictures is left",
        "tcodec: there is nothing to compare",
    ]


def test_a_codec_that_fails_on_one_picture_is_in_the_report(tcodec, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(rd.RIVALS, "pictures", ("coarse-picture", "broken"))
    status, out, err = tcodec("rd", folder / "one.png", folder / "two.png", "-o", tmp_path)
    assert status == 1
    results = document(tmp_path)
    assert {codec["name"]: codec["sources"] for codec in results["codecs"]} == {
        **dict.fromkeys(OURS, 2),
        "coarse-picture": 2,
        "broken": 1,
    }
    assert results["failures"] == ["two, broken: UnpicklableError: a library said a code (4 of 4)"]
    assert f"tcodec: {results['failures'][0]}" in err
    rates = results["bd_rates"]["pictures"]["psnr-rgb"]
    assert rates["sources"]["two"][0][len(OURS) + 1] is None
    assert rates["mean"][0][len(OURS) + 1] == rates["sources"]["one"][0][len(OURS) + 1]
    row = next(line for line in out.decode().splitlines() if line.startswith("| broken "))
    assert row.count(" ?") == 4  # the mean is of fewer pictures
    assert {"kind": "pictures", "measure": "ssim", "test": "broken", "anchor": "tcodec-baseline",
            "reason": "not measured", "sources": ["two"]} in results["doubts"]  # fmt: skip


def test_a_codec_that_is_not_installed_is_named_as_left_out(tcodec, folder, tmp_path, one_of_ours, monkeypatch):
    def version(self):
        raise codecs.NotInstalledError("no such library")

    monkeypatch.setattr(CoarsePicture, "version", version)
    status, out, err = tcodec("rd", folder / "one.png", "--against", "jpeg,coarse", "-o", tmp_path)
    assert status == 0
    assert "left out: coarse-picture: no such library" in err
    assert b"left out: coarse-picture: no such library" in out
    assert "coarse-picture: no such library" in document(tmp_path)["left_out"]


def test_codecs_of_another_kind_are_said_to_be_left_out(tcodec, folder, tmp_path, one_of_ours):
    status, _, err = tcodec("rd", folder / "one.png", "--against", "h264,jpeg,h264", "-o", tmp_path)
    assert status == 0
    assert err[0] == "left out: h264: not for pictures"
    assert document(tmp_path)["left_out"] == ["h264: not for pictures"]


def test_one_codec_alone_has_no_tables(tcodec, folder, tmp_path):
    status, out, _ = tcodec("rd", folder / "wave.y4m", "--against", "", "-o", tmp_path)
    assert status == 0
    assert out.decode() == "1 clip: tcodec alone, and nothing to compare it with; results.csv has its points\n"


def test_a_report_among_the_inputs_is_refused(tcodec, folder):
    status, _, err = tcodec("rd", folder, "-o", folder)
    assert status == 1
    assert err == [f"tcodec: {folder}: the report would be among the inputs; give it a folder of its own with -o"]


def test_any_name_of_a_file_makes_a_report(tcodec, tmp_path, one_of_ours):
    for number, name in enumerate(["mean", "codecs", "$x^$ {}", "a" * 200, "<b>&amp;", "d/e/a", "d_e/a"]):
        path = tmp_path / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_picture(16, 24, seed=number)).save(path)
    status, _, err = tcodec("rd", tmp_path / "in", "--against", "", "-o", tmp_path / "out", "-j", "2")
    assert (status, len(err)) == (0, 1)
    sources = document(tmp_path / "out")["bd_rates"]["pictures"]["psnr-y"]["sources"]
    assert len(sources) == 7
    assert {"mean", "codecs", "$x^$ {}"} <= set(sources)
    assert len(list((tmp_path / "out" / "curves").iterdir())) == 7


def test_what_an_earlier_report_drew_is_gone(tcodec, folder, tmp_path, one_of_ours):
    assert tcodec("rd", folder, "--against", "", "-o", tmp_path)[0] == 0
    assert tcodec("rd", folder / "one.png", "--against", "", "-o", tmp_path)[0] == 0
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["one.png", "pictures.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_ends_at_once_and_goes_on_when_called_again(number, folder, tmp_path):
    Image.fromarray(make_picture(400, 600)).save(tmp_path / "x.png")
    arguments = ["rd", str(tmp_path / "x.png"), "--against", "avif-speed2", "-o", str(tmp_path / "out"), "-j", "2"]
    kept, ours = tmp_path / "out" / "cells.jsonl", 6 * len(OURS)
    with subprocess.Popen(
        [*COMMAND, *arguments], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        while not (kept.exists() and kept.read_text().count("\n") >= ours):  # now it is at AVIF, seconds a cell
            assert child.poll() is None
            time.sleep(0.02)
        start = time.monotonic()
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        assert time.monotonic() - start < 2
    assert child.returncode == 128 + number
    assert f"interrupted; what was finished is kept in {tmp_path / 'out'}: call again to go on" in err.decode()
    assert b"Traceback" not in err
    before = kept.read_text()
    status, _, err = process(*arguments[:2], "--against", "", *arguments[4:])
    assert status == 0
    assert f"{ours} of {ours} cells are known from before" in err
    assert kept.read_text().startswith(before)


@pytest.mark.parametrize(
    "arguments",
    [["--jobs", "0"], ["--ablate", "--against", "jpeg"], ["-j", "2", "--cluster", "tcp://x:1"], ["--frames", "x"], []],
)
def test_wrong_usage(arguments, folder):
    from codec import program  # noqa: PLC0415

    with pytest.raises(SystemExit, match="2"):
        program.main(["rd", *([str(folder)] if arguments else []), *arguments])


# Ablation ---------------------------------------------------------------------------------------------------


def test_ablation_finds_every_stage_of_pictures_and_clips(tcodec, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Tcodec, "ladder", (20, 60, 90))
    monkeypatch.setattr(Tcodec, "variants", lambda: [Tcodec("main"), Tcodec("baseline", "psnr"), Tcodec("tokens")])
    status, out, _ = tcodec("rd", folder / "one.png", folder / "wave.y4m", "--ablate", "-o", tmp_path, "-j", "2")
    assert status == 0
    assert out.decode() == (tmp_path / "results.md").read_text()
    results = document(tmp_path)
    assert {each["codec"]: [stage["without"] for stage in each["stages"]] for each in results["ablation"]} == {
        "tcodec-main": list(optional_stages("main")),
        "tcodec-baseline-psnr": list(optional_stages("baseline")),
        "tcodec-tokens": list(optional_stages("tokens")),
        "tcodec": list(STAGES),
    }
    rates = results["bd_rates"]["pictures"]["psnr-rgb"]
    place = rates["codecs"].index("tcodec-baseline-psnr without deadzone")
    whole = rates["codecs"].index("tcodec-baseline-psnr")
    lines = [line for line in out.decode().splitlines() if line.startswith("| deadzone")]
    assert f"{rates['mean'][place][whole]:+.1f} %" in lines[0]
    [deadzone] = [each for each in results["ablation"][1]["stages"] if each["without"] == "deadzone"]
    assert deadzone["bd_rate"]["psnr-rgb"] == rates["mean"][place][whole]
    rows = {name: [row for row in results["rows"] if row["codec"] == name] for name in rates["codecs"]}
    pairs = zip(rows["tcodec-baseline-psnr"], rows["tcodec-baseline-psnr without deadzone"], strict=True)
    ratios = [less["decoding_time"] / whole["decoding_time"] for whole, less in pairs]
    assert deadzone["time"]["decoding_time"] == pytest.approx(np.median(ratios), rel=1e-4)
    [doubtful] = [line for line in out.decode().splitlines() if line.startswith("| last-three-passes")]
    pair = ("tcodec-tokens without last-three-passes", "tcodec-tokens")
    doubts = {d["measure"] for d in results["doubts"] if (d["test"], d["anchor"]) == pair}
    assert doubtful.count("?") == len(doubts) > 0
    assert lines[0].count("?") == 0
    assert "?: doubtful" in out.decode()
