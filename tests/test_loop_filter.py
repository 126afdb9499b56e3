"""Tests of `codec.loop_filter` against the filter written down sample by sample."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codec import loop_filter
from codec.loop_filter import KNOTS, LIMITS, TAPS, apply, interpolate, normalise
from codec.trained import KINDS, trained
from tests.pictures import make_picture

TUNES = ("psnr", "ms-ssim")
STEPS = [64, 256, 700, 1536, 4000, 8192, 20_000, 65_535]
SHIPPED = [(kind, tune) for kind in KINDS for tune in TUNES]
shipped = pytest.mark.parametrize(
    "weights", [trained().planes[kind].filters[tune] for kind, tune in SHIPPED], ids=[" ".join(one) for one in SHIPPED]
)


def apply_plain(plane, step, weights):
    """Filter sample by sample, in whole numbers but for the two scales."""
    height, width = plane.shape
    to_steps, back = np.float32(512 / step), np.float32(step / 131_072)
    samples = [[int(np.clip(np.rint(x * to_steps), -16_383, 16_383)) for x in row] for row in plane]
    of_taps = interpolate(weights, step).tolist()
    out = plane.copy()
    for row in range(height):
        for column in range(width):
            change = 0
            for (down, right), of_limits in zip(TAPS, of_taps, strict=True):
                for sign in (1, -1):
                    there = row + sign * down, column + sign * right
                    if 0 <= there[0] < height and 0 <= there[1] < width:
                        difference = samples[there[0]][there[1]] - samples[row][column]
                        for weight, limit in zip(of_limits, LIMITS, strict=True):
                            change += weight * max(-limit, min(limit, difference))
            assert abs(change) < 2**15
            out[row, column] += np.rint(np.float32(change) * back)
    return out


def draw_plane(height, width, roughness, seed):
    """Draw samples in 1/8 that differ from each other by so much."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-1500, 1500) + rng.integers(-roughness, roughness + 1, (height, width))).astype(np.float32)


def draw_weights(seed, largest=25):
    """Draw weights that are small enough for any sum of them."""
    return np.random.default_rng(seed).integers(-largest, largest + 1, (KNOTS, len(TAPS), len(LIMITS)))


# Sample by sample -------------------------------------------------------------------------------------------

shapes = st.tuples(st.integers(2, 7), st.integers(1, 7))


@given(
    shapes,
    st.sampled_from(STEPS),
    st.sampled_from([0, 20, 500, 8191]),
    st.sampled_from([None, *SHIPPED]),
    st.integers(0, 99),
)
@example((2, 2), 700, 500, ("Y", "psnr"), 0)
@example((3, 5), 700, 500, ("Y", "ms-ssim"), 0)
@example((5, 3), 64, 8191, ("Cb 4:2:0", "ms-ssim"), 0)
def test_a_filter_sample_by_sample(shape, step, roughness, kind, seed):
    weights = draw_weights(seed) if kind is None else trained().planes[kind[0]].filters[kind[1]]
    plane = draw_plane(*shape, roughness, seed)
    before = plane.copy()
    found = apply(plane, step, weights)
    assert found.dtype == np.float32
    assert np.array_equal(found, apply_plain(plane, step, weights))
    assert np.array_equal(plane, before)  # not changed


@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
def test_a_single_row_and_a_single_column(length):
    for shape in ((length, 1), (1, length)):
        plane, weights = draw_plane(*shape, 300, length), draw_weights(length)
        assert np.array_equal(apply(plane, 900, weights), apply_plain(plane, 900, weights))


@given(st.tuples(st.integers(2, 40), st.integers(1, 40)), st.sampled_from([1, 64, 200]), st.integers(0, 99))
def test_bands_do_not_matter(shape, band, seed):
    plane, weights = draw_plane(*shape, 300, seed), draw_weights(seed)
    whole = apply(plane, 1000, weights)
    with mock.patch.object(loop_filter, "BAND", band):
        assert np.array_equal(apply(plane, 1000, weights), whole)


def test_a_large_plane_is_filtered_as_its_parts_are():
    # More than one band as it is; away from the cut the parts know nothing of each other.
    plane = 8 * (make_picture(300, 260, 1).astype(np.float32) - 128)
    weights = trained().planes["Y"].filters["psnr"]
    whole = apply(plane, 1536, weights)
    assert np.array_equal(whole[:148], apply(np.ascontiguousarray(plane[:150]), 1536, weights)[:148])
    assert np.array_equal(whole[152:], apply(np.ascontiguousarray(plane[150:]), 1536, weights)[2:])
    assert np.array_equal(whole[40:60, 130:140], apply_plain(plane[30:70, 120:150], 1536, weights)[10:30, 10:20])


