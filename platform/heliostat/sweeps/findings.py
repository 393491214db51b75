"""What became of the cells of a sweep: how each came out, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from heliostat.loop.forward_mode import ValueAndGrad
from heliostat.results.run import Run
from heliostat.sweeps.axes import SEED, Axis
from heliostat.sweeps.cells import GENERATION, MEMBER, TRIAL, Cell
from heliostat.sweeps.journal import FOLDER, Journal
from heliostat.sweeps.outcomes import WAITING, CellOutcome
from heliostat.sweeps.plan import VALIDATION, Plan
from heliostat.sweeps.search.hypergradient import slopes
from heliostat.task import Estimate


@dataclass(eq=False, repr=False)
class Findings:
    """The cells of a sweep with what is known of each: tables are made of that."""

    plan: Plan
    cells: Sequence[Cell]
    outcomes: Mapping[str, CellOutcome]
    """How each run came out, by its id."""
    store: Path

    @property
    def id(self) -> str:
        return self.plan.id

    @property
    def path(self) -> Path:
        """Where it is written down which runs it has, and how they came out."""
        return self.store / FOLDER / self.id

    @property
    def axes(self) -> dict[str, Axis]:
        return dict(self.plan.axes)

    @property
    def dims(self) -> tuple[str, ...]:
        """The dims of its cells: its axes; or ``trial``, and ``seed`` if it is one; of
        a population ``member`` and ``generation``."""
        if self.plan.bred:
            return MEMBER, GENERATION
        if not self.plan.drawn:
            return tuple(self.axes)
        return (TRIAL, SEED) if SEED in self.axes else (TRIAL,)

    @property
    def shape(self) -> tuple[int, ...]:
        places = np.array([cell.place for cell in self.cells], int)
        last = places.reshape(-1, len(self.dims)).max(axis=0, initial=-1)
        return tuple(int(n) + 1 for n in last)

    def called(self, cell: Cell) -> dict[str, Any]:
        """Its values; of a population also which member and generation it is."""
        place = zip(self.dims, cell.place, strict=True) if self.plan.bred else ()
        return {**dict(place), **cell.values}

    def source(self, cell: Cell) -> Cell | None:
        """The cell that one goes on from, if it is a segment of a population."""
        return self._by_run.get(cell.parent.run) if cell.parent else None

    @cached_property
    def _by_run(self) -> dict[str, Cell]:
        return {cell.spec.id: cell for cell in self.cells}

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that are stored, by id."""
        outcomes = self.outcomes.items()
        return {id_: outcome.run for id_, outcome in outcomes if outcome.run}

    @property
    def computed(self) -> int:
        """Runs for which something was computed now."""
        return sum(o.computed for o in self.outcomes.values())

    @property
    def reused(self) -> int:
        """Runs that were found in the store as they are asked for."""
        ended = sum(o.state != WAITING.state for o in self.outcomes.values())
        return ended - self.computed

    @property
    def states(self) -> dict[str, int]:
        """How many runs came out how."""
        return dict(Counter(o.state for o in self.outcomes.values()))

    @cached_property
    def headlines(self) -> dict[str, dict[str, Estimate]]:
        """What each run found, by its id; see :attr:`Outcome.found`."""
        found = {id_: outcome.estimates for id_, outcome in self.outcomes.items()}
        for id_, slope in self.slopes.items():
            told = Estimate(slope.loss, source="where the run ended")
            found[id_] = {**found[id_], VALIDATION: told}
        return found

    @cached_property
    def slopes(self) -> dict[str, ValueAndGrad]:
        """The validation loss of each run and its gradient, if that was searched by."""
        known = slopes(Journal(self.store, self.plan))
        done = {id_: o for id_, o in self.outcomes.items() if o.state == "done"}
        ends = {id_: (id_, outcome.steps) for id_, outcome in done.items()}
        return {id_: known[end] for id_, end in ends.items() if end in known}

    @cached_property
    def retries(self) -> dict[str, list[str]]:
        """Why runs were tried again, by their ids: a reason for each time."""
        return Journal(self.store, self.plan).retries()

    def reason(self, cell: Cell) -> str:
        """Why a cell failed or was stopped, and why it was tried again, if it was."""
        run = cell.spec.id
        told = [*self.retries.get(run, ()), self.outcomes[run].reason]
        return "; ".join(dict.fromkeys(filter(None, told)))

    @property
    def quantities(self) -> dict[str, str]:
        """What the headlines of its cells have, with units."""
        headlines = self.headlines.values()
        return {n: e.units for headline in headlines for n, e in headline.items()}
