"""Tests of `transformers_np.products`: many small products are one large one."""

import importlib

import numpy as np
import pytest

from transformers_np import ops, products

# Rows, in, out: whole tiles; some of a tile left, of rows and of columns; too few rows; too high for small products.
SHAPES = [(960, 64, 64), (1001, 50, 130), (1203, 130, 50), (40, 64, 64), (2100, 2000, 10), (0, 64, 64)]


@pytest.fixture(autouse=True)
def wide_registers(monkeypatch):
    """Whatever the processor has, what is computed is the same."""
    monkeypatch.setattr(products, "AVX512", True)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unwritten(*shape):
    return np.full(shape, np.nan)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("small", [True, False])
def test_products_are_whole_ones(shape, small):
    rows, depth, width = shape
    x, w, y = random(rows, depth), random(depth, width, seed=1), random(rows, width, seed=2)
    out = unwritten(rows, width)
    products.times(x, w, out, small=small)
    np.testing.assert_allclose(out, x @ w, atol=1e-11)
    out = unwritten(rows, width)
    products.times(x, np.asfortranarray(w), out, small=small)  # as a weight's transpose lies
    np.testing.assert_allclose(out, x @ w, atol=1e-11)
    out = unwritten(width, depth)
    products.add_up(y, x, out, small=small)
    np.testing.assert_allclose(out, y.T @ x, atol=1e-11)


def test_where_products_go_may_lie_in_any_order():
    x, w = random(1001, 64), random(64, 130, seed=1)
    out = unwritten(130, 1001).T
    products.times(x, w, out, small=True)
    np.testing.assert_allclose(out, x @ w, atol=1e-11)


def test_products_are_small_enough_to_need_no_copies(monkeypatch):
    sizes = []

    class Watched:
        def __getattr__(self, name):
            return getattr(np, name)

        def matmul(self, a, b, out):
            sizes.append(a.shape[-2] * a.shape[-1] * b.shape[-1])
            return np.matmul(a, b, out=out)

    monkeypatch.setattr(products, "np", Watched())
    x, w, y = random(3200, 128), random(128, 512, seed=1), random(3200, 64, seed=2)
    products.times(x, w, unwritten(3200, 512), small=True)
    products.add_up(y, x, unwritten(64, 128), small=True)
    assert len(sizes) == 2 * 8 + 2 * 2
    assert 0.9 * products.UNPACKED < max(sizes) <= products.UNPACKED
    sizes.clear()
    monkeypatch.setattr(products, "AVX512", False)  # other kernels copy whatever the size
    products.times(x, w, unwritten(3200, 512), small=True)
    products.add_up(y, x, unwritten(64, 128), small=True)
    assert sizes == [3200 * 128 * 512, 64 * 3200 * 128]


def test_layers_multiply_batches_by_small_products_and_rows_as_a_whole(monkeypatch):
    asked = []
    for name in ("times", "add_up"):
        monkeypatch.setattr(ops.products, name, lambda *_, small: asked.append(small))
    for x in (random(4, 3, 5), random(12, 5)):
        _, cache = ops.linear(x, random(6, 5))
        ops.linear_backward(random(*x.shape[:-1], 6), cache)
    assert asked == [True] * 3 + [False] * 3


def test_a_processor_without_extensions_has_no_wide_registers(monkeypatch):
    monkeypatch.setattr(np, "show_config", lambda mode: {})
    assert not importlib.reload(products).AVX512
    monkeypatch.undo()
    importlib.reload(products)
