"""Pictures of runs: rows over steps, with what they are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError, StoreError, did_you_mean
from heliostat.stored import Run, as_run
from heliostat.task import Estimate

LINES = 24
"""Replicas drawn one by one; of more, the median and the central 90 % are drawn."""


def plot(
    run: str | Run,
    var: str | None = None,
    output: str | Path | None = None,
    *,
    store: str | Path | None = None,
) -> Any:
    """Draw one variable of a run over its steps, with the run's own references.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        var: a variable of the rows; default the first that the task emits.
        output: a file to write (its ending says the format); default none.

    Returns:
        The path that was written, or the matplotlib Axes.

    Raises:
        RequestError: for an unknown variable, or one that is no number.
        StoreError: if the file cannot be written.
    """
    run = as_run(run, store)
    rows = run.rows
    name = var or next(iter(run.task.emits))
    if name not in rows:
        hint = did_you_mean(name, map(str, rows.data_vars)) if rows.sizes else ""
        raise RequestError(f"run {run.id} has no rows of '{name}'{hint}")
    data = rows[name].load()
    if data.dtype.kind not in "iufb":
        raise RequestError(f"'{name}' is text; only numbers can be plotted")
    axes = _axes(output)
    _draw(axes, data, run.task.step_dim, run.task.replica_dim)
    _references(axes, name, data, run.headline)
    axes.set_title(f"{run.spec.identity['task']} {run.id}", fontsize="medium")
    if output is None:
        return axes
    try:
        axes.figure.savefig(output, dpi=150)
    except (OSError, ValueError) as error:
        raise StoreError(f"{output} cannot be written: {error}") from error
    return Path(output)


def _axes(output: str | Path | None) -> Any:
    """Axes of a figure of its own: pyplot's for a notebook, a bare one for a file."""
    if output is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=(8, 4.5), layout="constrained")[1]
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 4.5), layout="constrained").subplots()


def _draw(axes: Any, data: xr.DataArray, step: str, replica: str) -> None:
    """Lines over steps; other dims become lines too, many of them a band."""
    steps = data[step].values
    rest = [d for d in data.dims if d != step]
    lines = data.transpose(step, *rest).values.reshape(len(steps), -1)
    if lines.shape[1] > LINES:
        low, middle, high = np.nanpercentile(lines, [5, 50, 95], axis=1)
        axes.fill_between(
            steps, low, high, alpha=0.3, label=f"90 % of {lines.shape[1]}"
        )
        axes.plot(steps, middle, lw=1, label="median")
    else:
        thin = {"lw": 0.8, "alpha": 1 / (1 + 0.05 * lines.shape[1])}
        axes.plot(steps, lines, **thin)
    axes.set_xlabel(step)
    axes.set_ylabel(_label(data))
    axes.set_ylim(*_limits(lines))
    axes.grid(alpha=0.25)


def _label(data: xr.DataArray) -> str:
    unit = data.attrs.get("units", "1")
    about = data.attrs.get("long_name", data.name)
    return f"{about} ({unit})" if unit != "1" else str(about)


def _limits(lines: np.ndarray) -> tuple[float | None, float | None]:
    """Room for all but the steep beginning, which would flatten the rest."""
    late = lines[lines.shape[0] // 10 :]
    late = late[np.isfinite(late)]
    if not late.size or late.min() == late.max():
        return None, None
    low, high = np.percentile(late, [0.1, 99.5])
    room = 0.08 * max(high - low, 1e-12)
    return low - room, high + room


def _references(
    axes: Any, name: str, data: xr.DataArray, headline: dict[str, Estimate]
) -> None:
    """The run's own value as a band; what it is compared with as dashed lines."""
    unit = data.attrs.get("units")
    own = headline.get(name)
    low, high = axes.get_ylim()
    for index, (label, entry) in enumerate(headline.items()):
        if entry.units != unit or entry.source == "this run":
            continue
        low, high = min(low, entry.value), max(high, entry.value)
        style = {"ls": "--", "lw": 1.2, "color": f"C{index + 1}"}
        axes.axhline(entry.value, label=f"{label}: {entry.source}", **style)
    if own is not None and own.units == unit and own.source == "this run":
        axes.axhline(own.value, color="k", lw=1, label=f"this run: {own}")
        if np.isfinite(own.error):
            span = (own.value - own.error, own.value + own.error)
            axes.axhspan(*span, color="k", alpha=0.15)
    margin = 0.03 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", loc="upper right")
