"""Tests of `codec.metrics` against other implementations and values worked out by hand.

Oracles: scikit-image for SSIM, scipy for the filters of MS-SSIM and for PCHIP, the `bjontegaard` package for
BD-rate.
"""

import math
import tracemalloc
import warnings

import bjontegaard
import numpy as np
import pytest
from scipy import ndimage, signal
from scipy.interpolate import PchipInterpolator
from skimage.metrics import structural_similarity

from codec import metrics


def picture(height, width, seed=0):
    """Make a smooth grey picture with texture, float64 0..255."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = ndimage.gaussian_filter(noise, 3, mode="wrap") * 400 + noise * 10
    return np.clip(128 + smooth, 0, 255)


def noisy(image, sigma, seed=1):
    """Add Gaussian noise of standard deviation `sigma`."""
    return np.clip(image + np.random.default_rng(seed).normal(scale=sigma, size=image.shape), 0, 255)


def colour(height, width, channels=3, seed=0):
    """Make an image of independent uint8 samples."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def grey(level, shape=(4, 4), dtype=np.uint8):
    """Make a flat image."""
    return np.full(shape, level, dtype)


# Distortion -------------------------------------------------------------------------------------------------


def test_black_against_white_is_0_db():
    assert metrics.psnr(grey(0), grey(255)) == 0.0


@pytest.mark.parametrize(("low", "high"), [(10, 250), (250, 10)])
def test_uint8_differences_do_not_wrap(low, high):
    # In uint8 10 - 250 is 16, and 16**2 is 0.
    assert metrics.mse(grey(low), grey(high)) == 240**2
    assert metrics.psnr(grey(low), grey(high)) == pytest.approx(10 * math.log10(65025 / 57600))


def test_uint16_squares_do_not_wrap():
    a, b = grey(0, dtype=np.uint16), grey(65535, dtype=np.uint16)
    assert metrics.mse(a, b) == 65535**2
    assert metrics.psnr(a, b, peak=65535) == 0.0


def test_peak_sets_the_scale_of_float_images():
    assert metrics.psnr(np.zeros((3, 5)), np.full((3, 5), 0.1), peak=1.0) == pytest.approx(20)


def test_mse_weighs_all_samples_alike():
    a, b = np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
    b[1, 2, 3] = 6
    assert metrics.mse(a, b) == 36 / 24


def test_psnr_of_a_video_pools_the_error_before_the_logarithm():
    a, b = np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 3), np.uint8)
    b[1] = 255  # one frame of infinite PSNR, one of 0 dB
    assert metrics.psnr(a, b) == pytest.approx(10 * math.log10(2))


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3), (5, 7, 4)])
def test_identical_images(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert metrics.mse(image, image.copy()) == 0
    assert metrics.psnr(image, image.copy()) == metrics.psnr_y(image, image.copy()) == math.inf
    assert metrics.ssim(image, image.copy()) == metrics.ms_ssim(image, image.copy()) == 1


MEASURES = [metrics.mse, metrics.psnr, metrics.psnr_y, metrics.ssim, metrics.ms_ssim]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", [(16, 12), (12, 16, 3), (12, 1), (1, 16), (12, 16, 1)])
def test_shapes_must_match_and_are_not_broadcast(measure, shape):
    with pytest.raises(ValueError, match=r"\(12, 16\)"):
        measure(np.zeros((12, 16)), np.zeros(shape))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (7, 0), (0, 7, 3)])
def test_empty_images_are_refused(measure, shape):
    with pytest.raises(ValueError, match="without samples"):
        measure(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_samples_that_are_not_finite_are_refused(measure, value):
    good, bad = np.zeros((12, 16)), np.zeros((12, 16))
    bad[3, 4] = value
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="NaN or infinite"):
            measure(*pair)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [((255, 0, 0), 76.245), ((0, 255, 0), 149.685), ((0, 0, 255), 29.07), ((255, 255, 255), 255)],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_luma_of_the_primaries(rgb, expected, dtype):
    y = metrics.luma(np.full((2, 3, 3), rgb, dtype))
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, np.full((2, 3), expected), rtol=1e-12)


def test_luma_ignores_alpha():
    rgba = colour(5, 6, channels=4)
    np.testing.assert_array_equal(metrics.luma(rgba), metrics.luma(rgba[..., :3]))


def test_luma_of_grey_is_a_float_copy():
    image = picture(4, 5)
    y = metrics.luma(image)
    np.testing.assert_array_equal(y, image)
    assert not np.shares_memory(y, image)
    assert metrics.luma(grey(7)).dtype == np.float64


@pytest.mark.parametrize("shape", [(5,), (5, 6, 1), (5, 6, 2), (5, 6, 5), (2, 5, 6, 3)])
def test_luma_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="luma needs"):
        metrics.luma(np.zeros(shape))


