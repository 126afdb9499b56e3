"""Tests of optional stages: each that a profile names matters, and a decoder follows what an encoder left out."""

import io

import numpy as np
import pytest

import codec
from bitstreams.symbols import HuffmanDecoder
from codec import program
from codec.baseline import Baseline
from codec.context_strip import StripDecoder
from codec.frames import from_rgb
from codec.image import optional_stages
from codec.main import Main
from codec.profiles import OWN
from codec.reconstruct import steps
from codec.syntax import KINDS
from codec.video import DECODED, STAGES, GroupHeader
from tests import files
from tests.clips import encode_watched, make_clip, same_frames, take_apart
from tests.pictures import make_picture


@pytest.fixture(scope="module")
def picture():
    return make_picture(96, 80)


@pytest.fixture(scope="module")
def clip():
    return list(make_clip(9, 48, 64, seed=3))


def traced(clip, **options):
    """Encode a clip; return its frames as they came about, after checking that encoder and decoder agree."""
    data, shown = encode_watched(clip, scene_cut=False, **options)
    with codec.open_video(io.BytesIO(data)) as video:
        frames = list(video.trace())
        assert same_frames([frame.planes for frame in frames], shown)
        return data, frames, video.header


# Pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tune", ["ms-ssim", "psnr"])
@pytest.mark.parametrize(("profile", "stage"), [(name, stage) for name in OWN for stage in optional_stages(name)])
def test_every_stage_of_a_picture_matters(profile, stage, tune, picture):
    effort = 2 if stage == "restoration" else None
    whole, less = (
        codec.encode_image(picture, 75, profile=profile, effort=effort, tune=tune, without=without)
        for without in ((), {stage})
    )
    assert whole != less
    assert np.abs(codec.decode_image(less).astype(int) - picture).mean() < 5


@pytest.mark.parametrize("profile", OWN)
def test_all_stages_of_a_picture_can_be_left_out_at_once(profile, picture):
    least = codec.encode_image(picture, 75, profile=profile, without=optional_stages(profile))
    assert np.abs(codec.decode_image(least).astype(int) - picture).mean() < 5


def test_without_a_deadzone_levels_are_the_nearest(picture):
    gray = picture[..., 1]
    levels = {}
    for without in ((), ("deadzone",)):
        trace = codec.trace_image(codec.encode_image(gray, 60, profile="baseline", without=without))
        levels[without] = np.abs(trace.planes["Y"].levels)
    assert (levels[()] <= levels["deadzone",]).all()
    assert levels[()].sum() < levels["deadzone",].sum()
    plain = Baseline.choose(1, False, 60, "ms-ssim", without={"deadzone"})
    assert plain.deadzone == 0


def test_without_tables_the_steps_are_jpegs_and_the_deadzone_stays():
    chosen = Baseline.choose(3, True, 60, "psnr", without={"tables"})
    assert (chosen.tables, chosen.deadzone) == ("jpeg", 0.17)


@pytest.mark.parametrize("profile", OWN)
def test_without_subsampling_chroma_is_whole(profile, picture):
    data = codec.encode_image(picture, profile=profile, without={"subsampling"})
    assert not codec.read_header(data).subsampled


def test_what_is_left_out_of_a_picture_is_not_in_it(picture):
    lapped, filters, sizes, slopes = {}, {}, {}, {}
    picture = np.stack([picture[..., 1], picture[..., 1], 255 - picture[..., 1]], axis=-1)  # chroma follows luma
    for stage in Main.STAGES:
        data = codec.encode_image(picture, without={stage})
        stages, payload = codec.read_header(data).stages, files.take_apart(data)[-1][1]
        filters[stage], coded, _ = stages.read_strip(payload, 4, stages.planes(96, 96), StripDecoder)
        assert len(coded) == 3
        lapped[stage], sizes[stage] = stages.lapped, set(np.unique(coded[0].sizes).tolist())
        slopes[stage] = any(plane.slopes is not None for plane in coded)
    assert [stage for stage in lapped if not lapped[stage]] == ["lapping"]
    assert [stage for stage in filters if not filters[stage]] == ["loop-filter"]
    assert [stage for stage in sizes if sizes[stage] == {8}] == ["large-blocks"]
    assert [stage for stage in slopes if not slopes[stage]] == ["chroma-from-luma"]


