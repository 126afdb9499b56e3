"""Run the benchmarks behind the README's figures, and write them down.

Each runs in a process of its own: none inherits the memory, or the caches, of the one before. All measurements go to
`results.json`; targets, figures, commands and tables to `results.md`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness

COMMANDS = {"sizes": True, "curves": True, "speed": True, "memory": False}  # whether it takes the folder of photos


def run(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a benchmark in a new process; return what it wrote to its JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "result.json")
        child = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments, "--json", file], check=False)
        if not file.exists():
            raise SystemExit(f"benchmarks.{name} ended with status {child.returncode} and no result")
        result: dict[str, Any] = json.loads(file.read_text())
    return result


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Return what benchmarks found, in Markdown, the targets first."""
    rows = [
        [*harness.Target(**target).row, f"`python -m benchmarks.{result['name']}`"]
        for result in results
        for target in result["targets"]
    ]
    machine = ", ".join(f"{name} {version}" for name, version in results[0]["environment"].items())
    parts = [harness.table([*harness.TARGET_HEADER, "command"], rows), f"One thread; {machine}."]
    for result in results:
        parts += [f"## {result['name']}", result["text"]]
    return "\n\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", help="folder of photos")
    parser.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="where results go")
    arguments = parser.parse_args(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = [run(name, [arguments.folder] * takes_photos) for name, takes_photos in COMMANDS.items()]
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.output / "results.md").write_text(summary(results))
    return 0 if all(harness.Target(**target).met for result in results for target in result["targets"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
