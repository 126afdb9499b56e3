"""Tests of the measures of quality: what is averaged, and what is refused."""

import math

import numpy as np
import pytest

from benchmarks.distortion import DEFAULTS, for_curves, measure, measures
from benchmarks.sources import Footage
from codec import metrics
from codec.frames import to_rgb
from tests.footage import make_footage
from tests.pictures import make_picture

FULL = 20 * math.log10(255)


def clip_of(*frames):
    return Footage(make_footage(4, 6, 0, "420" if len(frames[0]) == 3 else "400").format, list(frames))


def test_measures_of_a_picture_are_those_of_the_codec():
    one, other = make_picture(64, 80, seed=1), make_picture(64, 80, seed=2)
    assert measure(one, other, measures("pictures")) == {
        "psnr-rgb": metrics.psnr(one, other),
        "psnr-y": metrics.psnr_y(one, other),
        "ssim": metrics.ssim(one, other),
        "ms-ssim": metrics.ms_ssim(one, other),
    }


def test_psnr_of_a_clip_is_the_mean_over_its_frames_of_each_plane():
    black = tuple(np.zeros(shape, np.uint8) for shape in ((4, 6), (2, 3), (2, 3)))
    one, four = (tuple(plane + np.uint8(step) for plane in black) for step in (1, 4))
    mixed = (one[0], four[1], black[2])
    found = measure(clip_of(black), [mixed], ["psnr-y", "psnr-yuv"])
    assert found["psnr-y"] == pytest.approx(FULL)
    assert found["psnr-yuv"] == pytest.approx((6 * FULL + FULL - 20 * math.log10(4) + 100) / 8)
    assert measure(clip_of(black, black), [one, four], ["psnr-y"])["psnr-y"] == pytest.approx(FULL - 20 * math.log10(2))


def test_gray_is_compared_with_what_codecs_make_of_it():
    gray = (np.zeros((4, 6), np.uint8),)
    decoded = (gray[0] + np.uint8(1), np.full((2, 3), 128, np.uint8), np.full((2, 3), 128, np.uint8))
    assert measure(clip_of(gray), [decoded], ["psnr-y", "psnr-yuv"]) == pytest.approx(
        {"psnr-y": FULL, "psnr-yuv": FULL}
    )
    picture = make_picture(20, 30, 1)
    rgb = np.repeat(picture[..., None], 3, axis=-1)
    assert measure(picture, rgb, ["psnr-rgb", "ssim"]) == {"psnr-rgb": 100, "ssim": 1}


def test_rgb_of_a_clip_follows_its_range():
    clip, other = make_footage(48, 64, 1), make_footage(48, 64, 2)
    full, limited = (
        Footage(clip.format.__class__(**{**vars(clip.format), "full_range": full}), clip.frames)
        for full in (True, False)
    )
    decoded = other.frames[1:]
    values = [measure(each, decoded, ["psnr-rgb"])["psnr-rgb"] for each in (full, limited)]
    expected = metrics.psnr(*(to_rgb(frames[0], full_range=True) for frames in (clip.frames, decoded)))
    assert values[0] == expected != values[1]


def test_other_sizes_and_lost_frames_are_errors():
    clip = make_footage(48, 64, 5)
    with pytest.raises(ValueError, match="5 frames were encoded and 4 decoded"):
        measure(clip, clip.frames[1:], ["psnr-y"])
    with pytest.raises(ValueError, match="different shapes"):
        measure(make_picture(8, 8), make_picture(8, 9), ["psnr-rgb"])


def test_similarities_are_compared_in_decibels_and_no_error_is_100():
    assert for_curves("ssim", 0.99) == pytest.approx(20)
    assert for_curves("ms-ssim", 1.0) == 100
    assert for_curves("psnr-y", 31.5) == 31.5
    assert set(DEFAULTS["pictures"]) <= set(measures("pictures"))
    assert set(DEFAULTS["clips"]) <= set(measures("clips"))
