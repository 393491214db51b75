"""Findings of a sweep: its cells, their outcomes, and the numbers of each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from heliostat.answer import Estimate
from heliostat.results.run import Run
from heliostat.sweeps.axes import Axis
from heliostat.sweeps.cells import TRIAL, Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import WAITING, CellOutcome
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.search import Extras, Search, search_of


@dataclass(eq=False, repr=False)
class Findings:
    """The cells of a sweep with their outcomes, of which tables are made."""

    plan: Plan
    cells: Sequence[Cell]
    outcomes: Mapping[str, CellOutcome]
    """The outcome of each run, by its id."""
    store: Path

    @property
    def id(self) -> str:
        return self.plan.id

    @property
    def path(self) -> Path:
        """The folder of the journal."""
        return self._journal.path

    @property
    def axes(self) -> dict[str, Axis]:
        return dict(self.plan.axes)

    @property
    def dims(self) -> tuple[str, ...]:
        """The dims of the cells: the axes of a grid; ``trial``, and ``seed`` if it is
        varied; ``member`` and ``generation`` of a population."""
        return self.search.dims(self.plan)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of cells along each dim."""
        places = np.array([cell.place for cell in self.cells], int)
        last = places.reshape(-1, len(self.dims)).max(axis=0, initial=-1)
        return tuple(int(n) + 1 for n in last)

    @cached_property
    def search(self) -> Search:
        return search_of(self.plan)

    @property
    def _journal(self) -> Journal:
        return Journal(self.store, self.plan)

    def coordinates(self, cell: Cell) -> dict[str, Any]:
        """Return the values of a cell, and its index along dims that are no axis."""
        place = zip(self.dims, cell.place, strict=True)
        numbered = {d: i for d, i in place if d not in self.axes and d != TRIAL}
        return {**numbered, **cell.values}

    def source(self, cell: Cell) -> Cell | None:
        """Return the cell that a cell continues from, in a population."""
        return self._by_run.get(cell.parent.run) if cell.parent else None

    @cached_property
    def _by_run(self) -> dict[str, Cell]:
        return {cell.id: cell for cell in self.cells}

    @property
    def runs(self) -> dict[str, Run]:
        """The stored runs, by id."""
        outcomes = self.outcomes.items()
        return {id_: outcome.run for id_, outcome in outcomes if outcome.run}

    @property
    def computed(self) -> int:
        """The number of runs that this call computed."""
        return sum(o.computed for o in self.outcomes.values())

    @property
    def reused(self) -> int:
        """The number of runs that were already stored."""
        ended = sum(o.state != WAITING.state for o in self.outcomes.values())
        return ended - self.computed

    @property
    def states(self) -> dict[str, int]:
        """The number of runs by state."""
        return dict(Counter(o.state for o in self.outcomes.values()))

    @cached_property
    def headlines(self) -> dict[str, dict[str, Estimate]]:
        """The estimates of each run, by its id; see :attr:`CellOutcome.estimates`."""
        more = self.extras.estimates
        outcomes = self.outcomes.items()
        return {id_: {**o.estimates, **more.get(id_, {})} for id_, o in outcomes}

    @cached_property
    def headline_errors(self) -> dict[str, tuple[str, ...]]:
        """Reasons why estimates failed, by run; most runs have none."""
        has_errors = cache(lambda record: bool(record.headline_errors))
        errors = {
            id_: outcome.headline_errors
            for id_, outcome in self.outcomes.items()
            if outcome.run and (outcome.run.limited or has_errors(outcome.run.shared))
        }
        return {id_: reasons for id_, reasons in errors.items() if reasons}

    @cached_property
    def extras(self) -> Extras:
        """The results of its search beyond the headlines."""
        return self.search.extras(self.plan, self._journal, self.cells, self.outcomes)

    @cached_property
    def retries(self) -> dict[str, list[str]]:
        """The reason of each retry, by run."""
        return self._journal.retries()

    def reason(self, cell: Cell) -> str:
        """Return why a cell failed, was stopped or tried again, or lacks estimates."""
        run = cell.id
        reasons = [*self.retries.get(run, ()), self.outcomes[run].reason]
        reasons += self.headline_errors.get(run, ())
        return "; ".join(dict.fromkeys(filter(None, reasons)))

    @property
    def warnings(self) -> list[str]:
        """A line for each number of the headlines of which some runs warn."""
        lines, runs = [], len(self.headlines)
        for name in self.quantities:
            own = [(r, h[name].warning) for r, h in self.headlines.items() if name in h]
            if warned := [pair for pair in own if pair[1]]:
                example = f"such as {warned[0][0]}: {warned[0][1]}"
                lines.append(f"{name} of {len(warned)} of {runs} runs, {example}")
        return lines

    @property
    def quantities(self) -> dict[str, str]:
        """The unit of each number in the headlines, by name."""
        headlines = self.headlines.values()
        return {n: e.units for headline in headlines for n, e in headline.items()}
