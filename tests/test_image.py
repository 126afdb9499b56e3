"""Tests of `codec.image`: pictures there and back, quality beside Pillow's JPEG, files that are wrong or damaged.

What only the main profile has is in `tests.test_main`.
"""

import io
import struct
import tracemalloc
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import codec
from bitstreams.chunks import VERSION
from codec import metrics
from codec.baseline import Baseline
from codec.image import SIZE_LIMIT
from codec.main import Main
from codec.profiles import OWN, find_profile
from tests.files import encode_in_strips, put_together, take_apart
from tests.pictures import make_picture

TABLES = ["jpeg", "flat", "sloped"]
sides = st.integers(1, 40)
channel_counts = st.integers(1, 4)


@pytest.fixture(scope="module", params=OWN)
def profile(request):
    """What follows holds for each profile."""
    return request.param


# There and back ---------------------------------------------------------------------------------------------


@given(
    st.tuples(sides, sides),
    channel_counts,
    st.sampled_from(["420", "444", "400"]),
    st.integers(0, 100),
    st.sampled_from([None, *TABLES]),
)
@example((1, 1), 3, "420", 0, None)
@example((1, 40), 4, "420", 100, "flat")
def test_every_size_and_kind_of_the_baseline_profile(size, channels, yuv, quality, tables):
    pixels = make_picture(*size, channels)
    data = codec.encode_image(pixels, quality, yuv=yuv, profile="baseline", tables=tables)
    decoded = codec.decode_image(data)
    kept = pixels.shape
    if yuv == "400":
        kept = size if channels in (1, 3) else (*size, 2)
    assert decoded.shape == kept
    assert decoded.dtype == np.uint8


# At quality 100 every step of the JPEG tables is 1. Plain rounding moves a coefficient by 1/2 at most, all 64 of a
# block by 4 at most (the length of the vector), and the inverse is a rotation: no sample moves by more. Half a level
# more is its own rounding.
WORST = 4.5


