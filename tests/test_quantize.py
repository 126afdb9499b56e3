"""Tests of `codec.quantize`: the tables of the JPEG standard as Pillow's libjpeg scales them, and rounding by hand."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from codec import quantize
from codec.scan import ZIGZAG


def pillow_tables(quality):
    """Return the luma and chroma tables, in raster order, that libjpeg writes at a quality."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
    tables = Image.open(file).quantization
    return tables[0], tables[1]


def in_raster_order(steps):
    """Return steps in zigzag order and 1/16 as whole steps in raster order."""
    raster = np.zeros(64, int)
    raster[ZIGZAG] = steps
    assert not np.any(raster % 16)
    return (raster // 16).tolist()


# Steps ------------------------------------------------------------------------------------------------------


def test_annex_k_at_quality_50():
    luma, chroma = (in_raster_order(steps) for steps in quantize.scale(quantize.TABLES["jpeg"], 50))
    # ITU-T T.81, tables K.1 and K.2: corners, and the sums of all entries.
    assert [luma[i] for i in (0, 1, 7, 8, 35, 56, 63)] == [16, 11, 61, 12, 56, 72, 99]
    assert [chroma[i] for i in (0, 1, 7, 8, 35, 56, 63)] == [17, 18, 99, 18, 99, 99, 99]
    assert sum(luma) == 3688
    assert sum(chroma) == 5505


@pytest.mark.parametrize("quality", range(1, 101))
def test_scaled_as_libjpeg_does(quality):
    ours = quantize.scale(quantize.TABLES["jpeg"], quality)
    assert [in_raster_order(steps) for steps in ours] == [list(table) for table in pillow_tables(quality)]


@pytest.mark.parametrize("name", quantize.TABLES)
@given(first=st.floats(0, 100), second=st.floats(0, 100))
def test_a_higher_quality_never_has_coarser_steps(name, first, second):
    low, high = sorted((first, second))
    for coarse, fine in zip(*(quantize.scale(quantize.TABLES[name], q) for q in (low, high)), strict=True):
        assert np.all(coarse >= fine)


@pytest.mark.parametrize("name", quantize.TABLES)
def test_ends_of_the_scale(name):
    table = quantize.TABLES[name]
    for finest in quantize.scale(table, 100):
        assert np.all(finest == 16)  # a whole step: finer ones would code the rounding of the pixels
    for at_0, at_1 in zip(quantize.scale(table, 0), quantize.scale(table, 1), strict=True):
        assert np.array_equal(at_0, at_1)
        assert at_1.max() <= 65_535  # two bytes


def test_hundredths_of_quality_count_where_steps_are_not_whole():
    at, above, nearly = (quantize.scale(quantize.TABLES["flat"], quality)[0] for quality in (30, 30.01, 30.001))
    assert np.any(above < at)
    assert np.array_equal(nearly, at)


def test_flat_is_flat_and_sloped_rises_with_frequency():
    for steps in quantize.scale(quantize.TABLES["flat"], 50):
        assert np.unique(steps).size == 1
    for steps in quantize.scale(quantize.TABLES["sloped"], 50):
        grid = np.zeros(64, int)
        grid[ZIGZAG] = steps
        grid = grid.reshape(8, 8)
        assert np.all(np.diff(grid) > 0)
        assert np.array_equal(grid, grid.T)


@pytest.mark.parametrize("tune", ["flat", "sloped"])
def test_quality_50_is_the_table_itself_and_75_half_of_it(tune):
    table = quantize.TABLES[tune]
    for steps, own in zip(quantize.scale(table, 50), (table.luma, table.chroma), strict=True):
        assert np.array_equal(steps, own)
    for steps, own in zip(quantize.scale(table, 75), (table.luma, table.chroma), strict=True):
        assert np.abs(steps - own / 2).max() <= 0.5


# Rounding ---------------------------------------------------------------------------------------------------


def row(*first):
    """Return a block of 64 float32 coefficients that starts with some numbers."""
    return np.array([*first, *[0] * (64 - len(first))], np.float32)


def test_plain_rounding():
    levels = quantize.quantize(row(-26, 14.9, 15.1, -15.1, 44.9, 45.1), np.full(64, 30 * 16))
    assert levels.dtype == np.int16
    assert levels[:7].tolist() == [-1, 0, 1, -1, 1, 2, 0]


def test_a_deadzone_rounds_towards_0_but_for_dc():
    steps = np.full(64, 10 * 16)
    # sign(x) floor(|x| + 0.5 - 0.2): borders at 0.7, 1.7, ... steps; DC keeps its border at 0.5.
    coefficients = row(6.9, 6.9, 7.1, -6.9, -7.1, 16.9, 17.1, -17.1)
    assert quantize.quantize(coefficients, steps, 0.2)[:8].tolist() == [1, 0, 1, 0, -1, 1, 2, -2]


def test_the_input_is_not_changed():
    coefficients = row(6.9, 6.9)
    for deadzone in (0, 0.2):
        quantize.quantize(coefficients, np.full(64, 160), deadzone)
        assert np.array_equal(coefficients, row(6.9, 6.9))


@given(st.sampled_from(sorted(quantize.TABLES)), st.integers(0, 100), st.integers(0, 99))
def test_errors_stay_within_half_a_step_and_the_deadzone(name, quality, seed):
    table = quantize.TABLES[name]
    steps, _ = quantize.scale(table, quality)
    coefficients = np.random.default_rng(seed).laplace(0, 60, (4, 5, 64)).astype(np.float32)
    levels = quantize.quantize(coefficients, steps, table.deadzone)
    error = np.abs(quantize.dequantize(levels, steps) - coefficients) / (steps / 16)
    assert error[..., 0].max() <= 0.5 + 1e-4
    assert error[..., 1:].max() <= 0.5 + table.deadzone + 1e-4


def test_dequantisation_is_level_times_step():
    levels = np.arange(-32, 32, dtype=np.int16).reshape(1, 64)
    steps = np.arange(16, 80)
    back = quantize.dequantize(levels, steps)
    assert back.dtype == np.float32
    assert np.array_equal(back, levels * steps / 16)


@given(st.integers(16, 65_535), st.integers(-2047, 2047))
def test_levels_survive_dequantisation(step, level):
    levels, steps = np.full((1, 64), level, np.int16), np.full(64, step)
    assert np.array_equal(quantize.quantize(quantize.dequantize(levels, steps), steps), levels)
