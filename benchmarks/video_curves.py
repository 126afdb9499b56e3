"""Rate-distortion curves of real streams, and BD-rates: bits that tcodec needs at the quality of each rival.

Every codec encodes every clip at the qualities of its ladder. A point of a curve is the size of a stream, ours with its
container, and the quality of the frames decoded from it: PSNR of each frame and plane, in the samples that went in,
averaged over the frames. The weighted PSNR is (6 Y + U + V) / 8; gray clips have none. BD-rates are computed clip by
clip and then averaged, so that each clip counts alike.
"""

import warnings
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from tqdm import tqdm

from benchmarks import curves, harness
from benchmarks.curves import Curves, Point
from benchmarks.video_rivals import MJPEG, MPEG2, MPEG4, RIVALS, Footage, RivalError, TcodecVideo, VideoCodec
from codec import metrics
from codec.frames import Planes

TCODEC = TcodecVideo()
CODECS: tuple[VideoCodec, ...] = (TCODEC, *RIVALS)
MEASURES = ("Y-PSNR", "weighted PSNR")  # in dB
LIMITS = {MPEG2.name: -10, MPEG4.name: 0, MJPEG.name: -60}  # BD-rate in percent

IDENTICAL = 100.0  # dB, of a plane without any error, as x264 counts it: infinity has no mean

Rates = dict[str, dict[str, dict[str, float]]]  # rival, measure, clip or "mean": BD-rate in percent
Doubts = dict[str, list[str]]  # clip and reason: measures and rivals


class Measured(NamedTuple):
    """Curves, and why some are missing."""

    curves: Curves
    left_out: list[str]


def psnr(frames: Sequence[Planes], decoded: Sequence[Planes]) -> list[float]:
    """Return the PSNR in dB of each plane that `frames` have, averaged over the frames."""
    if len(frames) != len(decoded):
        raise ValueError(f"{len(frames)} frames were encoded and {len(decoded)} decoded")
    planes = range(len(frames[0]))  # what was gray may come back with flat chroma
    return [
        mean(min(metrics.psnr(a[i], b[i]), IDENTICAL) for a, b in zip(frames, decoded, strict=True)) for i in planes
    ]


def draw(codec: VideoCodec, footage: Footage) -> list[Point]:
    """Return the curve of a codec for a clip; raise RivalError if it has none."""
    points = []
    for quality in codec.ladder:
        data = codec.encode(footage, quality)
        y, *chroma = psnr(footage.frames, codec.decode(data))
        point = {"quality": quality, "bytes": len(data), "kbit/s": footage.kilobits(len(data)), "Y-PSNR": y}
        if chroma:
            u, v = chroma
            point |= {"U-PSNR": u, "V-PSNR": v, "weighted PSNR": (6 * y + u + v) / 8}
        points.append(point)
    return points


def measure(clips: Mapping[str, Footage], codecs: Sequence[VideoCodec]) -> Measured:
    """Draw the curves of all codecs for all clips."""
    measured = Measured({codec.name: {} for codec in codecs}, [])
    for name, footage in tqdm(clips.items(), disable=None):
        for codec in codecs:
            try:
                measured.curves[codec.name][name] = draw(codec, footage)
            except RivalError as error:
                measured.left_out.append(f"{codec.name}, {name}: {error}")
    return measured


def bd_rates(drawn: Curves, test: str) -> tuple[Rates, Doubts]:
    """Compare the curves of one codec with those of all others.

    Returns
    -------
    rates : dict
        BD-rates in percent by rival, measure and clip; the clip "mean" is their mean. Without curves there are none.
    doubts : dict
        Which of them are doubtful, by clip and reason.
    """
    rates: Rates = {}
    doubts: Doubts = {}
    for rival, measure in product((name for name in drawn if name != test), MEASURES):
        each = {}
        for clip, anchor in drawn[rival].items():
            if measure in anchor[0]:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", metrics.CurveWarning)
                    each[clip] = curves.bd_rate(anchor, drawn[test][clip], measure)
                for warning in caught:
                    doubts.setdefault(f"{clip}: {warning.message}", []).append(f"{measure} against {rival}")
        if each:
            rates.setdefault(rival, {})[measure] = each | {"mean": mean(each.values())}
    return rates, doubts


def report(measured: Measured) -> harness.Report:
    """Compare tcodec with all rivals."""
    rates, doubts = bd_rates(measured.curves, TCODEC.name)
    parts = []
    for clip in measured.curves[TCODEC.name]:
        drawn = {codec: clips[clip] for codec, clips in measured.curves.items() if clip in clips}
        rows = [[codec, *_ends(points), *_cells(rates.get(codec, {}), clip)] for codec, points in drawn.items()]
        parts += [f"{clip}, and BD-rate of tcodec against each rival, %:", ""]
        parts += [harness.table(["codec", "kbit/s", "Y-PSNR, dB", *MEASURES], rows), ""]
    means = [[rival, *_cells(by, "mean")] for rival, by in rates.items()]
    parts += ["BD-rate of tcodec against each rival, %, mean:", "", harness.table(["rival", *MEASURES], means), ""]
    parts += [f"{codec.name} at {' '.join(f'{quality:g}' for quality in codec.ladder)}" for codec in CODECS]
    parts += [f"left out: {each}" for each in measured.left_out]
    parts += [f"doubtful for {reason} ({', '.join(which)})" for reason, which in doubts.items()]
    targets = [
        harness.Target(f"BD-rate by {measure} against {rival}", rates[rival][measure]["mean"], "at most", limit, "%")
        for rival, limit in LIMITS.items()
        for measure in MEASURES
        if measure in rates.get(rival, {})
    ]
    data = {"curves": measured.curves, "bd_rates": rates, "left_out": measured.left_out, "doubts": doubts}
    return harness.Report("video_curves", "\n".join(parts), targets, data)


def _ends(points: Sequence[Point]) -> list[str]:
    """Return rate and quality at the ends of a curve."""
    low, high = points[0], points[-1]
    return [f"{low['kbit/s']:.0f} to {high['kbit/s']:.0f}", f"{low['Y-PSNR']:.1f} to {high['Y-PSNR']:.1f}"]


def _cells(rates: Mapping[str, Mapping[str, float]], clip: str) -> list[str]:
    return [f"{rates[measure][clip]:+.1f}" if clip in rates.get(measure, {}) else "" for measure in MEASURES]


def plot(measured: Measured, folder: Path) -> None:
    """Draw the curves of each clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip, ours in measured.curves[TCODEC.name].items():
        drawn = {codec: clips[clip] for codec, clips in measured.curves.items() if clip in clips}
        curves.plot(drawn, [measure for measure in MEASURES if measure in ours[0]], "kbit/s", folder / f"{clip}.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.clips_command_line(__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="draw the curves of each clip, and write all measurements"
    )
    arguments = parser.parse_args(argv)
    measured = measure(harness.load_clips(arguments.clips, arguments.frames), CODECS)
    json_file = arguments.json
    if arguments.output:
        plot(measured, arguments.output)
        json_file = json_file or arguments.output / "video_curves.json"
    return harness.finish(report(measured), json_file)


if __name__ == "__main__":
    raise SystemExit(main())
