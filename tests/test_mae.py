"""Tests of `transformers_np.mae`: against PyTorch's numbers (`golden/mae_tensors.py`), differences, the codec's DCT."""

import re
from dataclasses import replace

import numpy as np
import pytest

from codec import blocks, dct
from codec.scan import ZIGZAG
from tests.networks import ERRORS, arrays_in, assert_close, draw_images, golden, numeric_gradient
from transformers_np import mae
from transformers_np.mae import BASE, FIXED, Mae
from transformers_np.weights import load_state_dict

MODEL = Mae(16, 4, 3, 12, 2, 3, 8, 1, 2)


def rng(seed=0):
    return np.random.default_rng(seed)


def case_of(name, dtype=np.float64):
    """Return a case, the target of its loss, and its parameters as they were loaded."""
    case = golden(name, dtype, "mae_tensors")
    parameters = MODEL.init(rng(), dtype)
    load_state_dict(parameters, {n.removeprefix("p/"): a for n, a in case.items() if n.startswith("p/")})
    target = mae.patchify(case["x"], MODEL.patch)
    return case, mae.normalise_patches(target) if name.endswith("norm_pix") else target, parameters


# The model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("name", ["mae", "mae_norm_pix"])
def test_official_weights_give_official_numbers(name, dtype):
    case, target, parameters = case_of(name, dtype)
    exact = golden(name, file="mae_tensors")
    hidden = MODEL.hidden(case["noise"], float(exact["ratio"]))
    assert np.array_equal(hidden, exact["mask"] == 1)
    prediction, cache = MODEL.forward(case["x"], parameters, hidden)
    loss, of_loss = mae.pixel_loss(prediction, target, hidden)
    gradients = MODEL.backward(mae.pixel_loss_backward(of_loss), cache)
    assert_close(prediction, exact["y"], ERRORS[dtype])
    assert_close(loss, exact["loss"], ERRORS[dtype])
    assert gradients.keys() == parameters.keys() - set(FIXED)
    for parameter, gradient in gradients.items():
        assert_close(gradient, exact[f"d/{parameter}"], ERRORS[dtype], parameter)
    assert {a.dtype for a in arrays_in([prediction, gradients])} == {np.dtype(dtype)}


def test_gradients_are_differences():
    case, target, parameters = case_of("mae")
    hidden = MODEL.hidden(case["noise"], 0.75)
    weights = np.linspace(1, 3, 64)
    model = replace(MODEL, patch=8)  # 4 patches of a block of the codec each
    parameters = {name: rng(3).standard_normal(array.shape) / 4 for name, array in model.init(rng()).items()}
    hidden = np.array([[True, False, True, True], [True, True, True, False], [False, True, True, True]])
    target = mae.patchify(case["x"], 8)

    def loss():
        return mae.dct_loss(model.forward(case["x"], parameters, hidden)[0], target, hidden, 3, weights)[0]

    prediction, cache = model.forward(case["x"], parameters, hidden)
    _, of_loss = mae.dct_loss(prediction, target, hidden, 3, weights)
    gradients = model.backward(mae.dct_loss_backward(of_loss), cache)
    for name in ("cls_token", "mask_token", "patch_embed.proj.bias", "decoder_embed.weight", "decoder_pred.bias"):
        assert_close(gradients[name], numeric_gradient(loss, parameters[name]), 1e-6, name)


def test_the_encoder_does_not_see_what_is_hidden():
    case, _, parameters = case_of("mae")
    hidden = MODEL.hidden(case["noise"], 0.75)
    before, _ = MODEL.forward(case["x"], parameters, hidden)
    tokens = mae.patchify(case["x"], 4)
    tokens[hidden] = 7
    after, cache = MODEL.forward(mae.unpatchify(tokens, 4, 16, 16), parameters, hidden)
    assert np.array_equal(before, after)
    shapes = {name: array.shape for name, array in MODEL.named(cache).items()}
    assert shapes == {
        "latent": (3, 5, 12),
        "blocks.0.attn": (3, 3, 5, 5),
        "blocks.1.attn": (3, 3, 5, 5),
        "decoder_blocks.0.attn": (3, 2, 17, 17),
    }


def test_the_published_model_has_the_official_parameters():
    published = golden("mae_base", file="mae_tensors")
    shapes = {n: tuple(map(int, s.split())) for n, s in zip(published["names"], published["shapes"], strict=True)}
    parameters = replace(BASE, depth=1, decoder_depth=1).init(rng())
    of_first = {n: s for n, s in shapes.items() if not re.search(r"blocks\.[1-9]", n)}  # all blocks are alike
    assert {name: array.shape for name, array in parameters.items()} == of_first
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 111_907_840


