"""A little of `tests.fuzz`, always with the same damage; `python -m tests.fuzz` runs for longer, with any."""

import pytest

from tests.fuzz import run


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        ("images", 300),
        ("videos", 120),
        pytest.param("images", 5000, marks=pytest.mark.long),
        pytest.param("videos", 2000, marks=pytest.mark.long),
    ],
)
def test_damaged_files_raise_errors_of_the_tree_and_nothing_else(kind, cases):
    outcomes = run(kind, seed=0, cases=cases)
    # Damage is found at every depth, and some of it is harmless.
    expected = {"ChecksumError", "FormatError", "TruncatedError", "decoded"}
    if cases >= 1000:  # what is rare
        expected |= {"UnsupportedError", "LimitError"} if kind == "images" else {"UnsupportedError"}
    assert expected <= set(outcomes)
    assert outcomes["FormatError"] >= cases // 4
    assert outcomes["decoded"] >= cases // 10