@given(sides, sides, st.booleans(), st.integers(0, 99))
def test_quality_100_of_gray_is_within_the_rounding(height, width, smooth, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    pixels = make_picture(height, width, 1, seed) if smooth else noise
    decoded = codec.decode_image(codec.encode_image(pixels, 100, profile="baseline", tables="jpeg"))
    assert np.abs(decoded.astype(int) - pixels).max() <= WORST


@given(sides, sides, st.booleans(), st.integers(0, 99))
def test_quality_100_of_colour_is_within_the_rounding(height, width, smooth, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    pixels = make_picture(height, width, 3, seed) if smooth else noise
    decoded = codec.decode_image(codec.encode_image(pixels, 100, yuv="444", profile="baseline", tables="jpeg"))
    error = np.abs(decoded.astype(int) - pixels).max(axis=(0, 1))
    # Y, Cb and Cr were rounded before, too, and weigh 1 and 1.402, 0.3441 + 0.7141, 1.772.
    assert np.all(error <= 0.5 + WORST * (1 + np.array([1.402, 1.0582, 1.772])))


@pytest.mark.parametrize("channels", [1, 3])
def test_quality_100_on_average(channels, profile):
    # By the same reasoning the mean square error of coefficients is 1/12 a rounding: in gray 2/12 of a level, 55.9 dB;
    # in colour the roundings of Y, Cb and Cr add to it.
    pixels = make_picture(64, 96, channels)
    data = codec.encode_image(pixels, 100, yuv="444", profile=profile, tune="psnr")
    assert metrics.psnr(pixels, codec.decode_image(data)) > (55 if channels == 1 else 50)


def test_higher_quality_is_larger_and_better(profile):
    pixels = make_picture(96, 128)
    files = [codec.encode_image(pixels, quality, profile=profile) for quality in (5, 25, 50, 75, 90, 100)]
    sizes = [len(data) for data in files]
    quality = [metrics.psnr(pixels, codec.decode_image(data)) for data in files]
    assert sizes == sorted(set(sizes))
    assert quality == sorted(set(quality))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_flat_pictures_take_hardly_any_bytes(channels, profile):
    # The baseline's code words have a bit at least: two for a block.
    planes = {1: 1, 2: 2, 3: 1.5, 4: 2.5}[channels]
    most = {"baseline": 512**2 / 64 * planes * 2 / 8 + 1000, "main": 400}[profile]
    pixels = np.full((500, 500, channels), 200, np.uint8)
    data = codec.encode_image(pixels, yuv="420", profile=profile)
    assert len(data) < most
    # So few bytes must not be taken for a header that claims too much. Steps of the baseline are 26 at most: half of
    # one, over 8; those of the main profile are finer.
    assert np.abs(codec.decode_image(data).reshape(pixels.shape).astype(int) - 200).max() <= 2


def test_strips_do_not_change_the_pixels_of_the_baseline_profile():
    # But for chroma next to their borders, where upsampling does not look across.
    for channels, yuv in ((1, "420"), (2, "420"), (3, "444"), (4, "444")):
        pixels = make_picture(75, 50, channels)
        in_one = codec.decode_image(codec.encode_image(pixels, yuv=yuv, profile="baseline"))
        in_strips = encode_in_strips(pixels, 16, yuv=yuv, profile="baseline")
        assert np.array_equal(codec.decode_image(in_strips), in_one)


@pytest.mark.parametrize(("channels", "yuv"), [(1, "420"), (2, "420"), (3, "444"), (4, "420")])
def test_a_strip_is_coded_as_a_picture_of_its_own(channels, yuv, profile):
    pixels = make_picture(75, 50, channels)
    decoded = codec.decode_image(encode_in_strips(pixels, 32, yuv=yuv, profile=profile))
    for rows in (slice(0, 32), slice(32, 64), slice(64, 75)):
        alone = codec.decode_image(codec.encode_image(pixels[rows], yuv=yuv, profile=profile))
        assert np.array_equal(decoded[rows], alone)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_layout_of_the_array_does_not_matter(channels, profile):
    pixels = make_picture(37, 53, channels)
    expected = codec.encode_image(pixels, profile=profile)
    read_only = pixels.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(pixels), pixels[::-1, ::-1].copy()[::-1, ::-1], read_only):
        assert codec.encode_image(same, profile=profile) == expected
    assert np.array_equal(read_only, pixels)


def test_one_channel_is_gray(profile):
    gray = make_picture(20, 30, 1)
    assert codec.encode_image(gray[..., None], profile=profile) == codec.encode_image(gray, profile=profile)


def test_400_codes_the_luma_that_444_codes(profile):
    pixels = make_picture(40, 48)
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    decoded = codec.decode_image(codec.encode_image(pixels, 100, yuv="400", profile=profile, tune="psnr"))
    assert np.abs(decoded.astype(int) - luma).max() <= WORST + 1  # Pillow's luma may be rounded to the other side


# Beside JPEG ------------------------------------------------------------------------------------------------


def pillow_jpeg(pixels, quality, subsampling):
    """Return the bytes and the PSNR of Pillow's JPEG with optimised Huffman codes."""
    file = io.BytesIO()
    options = {} if pixels.ndim == 2 else {"subsampling": subsampling}
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True, **options)
    return len(file.getvalue()), metrics.psnr(pixels, np.asarray(Image.open(file)))


# Measured on this picture: 0.3 to 0.7 % fewer bytes than Pillow in gray, up to 2 % fewer in colour. In gray the same
# pixels but for rounding; in colour 0.04 dB to 0.23 dB better, since chroma is kept and halved more exactly.
@pytest.mark.parametrize(
    ("channels", "yuv", "fewest_bytes", "gain"),
    [(1, "420", 0.99, (-0.01, 0.01)), (3, "444", 0.985, (0.03, 0.2)), (3, "420", 0.975, (0.03, 0.25))],
)
@pytest.mark.parametrize("quality", [50, 75, 90])
def test_jpeg_tables_give_what_jpeg_gives(channels, yuv, fewest_bytes, gain, quality):
    pixels = make_picture(384, 512, channels)
    size, psnr = pillow_jpeg(pixels, quality, yuv[0] + ":" + yuv[1] + ":" + yuv[2])
    data = codec.encode_image(pixels, quality, yuv=yuv, profile="baseline", tables="jpeg")
    assert fewest_bytes * size < len(data) < size
    assert gain[0] < metrics.psnr(pixels, codec.decode_image(data)) - psnr < gain[1]


