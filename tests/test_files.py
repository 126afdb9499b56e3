"""Tests of `codec.files`: nothing of a picture is lost in silence, and no half of a file is left behind."""

import errno
import io
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from bitstreams.errors import LimitError, UnsupportedError
from codec.files import FORMATS, atomic_write, picture_bytes, pictures_in, read_picture, write_picture
from codec.image import encode_image
from codec.metrics import psnr
from tests.pictures import make_picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKE, EXIF_IFD, TAKEN = 0x0112, 0x010F, 0x8769, 0x9003
RGB = make_picture(13, 17)
GRAY = make_picture(13, 17, 1)


def exif_data(orientation=6):
    """Make EXIF data of a picture that was taken with the camera on its side."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKE] = "Pinhole"
    exif[EXIF_IFD] = {TAKEN: "2001:02:03 04:05:06"}
    return exif.tobytes()


def saved(image, format_="PNG", **options):
    """Return the bytes of a Pillow image, or an array, as a file."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, format_, **options)
    return stream.getvalue()


def deep_png(pixels):
    """Return RGB pixels of 16 bits as a PNG file, which Pillow cannot write."""

    def chunk(name, payload):
        return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def deep_tiff(pixels):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels)
    return stream.getvalue()


# Reading: colours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_samples_of_a_png_file_come_out_as_they_are(channels):
    pixels = make_picture(13, 17, channels)
    picture = read_picture(saved(pixels))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.icc, picture.exif) == (None, None)


def test_a_path_is_read_like_its_bytes(tmp_path):
    (tmp_path / "x.png").write_bytes(saved(RGB))
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png").pixels, RGB)
    np.testing.assert_array_equal(read_picture(str(tmp_path / "x.png")).pixels, RGB)


def test_one_bit_becomes_gray():
    bits = GRAY > 128
    pixels = read_picture(saved(Image.fromarray(bits))).pixels
    np.testing.assert_array_equal(pixels, np.where(bits, 255, 0))
    assert pixels.dtype == np.uint8


def palette_image():
    """Make a picture of 4 colours of a palette."""
    image = Image.fromarray(GRAY // 64).copy()
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30])
    return image


COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], np.uint8)


