"""Tests of `transformers_np.vit`: against PyTorch's numbers (`golden/torch_tensors.py`), differences and shapes."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.networks import (
    ERRORS,
    Float32,
    arrays_in,
    assert_close,
    draw_images,
    draw_parameters,
    golden,
    numeric_gradient,
    watch,
)
from transformers_np import ops, vit
from transformers_np.vit import BASE, SMALL, TINY, Vit, block, block_backward, truncated_normal
from transformers_np.weights import from_timm, load_state_dict

MODEL = Vit(size=15, patch=5, channels=3, classes=7, width=12, depth=2, heads=3, hidden=30)


def rng(seed=0):
    return np.random.default_rng(seed)


def parts(case, kind):
    """Return the parameters ("p") or their gradients ("d") of a case."""
    return {name.removeprefix(f"{kind}/"): a for name, a in case.items() if name.startswith(f"{kind}/")}


def count(parameters):
    return sum(array.size for array in parameters.values())


# A block ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("prefix", ["", "blocks.11."])
def test_a_block_is_pytorchs(prefix, dtype):
    case, exact = golden("block", dtype), golden("block")
    y, cache = block(case["x"], {f"{prefix}{name}": p for name, p in parts(case, "p").items()}, prefix, 3)
    gradients = {}
    dx = block_backward(case["dy"], cache, gradients, prefix)
    assert_close(y, exact["y"], ERRORS[dtype])
    assert_close(dx, exact["dx"], ERRORS[dtype])
    assert gradients.keys() == {f"{prefix}{name}" for name in parts(case, "p")}
    for name, expected in parts(exact, "d").items():
        assert_close(gradients[f"{prefix}{name}"], expected, ERRORS[dtype], name)
    assert {a.dtype for a in arrays_in([y, cache, dx, gradients])} == {np.dtype(dtype)}


def test_gradients_of_a_block_with_a_mask_are_differences():
    case = golden("block")
    x, parameters, mask = case["x"], parts(case, "p"), np.tri(5, dtype=bool)
    _, cache = block(x, parameters, "", 3, mask)
    gradients = {}
    dx = block_backward(case["dy"], cache, gradients, "")
    assert not cache[0][..., ~mask].any()

    def loss():
        return np.vdot(block(x, parameters, "", 3, mask)[0], case["dy"])

    for name, gradient in {"x": dx, **gradients}.items():
        array = x if name == "x" else parameters[name]
        assert_close(gradient, numeric_gradient(loss, array), 1e-6, name)


def test_a_causal_block_does_not_look_ahead():
    case = golden("block")
    x, mask = case["x"], np.tri(5, dtype=bool)
    y, _ = block(x, parts(case, "p"), "", 3, mask)
    x[:, 3:] += 1
    changed = (block(x, parts(case, "p"), "", 3, mask)[0] != y).any(axis=(0, 2))
    assert changed.tolist() == [False, False, False, True, True]


def test_blocks_start_as_published():
    drawn = vit.init_block(rng(), 24, 96, 0.02)
    shapes = {"norm1": (24,), "norm2": (24,), "attn.qkv": (72, 24), "attn.proj": (24, 24), "mlp.fc1": (96, 24)}
    shapes["mlp.fc2"] = (24, 96)
    assert {name: array.shape for name, array in drawn.items()} == {
        f"{layer}.{kind}": shape if kind == "weight" else shape[:1]
        for layer, shape in shapes.items()
        for kind in ("weight", "bias")
    }
    for name, array in drawn.items():
        if name.endswith("bias"):
            assert not array.any()
        elif name.startswith("norm"):
            assert (array == 1).all()
        else:
            assert 0.015 < array.std() < 0.02  # 0.88 of 0.02 is left without what is beyond two deviations
            assert np.abs(array).max() <= 0.04


def test_truncated_normal_numbers():
    drawn = truncated_normal(rng(), (100, 1000), 3)
    assert np.abs(drawn).max() <= 6
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.std() / 3 - 0.8796) < 0.005  # sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))
    assert ((np.abs(drawn) < 3).mean() - 0.6827 / 0.9545) < 0.005


# The whole model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
def test_the_model_is_pytorchs(dtype):
    case, exact = golden("vit", dtype), golden("vit")
    parameters = parts(case, "p")
    logits, cache = MODEL.forward(case["x"], parameters)
    gradients = MODEL.backward(case["dy"], cache)
    assert_close(logits, exact["y"], ERRORS[dtype])
    assert gradients.keys() == parameters.keys()
    for name, expected in parts(exact, "d").items():
        assert_close(gradients[name], expected, ERRORS[dtype], name)
    assert {a.dtype for a in arrays_in([logits, cache, gradients])} == {np.dtype(dtype)}


def test_nothing_is_computed_in_float64(monkeypatch):
    monkeypatch.setattr(ops, "empty", lambda shape, dtype: watch(np.empty(shape, dtype)))
    case = golden("vit", np.float32)
    parameters = {name: watch(array) for name, array in parts(case, "p").items()}
    logits, cache = MODEL.forward(watch(case["x"]), parameters)
    MODEL.backward(watch(case["dy"]), cache)
    assert isinstance(logits, Float32)


@pytest.mark.parametrize("dtype", ERRORS)
def test_parameters_at_the_start(dtype):
    parameters = MODEL.init(rng(), dtype)
    expected = parts(golden("vit"), "p")
    assert {name: array.shape for name, array in parameters.items()} == {n: a.shape for n, a in expected.items()}
    assert {array.dtype for array in parameters.values()} == {np.dtype(dtype)}
    assert all(array.flags.c_contiguous for array in parameters.values())
    assert 0 < np.abs(parameters["cls_token"]).max() < 1e-5
    for name in ("pos_embed", "patch_embed.proj.weight", "head.weight", "blocks.1.mlp.fc2.weight"):
        assert 0.01 < parameters[name].std() < 0.02
        assert np.abs(parameters[name]).max() <= 0.04
    for name, array in parameters.items():
        if name.endswith("bias"):
            assert not array.any()
        elif "norm" in name:
            assert (array == 1).all()
    for name, array in replace(MODEL, spread=0.1).init(rng(), np.float64).items():
        if array.ndim > 1 and name != "cls_token":
            assert np.allclose(array, 5 * parameters[name], rtol=1e-6), name
    again, other = MODEL.init(rng(), dtype), MODEL.init(rng(1), dtype)
    assert all(np.array_equal(parameters[name], again[name]) for name in parameters)
    assert not np.array_equal(parameters["head.weight"], other["head.weight"])


@pytest.mark.parametrize(("model", "expected"), [(TINY, 5_717_416), (SMALL, 22_050_664), (BASE, 86_567_656)])
def test_parameter_counts_are_the_published_ones(model, expected):
    none, one = (count(replace(model, depth=depth).init(rng())) for depth in (0, 1))
    assert none + model.depth * (one - none) == expected  # all blocks are alike


def test_a_tiny_vit_of_timm_is_loaded_and_agrees():
    case = golden("vit_tiny")
    shapes = {
        name: tuple(map(int, shape.split()))
        for name, shape in zip(case["names"].tolist(), case["shapes"].tolist(), strict=True)
    }
    images, dlogits = draw_images((1, 3, 224, 224), 9), draw_images((1, 1000), 10)
    state = draw_parameters(shapes, 8, most=40)
    for dtype, error in ERRORS.items():
        parameters = TINY.init(rng(), dtype)
        assert count(parameters) == 5_717_416
        load_state_dict(parameters, state, from_timm)
        logits, cache = TINY.forward(images.astype(dtype), parameters)
        assert_close(logits, case["y"], error)
        gradients = TINY.backward(dlogits.astype(dtype), cache)
        for name, norm in zip(case["names"].tolist(), case["norms"], strict=True):
            assert_close(np.linalg.norm(gradients[name]), norm, error, name)


# What lies between ------------------------------------------------------------------------------------------


def test_named_intermediates():
    case = golden("vit")
    images, parameters = case["x"], parts(case, "p")
    logits, cache = MODEL.forward(images, parameters)
    named = MODEL.named(cache)
    assert {name: array.shape for name, array in named.items()} == {
        "embedding": (2, 10, 12),
        "blocks.0.attn": (2, 3, 10, 10),
        "blocks.0": (2, 10, 12),
        "blocks.1.attn": (2, 3, 10, 10),
        "blocks.1": (2, 10, 12),
        "norm": (2, 10, 12),
        "grid": (2, 12, 3, 3),
    }
    # The embedding, by a convolution.
    x, _ = ops.conv2d(images, parameters["patch_embed.proj.weight"], parameters["patch_embed.proj.bias"], stride=5)
    cls = np.broadcast_to(parameters["cls_token"], (2, 1, 12))
    x = np.concatenate([cls, x.reshape(2, 12, 9).swapaxes(1, 2)], axis=1) + parameters["pos_embed"]
    assert np.allclose(named["embedding"], x, rtol=0, atol=1e-12)
    # From one block to the next, and to the logits.
    before = named["embedding"]
    for number in range(2):
        weights = named[f"blocks.{number}.attn"]
        assert np.allclose(weights.sum(axis=-1), 1)
        assert (weights > 0).all()
        after, of_block = block(before, parameters, f"blocks.{number}.", 3)
        assert np.array_equal(named[f"blocks.{number}"], after)
        assert np.array_equal(weights, of_block[0])
        before = after
    assert np.array_equal(named["norm"], ops.layer_norm(before, parameters["norm.weight"], parameters["norm.bias"])[0])
    assert np.allclose(named["norm"][:, 0] @ parameters["head.weight"].T + parameters["head.bias"], logits)
    for row in range(3):
        for column in range(3):
            assert np.array_equal(named["grid"][:, :, row, column], named["norm"][:, 1 + 3 * row + column])


def test_the_grid_shows_where_a_picture_changed():
    # Without blocks a token depends on its patch and place only.
    model = replace(MODEL, depth=0)
    parameters = parts(golden("vit"), "p")
    images = golden("vit")["x"]
    grid = model.named(model.forward(images, parameters)[1])["grid"].copy()
    images[1, 2, 5, 14] += 1  # second row of patches, third column
    changed = model.named(model.forward(images, parameters)[1])["grid"] != grid
    assert np.argwhere(changed.any(axis=1)).tolist() == [[1, 1, 2]]


# What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "model", "message"),
    [
        (np.zeros((2, 1, 15, 15)), MODEL, "pictures of (1, 15, 15); this model sees (3, 15, 15)"),
        (np.zeros((2, 3, 15, 10)), MODEL, "pictures of (3, 15, 10); this model sees (3, 15, 15)"),
        (np.zeros((3, 15, 15)), MODEL, "pictures of (15, 15); this model sees (3, 15, 15)"),
        (np.zeros((2, 3, 15, 15)), replace(MODEL, patch=4), "patches of 4 x 4 do not tile pictures (2, 3, 15, 15)"),
        (np.zeros((2, 3, 15, 15)), replace(MODEL, heads=5), "5 heads do not divide a width of 12"),
    ],
)
def test_pictures_and_models_that_do_not_fit(images, model, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        model.forward(images, replace(model, patch=5).init(rng()))


def test_parameters_that_do_not_fit():
    parameters = MODEL.init(rng())
    parameters["blocks.1.mlp.fc2.weight"] = parameters["blocks.1.mlp.fc2.weight"][:, :29]
    with pytest.raises(ValueError, match=re.escape("x (2, 10, 30), w (12, 29)")):
        MODEL.forward(np.zeros((2, 3, 15, 15), np.float32), parameters)
