"""Tests of `codec.blocks`: where every pixel goes, and that it comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import blocks

sides = st.integers(1, 4)


def numbered(*shape):
    """Return an array whose elements are all different."""
    return np.arange(np.prod(shape)).reshape(shape)


def test_the_order_of_macroblocks():
    # The drawing in the module: two macroblocks of 2 x 2 blocks, here of 1 x 1.
    picture = np.array([[0, 1, 4, 5], [2, 3, 6, 7]])
    assert blocks.split(picture, 1, 2).ravel().tolist() == list(range(8))


@given(sides, sides, st.integers(1, 3), st.integers(1, 5), st.sampled_from([(), (1,), (3,)]))
def test_each_block_is_its_part_of_the_picture(rows, columns, group, size, channels):
    picture = numbered(rows * group * size, columns * group * size, *channels)
    cut = blocks.split(picture, size, group)
    assert cut.shape == (rows, columns, group, group, size, size, *channels)
    assert cut.flags.c_contiguous
    for row, column, i, j in np.ndindex(rows, columns, group, group):
        top, left = (row * group + i) * size, (column * group + j) * size
        assert np.array_equal(cut[row, column, i, j], picture[top : top + size, left : left + size])


@given(sides, sides, st.integers(1, 3), st.integers(1, 5), st.sampled_from([(), (1,), (3,)]))
def test_merge_undoes_split(rows, columns, group, size, channels):
    picture = numbered(rows * group * size, columns * group * size, *channels)
    assert np.array_equal(blocks.merge(blocks.split(picture, size, group)), picture)


@given(sides, sides, st.integers(1, 3), st.integers(1, 5))
def test_raster_gives_the_order_without_macroblocks(rows, columns, group, size):
    picture = numbered(rows * group * size, columns * group * size)
    plain = blocks.split(picture, size)
    assert np.array_equal(blocks.raster(blocks.split(picture, size, group)), plain[:, :, 0, 0])


def test_raster_takes_one_number_a_block():
    picture = numbered(4, 6)
    assert np.array_equal(blocks.raster(blocks.split(picture, 1, 2)[..., 0, 0]), picture)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 8, 16]), st.sampled_from([(), (1,), (4,)]))
def test_pad_repeats_the_edge(height, width, multiple, channels):
    picture = numbered(height, width, *channels)
    padded = blocks.pad(picture, multiple)
    for padded_side, side in zip(padded.shape, (height, width), strict=False):
        assert padded_side % multiple == 0
        assert side <= padded_side < side + multiple
    rows = np.minimum(np.arange(padded.shape[0]), height - 1)
    columns = np.minimum(np.arange(padded.shape[1]), width - 1)
    assert np.array_equal(padded, picture[rows][:, columns])


@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_pad_leaves_whole_blocks_alone(multiple):
    picture = numbered(8, 16, 3)
    assert blocks.pad(picture, multiple) is picture
