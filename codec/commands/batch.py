"""What the subcommands share: from the names on the command line to jobs, and from jobs to an exit status.

    inputs -> find: files, in folders too -> plan: which output each has -> run: a job for each; bar and report

A job reads one input and writes its output. One that fails does not stop the others: its error is reported when all are
through. Pictures are small and many: with several processes, each takes a picture at a time. Videos are long and few:
they are worked on here, one after another, so that Ctrl-C ends them at once; the processes may share a video's groups.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from bitstreams.errors import CodecError
from codec.clip_writer import SUFFIXES
from codec.commands.streams import STANDARD
from codec.files import FORMATS, PICTURES, refuse_existing
from codec.image import SIZE_LIMIT
from codec.video import FRAME_LIMIT

if TYPE_CHECKING:  # `tcodec --help` has no use for it
    from tqdm import tqdm

__all__ = [
    "FAILED",
    "LOSSES",
    "Job",
    "Kind",
    "Outcome",
    "Task",
    "add_reading_options",
    "add_writing_options",
    "amount",
    "count",
    "explain",
    "find",
    "frame_bar",
    "given",
    "is_folder",
    "plan",
    "positive",
    "print_json",
    "process_pool",
    "processes",
    "refuse_target",
    "report",
    "run",
    "say",
    "terminate",
]

FAILED, LOSSES = 1, 3  # exit statuses
UNITS = {"k": 1_000, "M": 1_000_000}
NAMES_OF_FILES = PICTURES | {*FORMATS, *SUFFIXES, ".tjpg", ".tvid"}  # a folder that is called so would be a mistake


class Kind(NamedTuple):
    """What an output is: a video or a picture, and the extension that it gets."""

    video: bool
    suffix: str


class Task(NamedTuple):
    """An input and its output; `STANDARD` stands for the standard streams."""

    source: Path
    target: Path
    video: bool


class Outcome(NamedTuple):
    """What came of a task.

    Attributes
    ----------
    lines : sequence of str
        What was done, for people.
    losses : sequence of str
        What could not be decoded.
    error : str
        What to print for an error.
    """

    lines: Sequence[str] = ()
    losses: Sequence[str] = ()
    error: str = ""


Job = Callable[[Task, argparse.Namespace], Outcome]


def add_writing_options(parser: argparse.ArgumentParser, inputs: str, output: str, jobs: str) -> None:
    """Add the arguments of subcommands that write a file for each input; the texts are for --help."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help=inputs)
    parser.add_argument("-o", "--output", metavar="OUT", help=output)
    parser.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    parser.add_argument("-j", "--jobs", type=positive, default=1, metavar="N", help=f"{jobs} (default: %(default)s)")
    _add_size_limit(parser)


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of subcommands that examine `.tjpg` and `.tvid` files."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a .tjpg or .tvid file, a folder of them, or - for stdin"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object, or a list of them for several files")
    _add_size_limit(parser)


def _add_size_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size-limit",
        type=amount,
        metavar="PIXELS",
        help=f"refuse pictures and frames of more pixels; 1k is 1000, 1M a million (default: {SIZE_LIMIT}, and "
        f"{FRAME_LIMIT} for frames)",
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


def positive(text: str) -> int:
    """Read a whole number above 0, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return those options that were given, of some whose default is that they are no attributes."""
    return {name: value for name, value in vars(args).items() if name in names}


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


