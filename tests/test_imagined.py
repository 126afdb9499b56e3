"""Tests of `benchmarks.imagined`: each way to send a picture has its line, and rates are those of files."""

import json

import numpy as np
import pytest

import codec
from benchmarks import imagined
from benchmarks.imagined import at_rates, find_curves, see_filled
from codec.files import write_picture
from codec.metrics import psnr
from tests.pictures import make_picture
from transformers_np.imagining import imagine


def test_a_curve_has_the_bytes_of_files_and_what_is_seen_of_them(monkeypatch):
    monkeypatch.setattr(imagined, "QUALITIES", (20, 80))
    picture = make_picture(40, 56, 1)
    plain, gray = find_curves(
        picture, "tokens", {"last-pass"}, lambda data: [codec.decode_image(data), np.full_like(picture, 128)]
    )
    data = codec.encode_image(picture, 80, profile="tokens", tune="psnr", without={"last-pass"})
    assert plain[1].tolist() == [8 * len(data) / (40 * 56), psnr(picture, codec.decode_image(data))]
    assert plain[0, 0] < plain[1, 0]
    assert gray[0, 1] == gray[1, 1] == psnr(picture, np.full_like(picture, 128))


def test_between_points_there_is_a_line_over_the_logarithm_and_beyond_them_nothing(monkeypatch):
    monkeypatch.setattr(imagined, "RATES", (0.005, 0.01, 0.02, 0.04, 0.1))
    found = at_rates(np.array([[0.04, 24.0], [0.01, 20.0]]))  # in any order
    assert found[1:4] == pytest.approx([20, 22, 24])
    assert np.isnan(found[[0, 4]]).all()


def test_what_is_filled_is_what_was_not_sent():
    data = codec.encode_image(make_picture(40, 56, 1), 60, profile="tokens", without={"last-three-passes"})
    network, laplace = see_filled(data)
    assert np.array_equal(network, imagine(data))
    assert laplace.shape == network.shape
    decoded = codec.decode_image(data)
    assert np.array_equal(laplace[:8, :8], decoded[:8, :8])
    assert not np.array_equal(laplace[:8, 8:16], decoded[:8, 8:16])
    assert not np.array_equal(laplace, network)


def test_the_report_has_a_line_for_each_way(tmp_path, monkeypatch, capsys):
    write_picture(tmp_path / "one.png", make_picture(48, 64, 3))
    monkeypatch.setattr(imagined, "QUALITIES", (2, 30))
    monkeypatch.setattr(imagined, "RATES", (0.3, 9.0))
    file = tmp_path / "found.json"
    imagined.main([str(tmp_path), "--json", str(file)])
    found = json.loads(file.read_text())["data"]["psnr_y"]
    assert list(found) == [
        *imagined.SENT,
        *(f"{sent}, {fill}" for sent in ("half", "a quarter") for fill in ("masked autoencoder", "Laplace fill")),
    ]
    assert {of[1] for of in found.values()} == {None}  # no file is as large as that
    assert "gain of imagined tokens" in capsys.readouterr().out
