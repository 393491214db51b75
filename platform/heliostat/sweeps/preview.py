"""What a sweep would compute: which of its cells are stored, which go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from heliostat.bringing import at_path
from heliostat.sweeps import population
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.computing import Asked, Outcome, found, grouped
from heliostat.sweeps.ledger import Ledger
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.results import Sweep


class Preview(Sweep):
    """A sweep before it is computed: its cells are stored, or ``begun``, or ``new``.

    Args:
        groups: what would be computed: cells of one pack, or one alone.
        unknown: runs at most whose values follow from what others find.
    """

    def __init__(
        self,
        plan: Plan,
        cells: Sequence[Cell],
        outcomes: Mapping[str, Outcome],
        store: Path,
        groups: Sequence[Sequence[Cell]],
        unknown: int,
    ) -> None:
        super().__init__(plan, cells, outcomes, store)
        self.groups, self.unknown = groups, unknown

    @property
    def packs(self) -> list[list[str]]:
        """The runs of each pack that would be computed."""
        several = (group for group in self.groups if len(group) > 1)
        return [[cell.spec.id for cell in group] for group in several]


def preview(plan: Plan, asked: Asked, ledger: Ledger, store: Path) -> Preview:
    """Look at the store, and leave it as it is.

    Raises:
        RequestError: if the values of a cell do not go together.
        StoreError: if what is stored is damaged.
    """
    cells = _known(plan, ledger, store)
    once = Listed(cells).next()
    outcomes = {
        cell.spec.id: found(cell, asked) or _missing(cell, asked) for cell in once
    }
    missing = [cell for cell in once if outcomes[cell.spec.id].computed]
    groups = grouped(once, missing, asked)
    unknown = _most(plan, len(cells)) - len(cells)
    return Preview(plan, cells, outcomes, store, groups, unknown)


def _known(plan: Plan, ledger: Ledger, store: Path) -> list[Cell]:
    """The cells whose values are decided."""
    if plan.bred:
        return population.known(plan, ledger, store)
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
