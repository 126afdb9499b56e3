"""Tests of `bitstreams.ledger`: parts add up, by plane, by kind and in all."""

import numpy as np
import pytest

from bitstreams.ledger import FILE, Ledger


@pytest.fixture
def ledger():
    ledger = Ledger()
    ledger.record("Y", "DC", 30)
    ledger.record("Y", "AC", 100)
    ledger.record("Cb", "DC", 6)
    ledger.record(FILE, "framing", 64)
    ledger.record("Y", "AC", 50)  # a second strip
    return ledger


def test_parts_of_the_same_name_are_summed(ledger):
    assert ledger.bits["Y", "AC"] == 150


def test_sums(ledger):
    assert ledger.total == 250
    assert ledger.by(0) == {"Y": 180, "Cb": 6, FILE: 64}
    assert ledger.by(1) == {"DC": 36, "AC": 150, "framing": 64}


def test_counts_of_arrays_become_plain_integers(ledger):
    ledger.record("Y", "DC", np.uint8(250))
    ledger.record("Y", "DC", np.uint8(250))  # 30 + 250 + 250 would wrap around in uint8
    assert ledger.bits["Y", "DC"] == 530
    assert type(ledger.total) is int


def test_the_table_shows_the_largest_part_first_and_the_total_last(ledger):
    rows = [row.split() for row in str(ledger).splitlines()]
    assert rows[0] == ["plane", "kind", "bits", "share"]
    assert rows[1] == ["Y", "AC", "150", "60.00%"]
    assert [row[-2] for row in rows[1:-1]] == ["150", "64", "30", "6"]
    assert rows[-1] == ["total", "250", "100.00%"]


def test_an_empty_ledger():
    assert Ledger().total == 0
    assert "total" in str(Ledger())
