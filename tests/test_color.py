"""Tests of `codec.color` against JFIF's formulas, Pillow's conversion, and upsampling written as a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from codec import color
from tests.pictures import make_picture

FLOAT = np.float32


def every_few_colours():
    """Return (17**3, 3) uint8 colours spread over the whole cube, corners included."""
    levels = np.append(np.arange(0, 256, 16), 255).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)


# RGB and YCbCr ----------------------------------------------------------------------------------------------


# By hand, from JFIF 1.02: Y = 0.299 R + 0.587 G + 0.114 B, Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402, with 128 taken
# from Y and not added to Cb and Cr.
@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (-128, 0, 0)),
        ((255, 255, 255), (127, 0, 0)),
        ((100, 100, 100), (-28, 0, 0)),
        ((255, 0, 0), (-52, -43, 128)),  # Y 76.245
        ((0, 255, 0), (22, -84, -107)),  # Y 149.685
        ((0, 0, 255), (-99, 128, -21)),  # Y 29.07
        ((255, 255, 0), (98, -128, 21)),
        ((0, 255, 255), (51, 43, -128)),
        ((255, 0, 255), (-23, 84, 107)),
    ],
)
def test_primaries(rgb, ycbcr):
    assert np.concatenate(color.rgb_to_ycbcr(np.array([rgb], np.uint8))).tolist() == list(ycbcr)


def test_agrees_with_pillow():
    rgb = every_few_colours()
    theirs = np.asarray(Image.fromarray(rgb[None]).convert("YCbCr"))[0].astype(int) - 128
    ours = np.stack(color.rgb_to_ycbcr(rgb), axis=-1)
    assert set(np.unique(ours - theirs)) == {0, 1}  # Pillow rounds down


def test_whole_numbers_nearest_to_the_formula():
    rgb = every_few_colours()
    red, green, blue = rgb.T.astype(float)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    exact = [luma - 128, (blue - luma) / 1.772, (red - luma) / 1.402]
    for plane, formula in zip(color.rgb_to_ycbcr(rgb), exact, strict=True):
        assert plane.dtype == FLOAT
        assert np.array_equal(plane, np.rint(plane))
        assert np.abs(plane - formula).max() <= 0.5 + 1e-4  # float32 may take a half to the other side


def test_there_and_back_within_rounding():
    rgb = every_few_colours()
    back = color.ycbcr_to_rgb(*color.rgb_to_ycbcr(rgb))
    error = np.abs(back.astype(int) - rgb)
    # Y, Cb and Cr are off by 1/2 at most; chroma counts 1.402, 0.3441 + 0.7141 or 1.772 times; then RGB is rounded.
    assert error.max() <= int(0.5 + 0.5 * 1.772 + 0.5)
    assert back.dtype == np.uint8


def test_colours_outside_the_cube_are_clipped():
    y, cb, cr = (np.array([level], FLOAT) for level in (120, -100, 90))
    # 248 + 126.2, 248 + 34.4 - 64.3, 248 - 177.2
    assert color.ycbcr_to_rgb(y, cb, cr).tolist() == [[255, 218, 71]]


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 5, 3), (0, 3)])
def test_any_shape(shape):
    rgb = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    planes = color.rgb_to_ycbcr(rgb)
    assert [plane.shape for plane in planes] == [shape[:-1]] * 3
    assert color.ycbcr_to_rgb(*planes).shape == shape


def test_the_input_is_not_changed():
    rgb = make_picture(5, 7)
    before = rgb.copy()
    color.rgb_to_ycbcr(rgb)
    assert np.array_equal(rgb, before)
    planes = color.rgb_to_ycbcr(rgb)
    copies = [plane.copy() for plane in planes]
    color.ycbcr_to_rgb(*planes)
    assert all(np.array_equal(a, b) for a, b in zip(planes, copies, strict=True))


def test_gray_is_luma():
    rgb = every_few_colours()
    gray = color.rgb_to_gray(rgb)
    assert gray.dtype == np.uint8
    assert np.abs(gray - rgb @ np.array([0.299, 0.587, 0.114])).max() <= 0.5 + 1e-4
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(color.rgb_to_gray(np.stack([levels] * 3, axis=-1)), levels)


# Upsampling -------------------------------------------------------------------------------------------------


def upsample_plainly(plane):
    """Double a plane sample by sample: 16 times 3/4 of the nearest and 1/4 of the next one, in each direction."""
    height, width = plane.shape
    doubled = np.zeros((2 * height, 2 * width), int)
    for row, column in np.ndindex(doubled.shape):
        near_row, near_column = row // 2, column // 2
        next_row = min(max(near_row + (1 if row % 2 else -1), 0), height - 1)
        next_column = min(max(near_column + (1 if column % 2 else -1), 0), width - 1)
        for r, row_weight in ((near_row, 3), (next_row, 1)):
            for c, column_weight in ((near_column, 3), (next_column, 1)):
                doubled[row, column] += row_weight * column_weight * plane[r, c]
    return doubled


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_upsampling_is_the_triangle_filter(height, width, seed):
    planes = np.random.default_rng(seed).integers(-1023, 1024, (3, height, width)).astype(np.int16)
    assert np.array_equal(color.upsample(planes), [upsample_plainly(plane) for plane in planes])


@given(st.integers(1, 8), st.data())
def test_a_band_is_upsampled_as_in_the_whole(height, data):
    first = data.draw(st.integers(0, height - 1))
    last = data.draw(st.integers(first + 1, height))
    planes = np.random.default_rng(0).integers(-1023, 1024, (2, height, 5)).astype(np.int16)
    assert np.array_equal(color.upsample(planes, first, last), color.upsample(planes)[:, 2 * first : 2 * last])


# What the decoder does --------------------------------------------------------------------------------------


def decode(y, cb, cr):
    """Turn planes of equal size into RGB the decoder's way."""
    out = np.empty((*y.shape, 3), np.uint8)
    color.add_luma(y * np.float32(color.LUMA_UNIT), color.chroma_offsets(cb.copy(), cr.copy()) * np.int16(16), out)
    return out


