"""`tcodec prune`: what a vision transformer can do without."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from transformers_np.commands.options import CLASSES

__all__ = ["add"]


def add(subparsers: Any) -> None:
    """Add `tcodec prune` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "prune",
        help="leave out tokens of a trained vision transformer",
        description="Ask a vision transformer about pictures of which it sees some tokens only: those that it attends "
        "to most, those that take most bits, or any. Report how many it tells right, over tokens and over bits.",
    )
    parser.add_argument("--data", required=True, metavar="DATA", help=f"what it was trained on: {CLASSES}")
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help="model.safetensors, from tcodec train vit"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-prune"),
        metavar="FOLDER",
        help="where the curves and pruning.json go (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print what pruning.json holds")
    parser.set_defaults(run=_prune)


def _prune(args: argparse.Namespace) -> int:
    from transformers_np.pruning import prune, table  # noqa: PLC0415

    report = prune(args.data, args.weights, args.output, quiet=args.quiet)
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        print(f"right on {report['pictures']:,} pictures held out, and bits a picture\n\n{table(report)}")
        print(f"\nthe curves are {args.output / 'pruning.png'}")
    return 0
