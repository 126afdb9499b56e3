"""Tests of `codec.main`: pictures there and back, sizes beside the baseline's, what stages are worth, wrong bytes."""

import itertools
import re
from functools import cache
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import codec
from bitstreams.errors import CodecError, FormatError, TruncatedError
from codec import loop_filter, metrics
from codec.color import rgb_to_gray
from codec.context_strip import StripDecoder
from codec.files import read_picture
from codec.lapped import SAMPLE_UNIT
from codec.main import DEFAULT_EFFORT, EFFORTS, TUNES, Main
from codec.trained import KINDS, trained
from tests.files import encode_in_strips, put_together, take_apart
from tests.pictures import make_picture

sides = st.integers(1, 70)
channel_counts = st.integers(1, 4)
STAGES = ("large-blocks", "lapping", "chroma-from-luma", "rdoq", "loop-filter")
KINDS_OF_PICTURES = [(1, False), (2, False), (3, True), (3, False), (4, True), (4, False)]


def encode(pixels, quality=75, **options):
    return codec.encode_image(pixels, quality, profile="main", **options)


def there_and_back(pixels, quality=75, **options):
    return codec.decode_image(encode(pixels, quality, **options))


def rms(one, other):
    return np.sqrt(np.mean((one.astype(float) - other) ** 2))


@cache
def photo():
    """A part of the photograph that comes with the package."""
    pixels, _, _ = read_picture((files("codec") / "data/coffee.png").read_bytes(), suffix=".png")
    return pixels[:192, :256]


def ms_ssim(one, other):
    return metrics.decibel(metrics.ms_ssim(one, other))


@cache
def curve(picture, measure=metrics.psnr, profile="main", qualities=(40, 70, 90), **options):
    """Return bytes and quality of a picture, "photo" or "formulas", at some qualities."""
    pixels = photo() if picture == "photo" else make_picture(128, 192)
    points = []
    for quality in qualities:
        data = codec.encode_image(pixels, quality, profile=profile, **options)
        points.append((len(data), measure(pixels, codec.decode_image(data))))
    return points


def mean_bd_rate(anchor, test, **common):
    """Return by how many percent more bytes some options take than others, in the mean of two pictures."""
    return np.mean(
        [
            metrics.bd_rate(curve(name, **common, **anchor), curve(name, **common, **test))
            for name in ("photo", "formulas")
        ]
    )


