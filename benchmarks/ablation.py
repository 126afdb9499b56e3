"""What each optional stage of a profile is worth: the codec as it is, against the codec without that stage.

The stages are found where the profiles name them (`codec.stages`): whatever is added there is measured here. A BD-rate
above 0 are bits that the stage saves. Times are ratios, without the stage to with it, the median of all cells: below 1
the stage costs time. Cells that are kept from an earlier call have their times from then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks import harness
from benchmarks.codecs import AnyCodec
from benchmarks.curves import Comparison

__all__ = ["ablate", "codecs_to_compare", "tables"]

TIMES = ("encoding_time", "decoding_time")


def codecs_to_compare(whole: Sequence[Any]) -> list[AnyCodec]:
    """Return codecs of this project, each followed by itself without each of its optional stages."""
    return [codec for each in whole for codec in (each, *(less for _, less in each.ablated().values()))]


def ablate(comparison: Comparison, rates: Mapping[str, Any], whole: Sequence[Any]) -> list[dict[str, Any]]:
    """Find what each stage is worth.

    Parameters
    ----------
    comparison : Comparison
        Of the codecs from `codecs_to_compare`.
    rates : mapping of str to dict
        Its BD-rates, as in `results.json`.
    whole : sequence of codecs
        Those that they were made of.

    Returns
    -------
    list of dict
        For each codec "codec", "kind", "sources" (how many) and "stages": for each stage "without" (its name), "there
        is" (what is in its place), "bd_rate" in percent by each measure, and "time", ratios by each of `TIMES`.
    """
    place = {name: index for index, name in enumerate(comparison.codecs)}
    found = []
    for codec in whole:
        stages = []
        for stage, (instead, less) in codec.ablated().items():
            row, column = place[less.name], place[codec.name]
            rate = {measure: rates[measure]["mean"][row][column] for measure in comparison.measures}
            time = {name: _ratio(comparison, codec.name, less.name, name) for name in TIMES}
            stages.append({"without": stage, "there is": instead, "bd_rate": rate, "time": time})
        about = {"codec": codec.name, "kind": comparison.kind, "sources": len(comparison.sources)}
        found.append({**about, "stages": stages})
    return found


def _ratio(comparison: Comparison, whole: str, less: str, time: str) -> float | None:
    """Return how many times as long it takes without a stage."""
    ratios = []
    for source in comparison.sources:
        with_it, without = (
            {row["quality"]: row[time] for row in comparison.curve(source, name)} for name in (whole, less)
        )
        ratios += [without[quality] / with_it[quality] for quality in with_it.keys() & without.keys()]
    return median(ratios) if ratios else None


def tables(found: Sequence[Mapping[str, Any]], doubts: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for each codec, with a row for each of its stages; "?" where `results.json` has doubts."""
    doubtful = {(doubt["measure"], doubt["test"], doubt["anchor"]) for doubt in doubts}
    parts = []
    for each in found:
        whole, rows = each["codec"], []
        for stage in each["stages"]:
            less = f"{whole} without {stage['without']}"
            rates = [
                harness.percent(rate, doubtful=(measure, less, whole) in doubtful)
                for measure, rate in stage["bd_rate"].items()
            ]
            times = ["" if time is None else f"{time:.2f}" for time in stage["time"].values()]
            rows.append([stage["without"], *rates, *times, stage["there is"]])
        measures = each["stages"][0]["bd_rate"]
        parts.append(harness.table([f"{whole} without", *measures, "encode", "decode", "there is"], rows))
    return "\n\n".join(parts)
