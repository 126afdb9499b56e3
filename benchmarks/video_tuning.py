"""What the constants of the video encoder are worth: each made smaller and larger, the others as they are.

The constants decide what an encoder chooses, and how steps and the deblocking filter follow the quality. They were
found by a search that varies one at a time, as this does, and keeps what is better: on clips that are in no other
benchmark (carphone, and the pedestrians of MOT15's TUD-Campus at half size). A gain in this table is a reason to go on
with the search; what is left should be smaller than what two clips differ by. Rates are BD-rates against the encoder
as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import mean
from typing import NamedTuple
from unittest.mock import patch

from tqdm import tqdm

from benchmarks import harness
from benchmarks.cells import Row, point
from benchmarks.curves import bd_rate
from benchmarks.sources import Footage
from benchmarks.video_codecs import TcodecVideo
from codec import deblock, decide, group_encoder, rdo, reconstruct

FACTORS = (0.85, 1.15)
LADDER = (30, 50, 70, 85)  # fewer qualities than usual: a search tries many constants
MEASURES = ("psnr-y", "psnr-yuv")


class Constant(NamedTuple):
    """A constant of a module, or one number of a tuple of them.

    Attributes
    ----------
    place : str
        Module and name, and which number.
    replaced : function
        Given a factor, a context in which the constant is so many times as large.
    """

    place: str
    replaced: Callable[[float], AbstractContextManager[object]]


def draw(footage: Footage) -> list[Row]:
    """Return the curve of the codec, with the constants that it has now."""
    return [point(TcodecVideo(), footage, quality, MEASURES) for quality in LADDER]


def constants() -> list[Constant]:
    """Return all constants that are tried."""
    found = []
    for module, names in (
        (rdo, ("LEVEL_BITS", "PLACE_BITS", "SIZE_BITS", "LARGER_BITS", "BLOCK_BITS")),
        (decide, ("INHERITED_BITS", "SPLIT_BITS", "INTRA_BITS", "NEW_BITS")),
        (deblock, ("EDGE", "SIDE", "MOVE")),
        (reconstruct, ("CHROMA_PERCENT", "CASCADE")),
        (group_encoder, ("LEVEL_PRICE", "MOTION_PRICE")),
    ):
        for name in names:
            value = getattr(module, name)
            for index in range(len(value)) if isinstance(value, tuple) else [None]:
                found.append(_constant(module, name, index))
    return found


def _constant(module: object, name: str, index: int | None) -> Constant:
    value = getattr(module, name)

    def replaced(factor: float) -> AbstractContextManager[object]:
        if index is None:
            return patch.object(module, name, _times(value, factor))
        return patch.object(module, name, (*value[:index], _times(value[index], factor), *value[index + 1 :]))

    return Constant(f"{module.__name__}.{name}" + ("" if index is None else f"[{index}]"), replaced)  # type: ignore[attr-defined]


def _times(value: float, factor: float) -> float:
    """Multiply; a whole number stays one, and changes by 1 at least."""
    if isinstance(value, float):
        return value * factor
    return min(round(value * factor), value - 1) if factor < 1 else max(round(value * factor), value + 1)


def rates(clips: Mapping[str, Footage], anchors: Mapping[str, list[Row]]) -> list[float]:
    """Return the mean BD-rate in percent by each of MEASURES."""
    drawn = {name: draw(footage) for name, footage in clips.items()}
    return [mean(bd_rate(anchors[name], curve, measure) for name, curve in drawn.items()) for measure in MEASURES]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = harness.clips_command_line(__doc__).parse_args(argv)
    clips = harness.load_clips(arguments.clips, arguments.frames)
    anchors = {name: draw(footage) for name, footage in clips.items()}
    rows, data = [], {}
    for constant in tqdm(constants(), disable=None):
        tried = {}
        for factor in FACTORS:
            with constant.replaced(factor):
                tried[factor] = rates(clips, anchors)
        rows.append([constant.place, *(" / ".join(f"{rate:+.2f}" for rate in tried[factor]) for factor in FACTORS)])
        data[constant.place] = {str(factor): tried[factor] for factor in FACTORS}
    header = ["constant", *(f"{factor} times: BD-rate, %" for factor in FACTORS)]
    return harness.finish(harness.Report("video_tuning", harness.table(header, rows), [], data), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
