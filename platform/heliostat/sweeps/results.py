"""What a sweep found: one labelled dataset, and tables of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from heliostat.bringing import at_path
from heliostat.engine.tangents import Slope
from heliostat.errors import RequestError, did_you_mean
from heliostat.stored import Run, store_folder
from heliostat.sweeps.axes import SEED, Axis
from heliostat.sweeps.cells import GENERATION, MEMBER, TRIAL, Cell
from heliostat.sweeps.computing import Outcome
from heliostat.sweeps.datasets import gradient, labels, stacked
from heliostat.sweeps.hypergradients import slopes
from heliostat.sweeps.ledger import FOLDER, Ledger, read
from heliostat.sweeps.plan import VALIDATION, Metric, Plan
from heliostat.sweeps.population import recorded
from heliostat.task import Estimate, Task


def open_sweep(
    sweep: str, *, store: str | Path | None = None, task: type[Task] | None = None
) -> Sweep:
    """A stored sweep by its id, or by the first digits of it, as far as it has come.

    Args:
        task: the class of a task that is not installed.

    Raises:
        RequestError: if there is none, or if several begin like this.
        StoreError: if what is stored is damaged.

    Example:
        >>> hs.open_sweep("8c858a80").summary  # doctest: +SKIP
    """
    plan, root = read(sweep, store, task), store_folder(store)
    ledger = Ledger(root, plan)
    ended = ledger.last()
    cells = [c for c in _begun(plan, ledger, root) if c.spec.id in ended]
    outcomes = {c.spec.id: _outcome(c, ended[c.spec.id], root) for c in cells}
    return Sweep(plan, cells, outcomes, root)


def _begun(plan: Plan, ledger: Ledger, store: Path) -> list[Cell]:
    """The cells that a sweep has, as far as that was decided."""
    if plan.bred:
        return recorded(plan, ledger, store)
    events = ledger.events()
    return plan.cells([e["values"] for e in events if e["event"] == "proposed"])


def _outcome(cell: Cell, event: Mapping[str, Any], store: Path) -> Outcome:
    """How a cell came out, as it was written down."""
    run, steps = at_path(cell.task, cell.spec, store), event["steps"]
    run = Run(run.path, cell.task, steps) if run and steps else None
    told = [event.get(name, "") for name in ("reason", "traceback")]
    retries = event.get("retries", 0)
    return Outcome(event["event"], False, steps, run, told[0], told[1], retries)


class Sweep:
    """A set of runs over some fields of a task: a table, and one lazy dataset.

    Example:
        >>> grid = hs.sweep(VMC(), over={"lr": [0.01, 0.05], "seed": range(4)})
        ...                                                       # doctest: +SKIP
        >>> grid.dataset.energy.sel(lr=0.01).mean("seed").plot()  # doctest: +SKIP
    """

    def __init__(
        self,
        plan: Plan,
        cells: Sequence[Cell],
        outcomes: Mapping[str, Outcome],
        store: Path,
    ) -> None:
        self.plan, self.cells = plan, list(cells)
        self.outcomes, self.store = dict(outcomes), store

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

    # -- tables -----------------------------------------------------------------

    @property
    def computed(self) -> int:
        """Runs for which something was computed now."""
        return sum(o.computed for o in self.outcomes.values())

    @property
    def reused(self) -> int:
        """Runs that were found in the store as they are asked for."""
        return len(self.outcomes) - self.computed

    @property
    def table(self) -> pd.DataFrame:
        """A line per cell: its values, its run, how that came out and what it found."""
        lines = []
        for cell in self.cells:
            outcome = self.outcomes[cell.spec.id]
            line = {**self.called(cell), "run": cell.spec.id, "state": outcome.state}
            line |= {"steps": outcome.steps, "reason": outcome.reason}
            for name, found in self.headlines.get(cell.spec.id, {}).items():
                line |= {name: found.value, f"{name}_error": found.error}
            lines.append(line)
        return pd.DataFrame(lines)

    def called(self, cell: Cell) -> dict[str, Any]:
        """Its values; of a population also which member and generation it is."""
        place = zip(self.dims, cell.place, strict=True) if self.plan.bred else ()
        return {**dict(place), **cell.values}

    @property
    def failures(self) -> pd.DataFrame:
        """A line per failed cell: its values, run, reason, retries and traceback."""
        lines = [
            {**self.called(cell), "run": cell.spec.id, "reason": o.reason}
            | {"retries": o.retries, "traceback": o.traceback}
            for cell in self.cells
            if (o := self.outcomes[cell.spec.id]).state == "failed"
        ]
        columns = [*self.axes, "run", "reason", "retries", "traceback"]
        return pd.DataFrame(lines, columns=None if lines else columns)

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
    def runs(self) -> dict[str, Run]:
        """The runs that are stored, by id."""
        outcomes = self.outcomes.items()
        return {id_: outcome.run for id_, outcome in outcomes if outcome.run}

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

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {s}" for s, n in self.states.items())
        lines = [f"Sweep {self.id}: {len(self.cells)} cells ({told})"]
        lines += [f"  {name} = {axis}" for name, axis in self.axes.items()]
        return "\n".join(lines)

    @property
    def states(self) -> dict[str, int]:
        """How many runs came out how."""
        return dict(Counter(o.state for o in self.outcomes.values()))

    def best(self, metric: str | None = None, mode: str = "min") -> Cell:
        """The cell that has found the least (or the largest) value.

        Args:
            metric: a number of the headline; default what the sweep was asked for.

        Raises:
            RequestError: if no cell has such a number.
        """
        wanted = self._metric(metric, mode)
        best = next(iter(self.ordered(*wanted)), None)
        if not best or not np.isfinite(self._value(best, wanted.name)):
            known = sorted(self.quantities)
            hint = did_you_mean(wanted.name, known)
            hint = hint or f"; there are {', '.join(known) or 'none'}"
            raise RequestError(f"metric: no cell has found '{wanted.name}'{hint}")
        return best

    def ordered(self, metric: str | None = None, mode: str = "min") -> list[Cell]:
        """The cells, the best first; behind those that came to their end the others."""
        wanted = self._metric(metric, mode)
        sign = 1 if wanted.mode == "min" else -1

        def rank(cell: Cell) -> tuple[bool, float]:
            value = sign * self._value(cell, wanted.name)
            early = self.outcomes[cell.spec.id].state != "done"
            return early, value if np.isfinite(value) else np.inf

        return sorted(self.cells, key=rank)

    def _metric(self, name: str | None, mode: str) -> Metric:
        if name is not None:
            return Metric(name, mode)
        if not self.plan.metrics:
            raise RequestError("metric: expected a number of the headline")
        return self.plan.metrics[0]

    def lineage(self, cell: Cell | None = None) -> list[Cell]:
        """The cells of a population that one goes back to, the first generation first.

        Args:
            cell: default the best.
        """
        cell = cell or self.best()
        line = [cell]
        while source := self.source(line[-1]):
            line.append(source)
        return line[::-1]

    def source(self, cell: Cell) -> Cell | None:
        """The cell that one goes on from, if it is a segment of a population."""
        return self._by_run.get(cell.parent.run) if cell.parent else None

    @cached_property
    def _by_run(self) -> dict[str, Cell]:
        return {cell.spec.id: cell for cell in self.cells}

    def average(self) -> dict[str, Estimate]:
        """Each quantity on average over the cells, with the standard error of that."""
        found = {}
        for name, units in self.quantities.items():
            values = np.array([self._value(cell, name) for cell in self.cells])
            values = values[np.isfinite(values)]
            n = max(1, len(values))
            error = values.std(ddof=1) / n**0.5 if n > 1 else np.nan
            mean = values.mean() if len(values) else np.nan
            source = f"mean of {len(values)} cells"
            found[name] = Estimate(float(mean), float(error), units, source)
        return found

    @property
    def quantities(self) -> dict[str, str]:
        """What the headlines of its cells have, with units."""
        headlines = self.headlines.values()
        return {n: e.units for headline in headlines for n, e in headline.items()}

    def _value(self, cell: Cell, metric: str) -> float:
        found = self.headlines.get(cell.spec.id, {}).get(metric)
        return found.value if found else float("nan")

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
        return stacked(self, Run.rows, 1).assign(gradient(self))

    @property
    def observed(self) -> xr.Dataset:
        """What the task observes at multiples of the stride, like :attr:`dataset`."""
        return stacked(self, Run.observed, self.plan.task.stride)

    @property
    def summary(self) -> xr.Dataset:
        """The headline of every cell: each quantity and its ``_error``."""
        found: dict[str, Any] = {}
        for name, units in self.quantities.items():
            pair, about = np.full((2, *self.shape), np.nan), {"units": units}
            for cell in self.cells:
                estimate = self.headlines.get(cell.spec.id, {}).get(name)
                if estimate:
                    pair[(slice(None), *cell.place)] = estimate[:2]
            found[name] = (self.dims, pair[0], about)
            found[f"{name}_error"] = (self.dims, pair[1], about)
        return xr.Dataset(found, coords=labels(self)).assign(gradient(self))
