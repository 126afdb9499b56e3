"""Imports run one way: benchmarks -> transformers_np -> codec -> bitstreams."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ["bitstreams", "codec", "transformers_np", "benchmarks"]  # from the ground up
FILES = [file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_floor_imports_from_above(file):
    floor = FLOORS.index(file.relative_to(ROOT).parts[0])
    imported = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0  # absolute imports: the direction can be read
            imported.add(node.module)
    above = {name for name in imported if name.split(".")[0] in FLOORS[floor + 1 :]}
    assert not above
