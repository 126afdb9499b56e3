"""Tests of the benchmarks that are commands of their own: that they measure what they say, on small things."""

import hashlib
import importlib
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks import exact, harness, sizes, tuning, video_exact, video_seek
from benchmarks.picture_codecs import Jpeg
from codec import metrics, quantize
from tests.pictures import make_picture

# All that are run by `python -m benchmarks.NAME`.
COMMANDS = [path.stem for path in sorted(Path(harness.__file__).parent.glob("*.py")) if "__main__" in path.read_text()]


@pytest.fixture(scope="module")
def photos():
    return {"one": make_picture(96, 128, seed=1), "two": make_picture(112, 80, seed=2)}


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("photos")
    for name, photo in photos.items():
        Image.fromarray(photo).save(path / f"{name}.png")
    (path / "index.json").write_text("{}")
    return path


def run(main, tmp_path, *arguments):
    """Run a command; return its exit status and what it wrote."""
    file = tmp_path / "result.json"
    status = main([*map(str, arguments), "--json", str(file)])
    return status, json.loads(file.read_text())


def unmet(result):
    return [target["what"] for target in result["targets"] if not harness.Target(**target).met]


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_takes_help_and_then_does_nothing_else(module, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        importlib.import_module(f"benchmarks.{module}").main(["--help"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


# The harness ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relation", "value", "met"),
    [
        ("at most", -9, True),
        ("at most", 1.5, True),
        ("at most", 1.6, False),
        ("at least", 9, True),
        ("at least", 1.5, True),
        ("at least", 1.4, False),
    ],
)
def test_target_is_open_on_its_better_side(relation, value, met):
    assert harness.Target("bytes", value, relation, 1.5).met is met


def test_photos_are_loaded_in_order_as_they_are(folder, photos, tmp_path):
    loaded = harness.load_photos(folder)
    assert list(loaded) == ["one", "two"]
    assert all((loaded[name] == photos[name]).all() for name in photos)
    assert list(harness.load_photos(folder, every=2)) == ["one"]
    Image.fromarray(make_picture(5, 7, channels=2), "LA").save(tmp_path / "gray.PNG")
    assert harness.load_photos(tmp_path)["gray"].shape == (5, 7)


def test_a_folder_without_photos_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SystemExit, match=tmp_path.name):
        harness.load_photos(tmp_path)


def test_table_is_aligned_markdown():
    assert harness.table(["a", "b"], [["long", "1"], ["x", "-12"]]).splitlines() == [
        "| a    |   b |",
        "| ---- | --: |",
        "| long |   1 |",
        "| x    | -12 |",
    ]


def test_status_and_file_tell_of_a_missed_target(tmp_path, capsys):
    targets = [harness.Target("good", 1, "at most", 2, "dB"), harness.Target("bad", 3, "at most", 2, "dB")]
    file = tmp_path / "result.json"
    assert harness.finish(harness.Report("x", "text", targets[:1], {}), None) == 0
    assert harness.finish(harness.Report("x", "text", targets, {"n": 1}), file) == 1
    printed = capsys.readouterr().out
    assert printed.count("PASS") == 2
    assert printed.count("FAIL") == 1
    result = json.loads(file.read_text())
    assert (result["name"], result["data"], unmet(result)) == ("x", {"n": 1}, ["bad"])
    assert result["environment"]["numpy"] == np.__version__


# Sizes ------------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_files(folder, photos, tmp_path):
    status, result = run(sizes.main, tmp_path, folder)
    assert status == bool(unmet(result))
    differences = result["data"]["differences"]
    assert [(d["photo"], d["quality"]) for d in differences] == list(itertools.product(photos, sizes.QUALITIES))
    last, photo = differences[-1], photos["two"]
    data, jpeg = codec.encode_image(photo, 90, profile="baseline", tables="jpeg"), Jpeg().encode(photo, 90)
    assert (last["size"], last["jpeg_size"]) == (len(data), len(jpeg))
    ours, theirs = codec.decode_image(data), Jpeg().decode(jpeg)
    assert last["rgb"] == metrics.psnr(photo, ours) - metrics.psnr(photo, theirs)
    assert last["luma"] == metrics.psnr_y(photo, ours) - metrics.psnr_y(photo, theirs)


def test_the_worst_file_is_the_largest_and_the_worst_psnr_the_lowest():
    report = sizes.report(
        [
            sizes.Difference("a", 50, 990, 1000, rgb=+0.3, luma=-0.05),
            sizes.Difference("b", 50, 1010, 1000, rgb=-0.2, luma=+0.9),
            sizes.Difference("a", 75, 500, 1000, rgb=+0.5, luma=+0.5),
        ]
    )
    assert [target.value for target in report.targets] == pytest.approx([1, -0.2, -0.05])
    assert [target.met for target in report.targets] == [True, False, True]
    assert "| mean  |      50 |    +0.00 |       +0.050 |     +0.425 |" in report.text
    assert "| worst |      50 |    +1.00 |       -0.200 |     -0.050 |" in report.text


# Exactness --------------------------------------------------------------------------------------------------


@pytest.fixture
def coded(photos, tmp_path):
    file = tmp_path / "one.tjpg"
    file.write_bytes(codec.encode_image(photos["one"]))
    return file


def test_hashes_are_those_of_the_decoded_bytes(coded, tmp_path, monkeypatch):
    monkeypatch.setattr(exact, "CORES", ("default", "Nehalem"))
    status, result = run(exact.main, tmp_path, coded)
    expected = hashlib.sha256(codec.decode_image(coded.read_bytes()).tobytes()).hexdigest()
    assert status == 0
    assert [(each["threads"], each["pictures"]) for each in result["data"]["runs"][:2]] == [
        (1, [expected]),
        (2, [expected]),
    ]


def test_kernel_and_threads_reach_the_decoder(coded, monkeypatch):
    monkeypatch.setattr(
        exact, "CHILD", "import os; print(os.environ['OPENBLAS_CORETYPE'], os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert exact.run([coded], "Nehalem", 2) == exact.Run("Nehalem", 2, "Nehalem", ["2"])


def test_a_kernel_that_this_processor_lacks_is_left_out(coded, monkeypatch):
    monkeypatch.setattr(exact, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert exact.run([coded], "SkylakeX", 1) is None


def test_one_different_hash_of_one_file_is_a_failure(tmp_path):
    files = [tmp_path / "a" / "x.tjpg", tmp_path / "b" / "x.tjpg"]
    same, other = exact.Run("Haswell", 1, "p", ["1", "2"]), exact.Run("Nehalem", 1, "q", ["1", "3"])
    assert [target.met for target in exact.report(files, [same, other]).targets] == [False]
    assert [target.met for target in exact.report(files, [same, same]).targets] == [True]


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


# Tuning -----------------------------------------------------------------------------------------------------


def test_search_finds_the_best_of_its_grid_and_tries_nothing_twice():
    def judge(constants):
        calls.append(constants)
        return 4 * abs(constants.slope - 0.3) + abs(constants.chroma - 1.5 - constants.slope) + constants.deadzone

    calls = []
    tried = tuning.search(judge, {"chroma": (1.0, 1.5, 1.8), "slope": (0.0, 0.3), "deadzone": (0.1,)})
    assert tried[0] == tuning.Constants(slope=0.3, chroma=1.8)  # chroma 1.5 in the first round
    assert sorted(map(repr, calls)) == sorted({repr(constants) for constants in tried})
    assert [judge(constants) for constants in tried] == sorted(judge(constants) for constants in tried)


def test_constants_make_the_table_that_they_name():
    table = tuning.Constants(slope=0.5, chroma=2, deadzone=0.1).table()
    assert table.luma[0] == 16 * 13  # 26 two frequencies away
    assert table.luma[3] == 16 * 26  # the zigzag's fourth: two rows down
    assert (table.chroma[0], table.deadzone, table.integer) == (16 * 26, 0.1, False)


def test_a_table_is_measured_in_the_place_of_another(photos):
    bench, flat_table = tuning.Bench([photos["one"]]), quantize.TABLES["flat"]
    coarse = tuning.Constants(chroma=2.0).table()
    flat, other = bench.rates("flat", flat_table), bench.rates("flat", coarse)
    assert flat == bench.rates("sloped", flat_table)
    assert other["psnr-rgb"] > flat["psnr-rgb"] + 5  # chroma costs PSNR
    assert quantize.TABLES["flat"] is flat_table


def test_tuning_lists_candidates_from_the_best(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "GRIDS", {"flat": {"deadzone": (0.0, 0.17)}})
    status, result = run(tuning.main, tmp_path, folder)
    tried = result["data"]["flat"]["tried"]
    assert status == 0
    assert [each["deadzone"] for each in tried] == [0.17, 0.0]
    assert tried[0]["psnr-rgb"] < tried[1]["psnr-rgb"] < 0
    assert list(result["data"]["flat"]["shipped"]) == list(tuning.MEASURES)