def test_luma_and_offsets_give_what_the_formula_gives():
    rng = np.random.default_rng(1)
    y, cb, cr = (rng.uniform(-140, 140, (50, 60)).astype(FLOAT) for _ in range(3))
    difference = np.abs(decode(y, cb, cr).astype(int) - color.ycbcr_to_rgb(y, cb, cr))
    # Offsets are in 1/2, so off by 1/4; luma in 1/32: a sample near a half may be rounded to the other side.
    assert difference.max() <= 1
    assert np.mean(difference != 0) < 0.2


def test_one_channel_is_rounded_and_clipped():
    luma = np.array([[-128.6, -128.4, -1.45, 0.45, 0.55, 126.6, 127.6, 5000, -5000, 1e30]], FLOAT)
    out = np.empty((1, 10, 1), np.uint8)
    color.add_luma(luma * np.float32(color.LUMA_UNIT), None, out)
    assert out.ravel().tolist() == [0, 0, 127, 128, 129, 255, 255, 255, 0, 255]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_values_saturate_and_do_not_wrap(sign):
    # Far more than 8-bit pictures give: a malicious file does.
    huge = np.full((2, 2), sign * 1e9, FLOAT)
    assert np.all(decode(huge, huge, huge)[..., 0::2] == (255 if sign > 0 else 0))
    offsets = color.chroma_offsets(huge.copy(), huge.copy())
    assert np.abs(offsets).max() <= 1023  # what `upsample` takes
    assert np.all(color.upsample(offsets)[0] == 16 * offsets[0, 0, 0])


def test_gray_as_colour_and_back():
    gray = np.arange(256, dtype=np.uint8).reshape(8, 32)
    rgb = color.gray_to_rgb(gray)
    assert rgb.shape == (8, 32, 3)
    assert all(np.array_equal(rgb[..., channel], gray) for channel in range(3))
    assert np.array_equal(color.rgb_to_gray(rgb), gray)
