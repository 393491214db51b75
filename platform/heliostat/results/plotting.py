"""Plot a variable of a run, with its reference values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from heliostat.answer import Estimate, warnings_of
from heliostat.errors import RequestError, did_you_mean
from heliostat.kernels.diagnostics import convergence
from heliostat.results import figures
from heliostat.results.figures import save_figure
from heliostat.results.lookup import as_run
from heliostat.results.run import Run
from heliostat.task import Task

KINDS = ("trace", "rank", "energy")

Rows = TypeVar("Rows", xr.Dataset, xr.DataArray)


def plot(
    run: str | Run,
    var: str | None = None,
    output: str | Path | None = None,
    *,
    kind: str = "trace",
    store: str | Path | None = None,
) -> Any:
    """Plot one variable of a run, with the reference values of its task.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        var: a variable of the rows; default the first number that the task emits.
        output: a file to write (its ending says the format); default none.
        kind: ``trace`` shows all steps.  The other kinds drop the warm-up: ``rank``
            compares the ranks of chains, ``energy`` is the marginal distribution.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.

    Returns:
        The path that was written, or the matplotlib Axes.

    Raises:
        RequestError: for an unknown kind or variable, for a text, for ranks of a
            single chain, or if the file cannot be written.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, steps=20, on="here")
        >>> axes = hs.plot(run, "lp", kind="rank")
        >>> axes.get_title().split()[0]
        'discrete'
    """
    run = as_run(run, store)
    if kind not in KINDS:
        known = f"expected {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        raise RequestError(f"kind '{kind}': {known}{did_you_mean(kind, KINDS)}")
    data = _variable(run, var)
    if kind == "rank":
        _check_rankable(run, data)
    axes, title = new_axes(output), f"{run.spec.identity['task']} {run.id}"
    if kind == "trace":
        _draw_trace(axes, run, data)
    else:
        title += _draw_settled(axes, run, data, kind)
    _legend_below(axes)
    figures.title(axes, title, warnings_of(run.headline))
    return axes if output is None else save_figure(axes.figure, output)


def after_warmup(rows: Rows, task: Task) -> Rows:
    """Drop the warm-up of rows: the task's ``warmup`` steps, at least half of all.

    Example:
        >>> rows = xr.Dataset({"x": ("step", np.arange(10.0))})
        >>> after_warmup(rows, Task()).x.values
        array([5., 6., 7., 8., 9.])
    """
    warmup = int(getattr(task, "warmup", None) or 0)
    late = convergence.after_warmup(rows.sizes[task.step_dim], warmup)
    return rows.isel({task.step_dim: late})


def _variable(run: Run, var: str | None) -> xr.DataArray:
    rows = run.rows
    name = var or _first_numeric(run.task)
    name = f"{name}_" if f"{name}_" in rows else name
    if name not in rows:
        hint = did_you_mean(name, map(str, rows.data_vars)) if rows.sizes else ""
        raise RequestError(f"run {run.id} has no rows of '{name}'{hint}")
    data = rows[name].load()
    if data.dtype.kind not in "iufb":
        raise RequestError(f"'{name}' is text; only numbers can be plotted")
    return data


def _first_numeric(task: Task) -> str:
    """Return the first variable of a row that is no text, as the default of a plot."""
    numeric = (name for name, var in task.emits.items() if var.dtype != "str")
    return next(numeric, next(iter(task.emits)))


def _check_rankable(run: Run, data: xr.DataArray) -> None:
    """Check that ranks are defined: one finite number of each of several chains."""
    task = run.task
    more = [str(d) for d in data.dims if d not in (task.replica_dim, task.step_dim)]
    if data.sizes.get(task.replica_dim, 1) < 2:
        raise RequestError(f"ranks compare {task.replica_dim}s, and {run.id} has one")
    if more:
        raise RequestError(f"'{data.name}' has an axis '{more[0]}'; ranks want numbers")
    if not np.isfinite(data).all():
        raise RequestError(f"'{data.name}' is not finite everywhere; ranks are of all")


def new_axes(output: str | Path | None) -> Any:
    """Return axes of a new figure: of pyplot for a notebook, without it for a file."""
    if output is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=(8, 4.5), layout="constrained")[1]
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 4.5), layout="constrained").subplots()


def _draw_trace(axes: Any, run: Run, data: xr.DataArray) -> None:
    """Draw a line over steps for each replica and each other dim."""
    step = run.task.step_dim
    lines = data.transpose(step, ...).values.reshape(data.sizes[step], -1)
    lines = lines.astype(np.float64)
    figures.trace(axes, data[step].values, lines)
    axes.set_xlabel(step)
    axes.set_ylabel(_label(data))
    axes.grid(alpha=0.25)
    _draw_references(axes, data, run, "y")


def _draw_settled(axes: Any, run: Run, data: xr.DataArray, kind: str) -> str:
    """Draw what follows the warm-up; return its extent for the title."""
    task, late = run.task, after_warmup(data, run.task)
    replica, step = task.replica_dim, task.step_dim
    if not late.sizes[step]:
        raise RequestError(f"all {data.sizes[step]} {step}s of {run.id} are warm-up")
    late = late if replica in late.dims else late.expand_dims(replica)
    values = late.transpose(replica, step, ...).values.astype(np.float64)
    chains = values.reshape(len(values), -1)
    if kind == "rank":
        names = late.coords.get(replica, range(len(chains)))
        figures.rank(axes, chains, [int(name) for name in names], replica)
    else:
        figures.marginal(axes, chains, replica)
        axes.set_xlabel(_label(data))
        _draw_references(axes, data, run, "x")
    many = f" of {len(values)} {replica}s" if len(values) > 1 else ""
    first, last = data.sizes[step] - late.sizes[step] + 1, data.sizes[step]
    return f": {late.sizes[step]} {step}s ({first}–{last}){many}"


def _legend_below(axes: Any) -> None:
    """Place the legend outside the axes, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        place = {"loc": "outside lower center", "ncols": min(3, len(handles))}
        axes.figure.legend(handles, labels, fontsize="small", frameon=False, **place)


