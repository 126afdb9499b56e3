"""Whether files decode to the same bytes under different matrix kernels and thread counts.

OpenBLAS has kernels for many processors and can be told which to use, and how many threads. Each choice gets a process
of its own. A product of random floats is computed beside the files: its sums are rounded in the order in which a kernel
adds, so its hash shows that kernels really were exchanged. The hashes of pictures and videos must not move.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import harness

CORES = ("default", "Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX")
THREADS = (1, 2)
CHILD = """
import hashlib, sys
import numpy as np
import codec

def arrays(name):
    if name.endswith(".tvid"):
        with codec.open_video(name) as video:
            for planes, _ in video.planes():
                yield from planes
    else:
        with open(name, "rb") as file:
            yield codec.decode_image(file.read())

factors = np.random.default_rng(0).standard_normal((2, 256, 256)).astype(np.float32)
print(hashlib.sha256(factors[0] @ factors[1]).hexdigest())
for name in sys.argv[1:]:
    digest = hashlib.sha256()
    for array in arrays(name):
        digest.update(np.ascontiguousarray(array))
    print(digest.hexdigest())
"""


class Run(NamedTuple):
    """Hashes (SHA-256) under one choice of kernel and threads; that of a video is of the planes of all its frames."""

    core: str
    threads: int
    product: str
    pictures: list[str]


def run(files: Sequence[Path], core: str, threads: int) -> Run | None:
    """Decode files in a new process; return None if this processor lacks the instructions that the kernel needs."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
    if core != "default":
        environment["OPENBLAS_CORETYPE"] = core
    command = [sys.executable, "-c", CHILD, *map(str, files)]
    child = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if child.returncode == -signal.SIGILL:
        return None
    child.check_returncode()
    product, *pictures = child.stdout.split()
    return Run(core, threads, product, pictures)


def measure(files: Sequence[Path]) -> list[Run]:
    """Decode files under all choices that this machine has."""
    runs = (run(files, core, threads) for core in CORES for threads in THREADS)
    return [each for each in runs if each is not None]


def report(files: Sequence[Path], runs: Sequence[Run]) -> harness.Report:
    """Compare hashes."""
    rows = [
        [each.core, str(each.threads), each.product[:12], *(picture[:12] for picture in each.pictures)] for each in runs
    ]
    different = max(len(set(hashes)) for hashes in zip(*(each.pictures for each in runs), strict=True))
    kernels = len({each.product for each in runs})
    return harness.Report(
        "exact",
        harness.table(["kernel", "threads", "random product", *(file.name for file in files)], rows)
        + f"\n\n{len(runs)} runs; the random product came out in {kernels} ways",
        [harness.Target("different results of any file", different, "at most", 1)],
        {"runs": [each._asdict() for each in runs]},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.command_line(__doc__, photos=False)
    parser.add_argument("files", type=Path, nargs="+", help=".tjpg or .tvid files")
    arguments = parser.parse_args(argv)
    return harness.finish(report(arguments.files, measure(arguments.files)), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
