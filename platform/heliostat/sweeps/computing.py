"""Bringing cells to their length: workers go from one to the next."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from heliostat import device
from heliostat.drive import Place, Source, chunks, first_line
from heliostat.errors import Busy, StoreError
from heliostat.goal import Goal
from heliostat.grid import Chunk, Job
from heliostat.progress import silent
from heliostat.stored import Run
from heliostat.sweeps.cells import Cell
from heliostat.verbs import bring, steps_of, stored

WAITING = 0.5
"""Seconds between two looks at a cell that somebody else computes."""


class Outcome(NamedTuple):
    """How a cell came out."""

    state: str  # done, pruned, failed or stopped
    computed: bool  # whether anything was computed for it now
    steps: int
    reason: str = ""
    traceback: str = ""
    retries: int = 0


class Asked(NamedTuple):
    """What is asked of every cell."""

    goal: Callable[[Cell], Goal]
    place: Place
    store: str | Path | None
    retries: int  # of a cell whose task raised
    tell: Callable[..., None]  # receives what happens to cells and workers


def compute(cells: Sequence[Cell], asked: Asked) -> Iterator[tuple[Cell, Outcome]]:
    """Every cell with its outcome, as they come; one that raises leaves the others.

    Raises:
        KeyboardInterrupt: when interrupted; the cells under way end as interrupted.
        StoreError: if the store cannot be written.
    """
    missing = []
    for cell in cells:
        goal = asked.goal(cell)
        if run := stored(cell.task, cell.spec, goal, asked.store):
            yield cell, _of(run, False)
        else:
            missing.append(cell)
    if asked.place.on == "here":
        yield from ((cell, _brought(cell, asked, chunks)) for cell in missing)
    elif missing:
        yield from _at_once(missing, asked)


def _at_once(cells: Sequence[Cell], asked: Asked) -> Iterator[tuple[Cell, Outcome]]:
    """As many cells as the fleet takes, each driven by a thread of its own."""
    with (
        _fleet(cells, asked) as fleet,
        ThreadPoolExecutor(fleet.at_once) as threads,
    ):
        source = partial(_from_fleet, fleet)
        under_way: dict[Future[Outcome], Cell] = {
            threads.submit(_brought, cell, asked, source): cell for cell in cells
        }
        try:
            for future in as_completed(under_way):
                yield under_way.pop(future), future.result()
        except BaseException:
            for future in under_way:
                future.cancel()
            fleet.interrupt()
            raise


@contextmanager
def _fleet(cells: Sequence[Cell], asked: Asked) -> Iterator[Any]:
    on, workers, gpus, _ = asked.place
    device.authenticate(on)
    from heliostat import fleet

    task, runs = cells[0].task, len(cells)
    with fleet.shared(on, workers, gpus, task, runs, asked.tell) as found:
        yield found


def _from_fleet(
    fleet: Any,
    job: Job,
    place: Place,
    tell: Callable[..., None],
    goal: Callable[[], int],
) -> Generator[Chunk, None, None]:
    return fleet.unfold(job, place.seconds, tell, goal)


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
            return _of(run, computed)
        except Busy:  # another sweep is at it
            time.sleep(WAITING)
        except StoreError:
            raise
        except Exception as error:
            steps = steps_of(cell.task, cell.spec, asked.store)
            reason = first_line(error)
            return Outcome("failed", True, steps, reason, traceback.format_exc())


def _of(run: Run, computed: bool) -> Outcome:
    status, reason = run.status, run.record.attrs.get("reason") or ""
    if status == "complete" or not computed:
        return Outcome("done", computed, run.steps)
    return Outcome("stopped", computed, run.steps, reason)
