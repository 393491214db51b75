"""Scheduler ``continuation``: each cell of a grid starts from the state of another.

Cells follow each other along the first axis that is not ``seed``, in the order of its
values; the other axes make chains that are independent.  A chain is a curve, such as a
potential energy over geometries, of which each point is trained from the one before.

Each cell is an ordinary run whose parent is its neighbour.  The same neighbour makes
the same cell, so a sweep that was killed continues where it was.  The cells of a chain
have one seed, so errors of neighbours are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from heliostat.driver.parent import Parent, parent_of, refusal
from heliostat.driver.placement import Placement
from heliostat.errors import RequestError
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell, make_cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.search import CellStream, WrappedSearch
from heliostat.sweeps.search.grid import grid_cells

EVENT = "continued"

Parents = Mapping[tuple[int, ...], Mapping[str, Any]]
"""Parents in the journal, by the place of the cell that continues from each."""


class Continuation(WrappedSearch):
    """A grid whose cells start from each other."""

    depends_on = ("schedule", "steps")
    judges = False
    no_until = (
        "until: each cell starts from the last state of its neighbour, so all have a "
        "length; give steps"
    )

    def check(self, plan: Plan) -> None:
        super().check(plan)
        if self.inner.draws:
            raise RequestError(
                "scheduler continuation: cells follow each other along listed values; "
                "leave search and trials out"
            )
        if not set(plan.axes) - {SEED}:
            raise RequestError("over seed: name also a field, along which cells follow")
        for chain in chains(plan):
            for before, after in pairwise(chain):
                if reason := refusal(after.task, before.task):
                    start = f"over {after}: it cannot start from {before}"
                    raise RequestError(f"{start}: {reason}")

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        parents, cells = recorded_parents(journal), list[Cell]()
        for chain in chains(plan):
            last = None
            for cell in chain:
                parent = last and _recorded_parent(plan, journal, parents, last, cell)
                last = _with_parent(plan, cell, parent)
                cells.append(last)
        return _in_order(cells)

    def cells(self, plan: Plan, journal: Journal, placement: Placement) -> CellStream:
        return Chains(plan, journal)

    def preview_cells(
        self, plan: Plan, journal: Journal, placement: Placement
    ) -> CellStream:
        return self.cells(plan, journal, placement)


class Chains:
    """Stream of cells, of which each is ready once its neighbour has ended."""

    ending = ""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self.plan, self._journal = plan, journal
        lists = chains(plan)
        self.runs = sum(map(len, lists))
        self._following = {
            before.place: after for chain in lists for before, after in pairwise(chain)
        }
        self._cells: list[Cell] = []
        self._ready = [chain[0] for chain in lists]
        self._recorded = recorded_parents(journal)

    @property
    def all(self) -> list[Cell]:
        return _in_order(self._cells)

    def ask(self) -> list[Cell]:
        cells, self._ready = self._ready, []
        self._cells += cells
        return cells

    def tell(self, cell: Cell, outcome: CellOutcome) -> None:
        """Make the next cell ready; after one that was stopped, all of them wait."""
        if not (following := self._following.get(cell.place)):
            return
        if outcome.state == "stopped":
            while following:
                cell = _with_parent(self.plan, following, _unknown(self.plan, cell))
                self._cells.append(cell)
                following = self._following.get(cell.place)
            return
        parent = self._parent(cell, following, outcome)
        self._record(following, parent)
        self._ready.append(_with_parent(self.plan, following, parent))

    def _parent(self, cell: Cell, following: Cell, outcome: CellOutcome) -> Parent:
        """Return the last state of a cell, as far as it is known."""
        if outcome.state == "failed" or not outcome.run:
            return _unknown(self.plan, cell)
        try:
            return parent_of(following.task, self.plan.x64, outcome.run)
        except RequestError:  # it was extended since, and keeps other states
            known = self._journal, self._recorded
            return _recorded_parent(self.plan, *known, cell, following)

    def _record(self, cell: Cell, parent: Parent) -> None:
        """Write the parent of a cell into the journal, unless it is there."""
        if self._recorded.get(cell.place) != parent.identity:
            self._journal.append(EVENT, place=list(cell.place), parent=parent.identity)


class UnknownParent(Parent):
    """Parent whose state is not known: it has failed, or not ended yet."""

    def load(self) -> Any:
        """Refuse to start from it.

        Raises:
            RequestError: always.
        """
        raise RequestError(
            f"its neighbour, run {self.run}, failed or has no state of step {self.step}"
        )


def chains(plan: Plan) -> list[list[Cell]]:
    """Return the cells of each chain in their order, without their parents."""
    along = next(i for i, name in enumerate(plan.axes) if name != SEED)
    lists: dict[tuple[int, ...], list[Cell]] = {}
    for cell in grid_cells(plan):
        others = (*cell.place[:along], *cell.place[along + 1 :])
        lists.setdefault(others, []).append(cell)
    return list(lists.values())


def recorded_parents(journal: Journal) -> Parents:
    """Return the last parent of each cell that is in the journal."""
    events = (event for event in journal.events() if event["event"] == EVENT)
    return {tuple(event["place"]): event["parent"] for event in events}


def _recorded_parent(
    plan: Plan, journal: Journal, parents: Parents, last: Cell, cell: Cell
) -> Parent:
    """Return the parent in the journal, if it is the neighbour as it is now."""
    stored = parents.get(cell.place)
    if not stored or stored["run"] != last.id or not stored["states"]:
        return _unknown(plan, last)
    path = journal.store / plan.identity["task"] / last.id
    return Parent(last.id, stored["step"], tuple(stored["states"]), path)


def _unknown(plan: Plan, cell: Cell) -> Parent:
    return UnknownParent(cell.id, plan.steps or cell.task.steps, (), Path())


def _with_parent(plan: Plan, cell: Cell, parent: Parent | None) -> Cell:
    return make_cell(plan, cell.place, cell.values, parent=parent)


def _in_order(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: cell.place)


SCHEDULERS = {"continuation": Continuation}
