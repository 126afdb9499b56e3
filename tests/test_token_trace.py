"""Tests of `transformers_np.token_trace`: that parts add up to the file, and that what is shown is what was decoded."""

from importlib.resources import files

import numpy as np
import pytest

import codec
from bitstreams.errors import CodecError
from codec.color import rgb_to_gray
from codec.dct import forward_matrix
from codec.files import read_picture
from codec.lapped import COEFFICIENT_UNIT
from codec.main import step_at
from codec.scan import ZIGZAG
from tests.files import encode_in_strips
from tests.pictures import make_picture
from transformers_np.token_trace import TokenPlaneTrace

PLANES = {1: ["Y"], 2: ["Y", "A"], 3: ["Y", "Cb", "Cr"], 4: ["Y", "Cb", "Cr", "A"]}


def encode(picture, *without):
    return codec.encode_image(picture, 60, profile="tokens", tune="psnr", without=without)


@pytest.mark.parametrize("without", [(), ("passes",), ("transforms",), ("last-two-passes",)], ids="+".join)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_ledger_adds_up_to_the_file(channels, without):
    data = encode_in_strips(make_picture(61, 83, channels), 32, 80, profile="tokens", without=without)
    trace = codec.trace_image(data)
    assert trace.ledger.total == 8 * len(data)
    assert list(trace.planes) == PLANES[channels]
    assert np.array_equal(trace.pixels, codec.decode_image(data))
    assert all(bits >= 0 for bits in trace.ledger.bits.values())
    kinds = ("DC symbols", "AC symbols", "signs", "mantissas", "transforms")
    for name, plane in trace.planes.items():
        bits = sum(trace.ledger.bits.get((name, kind), 0) for kind in kinds)
        assert plane.bits.sum() == pytest.approx(bits, abs=5)  # rounded to whole bits, in each strip
        ac = plane.levels.reshape(*plane.levels.shape[:2], 64)[..., 1:]
        assert trace.ledger.bits[name, "signs"] == np.count_nonzero(ac) + np.count_nonzero(plane.dc_symbols)
        assert np.count_nonzero(plane.ac_symbols) == np.count_nonzero(ac)


def test_coefficients_are_predictions_and_levels():
    plane = codec.trace_image(encode(make_picture(64, 96, 1), "transforms")).planes["Y"]
    assert isinstance(plane, TokenPlaneTrace)
    assert plane.predicted.any()
    assert not plane.predicted[..., 0, 0].any()
    assert not plane.choices.any()
    assert np.array_equal(plane.coefficients, plane.predicted + plane.levels)


def test_transforms_are_those_that_blocks_chose():
    plane = codec.trace_image(encode(make_picture(64, 96, 1))).planes["Y"]
    cosine = plane.choices == 0
    assert 0 < cosine.sum() < cosine.size
    assert np.array_equal(plane.coefficients[cosine], (plane.predicted + plane.levels)[cosine])
    turned = plane.coefficients - plane.predicted
    energy = [np.square(each[~cosine]).sum() for each in (turned, plane.levels)]
    turned_dc = np.square(plane.levels[~cosine][:, 0, 0]).sum()
    assert energy[0] == pytest.approx(energy[1], rel=0.01)  # rotations, rounded to 1/16
    assert turned_dc == np.square(turned[~cosine][:, 0, 0]).sum()


def test_samples_are_what_coefficients_make():
    photo, _, _ = read_picture((files("codec") / "data/coffee.png").read_bytes(), suffix=".png")
    picture = rgb_to_gray(photo[150:246, 100:228])
    options = {"profile": "tokens", "tune": "psnr", "without": {"loop-filter"}}
    trace = codec.trace_image(codec.encode_image(picture, 20, **options))
    plane = trace.planes["Y"]
    assert not np.array_equal(plane.restored, plane.coefficients)
    zigzag = plane.restored.reshape(12, 16, 64)[..., ZIGZAG]
    blocks = (step_at(20) / COEFFICIENT_UNIT) * zigzag @ forward_matrix(8).T
    samples = blocks.reshape(12, 16, 8, 8).swapaxes(1, 2).reshape(96, 128)
    assert np.abs(plane.transformed - samples).max() < 1 / 8  # coefficients and samples are rounded
    assert np.array_equal(plane.samples, plane.transformed)
    assert np.abs(np.clip(plane.samples + 128, 0, 255) - trace.pixels).max() <= 0.5


def test_of_what_was_not_sent_there_are_no_levels_but_predictions():
    plane = codec.trace_image(encode(make_picture(64, 96, 1), "last-three-passes")).planes["Y"]
    sent = np.zeros((8, 12), bool)
    sent[::2, ::2] = True
    assert np.array_equal(plane.bits > 0, sent)
    assert not plane.levels.reshape(8, 12, 64)[~sent, 1:].any()
    assert (plane.contexts[~sent] == -1).all()
    assert np.array_equal(plane.predicted[~sent][:, 1:], plane.coefficients[~sent][:, 1:])


def test_without_passes_luma_is_that_of_the_main_profile():
    picture = make_picture(64, 96, 3)
    off = {"large-blocks", "lapping", "chroma-from-luma", "loop-filter"}
    plain = codec.trace_image(codec.encode_image(picture, 60, tune="psnr", without=off))
    tokens = codec.trace_image(encode(picture, "passes", "restoration", "loop-filter"))
    for name in PLANES[3]:
        for what in ("levels", "contexts", "bits", "samples"):
            assert np.array_equal(*(getattr(trace.planes[name], what) for trace in (plain, tokens)))


def test_damage_is_an_error_of_the_tree():
    with pytest.raises(CodecError):
        codec.trace_image(encode(make_picture(33, 40, 3))[:-20])
