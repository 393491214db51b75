"""What a sweep found: one labelled dataset, and tables of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heliostat.engine.tangents import Slope
from heliostat.errors import RequestError
from heliostat.stored import Run
from heliostat.sweeps import datasets, tables
from heliostat.sweeps.axes import SEED, Axis
from heliostat.sweeps.cells import GENERATION, MEMBER, TRIAL, Cell
from heliostat.sweeps.hypergradients import slopes
from heliostat.sweeps.ledger import FOLDER, Ledger
from heliostat.sweeps.outcomes import Outcome
from heliostat.sweeps.plan import VALIDATION, Metric, Plan
from heliostat.task import Estimate


@dataclass(eq=False, repr=False)
class Sweep:
    """A set of runs over some fields of a task: a table, and one lazy dataset.

    Example:
        >>> grid = hs.sweep(VMC(), over={"lr": [0.01, 0.05], "seed": range(4)})
        ...                                                       # doctest: +SKIP
        >>> grid.dataset.energy.sel(lr=0.01).mean("seed").plot()  # doctest: +SKIP
    """

    plan: Plan
    cells: Sequence[Cell]
    outcomes: Mapping[str, Outcome]
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

    # -- runs -------------------------------------------------------------------

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
        return len(self.outcomes) - self.computed

    @property
    def states(self) -> dict[str, int]:
        """How many runs came out how."""
        return dict(Counter(o.state for o in self.outcomes.values()))

    @cached_property
    def headlines(self) -> dict[str, dict[str, Estimate]]:
        """What each run found, by its id."""
        found = {id_: run.headline for id_, run in self.runs.items()}
        for id_, slope in self.slopes.items():
            told = Estimate(slope.loss, source="where the run ended")
            found[id_] = {**found[id_], VALIDATION: told}
        return found

    @cached_property
    def slopes(self) -> dict[str, Slope]:
        """The validation loss of each run and its gradient, if that was searched by."""
        known = slopes(Ledger(self.store, self.plan))
        ends = {id_: (id_, self.outcomes[id_].steps) for id_ in self.runs}
        return {id_: known[end] for id_, end in ends.items() if end in known}

    @property
    def quantities(self) -> dict[str, str]:
        """What the headlines of its cells have, with units."""
        headlines = self.headlines.values()
        return {n: e.units for headline in headlines for n, e in headline.items()}

    def lineage(self, cell: Cell | None = None) -> list[Cell]:
        """The cells of a population that one goes back to, the first generation first.

        Args:
            cell: default the best.
        """
        line = [cell or self.best()]
        while source := self.source(line[-1]):
            line.append(source)
        return line[::-1]

    def source(self, cell: Cell) -> Cell | None:
        """The cell that one goes on from, if it is a segment of a population."""
        return self._by_run.get(cell.parent.run) if cell.parent else None

    @cached_property
    def _by_run(self) -> dict[str, Cell]:
        return {cell.spec.id: cell for cell in self.cells}

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {s}" for s, n in self.states.items())
        lines = [f"Sweep {self.id}: {len(self.cells)} cells ({told})"]
        lines += [f"  {name} = {axis}" for name, axis in self.axes.items()]
        return "\n".join(lines)

    # -- tables -----------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """A line per cell: its values, its run, how that came out and what it found."""
        return tables.lines(self)

    @property
    def failures(self) -> pd.DataFrame:
        """A line per failed cell: its values, run, reason, retries and traceback."""
        return tables.failures(self)

    def called(self, cell: Cell) -> dict[str, Any]:
        """Its values; of a population also which member and generation it is."""
        place = zip(self.dims, cell.place, strict=True) if self.plan.bred else ()
        return {**dict(place), **cell.values}

    def best(self, metric: str | None = None, mode: str = "min") -> Cell:
        """The cell that has found the least (or the largest) value.

        Args:
            metric: a number of the headline; default what the sweep was asked for.

        Raises:
            RequestError: if no cell has such a number.
        """
        return tables.best(self, self._metric(metric, mode))

    def ordered(self, metric: str | None = None, mode: str = "min") -> list[Cell]:
        """The cells, the best first; behind those that came to their end the others."""
        return tables.ordered(self, self._metric(metric, mode))

    def _metric(self, name: str | None, mode: str) -> Metric:
        if name is not None:
            return Metric(name, mode)
        if not self.plan.metrics:
            raise RequestError("metric: expected a number of the headline")
        return self.plan.metrics[0]

    def average(self) -> dict[str, Estimate]:
        """Each quantity on average over the cells, with the standard error of that."""
        return tables.average(self)

    # -- datasets ---------------------------------------------------------------

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
        places = np.array([cell.place for cell in self.cells])
        return tuple(int(n) + 1 for n in places.max(axis=0))

    @property
    def dataset(self) -> xr.Dataset:
        """The rows of all runs, lazily: dims of the cells, then replica, step, …

        What a cell does not have (it failed, it ended early) is NaN.
        """
        return datasets.stacked(self, Run.rows, 1).assign(datasets.gradient(self))

    @property
    def observed(self) -> xr.Dataset:
        """What the task observes at multiples of the stride, like :attr:`dataset`."""
        return datasets.stacked(self, Run.observed, self.plan.task.stride)

    @property
    def summary(self) -> xr.Dataset:
        """The headline of every cell: each quantity and its ``_error``."""
        return datasets.summary(self).assign(datasets.gradient(self))

    def plot(
        self,
        metric: str | None = None,
        output: str | Path | None = None,
        *,
        kind: str = "auto",
    ) -> Any:
        """Draw a number of the headline over what was varied.

        See :func:`heliostat.sweeps.pictures.plot`.
        """
        from heliostat.sweeps.pictures import plot

        return plot(self, metric, output, kind=kind)
