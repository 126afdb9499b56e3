"""Where imagined tokens win: the token profile at the lowest rates, with passes that are not sent.

    python -m benchmarks.imagined kodak/

The profile `tokens` can leave out its last passes (`codec.encode_image`, without={"last-two-passes"}): a decoder
imagines those tokens, of which it gets no bits at all, from those that are sent. What that is worth stands here beside
the same profile with all its tokens sent, and the main profile, tuned for PSNR: PSNR of luma at equal rates, the mean
over all pictures, from real files.

Anything that fills in can take the networks' place, so there are controls: what the profile makes of a quarter without
prediction, which is DC between what is known, and nothing else; the masked autoencoder (`transformers_np.imagining`);
and the Laplace fill that it starts from.

**They win** below 0.02 bits a pixel, where steps are so coarse that most blocks have nothing but DC. On 12 pictures of
Kodak, at 0.0125, half of the tokens makes 21.1 dB, where the main profile has 20.3; at 0.015 it is 21.6 against 20.9,
and 21.3 for the same profile with all tokens. From 0.02 on it is best to send all of them. What wins is to save bits of
DC: at a quarter the networks add 0.05 to 0.3 dB to DC alone. The Laplace fill, which needs no training, adds 0.3 to
0.8, and the autoencoder no more: tokens as coarse as these are not what it has learned from.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import codec
from benchmarks import harness
from benchmarks.distortion import measure
from benchmarks.harness import Report, Target
from benchmarks.sources import Pixels
from codec import blocks
from transformers_np.fills import laplace_fill
from transformers_np.imagining import imagine, unsent_tokens
from transformers_np.inpainting import SIDE
from transformers_np.inpainting_training import hidden_pixels
from transformers_np.mask_report import from_planes, to_planes

__all__ = ["main", "run"]

QUALITIES = (1, 1.5, 2, 3, 4, 6, 10, 14)  # at 1 steps are the coarsest that there are
RATES = (0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06)  # bits a pixel
HALF, QUARTER = "last-two-passes", "last-three-passes"
SENT: dict[str, tuple[str, set[str]]] = {
    "main profile": ("main", set()),
    "all tokens": ("tokens", set()),
    "three quarters": ("tokens", {"last-pass"}),
    "half": ("tokens", {HALF}),
    "a quarter": ("tokens", {QUARTER}),
    "a quarter, DC between": ("tokens", {QUARTER, "prediction"}),
}
FILLED = {"half": HALF, "a quarter": QUARTER}
FILLS = ("masked autoencoder", "Laplace fill")
AS_CODED = {"restoration", "loop-filter"}  # so that nothing of what the networks imagined is in what was sent

Curve = NDArray[np.float64]  # (points, 2): bits a pixel, PSNR of luma


def find_curves(
    picture: Pixels, profile: str, without: set[str], see: Callable[[bytes], Sequence[Pixels]]
) -> list[Curve]:
    """Code a picture at all qualities; return a curve for each way to see a file."""
    points = []
    for quality in QUALITIES:
        data = codec.encode_image(picture, quality, profile=profile, tune="psnr", without=without)
        rate = 8 * len(data) / (picture.shape[0] * picture.shape[1])
        points.append([(rate, measure(picture, each, ["psnr-y"])["psnr-y"]) for each in see(data)])
    return list(np.array(points).swapaxes(0, 1))


def see_filled(data: bytes) -> list[Pixels]:
    """Decode a file, and fill in what was not sent by each of `FILLS`."""
    decoded, unsent = codec.decode_image(data), unsent_tokens(codec.read_header(data))
    y, *chroma = to_planes(blocks.pad(decoded, SIDE))
    laplace = from_planes([laplace_fill(y[None], hidden_pixels(unsent))[0], *chroma])
    return [imagine(data), laplace[: decoded.shape[0], : decoded.shape[1]]]


def at_rates(curve: Curve) -> NDArray[np.float64]:
    """Return PSNR at `RATES`, between the points of a curve, NaN beyond them."""
    rates, psnr = curve[np.argsort(curve[:, 0])].T
    return np.interp(np.log(RATES), np.log(rates), psnr, left=np.nan, right=np.nan)


def run(args: Namespace) -> Report:
    """Code all photos in all ways; with these `main` makes its report."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    with threadpool_limits(1):
        for photo in harness.load_photos(args.folder, args.every).values():
            for name, (profile, without) in SENT.items():
                (curve,) = find_curves(photo, profile, without, lambda data: [codec.decode_image(data)])
                found.setdefault(name, []).append(at_rates(curve))
            for name, unsent in FILLED.items():
                curves = find_curves(photo, "tokens", AS_CODED | {unsent}, see_filled)
                for fill, curve in zip(FILLS, curves, strict=True):
                    found.setdefault(f"{name}, {fill}", []).append(at_rates(curve))
    means = {name: np.mean(of_photos, axis=0) for name, of_photos in found.items()}  # NaN if one of them is
    rows = [[name, *("" if np.isnan(psnr) else f"{psnr:.2f}" for psnr in of)] for name, of in means.items()]
    sent = np.fmax(means["main profile"], means["all tokens"])
    imagined = np.fmax.reduce([means[name] for name in ("three quarters", "half", "a quarter")])
    gain = imagined - sent
    best = int(np.nanargmax(gain)) if np.isfinite(gain).any() else 0
    target = Target(f"gain of imagined tokens at {RATES[best]} bits a pixel", float(gain[best]), "at least", 0.0, "dB")
    text = harness.table(["sent; PSNR of luma in dB at bits a pixel", *map(str, RATES)], rows)
    data = {"rates": RATES, "psnr_y": {name: [None if np.isnan(x) else x for x in of] for name, of in means.items()}}
    return Report("imagined", text, [target], data)


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, and print."""
    args = harness.command_line(__doc__).parse_args(arguments)
    return harness.finish(run(args), args.json)


if __name__ == "__main__":
    raise SystemExit(main())