def test_each_tune_is_the_best_by_its_own_measure():
    pixels = make_picture(384, 512)

    def measured(tune, quality):
        data = codec.encode_image(pixels, quality, profile="baseline", tune=tune)
        decoded = codec.decode_image(data)
        return len(data), metrics.psnr(pixels, decoded), metrics.ms_ssim(pixels, decoded)

    seen = [measured("ms-ssim", quality) for quality in (30, 50, 70, 85)]
    square = [measured("psnr", quality) for quality in (30, 50, 70, 85)]
    for measure, (better, other) in ((1, (square, seen)), (2, (seen, square))):
        sizes = [np.log(point[0]) for point in better]
        at_their_sizes = np.interp([np.log(p[0]) for p in other[1:3]], sizes, [p[measure] for p in better])
        assert np.all(at_their_sizes > [p[measure] for p in other[1:3]])


# Alpha ------------------------------------------------------------------------------------------------------


QUALITIES = (*range(0, 101, 10), 49.99, 49.996, 79.99, 79.996, 94.99, 94.996)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("alpha", [255, 0], ids=["opaque", "transparent"])
def test_opaque_and_transparent_come_back_exactly_at_every_quality(channels, alpha, profile):
    pixels = make_picture(19, 33, channels)
    pixels[..., -1] = alpha
    for quality in QUALITIES:
        decoded = codec.decode_image(codec.encode_image(pixels, quality, profile=profile))
        assert (decoded[..., -1] == alpha).all(), quality


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("tables", TABLES)
def test_blocks_of_the_baseline_profile_are_opaque_or_transparent_beside_each_other(channels, tables):
    pixels = make_picture(19, 33, channels)
    pixels[..., -1] = 255
    pixels[:, 16:, -1] = 0
    for quality in (*range(0, 101, 3), *QUALITIES):
        decoded = codec.decode_image(codec.encode_image(pixels, quality, profile="baseline", tables=tables))
        assert np.array_equal(decoded[..., -1], pixels[..., -1]), quality


@pytest.mark.parametrize("edge", [16, 21])
def test_an_edge_of_alpha_stays_sharp(edge, profile):
    pixels = make_picture(40, 64, 4)
    pixels[..., -1] = 255
    pixels[:, edge:, -1] = 0
    for quality in (0, 30, 75, 100):
        decoded = codec.decode_image(codec.encode_image(pixels, quality, profile=profile))
        error = np.abs(decoded[..., -1].astype(int) - pixels[..., -1])
        assert error.max() <= 4, quality
        assert (error[:, edge + 32 :] == 0).all()


def test_soft_edges_of_alpha_stay_close(profile):
    pixels = make_picture(64, 64, 4)
    for quality, least in ((20, 38), (60, 42), (90, 47), (100, 51)):
        decoded = codec.decode_image(codec.encode_image(pixels, quality, profile=profile))
        assert metrics.psnr(pixels[..., -1], decoded[..., -1]) > least


def test_colour_does_not_depend_on_alpha(profile):
    pixels = make_picture(40, 40, 4)
    with_alpha, without = (
        codec.decode_image(codec.encode_image(each, profile=profile)) for each in (pixels, pixels[..., :3])
    )
    assert np.array_equal(with_alpha[..., :3], without)


