"""Golden files decode to the samples that they decoded to when they were made; see `tests.golden.make`."""

import json

import pytest

from codec import decode_image, open_video, read_header, recover_image, stream_video
from tests.golden.make import CLIP_HASHES, FOLDER, HASHES, clip_hash, pixel_hash

GOLDEN = json.loads(HASHES.read_text())
CLIPS = json.loads(CLIP_HASHES.read_text())


def test_every_file_has_its_hash():
    assert sorted(path.stem for path in FOLDER.glob("*.tjpg")) == sorted(GOLDEN)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.tjpg")) < 60_000
    assert sorted(path.stem for path in FOLDER.glob("*.tvid")) == sorted(CLIPS)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.tvid")) < 60_000


@pytest.mark.parametrize("name", GOLDEN)
def test_pixels(name):
    data = (FOLDER / f"{name}.tjpg").read_bytes()
    pixels = decode_image(data)
    assert "x".join(map(str, pixels.shape)) == GOLDEN[name]["shape"]
    assert pixel_hash(pixels) == GOLDEN[name]["sha256"]
    recovered = recover_image(data)
    assert (recovered.missing, recovered.problems) == ([], [])
    assert pixel_hash(recovered.pixels) == GOLDEN[name]["sha256"]


def test_metadata():
    header = read_header((FOLDER / "rgba_420_metadata.tjpg").read_bytes())
    assert (header.icc, header.exif) == (b"a profile", b"MM\x00*data")


@pytest.mark.parametrize("name", CLIPS)
def test_frames(name):
    path = FOLDER / f"{name}.tvid"
    with open_video(path) as video:
        frames = list(video.planes())
        assert len(frames) == len(video) == CLIPS[name]["frames"]
    assert ["x".join(map(str, plane.shape)) for plane in frames[0][0]] == CLIPS[name]["planes"]
    assert clip_hash(frames) == CLIPS[name]["sha256"]
    with path.open("rb") as file:
        assert clip_hash(stream_video(file)[1]) == CLIPS[name]["sha256"]
    with open_video(path, allow_partial=True) as video:
        assert clip_hash(video.planes()) == CLIPS[name]["sha256"]
        assert (video.missing, video.problems) == ([], [])


def test_timestamps():
    with open_video(FOLDER / "gray_timed_limited.tvid") as video:
        assert [time for _, time in video.planes()] == [9, 10, 11, 511, 513, 2**30 + 513, 2**30 + 520]
