"""Rate-distortion curves, and BD-rates: the bits that one codec needs beyond another for the same quality.

A curve is what a codec made of a source at all steps of its ladder. BD-rates are computed source by source, from PCHIP
interpolants of the logarithm of the rate (`codec.metrics.bd_rate`), and then averaged: each source counts alike. What
makes one doubtful is told with it: curves that hardly overlap, or whose rate does not grow with the quality.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from statistics import mean
from typing import NamedTuple

from benchmarks.cells import Row
from benchmarks.distortion import for_curves
from codec import metrics

__all__ = ["Comparison", "Doubt", "Rates", "bd_rate", "bd_rates"]

MEAN = "mean"  # stands in the place of a source for all of them together

Matrix = list[list[float | None]]  # of codecs in the order of the comparison, [test][anchor]: percent


@dataclass(frozen=True)
class Comparison:
    """What was measured of pictures, or of clips.

    Attributes
    ----------
    video : bool
        Whether it is of clips.
    sources, codecs, measures : sequence of str
        Their names.
    versions : mapping of str to str
        Of each codec.
    sizes : mapping of str to dict
        "width", "height", "frames" and "pixels" of each source.
    rows : sequence of dict
        A point for each "source", "codec" and "quality": "bytes", "bpp", each of the measures, and times.
    """

    video: bool
    sources: Sequence[str]
    codecs: Sequence[str]
    measures: Sequence[str]
    versions: Mapping[str, str]
    sizes: Mapping[str, Mapping[str, int]]
    rows: Sequence[Row]

    @property
    def kind(self) -> str:
        """What the sources are, in one word."""
        return "clips" if self.video else "pictures"

    def curve(self, source: str, codec: str) -> list[Row]:
        """Return the points of a codec for a source, in the order of its ladder; as many as could be measured."""
        return self._curves.get((source, codec), [])

    @cached_property
    def _curves(self) -> dict[tuple[str, str], list[Row]]:
        curves: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            curves.setdefault((row["source"], row["codec"]), []).append(row)
        return curves

    def complete(self, codec: str) -> list[str]:
        """Return the sources that a codec was measured on at all steps of its ladder."""
        curves = {source: self.curve(source, codec) for source in self.sources}
        steps = max(map(len, curves.values()))
        return [source for source, curve in curves.items() if curve and len(curve) == steps]

    def mean_curve(self, codec: str) -> list[Row]:
        """Return the mean of a codec's complete curves, point by point."""
        curves = [self.curve(source, codec) for source in self.complete(codec)]
        return [
            {key: mean(row[key] for row in step) for key in step[0] if key not in ("source", "codec")}
            for step in zip(*curves, strict=True)
        ]


class Doubt(NamedTuple):
    """What makes a BD-rate doubtful, or impossible.

    Attributes
    ----------
    measure, test, anchor : str
    reason : str
    sources : list of str
        Those it holds for.
    """

    measure: str
    test: str
    anchor: str
    reason: str
    sources: list[str]

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.test} against {self.anchor} by {self.measure}: {self.reason} ({', '.join(self.sources)})"


class Rates(NamedTuple):
    """BD-rates of everyone against everyone.

    Attributes
    ----------
    matrices : dict of str to dict of str to Matrix
        By measure and source; that of "mean" has the means over the sources that both codecs have. None where there is
        no BD-rate.
    doubts : list of Doubt
    """

    matrices: dict[str, dict[str, Matrix]]
    doubts: list[Doubt]


def bd_rate(anchor: Sequence[Row], test: Sequence[Row], measure: str) -> float:
    """Return the bits that a curve needs beyond those of another, in percent, by one of the measures.

    Errors and warnings are those of `codec.metrics.bd_rate`.
    """
    curves = [[(row["bytes"], for_curves(measure, row[measure])) for row in curve] for curve in (anchor, test)]
    return metrics.bd_rate(*curves)


def bd_rates(comparison: Comparison) -> Rates:
    """Compare all codecs with all others, by all measures."""
    codecs = comparison.codecs
    curves = {pair: comparison.curve(*pair) for pair in product(comparison.sources, codecs)}
    matrices: dict[str, dict[str, Matrix]] = {}
    doubts: dict[tuple[str, str, str, str], list[str]] = {}
    for measure in comparison.measures:
        of_sources: dict[str, Matrix] = {}
        for source in comparison.sources:
            of_sources[source] = [[None] * len(codecs) for _ in codecs]
            for (i, test), (j, anchor) in product(enumerate(codecs), repeat=2):
                rate, reasons = _judge(curves[source, anchor], curves[source, test], measure)
                of_sources[source][i][j] = rate
                for reason in reasons:
                    doubts.setdefault((measure, test, anchor, reason), []).append(source)
        matrices[measure] = {MEAN: _mean(list(of_sources.values())), **of_sources}
    return Rates(matrices, [Doubt(*key, sources) for key, sources in doubts.items()])


def _judge(anchor: Sequence[Row], test: Sequence[Row], measure: str) -> tuple[float | None, list[str]]:
    """Return a BD-rate, and what is to be said against it."""
    if anchor is test:
        return 0.0, []
    if not anchor or not test:
        return None, []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", metrics.CurveWarning)
            rate = bd_rate(anchor, test, measure)
    except ValueError as error:  # too few points, no overlap, two points of the same quality
        return None, [f"no BD-rate, {str(error).partition(':')[0]}"]
    overlaps = {"the curves share little of their qualities" for w in caught if w.category is metrics.OverlapWarning}
    falling = {"rate does not grow with quality" for w in caught if w.category is metrics.CurveWarning}
    return rate, sorted(overlaps | falling)


def _mean(matrices: Sequence[Matrix]) -> Matrix:
    """Average matrices, cell by cell, over those that have a value there."""

    def average(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return mean(known) if known else None

    return [[average(values) for values in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]
