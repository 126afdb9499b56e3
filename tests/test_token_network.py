"""Tests of `transformers_np.token_network`: whole numbers, exact on every machine, and what a network is shown."""

import math

import numpy as np
import pytest

from transformers_np import token_network
from transformers_np.token_model import learned
from transformers_np.token_network import (
    ALL_AROUND,
    AROUND,
    EXACT,
    FRACTION,
    RING,
    Network,
    compand,
    gather_inputs,
    input_size,
    quantise,
    step_input,
)


def networks():
    model = learned().model
    return [*model.networks, model.restoration]


def in_integers(network, inputs):
    """Run a network in 64-bit integers, and fractions of them where a power of two divides."""
    x = inputs.astype(np.int64)
    for number, (weights, biases, shifts) in enumerate(network.layers):
        sums = x @ weights.astype(np.int64) + biases
        scaled = sums / 2.0 ** shifts.astype(np.float64)  # both fit a float64: exact
        if number == len(network.layers) - 1:
            return scaled
        x = np.clip(np.rint(scaled), 0, 255).astype(np.int64)
    return None


@pytest.mark.parametrize("number", range(5))
def test_float32_holds_every_sum_exactly(number):
    network = networks()[number]
    rng = np.random.default_rng(number)
    size = input_size(AROUND[number] if number < 4 else ALL_AROUND)
    inputs = rng.integers(-127, 128, (40, size)).astype(np.float32)
    # The worst that a file can ask for: every product of a unit of the same sign.
    first = network.layers[0][0]
    inputs[:20] = 127 * np.sign(first[:, rng.integers(0, first.shape[1], 20)].T + 0.5)
    assert np.array_equal(network(inputs), in_integers(network, inputs).astype(np.float32))


def test_sums_that_float32_could_not_hold_are_refused():
    most = EXACT // (127 * 127)
    good, bad = (np.full((n, 1), 127, np.int8) for n in (most, most + 1))
    last = np.zeros(1, np.int32), np.zeros(1, np.int8)
    Network([(good, *last)])
    with pytest.raises(ValueError, match="exact below"):
        Network([(bad, *last)])
    with pytest.raises(ValueError, match="exact below"):
        Network([(good, np.full(1, EXACT, np.int32), last[1])])


def test_tables_are_the_same_whatever_the_library_of_functions():
    exact = 20 * np.arcsinh(np.arange(1 << 13) / FRACTION)
    assert np.abs(exact % 1 - 0.5).min() > 1e-6
    exact = FRACTION * np.sinh(np.arange(7 * 128 + 1) / 128)
    assert np.abs(exact % 1 - 0.5).min() > 1e-6


def test_companding_is_odd_and_rises_and_expanding_undoes_it():
    x = np.arange(-6000, 6001, dtype=np.float32)
    y = compand(x)
    assert np.array_equal(y, -y[::-1])
    assert (np.diff(y) >= 0).all()
    assert (y.min(), y.max()) == (-127, 127)
    back = token_network.expand(y * np.float32(128 / 20))
    inside = np.abs(x) < 16 * math.sinh(126 / 20)
    assert (np.abs(back - x)[inside] <= 1 + 0.03 * np.abs(x)[inside]).all()


def test_steps_are_told_in_quarters_of_an_octave():
    assert step_input(16 * 64) == 0
    assert step_input(32 * 64) == 8
    told = [step_input(step) for step in range(64, 65_536, 97)]
    assert told == sorted(told)
    assert min(told) >= -127
    assert max(told) <= 127


@pytest.mark.parametrize("number", range(5))
def test_inputs_are_those_of_the_blocks_around(number):
    rng = np.random.default_rng(number)
    rows, columns = 6, 8
    around = AROUND[number] if number < 4 else ALL_AROUND
    start, pitch = [((0, 0), 2), ((1, 1), 2), ((0, 1), 2), ((1, 0), 2), ((0, 0), 1)][number]
    seen = np.zeros((rows + 2, columns + 2, 63), np.float32)
    seen[1:-1, 1:-1] = rng.integers(-127, 128, (rows, columns, 63))
    dc = rng.integers(-300, 300, (rows, columns)).astype(np.float32)
    found = gather_inputs(seen, np.pad(dc, 2, mode="edge"), around, start, pitch, 5.0)
    expected = []
    for row in range(start[0], rows, pitch):
        for column in range(start[1], columns, pitch):
            told = [seen[1 + row + down, 1 + column + right] for down, right in around]
            ring = [
                dc[min(max(row + down, 0), rows - 1), min(max(column + right, 0), columns - 1)] - dc[row, column]
                for down, right in RING
            ]
            expected.append(np.concatenate([*told, compand(np.array(ring, np.float32)), [5.0]]))
    assert np.array_equal(found, np.array(expected, np.float32))


def test_each_pass_sees_only_blocks_of_passes_before():
    phase = {(0, 0): 0, (1, 1): 1, (0, 1): 2, (1, 0): 3}
    for number, around in enumerate(AROUND):
        (row, column) = next(place for place, each in phase.items() if each == number)
        seen = {phase[(row + down) % 2, (column + right) % 2] for down, right in around}
        assert seen == [set(), {0}, {0, 1}, {0, 1, 2}][number]


def test_a_network_of_whole_numbers_answers_as_the_one_in_floats_that_it_was_made_of():
    rng = np.random.default_rng(0)
    parameters = {}
    for i, (before, after) in enumerate(((50, 40), (40, 40), (40, 7))):
        parameters[f"{i}.weight"] = rng.normal(0, before**-0.5, (after, before)).astype(np.float32)
        parameters[f"{i}.bias"] = rng.normal(0, 0.3, after).astype(np.float32)
    parameters["0.weight"][3] = 0  # a unit that has nothing to say
    parameters["0.bias"][3] = 0
    sample = rng.integers(-60, 61, (500, 50)).astype(np.float32)
    scales, offsets = np.linspace(1, 100, 7, dtype=np.float32), np.arange(7, dtype=np.float32)
    network = quantise(parameters, scales, offsets, sample)
    x = sample / 20
    for i in range(3):
        x = x @ parameters[f"{i}.weight"].T + parameters[f"{i}.bias"]
        x = np.maximum(x, 0) if i < 2 else x * scales + offsets
    error = network(sample) - x
    assert np.abs(error).max() < 0.05 * np.abs(x).max()
    assert np.sqrt(np.square(error).mean(axis=0) / x.var(axis=0)).max() < 0.03
