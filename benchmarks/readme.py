"""Write the tables of figures in README.md, from the results that are kept in `benchmarks/results`.

    tcodec rd kodak/ -j 2 -o benchmarks/results/pictures
    tcodec rd akiyo.y4m foreman.y4m news.y4m parkjoy.y4m -j 2 -o benchmarks/results/clips
    tcodec rd kodak/ akiyo.y4m foreman.y4m news.y4m parkjoy.y4m --ablate -j 2 -o benchmarks/results/ablation
    tcodec speed kodak/ foreman.y4m -o benchmarks/results/speed
    python -m benchmarks.training digits mnist:FOLDER -o benchmarks/results/training
    python -m benchmarks.masking kodak/ -o benchmarks/results/masking
    python -m benchmarks.token_controls kodak/ --photos photos/ --json benchmarks/results/tokens/controls.json
    python -m benchmarks.imagined kodak/ --json benchmarks/results/tokens/imagined.json
    python -m benchmarks.readme

Of these reports the JSON files and the pictures that README.md shows are kept with the code. A table stands between two
comments, `<!-- table NAME -->` and `<!-- end -->`. A test asks that README.md has what this would write.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.ablation import tables
from benchmarks.masking import masking_table
from benchmarks.results import against, of_one
from benchmarks.speed import speeds_table
from benchmarks.training import accuracy_table
from benchmarks.training_steps import steps_table

__all__ = ["TABLES", "main", "rewrite"]

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def _one_of_each_profile(ablations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = ("tcodec-main", "tcodec-baseline-effort2", "tcodec-tokens-psnr", "tcodec")
    return [each for each in ablations if each["codec"] in shown]


TABLES: Mapping[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "pictures": ("pictures/results.json", lambda document: against(document, "pictures", "jpeg")),
    "clips": ("clips/results.json", lambda document: of_one(document, "clips", "tcodec")),
    "ablation": (
        "ablation/results.json",
        lambda document: tables(_one_of_each_profile(document["ablation"]), document["doubts"]),
    ),
    "speed of pictures": ("speed/speed.json", lambda document: speeds_table(document, "pictures")),
    "speed of clips": ("speed/speed.json", lambda document: speeds_table(document, "clips")),
    "training": ("training/training.json", lambda document: accuracy_table(document["runs"])),
    "training steps": ("training/training.json", steps_table),
    "masking": ("masking/masking.json", masking_table),
    "token controls": ("tokens/controls.json", itemgetter("text")),
    "imagined": ("tokens/imagined.json", itemgetter("text")),
}


def rewrite(text: str) -> str:
    """Return a document with its tables as the kept results have them."""

    def table(match: re.Match[str]) -> str:
        file, lay_out = TABLES[match[2]]
        return f"{match[1]}\n\n{lay_out(json.loads((RESULTS / file).read_text()))}\n\n<!-- end -->"

    return re.sub(r"(<!-- table ([^>]*) -->).*?<!-- end -->", table, text, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite README.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=(__doc__ or "").partition("\n")[0])
    parser.parse_args(arguments)
    readme = ROOT / "README.md"
    readme.write_text(rewrite(readme.read_text()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