# What the encoder refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "advice"),
    [
        (np.zeros((4, 4), np.uint16), r"16 bits a sample; convert to 8 with \(pixels >> 8\).astype\(np.uint8\)"),
        (np.zeros((4, 4, 3)), r"float64; convert to uint8, floats in \[0, 1\] with np.rint\(255 \* pixels\)"),
        (np.zeros((4, 4), bool), "type bool; convert to uint8"),
        (np.zeros((4, 4), np.int8), "type int8; convert to uint8"),
        (np.zeros(4, np.uint8), r"shape \(4,\); a picture is \(H, W\) or \(H, W, C\) with 1 to 4 channels"),
        (np.zeros((4, 4, 5), np.uint8), r"shape \(4, 4, 5\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \(2, 4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (np.zeros((4, 0, 3), np.uint8), r"shape \(4, 0, 3\)"),
        (np.zeros((4, 4, 0), np.uint8), r"shape \(4, 4, 0\)"),
        ([[0, 1], [2, 3]], "a NumPy array, not list"),
        (Image.new("L", (4, 4)), "a NumPy array, not Image"),
    ],
)
def test_arrays_that_are_no_pictures(pixels, advice, profile):
    with pytest.raises(codec.UnsupportedError, match=advice):
        codec.encode_image(pixels, profile=profile)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": -0.01}, "quality -0.01 is outside 0 to 100"),
        ({"quality": 100.01}, "quality 100.01 is outside 0 to 100"),
        ({"quality": float("nan")}, "quality nan is outside"),
        ({"yuv": "422"}, "unknown sampling '422'; known are 420, 444, 400"),
        ({"tune": "ssim"}, "unknown tune 'ssim'; known are psnr, ms-ssim"),
        ({"effort": 0}, "effort 0 is outside 1 to 9"),
        ({"effort": 10}, "effort 10 is outside 1 to 9"),
        ({"tables": "jpeg"}, "the main profile has no choice of tables"),
        ({"profile": "baseline", "tune": "ssim"}, "unknown tune 'ssim'; known are psnr, ms-ssim"),
        ({"profile": "baseline", "tables": "annex-k"}, "unknown tables 'annex-k'; known are jpeg, flat, sloped"),
        ({"profile": "baseline", "effort": 5}, "effort 5; the baseline profile knows 1, fast, and 2, with restoration"),
        ({"profile": "main-line"}, "unknown profile 'main-line'; known are main, baseline"),
    ],
)
def test_options_that_are_unknown_or_out_of_range(options, message):
    with pytest.raises(codec.CodecError, match=message):
        codec.encode_image(np.zeros((4, 4, 3), np.uint8), **options)


# Headers ----------------------------------------------------------------------------------------------------


FIXED = struct.Struct(">IIBBBIB")


def head(
    *, width=24, height=24, channels=1, depth=8, sampling=0, rows=24, name=b"baseline", parameters=b"\0\x1d\x4c\0"
):
    """Write the payload of a HEAD chunk by hand; the parameters are those of the JPEG tables at quality 75."""
    return FIXED.pack(width, height, channels, depth, sampling, rows, len(name)) + name + parameters


# The parameters are a step of 12 and the tune for MS-SSIM: quality 75.
main_head = partial(head, rows=32, name=b"main", parameters=b"\x03\x00\x01\x00")
HEADS = {"baseline": partial(head, rows=32), "main": main_head}


def file_with(header, strips=1, profile="baseline"):
    """Write a file with such a header around the strips of a gray picture of 24 x 24."""
    options = {"tables": "jpeg"} if profile == "baseline" else {}
    strip = take_apart(codec.encode_image(make_picture(24, 24, 1), profile=profile, **options))[1][1]
    return put_together([(b"HEAD", header), *[(b"STRP", struct.pack(">I", i) + strip[4:]) for i in range(strips)]])


@pytest.mark.parametrize(
    ("options", "by_hand"), [({"profile": "baseline", "tables": "jpeg"}, head), ({"profile": "main"}, main_head)]
)
def test_the_header_by_hand_is_the_encoders(options, by_hand):
    data = codec.encode_image(make_picture(24, 24, 1), 75, **options)
    assert np.array_equal(
        codec.decode_image(file_with(by_hand(), profile=options["profile"])), codec.decode_image(data)
    )
    header = codec.read_header(data)
    assert codec.Header.from_bytes(by_hand(rows=header.rows)) == header
    assert header.to_bytes() == by_hand(rows=header.rows)


quality_in_hundredths = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)
kinds = st.sampled_from([(1, False), (2, False), (3, False), (3, True), (4, False), (4, True)])
baselines = st.tuples(st.sampled_from(TABLES), quality_in_hundredths, st.booleans()).map(
    lambda told: ("baseline", Baseline, (*told[:2], 0.0, told[2]))
)
mains = st.tuples(st.integers(64, 65_535), st.sampled_from(["psnr", "ms-ssim"]), st.booleans()).map(
    lambda told: ("main", Main, told)
)


@given(st.integers(1, 2**17), st.integers(1, 2**32 - 1), kinds, baselines | mains)
def test_header_there_and_back(width, height, kind, profile):
    name, stages, told = profile
    header = codec.Header(width, height, *kind, 32, name, stages(*kind, *told))
    assert codec.Header.from_bytes(header.to_bytes()) == header


