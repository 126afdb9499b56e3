"""Tests of `transformers_np.inpainting`: gradients by differences, turned pictures, what is seen and what is not."""

import numpy as np
import pytest

from codec import dct
from codec.scan import ZIGZAG
from tests.networks import arrays_in, assert_close
from transformers_np import inpainting
from transformers_np.inpainting import FIXED, HIDDEN, MARGIN, OUTSIDE, VISIBLE, Inpainter
from transformers_np.inpainting_training import hidden_pixels

SMALL = Inpainter(window=4, width=8, heads=2, depth=1, decoder_depth=2, expansion=2)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(model=SMALL, dtype=np.float64, seed=3):
    """Draw parameters with which all parts of the model have something to say."""
    parameters = model.init(rng(seed), np.float64)
    moved = {name: array + rng(len(name)).normal(0, 0.2, array.shape) for name, array in parameters.items()}
    return {name: (np.abs(a) if name in FIXED else a).astype(dtype) for name, a in moved.items()}


def windows(count=4, dtype=np.float64):
    """Make windows: mixed, all visible, all hidden, and one at an edge of the picture."""
    tokens = rng(1).normal(0, 30, (count, 8, 8, 64)).astype(dtype)
    states = rng(2).integers(HIDDEN, VISIBLE + 1, (count, 8, 8)).astype(np.int8)
    states[1], states[2], states[3, :3] = VISIBLE, HIDDEN, OUTSIDE
    return tokens, states


# Tokens -----------------------------------------------------------------------------------------------------


def test_tokens_are_the_codecs_coefficients():
    plane = rng().normal(0, 50, (24, 40))
    tokens = inpainting.to_tokens(plane)
    expected = dct.dct2(plane[8:16, 24:32]).ravel()[ZIGZAG]
    assert_close(tokens[1, 3], expected, 1e-3)
    assert_close(inpainting.from_tokens(tokens), plane, 1e-3)


@pytest.mark.parametrize("turn", range(8))
def test_tokens_of_a_turned_picture_are_turned_tokens(turn):
    plane = rng().normal(0, 50, (24, 40)).astype(np.float32)
    other = plane[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
    other = np.ascontiguousarray(other.T if turn & 4 else other)
    tokens = inpainting.to_tokens(plane)
    turned = inpainting.turn_tokens(tokens, turn)
    assert_close(turned, inpainting.to_tokens(other), 1e-3)
    assert_close(inpainting.turn_tokens(turned, turn, back=True), tokens, 1e-6)
    assert np.array_equal(inpainting.turn_grid(plane, turn), other)
    assert np.array_equal(inpainting.turn_grid(other, turn, back=True), plane)


# The model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [SMALL, Inpainter(), Inpainter(window=3, width=6, heads=3, depth=4, decoder_depth=1, expansion=5)]
)
def test_the_number_of_parameters_is_known_before_they_are_drawn(model):
    assert model.size == sum(array.size for array in model.init(rng()).values())


def test_gradients_are_differences():
    tokens, states = windows()
    parameters = drawn()
    found, _, cache = SMALL.forward(tokens, states, parameters)
    weights = rng(5).standard_normal(found.shape)
    gradients = SMALL.backward(weights, cache)
    assert gradients.keys() == parameters.keys() - set(FIXED)
    for name, gradient in gradients.items():
        array, places = parameters[name], [tuple(rng(6).integers(0, n) for n in gradient.shape)]
        places.append(np.unravel_index(np.abs(gradient).argmax(), gradient.shape))
        for place in places:
            kept, step, losses = array[place], 1e-5, []
            for value in (kept + step, kept - step):
                array[place] = value
                losses.append(np.vdot(SMALL.forward(tokens, states, parameters)[0], weights))
            array[place] = kept
            expected = (losses[0] - losses[1]) / (2 * step)
            assert gradient[place] == pytest.approx(expected, rel=1e-5, abs=1e-6), name


def test_at_the_start_nothing_is_changed_and_float32_stays():
    tokens, states = windows(dtype=np.float32)
    found, contrast, cache = SMALL.forward(tokens, states, SMALL.init(rng()))
    assert not found.any()
    gradients = SMALL.backward(np.ones_like(found), cache)
    floats = [a for a in arrays_in([found, contrast, cache[:9], gradients]) if a.dtype.kind == "f"]
    assert {a.dtype for a in floats} == {np.dtype(np.float32)}