def test_parameters_at_the_start():
    parameters = MODEL.init(rng())
    case = golden("mae", np.float32, "mae_tensors")
    for name in FIXED:
        assert_close(parameters[name], case[f"p/{name}"], 1e-6, name)
    for name, array in parameters.items():
        if array.ndim == 2 or name == "patch_embed.proj.weight":
            rows, columns = len(array), array[0].size
            assert 0.8 < np.abs(array).max() / (6 / (rows + columns)) ** 0.5 <= 1.0001, name
    assert 0.005 < parameters["mask_token"].std() < 0.05


@pytest.mark.parametrize(
    ("images", "hidden", "message"),
    [
        (np.zeros((2, 1, 16, 16)), np.ones((2, 16), bool), "pictures of (1, 16, 16); this model sees (3, 16, 16)"),
        (np.zeros((2, 3, 16, 16)), np.ones((2, 15), bool), "mask (2, 15) for (2, 16) patches; each hides as many"),
        (np.zeros((2, 3, 16, 16)), np.eye(2, 16) + np.eye(1, 16, 5) > 0, "mask (2, 16) for (2, 16) patches"),
    ],
)
def test_pictures_and_masks_that_do_not_fit(images, hidden, message):
    if images.shape[1] == 3 and hidden.shape == (2, 16):
        hidden[1, 5] = False
    with pytest.raises(ValueError, match=re.escape(message)):
        MODEL.forward(images, MODEL.init(rng()), hidden)


# Patches and losses -----------------------------------------------------------------------------------------


def test_patchify_puts_channels_last():
    images = draw_images((2, 3, 8, 12), 0)
    tokens = mae.patchify(images, 4)
    assert np.array_equal(tokens[1, 4].reshape(4, 4, 3), images[1, :, 4:8, 4:8].transpose(1, 2, 0))
    assert np.array_equal(mae.unpatchify(tokens, 4, 8, 12), images)


@pytest.mark.parametrize(("patch", "channels"), [(8, 1), (8, 3), (16, 3)])
def test_without_weights_an_error_of_coefficients_is_one_of_pixels(patch, channels):
    images, others = (draw_images((2, channels, 32, 32), seed) for seed in (0, 1))
    prediction, target = mae.patchify(images, patch), mae.patchify(others, patch)
    hidden = rng().random(prediction.shape[:2]) < 0.6
    pixels, of_pixels = mae.pixel_loss(prediction, target, hidden)
    coefficients, of_coefficients = mae.dct_loss(prediction, target, hidden, channels, np.ones(64))
    assert coefficients == pytest.approx(pixels, rel=1e-3)
    assert_close(mae.dct_loss_backward(of_coefficients), mae.pixel_loss_backward(of_pixels), 1e-3)


def test_weights_are_for_the_codecs_coefficients():
    # A difference of one basis picture, of 5 times its quantiser step, is an error of 25 in one coefficient of 64.
    weights = mae.quantiser_weights(50)
    for number in (0, 1, 2, 35, 63):
        row, column = divmod(int(ZIGZAG[number]), 8)
        wave = np.outer(dct.basis(8)[row], dct.basis(8)[column]) * 5 / weights[number] ** 0.5
        target = blocks.split(np.zeros((8, 8)), 8).reshape(1, 1, 64)
        loss, cache = mae.dct_loss(wave.reshape(1, 1, 64), target, np.ones((1, 1), bool), 1, weights)
        assert loss == pytest.approx(25 / 64, rel=1e-3)
        assert_close(mae.dct_loss_backward(cache).ravel() @ wave.ravel(), 2 * loss, 1e-9)
    assert weights[:3] == pytest.approx([16**-2.0, 11**-2.0, 12**-2.0])  # the first steps of Annex K
    assert mae.quantiser_weights(50, chroma=True)[0] == pytest.approx(17**-2.0)


def test_normalised_patches_have_no_dc_and_unit_energy():
    target = mae.normalise_patches(mae.patchify(draw_images((1, 1, 16, 16), 2), 8))
    coefficients = dct.dct2(target.reshape(-1, 8, 8))
    assert np.abs(coefficients[:, 0, 0]).max() < 1e-9
    assert (coefficients**2).sum(axis=(1, 2)) == pytest.approx(63, rel=1e-4)  # the variance is the unbiased one


def test_masks_and_patches_that_do_not_fit():
    tokens = np.zeros((1, 2, 48))
    with pytest.raises(ValueError, match=re.escape("hides 0 patches")):
        mae.pixel_loss(tokens, tokens, np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="patches of 48 numbers in 3 channels"):
        mae.dct_loss(tokens, tokens, np.ones((1, 2), bool), 3, np.ones(64))
    with pytest.raises(ValueError, match=re.escape("are no patches of 4 x 4")):
        mae.unpatchify(tokens, 4, 8, 8)
