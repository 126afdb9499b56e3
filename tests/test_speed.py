"""Tests of `tcodec speed`: that it times what it says, on frames so small that the figures mean nothing."""

import itertools
import json
import math
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from PIL import Image

from benchmarks import cells, memory, scaling, speed
from benchmarks.cells import bits_a_pixel
from benchmarks.matching import match_rate
from benchmarks.picture_codecs import Jpeg, Tcodec
from benchmarks.sources import find_sources
from benchmarks.stage_times import shares
from benchmarks.video_codecs import Mpeg2, TcodecVideo
from bitstreams import bits
from codec import blocks, program
from tests.footage import Broken, Coarse, CoarsePicture, make_footage, write_y4m
from tests.pictures import make_picture


@pytest.fixture(scope="module")
def pictures():
    return [make_picture(48, 96, seed=1), make_picture(64, 80, seed=2)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("inputs")
    for name, picture in zip(("one", "two"), pictures, strict=True):
        Image.fromarray(picture).save(path / f"{name}.png")
    write_y4m(path / "wave.y4m", make_footage(32, 48, 4))
    return path


class Timed(CoarsePicture):
    """A codec for which a clock is set forward: so many seconds for each pixel."""

    def __init__(self, name, clock, encode, decode):
        super().__init__(name)
        self.clock, self.costs = clock, (encode, decode)

    @classmethod
    def variants(cls):
        return []  # not to be found by name

    def encode(self, frames, quality):
        self.clock.now += self.costs[0] * frames.size
        self.clock.calls.append((self.name, "encode", frames.shape))
        return super().encode(frames, quality)

    def decode(self, data):
        decoded = super().decode(data)
        self.clock.now += self.costs[1] * decoded.size
        self.clock.calls.append((self.name, "decode", decoded.shape))
        return decoded


class Clock:
    def __init__(self):
        self.now, self.calls = 0.0, []

    def cpu_seconds(self, work, *args):
        start = self.now
        return work(*args), self.now - start


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cells, "cpu_seconds", clock.cpu_seconds)
    return clock


# Speeds -----------------------------------------------------------------------------------------------------


def test_all_codecs_take_turns_on_each_picture(pictures, clock):
    entrants = [speed.Entrant(Timed(name, clock, 1, 1), 8, pictures) for name in "ab"]
    clock.calls.clear()
    speed.measure(entrants, 2, bar=False)
    one_round = list(itertools.product([picture.shape for picture in pictures], "ab", ["encode", "decode"]))
    assert clock.calls == 2 * [(name, way, shape) for shape, name, way in one_round]


def test_ratios_are_our_speed_by_the_others(pictures, clock):
    entrants = [
        speed.Entrant(Timed("ours", clock, 2e-6, 4e-6), 8, pictures),
        speed.Entrant(Timed("other", clock, 1e-6, 8e-6), 8, pictures),
    ]
    ours, other = speed.summarize(entrants, speed.measure(entrants, 3, bar=False))
    assert (ours.codec, ours.version, ours.bpp) == ("ours", "1", entrants[0].rate)
    # A pixel has three samples: 6 and 12 microseconds.
    assert ours.encode == pytest.approx([1 / 6] * 3)
    assert ours.decode == pytest.approx([1 / 12] * 3)
    assert other.encode == pytest.approx([1 / 3] * 3)
    assert ours.encode_ratio == pytest.approx((1, 1, 1))
    assert other.encode_ratio == pytest.approx((0.5, 0.5, 0.5))
    assert other.decode_ratio == pytest.approx((2, 2, 2))


def test_times_of_a_picture_are_medians_and_ranges_are_of_rounds(pictures):
    entrants = [speed.Entrant(CoarsePicture(), 8, pictures) for _ in range(2)]
    seconds = np.empty((2, 2, 2, 3))
    seconds[0, 0] = [4, 4, 4], [6, 60, 6]  # ours: medians 4 and 6
    seconds[1, 0] = [1, 2, 9], [3, 3, 3]  # the other: 2 and 3
    seconds[:, 1] = 2.5
    _, other = speed.summarize(entrants, seconds)
    assert other.encode_ratio == pytest.approx((0.5, 5 / 64, 1.2))
    pixels = 48 * 96 + 64 * 80
    assert other.encode == pytest.approx([pixels / 1e6 / seconds for seconds in (5, 12, 4)])  # rounds of 4, 5 and 12 s


