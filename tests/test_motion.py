"""Tests of `codec.motion`: the exact search against its plain form, and the codec's against the exact one."""

import numpy as np
import pytest

from codec import blocks, interpolation, motion
from codec.motion import Reference
from tests.pictures import make_picture

BLOCK = 16


def noise(height, width, seed=0):
    """Return a plane on which no two blocks look alike."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def fine_texture(height, width):
    """Return noise of which nothing is left at a quarter of the size: all 4 x 4 samples have the same mean."""
    rng = np.random.default_rng(0)
    half = rng.integers(0, 256, (height // 4, width // 4, 8), dtype=np.uint8)
    tiles = rng.permuted(np.concatenate([half, 255 - half], axis=2), axis=2).reshape(height // 4, width // 4, 4, 4)
    return tiles.swapaxes(1, 2).reshape(height, width)


def moved(picture, down, right):
    """Return the picture whose every sample comes from (down, right) away, the edge repeated."""
    height, width = picture.shape
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    return picture[rows[:, None], np.clip(np.arange(width) + right, 0, width - 1)]


def moved_by_quarters(picture, down, right):
    """Return the same for a displacement in quarter samples."""
    height, width = picture.shape
    row, column = (down >> 2) + interpolation.BORDER, (right >> 2) + interpolation.BORDER
    planes = interpolation.quarter_planes(picture)
    return planes[4 * (down & 3) + (right & 3), row : row + height, column : column + width].copy()


def scene(height, width, time, seed):
    """Return a frame of a made-up clip: a textured ground that pans, a disc that crosses it, and noise on all of it."""
    rng = np.random.default_rng(1000 * seed + time)
    ground = make_picture(height + 64, width + 64, 1, seed)[32 + 2 * time :, 32 - 3 * time :][:height, :width]
    disc = make_picture(height, width, 1, seed + 100)
    row, column = np.ogrid[:height, :width]
    middle = height // 2 - 3 * time, width // 3 + 5 * time
    inside = (row - middle[0]) ** 2 + (column - middle[1]) ** 2 < (height // 3) ** 2
    frame = np.where(inside, moved(disc, 3 * time, -5 * time), ground) + rng.integers(-2, 3, (height, width))
    return np.clip(frame, 0, 255).astype(np.uint8)


def cut(picture, size):
    """Return a picture's (rows, columns, size, size) blocks."""
    return blocks.raster(blocks.split(picture, size))


def sads_of(current, reference, vectors, size):
    """Return the SAD of every block and what its vector, in quarter samples, points to."""
    top, left = (place.ravel() for place in np.indices(vectors.shape[:2]) * size)
    planes = interpolation.quarter_planes(reference)
    found = interpolation.fetch(planes, vectors.reshape(-1, 2), top, left, size)
    return motion.sad(cut(current, size), found.reshape(*vectors.shape[:2], size, size))


def prices_of(differences, cost_of_bit):
    """Return what vectors cost that differ so from the predicted ones, component by component."""
    components = np.stack([differences, np.zeros_like(differences)], axis=-1)  # each beside a component of no length
    return np.rint((motion.vector_bits(components).astype(float) - 1) * cost_of_bit).sum(axis=-1)


# Frames and blocks ------------------------------------------------------------------------------------------


def test_differences_do_not_wrap_around():
    frame, reference = np.array([[0, 255, 7]], np.uint8), np.array([[255, 0, 7]], np.uint8)
    assert motion.difference(frame, reference).tolist() == [[-255, 255, 0]]


def test_sad_and_ssd():
    block = np.full((3, 16, 16), 255, np.uint8)
    other = block - np.array([0, 1, 255], np.uint8)[:, None, None]
    other[1, 0, 0] = 250
    assert motion.sad(block, other).tolist() == [0, 255 + 5, 256 * 255]
    assert motion.ssd(block, other).tolist() == [0, 255 + 25, 256 * 255**2]
    assert motion.sad(other, block).tolist() == motion.sad(block, other).tolist()


