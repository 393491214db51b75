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

from heliostat import device
from heliostat.drive import Place, Source, chunks, first_line
from heliostat.errors import Busy, StoreError
from heliostat.goal import Goal
from heliostat.grid import Chunk, Job
from heliostat.progress import silent
from heliostat.stored import Run
from heliostat.sweeps.cells import Cell
from heliostat.verbs import at_path, bring, stored

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
    place: Place
    store: str | Path | None
    retries: int  # of a cell whose task raised
    tell: Callable[..., None]  # receives what happens to cells and workers


def compute(cells: Cells, asked: Asked) -> Iterator[tuple[Cell, Outcome]]:
    """Every cell with its outcome, as they come; one that raises leaves the others.

    Raises:
        KeyboardInterrupt: when interrupted; the cells under way end as interrupted.
        StoreError: if the store cannot be written.
    """
    seats = Here(asked) if asked.place.on == "here" else There(asked, cells.runs)
    with seats.taken():
        while True:
            while seats.free and (more := cells.next()):
                seats.put(more)
            ended = list(seats.ended())
            if not ended:
                return
            for cell, outcome in ended:
                cells.ended(cell, outcome)
                yield cell, outcome


class Here:
    """Cells one after another, in this process."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self._waiting = asked, list[Cell]()

    @contextmanager
    def taken(self) -> Iterator[None]:
        yield

    @property
    def free(self) -> bool:
        return not self._waiting

    def put(self, cells: Sequence[Cell]) -> None:
        self._waiting += cells

    def ended(self) -> Iterator[tuple[Cell, Outcome]]:
        if self._waiting:
            cell = self._waiting.pop(0)
            yield cell, _found(cell, self.asked) or _brought(cell, self.asked, chunks)


class There:
    """As many cells at once as there are workers, each driven by a thread.

    Workers are started for the first cell that is not stored.
    """

    def __init__(self, asked: Asked, runs: int) -> None:
        self.asked, self.runs = asked, runs
        self._found: list[tuple[Cell, Outcome]] = []
        self._flying: dict[Future[Outcome], Cell] = {}
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
        at_once = self._fleet.at_once if self._fleet else 1
        return len(self._flying) < at_once and len(self._found) < at_once

    def put(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            if outcome := _found(cell, self.asked):
                self._found.append((cell, outcome))
                continue
            if self._fleet is None:
                self._start(cell)
            source = partial(_from_fleet, self._fleet)
            future = self._threads.submit(_brought, cell, self.asked, source)
            self._flying[future] = cell

    def ended(self) -> Iterator[tuple[Cell, Outcome]]:
        if self._found:
            found, self._found = self._found, []
            yield from found
            return
        done, _ = wait(self._flying, return_when=FIRST_COMPLETED)
        for future in done:
            yield self._flying.pop(future), future.result()

    def _start(self, cell: Cell) -> None:
        on, workers, gpus, _ = self.asked.place
        device.authenticate(on)
        from heliostat import fleet

        found = fleet.shared(on, workers, gpus, cell.task, self.runs, self.asked.tell)
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


def _found(cell: Cell, asked: Asked) -> Outcome | None:
    """A cell that is stored as far as it is asked for."""
    goal = asked.goal(cell)
    run = stored(cell.task, cell.spec, goal, asked.store)
    return _of(run, False, goal) if run else None


def _brought(cell: Cell, asked: Asked, source: Source) -> Outcome:
    """One cell at its goal; tried again as often as that is asked."""
    outcome = _tried(cell, asked, source)
    while outcome.state == "failed" and outcome.retries < asked.retries:
        retries = outcome.retries + 1
        asked.tell("retried", run=cell.spec.id, reason=outcome.reason)
        outcome = _tried(cell, asked, source)._replace(retries=retries)
    return outcome


def _tried(cell: Cell, asked: Asked, source: Source) -> Outcome:
    while True:
        goal = asked.goal(cell)
        try:
            run, computed = bring(
                cell.task, cell.spec, goal, asked.place, asked.store, silent, source
            )
            return _of(run, computed, goal)
        except Busy:  # another sweep is at it
            time.sleep(WAITING)
        except StoreError:
            raise
        except Exception as error:
            run = at_path(cell.task, cell.spec, asked.store)
            steps = run.steps if run else 0
            told = first_line(error), traceback.format_exc()
            return Outcome("failed", True, steps, run if steps else None, *told)


def _of(run: Run, computed: bool, goal: Goal) -> Outcome:
    """A cell that was driven: to its goal, or to where it was stopped."""
    if goal.ended:
        early = goal.condition is None and goal.met
        return Outcome("pruned" if early else "done", computed, run.steps, run)
    reason = run.record.attrs.get("reason") or ""
    return Outcome("stopped", computed, run.steps, run, reason)