def test_the_filter_is_the_same_in_both_directions():
    # It has pairs of neighbours at opposite sides: turned by half a turn, a plane gives the same.
    plane, weights = draw_plane(20, 31, 300, 1), draw_weights(1)
    turned = apply(np.ascontiguousarray(plane[::-1, ::-1]), 900, weights)
    assert np.array_equal(turned[::-1, ::-1], apply(plane, 900, weights))
    assert np.array_equal(apply(-plane, 900, weights), -apply(plane, 900, weights))


# What stays -------------------------------------------------------------------------------------------------


@given(st.integers(-8191, 8191), st.sampled_from(STEPS), st.integers(0, 99))
def test_flat_planes_stay_as_they_are(value, step, seed):
    plane = np.full((12, 9), value, np.float32)
    assert np.array_equal(apply(plane, step, draw_weights(seed, 500)), plane)


@shipped
@pytest.mark.parametrize("step", [256, 1536, 8000])
def test_an_edge_keeps_its_height(weights, step):
    # Far more than two steps high: what is clipped adds up to the same whatever the height is.
    changes = []
    for steps_high in (3, 5, 50):
        height = steps_high * step // 8  # in 1/8
        plane = np.zeros((16, 16), np.float32)
        plane[:, 8:] = height
        found = apply(plane, step, weights)
        assert np.array_equal(found[:, :6], plane[:, :6])
        assert np.array_equal(found[:, 10:], plane[:, 10:])
        changes.append(found - plane)
    assert np.array_equal(changes[0], changes[1])
    assert np.array_equal(changes[0], changes[2])
    most = np.abs(interpolate(weights, step).astype(int) @ LIMITS).sum() * step / 131_072
    assert np.abs(changes[0]).max() <= np.rint(most)


@shipped
def test_nothing_moves_by_more_than_a_step(weights):
    for step in (256, 1000, 8000):
        plane = draw_plane(60, 60, 3 * step // 8, step)
        assert np.abs(apply(plane, step, weights) - plane).max() < step / 8


def test_noise_of_the_quantiser_gets_less():
    # A smooth plane with noise of a twelfth of a squared step.
    rng, step = np.random.default_rng(0), 1280
    clean = 8 * 60 * np.sin(np.add.outer(np.arange(64), np.arange(64)) / 20)
    noisy = np.rint(clean + rng.uniform(-0.5, 0.5, clean.shape) * step / 8).astype(np.float32)
    for tune in TUNES:
        filtered = apply(noisy, step, trained().planes["Y"].filters[tune])
        assert np.mean((filtered - clean) ** 2) < 0.8 * np.mean((noisy - clean) ** 2)


# Weights ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 99))
def test_weights_at_knots_and_between(seed):
    weights = draw_weights(seed, 1000)
    for knot in range(KNOTS):
        assert np.array_equal(interpolate(weights, 256 << knot), weights[knot])
    for knot in range(KNOTS - 1):
        for quarter in range(5):
            exact = ((4 - quarter) * weights[knot] + quarter * weights[knot + 1]) / 4
            found = interpolate(weights, (256 << knot) + quarter * (64 << knot))
            assert found.dtype == np.int16
            assert (np.abs(found - exact) <= 0.5).all()
    assert np.array_equal(interpolate(weights, 64), weights[0])
    assert np.array_equal(interpolate(weights, 1 << 20), weights[-1])


@shipped
def test_16_bits_are_enough(weights):
    # Each tap and its opposite add up to twice the largest value of a curve of the difference at most. It is straight
    # between the limits, so it is enough to look there. Between two knots it is not larger than at one of them, but for
    # a half that each weight is rounded by.
    curves = np.abs(weights @ np.minimum.outer(LIMITS, LIMITS))  # (knots, taps, differences)
    rounding = len(TAPS) * sum(LIMITS) / 2
    assert 2 * (curves.max(axis=2).sum(axis=1).max() + rounding) < 2**15


@given(shapes, st.sampled_from(STEPS), st.integers(0, 99))
def test_samples_in_64ths_of_a_step(shape, step, seed):
    plane = draw_plane(*shape, 8191, seed)
    found = normalise(plane, step)
    assert found.dtype == np.int16
    exact = np.clip(plane.astype(np.float64) * 512 / step, -16_383, 16_383)
    assert (np.abs(found - exact) < 0.51).all()
    assert np.abs(found.astype(int)).max() <= 16_383  # so that differences fit 16 bits
