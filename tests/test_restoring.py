"""Tests of `transformers_np.restoring`: examples, gradients, rounding, small runs, the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitstreams.errors import CodecError
from codec import color, dct, restoration
from codec.files import write_picture
from codec.program import main
from codec.restoration import ACTIVATION_LIMIT, EXACT, FEATURES
from tests.networks import assert_close, numeric_gradient
from tests.pictures import make_picture
from transformers_np import restoring, runs
from transformers_np.restoring import Recipe, Restorer, TrainingRun, make_examples, quantise, train_restore
from transformers_np.runs import DivergedError
from transformers_np.weights import load_checkpoint

TINY = Recipe((16,), 150, 2)
SMALL = Restorer((5, 4), 7)


@pytest.fixture(scope="module")
def photos():
    return [make_picture(64, 72, 1, seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def examples(photos):
    return make_examples(photos, np.random.default_rng(0), 8)


@pytest.fixture
def folder(tmp_path):
    for channels in (1, 2, 3, 4):
        write_picture(tmp_path / f"{channels}.png", make_picture(40, 48, channels))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._1.png").write_bytes(b"what macOS puts beside it")
    return tmp_path


# Examples ---------------------------------------------------------------------------------------------------


def test_what_is_wanted_makes_coefficients_of_levels(monkeypatch, photos):
    monkeypatch.setattr(restoring, "TABLES", ("jpeg",))
    monkeypatch.setattr(restoring, "FINEST", 1.0)
    monkeypatch.setattr(restoring, "COARSEST", 1.0)  # quality 50
    monkeypatch.setattr(restoring, "_cut", lambda luma, rng: luma)
    found = make_examples(photos[:1], np.random.default_rng(0), 1)
    samples = photos[0].reshape(8, 8, 9, 8).swapaxes(1, 2).reshape(-1, 64).astype(np.float32) - color.CENTRE
    steps = restoring.Baseline.choose(1, False, 50, "psnr", tables="jpeg").groups[0].steps / 16
    levels = np.rint(dct.forward(samples) / steps)
    assert np.abs(levels + found.wanted - dct.forward(samples) / steps).max() < 1e-3
    assert np.array_equal(found.conditions[0], restoration.conditions((16 * steps).astype(np.int64)))
    ac = found.features[:, -63:]
    assert np.array_equal(np.sign(ac), np.sign(levels[:, 1:]))


def test_without_corrections_the_error_left_is_1_at_every_quality(examples):
    for coding in range(len(examples.conditions)):
        of_coding = examples.wanted[examples.coding == coding].astype(np.float32)
        loss, _ = restoring.weighted_error(np.zeros_like(of_coding), of_coding, examples.weights[coding])
        assert loss == pytest.approx(1, rel=0.01)


def test_blocks_begin_anywhere():
    luma = make_picture(40, 33, 1)
    rng = np.random.default_rng(0)
    cut = [restoring._cut(luma, rng) for _ in range(100)]
    assert {picture.shape for picture in cut} == {(40, 32), (40, 24), (32, 32), (32, 24)}
    assert len({picture.tobytes() for picture in cut}) > 40
    assert all(
        picture.tobytes() in {luma[i : i + 8, j : j + 8].tobytes() for i in range(1) for j in range(2)}
        for picture in [restoring._cut(luma[:8, :9], rng) for _ in range(20)]
    )


@pytest.mark.parametrize(("factor", "quality"), [(15, 10 / 3), (2, 25), (1, 50), (0.5, 75), (0.08, 96)])
def test_the_quality_of_a_factor(factor, quality):
    assert restoring._quality(factor) == pytest.approx(quality)


# The network ------------------------------------------------------------------------------------------------


def test_gradients():
    rng = np.random.default_rng(0)
    parameters = SMALL.init(rng, np.float64)
    parameters = {name: array + 0.1 * rng.standard_normal(array.shape) for name, array in parameters.items()}
    x, wanted = 3 * rng.standard_normal((6, 7)), rng.standard_normal((6, 64))
    weights = rng.random((6, 64))

    def loss():
        return restoring.weighted_error(SMALL.forward(x, parameters)[0], wanted, weights)[0]

    y, caches = SMALL.forward(x, parameters)
    gradients = SMALL.backward(restoring.weighted_error(y, wanted, weights)[1], caches)
    assert gradients.keys() == parameters.keys()
    for name, array in parameters.items():
        assert_close(gradients[name], numeric_gradient(loss, array), 1e-6, name)


def test_what_is_cut_off_has_no_gradient():
    x = np.array([-1.0, 0.5, 7.9, 8.5])
    y, cache = restoring.clipped_relu(x)
    limit = ACTIVATION_LIMIT / restoration.ACTIVATION_UNIT
    assert y.tolist() == [0, 0.5, 7.9, limit]
    assert restoring.clipped_relu_backward(np.ones(4), cache).tolist() == [0, 1, 1, 0]


# Rounding ---------------------------------------------------------------------------------------------------


def test_rounding_changes_little_and_no_sum_is_too_large(examples, tmp_path):
    rng = np.random.default_rng(0)
    model = Restorer((24, 24))
    run = TrainingRun([], rng, examples, model, 300)
    run.advance(300, tmp_path / "checkpoint.npz", "", quiet=True)
    parameters = run.result()
    network = quantise(parameters, {})
    assert network.largest_sum() < EXACT
    inputs, of_steps = examples.features[:70].astype(np.float32), examples.conditions[0]
    found = network(inputs, of_steps.astype(np.int64)) / np.float32(restoration.CORRECTION_UNIT)
    limit = restoration.OUTPUT_LIMIT / restoration.OUTPUT_UNIT
    mean = np.zeros((70, 64), np.float32)
    for orientation in restoration.ORIENTATIONS:
        (order, signs), (outputs, of_outputs) = restoration.orient(orientation)
        turned = np.concatenate([inputs[:, order] * signs, np.broadcast_to(of_steps, (70, 4))], axis=1)
        y, _ = model.forward(turned / np.float32(restoration.FEATURE_UNIT), parameters)
        mean[:, outputs] += np.clip(y, -limit, limit) * of_outputs / len(restoration.ORIENTATIONS)
    assert np.abs(found - mean).max() < 0.03
    assert np.std(mean) > 0.02


def test_large_weights_are_rounded_more_coarsely_and_larger_ones_refused():
    rng = np.random.default_rng(0)
    model = Restorer((6,))
    shifts = []
    for scale in (1, 30):
        network = quantise({name: scale * array for name, array in model.init(rng).items()}, {})
        assert network.largest_sum() < EXACT
        shifts.append(network.shifts[0])
    assert shifts[1] < shifts[0]
    parameters = model.init(rng)
    parameters["0.weight"][:, FEATURES:] = 30  # those of conditions, whose numbers are large too
    network = quantise(parameters, {})
    assert network.largest_sum() < EXACT
    assert network.shifts[0] < shifts[0]
    with pytest.raises(CodecError, match="weights of layer 0 are too large"):
        quantise({name: 1e5 * array for name, array in model.init(rng).items()}, {})


# Runs -------------------------------------------------------------------------------------------------------


def test_training_finds_what_was_lost(examples, tmp_path):
    run = TrainingRun([], np.random.default_rng(0), examples, Restorer((24,)), 400)
    run.advance(400, tmp_path / "checkpoint.npz", "", quiet=True)
    assert len(run.losses) == 400
    assert run.losses[0] == pytest.approx(1, abs=0.25)
    assert np.mean(run.losses[-50:]) < 0.97


def test_a_gradient_that_is_no_number_is_named(examples, tmp_path, monkeypatch):
    backward = Restorer.backward

    def spoilt(model, dy, caches):
        gradients = backward(model, dy, caches)
        gradients["0.bias"][2] = np.inf
        return gradients

    monkeypatch.setattr(Restorer, "backward", spoilt)
    run = TrainingRun([], np.random.default_rng(0), examples, Restorer((8,)), 10)
    with pytest.raises(DivergedError, match=r"step 0: the gradient of 0\.bias is not finite"):
        run.advance(10, tmp_path / "checkpoint.npz", "", quiet=True)
    assert not [*tmp_path.iterdir()]


def test_a_loss_that_is_no_number_is_told(examples, tmp_path):
    run = TrainingRun([], np.random.default_rng(0), examples, Restorer((8,)), 10)
    run.parameters["1.weight"][3, 0] = np.nan
    with pytest.raises(DivergedError, match=r"step 0: the loss is nan; 1\.weight is the first parameter"):
        run.advance(10, tmp_path / "checkpoint.npz", "", quiet=True)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "EVERY", 40)
    whole = train_restore(folder, 3, tmp_path / "whole.npz", "", TINY, quiet=True)
    step = TrainingRun.step

    def stop(run):
        if run.done == 100:
            raise KeyboardInterrupt
        return step(run)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingRun, "step", stop)
        train_restore(folder, 3, tmp_path / "parts.npz", "", TINY, quiet=True)
    assert not (tmp_path / "parts.npz").exists()
    assert load_checkpoint(tmp_path / "parts.checkpoint.npz").extra["done"] == 80
    parts = train_restore(folder, 3, tmp_path / "parts.npz", "", TINY, quiet=True)
    assert parts["error left"] == whole["error left"]
    one, other = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("whole", "parts"))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(CodecError, match="other settings"):
        train_restore(folder, 4, tmp_path / "parts.npz", "", TINY, quiet=True)


def test_a_file_that_is_there_is_not_replaced(folder, tmp_path, capsys):
    (tmp_path / "mine.npz").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    for name in ("mine.npz", "folder", Path("/")):
        assert main(["train", "restore", "--data", str(folder), "-o", str(tmp_path / name), "--steps", "1"]) == 1
        assert "exists already; remove it, or use another name" in capsys.readouterr().err
    assert (tmp_path / "mine.npz").read_bytes() == b"mine"


def test_nor_is_one_that_is_called_as_weights_are_but_for_its_suffix(folder, tmp_path):
    train_restore(folder, 0, tmp_path / "mine.npz", "", TINY._replace(steps=1), quiet=True)
    (tmp_path / "mine.txt").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        train_restore(folder, 0, tmp_path / "mine.txt", "", TINY._replace(steps=1), quiet=True)
    assert (tmp_path / "mine.txt").read_bytes() == b"mine"


def test_the_same_seed_gives_the_same_file(folder, tmp_path):
    origin = train_restore(folder, 3, tmp_path / "a.npz", "how", TINY, quiet=True)
    train_restore(folder, 3, tmp_path / "b.npz", "how", TINY, quiet=True)
    train_restore(folder, 4, tmp_path / "c.npz", "how", TINY, quiet=True)
    one, other, third = (dict(np.load(tmp_path / f"{name}.npz")) for name in "abc")
    assert all(np.array_equal(one[name], other[name]) for name in one if name != "origin")
    assert not np.array_equal(one["weights0"], third["weights0"])
    network = restoration.from_arrays(one)
    assert network.weights[0].shape == (FEATURES, 16)
    assert network.origin["command"] == "how"
    assert (network.origin["seed"], network.origin["photos"]) == (3, 4) == (origin["seed"], origin["photos"])


def test_the_command(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(restoring, "RECIPE", TINY)
    words = ["train", "restore", "--data", str(folder), "--seed", "2", "--steps", "9", "-o", str(tmp_path / "x.npz")]
    assert main([*words, "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["seed"], report["photos"], report["blocks"]) == (2, 4, 4 * 2 * 4 * 5)
    assert 0.5 < report["error left"] < 1.2
    assert report["bytes"] == (tmp_path / "x.npz").stat().st_size
    command = f"tcodec train restore --data {folder.name}/ --seed 2 --steps 9 -o x.npz"
    assert report["command"] == restoration.from_arrays(dict(np.load(tmp_path / "x.npz"))).origin["command"] == command
    assert load_checkpoint(tmp_path / "x.checkpoint.npz").extra["done"] == 9
    assert main(words) == 0
    assert "160 blocks of 4 photographs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["restore", "--data", "nowhere", "-o", "x.npz"], "nowhere"),
        (["restore", "--data", ".", "-o", "x.npz"], "it takes pictures"),
    ],
)
def test_folders_to_learn_nothing_from(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("words", ["restore --data . --epochs 3", "vit --data digits --seed 3"])
def test_options_of_other_networks(words):
    with pytest.raises(SystemExit, match="2"):
        main(["train", *words.split()])
