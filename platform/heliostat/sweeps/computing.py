"""Bringing cells to their goals: workers go from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

from heliostat.driver.placement import Place, chunks
from heliostat.loop.work import Chunk, Job
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.outcomes import Asked, Ended, Outcome, brought, found
from heliostat.sweeps.packing import groups
from heliostat.system import device


class Cells(Protocol):
    """Where the cells come from: they are listed, or proposed one after another."""

    @property
    def all(self) -> list[Cell]:
        """Those that have come."""
        ...

    @property
    def runs(self) -> int:
        """How many there will be at most."""
        ...

    def next(self) -> Sequence[Cell]:
        """More of them; none, if those under way must end first, or if it was all."""
        ...

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """How one of them came out."""


def compute(cells: Cells, asked: Asked) -> Iterator[Ended]:
    """Every cell with its outcome, as they come; one that raises leaves the others.

    Raises:
        KeyboardInterrupt: when interrupted; the cells under way end as interrupted.
        StoreError: if the store cannot be written.
    """
    seats = Here(asked) if asked.place.on == "here" else There(asked, cells.runs)
    with seats.taken():
        while True:
            while seats.free and (more := cells.next()):
                yield from _put(more, asked, seats, cells)
            ended = list(seats.ended())
            if not ended:
                return
            for cell, outcome in ended:
                cells.ended(cell, outcome)
                yield cell, outcome


def _put(
    cells: Sequence[Cell], asked: Asked, seats: Here | There, all_: Cells
) -> Iterator[Ended]:
    """Cells that are stored end at once, before workers are there for the others."""
    missing = []
    for cell in cells:
        if outcome := found(cell, asked):
            all_.ended(cell, outcome)
            yield cell, outcome
        else:
            missing.append(cell)
    seats.put(grouped(cells, missing, asked))


def grouped(
    cells: Sequence[Cell], missing: Sequence[Cell], asked: Asked
) -> list[list[Cell]]:
    """The missing ones of all cells, those together that are computed together."""
    if asked.together:
        return groups(cells, missing, asked.store)
    return [[cell] for cell in missing]


class Here:
    """Cells one after another, in this process."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self._waiting = asked, list[list[Cell]]()

    @contextmanager
    def taken(self) -> Iterator[None]:
        yield

    @property
    def free(self) -> bool:
        return not self._waiting

    def put(self, groups: Sequence[list[Cell]]) -> None:
        self._waiting += groups

    def ended(self) -> Iterator[Ended]:
        if self._waiting:
            yield from brought(self._waiting.pop(0), self.asked, chunks)


class There:
    """As many cells or packs at once as there are workers, each driven by a thread.

    Workers are started for the first cell that is not stored.
    """

    def __init__(self, asked: Asked, runs: int) -> None:
        self.asked, self.runs = asked, runs
        self._flying: set[Future[list[Ended]]] = set()
        self._stack = ExitStack()
        self._fleet: Any = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        with self._stack:
            try:
                yield
            except BaseException:
                for future in self._flying:
                    future.cancel()
                if self._fleet:
                    self._fleet.interrupt()
                raise

    @property
    def free(self) -> bool:
        return len(self._flying) < (self._fleet.at_once if self._fleet else 1)

    def put(self, groups: Sequence[list[Cell]]) -> None:
        if not groups:
            return
        if self._fleet is None:
            more = self.runs - sum(map(len, groups))
            self._start(groups[0][0], len(groups) + more)
        for group in groups:
            self._flying.add(self._submit(group))

    def ended(self) -> Iterator[Ended]:
        done, self._flying = wait(self._flying, return_when=FIRST_COMPLETED)
        for future in done:
            yield from future.result()

    def _submit(self, group: list[Cell]) -> Future[list[Ended]]:
        fleet: Any = self._fleet
        how = self.asked, partial(_from_fleet, fleet), fleet.workers_each
        return self._threads.submit(brought, group, *how)

    def _start(self, cell: Cell, drives: int) -> None:
        on, workers, gpus, _ = self.asked.place
        device.authenticate(on)
        from heliostat import fleet

        found = fleet.shared(on, workers, gpus, cell.task, drives, self.asked.tell)
        self._fleet = self._stack.enter_context(found)
        threads = ThreadPoolExecutor(self._fleet.at_once)
        self._threads = self._stack.enter_context(threads)


def _from_fleet(
    fleet: Any,
    job: Job,
    place: Place,
    tell: Callable[..., None],
    goal: Callable[[], int],
) -> Generator[Chunk, None, None]:
    return fleet.unfold(job, place.seconds, tell, goal)
