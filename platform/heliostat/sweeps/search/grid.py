"""Search ``grid``: every combination of the listed values."""

from __future__ import annotations

import itertools

from heliostat.sweeps.cells import Cell, make_cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.search import Search


class Grid(Search):
    """Every combination of the values of all axes, which are the dims of the sweep."""

    draws = False

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        return grid_cells(plan)

    def dims(self, plan: Plan) -> tuple[str, ...]:
        return tuple(plan.axes)

    def chart(self, fields: int) -> str:
        return "map" if fields == 2 else super().chart(fields)


def grid_cells(plan: Plan) -> list[Cell]:
    """Return every combination of the listed values; the last axis runs fastest.

    Raises:
        RequestError: if the task refuses a combination.
    """
    cells, lists = [], [list(enumerate(axis)) for axis in plan.axes.values()]
    for pairs in itertools.product(*lists):
        place, values = zip(*pairs, strict=True)
        by_name = dict(zip(plan.axes, values, strict=True))
        cells.append(make_cell(plan, place, by_name))
    return cells


SEARCHES = {"grid": Grid()}