def test_psnr_y_sees_luma_only():
    a = grey(100, (4, 4, 3))
    b = a.copy()
    b[..., 0] += 10  # 10 of red are 2.99 of luma
    assert metrics.psnr_y(a, b) == pytest.approx(20 * math.log10(255 / 2.99))


# SSIM -------------------------------------------------------------------------------------------------------


def skimage_ssim(x, y):
    return structural_similarity(x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)


# 42 = one full strip of 32 rows and 10 of margin; 43 and 75 leave a last strip of a single row.
@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (40, 11), (42, 30), (43, 30), (75, 31), (120, 97)])
@pytest.mark.parametrize("sigma", [0.5, 8, 80])
def test_ssim_equals_scikit_image(shape, sigma):
    a = picture(*shape)
    b = noisy(a, sigma)
    assert metrics.ssim(a, b) == pytest.approx(skimage_ssim(a, b), abs=1e-9)


def test_ssim_of_colour_is_that_of_luma():
    a, b = colour(50, 60), colour(50, 60, seed=1)
    assert metrics.ssim(a, b) == pytest.approx(skimage_ssim(metrics.luma(a), metrics.luma(b)), abs=1e-9)


def test_ssim_of_opposite_images_is_negative():
    a = picture(60, 60)
    assert metrics.ssim(a, 255 - a) == pytest.approx(skimage_ssim(a, 255 - a), abs=1e-9)
    assert metrics.ssim(a, 255 - a) < -0.5


def window_2d(taps):
    line = signal.windows.gaussian(taps, 1.5)
    return np.outer(line, line) / line.sum() ** 2


@pytest.mark.parametrize(("shape", "taps"), [((10, 10), 9), ((9, 30), 9), ((30, 6), 5), ((3, 2), 1), ((1, 8), 1)])
def test_window_shrinks_to_the_largest_odd_square(shape, taps):
    a = picture(*shape)
    b = noisy(a, 20)

    def mean(image):
        return signal.correlate2d(image, window_2d(taps), mode="valid")

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
    contrast = (2 * covariance + 58.5225) / (variance_a + variance_b + 58.5225)
    assert metrics.ssim(a, b) == pytest.approx((brightness * contrast).mean(), abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 2), (10, 11), (25, 25)])
def test_flat_images_differ_in_brightness_only(shape):
    # (2 * 100 * 50 + 2.55**2) / (100**2 + 50**2 + 2.55**2), whatever the size
    assert metrics.ssim(grey(100, shape), grey(50, shape)) == pytest.approx(10006.5025 / 12506.5025, rel=1e-12)


@pytest.mark.parametrize("measure", [metrics.ssim, metrics.ms_ssim])
def test_similarity_is_symmetric(measure):
    a, b = picture(180, 190), noisy(picture(180, 190), 30)
    assert measure(a, b) == measure(b, a)


@pytest.mark.parametrize("measure", [metrics.ssim, metrics.ms_ssim])
def test_rounding_never_carries_a_similarity_above_1(measure):
    # Differences of the order of the rounding errors of the variances.
    for seed in range(20):
        a = picture(22, 22, seed)  # of two scales
        assert measure(a, noisy(a, 1e-9, seed + 100)) <= 1


def test_ssim_does_not_hold_the_moments_of_the_whole_image():
    a = np.zeros((1000, 400))
    metrics.ssim(a[:20], a[:20])  # what NumPy allocates once is not to be measured
    tracemalloc.start()
    metrics.ssim(a, a)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * a.nbytes  # two lumas, and strips; without strips it is above 12


# MS-SSIM ----------------------------------------------------------------------------------------------------

