"""The subcommands of `tcodec` that this package brings: `train` and `mask`.

Only their arguments are here, since every call of the program reads them; what they do is imported when they are run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bitstreams.errors import UnsupportedError
from codec.commands import batch

__all__ = ["add_mask", "add_train"]

PATTERNS = ("random", "grid", "block")  # `transformers_np.masking` has them, which is not imported for --help


def add_train(subparsers: Any) -> None:
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
    parser = models.add_parser(name, help=what, description=description)
    parser.add_argument("--data", required=True, metavar="DATA", help=data)
    parser.add_argument("-o", "--output", type=Path, metavar="PATH", help=f"{output} (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")
    return parser


def _add_train_classes(models: Any, name: str, what: str) -> None:
    parser = _add_network(
        models,
        name,
        f"{what}, to tell classes of pictures apart",
        f"Train {what} on pictures of several classes, and report how many of the pictures that it has not seen it "
        "tells right.",
        "digits (8 x 8, come with the program), mnist:FOLDER, cifar:FOLDER (the binary version), or a folder that has "
        "a folder of pictures for each class",
        "the folder where checkpoints, weights, pictures and report.json go",
    )
    parser.add_argument(
        "--seeds", type=batch.positive, default=1, metavar="N", help="runs, with seeds from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=batch.positive, metavar="N", help="times that all pictures are seen (default: the recipe's)"
    )
    parser.set_defaults(run=_train_classes, model=name, output=Path("tcodec-train"))


def _train_classes(args: argparse.Namespace) -> int:
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


def _add_train_mae(models: Any) -> None:
    parser = _add_network(
        models,
        "mae",
        "the masked autoencoder of `tcodec mask`",
        "Train the masked autoencoder of `tcodec mask` on photographs, and report what it gains over the Laplace fill "
        "on those held out.",
        "a folder of photographs",
        "the folder where the checkpoint and the weights go",
    )
    _add_seed(parser, 0)
    parser.set_defaults(run=_train_mae, output=Path("tcodec-train"))


def _train_mae(args: argparse.Namespace) -> int:
    from transformers_np.inpainting_training import train_inpainter  # noqa: PLC0415

    folder = Path(args.data)
    command = f"tcodec train mae --data {folder.name}/ --seed {args.seed} -o {args.output.name}/"
    report = train_inpainter(folder, args.output, args.seed, command, quiet=args.quiet)
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
        "a folder of photographs",
        "the file of weights",
    )
    _add_seed(parser, 1)
    parser.set_defaults(run=_train_restore, output=Path("restore.npz"))


def _train_restore(args: argparse.Namespace) -> int:
    from transformers_np.restoring import train_restore  # noqa: PLC0415

    report = train_restore(Path(args.data), args.seed, args.output, quiet=args.quiet)
    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        left, minutes = 100 * report["error left"], report["seconds"] / 60
        print(f"{report['blocks']:,} blocks of {report['photos']} photographs, {minutes:.0f} minutes")
        print(f"{left:.1f} % of their mean square error are left")
        print(f"{args.output}: {report['bytes']:,} bytes")
    return 0


def _add_seed(parser: Any, default: int) -> None:
    parser.add_argument(
        "--seed", type=_seed, default=default, metavar="N", help="of all that is drawn (default: %(default)s)"
    )


def _seed(text: str) -> int:
    """Read a whole number from 0, for argparse."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def add_mask(subparsers: Any) -> None:
    """Add `tcodec mask` to the program."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "mask",
        help="hide most of a picture, and have it filled in by a masked autoencoder",
        description="Hide tokens of 8 x 8 pixels, fill them in by a masked autoencoder and by interpolation, and write "
        "pictures: the original, what is visible, the reconstruction, its error, where the decoder looks (attention), "
        "and all of them on one sheet. PSNR is that of luma on hidden pixels.",
    )
    parser.add_argument("input", metavar="PICTURE", help="a picture of any format that `tcodec encode` reads")
    parser.add_argument(
        "--ratio", type=_ratio, default=0.75, metavar="R", help="share of tokens that is hidden (default: %(default)s)"
    )
    parser.add_argument("--pattern", choices=PATTERNS, default="random", help="which are (default: %(default)s)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the mask (default: %(default)s)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-mask"),
        metavar="FOLDER",
        help="where pictures go (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print ratio, seed, PSNR by method and seconds")
    parser.set_defaults(run=_mask)


def _ratio(text: str) -> float:
    """Read a share above 0 and below 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; numbers above 0 and below 1 are allowed")
    return value


def _mask(args: argparse.Namespace) -> int:
    from codec.files import read_picture  # noqa: PLC0415
    from transformers_np.mask_report import report  # noqa: PLC0415

    pixels = read_picture(args.input).pixels
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
        if not args.quiet:
            print(f"tcodec: {args.input}: its transparency is left out", file=sys.stderr)
    try:
        found = report(pixels, args.ratio, args.pattern, args.seed, args.output)
    except UnsupportedError as error:
        raise UnsupportedError(f"{args.input}: {error}") from error
    if args.json:
        print(json.dumps(found))
    elif not args.quiet:
        for name, psnr in found["psnr_masked"].items():
            print(f"{name:9}" + ("no error" if psnr is None else f"{psnr:6.2f} dB"))
        print(f"in {found['seconds']:.1f} s; all pictures are on {args.output / 'sheet.png'}")
    return 0
