"""Tests of `benchmarks.training_steps`, without PyTorch."""

import sys

import numpy as np

from benchmarks import training_steps
from benchmarks.training_steps import main, ours
from transformers_np.cnn import Cnn


def test_without_pytorch_ours_are_timed_alone(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.setattr(training_steps, "ROUNDS", 1)
    monkeypatch.setattr(training_steps, "MODELS", {"a small one": Cnn(8, 1, 10, (2, 4), 8)})
    assert main() == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "PyTorch" not in first + second
    assert second.startswith("a small one")
    assert float(second.split()[-1]) > 0


def test_a_step_changes_parameters(monkeypatch):
    """Or it would be the time of nothing."""
    vectors = []
    monkeypatch.setattr(
        training_steps, "flatten", lambda arrays, flatten=training_steps.flatten: _keep(flatten(arrays), vectors)
    )
    rng = np.random.default_rng(0)
    step = ours(Cnn(8, 1, 10, (2, 4), 8), rng.random((4, 1, 8, 8), np.float32), rng.integers(0, 10, 4))
    before = vectors[0].copy()
    step()
    assert (vectors[0] != before).mean() > 0.5


def _keep(flattened, vectors):
    vectors.append(flattened[0])
    return flattened
