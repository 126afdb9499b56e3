"""Tests of the token profile: real files, whatever is left out, and nothing but the errors of the tree."""

import random
from importlib.resources import files
from unittest import mock

import numpy as np
import pytest

import codec
from bitstreams.errors import CodecError, FormatError, TruncatedError
from codec.contexts import PHASES
from codec.files import read_picture
from codec.image import optional_stages
from codec.metrics import psnr
from tests.damage import spoil
from tests.files import encode_in_strips, put_together, take_apart
from tests.pictures import make_picture
from transformers_np.token_profile import Tokens

KINDS = [(70, 93, 1), (50, 41, 2), (91, 67, 3), (75, 58, 4), (1, 1, 3), (1, 40, 1), (33, 1, 4)]
CONTROL = {"passes", "restoration", "loop-filter"}


def encode(pixels, *args, **options):
    return codec.encode_image(pixels, *args, profile="tokens", **options)


def strips_of(data):
    return [payload for name, payload in take_apart(data) if name == b"STRP"]


def star():
    """A picture of which nothing would be left if levels were implied to be 0."""
    sky = np.full((96, 96), 30, np.uint8)
    sky[37, 58] = 225
    return sky


@pytest.mark.parametrize("yuv", ["420", "444", "400"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_picture_comes_back(kind, yuv):
    picture = make_picture(*kind)
    data = encode(picture, 90, tune="psnr", yuv=yuv)
    decoded = codec.decode_image(data)
    assert codec.read_header(data).profile == "tokens"
    if yuv == "400" and kind[2] >= 3:
        assert decoded.shape == (*kind[:2], 2)[: 2 + (kind[2] == 4)]
    else:
        assert decoded.shape == picture.shape
        assert psnr(picture, decoded) > 30


@pytest.mark.parametrize("without", [(), *[(stage,) for stage in Tokens.STAGES], tuple(Tokens.STAGES)], ids="+".join)
def test_a_decoder_has_the_samples_that_the_encoder_had(without):
    stages = Tokens.choose(1, False, 60, "psnr", without=without)
    sent, received = [], []
    finish = Tokens.finish

    def watch(self, blocks, flags):
        found.append((blocks.coefficients.copy(), flags))
        return finish(self, blocks, flags)

    with mock.patch.object(Tokens, "finish", watch):
        found = sent
        strip = stages.encode_strip(make_picture(64, 96, 1)[..., None])
        found = received
        Tokens.from_bytes(stages.to_bytes(), 1, False).decode_strip(strip, 0, np.zeros((64, 96, 1), np.uint8))
    (coefficients, flags) = received[0]
    assert flags == strip[0]
    for of_attempt, _ in sent:
        assert np.array_equal(of_attempt, coefficients)


def test_without_anything_learned_a_strip_is_that_of_the_main_profile():
    picture = make_picture(91, 67)
    off = {"large-blocks", "lapping", "chroma-from-luma", "loop-filter"}
    plain = codec.encode_image(picture, 60, tune="psnr", without=off)
    tokens = encode(picture, 60, tune="psnr", without=CONTROL)
    assert strips_of(tokens) == strips_of(plain)
    assert np.array_equal(codec.decode_image(tokens), codec.decode_image(plain))


@pytest.mark.parametrize("stage", Tokens.STAGES)
def test_every_stage_matters(stage):
    photo, _, _ = read_picture((files("codec") / "data/coffee.png").read_bytes(), suffix=".png")
    picture = photo[150:246, 100:228]
    assert encode(picture, 20, tune="psnr") != encode(picture, 20, tune="psnr", without={stage})
    assert stage in optional_stages("tokens")


@pytest.mark.parametrize(("stage", "sent"), [("last-pass", 3), ("last-two-passes", 2), ("last-three-passes", 1)])
def test_tokens_that_are_not_sent_take_no_bits_and_do_not_matter(stage, sent):
    as_coded = {"restoration", "loop-filter"}  # which is chosen by looking at all of the picture
    picture = make_picture(64, 96, 1)
    other = picture.copy()
    for down, right in PHASES[sent:]:
        for row, column in np.ndindex(4, 6):
            top, left = 16 * row + 8 * down, 16 * column + 8 * right
            other[top : top + 8, left : left + 8] ^= 0x55
    one, two = (encode(each, 80, tune="psnr", without=as_coded | {stage}) for each in (picture, other))
    assert one == two
    assert codec.read_header(one).stages.sent == sent
    assert len(one) < len(encode(picture, 80, tune="psnr", without=as_coded))


def test_tokens_that_are_sent_are_as_good_as_ever():
    picture = make_picture(64, 96, 1)
    decoded = codec.decode_image(encode(picture, 95, tune="psnr", without={"last-three-passes"}))
    errors = np.abs(decoded.astype(int) - picture).reshape(8, 8, 12, 8).swapaxes(1, 2).max(axis=(2, 3))
    assert errors[::2, ::2].max() < 12
    assert errors.max() > 24


def test_tunes_differ_and_others_are_refused():
    picture = make_picture(64, 96)
    assert encode(picture, 60, tune="psnr") != encode(picture, 60, tune="ms-ssim")
    for options in ({"tune": "vmaf"}, {"tables": "flat"}, {"effort": 5}):
        with pytest.raises(CodecError):
            encode(picture, **options)


def test_what_is_implied_to_be_0_is_not_lost():
    picture = star()
    decoded = codec.decode_image(encode(picture, 75, tune="psnr"))
    assert int(decoded[37, 58]) > 180


def test_magnitudes_beyond_the_alphabet_come_back():
    noise = np.random.default_rng(1).integers(0, 256, (40, 72), np.uint8)
    decoded = codec.decode_image(encode(noise, 100, tune="psnr"))
    assert np.abs(decoded.astype(int) - noise).max() <= 3


def test_strips_are_decoded_alone():
    picture = make_picture(150, 120, 4)
    data = encode_in_strips(picture, 64, 50, profile="tokens")
    assert codec.read_header(data).strips == 3
    chunks = take_apart(data)
    del chunks[2]
    recovered = codec.recover_image(put_together(chunks))
    assert recovered.missing == [(64, 128)]
    assert np.array_equal(recovered.pixels[128:], codec.decode_image(data)[128:])


def test_parameters_survive_and_others_are_refused():
    stages = Tokens.choose(3, True, 33.3, "psnr", without={"prediction"})
    assert Tokens.from_bytes(stages.to_bytes(), 3, True) == stages
    assert Tokens.from_bytes(Tokens.choose(1, False, 50, "psnr", without={"passes"}).to_bytes(), 1, False).flags == 0
    for parameters in (b"", bytes(4), bytes(3), b"\xff\xff\x20", b"\xff\xff\x21", b"\xff\xff\x08", b"\xff\xff\x06"):
        with pytest.raises(FormatError):
            Tokens.from_bytes(parameters, 3, True)


def test_flags_that_are_not_of_this_profile_are_refused():
    stages = Tokens.choose(3, False, 60, "psnr")
    strip = stages.encode_strip(make_picture(32, 64))
    out = np.zeros((32, 64, 3), np.uint8)
    for at, flag in ((0, 4), (1, 0x40), (2, 0x20), (2, 0x40)):
        bad = bytearray(strip)
        bad[at] |= flag
        with pytest.raises(FormatError):
            stages.decode_strip(bytes(bad), 0, out)
    with pytest.raises(TruncatedError):
        stages.decode_strip(strip, len(strip), out)


@pytest.mark.parametrize("seed", range(2))
def test_damage_raises_nothing_but_errors_of_the_tree(seed):
    rng = random.Random(seed)
    picture = make_picture(32, 70, 4 if seed % 2 else 3, seed)
    stages = Tokens.choose(picture.shape[2], not seed, 80, "psnr")
    whole = np.pad(picture, ((0, 0), (0, 26), (0, 0)), mode="edge")
    strip, out = stages.encode_strip(whole), np.zeros_like(whole)
    errors = set()
    for _ in range(40):
        try:
            stages.decode_strip(spoil(rng, strip), 0, out)
        except CodecError as error:
            errors.add(type(error))
    assert errors == {FormatError, TruncatedError}
