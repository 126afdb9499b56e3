"""The subcommand of `tcodec` that this package brings: `train`.

Only its arguments are here, since every call of the program reads them; what it does is imported when it is run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bitstreams.errors import CodecError
from codec.commands import batch

__all__ = ["add_train"]


def add_train(subparsers: Any) -> None:
    """Add `tcodec train` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train a small network on pictures",
        description="Train a convolutional network or a vision transformer on pictures of several classes, show its "
        "loss as it falls, and report how many of the pictures that it has not seen it tells right; a run that was "
        "stopped goes on where it was. Or train the network that restores pictures of the baseline profile.",
    )
    parser.add_argument("model", choices=("cnn", "vit", "restore"), help="what to train")
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="digits (8 x 8, come with the program), mnist:FOLDER, cifar:FOLDER (the binary version), or a folder that "
        "has a folder of pictures for each class; restore: a folder of photographs",
    )
    parser.add_argument(
        "--seeds", type=batch.positive, default=1, metavar="N", help="runs, with seeds from 0 (default: %(default)s)"
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="restore: of all that is drawn (default: 1)")
    parser.add_argument(
        "--epochs", type=batch.positive, metavar="N", help="times that all pictures are seen (default: the recipe's)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-train"),
        metavar="FOLDER",
        help="where checkpoints, weights, pictures and report.json go (default: %(default)s); restore: the file of "
        "weights, which ends in .npz",
    )
    parser.add_argument("--json", action="store_true", help="print what report.json holds")
    parser.set_defaults(run=_train)


def _seed(text: str) -> int:
    """Read a whole number from 0, for argparse."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _train(args: argparse.Namespace) -> int:
    if args.model == "restore":
        return _train_restore(args)
    if args.seed is not None:
        raise CodecError(f"--seed is for restore; {args.model} has --seeds")
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


def _train_restore(args: argparse.Namespace) -> int:
    from transformers_np.restoring import train_restore  # noqa: PLC0415

    if args.output.suffix != ".npz" or args.epochs is not None:
        raise CodecError("tcodec train restore --data FOLDER [--seed N] -o FILE.npz: these are its options")
    report = train_restore(Path(args.data), 1 if args.seed is None else args.seed, args.output, quiet=args.quiet)
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        left, minutes = 100 * report["error left"], report["seconds"] / 60
        print(f"{report['blocks']:,} blocks of {report['photos']} photographs, {minutes:.0f} minutes")
        print(f"{left:.1f} % of their mean square error are left")
        print(f"{args.output}: {report['bytes']:,} bytes")
    return 0
