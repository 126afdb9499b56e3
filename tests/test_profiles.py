from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar

import numpy as np
import pytest

import codec
from codec import profiles
from codec.baseline import Baseline
from codec.main import Main
from tests.files import put_together, take_apart


class Stored:
    """Another package's profile: pixels as they are."""

    STAGES: ClassVar = {"magic": "none"}
    TUNES: ClassVar = ("exact",)
    STRIP: ClassVar = 1 << 10
    PIXELS_A_BYTE: ClassVar = 1
    macroblock = 4

    @classmethod
    def choose(cls, channels, subsampled, quality, tune, *, tables, effort, without):
        return cls()

    @classmethod
    def from_bytes(cls, parameters, channels, subsampled):
        assert parameters == b"plain"
        return cls()

    def to_bytes(self):
        return b"plain"

    def encode_strip(self, pixels):
        return pixels.tobytes()

    def decode_strip(self, data, at, pixels):
        pixels[...] = np.frombuffer(data, np.uint8, offset=at).reshape(pixels.shape)


@pytest.fixture
def stored(monkeypatch):
    entry = EntryPoint("stored", "tests.test_profiles:Stored", "tcodec.profiles")
    monkeypatch.setattr(profiles, "entry_points", lambda group: EntryPoints([entry]).select(group=group))
    profiles.find_profile.cache_clear()
    yield
    profiles.find_profile.cache_clear()


def test_a_profile_of_another_package_is_found_by_its_name(stored):
    picture = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    data = codec.encode_image(picture, profile="stored")
    assert (codec.read_header(data).profile, codec.read_header(data).strips) == ("stored", 1)
    assert np.array_equal(codec.decode_image(data), picture)
    with pytest.raises(codec.UnsupportedError, match="no trace of profile 'stored'"):
        codec.trace_image(data)


def test_the_strips_and_the_smallest_file_are_the_profiles(stored):
    tall = np.arange(100 * 20, dtype=np.uint16).astype(np.uint8).reshape(100, 20)
    data = codec.encode_image(tall, profile="stored")
    header = codec.read_header(data)
    assert (header.rows, header.strips) == (48, 3)  # of at most 1024 pixels
    assert np.array_equal(codec.decode_image(data), tall)
    claim = replace(header, height=len(data) // 20 + 48)
    with pytest.raises(codec.TruncatedError, match=f"do not fit into {len(data)} bytes"):
        codec.decode_image(put_together([(b"HEAD", claim.to_bytes()), *take_apart(data)[1:]]))


def test_all_profiles_and_their_stages_are_found(stored):
    assert profiles.profile_names() == ["main", "baseline", "stored"]
    assert list(codec.image.optional_stages("stored")) == ["subsampling", "magic"]
    assert codec.image.optional_stages() == codec.image.optional_stages("main")


def test_our_own_profiles_need_no_entry_point(stored):
    assert profiles.find_profile("baseline") is Baseline
    assert profiles.find_profile("main") is Main


def test_without_a_wish_the_profile_is_main():
    assert codec.read_header(codec.encode_image(np.zeros((2, 2), np.uint8))).profile == "main"


def test_an_unknown_profile_is_named_with_those_that_are_known(stored):
    with pytest.raises(codec.UnsupportedError, match="'nosuch'; known are main, baseline, stored"):
        codec.encode_image(np.zeros((2, 2), np.uint8), profile="nosuch")
