"""The picture of a population: a field over its generations, and who goes on from whom;
and how all pictures of sweeps scale, colour and label what they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from heliostat.errors import RequestError
from heliostat.sweeps.results import Sweep

COLOURS = "viridis"


def lineage(axes: Any, sweep: Sweep, values: xr.DataArray, field: str) -> None:
    """A line from each segment to those that go on from it, coloured by what these have
    found; those that the best goes back to are drawn thick.

    Raises:
        RequestError: for a sweep that is no population.
    """
    from matplotlib.colors import LogNorm, Normalize

    if not sweep.plan.bred:
        raise RequestError("kind 'lineage': it is for a population, scheduler pbt")
    heights, labels, log = scale(values[field].values.ravel())
    height = np.reshape(heights, values.shape)
    found = values.values.ravel()
    *_, decades = scale(found[np.isfinite(found)])
    norm = LogNorm() if decades else Normalize()
    image = axes.scatter(*_points(height), c=found, cmap=COLOURS, norm=norm, s=12)
    best = {cell.spec.id for cell in sweep.lineage()}
    for cell in sweep.cells:
        line = [sweep.source(cell) or cell, cell]
        ends = [(c.place[1], height[c.place]) for c in line]
        colour = image.cmap(image.norm(values.values[cell.place]))
        width = 2.5 if cell.spec.id in best else 0.8
        axes.plot(*zip(*ends, strict=True), color=colour, lw=width, zorder=0)
    axes.figure.colorbar(image, ax=axes, label=label(values))
    if labels is not None:
        axes.set_yticks(range(len(labels)), labels)
    elif log:
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("generation")
    axes.set_ylabel(field)
    axes.grid(alpha=0.25)


def _points(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Generation and height of each segment."""
    return np.indices(height.shape)[1].ravel(), height.ravel()


def scale(values: np.ndarray) -> tuple[Any, list[str] | None, bool]:
    """Where values lie on an axis: as they are, or numbered; and whether by decades."""
    if values.dtype.kind not in "iuf":
        names = list(dict.fromkeys(map(str, values)))
        return [names.index(str(v)) for v in values], names, False
    positive = len(values) and values.min() > 0 and values.max() > 30 * values.min()
    return values.astype(float), None, bool(positive)


def label(values: xr.DataArray) -> str:
    unit = values.attrs.get("units", "1")
    return f"{values.name} ({unit})" if unit != "1" else str(values.name)
