"""A little of `tests.fuzz`, always with the same damage; `python -m tests.fuzz` runs for longer, with any."""

import pytest

from tests.fuzz import run


@pytest.mark.parametrize(("kind", "cases"), [("images", 800), ("videos", 350)])
def test_damaged_files_raise_errors_of_the_tree_and_nothing_else(kind, cases):
    outcomes = run(kind, seed=0, cases=cases)
    # Damage is found at every depth, and some of it is harmless.
    assert {"ChecksumError", "FormatError", "TruncatedError", "UnsupportedError", "decoded"} <= set(outcomes)
    assert kind == "videos" or outcomes["LimitError"] >= cases // 300
    assert outcomes["FormatError"] >= cases // 4
    assert outcomes["decoded"] >= cases // 10
