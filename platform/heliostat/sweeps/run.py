"""Run a sweep: its cells are brought to their goals, and the journal keeps how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heliostat.driver.placement import Placement
from heliostat.driver.progress import Progress
from heliostat.errors import RequestError
from heliostat.results.goal import Goal
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.executor import run_cells
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import WAITING, CellOutcome, RunContext
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.progress import SweepProgress
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.search import CellStream, search_of
from heliostat.sweeps.validate import check_metrics_of, listed_tasks
from heliostat.system.signals import sigterm_interrupts


class SweepRequest(NamedTuple):
    """A plan with the options that are not part of its identity."""

    plan: Plan
    until: str | None  # the end of each run
    retries: int  # retries of a cell whose task raised
    placement: Placement
    store: Path

    @property
    def journal(self) -> Journal:
        return Journal(self.store, self.plan)

    def checked(self) -> SweepRequest:
        """Return the request, if it makes sense.

        Raises:
            RequestError: if it makes none.
        """
        plan, until, search = self.plan, self.until, search_of(self.plan)
        if self.retries < 0:
            raise RequestError(f"retries {self.retries}: expected 0 or more")
        if until and search.no_until:
            raise RequestError(search.no_until)
        for task in listed_tasks(plan) if until else ():
            Goal(task, plan.length, until)  # refuses a condition that is none
        self.placement.validate()
        return self


def run_sweep(request: SweepRequest, progress: SweepProgress) -> Sweep:
    """Compute the cells that are not stored.

    Raises:
        RequestError: if the values of a cell do not go together.
        Busy: if another driver runs this sweep.
        StoreError: if the store cannot be written or is damaged.
    """
    plan, journal = request.plan, request.journal
    with sigterm_interrupts(), journal.locked():
        cells = search_of(plan).cells(plan, journal, request.placement)
        context = run_context(request, journal, progress)
        outcomes = _run_cells(plan, cells, context, journal, progress)
    waiting = {cell.id: WAITING for cell in cells.all}
    return Sweep(plan, cells.all, waiting | outcomes, request.store)


def run_context(
    request: SweepRequest, journal: Journal, progress: SweepProgress
) -> RunContext:
    """Collect the options that all cells share."""

    def on_event(event: str, **details: Any) -> None:
        journal.append(event, **details)
        progress.on_event(event, details)

    def on_start(cells: Sequence[Cell]) -> Progress:
        for cell in cells:  # so that the sweep owns also the runs that never end
            journal.append("started", run=cell.id)
        return progress.on_start(cells)

    plan, until, retries, placement, store = request
    search = search_of(plan)
    goals = search.goals(plan, journal, until)
    packs = search.packs and not until
    return RunContext(goals, packs, placement, store, retries, on_event, on_start)


def _run_cells(
    plan: Plan,
    cells: CellStream,
    context: RunContext,
    journal: Journal,
    progress: SweepProgress,
) -> dict[str, CellOutcome]:
    """Return the outcome of every run; a run may be several cells."""
    outcomes: dict[str, CellOutcome] = {}
    checked = not plan.metrics
    with progress.follow(journal, cells.runs):
        for cell, outcome in run_cells(cells, context):
            before = outcomes.get(cell.id)  # searchers propose a cell twice
            computed = outcome.computed or (before is not None and before.computed)
            outcomes[cell.id] = outcome._replace(computed=computed)
            journal.append_outcome(cell, outcome)
            progress.on_end(cell, outcome)
            checked = checked or check_metrics_of(plan, cell, outcome)
    ending = {"ending": cells.ending} if cells.ending else {}
    computed = sum(o.computed for o in outcomes.values())
    journal.append("complete", computed=computed, **ending)
    if ending:
        progress.on_event("ended early", {"reason": cells.ending})
    return outcomes
