"""The cells of a sweep as tables, and on average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.trials import mean
from heliostat.task import Estimate


def lines(sweep: Findings) -> pd.DataFrame:
    """A line per cell: its values, its run, how that came out and what it found."""
    found = []
    for cell in sweep.cells:
        line = _called(sweep, cell)
        for name, one in sweep.headlines[cell.spec.id].items():
            line |= {name: one.value, f"{name}_error": one.error}
        found.append(line)
    return pd.DataFrame(found)


def failures(sweep: Findings) -> pd.DataFrame:
    """A line per cell that failed, or was tried again, as in :func:`lines`."""
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


def average(sweep: Findings) -> dict[str, Estimate]:
    """Each quantity on average over the cells; with the error of that where they differ
    in their seeds alone, since values that somebody chose are no sample."""
    found, drawn = {}, set(sweep.axes) <= {SEED}
    headlines = [sweep.headlines[cell.spec.id] for cell in sweep.cells]
    for name, units in sweep.quantities.items():
        told = [headline[name] for headline in headlines if name in headline]
        finite = [one for one in told if np.isfinite(one.value)]
        nothing = Estimate(np.nan, units=units, source="mean of 0 cells")
        told = mean(finite, "cells") if finite else nothing
        found[name] = told if drawn else told._replace(error=np.nan)
    return found
