"""Tests of `benchmarks.token_controls`: controls that have one size of block and tables of their own."""

import numpy as np
import pytest

from benchmarks import token_controls, train_main
from benchmarks.token_controls import FixedBlocks, compare, control_tables, curve
from codec.files import write_picture
from codec.main import Main, step_at
from codec.trained import trained
from tests.pictures import make_picture


@pytest.fixture(scope="module")
def photos():
    return [make_picture(96, 128, seed=seed) for seed in (1, 2)]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(train_main, "SAMPLE", 300)
    monkeypatch.setattr(train_main, "REWEIGHTINGS", 1)
    monkeypatch.setattr(token_controls, "ROUNDS", 1)


@pytest.mark.parametrize("size", [8, 16])
def test_all_blocks_have_the_size_of_the_control(size, photos):
    stages = FixedBlocks(3, True, step_at(60), size=size)
    (luma, *_) = stages.encode_planes(stages.planes(96, 128), stages.samples(photos[0]))
    assert (luma.coded.sizes == size).all()
    assert not luma.filtered
    assert stages.steps[0].lapping.post.max() == 0


def test_blocks_of_8_without_filters_are_the_main_profile_without_all_that(photos):
    without = {"large-blocks", "lapping", "chroma-from-luma", "loop-filter"}
    plain = Main.choose(3, True, 60, "psnr", without=without)
    assert FixedBlocks(3, True, step_at(60)).encode_strip(photos[0]) == plain.encode_strip(photos[0])


def test_tables_are_fitted_to_what_the_control_codes(photos, small):
    tables = control_tables(photos, 16, steps=(21,))
    fitted, unfitted = (FixedBlocks(3, True, 21 * 64, tables=each, size=16) for each in (tables, trained()))
    assert len(fitted.encode_strip(photos[0])) < len(unfitted.encode_strip(photos[0]))


def test_a_curve_tells_bits_a_pixel_and_psnr_of_the_picture_alone():
    picture = make_picture(50, 70, 1)[..., None]  # padded with pixels that do not count
    stages = [FixedBlocks(1, True, step_at(quality)) for quality in (20, 80)]
    (few, low), (many, high) = curve(stages, picture)
    padded = np.pad(picture, ((0, 14), (0, 26), (0, 0)), mode="edge")
    assert few == 8 * len(stages[0].encode_strip(padded)) / (50 * 70)
    assert few < many
    assert low < high


def test_rates_are_of_the_token_profile_against_each_control(photos, monkeypatch):
    """All filters take a bit off, and controls two and four times the bits."""
    seen = []

    def of_stages(stages, picture):
        size = getattr(stages[0], "size", 4) - ("loop-filter" not in stages[0].without)
        seen.append((size, picture.shape[2]))
        return [(bits * size, psnr) for bits, psnr in ((1.0, 30.0), (2.0, 33.0), (3.0, 35.0), (4.0, 36.0))]

    monkeypatch.setattr(token_controls, "curve", of_stages)
    found = compare(photos[0], {8: trained(), 16: trained()})
    assert {name: rates[0] for name, rates in found.items()} == pytest.approx(
        {
            "8 x 8": 100 * (3 / 8 - 1),
            "8 x 8 with the loop filter": 100 * (3 / 7 - 1),
            "8 x 8, neither with the loop filter": 100 * (4 / 8 - 1),
            "16 x 16": 100 * (3 / 16 - 1),
            "16 x 16 with the loop filter": 100 * (3 / 15 - 1),
            "16 x 16, neither with the loop filter": 100 * (4 / 16 - 1),
        }
    )
    assert seen == [(size, channels) for channels in (3, 1) for size in (3, 4, 8, 7, 16, 15)]


def test_the_report_has_the_mean_of_all_pictures_and_a_target_for_each_control(photos, tmp_path, monkeypatch, capsys):
    for name, picture in (("one", photos[0]), ("two", photos[1]), ("gray", make_picture(64, 64, 1))):
        write_picture(tmp_path / f"{name}.png", picture)
    rates = iter([-10.0, -15.0])
    monkeypatch.setattr(token_controls, "control_tables", lambda photos, size: trained())
    monkeypatch.setattr(
        token_controls, "compare", lambda pixels, tables: {"8 x 8": [next(rates), -9.0], "16 x 16": [-8.0, -8.0]}
    )
    assert token_controls.main([str(tmp_path), "--photos", str(tmp_path)]) == 1  # luma alone misses -12 %
    told = capsys.readouterr().out
    assert "-12.5 % (-15.0 to -10.0)" in told
    assert told.count("PASS") == 3
