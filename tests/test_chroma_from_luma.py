"""Tests of `codec.chroma_from_luma`: maps there and back, slopes found again, predictions by their formula, worth."""

from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import codec
from codec import chroma_from_luma
from codec.chroma_from_luma import SYMBOLS, code_slopes, fit, halve, map_shape, predict
from codec.context_strip import StripDecoder
from codec.main import TRIES_LUMA, Main
from codec.trained import trained
from tests.files import invent_strip
from tests.pictures import make_picture

STEEPEST = 16  # in 1/8
LARGEST = 2**16 - 1  # luma in 1/8: products with slopes, up to 2**8, are below 2**24
areas = st.integers(1, 4)
sides = st.sampled_from([8, 16, 32, 40, 64, 72, 112])


def draw_slopes(shape, seed, largest=STEEPEST):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.int8)


def draw_luma(height, width, seed=0, roughness=60):
    """Draw luma in 1/8 with detail at all sizes."""
    rng = np.random.default_rng(seed)
    return np.rint(8 * roughness * rng.uniform(-1, 1, (height, width))).astype(np.float32)


# Maps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sides", "shape"),
    [((8, 8), (1, 1)), ((32, 32), (1, 1)), ((40, 16), (2, 1)), ((64, 96), (2, 3)), ((65, 8), (3, 1))],
)
def test_how_many_areas_there_are(sides, shape):
    assert map_shape(*sides) == shape


def code_there_and_back(slopes):
    """Code a map, and decode it; return its symbols."""
    written = []

    def write(contexts, symbols):
        written.append(symbols.tolist())
        assert contexts.tolist() == [0] * slopes.size
        return symbols

    def read(contexts, symbols):
        assert symbols is None
        assert len(contexts) == slopes.size
        return np.array(written[0], np.uint32)

    rows, columns = slopes.shape
    for found in (code_slopes(write, rows, columns, slopes), code_slopes(read, rows, columns, None)):
        assert found.dtype == np.int8
        assert np.array_equal(found, slopes)
    assert len(written) == 1
    return written[0]


@given(areas, areas, st.sampled_from([1, 5, STEEPEST]), st.integers(0, 99))
@example(1, 1, STEEPEST, 0)
def test_maps_there_and_back(rows, columns, largest, seed):
    symbols = code_there_and_back(draw_slopes((rows, columns), seed, largest))
    assert min(symbols) >= 0
    assert max(symbols) < SYMBOLS


def test_extreme_slopes_there_and_back():
    signs = np.where(np.indices((5, 4)).sum(axis=0) % 2, 1, -1)
    symbols = code_there_and_back((STEEPEST * signs).astype(np.int8))
    assert (min(symbols), max(symbols)) == (0, SYMBOLS - 1)
    for slope in (-STEEPEST, 0, STEEPEST):
        code_there_and_back(np.array([[slope]], np.int8))


def test_differences_by_hand():
    # To the left, and at the left edge to above; the first one to 0.
    symbols = code_there_and_back(np.array([[3, 5, 5], [1, 0, 16]], np.int8))
    assert [symbol - 32 for symbol in symbols] == [3, 2, 0, -2, -1, 16]


def test_every_difference_has_a_frequency():
    assert trained().slopes.frequencies.shape == (1, SYMBOLS) == (1, 65)
    assert trained().slopes.frequencies.min() > 0


@given(areas, areas, st.integers(0, 999))
@example(4, 4, -1)
@example(4, 4, -2)
def test_maps_are_limited_whatever_comes(rows, columns, seed):
    def read(contexts, _):
        if seed < 0:
            return np.full(contexts.size, (SYMBOLS - 1) * (seed + 2), np.uint32)
        return np.random.default_rng(seed).integers(0, SYMBOLS, contexts.size).astype(np.uint32)

    found = code_slopes(read, rows, columns, None)
    assert found.dtype == np.int8
    assert np.abs(found.astype(int)).max() <= STEEPEST
    if seed < 0:
        assert found[-1, -1] == (STEEPEST if seed == -1 else -STEEPEST)


# Slopes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", range(-STEEPEST, STEEPEST + 1, 4))
def test_a_slope_is_found_again(slope):
    luma = draw_luma(64, 96)
    noise = np.random.default_rng(1).normal(0, 8 * 20, luma.shape)
    for chroma in (slope / 8 * luma, slope / 8 * luma + noise):
        assert (fit(luma, chroma.astype(np.float32), 8.0) == slope).all()


@pytest.mark.parametrize("shape", [(8, 8), (16, 16), (40, 72), (64, 32), (96, 112)])
def test_each_area_has_a_slope_of_its_own(shape):
    luma, slopes = draw_luma(*shape), draw_slopes(map_shape(*shape), 3)
    whole = np.kron(slopes, np.ones((32, 32)))[: shape[0], : shape[1]]
    assert np.array_equal(fit(luma, (luma * whole / 8).astype(np.float32), 1.0), slopes)


