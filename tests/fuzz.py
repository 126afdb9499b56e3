"""Fuzzing: thousands of damaged files for every reader, which may raise errors of the tree and nothing else.

    python -m tests.fuzz --minutes 10 --seed 1

Some damage is a transfer's: bytes are flipped, overwritten, lost, repeated. Checksums find nearly all of it. The rest
is malice's: chunks, bytes inside them, or the symbols that they code are changed, and checksums and code words made
anew, so that what lies behind them is reached. Each case follows from a kind of file, a seed and its number:
`case("images", seed, number)` gives the file again.
"""

import argparse
import random
import time
import tracemalloc
import warnings
from collections import Counter

from tests import fuzz_images, fuzz_videos
from tests.damage import spoil

__all__ = ["KINDS", "case", "run"]

WATCHED = 8  # every so many cases memory is watched, which takes five times as long
KINDS = {"images": fuzz_images, "videos": fuzz_videos}


def case(kind: str, seed: int, number: int) -> bytes:
    """Return a damaged file."""
    rng = random.Random(f"{seed} {number}")
    data = rng.choice(KINDS[kind].intact_files())
    if rng.random() < 0.75:
        data = KINDS[kind].change(rng, data)
        if rng.random() < 0.7:
            return data
    for _ in range(rng.choice([1, 1, 2, 5])):
        data = spoil(rng, data)
    return data


def run(kind: str, seed: int, cases: int | None = None, minutes: float | None = None) -> Counter[str]:
    """Check so many cases, or for so many minutes; return how often what became of them.

    Raises
    ------
    AssertionError
        With the number of the case that failed.
    """
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + 60 * (minutes or 0)
    number = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KINDS[kind].intact_files()  # what readers keep after the first file is not watched
        while number < cases if cases is not None else time.monotonic() < end:
            if number % WATCHED == 0:
                tracemalloc.start()
            try:
                outcomes[KINDS[kind].check(case(kind, seed, number))] += 1
            except Exception as error:
                message = f"case({kind!r}, {seed}, {number}): {type(error).__name__}: {error}"
                raise AssertionError(message) from error
            finally:
                tracemalloc.stop()
            number += 1
    return outcomes


def main() -> None:
    """Run for some minutes."""
    parser = argparse.ArgumentParser(description="Give damaged files to every reader.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for kind in KINDS:
        print(kind)
        for outcome, number in run(kind, options.seed, minutes=options.minutes / len(KINDS)).most_common():
            print(f"{number:8} {outcome}")


if __name__ == "__main__":
    main()
