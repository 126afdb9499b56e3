"""Tests of `codec.trace`: that parts add up to the file, that planes make the pixels, and what damage does."""

import numpy as np
import pytest

import codec
from bitstreams.amplitudes import sizes
from bitstreams.errors import FormatError
from bitstreams.ledger import FILE
from codec import quantize
from codec.chroma_from_luma import map_shape
from codec.scan import EOB, ZIGZAG
from tests.files import encode_in_strips, put_together, take_apart
from tests.pictures import make_picture

PLANES = {1: ["Y"], 2: ["Y", "A"], 3: ["Y", "Cb", "Cr"], 4: ["Y", "Cb", "Cr", "A"]}
LEVEL = np.float32(0.75)  # what fixed-point rounding of luma, chroma and the sum may differ by, see codec.color


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("yuv", ["420", "444"])
def test_the_ledger_adds_up_to_the_file(channels, yuv):
    picture = make_picture(61, 83, channels)
    data = codec.encode_image(picture, 70, yuv=yuv, profile="baseline", icc=b"a profile", exif=b"a camera")
    trace = codec.trace_image(data)
    assert trace.ledger.total == 8 * len(data)
    assert list(trace.planes) == PLANES[channels]
    assert all(bits >= 0 for bits in trace.ledger.bits.values())
    assert trace.ledger.bits[FILE, "metadata"] == 8 * len(b"a profile" + b"a camera")
    # Not a place for bits that were forgotten: up to 7 for each stream, the signs and the mantissas.
    assert trace.ledger.bits[FILE, "padding"] <= 7 * (2 * (1 + (channels > 2) + (channels % 2 == 0)) + 2)


def test_strips_add_up_too():
    data = encode_in_strips(make_picture(70, 40), 16, profile="baseline")
    trace = codec.trace_image(data)
    assert trace.ledger.total == 8 * len(data)
    assert trace.ledger.bits[FILE, "strip numbers"] == 5 * 32
    assert trace.planes["Y"].levels.shape == (10, 6, 8, 8)  # whole macroblocks: 80 x 48 pixels
    assert np.array_equal(trace.pixels, codec.decode_image(data))


def test_bits_of_blocks_are_those_of_the_planes():
    trace = codec.trace_image(codec.encode_image(make_picture(64, 96), 80, profile="baseline"))
    kinds = ("DC code words", "AC code words", "signs", "mantissas")
    for name, plane in trace.planes.items():
        assert plane.bits.sum() == sum(trace.ledger.bits[name, kind] for kind in kinds)
        assert plane.bits.shape == plane.levels.shape[:2]
        assert np.all(plane.bits >= 2)  # a code word for DC, and one for the end of the block


def test_symbols_levels_and_coefficients_tell_the_same():
    trace = codec.trace_image(codec.encode_image(make_picture(48, 80), 60, profile="baseline", tables="jpeg"))
    steps = dict.fromkeys(("Cb", "Cr"), quantize.scale(quantize.TABLES["jpeg"], 60)[1])
    steps["Y"] = quantize.scale(quantize.TABLES["jpeg"], 60)[0]
    for name, plane in trace.planes.items():
        ac = plane.levels.reshape(-1, 64)[:, ZIGZAG][:, 1:]
        assert np.count_nonzero(plane.ac_symbols == EOB) == len(ac) == plane.dc_sizes.size
        coded = plane.ac_symbols >> 4
        assert np.array_equal(coded[coded > 0], sizes(ac[ac != 0]))
        step = np.empty(64)
        step[ZIGZAG] = steps[name] / quantize.UNIT
        assert np.array_equal(plane.coefficients, plane.levels * step.reshape(8, 8))


def test_the_planes_make_the_pixels():
    for yuv in ("420", "444"):
        trace = codec.trace_image(codec.encode_image(make_picture(40, 72), 85, yuv=yuv, profile="baseline"))
        y, cb, cr = (trace.planes[name].upsampled[:40, :72] for name in ("Y", "Cb", "Cr"))
        expected = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1) + 128
        assert np.abs(np.clip(expected, 0, 255) - trace.pixels).max() <= 0.5 + LEVEL
        small = trace.planes["Cb"].samples
        assert small.shape == ((24, 40) if yuv == "420" else (40, 72))
        assert trace.planes["Cb"].upsampled.mean() == pytest.approx(small.mean(), abs=0.1)


