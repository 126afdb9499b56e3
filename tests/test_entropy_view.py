"""Tests of `tcodec entropy`: bounds, bits and bytes of pictures, videos and coded files."""

import io
import json
import lzma

import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks.entropy_view import view_content, view_file
from bitstreams.entropy import entropy_bits
from tests.footage import make_footage, write_y4m
from tests.pictures import make_picture
from tests.program import call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs")
    Image.fromarray(make_picture(48, 96)).save(path / "one.png")
    write_y4m(path / "wave.y4m", make_footage(32, 48, 4))
    return path


@pytest.fixture
def tcodec(capsysbinary):
    return lambda *arguments: call(capsysbinary, *arguments)


CONTENTS = [(make_picture(64, 80), 60), (make_picture(40, 48, 4), 30), (make_footage(32, 48, 6), 50)]


def test_all_bits_add_up_to_the_file():
    for content, quality in CONTENTS:
        views = view_content(content, quality)
        assert list(views) == ["before", f"quality {quality}"]
        for view in views.values():
            assert view.coded + view.rest == 8 * view.size
            assert view.rest > 0
        assert views["before"].bound > 2 * views[f"quality {quality}"].bound


def test_bounds_are_below_the_bits_of_huffman_words(tmp_path):
    (tmp_path / "x.tjpg").write_bytes(codec.encode_image(make_picture(64, 80), 60, profile="baseline"))
    picture, clip = view_file(tmp_path / "x.tjpg")["file"], view_content(*CONTENTS[2])["before"]
    assert picture.coded + picture.rest == 8 * picture.size
    for view in (picture, clip):
        assert all(part.bound <= part.coded for part in view.parts.values())


def test_contexts_take_fewer_bits_than_the_bound_of_single_symbols():
    view = view_content(make_picture(128, 160), 75)["quality 75"]
    assert view.parts["Y AC"].coded < view.parts["Y AC"].bound


def test_the_bound_is_the_entropy_of_the_symbols(tmp_path):
    picture = make_picture(64, 80)
    for profile, dc in (("main", "dc_symbols"), ("baseline", "dc_sizes")):
        data = codec.encode_image(picture, 60, profile=profile)
        (tmp_path / "x.tjpg").write_bytes(data)
        view, trace = view_file(tmp_path / "x.tjpg")["file"], codec.trace_image(data)
        assert view.parts["Y AC"].bound == entropy_bits(trace.planes["Y"].ac_symbols)
        assert view.parts["Cb Cr DC"].symbols == 2 * getattr(trace.planes["Cb"], dc).size
        frequencies = [plane.levels.reshape(-1, 64).T for plane in trace.planes.values()]
        assert view.levels == pytest.approx(sum(entropy_bits(each) for plane in frequencies for each in plane))


def test_before_quantisation_coefficients_are_nearly_what_they_were():
    picture = make_picture(64, 80, 1)
    data = codec.encode_image(picture, 100, tune="psnr", without={"rdoq"})
    assert np.abs(codec.decode_image(data).astype(int) - picture).max() <= 2
    assert view_content(picture, 50)["before"].size == len(data)


def test_entropy_of_files_and_pictures(tcodec, folder, tmp_path):
    picture = np.asarray(Image.open(folder / "one.png"))
    (tmp_path / "one.tjpg").write_bytes(codec.encode_image(picture, 60))
    codec.encode_video(list(make_picture(32, 48)[None]), tmp_path / "clip.tvid")
    inputs = [folder / "one.png", tmp_path / "one.tjpg", tmp_path / "clip.tvid"]
    status, out, err = tcodec("entropy", *inputs, "-q", "60", "--json")
    assert (status, err) == (0, [])
    records = json.loads(out)
    assert {name: list(views) for name, views in records.items()} == {
        str(inputs[0]): ["before", "quality 60"],
        str(inputs[1]): ["file"],
        str(inputs[2]): ["file"],
    }
    assert records[str(inputs[1])]["file"] == records[str(inputs[0])]["quality 60"]
    assert records[str(inputs[2])]["file"]["size"] == inputs[2].stat().st_size
    status, out, _ = tcodec("entropy", inputs[1])
    assert status == 0
    assert "| Y AC " in out.decode()


def test_a_folder_is_all_that_can_be_looked_at_in_it(tcodec, folder, tmp_path):
    (tmp_path / "a.tjpg").write_bytes(codec.encode_image(make_picture(16, 16)))
    status, out, err = tcodec("entropy", tmp_path, "--json")
    assert (status, list(json.loads(out)), err) == (0, [str(tmp_path / "a.tjpg")], [])
    Image.fromarray(make_picture(16, 16, 4)).save(tmp_path / "b.png")
    status, out, err = tcodec("entropy", tmp_path, "--json")
    assert (status, list(json.loads(out))) == (0, [str(tmp_path / "a.tjpg"), str(tmp_path / "b.png")])
    assert err == ["b: alpha is not compared"]
    (tmp_path / "empty").mkdir()
    status, out, err = tcodec("entropy", tmp_path / "empty")
    assert (status, out, len(err)) == (1, b"", 1)


def test_entropy_names_what_it_cannot_read(tcodec, folder, tmp_path):
    bad, torn = tmp_path / "bad.tjpg", tmp_path / "torn.tvid"
    bad.write_bytes(b"nothing")
    data = io.BytesIO()
    codec.encode_video([make_picture(16, 16)], data)
    torn.write_bytes(data.getvalue()[:-30])
    status, out, err = tcodec("entropy", bad, torn, tmp_path / "missing.tjpg", folder / "one.png")
    assert status == 1
    assert [line.split(": ")[1] for line in err] == [str(bad), str(torn), str(tmp_path / "missing.tjpg")]
    assert out.decode().startswith(str(folder / "one.png"))


def test_packed_clips_are_taken(tcodec, folder, tmp_path):
    packed = tmp_path / "packed.y4m.xz"
    packed.write_bytes(lzma.compress((folder / "wave.y4m").read_bytes()))
    status, out, _ = tcodec("entropy", packed)
    assert status == 0
    assert "| vector " in out.decode()
