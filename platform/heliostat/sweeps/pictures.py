"""Pictures of sweeps: a line, a heat map, or parallel coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError, did_you_mean
from heliostat.plotting import blank, written
from heliostat.sweeps.axes import SEED, Range
from heliostat.sweeps.lineages import COLOURS, label, lineage, scale
from heliostat.sweeps.results import Sweep

KINDS = ("auto", "line", "map", "parallel", "lineage")


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
    axes = blank(output)
    if kind == "lineage":
        lineage(axes, sweep, values, fields[0])
    else:
        {"line": _line, "map": _map, "parallel": _parallel}[kind](axes, values, fields)
    task = sweep.plan.identity["task"]
    axes.set_title(f"{task}, sweep {sweep.id}", fontsize="medium")
    return axes if output is None else written(axes, Path(output))


def _values(sweep: Sweep, metric: str | None) -> xr.DataArray:
    """The number of each cell, on average over the seeds that have it."""
    own = list(sweep.quantities)
    first = sweep.plan.metrics[0].name if sweep.plan.metrics else None
    name = metric or first or next(iter(own), "")
    if name not in own:
        hint = did_you_mean(name, own) or f"; there are {', '.join(own) or 'none'}"
        raise RequestError(f"metric '{name}': no cell has found it{hint}")
    values = sweep.summary[name]
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


def _line(axes: Any, values: xr.DataArray, fields: list[str]) -> None:
    if len(fields) != 1:
        raise RequestError(f"a line is over one field, there are {', '.join(fields)}")
    along = values[fields[0]]
    place, labels, log = scale(along.values)
    order = np.argsort(place)
    axes.plot(np.asarray(place)[order], values.values[order], "o-", lw=1)
    if labels is not None:
        axes.set_xticks(place, labels)
    elif log:
        axes.set_xscale("log")
    axes.set_xlabel(fields[0])
    axes.set_ylabel(label(values))
    axes.grid(alpha=0.25)


def _map(axes: Any, values: xr.DataArray, fields: list[str]) -> None:
    if len(fields) != 2 or set(fields) != set(values.dims):
        told = ", ".join(fields)
        raise RequestError(f"a map is of a grid over two fields, there are {told}")
    down, across = fields
    table = values.transpose(down, across)
    axes.set_facecolor("0.9")  # what was not found
    image = axes.imshow(table.values, cmap=COLOURS, aspect="auto", origin="lower")
    for axis, name in ((axes.xaxis, across), (axes.yaxis, down)):
        axis.set_ticks(
            range(table.sizes[name]), [_spell(v) for v in table[name].values]
        )
        axis.set_label_text(name)
    axes.figure.colorbar(image, ax=axes, label=label(values))
    if table.size <= 100:
        _numbers(axes, table.values, image)


def _numbers(axes: Any, table: np.ndarray, image: Any) -> None:
    """The numbers themselves, dark on light and light on dark."""
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            light = image.norm(value) > 0.6
            colour = "black" if light else "white"
            axes.text(
                column, row, f"{value:.3g}", ha="center", va="center", color=colour
            )


def _parallel(axes: Any, values: xr.DataArray, fields: list[str]) -> None:
    """A line for each cell, coloured by what it found; cells without it are grey."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    flat = values.stack(cell=values.dims)
    found, (_, _, log) = flat.values, scale(flat.dropna("cell").values)
    columns = [scale(flat[name].values) for name in fields]
    heights = [_shares(np.asarray(c[0]), c[2]) for c in columns]
    heights = np.vstack([*heights, _shares(found, log)])
    norm = (LogNorm if log else Normalize)(np.nanmin(found), np.nanmax(found))
    for cell in np.argsort(-heights[-1]):  # the least are drawn last, on top
        known = np.isfinite(found[cell])
        colour = colormaps[COLOURS](norm(found[cell])) if known else "0.8"
        axes.plot(heights[:, cell], color=colour, lw=1.2, alpha=0.8)
    ends = [*(_ends(c) for c in columns), (_spell(norm.vmin), _spell(norm.vmax))]
    for index, (low, high) in enumerate(ends):
        axes.axvline(index, color="k", lw=0.8)
        for height, text, va in ((-0.02, low, "top"), (1.02, high, "bottom")):
            axes.text(index, height, text, ha="center", va=va, fontsize="small")
    logs = [f"{n} (log)" if c[2] else n for n, c in zip(fields, columns, strict=True)]
    axes.set_xticks(range(len(ends)), [*logs, label(values)])
    axes.tick_params(axis="x", pad=16, length=0)
    axes.set_yticks([])
    axes.set_ylim(-0.02, 1.1)
    axes.spines[:].set_visible(False)
    colours = ScalarMappable(norm, COLOURS)
    axes.figure.colorbar(colours, ax=axes, label=label(values))


def _shares(values: np.ndarray, log: bool) -> np.ndarray:
    """Values as shares of their range; the middle, where there is no range."""
    scaled = np.log(values) if log else values.astype(float)
    low, high = np.nanmin(scaled), np.nanmax(scaled)
    return (scaled - low) / (high - low) if high > low else np.full(len(scaled), 0.5)


def _ends(column: tuple[Any, list[str] | None, bool]) -> tuple[str, str]:
    place, labels, _ = column
    if labels is not None:
        return labels[0], labels[-1]
    return _spell(np.min(place)), _spell(np.max(place))


def _spell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)
