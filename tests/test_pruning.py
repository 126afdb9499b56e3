"""Tests of `transformers_np.pruning` and `tcodec prune`: what tokens cost, which are kept, what is reported."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bitstreams.entropy import entropy_bits
from codec.program import main
from transformers_np import pruning
from transformers_np.cnn import Cnn
from transformers_np.data import load
from transformers_np.pruning import STEP, Bits, attention_scores, classify_kept, first_block, measure, place_bits
from transformers_np.recipes import recipe
from transformers_np.vit import Vit
from transformers_np.weights import save_safetensors

MODEL = Vit(size=8, patch=2, channels=1, classes=10, width=16, depth=3, heads=2, hidden=32, spread=0.4)


def draw(count, channels=1, seed=0):
    return np.random.default_rng(seed).random((count, channels, 8, 8), np.float32)


@pytest.fixture(scope="module")
def parameters():
    return MODEL.init(np.random.default_rng(1))


# What a token costs -----------------------------------------------------------------------------------------


def test_bits_by_hand():
    """Patches of one pixel are their own DCT, and flat."""
    levels = np.array([[0, 0, 0, 1], [0, 0, 0, 3]])
    images = (levels * STEP).reshape(2, 1, 2, 2).astype(np.float32)
    bits = Bits(images, 1)
    flag = -np.log2(8.5 / 9.5)  # eight are flat; neither was, nor is anything else
    total = 8 + 5 * 0.5  # levels 0 to 3 and all others
    seen = np.array([[0, 1], [3, 2]]).reshape(1, 1, 2, 2) * STEP
    assert np.allclose(bits(seen), flag - np.log2(np.array([[6.5, 1.5, 1.5, 0.5]]) / total))
    strange = np.array([[-9, 4], [99, 0.4]]).reshape(1, 1, 2, 2) * STEP
    assert np.allclose(bits(strange), flag - np.log2(np.array([[0.5, 0.5, 0.5, 6.5]]) / total))


@pytest.mark.parametrize("channels", [1, 3])
def test_bits_of_what_was_learned_from_are_its_entropy(channels):
    images = draw(400, channels)
    images[:150] *= 0.01  # flat
    bits = Bits(images, 2)
    cut = images.reshape(400, channels, 4, 2, 4, 2).swapaxes(3, 4)
    flat = np.array([[1, 1], [1, -1]]) / np.sqrt(2)  # the DCT of two samples
    levels = np.rint(flat @ cut.astype(float) @ flat.T / STEP).astype(int).reshape(-1, 4)
    ac = levels[levels[:, 1:].any(axis=1), 1:]
    assert 0.6 < len(ac) / len(levels) < 0.63
    expected = entropy_bits(levels[:, 1:].any(axis=1).astype(int)) + entropy_bits(levels[:, 0])
    expected += sum(entropy_bits(column) for column in ac.T)
    found = bits(images)
    assert found.shape == (400, 16)
    assert expected < found.sum() < 1.002 * expected


def test_a_flat_patch_costs_less_than_an_edge_where_most_are_flat():
    images = np.zeros((50, 1, 8, 8), np.float32)
    images[:10, :, 3, 3] = 1
    costs = Bits(images, 2)(images[:1])
    assert costs.shape == (1, 16)
    assert costs[0].argmax() == 5
    assert (np.delete(costs[0], 5) < 0.1 * costs[0, 5]).all()


def test_places_cost_the_logarithm_of_the_ways_to_choose_them():
    assert place_bits(4, 2) == np.log2(6)
    assert place_bits(49, 49) == place_bits(49, 0) == 0


# Which are kept ---------------------------------------------------------------------------------------------


def test_the_largest_are_kept_in_their_order_and_of_equal_ones_the_first():
    assert pruning._largest(np.array([[1, 5, 3, 5], [2, 2, 2, 2]]), 2).tolist() == [[1, 3], [0, 1]]
    assert pruning._largest(np.array([[1, 5, 3, 5]]), 4).tolist() == [[0, 1, 2, 3]]


def test_scores_are_what_the_class_token_attends_to(parameters):
    images = draw(3)
    _, cache = MODEL.forward(images, parameters)
    weights = np.stack([MODEL.named(cache)[f"blocks.{number}.attn"] for number in range(3)])
    found = attention_scores(MODEL, images, parameters)
    assert np.allclose(found, weights[:, :, :, 0, 1:].mean(axis=(0, 2)))


def test_all_tokens_are_the_whole_picture(parameters):
    images = draw(3)
    logits, _ = MODEL.forward(images, parameters)
    everything = np.tile(np.arange(16), (3, 1))
    assert np.array_equal(classify_kept(MODEL, images, parameters, everything), logits)
    after_first, _ = first_block(MODEL, images, parameters)
    assert np.array_equal(MODEL.classify(after_first, parameters, first=1)[0], logits)


def test_what_is_not_kept_is_not_seen_and_what_is_kept_is(parameters):
    images, kept = draw(1), np.array([[0, 5, 6]])
    logits = classify_kept(MODEL, images, parameters, kept)
    for token, (row, column) in enumerate(np.ndindex(4, 4)):
        changed = images.copy()
        changed[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 1
        same = np.array_equal(classify_kept(MODEL, changed, parameters, kept), logits)
        assert same == (token not in kept), token


def test_the_first_block_and_what_the_class_token_attends_to_in_it(parameters):
    images = draw(4)
    named = MODEL.named(MODEL.forward(images, parameters)[1])
    after_first, attention = first_block(MODEL, images, parameters)
    assert np.array_equal(after_first, named["blocks.0"])
    assert np.allclose(attention, named["blocks.0.attn"][:, :, 0, 1:].mean(axis=1))


# The experiment ---------------------------------------------------------------------------------------------


def test_bits_are_those_of_the_kept_tokens_and_of_their_places(parameters, monkeypatch):
    monkeypatch.setattr(pruning, "AT_A_TIME", 7)  # the last part is smaller
    images = draw(30)
    bits = Bits(draw(50, seed=5), 2)
    costs = bits(images)
    labels = MODEL.forward(images, parameters)[0].argmax(axis=1)
    labels[:6] = (labels[:6] + 1) % 10
    found = measure(MODEL, parameters, images, images, labels, bits, quiet=True)
    assert [*found] == ["in the network", "in the file"]
    for of_place in found.values():
        assert [*of_place] == ["attention", "entropy", "random"]
        for points in of_place.values():
            assert [point.kept for point in points] == [16, 14, 11, 9, 6, 5, 3, 2, 1]
            assert points[0].accuracy == 24 / 30
    assert all(point.bits is None for points in found["in the network"].values() for point in points)
    in_file = found["in the file"]
    assert in_file["random"][0].bits == pytest.approx(costs.sum() / 30)
    most = np.sort(costs, axis=1)[:, ::-1]
    for point in in_file["entropy"]:
        assert point.bits == pytest.approx(most[:, : point.kept].sum() / 30 + np.log2(float(_ways(point.kept))))
    chosen = np.sort(np.argsort(-attention_scores(MODEL, images, parameters), axis=1)[:, :3], axis=1)
    places = np.log2(float(_ways(3)))
    assert in_file["attention"][6].bits == pytest.approx(np.take_along_axis(costs, chosen, 1).sum() / 30 + places)
    right = classify_kept(MODEL, images, parameters, chosen).argmax(axis=1) == labels
    assert in_file["attention"][6].accuracy == right.mean()


@pytest.mark.parametrize("method", ["attention", "entropy"])
def test_in_the_network_tokens_go_after_the_first_block(method, parameters):
    images = draw(30)
    bits = Bits(draw(50, seed=5), 2)
    after_first, attention = first_block(MODEL, images, parameters)
    scores = attention if method == "attention" else bits(images)
    kept = [[0, *(1 + np.sort(np.argsort(-of_picture, kind="stable")[:5]))] for of_picture in scores]
    x = np.stack([tokens[places] for tokens, places in zip(after_first, kept, strict=True)])
    labels = MODEL.classify(x, parameters, first=1)[0].argmax(axis=1)
    found = measure(MODEL, parameters, images, images, labels, bits, quiet=True)
    of_five = {name: points[5].accuracy for name, points in found["in the network"].items()}
    assert of_five[method] == 1
    assert all(share < 1 for name, share in of_five.items() if name != method)
    assert found["in the file"][method][5].accuracy < 1


def _ways(kept):
    ways = 1
    for number in range(kept):
        ways = ways * (16 - number) // (number + 1)
    return ways


# The program ------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path):
    """A network that has not learned anything."""
    model = recipe("vit", "digits", (1, 8, 8), 10).model
    save_safetensors(tmp_path / "vit.safetensors", model.init(np.random.default_rng(0)))
    return tmp_path / "vit.safetensors"


def test_pruning_writes_a_report_and_curves(weights, tmp_path, capsys, monkeypatch):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *args, **words: figures.append(figure) or save(figure, *args, **words)
    )
    words = ["prune", "--data", "digits", "--weights", str(weights), "-o", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out" / "pruning.json").read_text())
    assert (report["data"], report["tokens"], report["pictures"]) == ("digits", 16, len(load("digits").held_out.labels))
    curves = [curve for of_place in report["curves"].values() for curve in of_place.values()]
    assert len({curve[0]["accuracy"] for curve in curves}) == 1
    with Image.open(tmp_path / "out" / "pruning.png") as picture:
        assert min(picture.size) > 300
    titles = [axes.get_title() for axes in figures[0].axes]
    assert titles == ["in the network, over tokens", "in the file, over tokens", "in the file, over bits"]
    assert main(words) == 0
    said = capsys.readouterr().out
    for curve in curves:
        for point in curve:
            assert f"{100 * point['accuracy']:.2f} %" in said
    assert f"{report['curves']['in the file']['entropy'][3]['bits']:,.0f} bits" in said


@pytest.mark.parametrize(
    ("data", "file", "message"),
    [
        ("digits", "nowhere", "nowhere"),
        ("mnist:nowhere", "vit.safetensors", "nowhere"),
        ("digits", "cnn.safetensors", "cls_token"),
    ],
)
def test_what_cannot_be_pruned_is_an_error_of_one_line(data, file, message, weights, tmp_path, capsys):
    save_safetensors(
        tmp_path / "cnn.safetensors",
        Cnn(size=8, channels=1, classes=10, filters=(4,), hidden=8).init(np.random.default_rng(0)),
    )
    words = ["prune", "--data", data, "--weights", str(weights.with_name(file)), "-o", str(tmp_path / "out")]
    assert main(words) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert not said.out
    assert not (tmp_path / "out").exists()
