"""Tests of `codec.wavefront`: nothing is predicted from what is not yet coded, and everything from where it should."""

import itertools

import numpy as np
import pytest

from codec.wavefront import median, waves

SIZES = [(1, 1), (1, 5), (4, 1), (2, 2), (3, 7), (6, 2), (5, 4)]
sizes = pytest.mark.parametrize(("rows", "columns"), SIZES)


@sizes
def test_every_block_once_and_in_order(rows, columns):
    order = np.concatenate([wave.blocks for wave in waves(rows, columns)])
    assert sorted(order.tolist()) == list(range(rows * columns))
    step = [2 * (block // columns) + block % columns for block in order.tolist()]
    assert step == sorted(step)
    for wave in waves(rows, columns):
        assert wave.blocks.size
        assert len({2 * (block // columns) + block % columns for block in wave.blocks.tolist()}) == 1


@sizes
def test_neighbours_are_coded_before(rows, columns):
    known = {rows * columns}  # what stands for the outside
    for wave in waves(rows, columns):
        assert set(wave.neighbours.ravel().tolist()) <= known
        known |= set(wave.blocks.tolist())


@sizes
def test_neighbours_are_where_they_should_be(rows, columns):
    outside = rows * columns
    for blocks, neighbours in waves(rows, columns):
        assert neighbours.shape == (4, blocks.size)
        for block, found in zip(blocks.tolist(), neighbours.T.tolist(), strict=True):
            row, column = divmod(block, columns)
            above = block - columns
            if block == 0:
                expected = [outside] * 4
            elif row == 0:
                expected = [block - 1] * 4
            else:
                expected = [
                    block - 1 if column else above,
                    above,
                    above + 1 if column < columns - 1 else above - 1 if column else above,
                    above - 1 if column else above,
                ]
            assert found == expected, (row, column)


def test_the_drawing_of_the_module():
    first = [sorted(wave.blocks.tolist()) for wave in waves(3, 6)][:5]
    assert first == [[0], [1], [2, 6], [3, 7], [4, 8, 12]]


def test_the_median_is_the_middle_one():
    triples = np.array([*itertools.product([-(2**15), -3, 0, 1, 2**15 - 1], repeat=3)], np.int16)
    found = median(*triples.T)
    assert found.dtype == np.int16
    assert found.tolist() == [sorted(triple)[1] for triple in triples.tolist()]
