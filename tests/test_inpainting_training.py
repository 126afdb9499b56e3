"""Tests of `transformers_np.inpainting_training` and `tcodec train mae`, with a small model and made-up photographs."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import codec
from bitstreams.errors import CodecError, FormatError, UnsupportedError
from codec.files import read_picture, write_picture
from codec.origin import corpus_hash
from codec.program import main
from transformers_np import inpainting_training as training
from transformers_np import runs
from transformers_np.fills import laplace_fill
from transformers_np.inpainting import Inpainter, refine
from transformers_np.inpainting_training import Recipe, hidden_pixels, load_inpainter, masked_psnr, train_inpainter
from transformers_np.masking import random_mask
from transformers_np.runs import DivergedError
from transformers_np.weights import load_checkpoint, load_npz, save_npz

TINY = Recipe(Inpainter(4, 16, 2, 1, 1, 2), steps=60, batch=16, masks=2, lr=4e-3)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of pictures with straight edges, which a membrane cannot follow."""
    folder = tmp_path_factory.mktemp("photographs")
    rows, columns = np.mgrid[:120, :136]
    for number in range(3):
        rng = np.random.default_rng(number)
        picture = np.full((120, 136, 3), 128.0)
        for _ in range(6):
            angle, colour = rng.uniform(0, np.pi), rng.integers(40, 216, 3)
            beyond = (rows - 60) * np.sin(angle) + (columns - 68) * np.cos(angle) > rng.uniform(-50, 50)
            picture[beyond] = colour
        write_picture(folder / f"{number}.png", picture.astype(np.uint8))
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_small_model_learns_and_its_weights_tell_where_they_come_from(photographs, tmp_path):
    report = train_inpainter(photographs, tmp_path, 0, "how it was called", TINY, quiet=True)
    assert report["steps"] == 60
    assert report["gains"][-1] > 0.1  # dB over the Laplace fill, mean over all steps
    assert list(report["held_out"]) == ["2.png"]  # one of three is held out
    assert report["mean"] == np.mean(list(report["held_out"].values())) > 0.1
    assert json.loads((tmp_path / "report.json").read_text()) == report
    model, parameters, origin = load_inpainter(tmp_path / "mae.npz")
    assert model == TINY.model
    assert sum(a.size for name, a in parameters.items() if name not in training.FIXED) == report["parameters"]
    assert origin["command"] == "how it was called"
    assert origin["seed"] == 0
    assert origin["corpus"] == corpus_hash(sorted(photographs.glob("*.png")))
    assert origin["gain_held_out"] == report["mean"]


def test_the_seed_decides(photographs, tmp_path):
    recipe = Recipe(TINY.model, steps=3, batch=4, masks=1)
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        train_inpainter(photographs, tmp_path / str(number), seed, "", recipe, quiet=True)
        weights.append({n: a for n, a in load_npz(tmp_path / str(number) / "mae.npz").items() if n != "origin"})
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not np.array_equal(weights[0]["query.weight"], weights[2]["query.weight"])


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "EVERY", 2)
    recipe = Recipe(TINY.model, steps=5, batch=4, masks=1)
    whole = train_inpainter(photographs, tmp_path / "whole", 0, "", recipe, quiet=True)
    step = training._Run.step

    def stop(run):
        if run.done == 3:
            raise KeyboardInterrupt
        return step(run)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training._Run, "step", stop)
        train_inpainter(photographs, tmp_path / "parts", 0, "", recipe, quiet=True)
    parts = train_inpainter(photographs, tmp_path / "parts", 0, "", recipe, quiet=True)
    assert parts["gains"] == whole["gains"]
    assert parts["held_out"] == whole["held_out"]
    with pytest.raises(FormatError, match="is of a run with other settings"):
        train_inpainter(photographs, tmp_path / "parts", 0, "", Recipe(TINY.model, steps=6), quiet=True)
    with pytest.raises(FormatError, match="is of a run with other settings"):
        train_inpainter(photographs, tmp_path / "parts", 1, "", recipe, quiet=True)


def test_a_picture_that_is_all_the_same_is_refused_before_training(photographs, tmp_path):
    for number in range(3):
        pixels = read_picture(photographs / f"{number}.png").pixels
        write_picture(tmp_path / f"{number}.png", np.full_like(pixels, 128) if number == 2 else pixels)  # 2 is held out
    with pytest.raises(UnsupportedError, match=r"2\.png: all pixels are the same"):
        train_inpainter(tmp_path, tmp_path / "out", 0, "", TINY, quiet=True)


def test_a_loss_that_is_no_number_stops_the_run(photographs, tmp_path):
    recipe = Recipe(TINY.model, steps=20, batch=4, masks=1, lr=1e30)
    with pytest.raises(DivergedError, match="the loss is inf; all parameters are finite"):
        train_inpainter(photographs, tmp_path, 0, "", recipe, quiet=True)


def test_a_gradient_that_is_no_number_stops_the_run_and_the_last_good_checkpoint_stays(
    photographs, tmp_path, monkeypatch
):
    monkeypatch.setattr(runs, "EVERY", 2)
    recipe = Recipe(TINY.model, steps=5, batch=4, masks=1)
    whole = train_inpainter(photographs, tmp_path / "whole", 0, "", recipe, quiet=True)
    backward, calls = Inpainter.backward, []

    def spoilt(model, dfound, cache):
        gradients = backward(model, dfound, cache)
        calls.append(0)
        if len(calls) == 4:  # after it a checkpoint is due
            gradients["query.weight"][0, 0] = np.nan
        return gradients

    with monkeypatch.context() as patch:
        patch.setattr(Inpainter, "backward", spoilt)
        with pytest.raises(DivergedError, match=r"step 3: the gradient of query\.weight is not finite"):
            train_inpainter(photographs, tmp_path / "parts", 0, "", recipe, quiet=True)
    assert not (tmp_path / "parts/mae.npz").exists()
    assert load_checkpoint(tmp_path / "parts/checkpoint.npz").extra["done"] == 2
    parts = train_inpainter(photographs, tmp_path / "parts", 0, "", recipe, quiet=True)
    assert parts["gains"] == whole["gains"]
    assert parts["held_out"] == whole["held_out"]


