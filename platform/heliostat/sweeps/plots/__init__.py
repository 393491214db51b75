"""Plots of sweeps: a number of the headline over the fields that are varied.

``charts`` draws them, with axes, colours and labels from ``scales``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError, did_you_mean
from heliostat.results.figures import save_figure, title
from heliostat.results.plotting import new_axes
from heliostat.sweeps import datasets
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.plots import charts

CHARTS = {
    "line": charts.line,
    "map": charts.heat_map,
    "parallel": charts.parallel,
    "lineage": charts.lineage,
}

KINDS = ("auto", *CHARTS)


def plot(
    sweep: Findings,
    metric: str | None = None,
    output: str | Path | None = None,
    *,
    kind: str = "auto",
) -> Any:
    """Plot a number of the headline over the fields that are varied; the mean over
    seeds.

    Args:
        sweep: with at least one finite number.
        metric: default that of the sweep, else the first number of its headlines.
        output: a file to write (its ending decides on the format); default none.
        kind: ``line`` over one field, ``map`` over two fields of a grid, ``parallel``
            has an axis for each field and a line for each cell; ``lineage`` the first
            field of a population, generation by generation; ``auto`` the first that
            can show all.

    Returns:
        The path of the file, or the matplotlib Axes.

    Raises:
        RequestError: for an unknown kind or number, or a kind that cannot show it; or
            if the file cannot be written.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> over = {"coupling": [0.2, 0.4], "seed": range(2)}
        >>> grid = hs.sweep(task, over=over, steps=20, on="here")
        >>> plot(grid, "magnetisation", "magnetisation.png").name
        'magnetisation.png'
    """
    if kind not in KINDS:
        known = f"expected {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        raise RequestError(f"kind '{kind}': {known}{did_you_mean(kind, KINDS)}")
    values = _values(sweep, metric)
    fields = [name for name in sweep.axes if name != SEED]
    kind = sweep.search.chart(len(fields)) if kind == "auto" else kind
    axes = new_axes(output)
    CHARTS[kind](axes, sweep, values, fields)
    task = sweep.plan.identity["task"]
    title(axes, f"{task}, sweep {sweep.id}", sweep.warnings)
    return axes if output is None else save_figure(axes.figure, output)


def _values(sweep: Findings, metric: str | None) -> xr.DataArray:
    """Return the number of each cell, as the mean over the seeds that have it."""
    known = list(sweep.quantities)
    first = sweep.plan.metrics[0].name if sweep.plan.metrics else None
    name = metric or first or next(iter(known), "")
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known) or 'none'}"
        raise RequestError(f"metric '{name}': no cell has found it{hint}")
    array = datasets.summary(sweep)[name]
    values = array.where(lambda v: np.isfinite(v))
    if values.isnull().all():
        raise RequestError(f"metric '{name}': no cell has found a finite number")
    if SEED in values.dims:
        finite = values.notnull().any(SEED)
        values = values.fillna(0).sum(SEED) / values.count(SEED).where(finite)
    return values.rename(name).assign_attrs(array.attrs)
