"""A minute of `tests.fuzz`, always with the same damage; `python -m tests.fuzz` runs for longer, with any."""

from tests.fuzz import run


def test_damaged_files_raise_errors_of_the_tree_and_nothing_else():
    outcomes = run(seed=0, cases=4000)
    # Damage is found at every depth, and some of it is harmless.
    assert set(outcomes) == {
        "ChecksumError",
        "FormatError",
        "LimitError",
        "TruncatedError",
        "UnsupportedError",
        "decoded",
    }
    assert min(outcomes.values()) >= 10
    assert outcomes["FormatError"] >= 1000
