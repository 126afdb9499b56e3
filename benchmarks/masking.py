"""Masking as rate: send some tokens of a picture, and have the others imagined.

A codec whose quantiser is a mask. The tokens that a random mask shows are put side by side, and coded as a picture of
their own by a profile of the codec; a seed of 32 bits tells the decoder where they belong. What is hidden costs
nothing, and is filled in by the masked autoencoder of `tcodec mask`, or by the Laplace fill alone, which is its
control. So omission stands on the axes of `tcodec rd` beside quantisation, with the bytes of files that are decoded:

    tcodec rd kodak/ --against jpeg,masked

The scale of qualities is the share of tokens that are sent, in percent. A file is

    height, width   2 bytes each, little-endian
    sent            1 byte: percent
    seed            4 bytes, if it is not all
    tokens          a .tjpg file

**It loses** to the main profile at all rates, by 2 to 7 dB, and that is worth knowing. A coder of blocks predicts each
from its neighbours, and pays only for what is new in it; a mask tears neighbours apart, so that tokens that are sent
cost more each, and then leaves to a guess what a few bits would have told. Coarse steps everywhere beat fine steps here
and there. Means over 12 of Kodak's pictures, PSNR of luma
(the last row is read off a curve):

    sent at quality 15       5 %     10 %     25 %     50 %     75 %    100 %
    bits a pixel           0.015    0.027    0.059    0.105    0.150    0.188
    network, dB             18.9     20.1     22.1     24.2     25.9     27.2
    Laplace fill, dB        18.7     19.8     21.7     23.8     25.5     27.2
    main profile, about     20.9     22.7     25.2     27.0     28.4     29.3

The network is worth 0.2 to 0.4 dB here, and 0.3 to 0.8 where tokens are sent at quality 60. **It wins** in one place:
blocks of the baseline profile cost bits even where there is nothing in them, 0.05 a pixel at the least. Below 0.07 a
quarter of the tokens is better than all of them: 22.1 dB at 0.059, where the profile has about 20.5.

    python -m benchmarks.masking kodak/

prints how well each method fills in, picture by picture.
"""

from __future__ import annotations

import argparse
import json
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import codec
from benchmarks import harness
from benchmarks.codecs import PictureCodec, fingerprint
from benchmarks.sources import Pixels
from bitstreams.errors import UnsupportedError
from codec import blocks
from transformers_np.commands.options import seed, share
from transformers_np.fills import laplace_fill
from transformers_np.inpainting_training import hidden_pixels, load_inpainter
from transformers_np.mask_report import fill_in, from_planes, mask_picture, to_planes
from transformers_np.masking import PATTERNS, random_mask

__all__ = ["Masked", "masking_table", "measure"]

SIDE = 8
SEED = 0
HEAD = struct.Struct("<HHB")
METHODS = ("mae", "laplace", "bilinear", "nearest", "mean")


@cache
def _network() -> tuple[Any, Any]:
    model, parameters, _ = load_inpainter()
    return model, parameters


