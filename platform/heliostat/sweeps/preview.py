"""What a sweep would compute: which of its cells are stored, which go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heliostat.driver.ensure import find_stored
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.executor import CellStream, grouped_cells
from heliostat.sweeps.outcomes import CellOutcome, RunContext, stored_outcome
from heliostat.sweeps.plan import HYPERGRADIENT, SEARCHERS, Plan
from heliostat.sweeps.progress import SweepProgress
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.run import SweepRequest, proposed, run_context


@dataclass(eq=False, repr=False)
class Preview(Sweep):
    """A sweep before it is computed: its cells are stored, or ``begun``, or ``new``."""

    groups: Sequence[Sequence[Cell]]
    """What would be computed: the cells of one pack, or one alone."""
    unknown: int
    """How many cells may follow, at most, whose values depend on what others find."""

    @property
    def packs(self) -> list[list[str]]:
        """The runs of each pack that would be computed."""
        several = (group for group in self.groups if len(group) > 1)
        return [[cell.spec.id for cell in group] for group in several]


def preview(request: SweepRequest, watching: SweepProgress) -> Preview:
    """Look at the store, and leave it as it is.

    Raises:
        RequestError: if the values of a cell do not go together.
        StoreError: if what is stored is damaged.
    """
    plan, store = request.plan, request.store
    asked = run_context(request, request.journal, watching)
    cells = _decided(request)
    outcomes = _looked(cells, asked, follow=plan.bred)
    once = Listed(cells.all).next()
    missing = [cell for cell in once if outcomes[cell.spec.id].computed]
    groups = grouped_cells(once, missing, asked)
    return Preview(plan, cells.all, outcomes, store, groups, _later(plan, cells))


def _decided(request: SweepRequest) -> CellStream:
    """The cells whose values do not depend on what is computed yet."""
    plan, ledger = request.plan, request.journal
    if plan.bred or plan.search == HYPERGRADIENT:  # each follows from those before
        return proposed(request, ledger)
    told = (e for e in ledger.events() if e["event"] == "proposed")
    return Listed(plan.cells([e["values"] for e in told if e["trial"] < plan.trials]))


def _looked(
    cells: CellStream, asked: RunContext, follow: bool
) -> dict[str, CellOutcome]:
    """What is there of each run.

    Args:
        follow: whether further cells follow from what stored ones found; a searcher
            knows that already, it is written down.
    """
    outcomes = {}
    while more := cells.next():
        for cell in more:
            there = stored_outcome(cell, asked)
            outcomes[cell.spec.id] = there or _missing(cell, asked)
            if there and follow:
                cells.ended(cell, there)
    return outcomes


def _later(plan: Plan, cells: CellStream) -> int:
    """How many cells may follow, at most."""
    several = plan.trials * max(1, len(plan.seeds))
    most = several if plan.search in SEARCHERS else cells.runs
    return max(0, most - len(cells.all))


def _missing(cell: Cell, asked: RunContext) -> CellOutcome:
    run = find_stored(cell.task, cell.spec, asked.store)
    steps = run.steps if run else 0
    return CellOutcome("begun" if steps else "new", True, steps, None)
