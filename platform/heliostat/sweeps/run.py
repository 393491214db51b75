"""Driving a sweep: its cells are listed or proposed, brought to their goals, and what
becomes of them is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heliostat.driver.placement import Placement
from heliostat.driver.progress import Progress
from heliostat.errors import RequestError
from heliostat.results.goal import Goal
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.executor import CellStream, run_cells
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome, RunContext
from heliostat.sweeps.plan import HYPERGRADIENT, Plan
from heliostat.sweeps.progress import SweepProgress
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.search.asha import RungGoal, halving
from heliostat.sweeps.search.ask_tell import Searched
from heliostat.sweeps.search.hypergradient import Descending
from heliostat.sweeps.search.pbt import Population


class SweepRequest(NamedTuple):
    """A sweep with all that is asked of it, also what is not its identity."""

    plan: Plan
    until: str | None  # where each run ends
    retries: int  # of a cell whose task raised
    place: Placement
    store: Path

    @property
    def journal(self) -> Journal:
        return Journal(self.store, self.plan)

    def checked(self) -> SweepRequest:
        """The same, if it makes sense.

        Raises:
            RequestError: if it makes none.
        """
        plan, until = self.plan, self.until
        if self.retries < 0:
            raise RequestError(f"retries {self.retries}: expected 0 or more")
        if until and plan.search == HYPERGRADIENT:
            told = f"search {HYPERGRADIENT}: runs have one length"
            raise RequestError(f"{told}, leave until out")
        if until and plan.schedule:
            told = "until: a scheduler ends runs already"
            raise RequestError(f"{told}, give one of the two")
        Goal(plan.task, plan.length, until)  # refuses a condition that is none
        self.place.validate()
        return self


def run_sweep(request: SweepRequest, progress: SweepProgress) -> Sweep:
    """Compute what is missing.

    Raises:
        RequestError: if the values of a cell do not go together.
        Busy: if another driver is at this sweep.
        StoreError: if the store cannot be written or is damaged.
    """
    plan, journal = request.plan, request.journal
    listed = None if plan.learns or plan.bred else Listed(plan.cells())
    with journal.locked():  # who learns from what was found, learns alone
        cells = listed or proposed(request, journal)
        outcomes = _run_cells(
            cells, run_context(request, journal, progress), journal, progress
        )
    return Sweep(plan, cells.all, outcomes, request.store)


def proposed(request: SweepRequest, ledger: Journal) -> CellStream:
    """The cells that follow from what others find."""
    if request.plan.bred:
        return Population(request.plan, ledger)
    if request.plan.search == HYPERGRADIENT:
        return Descending(request.plan, ledger, request.place)
    return Searched(request.plan, ledger)


def run_context(
    request: SweepRequest, journal: Journal, progress: SweepProgress
) -> RunContext:
    """What is asked of every cell, as far as it follows from what is written down."""

    def tell(event: str, **details: Any) -> None:
        journal.append(event, **details)
        progress.on_event(event, details)

    def beside(cells: Sequence[Cell]) -> Progress:
        for cell in cells:  # also of those that never end it is known whose they are
            journal.append("started", run=cell.spec.id)
        return progress.on_start(cells)

    together = not (request.until or request.plan.schedule)
    *_, retries, place, store = request
    goals = _goals(request, journal)
    return RunContext(goals, together, place, store, retries, tell, beside)


def _goals(request: SweepRequest, ledger: Journal) -> Callable[[Cell], Goal]:
    """How far each cell shall come."""
    plan, scheduled = request.plan, request.plan.schedule
    if scheduled is None:
        until = request.until
        return lambda cell: Goal(cell.task, plan.steps or cell.task.steps, until)
    if plan.bred:
        return lambda cell: Goal(cell.task, scheduled.grace)
    judge = halving(plan.metrics[0], scheduled, plan.length, ledger)
    return lambda cell: RungGoal(cell, plan.length, scheduled, judge, ledger.append)


def _run_cells(
    cells: CellStream, context: RunContext, journal: Journal, progress: SweepProgress
) -> dict[str, CellOutcome]:
    """Every run once, however many cells it is; what happens is told and kept."""
    outcomes: dict[str, CellOutcome] = {}
    with progress.following(journal, cells.runs):
        for cell, outcome in run_cells(cells, context):
            known = outcomes.get(cell.spec.id)  # searchers propose a cell twice
            once = outcome.computed or (known is not None and known.computed)
            outcomes[cell.spec.id] = outcome._replace(computed=once)
            journal.append_outcome(cell, outcome)
            progress.on_end(cell, outcome)
    journal.append("complete", computed=sum(o.computed for o in outcomes.values()))
    return outcomes