def test_a_residual_and_the_prediction_give_back_the_frame():
    frame, prediction = noise(16, 16, 1), noise(16, 16, 2)
    rest = motion.residual(frame, prediction)
    assert np.array_equal(prediction + rest, frame)


def test_a_residual_can_be_seen():
    rest = np.array([[-255, -129, -128, 0, 1, 127, 128, 255]], np.int16)
    assert motion.show_residual(rest).tolist() == [[0, 0, 0, 128, 129, 255, 255, 255]]
    assert motion.show_residual(rest).dtype == np.uint8


# Exact search -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["sad", "ssd"])
@pytest.mark.parametrize("size", [4, 8])
def test_plain_and_fast_full_search_agree(measure, size):
    rng = np.random.default_rng(size)
    current, reference = rng.integers(0, 3, (2, 16, 24), dtype=np.uint8)  # three values: many ties
    plain = motion.full_search_plain(current, reference, size, 3, measure)
    fast = motion.full_search(current, reference, size, 3, measure)
    assert np.array_equal(plain[0], fast[0])
    assert np.array_equal(plain[1], fast[1])


def test_full_search_finds_the_smallest_of_all_costs():
    current, reference = noise(16, 16, 1) // 16, noise(16, 16, 2) // 16
    vectors, costs = motion.full_search(current, reference, 8, 2, "ssd")
    wide = np.pad(reference.astype(int), 2, mode="edge")
    for row, column in np.ndindex(2, 2):
        block = current[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].astype(int)
        every = {
            (y, x): ((block - wide[8 * row + 2 + y :, 8 * column + 2 + x :][:8, :8]) ** 2).sum()
            for y in range(-2, 3)
            for x in range(-2, 3)
        }
        assert costs[row, column] == min(every.values()) == every[tuple(vectors[row, column].tolist())]


