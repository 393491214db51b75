"""Charts of sweeps: a line, a heat map, parallel coordinates, a lineage.

Each draws the number of every cell on given axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError
from heliostat.sweeps import trials
from heliostat.sweeps.axes import Range
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.plots.scales import COLOURS, Scale, label, norm, scale, spell
from heliostat.sweeps.search.pbt import GENERATION


def line(
    axes: Any, sweep: Findings, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """Draw a line over one field."""
    if len(fields) != 1:
        raise RequestError(f"a line is over one field, there are {', '.join(fields)}")
    along = scale(values[fields[0]].values, _listed(sweep, fields[0]))
    order = np.argsort(along.places)
    axes.plot(along.places[order], values.values[order], "o-", lw=1)
    if along.names is not None:
        axes.set_xticks(range(len(along.names)), along.names)
    elif along.log:
        axes.set_xscale("log")
    axes.set_xlabel(fields[0])
    axes.set_ylabel(label(values))
    axes.grid(alpha=0.25)


def heat_map(
    axes: Any, sweep: Findings, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """Draw a heat map of a grid over two fields."""
    if len(fields) != 2 or set(fields) != set(values.dims):
        names = ", ".join(fields)
        raise RequestError(f"a map is of a grid over two fields, there are {names}")
    down, across = fields
    table = values.transpose(down, across)
    axes.set_facecolor("0.9")  # of missing cells
    colours = {"cmap": COLOURS, "norm": norm(table.values)}
    image = axes.imshow(table.values, aspect="auto", origin="lower", **colours)
    for axis, name in ((axes.xaxis, across), (axes.yaxis, down)):
        axis.set_ticks(range(table.sizes[name]), [spell(v) for v in table[name].values])
        axis.set_label_text(name)
    axes.figure.colorbar(image, ax=axes, label=label(values))
    if table.size <= 100:
        _numbers(axes, table.values, image)


def _numbers(axes: Any, table: np.ndarray, image: Any) -> None:
    """Write the numbers, dark on light and light on dark."""
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "black" if image.norm(value) > 0.6 else "white"
            middle = {"ha": "center", "va": "center", "color": colour}
            axes.text(column, row, f"{value:.3g}", **middle)


def parallel(
    axes: Any, sweep: Findings, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """Draw a line for each cell, coloured by its number; cells without one are grey."""
    flat = values.stack(cell=values.dims)
    colours = _colours(axes, values)
    numbers = Scale(flat.values, None, scale(flat.dropna("cell").values).log)
    columns = [scale(flat[name].values, _listed(sweep, name)) for name in fields]
    columns.append(numbers)
    heights = np.vstack([column.shares() for column in columns])
    for cell in np.argsort(-heights[-1]):  # the smallest come last, on top
        number = numbers.places[cell]
        colour = colours.to_rgba(number) if np.isfinite(number) else "0.8"
        axes.plot(heights[:, cell], color=colour, lw=1.2, alpha=0.8)
    _upright(axes, columns)
    logs = zip(fields, columns, strict=False)
    names = [f"{name} (log)" if column.log else name for name, column in logs]
    axes.set_xticks(range(len(columns)), [*names, label(values)])


def _upright(axes: Any, columns: Sequence[Scale]) -> None:
    """Draw an axis for each column, with its marks above, below and beside."""
    for index, column in enumerate(columns):
        axes.plot([index, index], [0, 1], color="k", lw=0.8)
        for height, text in column.marks():
            ha, va, off = BESIDE.get(height, ("left", "center", (6, 0)))
            style = {"fontsize": "small", "bbox": WHITE, "ha": ha, "va": va}
            place = {"xytext": off, "textcoords": "offset points"}
            axes.annotate(text, (index, height), **place, **style)
    axes.tick_params(axis="x", pad=4, length=0)
    axes.set_yticks([])
    axes.set_ylim(-0.06, 1.1)
    axes.spines[:].set_visible(False)


WHITE = {"fc": "w", "ec": "none", "alpha": 0.8, "pad": 0.8}
"""Box behind text on lines."""

BESIDE = {0.0: ("center", "top", (0, -5)), 1.0: ("center", "bottom", (0, 5))}
"""Text at the ends of an axis: alignment, and offset in points."""


def _listed(sweep: Findings, field: str) -> Sequence[Any]:
    """Return the listed values of a field, in their order; nothing of a range."""
    axis = sweep.axes[field]
    return () if isinstance(axis, Range) else axis


def lineage(
    axes: Any, sweep: Findings, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """Draw the first field of a population, generation by generation.

    A line leads from each segment to those that continue it, coloured by the number of
    the latter; the lineage of the best is thick.
    """
    if GENERATION not in sweep.dims:
        raise RequestError("kind 'lineage': it is for a population, scheduler pbt")
    field, colours = fields[0], _colours(axes, values)
    down = scale(values[field].values.ravel(), _listed(sweep, field))
    heights = down.places.reshape(values.shape)
    generations = np.indices(values.shape)[1]
    dots = colours.to_rgba(values.values.ravel())
    axes.scatter(generations.ravel(), down.places, c=dots, s=12)
    best = trials.best_trial(sweep, sweep.plan.metrics[0]).cells[0]
    thick = {cell.id for cell in trials.lineage(sweep, best)}
    for cell in sweep.cells:
        ends = [(c.place[1], heights[c.place]) for c in (sweep.source(cell), cell) if c]
        style = {"color": colours.to_rgba(values.values[cell.place]), "zorder": 0}
        width = 2.5 if cell.id in thick else 0.8
        axes.plot(*zip(*ends, strict=True), lw=width, **style)
    _label_lineage(axes, down, field)


def _label_lineage(axes: Any, down: Scale, field: str) -> None:
    if down.names is not None:
        axes.set_yticks(range(len(down.names)), down.names)
    elif down.log:
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("generation")
    axes.set_ylabel(field)
    axes.grid(alpha=0.25)


def _colours(axes: Any, values: xr.DataArray) -> Any:
    """Return the colours of numbers, and draw their bar."""
    from matplotlib.cm import ScalarMappable

    colours = ScalarMappable(norm(values.values), COLOURS)
    axes.figure.colorbar(colours, ax=axes, label=label(values))
    return colours
