"""Work on independent items in an executor, of whatever kind, so that nothing that happens to one is lost on others.

An executor is any `concurrent.futures.Executor`: a pool of processes here, or a cluster's. A process may die over an
item, when a library that it calls crashes; then nobody knows which of the items on their way it was. They are tried
again one at a time: the one that dies alone is to blame, and all others are done. A cluster does this by itself: it
gives items to other workers, and gives one up when several workers have died that had it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from bitstreams.errors import CodecError
from codec.commands import batch

__all__ = ["Crew", "Outcome", "cluster", "processes", "work_on"]

PATIENCE = 5  # seconds, with a cluster that does not answer

Item = TypeVar("Item")
Result = TypeVar("Result")

_Told = tuple[Result | None, str]  # what a worker says: a result, or what went wrong


class Crew(NamedTuple):
    """Whoever does the work.

    Attributes
    ----------
    start : function of () -> Executor
        Makes an executor, and another one if that breaks.
    ahead : int
        Items that may be on their way at a time: enough to keep all workers busy.
    check : function of ()
        Raises CodecError if nothing more is to be expected; asked now and then while nothing happens.
    """

    start: Callable[[], Executor]
    ahead: int
    check: Callable[[], None] = lambda: None


class Outcome(NamedTuple, Generic[Item, Result]):
    """What came of an item: its result, or else what went wrong."""

    item: Item
    result: Result | None
    error: str = ""


def processes(number: int) -> Crew:
    """Return a crew of so many processes on this machine."""
    return Crew(partial(batch.process_pool, number), number + 1)


@contextmanager
def cluster(address: str) -> Iterator[Crew]:
    """Connect to a cluster of `dask.distributed`.

    Parameters
    ----------
    address : str
        Of its scheduler, such as "tcp://10.0.0.1:8786". The workers need this package, the same files under the same
        paths, and one thread each (`dask worker --nthreads 1`), or timings would be of several cells at a time.

    Raises
    ------
    CodecError
        If there is no such cluster, or the package for it is not installed.
    """
    try:
        from distributed import Client  # noqa: PLC0415  an extra
    except ImportError as error:
        raise CodecError("--cluster needs dask.distributed: pip install tcodec[cluster]") from error
    try:
        client: Any = Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise CodecError(f"no cluster at {address}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise CodecError(f"the cluster at {address} has no workers") from error

        def check() -> None:
            if client.status != "running":
                raise CodecError(f"the cluster at {address} is gone; what was finished is kept: call again to go on")

        threads = sum(client.nthreads().values())
        yield Crew(partial(client.get_executor, pure=False), 4 * max(1, threads), check)


def work_on(work: Callable[[Item], Result], items: Iterable[Item], crew: Crew) -> Iterator[Outcome[Item, Result]]:
    """Work on all items.

    Parameters
    ----------
    work : function of (item) -> result
        A function at the top level of a module, so that other processes find it.
    items : iterable
    crew : Crew

    Yields
    ------
    Outcome
        As they come in, in any order.
    """
    waiting, suspects = deque(items), deque[Item]()
    flying: dict[Future[_Told[Result]], Item] = {}
    alone = False  # whether a suspect is on its way: nobody else then
    executor = crew.start()
    try:
        while waiting or suspects or flying:
            if not flying:
                alone = bool(suspects)
            queue, ahead = (suspects, 1) if alone else (waiting, crew.ahead)
            try:
                while queue and len(flying) < ahead:
                    flying[executor.submit(_guarded, work, queue[0])] = queue[0]
                    queue.popleft()
            except BrokenExecutor:  # it broke since we last looked; what is on its way will tell, if there is anything
                if not flying:
                    executor = crew.start()
                    continue
            outcomes, broken = _collect(flying, crew)
            yield from outcomes
            if broken:
                executor.shutdown(wait=False)
                executor = crew.start()
                if len(broken) == 1:
                    yield Outcome(broken[0], None, "the process that worked on it died")
                else:
                    suspects.extend(broken)
    finally:
        for future in flying:
            future.cancel()
        executor.shutdown(wait=False)


def _collect(flying: dict[Future[_Told[Result]], Item], crew: Crew) -> tuple[list[Outcome[Item, Result]], list[Item]]:
    """Wait for something to happen; take what is done from what is on its way.

    Returns
    -------
    outcomes : list of Outcome
    broken : list of items
        If the executor broke: all that it has lost, which is also all that was on its way.
    """
    outcomes: list[Outcome[Item, Result]] = []
    broken: list[Item] = []
    while not (done := wait(flying, PATIENCE, return_when=FIRST_COMPLETED)[0]):
        crew.check()
    for future in done:
        item = flying.pop(future)
        try:
            outcomes.append(Outcome(item, *future.result()))
        except (BrokenExecutor, CancelledError):
            broken.append(item)
        except Exception as error:  # of the executor, such as a cluster that gives an item up
            outcomes.append(Outcome(item, None, _explain(error)))
    if broken:
        broken += flying.values()
        flying.clear()
    return outcomes, broken


def _guarded(work: Callable[[Item], Result], item: Item) -> _Told[Result]:
    """Work on an item; put what goes wrong into words here, since not every exception comes through to other processes.

    Whatever a library raises concerns this item only.
    """
    try:
        return work(item), ""
    except Exception as error:
        return None, _explain(error)


def _explain(error: Exception) -> str:
    return f"{type(error).__name__}: {batch.explain(error)}"