@pytest.mark.parametrize("without", [{"deadzone", "nosuch"}, "nosuch", ["b-frames"]])
def test_an_unknown_stage_is_named_with_those_that_are_known(without, picture):
    with pytest.raises(codec.CodecError, match=r"(nosuch|b-frames); there are subsampling, tables, deadzone"):
        codec.encode_image(picture, profile="baseline", without=without)


def test_a_stage_of_another_profile_is_not_known(picture):
    with pytest.raises(codec.CodecError, match=r"called deadzone; there are subsampling, .*lapping"):
        codec.encode_image(picture, without={"deadzone"})
    with pytest.raises(codec.CodecError, match="called lapping; there are subsampling, tables, deadzone"):
        codec.encode_image(picture, profile="baseline", without={"lapping"})


# Videos -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_a_video_matters(stage, clip):
    whole, _, _ = traced(clip)
    less, frames, header = traced(clip, without={stage})
    assert whole != less
    assert header.without == {stage} & set(DECODED)
    assert len(frames) == len(clip)


def test_all_stages_can_be_left_out_at_once(clip):
    _, frames, header = traced(clip, without=STAGES)
    assert header.without == set(DECODED)
    assert [frame.type for frame in frames] == ["I"] * len(clip)


def test_what_is_left_out_of_a_video_is_not_in_it(clip):
    _, whole, _ = traced(clip)
    moved = [frame for frame in whole if frame.type != "I"]
    assert any((frame.vectors % 4).any() for frame in moved)
    assert any(frame.split.any() for frame in moved)
    assert any(frame.decoded.inherits.any() for frame in moved)
    assert any(frame.type == "B" for frame in moved)

    without = {stage: traced(clip, without={stage})[1] for stage in ("sub-pel", "split", "inheritance", "b-frames")}
    assert not any((frame.vectors % 4).any() for frame in without["sub-pel"])
    assert not any(frame.split.any() for frame in without["split"])
    assert not any(frame.decoded.inherits.any() for frame in without["inheritance"])
    assert [frame.type for frame in without["b-frames"]] == ["I"] + ["P"] * 8


def test_without_contexts_each_kind_has_one_code_at_most(clip):
    codes = {}
    for without in ((), ("contexts",)):
        data, _ = encode_watched(clip, without=without)
        payload = next(payload for name, payload in take_apart(data) if name == b"GRUP")
        coder = HuffmanDecoder(payload, GroupHeader.from_bytes(payload)[1], KINDS)
        codes[without] = max(len(streams) for streams in coder._left.values())
    assert codes[()] > 1
    assert codes["contexts",] == 1


def test_without_deblocking_frames_are_prediction_and_residual(clip):
    def steps_at_edges(frames):
        luma = np.array([frame.planes[0].astype(int) for frame in frames])
        return np.abs(luma[:, :, 8::8] - luma[:, :, 7:-1:8]).mean()

    _, whole, _ = traced(clip, quality=10)
    _, less, _ = traced(clip, quality=10, without={"deblocking"})
    assert steps_at_edges(less) > 1.1 * steps_at_edges(whole)


def test_without_choosing_levels_each_is_the_nearest(clip):
    errors = {}
    for without in ((), ("level-choice",)):
        _, frames, _ = traced(clip, quality=40, without={*without, "deblocking", "motion"})
        wanted = [from_rgb(picture, "420")[0].astype(int) for picture in clip]
        errors[without] = max(np.abs(frame.planes[0] - luma).max() for frame, luma in zip(frames, wanted, strict=True))
    step = steps(40, 0)[0] / 16
    # Errors of half a step in each of 64 coefficients add up to 4 steps at the most, by the norm of the transform.
    assert errors["level-choice",] < min(4 * step, errors[()])


def test_without_the_cascade_all_steps_are_those_of_a_still_image():
    assert len({steps(60, level, cascade=False) for level in range(5)}) == 1
    assert steps(60, 0) < steps(60, 0, cascade=False) < steps(60, 1)


def test_info_says_what_a_decoder_leaves_out(clip, tmp_path, capsys):
    codec.encode_video(clip, tmp_path / "clip.tvid", without={"deblocking", "split"})
    assert program.main(["info", str(tmp_path / "clip.tvid")]) == 0
    assert "baseline without deblocking\n" in capsys.readouterr().out


def test_an_unknown_stage_of_a_video_is_named(clip):
    with pytest.raises(codec.CodecError, match=r"called deadzone; there are motion, b-frames, .*, contexts"):
        codec.encode_video(clip, io.BytesIO(), without={"deadzone"})
