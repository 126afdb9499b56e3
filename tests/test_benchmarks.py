"""Tests of the benchmarks: that they measure what they say, on pictures so small that the figures mean nothing."""

import hashlib
import io
import itertools
import json
import sys

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

import benchmarks.__main__ as everything
import codec
from benchmarks import curves, exact, harness, memory, sizes, speed, tuning
from benchmarks.rivals import Jpeg, Tcodec
from codec import metrics, quantize
from tests.pictures import make_picture


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


class Padded(Jpeg):
    """JPEG with files twice as long."""

    name = "padded"

    def encode(self, pixels, quality):
        data = super().encode(pixels, quality)
        return data + bytes(len(data))


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


def test_photos_are_loaded_in_order_as_rgb(folder, photos, tmp_path):
    loaded = harness.load_photos(folder)
    assert list(loaded) == ["one", "two"]
    assert all((loaded[name] == photos[name]).all() for name in photos)
    assert list(harness.load_photos(folder, every=2)) == ["one"]
    Image.fromarray(make_picture(5, 7, channels=2), "LA").save(tmp_path / "gray.PNG")
    assert harness.load_photos(tmp_path)["gray"].shape == (5, 7, 3)


def test_a_folder_without_photos_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SystemExit, match=tmp_path.name):
        harness.load_photos(tmp_path)


def test_cpu_seconds_are_those_of_the_process(monkeypatch):
    clock = itertools.count(100, 7)  # a process clock that has advanced by 7 s at each look
    monkeypatch.setattr(harness.time, "process_time", lambda: next(clock))
    assert harness.cpu_seconds(pow, 2, 10) == (1024, 7)


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


@pytest.mark.parametrize("rival", [Jpeg(), Tcodec(tables="jpeg"), Tcodec()], ids=lambda rival: rival.name)
def test_rivals_decode_what_they_encode_and_obey_the_quality(rival, photos):
    photo = photos["one"]
    points = [
        (len(data), metrics.psnr(photo, rival.decode(data))) for data in (rival.encode(photo, q) for q in (20, 90))
    ]
    assert points[0] < points[1]
    assert points[0][1] + 5 < points[1][1]
    assert points[1][1] > 30


def test_jpeg_is_optimised_and_has_chroma_at_half_resolution(photos):
    data = Jpeg().encode(photos["one"], 75)
    assert JpegImagePlugin.get_sampling(Image.open(io.BytesIO(data))) == 2  # Pillow's number for 4:2:0
    plain = io.BytesIO()
    Image.fromarray(photos["one"]).save(plain, "JPEG", quality=75, subsampling="4:2:0")
    assert len(data) < len(plain.getvalue())


# Sizes ------------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_files(folder, photos, tmp_path):
    status, result = run(sizes.main, tmp_path, folder)
    assert status == bool(unmet(result))
    differences = result["data"]["differences"]
    assert [(d["photo"], d["quality"]) for d in differences] == list(itertools.product(photos, sizes.QUALITIES))
    last, photo = differences[-1], photos["two"]
    data, jpeg = codec.encode_image(photo, 90, tables="jpeg"), Jpeg().encode(photo, 90)
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


# Curves -----------------------------------------------------------------------------------------------------


def test_curves_are_drawn_from_files(folder, photos, tmp_path):
    plot = tmp_path / "curves.png"
    status, result = run(curves.main, tmp_path, folder, "--plot", plot)
    assert status == bool(unmet(result))
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
    drawn = result["data"]["curves"]
    assert list(drawn) == [each.name for each in curves.CODECS]
    assert all(list(points) == list(photos) for points in drawn.values())
    photo, point = photos["two"], drawn["tcodec tune=psnr"]["two"][-1]
    data = codec.encode_image(photo, 94, tune="psnr")
    decoded = codec.decode_image(data)
    assert point == {
        "quality": 94,
        "bytes": len(data),
        "bpp": 8 * len(data) / (112 * 80),
        "RGB-PSNR": metrics.psnr(photo, decoded),
        "Y-PSNR": metrics.psnr_y(photo, decoded),
        "MS-SSIM": metrics.decibel(metrics.ms_ssim(photo, decoded)),
    }
    rates = result["data"]["bd_rates"]
    psnr, ms_ssim = rates["tcodec tune=psnr"]["RGB-PSNR"], rates["tcodec tune=ms-ssim"]["MS-SSIM"]
    assert psnr["mean"] == (psnr["one"] + psnr["two"]) / 2
    assert [target["value"] for target in result["targets"]] == [psnr["mean"], ms_ssim["mean"]]