# There and back ---------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.tuples(sides, sides),
    channel_counts,
    st.sampled_from(["420", "444", "400"]),
    st.sampled_from([0, 10, 50, 75, 90, 99.5, 100]),
    st.sampled_from([*TUNES]),
    st.sampled_from(EFFORTS),
    st.sets(st.sampled_from(STAGES), max_size=2),
    st.sampled_from(["picture", "noise", "black and white"]),
)
@example((1, 1), 3, "420", 0, "psnr", 1, set(), "noise")
@example((1, 70), 4, "420", 100, "ms-ssim", 9, set(), "black and white")
@example((70, 1), 2, "444", 100, "psnr", 7, set(), "noise")
def test_every_size_and_kind(size, channels, yuv, quality, tune, effort, without, content):
    rng = np.random.default_rng(0)
    pixels = make_picture(*size, channels)
    if content != "picture":
        pixels = rng.integers(0, 256, pixels.shape).astype(np.uint8)
    if content == "black and white":
        pixels = (pixels // 128 * 255).astype(np.uint8)
    decoded = there_and_back(pixels, quality, yuv=yuv, tune=tune, effort=effort, without=without)
    kept = pixels.shape
    if yuv == "400":
        kept = size if channels in (1, 3) else (*size, 2)
    assert decoded.shape == kept
    assert decoded.dtype == np.uint8


@settings(max_examples=15)
@given(sides, sides, st.booleans(), st.sampled_from([1, 5]), st.integers(0, 99))
def test_quality_100_of_gray_is_within_the_rounding(height, width, smooth, effort, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    pixels = make_picture(height, width, 1, seed) if smooth else noise
    decoded = there_and_back(pixels, 100, tune="psnr", effort=effort)
    # Steps are 1: an error of 0.29 in the mean, and half as much again where levels are 0 for their bits' sake. A gray
    # level is more than pixels are rounded by.
    assert rms(decoded, pixels) < 0.6
    assert np.abs(decoded.astype(int) - pixels).max() <= 4


@pytest.mark.parametrize("tune", TUNES)
def test_higher_quality_is_larger_and_better(tune):
    points = curve("photo", qualities=(1, 10, 40, 70, 90, 97, 100), tune=tune)
    assert points == sorted(points)
    assert len(set(points)) == len(points)


def test_the_same_bytes_every_time():
    assert encode(photo()) == encode(photo())


@pytest.mark.parametrize("effort", [1, 5, 8])
@pytest.mark.parametrize(("channels", "subsampled"), KINDS_OF_PICTURES)
def test_what_the_stages_give_is_what_a_decoder_gives(channels, subsampled, effort):
    stages = Main.choose(channels, subsampled, 75, "psnr", effort=effort)
    pixels = make_picture(64, 96, channels).reshape(64, 96, channels)
    data = stages.encode_strip(pixels)
    decoded, again = np.zeros_like(pixels), np.zeros_like(pixels)
    stages.decode_strip(b"before" + data, 6, decoded)
    planes = stages.planes(64, 96)
    assert len(planes) == channels
    filters, coded, coder = stages.read_strip(data, 0, planes, StripDecoder)
    levels = coder.levels(coded)
    samples = stages.reconstruct(planes, filters, coded, levels)
    assert [len(of_plane) for of_plane in samples] == [1 + (filters >> i & 1) for i in range(channels)]
    stages.to_pixels([of_plane[-1] for of_plane in samples], again)
    assert np.array_equal(decoded, again)
    assert rms(decoded, pixels) < 8


@pytest.mark.parametrize("effort", [3, 5, 8])
@pytest.mark.parametrize(("channels", "subsampled"), KINDS_OF_PICTURES)
def test_an_encoder_knows_what_a_decoder_has(channels, subsampled, effort):
    stages = Main.choose(channels, subsampled, 70, "psnr", effort=effort)
    pixels = make_picture(64, 96, channels).reshape(64, 96, channels)
    planes = stages.planes(64, 96)
    encoded = list(stages.encode_planes(planes, stages.samples(pixels)))
    data = stages.encode_strip(pixels)
    filters, coded, coder = stages.read_strip(data, 0, planes, StripDecoder)
    samples = stages.reconstruct(planes, filters, coded, coder.levels(coded))
    for number, (ours, theirs, of_plane) in enumerate(zip(encoded, coded, samples, strict=True)):
        assert np.array_equal(ours.decoded, of_plane[0]) if effort > 3 else ours.decoded is None
        assert ours.filtered == bool(filters >> number & 1)
        assert np.array_equal(ours.coded.dc, theirs.dc)
        assert (ours.coded.slopes is None) == (theirs.slopes is None)


def test_strips_are_coded_on_their_own():
    pixels = make_picture(150, 64)
    data = encode_in_strips(pixels, 64, 75, profile="main")
    decoded = codec.decode_image(data)
    assert len(take_apart(data)) == 1 + 3
    for first in (0, 64, 128):
        assert np.array_equal(there_and_back(pixels[first : first + 64]), decoded[first : first + 64])


def test_it_is_said_what_the_file_is():
    header = codec.read_header(encode(photo(), 75, tune="psnr"))
    assert header.profile == "main"
    assert header.stages == Main.choose(3, True, 75, "psnr")


# Details that have nothing like them around -----------------------------------------------------------------

ROW, COLUMN = np.arange(96)[:, None], np.arange(96)
PATTERNS = {
    "pixels": (ROW + COLUMN) % 2,
    "rows": (ROW + 0 * COLUMN) % 2,
    "columns": (0 * ROW + COLUMN) % 2,
    "squares of 2": (ROW // 2 + COLUMN // 2) % 2,
    "squares of 4": (ROW // 4 + COLUMN // 4) % 2,
    "squares of 8": (ROW // 8 + COLUMN // 8) % 2,
    "4 by 1": (ROW // 4 + COLUMN) % 2,
    "2 by 4": (ROW // 2 + COLUMN // 4) % 2,
    "8 by 4": (ROW // 8 + COLUMN // 4) % 2,
    "diagonals": (ROW + COLUMN) // 2 % 2,
    "dots": (ROW % 16 == 5) & (COLUMN % 16 == 3),
    "a dot": (ROW == 5) & (COLUMN == 3),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_not_lost(pattern):
    pixels = np.where(PATTERNS[pattern], 225, 30).astype(np.uint8)
    # Steps of 12 and 2.4 have errors of 3.5 and 0.7 in the mean.
    for quality, error in ((75, 7), (95, 3)):
        decoded = there_and_back(pixels, quality, tune="psnr")
        assert np.abs(decoded.astype(int) - pixels).max() < 98  # nowhere is it nearer to the other of the two grays
        assert rms(decoded, pixels) < error


# Flat areas and alpha ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("quality", [1, 75])
def test_flat_alpha_comes_back_exactly(tune, quality):
    for value in (0, 1, 50, 77, 128, 201, 255):
        pixels = make_picture(32, 32, 2)
        pixels[..., 1] = value
        assert (there_and_back(pixels, quality, tune=tune)[..., 1] == value).all()


@settings(max_examples=10)
@given(
    st.integers(0, 255), st.integers(0, 255), st.integers(0, 100), st.sampled_from([*TUNES]), st.sampled_from([1, 5, 7])
)
@example(0, 255, 0, "ms-ssim", 5)
def test_flat_areas_of_alpha_come_back_exactly(outside, inside, quality, tune, effort):
    pixels = make_picture(96, 160, 4)
    pixels[..., 3] = outside
    pixels[50:60, 80:170, 3] = inside
    decoded = there_and_back(pixels, quality, tune=tune, effort=effort)
    # Whole blocks that no filter reaches from those with the edge.
    assert (decoded[:28, :, 3] == outside).all()
    assert (decoded[:, :60, 3] == outside).all()
    error = np.abs(decoded[..., 3].astype(int) - pixels[..., 3])
    assert error[:44].max() + error[66:].max() <= 20
    assert np.sqrt(np.mean(error**2)) < 2


def test_alpha_is_as_good_as_gray_at_least():
    pixels = make_picture(96, 96, 2)
    for quality in (10, 90):
        decoded = there_and_back(pixels, quality, tune="psnr")
        assert rms(decoded[..., 1], pixels[..., 1]) < 1.5


@pytest.mark.parametrize("value", [0, 1, 77, 128, 254, 255])
def test_flat_pictures_take_hardly_any_bytes(value):
    pixels = np.full((256, 256, 3), value, np.uint8)
    data = encode(pixels, 90)
    assert np.array_equal(codec.decode_image(data), pixels)
    assert len(data) < 250


def test_luma_alone():
    pixels = make_picture(64, 80, 4)
    gray = np.stack([rgb_to_gray(pixels[..., :3]), pixels[..., 3]], axis=-1)
    assert encode(pixels, yuv="400") == encode(gray)
    assert encode(pixels[..., :3], yuv="400") == encode(np.ascontiguousarray(gray[..., 0]))
    assert there_and_back(pixels, yuv="400").shape == (64, 80, 2)


# What it is worth -------------------------------------------------------------------------------------------


def test_it_takes_two_thirds_of_the_baselines_bytes():
    for picture in ("photo", "formulas"):
        ours = curve(picture, tune="psnr")
        assert metrics.bd_rate(curve(picture, profile="baseline", tune="psnr"), ours) < -28
        assert metrics.bd_rate(curve(picture, profile="baseline", tables="jpeg", tune="psnr"), ours) < -42


@pytest.mark.parametrize("picture", ["photo", "formulas"])
def test_each_tune_is_best_by_its_own_measure(picture):
    for_psnr, for_people = {"tune": "psnr"}, {"tune": "ms-ssim", "qualities": (50, 80, 94)}
    assert metrics.bd_rate(curve(picture, **for_people), curve(picture, **for_psnr)) < -1
    by_ms_ssim = [curve(picture, measure=ms_ssim, **tune) for tune in (for_psnr, for_people)]
    assert metrics.bd_rate(*by_ms_ssim) < -5


def test_higher_effort_is_not_larger_at_the_same_quality():
    for effort, higher in itertools.pairwise([1, 2, DEFAULT_EFFORT, 7]):
        assert mean_bd_rate({"effort": effort}, {"effort": higher}, tune="psnr") < 0.4
    assert mean_bd_rate({"effort": 1}, {"effort": DEFAULT_EFFORT}, tune="psnr") < -2
    assert mean_bd_rate({"effort": 1}, {"effort": 7}, tune="psnr") < -2


@pytest.mark.parametrize(("stage", "worth"), [("large-blocks", 0.1), ("lapping", 3), ("rdoq", 2), ("loop-filter", 2)])
def test_what_a_stage_is_worth(stage, worth):
    assert mean_bd_rate({}, {"without": (stage,)}, tune="psnr") > worth


def test_stages_that_can_be_left_out():
    assert {*STAGES} == set(Main.STAGES)
    assert {*STAGES} < set(codec.image.optional_stages("main"))


# Parameters -------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(KINDS_OF_PICTURES),
    st.floats(0, 100),
    st.sampled_from([*TUNES]),
    st.booleans(),
    st.sampled_from(EFFORTS),
)
def test_parameters_there_and_back(kind, quality, tune, lapped, effort):
    stages = Main.choose(*kind, quality, tune, effort=effort, without=() if lapped else ("lapping",))
    parameters = stages.to_bytes()
    assert len(parameters) == 4
    found = Main.from_bytes(parameters, *kind)
    assert found == stages  # effort and what an encoder leaves out are none of a decoder's business
    assert (found.tune, found.lapped) == (tune, lapped)
    for ours, theirs in zip(stages.steps, found.steps, strict=True):
        assert all(np.array_equal(ours.of_size[n], theirs.of_size[n]) for n in ours.of_size)


@pytest.mark.parametrize(
    "parameters",
    [
        b"",
        bytes([1, 0, 0]),
        bytes([1, 0, 0, 0, 0]),
        bytes([0, 63, 0, 0]),
        bytes([0, 0, 0, 0]),
        bytes([1, 0, len(TUNES), 0]),
        bytes([1, 0, 255, 0]),
        bytes([1, 0, 0, 2]),
        bytes([1, 0, 0, 255]),
    ],
)
def test_parameters_that_are_refused(parameters):
    with pytest.raises(FormatError):
        Main.from_bytes(parameters, 3, True)


def test_parameters_at_their_limits():
    for parameters in (bytes([0, 64, 0, 0]), bytes([255, 255, len(TUNES) - 1, 1])):
        assert Main.from_bytes(parameters, 4, True).to_bytes() == parameters


def test_steps_by_quality():
    steps = [Main.choose(1, False, quality, "psnr").step for quality in range(101)]
    assert steps == sorted(steps, reverse=True)
    # As in JPEG: 50 as it is, 75 half as much, 25 twice; at 100 as fine as it gets.
    assert (steps[50], steps[75], steps[25], steps[100]) == (24 * 64, 12 * 64, 48 * 64, 64)


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("quality", [1, 30, 50, 75, 93, 99, 100])
def test_steps_of_each_plane(tune, quality):
    half, full = TUNES[tune].half, TUNES[tune].full
    assert half[0] < half[1] < full[0] < full[1]  # Cr counts for less than Cb; at full resolution there is more of both
    luma = Main.choose(1, False, quality, tune).step
    for channels, subsampled in KINDS_OF_PICTURES:
        stages = Main.choose(channels, subsampled, quality, tune)
        steps = [of_plane.step for of_plane in stages.steps]
        assert steps[0] == stages.step == luma
        if channels >= 3:
            assert steps[1:3] == [max(64, round(luma * ratio)) for ratio in (half if subsampled else full)]
        if channels % 2 == 0:
            assert steps[-1] == min(luma, 4 * 64)  # no coarser than 4
        assert len(steps) == channels == len(stages.planes(32, 32))


def test_the_step_of_alpha_at_some_qualities():
    # Luma's until that is 4, at quality 92; by JPEG's scale 24 * (200 - 2 * quality) / 100.
    steps = {quality: Main.choose(2, False, quality, "ms-ssim").steps[1].step for quality in (1, 50, 91, 92, 95, 100)}
    assert steps == {1: 256, 50: 256, 91: 256, 92: round(24 * 0.16 * 64), 95: round(24 * 0.1 * 64), 100: 64}


@pytest.mark.parametrize("tune", TUNES)
def test_steps_of_alpha_do_not_grow_with_frequency(tune):
    of_luma, of_alpha = Main(2, False, 256, tune).steps
    flat = Main(1, False, 256, "psnr").steps[0]
    for n in of_alpha.of_size:
        assert np.array_equal(of_alpha.of_size[n], flat.of_size[n])
        assert np.array_equal(of_luma.of_size[n], flat.of_size[n]) == (tune == "psnr")


def test_efforts():
    small = make_picture(32, 32)
    assert encode(small) == encode(small, effort=DEFAULT_EFFORT)
    for effort in (0, 10, -1, 100):
        with pytest.raises(CodecError, match=re.escape(f"effort {effort} is outside 1 to 9")):
            encode(small, effort=effort)


def test_what_each_effort_does():
    pixels = photo()[:96, :128].copy()
    pixels[32:] = np.random.default_rng(0).integers(0, 256, (64, 128, 3))  # for a filter to fail
    files = {effort: encode(pixels, 80, yuv="420", effort=effort) for effort in EFFORTS}
    assert len(set(files.values())) == len(EFFORTS)
    filtered, sloped, sizes, halves = {}, {}, {}, {}
    for effort, data in files.items():
        trace = codec.trace_image(data)
        sizes[effort] = trace.planes["Y"].sizes
        sloped[effort] = any(plane.slopes.any() for plane in trace.planes.values())
        halves[effort] = any((plane.levels % 1).any() for plane in trace.planes.values())
        filtered[effort] = take_apart(data)[-1][1][4]
    # From 2 on levels are chosen by their costs; from 3 on there are large blocks; from 4 on filters are tried; from 5
    # on slopes; from 6 on sizes are coded; and from 7 on levels are of a trellis, in more and more attempts.
    assert [effort for effort in (1, 2, 3) if (sizes[effort] == 8).all()] == [1, 2]
    assert all(filtered[effort] == 0b111 for effort in (1, 2, 3))
    assert [effort for effort in EFFORTS if sloped[effort]] == [5, 6, 7, 8, 9]
    assert np.array_equal(sizes[3], sizes[5])
    assert not np.array_equal(sizes[5], sizes[6])
    assert all(np.array_equal(sizes[6], sizes[effort]) for effort in (7, 8, 9))
    assert [effort for effort in EFFORTS if halves[effort]] == [7, 8, 9]


def test_levels_are_optimised_from_effort_2_on():
    pixels = photo()[:32, 64:128]
    for effort in (1, 2, 5, 7):
        less = encode(pixels, 80, effort=effort, without=("rdoq",))
        assert (less == encode(pixels, 80, effort=effort)) == (effort == 1)
        assert not (codec.trace_image(less).planes["Y"].levels % 1).any()  # no trellis without


def test_options_that_it_does_not_have():
    small = make_picture(32, 32)
    with pytest.raises(CodecError, match=r"unknown tune 'ssim'; known are psnr, ms-ssim"):
        encode(small, tune="ssim")
    with pytest.raises(CodecError, match="no choice of tables"):
        encode(small, tables="flat")
    with pytest.raises(CodecError, match="deadzone"):
        encode(small, without=("deadzone",))


# Wrong bytes ------------------------------------------------------------------------------------------------


@cache
def strips():
    """Small strips of all kinds."""
    found = []
    for channels, subsampled in KINDS_OF_PICTURES:
        stages = Main.choose(channels, subsampled, 30, "psnr")
        found.append((stages, stages.encode_strip(make_picture(32, 64, channels).reshape(32, 64, channels))))
    return found


def decode_strip(stages, data):
    pixels = np.zeros((32, 64, stages.channels), np.uint8)
    stages.decode_strip(data, 0, pixels)
    return pixels


def test_filters_of_planes_that_there_are_not():
    for stages, data in strips():
        decode_strip(stages, bytes([(1 << stages.channels) - 1]) + data[1:])
        for bit in range(stages.channels, 8):
            with pytest.raises(FormatError, match=f"for {stages.channels} planes"):
                decode_strip(stages, bytes([data[0] | 1 << bit]) + data[1:])


def test_filters_do_what_the_byte_says():
    for stages, data in strips():
        filters = [0, *(1 << i for i in range(stages.channels))]
        decoded = [decode_strip(stages, bytes([byte]) + data[1:]) for byte in filters]
        for one, other in itertools.combinations(decoded, 2):
            assert not np.array_equal(one, other)


CHECKED = (np.add.outer(np.arange(32), np.arange(64)) % 2 * 100 + 78).astype(np.uint8)


def flagged(stages, pixels):
    """Encode a strip; return for each plane whether it is filtered, and its errors without the filter and with it."""
    planes = stages.planes(*pixels.shape[:2])
    data = stages.encode_strip(pixels)
    filters, coded, coder = stages.read_strip(data, 0, planes, StripDecoder)
    every = stages.reconstruct(planes, filters, coded, coder.levels(coded))
    found = []
    for number, (plane, wanted, of_plane, steps) in enumerate(
        zip(planes, stages.samples(pixels), every, stages.steps, strict=True)
    ):
        filtered = loop_filter.apply(of_plane[0], steps.step, plane.model.filters[stages.tune])
        errors = [float(np.square(each / SAMPLE_UNIT - wanted).sum()) for each in (of_plane[0], filtered)]
        assert np.array_equal(of_plane[-1], filtered if filters >> number & 1 else of_plane[0])
        found.append((bool(filters >> number & 1), *errors))
    return found


@pytest.mark.parametrize(("effort", "tune"), [(3, "psnr"), (4, "psnr"), (4, "ms-ssim"), (8, "psnr")])
def test_the_better_of_filtered_and_not_is_taken(effort, tune):
    rng = np.random.default_rng(0)
    pictures = [
        make_picture(32, 64, 4),
        np.dstack([CHECKED, make_picture(32, 64, 1), rng.choice([0, 255], (32, 64)).astype(np.uint8)]),
        np.dstack([make_picture(32, 64, 1), CHECKED]),
    ]
    outcomes = set()
    for pixels in pictures:
        for quality in (30, 90):
            stages = Main.choose(pixels.shape[2], False, quality, tune, effort=effort)
            for filtered, without, with_it in flagged(stages, pixels):
                outcomes.add((filtered, with_it < without))
                if effort >= 4 and without != with_it:
                    assert filtered == (with_it < without)
    # Both happen; at low effort they are filtered all the same.
    assert outcomes >= ({(True, True), (False, False)} if effort >= 4 else {(True, True), (True, False)})
    assert effort >= 4 or all(filtered for filtered, _ in outcomes)


def test_no_strip_at_all():
    for stages, _ in strips():
        with pytest.raises(TruncatedError, match="empty"):
            decode_strip(stages, b"")


def test_changed_strips_give_pixels_or_an_error_of_the_tree():
    rng = np.random.default_rng(0)
    outcomes = set()
    for case in range(60):
        stages, data = strips()[case % len(KINDS_OF_PICTURES)]
        damaged = bytearray(data)
        damaged[rng.integers(len(data) if case % 2 else 12)] = rng.integers(256)
        try:
            decode_strip(stages, bytes(damaged))
        except (FormatError, TruncatedError) as error:
            outcomes.add(type(error))
        else:
            outcomes.add(None)
    assert outcomes == {FormatError, TruncatedError, None}


def test_a_strip_of_another_size_is_refused():
    for stages, data in strips():
        pixels = np.zeros((64, 64, stages.channels), np.uint8)
        with pytest.raises((FormatError, TruncatedError)):
            stages.decode_strip(data, 0, pixels)


def test_parameters_in_a_file():
    chunks = take_apart(encode(make_picture(32, 32)))
    (kind, head), *rest = chunks
    parameters = Main.choose(3, True, 75, "ms-ssim").to_bytes()
    at = head.index(parameters)
    assert codec.decode_image(put_together(chunks)).shape == (32, 32, 3)
    for wrong in (bytes([0, 63, 0, 0]), bytes([3, 0, 9, 0]), bytes([3, 0, 0, 2])):
        with pytest.raises(FormatError, match="not in the main profile"):
            codec.decode_image(put_together([(kind, head[:at] + wrong + head[at + 4 :]), *rest]))


# Tables -----------------------------------------------------------------------------------------------------


def test_tables_tell_where_they_come_from():
    origin = trained().origin
    assert origin["command"]
    assert int(origin["seed"]) >= 0
    assert re.fullmatch("[0-9a-f]{64}", origin["corpus"])


def test_tables_of_every_kind_of_plane():
    assert set(trained().planes) == set(KINDS)
    for model in trained().planes.values():
        assert set(model.filters) == set(TUNES)
        assert len(model.ac) == 14
        assert len(model.tables.frequencies) == 60 + 3 * 3 * 41  # DC's, then others' without a trellis, and with one
        # Whatever an encoder wants to write in a context, it can.
        assert model.tables.frequencies[:60, :28].min() > 0
        assert model.tables.frequencies[60:, :18].min() > 0
        assert not model.tables.frequencies[60:, 18:].any()
    assert trained().sizes.frequencies.min() > 0
    assert trained().slopes.frequencies.min() > 0
