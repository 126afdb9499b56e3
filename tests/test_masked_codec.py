"""Tests of `benchmarks.masking`: files of some tokens, and what is made of the others."""

import json

import numpy as np
import pytest

import codec
from benchmarks import masking
from benchmarks.codecs import choose
from benchmarks.masking import Masked
from benchmarks.rd import RIVALS
from benchmarks.sources import PICTURES
from codec.files import write_picture
from tests.pictures import make_picture
from transformers_np.inpainting_training import hidden_pixels
from transformers_np.masking import random_mask

WITHOUT = Masked("baseline", 60, network=False)


def test_masked_codecs_are_found_when_they_are_asked_for():
    chosen, _ = choose(["masked"], PICTURES)
    assert [each.name for each in chosen] == [
        f"masked-{kind}-baseline-{quality}" for quality in (15, 60) for kind in ("mae", "laplace")
    ]
    assert "masked" not in RIVALS[PICTURES]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(61, 83), (16, 8)])
def test_fewer_tokens_fewer_bytes_and_more_errors(height, width, channels):
    picture = make_picture(height, width, channels)
    files = [WITHOUT.encode(picture, sent) for sent in (100, 50, 10)]
    found = [WITHOUT.decode(data) for data in files]
    errors = [np.square(picture.astype(float) - decoded).mean() for decoded in found]
    assert {decoded.shape for decoded in found} == {picture.shape}
    assert {decoded.dtype for decoded in found} == {np.dtype(np.uint8)}
    if height > 16:
        assert len(files[0]) > len(files[1]) > len(files[2])
        assert errors[0] < errors[1] < errors[2]


def test_all_tokens_are_the_codecs_file_and_a_size():
    picture = make_picture(64, 80)
    inner = codec.encode_image(picture, 60, profile="baseline", tune="psnr")
    data = WITHOUT.encode(picture, 100)
    assert data == bytes([64, 0, 80, 0, 100]) + inner
    assert np.array_equal(WITHOUT.decode(data), codec.decode_image(inner))


@pytest.mark.parametrize("shape", [(1, 1), (5, 8), (8, 8, 3)])
def test_a_picture_of_one_token_is_sent_at_every_rate(shape):
    picture = make_picture(*shape[:2], 3 if len(shape) == 3 else 1)
    files = {WITHOUT.encode(picture, sent) for sent in WITHOUT.ladder}
    assert files == {WITHOUT.encode(picture, 100)}
    assert WITHOUT.decode(files.pop()).shape == picture.shape


def test_what_is_sent_is_as_exact_as_the_codec_and_the_rest_is_a_guess():
    picture = make_picture(64, 80)
    fine = {network: Masked("baseline", 98, network=network) for network in (True, False)}
    data = fine[True].encode(picture, 40)
    assert data == fine[False].encode(picture, 40)
    hidden = hidden_pixels(random_mask(np.random.default_rng(0), 8, 10, 0.6))
    found = {network: each.decode(data) for network, each in fine.items()}
    luma = {network: codec.color.rgb_to_gray(decoded).astype(int) for network, decoded in found.items()}
    assert np.abs(luma[True] - codec.color.rgb_to_gray(picture))[~hidden].mean() < 2
    assert np.array_equal(found[True][~hidden], found[False][~hidden])
    assert np.abs(luma[True] - luma[False])[hidden].mean() > 1


def test_the_table_has_each_picture_and_the_mean(tmp_path, capsys):
    for seed in range(2):
        write_picture(tmp_path / f"{seed}.png", make_picture(32, 40, seed=seed))
    assert masking.main([str(tmp_path), "--ratio", "0.5", "-o", str(tmp_path / "out")]) == 0
    head, _, *lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert head[1:6] == ["mae", "laplace", "bilinear", "nearest", "mean"]
    assert [line[0] for line in lines] == ["| 0", "| 1", "| mean"]
    numbers = np.array([[float(value.strip(" |")) for value in line[1:]] for line in lines])
    assert np.abs(numbers[:2].mean(axis=0) - numbers[2]).max() < 0.011
    assert np.abs(numbers[:, 0] - numbers[:, 1] - numbers[:, 5]).max() < 0.011
    document = json.loads((tmp_path / "out/masking.json").read_text())
    assert masking.masking_table(document).splitlines()[2].split(" | ") == lines[0]
    assert (document["ratio"], document["pattern"], document["seed"]) == (0.5, "random", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pattern", "stripes"], "invalid choice: 'stripes'"),
        (["--ratio", "2"], "'2' is no share; numbers above 0 and below 1 are allowed"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
    ],
)
def test_masks_that_there_are_not(options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        masking.main([str(tmp_path), *options])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"), [("none", "No such file"), ("empty", "no files"), ("token", "token: .* are one token")]
)
def test_folders_without_pictures_to_mask(name, message, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "token").mkdir()
    write_picture(tmp_path / "token/token.png", make_picture(8, 5))
    with pytest.raises(SystemExit, match=message):
        masking.main([str(tmp_path / name)])
