"""Tests of the codecs that are compared: that each is what it says, and takes and gives what it should."""

import importlib
import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image, JpegImagePlugin

from benchmarks import picture_codecs, video_codecs
from benchmarks.codecs import NotInstalledError, choose, fingerprint, is_ours, known, misplaced, refuse_unknown
from benchmarks.picture_codecs import Avif, Jpeg, Jpeg2000, JpegXl, ProgressiveJpeg, Tcodec, WebP
from benchmarks.sources import CLIPS, PICTURES
from benchmarks.video_codecs import GOP, X264, X265, FfmpegError, Mjpeg, Mpeg1, Mpeg2, Mpeg4, TcodecVideo
from bitstreams.errors import CodecError
from codec import metrics
from codec.image import optional_stages
from codec.profiles import OWN
from codec.video import STAGES
from tests.footage import make_footage, noise
from tests.pictures import make_picture

PICTURE_CODECS = [*Tcodec.variants(), Jpeg(), ProgressiveJpeg(), WebP(), Avif(), JpegXl(), Jpeg2000()]
FFMPEG = [Mjpeg(), Mpeg1(), Mpeg2(), Mpeg4(), *X264.variants(), X265()]


def named(codec):
    return getattr(codec, "name", "")


# Finding them -----------------------------------------------------------------------------------------------


def test_all_codecs_are_found_ours_first():
    names = [name for name in known(PICTURES) if "coarse" not in name]
    assert names[:4] == ["tcodec-main", "tcodec-main-psnr", "tcodec-baseline", "tcodec-baseline-psnr"]
    expected = {"jpeg", "jpeg-progressive", "webp", "avif-speed6", "avif-speed2", "jxl", "jp2"}
    assert expected <= set(names)
    presets = [f"h264-{preset}-{scale}" for preset in ("ultrafast", "medium", "veryslow") for scale in ("qp", "crf")]
    assert set(known(CLIPS)) >= {"tcodec", "mjpeg", "mpeg1", "mpeg2", "mpeg4", *presets, "h265"}


@pytest.mark.parametrize(
    ("names", "kind", "chosen"),
    [
        (["avif"], PICTURES, ["avif-speed6", "avif-speed2"]),
        (["jp2", "jpeg"], PICTURES, ["jp2", "jpeg", "jpeg-progressive"]),
        (["jpeg-progressive", "jpeg", "jpe", "h264"], PICTURES, ["jpeg-progressive", "jpeg"]),
        (["h264-medium", "tcodec"], CLIPS, ["h264-medium-qp", "h264-medium-crf", "tcodec"]),
        ([], CLIPS, []),
    ],
)
def test_a_name_selects_all_that_go_on_after_it_with_a_hyphen(names, kind, chosen):
    assert [codec.name for codec in choose(names, kind)[0]] == chosen


def test_names_that_select_nothing_are_named_with_those_that_are_known():
    refuse_unknown(["jpeg", "h264", "mpeg4"])
    with pytest.raises(CodecError, match=r"called 'jpe' or 'h26'; known are tcodec-main, .*h264-medium-crf"):
        refuse_unknown(["h264-medium", "jpe", "h26"])
    assert [is_ours(name) for name in ("tcodec", "tcodec-main", "tcodecs", "jpeg")] == [True, True, False, False]


def test_names_of_another_kind_are_told():
    assert misplaced(["jpeg", "h264"], ["pictures"]) == ["h264: not for pictures"]
    assert misplaced(["jpeg", "h264"], ["pictures", "clips"]) == []


def test_an_older_pillow_has_no_avif_and_all_else(monkeypatch):
    monkeypatch.setattr(picture_codecs.features, "version", lambda feature: None if feature == "avif" else "1.0")
    chosen, left_out = choose(["avif", "webp"], PICTURES)
    assert [codec.name for codec in chosen] == ["webp"]
    assert len(left_out) == 2
    assert not hasattr(picture_codecs, "AvifImagePlugin")


