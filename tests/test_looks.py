"""Tests of `transformers_np.looks`: which pictures are drawn, and what is drawn of them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from bitstreams.errors import CodecError
from transformers_np import looks
from transformers_np.cnn import Cnn, grad_cam, saliency
from transformers_np.data import Dataset, Part, normaliser
from transformers_np.looks import cls_attention, draw_looks
from transformers_np.training import predict
from transformers_np.vit import Vit

MODELS = {
    "cnn": Cnn(size=8, channels=1, classes=3, filters=(4, 6), hidden=8),
    "vit": Vit(size=8, patch=2, channels=1, classes=3, width=8, depth=2, heads=2, hidden=16, spread=0.5),
    "rgb": Cnn(size=8, channels=3, classes=3, filters=(4,), hidden=8),
}


def dataset(channels, held_out):
    rng = np.random.default_rng(0)

    def part(count):
        return Part(rng.random((count, channels, 8, 8), np.float32), rng.integers(0, 3, count))

    return Dataset(part(20), part(held_out), ("cat", "d_{o}$g$", "eel"))


@pytest.fixture
def drawn(monkeypatch):
    """What figures have been saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *args, **words: figures.append(figure) or save(figure, *args, **words)
    )
    return figures


def panels(figure):
    """Return arrays and titles of all panels, in reading order."""
    return [(np.asarray(axes.images[0].get_array()), axes.get_title()) for axes in figure.axes]


def test_wrong_pictures_come_first_then_one_class_after_another():
    labels = np.array([0, 0, 1, 1, 2, 2, 2, 0, 1, 2, 0, 1, 2, 0, 0])
    said = labels.copy()
    said[[3, 7, 9, 13]] = [0, 1, 1, 2]
    # Three of the four that are wrong; right ones are 0 of 0, 2 of 1, 4 of 2, then 1 of 0, 8 of 1, 5 of 2, ...
    assert looks._choose(said, labels) == [3, 7, 9, 0, 2, 4, 1, 8, 5, 10]
    assert looks._choose(labels, labels) == [0, 2, 4, 1, 3, 5, 7, 8, 6, 10]
    assert looks._choose((labels + 1) % 3, labels) == list(range(10))
    assert looks._choose(np.array([1, 0]), np.array([0, 0])) == [0, 1]


def test_attention_of_the_class_token_is_a_mean_over_heads_without_itself():
    model = MODELS["vit"]
    parameters = model.init(np.random.default_rng(1))
    images = dataset(1, 5).held_out.images
    _, cache = model.forward(images, parameters)
    found = cls_attention(model, images, parameters)
    assert len(found) == 2
    for number, maps in enumerate(found):
        weights = model.named(cache)[f"blocks.{number}.attn"]
        assert maps.shape == (5, 4, 4)
        assert np.allclose(maps[3, 2, 1], (weights[3, 0, 0, 1 + 9] + weights[3, 1, 0, 1 + 9]) / 2)
        assert np.allclose(maps.sum(axis=(1, 2)) + weights[:, :, 0, 0].mean(axis=1), 1)


@pytest.mark.parametrize("held_out", [2, 40])
@pytest.mark.parametrize("name", MODELS)
def test_each_column_is_a_picture_and_what_the_network_sees_in_it(name, held_out, drawn, tmp_path):
    model = MODELS[name]
    data = dataset(model.channels, held_out)
    parameters = model.init(np.random.default_rng(1))
    draw_looks(model, parameters, data, tmp_path / "looks.png", "a $title")
    images = normaliser(data.train)(data.held_out.images)
    said = predict(model, parameters, images)
    chosen = looks._choose(said, data.held_out.labels)
    if name == "vit":
        rows = cls_attention(model, images[chosen], parameters)
    else:
        about = (model, images[chosen], parameters, said[chosen])
        rows = [saliency(*about), *(grad_cam(*about, f"conv{number}") for number in range(1, len(model.filters) + 1))]
    found = panels(drawn[0])
    if name != "vit":
        assert str(len(parameters["conv1.weight"])) in found.pop(0)[1]
    assert len(found) == (1 + len(rows)) * len(chosen)
    for number, (pixels, title), (values, _) in zip(chosen, found, found[-len(chosen) :], strict=False):
        picture = data.held_out.images[number]
        assert np.array_equal(pixels, picture[0] if model.channels == 1 else np.moveaxis(picture, 0, 2))
        right = said[number] == data.held_out.labels[number]
        assert title.startswith(data.classes[data.held_out.labels[number]])
        assert ("said" in title) != right
        assert np.array_equal(values, rows[-1][chosen.index(number)])
    assert (tmp_path / "looks.png").read_bytes().startswith(b"\x89PNG")


def test_filters_are_drawn_where_they_belong(drawn, tmp_path):
    model = Cnn(size=8, channels=1, classes=3, filters=(40,), hidden=8)  # more than one row of them
    parameters = model.init(np.random.default_rng(1))
    parameters["conv1.weight"][35, 0] = [[1, 0, -1], [0, 0, 0], [0.5, 0, 0]]
    parameters["conv1.weight"] *= 1 / np.abs(parameters["conv1.weight"]).max()
    draw_looks(model, parameters, dataset(1, 4), tmp_path / "looks.png", "")
    mosaic, _ = panels(drawn[0])[0]
    assert mosaic.shape == (7, 127, 3)
    assert np.allclose(mosaic[4:, 12:15], 0.5 + 0.5 * parameters["conv1.weight"][35, 0][..., None])
    assert (mosaic[:, 3] == 1).all()  # between two


def test_a_network_of_which_no_picture_is_known_is_refused(tmp_path):
    class Other:
        def forward(self, images, parameters):
            return np.eye(3)[np.zeros(len(images), int)], ()

    with pytest.raises(TypeError, match="Other"):
        draw_looks(Other(), {}, dataset(1, 4), tmp_path / "looks.png", "")


def test_an_unknown_layer_is_an_error_of_the_project():
    model = MODELS["cnn"]
    with pytest.raises(CodecError, match="no layer norm of maps; this model has conv1, conv2"):
        grad_cam(model, np.zeros((1, 1, 8, 8), np.float32), model.init(np.random.default_rng(0)), np.array([0]), "norm")