def test_a_damaged_file_raises_what_decoding_raises():
    chunks = take_apart(codec.encode_image(make_picture(20, 20), profile="baseline"))
    broken = put_together([*chunks[:-1], (chunks[-1][0], chunks[-1][1][:-1])])
    with pytest.raises(codec.CodecError) as of_decoder:
        codec.decode_image(broken)
    with pytest.raises(type(of_decoder.value)):
        codec.trace_image(broken)


# The main profile -------------------------------------------------------------------------------------------

EFFORTS = (1, 5, 8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("effort", EFFORTS)
def test_the_ledger_of_the_main_profile_adds_up_to_the_file(channels, effort):
    data = encode_in_strips(make_picture(61, 83, channels), 32, 80, effort=effort, icc=b"a profile")
    trace = codec.trace_image(data)
    assert trace.ledger.total == 8 * len(data)
    assert list(trace.planes) == PLANES[channels]
    assert np.array_equal(trace.pixels, codec.decode_image(data))
    assert all(bits >= 0 for bits in trace.ledger.bits.values())
    assert trace.ledger.bits[FILE, "filters, heads"] == 2 * 8 * (1 + channels)
    kinds = ("DC symbols", "AC symbols", "signs", "mantissas")
    for name, plane in trace.planes.items():
        bits = sum(trace.ledger.bits.get((name, kind), 0) for kind in kinds)
        assert plane.bits.sum() == pytest.approx(bits, abs=4)  # rounded to whole bits, in each strip


@pytest.mark.parametrize("yuv", ["420", "444"])
def test_slopes_are_traced(yuv):
    gray = make_picture(64, 96, 1).astype(int) // 2 + 60
    tinted = np.stack([gray, gray, np.clip(2 * gray - 120, 0, 255)], axis=-1).astype(np.uint8)
    bits = {}
    for without in ((), ("chroma-from-luma",)):
        trace = codec.trace_image(encode_in_strips(tinted, 32, 85, yuv=yuv, without=without))
        bits[without] = trace.ledger.bits.get(("Cb", "slopes"), 0)
        for plane in trace.planes.values():
            rows, columns = map_shape(*plane.samples.shape) if yuv == "444" else (2, map_shape(*plane.samples.shape)[1])
            assert plane.slopes.shape == (rows, columns)
        assert trace.planes["Cb"].slopes.any() == (not without)
        assert not trace.planes["Y"].slopes.any()
        y, cb, cr = (trace.planes[name].upsampled[:64, :96] for name in ("Y", "Cb", "Cr"))
        expected = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1) + 128
        assert np.abs(np.clip(expected, 0, 255) - trace.pixels).max() <= 0.5 + LEVEL
    assert bits[()] > 0
    assert bits["chroma-from-luma",] == 0


def test_levels_of_a_trellis_are_halves():
    for effort in EFFORTS:
        trace = codec.trace_image(codec.encode_image(make_picture(64, 96), 80, effort=effort))
        assert any((plane.levels % 1).any() for plane in trace.planes.values()) == (effort >= 7)
        for name, plane in trace.planes.items():
            assert np.array_equal(2 * plane.levels, np.rint(2 * plane.levels))
            assert not plane.levels[plane.contexts < 0].any()
            ac = plane.levels.reshape(*plane.levels.shape[:2], 64)[..., 1:]
            assert np.count_nonzero(plane.ac_symbols) == np.count_nonzero(ac)
            signs = np.count_nonzero(ac) + np.count_nonzero(plane.dc_symbols)
            assert trace.ledger.bits[name, "signs"] == signs
            assert plane.ac_symbols.max() == min(17, np.ceil(np.abs(ac)).max())


def test_filters_of_planes_that_there_are_not_are_refused_by_trace_too():
    *before, (name, payload) = take_apart(codec.encode_image(make_picture(32, 32)))
    for byte in (0b1000, 0xFF):
        data = put_together([*before, (name, payload[:4] + bytes([byte]) + payload[5:])])
        for read in (codec.decode_image, codec.trace_image):
            with pytest.raises(FormatError, match="for 3 planes"):
                read(data)


def test_a_strip_of_the_main_profile_without_anything_is_refused_by_trace_too():
    *before, (name, payload) = take_apart(codec.encode_image(make_picture(32, 32)))
    data = put_together([*before, (name, payload[:4])])
    for read in (codec.decode_image, codec.trace_image):
        with pytest.raises(codec.CodecError, match="the strip is empty"):
            read(data)
