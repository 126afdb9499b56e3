"""`tcodec mask`: hide most of a picture, and see it filled in."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bitstreams.errors import UnsupportedError
from codec.commands import batch
from transformers_np.commands.options import seed, share

__all__ = ["add"]

PATTERNS = ("random", "grid", "block")  # `transformers_np.masking` has them, which is not imported for --help


def add(subparsers: Any) -> None:
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
        "--ratio", type=share, default=0.75, metavar="R", help="share of tokens that is hidden (default: %(default)s)"
    )
    parser.add_argument("--pattern", choices=PATTERNS, default="random", help="which are (default: %(default)s)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the mask (default: %(default)s)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("tcodec-mask"),
        metavar="FOLDER",
        help="where pictures go (default: %(default)s)",
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    parser.add_argument("--json", action="store_true", help="print ratio, seed, PSNR by method and seconds")
    parser.set_defaults(run=_mask)


def _mask(args: argparse.Namespace) -> int:
    from codec.files import read_picture  # noqa: PLC0415
    from transformers_np.mask_report import WRITTEN, report  # noqa: PLC0415

    for name in WRITTEN:
        batch.refuse_target(Path(args.input), args.output / name, args.force)
    pixels = read_picture(args.input).pixels
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
        if not args.quiet:
            print(f"tcodec: {args.input}: its transparency is left out", file=sys.stderr)
    try:
        found = report(pixels, args.ratio, args.pattern, args.seed, args.output, force=args.force)
    except UnsupportedError as error:
        raise UnsupportedError(f"{args.input}: {error}") from error
    if args.json:
        print(json.dumps(found))
    elif not args.quiet:
        for name, psnr in found["psnr_masked"].items():
            print(f"{name:9}" + ("no error" if psnr is None else f"{psnr:6.2f} dB"))
        print(f"in {found['seconds']:.1f} s; all pictures are on {args.output / 'sheet.png'}")
    return 0
