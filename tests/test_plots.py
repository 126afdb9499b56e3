"""Tests of the curves' styles and pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.ablation import codecs_to_compare
from benchmarks.codecs import choose, known
from benchmarks.plots import draw_curves, styles
from benchmarks.rd import RIVALS


@pytest.mark.parametrize("kind", ["pictures", "clips"])
def test_no_two_codecs_of_a_usual_comparison_look_alike(kind):
    compared = [codec.name for codec in choose(["tcodec", *RIVALS[kind]], kind)[0]]
    ours = [codec for name, codec in known(kind).items() if name.startswith("tcodec")]
    for names in (compared, [codec.name for codec in codecs_to_compare(ours)]):
        looks = styles(names)
        assert list(looks) == names
        assert len(set(looks.values())) == len(names)


def test_pictures_have_a_panel_for_each_measure_and_a_line_in_its_colour_for_each_codec():
    points = [{"bpp": 0.1 * 2**step, "psnr-y": 30.0 + 3 * step, "ssim": 0.8 + 0.03 * step} for step in range(4)]
    looks = styles(["tcodec", "jpeg", "left out"])
    sizes = []
    for measures in (["psnr-y"], ["psnr-y", "ssim"], ["psnr-y", "ssim", "psnr-y"]):
        data = draw_curves({"tcodec": points, "jpeg": points[1:]}, looks, measures, "title")
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3)
        sizes.append(Image.open(io.BytesIO(data)).size)
        colours = {tuple(colour) for colour in np.unique(pixels, axis=0).tolist()}
        shown = {name: tuple(bytes.fromhex(style.colour[1:])) in colours for name, style in looks.items()}
        assert shown == {"tcodec": True, "jpeg": True, "left out": False}
    (one, _), (two, low), (three, high) = sizes
    assert one < two == three
    assert low < high
