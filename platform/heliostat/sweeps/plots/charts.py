"""What pictures of sweeps show: a line, a heat map, parallel coordinates, a lineage.

Each draws on given axes the number that every cell has found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError
from heliostat.sweeps.axes import Range
from heliostat.sweeps.plots.scales import COLOURS, Scale, label, norm, scale, spell
from heliostat.sweeps.results import Sweep


def line(axes: Any, sweep: Sweep, values: xr.DataArray, fields: Sequence[str]) -> None:
    """Over one field."""
    if len(fields) != 1:
        raise RequestError(f"a line is over one field, there are {', '.join(fields)}")
    along = scale(values[fields[0]].values, _given(sweep, fields[0]))
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
    axes: Any, sweep: Sweep, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """Of a grid over two fields."""
    if len(fields) != 2 or set(fields) != set(values.dims):
        told = ", ".join(fields)
        raise RequestError(f"a map is of a grid over two fields, there are {told}")
    down, across = fields
    table = values.transpose(down, across)
    axes.set_facecolor("0.9")  # what was not found
    shown = {"cmap": COLOURS, "norm": norm(table.values)}
    image = axes.imshow(table.values, aspect="auto", origin="lower", **shown)
    for axis, name in ((axes.xaxis, across), (axes.yaxis, down)):
        axis.set_ticks(range(table.sizes[name]), [spell(v) for v in table[name].values])
        axis.set_label_text(name)
    axes.figure.colorbar(image, ax=axes, label=label(values))
    if table.size <= 100:
        _numbers(axes, table.values, image)


def _numbers(axes: Any, table: np.ndarray, image: Any) -> None:
    """The numbers themselves, dark on light and light on dark."""
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "black" if image.norm(value) > 0.6 else "white"
            middle = {"ha": "center", "va": "center", "color": colour}
            axes.text(column, row, f"{value:.3g}", **middle)


def parallel(
    axes: Any, sweep: Sweep, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """A line for each cell, coloured by what it found; cells without it are grey."""
    flat = values.stack(cell=values.dims)
    colours = _colours(axes, values)
    found = Scale(flat.values, None, scale(flat.dropna("cell").values).log)
    columns = [scale(flat[name].values, _given(sweep, name)) for name in fields]
    columns.append(found)
    heights = np.vstack([column.shares() for column in columns])
    for cell in np.argsort(-heights[-1]):  # the least are drawn last, on top
        known = np.isfinite(found.places[cell])
        colour = colours.to_rgba(found.places[cell]) if known else "0.8"
        axes.plot(heights[:, cell], color=colour, lw=1.2, alpha=0.8)
    _upright(axes, columns)
    logs = zip(fields, columns, strict=False)
    names = [f"{name} (log)" if column.log else name for name, column in logs]
    axes.set_xticks(range(len(columns)), [*names, label(values)])


def _upright(axes: Any, columns: Sequence[Scale]) -> None:
    """An axis for each column, side by side, with its marks above, below and beside."""
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
"""Behind what is written where lines go."""

BESIDE = {0.0: ("center", "top", (0, -5)), 1.0: ("center", "bottom", (0, 5))}
"""How the ends of an axis are written: alignment, and points off it."""


def _given(sweep: Sweep, field: str) -> Sequence[Any]:
    """The values of a field in the order that they were given in."""
    axis = sweep.axes[field]
    return () if isinstance(axis, Range) else axis


def lineage(
    axes: Any, sweep: Sweep, values: xr.DataArray, fields: Sequence[str]
) -> None:
    """The first field of a population, generation by generation.

    A line from each segment to those that go on from it, coloured by what these have
    found; those that the best goes back to are drawn thick.
    """
    if not sweep.plan.bred:
        raise RequestError("kind 'lineage': it is for a population, scheduler pbt")
    field, colours = fields[0], _colours(axes, values)
    down = scale(values[field].values.ravel(), _given(sweep, field))
    heights = down.places.reshape(values.shape)
    generations = np.indices(values.shape)[1]
    found = colours.to_rgba(values.values.ravel())
    axes.scatter(generations.ravel(), down.places, c=found, s=12)
    best = {cell.spec.id for cell in sweep.lineage()}
    for cell in sweep.cells:
        ends = [(c.place[1], heights[c.place]) for c in (sweep.source(cell), cell) if c]
        about = {"color": colours.to_rgba(values.values[cell.place]), "zorder": 0}
        width = 2.5 if cell.spec.id in best else 0.8
        axes.plot(*zip(*ends, strict=True), lw=width, **about)
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
    """Which colour each number has, with the bar that says so."""
    from matplotlib.cm import ScalarMappable

    found = ScalarMappable(norm(values.values), COLOURS)
    axes.figure.colorbar(found, ax=axes, label=label(values))
    return found
