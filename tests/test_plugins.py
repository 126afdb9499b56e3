"""Tests of `codec.plugins`: what imageio, Pillow and matplotlib read and write, and how they fail."""

import io
from dataclasses import replace

import imageio.v2
import imageio.v3 as iio
import matplotlib as mpl
import numpy as np
import pytest
from imageio.config import known_extensions, known_plugins
from matplotlib import pyplot as plt
from PIL import Image, ImageFile

import codec
from codec import plugins
from tests.clips import encode, make_clip
from tests.files import put_together, take_apart
from tests.pictures import make_picture

mpl.use("Agg")  # needs no display
plugins.register()

MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}  # Pillow's names for so many channels
ICC = b"a colour profile" * 20


def picture(channels=3):
    """Make a picture that is wider than high, of no whole number of blocks."""
    return make_picture(21, 35, channels)


def exif_data(orientation=6):
    """Make EXIF data that says how the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.tjpg"


@pytest.fixture
def no_decoding(monkeypatch):
    def fail(*args, **options):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(plugins, "decode_image", fail)


# Registration -----------------------------------------------------------------------------------------------


def test_registering_again_changes_nothing(path):
    def registered():
        extensions = len(known_extensions[".tjpg"]), len(known_extensions[".tvid"])
        return Image.ID.count("TJPG"), len(Image.ID), len(known_plugins), extensions

    before = registered()
    plugins.register()
    assert registered() == before
    assert (before[0], before[3]) == (1, (1, 1))
    iio.imwrite(path, picture())
    assert iio.imread(path).shape == picture().shape


def test_pillow_knows_extension_and_mime_type(path):
    assert Image.registered_extensions()[".tjpg"] == "TJPG"
    path.write_bytes(codec.encode_image(picture()))
    with Image.open(path) as image:
        assert (image.format, image.get_format_mimetype()) == ("TJPG", "image/x-tjpg")


# imageio ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_imageio_writes_and_reads_what_the_codec_does(path, channels):
    pixels = picture(channels)
    iio.imwrite(path, pixels, quality=80, tune="psnr", yuv="444")
    data = codec.encode_image(pixels, 80, tune="psnr", yuv="444")
    assert path.read_bytes() == data
    np.testing.assert_array_equal(iio.imread(path), codec.decode_image(data))


def test_imageio_reads_bytes_and_file_objects():
    data = codec.encode_image(picture())
    for source in (data, io.BytesIO(data)):
        np.testing.assert_array_equal(iio.imread(source, extension=".tjpg"), codec.decode_image(data))
    # Without an extension all plugins are asked in turn; Pillow's is the first, and knows the format too.
    np.testing.assert_array_equal(iio.imread(data), codec.decode_image(data))


def test_imageio_writes_bytes_and_file_objects():
    data = codec.encode_image(picture(), 60)
    assert iio.imwrite("<bytes>", picture(), extension=".tjpg", quality=60) == data
    assert iio.imwrite("<bytes>", picture(), plugin="tcodec", quality=60) == data
    file = io.BytesIO()
    assert iio.imwrite(file, picture(), extension=".tjpg", quality=60) is None
    assert file.getvalue() == data


def test_the_second_api_of_imageio(path):
    imageio.v2.imwrite(path, picture(), quality=60)
    np.testing.assert_array_equal(imageio.v2.imread(path), codec.decode_image(codec.encode_image(picture(), 60)))


def test_imiter_gives_one_picture(path):
    path.write_bytes(codec.encode_image(picture()))
    pictures = list(iio.imiter(path))
    assert len(pictures) == 1
    np.testing.assert_array_equal(pictures[0], iio.imread(path))


def test_a_stack_of_one_and_no_second_picture(path):
    path.write_bytes(codec.encode_image(picture()))
    np.testing.assert_array_equal(iio.imread(path, index=...), iio.imread(path, index=0)[np.newaxis])
    for function in (iio.imread, iio.improps, iio.immeta):
        with pytest.raises(ValueError, match="one picture"):
            function(path, index=1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_improps_without_decoding(path, channels, no_decoding):
    path.write_bytes(codec.encode_image(picture(channels)))
    shape = (21, 35) if channels == 1 else (21, 35, channels)
    one, stack = iio.improps(path), iio.improps(path, index=...)
    assert (one.shape, one.dtype, one.n_images, one.is_batch) == (shape, np.uint8, None, False)
    assert (stack.shape, stack.dtype, stack.n_images, stack.is_batch) == ((1, *shape), np.uint8, 1, True)


def test_immeta_without_decoding(path, no_decoding):
    exif = exif_data().tobytes()
    path.write_bytes(codec.encode_image(picture(), icc=ICC, exif=exif))
    assert iio.immeta(path) == {"profile": "main", "yuv": "420", "icc": ICC, "exif": exif}
    path.write_bytes(codec.encode_image(picture(), yuv="444"))
    assert iio.immeta(path, exclude_applied=False) == {"profile": "main", "yuv": "444"}
    path.write_bytes(codec.encode_image(picture(), yuv="400"))
    assert iio.immeta(path) == {"profile": "main", "yuv": "400"}
    path.write_bytes(codec.encode_image(picture(), profile="baseline"))
    assert iio.immeta(path) == {"profile": "baseline", "yuv": "420"}


@pytest.mark.parametrize("yuv", ["420", "444", "400"])
def test_what_immeta_gives_imwrite_takes(path, yuv):
    iio.imwrite(path, picture(), yuv=yuv, icc=ICC, exif=b"exif")
    again = iio.imwrite("<bytes>", picture(), extension=".tjpg", **iio.immeta(path))
    assert again == path.read_bytes()


def test_an_open_file_answers_more_than_once(path):
    path.write_bytes(codec.encode_image(picture(), icc=ICC))
    with iio.imopen(path, "r") as file:
        assert file.metadata()["icc"] == ICC
        assert file.read().shape == file.properties().shape == next(file.iter()).shape == (21, 35, 3)


def test_imageio_takes_a_size_limit(path):
    path.write_bytes(codec.encode_image(make_picture(32, 40, 1)))
    assert iio.imread(path, size_limit=32 * 40).shape == (32, 40)
    for function in (iio.imread, iio.improps, iio.immeta):
        with pytest.raises(codec.LimitError, match="size_limit="):
            function(path, size_limit=32 * 40 - 1)
    with pytest.raises(codec.LimitError):
        list(iio.imiter(path, size_limit=32 * 40 - 1))


@pytest.mark.parametrize("bad", [{"quality": 101}, {"tune": "nose"}, {"yuv": "422"}, {"tables": "jpeg"}])
def test_an_error_on_writing_leaves_the_old_file(path, bad):
    path.write_bytes(b"old")
    with pytest.raises(codec.CodecError):
        iio.imwrite(path, picture(), **bad)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    "pixels", [picture() / 255, picture().astype(np.uint16), [picture(), picture()]], ids=["float", "16 bits", "list"]
)
def test_imageio_refuses_what_is_no_picture(path, pixels):
    with pytest.raises(codec.UnsupportedError):
        iio.imwrite(path, pixels)
    assert not path.exists()


def test_the_plugin_leaves_other_formats_alone(tmp_path, path):
    iio.imwrite(path, picture(), extension=".png")
    assert path.read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(iio.imread(path), picture())  # the plugin declines, and another one reads it
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(path, plugin="tcodec")
    with pytest.raises(OSError, match="can not handle"):
        iio.imwrite(tmp_path / "x.png", picture(), plugin="tcodec")
    assert not (tmp_path / "x.png").exists()


# imageio and videos -----------------------------------------------------------------------------------------


def clip(frames=5, channels=3):
    """Make a video that is wider than high, of no whole number of blocks, as one array."""
    return np.stack(list(make_clip(frames, 21, 35, channels=channels)))


def decoded(data):
    with codec.open_video(io.BytesIO(data)) as video:
        return video[:]


@pytest.fixture
def film(tmp_path):
    return tmp_path / "x.tvid"


@pytest.mark.parametrize("channels", [1, 3])
def test_imageio_writes_and_reads_what_the_codec_does_with_videos(film, channels):
    options = {"fps": 12.5, "quality": 40, "keyframe": 2, "yuv": "444"}
    iio.imwrite(film, clip(channels=channels), **options)
    data = encode(clip(channels=channels), **options)
    assert film.read_bytes() == data
    frames = decoded(data)
    for read in (iio.imread(film), iio.imread(film, index=...), np.stack(list(iio.imiter(film)))):
        np.testing.assert_array_equal(read, frames)
    np.testing.assert_array_equal(iio.imread(film, index=3), frames[3])
    with pytest.raises(IndexError):
        iio.imread(film, index=5)


def test_videos_in_memory():
    data = encode(clip())
    assert iio.imwrite("<bytes>", clip(), extension=".tvid") == data
    assert iio.imwrite("<bytes>", clip(), plugin="tcodec-video") == data
    file = io.BytesIO()
    assert iio.imwrite(file, clip(), extension=".tvid") is None
    assert file.getvalue() == data
    for source in (data, io.BytesIO(data)):
        np.testing.assert_array_equal(iio.imread(source, extension=".tvid"), decoded(data))


def test_videos_are_written_from_lists_and_iterators(film):
    data = encode(clip())
    for frames in (list(clip()), iter(clip())):
        iio.imwrite(film, frames)
        assert film.read_bytes() == data
    iio.imwrite(film, clip()[0], is_batch=False)
    assert film.read_bytes() == encode(clip()[:1])
    imageio.v2.mimwrite(film, list(clip()), fps=10)
    assert film.read_bytes() == encode(clip(), fps=10)
    assert len(imageio.v2.mimread(film)) == 5


@pytest.mark.parametrize("channels", [1, 3])
def test_improps_and_immeta_of_videos_without_decoding(film, channels, monkeypatch):
    def fail(*args, **options):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(codec.video_reader, "decode_group", fail)
    film.write_bytes(encode(clip(channels=channels), fps=12.5))
    shape = (5, 21, 35) if channels == 1 else (5, 21, 35, 3)
    stack, one = iio.improps(film), iio.improps(film, index=4)
    assert (stack.shape, stack.dtype, stack.n_images, stack.is_batch) == (shape, np.uint8, 5, True)
    assert (one.shape, one.dtype, one.n_images, one.is_batch) == (shape[1:], np.uint8, None, False)
    yuv = "400" if channels == 1 else "420"
    assert iio.immeta(film) == {"codec": "tvid", "profile": "baseline", "fps": 12.5, "duration": 0.4, "yuv": yuv}
    with pytest.raises(IndexError):
        iio.improps(film, index=5)


def test_an_open_video_answers_more_than_once(film):
    film.write_bytes(encode(clip()))
    with iio.imopen(film, "r") as file:
        assert file.metadata()["fps"] == 25
        assert file.read(index=4).shape == file.properties(index=4).shape == next(file.iter()).shape
        np.testing.assert_array_equal(file.read(index=1), file.read()[1])
        with pytest.raises(codec.LimitError, match="size_limit="):
            file.read(size_limit=21 * 35 - 1)


@pytest.mark.parametrize(
    ("frames", "options"),
    [
        (clip()[0], {}),  # one picture, or gray ones 3 columns wide?
        (clip()[0, :, :, 0], {}),
        (clip() / 255, {}),
        ([], {}),
        ([clip()[0], clip()[0, :20]], {}),
        (clip(), {"quality": 101}),
        (clip(), {"fps": 0}),
    ],
    ids=["picture", "gray picture", "float", "none", "two sizes", "quality", "fps"],
)
def test_an_error_on_writing_a_video_leaves_the_old_file(film, frames, options):
    film.write_bytes(b"old")
    with pytest.raises(codec.CodecError):
        iio.imwrite(film, frames, **options)
    assert film.read_bytes() == b"old"


def test_a_video_is_not_silently_replaced_by_its_second_half(film):
    with iio.imopen(film, "w") as file:
        file.write(clip()[:3])
        with pytest.raises(codec.UnsupportedError, match="at once"):
            file.write(clip()[3:])
    assert film.read_bytes() == encode(clip()[:3])


def test_the_video_plugin_leaves_other_formats_alone(tmp_path, film):
    film.write_bytes(codec.encode_image(picture()))
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(film, plugin="tcodec-video")
    with pytest.raises(OSError, match="can not handle"):
        iio.imwrite(tmp_path / "x.mp4", clip(), plugin="tcodec-video")
    assert not (tmp_path / "x.mp4").exists()


def test_a_damaged_video_is_an_error_of_the_codec():
    data = encode(clip())
    with pytest.raises(codec.TruncatedError):
        iio.imread(data[:-10], plugin="tcodec-video")
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    with pytest.raises(codec.ChecksumError):
        iio.imread(bytes(broken), extension=".tvid")


# Pillow and matplotlib --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "channels"), MODES.items())
def test_pillow_writes_and_reads_what_the_codec_does(path, mode, channels):
    pixels = picture(channels)
    Image.fromarray(pixels).save(path, quality=80, tune="psnr", yuv="444")
    data = codec.encode_image(pixels, 80, tune="psnr", yuv="444")
    assert path.read_bytes() == data
    expected = codec.decode_image(data)
    with Image.open(path) as image:
        assert (image.mode, image.size) == (mode, (35, 21))
        np.testing.assert_array_equal(np.asarray(image), expected)
    np.testing.assert_array_equal(iio.imread(path), expected)


@pytest.mark.parametrize("options", [{"effort": 9}, {"profile": "baseline", "tables": "jpeg"}], ids=str)
def test_options_of_a_profile_go_to_the_encoder(path, options):
    data = codec.encode_image(picture(), **options)
    Image.fromarray(picture()).save(path, **options)
    assert path.read_bytes() == data
    assert iio.imwrite("<bytes>", picture(), extension=".tjpg", **options) == data
    assert data != codec.encode_image(picture())


def test_pillow_reads_and_writes_file_objects():
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, format="TJPG")
    assert file.getvalue() == codec.encode_image(picture())
    np.testing.assert_array_equal(np.asarray(Image.open(file)), codec.decode_image(file.getvalue()))


def test_pillow_ignores_options_of_other_formats():
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, format="TJPG", optimize=True, progressive=True)
    assert file.getvalue() == codec.encode_image(picture())


def test_pillow_decodes_no_pixels_to_open(path, no_decoding):
    path.write_bytes(codec.encode_image(picture(), icc=ICC))
    with Image.open(path) as image:
        assert (image.size, image.mode, image.info) == ((35, 21), "RGB", {"icc_profile": ICC})


def test_pillow_reads_the_file_in_one_piece():
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    data = codec.encode_image(noise, 100, yuv="444")
    assert len(data) > 2 * ImageFile.MAXBLOCK  # what Pillow would hand to a decoder first
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), codec.decode_image(data))


def test_a_parser_is_fed_piece_by_piece():
    data = codec.encode_image(picture())
    parser = ImageFile.Parser()
    for first in range(0, len(data), 100):
        parser.feed(data[first : first + 100])
    np.testing.assert_array_equal(np.asarray(parser.close()), codec.decode_image(data))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_matplotlib_reads(path, channels):
    path.write_bytes(codec.encode_image(picture(channels)))
    pixels = plt.imread(path)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, codec.decode_image(path.read_bytes()))


def test_metadata_goes_from_jpeg_to_tjpg_and_on(path):
    jpeg = io.BytesIO()
    Image.fromarray(picture()).save(jpeg, format="JPEG", icc_profile=ICC, exif=exif_data())
    first = Image.open(jpeg)
    first.save(path)
    with Image.open(path) as second:
        assert second.info["icc_profile"] == first.info["icc_profile"] == ICC
        assert second.info["exif"] == first.info["exif"]
        assert second.getexif()[0x0112] == 6
        again = io.BytesIO()
        second.save(again, format="TJPG")
    header = codec.read_header(again.getvalue())
    assert (header.icc, header.exif) == (ICC, first.info["exif"])


def test_metadata_given_to_save_comes_first(path):
    path.write_bytes(codec.encode_image(picture(), icc=ICC, exif=b"old"))
    with Image.open(path) as image:
        new, without = io.BytesIO(), io.BytesIO()
        image.save(new, format="TJPG", icc_profile=b"new", exif=exif_data(3))
        image.save(without, format="TJPG", icc_profile=b"", exif=b"")
    header = codec.read_header(new.getvalue())
    assert (header.icc, header.exif) == (b"new", exif_data(3).tobytes())
    assert Image.open(new).getexif()[0x0112] == 3
    assert Image.open(without).info == {}


@pytest.mark.parametrize("mode", ["1", "P", "PA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F"])
def test_pillow_refuses_other_modes(path, mode):
    with pytest.raises(OSError, match=f"cannot write mode {mode} as TJPG"):
        Image.new(mode, (16, 16)).save(path)
    assert not path.exists()


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("RGB", (7, 8, 9))])
def test_a_transparent_colour_becomes_alpha(mode, colour):
    image = Image.new(mode, (16, 32), colour)
    image.paste(200 if mode == "L" else (200, 0, 0), (0, 16, 16, 32))
    image.info["transparency"] = colour
    file = io.BytesIO()
    image.save(file, format="TJPG", profile="baseline")  # whose blocks are exact even beside others
    alpha = codec.decode_image(file.getvalue())[..., -1]
    assert Image.open(file).mode == mode + "A"
    assert (alpha[:16] == 0).all()
    assert (alpha[16:] == 255).all()


@pytest.mark.parametrize("bad", [{"quality": 101}, {"tune": "nose"}])
def test_an_error_on_saving_leaves_no_file(path, bad):
    with pytest.raises(codec.CodecError):
        Image.fromarray(picture()).save(path, **bad)
    assert not path.exists()


# Large, damaged and foreign files ---------------------------------------------------------------------------


def test_pillow_s_limit_of_size(monkeypatch):
    file = io.BytesIO(codec.encode_image(make_picture(32, 40, 1)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 40)
    assert Image.open(file).size == (40, 32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 40 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(file).load()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 20 - 1)
    with pytest.raises(Image.DecompressionBombError, match="MAX_IMAGE_PIXELS"):
        Image.open(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    image = Image.open(file)
    assert image.size == (40, 32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 20 - 1)
    with pytest.raises(Image.DecompressionBombError):
        image.load()


def test_a_header_that_claims_too_much_is_a_bomb():
    data = codec.encode_image(make_picture(16, 16, 1))
    header = replace(codec.read_header(data), width=65535, height=65535, rows=32)
    file = io.BytesIO(put_together([(b"HEAD", header.to_bytes()), *take_apart(data)[1:]]))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(file)
    with pytest.raises(codec.LimitError):
        iio.imread(file.getvalue(), extension=".tjpg")


def test_every_prefix_is_an_error_of_each_library():
    data = codec.encode_image(make_picture(16, 16, 1), icc=b"p", exif=b"e")
    for length in range(len(data)):
        known = length >= 8  # less than the signature could be anything
        with pytest.raises(OSError) as of_pillow:
            Image.open(io.BytesIO(data[:length]))
        assert isinstance(of_pillow.value, codec.TruncatedError if known else Image.UnidentifiedImageError)
        with pytest.raises(codec.TruncatedError if known else OSError):
            iio.imread(data[:length], plugin="tcodec")


def test_every_changed_byte_is_an_error_of_each_library():
    data = codec.encode_image(make_picture(16, 16, 1), icc=b"p", exif=b"e")
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]
        known = at >= 8
        with pytest.raises(codec.CodecError if known else Image.UnidentifiedImageError):
            Image.open(io.BytesIO(damaged))
        with pytest.raises(codec.CodecError if known else OSError):
            iio.imread(damaged, plugin="tcodec")


def test_damage_that_checksums_do_not_show_is_found_on_load():
    *chunks, (name, strip) = take_apart(codec.encode_image(picture()))
    file = io.BytesIO(put_together([*chunks, (name, strip[: len(strip) // 2])]))
    image = Image.open(file)
    assert image.size == (35, 21)
    for _ in range(2):  # it stays an error: no gray picture at the second attempt
        with pytest.raises(codec.TruncatedError) as of_pillow:
            image.load()
        assert isinstance(of_pillow.value, OSError)
    with pytest.raises(codec.TruncatedError):
        iio.imread(file.getvalue(), extension=".tjpg")


def test_pillow_says_why_a_file_is_refused():
    data = bytearray(codec.encode_image(picture()))
    data[8:10] = b"\xff\xff"
    with pytest.raises(codec.UnsupportedError, match="version 65535"):
        Image.open(io.BytesIO(data))


@pytest.mark.parametrize("foreign", [b"", b"plain text\n" * 40, b"\x89TJP\n\n\x1a\n" + bytes(100)])
def test_foreign_files(path, foreign):
    path.write_bytes(foreign)
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(path)
    with pytest.raises(SyntaxError):
        plugins.TjpgImageFile(io.BytesIO(foreign))
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(path, plugin="tcodec")
