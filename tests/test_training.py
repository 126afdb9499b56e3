"""Tests of `transformers_np.training` and `tcodec train`: runs that go on, runs that diverge, what is reported."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitstreams.errors import CodecError, FormatError, LimitError, UnsupportedError
from codec.program import main
from transformers_np import runs, training
from transformers_np.cnn import Cnn
from transformers_np.data import Dataset, Part, load, name_of
from transformers_np.recipes import MODELS, Recipe, recipe
from transformers_np.report import draw_curve
from transformers_np.runs import DivergedError
from transformers_np.training import Result, accuracy, fit
from transformers_np.vit import Vit
from transformers_np.weights import load_checkpoint, load_safetensors, save_checkpoint

NETWORKS = {"cnn": Cnn(8, 1, 10, (4, 8), 16), "vit": Vit(8, 4, 1, 10, 16, 1, 2, 32, 0.1)}
networks = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture(scope="module")
def few():
    """A few of the digits."""
    digits = load("digits")
    parts = (Part(part.images[:96], part.labels[:96]) for part in (digits.train, digits.held_out))
    return Dataset(*parts, digits.classes)


def how(network, epochs=3, **settings):
    return Recipe(NETWORKS[network], epochs, 32, **{"lr": 3e-3, "weight_decay": 0.05, "noise": 0.05, **settings})


@networks
def test_the_loss_falls_and_pictures_are_told_apart(network, few, tmp_path):
    result = fit(how(network, 40, lr=1e-2), few, 0, tmp_path, quiet=True)
    assert len(result.losses) == len(result.accuracies) == 40
    assert result.losses[-1] < 0.7 * result.losses[0]
    assert result.accuracies[-1] > 0.3  # of ten classes
    assert all(array.dtype == np.float32 for array in result.parameters.values())


@networks
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(network, few, tmp_path, monkeypatch):
    whole = fit(how(network), few, 0, tmp_path / "whole", quiet=True)
    save = training._Run.save

    def stop(run, path):
        save(run, path)
        if len(run.losses) < 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training._Run, "save", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(how(network), few, 0, tmp_path / "parts", quiet=True)
    parts = fit(how(network), few, 0, tmp_path / "parts", quiet=True)
    assert parts.losses == whole.losses
    assert parts.accuracies == whole.accuracies
    for name, array in whole.parameters.items():
        assert np.array_equal(array, parts.parameters[name]), name


def test_seeds_give_other_runs_and_one_seed_the_same(few, tmp_path):
    runs = [fit(how("cnn", 1), few, seed, tmp_path / str(i), quiet=True) for i, seed in enumerate((0, 0, 1))]
    assert runs[0].losses == runs[1].losses != runs[2].losses


def test_a_finished_run_is_not_run_again(few, tmp_path):
    first = fit(how("cnn", 2), few, 0, tmp_path, quiet=True)
    again = fit(how("cnn", 2), few, 0, tmp_path, quiet=True)
    assert again.losses == first.losses
    assert again.seconds == first.seconds


def test_a_checkpoint_of_other_settings_is_refused(few, tmp_path):
    fit(how("cnn", 1), few, 0, tmp_path, quiet=True)
    with pytest.raises(FormatError, match="other settings"):
        fit(how("cnn", 1, lr=1e-3), few, 0, tmp_path, quiet=True)


def test_a_checkpoint_of_another_seed_or_of_other_pictures_is_refused(few, tmp_path):
    fit(how("cnn", 1), few, 0, tmp_path, quiet=True)
    (images, labels), held_out = few.train, few.held_out
    others = [
        few._replace(train=Part(images[::-1].copy(), labels)),
        few._replace(train=Part(images, labels[::-1].copy())),
        few._replace(held_out=Part(held_out.images[:95], held_out.labels[:95])),
        few._replace(held_out=Part(held_out.images, 9 - held_out.labels)),
    ]
    for data, seed in [(few, 1), *((other, 0) for other in others)]:
        with pytest.raises(FormatError, match="other settings or pictures"):
            fit(how("cnn", 1), data, seed, tmp_path, quiet=True)
    assert len(fit(how("cnn", 1), few, 0, tmp_path, quiet=True).losses) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.parameters.pop("fc2.bias"), "missing: fc2.bias"),
        (lambda saved: saved.parameters.update(more=np.zeros(1)), "extra: more"),
        (lambda saved: saved.parameters.update({"fc2.bias": np.zeros(3)}), r"fc2.bias \(3,\) for \(10,\)"),
        (lambda saved: saved.optimiser_state.pop("step"), "missing: step"),
        (lambda saved: saved.extra.pop("losses"), "losses is missing"),
        (lambda saved: saved.extra.update(losses="none"), "losses is missing, or of another type"),
        (lambda saved: saved.extra.update(losses=[1.0, "2"]), "losses is missing, or of another type"),
        (lambda saved: saved.extra.update(seconds=None), "seconds is missing, or of another type"),
        (lambda saved: saved.extra.update(accuracies=[]), "lists of different lengths"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_an_error_of_one_line(change, message, few, tmp_path):
    fit(how("cnn", 1), few, 0, tmp_path, quiet=True)
    path = tmp_path / "checkpoint.npz"
    saved = load_checkpoint(path)
    change(saved)
    save_checkpoint(path, saved.parameters, saved.optimiser_state, saved.rng, saved.extra)
    with pytest.raises(FormatError, match=message) as raised:
        fit(how("cnn", 1), few, 0, tmp_path, quiet=True)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_loss_that_is_no_number_names_the_step_and_the_layer(few, tmp_path, monkeypatch):
    fit(how("cnn", 3), few, 0, tmp_path / "good", quiet=True)
    forward = Cnn.forward

    def spoilt(model, images, parameters):
        if len(calls) == 6:  # the third step of the first epoch is followed by two looks at what is held out
            parameters["conv2.weight"][0, 0, 0, 0] = np.nan
        calls.append(0)
        return forward(model, images, parameters)

    calls = []
    monkeypatch.setattr(Cnn, "forward", spoilt)
    with pytest.raises(DivergedError, match=r"step 4: the loss is nan; conv2 is the first layer"):
        fit(how("cnn", 3), few, 0, tmp_path / "bad", quiet=True)
    monkeypatch.setattr(Cnn, "forward", forward)
    # The last good checkpoint is kept, and goes on.
    assert (
        fit(how("cnn", 3), few, 0, tmp_path / "bad", quiet=True).losses
        == fit(how("cnn", 3), few, 0, tmp_path / "good", quiet=True).losses
    )


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("patch_embed.proj.weight", "embedding"),
        ("blocks.0.attn.qkv.weight", r"blocks\.0\.attn"),
        ("blocks.0.mlp.fc1.weight", r"blocks\.0"),
        ("norm.weight", "norm"),
        ("head.weight", "logits"),
    ],
)
def test_of_the_layers_of_a_vit_the_first_bad_one_is_named(parameter, layer, few, tmp_path, monkeypatch):
    init = Vit.init

    def spoilt(model, rng):
        parameters = init(model, rng)
        parameters[parameter].reshape(-1)[0] = np.nan
        return parameters

    monkeypatch.setattr(Vit, "init", spoilt)
    with pytest.raises(DivergedError, match=rf"step 0: the loss is nan; {layer} is the first layer"):
        fit(how("vit"), few, 0, tmp_path, quiet=True)


def test_of_the_layers_of_a_cnn_too(few, tmp_path, monkeypatch):
    init = Cnn.init

    def spoilt(model, rng):
        parameters = init(model, rng)
        parameters["fc1.bias"][0] = np.nan
        return parameters

    monkeypatch.setattr(Cnn, "init", spoilt)
    with pytest.raises(DivergedError, match="step 0: the loss is nan; fc1 is the first layer"):
        fit(how("cnn"), few, 0, tmp_path, quiet=True)


@networks
def test_a_learning_rate_that_is_far_too_high_is_told_by_the_error_alone(network, few, tmp_path):
    # Whatever NumPy has to warn of would fail the test: warnings are errors here (pyproject.toml).
    with pytest.raises(DivergedError, match="step 1: "):
        fit(how(network, lr=1e30), few, 0, tmp_path, quiet=True)


def test_a_norm_that_overflows_names_the_largest_gradient(few, tmp_path, monkeypatch):
    backward = Cnn.backward

    def large(model, dlogits, cache):
        gradients = backward(model, dlogits, cache)
        gradients["conv2.weight"][0, 0, 0, 0] = 1e30  # its square is beyond float32
        return gradients

    monkeypatch.setattr(Cnn, "backward", large)
    message = r"step 0: the norm of all gradients overflows; that of conv2\.weight is the largest, 1e\+30"
    with pytest.raises(DivergedError, match=message):
        fit(how("cnn"), few, 0, tmp_path, quiet=True)


def test_a_gradient_that_is_no_number_names_its_parameter(few, tmp_path, monkeypatch):
    backward = Cnn.backward

    def spoilt(model, dlogits, cache):
        gradients = backward(model, dlogits, cache)
        gradients["conv1.bias"][0] = np.inf
        return gradients

    monkeypatch.setattr(Cnn, "backward", spoilt)
    with pytest.raises(DivergedError, match=r"step 0: the gradient of conv1\.bias"):
        fit(how("cnn"), few, 0, tmp_path, quiet=True)


def test_accuracy_counts_every_picture(few):
    class Says3:
        def forward(self, images, parameters):
            return np.eye(10)[np.full(len(images), 3)], ()

    labels = np.array([3, 3, 1] * 401)
    assert accuracy(Says3(), {}, np.zeros((1203, 1, 8, 8), np.float32), labels) == 802 / 1203


def test_pictures_are_varied_as_the_recipe_says(few, tmp_path, monkeypatch):
    varied = []

    def augment(images, rng, **options):
        varied.append(options)
        return images

    monkeypatch.setattr(training, "augment", augment)
    said = {"shift": 2, "flip": True, "warp": 0.3, "noise": 0.4}
    fit(how("vit", 1, **said), few, 0, tmp_path, quiet=True)
    assert varied == 3 * [said]


# Recipes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [("digits", (1, 8, 8)), ("mnist", (1, 28, 28)), ("cifar", (3, 32, 32)), ("folder", (3, 64, 64))],
)
def test_every_kind_of_data_has_a_network_that_sees_it(model, kind, shape):
    network = recipe(model, kind, shape, 7).model
    logits, _ = network.forward(np.zeros((2, *shape), np.float32), network.init(np.random.default_rng(0)))
    assert logits.shape == (2, 7)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [(1, 8, 12), (1, 30, 30), (3, 7, 7)])
def test_pictures_that_no_network_sees_are_refused(model, shape):
    with pytest.raises(UnsupportedError, match=rf"pictures of {shape[1]} x {shape[2]}"):
        recipe(model, "folder", shape, 2)


@pytest.mark.parametrize("model", MODELS)
def test_pictures_that_would_take_too_much_memory_are_refused_with_the_limit(model):
    with pytest.raises(LimitError, match="pictures of 68 x 68; networks here see at most 64 x 64"):
        recipe(model, "folder", (3, 68, 68), 2)


# The program ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder of two classes, dark and bright."""
    rng = np.random.default_rng(0)
    for name, brightness in (("bright", 180), ("dark", 20)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(brightness, brightness + 60, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_training_writes_a_report_weights_and_a_curve(folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["train", "cnn", "--data", str(folder), "--epochs", "3", "--seeds", "2", "-o", str(out)]
    assert main([*words, "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text())
    assert {*report} == {"model", "data", "accuracy", "seconds", "parameters"}
    assert (report["model"], report["data"]) == ("cnn", str(folder))
    assert len(report["accuracy"]) == len(report["seconds"]) == 2
    assert min(report["accuracy"]) > 0.9
    weights = load_safetensors(out / "seed-1" / "model.safetensors")
    assert report["parameters"] == sum(array.size for array in weights.values())
    for name in ("curve.png", "looks.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300
    # Once more: all is there already.
    assert main(words) == 0
    said = capsys.readouterr()
    assert f"{report['parameters']:,} parameters" in said.out
    assert "mean" in said.out
    # Other pictures have other results.
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "dark" / "7.png")
    assert main(words) == 1
    assert "other settings or pictures" in capsys.readouterr().err
    assert report == json.loads((out / "report.json").read_text())


@pytest.mark.parametrize(
    ("losses", "accuracies"),
    [
        ([2.1], [0.4]),
        ([0.9, 0.5, 0.3], [0.7, 0.8, 0.85]),
        ([0.5, 0.01, 0.0], [1.0, 1.0, 1.0]),
        ([2.3 / epoch for epoch in range(1, 101)], [1 - 0.8 / epoch for epoch in range(1, 101)]),
    ],
)
def test_a_learning_curve_shows_every_epoch_between_whole_numbers_and_from_0(losses, accuracies, tmp_path):
    figure = draw_curve([Result({}, losses, accuracies, 1.0)] * 2, "title")
    figure.savefig(tmp_path / "curve.png")
    for axes, values in zip(figure.axes, (losses, [100 * (1 - share) for share in accuracies]), strict=True):
        for line in axes.lines:
            assert list(line.get_ydata()) == values
            assert line.get_marker() == "o"
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert left < 1 <= len(losses) < right
        assert bottom == 0
        assert top > max(values)
        assert all(tick == round(tick) for tick in axes.get_xticks())
        labels = [label.get_text() for label in axes.get_yticklabels() if 0 <= label.get_position()[1] <= top]
        assert len(labels) >= 3
        assert all(re.fullmatch(r"[0-9.]+", label) for label in labels)
        assert not [label.get_text() for label in axes.get_yticklabels(minor=True) if label.get_text()]


def test_networks_and_data_have_folders_of_their_own(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["cnn", "--data", "photos"], ["vit", "--data", "photos/"], ["cnn", "--data", "digits"]):
        assert main(["train", *words, "--epochs", "1"]) == 0, capsys.readouterr().err
    assert sorted(path.name for path in Path("tcodec-train").iterdir()) == ["cnn-digits", "cnn-photos", "vit-photos"]
    assert "tcodec-train/cnn-digits/curve.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("digits", "digits"),
        ("mnist:somewhere/else", "mnist"),
        ("cifar:.", "cifar"),
        ("a/photos/", "photos"),
        ("a/../cats", "cats"),
        ("a/b:c", "b:c"),
    ],
)
def test_the_name_of_data(source, name):
    assert name_of(source) == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cnn", "--data", "nowhere"], "nowhere"),
        (["vit", "--data", "mnist:nowhere"], "nowhere"),
        (["vit", "--data", "cifar:nowhere"], "nowhere"),
    ],
)
def test_data_that_are_not_there(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("classes", "draw", "message"),
    [
        (["one"], lambda number, rng: rng.integers(0, 256, (8, 8)), "pictures of one class"),
        (["a", "b"], lambda number, rng: np.full((8, 8), 77), "no two of the 6 pictures to learn from differ"),
        (["a", "b"], lambda number, rng: np.arange(64).reshape(8, 8), "no two of the 6 pictures to learn from differ"),
        (["a", "b"], lambda number, rng: rng.integers(0, 256, (512, 512)), "networks here see at most 64 x 64"),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_pictures_that_nothing_can_be_learned_from(model, classes, draw, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in classes:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(draw(number, rng).astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    assert main(["train", model, "--data", "photos", "--epochs", "1"]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_wrong_usage(capsys):
    for words in (
        ["train"],
        ["train", "mlp", "--data", "digits"],
        ["train", "cnn", "--data", "digits", "--seeds", "0"],
    ):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 2


def test_diverging_is_an_error_of_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Cnn, "backward", lambda model, dlogits, cache: {})
    monkeypatch.setattr(runs, "gather", lambda gradients, views: views["conv1.bias"].fill(np.nan))
    assert main(["train", "cnn", "--data", "digits", "-o", str(tmp_path), "--quiet"]) == 1
    assert "step 0" in capsys.readouterr().err
    assert issubclass(DivergedError, CodecError)
