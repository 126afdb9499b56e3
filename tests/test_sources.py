"""Tests of what is compared: how inputs are found, named, loaded, and refused."""

import lzma
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from benchmarks import sources
from benchmarks.sources import Footage, Size, find_sources, lengthen
from bitstreams.errors import CodecError
from codec import files
from tests.footage import RATE, equal, make_footage, write_y4m
from tests.pictures import make_picture


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_pictures_and_clips_are_found_and_loaded_as_they_are(clip, footage, tmp_path):
    rgb, gray = make_picture(20, 30), make_picture(20, 31, 1)
    save(tmp_path / "in" / "b.png", rgb)
    save(tmp_path / "in" / "deeper" / "a.png", gray)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    packed = tmp_path / "packed.y4m.xz"
    packed.write_bytes(lzma.compress(clip.read_bytes()))
    found = find_sources([str(tmp_path / "in"), str(clip), str(packed)], frames=3)
    assert [source.name for source in found.sources] == ["b", "a", "wave", "packed"]
    assert [source.kind for source in found.sources] == ["pictures", "pictures", "clips", "clips"]
    assert [source.size for source in found.sources] == [(30, 20, 1), (31, 20, 1), (64, 48, 3), (64, 48, 3)]
    assert (found.problems, found.notes) == ([], [])
    one, two, *clips = (source.load() for source in found.sources)
    assert np.array_equal(one, rgb)
    assert np.array_equal(two, gray)
    for each in clips:
        assert equal(each.frames, footage.frames[:3])
        assert (each.format.width, each.format.height, each.format.rate) == (64, 48, RATE)


def test_files_of_the_same_name_are_told_apart_and_a_file_counts_once(tmp_path):
    one, other = (save(tmp_path / place / "x.png", make_picture(8, 8, seed=len(place))) for place in ("a", "bb"))
    found = find_sources([str(one), str(other), str(one)])
    assert [source.name for source in found.sources] == [str(one), str(other)]
    assert found.sources[0].digest != found.sources[1].digest


def test_a_report_inside_of_the_folder_is_no_input(tmp_path):
    save(tmp_path / "x.png", make_picture(8, 8))
    save(tmp_path / "report" / "curves" / "x.png", make_picture(8, 8, seed=1))
    assert len(find_sources([str(tmp_path)]).sources) == 2
    for mark in ("cells.jsonl", "speed.json"):
        (tmp_path / "report" / mark).write_text("")
        assert [source.name for source in find_sources([str(tmp_path)]).sources] == ["x"]
        (tmp_path / "report" / mark).unlink()
    (tmp_path / "report" / "cells.jsonl").write_text("")
    assert len(find_sources([str(tmp_path / "report")]).sources) == 1  # unless it is what was asked for


def test_names_have_only_what_can_be_shown(tmp_path):
    for name in (b"caf\xe9.png", b"tab\there.png", "東京.png".encode()):
        path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        save(path, make_picture(8, 8))
    found = find_sources([str(tmp_path)])
    assert sorted(source.name for source in found.sources) == ["caf?", "tab?here", "東京"]
    assert found.problems == []


def test_a_link_is_the_file_that_it_leads_to(tmp_path):
    save(tmp_path / "x.png", make_picture(8, 8))
    (tmp_path / "y.png").symlink_to(tmp_path / "x.png")
    found = find_sources([str(tmp_path), str(tmp_path / ".." / tmp_path.name / "x.png")])
    assert [source.name for source in found.sources] == ["x"]


def test_what_is_converted_on_the_way_in_is_said(tmp_path):
    frames = [Image.fromarray(make_picture(16, 24, seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    found = find_sources([str(tmp_path / "x.gif")])
    assert [source.kind for source in found.sources] == ["clips"]
    assert found.notes
    assert all(note.startswith("x: ") for note in found.notes)


def test_coded_files_are_no_sources(tmp_path):
    codec.encode_video([make_picture(16, 16)], tmp_path / "x.tvid")
    (tmp_path / "x.tjpg").write_bytes(codec.encode_image(make_picture(16, 16)))
    found = find_sources([str(tmp_path / "x.tvid"), str(tmp_path / "x.tjpg")])
    assert found.sources == []
    assert [re.search(r"a \.(tvid|tjpg) file already", problem)[1] for problem in found.problems] == ["tvid", "tjpg"]


def test_advice_is_what_the_program_can_do(tmp_path, monkeypatch):
    path = save(tmp_path / "x.png", make_picture(8, 8))

    def read(path):
        return files.read_picture(path, size_limit=10)

    monkeypatch.setattr(sources, "read_picture", read)
    [problem] = find_sources([str(path)]).problems
    assert problem == f"{path}: 8 x 8 pixels are over the limit of 10"


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_left_out_and_said_to_be(channels, tmp_path):
    pixels = make_picture(20, 30, channels)
    path = save(tmp_path / "x.png", pixels)
    found = find_sources([str(path)])
    assert found.notes == ["x: alpha is not compared"]
    assert np.array_equal(found.sources[0].load(), pixels[..., 0] if channels == 2 else pixels[..., :3])


def test_each_input_that_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path):
    good = save(tmp_path / "good.png", make_picture(8, 8))
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    torn = tmp_path / "torn.y4m.xz"
    torn.write_bytes(lzma.compress(bytes(9999))[:-20])
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "text.txt").write_text("")
    missing = tmp_path / "missing.png"
    found = find_sources([str(path) for path in (bad, torn, empty, missing, good)])
    assert [source.name for source in found.sources] == ["good"]
    for path, line in zip((empty, bad, torn, missing), found.problems, strict=True):
        assert line.startswith(f"{path}: ")
    assert "the folder has no files with" in found.problems[0]


def test_frames_of_another_size_are_an_error_that_names_the_clip(tmp_path):
    one, other = make_footage(16, 16, 2), make_footage(16, 32, 1)
    clip = write_y4m(tmp_path / "clip.y4m", one)
    clip.write_bytes(clip.read_bytes() + b"FRAME\n" + other.frames[0][0].tobytes()[:100])
    [problem] = find_sources([str(clip)]).problems
    assert problem.startswith(str(clip))


def test_a_clip_that_is_too_large_for_memory_says_how_to_use_a_part(clip, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST", 3 * 64 * 48 * 3 // 2)
    [problem] = find_sources([str(clip)]).problems
    assert problem.startswith(str(clip))
    assert problem.endswith("--frames 3 takes fewer")
    assert len(find_sources([str(clip)], 3).sources[0].load().frames) == 3


def test_a_file_that_has_changed_is_not_measured(tmp_path):
    path = save(tmp_path / "x.png", make_picture(8, 8))
    [source] = find_sources([str(path)]).sources
    save(path, make_picture(8, 8, seed=1))
    with pytest.raises(CodecError, match="not the same file"):
        source.load()


def test_a_clip_is_played_forth_and_back():
    abc = Footage(make_footage(8, 8, 0).format, ["a", "b", "c"])
    assert "".join(lengthen(abc, 10).frames) == "abcbabcbab"
    assert "".join(lengthen(abc, 2).frames) == "ab"
    assert "".join(lengthen(abc._replace(frames=["a"]), 3).frames) == "aaa"


def test_kilobits_are_those_of_a_second(footage):
    # 5 frames of 30000/1001 a second; 1001 bytes
    assert footage.kilobits(1001) == pytest.approx(8 * 1001 / 1000 * (30000 / 1001) / 5)
    assert Size.of(footage).pixels == 5 * 48 * 64