def test_what_is_not_installed_is_left_out_and_named(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(picture_codecs, "import_module", missing)
    chosen, left_out = choose(["jpeg", "jxl", "jp2"], PICTURES)
    assert [codec.name for codec in chosen] == ["jpeg", "jpeg-progressive"]
    assert [line.split(":")[0] for line in left_out] == ["jxl", "jp2"]
    assert "imagecodecs" in left_out[0]
    assert "tcodec[bench]" in left_out[0]
    monkeypatch.setattr(picture_codecs.features, "version", lambda feature: None)
    assert choose(["avif-speed6"], PICTURES) == ([], ["avif-speed6: this Pillow has no AVIF"])


def test_an_ffmpeg_that_is_not_there_or_lacks_an_encoder_is_named(monkeypatch):
    import imageio_ffmpeg  # noqa: PLC0415

    monkeypatch.setattr(video_codecs, "_encoders", lambda: frozenset(["mpeg4"]))
    chosen, left_out = choose(["mpeg4", "h265"], CLIPS)
    assert [codec.name for codec in chosen] == ["mpeg4"]
    assert left_out == ["h265: this ffmpeg has no libx265"]

    def missing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(NotInstalledError, match=r"No ffmpeg exe.*tcodec\[bench\]"):
        video_codecs._program()


@pytest.mark.parametrize("codec", [*PICTURE_CODECS, TcodecVideo(), *FFMPEG], ids=named)
def test_versions_have_a_number(codec):
    assert re.search(r"\d+\.\d+", codec.version())


def test_the_fingerprint_follows_the_code(tmp_path, monkeypatch):
    (tmp_path / "house_one").mkdir()
    (tmp_path / "house_one" / "__init__.py").write_text("")
    room = tmp_path / "house_one" / "room.py"
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    prints = []
    for text in ("x = 1", "x = 2", "x = 1"):
        room.write_text(text)
        fingerprint.cache_clear()
        prints.append(fingerprint("house_one"))
    assert prints[0] == prints[2] != prints[1]
    assert Tcodec().version() != fingerprint("codec.metrics")


def test_ours_without_each_of_its_stages():
    for profile in OWN:
        ablated = Tcodec(profile, "psnr").ablated()
        names = {stage: f"tcodec-{profile}-psnr without {stage}" for stage in optional_stages(profile)}
        assert {stage: codec.name for stage, (_, codec) in ablated.items()} == names
    assert [codec.without for _, codec in TcodecVideo().ablated().values()] == [{stage} for stage in STAGES]


# Pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("codec", PICTURE_CODECS, ids=named)
def test_pictures_come_back_and_obey_the_quality(codec, channels):
    picture = make_picture(96, 128, channels, seed=1)
    files = [codec.encode(picture, codec.ladder[step]) for step in (0, -1)]
    decoded = [codec.decode(data) for data in files]
    assert len(files[0]) < len(files[1])
    for each in decoded:
        assert each.dtype == np.uint8
        assert each.shape[:2] == picture.shape[:2]
    if channels == 3:
        coarse, fine = (metrics.psnr(picture, each) for each in decoded)
        assert coarse + 5 < fine
        assert fine > 34


@pytest.mark.parametrize("codec", PICTURE_CODECS, ids=named)
def test_ladders_have_six_steps_from_coarse_to_fine(codec):
    picture = make_picture(96, 128)
    sizes = [len(codec.encode(picture, quality)) for quality in codec.ladder]
    assert len(sizes) == 6
    assert sizes == sorted(set(sizes))


def test_jpeg_is_optimised_and_has_chroma_at_half_resolution():
    photo = make_picture(96, 128)
    data = Jpeg().encode(photo, 75)
    assert JpegImagePlugin.get_sampling(Image.open(io.BytesIO(data))) == 2  # Pillow's number for 4:2:0
    plain = io.BytesIO()
    Image.fromarray(photo).save(plain, "JPEG", quality=75, subsampling="4:2:0")
    assert len(data) < len(plain.getvalue())
    assert b"\xff\xc2" not in data  # the marker of progressive frames
    assert b"\xff\xc2" in ProgressiveJpeg().encode(photo, 75)


def test_avif_is_coded_by_libaom_and_decoded_on_one_thread():
    assert "aom" in Avif().version()
    AvifImagePlugin.DEFAULT_MAX_THREADS = 0
    Avif().decode(Avif().encode(make_picture(32, 48), 50))
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 1


def test_formats_are_what_their_names_say():
    photo = make_picture(32, 48)
    starts = {
        WebP(): b"RIFF",
        JpegXl(): b"\xff\x0a",  # a bare codestream
        Jpeg2000(): b"\xff\x4f\xff\x51",  # SOC and SIZ: no boxes
    }
    for codec, start in starts.items():
        assert codec.encode(photo, codec.ladder[2]).startswith(start)
    assert Avif().encode(photo, 50)[4:12] == b"ftypavif"


# Clips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [*FFMPEG, TcodecVideo()], ids=named)
def test_clips_come_back_and_obey_the_quality(codec, footage):
    coarse, fine = (codec.encode(footage, codec.ladder[end]) for end in (0, -1))
    decoded = codec.decode(fine)
    assert [plane.shape for plane in decoded[0]] == footage.format.shapes
    pairs = list(zip(footage.frames, decoded, strict=True))
    for plane in range(3):  # no range or matrix was converted
        assert np.mean([metrics.psnr(a[plane], b[plane]) for a, b in pairs]) > 39
    assert len(coarse) < len(fine)
    pairs = zip(footage.frames, codec.decode(coarse), strict=True)
    assert np.mean([metrics.psnr(a[0], b[0]) for a, b in pairs]) < 37


@pytest.mark.parametrize(
    ("codec", "start"),
    [
        (Mpeg1(), "000001b3"),
        (Mpeg2(), "000001b3"),
        (Mpeg4(), "000001b0"),
        (Mjpeg(), "ffd8"),
        *((codec, "0000000167") for codec in X264.variants()),
        (X265(), "0000000140"),
    ],
    ids=named,
)
def test_streams_are_elementary(codec, start, footage):
    assert codec.encode(footage, 20).hex().startswith(start)  # a sequence header, a parameter set, or a picture


@pytest.mark.parametrize(
    ("codec", "header", "shift", "types"),
    [(Mpeg2(), rb"\x00\x00\x01\x00.(.)", 3, " IPB"), (Mpeg4(), rb"\x00\x00\x01\xb6(.)", 6, "IPB")],  # of a picture
    ids=named,
)
def test_mpegs_have_an_i_frame_every_gop_whatever_the_content(codec, header, shift, types):
    stream = codec.encode(noise(32, 32, 2 * GOP + 4), 31)
    pictures = "".join(types[match[1][0] >> shift & 3] for match in re.finditer(header, stream, re.DOTALL))
    assert len(pictures) == 2 * GOP + 4
    assert pictures.count("I") == 3
    assert "PBBP" in pictures
    assert "BBB" not in pictures


@pytest.mark.parametrize("codec", X264.variants(), ids=named)
def test_x264_has_an_i_frame_every_gop_and_no_comments(codec):
    stream = codec.encode(noise(32, 32, 2 * GOP + 4), 40)
    units = [match[1][0] & 31 for match in re.finditer(rb"\x00\x00\x01(.)", stream, re.DOTALL)]
    assert units.count(5) == 3  # pictures to start at
    assert 6 not in units  # x264 would write its version and settings


def test_x265_has_an_i_frame_every_gop_and_no_comments():
    stream = X265().encode(noise(64, 64, 2 * GOP + 4), 40)
    units = [match[1][0] >> 1 & 63 for match in re.finditer(rb"\x00\x00\x01(.)", stream, re.DOTALL)]
    assert sum(16 <= unit <= 21 for unit in units) == 3  # pictures to start at
    assert 39 not in units
    assert 40 not in units


def test_gray_gets_flat_chroma():
    gray = make_footage(48, 64, 3, "400")
    decoded = Mpeg2().decode(Mpeg2().encode(gray, 2))
    assert len(decoded[0]) == 3
    assert all((np.abs(plane.astype(int) - 128) <= 1).all() for planes in decoded for plane in planes[1:])
    assert all(metrics.psnr(a[0], b[0]) > 40 for a, b in zip(gray.frames, decoded, strict=True))


@pytest.mark.parametrize("codec", [Mpeg1(), Mpeg2(), Mpeg4(), Mjpeg()], ids=named)
def test_odd_sizes_come_back(codec):
    odd = make_footage(17, 33, 3)
    decoded = codec.decode(codec.encode(odd, 2))
    assert [plane.shape for plane in decoded[0]] == [(17, 33), (9, 17), (9, 17)]
    assert all(metrics.psnr(a[0], b[0]) > 36 for a, b in zip(odd.frames, decoded, strict=True))


@pytest.mark.parametrize(
    ("codec", "footage", "reason"),
    [
        (X264("medium", "qp"), make_footage(17, 33, 2), "divisible by 2"),
        (Mpeg2(), make_footage(16, 16, 2, "444"), "4:2:0"),
    ],
)
def test_ffmpeg_says_what_it_refuses(codec, footage, reason):
    with pytest.raises(FfmpegError, match=reason):
        codec.encode(footage, 20)


def test_playing_a_clip_decodes_all_of_it(footage):
    for codec in (TcodecVideo(), Mpeg2()):
        data = codec.encode(footage, codec.ladder[2])
        assert codec.play(data) is None
        with pytest.raises((CodecError, FfmpegError)):
            codec.play(data[: len(data) // 2])


def test_a_damaged_stream_is_not_patched_up_in_silence(footage):
    stream = bytearray(Mpeg2().encode(footage, 2))
    stream[len(stream) // 3 : len(stream) // 2] = bytes(len(stream) // 2 - len(stream) // 3)
    with pytest.raises(FfmpegError):
        Mpeg2().decode(bytes(stream))


def test_the_program_loads_no_benchmark_before_it_is_called():
    code = "import sys, benchmarks.commands as c; print([m for m in sys.modules if m.startswith('benchmarks')])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "['benchmarks', 'benchmarks.commands']"