def test_a_codec_against_itself_is_0_and_twice_the_bytes_are_100_percent(photos):
    rates = curves.bd_rates(curves.measure(photos, [Jpeg(), Padded()]), "JPEG")
    for measure in curves.MEASURES:
        assert rates["JPEG"][measure] == {"one": 0, "two": 0, "mean": 0}
        assert list(rates["padded"][measure].values()) == pytest.approx([100] * 3)


def test_curves_start_and_end_beyond_those_of_jpeg(photos):
    # Only then are all BD-rates over the same range of qualities.
    drawn = curves.measure({"one": photos["one"]}, curves.CODECS)
    for rival in drawn:
        for measure in ("RGB-PSNR", "Y-PSNR"):
            ours, jpeg = ([point[measure] for point in drawn[name]["one"]] for name in (rival, "JPEG"))
            assert ours[0] <= jpeg[0] + 0.1
            assert ours[-1] >= jpeg[-1]


# Speed ------------------------------------------------------------------------------------------------------


def test_ratio_is_the_sum_of_medians_of_jpeg_by_ours():
    seconds = np.empty((2, 2, 2, 3))
    seconds[0, 0] = [1, 2, 9], [3, 3, 3]  # JPEG's encoder: medians 2 and 3
    seconds[1, 0] = [4, 4, 4], [6, 60, 6]  # ours: 4 and 6
    seconds[:, 1] = 2.5
    jpeg, ours = speed.summarize(seconds, pixels=10_000_000)
    assert jpeg["encode"] == {"speed": 2.0, "ratio": 1.0, "low": 1.0, "high": 1.0}
    assert ours["encode"] == {"speed": 1.0, "ratio": 0.5, "low": 5 / 64, "high": 12 / 10}
    assert ours["decode"] == {"speed": 2.0, "ratio": 1.0, "low": 1.0, "high": 1.0}


def test_all_codecs_take_turns_on_each_photo(photos, monkeypatch):
    class Recorder(Jpeg):
        def __init__(self, name):
            self.name = name

        def encode(self, pixels, quality):
            calls.append((self.name, "encode", pixels.shape))
            return super().encode(pixels, quality)

        def decode(self, data):
            pixels = super().decode(data)
            calls.append((self.name, "decode", pixels.shape))
            return pixels

    calls = []
    clock = itertools.count()
    monkeypatch.setattr(harness.time, "process_time", lambda: next(clock))
    seconds = speed.measure(list(photos.values()), [Recorder("a"), Recorder("b")], rounds=2)
    assert (seconds == 1).all()
    one_round = list(itertools.product([photo.shape for photo in photos.values()], "ab", ["encode", "decode"]))
    assert calls[4:] == 2 * [(name, way, shape) for shape, name, way in one_round]  # after a first call of each


def test_speed_of_all_codecs_at_both_sizes(folder, tmp_path):
    status, result = run(speed.main, tmp_path, folder, "--rounds", 1, "--large", 200, 150)
    assert status == bool(unmet(result))
    data = result["data"]
    assert data["megapixels"] == pytest.approx({"photos": (96 * 128 + 112 * 80) / 2e6, "large": 0.03})
    for key in ("photos", "large"):
        assert list(data[key]) == ["JPEG", "tcodec tables=jpeg", "tcodec"]
        assert all(way[figure] > 0 for ways in data[key].values() for way in ways.values() for figure in way)
    assert [target["limit"] for target in result["targets"]] == [0.35, 0.30, 0.35, 0.30, 0.35, 0.35, 0.35, 0.35]
    assert [target["value"] for target in result["targets"][:2]] == [
        data["photos"]["tcodec tables=jpeg"][way]["ratio"] for way in ("encode", "decode")
    ]


