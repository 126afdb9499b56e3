"""Tests of `codec.group_encoder` and `codec.group_decoder`: one sees what the other shows, whatever a frame holds."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitstreams.errors import CodecError
from codec import metrics, reconstruct
from codec.frames import SAMPLINGS, from_rgb
from codec.gop import PYRAMIDS, plan_gop
from codec.group_decoder import FrameLevels, all_motion, decode_group, frame_levels, read_group
from codec.group_encoder import encode_group
from codec.layout import Layout
from codec.motion_syntax import BOTH, FORWARD, INTRA
from tests.clips import CLIPS, make_clip
from tests.groups import invent_group, levels_of, random_group


def layout_of(planes):
    height, width = planes[0].shape
    chroma = 0 if len(planes) == 1 else 1 + (planes[1].shape == planes[0].shape)
    return Layout(-(-height // 16), -(-width // 16), chroma)


def make_frames(frames, height, width, kind="moving", sampling="420", *, seed=0):
    """Make planes of a clip."""
    return [from_rgb(picture, sampling) for picture in make_clip(frames, height, width, kind, seed=seed)]


def encode(frames, pyramid=8, quality=60.0):
    """Encode a group; return the bytes, and what the encoder says that a decoder will see, in whole macroblocks."""
    seen = {}
    data = encode_group(frames, layout_of(frames[0]), pyramid, quality, seen)
    assert sorted(seen) == list(range(len(frames)))
    return data, [seen[index] for index in range(len(frames))]


def check(frames, pyramid=8, quality=60.0):
    """Encode and decode a group; check that both sides have the same frames, and return what was decoded."""
    data, seen = encode(frames, pyramid, quality)
    decoded = list(decode_group(data, 0, layout_of(frames[0]), len(frames), pyramid, quality))
    assert [frame.plan.index for frame in decoded] == list(range(len(frames)))
    for index, (ours, theirs) in enumerate(zip(seen, decoded, strict=True)):
        for plane, (one, other) in enumerate(zip(ours, theirs.planes, strict=True)):
            assert np.array_equal(one, other), f"frame {index}, plane {plane}"
    return decoded


# There and back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLIPS)
@pytest.mark.parametrize("quality", [0, 60, 100])
def test_every_kind_of_clip(kind, quality):
    check(make_frames(6, 40, 56, kind), 4, quality)


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(CLIPS),
    st.sampled_from(SAMPLINGS),
    st.sampled_from(PYRAMIDS),
    st.floats(0, 100),
)
@settings(max_examples=60)
@example((1, 1, 1), "moving", "420", 1, 50)
@example((18, 17, 33), "moving", "420", 16, 70)
@example((4, 16, 16), "noise", "444", 2, 100)
def test_every_size(size, kind, sampling, pyramid, quality):
    check(make_frames(*size, kind, sampling), pyramid, quality)


@pytest.mark.parametrize("quality", [0, 100])
def test_the_hardest_residuals(quality):
    # Black and white change places: residuals as large as they come, in every frame anew.
    rng = np.random.default_rng(0)
    checkers = np.kron(rng.integers(0, 2, (6, 8)), np.ones((4, 4))) * 255
    single = np.indices((24, 32)).sum(axis=0) % 2 * 255
    pictures = [checkers, 255 - checkers, single, 255 - single, np.zeros((24, 32)), np.full((24, 32), 255)]
    check([(picture.astype(np.uint8),) * 3 for picture in pictures], 2, quality)


def test_quality_100_is_within_the_rounding():
    # The I frame's steps are 1: plain rounding moves a sample by 4 at most, and half a level is its own rounding.
    frames = make_frames(1, 33, 47, "moving", "444")
    decoded = check(frames, 1, 100)
    for ours, theirs in zip(frames[0], decoded[0].planes, strict=True):
        assert np.abs(ours.astype(int) - theirs[:33, :47]).max() <= 4.5


def test_higher_quality_is_larger_and_better():
    frames = make_frames(9, 64, 80, "moving")
    sizes, quality = [], []
    for setting in (10, 40, 65, 90):
        sizes.append(len(encode(frames, 8, setting)[0]))
        decoded = check(frames, 8, setting)
        error = [metrics.mse(one[0], other.planes[0][:64, :80]) for one, other in zip(frames, decoded, strict=True)]
        quality.append(-np.mean(error))
    assert sizes == sorted(set(sizes))
    assert quality == sorted(set(quality))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_frames_are_extended_by_their_edge(sampling):
    frames = make_frames(3, 17, 35, "moving", sampling)
    layout = layout_of(frames[0])
    whole = []
    for planes in frames:
        missing = [(8 * r - p.shape[0], 8 * c - p.shape[1]) for (r, c), p in zip(layout.grids, planes, strict=True)]
        extended = zip(planes, missing, strict=True)
        whole.append(tuple(np.pad(p, ((0, down), (0, right)), mode="edge") for p, (down, right) in extended))
    assert whole[0][0].shape == (32, 48)
    assert encode(frames)[0] == encode(whole)[0]


# What prediction brings -------------------------------------------------------------------------------------


def test_a_still_clip_costs_next_to_nothing_after_its_first_frame():
    frames = make_frames(9, 64, 64, "still")
    assert len(encode(frames)[0]) < 1.1 * len(encode(frames[:1])[0]) + 100


def test_motion_is_found_and_told_with_the_right_sign():
    # The window moves one down and two to the right a frame, so what it shows comes from below and the right of the
    # frame before; vectors point there.
    large = np.random.default_rng(1).integers(0, 256, (60, 70)).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    frames = [(large[time : time + 80, 2 * time : 2 * time + 96].copy(),) for time in range(9)]
    for frame in check(frames, 8, 80)[1:]:
        inside = np.zeros((5, 6), bool)
        inside[1:-1, 1:-1] = True
        for reference, index in enumerate(frame.plan.references):
            using = inside.ravel() & (frame.prediction.direction >> reference & 1 > 0)
            vectors = frame.prediction.vectors[using, :, reference].reshape(-1, 2)
            expected = np.array([4, 8]) * (frame.plan.index - index)
            if len(vectors):
                assert np.array_equal(np.median(vectors, axis=0), expected), frame.plan
    assert len(encode(frames, 8, 80)[0]) < 0.4 * sum(len(encode([frame], 8, 80)[0]) for frame in frames)


def test_what_is_between_two_frames_is_predicted_from_both():
    # A fade: each frame in the middle is the mean of the two.
    first, last = (
        frame[0].astype(int) for frame in (make_frames(1, 48, 64, "still", "400", seed=seed)[0] for seed in (0, 5))
    )
    frames = [(((4 - time) * first + time * last) // 4).astype(np.uint8) for time in range(5)]
    decoded = check([(frame,) for frame in frames], 4, 80)
    assert (decoded[2].prediction.direction == BOTH).mean() > 0.9
    assert (decoded[4].prediction.direction != BOTH).all()  # a P frame has one reference


def test_what_comes_out_of_nothing_is_intra():
    frames = [np.full((48, 64), 90, np.uint8) for _ in range(3)]
    frames[0][...] = make_frames(1, 48, 64, "noise", "400")[0][0]
    frames[1][...] = np.random.default_rng(0).permutation(frames[0].ravel()).reshape(48, 64)
    decoded = check([(frame,) for frame in frames], 1, 50)
    assert (decoded[2].prediction.direction == INTRA).mean() > 0.8


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_types_and_levels_are_those_of_the_plan(pyramid):
    frames = make_frames(11, 16, 16)
    plans = {plan.index: plan for plan in plan_gop(11, pyramid)}
    for frame in check(frames, pyramid):
        assert frame.plan == plans[frame.plan.index]
        allowed = {"I": [INTRA], "P": [INTRA, FORWARD], "B": range(4)}[frame.plan.type]
        assert np.isin(frame.prediction.direction, allowed).all()


# What is told of a frame ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_frame_is_its_prediction_and_its_residual(sampling):
    frames = make_frames(7, 48, 64, "moving", sampling)
    layout = layout_of(frames[0])
    data, _ = encode(frames, 4, 70)
    plans = plan_gop(7, 4)
    group, _ = read_group(data, 0, layout, plans)
    levels = frame_levels(group, layout)
    shown = {frame.plan.index: frame for frame in decode_group(data, 0, layout, 7, 4, 70)}
    for number, plan in enumerate(plans):
        frame = shown[plan.index]
        references = [reconstruct.interpolate(tuple(shown[index].planes)) for index in plan.references]
        predicted = (
            reconstruct.predict(layout, references, frame.prediction) if references else reconstruct.blank(layout)
        )
        step = reconstruct.steps(70, plan.level)
        for plane, (own, ours, theirs) in enumerate(zip(levels[number], predicted, frame.predicted, strict=True)):
            assert np.array_equal(ours, theirs)
            dense = own.dense()
            if number == 0:
                assert (dense[:, 0] == 0).all()
                dense[:, 0] = group.dc[plane].ravel()
            reconstruct.add_residual(ours, own.where, dense, step[plane > 0])
            having = np.zeros(layout.grids[plane], bool)
            having.reshape(-1)[own.where] = own.counts > 0
            assert np.array_equal(frame.coded[plane], having)
        reconstruct.filter_edges(layout, predicted, frame.coded, frame.prediction, step)
        for ours, theirs in zip(predicted, frame.planes, strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_bit_is_accounted_for(sampling):
    frames = make_frames(7, 33, 50, "moving", sampling)
    data, _ = encode(frames, 4, 70)
    decoded = list(decode_group(b"before" + data, 6, layout_of(frames[0]), 7, 4, 70, account=True))
    assert sum(sum(frame.bits.values()) for frame in decoded) == 8 * len(data)
    assert all(bits >= 0 for frame in decoded for bits in frame.bits.values())
    assert decoded[0].bits["shared"] > 0
    assert not any(frame.bits["shared"] for frame in decoded[1:])
    for frame in decoded:
        by_kind = {kind: bits for kind, bits in frame.bits.items() if bits}
        if frame.plan.type == "I":
            assert set(by_kind) == {"dc", "count", "level", "plain", "shared"}
        else:
            assert "dc" not in by_kind
            assert by_kind["skip"] >= 2 * 2  # at least a bit for four macroblocks
    bare = list(decode_group(data, 0, layout_of(frames[0]), 7, 4, 70))
    assert all(frame.bits == {} for frame in bare)


def test_levels_are_given_to_their_frames():
    layout, plans = Layout(2, 3, 1), plan_gop(6, 4)
    group = random_group(layout, levels_of(6, 4), 2)
    levels, motion = frame_levels(group, layout), all_motion(group, layout)
    flags = layout.coded(group.motion.pattern)
    assert len(levels) == 6
    # All of them in the order of the group: the I frame's planes, then each plane of all others.
    order = [levels[0][plane] for plane in range(3)]
    order += [levels[number][plane] for plane, number in itertools.product(range(3), range(1, 6))]
    for name in ("counts", "places", "values"):
        assert np.array_equal(np.concatenate([getattr(own, name) for own in order]), getattr(group.levels, name))
    for number in range(1, 6):
        for plane in range(3):
            assert np.array_equal(levels[number][plane].where, np.flatnonzero(flags[plane][number - 1]))
        assert np.array_equal(motion.vectors[number], group.motion.vectors[number - 1])
        assert np.array_equal(motion.direction[number], group.motion.direction[number - 1])
    assert not motion.direction[0].any()
    assert plans[0].type == "I"


def test_dense_levels_by_hand():
    own = FrameLevels(
        np.array([3, 8, 9]),
        np.array([2, 0, 1], np.uint8),
        np.array([0, 63, 5], np.uint8),
        np.array([7, -9, 4095], np.int16),
    )
    dense = own.dense()
    assert (dense.shape, dense.dtype) == ((3, 64), np.float32)
    assert {(*place,): value for place, value in np.ndenumerate(dense) if value} == {
        (0, 0): 7,
        (0, 63): -9,
        (2, 5): 4095,
    }


# Groups that no encoder writes ------------------------------------------------------------------------------


@given(
    st.builds(Layout, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)),
    st.integers(1, 9),
    st.sampled_from(PYRAMIDS),
    st.integers(0, 9999),
)
def test_made_up_symbols_decode_to_frames_or_an_error_of_the_tree(layout, frames, pyramid, seed):
    data, group = invent_group(layout, levels_of(frames, pyramid), seed, wild=0.05 * (seed % 2))
    quality = (0.0, 50.0, 100.0)[seed % 3]
    try:
        decoded = list(decode_group(data, 0, layout, frames, pyramid, quality, account=True))
    except CodecError:
        assert group is None
        return
    assert group is not None
    assert [frame.plan.index for frame in decoded] == list(range(frames))
    for frame in decoded:
        assert [plane.shape for plane in frame.planes] == [(8 * high, 8 * wide) for high, wide in layout.grids]
        assert all(plane.dtype == np.uint8 for plane in frame.planes)


def test_every_prefix_is_an_error_before_the_first_frame():
    frames = make_frames(3, 16, 16)
    data, _ = encode(frames, 2, 60)
    for end in range(len(data)):
        with pytest.raises(CodecError):
            next(decode_group(data[:end], 0, layout_of(frames[0]), 3, 2, 60))


def test_changed_bytes_decode_to_frames_or_an_error_of_the_tree():
    frames = make_frames(3, 16, 32)
    data, _ = encode(frames, 2, 60)
    outcomes = set()
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= rng.integers(1, 256)
        try:
            outcomes.add(len(list(decode_group(bytes(damaged), 0, layout_of(frames[0]), 3, 2, 60))))
        except CodecError as error:
            outcomes.add(type(error).__name__)
    assert outcomes == {3, "FormatError", "TruncatedError"}


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_group_of_another_length_is_an_error(frames):
    clip = make_frames(3, 16, 16)
    data, _ = encode(clip, 2, 60)
    with pytest.raises(CodecError):
        next(decode_group(data, 0, layout_of(clip[0]), frames, 2, 60))
