"""Bringing cells to their goals: workers go from one to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from heliostat.driver import packs
from heliostat.driver.ensure import find_stored
from heliostat.driver.placement import Placement, chunks
from heliostat.loop.work import Chunk, Job
from heliostat.store.index import cell_ids
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.outcomes import (
    CellOutcome,
    Ended,
    RunContext,
    run_group,
    stored_outcome,
)
from heliostat.system import device


class CellStream(Protocol):
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

    def ended(self, cell: Cell, outcome: CellOutcome) -> None:
        """How one of them came out."""


def run_cells(cells: CellStream, asked: RunContext) -> Iterator[Ended]:
    """Every cell with its outcome, as they come; one that raises leaves the others.

    Raises:
        KeyboardInterrupt: when interrupted; the cells under way end as interrupted.
        StoreError: if the store cannot be written.
    """
    seats = (
        SerialExecutor(asked)
        if asked.place.on == "here"
        else FleetExecutor(asked, cells.runs)
    )
    with seats.started():
        while True:
            while seats.free and (more := cells.next()):
                yield from _put(more, asked, seats, cells)
            ended = list(seats.results())
            if not ended:
                return
            for cell, outcome in ended:
                cells.ended(cell, outcome)
                yield cell, outcome


def _put(
    cells: Sequence[Cell],
    asked: RunContext,
    seats: SerialExecutor | FleetExecutor,
    all_: CellStream,
) -> Iterator[Ended]:
    """Cells that are stored end at once, before workers are there for the others."""
    missing = []
    for cell in cells:
        if outcome := stored_outcome(cell, asked):
            all_.ended(cell, outcome)
            yield cell, outcome
        else:
            missing.append(cell)
    seats.submit(grouped_cells(cells, missing, asked))


def grouped_cells(
    cells: Sequence[Cell], missing: Sequence[Cell], asked: RunContext
) -> list[list[Cell]]:
    """The missing ones of all cells, those together that are computed together."""
    if asked.packs:
        return pack_groups(cells, missing, asked.store)
    return [[cell] for cell in missing]


class SerialExecutor:
    """Cells one after another, in this process."""

    def __init__(self, asked: RunContext) -> None:
        self.asked, self._waiting = asked, list[list[Cell]]()

    @contextmanager
    def started(self) -> Iterator[None]:
        yield

    @property
    def free(self) -> bool:
        return not self._waiting

    def submit(self, groups: Sequence[list[Cell]]) -> None:
        self._waiting += groups

    def results(self) -> Iterator[Ended]:
        if self._waiting:
            yield from run_group(self._waiting.pop(0), self.asked, chunks)


class FleetExecutor:
    """As many cells or packs at once as there are workers, each driven by a thread.

    Workers are started for the first cell that is not stored.
    """

    def __init__(self, asked: RunContext, runs: int) -> None:
        self.asked, self.runs = asked, runs
        self._flying: set[Future[list[Ended]]] = set()
        self._stack = ExitStack()
        self._fleet: Any = None

    @contextmanager
    def started(self) -> Iterator[None]:
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
        return len(self._flying) < (self._fleet.max_concurrent if self._fleet else 1)

    def submit(self, groups: Sequence[list[Cell]]) -> None:
        if not groups:
            return
        if self._fleet is None:
            more = self.runs - sum(map(len, groups))
            self._start(groups[0][0], len(groups) + more)
        for group in groups:
            self._flying.add(self._submit(group))

    def results(self) -> Iterator[Ended]:
        done, self._flying = wait(self._flying, return_when=FIRST_COMPLETED)
        for future in done:
            yield from future.result()

    def _submit(self, group: list[Cell]) -> Future[list[Ended]]:
        fleet: Any = self._fleet
        how = self.asked, partial(_from_fleet, fleet), fleet.workers_per_run
        return self._threads.submit(run_group, group, *how)

    def _start(self, cell: Cell, drives: int) -> None:
        on, workers, gpus, _ = self.asked.place
        device.authenticate(on)
        from heliostat.fleet.run import open_fleet

        found = open_fleet(on, workers, gpus, cell.task, drives, self.asked.on_event)
        self._fleet = self._stack.enter_context(found)
        threads = ThreadPoolExecutor(self._fleet.max_concurrent)
        self._threads = self._stack.enter_context(threads)


def _from_fleet(
    fleet: Any,
    job: Job,
    place: Placement,
    tell: Callable[..., None],
    goal: Callable[[], int],
) -> Generator[Chunk, None, None]:
    return fleet.run(job, place.seconds, tell, goal)


def pack_groups(
    cells: Sequence[Cell], missing: Sequence[Cell], store: str | Path | None
) -> list[list[Cell]]:
    """The missing cells, those together that make a pack; others are alone.

    A pack that was begun goes on as it is, if all of its cells are wanted; if only some
    are, these go on alone.

    Args:
        cells: all that are wanted, also those that are stored.
    """
    wanted, fresh, alone = {cell.spec.id: cell for cell in cells}, [], []
    begun: dict[Path, None] = {}
    for cell in missing:
        run = find_stored(cell.task, cell.spec, store) if cell.task.packable else None
        if not cell.task.packable or (run and run.record.folder == run.path):
            alone.append([cell])
        elif run is None:
            fresh.append(cell)
        elif set(cell_ids(run.record.folder)) <= set(wanted):
            begun[run.record.folder] = None
        else:
            alone.append([cell])
    whole = [[wanted[id_] for id_ in cell_ids(home)] for home in begun]
    return [*whole, *_alike(fresh), *alone]


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells by the program that they want."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[packs.pack_key(cell.task, cell.spec)].append(cell)
    return list(found.values())
