"""What a sweep found: one labelled dataset, and tables of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heliostat.errors import RequestError
from heliostat.results.run import Run
from heliostat.sweeps import datasets, trials
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.plan import Metric
from heliostat.sweeps.trials import Trial, mean_estimate
from heliostat.task import Estimate


@dataclass(eq=False, repr=False)
class Sweep(Findings):
    """A set of runs over some fields of a task: a table, and one lazy dataset.

    Example:
        >>> grid = hs.sweep(VMC(), over={"lr": [0.01, 0.05], "seed": range(4)})
        ...                                                       # doctest: +SKIP
        >>> grid.dataset.energy.sel(lr=0.01).mean("seed").plot()  # doctest: +SKIP
    """

    @cached_property
    def trials(self) -> list[Trial]:
        """Its cells by their values: each trial has one, or one for each seed."""
        return trials.trials(self)

    def lineage(self, cell: Cell | None = None) -> list[Cell]:
        """The cells of a population that one goes back to, the first generation first.

        Args:
            cell: default the best.
        """
        line = [cell or self.best().cells[0]]
        while source := self.source(line[-1]):
            line.append(source)
        return line[::-1]

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {s}" for s, n in self.states.items())
        lines = [f"Sweep {self.id}: {len(self.cells)} cells ({told})"]
        lines += [f"  {name} = {axis}" for name, axis in self.axes.items()]
        return "\n".join(lines)

    # -- tables -----------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """A line per cell: its values, its run, how that came out and what it found;
        why it failed, or had to be tried again (``retries`` times)."""
        return _cell_table(self)

    @property
    def failures(self) -> pd.DataFrame:
        """A line per cell that failed, or that came out once it was tried again: as in
        :attr:`table`, with the traceback of the last time it failed, if it has."""
        return _failure_table(self)

    def best(self, metric: str | None = None, mode: str | None = None) -> Trial:
        """The trial that has found the least, or the largest: by the mean over its
        seeds, which is what a searcher is told of it.

        Args:
            metric: a number of the headline; default what the sweep was asked for.
            mode: ``"min"`` or ``"max"``; default as the sweep was asked, else min.

        Returns:
            Its cells, its ``values``, and its ``headline``, whose sources say of how
            many seeds it is the mean.

        Raises:
            RequestError: if no trial has such a number.
        """
        asked = self._metric(metric, mode)
        if not (found := self.ranked(*asked)):
            raise RequestError(f"metric: {trials.why_none(self, asked.name)}")
        return found[0]

    def ranked(self, metric: str | None = None, mode: str | None = None) -> list[Trial]:
        """The trials that have found a finite number, as :meth:`best` compares them:
        the best first; behind those that came to their end those that were pruned."""
        return trials.ranked(self.trials, self._metric(metric, mode))

    def _metric(self, name: str | None, mode: str | None) -> Metric:
        asked = {metric.name: metric.mode for metric in self.plan.metrics}
        if not (name := name or next(iter(asked), None)):
            raise RequestError("metric: expected a number of the headline")
        return Metric(name, mode or asked.get(name, "min"))

    def average(self) -> dict[str, Estimate]:
        """Each quantity on average over the cells that have it, with the error of that
        where they differ in their seeds alone, see
        :func:`heliostat.sweeps.trials.mean`."""
        return _mean_over_cells(self)

    # -- datasets ---------------------------------------------------------------

    @property
    def dataset(self) -> xr.Dataset:
        """The rows of all runs, lazily: dims of the cells, then replica, step, …

        What a cell does not have is NaN: all, if it failed; what lies behind its end,
        if it was pruned or stopped.
        """
        return datasets.stack_rows(self, Run.rows, 1).assign(datasets.gradient(self))

    @property
    def observed(self) -> xr.Dataset:
        """What the task observes at multiples of the stride, like :attr:`dataset`."""
        return datasets.stack_rows(self, Run.observed, self.plan.task.stride)

    @property
    def summary(self) -> xr.Dataset:
        """The headline of every cell: each quantity and its ``_error``.

        NaN of cells that failed, and of those that were stopped before their end.
        """
        return datasets.summary(self).assign(datasets.gradient(self))

    def plot(
        self,
        metric: str | None = None,
        output: str | Path | None = None,
        *,
        kind: str = "auto",
    ) -> Any:
        """Draw a number of the headline over what was varied.

        See :func:`heliostat.sweeps.plots.plot`.
        """
        from heliostat.sweeps.plots import plot

        return plot(self, metric, output, kind=kind)


def _cell_table(sweep: Findings) -> pd.DataFrame:
    """A line per cell: its values, its run, how that came out and what it found."""
    found = []
    for cell in sweep.cells:
        line = _called(sweep, cell)
        for name, one in sweep.headlines[cell.spec.id].items():
            line |= {name: one.value, f"{name}_error": one.error}
        found.append(line)
    return pd.DataFrame(found)


def _failure_table(sweep: Findings) -> pd.DataFrame:
    """A line per cell that failed, or was tried again, as in :func:`_cell_table`."""
    found = [
        {**_called(sweep, cell), "traceback": outcome.traceback}
        for cell in sweep.cells
        if (outcome := sweep.outcomes[cell.spec.id]).state == "failed"
        or cell.spec.id in sweep.retries
    ]
    columns = [*sweep.axes, "run", "state", "steps", "reason", "retries", "traceback"]
    return pd.DataFrame(found, columns=None if found else columns)


def _called(sweep: Findings, cell: Cell) -> dict[str, Any]:
    """What a cell is, and how it came out."""
    run = cell.spec.id
    outcome, retries = sweep.outcomes[run], len(sweep.retries.get(run, ()))
    line = {**sweep.called(cell), "run": run, "state": outcome.state}
    why = {"reason": sweep.reason(cell), "retries": retries}
    return {**line, "steps": outcome.steps, **why}


def _mean_over_cells(sweep: Findings) -> dict[str, Estimate]:
    """Each quantity on average over the cells; with the error of that where they differ
    in their seeds alone, since values that somebody chose are no sample."""
    found, drawn = {}, set(sweep.axes) <= {SEED}
    headlines = [sweep.headlines[cell.spec.id] for cell in sweep.cells]
    for name, units in sweep.quantities.items():
        told = [headline[name] for headline in headlines if name in headline]
        finite = [one for one in told if np.isfinite(one.value)]
        nothing = Estimate(np.nan, units=units, source="mean of 0 cells")
        told = mean_estimate(finite, "cells") if finite else nothing
        found[name] = told if drawn else told._replace(error=np.nan)
    return found
