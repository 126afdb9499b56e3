"""How the constants of the quantiser's tables were found: a search on photos for training.

The tables of `codec.quantize` have few constants, so a plain search will do: start from flat steps and plain rounding,
vary one constant at a time over its grid, keep the best value, and go over all constants again. A candidate is judged
by its mean BD-rate against JPEG, from real files. No measure will do alone: Y-PSNR and MS-SSIM look at luma only and
would leave no bits to chroma, and RGB-PSNR would give it more than eyes do. So flat tables are judged by the mean of
both PSNRs, and sloped ones, which are made for MS-SSIM, by the mean of all three.

The shipped tables are measured in the same way. They need not lie on the grid: candidates nearby differ by less than
photos do. The photos must not be those that results are reported on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from statistics import mean
from typing import Any
from unittest.mock import patch

from tqdm import tqdm

from benchmarks import harness
from benchmarks.cells import Row, point
from benchmarks.codecs import PictureCodec
from benchmarks.curves import bd_rate
from benchmarks.picture_codecs import Jpeg, Tcodec
from benchmarks.sources import Pixels
from codec import quantize

JPEG_QUALITIES = (10, 25, 45, 65, 80, 90)
QUALITIES = (5, 12, 25, 45, 65, 82, 92, 96)  # reach beyond JPEG's, so that all BD-rates are over the same range
MEASURES = ("psnr-rgb", "psnr-y", "ms-ssim")
ROUNDS = 2  # over all constants
STEP = 26.0  # of luma at quality 50, two frequencies from DC, where most of the bits are

Rates = dict[str, float]  # BD-rate in percent by each of MEASURES
Grids = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Constants:
    """What is searched for.

    Attributes
    ----------
    slope : float
        Growth of the steps from one frequency to the next, in steps of DC.
    chroma : float
        Steps of chroma, in those of luma.
    deadzone : float
        See `quantize.Table`.
    """

    slope: float = 0.0
    chroma: float = 1.0
    deadzone: float = 0.0

    def table(self) -> quantize.Table:
        """Return the table with these constants."""
        step = STEP / (1 + 2 * self.slope)
        luma, chroma = (quantize.sloped(size, self.slope) for size in (step, step * self.chroma))
        return quantize.Table(luma, chroma, integer=False, deadzone=self.deadzone)


CHROMAS, DEADZONES = (0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0), (0.0, 0.08, 0.11, 0.14, 0.17, 0.2)
GRIDS: dict[str, Grids] = {
    "flat": {"chroma": CHROMAS, "deadzone": DEADZONES},
    "sloped": {"slope": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "chroma": CHROMAS, "deadzone": DEADZONES},
}
JUDGES = {"flat": ("psnr-rgb", "psnr-y"), "sloped": MEASURES}


def search(judge: Callable[[Constants], float], grids: Grids) -> list[Constants]:
    """Vary one constant at a time.

    Parameters
    ----------
    judge : callable
        Returns the less, the better the constants are; called once for each that are tried.
    grids : mapping of str to sequence of float
        Values of each constant that varies.

    Returns
    -------
    list of Constants
        All that were tried, the best first.
    """
    best = Constants()
    tried = {best: judge(best)}
    for _ in range(ROUNDS):
        for name, values in grids.items():
            for candidate in (replace(best, **{name: value}) for value in values):
                if candidate not in tried:
                    tried[candidate] = judge(candidate)
            best = min(tried, key=tried.__getitem__)
    return sorted(tried, key=tried.__getitem__)


def draw(codec: PictureCodec, photo: Pixels, qualities: Sequence[float]) -> list[Row]:
    """Return the curve of a codec for a photo."""
    return [point(codec, photo, quality, MEASURES) for quality in qualities]


class Bench:
    """Measures tables by their mean BD-rate against JPEG.

    Parameters
    ----------
    photos : sequence of (H, W, 3) uint8 array
    """

    def __init__(self, photos: Sequence[Pixels]) -> None:
        self.photos = photos
        self.anchors = [draw(Jpeg(), photo, JPEG_QUALITIES) for photo in photos]

    def rates(self, name: str, table: quantize.Table) -> Rates:
        """Return the BD-rates with a table in the place of the one of that name."""
        with patch.dict(quantize.TABLES, {name: table}):
            drawn = [draw(Tcodec("baseline", tables=name), photo, QUALITIES) for photo in self.photos]
        pairs = list(zip(self.anchors, drawn, strict=True))
        return {measure: mean(bd_rate(*pair, measure) for pair in pairs) for measure in MEASURES}


def tune(name: str, bench: Bench) -> tuple[str, dict[str, Any]]:
    """Search for the constants of a table; return what was tried, in Markdown and as data."""
    rates: dict[Constants, Rates] = {}
    with tqdm(desc=name, unit=" candidates", disable=None) as progress:

        def judge(constants: Constants) -> float:
            rates[constants] = bench.rates(name, constants.table())
            progress.update()
            return mean(rates[constants][measure] for measure in JUDGES[name])

        tried = search(judge, GRIDS[name])
    shipped = bench.rates(name, quantize.TABLES[name])
    names = [field.name for field in fields(Constants)]
    rows = [["shipped", *("" for _ in names), *(f"{rate:+.2f}" for rate in shipped.values())]]
    for place, constants in enumerate(tried, 1):
        rate = rates[constants].values()
        rows.append([f"{place}", *(f"{value:g}" for value in astuple(constants)), *(f"{each:+.2f}" for each in rate)])
    title = f'"{name}" by {", ".join(JUDGES[name])}, BD-rate against JPEG, %:'
    text = f"{title}\n\n{harness.table(['candidate', *names, *shipped], rows)}"
    return text, {"shipped": shipped, "tried": [asdict(constants) | rates[constants] for constants in tried]}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = harness.command_line(__doc__).parse_args(argv)
    bench = Bench(list(harness.load_photos(arguments.folder, arguments.every).values()))
    tuned = {name: tune(name, bench) for name in GRIDS}
    text = "\n\n".join(text for text, _ in tuned.values())
    data = {name: data for name, (_, data) in tuned.items()}
    return harness.finish(harness.Report("tuning", text, [], data), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