@pytest.mark.parametrize(("channels", "yuv"), [(1, "420"), (2, "444"), (3, "420"), (3, "444"), (4, "420")])
def test_what_a_header_says(channels, yuv, profile):
    pixels = make_picture(77, 30, channels)
    data = encode_in_strips(pixels, 32, 62.5, yuv=yuv, profile=profile, tune="psnr", icc=b"i", exif=b"e")
    header = codec.read_header(data)
    assert header.shape == pixels.shape
    assert (header.width, header.height, header.channels) == (30, 77, channels)
    assert header.subsampled == (yuv == "420" and channels >= 3)
    assert [header.strip_rows(index) for index in range(header.strips)] == [(0, 32), (32, 64), (64, 77)]
    assert header.profile == profile
    told = {"baseline": {"tables": "flat", "quality": 62.5}, "main": {"step": 18 * 64, "tune": "psnr", "lapped": True}}
    assert header.stages == OWN[profile](channels, header.subsampled, **told[profile])
    assert (header.icc, header.exif) == (b"i", b"e")


def test_a_header_says_what_a_decoder_leaves_out():
    whole, less = (
        codec.read_header(codec.encode_image(make_picture(9, 9), without=without)).stages
        for without in ((), Main.STAGES)
    )
    assert (whole.lapped, less.lapped) == (True, False)


@pytest.mark.parametrize("metadata", [{}, {"icc": b""}, {"exif": b"x" * 70_000}, {"icc": b"1", "exif": b"2"}])
def test_metadata_is_carried_along(metadata, profile):
    header = codec.read_header(codec.encode_image(make_picture(9, 9), profile=profile, **metadata))
    assert {"icc": header.icc, "exif": header.exif} == {"icc": None, "exif": None, **metadata}


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        (b"", codec.FormatError, "a header of 0 bytes"),
        (head()[:15], codec.FormatError, "a header of 15 bytes"),
        (head(width=0), codec.FormatError, "0 x 24 pixels"),
        (head(height=0), codec.FormatError, "24 x 0 pixels"),
        (head(channels=0), codec.FormatError, "0 channels"),
        (head(channels=5), codec.FormatError, "5 channels"),
        (head(sampling=1), codec.FormatError, "sampling 1"),
        (head(channels=3, sampling=2), codec.FormatError, "sampling 2"),
        (head(depth=16), codec.UnsupportedError, "16 bits a sample"),
        (head(name=b"base\xff"), codec.FormatError, "a header of"),
        (head(name=b""), codec.UnsupportedError, "unknown profile ''"),
        (head(name=b"later"), codec.UnsupportedError, "unknown profile 'later'"),
        (head()[:20], codec.UnsupportedError, "unknown profile"),
        (head(parameters=b""), codec.FormatError, "0 bytes of parameters"),
        (head(parameters=b"\0\0\0\0\0"), codec.FormatError, "5 bytes of parameters"),
        (head(parameters=b"\3\0\0\0"), codec.FormatError, "table 3"),
        (head(parameters=b"\0\x27\x11\0"), codec.FormatError, "quality 100.01"),
        (head(rows=0), codec.FormatError, "strips of 0 rows"),
        (head(rows=20), codec.FormatError, "strips of 20 rows and 24 columns; rows must be multiples of 8"),
        (
            head(channels=3, sampling=1),
            codec.FormatError,
            "strips of 24 rows and 24 columns; rows must be multiples of 16",
        ),
        (head(rows=2**32 - 8), codec.FormatError, f"at most {1 << 22} pixels"),
        (head(width=(1 << 18) + 1, rows=16), codec.FormatError, "at most"),
        (head(parameters=b"\0\0\0\2"), codec.FormatError, "restoration 2"),
        (main_head(parameters=b""), codec.FormatError, "0 bytes of parameters; the main profile has 4"),
        (main_head(parameters=b"\3\0\1\0\0"), codec.FormatError, "5 bytes of parameters"),
        (main_head(parameters=b"\x00\x3f\1\0"), codec.FormatError, "step 63, tune 1, flags 0 are not in the main"),
        (main_head(parameters=b"\3\0\2\0"), codec.FormatError, "tune 2"),
        (main_head(parameters=b"\3\0\1\2"), codec.FormatError, "flags 2"),
        (main_head(rows=16), codec.FormatError, "rows must be multiples of 32"),
        (main_head(channels=3, sampling=1, rows=48), codec.FormatError, "rows must be multiples of 32"),
        (main_head(width=(1 << 17) + 1), codec.FormatError, "at most"),
    ],
)
def test_headers_that_break_a_rule(header, error, message):
    data = file_with(header)
    for read in (codec.decode_image, codec.read_header, codec.recover_image):
        with pytest.raises(error, match=message):
            read(data)


# Limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [codec.decode_image, codec.read_header, codec.recover_image])
def test_a_huge_claim_is_refused_before_anything_is_allocated(read, profile):
    data = file_with(HEADS[profile](width=65_535, height=65_535, channels=4), profile=profile)
    tracemalloc.start()
    try:
        with pytest.raises(codec.LimitError, match=rf"over the limit of {SIZE_LIMIT}; raise it with size_limit="):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", [codec.decode_image, codec.read_header])
@pytest.mark.parametrize(("width", "height"), [(65_535, 65_535), (1, 2**32 - 1), (2**17, 2**32 - 1)])
def test_a_huge_claim_does_not_fit_into_a_small_file_whatever_the_limit(read, width, height, profile):
    data = file_with(HEADS[profile](width=width, height=height), profile=profile)
    tracemalloc.start()
    try:
        with pytest.raises(codec.TruncatedError, match="do not fit into"):
            read(data, size_limit=2**70)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_the_limit_is_on_pixels(profile):
    data = codec.encode_image(make_picture(40, 50), profile=profile)
    assert codec.decode_image(data, size_limit=2000).shape == (40, 50, 3)
    for read in (codec.decode_image, codec.read_header, codec.recover_image):
        with pytest.raises(codec.LimitError, match="40 pixels are over the limit of 1999"):
            read(data, size_limit=1999)


# Files that are not as they should be -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def pixels():
    return make_picture(139, 50)


@pytest.fixture(scope="module")
def striped(pixels, profile):
    """A file of five strips, the last of 11 rows, with metadata."""
    return encode_in_strips(pixels, 32, profile=profile, icc=b"profile", exif=b"camera")


@pytest.fixture(scope="module")
def chunks(striped):
    return take_apart(striped)


def test_every_prefix_is_truncated(striped):
    for end in range(len(striped)):
        with pytest.raises(codec.TruncatedError):
            codec.decode_image(striped[:end])


@pytest.mark.parametrize("foreign", ["PNG", "JPEG", "GIF", "TIFF"])
def test_files_of_other_formats(foreign):
    file = io.BytesIO()
    Image.fromarray(make_picture(30, 30)).save(file, foreign)
    for read in (codec.decode_image, codec.read_header, codec.recover_image):
        with pytest.raises(codec.FormatError, match="not a file of kind TJP: the signature is missing"):
            read(file.getvalue())


@pytest.mark.parametrize("data", [b"a text file\n" * 10, bytes(1000), b"\xff" * 1000, b"\x89TJP\n\x1a\n"])
def test_files_of_no_format(data):
    for read in (codec.decode_image, codec.read_header, codec.recover_image):
        with pytest.raises(codec.FormatError, match="the signature is missing"):
            read(data)


def test_an_empty_file():
    for read in (codec.decode_image, codec.read_header, codec.recover_image):
        with pytest.raises(codec.TruncatedError):
            read(b"")


def test_another_version(striped):
    newer = striped[:8] + struct.pack(">H", VERSION + 1) + striped[10:]
    for read in (codec.decode_image, codec.read_header, codec.recover_image):
        with pytest.raises(
            codec.UnsupportedError, match=f"version {VERSION + 1}; this program reads version {VERSION}"
        ):
            read(newer)


