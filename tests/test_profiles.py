from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar

import numpy as np
import pytest

import codec
from codec import profiles
from codec.baseline import Baseline


class Stored:
    """Another package's profile: pixels as they are."""

    STAGES: ClassVar = {"magic": "none"}
    macroblock = 4

    @classmethod
    def choose(cls, channels, subsampled, quality, tune, tables, without):
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
    assert codec.read_header(data).profile == "stored"
    assert np.array_equal(codec.decode_image(data), picture)
    with pytest.raises(codec.UnsupportedError, match="no trace of profile 'stored'"):
        codec.trace_image(data)


def test_all_profiles_and_their_stages_are_found(stored):
    assert profiles.profile_names() == ["baseline", "stored"]
    assert list(codec.image.optional_stages("stored")) == ["subsampling", "magic"]


def test_baseline_needs_no_entry_point(stored):
    assert profiles.find_profile("baseline") is Baseline


def test_an_unknown_profile_is_named_with_those_that_are_known(stored):
    with pytest.raises(codec.UnsupportedError, match="'nosuch'; known are baseline, stored"):
        codec.encode_image(np.zeros((2, 2), np.uint8), profile="nosuch")
