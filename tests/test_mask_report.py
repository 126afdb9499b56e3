"""Tests of `tcodec mask`: pictures of all kinds, what is printed and drawn, what is refused."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from codec import color
from codec.files import write_picture
from codec.program import main
from tests.pictures import make_picture
from tests.program import call, files
from transformers_np.commands import mask
from transformers_np.inpainting_training import hidden_pixels, load_inpainter
from transformers_np.mask_report import mask_picture, report
from transformers_np.masking import PATTERNS

WRITTEN = ["attention.png", "error.png", "original.png", "reconstruction.png", "sheet.png", "visible.png"]
METHODS = ["mae", "laplace", "bilinear", "nearest", "mean"]


def read(path):
    return np.asarray(Image.open(path))


def test_pictures_are_written_and_numbers_are_true(tmp_path, capsysbinary):
    write_picture(tmp_path / "a.png", make_picture(75, 100))
    options = ["--ratio", "0.6", "--pattern", "grid", "--seed", "5", "-o", tmp_path / "out", "--json"]
    status, out, _ = call(capsysbinary, "mask", tmp_path / "a.png", *options)
    assert status == 0
    found = json.loads(out)
    assert list(found) == ["ratio", "seed", "psnr_masked", "seconds"]
    assert (found["ratio"], found["seed"]) == (0.6, 5)
    assert list(found["psnr_masked"]) == METHODS
    assert 0 < found["seconds"] < 60
    assert files(tmp_path / "out") == WRITTEN
    original, visible, reconstruction, error = (
        read(tmp_path / "out" / f"{name}.png") for name in ("original", "visible", "reconstruction", "error")
    )
    hidden = hidden_pixels(PATTERNS["grid"](np.random.default_rng(5), 10, 13, 0.6))[:75, :100]
    assert np.array_equal(original, make_picture(75, 100))
    assert np.array_equal(visible[~hidden], original[~hidden])
    assert (visible[hidden] == 128).all()
    assert np.array_equal(reconstruction[~hidden], original[~hidden])
    difference = color.luma_chroma(original)[0] - color.luma_chroma(reconstruction)[0]
    assert np.abs(error - np.minimum(4 * np.abs(difference), 255)).max() <= 0.51
    # The file has rounded pixels, and colours that may have been cut off.
    psnr = 10 * np.log10(255**2 / np.square(difference[hidden]).mean())
    assert psnr == pytest.approx(found["psnr_masked"]["mae"], abs=0.1)
    for name in ("sheet", "attention"):
        assert read(tmp_path / "out" / f"{name}.png")[..., :3].std() > 10  # something is drawn


@pytest.mark.parametrize("shape", [(1, 9, 3), (9, 1, 1), (33, 65, 1)])
def test_small_pictures_gray_and_in_colour(shape, tmp_path, capsysbinary):
    pixels = make_picture(*shape)
    write_picture(tmp_path / "a.png", pixels)
    status, out, err = call(capsysbinary, "mask", tmp_path / "a.png", "-o", tmp_path / "out")
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out.decode().splitlines()[:5]] == METHODS
    assert files(tmp_path / "out") == WRITTEN
    assert read(tmp_path / "out/reconstruction.png").shape == pixels.shape


def test_methods_are_compared_on_hidden_pixels_of_the_picture_alone():
    # All of the picture is black but for the padding's last column, which a mean over padding would count.
    pixels = np.zeros((16, 17), np.uint8)
    pixels[:, 16] = 255
    model, parameters, _ = load_inpainter()
    for seed in range(5):
        masked = mask_picture(pixels, 0.5, "random", seed, model, parameters)
        filled = masked.filled[:16, :17][masked.pixels]
        error = np.square(filled - pixels[masked.pixels]).mean()
        assert masked.psnr["laplace"] == pytest.approx(10 * np.log10(255**2 / error) if error else np.inf)


def test_what_is_hidden_has_no_influence():
    pixels = make_picture(64, 64)
    model, parameters, _ = load_inpainter()
    masked = mask_picture(pixels, 0.75, "random", 0, model, parameters)
    pixels[masked.pixels] = 255 - pixels[masked.pixels]
    assert np.array_equal(
        mask_picture(pixels, 0.75, "random", 0, model, parameters).found[masked.pixels], masked.found[masked.pixels]
    )


def test_transparency_is_left_out_and_that_is_said(tmp_path, capsysbinary):
    write_picture(tmp_path / "a.png", make_picture(24, 24, 4))
    status, _, err = call(capsysbinary, "mask", tmp_path / "a.png", "-o", tmp_path / "out")
    assert status == 0
    assert err == [f"tcodec: {tmp_path / 'a.png'}: its transparency is left out"]
    assert read(tmp_path / "out/reconstruction.png").shape == (24, 24, 3)


@pytest.mark.parametrize("ratio", ["0", "1", "-0.5", "nan", "inf", "1.5", "half"])
def test_shares_that_are_no_shares(ratio, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["mask", str(tmp_path / "a.png"), f"--ratio={ratio}"])
    assert exit_.value.code == 2
    assert "no share; numbers above 0 and below 1 are allowed" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "1.5", "x" * 5000, "7" * 21, "7" * 5000])
def test_seeds_that_are_no_seeds(seed, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["mask", str(tmp_path / "a.png"), f"--seed={seed}"])
    assert exit_.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "is not a whole number from 0 with up to 20 digits" in said
    assert seed[:20] in said
    assert len(said) < 200


def test_files_that_cannot_be_masked(tmp_path, capsysbinary):
    (tmp_path / "text.png").write_text("no picture")
    write_picture(tmp_path / "token.png", make_picture(8, 5))
    for name, message in (("text.png", "text.png"), ("token.png", "are one token"), ("none.png", "none.png")):
        status, _, err = call(capsysbinary, "mask", tmp_path / name, "-o", tmp_path / "out")
        assert status == 1
        assert len(err) == 1
        assert message in err[0]
    assert not (tmp_path / "out").exists()


def test_pictures_that_exist_are_left_alone_unless_forced(tmp_path, capsysbinary):
    write_picture(tmp_path / "a.png", make_picture(24, 24))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sheet.png").write_bytes(b"before")
    status, out, err = call(capsysbinary, "mask", tmp_path / "a.png", "-o", tmp_path / "out")
    assert (status, out) == (1, b"")
    assert err == [f"tcodec: {tmp_path / 'out/sheet.png'}: exists already; --force overwrites it"]
    assert files(tmp_path / "out") == ["sheet.png"]
    assert (tmp_path / "out/sheet.png").read_bytes() == b"before"
    assert call(capsysbinary, "mask", tmp_path / "a.png", "-o", tmp_path / "out", "--force")[0] == 0
    assert files(tmp_path / "out") == WRITTEN
    assert (tmp_path / "out/sheet.png").read_bytes() != b"before"


def test_a_picture_is_not_replaced_by_what_comes_of_it(tmp_path, capsysbinary):
    write_picture(tmp_path / "error.png", make_picture(24, 24))
    before = (tmp_path / "error.png").read_bytes()
    status, _, err = call(capsysbinary, "mask", tmp_path / "error.png", "-o", tmp_path, "--force")
    assert status == 1
    assert err == [f"tcodec: {tmp_path / 'error.png'}: the output would replace the input; name another with -o"]
    assert files(tmp_path) == ["error.png"]
    assert (tmp_path / "error.png").read_bytes() == before


def test_where_there_is_no_error_there_is_no_number(tmp_path, capsysbinary):
    write_picture(tmp_path / "a.png", np.full((16, 24), 99, np.uint8))
    _, out, _ = call(capsysbinary, "mask", tmp_path / "a.png", "-o", tmp_path / "out", "--json")
    assert json.loads(out)["psnr_masked"]["mean"] is None
    _, out, _ = call(capsysbinary, "mask", tmp_path / "a.png", "-f", "-o", tmp_path / "out")
    assert out.decode().splitlines()[4].split() == ["mean", "no", "error"]


def sheet(pixels, monkeypatch, folder):
    """Draw the sheet of a picture; return its titles, and the share of it that is white."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *args, **words: figures.append(figure) or save(figure, *args, **words)
    )
    report(pixels, 0.75, "random", 0, folder)
    titles = [axes.get_title() for axes in figures[-1].axes]
    return [*titles, figures[-1].get_suptitle()], (read(folder / "sheet.png")[..., :3] == 255).all(axis=2).mean()


def test_the_sheet_tells_its_scales_and_where_there_is_no_error(tmp_path, monkeypatch):
    titles, _ = sheet(np.full((16, 24), 99, np.uint8), monkeypatch, tmp_path)
    assert titles[3] == "Laplace fill, luma\nno error"
    assert titles[4].endswith(" levels\nblue -64, white 0, red +64")
    assert titles[5].endswith(" levels\nblack 0, pale 128 and more")
    assert titles[6].endswith("others: bilinear no error, nearest no error, mean no error")


@pytest.mark.parametrize("shape", [(24, 384), (64, 320), (96, 96), (320, 128), (384, 72)])
def test_the_sheet_of_a_wide_or_tall_picture_is_not_mostly_white(shape, tmp_path, monkeypatch):
    assert sheet(make_picture(*shape) // 2, monkeypatch, tmp_path)[1] < 0.5  # nothing in it is white


def test_patterns_of_the_program_are_those_that_there_are():
    assert tuple(PATTERNS) == mask.PATTERNS