# Chunks of `striped` by number: 0 HEAD, 1 ICCP, 2 EXIF, 3 to 7 the strips.
@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "the header is damaged or missing"),
        ([1, 2, 3, 4, 5, 6, 7], "the header is damaged or missing"),  # no header
        ([1, 0, 2, 3, 4, 5, 6, 7], "where a header and metadata belong"),
        ([0, 0, 1, 2, 3, 4, 5, 6, 7], "where a header and metadata belong"),
        ([0, 2, 1, 3, 4, 5, 6, 7], "where a header and metadata belong"),
        ([0, 1, 1, 3, 4, 5, 6, 7], "where a header and metadata belong"),
        ([0, 1, 2, 4, 3, 5, 6, 7], "strip 0 is not in its place"),
        ([0, 1, 2, 3, 4, 5, 5, 7], "strip 3 is not in its place"),
        ([0, 1, 2, 3, 4, 5, 6, 7, 7], "6 strips where 5 belong"),
        ([0, 1, 2, 3, 4, 5, 7], "4 strips where 5 belong"),
        ([0, 1, 2], "0 strips where 5 belong"),
    ],
)
def test_chunks_in_another_order(chunks, order, message):
    data = put_together(chunks[i] for i in order)
    for read in (codec.decode_image, codec.read_header):
        with pytest.raises(codec.FormatError, match=message):
            read(data)


@pytest.mark.parametrize("order", [[0, 3, 1, 2, 4, 5, 6, 7], [0, 1, 3, 2, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 1, 7]])
def test_metadata_between_or_after_strips(chunks, order):
    with pytest.raises(codec.FormatError):
        codec.decode_image(put_together(chunks[i] for i in order))


def test_chunks_of_unknown_type(chunks):
    with pytest.raises(codec.FormatError):
        codec.decode_image(put_together([*chunks[:3], (b"ODDS", b"and ends"), *chunks[3:]]))


def test_a_strip_without_an_index(chunks):
    with pytest.raises(codec.FormatError, match="strip 4 is not in its place"):
        codec.decode_image(put_together([*chunks[:7], (b"STRP", b"\0\0")]))


def test_bytes_after_the_end(striped):
    with pytest.raises(codec.FormatError, match="5 bytes follow the last chunk"):
        codec.decode_image(striped + b"extra")


# Recovery ---------------------------------------------------------------------------------------------------


whole_picture = cache(codec.decode_image)


def check_recovered(data, striped, lost):
    """Recover a file from which strips were lost; return the account of it."""
    recovered = codec.recover_image(data)
    expected = whole_picture(striped).copy()
    for first, last in map(recovered.header.strip_rows, lost):
        expected[first:last] = 128
    assert np.array_equal(recovered.pixels, expected)
    covered = [row for first, last in recovered.missing for row in range(first, last)]
    assert covered == [row for index in lost for row in range(*recovered.header.strip_rows(index))]
    intact = data == striped
    assert not recovered.problems if intact else recovered.problems
    return recovered


def strip_starts(striped):
    """Return where the strips' chunks begin in the file."""
    return [i for i in range(len(striped)) if striped.startswith(b"STRP", i)]


def test_an_intact_file_has_no_problems(striped):
    recovered = check_recovered(striped, striped, [])
    assert recovered.problems == []
    assert recovered.header == codec.read_header(striped)


@pytest.mark.parametrize("lost", range(5))
@pytest.mark.parametrize("where", ["type", "length", "index", "insides", "checksum"])
def test_damage_in_a_strip_loses_its_rows_only(striped, lost, where):
    starts = [*strip_starts(striped), len(striped) - 12]
    offset = {"type": 0, "length": 4, "index": 8, "insides": 30, "checksum": starts[lost + 1] - starts[lost] - 1}[where]
    damaged = bytearray(striped)
    damaged[starts[lost] + offset] ^= 0x81
    with pytest.raises((codec.ChecksumError, codec.TruncatedError)):
        codec.decode_image(bytes(damaged))
    recovered = check_recovered(bytes(damaged), striped, [lost])
    assert recovered.missing == [recovered.header.strip_rows(lost)]
    assert any(p.startswith(f"bytes {starts[lost]} to {starts[lost + 1]}: ") for p in recovered.problems)


def test_ranges_of_missing_rows_are_joined(striped, chunks):
    kept = [chunks[i] for i in (0, 1, 2, 3, 6)]
    assert check_recovered(put_together(kept), striped, [1, 2, 4]).missing == [(32, 96), (128, 139)]