def test_what_is_learned_from_adds_up(photographs):
    rng = np.random.default_rng(0)
    plane = training.luma(read_picture(photographs / "0.png").pixels)
    filled = training._fill(plane, 0.75, rng)
    inside = filled.states[2:-2, 2:-2]
    assert filled.states.shape == (19, 21)
    assert (filled.states == training.OUTSIDE).sum() == 19 * 21 - 15 * 17
    assert (inside == training.VISIBLE).sum() == 15 * 17 // 4
    assert not filled.wrong[filled.states != training.HIDDEN].astype(bool).any()
    both = filled.tokens.astype(np.float32) + filled.wrong
    assert np.abs(both[2:-2, 2:-2] - training.to_tokens(plane - 128)).max() < 1


@pytest.mark.parametrize(("names", "error"), [([], FormatError), (["0.png"], FormatError)])
def test_folders_without_enough_pictures(names, error, photographs, tmp_path):
    for name in names:
        (tmp_path / name).write_bytes((photographs / name).read_bytes())
    with pytest.raises(error, match=f"{len(names)} pictures; at least 2"):
        train_inpainter(tmp_path, tmp_path / "out", 0, "", TINY, quiet=True)


def test_pictures_as_small_as_allowed(tmp_path):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 41, 3)).astype(np.uint8)
        write_picture(tmp_path / f"{number}.png", pixels)
    recipe = Recipe(TINY.model, steps=3, batch=4, masks=4)  # often enough to be moved by up to 7 pixels
    assert train_inpainter(tmp_path, tmp_path / "out", 0, "", recipe, quiet=True)["steps"] == 3


def test_weights_of_another_hand_are_not_replaced(photographs, tmp_path):
    (tmp_path / "mae.npz").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="exists already"):
        train_inpainter(photographs, tmp_path, 0, "", TINY, quiet=True)
    assert (tmp_path / "mae.npz").read_bytes() == b"mine"


def test_pictures_that_are_too_small(photographs, tmp_path):
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes((photographs / name).read_bytes())
    write_picture(tmp_path / "2.png", np.zeros((30, 200, 3), np.uint8))
    with pytest.raises(UnsupportedError, match=r"2\.png: \(30, 200\) pixels; sides of at least 40"):
        train_inpainter(tmp_path, tmp_path / "out", 0, "", TINY, quiet=True)


# The program, and what it comes with ------------------------------------------------------------------------


def test_the_program_trains(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "Recipe", partial(Recipe, TINY.model, steps=3, batch=4, masks=1))
    out = tmp_path / "mae"
    assert main(["train", "mae", "--data", str(photographs), "--seed", "3", "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == 3
    _, _, origin = load_inpainter(out / "mae.npz")
    assert origin["command"] == f"tcodec train mae --data {photographs.name}/ --seed 3 -o mae/"
    assert origin["seed"] == 3
    words = ["train", "mae", "--data", str(photographs), "--steps", "2", "-o", str(tmp_path / "brief"), "--quiet"]
    assert main(words) == 0
    assert json.loads((tmp_path / "brief/report.json").read_text())["steps"] == 2
    _, _, origin = load_inpainter(tmp_path / "brief/mae.npz")
    assert origin["command"] == f"tcodec train mae --data {photographs.name}/ --seed 0 --steps 2 -o brief/"
    for option in (["--seed", "-1"], ["--epochs", "3"], ["--steps", "0"]):
        with pytest.raises(SystemExit):
            main(["train", "mae", "--data", str(photographs), *option])


def test_files_that_are_no_weights(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(CodecError, match="no weights of a masked autoencoder"):
        load_inpainter(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "lie",
    [
        {"window": 100_000},  # 300 GB of positions, if they were believed
        {"width": 6_000_000},
        {"depth": 1 << 40},
        {"depth": -1},
        {"width": 16.0},
        {"heads": 3},
        {"heads": "2"},
        {"expansion": 3},
    ],
)
def test_what_weights_say_of_their_shape_is_not_believed(lie, tmp_path, monkeypatch):
    model = TINY.model
    arrays = model.init(np.random.default_rng(0))
    told = np.frombuffer(json.dumps({"model": vars(model) | lie}).encode(), np.uint8)
    save_npz(tmp_path / "mae.npz", arrays | {"origin": told})
    monkeypatch.setattr(Inpainter, "init", lambda *_: pytest.fail("memory was taken before the shape was checked"))
    with pytest.raises(FormatError, match="no weights of a masked autoencoder: a model of"):
        load_inpainter(tmp_path / "mae.npz")


def test_shipped_weights_are_small_documented_and_better_than_the_laplace_fill():
    model, parameters, origin = load_inpainter()
    assert model == Inpainter()
    assert Path(str(training.SHIPPED)).stat().st_size < 2e6
    assert origin["command"].startswith("tcodec train mae --data train_photos/ --seed 0")
    assert len(origin["corpus"]) == 64
    plane = training.luma(read_picture(Path(codec.__file__).parent / "data/coffee.png").pixels)
    hidden = random_mask(np.random.default_rng(1), 32, 48, 0.75)
    pixels = hidden_pixels(hidden)
    filled = laplace_fill(plane, pixels)
    refined = refine(model, parameters, filled, hidden)
    assert masked_psnr(plane, refined, pixels) > masked_psnr(plane, filled, pixels) + 0.5
