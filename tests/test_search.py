"""Tests of `codec.search`: the wish is fulfilled, the next hundredth of quality would not do, 14 trials are enough."""

import numpy as np
import pytest

from bitstreams.errors import CodecError, UnsupportedError
from codec import search
from codec.color import rgb_to_gray
from codec.image import decode_image, encode_image, read_header
from codec.metrics import psnr
from codec.search import encode_to_psnr, encode_to_size
from tests.pictures import make_picture

PICTURE = make_picture(40, 56)


class Trials(dict):
    """What was encoded at each quality, in order."""

    def qualities_of(self, data):
        """Return at which qualities a file came about."""
        return [quality for quality, tried in self.items() if tried == data]


@pytest.fixture
def trials(monkeypatch):
    """Watch the encodings."""
    tried = Trials()

    def encode(pixels, quality, **options):
        assert quality not in tried
        tried[quality] = encode_image(pixels, quality, **options)
        return tried[quality]

    monkeypatch.setattr(search, "encode_image", encode)
    return tried


@pytest.mark.parametrize(
    ("profile", "target"), [("baseline", 700), ("baseline", 1000), ("baseline", 2500), ("main", 500), ("main", 1500)]
)
def test_the_file_fits_and_the_next_quality_does_not(trials, profile, target):
    data = encode_to_size(PICTURE, target, profile=profile)
    quality = max(trials.qualities_of(data))
    assert data == encode_image(PICTURE, quality, profile=profile)
    assert len(data) <= target < len(encode_image(PICTURE, quality + 0.01, profile=profile))
    assert len(trials) <= 14


def test_all_that_is_wanted_fits_at_quality_100(trials):
    assert encode_to_size(PICTURE, 10**9, profile="baseline") == encode_image(PICTURE, 100, profile="baseline")
    assert len(trials) <= 14


def test_a_size_that_cannot_be_had_is_an_error_that_names_the_smallest(trials):
    with pytest.raises(CodecError, match=r"does not fit into 20 bytes; the smallest file takes (\d+)$") as caught:
        encode_to_size(PICTURE, 20)
    assert int(str(caught.value).split()[-1]) == min(map(len, trials.values()))
    assert min(trials) == 0
    assert len(trials) <= 14


SHAPES = [(40, 56, 1), (40, 56, 2), (40, 56, 3), (40, 56, 4), (1, 700, 1)]


@pytest.mark.parametrize(
    ("profile", "shape", "target"),
    [
        *(("baseline", shape, target) for shape in SHAPES for target in (26, 33.3, 38)),
        *(("main", shape, 33.3) for shape in SHAPES),
    ],
)
def test_the_psnr_is_reached_and_the_quality_before_does_not_reach_it(trials, profile, shape, target):
    pixels = make_picture(*shape)
    data = encode_to_psnr(pixels, target, profile=profile)
    quality = min(trials.qualities_of(data))
    assert data == encode_image(pixels, quality, profile=profile)
    before = encode_image(pixels, quality - 0.01, profile=profile)
    assert psnr(decode_image(before), pixels) < target <= psnr(decode_image(data), pixels)
    assert len(trials) <= 14


def test_both_are_bounds_that_may_be_met(monkeypatch):
    # A codec that grows strictly: a byte more and a wrong sample less for each hundredth of quality.
    pixels = np.zeros((100, 101), np.uint8)

    def encode(_, quality):
        return bytes(1 + round(100 * quality))

    def decode(data, **_):
        return (np.arange(pixels.size) >= len(data)).astype(np.uint8).reshape(pixels.shape)

    monkeypatch.setattr(search, "encode_image", encode)
    monkeypatch.setattr(search, "decode_image", decode)
    for size in (1, 2, 4321, 10_000, 10_001):
        assert len(encode_to_size(pixels, size)) == size
        assert len(encode_to_psnr(pixels, psnr(pixels, decode(bytes(size))))) == size


def test_a_low_psnr_is_reached_at_quality_0():
    assert encode_to_psnr(PICTURE, 1, profile="baseline") == encode_image(PICTURE, 0, profile="baseline")


def test_a_psnr_out_of_reach_is_an_error_that_names_the_best(trials):
    best = psnr(decode_image(encode_image(PICTURE, 100, profile="baseline")), PICTURE)
    with pytest.raises(CodecError, match=f"a PSNR of 70 dB is out of reach; the best is {best:.2f} dB"):
        encode_to_psnr(PICTURE, 70, profile="baseline")
    assert len(trials) <= 14


def test_a_flat_picture_reaches_any_psnr():
    data = encode_to_psnr(np.full((20, 30), 128, np.uint8), 300)
    assert (decode_image(data) == 128).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_that_becomes_gray_is_compared_with_its_gray_version(channels):
    pixels = make_picture(40, 56, channels)
    gray = np.concatenate([rgb_to_gray(pixels[..., :3])[..., None], pixels[..., 3:]], axis=-1)
    decoded = decode_image(encode_to_psnr(pixels, 38, yuv="400", profile="baseline"))
    assert 38 <= psnr(decoded, gray.reshape(decoded.shape)) < 38.5


def test_one_channel_may_have_an_axis_of_its_own():
    gray = make_picture(40, 56, 1)
    one, other = (encode_to_psnr(pixels, 35, profile="baseline") for pixels in (gray[..., None], gray))
    assert one == other


def test_options_go_to_the_encoder():
    options = {"yuv": "444", "profile": "baseline", "tables": "flat", "icc": b"profile", "exif": b"exif"}
    for data in (encode_to_size(PICTURE, 2000, **options), encode_to_psnr(PICTURE, 35, **options)):
        header = read_header(data)
        assert (header.subsampled, header.stages.tables, header.icc, header.exif) == (
            False,
            "flat",
            b"profile",
            b"exif",
        )


def test_errors_of_the_encoder_pass():
    with pytest.raises(UnsupportedError):
        encode_to_size(PICTURE.astype(float), 1000)
    with pytest.raises(CodecError, match="sampling"):
        encode_to_psnr(PICTURE, 35, yuv="411")
