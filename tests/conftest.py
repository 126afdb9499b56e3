"""What all tests share: a clip in memory and in a file. Hypothesis draws the same examples on every run."""

import pytest
from hypothesis import settings

from tests.footage import make_footage, write_y4m

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def footage():
    """Five frames that drift."""
    return make_footage(48, 64, 5)


@pytest.fixture(scope="session")
def clip(footage, tmp_path_factory):
    """A file of them."""
    return write_y4m(tmp_path_factory.mktemp("clips") / "wave.cif.y4m", footage)
