"""Pictures of sweeps: which one shows what was varied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError, did_you_mean
from heliostat.results.figures import save_figure
from heliostat.results.plotting import new_axes
from heliostat.sweeps.axes import SEED, Range
from heliostat.sweeps.plots import charts
from heliostat.sweeps.results import Sweep

CHARTS = {
    "line": charts.line,
    "map": charts.heat_map,
    "parallel": charts.parallel,
    "lineage": charts.lineage,
}

KINDS = ("auto", *CHARTS)


def plot(
    sweep: Sweep,
    metric: str | None = None,
    output: str | Path | None = None,
    *,
    kind: str = "auto",
) -> Any:
    """Draw a number of the headline over what was varied; the mean, where seeds were.

    Args:
        metric: default that of the sweep, else the first that its cells have found.
        output: a file to write (its ending says the format); default none.
        kind: ``line`` over one field, ``map`` over two fields of a grid, ``parallel``
            has an axis for each field and a line for each cell; ``lineage`` the first
            field of a population, generation by generation; ``auto`` the first that
            can show all.

    Returns:
        The path that was written, or the matplotlib Axes.

    Raises:
        RequestError: for an unknown kind or number, or a kind that cannot show it.
        StoreError: if the file cannot be written.
    """
    if kind not in KINDS:
        known = f"expected {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        raise RequestError(f"kind '{kind}': {known}{did_you_mean(kind, KINDS)}")
    values = _values(sweep, metric)
    fields = [name for name in sweep.axes if name != SEED]
    kind = _kind(sweep, fields) if kind == "auto" else kind
    axes = new_axes(output)
    CHARTS[kind](axes, sweep, values, fields)
    task = sweep.plan.identity["task"]
    axes.set_title(f"{task}, sweep {sweep.id}", fontsize="medium")
    return axes if output is None else save_figure(axes.figure, output)


def _values(sweep: Sweep, metric: str | None) -> xr.DataArray:
    """The number of each cell, on average over the seeds that have it."""
    own = list(sweep.quantities)
    first = sweep.plan.metrics[0].name if sweep.plan.metrics else None
    name = metric or first or next(iter(own), "")
    if name not in own:
        hint = did_you_mean(name, own) or f"; there are {', '.join(own) or 'none'}"
        raise RequestError(f"metric '{name}': no cell has found it{hint}")
    values = sweep.summary[name].where(lambda v: np.isfinite(v))
    if values.isnull().all():
        raise RequestError(f"metric '{name}': no cell has found a finite number")
    if SEED in values.dims:
        finite = values.notnull().any(SEED)
        values = values.fillna(0).sum(SEED) / values.count(SEED).where(finite)
    return values.rename(name).assign_attrs(sweep.summary[name].attrs)


def _kind(sweep: Sweep, fields: list[str]) -> str:
    if sweep.plan.bred:
        return "lineage"
    listed = not any(isinstance(sweep.axes[name], Range) for name in fields)
    if len(fields) < 2:
        return "line"
    return "map" if len(fields) == 2 and listed and not sweep.plan.drawn else "parallel"
