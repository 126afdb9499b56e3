"""Tests of `codec.frames`: colours that the recommendations of the ITU name, and the formulas in double precision."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from codec import UnsupportedError
from codec.frames import MATRICES, SAMPLINGS, Format, from_rgb, sampling_of, to_rgb
from tests.pictures import make_picture

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
RANGES = {True: (0, 1, 1), False: (16, 219 / 255, 224 / 255)}  # black, reach of luma, reach of chroma
sides = st.integers(1, 9)


def zeros(*shape):
    return np.zeros(shape, np.uint8)


def noise(*shape, seed=0):
    """Return samples of which many are extremes."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.3, rng.choice([0, 255], shape), rng.integers(0, 256, shape)).astype(np.uint8)


def planes_plain(rgb, full_range, matrix):
    """Return Y, Cb and Cr as the recommendations define them, not rounded, at full resolution."""
    black, luma, chroma = RANGES[full_range]
    share_red, share_blue = MATRICES[matrix]
    red, green, blue = (rgb[..., i].astype(float) for i in range(3))
    y = share_red * red + (1 - share_red - share_blue) * green + share_blue * blue
    cb, cr = (blue - y) / (2 - 2 * share_blue), (red - y) / (2 - 2 * share_red)
    return [black + luma * y, 128 + chroma * cb, 128 + chroma * cr]


# Formats and samplings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "sampling", "shapes"),
    [
        ((6, 8), "400", [(6, 8)]),
        ((6, 8), "420", [(6, 8), (3, 4), (3, 4)]),
        ((5, 7), "420", [(5, 7), (3, 4), (3, 4)]),
        ((1, 1), "420", [(1, 1), (1, 1), (1, 1)]),
        ((5, 7), "444", [(5, 7), (5, 7), (5, 7)]),
    ],
)
def test_shapes_of_planes(size, sampling, shapes):
    height, width = size
    assert Format(width, height, sampling, Fraction(25), Fraction(1, 25)).shapes == shapes


@given(sides, sides, st.sampled_from(SAMPLINGS))
def test_the_sampling_is_found(height, width, sampling):
    planes = tuple(zeros(*shape) for shape in Format(width, height, sampling, Fraction(1), Fraction(1)).shapes)
    if (height, width) == (1, 1) and len(planes) == 3:
        sampling = "420"  # one pixel: either is right
    assert sampling_of(planes) == sampling


@pytest.mark.parametrize(
    "planes",
    [
        (),
        (zeros(4, 4, 3),),
        (zeros(4),),
        (zeros(0, 4),),
        (zeros(4, 0),),
        (zeros(4, 4).astype(np.uint16),),
        (zeros(4, 4), zeros(2, 2)),
        (zeros(4, 4), zeros(2, 2), zeros(2, 3)),
        (zeros(4, 4), zeros(4, 2), zeros(4, 2)),  # 4:2:2
        (zeros(5, 5), zeros(2, 2), zeros(2, 2)),
        (zeros(4, 4), zeros(2, 2), zeros(2, 2).astype(float)),
        (zeros(4, 4), zeros(2, 2), zeros(2, 2), zeros(4, 4)),
    ],
)
def test_planes_that_are_no_frame(planes):
    with pytest.raises(UnsupportedError):
        sampling_of(planes)


# RGB to planes ----------------------------------------------------------------------------------------------


