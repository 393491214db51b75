"""Driving a sweep: its cells are listed or proposed, brought to their goals, and what
becomes of them is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heliostat.driver.placement import Place
from heliostat.driver.progress import Progress
from heliostat.errors import RequestError
from heliostat.results.goal import Goal
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.computing import Cells, compute
from heliostat.sweeps.display import Watching
from heliostat.sweeps.hypergradients import Descending
from heliostat.sweeps.ledger import Ledger
from heliostat.sweeps.outcomes import Asked, Outcome
from heliostat.sweeps.plan import HYPERGRADIENT, Plan
from heliostat.sweeps.population import Population
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.rungs import Rungs, halving
from heliostat.sweeps.searching import Searched


class Request(NamedTuple):
    """A sweep with all that is asked of it, also what is not its identity."""

    plan: Plan
    until: str | None  # where each run ends
    retries: int  # of a cell whose task raised
    place: Place
    store: Path

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, self.plan)

    def checked(self) -> Request:
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
        if until and plan.scheduled:
            told = "until: a scheduler ends runs already"
            raise RequestError(f"{told}, give one of the two")
        Goal(plan.task, plan.length, until)  # refuses a condition that is none
        self.place.checked()
        return self


def drive(request: Request, watching: Watching) -> Sweep:
    """Compute what is missing.

    Raises:
        RequestError: if the values of a cell do not go together.
        Busy: if another driver is at this sweep.
        StoreError: if the store cannot be written or is damaged.
    """
    plan, ledger = request.plan, request.ledger
    listed = None if plan.learns or plan.bred else Listed(plan.cells())
    with ledger.begun():  # who learns from what was found, learns alone
        cells = listed or proposed(request, ledger)
        outcomes = _compute(
            cells, asked_of(request, ledger, watching), ledger, watching
        )
    return Sweep(plan, cells.all, outcomes, request.store)


def proposed(request: Request, ledger: Ledger) -> Cells:
    """The cells that follow from what others find."""
    if request.plan.bred:
        return Population(request.plan, ledger)
    if request.plan.search == HYPERGRADIENT:
        return Descending(request.plan, ledger, request.place)
    return Searched(request.plan, ledger)


def asked_of(request: Request, ledger: Ledger, watching: Watching) -> Asked:
    """What is asked of every cell, as far as it follows from what is written down."""

    def tell(event: str, **details: Any) -> None:
        ledger.tell(event, **details)
        watching.told(event, details)

    def beside(cells: Sequence[Cell]) -> Progress:
        for cell in cells:  # also of those that never end it is known whose they are
            ledger.tell("started", run=cell.spec.id)
        return watching.beside(cells)

    together = not (request.until or request.plan.scheduled)
    *_, retries, place, store = request
    goals = _goals(request, ledger)
    return Asked(goals, together, place, store, retries, tell, beside)


def _goals(request: Request, ledger: Ledger) -> Callable[[Cell], Goal]:
    """How far each cell shall come."""
    plan, scheduled = request.plan, request.plan.scheduled
    if scheduled is None:
        until = request.until
        return lambda cell: Goal(cell.task, plan.steps or cell.task.steps, until)
    if plan.bred:
        return lambda cell: Goal(cell.task, scheduled.grace)
    judge = halving(plan.metrics[0], scheduled, plan.length, ledger)
    return lambda cell: Rungs(cell, plan.length, scheduled, judge, ledger.tell)


def _compute(
    cells: Cells, asked: Asked, ledger: Ledger, watching: Watching
) -> dict[str, Outcome]:
    """Every run once, however many cells it is; what happens is told and kept."""
    outcomes: dict[str, Outcome] = {}
    with watching.following(ledger, cells.runs):
        for cell, outcome in compute(cells, asked):
            known = outcomes.get(cell.spec.id)  # searchers propose a cell twice
            once = outcome.computed or (known is not None and known.computed)
            outcomes[cell.spec.id] = outcome._replace(computed=once)
            ledger.ended(cell, outcome)
            watching.saw(cell, outcome)
    ledger.tell("complete", computed=sum(o.computed for o in outcomes.values()))
    return outcomes
