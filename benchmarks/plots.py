"""Pictures of curves, for documents: the mean over all sources, and each source by itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

from benchmarks.cells import Row
from benchmarks.codecs import is_ours
from benchmarks.distortion import SIMILARITIES, for_curves

__all__ = ["DASHES", "Style", "draw_curves", "styles"]

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart, and some more; ours are warm.
OURS = ("#d55e00", "#e69f00", "#cc79a7", "#8c564b", "#e377c2", "#8b0000")
THEIRS = ("#0072b2", "#56b4e9", "#009e73", "#000000", "#7f7f7f", "#9467bd", "#bcbd22", "#17becf")
DASHES = ("solid", "dashed", "dotted", "dashdot")  # when colours run out
MARKERS = {"circle": ".", "triangle-up": "^", "square": "s"}  # when dashes do: names in plotly and in Matplotlib


class Style(NamedTuple):
    """What a codec's curve looks like."""

    colour: str
    dash: str
    ours: bool
    marker: str = "circle"


def styles(codecs: Iterable[str]) -> dict[str, Style]:
    """Give each codec a style of its own."""
    chosen: dict[str, Style] = {}
    for name in codecs:
        palette = OURS if is_ours(name) else THEIRS
        number = sum(style.ours == is_ours(name) for style in chosen.values())
        rounds, colour = divmod(number, len(palette))
        dash = DASHES[rounds % len(DASHES)]
        marker = list(MARKERS)[rounds // len(DASHES) % len(MARKERS)]
        chosen[name] = Style(palette[colour], dash, is_ours(name), marker)
    return chosen


def _axis_label(measure: str) -> str:
    """Return what is written on the axis of a measure."""
    return f"{measure}, dB" if measure not in SIMILARITIES else f"{measure}, dB: -10 log10(1 - x)"


def draw_curves(
    curves: Mapping[str, Sequence[Row]], looks: Mapping[str, Style], measures: Sequence[str], title: str
) -> bytes:
    """Draw the curves of codecs over bits a pixel, with a panel for each measure.

    Parameters
    ----------
    curves : mapping of str to sequence of dict
        Points with "bpp" and the measures, by codec.
    looks : mapping of str to Style
        From `styles`.
    measures : sequence of str
    title : str

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: PLC0415

    columns = min(2, len(measures))
    rows = -(-len(measures) // columns)
    figure = Figure(figsize=(5 * columns + 2, 3.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, measure in zip(panels, measures, strict=False):
        for codec, points in curves.items():
            style = looks[codec]
            axes.plot(
                [point["bpp"] for point in points],
                [for_curves(measure, point[measure]) for point in points],
                marker=MARKERS[style.marker],
                label=codec,
                color=style.colour,
                linestyle=style.dash,
                linewidth=2.2 if style.ours else 1.2,
                zorder=3 if style.ours else 2,
            )
        axes.set(xlabel="bits a pixel", ylabel=_axis_label(measure), xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    for unused in panels[len(measures) :]:
        unused.set_axis_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(title, parse_math=False)  # "$" in a name is no formula
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may have letters that the font has not
        figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
