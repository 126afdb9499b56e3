"""Golden files decode to the pixels that they decoded to when they were made; see `tests.golden.make`."""

import json

import pytest

from codec import decode_image, read_header, recover_image
from tests.golden.make import FOLDER, HASHES, pixel_hash

GOLDEN = json.loads(HASHES.read_text())


def test_every_file_has_its_hash():
    assert sorted(path.stem for path in FOLDER.glob("*.tjpg")) == sorted(GOLDEN)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.tjpg")) < 60_000


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