def test_slopes_are_limited():
    luma = draw_luma(32, 64)
    assert (fit(luma, 5 * luma, 1.0) == STEEPEST).all()
    assert (fit(luma, -2.2 * luma, 1.0) == -STEEPEST).all()


def test_what_is_the_same_over_8_samples_tells_nothing():
    luma, levels = draw_luma(64, 64), np.random.default_rng(1).integers(-900, 900, (2, 8, 8))
    above, below = (np.kron(level, np.ones((8, 8))).astype(np.float32) for level in levels)
    assert np.array_equal(fit(luma + above, luma / 2 + below, 8.0), np.full((2, 2), 4))
    assert not fit(above, above, 8.0).any()


def test_the_coarser_the_step_the_flatter_the_slope():
    # Power P with a slope s becomes s P / (P + step**2 / 12).
    luma = draw_luma(64, 64)
    power = np.square(luma).mean()
    before = STEEPEST
    for step in (0, 500, 1000, 2000, 4000, 10_000, 100_000):
        slopes = fit(luma, luma, step)
        assert np.abs(slopes - 8 * power / (power + step**2 / 12)).max() <= 0.6
        assert (slopes <= before).all()
        before = slopes
    assert not before.any()


def test_flat_luma_has_no_slope():
    chroma = draw_luma(32, 32)
    assert not fit(np.zeros((32, 32), np.float32), chroma, 8.0).any()


# Predictions ------------------------------------------------------------------------------------------------


def predict_plain(luma, slopes):
    """Predict sample by sample, in exact arithmetic; halves go to the even number."""

    def between(place, number):
        exact = min(max(Fraction(2 * place + 1, 64) - Fraction(1, 2), Fraction(0)), Fraction(number - 1))
        first = int(exact)
        return first, min(first + 1, number - 1), exact - first

    out = np.zeros(luma.shape)
    for row in range(luma.shape[0]):
        top, bottom, down = between(row, len(slopes))
        for column in range(luma.shape[1]):
            left, right, across = between(column, slopes.shape[1])
            above = int(slopes[top, left]) * (1 - across) + int(slopes[top, right]) * across
            below = int(slopes[bottom, left]) * (1 - across) + int(slopes[bottom, right]) * across
            fine = round(16 * (above * (1 - down) + below * down))  # in 1/128
            out[row, column] = round(Fraction(fine * int(luma[row, column]), 128))
    return out


@settings(max_examples=12)
@given(sides, sides, st.sampled_from([2, 100, LARGEST]), st.integers(0, 99))
@example(72, 40, LARGEST, 0)
@example(8, 8, 100, 0)
def test_predictions_by_their_formula(height, width, largest, seed):
    luma = np.random.default_rng(seed).integers(-largest, largest + 1, (height, width)).astype(np.float32)
    slopes = draw_slopes(map_shape(height, width), seed)
    before = luma.copy()
    found = predict(luma, slopes)
    assert found.dtype == np.float32
    assert np.array_equal(found, predict_plain(luma, slopes))
    assert np.array_equal(luma, before)


def test_one_slope_everywhere():
    luma = draw_luma(72, 40)
    for slope in (-STEEPEST, -1, 0, 8, STEEPEST):
        slopes = np.full(map_shape(72, 40), slope, np.int8)
        assert np.array_equal(predict(luma, slopes), np.rint(luma.astype(float) * slope / 8))


def test_slopes_change_from_the_middle_of_an_area_to_the_next():
    luma = np.full((32, 96), 1024, np.float32)  # 8 for each 1/128
    found = predict(luma, np.array([[0, 8, -8]], np.int8))[0]
    assert not found[:16].any()
    assert found[16] == 16  # 1/64 of the way, 1/64 * 1024
    assert (np.diff(found[15:48]) > 0).all()
    assert found[47] + found[48] == 2 * 1024 - 16 - 32
    assert (found[80:] == -1024).all()


def test_no_product_leaves_float32():
    luma = np.where(np.indices((64, 64)).sum(axis=0) % 2, LARGEST, -LARGEST).astype(np.float32)
    slopes = np.full((2, 2), STEEPEST, np.int8)
    assert LARGEST * STEEPEST * 16 < 2**24
    found = predict(luma, slopes)
    assert np.array_equal(found, luma.astype(np.float64) * 2)
    slopes = draw_slopes((2, 2), 0)
    assert np.array_equal(predict(luma - 1, slopes), predict_plain(luma - 1, slopes))