def test_only_hidden_tokens_are_told():
    tokens, states = windows()
    found, _, _ = SMALL.forward(tokens, states, drawn())
    core = states[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert not found[core != HIDDEN].any()
    assert (np.abs(found[core == HIDDEN]).max(axis=-1) > 0).all()


def test_windows_do_not_depend_on_each_other():
    tokens, states = windows()
    together, _, _ = SMALL.forward(tokens, states, drawn())
    for number in range(4):
        alone, _, _ = SMALL.forward(tokens[number : number + 1], states[number : number + 1], drawn())
        assert_close(alone[0], together[number], 1e-9)


def test_what_is_outside_has_no_influence():
    tokens, states = windows()
    before, _, _ = SMALL.forward(tokens, states, drawn())
    tokens[states == OUTSIDE] = 1e3
    assert_close(SMALL.forward(tokens, states, drawn())[0], before, 1e-9)


def test_brightness_does_not_matter():
    tokens, states = windows()
    before, contrast, _ = SMALL.forward(tokens, states, drawn())
    tokens[..., 0] += 100
    after, same, _ = SMALL.forward(tokens, states, drawn())
    inside = [0, 1, 2]  # in the last window there are tokens outside, whatever their brightness
    assert_close(after[inside], before[inside], 1e-9)
    assert_close(same, contrast, 1e-9)


# Pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (3, 5), (9, 7), (16, 13)])
def test_pictures_of_any_size_are_refined_where_they_are_hidden(rows, columns):
    hidden = rng(4).random((rows, columns)) < 0.6
    hidden[0, 0], hidden[-1, -1] = False, True
    filled = rng(5).normal(120, 40, (8 * rows, 8 * columns)).astype(np.float32)
    parameters = drawn(dtype=np.float32)
    refined = inpainting.refine(SMALL, parameters, filled, hidden)
    assert refined.dtype == np.float32
    changed = np.abs(refined - filled) > 0.05
    assert not changed[~hidden_pixels(hidden)].any()
    assert changed[hidden_pixels(hidden)].mean() > 0.5


def test_a_turned_picture_is_refined_alike(monkeypatch):
    hidden = rng(4).random((8, 8)) < 0.6
    filled = rng(5).normal(120, 40, (64, 64)).astype(np.float32)
    model = Inpainter(window=8, width=8, heads=2, depth=1, decoder_depth=1, expansion=2)
    parameters = drawn(model, np.float32)
    monkeypatch.setattr(inpainting, "MOVES", (0, 0))  # or views of one and the other would begin elsewhere
    refined = inpainting.refine(model, parameters, filled, hidden)
    turned = inpainting.refine(model, parameters, np.ascontiguousarray(filled[::-1].T), hidden[::-1].T)
    assert np.abs(turned - refined[::-1].T).max() < 0.02
    assert np.abs(refined - filled).max() > 1


def test_all_views_count_alike():
    # What each view says is the same if it does not depend on places or turns: a bias of DC.
    model = Inpainter(window=4, width=8, heads=2, depth=1, decoder_depth=1, expansion=2)
    parameters = model.init(rng())
    parameters["pred.bias"][0] = 4
    hidden = rng(4).random((9, 7)) < 0.6
    filled = np.full((72, 56), 50, np.float32)
    refined = inpainting.refine(model, parameters, filled, hidden)
    # Contrast is 5 where there is none; DC is 8 times the mean.
    assert np.abs(refined[hidden_pixels(hidden)] - 50 - 4 * 5 / 8).max() < 0.01


def test_attention_is_to_what_is_visible():
    hidden = rng(4).random((9, 7)) < 0.6
    places = np.argwhere(hidden)
    filled = rng(5).normal(120, 40, (72, 56)).astype(np.float32)
    maps = inpainting.attention_around(SMALL, drawn(dtype=np.float32), filled, hidden, places)
    assert maps.shape == (len(places), 2, 4, 4)
    visible = np.pad(~hidden, 2)
    for (row, column), of_place in zip(places, maps, strict=True):
        window = visible[row : row + 4, column : column + 4]
        assert not of_place[:, ~window].any()
        assert of_place.sum(axis=(1, 2)) == pytest.approx([float(window.any())] * 2, abs=1e-5)
