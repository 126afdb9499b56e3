"""Tests of `benchmarks.train_tokens`: gradients, and a tiny run whose result pictures can be coded with."""

import sys
from importlib.resources import files

import numpy as np
import pytest

from benchmarks import train_tokens
from codec import color
from codec.files import read_picture, write_picture
from codec.metrics import psnr
from transformers_np.runs import DivergedError
from transformers_np.token_model import from_arrays, to_arrays
from transformers_np.token_profile import Tokens

WIDTHS = (8, 16, 16, 16, 16)


@pytest.fixture(scope="module")
def photos():
    """Two crops of the photograph that comes with the package."""
    pixels, _, _ = read_picture((files("codec") / "data/coffee.png").read_bytes(), suffix=".png")
    return [np.ascontiguousarray(pixels[100:230, first : first + 130]) for first in (100, 240)]


@pytest.fixture(scope="module")
def small():
    """Make all of it as little as it can be."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"BATCH": 64, "SAMPLES": 300, "SAMPLE": 200, "LADDER": (13, 34), "ROUNDS": 5}.items():
            patch.setattr(train_tokens, name, value)
        yield


def run(photos, seed):
    return train_tokens.train(photos, seed, 4, WIDTHS, 3, log=lambda _: None)


@pytest.fixture(scope="module")
def learned(photos, small):
    return run(photos, 1)


def test_a_seed_makes_the_same_file_and_another_one_does_not(photos, small, learned):
    first, again, other = (to_arrays(each) for each in (learned, run(photos, 1), run(photos, 2)))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["weights3_0"], other["weights3_0"])


def test_a_network_that_diverges_is_an_error(photos, small, monkeypatch):
    monkeypatch.setattr(train_tokens, "prediction_loss", lambda out, *_: (np.nan, np.full_like(out, np.nan)))
    with pytest.raises(DivergedError, match="network 0, step 0"):
        run(photos, 1)


def test_pictures_are_coded_with_what_comes_out_of_a_file(photos, learned):
    arrays = to_arrays(learned)
    again = from_arrays(arrays)
    assert all(np.array_equal(arrays[name], each) for name, each in to_arrays(again).items())
    picture = photos[0][:128, :128]
    one, other = (Tokens(3, True, 64 * 8, tables=tables) for tables in (learned, again))
    out = np.empty_like(picture)
    strip = one.encode_strip(picture)
    other.decode_strip(strip, 0, out)
    assert psnr(picture, out) > 30


@pytest.mark.parametrize("stage", [1, 4])
def test_gradients_are_those_of_the_loss(stage):
    rng = np.random.default_rng(stage)
    outputs = 126 if stage < 4 else 64
    parameters = {name: each.astype(np.float64) for name, each in train_tokens.initial((9, 6, outputs), rng).items()}
    x, weight = rng.standard_normal((5, 9)), rng.random(5)
    wanted = 6 * rng.standard_normal((5, 63 if stage < 4 else 64))
    find_loss = train_tokens.prediction_loss if stage < 4 else train_tokens.restoration_loss

    def loss_at(parameters):
        return find_loss(train_tokens.forward(parameters, x)[0], wanted, weight)[0]

    out, caches = train_tokens.forward(parameters, x)
    found = train_tokens.backward(find_loss(out, wanted, weight)[1], caches)
    for name, each in parameters.items():
        for _ in range(3):
            index = tuple(rng.integers(0, size) for size in each.shape)
            slopes = []
            for by in (1e-5, -1e-5):
                moved = {**parameters, name: each.copy()}
                moved[name][index] += by
                slopes.append(loss_at(moved))
            assert found[name][index] == pytest.approx((slopes[0] - slopes[1]) / 2e-5, rel=1e-4, abs=1e-7)


def test_expected_errors_are_not_pulled_out_of_their_limits():
    out = np.zeros((2, 126), np.float32)
    out[:, 63:] = [[-30.0], [30.0]]
    wanted = np.zeros((2, 63), np.float32)
    wanted[1] = 400.0
    _, slopes = train_tokens.prediction_loss(out, wanted, np.ones(2, np.float32))
    assert not slopes[0, 63:].any()
    wanted[1] = 0.0
    _, slopes = train_tokens.prediction_loss(out, wanted, np.ones(2, np.float32))
    assert (slopes[1, 63:] > 0).all()  # back inside


def test_a_network_learns_what_blocks_around_tell(photos):
    rng = np.random.default_rng(1)
    planes = [color.luma_chroma(photo)[0] for photo in photos]
    pool = train_tokens.make_pool(planes, rng)
    scales = train_tokens.output_scales(pool, 3)
    _, network = train_tokens.fit(pool, 3, train_tokens.draw(3, 32, rng), scales, 120, 2e-3, rng, lambda _: None)
    inputs, wanted = train_tokens.batch_of(pool, np.arange(pool.places.size), 3)
    values, errors = network.predict(inputs)
    off = np.arcsinh(values / 16) - np.arcsinh(wanted)
    assert np.square(off).sum() < 0.9 * np.square(np.arcsinh(wanted)).sum()
    large = np.abs(wanted - values / 16) >= 1
    assert errors[large].mean() > errors[~large].mean() + 2  # half an octave


def test_transforms_are_sparser_for_blocks_like_those_they_were_fitted_to():
    rng = np.random.default_rng(2)
    hidden = np.linalg.qr(rng.standard_normal((63, 63)))[0]
    blocks = (9 * (rng.random((3000, 63)) < 0.03) * rng.standard_normal((3000, 63)) @ hidden).astype(np.float32)
    matrices = train_tokens.fit_matrices(blocks, 3, lambda _: None)
    assert np.array_equal(matrices[0], np.eye(63))
    costs = [np.minimum(np.square(blocks @ matrix.T), 0.49).sum(axis=1) for matrix in matrices]
    assert np.min(costs, axis=0).mean() < 0.7 * costs[0].mean()
    for matrix in matrices:
        assert np.abs(matrix @ matrix.T - np.eye(63)).max() < 2e-3


def test_a_file_tells_how_it_was_made(photos, small, tmp_path, monkeypatch):
    for number, photo in enumerate(photos):
        write_picture(tmp_path / f"{number}.png", photo)
    output = tmp_path / "tokens.npz"
    monkeypatch.setattr(train_tokens, "WIDTHS", WIDTHS)
    monkeypatch.setattr(train_tokens.train, "__defaults__", (1, 4, WIDTHS, 2, lambda _: None))
    monkeypatch.setattr(
        sys, "argv", ["train", str(tmp_path), "-o", str(output), "--seed", "5", "--steps", "4", "--leave-out", "1.png"]
    )
    train_tokens.main()
    with np.load(output) as arrays:
        origin = from_arrays(dict(arrays)).origin
    assert origin["command"].endswith("-o tokens.npz --seed 5 --steps 4 --leave-out 1.png")
    assert (origin["seed"], origin["photos"], len(origin["corpus"])) == (5, 1, 64)
