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
from benchmarks.sources import Kind
from codec import metrics

__all__ = ["Comparison", "Doubt", "Rates", "bd_rate", "bd_rates"]

Matrix = list[list[float | None]]  # of codecs in the order of the comparison, [test][anchor]: percent


@dataclass(frozen=True)
class Comparison:
    """What was measured of pictures, or of clips.

    Attributes
    ----------
    kind : {"pictures", "clips"}
    sources : sequence of str
        Their names.
    codecs : mapping of str to sequence of float
        The ladder of each codec, by its name.
    measures : sequence of str
    rows : sequence of dict
        A point for each "source", "codec" and "quality": "bytes", "bpp", each of the measures, and times.
    """

    kind: Kind
    sources: Sequence[str]
    codecs: Mapping[str, Sequence[float]]
    measures: Sequence[str]
    rows: Sequence[Row]

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
        return [source for source in self.sources if len(self.curve(source, codec)) == len(self.codecs[codec])]

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


class Rates(NamedTuple):
    """BD-rates of everyone against everyone, by one measure.

    Attributes
    ----------
    mean : Matrix
        Over the sources that both codecs have.
    sources : dict of str to Matrix
    """

    mean: Matrix
    sources: dict[str, Matrix]


def bd_rate(anchor: Sequence[Row], test: Sequence[Row], measure: str) -> float:
    """Return the bits that a curve needs beyond those of another, in percent, by one of the measures.

    Errors and warnings are those of `codec.metrics.bd_rate`.
    """
    curves = [[(row["bytes"], for_curves(measure, row[measure])) for row in curve] for curve in (anchor, test)]
    return metrics.bd_rate(*curves)


def bd_rates(comparison: Comparison) -> tuple[dict[str, Rates], list[Doubt]]:
    """Compare all codecs with all others, by all measures; return their rates by measure, and what is doubtful."""
    codecs = list(comparison.codecs)
    rates: dict[str, Rates] = {}
    doubts: dict[tuple[str, str, str, str], list[str]] = {}
    for measure in comparison.measures:
        of_sources: dict[str, Matrix] = {}
        for source in comparison.sources:
            of_sources[source] = [[None] * len(codecs) for _ in codecs]
            for (i, test), (j, anchor) in product(enumerate(codecs), repeat=2):
                if test == anchor:
                    of_sources[source][i][j] = 0.0
                    continue
                of_sources[source][i][j], reasons = _judge(comparison, source, anchor, test, measure)
                for reason in reasons:
                    doubts.setdefault((measure, test, anchor, reason), []).append(source)
        rates[measure] = Rates(_mean(list(of_sources.values())), of_sources)
    return rates, [Doubt(*key, sources) for key, sources in doubts.items()]


def _judge(comparison: Comparison, source: str, anchor: str, test: str, measure: str) -> tuple[float | None, list[str]]:
    """Return a BD-rate, and what is to be said against it."""
    curves = [comparison.curve(source, codec) for codec in (anchor, test)]
    if not all(curves):
        return None, ["not measured"]
    steps = [len(comparison.codecs[codec]) for codec in (anchor, test)]
    reasons = {"not measured at all qualities"} if list(map(len, curves)) != steps else set()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", metrics.CurveWarning)
            rate = bd_rate(curves[0], curves[1], measure)
    except ValueError as error:  # too few points, no overlap, two points of the same quality
        reason = str(error).removeprefix("anchor: ").removeprefix("test: ")
        return None, [f"no BD-rate: {reason.partition(':')[0]}"]
    reasons |= {"the curves share little of their qualities" for w in caught if w.category is metrics.OverlapWarning}
    reasons |= {"rate does not grow with quality" for w in caught if w.category is metrics.CurveWarning}
    return rate, sorted(reasons)


def _mean(matrices: Sequence[Matrix]) -> Matrix:
    """Average matrices, cell by cell, over those that have a value there."""

    def average(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return mean(known) if known else None

    return [[average(values) for values in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]