PUBLISHED_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def plain_ms_ssim(x, y, weights):
    """Equation 7 as written, contrast and structure apart, with the filters of scipy.ndimage."""

    def mean(image):
        return ndimage.gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

    def halve(image):
        even = image[: image.shape[0] & ~1, : image.shape[1] & ~1]
        return ndimage.uniform_filter(even, 2, origin=-1)[::2, ::2]

    factors = []
    for _ in weights:
        mean_x, mean_y = mean(x), mean(y)
        deviation_x, deviation_y = np.sqrt(mean(x * x) - mean_x**2), np.sqrt(mean(y * y) - mean_y**2)
        covariance = mean(x * y) - mean_x * mean_y
        brightness = (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
        contrast = (2 * deviation_x * deviation_y + 58.5225) / (deviation_x**2 + deviation_y**2 + 58.5225)
        structure = (covariance + 29.26125) / (deviation_x * deviation_y + 29.26125)
        factors.append((contrast * structure).mean())
        coarsest = (brightness * contrast * structure).mean()
        x, y = halve(x), halve(y)
    factors[-1] = coarsest
    return np.prod(np.maximum(factors, 1e-6) ** weights)


@pytest.mark.parametrize("shape", [(176, 200), (191, 203), (250, 177)])
@pytest.mark.parametrize("sigma", [2, 20, 80])
def test_ms_ssim_of_five_scales(shape, sigma):
    a = picture(*shape)
    b = noisy(a, sigma)
    # The published weights as they are: scaled to unit sum the result would move by about 1e-5.
    assert metrics.ms_ssim(a, b) == pytest.approx(plain_ms_ssim(a, b, PUBLISHED_WEIGHTS), abs=1e-9)


@pytest.mark.parametrize(("side", "scales"), [(175, 4), (88, 4), (87, 3), (44, 3), (43, 2), (22, 2), (21, 1)])
def test_small_images_use_the_scales_that_fit(side, scales):
    weights = PUBLISHED_WEIGHTS[:scales] / PUBLISHED_WEIGHTS[:scales].sum()
    a = picture(side, 180)
    b = noisy(a, 40)
    assert metrics.ms_ssim(a, b) == pytest.approx(plain_ms_ssim(a, b, weights), abs=1e-9)
    assert metrics.ms_ssim(a.T, b.T) == pytest.approx(metrics.ms_ssim(a, b), abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (10, 13), (21, 300)])
def test_ms_ssim_of_one_scale_is_ssim(shape):
    a = picture(*shape)
    b = noisy(a, 20)
    assert metrics.ms_ssim(a, b) == pytest.approx(metrics.ssim(a, b), abs=1e-12)


def test_ms_ssim_of_colour_is_that_of_luma():
    a, b = colour(180, 180), colour(180, 180, seed=1)
    expected = plain_ms_ssim(metrics.luma(a), metrics.luma(b), PUBLISHED_WEIGHTS)
    assert metrics.ms_ssim(a, b) == pytest.approx(expected, abs=1e-9)


# Opposite noise is negative on the finer scales, opposite blobs on the coarsest too.
@pytest.mark.parametrize("a", [colour(180, 180)[..., 0], picture(180, 180)], ids=["noise", "blobs"])
def test_negative_factors_do_not_become_complex_or_nan(a):
    result = metrics.ms_ssim(a, 255 - a)
    assert isinstance(result, float)
    assert result == pytest.approx(plain_ms_ssim(a * 1.0, 255.0 - a, PUBLISHED_WEIGHTS))
    assert 0 < result < 0.01


def test_ms_ssim_of_one_scale_is_positive_too():
    a = picture(21, 21)
    assert metrics.ssim(a, 255 - a) < 0
    assert metrics.ms_ssim(a, 255 - a) == 1e-6


def test_decibel():
    assert metrics.decibel(0.9) == pytest.approx(10)
    assert metrics.decibel(0.999) == pytest.approx(30)
    assert metrics.decibel(-1) == pytest.approx(-3.0103, abs=1e-4)
    assert str(metrics.decibel(0)) == "0.0"
    assert metrics.decibel(1) == math.inf


@pytest.mark.parametrize("similarity", [1.0000001, 100, math.nan])
def test_decibel_refuses_what_is_not_a_similarity(similarity):
    with pytest.raises(ValueError, match="at most 1"):
        metrics.decibel(similarity)


# PCHIP ------------------------------------------------------------------------------------------------------


def random_points(seed):
    """Few points with uneven spacing; ordinates from a small set, so that plateaus and extrema are common."""
    rng = np.random.default_rng(seed)
    count = rng.integers(3, 8)
    return np.cumsum(rng.uniform(0.1, 4, count)), rng.integers(0, 5, count).astype(float) ** 2


