"""Peak memory of encoding and decoding a gray picture of 100 megapixels.

The picture is a formula and noise, made on the spot, strip by strip. Encoder and decoder run in a fresh process each.
What counts is the largest resident set of that process: the interpreter, NumPy, the pixels, the file, and all that the
codec needs beside them.
"""

import math
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

import codec
from benchmarks import harness

STRIP = 256  # rows
NOISE = 4.0  # standard deviation, in gray levels: a file of about 1.5 bits per pixel
LIMIT = 1024.0  # MiB

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


def strips(side: int) -> Iterator[NDArray[np.uint8]]:
    """Make a square picture from top to bottom: rings that grow finer outwards, and noise; the same every time.

    Yields
    ------
    (up to STRIP, side) uint8 array
    """
    x = np.linspace(-1, 1, side, dtype=np.float32)
    for top in range(0, side, STRIP):
        y = x[top : top + STRIP, None]
        noise = np.random.default_rng(top).standard_normal((len(y), side), np.float32)
        rings = 128 + 80 * np.cos(side / 8 * (x * x + y * y))
        yield np.clip(rings + NOISE * noise, 0, 255).astype(np.uint8)


def encode(side: int, file: Path) -> int:
    """Make the picture and encode it to a file; return its bytes."""
    picture = np.empty((side, side), np.uint8)
    for number, strip in enumerate(strips(side)):
        picture[number * STRIP : number * STRIP + len(strip)] = strip
    return file.write_bytes(codec.encode_image(picture))


def decode(side: int, file: Path) -> float:
    """Decode the file; return its PSNR in dB."""
    picture = codec.decode_image(file.read_bytes())
    error = 0.0
    for number, strip in enumerate(strips(side)):
        difference = picture[number * STRIP : number * STRIP + len(strip)] - strip.astype(np.float32)
        error += float(np.square(difference).sum(dtype=np.float64))
    return 10 * math.log10(255**2 * side * side / error)


def peak_mebibytes() -> float:
    """Return the largest resident set that this process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def in_fresh_process(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> tuple[Result, float]:
    """Call a function in a new process; return its result and the peak memory of that process in MiB.

    On Linux a new process inherits the peak of the one that starts it, so that one should have stayed small.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        result = executor.submit(work, *args, **kwargs).result()
        return result, executor.submit(peak_mebibytes).result()


def measure(side: int) -> dict[str, float]:
    """Encode and decode a picture of side x side pixels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "picture.tjpg")
        size, encoding = in_fresh_process(encode, side, file)
        psnr, decoding = in_fresh_process(decode, side, file)
    return {"side": side, "bytes": size, "psnr": psnr, "encode": encoding, "decode": decoding}


def report(data: dict[str, float]) -> harness.Report:
    """Compare peaks with the limit."""
    megapixels = data["side"] ** 2 / 1e6
    rows = [[way, f"{data[way]:.0f}"] for way in ("encode", "decode")]
    return harness.Report(
        "memory",
        f"{megapixels:g} MP of gray, {8e-6 * data['bytes'] / megapixels:.2f} bpp, PSNR {data['psnr']:.2f} dB\n\n"
        + harness.table(["process", "peak, MiB"], rows),
        [
            harness.Target(f"peak memory to {way} {megapixels:g} MP of gray", data[way], "at most", LIMIT, "MiB")
            for way in ("encode", "decode")
        ],
        data,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = harness.command_line(__doc__, photos=False)
    parser.add_argument("--side", type=int, default=10_000, help="width and height of the picture")
    arguments = parser.parse_args(argv)
    return harness.finish(report(measure(arguments.side)), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