@pytest.mark.parametrize("subsampled", [False, True])
def test_luma_is_within_the_bound_whatever_the_strip(subsampled):
    stages = Main(3, subsampled, 65_535)
    largest, seen = 0, 0
    with mock.patch.object(chroma_from_luma, "predict", wraps=predict) as spy:
        for seed in range(8):
            stages.decode_strip(invent_strip(stages, 32, 64, seed), 0, np.zeros((32, 64, 3), np.uint8))
    for call in spy.call_args_list:
        luma = call.args[0]
        assert luma.shape == ((16, 32) if subsampled else (32, 64))
        assert np.array_equal(luma, np.rint(luma))
        largest, seen = max(largest, np.abs(luma).max()), seen + 1
    assert seen > 3
    assert 2**12 < largest <= LARGEST


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_halving_is_the_rounded_mean_of_four(rows, columns, seed):
    luma = np.random.default_rng(seed).integers(-LARGEST, LARGEST + 1, (2 * rows, 2 * columns)).astype(np.float32)
    found = halve(luma)
    assert found.dtype == np.float32
    for (row, column), value in np.ndenumerate(found):
        four = luma[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert value == round(Fraction(int(four.sum()), 4))


# What an encoder makes of it --------------------------------------------------------------------------------


def slopes_of(stages, pixels):
    """Encode a strip; return the slopes of each plane."""
    planes = stages.planes(*pixels.shape[:2])
    _, coded, _ = stages.read_strip(stages.encode_strip(pixels), 0, planes, StripDecoder)
    return [of_plane.slopes for of_plane in coded]


def tinted(height, width, slope_of_blue, slope_of_red, noise=0):
    """Make a picture whose Cb and Cr are slopes times luma, with noise of their own."""
    rng = np.random.default_rng(0)
    y = make_picture(height, width, 1).astype(float) * 0.4 + 75 - 128
    cb, cr = (slope * y + noise * rng.normal(0, 1, y.shape) for slope in (slope_of_blue, slope_of_red))
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1) + 128
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("subsampled", [False, True])
def test_slopes_that_are_there_are_found(subsampled):
    stages = Main.choose(3, subsampled, 90, "psnr")
    none, cb, cr = slopes_of(stages, tinted(64, 64, 0.5, -0.75))
    assert none is None
    assert np.abs(cb - 4).max() <= 1
    assert np.abs(cr + 6).max() <= 1
    assert cb.shape == ((1, 1) if subsampled else (2, 2))


@pytest.mark.parametrize("subsampled", [False, True])
def test_it_is_left_off_where_it_does_not_pay(subsampled):
    stages = Main.choose(3, subsampled, 60, "psnr")
    assert slopes_of(stages, np.full((64, 64, 3), 90, np.uint8)) == [None] * 3
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert slopes_of(stages, noise)[0] is None
    assert slopes_of(stages, tinted(64, 64, 0.5, 0.0))[2] is None
    assert slopes_of(stages, tinted(64, 64, 0.0, 0.5))[1] is None
    # With slopes that lead astray, and with those that are right.
    for wrong, expected in ((16, [None] * 3), (4, [None, 4, None])):
        with mock.patch.object(chroma_from_luma, "fit", lambda luma, *_, wrong=wrong: whole(luma, wrong)):
            found = slopes_of(stages, tinted(64, 64, 0.5, -0.5))
        assert [None if slopes is None else slopes[0, 0] for slopes in found] == expected


def whole(luma, slope):
    """Return a map of one slope."""
    return np.full(map_shape(*luma.shape), slope, np.int8)


@pytest.mark.parametrize("yuv", ["420", "444"])
@pytest.mark.parametrize("effort", [TRIES_LUMA, 9])
def test_a_picture_that_follows_luma_gets_smaller_and_better(yuv, effort):
    pixels = tinted(96, 96, 0.75, -0.5, 1)
    points = {}
    for without in ((), ("chroma-from-luma",)):
        data = codec.encode_image(pixels, 85, yuv=yuv, tune="psnr", effort=effort, without=without)
        decoded = codec.decode_image(data)
        points[without] = len(data), np.square(decoded.astype(float) - pixels).mean()
    assert points[()][0] < 0.93 * points["chroma-from-luma",][0]
    assert points[()][1] < 1.1 * points["chroma-from-luma",][1]


def test_it_is_not_tried_at_low_effort():
    pixels = tinted(64, 64, 0.75, -0.5)
    for effort in (1, 4, 5, 9):
        stages = Main.choose(3, False, 85, "psnr", effort=effort)
        assert (slopes_of(stages, pixels)[1] is not None) == (effort >= 5)
    assert slopes_of(Main.choose(3, False, 85, "psnr", without={"chroma-from-luma"}), pixels) == [None] * 3
