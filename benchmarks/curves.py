"""Rate-distortion curves of real files, and BD-rates: bits saved at the same quality, against JPEG.

Every codec encodes every photo at the qualities of its ladder, which the output names. A point of a curve is the bits
per pixel of a file and the quality of the picture decoded from it, by three measures. BD-rates are computed photo by
photo and then averaged, so that each photo counts alike.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from tqdm import tqdm

from benchmarks import harness
from benchmarks.rivals import Codec, Jpeg, Pixels, Tcodec
from codec import metrics

MEASURES: dict[str, Callable[[Pixels, Pixels], float]] = {  # all in dB
    "RGB-PSNR": metrics.psnr,
    "Y-PSNR": metrics.psnr_y,
    "MS-SSIM": lambda a, b: metrics.decibel(metrics.ms_ssim(a, b)),
}

PSNR, MS_SSIM = Tcodec(tune="psnr"), Tcodec(tune="ms-ssim")
CODECS: tuple[Codec, ...] = (Jpeg(), Tcodec(tables="jpeg"), PSNR, MS_SSIM)

Point = dict[str, float]  # "quality" (the codec's setting), "bytes", "bpp", and each of MEASURES
Curves = dict[str, dict[str, list[Point]]]  # codec, photo: points


def draw(codec: Codec, photo: Pixels, qualities: Sequence[float] = ()) -> list[Point]:
    """Return the curve of a codec for a photo, at its own ladder of qualities or at others."""
    points = []
    for quality in qualities or codec.ladder:
        data = codec.encode(photo, quality)
        decoded = codec.decode(data)
        point = {"quality": quality, "bytes": len(data), "bpp": 8 * len(data) / (photo.shape[0] * photo.shape[1])}
        points.append(point | {name: measure(photo, decoded) for name, measure in MEASURES.items()})
    return points


def measure(photos: Mapping[str, Pixels], codecs: Sequence[Codec]) -> Curves:
    """Draw the curves of all codecs for all photos."""
    curves: Curves = {codec.name: {} for codec in codecs}
    for name, photo in tqdm(photos.items(), disable=None):
        for codec in codecs:
            curves[codec.name][name] = draw(codec, photo)
    return curves


def bd_rate(anchor: Sequence[Point], test: Sequence[Point], measure: str) -> float:
    """Return the bits that a curve needs beyond those of another, in percent, by one of MEASURES."""
    rates = [[(point["bytes"], point[measure]) for point in curve] for curve in (anchor, test)]
    return metrics.bd_rate(*rates)


def bd_rates(curves: Curves, anchor: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return BD-rates in percent by codec, measure and photo; the photo "mean" is their mean."""
    rates: dict[str, dict[str, dict[str, float]]] = {}
    for codec, photos in curves.items():
        rates[codec] = {}
        for measure in MEASURES:
            each = {photo: bd_rate(curves[anchor][photo], points, measure) for photo, points in photos.items()}
            rates[codec][measure] = each | {"mean": mean(each.values())}
    return rates


def report(curves: Curves) -> harness.Report:
    """Compare all curves with those of JPEG."""
    rates = bd_rates(curves, Jpeg.name)
    means = [[codec, *(f"{by[measure]['mean']:+.1f}" for measure in MEASURES)] for codec, by in rates.items()]
    parts = ["BD-rate against JPEG, %, mean:", "", harness.table(["codec", *MEASURES], means), ""]
    for measure in MEASURES:
        photos = rates[Jpeg.name][measure]
        each = [[photo, *(f"{by[measure][photo]:+.1f}" for by in rates.values())] for photo in photos]
        parts += [f"BD-rate against JPEG by {measure}, %:", "", harness.table(["photo", *rates], each), ""]
    parts += [f"{codec} at {_span(list(photos.values()))}" for codec, photos in curves.items()]
    psnr, ms_ssim = rates[PSNR.name]["RGB-PSNR"]["mean"], rates[MS_SSIM.name]["MS-SSIM"]["mean"]
    return harness.Report(
        "curves",
        "\n".join(parts),
        [
            harness.Target("BD-rate by RGB-PSNR against JPEG, tune=psnr", psnr, "at most", -20, "%"),
            harness.Target("BD-rate by MS-SSIM against JPEG, tune=ms-ssim", ms_ssim, "at most", -5, "%"),
        ],
        {"curves": curves, "bd_rates": rates},
    )


def _span(photos: Sequence[Sequence[Point]]) -> str:
    """Say at which qualities curves were drawn, and the bits per pixel at their ends."""
    qualities = " ".join(f"{point['quality']:g}" for point in photos[0])
    low, high = (mean(points[end]["bpp"] for points in photos) for end in (0, -1))
    return f"quality {qualities}: {low:.2f} to {high:.2f} bpp"


def mean_points(photos: Mapping[str, Sequence[Point]]) -> list[Point]:
    """Return the mean of all photos, point by point."""
    steps = zip(*photos.values(), strict=True)  # one rung of the ladder, all photos
    return [{key: mean(point[key] for point in step) for key in step[0]} for step in steps]


def plot(curves: Mapping[str, Sequence[Point]], measures: Sequence[str], rate: str, file: Path) -> None:
    """Draw a curve for each codec, with a panel for each measure.

    Parameters
    ----------
    curves : dict of str to list of Point
    measures : sequence of str
        Keys of the points, for the vertical axes, in dB.
    rate : str
        Key of the points, for the horizontal axes.
    file : Path
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to load, and not always wanted
    from matplotlib.ticker import LogLocator, StrMethodFormatter  # noqa: PLC0415

    figure = Figure(figsize=(5 * len(measures), 5), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        for codec, points in curves.items():
            axes.plot([point[rate] for point in points], [point[measure] for point in points], ".-", label=codec)
        axes.set(xlabel=rate, ylabel=f"{measure}, dB", xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(file)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.command_line(__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves, a PNG for example")
    arguments = parser.parse_args(argv)
    photos = harness.load_photos(arguments.folder, arguments.every)
    curves = measure(photos, CODECS)
    if arguments.plot:
        plot({codec: mean_points(drawn) for codec, drawn in curves.items()}, list(MEASURES), "bpp", arguments.plot)
    return harness.finish(report(curves), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