class Masked(PictureCodec):
    """Tokens by a profile of the codec, and a guess at all others.

    Parameters
    ----------
    profile : str
        Of the codec, for tokens that are sent.
    quality : int
        At which they are.
    network : bool
        Whether the masked autoencoder guesses, or the Laplace fill.
    """

    name = "masked"
    ladder = (5, 10, 25, 50, 75, 100)

    def __init__(self, profile: str = "baseline", quality: int = 60, network: bool = True) -> None:
        self.profile, self.quality, self.network = profile, quality, network
        self.name = f"masked-{'mae' if network else 'laplace'}-{profile}-{quality}"

    @classmethod
    def variants(cls) -> Iterable[Masked]:
        """Return two qualities of sent tokens, with the network and without.

        The baseline profile it is: beside tokens that are no neighbours the main one spends 1.4 times as much.
        """
        return [cls("baseline", quality, network) for quality in (15, 60) for network in (True, False)]

    def version(self) -> str:
        return fingerprint("bitstreams", "codec", "transformers_np")

    def encode(self, frames: Pixels, quality: float) -> bytes:
        height, width = frames.shape[:2]
        sent = round(quality) if max(height, width) > SIDE else 100  # a single token cannot be left out
        hidden = _hidden(height, width, sent, SEED)
        tokens = blocks.split(blocks.pad(frames, SIDE), SIDE)[:, :, 0, 0][~hidden]  # (sent, 8, 8[, 3])
        rows, columns = hidden.shape if sent == 100 else _packed(len(tokens))
        empty = np.repeat(tokens[-1:], rows * columns - len(tokens), axis=0)
        grid = np.concatenate([tokens, empty]).reshape(rows, columns, 1, 1, *tokens.shape[1:])
        inner = codec.encode_image(blocks.merge(grid), self.quality, yuv="420", profile=self.profile, tune="psnr")
        seed = b"" if sent == 100 else struct.pack("<I", SEED)
        return HEAD.pack(height, width, sent) + seed + inner

    def decode(self, data: bytes) -> Pixels:
        height, width, sent = HEAD.unpack_from(data)
        seed, begin = (0, HEAD.size) if sent == 100 else (struct.unpack_from("<I", data, HEAD.size)[0], HEAD.size + 4)
        hidden = _hidden(height, width, sent, seed)
        grid = blocks.split(codec.decode_image(data[begin:]), SIDE)
        tokens = grid.reshape(-1, *grid.shape[4:])
        found = np.zeros((*hidden.shape, 1, 1, *tokens.shape[1:]), np.uint8)
        found[~hidden, 0, 0] = tokens[: (~hidden).sum()]
        picture = blocks.merge(found)
        return (self._fill(picture, hidden) if hidden.any() else picture)[:height, :width]

    def _fill(self, picture: Pixels, hidden: NDArray[np.bool_]) -> Pixels:
        planes = to_planes(picture)
        if self.network:
            y, _, *chroma = fill_in(planes, hidden, *_network())
        else:
            y, *chroma = laplace_fill(np.stack(planes), hidden_pixels(hidden))
        return from_planes([y, *chroma])


def _hidden(height: int, width: int, sent: int, seed: int) -> NDArray[np.bool_]:
    """Return which tokens are not sent."""
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    if sent == 100:
        return np.zeros((rows, columns), bool)
    return random_mask(np.random.default_rng(seed), rows, columns, 1 - sent / 100)


def _packed(tokens: int) -> tuple[int, int]:
    """Return rows and columns of a picture of so many tokens."""
    columns = max(round(tokens**0.5), 1)
    return -(-tokens // columns), columns


def measure(photos: Mapping[str, Pixels], ratio: float, pattern: str, seed: int) -> dict[str, Any]:
    """Fill in pictures by each method.

    Returns
    -------
    dict
        The mask's `ratio`, `pattern` and `seed`, how the weights were made (`origin`), and for each of `pictures` its
        name, PSNR of luma on hidden pixels by method, and the seconds of a processor that all methods took together.

    Raises
    ------
    SystemExit
        If one of them has only one token.
    """
    model, parameters, origin = load_inpainter()
    pictures = []
    with threadpool_limits(1):
        for name, photo in photos.items():
            start = time.process_time()
            try:
                masked = mask_picture(photo, ratio, pattern, seed, model, parameters)
            except UnsupportedError as error:
                raise SystemExit(f"{name}: {error}") from error
            pictures.append({"name": name, **masked.psnr, "seconds": time.process_time() - start})
    return {"ratio": ratio, "pattern": pattern, "seed": seed, "origin": origin, "pictures": pictures}


def masking_table(document: dict[str, Any]) -> str:
    """Lay out what `measure` returns, for Markdown: a line for each picture, and the mean."""
    pictures = document["pictures"]
    lines = [f"| PSNR of hidden pixels, dB | {' | '.join(METHODS)} | gain |", "|---|" + "---:|" * (len(METHODS) + 1)]
    means = {name: float(np.mean([picture[name] for picture in pictures])) for name in METHODS}
    for picture in [*pictures, {"name": "mean", **means}]:
        numbers = [f"{picture[name]:.2f}" for name in METHODS]
        gain = f"{picture['mae'] - picture['laplace']:+.2f}"
        lines.append(f"| {picture['name']} | {' | '.join(numbers)} | {gain} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how well each method fills in the pictures of a folder."""
    parser = argparse.ArgumentParser(description="Compare the masked autoencoder with interpolation, on a folder.")
    parser.add_argument("folder", type=Path, help="folder of photos")
    parser.add_argument(
        "--ratio", type=share, default=0.75, metavar="R", help="share of tokens that is hidden (default: %(default)s)"
    )
    parser.add_argument("--pattern", choices=PATTERNS, default="random", help="which are (default: %(default)s)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the mask (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="where masking.json goes")
    args = parser.parse_args(arguments)
    document = measure(harness.load_photos(args.folder), args.ratio, args.pattern, args.seed)
    print(masking_table(document))
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "masking.json").write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
