"""Pictures of curves, for documents: the mean over all sources, and each source by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from benchmarks.cells import Row
from benchmarks.distortion import SIMILARITIES, for_curves

__all__ = ["axis_label", "colours", "draw_curves"]

# Okabe and Ito's, which people with any kind of colour vision can tell apart, and three more. Ours are the warm ones.
OURS = ("#d55e00", "#e69f00", "#cc79a7", "#8c564b")
THEIRS = ("#0072b2", "#56b4e9", "#009e73", "#000000", "#7f7f7f", "#9467bd", "#bcbd22", "#17becf", "#1f3a93", "#636363")


def colours(codecs: Sequence[str]) -> dict[str, str]:
    """Give each codec a colour; when they run out, they begin again."""
    chosen, count = {}, {True: 0, False: 0}
    for name in codecs:
        ours = name.startswith("tcodec")
        palette = OURS if ours else THEIRS
        chosen[name] = palette[count[ours] % len(palette)]
        count[ours] += 1
    return chosen


def axis_label(measure: str) -> str:
    """Return what is written on the axis of a measure."""
    return f"{measure}, dB" if measure not in SIMILARITIES else f"{measure}, dB: -10 log10(1 - x)"


def draw_curves(curves: Mapping[str, Sequence[Row]], measures: Sequence[str], title: str) -> bytes:
    """Draw the curves of codecs over bits a pixel, with a panel for each measure.

    Parameters
    ----------
    curves : mapping of str to sequence of dict
        Points with "bpp" and the measures, by codec.
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
    colour = colours(list(curves))
    for axes, measure in zip(panels, measures, strict=False):
        for codec, points in curves.items():
            ours = codec.startswith("tcodec")
            axes.plot(
                [point["bpp"] for point in points],
                [for_curves(measure, point[measure]) for point in points],
                ".-",
                label=codec,
                color=colour[codec],
                linewidth=2.2 if ours else 1.2,
                zorder=3 if ours else 2,
            )
        axes.set(xlabel="bits a pixel", ylabel=axis_label(measure), xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    for unused in panels[len(measures) :]:
        unused.set_axis_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(title)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
