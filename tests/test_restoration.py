"""Tests of `codec.restoration`: bounds, exactness, what an encoder chooses, wrong bytes."""

import dataclasses

import numpy as np
import pytest

import codec
from codec import color, dct, metrics, restoration
from codec.baseline import Baseline
from codec.restoration import (
    ACTIVATION_LIMIT,
    CONDITION_LIMIT,
    EXACT,
    FEATURE_LIMIT,
    FEATURES,
    ORIENTATIONS,
    OUTPUT_LIMIT,
    SAMPLE_LIMIT,
    SIDE,
    Network,
    Windows,
    conditions,
    features,
    orient,
    restore,
    trained,
)
from tests.files import encode_in_strips, put_together, take_apart
from tests.pictures import make_picture


@pytest.fixture(scope="module")
def luma():
    """Levels and decoded luma of a picture, and the stages."""
    stages = Baseline.choose(1, False, 20, "psnr", effort=2)
    levels = stages.forward(make_picture(120, 200, 1)[..., None])[0][0].astype(np.float32)
    return stages, levels, stages.inverses[0](levels)


def plain(network, inputs, of_steps):
    """Compute corrections in whole numbers of 64 bits, and by turning blocks instead of weights."""
    total = np.zeros((len(inputs), 64), np.int64)
    for orientation in ORIENTATIONS:
        (order, signs), (outputs, of_outputs) = orient(orientation)
        answer = one_answer(network, (inputs[:, order] * signs).astype(np.int64), of_steps)
        total[:, outputs] += answer * of_outputs.astype(np.int64)
    return total


def one_answer(network, x, of_steps):
    for i, (weights, bias, shift) in enumerate(zip(network.weights, network.biases, network.shifts, strict=True)):
        sums = x @ weights.astype(np.int64) + bias.astype(np.int64)
        if i == 0:
            sums += of_steps @ network.conditions.astype(np.int64)
        rounded = np.rint(sums / 2.0**shift).astype(np.int64)
        last = i == len(network.weights) - 1
        x = np.clip(rounded, -OUTPUT_LIMIT if last else 0, OUTPUT_LIMIT if last else ACTIVATION_LIMIT)
    return x


# Whole numbers ----------------------------------------------------------------------------------------------


def test_no_sum_of_the_shipped_network_leaves_what_float32_adds_exactly():
    network = trained()
    assert 0 < network.largest_sum() < EXACT
    for array in (*network.weights, *network.biases, network.conditions):
        assert array.dtype == np.float32
        assert np.array_equal(array, np.rint(array))


def test_the_bound_is_that_of_the_worst_input():
    network = trained()
    worst = 0
    of_steps = np.full(4, CONDITION_LIMIT)
    for unit in range(network.weights[0].shape[1]):
        signs = np.sign(network.weights[0][:, unit])
        with_conditions = np.abs(network.conditions[:, unit]) @ of_steps + np.abs(network.biases[0][unit])
        worst = max(worst, FEATURE_LIMIT * float(signs @ network.weights[0][:, unit]) + float(with_conditions))
    for weights, bias in zip(network.weights[1:], network.biases[1:], strict=True):
        worst = max(worst, float((ACTIVATION_LIMIT * np.abs(weights.astype(np.float64)).sum(0) + np.abs(bias)).max()))
    assert network.largest_sum() == int(worst)


def test_no_sum_of_the_windows_transform_does_either():
    assert (SAMPLE_LIMIT * np.abs(restoration._window_matrix().astype(np.int64)).sum(axis=0)).max() < EXACT


def test_waves_are_rounded_alike_everywhere():
    scaled = dct.basis(SIDE) * (1 << dct.BASIS_BITS)
    assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-4  # more than any libm errs


def test_corrections_are_those_of_whole_numbers():
    rng = np.random.default_rng(1)
    inputs = rng.integers(-FEATURE_LIMIT, FEATURE_LIMIT + 1, (50, FEATURES)).astype(np.float32)
    inputs[25:] = np.rint(inputs[25:] * rng.random((25, FEATURES)) ** 4)
    for step in (16, 500, 65_535):
        of_steps = conditions(np.full(64, step))
        found = trained()(inputs.copy(), of_steps)
        assert np.array_equal(found, plain(trained(), inputs, of_steps))
        assert np.ptp(found) > 0


