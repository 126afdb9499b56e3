"""Tests of `benchmarks.training_steps` and `benchmarks.training`, without PyTorch."""

import json
import sys

import numpy as np

from benchmarks import training, training_steps
from benchmarks.training_steps import main, ours
from transformers_np.cnn import Cnn

SMALL = Cnn(size=8, channels=1, classes=10, filters=(2, 4), hidden=8)


def test_without_pytorch_ours_are_timed_alone(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.setattr(training_steps, "ROUNDS", 1)
    monkeypatch.setattr(training_steps, "MODELS", {"a small one": SMALL})
    assert main([]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| a small one ")
    assert float(row.split("|")[2]) > 0


def test_ratios_are_ours_by_pytorchs():
    steps = [{"model": "ViT", "ours": 12.06, "theirs": 10.0}, {"model": "CNN", "ours": 4.0, "theirs": 8.0}]
    table = training_steps.steps_table({"batch": 8, "pytorch": "2.13.0+cpu", "steps": steps}).splitlines()
    assert "PyTorch 2.13.0, ms" in table[0]
    assert [cell.strip() for cell in table[2].split("|")[1:-1]] == ["ViT", "12.1", "10.0", "1.21"]
    assert [cell.strip() for cell in table[3].split("|")[1:-1]] == ["CNN", "4.0", "8.0", "0.50"]


def test_training_is_measured_and_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(training_steps, "ROUNDS", 1)
    monkeypatch.setattr(training_steps, "MODELS", {"a small one": SMALL})
    monkeypatch.setattr(training, "MODELS", ("cnn",))
    assert training.main(["digits", "--seeds", "2", "--epochs", "1", "-o", "kept"]) == 0
    document = json.loads((tmp_path / "kept" / "training.json").read_text())
    [run] = document["runs"]
    assert (run["model"], run["data"], len(run["accuracy"])) == ("cnn", "digits", 2)
    shares = [100 * share for share in run["accuracy"]]
    said = capsys.readouterr().out
    assert f"{sum(shares) / 2:.2f} % ({min(shares):.2f} to {max(shares):.2f})" in said
    assert "| CNN, digits " in said
    assert document["steps"][0]["model"] == "a small one"
    assert document["pytorch"] is None
    assert "cpu" in document["environment"]


def test_a_step_changes_parameters(monkeypatch):
    """Or it would be the time of nothing."""
    vectors = []
    monkeypatch.setattr(
        training_steps, "flatten", lambda arrays, flatten=training_steps.flatten: _keep(flatten(arrays), vectors)
    )
    rng = np.random.default_rng(0)
    step = ours(SMALL, rng.random((4, 1, 8, 8), np.float32), rng.integers(0, 10, 4))
    before = vectors[0].copy()
    step()
    assert (vectors[0] != before).mean() > 0.5


def _keep(flattened, vectors):
    vectors.append(flattened[0])
    return flattened