@pytest.mark.parametrize("full_search", [motion.full_search, motion.full_search_plain])
def test_of_equal_vectors_the_shortest_then_upwards_then_left(full_search):
    flat = np.full((8, 8), 9, np.uint8)
    assert not full_search(flat, flat, 8, 2)[0].any()
    stripes = np.tile(np.array([0, 200], np.uint8), (16, 8))
    assert (full_search(1 - stripes // 200, stripes // 200, 8, 2)[0][:, 0] == [0, 1]).all()  # left lies the edge
    assert (full_search(1 - stripes // 200, stripes // 200, 4, 2)[0][:, 1:3] == [0, -1]).all()
    assert (full_search(1 - stripes.T // 200, stripes.T // 200, 4, 2)[0][1:3] == [-1, 0]).all()


def test_ssd_minds_a_large_error_more_than_many_small_ones():
    current, reference = np.zeros((2, 8, 16), np.uint8)
    reference[:, :8] = 2  # here all samples are off by 2: SAD 128, SSD 256
    reference[:, 8] = 12  # from here on one in each row is, by 12: SAD 96, SSD 1152
    for measure, expected in ("sad", [0, 8]), ("ssd", [0, 0]):
        vectors, _ = motion.full_search(current, reference, 8, 8, measure)
        assert vectors[0, 0].tolist() == expected


@pytest.mark.parametrize("shift", [(3, -2), (-4, 4), (0, 0)])
def test_full_search_finds_a_shift_and_compensation_undoes_it(shift):
    reference = noise(32, 48)
    current = moved(reference, *shift)
    vectors, costs = motion.full_search(current, reference, 8, 4)
    assert (vectors == shift).all()
    assert not costs.any()
    assert np.array_equal(motion.compensate(reference, vectors, 8), current)


def test_compensation_reaches_outside_the_picture():
    reference = noise(16, 32)
    vectors = np.array([[[-1000, -1000], [-1000, 1000]]], np.int16)
    corners = motion.compensate(reference, vectors, 16)
    assert (corners[:, :16] == reference[0, 0]).all()
    assert (corners[:, 16:] == reference[0, -1]).all()


def test_compensation_is_what_quarter_vectors_fetch_at_whole_samples():
    current, reference = noise(32, 48, 1), noise(32, 48, 2)
    vectors = np.random.default_rng(3).integers(-40, 41, (2, 3, 2)).astype(np.int16)
    prediction = motion.compensate(reference, vectors, 16)
    assert np.array_equal(
        motion.sad(cut(current, 16), cut(prediction, 16)), sads_of(current, reference, 4 * vectors, 16)
    )


# The codec's search -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0, 0), (4, -8), (-20, 32), (100, -124), (-7, 9), (30, 21), (2, -66), (127, -125)])
def test_search_finds_a_shift_in_quarter_samples(shift):
    reference = make_picture(96, 112, 1)
    current = moved_by_quarters(reference, *shift)
    vectors, costs = motion.search(current, Reference.of(reference), cost_of_bit=1)
    # In the edge that is seen where the picture has ended, one vector is as good as another.
    seen = (slice(1, -1), slice(1, -1))
    if max(map(abs, shift)) < 64:
        assert (vectors[seen] == shift).all()
    assert (vectors[2:4, 2:5] == shift).all()
    assert (costs <= 2 * motion.vector_bits(np.array(shift))).all()  # the SAD is 0, whatever was found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("apart", [1, 4])
def test_search_comes_close_to_the_exact_one(seed, apart):
    reference, current = scene(128, 160, 0, seed), scene(128, 160, apart, seed)
    _, exact = motion.full_search(current, reference, BLOCK, 24)
    vectors, costs = motion.search(current, Reference.of(reference), reach=24, cost_of_bit=0, finest=4)
    assert not (vectors & 3).any()
    assert (costs >= exact).all()
    assert costs.sum() <= 1.02 * exact.sum()
    finer = motion.search(current, Reference.of(reference), reach=24, cost_of_bit=0)[1]
    assert finer.sum() < costs.sum()


@pytest.mark.parametrize("seed", range(3))
def test_quarter_samples_come_close_to_all_those_around_the_exact_vectors(seed):
    reference, current = scene(96, 128, 0, seed), moved_by_quarters(scene(96, 128, 2, seed), 3, -5)
    whole, _ = motion.full_search(current, reference, BLOCK, 24)
    around = np.array([(y, x) for y in range(-4, 5) for x in range(-4, 5)], np.int16)
    exact = np.min([sads_of(current, reference, 4 * whole + step, BLOCK) for step in around], axis=0)
    _, costs = motion.search(current, Reference.of(reference), reach=24, cost_of_bit=0)
    assert costs.sum() <= 1.02 * exact.sum()


def test_where_nothing_can_be_seen_nothing_moves():
    flat = np.full((32, 32), 77, np.uint8)
    vectors, costs = motion.search(flat, Reference.of(flat), cost_of_bit=0)
    assert not vectors.any()
    assert not costs.any()


def test_a_fade_does_not_move():
    reference = fine_texture(64, 64) // 4 + 2 * np.arange(64, dtype=np.uint8)
    vectors, _ = motion.search(reference + np.uint8(16), Reference.of(reference), cost_of_bit=1, finest=4)
    assert not vectors.any()  # although to the coarse search the shade has moved by 8 samples


@pytest.mark.parametrize("cost_of_bit", [0, 4, 7.3])
def test_costs_of_search_are_differences_and_bits(cost_of_bit):
    reference, current = scene(64, 96, 0, 5), scene(64, 96, 2, 5)
    vectors, costs = motion.search(current, Reference.of(reference), cost_of_bit=cost_of_bit)
    expected = np.zeros_like(vectors)
    rows, columns = costs.shape
    for row, column in np.ndindex(rows, columns):
        if row == 0:
            expected[row, column] = vectors[row, column - 1] if column else 0
            continue
        above = vectors[row - 1, column]
        left = vectors[row, column - 1] if column else above
        corner = vectors[row - 1, column + 1] if column < columns - 1 else vectors[row - 1, column - 1]
        expected[row, column] = np.median([left, above, corner], axis=0)
    rates = prices_of(vectors - expected, cost_of_bit)
    assert np.array_equal(costs, sads_of(current, reference, vectors, BLOCK) + rates)


def test_what_bits_cost_keeps_vectors_from_following_noise():
    reference, current = (100 + noise(96, 96, seed) % 5 for seed in (1, 2))

    def bits(cost_of_bit):
        vectors, _ = motion.search(current, Reference.of(reference), cost_of_bit=cost_of_bit)
        return motion.vector_bits(np.diff(vectors, axis=1)).sum()

    assert bits(0) > 1.5 * bits(4)
    assert bits(0) > 3 * bits(40)


@pytest.mark.parametrize("reach", [0, 3, 8, 32])
def test_vectors_stay_within_reach(reach):
    reference, current = noise(64, 64, 1), noise(64, 64, 2)
    far = np.full((4, 4, 2), -32768, np.int16)
    vectors, _ = motion.search(current, Reference.of(reference), reach=reach, cost_of_bit=0, predicted=far)
    assert np.abs(vectors).max() <= 4 * reach


@pytest.mark.parametrize("finest", [1, 2, 4])
def test_the_finest_step(finest):
    reference = make_picture(64, 64, 1)
    current = moved_by_quarters(reference, 5, -6)
    vectors, _ = motion.search(current, Reference.of(reference), cost_of_bit=1, finest=finest)
    assert not (vectors % finest).any()
    assert (vectors % (2 * finest)).any()


def test_predicted_vectors_are_tried():
    reference = fine_texture(64, 64)
    assert np.ptp(motion.pyramid(reference)) <= 1  # so the coarse search sees nothing
    current = moved(reference, 12, -8)
    blind, _ = motion.search(current, Reference.of(reference), cost_of_bit=1)
    truth = np.broadcast_to(np.array([48, -32], np.int16), (4, 4, 2))
    vectors, _ = motion.search(current, Reference.of(reference), cost_of_bit=1, predicted=truth)
    assert not (blind[1:3, 1:3] == truth[1:3, 1:3]).all()
    assert np.array_equal(vectors[:3, 1:], truth[:3, 1:])


def test_the_largest_difference_there_is():
    white, black = np.full((16, 16), 255, np.uint8), np.zeros((16, 16), np.uint8)
    vectors, costs = motion.search(white, Reference.of(black), cost_of_bit=0)
    assert costs.tolist() == [[256 * 255]]
    assert motion.refine_split(white, Reference.of(black), vectors, 0)[1].tolist() == [[64 * 255] * 2] * 2


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 16)])
def test_small_pictures(shape):
    reference = make_picture(*shape, 1)
    current = moved_by_quarters(reference, -6, 5)
    vectors, costs = motion.search(current, Reference.of(reference), cost_of_bit=1)
    assert vectors.shape == (shape[0] // 16, shape[1] // 16, 2)
    assert costs.max() <= 40  # the bits of the vector; without motion it is thousands
    split, split_costs = motion.refine_split(current, Reference.of(reference), vectors, 1)
    assert split.shape == (shape[0] // 8, shape[1] // 8, 2)
    assert split_costs.shape == split.shape[:2]


def test_a_reference_may_end_before_the_blocks_do():
    reference, current = scene(64, 96, 0, 7)[:55, :82], scene(64, 96, 1, 7)
    padded = blocks.pad(reference, BLOCK)
    ended, costs = motion.search(current, Reference.of(reference), cost_of_bit=0)
    assert np.array_equal(costs, sads_of(current, padded, ended, BLOCK))
    assert costs.sum() < 1.05 * motion.search(current, Reference.of(padded), cost_of_bit=0)[1].sum()
    split, costs = motion.refine_split(current, Reference.of(reference), ended, 0)
    assert np.array_equal(costs, sads_of(current, padded, split, 8))


def test_searching_changes_nothing_that_it_was_given():
    current, plane = scene(64, 64, 1, 3), scene(64, 64, 0, 3)
    reference = Reference.of(plane)
    predicted = np.full((4, 4, 2), 7, np.int16)
    vectors, _ = motion.search(current, reference, cost_of_bit=2, predicted=predicted)
    given = vectors.copy()
    first = motion.refine_split(current, reference, vectors, 2)
    assert np.array_equal(current, scene(64, 64, 1, 3))
    assert all(map(np.array_equal, reference, Reference.of(plane)))
    assert (predicted == 7).all()
    assert np.array_equal(vectors, given)
    assert all(map(np.array_equal, first, motion.refine_split(current, reference, vectors, 2)))


# Blocks of 8 x 8 --------------------------------------------------------------------------------------------


def test_split_blocks_follow_halves_that_move_apart():
    reference = make_picture(96, 96, 1)
    current = np.where(np.arange(96) % 16 < 8, moved(reference, 2, -3), moved(reference, -1, 2))
    prepared = Reference.of(reference)
    vectors, costs = motion.search(current, prepared, cost_of_bit=1)
    split, split_costs = motion.refine_split(current, prepared, vectors, 1)
    assert split_costs.sum() < costs.sum() / 4
    assert (split[2:-2, 2:-2:2] == [8, -12]).all(axis=-1).mean() > 0.9
    assert (split[2:-2, 3:-2:2] == [-4, 8]).all(axis=-1).mean() > 0.9


@pytest.mark.parametrize("cost_of_bit", [0, 3.7])
def test_costs_of_split_blocks_are_differences_and_bits(cost_of_bit):
    reference, current = scene(64, 96, 0, 5), scene(64, 96, 2, 5)
    prepared = Reference.of(reference)
    vectors, _ = motion.search(current, prepared, cost_of_bit=cost_of_bit)
    split, costs = motion.refine_split(current, prepared, vectors, cost_of_bit)
    own = vectors.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(costs, sads_of(current, reference, split, 8) + prices_of(split - own, cost_of_bit))
    unsplit = sads_of(current, reference, own, 8) + prices_of(own - own, cost_of_bit)
    assert (costs <= unsplit).all()
    assert costs.sum() < unsplit.sum()


def test_split_blocks_descend_to_quarter_samples():
    reference = make_picture(64, 64, 1)
    current = moved_by_quarters(reference, 7, -9)
    split, _ = motion.refine_split(current, Reference.of(reference), np.zeros((4, 4, 2), np.int16), 0)
    assert (split[1:-1, 1:-1] == [7, -9]).all(axis=-1).mean() > 0.5


def test_split_blocks_take_over_vectors_from_around_them():
    reference = noise(48, 48)
    vectors = np.zeros((3, 3, 2), np.int16)
    vectors[0, 0] = 88, -52  # too far away to be found in steps
    current = reference.copy()
    current[16:24, 16:24] = moved(reference, 22, -13)[16:24, 16:24]
    split, costs = motion.refine_split(current, Reference.of(reference), vectors, 1)
    assert split[2, 2].tolist() == [88, -52]
    assert costs[3, 3] == 2  # at rest


# Prices and small pictures ----------------------------------------------------------------------------------


def test_bits_of_vectors():
    assert motion.vector_bits(np.array([[0, 0], [1, 0], [0, -3], [-7, 15]])).tolist() == [2, 4, 6, 16]
    lengths = np.arange(1024)
    bits = motion.vector_bits(np.stack([lengths, 0 * lengths], axis=1))
    assert np.abs(bits - (2 + 2 * np.log2(1 + lengths))).max() < 1 / 16
    assert bits.dtype == np.float32
    assert motion.vector_bits(np.array([32767, -32767])) == motion.vector_bits(np.array([1023, 1023]))


def test_pyramid_is_the_mean_of_four_by_four():
    plane = noise(7, 10)
    wide = np.pad(plane, ((0, 1), (0, 2)), mode="edge")
    expected = [
        [int(wide[y : y + 4, x : x + 4].sum(dtype=int) + 8) // 16 for x in range(0, 12, 4)] for y in range(0, 8, 4)
    ]
    assert motion.pyramid(plane).tolist() == expected
    assert (motion.pyramid(np.full((8, 8), 255, np.uint8)) == 255).all()
