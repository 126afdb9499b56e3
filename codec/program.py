"""The program `tcodec`.

    tcodec encode photo.png             photo.tjpg
    tcodec decode photo.tjpg            photo.png
    tcodec encode clip.mp4              clip.tvid
    tcodec decode clip.tvid             clip.mp4
    tcodec info clip.tvid --json
    tcodec verify archive/

A subcommand is a function `add(subparsers)`: it adds a parser, and sets its default `run` to a function that takes the
parsed arguments and returns the exit status. Those of this package are known by name, other packages bring theirs with
entry points:

    [project.entry-points."tcodec.commands"]
    mine = "my_package.my_module:add"

Every parser has --quiet and --verbose already, and `argv` among its arguments are the words of the command line. A
subcommand writes its payload and JSON to standard output and all else to standard error; for what goes wrong it raises
CodecError or OSError, which become one line here.

Exit status: 0 done, 1 error, 2 usage, 3 decoded with losses.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from bitstreams.errors import CodecError
from codec.commands.batch import FAILED, report, terminate

__all__ = ["main"]

COMMANDS = ("encode", "decode", "info", "verify", "demo")  # of this package, known without its being installed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    SystemExit
        From argparse: for --help, --version and wrong usage (status 2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(words, argparse.Namespace(argv=words))
    try:
        with _cleaning_up():
            status: int = args.run(args)
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (CodecError, OSError, MemoryError) as error:
        _let_go_of_stdout()
        if not isinstance(error, BrokenPipeError):  # whoever read our output has had enough: no news
            print(report(error, verbose=args.verbose), file=sys.stderr)
        return FAILED


class _Command(argparse.ArgumentParser):
    """The parser of a subcommand, with the options that all of them have."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_argument("--quiet", action="store_true", help="only report errors and losses")
        self.add_argument("-v", "--verbose", action="store_true", help="for an error, show where it arose")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tcodec",
        description="Encode pictures to .tjpg files and videos to .tvid files, decode and examine them.",
        epilog="Exit status: 0 done, 1 error, 2 usage, 3 decoded with losses.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"tcodec {_version()}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Command)
    for add in _commands():
        add(subparsers)
    return parser


def _commands() -> Iterator[Callable[[Any], None]]:
    """Find the functions that add the subcommands."""
    for name in COMMANDS:
        yield import_module(f"codec.commands.{name}").add
    for entry in entry_points(group="tcodec.commands"):
        if entry.name not in COMMANDS:
            yield entry.load()


def _version() -> str:
    try:
        return version("tcodec")
    except PackageNotFoundError:
        return "(not installed)"


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Have SIGTERM raise SystemExit meanwhile, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _let_go_of_stdout() -> None:
    """Drop what cannot be written to standard output, or Python would try it again at the exit and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
