"""The subcommand of `tcodec` that this package brings: `train`.

Only its arguments are here, since every call of the program reads them; what it does is imported when it is run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from codec.commands import batch

__all__ = ["add_train"]


def add_train(subparsers: Any) -> None:
    """Add `tcodec train` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train a small network on pictures of several classes",
        description="Train a convolutional network or a vision transformer, show its loss as it falls, and report how "
        "many of the pictures that it has not seen it tells right. A run that was stopped goes on where it was.",
    )
    parser.add_argument("model", choices=("cnn", "vit"), help="what to train")
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="digits (8 x 8, come with the program), mnist:FOLDER, cifar:FOLDER (the binary version), or a folder that "
        "has a folder of pictures for each class",
    )
    parser.add_argument(
        "--seeds", type=batch.positive, default=1, metavar="N", help="runs, with seeds from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=batch.positive, metavar="N", help="times that all pictures are seen (default: the recipe's)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-train"),
        metavar="FOLDER",
        help="where checkpoints, weights, pictures and report.json go (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print what report.json holds")
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> int:
    from transformers_np.report import train  # noqa: PLC0415

    report = train(args.model, args.data, args.seeds, args.epochs, args.output, quiet=args.quiet)
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        shares = ", ".join(f"{100 * share:.2f} %" for share in report["accuracy"])
        mean = 100 * sum(report["accuracy"]) / len(report["accuracy"])
        print(f"{report['parameters']:,} parameters; right on pictures held out: {shares}, mean {mean:.2f} %")
        print(f"the learning curve is {args.output / 'curve.png'}; {args.output / 'looks.png'} is what it looks at")
    return 0
