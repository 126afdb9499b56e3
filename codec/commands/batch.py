"""What the subcommands share: from the names on the command line to jobs, and from jobs to an exit status.

    inputs -> find: files, in folders too -> plan: which output each has -> run: read, job, write; bar and report

A job turns the bytes of one input into the bytes of its output. One that fails does not stop the others: its error is
reported when all are through.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from bitstreams.errors import CodecError
from codec.files import atomic_write, refuse_existing
from codec.image import SIZE_LIMIT

__all__ = [
    "FAILED",
    "LOSSES",
    "STANDARD",
    "Job",
    "Product",
    "Task",
    "add_reading_options",
    "add_writing_options",
    "amount",
    "explain",
    "find",
    "plan",
    "print_json",
    "read",
    "report",
    "run",
    "terminate",
]

STANDARD = Path("-")  # standard input or output
FAILED, LOSSES = 1, 3  # exit statuses
UNITS = {"k": 1_000, "M": 1_000_000}


class Task(NamedTuple):
    """An input and its output; `STANDARD` stands for the standard streams."""

    source: Path
    target: Path


class Product(NamedTuple):
    """What a job makes of an input.

    Attributes
    ----------
    data : bytes
        The output.
    line : str
        What was done, for people.
    losses : sequence of str
        What could not be decoded.
    """

    data: bytes
    line: str
    losses: Sequence[str] = ()


Job = Callable[[bytes, Task, argparse.Namespace], Product]


class Outcome(NamedTuple):
    """What is known of a task when it is through: of a product all but its data, or what to print for an error."""

    line: str = ""
    losses: Sequence[str] = ()
    error: str = ""


def add_writing_options(parser: argparse.ArgumentParser, inputs: str, output: str) -> None:
    """Add the arguments of subcommands that write a file for each input; the texts are for --help."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help=inputs)
    parser.add_argument("-o", "--output", metavar="OUT", help=output)
    parser.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    parser.add_argument(
        "-j", "--jobs", type=_positive, default=1, metavar="N", help="work on N files at a time (default: %(default)s)"
    )
    _add_size_limit(parser)


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of subcommands that examine `.tjpg` files."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a .tjpg file, a folder of them, or - for stdin")
    parser.add_argument("--json", action="store_true", help="print a JSON object, or a list of them for several files")
    _add_size_limit(parser)


def _add_size_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size-limit",
        type=amount,
        default=SIZE_LIMIT,
        metavar="PIXELS",
        help="refuse pictures of more pixels; 1k is 1000, 1M a million (default: %(default)s)",
    )


def amount(text: str) -> int:
    """Read a positive number with k for thousands or M for millions, for argparse."""
    number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
    try:
        value = float(number) * unit
    except ValueError:
        value = 0
    if not 1 <= value < sys.maxsize:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount, such as 50000, 50k or 1.5M")
    return int(value)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def find(inputs: Sequence[str], extensions: Collection[str]) -> list[tuple[Path, Path]]:
    """Find the files that are meant.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders, or "-".
    extensions : collection of str
        Extensions of the files in folders that count, in lower case; hidden files do not.

    Returns
    -------
    list of (path, relative path)
        Each file, and its place in an output folder: its name, or in a folder its path from there.

    Raises
    ------
    CodecError
        If there is none in a folder.
    """
    found: list[tuple[Path, Path]] = []
    for name in inputs:
        if not name:
            raise CodecError("an input has an empty name")
        path = Path(name)
        if not path.is_dir():
            found.append((path, Path(path.name)))
            continue
        files = [(file, file.relative_to(path)) for file in sorted(path.rglob("*")) if file.is_file()]
        inside = [
            (file, relative)
            for file, relative in files
            if file.suffix.lower() in extensions and not any(part.startswith(".") for part in relative.parts)
        ]
        if not inside:
            raise CodecError(f"{path}: the folder has no files with {', '.join(sorted(extensions))}")
        found += inside
    return found


def plan(inputs: Sequence[str], output: str | None, extensions: Collection[str], suffix: str) -> list[Task]:
    """Decide where the output of each input goes.

    Parameters
    ----------
    inputs, extensions
        As for `find`.
    output : str, optional
        A file, a folder, or "-"; by default each output is beside its input.
    suffix : str
        Extension of outputs that are not named one by one.

    Returns
    -------
    list of Task

    Raises
    ------
    CodecError
        If that is impossible, or two inputs would have the same output.
    """
    found = find(inputs, extensions)
    many = len(inputs) > 1 or Path(inputs[0]).is_dir()
    into_folder = output is not None and (many or output.endswith("/") or Path(output).is_dir())
    if output is not None and many and (output == "-" or Path(output).is_file()):
        raise CodecError(f"{output}: several outputs need a folder")
    if (many or into_folder) and any(source == STANDARD for source, _ in found):
        raise CodecError("-: standard input goes alone, and to a file or to standard output")
    tasks: dict[Path, Task] = {}
    for source, relative in found:
        if output is None:
            target = STANDARD if source == STANDARD else source.with_suffix(suffix)
        else:
            target = Path(output) / relative.with_suffix(suffix) if into_folder else Path(output)
        if target in tasks and target != STANDARD:
            raise CodecError(
                f"{tasks[target].source} and {source} would both be written to {target}; rename one of them"
            )
        tasks[target] = Task(source, target)
    return list(tasks.values())


