"""Tests of `bitstreams.entropy` and `codec.statistics`: values by hand, SciPy's entropy, NumPy's moments."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from bitstreams import entropy
from bitstreams.huffman import code_lengths
from codec import statistics
from codec.blocks import split
from codec.dct import dct2
from tests.pictures import make_picture

# Entropy ----------------------------------------------------------------------------------------------------


def test_histogram_counts_what_occurs():
    values, counts = entropy.histogram(np.array([[3, -1, 3], [3, 700, -1]], np.int16))
    assert values.tolist() == [-1, 3, 700]
    assert counts.tolist() == [2, 3, 1]
    assert values.dtype == counts.dtype == np.int64


def test_probabilities_are_relative_frequencies():
    assert entropy.probabilities([1, 0, 3]).tolist() == [0.25, 0, 0.75]


@pytest.mark.parametrize(
    ("probability", "bits"),
    [
        ([0.5, 0.25, 0.125, 0.125], 1.75),  # the example of the module
        ([0.25] * 4, 2),
        ([1, 0], 0),
        ([0.5, 0, 0.5], 1),
        ([0.9, 0.1], 0.4689955935892812),
    ],
)
def test_entropy_by_hand(probability, bits):
    assert math.isclose(entropy.entropy(probability), bits, abs_tol=1e-12)


def test_a_certain_symbol_has_no_negative_zero():
    assert math.copysign(1, entropy.entropy([1.0])) == 1


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50).filter(any))
def test_entropy_is_scipys(counts):
    bits = entropy.entropy(entropy.probabilities(counts))
    assert math.isclose(bits, stats.entropy(counts, base=2), rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(st.integers(-5, 5), max_size=200))
def test_no_code_is_shorter_than_the_entropy_and_huffmans_is_within_a_bit(values):
    bound = entropy.entropy_bits(values)
    _, counts = entropy.histogram(np.array(values, int))
    bits = int(counts @ code_lengths(counts))
    assert bound <= bits + 1e-9
    assert bits <= bound + len(values) + 1e-9


def test_bits_of_all_symbols_together():
    assert entropy.entropy_bits([7, 7, 7, 7, -2, -2, 0, 1]) == 8 * 1.75
    assert entropy.entropy_bits([5, 5, 5]) == 0
    assert entropy.entropy_bits(np.zeros(0, int)) == 0


# Formats and ranges -----------------------------------------------------------------------------------------


def test_every_level_survives_as_a_float():
    levels = np.arange(256, dtype=np.uint8)
    samples = statistics.to_float(levels)
    assert samples.dtype == np.float32
    assert (samples[0], samples[51], samples[255]) == (0, np.float32(0.2), 1)
    assert np.array_equal(statistics.from_float(samples), levels)


def test_samples_outside_the_range_are_clipped_and_others_rounded():
    # 254.4 and 254.6 levels; 1.4 and 1.6.
    samples = [-3, -0.001, 1.4 / 255, 1.6 / 255, 254.4 / 255, 254.6 / 255, 1.01, 1e9]
    assert statistics.from_float(samples).tolist() == [0, 0, 1, 2, 254, 255, 255, 255]


def test_channels_first_and_last():
    pictures = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    first = statistics.channels_first(pictures)
    assert first.shape == (2, 3, 4, 5)
    assert np.array_equal(first[1, 2], pictures[1, :, :, 2])
    assert np.shares_memory(first, pictures)
    assert np.array_equal(statistics.channels_last(first), pictures)
    assert statistics.channels_first(pictures[0]).shape == (3, 4, 5)


# Statistics -------------------------------------------------------------------------------------------------


def test_pixel_histogram():
    pixels = np.array([[0, 255, 255], [7, 0, 255]], np.uint8)
    counts = statistics.pixel_histogram(pixels)
    assert counts.shape == (256,)
    assert {level: int(counts[level]) for level in np.flatnonzero(counts)} == {0: 2, 7: 1, 255: 3}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixel_statistics_are_numpys(channels):
    pixels = make_picture(30, 50, channels)
    planes = [pixels] if channels == 1 else [pixels[..., i] for i in range(channels)]
    found = statistics.pixel_statistics(pixels)
    assert len(found) == channels
    for plane, of_plane in zip(planes, found, strict=True):
        assert (of_plane.minimum, of_plane.maximum) == (plane.min(), plane.max())
        assert math.isclose(of_plane.mean, plane.mean(dtype=float))
        assert math.isclose(of_plane.deviation, plane.std(dtype=float))
        assert math.isclose(of_plane.entropy, stats.entropy(np.bincount(plane.ravel()), base=2))


def test_statistics_of_a_flat_picture():
    (only,) = statistics.pixel_statistics(np.full((3, 3), 9, np.uint8))
    assert only == (9, 9, 9, 0, 0)


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=6)))
def test_standardised_channels_have_mean_0_and_deviation_1(samples):
    result = statistics.standardize(samples)
    axes = tuple(range(samples.ndim - 1))
    assert np.allclose(result.mean(axis=axes), 0, atol=1e-9)
    flat = samples.min(axis=axes) == samples.max(axis=axes)
    assert np.allclose(result.std(axis=axes), np.where(flat, 0, 1), atol=1e-9)


@pytest.mark.parametrize("level", [0, 0.1, 1 / 3, 1e9])
def test_a_channel_without_contrast_becomes_0(level):
    # Whose mean may be off by a rounding, so that its computed deviation is not 0.
    assert not statistics.standardize(np.full((7, 11, 3), level)).any()


def test_entropy_of_each_frequency():
    levels = np.array([[0, 0, 7], [1, 0, 7], [2, 0, 7], [3, 1, 7]])  # 4 values; 3 to 1; a single one
    expected = [2, 0.25 * 2 + 0.75 * np.log2(4 / 3), 0]
    assert statistics.entropy_by_frequency(levels) == pytest.approx(expected)
    assert statistics.entropy_by_frequency(levels.reshape(2, 2, 3)) == pytest.approx(expected)


def test_quantisation_saves_entropy_most_of_all_at_high_frequencies():
    coefficients = dct2(split(make_picture(128, 192, 1).astype(float), 8)[:, :, 0, 0]).reshape(-1, 64)
    before = statistics.entropy_by_frequency(np.rint(coefficients).astype(int))
    after = statistics.entropy_by_frequency(np.rint(coefficients / 16).astype(int))
    assert np.all(after <= before)
    assert after.sum() < before.sum() / 2
    assert after[-8:].max() < after[1]