def test_the_start_of_a_program_is_not_counted(monkeypatch):
    def seconds(work, content, *_):
        count = len(content.frames) if isinstance(content, type(footage)) else counts[-1]
        counts.append(count)
        return content, 0.5 + 0.02 * count

    footage, counts = make_footage(16, 16, 101), []
    monkeypatch.setattr(cells, "child_cpu_seconds", seconds)
    assert speed.Entrant(Mpeg2(), 9, [footage]).run(0) == pytest.approx([2.02, 2.02])  # as many frames without it
    monkeypatch.setattr(cells, "cpu_seconds", seconds)
    assert speed.Entrant(Coarse(), 9, [footage]).run(0) == pytest.approx([2.52, 2.52])


def test_others_are_timed_at_our_rate(pictures):
    ours = Tcodec("baseline")
    entrants, failures = speed.entrants([ours, Jpeg(), Tcodec("baseline", tune="psnr")], pictures, 60)
    rates = [entrant.rate for entrant in entrants]
    assert failures == []
    assert rates[0] == bits_a_pixel([ours.encode(picture, 60) for picture in pictures], pictures)
    assert [entrant.codec.name for entrant in entrants] == ["tcodec-baseline", "jpeg", "tcodec-baseline-psnr"]
    assert rates[2] == pytest.approx(rates[0], rel=0.01)  # hundredths of its quality count
    assert rates[1] == pytest.approx(rates[0], rel=0.06)


def test_hardly_any_quality_comes_closer_than_the_one_that_matches(pictures):
    codec, wanted = Jpeg(), 1.3
    quality, files = match_rate(codec, pictures, wanted, {5: 0.3, 92: 4.0})
    assert files == [codec.encode(picture, quality) for picture in pictures]
    error = abs(bits_a_pixel(files, pictures) - wanted)
    others = ([codec.encode(picture, other) for picture in pictures] for other in range(5, 96))
    assert sum(abs(bits_a_pixel(files, pictures) - wanted) < error for files in others) <= 1


# Stages -----------------------------------------------------------------------------------------------------


def in_file(function, module):
    """Pretend that a function is in a file of the project."""
    function.__code__ = function.__code__.replace(co_filename=module.__file__)
    return function


@pytest.mark.parametrize("sort", [np.sort, "itself"], ids=["through NumPy", "itself"])
def test_time_counts_for_the_file_that_calls(sort):
    def once(numbers):
        if sort == "itself":
            numbers.sort()  # nothing in between
        else:
            sort(numbers)  # a function that calls another: two calls away

    def often(numbers):
        for _ in range(2000):
            if sort == "itself":
                numbers[:10].sort()
            else:
                sort(numbers[:10])

    numbers = np.random.default_rng(0).random(3_000_000)
    once, often = in_file(once, blocks), in_file(often, bits)
    found = shares(lambda: (once(numbers), often(numbers)))
    assert set(found) == {"codec/blocks.py", "bitstreams/bits.py"}
    assert sum(found.values()) == pytest.approx(1)
    assert found["codec/blocks.py"] > 0.8  # one long call, against many short ones


STAGES = {
    "main": (
        ("codec/lapped.py", "codec/contexts.py", "codec/dc_pyramid.py", "codec/context_strip.py", "bitstreams/rans.py"),
        ("codec/block_choice.py", "codec/rdoq.py", "codec/loop_filter.py"),
    ),
    "baseline": (
        ("codec/dct.py",),
        ("codec/quantize.py", "codec/color.py", "codec/scan.py", "bitstreams/huffman.py"),
    ),
}


@pytest.mark.parametrize("profile", STAGES)
def test_every_stage_of_the_codec_shows_up(profile, pictures):
    codec = Tcodec(profile)
    data = codec.encode(pictures[0], 75)
    encoding, decoding = shares(lambda: codec.encode(pictures[0], 75)), shares(lambda: codec.decode(data))
    both, of_encoder = STAGES[profile]
    assert all(encoding[stage] > 0.002 for stage in (*both, *of_encoder))
    assert all(decoding[stage] > 0.002 for stage in both)
    assert list(encoding.values()) == sorted(encoding.values(), reverse=True)


# Memory and scaling -----------------------------------------------------------------------------------------


def allocate(megabytes):
    return np.ones(megabytes * 10**6, np.uint8).nbytes


def test_peak_is_that_of_the_process_that_did_the_work():
    size, peak = memory.in_fresh_process(allocate, 300)
    assert size == 300e6
    assert 300 < peak < 600  # with interpreter and NumPy; KB or bytes would be far beyond
    held = np.ones(200 * 10**6, np.uint8)  # what is held here does not count there
    assert memory.in_fresh_process(allocate, 10)[1] < 200
    assert held.any()


