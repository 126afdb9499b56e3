"""`tcodec train`: a network of each kind."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from codec.commands import batch
from transformers_np.commands.options import CLASSES, seed

__all__ = ["add"]

PHOTOGRAPHS = "a folder of photographs; if they have transparency, that is left out"


def add(subparsers: Any) -> None:
    """Add `tcodec train` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train a small network on pictures",
        description="Train a network. Its loss is shown as it falls, and in the end what it can do. A run that was "
        "stopped goes on where it was.",
    )
    models = parser.add_subparsers(title="networks", metavar="NETWORK", required=True)
    for name, what in (("cnn", "a convolutional network"), ("vit", "a vision transformer")):
        _add_train_classes(models, name, what)
    _add_train_mae(models)
    _add_train_restore(models)


def _add_network(models: Any, name: str, what: str, description: str, data: str, output: str) -> Any:
    """Add a network with the options that all have."""
    # No abbreviations: --seed of one network is not --seeds of another.
    parser = models.add_parser(name, help=what, description=description, allow_abbrev=False)
    parser.add_argument("--data", required=True, metavar="DATA", help=data)
    parser.add_argument("-o", "--output", type=Path, metavar="PATH", help=output)
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")
    return parser


def _add_train_classes(models: Any, name: str, what: str) -> None:
    parser = _add_network(
        models,
        name,
        f"{what}, to tell classes of pictures apart",
        f"Train {what} on pictures of several classes, and report how many of the pictures that it has not seen it "
        "tells right.",
        CLASSES,
        "the folder where checkpoints, weights, pictures and report.json go (default: one for network and data, such "
        f"as tcodec-train/{name}-digits)",
    )
    parser.add_argument(
        "--seeds", type=batch.positive, default=1, metavar="N", help="runs, with seeds from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=batch.positive, metavar="N", help="times that all pictures are seen (default: the recipe's)"
    )
    parser.set_defaults(run=_train_classes, model=name)


def _train_classes(args: argparse.Namespace) -> int:
    from transformers_np.data import name_of  # noqa: PLC0415
    from transformers_np.report import train  # noqa: PLC0415

    folder = args.output or Path(f"tcodec-train/{args.model}-{name_of(args.data)}")
    report = train(args.model, args.data, args.seeds, args.epochs, folder, quiet=args.quiet)
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        shares = ", ".join(f"{100 * share:.2f} %" for share in report["accuracy"])
        mean = 100 * sum(report["accuracy"]) / len(report["accuracy"])
        print(f"{report['parameters']:,} parameters; right on pictures held out: {shares}, mean {mean:.2f} %")
        print(f"the learning curve is {folder / 'curve.png'}; {folder / 'looks.png'} is what it looks at")
    return 0


def _add_train_mae(models: Any) -> None:
    parser = _add_network(
        models,
        "mae",
        "the masked autoencoder of `tcodec mask`",
        "Train the masked autoencoder of `tcodec mask` on photographs, and report what it gains over the Laplace fill "
        "on those held out.",
        PHOTOGRAPHS,
        "the folder where the checkpoint and the weights go (default: %(default)s)",
    )
    _add_updates(parser, 0)
    parser.set_defaults(run=_train_mae, output=Path("tcodec-train/mae"))


def _train_mae(args: argparse.Namespace) -> int:
    from transformers_np.inpainting_training import Recipe, train_inpainter  # noqa: PLC0415

    recipe = Recipe(steps=args.steps) if args.steps else Recipe()
    report = train_inpainter(
        Path(args.data), args.output, args.seed, f"{_command('mae', args)}/", recipe, quiet=args.quiet
    )
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        print(f"{report['parameters']:,} parameters, {report['seconds'] / 60:.0f} minutes of one processor")
        print(f"on photographs held out {report['mean']:+.2f} dB over the Laplace fill, 75 % of the tokens hidden")
        print(f"the weights are {args.output / 'mae.npz'}")
    return 0


def _add_train_restore(models: Any) -> None:
    parser = _add_network(
        models,
        "restore",
        "the network that restores pictures of the baseline profile",
        "Train the network that restores luma of the baseline profile, on photographs.",
        PHOTOGRAPHS,
        "the file of weights; the checkpoint goes beside it (default: %(default)s)",
    )
    _add_updates(parser, 1)
    parser.set_defaults(run=_train_restore, output=Path("tcodec-train/restore.npz"))


def _train_restore(args: argparse.Namespace) -> int:
    from transformers_np.restoring import RECIPE, train_restore  # noqa: PLC0415

    recipe = RECIPE._replace(steps=args.steps) if args.steps else RECIPE
    report = train_restore(Path(args.data), args.seed, args.output, _command("restore", args), recipe, quiet=args.quiet)
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        left, minutes = 100 * report["error left"], report["seconds"] / 60
        print(f"{report['blocks']:,} blocks of {report['photos']} photographs, {minutes:.0f} minutes of one processor")
        print(f"{left:.1f} % of their mean square error are left")
        print(f"{args.output}: {report['bytes']:,} bytes")
    return 0


def _add_updates(parser: Any, seed_by_default: int) -> None:
    """Add options of what is trained by so many updates, all drawn from one seed."""
    parser.add_argument(
        "--seed", type=seed, default=seed_by_default, metavar="N", help="of all that is drawn (default: %(default)s)"
    )
    parser.add_argument(
        "--steps",
        type=batch.positive,
        metavar="N",
        help="updates of the weights; few are enough to try it (default: the recipe's)",
    )


def _command(network: str, args: argparse.Namespace) -> str:
    """Return how to do it again, without the paths of this machine."""
    steps = f" --steps {args.steps}" if args.steps else ""
    return f"tcodec train {network} --data {Path(args.data).name}/ --seed {args.seed}{steps} -o {args.output.name}"