def read(source: Path) -> bytes:
    """Read a file, or standard input."""
    return sys.stdin.buffer.read() if source == STANDARD else source.read_bytes()


def print_json(records: Sequence[dict[str, Any]], inputs: Sequence[str]) -> None:
    """Print records of files as JSON: a list, or what there is of one if a single file was asked for."""
    if len(inputs) > 1 or Path(inputs[0]).is_dir():
        print(json.dumps(records, indent=2))
    elif records:
        print(json.dumps(records[0], indent=2))


def explain(error: BaseException, name: str | Path = "") -> str:
    """Put an error into one line for people.

    Parameters
    ----------
    error : BaseException
        What was raised.
    name : str or Path
        The file that it was raised for, unless the error knows better.

    Returns
    -------
    str
    """
    if isinstance(error, OSError) and error.strerror:
        name, message = error.filename or name, error.strerror
    else:
        message = str(error) or type(error).__name__
    return " ".join(f"{name}: {message}".split() if name else message.split())


def report(error: BaseException, name: str | Path = "", verbose: bool = False) -> str:
    """Return what to print for an error: one line, after the traceback if that is wanted."""
    trace = traceback.format_exception(error) if verbose else []
    return "".join([*trace, f"tcodec: {explain(error, name)}"])


def run(tasks: Sequence[Task], job: Job, args: argparse.Namespace) -> int:
    """Do a job for every task, and report on standard error.

    Parameters
    ----------
    tasks : sequence of Task
        From `plan`.
    job : function of (data, task, args) -> Product
        Top-level function of a module: other processes must find it.
    args : argparse.Namespace
        With the options of `add_writing_options`, and `quiet` and `verbose`.

    Returns
    -------
    int
        Exit status: 1 if a task failed, else 3 if something is missing in an output, else 0.
    """
    from tqdm import tqdm  # noqa: PLC0415 - `tcodec --help` has no use for it

    hidden = args.quiet or len(tasks) == 1 or not sys.stderr.isatty()
    failures, lossy = [], False
    with _mapping(min(args.jobs, len(tasks))) as mapping, tqdm(total=len(tasks), unit="file", disable=hidden) as bar:
        for outcome in mapping(partial(_perform, job=job, args=args), tasks):
            bar.update()
            if outcome.error:
                failures.append(outcome.error)
                continue
            for line in outcome.losses if args.quiet else [outcome.line, *outcome.losses]:
                tqdm.write(line, file=sys.stderr)
            lossy = lossy or bool(outcome.losses)
    for error in failures:
        print(error, file=sys.stderr)
    return FAILED if failures else LOSSES if lossy else 0


def _perform(task: Task, job: Job, args: argparse.Namespace) -> Outcome:
    """Do a job for a task; all errors that concern it alone are part of the outcome."""
    try:
        if task.target != STANDARD:
            _refuse_target(task, args.force)
        product = job(read(task.source), task, args)
        if task.target != STANDARD:
            task.target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(task.target, product.data, force=args.force)
    except (CodecError, OSError, MemoryError) as error:
        return Outcome(error=report(error, task.source, args.verbose))
    if task.target == STANDARD:
        sys.stdout.buffer.write(product.data)
    return Outcome(product.line, product.losses)


def _refuse_target(task: Task, force: bool) -> None:
    """Raise an error if the output must not be written, before work goes into it."""
    if task.target.exists() and task.source != STANDARD and task.target.samefile(task.source):
        raise CodecError(
            f"the output would replace the input; if that is no {task.target.suffix} file already, name another with -o"
        )
    refuse_existing(task.target, force)


@contextmanager
def _mapping(jobs: int) -> Iterator[Callable[[Callable[[Task], Outcome], Sequence[Task]], Iterable[Outcome]]]:
    """Give a function like `map`, here or in so many processes."""
    if jobs == 1:
        yield map
        return
    # Processes are spawned: forked ones would inherit the locks that threads of NumPy's BLAS hold, and BLAS as it is
    # set up here. One thread is enough for each of them: more would wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    executor = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker)
    try:
        yield executor.map
    except BrokenProcessPool as error:
        raise CodecError("a process died, perhaps for lack of memory; try fewer --jobs") from error
    finally:
        executor.shutdown(cancel_futures=True)  # after Ctrl-C there are some


def _start_worker() -> None:
    """Let Ctrl-C reach the main process alone, which waits for what is being done and starts no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, terminate)


def terminate(number: int, frame: object) -> NoReturn:
    """End the program in answer to a signal as if by an error, so that temporary files are removed."""
    sys.exit(128 + number)  # as a shell reports it
