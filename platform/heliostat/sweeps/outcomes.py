"""Outcomes of cells: read from the store, or computed by the driver."""

from __future__ import annotations

import time
import traceback
from collections import ChainMap, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from heliostat.answer import Estimate
from heliostat.driver import packs
from heliostat.driver.ensure import ensure, find_stored, view_complete
from heliostat.driver.finish import error_line
from heliostat.driver.placement import ChunkSource, Placement
from heliostat.driver.progress import Progress
from heliostat.errors import Busy, StoreError
from heliostat.results.goal import Goal
from heliostat.results.run import Run
from heliostat.store.index import find_records
from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell

POLL_SECONDS = 0.5
"""Seconds between two looks at a cell that another process computes."""

RETRIED = "retried"
"""The event of a cell that is tried again."""


class CellOutcome(NamedTuple):
    """Outcome of a cell."""

    state: str  # done, pruned, failed or stopped; or waiting, before it has ended
    computed: bool  # by this call, and not found in the store
    steps: int
    run: Run | None  # up to its goal; of a failed cell what is stored
    reason: str = ""
    traceback: str = ""

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The headline of the run at its end, or at the rung where it was pruned.

        A failed cell has none, whatever it stored. Nor has a stopped one: the same
        sweep continues it, and until then its numbers are of fewer steps than those
        that they would be compared with.
        """
        return dict(self._ended.headline) if self._ended else {}

    @property
    def headline_errors(self) -> tuple[str, ...]:
        """Reasons why estimates of the run at its end failed."""
        return self._ended.headline_errors if self._ended else ()

    @property
    def _ended(self) -> Run | None:
        return self.run if self.state in ("done", "pruned") else None

    @property
    def data(self) -> Run | None:
        """The run whose rows belong to the dataset; None of a failed cell."""
        return None if self.state == "failed" else self.run


WAITING = CellOutcome("waiting", False, 0, None)
"""Outcome of a cell that has not ended: its sweep runs, was killed or interrupted."""

Ended = tuple[Cell, CellOutcome]


class RunContext(NamedTuple):
    """Options that all cells of a sweep share."""

    goal: Callable[[Cell], Goal]
    packs: bool  # cells may be packed: all have the same goal
    placement: Placement
    store: Path
    retries: int  # retries of a cell whose task raised
    on_event: Callable[..., None]  # receives events of cells and workers
    on_start: Callable[[Sequence[Cell]], Progress]  # gives the display of a group


def stored_records(cells: Sequence[Cell], store: Path) -> dict[str, Record]:
    """Return the record of each run that is stored, by its id."""
    by_task: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        by_task[cell.spec.identity["task"]].add(cell.id)
    return dict(ChainMap(*(find_records(store / t, ids) for t, ids in by_task.items())))


def stored_outcome(
    cell: Cell, context: RunContext, record: Record | None
) -> CellOutcome | None:
    """Return the outcome of a cell that is stored up to its goal, else None.

    Args:
        record: record of its run; None if there is none.
    """
    goal = context.goal(cell)
    run = view_complete(record, cell.task, goal)
    state = "pruned" if _pruned(goal) else "done"
    return CellOutcome(state, False, goal.mark, run) if run else None


def run_group(
    cells: list[Cell], context: RunContext, source: ChunkSource, workers: int = 1
) -> list[Ended]:
    """Bring cells to their goals as a pack; alone, if the pack fails or there is one.

    Raises:
        StoreError: if the store cannot be written.
    """
    if len(cells) > 1:
        try:
            return _run_pack(cells, context, source, workers)
        except (StoreError, KeyboardInterrupt):
            raise
        except Exception as error:
            context.on_event("unpacked", runs=len(cells), reason=error_line(error))
    return [(cell, _run_with_retries(cell, context, source)) for cell in cells]


def _run_pack(
    cells: list[Cell], context: RunContext, source: ChunkSource, workers: int
) -> list[Ended]:
    members = [packs.CellSpec(cell.task, cell.spec) for cell in cells]
    goal, progress = context.goal(cells[0]), context.on_start(cells)
    options = context.placement, context.store, progress, source, workers
    while True:
        try:
            runs = packs.ensure_pack(members, goal.length, *options)
            break
        except Busy:  # another sweep computes it
            time.sleep(POLL_SECONDS)
    return [
        (cell, _outcome_of(run, True, run.steps >= goal.length))
        for cell, run in zip(cells, runs, strict=True)
    ]


def _run_with_retries(
    cell: Cell, context: RunContext, source: ChunkSource
) -> CellOutcome:
    outcome = _run_once(cell, context, source)
    for _ in range(context.retries):
        if outcome.state != "failed":
            break
        context.on_event(RETRIED, run=cell.id, reason=outcome.reason)
        outcome = _run_once(cell, context, source)
    return outcome


def _run_once(cell: Cell, context: RunContext, source: ChunkSource) -> CellOutcome:
    progress = context.on_start([cell])
    options = context.placement, context.store, progress, source, cell.parent
    while True:
        goal = context.goal(cell)
        try:
            run, computed = ensure(cell.task, cell.spec, goal, *options)
            return _outcome_of(run, computed, goal.decided, _pruned(goal))
        except Busy:  # another sweep computes it
            time.sleep(POLL_SECONDS)
        except StoreError:
            raise
        except Exception as error:
            return _failure(cell, context, error)


def _failure(cell: Cell, context: RunContext, error: Exception) -> CellOutcome:
    run = find_stored(cell.task, cell.spec, context.store)
    steps = run.steps if run else 0
    lines = "".join(traceback.format_exception(error))
    stored = run if steps else None
    return CellOutcome("failed", True, steps, stored, error_line(error), lines)


def _pruned(goal: Goal) -> bool:
    """Return True if a scheduler ended the run, and no condition of the user."""
    return goal.condition is None and bool(goal.met)


def _outcome_of(
    run: Run, computed: bool, ended: bool, pruned: bool = False
) -> CellOutcome:
    """Return the outcome of a run at its goal, or stopped before."""
    if ended:
        return CellOutcome("pruned" if pruned else "done", computed, run.steps, run)
    reason = run.record.attrs.get("reason") or ""
    return CellOutcome("stopped", computed, run.steps, run, reason)
