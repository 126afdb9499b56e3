"""Tests of curves and BD-rates of everyone against everyone."""

import pytest

from benchmarks.curves import Comparison, bd_rate, bd_rates


def line(source, codec, factor, low, steps=4):
    """A curve of 5 dB for each doubling of the bytes."""
    return [
        {"source": source, "codec": codec, "quality": step, "bytes": factor * 2.0**step, "psnr-y": low + 5.0 * step}
        for step in range(steps)
    ]


def compare(*curves, sources="ab", codecs=("x", "y")):
    rows = [row for curve in curves for row in curve]
    sizes = {source: {"width": 8, "height": 8, "frames": 1, "pixels": 64} for source in sources}
    return Comparison(False, sources, codecs, ["psnr-y"], dict.fromkeys(codecs, "1"), sizes, rows)


def test_rates_are_those_of_the_row_against_the_column():
    comparison = compare(line("a", "x", 100, 30), line("a", "y", 200, 30), sources="a")
    matrix = bd_rates(comparison).matrices["psnr-y"]
    assert matrix["a"] == matrix["mean"]
    [[xx, xy], [yx, yy]] = matrix["a"]
    assert (xx, yy) == (0, 0)
    assert (xy, yx) == pytest.approx((-50, 100))


def test_the_mean_is_over_sources_that_both_have():
    comparison = compare(
        line("a", "x", 100, 30), line("b", "x", 100, 30), line("c", "x", 100, 30),
        line("a", "y", 200, 30), line("b", "y", 400, 30),
        sources="abc",
    )  # fmt: skip
    found = bd_rates(comparison).matrices["psnr-y"]
    assert [found[source][1][0] for source in "abc"] == [pytest.approx(100), pytest.approx(300), None]
    assert found["mean"][1][0] == pytest.approx(200)


def test_short_overlap_and_falling_rates_are_told_with_their_sources():
    falling = line("b", "y", 200, 30)
    falling[2]["bytes"] = 1
    comparison = compare(
        line("a", "x", 100, 30), line("a", "y", 100, 36), line("b", "x", 100, 30), falling, codecs=("x", "y")
    )
    rates = bd_rates(comparison)
    told = {(doubt.test, doubt.anchor, doubt.reason): doubt.sources for doubt in rates.doubts}
    assert told == {
        ("x", "y", "the curves share little of their qualities"): ["a"],
        ("y", "x", "the curves share little of their qualities"): ["a"],
        ("x", "y", "rate does not grow with quality"): ["b"],
        ("y", "x", "rate does not grow with quality"): ["b"],
    }
    assert str(rates.doubts[0]) == "x against y by psnr-y: the curves share little of their qualities (a)"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (line("a", "y", 100, 60), "no BD-rate, the curves share no range of qualities"),
        (line("a", "y", 100, 30, steps=2), "no BD-rate, anchor"),
        ([{**row, "psnr-y": 100} for row in line("a", "y", 100, 30)], "no BD-rate, anchor"),
    ],
)
def test_where_there_is_no_rate_there_is_a_reason(other, reason):
    rates = bd_rates(compare(line("a", "x", 100, 30), other, sources="a"))
    assert rates.matrices["psnr-y"]["mean"] == [[0, None], [None, 0]]
    assert rates.doubts[0].reason.startswith(reason)


def test_similarities_are_compared_in_decibels():
    def curve(factor):
        return [{"bytes": factor * 2.0**step, "ssim": 1 - 10 ** -(1 + step / 2)} for step in range(4)]

    assert bd_rate(curve(100), curve(150), "ssim") == pytest.approx(50)


def test_mean_curves_are_of_sources_that_a_codec_has_completely():
    comparison = compare(
        line("a", "x", 100, 30), line("b", "x", 300, 32), line("a", "y", 100, 30)[1:], line("b", "y", 100, 30)
    )
    assert comparison.mean_curve("x")[1] == {"quality": 1, "bytes": 400, "psnr-y": 36}
    assert comparison.complete("y") == ["b"]
    assert comparison.mean_curve("y")[0]["bytes"] == 100
    assert comparison.mean_curve("nobody") == []