def plan(
    inputs: Sequence[str], output: str | None, extensions: Collection[str], kind_of: Callable[[Path], Kind]
) -> list[Task]:
    """Decide where the output of each input goes.

    Parameters
    ----------
    inputs, extensions
        As for `find`.
    output : str, optional
        A file, a folder, or "-"; by default each output is beside its input.
    kind_of : function of (input) -> Kind
        What an input becomes; its extension counts for outputs that are not named one by one.

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
    folder = output is not None and is_folder(output)
    into_folder = output is not None and (many or folder)
    if output is not None and many and not folder and _is_file(output):
        raise CodecError(f"{output}: several outputs need a folder")
    if (many or into_folder) and any(source == STANDARD for source, _ in found):
        raise CodecError("-: standard input goes alone, and to a file or to standard output")
    tasks: dict[Path, Task] = {}
    for source, relative in found:
        kind = kind_of(source)
        if output is None:
            target = STANDARD if source == STANDARD else source.with_suffix(kind.suffix)
        else:
            target = Path(output) / relative.with_suffix(kind.suffix) if into_folder else Path(output)
        if target in tasks and target != STANDARD:
            raise CodecError(
                f"{tasks[target].source} and {source} would both be written to {target}; rename one of them"
            )
        tasks[target] = Task(source, target, kind.video)
    return list(tasks.values())


def is_folder(output: str) -> bool:
    """Tell whether an output is a folder, or is named so with / at the end."""
    return output.endswith("/") or Path(output).is_dir()


def _is_file(output: str) -> bool:
    """Tell whether an output is a file or standard output, or is named like a file."""
    return output == "-" or Path(output).is_file() or Path(output).suffix.lower() in NAMES_OF_FILES


def print_json(records: Sequence[dict[str, Any]], inputs: Sequence[str]) -> None:
    """Print records of files as JSON: a list, or what there is of one if a single file was asked for."""
    if len(inputs) > 1 or Path(inputs[0]).is_dir():
        print(json.dumps(records, indent=2))
    elif records:
        print(json.dumps(records[0], indent=2))


def count(number: int, what: str) -> str:
    """Say how many there are of something."""
    return f"{number:,} {what}" + "s" * (number != 1)


def explain(error: BaseException, name: str | Path = "") -> str:
    """Put an error into one line for people.

    Parameters
    ----------
    error : BaseException
        What was raised.
    name : str or Path
        The file that it was raised for, unless the error knows better, or says it already.

    Returns
    -------
    str
    """
    if isinstance(error, OSError) and error.strerror:
        name, message = error.filename or name, error.strerror
    else:
        message = (str(error) or type(error).__name__).removeprefix(f"{name}: ")
    return " ".join(f"{name}: {message}".split() if name else message.split())


def report(error: BaseException, name: str | Path = "", verbose: bool = False) -> str:
    """Return what to print for an error: one line, after the traceback if that is wanted."""
    trace = traceback.format_exception(error) if verbose else []
    return "".join([*trace, f"tcodec: {explain(error, name)}"])


def run(
    tasks: Sequence[Task], on_pictures: Job, on_videos: Job, args: argparse.Namespace, executor: Executor | None
) -> int:
    """Do a job for every task, and report on standard error.

    Parameters
    ----------
    tasks : sequence of Task
        From `plan`.
    on_pictures, on_videos : function of (task, args) -> Outcome
        The first a top-level function of a module: other processes must find it.
    args : argparse.Namespace
        With the options of `add_writing_options`, and `quiet` and `verbose`.
    executor : Executor, optional
        From `processes`.

    Returns
    -------
    int
        Exit status: 1 if a task failed, else 3 if something is missing in an output, else 0.
    """
    from tqdm import tqdm  # noqa: PLC0415 - `tcodec --help` has no use for it

    pictures, videos = [task for task in tasks if not task.video], [task for task in tasks if task.video]
    mapping = executor.map if executor and len(pictures) > 1 else map
    outcomes = chain(
        mapping(partial(_perform, job=on_pictures, args=args), pictures),
        map(partial(_perform, job=on_videos, args=args), videos),
    )
    failures, lossy = [], False
    with tqdm(total=len(tasks), unit="file", disable=len(tasks) == 1 or not _shows_bars(args)) as bar:
        for outcome in outcomes:
            bar.update()
            if outcome.error:
                failures.append(outcome.error)
                continue
            for line in outcome.losses if args.quiet else [*outcome.lines, *outcome.losses]:
                say(line)
            lossy = lossy or bool(outcome.losses)
    for error in failures:
        print(error, file=sys.stderr)
    return FAILED if failures else LOSSES if lossy else 0


def say(line: str) -> None:
    """Print a line on standard error, above the bars that are shown there."""
    from tqdm import tqdm  # noqa: PLC0415

    tqdm.write(line, file=sys.stderr)


def frame_bar(args: argparse.Namespace, number: int | None, frames: Iterable[Any] | None = None) -> tqdm[Any]:
    """Return a progress bar for a video of so many frames, as far as it is known; and an iterator of them, if given."""
    from tqdm import tqdm  # noqa: PLC0415

    return tqdm(frames, total=number, unit=" frames", leave=False, disable=not _shows_bars(args))


def _shows_bars(args: argparse.Namespace) -> bool:
    return not args.quiet and sys.stderr.isatty()


def _perform(task: Task, job: Job, args: argparse.Namespace) -> Outcome:
    """Do a job for a task; all errors that concern it alone are part of the outcome."""
    try:
        if task.target != STANDARD:
            own = f"if that is no {task.target.suffix} file already, "
            refuse_target(task.source, task.target, args.force, own)
        return job(task, args)
    except BrokenPipeError:  # whoever read our output has had enough: that ends the program
        raise
    except (CodecError, OSError, MemoryError) as error:
        return Outcome(error=report(error, task.source, args.verbose))


def refuse_target(source: Path, target: Path, force: bool, when: str = "") -> None:
    """Raise an error if an output must not be written, before work goes into it.

    An output that would replace its input is refused even with `force`; `when` is said before the advice for that.
    """
    if target.exists() and source != STANDARD and target.samefile(source):
        raise CodecError(f"{source}: the output would replace the input; {when}name another with -o")
    refuse_existing(target, force)


def process_pool(number: int) -> ProcessPoolExecutor:
    """Return a pool of so many processes, started when there is work for them.

    They are spawned: forked ones would inherit the locks that threads of NumPy's BLAS hold, and BLAS as it is set up
    here. One thread is enough for each of them: more would wait for each other.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return ProcessPoolExecutor(number, get_context("spawn"), _start_worker)


@contextmanager
def processes(number: int) -> Iterator[Executor | None]:
    """Give so many processes to work in; nothing if one is enough."""
    if number == 1:
        yield None
        return
    executor = process_pool(number)
    try:
        yield executor
    except BrokenProcessPool as error:
        raise CodecError("a process died, perhaps for lack of memory; try fewer --jobs") from error
    finally:
        executor.shutdown(cancel_futures=True)  # after Ctrl-C there are some


def _start_worker() -> None:
    """Let Ctrl-C reach the main process alone, which waits for what is being done and starts no more; end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the main process to end, and do so too: one that was killed cannot tell its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(FAILED)


def terminate(number: int, frame: object) -> NoReturn:
    """End the program in answer to a signal as if by an error, so that temporary files are removed."""
    sys.exit(128 + number)  # as a shell reports it