def test_strips_in_another_order_find_their_rows(striped, chunks):
    check_recovered(put_together(chunks[i] for i in (0, 1, 2, 7, 5, 3, 4, 6)), striped, [])


def test_insides_of_a_strip_that_break_a_rule(striped, chunks):
    # With a right checksum: a faulty encoder, or malice.
    broken = (b"STRP", chunks[4][1][:-1])
    recovered = check_recovered(put_together([*chunks[:4], broken, *chunks[5:]]), striped, [1])
    assert recovered.missing == [(32, 64)]
    assert recovered.problems[0].startswith("rows 32 to 63: ")


def test_the_last_chunk_is_lost(striped):
    recovered = check_recovered(striped[:-12], striped, [])
    assert recovered.problems == ["the file ends before its last chunk"]


def test_a_truncated_file_keeps_the_strips_before(striped):
    starts = strip_starts(striped)
    for kept in range(1, 5):
        check_recovered(striped[: starts[kept] + 20], striped, list(range(kept, 5)))
    with pytest.raises(codec.TruncatedError, match="nothing of the picture"):
        codec.recover_image(striped[: starts[0] + 20])


@pytest.mark.parametrize(("lost", "name"), [(1, "icc"), (2, "exif")])
def test_lost_metadata_costs_no_pixels(striped, lost, name):
    start = striped.index([b"", b"ICCP", b"EXIF"][lost])
    damaged = bytearray(striped)
    damaged[start + 9] ^= 1
    recovered = check_recovered(bytes(damaged), striped, [])
    assert getattr(recovered.header, name) is None
    assert len(recovered.problems) == 1


def test_without_its_header_nothing_is_recovered(striped):
    damaged = bytearray(striped)
    damaged[20] ^= 1
    with pytest.raises(codec.FormatError, match="the header is damaged or missing"):
        codec.recover_image(bytes(damaged))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda chunks: put_together([*chunks, (b"STRP", chunks[-1][1][:4] + chunks[-2][1][4:])]),
        lambda chunks: put_together([*chunks, (b"STRP", struct.pack(">I", 99))]),
        lambda chunks: put_together([*chunks, (b"STRP", b"")]),
        lambda chunks: put_together([*chunks[:2], chunks[3], chunks[2], *chunks[4:]]),
        lambda chunks: put_together([chunks[3], *chunks[:3], *chunks[4:]]),
        lambda chunks: put_together(chunks) + b"extra",
    ],
    ids=[
        "a second last strip",
        "a strip too many",
        "a strip without an index",
        "a strip before metadata",
        "a strip before the header",
        "bytes after the end",
    ],
)
def test_what_strict_reading_refuses_recovery_names(striped, chunks, spoil):
    with pytest.raises(codec.FormatError):
        codec.decode_image(spoil(chunks))
    check_recovered(spoil(chunks), striped, [])


def test_recovery_of_a_huge_claim_is_bounded_in_time(profile):
    # 2**17 strips, of which one is there, and that is damaged.
    data = put_together([(b"HEAD", HEADS[profile](width=1, height=2**22)), (b"STRP", bytes(8))])
    with pytest.raises(codec.TruncatedError, match="nothing of the picture") as caught:
        codec.recover_image(data)
    assert len(str(caught.value)) < 1000  # an account for people


def test_a_strip_is_one_row_of_macroblocks_at_least(profile, monkeypatch):
    # What it takes to decode a strip bounds the width of a picture.
    monkeypatch.setattr(codec.image, "LARGEST_STRIP", 1 << 16)  # a strip of 2**22 pixels would take seconds
    widest = (1 << 16) // find_profile(profile).choose(1, False, 75, "psnr").macroblock
    wide = np.full((1, widest + 1), 128, np.uint8)
    with pytest.raises(codec.UnsupportedError, match=f"{widest + 1} pixels wide; the limit is {widest}"):
        encode_in_strips(wide, 1, profile=profile)
    data = encode_in_strips(wide[:, 1:], 1, profile=profile)
    assert np.array_equal(codec.decode_image(data), wide[:, 1:])
    monkeypatch.setattr(codec.image, "LARGEST_STRIP", (1 << 16) - 1)
    with pytest.raises(codec.FormatError, match=f"a strip has at most {(1 << 16) - 1} pixels"):
        codec.decode_image(data)
