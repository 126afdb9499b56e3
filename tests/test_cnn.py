"""Tests of `transformers_np.cnn`: against PyTorch's numbers (`golden/torch_tensors.py`), differences, and by hand."""

import re

import numpy as np
import pytest

from tests.networks import ERRORS, Float32, arrays_in, assert_close, draw_images, golden, numeric_gradient, watch
from transformers_np import ops
from transformers_np.cnn import (
    Cnn,
    Resnet,
    class_activation_map,
    grad_cam,
    residual_block,
    residual_block_backward,
    saliency,
)

MODEL = Cnn(size=13, channels=2, classes=5, filters=(3, 4), hidden=7)
RESNET = Resnet(channels=2, classes=5, filters=4, blocks=2)


def rng(seed=0):
    return np.random.default_rng(seed)


def parts(case, kind):
    """Return the parameters ("p"), their gradients ("d"), or running numbers ("after") of a case."""
    return {name.removeprefix(f"{kind}/"): a for name, a in case.items() if name.startswith(f"{kind}/")}


def split(case):
    """Return the parameters and the running numbers of a case."""
    both = parts(case, "p")
    running = {name: array for name, array in both.items() if "running" in name}
    return {name: array for name, array in both.items() if name not in running}, running


# The plain network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
def test_the_network_is_pytorchs(dtype):
    case, exact = golden("cnn", dtype), golden("cnn")
    parameters = parts(case, "p")
    logits, cache = MODEL.forward(case["x"], parameters)
    named = {}
    gradients = MODEL.backward(case["dy"], cache, named)
    assert_close(logits, exact["y"], ERRORS[dtype])
    assert_close(named["images"], exact["dx"], ERRORS[dtype])
    assert gradients.keys() == parameters.keys()
    for name, expected in parts(exact, "d").items():
        assert_close(gradients[name], expected, ERRORS[dtype], name)
    arrays = arrays_in([logits, cache, gradients, named])
    assert {a.dtype for a in arrays if a.dtype.kind == "f"} == {np.dtype(dtype)}
    assert all(np.array_equal(gradients[name], g) for name, g in MODEL.backward(case["dy"], cache).items())


def test_nothing_is_computed_in_float64(monkeypatch):
    monkeypatch.setattr(ops, "empty", lambda shape, dtype: watch(np.empty(shape, dtype)))
    case = golden("cnn", np.float32)
    logits, cache = MODEL.forward(watch(case["x"]), {name: watch(array) for name, array in parts(case, "p").items()})
    MODEL.backward(watch(case["dy"]), cache)
    assert isinstance(logits, Float32)
    case = golden("resnet", np.float32)
    parameters, running = ({name: watch(array) for name, array in of.items()} for of in split(case))
    logits, cache = RESNET.forward(watch(case["x"]), parameters, running, training=True)
    RESNET.backward(watch(case["dy"]), cache)
    assert isinstance(logits, Float32)


