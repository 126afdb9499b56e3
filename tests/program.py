"""The program run as a user would run it: here, or in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from codec import program

__all__ = ["COMMAND", "ENVIRONMENT", "call", "files", "process"]

COMMAND = [sys.executable, "-m", "codec.program"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
ENVIRONMENT["PYTHONPATH"] = str(Path(program.__file__).parents[1])


def call(capsysbinary, *arguments):
    """Run the program here; return exit status, standard output and the lines of standard error."""
    status = program.main([str(argument) for argument in arguments])
    captured = capsysbinary.readouterr()
    return status, captured.out, captured.err.decode().splitlines()


def process(*arguments, **options):
    """Run the program in a process of its own; return the same."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    done = subprocess.run([*COMMAND, *arguments], check=False, timeout=60, env=ENVIRONMENT, **pipes)
    return done.returncode, done.stdout, (done.stderr or b"").decode().splitlines()


def files(folder):
    """Return the names of all files in a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
