"""Bringing cells to their length: workers go from one to the next."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from heliostat import device, packs
from heliostat.bringing import at_path, bring, stored
from heliostat.ending import first_line
from heliostat.errors import Busy, StoreError
from heliostat.goal import Goal
from heliostat.grid import Chunk, Job
from heliostat.place import Place, Source, chunks
from heliostat.progress import Progress
from heliostat.stored import Run
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.packing import groups

WAITING = 0.5
"""Seconds between two looks at a cell that somebody else computes."""


class Outcome(NamedTuple):
    """How a cell came out."""

    state: str  # done, pruned, failed or stopped
    computed: bool  # whether anything was computed for it now
    steps: int
    run: Run | None  # as far as it was asked for
    reason: str = ""
    traceback: str = ""
    retries: int = 0


class Cells(Protocol):
    """Where the cells come from: they are listed, or proposed one after another."""

    @property
    def runs(self) -> int:
        """How many there will be at most."""
        ...

    def next(self) -> Sequence[Cell]:
        """More of them; none, if those under way must end first, or if it was all."""
        ...

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """How one of them came out."""


class Asked(NamedTuple):
    """What is asked of every cell."""

    goal: Callable[[Cell], Goal]
    together: bool  # whether cells may be packed: all have the same goal
    place: Place
    store: str | Path | None
    retries: int  # of a cell whose task raised
    tell: Callable[..., None]  # receives what happens to cells and workers
    beside: Callable[[Sequence[Cell]], Progress]  # who follows those under way


Ended = tuple[Cell, Outcome]


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
    """Cells that are stored end at once; the others are given seats."""
    stored_ = {cell.spec.id: found(cell, asked) for cell in cells}
    missing = [cell for cell in cells if not stored_[cell.spec.id]]
    seats.put(grouped(cells, missing, asked))
    for cell in cells:
        if outcome := stored_[cell.spec.id]:
            all_.ended(cell, outcome)
            yield cell, outcome


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
            yield from _brought(self._waiting.pop(0), self.asked, chunks)


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
        return self._threads.submit(_brought, group, *how)

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


def found(cell: Cell, asked: Asked) -> Outcome | None:
    """A cell that is stored as far as it is asked for."""
    goal = asked.goal(cell)
    run = stored(cell.task, cell.spec, goal, asked.store)
    return _of(run, False, goal.ended, _pruned(goal)) if run else None


def _brought(
    cells: list[Cell], asked: Asked, source: Source, workers: int = 1
) -> list[Ended]:
    """Cells at their goal: as a pack; alone, if there is one, or if a pack failed."""
    if len(cells) > 1:
        try:
            return _packed(cells, asked, source, workers)
        except (StoreError, KeyboardInterrupt):
            raise
        except Exception as error:
            asked.tell("unpacked", runs=len(cells), reason=first_line(error))
    return [(cell, _alone(cell, asked, source)) for cell in cells]


def _packed(
    cells: list[Cell], asked: Asked, source: Source, workers: int
) -> list[Ended]:
    """Cells side by side, by one program and in one record."""
    given = [packs.Packed(cell.task, cell.spec) for cell in cells]
    goal, progress = asked.goal(cells[0]), asked.beside(cells)
    where = asked.place, asked.store, progress, source, workers
    while True:
        try:
            runs = packs.bring(given, goal.length, *where)
            break
        except Busy:  # another sweep is at it
            time.sleep(WAITING)
    return [
        (cell, _of(run, True, run.steps >= goal.length))
        for cell, run in zip(cells, runs, strict=True)
    ]


def _alone(cell: Cell, asked: Asked, source: Source) -> Outcome:
    """One cell at its goal; tried again as often as that is asked."""
    outcome = _tried(cell, asked, source)
    while outcome.state == "failed" and outcome.retries < asked.retries:
        retries = outcome.retries + 1
        asked.tell("retried", run=cell.spec.id, reason=outcome.reason)
        outcome = _tried(cell, asked, source)._replace(retries=retries)
    return outcome


def _tried(cell: Cell, asked: Asked, source: Source) -> Outcome:
    where = asked.place, asked.store, asked.beside([cell]), source, cell.parent
    while True:
        goal = asked.goal(cell)
        try:
            run, computed = bring(cell.task, cell.spec, goal, *where)
            return _of(run, computed, goal.ended, _pruned(goal))
        except Busy:  # another sweep is at it
            time.sleep(WAITING)
        except StoreError:
            raise
        except Exception as error:
            run = at_path(cell.task, cell.spec, asked.store)
            steps = run.steps if run else 0
            told = first_line(error), traceback.format_exc()
            return Outcome("failed", True, steps, run if steps else None, *told)


def _pruned(goal: Goal) -> bool:
    """Whether a scheduler ended it, and no condition of its user's."""
    return goal.condition is None and bool(goal.met)


def _of(run: Run, computed: bool, ended: bool, pruned: bool = False) -> Outcome:
    """A cell that was driven: to its goal, or to where it was stopped."""
    if ended:
        return Outcome("pruned" if pruned else "done", computed, run.steps, run)
    reason = run.record.attrs.get("reason") or ""
    return Outcome("stopped", computed, run.steps, run, reason)
