"""Results of a sweep: one labelled dataset, and tables of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heliostat.answer import Estimate
from heliostat.results.tables import table_of
from heliostat.store.arrays import EVERY_STEP, EVERY_STRIDE
from heliostat.sweeps import datasets, trials
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.plan import Metric
from heliostat.sweeps.trials import Trial, mean_estimate


@dataclass(eq=False, repr=False)
class Sweep(Findings):
    """A set of runs over some fields of a task: a table, and one lazy dataset.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> over = {"coupling": [0.2, 0.4], "seed": range(2)}
        >>> grid = hs.sweep(task, over=over, steps=20, on="here")
        >>> dict(grid.dataset.lp.sel(coupling=0.2).sizes)
        {'seed': 2, 'chain': 4, 'draw': 20}
    """

    @cached_property
    def trials(self) -> list[Trial]:
        """The cells by their values: a trial has one, or one for each seed."""
        return trials.trials(self)

    def lineage(self, cell: Cell | None = None) -> list[Cell]:
        """Return the cells of a population that a cell goes back to.

        Args:
            cell: default the best.

        Returns:
            The first generation first, the cell itself last.
        """
        return trials.lineage(self, cell or self.best().cells[0])

    @property
    def ending(self) -> str:
        """Reason why the search ended before its last trial; empty if it did not."""
        return self._journal.ending()

    def __repr__(self) -> str:
        states = ", ".join(f"{n} {s}" for s, n in self.states.items())
        lines = [f"Sweep {self.id}: {len(self.cells)} cells ({states})"]
        lines += [f"  {name} = {axis}" for name, axis in self.axes.items()]
        lines += [f"  ended early: {self.ending}"] if self.ending else []
        return "\n".join(lines)

    # -- tables -----------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """A line per cell: its values, run, state, steps and headline, with the reason
        of a failure and the number of retries."""
        return table_of([_line(self, cell) for cell in self.cells])

    @property
    def failures(self) -> pd.DataFrame:
        """A line per cell that failed or was tried again, as in :attr:`table`, with the
        traceback of a failure."""
        lines = [
            {**_state(self, cell), "traceback": outcome.traceback}
            for cell in self.cells
            if (outcome := self.outcomes[cell.id]).state == "failed"
            or cell.id in self.retries
        ]
        state = ["run", "state", "steps", "reason", "retries", "traceback"]
        return table_of(lines, [*self.axes, *state])

    def best(self, metric: str | None = None, mode: str | None = None) -> Trial:
        """Return the trial with the smallest or largest mean over its seeds.

        Args:
            metric: a number of the headline; default that of the sweep, or the only one
                that its runs found.
            mode: ``"min"`` or ``"max"``; default that of the sweep, else min.

        Returns:
            Its cells, its ``values``, and its ``headline``, whose sources name the
            number of seeds in the mean.

        Raises:
            RequestError: if no trial has such a number.
        """
        return trials.best_trial(self, self._metric(metric, mode))

    def ranked(self, metric: str | None = None, mode: str | None = None) -> list[Trial]:
        """Return the trials with a finite number, the best first.

        Args:
            metric: a number of the headline; default that of the sweep.
            mode: ``"min"`` or ``"max"``; default that of the sweep, else min.

        Returns:
            Trials with a pruned cell last, since their number is of fewer steps.
        """
        return trials.rank_trials(self.trials, self._metric(metric, mode))

    def _metric(self, name: str | None, mode: str | None) -> Metric:
        modes = {metric.name: metric.mode for metric in self.plan.metrics}
        if not (name := name or next(iter(modes), None)):
            name = trials.only_number(self)
        return Metric(name, mode or modes.get(name, "min"))

    def average(self) -> dict[str, Estimate]:
        """Return the mean of each number over the cells that have it.

        Its error is known only if the cells differ in their seeds alone, since chosen
        values are no sample, see :func:`heliostat.sweeps.trials.mean_estimate`.
        """
        headlines = [self.headlines[cell.id] for cell in self.cells]
        sampled = set(self.axes) <= {SEED}
        return {
            name: _average(headlines, name, units, sampled)
            for name, units in self.quantities.items()
        }

    # -- datasets ---------------------------------------------------------------

    @property
    def dataset(self) -> xr.Dataset:
        """The rows of all runs, lazily: dims of the cells, then replica, step, …

        Missing rows are NaN: all of a failed cell, and those behind the end of a cell
        that was pruned or stopped.
        """
        rows = datasets.stack_rows(self, EVERY_STEP, 1)
        return rows.assign(datasets.vectors(self))

    @property
    def observed(self) -> xr.Dataset:
        """The variables that the task observes, like :attr:`dataset`."""
        return datasets.stack_rows(self, EVERY_STRIDE, self.plan.task.stride)

    @property
    def summary(self) -> xr.Dataset:
        """The headline of every cell: each number and its ``_error``.

        Numbers of cells that failed, or stopped before their end, are NaN.
        """
        return datasets.summary(self).assign(datasets.vectors(self))

    def plot(
        self,
        metric: str | None = None,
        output: str | Path | None = None,
        *,
        kind: str = "auto",
    ) -> Any:
        """Plot a number of the headline, see :func:`heliostat.sweeps.plots.plot`.

        Args:
            metric: default that of the sweep, else the first of its headlines.
            output: a file to write; default none.
            kind: ``line``, ``map``, ``parallel``, ``lineage`` or ``auto``.

        Returns:
            The path of the file, or the matplotlib Axes.
        """
        from heliostat.sweeps import plots

        return plots.plot(self, metric, output, kind=kind)


def _line(sweep: Findings, cell: Cell) -> dict[str, Any]:
    line = _state(sweep, cell)
    for name, estimate in sweep.headlines[cell.id].items():
        line |= {name: estimate.value, f"{name}_error": estimate.error}
    return line


def _state(sweep: Findings, cell: Cell) -> dict[str, Any]:
    run = cell.id
    outcome, retries = sweep.outcomes[run], len(sweep.retries.get(run, ()))
    line = {**sweep.coordinates(cell), "run": run, "state": outcome.state}
    return {
        **line,
        "steps": outcome.steps,
        "reason": sweep.reason(cell),
        "retries": retries,
    }


def _average(
    headlines: list[dict[str, Estimate]], name: str, units: str, sampled: bool
) -> Estimate:
    estimates = [headline[name] for headline in headlines if name in headline]
    finite = [e for e in estimates if np.isfinite(e.value)]
    empty = Estimate(np.nan, units=units, source="mean of 0 cells")
    mean = mean_estimate(finite, "cells") if finite else empty
    return mean if sampled else mean._replace(error=np.nan)
