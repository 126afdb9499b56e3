"""What tests of networks share: PyTorch's numbers, differences to judge gradients by, and parameters by seed."""

from functools import cache
from pathlib import Path

import numpy as np

__all__ = [
    "ERRORS",
    "Float32",
    "arrays_in",
    "assert_close",
    "draw_images",
    "draw_parameters",
    "golden",
    "numeric_gradient",
    "watch",
]

ERRORS = {np.float64: 1e-9, np.float32: 1e-5}  # that are allowed against PyTorch's float64
GOLDEN = Path(__file__).parent / "golden"


@cache
def _tensors(file):
    with np.load(GOLDEN / f"{file}.npz") as arrays:
        return dict(arrays)


def golden(case, dtype=np.float64, file="torch_tensors"):
    """Return copies of the arrays that `golden/{file}.py` made for a case, by name; floats of the given type."""
    found = {name.removeprefix(f"{case}/"): a for name, a in _tensors(file).items() if name.startswith(f"{case}/")}
    assert found, case
    return {name: a.astype(dtype if a.dtype == np.float64 else a.dtype) for name, a in found.items()}


def draw_parameters(shapes, seed, most=400):
    """Draw parameters of any network: multiples of 1/1024 up to `most`, which are the same on every machine.

    Scales of normalisations, which are the weights with one axis, and variances lie around 1.
    """
    rng = np.random.default_rng(seed)
    drawn = {}
    for name in sorted(shapes):
        around_1 = name.endswith("running_var") or (name.endswith("weight") and len(shapes[name]) == 1)
        drawn[name] = rng.integers(-most, most + 1, shapes[name]) / 1024 + around_1
    return drawn


def draw_images(shape, seed):
    """Draw pictures, with samples in [-1, 1)."""
    return np.random.default_rng(seed).integers(0, 256, shape) / 128 - 1


def assert_close(found, expected, error, name=""):
    """Compare arrays; the error is relative to the largest number expected."""
    assert np.shape(found) == np.shape(expected), name
    worst = np.abs(found - expected).max(initial=0)
    assert worst <= error * np.abs(expected).max(initial=0), f"{name}: off by {worst}"


def arrays_in(value):
    """Return all arrays in lists, tuples and dicts of whatever depth, numbers of NumPy among them."""
    if isinstance(value, (list, tuple, dict)):
        return [a for part in (value.values() if isinstance(value, dict) else value) for a in arrays_in(part)]
    return [value] if isinstance(value, (np.ndarray, np.generic)) else []


class Float32(np.ndarray):
    """Arrays that refuse arithmetic in float64, even where the result becomes float32 again."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if "out" in options:
            options["out"] = tuple(_plain(array) for array in options["out"])
        plain = [_plain(value) for value in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        for value in (*plain, result):
            assert getattr(value, "dtype", None) != np.float64, f"{ufunc.__name__} in float64"
        return watch(result)


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Float32) else value


def watch(value):
    """Have arrays of float32 refuse arithmetic in float64; other values stay as they are."""
    return value.view(Float32) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value


def numeric_gradient(function, array, step=1e-5):
    """Return the gradient of a function without arguments by central differences, in an array that it reads."""
    gradient = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = function()
        array[place] = kept - step
        gradient[place] = (above - function()) / (2 * step)
        array[place] = kept
    return gradient
