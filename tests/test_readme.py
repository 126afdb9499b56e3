"""The figures of README.md are those of the results that are kept beside the code."""

import json
import re

import pytest

from benchmarks.readme import RESULTS, ROOT, TABLES, main, rewrite

README = (ROOT / "README.md").read_text()


def test_every_table_is_as_the_kept_results_have_it():
    assert set(re.findall(r"<!-- table ([^>]*) -->", README)) == set(TABLES)
    assert README.count("<!-- end -->") == len(TABLES)
    assert rewrite(README) == README


@pytest.mark.parametrize("name", ["pictures", "clips"])
def test_tables_hold_the_bd_rates_of_the_json_files(name):
    document = json.loads((RESULTS / name / "results.json").read_text())
    [table] = re.findall(rf"<!-- table {name} -->(.*?)<!-- end -->", README, re.DOTALL)
    rates = document["bd_rates"][name]
    names = rates["psnr-y"]["codecs"]
    shown = re.findall(r"^\| (\w[\w-]*) +\|", table, re.MULTILINE)
    pairs = [(other, "jpeg") for other in names] if name == "pictures" else [("tcodec", other) for other in names[1:]]
    assert shown == [pair[name == "clips"] for pair in pairs]
    for test, anchor in pairs:
        rate = rates["psnr-y"]["mean"][names.index(test)][names.index(anchor)]
        row = next(
            line for line in table.splitlines() if line.startswith(f"| {test if name == 'pictures' else anchor} ")
        )
        assert f" {rate:+.1f} % " in row


def test_a_figure_that_was_changed_by_hand_is_put_right(tmp_path, monkeypatch):
    from benchmarks import readme  # noqa: PLC0415

    (tmp_path / "README.md").write_text(README.replace(" % |", " %|", 1))
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    assert main([]) == 0
    assert (tmp_path / "README.md").read_text() == README


def test_memory_of_the_largest_picture_is_as_measured():
    measured = json.loads((RESULTS / "speed" / "speed.json").read_text())["pictures"]["scaling"]
    [ours] = [each for each in measured if each["codec"] == "tcodec-main" and each["size"] == 50]
    words = f"encoded within {ours['encode_memory']:.0f} MB and decoded within {ours['decode_memory']:.0f} MB"
    assert words in README


def test_kept_results_are_of_whole_sweeps():
    sources = {"pictures": 12, "clips": 4}
    for name, count in sources.items():
        document = json.loads((RESULTS / name / "results.json").read_text())
        assert document["failures"] == document["left_out"] == []
        assert len(document["sources"]) == count
        assert len(document["rows"]) == count * 6 * len(document["codecs"])
