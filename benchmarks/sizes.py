"""Bytes and PSNR with JPEG's own tables and plain rounding, against libjpeg-turbo.

With the same steps and the same rounding the two codecs keep the same levels, up to the rounding of their transforms:
what differs is how well they code them. So this is a test of correctness as much as of size. Differences are signed;
smaller files and higher PSNR are never a failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean

from tqdm import tqdm

from benchmarks import harness
from benchmarks.picture_codecs import Jpeg, Tcodec
from benchmarks.sources import Pixels
from codec import metrics

QUALITIES = (50, 75, 90)


@dataclass(frozen=True)
class Difference:
    """One photo at one quality.

    Attributes
    ----------
    photo : str
    quality : int
    size, jpeg_size : int
        Bytes of the two files.
    rgb, luma : float
        PSNR minus that of JPEG, in dB.
    """

    photo: str
    quality: int
    size: int
    jpeg_size: int
    rgb: float
    luma: float

    @property
    def percent(self) -> float:
        """Bytes beyond those of JPEG."""
        return 100 * (self.size / self.jpeg_size - 1)


def compare(name: str, photo: Pixels, quality: int) -> Difference:
    """Encode and decode a photo with both codecs."""
    ours, jpeg = Tcodec("baseline", tables="jpeg"), Jpeg()
    file, jpeg_file = ours.encode(photo, quality), jpeg.encode(photo, quality)
    decoded, jpeg_decoded = ours.decode(file), jpeg.decode(jpeg_file)
    rgb, luma = (psnr(photo, decoded) - psnr(photo, jpeg_decoded) for psnr in (metrics.psnr, metrics.psnr_y))
    return Difference(name, quality, len(file), len(jpeg_file), rgb, luma)


def measure(photos: Mapping[str, Pixels]) -> list[Difference]:
    """Compare all photos at all qualities."""
    return [
        compare(name, photo, quality) for name, photo in tqdm(photos.items(), disable=None) for quality in QUALITIES
    ]


def report(differences: Sequence[Difference]) -> harness.Report:
    """Sum up differences; the worst are the largest file and the lowest PSNR."""
    rows = [(d.photo, d.quality, d.percent, d.rgb, d.luma) for d in differences]
    for quality in sorted({d.quality for d in differences}):
        some = [d for d in differences if d.quality == quality]
        percent, rgb, luma = [d.percent for d in some], [d.rgb for d in some], [d.luma for d in some]
        rows.append(("mean", quality, mean(percent), mean(rgb), mean(luma)))
        rows.append(("worst", quality, max(percent), min(rgb), min(luma)))
    return harness.Report(
        "sizes",
        harness.table(["photo", "quality", "bytes, %", "RGB-PSNR, dB", "Y-PSNR, dB"], _format(rows)),
        [
            harness.Target("bytes beyond JPEG's, worst", max(d.percent for d in differences), "at most", 1.5, "%"),
            harness.Target("RGB-PSNR beside JPEG's, worst", min(d.rgb for d in differences), "at least", -0.1, "dB"),
            harness.Target("Y-PSNR beside JPEG's, worst", min(d.luma for d in differences), "at least", -0.1, "dB"),
        ],
        {"differences": [asdict(d) for d in differences]},
    )


def _format(rows: Iterable[tuple[str, int, float, float, float]]) -> list[list[str]]:
    return [[name, str(q), f"{percent:+.2f}", f"{rgb:+.3f}", f"{luma:+.3f}"] for name, q, percent, rgb, luma in rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = harness.command_line(__doc__).parse_args(argv)
    photos = harness.load_photos(arguments.folder, arguments.every)
    return harness.finish(report(measure(photos)), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
