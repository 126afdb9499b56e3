"""Encoding and decoding speed against JPEG at quality 75, one thread, CPU time.

From pixels in an array to the bytes of a file, and back. All codecs take turns on each photo, round after round, so
that a machine that slows down or speeds up does so for all of them. The time of a photo is its median over the rounds,
and a ratio divides the sums of these medians over the photos: JPEG's time by ours, above 1 if ours is faster. The
range behind a ratio is that of the single rounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import harness
from benchmarks.rivals import Codec, Jpeg, Pixels, Tcodec

QUALITY = 75
LARGE = (4000, 3000)  # width and height of the large picture: 12 megapixels
CODECS: tuple[Codec, ...] = (Jpeg(), Tcodec(tables="jpeg"), Tcodec())
LIMITS = {"photos": (0.35, 0.30), "large": (0.35, 0.35)}  # encode, decode


def mosaic(photos: Sequence[Pixels], width: int, height: int) -> Pixels:
    """Tile a large picture with photos.

    Each photo is cut to the smallest of them and used as it is, then mirrored from left to right, from top to bottom,
    and both: no tile repeats before 4 times as many tiles as there are photos.

    Returns
    -------
    (height, width, 3) uint8 array
    """
    rows, columns = (min(photo.shape[axis] for photo in photos) for axis in (0, 1))
    tiles = [photo[:rows, :columns][::down, ::right] for down in (1, -1) for right in (1, -1) for photo in photos]
    picture = np.empty((height, width, 3), np.uint8)
    corners = [(top, left) for top in range(0, height, rows) for left in range(0, width, columns)]
    for number, (top, left) in enumerate(corners):
        place = picture[top : top + rows, left : left + columns]
        place[...] = tiles[number % len(tiles)][: place.shape[0], : place.shape[1]]
    return picture


def measure(photos: Sequence[Pixels], codecs: Sequence[Codec], rounds: int) -> NDArray[np.float64]:
    """Time all codecs on all photos.

    Returns
    -------
    (codecs, 2, photos, rounds) float64 array
        CPU seconds of encoding and decoding.
    """
    seconds = np.empty((len(codecs), 2, len(photos), rounds))
    for codec in codecs:
        codec.decode(codec.encode(photos[0], QUALITY))  # loads and caches what later calls find in place
    for turn in tqdm(range(rounds), disable=None):
        for index, photo in enumerate(photos):
            for which, codec in enumerate(codecs):
                data, seconds[which, 0, index, turn] = harness.cpu_seconds(codec.encode, photo, QUALITY)
                decoded, seconds[which, 1, index, turn] = harness.cpu_seconds(codec.decode, data)
                del decoded  # or the next codec would be timed with this one's memory still in use
    return seconds


def summarize(seconds: NDArray[np.float64], pixels: int) -> list[dict[str, dict[str, float]]]:
    """Turn times into speeds and ratios.

    Parameters
    ----------
    seconds : (codecs, 2, photos, rounds) float64 array
        From `measure`; the first codec is the one to compare with.
    pixels : int
        Of all photos together.

    Returns
    -------
    list of dict
        For each codec, for "encode" and "decode": "speed" in megapixels per second, "ratio", and its range from "low"
        to "high".
    """
    totals = np.median(seconds, axis=-1).sum(axis=-1)  # (codecs, 2)
    in_rounds = seconds.sum(axis=2)  # (codecs, 2, rounds)
    ratios, ratios_in_rounds = totals[0] / totals, in_rounds[0] / in_rounds
    return [
        {
            direction: {
                "speed": float(pixels / 1e6 / totals[which, way]),
                "ratio": float(ratios[which, way]),
                "low": float(ratios_in_rounds[which, way].min()),
                "high": float(ratios_in_rounds[which, way].max()),
            }
            for way, direction in enumerate(("encode", "decode"))
        }
        for which in range(len(seconds))
    ]


def report(
    summaries: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]], sizes: Mapping[str, float]
) -> harness.Report:
    """Compare speeds with those of JPEG.

    Parameters
    ----------
    summaries : dict of str to list
        What `summarize` found for "photos" and for "large".
    sizes : dict of str to float
        Megapixels of a picture, for the same keys.
    """
    rows, targets = [], []
    data: dict[str, Any] = {}
    for key, summary in summaries.items():
        size = f"{sizes[key]:.2g} MP"
        for codec, ways in zip(CODECS, summary, strict=True):
            ratios = (f"{way['ratio']:.2f} ({way['low']:.2f} to {way['high']:.2f})" for way in ways.values())
            rows.append([codec.name, size, *(f"{way['speed']:.1f}" for way in ways.values()), *ratios])
            if codec is not CODECS[0]:
                for (direction, way), limit in zip(ways.items(), LIMITS[key], strict=True):
                    what = f"{direction} speed at {size} beside JPEG's, {codec.name}"
                    targets.append(harness.Target(what, way["ratio"], "at least", limit))
        data[key] = {codec.name: ways for codec, ways in zip(CODECS, summary, strict=True)}
    header = ["codec", "picture", "encode, MP/s", "decode, MP/s", "encode, ratio", "decode, ratio"]
    return harness.Report("speed", harness.table(header, rows), targets, {"megapixels": dict(sizes)} | data)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how often each photo is timed")
    parser.add_argument("--large", type=int, nargs=2, default=LARGE, metavar=("WIDTH", "HEIGHT"), help="large picture")
    arguments = parser.parse_args(argv)
    photos = list(harness.load_photos(arguments.folder, arguments.every).values())
    summaries, sizes = {}, {}
    for key, pictures in {"photos": photos, "large": [mosaic(photos, *arguments.large)]}.items():
        pixels = sum(picture.shape[0] * picture.shape[1] for picture in pictures)
        summaries[key] = summarize(measure(pictures, CODECS, arguments.rounds), pixels)
        sizes[key] = pixels / 1e6 / len(pictures)
    return harness.finish(report(summaries, sizes), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
