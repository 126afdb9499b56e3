"""How good is a decoded image, and how do two codecs compare.

The story in three steps:

1. *Distortion.* `mse` and `psnr` compare two images sample by sample. They are exact and cheap, and blind to
   what the eye notices.
2. *Similarity.* `ssim` compares local brightness, contrast and structure under a small Gaussian window;
   `ms_ssim` repeats that on a pyramid of five resolutions, because viewing distance decides which detail is
   visible. `decibel` stretches similarities near 1 (0.98, 0.99, 0.995 ...) to a scale that can be plotted and
   averaged.
3. *Rate and distortion.* One codec at several rates draws a curve of quality against rate. `bd_rate` reduces
   two such curves to one number: how much rate the second codec needs, in percent, for the same quality.

Images are arrays of samples 0..255, of any integer or floating type; all arithmetic is in float64. The
perceptual measures look at luma only. An image with NaN or infinite samples, or with none at all, is refused,
so that no measure of an image is ever NaN.

References
----------
.. [BT601] Recommendation ITU-R BT.601-7, "Studio encoding parameters of digital television", section 2.5.1.
.. [SSIM] Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error
   visibility to structural similarity", IEEE Trans. Image Processing 13(4), 2004.
.. [MSSSIM] Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multiscale structural similarity for image quality
   assessment", 37th Asilomar Conference on Signals, Systems and Computers, 2003.
.. [M33] G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", ITU-T SG16 VCEG-M33,
   2001.
.. [FC80] F. N. Fritsch, R. E. Carlson, "Monotone piecewise cubic interpolation", SIAM J. Numer. Anal. 17(2),
   1980.
.. [FB84] F. N. Fritsch, J. Butland, "A method for constructing local monotone piecewise cubic interpolants",
   SIAM J. Sci. Stat. Comput. 5(2), 1984.
"""

import math
import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[Any]
Float: TypeAlias = npt.NDArray[np.float64]

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of R, G, B: [BT601] section 2.5.1

WINDOW_TAPS = 11  # [SSIM] section III.C: an 11 x 11 circular-symmetric Gaussian window ...
WINDOW_SIGMA = 1.5  # ... with a standard deviation of 1.5 samples, normalised to unit sum
C1 = (0.01 * 255) ** 2  # [SSIM] (K1 L)^2 and (K2 L)^2: they keep the two quotients stable
C2 = (0.03 * 255) ** 2  # where the image is black or flat
STRIP_ROWS = 32  # rows of the similarity map computed at once: they stay in cache, 12 MP fits in memory

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # [MSSSIM] calibrated with viewers, finest first
SIMILARITY_FLOOR = 1e-6  # a negative mean has no real fractional power; far below any image worth measuring

MIN_POINTS = 3  # the end slopes of PCHIP look at three points ([M33] itself uses four)
MIN_OVERLAP = 0.75  # of the smaller quality range; below it a BD-rate describes too little of the curves


# ------------------------------------------------------------------------------------------------------------
# Distortion
# ------------------------------------------------------------------------------------------------------------


def mse(a: Image, b: Image) -> float:
    """Mean squared error between two images or videos.

    Parameters
    ----------
    a, b : ndarray, shape (H, W), (H, W, C) or (T, H, W, C)
        Samples of any integer or floating type. Every channel counts alike, alpha included.

    Returns
    -------
    float
        The mean over all samples of ``(a - b)**2``.

    Raises
    ------
    ValueError
        If the shapes differ, or if an image is empty or has samples that are not finite.
    """
    _check_pair(a, b)
    # float64 *before* subtracting: 10 - 250 is 16 in uint8. One row (or frame of a video) at a time, so that
    # the float64 copy stays small.
    squares = (np.square(np.subtract(x, y, dtype=np.float64)) for x, y in zip(a, b, strict=True))
    return math.fsum(float(square.sum()) for square in squares) / a.size


