"""Tests of what is looked at side by side: at which rate, what is cut out, and that all codecs come close to it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from benchmarks import crops
from benchmarks.cells import Setting, point
from benchmarks.crops import Crop, common_rate, crops_of, original
from benchmarks.curves import Comparison
from benchmarks.picture_codecs import Jpeg, Tcodec
from benchmarks.sources import find_sources
from codec.frames import to_rgb
from tests.footage import Coarse, make_footage, write_y4m
from tests.pictures import make_picture


def pixels_of(url):
    head, _, data = url.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def compare(source, codecs, bpps=None):
    rows = [
        {"source": source.name, "codec": codec.name, **point(codec, source.load(), quality, ["psnr-y"])}
        for codec in codecs
        for quality in codec.ladder
    ]
    return Comparison("pictures", [source.name], {codec.name: codec.ladder for codec in codecs}, ["psnr-y"], rows)


def line(codec, *bpps):
    return [{"source": "x", "codec": codec, "bpp": bpp} for bpp in bpps]


def rate(*curves):
    rows = [row for curve in curves for row in curve]
    return common_rate(Comparison("pictures", ["x"], dict.fromkeys("abc", range(2)), [], rows), "x")


def test_the_rate_is_a_third_of_the_way_through_what_all_have_in_common():
    assert rate(line("a", 0.1, 8.0), line("b", 0.05, 0.9), line("c", 0.02, 0.8)) == 0.2  # 0.1 to 0.8 in octaves
    assert rate(line("a", 0.1, 0.8), line("b", 0.9, 2.0)) == 0.2  # nothing in common: that of the first
    assert rate() is None


def test_codecs_that_are_compared_come_close_to_the_rate(tmp_path):
    Image.fromarray(make_picture(200, 300)).save(tmp_path / "x.png")
    [source] = find_sources([str(tmp_path)]).sources
    codecs = [Tcodec(), Jpeg()]
    comparison = compare(source, codecs)
    found = crops_of(comparison, [source], [Setting.of(codec) for codec in codecs])
    assert [crop.setting.codec.name for crop in found] == ["tcodec-main", "jpeg"]
    assert {crop.bpp for crop in found} == {common_rate(comparison, "x")}
    for crop in found:
        row = crop.run()
        assert row["bpp"] == pytest.approx(crop.bpp, rel=0.03)
        assert row["caption"].startswith("psnr-y ")
        assert pixels_of(row["picture"]).shape == (crops.SIDE, crops.SIDE, 3)


def test_the_middle_is_cut_out_of_pictures_and_of_the_middle_frame(tmp_path):
    picture = make_picture(201, 100)
    Image.fromarray(picture).save(tmp_path / "x.png")
    clip = make_footage(32, 48, 5)
    write_y4m(tmp_path / "y.y4m", clip)
    still, moving = find_sources([str(tmp_path)]).sources
    shown = original(still)
    assert (shown["width"], shown["height"]) == (100, crops.SIDE)
    assert np.array_equal(pixels_of(shown["original"]), picture[20:180])
    shown = original(moving)
    expected = to_rgb(clip.frames[2], full_range=moving.load().format.full_range)
    assert np.array_equal(pixels_of(shown["original"]), expected)
    row = Crop(moving, Setting.of(Coarse()), 1.0, ((16, 0.5), (2, 4.0)), "psnr-y").run()
    assert pixels_of(row["picture"]).shape == (32, 48, 3)


def test_a_key_tells_what_is_wanted_apart(tmp_path):
    Image.fromarray(make_picture(8, 8)).save(tmp_path / "x.png")
    [source] = find_sources([str(tmp_path)]).sources
    crop = Crop(source, Setting(Jpeg(), "1", "code"), 1.0, ((5, 0.5), (92, 4.0)), "psnr-y")
    others = [crop._replace(bpp=0.9), crop._replace(known=((5, 0.5), (92, 4.1))), crop._replace(measure="ssim")]
    assert len({each.key for each in [crop, *others]}) == 4
    assert crop.place == "x, jpeg, to look at"


def test_a_codec_that_does_not_reach_the_rate_is_not_looked_at(tmp_path):
    Image.fromarray(make_picture(16, 16)).save(tmp_path / "x.png")
    [source] = find_sources([str(tmp_path)]).sources
    codecs = [Tcodec(), Jpeg()]
    rows = line("tcodec-main", 0.1, 0.8) + line("jpeg", 0.9, 2.0)
    comparison = Comparison("pictures", ["x"], dict.fromkeys(["tcodec-main", "jpeg"], (5, 92)), ["psnr-y"],
                            [{**row, "quality": 5} for row in rows])  # fmt: skip
    found = crops_of(comparison, [source], [Setting.of(codec) for codec in codecs])
    assert [crop.setting.codec.name for crop in found] == ["tcodec-main"]
