"""Tests of `transformers_np.ops`: against PyTorch's numbers, differences, plain loops and numbers known by hand."""

import math
import re
import warnings

import numpy as np
import pytest

from tests.networks import ERRORS, Float32, arrays_in, assert_close, golden, numeric_gradient, watch
from transformers_np import ops
from transformers_np.workspace import Workspace

OVERLAPPING = (3, 2, 1)  # windows of 3 x 3, from one to the next 2, beyond the edges 1


def random(*shape, dtype=np.float64, seed=0):
    """Return normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def batch_norm(training):
    """Return batch normalisation that leaves the running numbers as they are."""

    def forward(x, w, b, mean, var):
        return ops.batch_norm(x, w, b, (mean.copy(), var.copy()), training=training)

    return forward


def cross_entropy(logits, targets):
    loss, cache = ops.cross_entropy(logits, targets)
    return np.asarray(loss, logits.dtype), cache


def cross_entropy_backward(dy, cache):
    return dy * ops.cross_entropy_backward(cache)


def self_attention(x, qkv_w, qkv_b, proj_w, proj_b, mask=None):
    return ops.self_attention(x, qkv_w, qkv_b, proj_w, proj_b, 3, mask)


# Case: what computes it from the arrays of `golden/torch_tensors.py`, the way back, and which gradients that returns.
CASES = {
    "linear": (ops.linear, ops.linear_backward, "x w b"),
    "linear_without_bias": (ops.linear, ops.linear_backward, "x w"),
    "conv2d": (ops.conv2d, ops.conv2d_backward, "x w b"),
    "conv2d_strided": (lambda x, w, b: ops.conv2d(x, w, b, stride=2, padding=1), ops.conv2d_backward, "x w b"),
    "conv2d_dilated": (lambda x, w, b: ops.conv2d(x, w, b, 3, 2, dilation=2), ops.conv2d_backward, "x w b"),
    "conv2d_grouped": (lambda x, w, b: ops.conv2d(x, w, b, 2, 1, groups=2), ops.conv2d_backward, "x w b"),
    "conv2d_depthwise": (lambda x, w: ops.conv2d(x, w, groups=3), ops.conv2d_backward, "x w"),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2), ops.max_pool2d_backward, "x"),
    "max_pool2d_overlapping": (lambda x: ops.max_pool2d(x, *OVERLAPPING), ops.max_pool2d_backward, "x"),
    "max_pool2d_ties": (lambda x: ops.max_pool2d(x, *OVERLAPPING), ops.max_pool2d_backward, "x"),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), ops.avg_pool2d_backward, "x"),
    "avg_pool2d_overlapping": (lambda x: ops.avg_pool2d(x, *OVERLAPPING), ops.avg_pool2d_backward, "x"),
    "batch_norm": (batch_norm(True), ops.batch_norm_backward, "x w b"),
    "batch_norm_of_rows": (batch_norm(True), ops.batch_norm_backward, "x w b"),
    "batch_norm_eval": (batch_norm(False), ops.batch_norm_backward, "x w b"),
    "layer_norm": (ops.layer_norm, ops.layer_norm_backward, "x w b"),
    "relu": (ops.relu, ops.relu_backward, "x"),
    "gelu": (ops.gelu, ops.gelu_backward, "x"),
    "gelu_tanh": (lambda x: ops.gelu(x, tanh=True), ops.gelu_backward, "x"),
    "softmax": (ops.softmax, ops.softmax_backward, "x"),
    "softmax_warm": (lambda x: ops.softmax(x, 2.5), ops.softmax_backward, "x"),
    "cross_entropy": (cross_entropy, cross_entropy_backward, "logits"),
    "attention": (ops.attention, ops.attention_backward, "q k v"),
    "attention_masked": (ops.attention, ops.attention_backward, "q k v"),
    "attention_padded": (ops.attention, ops.attention_backward, "q k v"),
    "attention_causal": (ops.attention, ops.attention_backward, "q k v"),
    "attention_blind": (ops.attention, ops.attention_backward, "q k v"),
    "self_attention": (self_attention, ops.self_attention_backward, "x qkv_w qkv_b proj_w proj_b"),
    "self_attention_masked": (self_attention, ops.self_attention_backward, "x qkv_w qkv_b proj_w proj_b"),
    "embedding": (ops.embedding, ops.embedding_backward, "table"),
    "grid_sample": (ops.grid_sample, ops.grid_sample_backward, "x grid"),
}
# PyTorch's random numbers are others.
DROPOUTS = {
    "dropout": (lambda x: ops.dropout(x, 0.4, rng(), training=True), ops.dropout_backward, "x"),
    "dropout_of_nothing": (lambda x: ops.dropout(x, 0, rng(), training=True), ops.dropout_backward, "x"),
    "dropout_eval": (lambda x: ops.dropout(x, 0.4, rng(), training=False), ops.dropout_backward, "x"),
}
ALL = CASES | DROPOUTS
SMOOTH = [name for name in ALL if name != "max_pool2d_ties"]  # there a difference is no derivative


def rng():
    return np.random.default_rng(7)


class Run:
    """A case, forward and backward, with arrays of a type."""

    def __init__(self, name, dtype=np.float64, arrange=lambda array: array):
        self.forward, self.backward, names = ALL[name]
        self.names = names.split()
        if name in DROPOUTS:
            self.arrays = {"x": random(3, 5, dtype=dtype), "dy": random(3, 5, dtype=dtype, seed=1)}
        else:
            self.arrays = golden(name, dtype)
        self.given = {
            key: arrange(array)
            for key, array in self.arrays.items()
            if not key.endswith("_after") and key not in ("y", "dy", *(f"d{n}" for n in self.names))
        }
        self.dy = arrange(self.arrays["dy"])

    def __call__(self):
        """Return the output, and gradients by the names of arguments."""
        y, cache = self.forward(**self.given)
        found = self.backward(self.dy, cache)
        found = found if isinstance(found, tuple) else (found,)
        # One more gradient would be that of a bias which is not there.
        return y, cache, dict(zip(self.names, found, strict=False))

    def results(self):
        y, _, gradients = self()
        return [y, *gradients.values()]


# PyTorch and differences ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_pytorchs(name, dtype):
    run = Run(name, dtype)
    y, _, gradients = run()
    assert_close(y, golden(name)["y"], ERRORS[dtype])
    for key, gradient in gradients.items():
        assert_close(gradient, golden(name)[f"d{key}"], ERRORS[dtype], key)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_differences(name):
    run = Run(name)
    _, _, gradients = run()
    assert gradients.keys() == set(run.names)
    for key, gradient in gradients.items():
        expected = numeric_gradient(lambda: np.vdot(run.forward(**run.given)[0], run.dy), run.given[key])
        assert np.abs(expected).max() > 0
        assert_close(gradient, expected, 1e-6, key)


def test_every_operator_has_a_case():
    pairs = {name.removesuffix("_backward") for name in ops.__all__ if name.endswith("_backward")}
    assert {name for name in pairs for case in ALL if case == name or case.startswith(f"{name}_")} == pairs
    others = {"attention_plain", "conv2d_backward_first", "linear_backward_first", "split_heads"}
    assert set(ops.__all__) == pairs | {f"{name}_backward" for name in pairs} | others


def test_a_first_layer_has_the_gradients_of_any_other():
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 4, 7, 9), (6, 2, 3, 3), (6,)))
    y, cache = ops.conv2d(x, w, b, stride=2, padding=1, groups=2)
    dy = rng.standard_normal(y.shape)
    for first, other in zip(ops.conv2d_backward_first(dy, cache), ops.conv2d_backward(dy, cache)[1:], strict=True):
        assert np.array_equal(first, other)
    x, w, b = (rng.standard_normal(shape) for shape in ((2, 3, 5), (4, 5), (4,)))
    y, cache = ops.linear(x, w, b)
    dy = rng.standard_normal(y.shape)
    for first, other in zip(ops.linear_backward_first(dy, cache), ops.linear_backward(dy, cache)[1:], strict=True):
        assert np.array_equal(first, other)


# Types and memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("name", ALL)
def test_the_type_follows_the_input(name, dtype):
    y, cache, gradients = Run(name, dtype)()
    arrays = arrays_in([y, cache, gradients])
    assert len(arrays) >= 2
    assert {array.dtype for array in arrays if array.dtype.kind == "f"} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_computed_in_float64(name, monkeypatch):
    expected = Run(name, np.float32).results()
    monkeypatch.setattr(ops, "empty", lambda shape, dtype: watch(np.empty(shape, dtype)))
    for found, array in zip(Run(name, np.float32, watch).results(), expected, strict=True):
        assert np.array_equal(found, array)


def test_arithmetic_in_float64_would_be_found():
    x = watch(np.ones(3, np.float32))
    assert isinstance(-(x * 2.5)[1:].sum(keepdims=True), Float32)
    for call in (lambda: x * np.float64(2), lambda: np.add(x, np.ones(3), out=x), lambda: np.ones(3) @ x):
        with pytest.raises(AssertionError, match="in float64"):
            call()


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_left_of_what_was_in_memory(name, monkeypatch):
    expected = Run(name).results()
    monkeypatch.setattr(ops, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
    for found, array in zip(Run(name).results(), expected, strict=True):
        assert np.array_equal(found, array)


@pytest.mark.parametrize("name", ALL)
def test_memory_that_is_used_again_changes_nothing(name):
    expected = Run(name).results()
    other = Run(name)
    other.given = {key: -array if array.dtype.kind == "f" else array for key, array in other.given.items()}
    if "var" in other.given:
        other.given["var"] *= -1
    workspace = Workspace()
    for run in (other, Run(name)):
        with workspace:
            found = run.results()
    for array, wanted in zip(found, expected, strict=True):
        assert np.array_equal(array, wanted)


@pytest.mark.parametrize("name", ALL)
def test_arguments_are_not_changed_and_the_way_back_may_be_taken_twice(name):
    run, kept = Run(name), Run(name)
    y, cache, first = run()
    output = y.copy()
    second = run.backward(run.dy, cache)
    for key, array in [*run.given.items(), ("dy", run.dy)]:
        assert np.array_equal(array, kept.given.get(key, kept.dy)), key
    assert np.array_equal(y, output)
    for array, again in zip(first.values(), second if isinstance(second, tuple) else [second], strict=False):
        assert np.array_equal(array, again)


@pytest.mark.parametrize("name", ALL)
def test_how_arrays_lie_in_memory_changes_nothing(name):
    expected = Run(name).results()
    found = Run(name, arrange=lambda array: np.asfortranarray(array) if array.ndim else array).results()
    for array, wanted in zip(found, expected, strict=True):
        assert_close(array, wanted, 1e-12)


# Convolution and pooling ------------------------------------------------------------------------------------


def test_groups_are_convolutions_of_their_own():
    x, w, b = random(2, 6, 5, 4), random(4, 3, 3, 2, seed=1), random(4, seed=2)
    y, _ = ops.conv2d(x, w, b, groups=2, padding=1)
    halves = [
        ops.conv2d(x[:, 3 * g : 3 * g + 3], w[2 * g : 2 * g + 2], b[2 * g : 2 * g + 2], padding=1)[0] for g in (0, 1)
    ]
    assert np.allclose(y, np.concatenate(halves, axis=1), rtol=0, atol=1e-12)


def test_pooling_by_hand():
    x = np.array([[[[1.0, 5, 2, 0], [3, 4, -7, 8], [0, -1, 6, 6]]]])
    y, cache = ops.max_pool2d(x, 2)
    assert y.tolist() == [[[[5, 8]]]]  # the last row does not fill a window
    assert ops.max_pool2d_backward(np.array([[[[10.0, 20]]]]), cache).tolist() == [
        [[[0, 10, 0, 0], [0, 0, 0, 20], [0, 0, 0, 0]]]
    ]
    y, cache = ops.avg_pool2d(x, 2)
    assert y.tolist() == [[[[3.25, 0.75]]]]
    assert ops.avg_pool2d_backward(np.array([[[[4.0, 8]]]]), cache).tolist() == [
        [[[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 0]]]
    ]


def test_samples_beyond_the_edges_are_never_the_largest_but_count_in_means():
    x = np.full((1, 1, 3, 3), -4.0)
    assert ops.max_pool2d(x, 2, padding=1)[0].tolist() == [[[[-4, -4], [-4, -4]]]]
    assert ops.avg_pool2d(x, 2, padding=1)[0].tolist() == [[[[-1, -2], [-2, -4]]]]


def test_windows_may_be_large():
    x = np.zeros((1, 1, 17, 18))
    x[0, 0, 16, 16] = 1  # the last of 289 samples
    y, cache = ops.max_pool2d(x, 17, stride=1)
    assert y.tolist() == [[[[1, 1]]]]
    dx = ops.max_pool2d_backward(np.array([[[[2.0, 3]]]]), cache)
    assert np.array_equal(dx, 5 * x)


# Normalisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_of_rows", "batch_norm_eval"])
def test_running_numbers_are_pytorchs(name, dtype):
    case = golden(name, dtype)
    running = case["mean"].copy(), case["var"].copy()
    ops.batch_norm(case["x"], case["w"], case["b"], running, training="eval" not in name)
    for found, key in zip(running, ("mean", "var"), strict=True):
        assert found.dtype == dtype
        assert_close(found, golden(name)[f"{key}_after"], ERRORS[dtype])
        assert np.array_equal(found, case[key]) == ("eval" in name)


def test_momentum_is_the_share_of_the_batch():
    x = random(50, 3)
    running = np.ones(3), np.ones(3)
    ops.batch_norm(x, np.ones(3), np.zeros(3), running, training=True, momentum=1)
    assert np.allclose(running[0], x.mean(axis=0))
    assert np.allclose(running[1], x.var(axis=0, ddof=1))


def test_normal_means_mean_0_and_variance_1():
    x = 3 + 5 * random(4, 3, 40, 40)
    y, _ = ops.batch_norm(x, np.ones(3), np.zeros(3), (np.zeros(3), np.ones(3)), training=True, eps=0)
    assert np.allclose([y.mean(axis=(0, 2, 3)), y.var(axis=(0, 2, 3))], [[0] * 3, [1] * 3])
    y, _ = ops.layer_norm(x, np.ones(40), np.zeros(40), eps=0)
    assert np.allclose(y.mean(axis=-1), 0)
    assert np.allclose(y.var(axis=-1), 1)


def test_layer_norm_of_equal_numbers():
    y, cache = ops.layer_norm(np.full((2, 4), 3.0), np.ones(4), np.full(4, 0.5))
    assert np.array_equal(y, np.full((2, 4), 0.5))
    assert np.isfinite(ops.layer_norm_backward(random(2, 4), cache)[0]).all()


# Elementwise ------------------------------------------------------------------------------------------------


def test_gelu_by_the_error_function():
    x = np.linspace(-9, 9, 8001)  # a chunk and more, with two axes
    x = np.stack([x] * 5)
    assert x.size > ops.CHUNK
    exact = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x[0]])
    assert np.abs(ops.gelu(x)[0] - exact).max() < 1e-14
    assert np.abs(ops.gelu(x.astype(np.float32))[0] - exact).max() < 1e-6
    gap = np.abs(ops.gelu(x, tanh=True)[0] - exact).max()
    assert 4e-4 < gap < 4.8e-4  # as its docstring says


def test_relu_at_0():
    y, cache = ops.relu(np.array([-1.0, 0, 2]))
    assert y.tolist() == [0, 0, 2]
    assert ops.relu_backward(np.ones(3), cache).tolist() == [0, 0, 1]


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p, dtype):
    x = 1 + np.abs(random(300, 400, dtype=dtype))
    y, cache = ops.dropout(x, p, rng(), training=True)
    kept = y != 0
    assert abs(kept.mean() - (1 - p)) < 0.005
    assert np.allclose(y[kept], x[kept] / (1 - p))
    assert abs(y.mean() / x.mean() - 1) < 0.02
    dy = random(300, 400, dtype=dtype, seed=1)
    assert np.allclose(ops.dropout_backward(dy, cache), np.where(kept, dy / (1 - p), 0))


def test_dropout_follows_the_generator_and_nothing_else():
    x = np.ones((5, 50))
    generator = rng()
    first, second = (ops.dropout(x, 0.5, generator, training=True)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, ops.dropout(x, 0.5, rng(), training=True)[0])
    before = generator.bit_generator.state
    assert np.array_equal(ops.dropout(x, 0.5, generator, training=False)[0], x)
    assert generator.bit_generator.state == before


# Softmax and loss -------------------------------------------------------------------------------------------


def test_softmax_of_large_and_of_equal_scores():
    y, _ = ops.softmax(np.array([[1e4, 1e4 - math.log(3), -1e4], [7, 7, 7]]))
    assert np.allclose(y, [[0.75, 0.25, 0], [1 / 3] * 3])


def test_temperature_goes_from_the_largest_to_equal_shares():
    x = np.array([1.0, 2, 4])
    assert np.allclose(ops.softmax(x, 1e-3)[0], [0, 0, 1])
    assert np.allclose(ops.softmax(x, 1e6)[0], 1 / 3, atol=1e-6)


def test_cross_entropy_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    for dtype in ERRORS:
        assert type(ops.cross_entropy(logits.astype(dtype), np.array([1, 2]))[0]) is float
    loss, cache = ops.cross_entropy(logits, np.array([1, 2]))
    assert math.isclose(loss, -(math.log(0.25) + math.log(0.7)) / 2)
    assert np.allclose(ops.cross_entropy_backward(cache), [[0.25, -0.375, 0.125], [0.05, 0.1, -0.15]])
    loss, cache = ops.cross_entropy(np.array([[1e4, -1e4]]), np.array([1]))
    assert loss == 2e4
    assert ops.cross_entropy_backward(cache).tolist() == [[1, -1]]


# Attention --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("attention")])
def test_fused_attention_is_the_plain_one(name, dtype):
    case = golden(name, dtype)
    q, k, v = case["q"], case["k"], case["v"]
    mask = case.get("mask")
    y, cache = ops.attention(q, k, v, mask)
    seen = np.broadcast_to(True if mask is None else mask, cache[0].shape)
    for place in np.ndindex(q.shape[:2]):
        plain = ops.attention_plain(q[place], k[place], v[place], None if mask is None else seen[place])
        assert plain.dtype == dtype
        assert_close(y[place], plain.astype(float), 1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("offset", [0, -59, 61, -1000, 1000])
def test_only_differences_of_scores_count_however_large_they_are(offset):
    """All scores far from 0, of some queries only, or of none."""
    q, k, v = (random(3, 5, 4, dtype=np.float32, seed=seed) for seed in range(3))
    bias = np.zeros((3, 5, 5), np.float32)
    expected, _ = ops.attention(q, k, v, bias=bias)
    for moved in (slice(None), slice(1)):
        bias[:, moved] = offset
        y, _ = ops.attention(q, k, v, bias=bias)
        assert_close(y, expected, 1e-4)
    assert ops.attention(q[:0], k[:0], v[:0])[0].shape == (0, 5, 4)


@pytest.mark.parametrize("name", ["self_attention", "self_attention_masked"])
def test_self_attention_is_the_plain_one_head_by_head(name):
    case = golden(name)
    x, mask = case["x"], case.get("mask")
    heads, side = 3, x.shape[2] // 3
    for number, tokens in enumerate(x):
        q, k, v = (tokens @ case["qkv_w"].T + case["qkv_b"]).reshape(len(tokens), 3, heads, side).swapaxes(0, 1)
        joined = [
            ops.attention_plain(q[:, head], k[:, head], v[:, head], None if mask is None else mask[number, head])
            for head in range(heads)
        ]
        expected = np.concatenate(joined, axis=1) @ case["proj_w"].T + case["proj_b"]
        y, _ = self_attention(**{key: value for key, value in case.items() if key not in ("y", "dy") and key[0] != "d"})
        assert_close(y[number], expected, 1e-12)


@pytest.mark.parametrize("mask", [None, np.tri(5, 7, dtype=bool)])
def test_a_bias_is_added_to_scores(mask):
    q, k, v, bias = random(2, 5, 4), random(2, 7, 4, seed=1), random(2, 7, 6, seed=2), random(2, 5, 7, seed=3)
    dy = random(2, 5, 6, seed=4)
    y, cache = ops.attention(q, k, v, mask, bias=bias)
    scores = q @ k.swapaxes(1, 2) / 2 + bias
    weights = np.exp(scores) * (True if mask is None else mask)
    assert_close(y, weights / weights.sum(axis=-1, keepdims=True) @ v, 1e-12)
    gradients = ops.attention_backward(dy, cache)
    for array, gradient in zip((q, k, v, bias), gradients, strict=True):
        expected = numeric_gradient(lambda: np.vdot(ops.attention(q, k, v, mask, bias=bias)[0], dy), array)
        assert_close(gradient, expected, 1e-6)
    with pytest.raises(ValueError, match=re.escape("bias (5, 7) for weights (2, 5, 7)")):
        ops.attention(q, k, v, bias=bias[0])


def test_weights_of_attention():
    case = golden("attention_causal")
    q, k, v, mask = case["q"], case["k"], case["v"], case["mask"]
    weights = ops.attention(q, k, v, mask)[1][0]
    assert weights.shape == (2, 3, 5, 7)
    assert np.allclose(weights.sum(axis=-1), 1)
    assert not weights[..., ~mask].any()
    assert (weights[..., mask] > 0).all()
    scores = np.exp(q[1, 2, 3] @ k[1, 2, :4].T / 2)  # a query of width 4 that sees 4 keys
    assert np.allclose(weights[1, 2, 3, :4], scores / scores.sum())


@pytest.mark.parametrize("dtype", ERRORS)
def test_a_query_that_sees_nothing(dtype):
    case = golden("attention_blind", dtype)
    q, k, v, mask = case["q"], case["k"], case["v"], case["mask"]
    assert not mask[2].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="raise", under="ignore"):
            y, cache = ops.attention(q, k, v, mask)
            gradients = ops.attention_backward(case["dy"], cache)
    assert not y[:, :, 2].any()
    assert not cache[0][:, :, 2].any()
    assert not gradients[0][:, :, 2].any()
    assert all(np.isfinite(array).all() for array in (y, *gradients))
    # It passes no gradient: another dy for it changes nothing.
    dy = case["dy"].copy()
    dy[:, :, 2] += 5
    for array, same in zip(ops.attention_backward(dy, cache), gradients, strict=True):
        assert_close(array, same.astype(float), 1e-14 if dtype == np.float64 else 1e-6)
    # The same where nobody sees anything.
    y, cache = ops.attention(q, k, v, np.zeros((5, 7), bool))
    assert not y.any()
    assert not any(array.any() for array in ops.attention_backward(case["dy"], cache))
    assert not ops.attention_plain(q[0, 0], k[0, 0], v[0, 0], np.zeros((5, 7), bool)).any()


def test_what_is_masked_has_no_part():
    case = golden("attention_masked")
    q, k, v = case["q"], case["k"].copy(), case["v"].copy()
    mask = np.ones((5, 7), bool)
    mask[:, 4:] = False
    expected = ops.attention(q, k[:, :, :4], v[:, :, :4])[0]
    k[:, :, 4:], v[:, :, 4:] = 1e6, -1e6
    y, cache = ops.attention(q, k, v, mask)
    assert np.allclose(y, expected, rtol=0, atol=1e-12)
    _, dk, dv = ops.attention_backward(case["dy"], cache)
    assert not dk[:, :, 4:].any()
    assert not dv[:, :, 4:].any()
    assert np.isfinite(ops.attention(1e3 * q, 1e3 * k, v)[0]).all()  # nothing overflows


def test_attention_goes_where_it_is_asked_to():
    case = golden("attention")
    out = np.full((2, 3, 5, 6), np.nan)
    y, cache = ops.attention(case["q"], case["k"], case["v"], out=out)
    assert y is out
    assert_close(out, case["y"], 1e-9)
    outs = tuple(np.full(case[key].shape, np.nan) for key in "qkv")
    assert all(
        found is given for found, given in zip(ops.attention_backward(case["dy"], cache, outs), outs, strict=True)
    )
    for key, array in zip("qkv", outs, strict=True):
        assert_close(array, case[f"d{key}"], 1e-9)


def test_self_attention_may_have_no_biases():
    case = golden("self_attention")
    x, qkv_w, proj_w = case["x"], case["qkv_w"], case["proj_w"]
    y, cache = ops.self_attention(x, qkv_w, None, proj_w, None, 3)
    zeros, _ = ops.self_attention(x, qkv_w, np.zeros(18), proj_w, np.zeros(6), 3)
    assert np.array_equal(y, zeros)
    assert cache[0].shape == (2, 3, 5, 5)


# Look-ups ---------------------------------------------------------------------------------------------------


def test_embedding_by_hand():
    table = np.arange(8.0).reshape(4, 2)
    y, cache = ops.embedding(np.array([2, 0, 2]), table)
    assert y.tolist() == [[4, 5], [0, 1], [4, 5]]
    dtable = ops.embedding_backward(np.array([[1.0, 2], [3, 4], [10, 20]]), cache)
    assert dtable.tolist() == [[3, 4], [0, 0], [11, 22], [0, 0]]


def test_embedding_of_nothing_and_of_one():
    table = random(4, 3)
    y, cache = ops.embedding(np.zeros((2, 0), int), table)
    assert y.shape == (2, 0, 3)
    assert not ops.embedding_backward(y, cache).any()
    y, cache = ops.embedding(np.array(1), table)
    assert np.array_equal(y, table[1])
    assert np.array_equal(ops.embedding_backward(y, cache)[1], table[1])


def test_samples_at_their_places_are_themselves():
    x = random(2, 3, 4, 5)
    middle = [(2 * np.arange(n) + 1) / n - 1 for n in (5, 4)]
    grid = np.broadcast_to(np.stack(np.meshgrid(*middle), axis=-1), (2, 4, 5, 2))
    y, cache = ops.grid_sample(x, grid)
    assert np.allclose(y, x, rtol=0, atol=1e-14)
    assert np.allclose(ops.grid_sample_backward(x, cache)[0], x, rtol=0, atol=1e-14)


def test_places_between_and_outside_by_hand():
    x = np.array([[[[1.0, 3], [5, 11]]]])
    # Middle of all; between the left two; the left edge, half of which is outside; a corner; far outside.
    grid = np.array([[[[0.0, 0], [-0.5, 0], [-1, -0.5], [1, 1], [3, 0], [0, -2.1]]]])
    y, cache = ops.grid_sample(x, grid)
    assert y.ravel().tolist() == [5, 3, 0.5, 2.75, 0, 0]
    dx, dgrid = ops.grid_sample_backward(np.array([[[[0, 0, 0, 0, 7.0, 7]]]]), cache)
    assert not dx.any()
    assert not dgrid.any()
    dx, dgrid = ops.grid_sample_backward(np.array([[[[0, 4.0, 0, 0, 0, 0]]]]), cache)
    assert dx.tolist() == [[[[2, 0], [2, 0]]]]
    assert dgrid[0, 0, 1].tolist() == [4 * (3 + 11 - 1 - 5) / 2, 4 * (5 - 1)]


# What is refused --------------------------------------------------------------------------------------------

X, W = np.zeros((2, 4, 5, 5)), np.zeros((3, 4, 3, 3))
Q, K, V = np.zeros((2, 5, 4)), np.zeros((2, 7, 4)), np.zeros((2, 7, 6))
TOKENS, QKV, PROJ = np.zeros((2, 5, 6)), np.zeros((18, 6)), np.zeros((6, 6))
ROWS, C = np.zeros((3, 4)), np.zeros(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.linear(ROWS, np.zeros((2, 3))), "linear: x (3, 4), w (2, 3), b None"),
        (lambda: ops.linear(ROWS, np.zeros(4)), "linear: x (3, 4), w (4,), b None"),
        (lambda: ops.linear(ROWS, np.zeros((2, 4)), np.zeros(3)), "linear: x (3, 4), w (2, 4), b (3,)"),
        (lambda: ops.linear(np.float64(1), np.zeros((2, 4))), "linear: x (), w (2, 4), b None"),
        (lambda: ops.conv2d(X[0], W), "conv2d: x (4, 5, 5), w (3, 4, 3, 3), b None and 1 groups"),
        (lambda: ops.conv2d(X, W[0]), "conv2d: x (2, 4, 5, 5), w (4, 3, 3), b None and 1 groups"),
        (lambda: ops.conv2d(X, W[:, :2]), "conv2d: x (2, 4, 5, 5), w (3, 2, 3, 3), b None and 1 groups"),
        (lambda: ops.conv2d(X, W[:, :2], groups=2), "w (3, 2, 3, 3), b None and 2 groups"),
        (lambda: ops.conv2d(X, W, np.zeros((3, 1))), "w (3, 4, 3, 3), b (3, 1) and 1 groups"),
        (lambda: ops.conv2d(X, W, groups=0), "w (3, 4, 3, 3), b None and 0 groups"),
        (lambda: ops.conv2d(X, W, dilation=3), "spans 7 samples; 5 are allowed"),
        (lambda: ops.conv2d(X, W, stride=0), "stride is 0; at least 1"),
        (lambda: ops.max_pool2d(X[0], 2), "max_pool2d: x (4, 5, 5); 4 axes"),
        (lambda: ops.avg_pool2d(X[0], 2), "avg_pool2d: x (4, 5, 5); 4 axes"),
        (lambda: ops.max_pool2d(X, 6), "spans 6 samples; 5 are allowed"),
        (lambda: ops.avg_pool2d(X, 2, 0), "stride is 0; at least 1"),
        (lambda: ops.max_pool2d(X, 3, padding=2), "max_pool2d: padding 2 with windows of 3 x 3"),
        (lambda: ops.avg_pool2d(X, 3, padding=2), "avg_pool2d: padding 2 with windows of 3 x 3"),
        (lambda: ops.layer_norm(ROWS, C[:3], C), "layer_norm: x (3, 4), w (3,), b (4,)"),
        (lambda: ops.layer_norm(ROWS, C, C[:1]), "layer_norm: x (3, 4), w (4,), b (1,)"),
        (
            lambda: ops.batch_norm(X, C, C[:3], (C, C), training=True),
            "x (2, 4, 5, 5), w (4,), b (3,), running (4,), (4,)",
        ),
        (lambda: ops.batch_norm(X, C, C, (C[:1], C), training=False), "w (4,), b (4,), running (1,), (4,)"),
        (lambda: ops.batch_norm(ROWS, C[:3], C[:3], (C[:3], C[:3]), training=True), "batch_norm: x (3, 4), w (3,)"),
        (lambda: ops.batch_norm(ROWS[:1], C, C, (C, C), training=True), "one sample a channel in x (1, 4)"),
        (lambda: ops.dropout(ROWS, 1, rng(), training=True), "p is 1; 0 <= p < 1"),
        (lambda: ops.dropout(ROWS, -0.1, rng(), training=False), "p is -0.1; 0 <= p < 1"),
        (lambda: ops.dropout(ROWS, math.nan, rng(), training=True), "p is nan; 0 <= p < 1"),
        (lambda: ops.softmax(ROWS, 0), "temperature is 0; it has to be above 0"),
        (lambda: ops.softmax(ROWS, math.nan), "temperature is nan"),
        (lambda: ops.cross_entropy(ROWS, np.array([0, 1])), "cross_entropy: logits (3, 4), targets (2,)"),
        (lambda: ops.cross_entropy(C, np.array([0])), "cross_entropy: logits (4,), targets (1,)"),
        (lambda: ops.cross_entropy(ROWS, np.array([0, 4, 1])), "targets from 0 to 4, 4 classes"),
        (lambda: ops.cross_entropy(ROWS, np.array([0, -1, 1])), "targets from -1 to 1, 4 classes"),
        (lambda: ops.cross_entropy(ROWS, np.array([0.0, 1, 1])), "targets are of float64; integers"),
        (lambda: ops.cross_entropy(ROWS, np.array([True, False, True])), "targets are of bool; integers"),
        (lambda: ops.attention(Q, K[..., :3], V), "attention: q (2, 5, 4), k (2, 7, 3), v (2, 7, 6)"),
        (lambda: ops.attention(Q, K, V[:, :6]), "attention: q (2, 5, 4), k (2, 7, 4), v (2, 6, 6)"),
        (lambda: ops.attention(Q[:1], K, V), "attention: q (1, 5, 4), k (2, 7, 4), v (2, 7, 6)"),
        (lambda: ops.attention(Q, K, V[:1]), "attention: q (2, 5, 4), k (2, 7, 4), v (1, 7, 6)"),
        (lambda: ops.attention(Q, K[:, :0], V[:, :0]), "attention: q (2, 5, 4), k (2, 0, 4), v (2, 0, 6)"),
        (lambda: ops.attention(Q, K, V, np.ones((5, 6), bool)), "mask of bool (5, 6) for weights (2, 5, 7)"),
        (
            lambda: ops.attention(Q, K, V, np.ones((3, 1, 5, 7), bool)),
            "mask of bool (3, 1, 5, 7) for weights (2, 5, 7)",
        ),
        (lambda: ops.attention(Q, K, V, np.zeros((5, 7))), "mask of float64 (5, 7) for weights (2, 5, 7)"),
        (lambda: ops.self_attention(TOKENS, QKV, None, PROJ, None, 4), "4 heads do not divide a width of 6"),
        (lambda: ops.self_attention(TOKENS, QKV, None, PROJ, None, 0), "0 heads do not divide a width of 6"),
        (lambda: ops.self_attention(TOKENS[0], QKV, None, PROJ, None, 3), "self_attention: x (5, 6), qkv_w (18, 6)"),
        (
            lambda: ops.self_attention(TOKENS, QKV[:12], None, PROJ, None, 3),
            "self_attention: x (2, 5, 6), qkv_w (12, 6)",
        ),
        (lambda: ops.self_attention(TOKENS, QKV, None, PROJ[:, :5], None, 3), "linear: x (2, 5, 6), w (6, 5), b None"),
        (lambda: ops.embedding(np.array([0, 3]), ROWS), "ids from 0 to 3, 3 rows"),
        (lambda: ops.embedding(np.array([-1]), ROWS), "ids from -1 to -1, 3 rows"),
        (lambda: ops.embedding(np.array([True, False, True]), ROWS), "ids are of bool; integers"),
        (lambda: ops.grid_sample(X, np.zeros((2, 3, 2))), "grid_sample: x (2, 4, 5, 5), grid (2, 3, 2)"),
        (lambda: ops.grid_sample(X, np.zeros((1, 3, 3, 2))), "grid_sample: x (2, 4, 5, 5), grid (1, 3, 3, 2)"),
        (lambda: ops.grid_sample(X, np.zeros((2, 3, 3, 3))), "grid_sample: x (2, 4, 5, 5), grid (2, 3, 3, 3)"),
        (lambda: ops.grid_sample(X[0], np.zeros((4, 3, 3, 2))), "grid_sample: x (4, 5, 5), grid (4, 3, 3, 2)"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
