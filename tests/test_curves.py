"""Tests of curves and BD-rates of everyone against everyone."""

import pytest

from benchmarks.curves import Comparison, bd_rate, bd_rates


def line(source, codec, factor, low, steps=4):
    """A curve of 5 dB for each doubling of the bytes."""
    return [
        {"source": source, "codec": codec, "quality": step, "bytes": factor * 2.0**step, "psnr-y": low + 5.0 * step}
        for step in range(steps)
    ]


def compare(*curves, sources="ab", codecs="xy", steps=4):
    rows = [row for curve in curves for row in curve]
    return Comparison("pictures", sources, dict.fromkeys(codecs, range(steps)), ["psnr-y"], rows)


def rates_of(comparison):
    rates, doubts = bd_rates(comparison)
    return rates["psnr-y"], doubts


def test_rates_are_those_of_the_row_against_the_column():
    comparison = compare(line("a", "x", 100, 30), line("a", "y", 200, 30), sources="a")
    rates, doubts = rates_of(comparison)
    assert rates.sources["a"] == rates.mean
    assert doubts == []
    [[xx, xy], [yx, yy]] = rates.mean
    assert (xx, yy) == (0, 0)
    assert (xy, yx) == pytest.approx((-50, 100))


def test_the_mean_is_over_sources_that_both_have():
    comparison = compare(
        line("a", "x", 100, 30), line("b", "x", 100, 30), line("c", "x", 100, 30),
        line("a", "y", 200, 30), line("b", "y", 400, 30),
        sources="abc",
    )  # fmt: skip
    found, doubts = rates_of(comparison)
    assert [found.sources[source][1][0] for source in "abc"] == [pytest.approx(100), pytest.approx(300), None]
    assert found.mean[1][0] == pytest.approx(200)
    assert {(doubt.test, doubt.anchor): (doubt.reason, doubt.sources) for doubt in doubts} == {
        ("x", "y"): ("not measured", ["c"]),
        ("y", "x"): ("not measured", ["c"]),
    }


def test_short_overlap_and_falling_rates_are_told_with_their_sources():
    falling = line("b", "y", 200, 30)
    falling[2]["bytes"] = 1
    comparison = compare(line("a", "x", 100, 30), line("a", "y", 100, 36), line("b", "x", 100, 30), falling)
    _, doubts = rates_of(comparison)
    told = {(doubt.test, doubt.anchor, doubt.reason): doubt.sources for doubt in doubts}
    assert told == {
        ("x", "y", "the curves share little of their qualities"): ["a"],
        ("y", "x", "the curves share little of their qualities"): ["a"],
        ("x", "y", "rate does not grow with quality"): ["b"],
        ("y", "x", "rate does not grow with quality"): ["b"],
    }


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (line("a", "y", 100, 60), "no BD-rate: the curves share no range of qualities"),
        (line("a", "y", 100, 30, steps=2), "no BD-rate: 3 or more points"),
        ([{**row, "psnr-y": 100} for row in line("a", "y", 100, 30)], "no BD-rate: more than one point of quality 100"),
    ],
)
def test_where_there_is_no_rate_there_is_a_reason(other, reason):
    rates, doubts = rates_of(compare(line("a", "x", 100, 30), other, sources="a"))
    assert rates.mean == [[0, None], [None, 0]]
    assert doubts[0].reason.startswith(reason)


def test_a_curve_with_a_gap_is_doubtful_and_in_no_mean():
    gap_low, gap_high = line("a", "y", 200, 30, steps=5), line("b", "y", 200, 30, steps=5)
    del gap_low[1], gap_high[4]  # of the same length, but not of the same qualities
    whole = [line(source, "x", 100, 30, steps=5) for source in "ab"]
    comparison = compare(*whole, gap_low, gap_high, steps=5)
    assert comparison.complete("y") == comparison.mean_curve("y") == []
    rates, doubts = rates_of(comparison)
    assert rates.mean[1][0] == pytest.approx(100, rel=0.02)
    assert {(doubt.test, doubt.reason): doubt.sources for doubt in doubts} == {
        ("x", "not measured at all qualities"): ["a", "b"],
        ("y", "not measured at all qualities"): ["a", "b"],
    }


def test_sources_may_be_called_anything():
    comparison = compare(*(line(source, codec, 100, 30) for source in ("mean", "codecs") for codec in "xy"),
                         sources=["mean", "codecs"])  # fmt: skip
    assert set(rates_of(comparison)[0].sources) == {"mean", "codecs"}


def test_similarities_are_compared_in_decibels():
    def curve(factor):
        return [{"bytes": factor * 2.0**step, "ssim": 1 - 10 ** -(1 + step / 2)} for step in range(4)]

    assert bd_rate(curve(100), curve(150), "ssim") == pytest.approx(50)


def test_mean_curves_are_of_sources_that_a_codec_has_completely():
    curves = line("a", "x", 100, 30), line("b", "x", 300, 32), line("a", "y", 100, 30)[1:], line("b", "y", 100, 30)
    comparison = compare(*curves)
    assert comparison.mean_curve("x")[1] == {"quality": 1, "bytes": 400, "psnr-y": 36}
    assert comparison.complete("y") == ["b"]
    assert comparison.mean_curve("y")[0]["bytes"] == 100