def test_tiles_of_a_mosaic_are_mirrored_before_they_repeat(photos):
    picture = speed.mosaic(list(photos.values()), 80 * 4 + 30, 96 * 2 + 10)
    assert picture.shape == (202, 350, 3)
    tiles = [picture[y : y + 96, x : x + 80] for y in (0, 96) for x in range(0, 400, 80)]
    one, two = photos["one"][:, :80], photos["two"][:96]
    assert (tiles[0] == one).all()
    assert (tiles[1] == two).all()
    assert (tiles[2] == one[:, ::-1]).all()
    assert (tiles[4] == one[::-1][:, :30]).all()  # cut off at the right edge
    assert (tiles[7] == two[::-1, ::-1]).all()
    assert (picture[192:, :80] == one[:10, ::-1]).all()  # the eleventh is like the third, and cut off at the bottom


# Memory -----------------------------------------------------------------------------------------------------


def allocate(mebibytes):
    return np.ones(mebibytes << 20, np.uint8).nbytes


def test_peak_is_that_of_the_process_that_did_the_work():
    size, peak = memory.in_fresh_process(allocate, 300)
    assert size == 300 << 20
    assert 300 < peak < 10_000  # MiB: KiB or bytes would be far beyond


def test_memory_of_a_picture_that_comes_back(tmp_path, capsys):
    status, result = run(memory.main, tmp_path, "--side", 600)
    data = result["data"]
    assert status == 0
    assert data["side"] == 600
    assert 0.5 < 8 * data["bytes"] / 600**2 < 3  # neither flat nor pure noise
    assert data["psnr"] > 33
    assert [target["value"] for target in result["targets"]] == [data["encode"], data["decode"]]
    assert "0.36 MP of gray" in capsys.readouterr().out


def test_picture_of_strips_is_the_same_each_time_and_has_all_rows():
    strips = list(memory.strips(600))
    assert [strip.shape for strip in strips] == [(256, 600), (256, 600), (88, 600)]
    assert all((a == b).all() for a, b in zip(strips, memory.strips(600), strict=True))
    assert (strips[0] != strips[1]).any()


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
    assert other["RGB-PSNR"] > flat["RGB-PSNR"] + 5  # chroma costs PSNR
    assert quantize.TABLES["flat"] is flat_table


def test_tuning_lists_candidates_from_the_best(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "GRIDS", {"flat": {"deadzone": (0.0, 0.17)}})
    status, result = run(tuning.main, tmp_path, folder)
    tried = result["data"]["flat"]["tried"]
    assert status == 0
    assert [each["deadzone"] for each in tried] == [0.17, 0.0]
    assert tried[0]["RGB-PSNR"] < tried[1]["RGB-PSNR"] < 0
    assert list(result["data"]["flat"]["shipped"]) == list(curves.MEASURES)


# All of them ------------------------------------------------------------------------------------------------


def test_all_results_are_written_down(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(everything, "COMMANDS", {"sizes": True})
    status = everything.main([str(folder), "-o", str(tmp_path / "new")])
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    assert [result["name"] for result in results] == ["sizes"]
    assert status == bool(unmet(results[0]))
    text = (tmp_path / "new" / "results.md").read_text()
    rows = [line for line in text.splitlines() if "`python -m benchmarks.sizes`" in line]
    assert len(rows) == len(results[0]["targets"])
    assert results[0]["text"] in text


def test_a_benchmark_that_breaks_off_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"benchmarks\.sizes"):
        everything.run("sizes", [str(tmp_path)])


def test_one_thread_is_set_before_numpy_is_loaded():
    # In this process NumPy is loaded already; the package itself must not load it before it has set the variables.
    code = "import sys, os, benchmarks; print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    child = everything.subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.split() == ["False", "1"]