def test_features_are_whole_and_grow_with_what_they_are_made_of():
    levels = np.zeros((300, 64), np.float32)
    levels[:, 5] = np.arange(-150, 150)
    found = features(np.zeros((300, SIDE * SIDE), np.float32), levels)
    of_levels = found[:, SIDE * SIDE + 4]
    assert np.array_equal(found, np.rint(found))
    assert (np.diff(of_levels) >= 0).all()
    assert of_levels[[0, 149, 150, 151, 299]].tolist() == [-127, -12, 0, 12, 127]  # 64 (2**0.25 - 1) = 12.1
    assert not np.delete(found, SIDE * SIDE + 4, axis=1).any()


@pytest.mark.parametrize("orientation", range(8))
def test_features_and_coefficients_of_a_turned_picture(orientation):
    rng = np.random.default_rng(0)
    picture = np.rint(40 * rng.standard_normal((8, 8))).astype(np.float32)
    picture = np.repeat(np.repeat(picture, 3, axis=0), 3, axis=1) * color.LUMA_UNIT  # 24 x 24: one block and its ring
    turned = picture.T if orientation & 4 else picture
    turned = turned[:: -1 if orientation & 2 else 1, :: -1 if orientation & 1 else 1]
    seen, coefficients = [], []
    for luma in (picture, np.ascontiguousarray(turned)):
        of_block = dct.forward(luma[8:16, 8:16].reshape(1, 64) / color.LUMA_UNIT)
        windows = Windows(luma, np.full(64, 160))(slice(1, 2), slice(1, 2))
        seen.append(features(windows, np.rint(of_block / 10))[0])
        coefficients.append(of_block[0])
    (order, signs), (outputs, of_outputs) = orient(orientation)
    assert np.abs(seen[0][order] * signs - seen[1]).max() <= 1  # halves of the transform are rounded up
    assert np.abs(coefficients[0][outputs] * of_outputs - coefficients[1]).max() < 0.1


def test_the_mean_of_a_block_and_a_constant_around_it_are_nothing_new():
    for step in (16, 100, 3000):
        windows = Windows(np.full((24, 32), 91.0, np.float32), np.full(64, step))(slice(None), slice(None))
        assert windows.shape == (12, SIDE * SIDE)
        assert not windows.any()


def test_conditions():
    assert conditions(np.full(64, 256)).tolist() == [0, 0, 0, 0]
    assert conditions(np.repeat([512, 1024, 256, 768], 16)).tolist() == [8, 8, -8, 4]
    for steps in (np.repeat([16, 65_535], 32), np.repeat([65_535, 16], 32)):
        assert np.abs(conditions(steps)).max() <= CONDITION_LIMIT


@pytest.mark.parametrize("blocks", [1, 7, 60, 10_000])
def test_corrections_do_not_depend_on_how_many_blocks_go_at_a_time(luma, blocks, monkeypatch):
    stages, levels, samples = luma
    expected = restore(samples, levels, stages.groups[0].steps)
    monkeypatch.setattr(restoration, "BLOCKS", blocks)
    assert np.array_equal(restore(samples, levels, stages.groups[0].steps), expected)
    assert np.abs(expected).max() > 4


def test_a_block_sees_four_samples_around_it_and_no_more(luma):
    stages, levels, samples = luma
    steps = stages.groups[0].steps
    before = restore(samples, levels, steps)
    changed = samples.copy()
    changed[64:72, 80:88] += 40 * color.LUMA_UNIT
    moved = (restore(changed, levels, steps) != before).any(axis=2)
    rows, columns = np.nonzero(moved)
    assert {*rows} <= {7, 8, 9}
    assert {*columns} <= {9, 10, 11}
    assert moved[7:10, 9:12].sum() > 4
    changed = samples.copy()
    changed[:, 84:] += 40 * color.LUMA_UNIT  # the fifth sample to the right of the block before
    moved = (restore(changed, levels, steps) != before).any(axis=2)
    assert not moved[:, :10].any()


# Files ------------------------------------------------------------------------------------------------------


def flags(data):
    return [payload[4] for name, payload in take_apart(data) if name == b"STRP"]


