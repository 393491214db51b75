"""The cells of a sweep as tables: a line each, in order, or on average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from heliostat.errors import RequestError, did_you_mean
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.plan import Metric
from heliostat.task import Estimate

if TYPE_CHECKING:
    from heliostat.sweeps.results import Sweep


def lines(sweep: Sweep) -> pd.DataFrame:
    """A line per cell: its values, its run, how that came out and what it found."""
    found = []
    for cell in sweep.cells:
        outcome = sweep.outcomes[cell.spec.id]
        line = {**sweep.called(cell), "run": cell.spec.id, "state": outcome.state}
        line |= {"steps": outcome.steps, "reason": outcome.reason}
        for name, one in sweep.headlines.get(cell.spec.id, {}).items():
            line |= {name: one.value, f"{name}_error": one.error}
        found.append(line)
    return pd.DataFrame(found)


def failures(sweep: Sweep) -> pd.DataFrame:
    """A line per failed cell: its values, run, reason, retries and traceback."""
    found = [
        {**sweep.called(cell), "run": cell.spec.id, "reason": outcome.reason}
        | {"retries": outcome.retries, "traceback": outcome.traceback}
        for cell in sweep.cells
        if (outcome := sweep.outcomes[cell.spec.id]).state == "failed"
    ]
    columns = [*sweep.axes, "run", "reason", "retries", "traceback"]
    return pd.DataFrame(found, columns=None if found else columns)


def ordered(sweep: Sweep, metric: Metric) -> list[Cell]:
    """The cells, the best first; behind those that came to their end the others."""
    sign = 1 if metric.mode == "min" else -1

    def rank(cell: Cell) -> tuple[bool, float]:
        value = sign * value_of(sweep, cell, metric.name)
        early = sweep.outcomes[cell.spec.id].state != "done"
        return early, value if np.isfinite(value) else np.inf

    return sorted(sweep.cells, key=rank)


def best(sweep: Sweep, metric: Metric) -> Cell:
    """The cell that has found the least, or the largest.

    Raises:
        RequestError: if no cell has found such a number.
    """
    first = next(iter(ordered(sweep, metric)), None)
    if first and np.isfinite(value_of(sweep, first, metric.name)):
        return first
    known = sorted(sweep.quantities)
    hint = did_you_mean(metric.name, known)
    hint = hint or f"; there are {', '.join(known) or 'none'}"
    raise RequestError(f"metric: no cell has found '{metric.name}'{hint}")


def average(sweep: Sweep) -> dict[str, Estimate]:
    """Each quantity on average over the cells, with the standard error of that."""
    found = {}
    for name, units in sweep.quantities.items():
        values = np.array([value_of(sweep, cell, name) for cell in sweep.cells])
        values = values[np.isfinite(values)]
        n = max(1, len(values))
        error = values.std(ddof=1) / n**0.5 if n > 1 else np.nan
        mean = values.mean() if len(values) else np.nan
        source = f"mean of {len(values)} cells"
        found[name] = Estimate(float(mean), float(error), units, source)
    return found


def value_of(sweep: Sweep, cell: Cell, metric: str) -> float:
    """What a cell has found; NaN for nothing."""
    found = sweep.headlines.get(cell.spec.id, {}).get(metric)
    return found.value if found else float("nan")
