"""Preview of a sweep: the cells that are stored, and those that would be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.executor import group_cells
from heliostat.sweeps.outcomes import (
    CellOutcome,
    RunContext,
    stored_outcome,
    stored_records,
)
from heliostat.sweeps.progress import SweepProgress
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.run import SweepRequest, run_context
from heliostat.sweeps.search import CellStream, FixedCells, search_of


@dataclass(eq=False, repr=False)
class Preview(Sweep):
    """A sweep before it is computed: its cells are stored, ``begun`` or ``new``."""

    groups: Sequence[Sequence[Cell]]
    """The cells to compute: those of one pack together, others alone."""
    unknown: int
    """The number of further cells at most, whose values depend on results."""

    @property
    def packs(self) -> list[list[str]]:
        """The runs of each pack to compute."""
        several = (group for group in self.groups if len(group) > 1)
        return [[cell.id for cell in group] for group in several]


def preview(request: SweepRequest, progress: SweepProgress) -> Preview:
    """Look at the store, and leave it as it is.

    Raises:
        RequestError: if the values of a cell do not go together.
        StoreError: if the store is damaged.
    """
    plan, journal = request.plan, request.journal
    context = run_context(request, journal, progress)
    cells = search_of(plan).preview_cells(plan, journal, request.placement)
    outcomes = _outcomes(cells, context)
    once = FixedCells(cells.all).ask()
    missing = [cell for cell in once if outcomes[cell.id].computed]
    records = stored_records(once, context.store)
    groups = group_cells(once, missing, context, records)
    unknown = max(0, cells.runs - len(cells.all))
    return Preview(plan, cells.all, outcomes, request.store, groups, unknown)


def _outcomes(cells: CellStream, context: RunContext) -> dict[str, CellOutcome]:
    """Return what is stored of each run."""
    outcomes = {}
    while new := cells.ask():
        records = stored_records(new, context.store)
        for cell in new:
            record = records.get(cell.id)
            stored = stored_outcome(cell, context, record)
            outcomes[cell.id] = stored or _missing(record)
            if stored:
                cells.tell(cell, stored)
    return outcomes


def _missing(record: Record | None) -> CellOutcome:
    steps = record.steps if record else 0
    return CellOutcome("begun" if steps else "new", True, steps, None)