def _label(data: xr.DataArray) -> str:
    unit = data.attrs.get("units", "1")
    about = data.attrs.get("long_name", data.name)
    return f"{about} ({unit})" if unit != "1" else str(about)


def _draw_references(axes: Any, data: xr.DataArray, run: Run, along: str) -> None:
    """Draw the run's own value as a band, and reference values as dashed lines.

    Args:
        along: the axis of the variable's values, ``x`` or ``y``.
    """
    line = axes.axhline if along == "y" else axes.axvline
    span = axes.axhspan if along == "y" else axes.axvspan
    unit, own = data.attrs.get("units"), run.headline.get(str(data.name))
    low, high = getattr(axes, f"get_{along}lim")()
    for index, (label, entry) in enumerate(_references_for(data, run).items()):
        low, high = min(low, entry.value), max(high, entry.value)
        style = {"ls": "--", "lw": 1.2, "color": f"C{index + 1}"}
        line(entry.value, label=f"{label}: {entry.source}", **style)
    if own is not None and own.units == unit and own.source == "this run":
        line(own.value, color="k", lw=1, label=f"this run: {own}")
        if np.isfinite(own.error):
            span(own.value - own.error, own.value + own.error, color="k", alpha=0.15)
    margin = 0.03 * (high - low)
    getattr(axes, f"set_{along}lim")(low - margin, high + margin)


def _references_for(data: xr.DataArray, run: Run) -> dict[str, Estimate]:
    """Return the references that share a variable's unit and name no other variable."""
    variables = {**run.rows.data_vars, **run.observed.data_vars}
    named = {str(n): v.attrs.get("known", "").split() for n, v in variables.items()}
    own = named.get(str(data.name), [])
    others = {label for labels in named.values() for label in labels} - {*own}
    return {
        label: entry
        for label, entry in run.headline.items()
        if entry.units == data.attrs.get("units")
        and entry.source != "this run"
        and label not in others
    }