def test_tiles_of_a_mosaic_are_mirrored_before_they_repeat():
    photos = [make_picture(96, 128, seed=1), make_picture(112, 80, seed=2)]
    picture = scaling.mosaic(photos, 80 * 4 + 30, 96 * 2 + 10)
    assert picture.shape == (202, 350, 3)
    tiles = [picture[y : y + 96, x : x + 80] for y in (0, 96) for x in range(0, 400, 80)]
    one, two = photos[0][:, :80], photos[1][:96]
    assert (tiles[0] == one).all()
    assert (tiles[1] == two).all()
    assert (tiles[2] == one[:, ::-1]).all()
    assert (tiles[4] == one[::-1][:, :30]).all()  # cut off at the right edge
    assert (tiles[7] == two[::-1, ::-1]).all()
    assert (picture[192:, :80] == one[:10, ::-1]).all()  # the eleventh is like the third, and cut off at the bottom


def test_scaling_makes_pictures_and_clips_of_the_sizes_that_are_wanted(inputs):
    found = {source.name: source for source in find_sources([str(inputs)]).sources}
    picture = scaling.make([found["one"], found["two"]], 0.06)
    assert picture.shape == (200, 300, 3)
    assert len(scaling.make([found["wave"]], 9).frames) == 9


def test_scaling_measures_bytes_times_and_memory(inputs):
    sources, codec = find_sources([str(inputs / "one.png")]).sources, Tcodec("baseline")
    small, large = (scaling.measure(sources, codec, 75, size) for size in (0.02, 3))
    whole = scaling.make(sources, 3)
    assert large.bytes == len(codec.encode(whole, 75))
    assert (small.codec, small.size, large.size) == ("tcodec-baseline", 0.02, 3)
    assert large.encode > 5 * small.encode
    assert large.decode > 5 * small.decode
    assert large.encode_memory > small.encode_memory
    assert large.decode_memory > small.decode_memory


def test_memory_does_not_grow_with_the_length_of_a_clip(tmp_path):
    clip = write_y4m(tmp_path / "wave.y4m", make_footage(192, 256, 6))
    sources = find_sources([str(clip)]).sources
    # An encoder holds two groups of 32 frames: those of the shorter clip, and a third of the longer one.
    short, long = (scaling.measure(sources, TcodecVideo(), 75, length) for length in (64, 192))
    assert long.bytes > 2 * short.bytes
    frames = 128 * 192 * 256 * 1.5 / 1e6  # MB of samples that there are more
    assert long.decode_memory - short.decode_memory < frames / 2
    assert long.encode_memory - short.encode_memory < frames / 2


# The command ------------------------------------------------------------------------------------------------


