"""Tests of `codec.reconstruct`: prediction sample by sample, residuals against SciPy's transform, edges by rules."""

import numpy as np
import pytest
from scipy import fft

from codec import deblock, quantize, reconstruct
from codec.gop import CASCADE
from codec.interpolation import quarter_sample_plain
from codec.layout import Layout
from codec.reconstruct import Prediction
from codec.scan import ZIGZAG

LAYOUTS = [Layout(2, 3, 0), Layout(2, 2, 1), Layout(1, 2, 2), Layout(1, 1, 1)]


def random_planes(layout, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (8 * rows, 8 * columns)).astype(np.uint8) for rows, columns in layout.grids]


def random_prediction(layout, seed=0, longest=40):
    rng = np.random.default_rng(seed)
    blocks = layout.rows * layout.columns
    vectors = rng.integers(-longest, longest + 1, (blocks, 4, 2, 2)).astype(np.int16)
    return Prediction(rng.permutation(np.arange(blocks) % 4).astype(np.uint8), vectors)


def half_to_even(value):
    """Return half of a whole number, rounded, halves to the even side."""
    return round(value / 2)  # Python rounds so


# Prediction -------------------------------------------------------------------------------------------------


def predict_plain(layout, references, prediction, place):
    """Return one sample of a prediction; the place is (plane, row, column)."""
    plane, y, x = place
    size = 8 * layout.grids[plane][0] // layout.rows  # of a macroblock in this plane
    block = y // size * layout.columns + x // size
    quarter = 2 * (y % size >= size // 2) + (x % size >= size // 2)
    direction = prediction.direction[block]
    samples = []
    for reference, planes in enumerate(references):
        if direction >> reference & 1:
            down, right = prediction.vectors[block, quarter, reference].tolist()
            if size == 8:
                down, right = half_to_even(down), half_to_even(right)
            samples.append(quarter_sample_plain(planes[plane], 4 * y + down, 4 * x + right))
    return 128 if not samples else samples[0] if len(samples) == 1 else (sum(samples) + 1) // 2


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("longest", [3, 40, 3000])
def test_prediction_sample_by_sample(layout, longest):
    references = [random_planes(layout, seed) for seed in (1, 2)]
    prediction = random_prediction(layout, longest, longest)
    found = reconstruct.predict(layout, [reconstruct.interpolate(tuple(planes)) for planes in references], prediction)
    rng = np.random.default_rng(0)
    assert [plane.shape for plane in found] == [plane.shape for plane in references[0]]
    for plane, samples in enumerate(found):
        assert samples.dtype == np.uint8
        places = [(0, 0), *(np.array(samples.shape) - 1).reshape(1, 2), *rng.integers(0, samples.shape, (60, 2))]
        for y, x in np.array(places).tolist():
            assert samples[y, x] == predict_plain(layout, references, prediction, (plane, y, x)), (plane, y, x)


def test_one_reference():
    layout = Layout(1, 2, 1)
    planes = random_planes(layout)
    prediction = Prediction(np.array([1, 0], np.uint8), np.zeros((2, 4, 2, 2), np.int16))
    found = reconstruct.predict(layout, [reconstruct.interpolate(tuple(planes))], prediction)
    for predicted, reference in zip(found, planes, strict=True):
        half = reference.shape[1] // 2
        assert np.array_equal(predicted[:, :half], reference[:, :half])
        assert (predicted[:, half:] == reconstruct.GRAY).all()


def test_halves_of_vectors_favour_no_side():
    vectors = np.arange(-200, 201, dtype=np.int16)
    halves = reconstruct.halve(vectors)
    assert halves.tolist() == [half_to_even(value) for value in vectors.tolist()]
    assert halves.sum() == 0
    extremes = np.array([-(2**15), 2**15 - 1], np.int16)
    assert reconstruct.halve(extremes[:1]).tolist() == [-(2**14)]


def test_every_average():
    one, other = (grid.astype(np.uint8) for grid in np.indices((256, 256)))
    expected = (one.astype(int) + other + 1) // 2
    assert np.array_equal(reconstruct.average(one, other), expected)


# Residuals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [16, 53, 448, 4000])
def test_residuals_are_scipys_transform(step):
    rng = np.random.default_rng(step)
    (plane,) = random_planes(Layout(2, 3, 0))
    where = np.array([0, 5, 6, 13, 23])
    levels = np.rint(rng.laplace(0, 0.5 + 60 / step, (5, 64))).astype(np.float32)
    expected = plane.astype(float)
    for block, own in zip(where, levels, strict=True):
        y, x = 8 * (block // 6), 8 * (block % 6)
        coefficients = np.zeros(64)
        coefficients[ZIGZAG] = own * step / 16.0
        expected[y : y + 8, x : x + 8] += fft.idctn(coefficients.reshape(8, 8), norm="ortho")
    found = plane.copy()
    reconstruct.add_residual(found, where, levels, step)
    # An entry of the matrix is rounded to 2**-11; its two cosines, 1/2 at most, to 2**-20.
    bound = np.abs(levels).sum(axis=1).max() * (2.0**-12 + step / 16 * 2.0**-21)
    assert bound < 0.1
    assert np.abs(found - np.clip(expected, 0, 255)).max() <= 0.5 + bound
    untouched = np.ones((4, 6), bool)
    untouched.reshape(-1)[where] = False
    untouched = np.kron(untouched, np.ones((8, 8), bool))
    assert np.array_equal(found[untouched], plane[untouched])
    assert (found != plane).any()


def test_residuals_are_clipped():
    plane = np.full((16, 16), 100, np.uint8)
    levels = np.zeros((2, 64), np.float32)
    levels[:, 0] = [30_000, -30_000]
    reconstruct.add_residual(plane, np.array([0, 3]), levels, 65_535)
    assert (plane[:8, :8] == 255).all()
    assert (plane[8:, 8:] == 0).all()
    assert (plane[:8, 8:] == 100).all()


def test_no_residual():
    plane = np.full((16, 16), 100, np.uint8)
    reconstruct.add_residual(plane, np.zeros(0, np.intp), np.zeros((0, 64), np.float32), 100)
    assert (plane == 100).all()


# Steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [0, 1, 33.33, 60, 99, 100])
def test_steps_are_those_of_still_images_times_the_cascade(quality):
    luma, _ = quantize.scale(quantize.TABLES["flat"], quality)
    steps = [reconstruct.steps(quality, level) for level in range(len(CASCADE))]
    assert [of_luma for of_luma, _ in steps] == [max(16, int(luma[0]) * percent // 100) for percent in CASCADE]
    assert all(16 <= step <= 65_535 for both in steps for step in both)
    assert steps == sorted(steps)


def test_steps_grow_as_quality_falls():
    for level in range(len(CASCADE)):
        steps = [reconstruct.steps(quality, level) for quality in range(100, -1, -1)]
        assert [luma for luma, _ in steps] == sorted(luma for luma, _ in steps)
        assert [chroma for _, chroma in steps] == sorted(chroma for _, chroma in steps)


# Edges ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=str)
def test_edges_are_filtered_by_the_motion_of_their_blocks(layout):
    rng = np.random.default_rng(7)
    prediction = random_prediction(layout, 1, 4)
    prediction.direction[0] = 1
    planes = [(100 + plane // 32).astype(np.uint8) for plane in random_planes(layout)]
    coded = [rng.random(grid) < 0.3 for grid in layout.grids]
    expected = []
    for plane, (rows, columns) in enumerate(layout.grids):
        side = rows // layout.rows
        direction, vectors = np.zeros((rows, columns), np.uint8), np.zeros((rows, columns, 2, 2), np.int16)
        for row, column in np.ndindex(rows, columns):
            block = row // side * layout.columns + column // side
            # With one block a macroblock, its first quarter speaks for it.
            quarter = 2 * (row % 2) + column % 2 if side == 2 else 0
            direction[row, column] = prediction.direction[block]
            vectors[row, column] = prediction.vectors[block, quarter]
        edges = deblock.strengths(direction == 0, coded[plane], vectors, direction)
        filtered = planes[plane].copy()
        deblock.deblock(filtered, *edges, 400 if plane == 0 else 300)
        expected.append(filtered)
    before = [plane.copy() for plane in planes]
    reconstruct.filter_edges(layout, planes, coded, prediction, (400, 300))
    for found, wanted, original in zip(planes, expected, before, strict=True):
        assert np.array_equal(found, wanted)
        assert (found != original).any() or min(found.shape) == 8
