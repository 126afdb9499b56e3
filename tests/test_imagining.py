"""Tests of `transformers_np.imagining`: what was not sent is imagined, and nothing else is touched."""

import numpy as np
import pytest

import codec
from bitstreams.errors import CodecError, UnsupportedError
from tests.pictures import make_picture
from transformers_np.imagining import imagine, unsent_tokens


def encode(picture, *without):
    return codec.encode_image(picture, 60, profile="tokens", tune="psnr", without=without)


def test_a_file_tells_which_tokens_were_not_sent():
    picture = make_picture(50, 41, 1)  # 7 x 6 tokens
    of = {stage: unsent_tokens(codec.read_header(encode(picture, *stage))) for stage in ((), ("last-pass",))}
    assert not of[()].any()
    assert of["last-pass",].shape == (7, 6)
    assert np.array_equal(np.argwhere(of["last-pass",]), [[row, column] for row in (1, 3, 5) for column in (0, 2, 4)])
    half = unsent_tokens(codec.read_header(encode(picture, "last-two-passes")))
    assert np.array_equal(half, np.add.outer(range(7), range(6)) % 2 == 1)
    quarter = unsent_tokens(codec.read_header(encode(picture, "last-three-passes")))
    assert not quarter[::2, ::2].any()
    assert quarter.sum() == 42 - 12


@pytest.mark.parametrize("kind", [(50, 41, 1), (33, 70, 3)], ids=str)
def test_only_what_was_not_sent_is_imagined(kind):
    data = encode(make_picture(*kind), "last-three-passes")
    decoded, imagined = codec.decode_image(data), imagine(data)
    assert imagined.shape == decoded.shape
    assert imagined.dtype == np.uint8
    unsent = np.kron(unsent_tokens(codec.read_header(data)), np.ones((8, 8), bool))[: kind[0], : kind[1]]
    assert np.array_equal(imagined[~unsent], decoded[~unsent])
    assert (imagined[unsent] != decoded[unsent]).any()


def test_where_all_is_sent_there_is_nothing_to_imagine():
    data = encode(make_picture(33, 40, 3))
    assert np.array_equal(imagine(data), codec.decode_image(data))


@pytest.mark.parametrize(
    "data",
    [codec.encode_image(make_picture(16, 16, 3)), encode(make_picture(16, 16, 4), "last-pass")],
    ids=["main", "alpha"],
)
def test_other_files_are_refused(data):
    with pytest.raises(UnsupportedError):
        imagine(data)


def test_damage_is_an_error_of_the_tree():
    data = encode(make_picture(33, 40, 3), "last-pass")
    with pytest.raises(CodecError):
        imagine(data[:-20])