def test_the_report_has_speeds_stages_and_scaling(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "LENGTH", 24)
    arguments = ["--against", "jpeg,mpeg2", "--rounds", "1", "--sizes", "0.02,0.04", "--lengths", "4", "--quiet"]
    assert program.main(["speed", str(inputs), *arguments, "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out == (tmp_path / "speed.md").read_text()
    document = json.loads((tmp_path / "speed.json").read_text())
    names = ["tcodec-main", "tcodec-baseline", "tcodec-tokens", "jpeg", "jpeg-progressive"]
    assert [speed["codec"] for speed in document["pictures"]["speeds"]] == names
    assert [speed["codec"] for speed in document["clips"]["speeds"]] == ["tcodec", "mpeg2"]
    assert document["clips"]["frames"] == speed.LENGTH
    assert "codec/lapped.py" in document["pictures"]["stages"]["encode"]
    assert "codec/motion.py" in document["clips"]["stages"]["encode"]
    assert [(each["size"], each["codec"]) for each in document["pictures"]["scaling"]] == [
        *itertools.product((0.02, 0.04), names)
    ]
    assert [(each["codec"], each["size"]) for each in document["clips"]["scaling"]] == [("tcodec", 4)]
    with Image.open(tmp_path / "scaling.png") as picture:
        assert picture.format == "PNG"
    for part in ("| encode, by stage", "| jpeg ", "| mpeg2 ", "numpy"):
        assert part in out


def test_without_inputs_the_photo_of_the_package_is_timed(tmp_path, capsys):
    status = program.main(
        ["speed", "--against", "", "--rounds", "1", "--sizes", "", "-o", str(tmp_path), "--json", "--quiet"]
    )
    document = json.loads(capsys.readouterr().out)
    assert (status, document["pictures"]["sources"]) == (0, ["coffee"])
    assert document["pictures"]["scaling"] == []
    assert not (tmp_path / "scaling.png").exists()
    assert all(math.isfinite(document["pictures"]["speeds"][0][way][0]) for way in ("encode", "decode"))


def test_a_codec_that_fails_is_named_and_the_rest_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "LENGTH", 8)
    clip = write_y4m(tmp_path / "odd.y4m", make_footage(17, 33, 3))  # x264 wants even sides
    arguments = ["--rounds", "1", "--lengths", "", "-o", str(tmp_path / "out"), "--quiet", "--json"]
    assert program.main(["speed", str(clip), "--against", "mpeg2,h264-medium-qp", *arguments]) == 1
    captured = capsys.readouterr()
    record = json.loads(captured.out)["clips"]
    assert [speed["codec"] for speed in record["speeds"]] == ["tcodec", "mpeg2"]
    assert "ffmpeg" in record["speeds"][1]["version"]
    [failure] = record["failures"]
    assert failure.startswith("h264-medium-qp: FfmpegError: ")
    assert f"tcodec: {failure}" in captured.err
    assert " 0x" not in failure  # of something in ffmpeg's memory


def test_a_name_of_no_codec_is_refused_before_anything_is_timed(tmp_path, capsys):
    assert program.main(["speed", "--against", "jpeg,nobody", "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("tcodec: no codec is called 'nobody'; known are tcodec-main, ")
    assert not (tmp_path / "out").exists()


def test_a_codec_that_fails_on_a_later_picture_is_named_too(pictures):
    entrants, failures = speed.entrants([Tcodec("baseline"), Broken()], pictures, 30)  # it fails on the second
    assert [entrant.codec.name for entrant in entrants] == ["tcodec-baseline"]
    assert failures == ["broken: UnpicklableError: a library said a code"]


def test_a_process_that_dies_at_a_size_is_named(tmp_path, inputs, capsys, monkeypatch):
    monkeypatch.setattr(scaling, "in_fresh_process", broken)
    arguments = ["--against", "", "--rounds", "1", "--sizes", "0.02", "-o", str(tmp_path), "--quiet"]
    assert program.main(["speed", str(inputs / "one.png"), *arguments]) == 1
    assert "failed: tcodec-main, size 0.02: BrokenProcessPool: " in capsys.readouterr().out


def broken(*_):
    raise BrokenProcessPool("a process was terminated")


def test_what_is_left_out_is_said_and_kept(tmp_path, capsys):
    Image.fromarray(make_picture(16, 24, 4)).save(tmp_path / "x.png")
    arguments = ["--against", "h264", "--rounds", "1", "--sizes", "", "-o", str(tmp_path / "out"), "--json"]
    assert program.main(["speed", str(tmp_path / "x.png"), *arguments]) == 0
    captured = capsys.readouterr()
    notes = ["x: alpha is not compared", "left out: h264: not for pictures"]
    assert json.loads(captured.out)["notes"] == notes
    assert captured.err.splitlines()[:2] == notes


def test_a_codec_that_does_not_reach_our_rate_is_named(tmp_path, inputs, capsys):
    arguments = ["--against", "jpeg", "--rounds", "1", "--sizes", "", "-o", str(tmp_path), "--quiet", "-q", "100"]
    assert program.main(["speed", str(inputs / "one.png"), *arguments]) == 0
    assert "jpeg: its scale does not reach the rate" in capsys.readouterr().out


def test_bad_input_is_named(tmp_path, inputs, capsys):
    arguments = ["--against", "", "--rounds", "1", "--sizes", "", "--lengths", "", "-o", str(tmp_path), "--quiet"]
    assert program.main(["speed", str(tmp_path / "missing.png"), str(inputs / "one.png"), *arguments]) == 1
    captured = capsys.readouterr()
    assert f"tcodec: {tmp_path / 'missing.png'}: " in captured.err
    assert f"failed: {tmp_path / 'missing.png'}: " in captured.out
    assert program.main(["speed", str(tmp_path / "missing.png"), *arguments]) == 1
    assert "there is nothing to time" in capsys.readouterr().err
    for wrong in (["--sizes", "0.1,x"], ["--sizes", "0"], ["--lengths", "0.5"], ["--lengths", "8,-1"]):
        with pytest.raises(SystemExit, match="2"):
            program.main(["speed", *wrong])