def test_a_palette_becomes_colours():
    np.testing.assert_array_equal(read_picture(saved(palette_image())).pixels, COLOURS[GRAY // 64])


@pytest.mark.parametrize(("transparency", "alpha"), [(2, [255, 255, 0, 255]), (bytes([9, 99, 199]), [9, 99, 199, 255])])
def test_transparent_colours_of_a_palette_become_alpha(transparency, alpha):
    pixels = read_picture(saved(palette_image(), transparency=transparency)).pixels
    np.testing.assert_array_equal(pixels[..., :3], COLOURS[GRAY // 64])
    np.testing.assert_array_equal(pixels[..., 3], np.array(alpha, np.uint8)[GRAY // 64])


def test_the_one_transparent_colour_of_a_picture_without_palette_becomes_alpha():
    gray = read_picture(saved(GRAY, transparency=int(GRAY[3, 4]))).pixels
    np.testing.assert_array_equal(gray[..., 1], np.where(GRAY[3, 4] == GRAY, 0, 255))
    colour = read_picture(saved(RGB, transparency=tuple(int(sample) for sample in RGB[3, 4]))).pixels
    np.testing.assert_array_equal(colour[..., 3], np.where((RGB[3, 4] == RGB).all(axis=-1), 0, 255))


def test_inks_become_rgb_without_their_profile():
    inks = np.zeros((13, 17, 4), np.uint8)
    inks[..., 0] = GRAY
    picture = read_picture(saved(Image.fromarray(inks, "CMYK"), "TIFF", icc_profile=ICC))
    np.testing.assert_array_equal(picture.pixels[..., 0], 255 - GRAY)
    assert (picture.pixels[..., 1:] == 255).all()
    assert picture.icc is None


DEEP = {
    "png gray": saved(GRAY.astype(np.uint16) * 257),
    "png rgb": deep_png(RGB.astype(np.uint16) * 257),
    "tiff gray": deep_tiff(GRAY.astype(np.uint16) * 257),
    "tiff rgb": deep_tiff(RGB.astype(np.uint16) * 257),
    "tiff float": deep_tiff(GRAY.astype(np.float32) / 255),
    "pgm": b"P5 2 1 65535\n" + bytes(4),
    "pgm of 10 bits": b"P5 2 1 1023\n" + bytes(4),
    "ppm": b"P6 1 1 65535\n" + bytes(6),
    "plain ppm": b"P3 1 1 65535\n 1 2 3\n",
}


@pytest.mark.parametrize("data", DEEP.values(), ids=DEEP.keys())
def test_more_than_8_bits_are_refused_with_advice(data):
    with pytest.raises(UnsupportedError, match=r"more than 8 bits a sample; convert it to 8 first.*-depth 8"):
        read_picture(data)


def test_netpbm_files_of_8_bits_are_read():
    np.testing.assert_array_equal(read_picture(b"P6 1 1 255\n\1\2\3").pixels, [[[1, 2, 3]]])
    np.testing.assert_array_equal(read_picture(b"P2 2 1 255\n 7 8\n").pixels, [[7, 8]])
    np.testing.assert_array_equal(read_picture(b"P1 2 1\n 1 0\n").pixels, [[0, 255]])


# Reading: metadata -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_colour_profile_and_exif_come_out_as_stored_and_turn_nothing(format_):
    picture = read_picture(saved(RGB, format_, icc_profile=ICC, exif=exif_data()))
    assert picture.icc == ICC
    assert picture.exif.removeprefix(b"Exif\0\0") == exif_data().removeprefix(b"Exif\0\0")
    assert picture.pixels.shape == RGB.shape


def test_exif_of_a_tiff_file_is_what_describes_the_picture_which_pillow_has_turned():
    picture = read_picture(saved(RGB, "TIFF", icc_profile=ICC, exif=exif_data()))
    np.testing.assert_array_equal(picture.pixels, np.rot90(RGB, -1))
    exif = Image.Exif()
    exif.load(picture.exif)
    assert set(exif) == {MAKE, EXIF_IFD}  # neither the turn, nor where the strips of the TIFF file were
    assert exif[MAKE] == "Pinhole"
    assert exif.get_ifd(EXIF_IFD) == {TAKEN: "2001:02:03 04:05:06"}
    assert picture.icc == ICC


def test_a_bare_tiff_file_has_no_exif():
    assert read_picture(saved(RGB, "TIFF")).exif is None


# Reading: what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(format_):
    other = Image.fromarray(RGB[::-1].copy())
    data = saved(RGB, format_, save_all=True, append_images=[other, Image.fromarray(255 - RGB)])
    with pytest.raises(UnsupportedError, match="3 frames or pages"):
        read_picture(data)


def test_previews_of_a_camera_are_no_frames():
    data = saved(RGB, "MPO", save_all=True, append_images=[Image.fromarray(RGB[:8, :8].copy())], quality=95)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert read_picture(data).pixels.shape == RGB.shape


BAD = {
    "empty": b"",
    "text": b"not a picture, but words\n" * 9,
    "truncated png": saved(RGB)[:-300],
    "truncated jpeg": saved(RGB, "JPEG", quality=95)[:-300],
    "damaged png": saved(RGB).replace(b"IDAT", b"IDAX"),
    "tjpg": encode_image(RGB),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_by_name(tmp_path, name):
    path = tmp_path / "x.png"
    path.write_bytes(BAD[name])
    with pytest.raises(UnsupportedError, match=r"x\.png: ") as caught:
        read_picture(path)
    assert ("decode it" in str(caught.value)) == (name == "tjpg")


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "x.png")


def test_a_picture_over_the_limit_is_refused_before_it_is_read():
    with pytest.raises(LimitError, match=r"17 x 13 pixels are over the limit of 220; raise it with .*--size-limit"):
        read_picture(saved(RGB)[:60], size_limit=220)  # no more than the header is there
    assert read_picture(saved(RGB), size_limit=221).pixels.shape == RGB.shape


def test_the_limit_of_pillow_does_not_count_and_is_left_alone(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # pictures of 221 pixels raise an error
    assert read_picture(saved(RGB)).pixels.shape == RGB.shape
    with pytest.raises(UnsupportedError):
        read_picture(b"")
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pictures_in_a_folder_are_those_by_name_and_not_hidden(tmp_path):
    for name in ("b.png", "A.JPG", "._b.png", ".hidden.png", "notes.txt", "png"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in pictures_in(tmp_path)] == ["A.JPG", "b.png"]


def test_what_pillow_does_not_know_goes_to_other_plugins_of_imageio(tmp_path):
    np.savez(tmp_path / "one.npz", RGB)
    np.savez(tmp_path / "two.npz", RGB, RGB)
    np.testing.assert_array_equal(read_picture(tmp_path / "one.npz").pixels, RGB)
    with pytest.raises(UnsupportedError, match="several pictures"):
        read_picture(tmp_path / "two.npz")


# Writing pictures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if FORMATS[suffix].options.get("quality") is None])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_formats_without_loss_keep_every_sample(tmp_path, suffix, channels):
    if channels in (2, 4) and not FORMATS[suffix].alpha:
        return
    pixels = make_picture(13, 17, channels)
    write_picture(tmp_path / f"x{suffix.upper()}", pixels)
    back = iio.imread(tmp_path / f"x{suffix.upper()}")
    if suffix == ".webp" and channels < 3:  # it has no gray
        assert (back[..., :3] == back[..., :1]).all()
        back = back[..., 0] if channels == 1 else back[..., [0, 3]]
    np.testing.assert_array_equal(back, pixels)


def test_jpeg_is_written_with_little_loss_of_luma_and_of_chroma():
    assert psnr(read_picture(picture_bytes(".jpg", GRAY)).pixels, GRAY) > 40  # 36 at quality 90
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2] = 200, 60, 60
    stripes[:, 1::2] = 60, 60, 200
    assert psnr(read_picture(picture_bytes(".jpeg", stripes)).pixels, stripes) > 40  # 13 with chroma at half resolution


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if FORMATS[suffix].metadata])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"], ids=["bare", "with prefix"])
def test_metadata_go_along(suffix, prefix):
    exif = prefix + exif_data(orientation=1).removeprefix(b"Exif\0\0")
    image = Image.open(io.BytesIO(picture_bytes(suffix, RGB, ICC, exif)))
    assert image.info["icc_profile"] == ICC
    assert image.info.get("exif", b"").count(b"Exif\0\0") <= 1  # readers other than Pillow would stumble
    assert image.getexif()[MAKE] == "Pinhole"
    assert image.getexif().get_ifd(EXIF_IFD)[TAKEN] == "2001:02:03 04:05:06"


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp", ".ppm"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_never_dropped(tmp_path, suffix, channels):
    with pytest.raises(UnsupportedError, match=r"has transparency, and .* do not; \.png, \.webp, \.tif, \.tiff do"):
        write_picture(tmp_path / f"x{suffix}", make_picture(13, 17, channels))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.gif", "x.tjpg", "x"])
def test_an_unknown_extension_is_refused(tmp_path, name):
    with pytest.raises(UnsupportedError, match=r"known are \.png"):
        write_picture(tmp_path / name, RGB)


def test_what_a_format_cannot_hold_is_an_error_of_ours():
    with pytest.raises(UnsupportedError, match=r"cannot be written as \.jpg: EXIF data is too long"):
        picture_bytes(".jpg", RGB, exif=bytes(70_000))


def test_a_picture_does_not_replace_a_file_unasked(tmp_path):
    path = tmp_path / "x.png"
    write_picture(path, RGB)
    with pytest.raises(FileExistsError, match="--force"):
        write_picture(path, GRAY)
    np.testing.assert_array_equal(read_picture(path).pixels, RGB)
    write_picture(path, GRAY, force=True)
    np.testing.assert_array_equal(read_picture(path).pixels, GRAY)


# Writing files -----------------------------------------------------------------------------------------------


def test_pieces_are_written_one_after_another(tmp_path):
    atomic_write(tmp_path / "x", iter([b"one ", b"", b"two"]))
    assert (tmp_path / "x").read_bytes() == b"one two"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    atomic_write(tmp_path / "x", b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [False, True])
def test_an_error_half_way_leaves_everything_as_it_was(tmp_path, error, existing):
    def pieces():
        yield bytes(100_000)
        raise error

    if existing:
        (tmp_path / "x").write_bytes(b"before")
    with pytest.raises(type(error)):
        atomic_write(tmp_path / "x", pieces(), force=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"] * existing


def test_a_killed_process_leaves_no_file_of_that_name(tmp_path):
    script = """if True:
        import sys, time
        from codec.files import atomic_write

        def pieces():
            yield bytes(1_000_000)
            print("half", flush=True)
            time.sleep(60)

        atomic_write(sys.argv[1], pieces())
    """
    path = tmp_path / "x.tjpg"
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) > 0  # it was being written
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    atomic_write(path, b"through")
    reader.join(timeout=10)
    assert received == [b"through"]
    assert stat.S_ISFIFO(path.stat().st_mode)