# What analysers show for bars at 100 %, after ITU-R BT.601 and BT.709.
@pytest.mark.parametrize(
    ("matrix", "colour", "expected"),
    [
        ("bt601", WHITE, (235, 128, 128)),
        ("bt601", BLACK, (16, 128, 128)),
        ("bt601", RED, (81, 90, 240)),
        ("bt601", GREEN, (145, 54, 34)),
        ("bt601", BLUE, (41, 240, 110)),
        ("bt709", WHITE, (235, 128, 128)),
        ("bt709", RED, (63, 102, 240)),
        ("bt709", GREEN, (173, 42, 26)),
        ("bt709", BLUE, (32, 240, 118)),
    ],
)
def test_bars_of_television(matrix, colour, expected):
    rgb = np.full((2, 2, 3), colour, np.uint8)
    planes = from_rgb(rgb, full_range=False, matrix=matrix)
    assert tuple(int(plane[0, 0]) for plane in planes) == expected
    assert np.abs(to_rgb(planes, full_range=False, matrix=matrix).astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize("matrix", MATRICES)
def test_444_is_the_formula_rounded(full_range, matrix):
    rgb = noise(40, 50, 3)
    planes = from_rgb(rgb, "444", full_range=full_range, matrix=matrix)
    for plane, exact in zip(planes, planes_plain(rgb, full_range, matrix), strict=True):
        assert plane.dtype == np.uint8
        assert np.abs(plane - np.clip(exact, 0, 255)).max() < 0.5 + 1e-4


@pytest.mark.parametrize("shape", [(6, 8), (5, 7), (1, 1), (1, 4), (3, 1)])
@pytest.mark.parametrize("full_range", [True, False])
def test_420_is_the_mean_of_four(shape, full_range):
    rgb = noise(*shape, 3)
    luma, *chroma = from_rgb(rgb, "420", full_range=full_range, matrix="bt709")
    assert np.array_equal(luma, from_rgb(rgb, "444", full_range=full_range, matrix="bt709")[0])
    height, width = shape
    for plane, exact in zip(chroma, planes_plain(rgb, full_range, "bt709")[1:], strict=True):
        even = np.pad(exact, ((0, height % 2), (0, width % 2)), mode="edge")
        means = even.reshape(even.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
        assert plane.shape == means.shape
        assert np.abs(plane - np.clip(means, 0, 255)).max() < 0.5 + 1e-4


def test_full_range_601_is_what_jpeg_does():
    rgb = make_picture(33, 47)
    theirs = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(int)
    assert np.abs(np.stack(from_rgb(rgb, "444"), axis=-1) - theirs).max() <= 1  # Pillow's may round down


def test_without_chroma():
    rgb = make_picture(9, 11)
    for full_range in (True, False):
        (luma,) = from_rgb(rgb, "400", full_range=full_range)
        assert np.array_equal(luma, from_rgb(rgb, "420", full_range=full_range)[0])


def test_gray_pictures_have_no_chroma():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert [plane.tolist() for plane in from_rgb(gray, "420")] == [gray.tolist()]
    (limited,) = from_rgb(gray, "444", full_range=False)
    assert (limited.min(), limited.max()) == (16, 235)
    assert np.abs(limited - (16 + gray.astype(float) * 219 / 255)).max() <= 0.5


# Planes to RGB ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize("matrix", MATRICES)
def test_rgb_is_the_formula_clipped(full_range, matrix):
    y, cb, cr = noise(3, 60, 70)
    black, luma, chroma = RANGES[full_range]
    share_red, share_blue = MATRICES[matrix]
    light, blue, red = (y - float(black)) / luma, (cb - 128.0) / chroma, (cr - 128.0) / chroma
    exact = [light + (2 - 2 * share_red) * red, 0, light + (2 - 2 * share_blue) * blue]
    exact[1] = (light - share_red * exact[0] - share_blue * exact[2]) / (1 - share_red - share_blue)
    rgb = to_rgb((y, cb, cr), full_range=full_range, matrix=matrix)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb - np.clip(np.stack(exact, axis=-1), 0, 255)).max() < 0.5 + 1e-3


@given(sides, sides, st.booleans(), st.sampled_from([*MATRICES]), st.integers(0, 99))
def test_444_there_and_back(height, width, full_range, matrix, seed):
    rgb = noise(height, width, 3, seed=seed)
    back = to_rgb(
        from_rgb(rgb, "444", full_range=full_range, matrix=matrix), full_range=full_range, matrix=matrix
    ).astype(int)
    # Each plane was rounded by 1/2 at most. Blue is luma plus 1.772 (1.8556) times Cb, the worst of the three.
    worst = 0.5 * (1 + 1.8556) + 0.5 if full_range else 0.5 * (255 / 219 + 1.8556 * 255 / 224) + 0.5
    assert np.abs(back - rgb).max() <= worst


@given(sides, sides, st.booleans())
def test_a_flat_colour_keeps_its_colour_in_420(height, width, full_range):
    rgb = np.broadcast_to(np.array([200, 90, 40], np.uint8), (height, width, 3))
    back = to_rgb(from_rgb(rgb, "420", full_range=full_range), full_range=full_range)
    assert back.shape == rgb.shape
    assert np.abs(back.astype(int) - rgb).max() <= 2


def test_gray_there_and_back():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    back = to_rgb((gray,))
    assert np.array_equal(back, gray)
    assert not np.shares_memory(back, gray)
    limited = to_rgb(from_rgb(gray, full_range=False), full_range=False)
    assert np.abs(limited.astype(int) - gray).max() <= 1
    assert to_rgb((np.array([[0, 16, 235, 255]], np.uint8),), full_range=False).tolist() == [[0, 0, 255, 255]]