@pytest.mark.parametrize("seed", range(100))
def test_pchip_equals_scipy(seed):
    x, y = random_points(seed)
    oracle = PchipInterpolator(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no division by a zero secant
        np.testing.assert_allclose(metrics.pchip_slopes(x, y), oracle.derivative()(x), atol=1e-9)
        for low, high in [(x[0], x[-1]), (x[0] + 0.03, x[-1] - 0.07), (x[1], x[1]), (x[1] - 0.05, x[2])]:
            expected = float(oracle.integrate(low, high))
            assert metrics.pchip_integral(x, y, low, high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("y", "first"),
    [
        ([0, 1, 2], 1.0),  # a line
        ([0, 1, 4], 0.0),  # the parabola has its lowest point exactly at the end
        ([0, 1, 5], 0.0),  # the parabola falls at first: cut to 0
        ([0, 1, 0], 2.0),  # ((2 + 1) * 1 - 1 * -1) / 2
        ([0, 1, -4], 3.0),  # the parabola gives 4: cut to three secants
    ],
)
def test_end_slopes(y, first):
    x, y = np.arange(3.0), np.array(y, float)
    assert metrics.pchip_slopes(x, y)[0] == first
    assert metrics.pchip_slopes(x, y[::-1])[-1] == -first


# BD-rate ----------------------------------------------------------------------------------------------------

ANCHOR = [(100, 30.0), (200, 33.0), (400, 35.5), (800, 37.5)]


def scaled(curve, factor):
    return [(rate * factor, quality) for rate, quality in curve]


def shifted(curve, offset):
    return [(rate, quality + offset) for rate, quality in curve]


@pytest.mark.parametrize(("factor", "percent"), [(0.5, -50), (1, 0), (2, 100), (1.1, 10)])
def test_a_constant_factor_of_rate(factor, percent):
    assert metrics.bd_rate(ANCHOR, scaled(ANCHOR, factor)) == pytest.approx(percent, abs=1e-9)


def test_log_linear_curves_by_hand():
    # log2(rate) = quality against log2(rate) = 2 quality - 2: means over 2..4 of 3 and 4, a factor of 2.
    anchor = [(2**q, q) for q in (2, 3, 4)]
    test = [(4 ** (q - 1), q) for q in (2, 3, 4)]
    assert metrics.bd_rate(anchor, test) == pytest.approx(100)


def random_curve(rng):
    count = rng.integers(4, 8)
    rate = np.cumprod(rng.uniform(1.2, 2.5, count)) * 100
    return np.column_stack([rate, 30 + np.cumsum(rng.uniform(0.5, 3, count))])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("ignore::codec.metrics.OverlapWarning")
def test_bd_rate_equals_the_bjontegaard_package(seed):
    rng = np.random.default_rng(seed)
    anchor, test = random_curve(rng), random_curve(rng)
    expected = bjontegaard.bd_rate(*anchor.T, *test.T, method="pchip", require_matching_points=False, min_overlap=0)
    assert metrics.bd_rate(anchor, test) == pytest.approx(expected, rel=1e-9)
    there, back = metrics.bd_rate(anchor, test), metrics.bd_rate(test, anchor)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_points_in_any_order():
    test = shifted(ANCHOR, 0.5)
    assert metrics.bd_rate(ANCHOR[::-1], [test[i] for i in (2, 0, 3, 1)]) == metrics.bd_rate(ANCHOR, test)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (ANCHOR[:2], "3 or more points"),
        ([], "3 or more points"),
        (np.transpose(ANCHOR), "3 or more points"),  # (2, N) instead of (N, 2)
        (np.ones((4, 3)), "3 or more points"),
        ([(0, 29.0), *ANCHOR], "positive"),
        ([(-5, 29.0), *ANCHOR], "positive"),
        ([*ANCHOR, (900, math.inf)], "finite"),  # a lossless point
        ([*ANCHOR, (math.nan, 38.0)], "finite"),
        ([*ANCHOR, (900, 37.5)], "37.5"),
        (shifted(ANCHOR, 20), "30 to 37.5.*50 to 57.5|50 to 57.5.*30 to 37.5"),
        (shifted(ANCHOR, 7.5), "share no range"),  # one quality in common
    ],
)
def test_unusable_curves_are_refused(curve, message):
    for pair in ((ANCHOR, curve), (curve, ANCHOR)):
        with pytest.raises(ValueError, match=message):
            metrics.bd_rate(*pair)


def test_a_small_overlap_warns_and_names_both_ranges():
    with pytest.warns(metrics.OverlapWarning, match="30 to 37.5.*32.5 to 40") as caught:  # 5 of 7.5
        metrics.bd_rate(ANCHOR, shifted(ANCHOR, 2.5))
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize(
    "test",
    [
        shifted(ANCHOR, 1.5),  # 6 of 7.5: 80 %
        [(100, 33), (120, 33.5), (150, 34)],  # all of the smaller range, 13 % of the larger
    ],
)
def test_a_sufficient_overlap_does_not_warn(test):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there, back = metrics.bd_rate(ANCHOR, test), metrics.bd_rate(test, ANCHOR)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)  # and the two agree


@pytest.mark.parametrize("rate", [350, 400])
def test_rate_that_does_not_grow_with_quality_warns(rate):
    curve = [*ANCHOR[:3], (rate, 37.5)]
    for pair, name in (((ANCHOR, curve), "test"), ((curve, ANCHOR), "anchor")):
        with pytest.warns(metrics.CurveWarning, match=f"^{name}: ") as caught:
            assert math.isfinite(metrics.bd_rate(*pair))
        assert [(w.category, w.filename) for w in caught] == [(metrics.CurveWarning, __file__)]
