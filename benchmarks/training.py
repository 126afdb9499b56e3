"""How well the networks learn, and how fast: the figures of training in README.md.

    python -m benchmarks.training digits mnist:FOLDER -o benchmarks/results/training

Each network is trained on each data set by `tcodec train`, with several seeds, in one thread; runs are kept in a folder
`runs` of the current one, and one that is finished is not run again. Then a step is timed beside PyTorch's
(`benchmarks.training_steps`), if that is installed. What is found is written to `training.json`, and printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import harness
from benchmarks.results import write
from benchmarks.training_steps import measure, steps_table
from transformers_np.data import name_of
from transformers_np.recipes import MODELS
from transformers_np.report import train

__all__ = ["accuracy_table", "main"]

NAMES = {"cnn": "CNN", "vit": "ViT", "digits": "digits", "mnist": "MNIST", "cifar": "CIFAR-10"}


def accuracy_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return a table of accuracies on pictures held out; seconds are the mean of the seeds."""
    rows = []
    for run in runs:
        shares = [100 * share for share in run["accuracy"]]
        over = f" ({min(shares):.2f} to {max(shares):.2f})" if len(shares) > 1 else ""
        name = f"{NAMES[run['model']]}, {NAMES.get(run['data'], run['data'])}"
        rows.append(
            [
                name,
                f"{run['parameters']:,}",
                f"{mean(shares):.2f} %{over}",
                str(len(shares)),
                f"{mean(run['seconds']):.0f}",
            ]
        )
    return harness.table(["network, data", "parameters", "right on pictures held out", "seeds", "seconds a seed"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, time, write and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help="as of tcodec train: digits, mnist:FOLDER, ...")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--epochs", type=int, metavar="N", help="if not the recipe's")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where training.json goes")
    args = parser.parse_args(arguments)
    runs = []
    for source in args.data:
        name = name_of(source)  # a folder's path is nobody's business
        for model in MODELS:
            folder = Path("runs") / f"{model}-{name}"
            found = train(model, source, args.seeds, args.epochs, folder, quiet=False)
            runs.append({**found, "data": name})
    document = {"environment": harness.environment(), "runs": runs, **measure()}
    args.output.mkdir(parents=True, exist_ok=True)
    write(args.output / "training.json", json.dumps(document, indent=1) + "\n")
    print(f"{accuracy_table(runs)}\n\n{steps_table(document)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
