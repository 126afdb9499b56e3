"""Tests of `transformers_np.optim`: against PyTorch's numbers, which `tests/golden/torch_optim.py` made."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from transformers_np.optim import SGD, Adam, AdamW, clip_gradients, cosine, decays, flatten, gather

with np.load(Path(__file__).parent / "golden/torch_optim.npz") as _file:
    GOLDEN = dict(_file)
RATES = GOLDEN["rates"]  # NumPy's float64
MAKERS = [SGD, Adam, AdamW]


def golden(kind, dtype=np.float64):
    """Return arrays of the golden file by the names of parameters."""
    return {k.removeprefix(f"{kind}/"): v.astype(dtype) for k, v in GOLDEN.items() if k.startswith(f"{kind}/")}


def train(optimiser, views, steps, dtype=np.float64, clip=None):
    """Take steps with the golden gradients; return their norms, if they are clipped."""
    gradients = golden("gradients", dtype)
    norms = []
    for step in steps:
        gather({name: array[step] for name, array in gradients.items()}, views)
        if clip:
            norms.append(clip_gradients(optimiser_gradient(views), clip))
        optimiser.step(optimiser_gradient(views), RATES[step])
    return norms


def optimiser_gradient(views):
    """Return the vector that views are of."""
    return next(iter(views.values())).base


def start(dtype=np.float64):
    """Return the parameters as they are at first, as vector and views, and views for gradients."""
    vector, parameters = flatten(golden("first", dtype))
    return vector, parameters, flatten(parameters)[1]


# PyTorch ----------------------------------------------------------------------------------------------------

RUNS = {
    "sgd": (SGD, {}),
    "sgd_plain": (SGD, {"momentum": 0}),
    "sgd_decay": (SGD, {"momentum": 0.8, "weight_decay": 0.1}),
    "adam": (Adam, {}),
    "adam_other": (Adam, {"betas": (0.5, 0.9), "eps": 1e-3}),
    "adamw": (AdamW, {}),
    "adamw_other": (AdamW, {"betas": (0.9, 0.95), "eps": 1e-6, "weight_decay": 0.3}),
    "adamw_clipped": (AdamW, {"weight_decay": 0.05}),
}


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("run", RUNS)
def test_twenty_steps_are_pytorchs(run, dtype, error):
    make, options = RUNS[run]
    vector, parameters, views = start(dtype)
    norms = train(make(vector, parameters, **options), views, range(len(RATES)), dtype, 0.5 if "clip" in run else None)
    for name, expected in golden(run).items():
        assert parameters[name].dtype == dtype
        assert np.allclose(parameters[name], expected, rtol=error, atol=error), name
    if norms:
        assert min(norms) < 0.5 < max(norms)
        assert np.allclose(norms, GOLDEN["norms"], rtol=error, atol=0)


@pytest.mark.parametrize("make", MAKERS)
def test_float32_is_never_computed_in_float64(make):
    # The same steps with rates of NumPy, and of Python: to the bit, since neither is to change the type.
    kept = []
    for kind in (np.float64, float):
        vector, parameters, _ = start(np.float32)
        optimiser = make(vector, parameters)
        optimiser.step(np.ones_like(vector) / 3, kind(0.1))
        assert {array.dtype for name, array in optimiser.state.items() if name != "step"} == {np.dtype(np.float32)}
        kept.append(vector)
    assert np.array_equal(*kept)
    kept = []
    for kind in (np.float64, float):
        gradient = np.linspace(0, 1, 99, dtype=np.float32)
        clip_gradients(gradient, kind(0.1))
        kept.append(gradient)
    assert np.array_equal(*kept)


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_but_vectors_of_the_optimiser_changes(make):
    vector, parameters, views = start()
    gather({name: array[0] for name, array in golden("gradients").items()}, views)
    gradient = optimiser_gradient(views)
    kept = gradient.copy()
    make(vector, parameters).step(gradient, 0.1)
    assert np.array_equal(gradient, kept)
    assert np.array_equal(vector, np.concatenate([view.ravel() for view in parameters.values()]))


# Going on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", MAKERS)
def test_to_resume_is_never_to_have_stopped(make, dtype):
    through, parameters, views = start(dtype)
    train(make(through, parameters), views, range(20), dtype)

    vector, parameters, views = start(dtype)
    optimiser = make(vector, parameters)
    train(optimiser, views, range(7), dtype)
    kept = {name: array.copy() for name, array in optimiser.state.items()}
    assert all(array.any() for array in kept.values())

    # Another process, another order of parameters.
    vector, parameters = flatten({name: parameters[name] for name in reversed(parameters)})
    views = flatten(parameters)[1]
    optimiser = make(vector, parameters)
    assert optimiser.state.keys() == kept.keys()
    for name, array in optimiser.state.items():
        array[...] = kept[name]
    train(optimiser, views, range(7, 20), dtype)
    expected = np.concatenate([parameters[name].ravel() for name in golden("first")])
    assert np.array_equal(through, expected)


def test_state_has_pytorchs_names():
    vector, parameters, _ = start()
    assert list(SGD(vector, parameters).state) == [f"momentum_buffer.{name}" for name in parameters]
    state = AdamW(vector, parameters).state
    assert set(state) == {f"{m}.{name}" for m in ("exp_avg", "exp_avg_sq") for name in parameters} | {"step"}
    assert (state["step"].shape, state["step"].dtype) == ((), np.int64)
    assert state["exp_avg_sq.fc.weight"].shape == (3, 4)


# Decay ------------------------------------------------------------------------------------------------------


def test_what_decays():
    matrix, vector = np.zeros((2, 2)), np.zeros(2)
    for name in ("head.weight", "patch_embed.proj.weight", "token_embedding.weight", "proposal.weight", "tokens.0"):
        assert decays(name, matrix)
        assert not decays(name, vector)
    assert decays("conv.weight", np.zeros((2, 1, 3, 3)))
    for name in (
        "pos_embed",
        "decoder_pos_embed",
        "encoder.pos_embedding",
        "layers.0.attn.relative_position_bias_table",
        "cls_token",
        "class_token",
        "mask_token",
        "encoder.mask_token",
    ):
        assert not decays(name, matrix)


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_without_gradients_only_what_decays_moves(make):
    vector, parameters, _ = start()
    optimiser = make(vector, parameters, weight_decay=0.5)
    optimiser.step(np.zeros_like(vector), 0.1)
    for name, before in golden("first").items():
        expected = before * 0.95 if name in ("fc.weight", "head.weight") else before
        assert np.allclose(parameters[name], expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_what_decays_may_be_chosen(make):
    vector, parameters, _ = start()
    chosen = []
    optimiser = make(
        vector,
        parameters,
        weight_decay=0.5,
        decays=lambda name, array: chosen.append((name, array.ndim)) or "fc" in name,
    )
    assert chosen == [("pos_embed", 3), ("fc.weight", 2), ("fc.bias", 1), ("head.weight", 2)]
    optimiser.step(np.zeros_like(vector), 0.1)
    for name, before in golden("first").items():
        assert np.array_equal(parameters[name], before) == ("fc" not in name)


# One vector -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vector_and_views_are_the_same_memory(dtype):
    first = {"a": np.arange(6, dtype=dtype).reshape(2, 3).T, "b": np.array(7, dtype), "c": np.zeros((0, 2), dtype)}
    vector, views = flatten(first)
    assert vector.dtype == dtype
    assert vector.tolist() == [0, 3, 1, 4, 2, 5, 7]
    assert {name: view.shape for name, view in views.items()} == {"a": (3, 2), "b": (), "c": (0, 2)}
    vector[:] += 1
    assert views["a"].tolist() == [[1, 4], [2, 5], [3, 6]]
    views["b"][...] = 10
    assert vector[-1] == 10
    assert first["a"][0, 0] == 0  # a copy


def test_gradients_are_gathered_by_name():
    vector, views = flatten({"a": np.zeros((2, 1)), "b": np.zeros(1)})
    gather({"b": np.array([3.0]), "a": np.array([[1.0], [2.0]])}, views)
    assert vector.tolist() == [1, 2, 3]


# Clipping and the schedule ----------------------------------------------------------------------------------


def test_clipping():
    gradient = np.array([3.0, -4.0])
    assert clip_gradients(gradient, 5.1) == 5
    assert gradient.tolist() == [3, -4]
    assert clip_gradients(gradient, 1) == 5
    assert np.allclose(gradient, [0.6, -0.8], rtol=1e-6, atol=0)
    nothing = np.zeros(3, np.float32)
    assert clip_gradients(nothing, 1e-9) == 0
    assert not nothing.any()


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e30])
def test_a_norm_that_is_not_finite_is_returned_and_changes_nothing(bad):
    gradient = np.array([bad, 1], np.float32)
    norm = clip_gradients(gradient, 1.0)
    assert not math.isfinite(norm)
    assert np.array_equal(gradient, np.array([bad, 1], np.float32), equal_nan=True)


def test_corners_of_the_schedule():
    rates = [cosine(step, 110, 0.5, 10) for step in range(111)]
    assert rates[0] == 0.05
    assert rates[9] == rates[10] == 0.5
    assert rates[35] == pytest.approx(0.25 * (1 + math.sqrt(0.5)))
    assert rates[60] == pytest.approx(0.25)
    assert 0 < rates[109] < 0.001
    assert rates[110] == 0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert cosine(0, 1, 0.5, 0) == 0.5
    assert type(cosine(3, 10, 1.0, 5)) is float


# What is refused --------------------------------------------------------------------------------------------

VECTOR, VIEWS = flatten({"a": np.zeros((2, 3)), "b": np.zeros(2)})
EIGHT = np.zeros(8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flatten({}), "arrays of nothing; float32 or float64"),
        (lambda: flatten({"a": np.zeros(1), "b": np.zeros(1, np.float32)}), "arrays of float32, float64;"),
        (lambda: flatten({"a": np.zeros(1, int)}), "arrays of int64;"),
        (lambda: gather({"a": np.zeros((2, 3)), "c": np.zeros(1)}, VIEWS), "one side only has b, c"),
        (lambda: gather({"a": np.zeros((2, 3)), "b": np.zeros(1)}, VIEWS), "b has the shape (1,); (2,)"),
        (lambda: SGD(np.zeros(7), VIEWS), "a vector of shape (7,); (8,) is allowed"),
        (lambda: SGD(VECTOR, VIEWS, momentum=1), "momentum is 1; numbers from 0 to below 1"),
        (lambda: SGD(VECTOR, VIEWS, weight_decay=-1), "weight_decay is -1; finite numbers from 0"),
        (lambda: AdamW(VECTOR, VIEWS, weight_decay=math.nan), "weight_decay is nan; finite"),
        (lambda: Adam(VECTOR, VIEWS, betas=(-0.1, 0.9)), "beta1 is -0.1;"),
        (lambda: AdamW(VECTOR, VIEWS, betas=(0.9, 1.0)), "beta2 is 1.0;"),
        (lambda: Adam(VECTOR, VIEWS, eps=-1e-8), "eps is -1e-08; finite"),
        (
            lambda: SGD(VECTOR, VIEWS).step(np.zeros(7), 0.1),
            "the gradient is float64 of shape (7,); float64 of shape (8,)",
        ),
        (lambda: Adam(VECTOR, VIEWS).step(EIGHT.astype(np.float32), 0.1), "the gradient is float32 of shape (8,)"),
        (lambda: AdamW(VECTOR, VIEWS).step(EIGHT, math.inf), "lr is inf; finite numbers from 0"),
        (lambda: SGD(VECTOR, VIEWS).step(EIGHT, -0.1), "lr is -0.1; finite numbers from 0"),
        (lambda: clip_gradients(EIGHT, 0), "limit is 0; numbers above 0"),
        (lambda: clip_gradients(EIGHT, math.nan), "limit is nan; numbers above 0"),
        (lambda: cosine(-1, 10, 1, 0), "step is -1; 0 to 10"),
        (lambda: cosine(11, 10, 1, 0), "step is 11; 0 to 10"),
        (lambda: cosine(0, 10, 1, 10), "warmup is 10; 0 to below 10"),
        (lambda: cosine(0, 10, 1, -1), "warmup is -1; 0 to below 10"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
