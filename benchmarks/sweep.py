"""A sweep: all cells of sources, codecs and qualities, measured by a crew, and kept in the report's folder.

Every cell that is finished goes to `cells.jsonl` at once, a line of JSON each, under the hash of what was asked for. So
a sweep that was interrupted goes on where it stopped, and one that is asked for again with another codec or picture
measures only what is new. A line that was cut off, or whose cell is not asked for any more, does no harm.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tqdm import tqdm

from benchmarks.cells import Cell, Row, Setting
from benchmarks.pool import Crew, work_on
from benchmarks.sources import Source

__all__ = ["Store", "Swept", "Work", "cells_of", "sweep"]


class Work(Protocol):
    """Something to be measured: a `Cell`, or a `Crop` to be looked at."""

    @property
    def key(self) -> str: ...

    @property
    def place(self) -> str: ...

    def suffices(self, row: Row) -> bool: ...

    def run(self) -> Row: ...


class Store:
    """What was measured already: a file with a line for each cell.

    Parameters
    ----------
    file : Path
        Need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: dict[str, Row] = {}
        if file.exists():
            for line in file.read_text(errors="replace").splitlines():
                try:
                    record = json.loads(line)
                    self._rows[record["key"]] = record["row"]
                except (ValueError, KeyError, TypeError):  # whoever wrote it was interrupted
                    continue

    def get(self, key: str) -> Row | None:
        """Return what is known of a cell."""
        return self._rows.get(key)

    def put(self, key: str, row: Row) -> None:
        """Keep a cell, in the file too. A line break comes first: the last line may have been cut off."""
        self._rows[key] = row
        with self._file.open("a") as file:
            file.write("\n" + json.dumps({"key": key, "row": row}))


class Swept(NamedTuple):
    """What came of a sweep.

    Attributes
    ----------
    rows : list of dict or None
        Of each cell, in their order; None for those that could not be measured.
    failures : list of str
        A line for each source and codec of these, and each thing that went wrong with them.
    known : int
        How many cells were known from before.
    """

    rows: list[Row | None]
    failures: list[str]
    known: int


def cells_of(sources: Iterable[Source], settings: Sequence[Setting], measures: Sequence[str]) -> list[Cell]:
    """Return the cells of all sources, all codecs and all steps of their ladders, source by source."""
    return [
        Cell(source, setting, quality, tuple(measures))
        for source in sources
        for setting in settings
        for quality in setting.codec.ladder
    ]


def sweep(cells: Sequence[Work], crew: Crew, store: Store, *, bar: bool, unit: str) -> Swept:
    """Measure all cells that the store does not know.

    Parameters
    ----------
    cells : sequence of Cell
    crew : Crew
    store : Store
    bar : bool
        Whether to show progress, with the time that is left, if standard error is a terminal.
    unit : str
        What the bar counts.
    """
    keys = [cell.key for cell in cells]
    wanted = dict(zip(keys, cells, strict=True))  # equal ones are measured once
    found = {key: row for key, cell in wanted.items() if (row := store.get(key)) is not None and cell.suffices(row)}
    known = sum(key in found for key in keys)
    missing = [cell for key, cell in wanted.items() if key not in found]
    errors: dict[str, str] = {}
    with tqdm(total=len(wanted), initial=len(found), unit=f" {unit}", disable=None if bar else True) as progress:
        for outcome in work_on(_run, missing, crew):
            key = outcome.item.key
            if outcome.result is None:
                errors[key] = outcome.error
            else:
                found[key] = {**(store.get(key) or {}), **outcome.result}  # with what else was measured before
                store.put(key, found[key])
            progress.update()
    failed = Counter((cell.place, errors[key]) for key, cell in zip(keys, cells, strict=True) if key in errors)
    of_place = Counter(cell.place for cell in cells)
    failures = [f"{place}: {error} ({count} of {of_place[place]})" for (place, error), count in failed.items()]
    return Swept([found.get(key) for key in keys], failures, known)


def _run(cell: Work) -> Row:
    return cell.run()
