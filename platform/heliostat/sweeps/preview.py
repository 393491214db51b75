"""What a sweep would compute: which of its cells are stored, which go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heliostat.bringing import at_path
from heliostat.sweeps import population
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.computing import grouped
from heliostat.sweeps.display import Watching
from heliostat.sweeps.driving import Request, asked_of
from heliostat.sweeps.outcomes import Asked, Outcome, found
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.results import Sweep


@dataclass(eq=False, repr=False)
class Preview(Sweep):
    """A sweep before it is computed: its cells are stored, or ``begun``, or ``new``."""

    groups: Sequence[Sequence[Cell]]
    """What would be computed: the cells of one pack, or one alone."""
    unknown: int
    """How many runs may follow, at most, whose values depend on what others find."""

    @property
    def packs(self) -> list[list[str]]:
        """The runs of each pack that would be computed."""
        several = (group for group in self.groups if len(group) > 1)
        return [[cell.spec.id for cell in group] for group in several]


def preview(request: Request, watching: Watching) -> Preview:
    """Look at the store, and leave it as it is.

    Raises:
        RequestError: if the values of a cell do not go together.
        StoreError: if what is stored is damaged.
    """
    plan, store = request.plan, request.store
    asked, cells = asked_of(request, request.ledger, watching), _known(request)
    once = Listed(cells).next()
    outcomes = {
        cell.spec.id: found(cell, asked) or _missing(cell, asked) for cell in once
    }
    missing = [cell for cell in once if outcomes[cell.spec.id].computed]
    groups = grouped(once, missing, asked)
    unknown = _most(plan, len(cells)) - len(cells)
    return Preview(plan, cells, outcomes, store, groups, unknown)


def _known(request: Request) -> list[Cell]:
    """The cells whose values are decided."""
    plan, ledger = request.plan, request.ledger
    if plan.bred:
        return population.known(plan, ledger, request.store)
    told = (e for e in ledger.events() if e["event"] == "proposed")
    return plan.cells([e["values"] for e in told if e["trial"] < plan.trials])


def _most(plan: Plan, known: int) -> int:
    """How many cells there will be at most."""
    if plan.bred:
        return plan.trials * population.generations(plan)
    return plan.trials * max(1, len(plan.seeds)) if plan.learns else known


def _missing(cell: Cell, asked: Asked) -> Outcome:
    run = at_path(cell.task, cell.spec, asked.store)
    steps = run.steps if run else 0
    return Outcome("begun" if steps else "new", True, steps, None)