@pytest.mark.parametrize(("channels", "yuv"), [(1, "420"), (2, "420"), (3, "420"), (3, "444"), (4, "420"), (4, "444")])
def test_an_encoder_takes_restoration_where_it_helps(channels, yuv):
    picture = make_picture(61, 83, channels)
    for tune in ("psnr", "ms-ssim"):
        fast, slow = (
            codec.encode_image(picture, 15, profile="baseline", tune=tune, yuv=yuv, effort=effort) for effort in (1, 2)
        )
        assert flags(slow) == [1]
        assert len(slow) == len(fast) + 1
        was, now = (codec.decode_image(data) for data in (fast, slow))
        shown = [
            np.squeeze(p[..., :1] if channels < 3 else p[..., :3]) if p.ndim == 3 else p for p in (picture, was, now)
        ]
        assert metrics.psnr_y(shown[0], shown[2]) > metrics.psnr_y(shown[0], shown[1]) + 0.1
        if channels in (2, 4):
            assert np.array_equal(was[..., -1], now[..., -1])


def test_an_encoder_leaves_out_restoration_where_it_harms():
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    fast, slow = (codec.encode_image(picture, 97, profile="baseline", effort=effort) for effort in (None, 2))
    assert flags(slow) == [0]
    assert np.array_equal(codec.decode_image(slow), codec.decode_image(fast))


def test_each_strip_has_its_own_choice_and_its_own_surroundings():
    noise = np.random.default_rng(0).integers(0, 256, (16, 80), np.uint8)
    picture = np.concatenate([make_picture(32, 80, 1), noise])
    data = encode_in_strips(picture, 16, 92, profile="baseline", tables="jpeg", effort=2)
    assert flags(data)[2] == 0
    chunks = take_apart(data)
    decoded = codec.decode_image(data)
    name, payload = chunks[1]
    chunks[1] = name, payload[:9]
    recovered = codec.recover_image(put_together(chunks))
    assert recovered.missing == [(0, 16)]
    assert np.array_equal(recovered.pixels[16:], decoded[16:])


def test_by_default_and_when_it_is_left_out_there_is_no_restoration():
    picture = make_picture(40, 40)
    expected = codec.encode_image(picture, 15, profile="baseline")
    assert not codec.read_header(expected).stages.restored
    assert codec.encode_image(picture, 15, profile="baseline", effort=1) == expected
    assert codec.encode_image(picture, 15, profile="baseline", effort=2, without={"restoration"}) == expected


def test_bytes_that_say_neither_yes_nor_no():
    data = codec.encode_image(make_picture(16, 16), 15, profile="baseline", effort=2)
    (head, strip) = take_apart(data)
    for payload, kind in (
        (strip[1][:4], codec.TruncatedError),
        (strip[1][:4] + b"\2" + strip[1][5:], codec.FormatError),
    ):
        with pytest.raises(kind, match="strip"):
            codec.decode_image(put_together([head, (b"STRP", payload)]))
    with pytest.raises(codec.FormatError, match="restoration 2: not in the baseline profile"):
        codec.decode_image(put_together([(b"HEAD", head[1][:-1] + b"\2"), strip]))


def test_a_trace_shows_luma_before_and_after():
    picture = make_picture(50, 60, 1)
    data = encode_in_strips(picture, 16, 15, profile="baseline", effort=2)
    trace = codec.trace_image(data)
    luma = trace.planes["Y"]
    shown = np.clip(luma.restored[:50, :60] + 128.0, 0, 255)
    assert np.abs(shown - trace.pixels).max() <= 0.5 + 1 / 32
    was, now = (np.square(plane[:50, :60] + 128.0 - picture).mean() for plane in (luma.samples, luma.restored))
    assert now < was
    assert trace.ledger.bits["file", "restoration"] == 8 * 4
    assert sum(trace.ledger.bits.values()) == 8 * len(data)


# The shipped weights ----------------------------------------------------------------------------------------


def test_the_shipped_weights_tell_how_they_were_made():
    origin = trained().origin
    assert origin["command"] == f"tcodec train restore --data train_photos/ --seed {origin['seed']} -o restore.npz"
    assert len(origin["corpus"]) == 64
    assert origin["photos"] > 0


def test_weights_there_and_back():
    network = trained()
    arrays = restoration.to_arrays(network)
    assert all(array.dtype.kind in "iU" for array in arrays.values())
    again = restoration.from_arrays(arrays)
    for field in dataclasses.fields(Network):
        for one, other in zip(*(list(getattr(each, field.name)) for each in (network, again)), strict=True):
            assert np.array_equal(one, other)