def psnr(a: Image, b: Image, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio between two images or videos.

    Parameters
    ----------
    a, b : ndarray, shape (H, W), (H, W, C) or (T, H, W, C)
        Samples of any integer or floating type. Every channel counts alike, alpha included.
    peak : float
        The largest value a sample can take, > 0.

    Returns
    -------
    float
        ``10 log10(peak**2 / mse)`` in dB; `math.inf` for identical images. The error is pooled over all
        channels and frames before the logarithm is taken.

    Raises
    ------
    ValueError
        As `mse`.
    """
    error = mse(a, b)
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def luma(image: Image) -> Float:
    """Luma Y' of an image, as ITU-R BT.601 defines it.

    Parameters
    ----------
    image : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB or RGBA samples. Grey is its own luma. Alpha is ignored: the colour under a transparent
        pixel counts like any other, so compare alpha on its own (``psnr(a[..., 3], b[..., 3])``).

    Returns
    -------
    ndarray of float64, shape (H, W)
        A new array in the range of the input, not rounded.

    Raises
    ------
    ValueError
        If the image has another shape.

    References
    ----------
    [BT601] section 2.5.1.
    """
    if image.ndim == 2:
        return image.astype(np.float64)
    if image.ndim == 3 and image.shape[2] in (3, 4):
        plane = np.zeros(image.shape[:2])
        for channel, weight in enumerate(LUMA_WEIGHTS):
            # Cast first: a Python float times a float32 array is a float32 array.
            plane += weight * image[..., channel].astype(np.float64)
        return plane
    raise ValueError(f"luma needs an image of shape (H, W), (H, W, 3) or (H, W, 4), not {image.shape}")


def psnr_y(a: Image, b: Image) -> float:
    """PSNR of the luma of two images, peak 255.

    Parameters
    ----------
    a, b : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB or RGBA samples, 0..255. Alpha is ignored, see `luma`.

    Returns
    -------
    float
        PSNR in dB; `math.inf` for equal luma.

    Raises
    ------
    ValueError
        As `mse` and `luma`.
    """
    return psnr(*_luma_pair(a, b))


# ------------------------------------------------------------------------------------------------------------
# Similarity
# ------------------------------------------------------------------------------------------------------------


def ssim(a: Image, b: Image) -> float:
    """Mean structural similarity of the luma of two images.

    Parameters
    ----------
    a, b : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB or RGBA samples, 0..255. Alpha is ignored, see `luma`.

    Returns
    -------
    float
        Similarity in [-1, 1]; exactly 1 for identical images.

    Raises
    ------
    ValueError
        As `mse` and `luma`.

    Notes
    -----
    The mean is taken over the positions where the 11 x 11 window lies inside the image. For an image
    less than 11 samples wide or high the window shrinks to the largest odd square that fits, down to 1 x 1,
    where only brightness is compared.

    References
    ----------
    [SSIM] equation 13 for the index, 14 to 17 for the local moments and the mean.
    """
    return _mean_similarity(*_luma_pair(a, b))[0]


def ms_ssim(a: Image, b: Image) -> float:
    """Multi-scale structural similarity of the luma of two images.

    Contrast and structure are compared on every scale of a pyramid, brightness on the coarsest only; the
    product of the powers is the result.

    Parameters
    ----------
    a, b : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB or RGBA samples, 0..255. Alpha is ignored, see `luma`.

    Returns
    -------
    float
        Similarity in (0, 1]; exactly 1 for identical images.

    Raises
    ------
    ValueError
        As `mse` and `luma`.

    Notes
    -----
    From one scale to the next the mean of 2 x 2 samples becomes one sample; of an odd size the last row or
    column is dropped. The window must fit the coarsest scale, which takes a smaller side of at least
    11 * 2**4 = 176 samples. Smaller images use as many scales as do fit, at least one, with weights scaled to
    unit sum; with one scale MS-SSIM is SSIM. The five published weights add up to 1.0001 and are used as
    published, as in other implementations.

    A factor that is negative (the images are in opposition) is replaced by `SIMILARITY_FLOOR`.

    References
    ----------
    [MSSSIM] equation 7.
    """
    x, y = _luma_pair(a, b)
    fitting = sum(min(x.shape) >= WINDOW_TAPS << scale for scale in range(len(SCALE_WEIGHTS)))
    weights = SCALE_WEIGHTS[: max(fitting, 1)]
    if len(weights) < len(SCALE_WEIGHTS):
        weights = tuple(weight / sum(weights) for weight in weights)

    product = 1.0
    for weight in weights[:-1]:
        _, contrast_structure = _mean_similarity(x, y)
        product *= max(contrast_structure, SIMILARITY_FLOOR) ** weight
        x, y = _halve(x), _halve(y)
    similarity, _ = _mean_similarity(x, y)
    return float(product * max(similarity, SIMILARITY_FLOOR) ** weights[-1])


def decibel(similarity: float) -> float:
    """Similarity on a logarithmic scale, on which curves of SSIM or MS-SSIM can be compared by `bd_rate`.

    Parameters
    ----------
    similarity : float
        A result of `ssim` or `ms_ssim`, at most 1.

    Returns
    -------
    float
        ``-10 log10(1 - similarity)`` in dB: 0.9 is 10 dB, 0.99 is 20 dB, 1 is `math.inf`.

    Raises
    ------
    ValueError
        If the similarity is above 1 or NaN.
    """
    if not similarity <= 1:
        raise ValueError(f"a similarity is at most 1, not {similarity}")
    # The inverse inside the logarithm, so that no similarity at all is 0.0 dB and not -0.0.
    return math.inf if similarity == 1 else 10 * math.log10(1 / (1 - similarity))


def _mean_similarity(x: Float, y: Float) -> tuple[float, float]:
    """Mean SSIM, and mean of its contrast-structure factor alone, of two (H, W) planes."""
    window = _gaussian_window(min(x.shape))
    margin = window.size - 1
    rows, columns = x.shape[0] - margin, x.shape[1] - margin
    similarity_sum = contrast_sum = 0.0
    for top in range(0, rows, STRIP_ROWS):
        p, q = (plane[top : top + STRIP_ROWS + margin] for plane in (x, y))
        # Four local means are enough: the variances of p and q are only needed as a sum.
        moments = np.stack([p, q, p * p + q * q, p * q])  # (4, h + margin, W)
        mean_p, mean_q, mean_squares, mean_product = _filter(_filter(moments, window, axis=1), window, axis=2)
        squared_means, product_of_means = mean_p * mean_p + mean_q * mean_q, mean_p * mean_q
        # Population moments, E[pq] - E[p]E[q], without the n / (n - 1) of a sample.
        variances, covariance = mean_squares - squared_means, mean_product - product_of_means

        brightness = (2 * product_of_means + C1) / (squared_means + C1)
        contrast_structure = (2 * covariance + C2) / (variances + C2)
        similarity_sum += float((brightness * contrast_structure).sum())
        contrast_sum += float(contrast_structure.sum())
    # Mathematically both are at most 1; rounding must not carry them above it, where `decibel` has no value.
    positions = rows * columns
    return min(similarity_sum / positions, 1.0), min(contrast_sum / positions, 1.0)


def _gaussian_window(side: int) -> Float:
    """Gaussian of unit sum and `WINDOW_TAPS` taps, or the largest odd number of taps up to `side`."""
    radius = (min(side, WINDOW_TAPS) - 1) // 2
    window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / WINDOW_SIGMA) ** 2)
    return np.asarray(window / window.sum())


def _filter(planes: Float, window: Float, axis: int) -> Float:
    """Filter along one axis with a symmetric window, keeping only the positions where it fits."""
    source = np.moveaxis(planes, axis, 0)
    valid = len(source) - window.size + 1
    result = np.zeros_like(source[:valid])
    # One shifted copy of the whole array per tap, not one window per sample.
    for tap, weight in enumerate(window):
        result += weight * source[tap : tap + valid]
    return np.moveaxis(result, 0, axis)


def _halve(plane: Float) -> Float:
    """Mean of every 2 x 2 samples, (H, W) -> (H // 2, W // 2)."""
    height, width = plane.shape
    even = plane[: height // 2 * 2, : width // 2 * 2]
    return (even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]) / 4


def _luma_pair(a: Image, b: Image) -> tuple[Float, Float]:
    """Luma of two images that can be compared."""
    _check_pair(a, b)
    return luma(a), luma(b)


def _check_pair(a: Image, b: Image) -> None:
    """Raise ValueError unless two images can be compared."""
    if a.shape != b.shape:
        raise ValueError(f"images of different shapes cannot be compared: {a.shape} and {b.shape}")
    if a.size == 0:
        raise ValueError(f"an image without samples cannot be compared: shape {a.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("an image with samples that are NaN or infinite cannot be compared")


# ------------------------------------------------------------------------------------------------------------
# Rate and distortion
# ------------------------------------------------------------------------------------------------------------


class CurveWarning(UserWarning):
    """A BD-rate was computed from curves that make it doubtful, such as rate falling as quality rises."""


class OverlapWarning(CurveWarning):
    """A BD-rate was computed over a small part of the curves only."""


def bd_rate(anchor: npt.ArrayLike, test: npt.ArrayLike) -> float:
    """Bjøntegaard delta rate: the rate `test` needs beyond `anchor` for the same quality.

    Both curves are drawn as log rate over quality, because rates differ by factors, and interpolated by
    PCHIP, which unlike the single cubic of [M33] never overshoots its points. The mean distance of the curves
    over the qualities they share is a mean log ratio of rates.

    Parameters
    ----------
    anchor, test : array_like, shape (N, 2), N >= 3
        Points (rate, quality) in any order. Rate in any unit, > 0, the same unit for both; quality in any
        unit that grows with quality, usually dB. N may differ between the two.

    Returns
    -------
    float
        Rate difference in percent, > -100. Negative: `test` is the better codec.

    Raises
    ------
    ValueError
        If a curve has fewer than three points, a rate that is not positive, a value that is not finite (such
        as the infinite PSNR of a lossless point) or the same quality twice; or if the two share no range of
        qualities.

    Warns
    -----
    OverlapWarning
        If the shared qualities are less than 75 % of the smaller of the two ranges.
    CurveWarning
        If the rate of a curve does not grow with its quality.

    References
    ----------
    [M33] for the measure, [FC80] for the interpolation.
    """
    anchor_quality, anchor_log_rate = _read_curve("anchor", anchor)
    test_quality, test_log_rate = _read_curve("test", test)

    low = max(anchor_quality[0], test_quality[0])
    high = min(anchor_quality[-1], test_quality[-1])
    ranges = (
        f"qualities of the anchor {anchor_quality[0]:g} to {anchor_quality[-1]:g}, "
        f"of the test {test_quality[0]:g} to {test_quality[-1]:g}"
    )
    if low >= high:
        raise ValueError(f"the curves share no range of qualities: {ranges}")
    overlap = (high - low) / min(np.ptp(anchor_quality), np.ptp(test_quality))
    if overlap < MIN_OVERLAP:
        message = f"the curves share only {overlap:.0%} of the smaller quality range: {ranges}"
        warnings.warn(message, OverlapWarning, stacklevel=2)

    difference = pchip_integral(test_quality, test_log_rate, low, high) - pchip_integral(
        anchor_quality, anchor_log_rate, low, high
    )
    return 100 * math.expm1(difference / (high - low))


def pchip_slopes(x: Float, y: Float) -> Float:
    """Slopes at the points of a piecewise cubic Hermite interpolant that keeps monotone data monotone.

    Parameters
    ----------
    x : ndarray of float64, shape (N,), N >= 3
        Strictly increasing abscissae.
    y : ndarray of float64, shape (N,)
        Ordinates.

    Returns
    -------
    ndarray of float64, shape (N,)
        dy/dx at every point.

    References
    ----------
    [FC80] for the idea and the bound of three secants, [FB84] for the harmonic mean.
    """
    width = np.diff(x)
    secant = np.diff(y) / width
    # A slope of 0 at local extrema and on plateaus is what prevents overshoot. Elsewhere a harmonic mean of
    # the two secants, which leans towards the flatter of them and towards the shorter interval.
    slopes = np.zeros_like(y)
    k = 1 + np.flatnonzero(np.sign(secant[:-1]) * np.sign(secant[1:]) > 0)
    left = width[k - 1] + 2 * width[k]
    right = 2 * width[k - 1] + width[k]
    slopes[k] = (left + right) / (left / secant[k - 1] + right / secant[k])
    slopes[0] = _end_slope(width[0], width[1], secant[0], secant[1])
    slopes[-1] = _end_slope(width[-1], width[-2], secant[-1], secant[-2])
    return slopes


def pchip_integral(x: Float, y: Float, low: float, high: float) -> float:
    """Exact integral of the PCHIP interpolant of some points.

    Parameters
    ----------
    x : ndarray of float64, shape (N,), N >= 3
        Strictly increasing abscissae.
    y : ndarray of float64, shape (N,)
        Ordinates.
    low, high : float
        Limits of integration, ``x[0] <= low <= high <= x[-1]``.

    Returns
    -------
    float
        The integral from `low` to `high`.
    """
    slopes = pchip_slopes(x, y)
    width = np.diff(x)
    secant = np.diff(y) / width
    # The cubic with the given ends and end slopes, t = 0..width: y + slope t + c2 t^2 + c3 t^3.
    c2 = (3 * secant - 2 * slopes[:-1] - slopes[1:]) / width
    c3 = (slopes[:-1] + slopes[1:] - 2 * secant) / width**2

    def primitive(t: Float) -> Float:
        return t * (y[:-1] + t * (slopes[:-1] / 2 + t * (c2 / 3 + t * c3 / 4)))

    # Limits outside a piece are clipped to its ends, so that pieces beyond [low, high] contribute nothing.
    start, stop = (np.clip(limit, x[:-1], x[1:]) - x[:-1] for limit in (low, high))
    return float((primitive(stop) - primitive(start)).sum())


def _end_slope(width: float, next_width: float, secant: float, next_secant: float) -> float:
    """Slope at an end: that of the parabola through three points, kept in the monotone region of [FC80]."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    if slope * secant <= 0:
        return 0.0
    return slope if abs(slope) <= 3 * abs(secant) else 3 * secant


def _read_curve(name: str, points: npt.ArrayLike) -> tuple[Float, Float]:
    """Check the (rate, quality) points of a curve; return its qualities, increasing, and its log rates."""
    curve = np.asarray(points, dtype=np.float64)
    if curve.ndim != 2 or curve.shape[1] != 2 or len(curve) < MIN_POINTS:
        raise ValueError(f"{name}: {MIN_POINTS} or more points (rate, quality) needed, not {curve.shape}")
    if not np.isfinite(curve).all():
        raise ValueError(f"{name}: rates and qualities must be finite")
    rate, quality = curve[np.argsort(curve[:, 1])].T
    if rate.min() <= 0:
        raise ValueError(f"{name}: rates must be positive, got {rate.min():g}")
    repeated = quality[1:][np.diff(quality) == 0]
    if repeated.size:
        raise ValueError(f"{name}: more than one point of quality {repeated[0]:g}")
    if (np.diff(rate) <= 0).any():
        # stacklevel: this function, bd_rate, the caller whose curve it is.
        warnings.warn(f"{name}: the rate does not grow with the quality", CurveWarning, stacklevel=3)
    return quality, np.log(rate)