def test_named_maps_and_their_gradients():
    case = golden("cnn")
    parameters = parts(case, "p")
    _, cache = MODEL.forward(case["x"], parameters)
    maps, named = MODEL.named(cache), {}
    MODEL.backward(case["dy"], cache, named)
    assert {name: a.shape for name, a in maps.items()} == {"conv1": (3, 3, 6, 6), "conv2": (3, 4, 3, 3), "fc1": (3, 7)}
    assert {name: a.shape for name, a in named.items()} == {
        "conv1": (3, 3, 6, 6),
        "conv2": (3, 4, 3, 3),
        "images": (3, 2, 13, 13),
    }
    # The rest of the network, from the last maps on.
    last = maps["conv2"].copy()

    def loss():
        hidden = np.maximum(last.reshape(3, -1) @ parameters["fc1.weight"].T + parameters["fc1.bias"], 0)
        return np.vdot(hidden @ parameters["fc2.weight"].T + parameters["fc2.bias"], case["dy"])

    assert_close(named["conv2"], numeric_gradient(loss, last), 1e-6)
    # What the first convolution makes: a map is the largest of four places, or 0.
    padded = np.pad(case["x"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # (B, C, 13, 13, 3, 3)
    plain = np.tensordot(windows, parameters["conv1.weight"], ((1, 4, 5), (1, 2, 3))) + parameters["conv1.bias"]
    expected = plain[:, :12, :12].reshape(3, 6, 2, 6, 2, 3).max(axis=(2, 4)).clip(0)
    assert np.allclose(maps["conv1"], expected.transpose(0, 3, 1, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ERRORS)
def test_parameters_at_the_start(dtype):
    model = Cnn(size=28, channels=1, classes=10)
    parameters = model.init(rng(), dtype)
    assert {name: a.shape for name, a in parameters.items()} == {
        "conv1.weight": (32, 1, 3, 3),
        "conv1.bias": (32,),
        "conv2.weight": (64, 32, 3, 3),
        "conv2.bias": (64,),
        "fc1.weight": (128, 64 * 7 * 7),
        "fc1.bias": (128,),
        "fc2.weight": (10, 128),
        "fc2.bias": (10,),
    }
    assert {a.dtype for a in arrays_in(parameters)} == {np.dtype(dtype)}
    assert not any(a.any() for name, a in parameters.items() if name.endswith("bias"))
    for name, inputs in (("conv2", 32 * 9), ("fc1", 64 * 49)):
        assert abs(parameters[f"{name}.weight"].std() * np.sqrt(inputs / 2) - 1) < 0.02
    assert all(np.array_equal(a, model.init(rng(), dtype)[name]) for name, a in parameters.items())
    logits, _ = model.forward(draw_images((4, 1, 28, 28), 0).astype(dtype), parameters)
    assert np.abs(logits).max() < 1  # no class is likelier


# The residual network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("training", [True, False])
def test_the_residual_network_is_pytorchs(training, dtype):
    name = "resnet" if training else "resnet_eval"
    case, exact = golden(name, dtype), golden(name)
    parameters, running = split(case)
    logits, cache = RESNET.forward(case["x"], parameters, running, training=training)
    gradients = RESNET.backward(case["dy"], cache)
    assert_close(logits, exact["y"], ERRORS[dtype])
    assert gradients.keys() == parameters.keys()
    for key, expected in parts(exact, "d").items():
        assert_close(gradients[key], expected, ERRORS[dtype], key)
    after = parts(exact, "after") if training else split(exact)[1]
    assert running.keys() == after.keys()
    for key, expected in after.items():
        assert_close(running[key], expected, ERRORS[dtype], key)
    arrays = arrays_in([logits, cache, gradients, running])
    assert {a.dtype for a in arrays if a.dtype.kind == "f"} == {np.dtype(dtype)}


def test_gradients_of_a_residual_block_are_differences():
    parameters, running = split(golden("resnet"))
    x, dy = rng(1).standard_normal((2, 4, 3, 5)), rng(2).standard_normal((2, 4, 3, 5))

    def forward():
        kept = {name: array.copy() for name, array in running.items()}
        return residual_block(x, parameters, "blocks.1.", kept, training=True)

    _, cache = forward()
    gradients = {}
    dx = residual_block_backward(dy, cache, gradients, "blocks.1.")
    assert gradients.keys() == {name for name in parameters if name.startswith("blocks.1.")}
    for array, gradient in ((x, dx), *((parameters[name], gradients[name]) for name in gradients)):
        expected = numeric_gradient(lambda: np.vdot(forward()[0], dy), array, 1e-6)
        assert_close(gradient, expected, 1e-6)


def test_the_residual_network_takes_pictures_of_any_size():
    parameters, running = RESNET.init(rng())
    for height, width in ((1, 1), (3, 8)):
        images = draw_images((2, 2, height, width), 0).astype(np.float32)
        logits, _ = RESNET.forward(images, parameters, running, training=False)
        assert logits.shape == (2, 5)


def test_the_residual_network_at_the_start():
    parameters, running = Resnet(channels=3, classes=7).init(rng(), np.float64)
    expected = {"conv.weight": (16, 3, 3, 3), "conv.bias": (16,), "head.weight": (7, 16), "head.bias": (7,)}
    for layer in (1, 2):
        expected |= {f"blocks.0.conv{layer}.weight": (16, 16, 3, 3)}
        expected |= {f"blocks.0.bn{layer}.{kind}": (16,) for kind in ("weight", "bias")}
    assert {name: a.shape for name, a in parameters.items()} == expected
    for name, array in running.items():
        assert array.tolist() == [float("var" in name)] * 16
    assert set(running) == {f"blocks.0.bn{n}.running_{kind}" for n in (1, 2) for kind in ("mean", "var")}
    assert {a.dtype for a in arrays_in([parameters, running])} == {np.dtype(np.float64)}


# What networks look at --------------------------------------------------------------------------------------


def linear_network():
    """Return a network that is linear where pictures are positive, and such a picture.

    Its two maps are the picture and twice the picture, made smaller; the hidden layer has the sum of each, of which
    the classes are 3 of the first less 1 of the second, and -1 and 1/4.
    """
    model = Cnn(size=4, channels=1, classes=2, filters=(2,), hidden=2)
    parameters = {name: np.zeros_like(array) for name, array in model.init(rng(), np.float64).items()}
    parameters["conv1.weight"][:, 0, 1, 1] = 1, 2
    parameters["fc1.weight"][0, :4] = parameters["fc1.weight"][1, 4:] = 1
    parameters["fc2.weight"][:] = [[3, -1], [-1, 0.25]]
    parameters["fc2.bias"][:] = 5, 6
    picture = np.array([[1.0, 2, 3, 4], [8, 7, 6, 5], [9, 10, 11, 12], [16, 15, 14, 13]])[None, None]
    return model, parameters, picture


def test_grad_cam_by_hand():
    model, parameters, picture = linear_network()
    images, classes = np.concatenate([picture, picture, 2 * picture]), np.array([0, 1, 0])
    assert model.forward(images, parameters)[0].tolist() == [[5 + 44, 6 - 22], [5 + 44, 6 - 22], [5 + 88, 6 - 44]]
    found = grad_cam(model, images, parameters, classes, "conv1")
    # For the first class, 3 maps[0] - maps[1], which is the picture; for the second -1/2 of it: nothing speaks for it.
    assert found.tolist() == [[[8, 6], [16, 14]], [[0, 0], [0, 0]], [[16, 12], [32, 28]]]


def test_saliency_by_hand():
    model, parameters, picture = linear_network()
    found = saliency(model, np.concatenate([picture, picture]), parameters, np.array([0, 1]))
    largest = [[0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]]  # of each window
    assert np.array_equal(found, [np.array(largest), 0.5 * np.array(largest)])


def test_saliency_is_the_slope_of_the_score():
    case = golden("cnn")
    images, parameters, classes = case["x"][:2], parts(case, "p"), np.array([3, 0])
    found = saliency(MODEL, images, parameters, classes)

    def score():
        return MODEL.forward(images, parameters)[0][[0, 1], classes].sum()

    slope = numeric_gradient(score, images)
    assert found.shape == (2, 13, 13)
    assert_close(found, np.abs(slope).max(axis=1), 1e-6)


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_grad_cam_is_maps_weighted_by_mean_slopes(layer):
    case = golden("cnn")
    images, parameters, classes = case["x"], parts(case, "p"), np.array([3, 0, 1])
    _, cache = MODEL.forward(images, parameters)
    one, named = np.eye(5)[classes], {}
    MODEL.backward(one, cache, named)
    maps = MODEL.named(cache)[layer]
    expected = np.zeros((3, *maps.shape[2:]))
    for number in range(3):
        for feature, slope in zip(maps[number], named[layer][number], strict=True):
            expected[number] += slope.mean() * feature
    found = grad_cam(MODEL, images, parameters, classes, layer)
    assert np.allclose(found, expected.clip(0), rtol=0, atol=1e-12)
    assert found.any()
    assert (found == 0).any()


def test_the_mean_of_a_class_activation_map_is_the_logit():
    case = golden("resnet_eval")
    parameters, running = split(case)
    logits, cache = RESNET.forward(case["x"], parameters, running, training=False)
    for classes in (np.array([0, 4, 2]), np.array([1, 1, 3])):
        found = class_activation_map(cache[-1], parameters["head.weight"], classes)
        assert found.shape == (3, 7, 5)
        expected = logits[np.arange(3), classes] - parameters["head.bias"][classes]
        assert np.allclose(found.mean(axis=(1, 2)), expected, rtol=0, atol=1e-12)
    place = cache[-1][2, :, 6, 1] @ parameters["head.weight"][3]
    assert np.isclose(found[2, 6, 1], place)


@pytest.mark.parametrize("dtype", ERRORS)
def test_pictures_of_what_matters_are_of_the_type_of_the_input(dtype):
    case = golden("cnn", dtype)
    images, parameters, classes = case["x"], parts(case, "p"), np.array([3, 0, 1])
    assert saliency(MODEL, images, parameters, classes).dtype == dtype
    assert grad_cam(MODEL, images, parameters, classes).dtype == dtype
    assert class_activation_map(images, np.ones((2, 2), dtype), classes % 2).dtype == dtype


# What is refused --------------------------------------------------------------------------------------------

IMAGES, MAPS = np.zeros((3, 2, 13, 13), np.float32), np.zeros((3, 4, 7, 5), np.float32)
PARAMETERS = MODEL.init(rng())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MODEL.forward(IMAGES[:, :1], PARAMETERS), "pictures of (1, 13, 13); this model sees (2, 13, 13)"),
        (lambda: MODEL.forward(IMAGES[..., :12], PARAMETERS), "pictures of (2, 13, 12); this model sees (2, 13, 13)"),
        (lambda: MODEL.forward(IMAGES[0], PARAMETERS), "pictures of (13, 13); this model sees (2, 13, 13)"),
        (
            lambda: RESNET.forward(IMAGES[:, :1], *RESNET.init(rng()), training=True),
            "conv2d: x (3, 1, 13, 13), w (4, 2, 3, 3)",
        ),
        (
            lambda: grad_cam(MODEL, IMAGES, PARAMETERS, np.zeros(3, int), "conv3"),
            "no layer conv3 of maps; this model has conv1, conv2",
        ),
        (lambda: grad_cam(MODEL, IMAGES, PARAMETERS, np.zeros(3, int), "fc1"), "no layer fc1 of maps"),
        (lambda: saliency(MODEL, IMAGES, PARAMETERS, np.array([1])), "pictures (3, 2, 13, 13), classes (1,)"),
        (lambda: grad_cam(MODEL, IMAGES, PARAMETERS, np.zeros((3, 1), int)), "classes (3, 1) do not go together"),
        (lambda: class_activation_map(MAPS, np.ones((5, 4)), np.array([1])), "weights (5, 4), classes (1,)"),
        (lambda: class_activation_map(MAPS, np.ones((5, 3)), np.array([1, 2, 3])), "maps (3, 4, 7, 5), weights (5, 3)"),
        (lambda: class_activation_map(MAPS[0], np.ones((5, 7)), np.array([1] * 4)), "maps (4, 7, 5), weights (5, 7)"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
