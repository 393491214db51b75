"""How cells come out: they are found in the store, or brought to their goals."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from heliostat.driver import packs
from heliostat.driver.ensure import ensure, find_stored, stored_run
from heliostat.driver.finish import first_line
from heliostat.driver.placement import ChunkSource, Placement
from heliostat.driver.progress import Progress
from heliostat.errors import Busy, StoreError
from heliostat.results.goal import Goal
from heliostat.results.run import Run
from heliostat.sweeps.cells import Cell
from heliostat.task import Estimate

POLL_SECONDS = 0.5
"""Seconds between two looks at a cell that somebody else computes."""

RETRIED = "retried"
"""The event of a cell that is tried again."""


class CellOutcome(NamedTuple):
    """How a cell came out."""

    state: str  # done, pruned, failed or stopped; or waiting, before it has ended
    computed: bool  # whether anything was computed for it now
    steps: int
    run: Run | None  # as far as it was asked for; of one that failed what it left
    reason: str = ""
    traceback: str = ""

    @property
    def estimates(self) -> dict[str, Estimate]:
        """What it says: its headline at its end, or where it was pruned.

        A cell that failed says nothing, whatever it left.  Nor does one that was
        stopped: the same sweep goes on with it, and until then its numbers are of fewer
        steps than those that they would be compared with.
        """
        ended = self.run if self.state in ("done", "pruned") else None
        return dict(ended.headline) if ended else {}

    @property
    def data(self) -> Run | None:
        """The run whose rows are data, as far as it came; none, if it failed."""
        return None if self.state == "failed" else self.run


WAITING = CellOutcome("waiting", False, 0, None)
"""Of a cell that has not ended: its sweep goes on, was killed, or was interrupted."""

Ended = tuple[Cell, CellOutcome]


class RunContext(NamedTuple):
    """What is asked of every cell."""

    goal: Callable[[Cell], Goal]
    packs: bool  # whether cells may be packed: all have the same goal
    place: Placement
    store: Path
    retries: int  # of a cell whose task raised
    on_event: Callable[..., None]  # receives what happens to cells and workers
    on_start: Callable[[Sequence[Cell]], Progress]  # who follows those under way


def stored_outcome(cell: Cell, asked: RunContext) -> CellOutcome | None:
    """A cell that is stored as far as it is asked for."""
    goal = asked.goal(cell)
    run = stored_run(cell.task, cell.spec, goal, asked.store)
    return _outcome_of(run, False, goal.decided, _pruned(goal)) if run else None


def run_group(
    cells: list[Cell], asked: RunContext, source: ChunkSource, workers: int = 1
) -> list[Ended]:
    """Cells at their goal: as a pack; alone, if there is one, or if a pack failed."""
    if len(cells) > 1:
        try:
            return _run_pack(cells, asked, source, workers)
        except (StoreError, KeyboardInterrupt):
            raise
        except Exception as error:
            asked.on_event("unpacked", runs=len(cells), reason=first_line(error))
    return [(cell, _run_with_retries(cell, asked, source)) for cell in cells]


def _run_pack(
    cells: list[Cell], asked: RunContext, source: ChunkSource, workers: int
) -> list[Ended]:
    """Cells side by side, by one program and in one record."""
    given = [packs.CellSpec(cell.task, cell.spec) for cell in cells]
    goal, progress = asked.goal(cells[0]), asked.on_start(cells)
    where = asked.place, asked.store, progress, source, workers
    while True:
        try:
            runs = packs.ensure_pack(given, goal.length, *where)
            break
        except Busy:  # another sweep is at it
            time.sleep(POLL_SECONDS)
    return [
        (cell, _outcome_of(run, True, run.steps >= goal.length))
        for cell, run in zip(cells, runs, strict=True)
    ]


def _run_with_retries(
    cell: Cell, asked: RunContext, source: ChunkSource
) -> CellOutcome:
    """One cell at its goal; tried again as often as that is asked."""
    outcome = _run_once(cell, asked, source)
    for _ in range(asked.retries):
        if outcome.state != "failed":
            break
        asked.on_event(RETRIED, run=cell.spec.id, reason=outcome.reason)
        outcome = _run_once(cell, asked, source)
    return outcome


def _run_once(cell: Cell, asked: RunContext, source: ChunkSource) -> CellOutcome:
    where = asked.place, asked.store, asked.on_start([cell]), source, cell.parent
    while True:
        goal = asked.goal(cell)
        try:
            run, computed = ensure(cell.task, cell.spec, goal, *where)
            return _outcome_of(run, computed, goal.decided, _pruned(goal))
        except Busy:  # another sweep is at it
            time.sleep(POLL_SECONDS)
        except StoreError:
            raise
        except Exception as error:
            run = find_stored(cell.task, cell.spec, asked.store)
            steps = run.steps if run else 0
            told = first_line(error), traceback.format_exc()
            return CellOutcome("failed", True, steps, run if steps else None, *told)


def _pruned(goal: Goal) -> bool:
    """Whether a scheduler ended it, and no condition of its user's."""
    return goal.condition is None and bool(goal.met)


def _outcome_of(
    run: Run, computed: bool, ended: bool, pruned: bool = False
) -> CellOutcome:
    """A cell that was driven: to its goal, or to where it was stopped."""
    if ended:
        return CellOutcome("pruned" if pruned else "done", computed, run.steps, run)
    reason = run.record.attrs.get("reason") or ""
    return CellOutcome("stopped", computed, run.steps, run, reason)
