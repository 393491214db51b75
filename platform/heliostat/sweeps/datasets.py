"""The tables of many runs as one dataset: dims of the cells before those of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import xarray as xr

from heliostat import config
from heliostat.results.run import Run, netcdf_attrs
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import TRIAL, Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.lazy import LazyStack, variable
from heliostat.sweeps.plan import HYPERGRADIENT

KNOB = "knob"
"""The dim of gradients."""


def stack_rows(sweep: Findings, kind: Any, every: int) -> xr.Dataset:
    """One kind of table of all runs, each read when it is wanted.

    Args:
        kind: the property of runs that has it, with an entry for ``every`` steps.
    """
    read = cache(kind.fget)
    steps = {id_: o.steps for id_, o in sweep.outcomes.items() if o.data}
    full = [cell for cell in sweep.cells if steps.get(cell.spec.id, 0) >= every]
    alike = [read(sweep.runs[id_]) for id_ in _of_each_shape(full, steps)]
    sizes = _largest(alike)
    found = {}
    for name in dict.fromkeys(name for table in alike for name in table):
        like = next(table[name] for table in alike if name in table)
        parts = {
            cell.place: partial(_values, read, sweep.runs[cell.spec.id], name)
            for cell in full
        }
        rest = tuple(sizes[dim] for dim in like.dims)
        dtype = like.dtype if like.dtype.kind in "fT" else np.dtype(float)
        array = LazyStack(parts, sweep.shape, rest, dtype)
        found[name] = variable((*sweep.dims, *map(str, like.dims)), array, like.attrs)
    coords = {**_coords(alike, sizes), **labels(sweep)}
    return xr.Dataset(found, coords, attributes(sweep))


def summary(sweep: Findings) -> xr.Dataset:
    """The headline of every cell: each quantity and its ``_error``."""
    found: dict[str, Any] = {}
    for name, units in sweep.quantities.items():
        pair, about = np.full((2, *sweep.shape), np.nan), {"units": units}
        for cell in sweep.cells:
            estimate = sweep.headlines.get(cell.spec.id, {}).get(name)
            if estimate:
                pair[(slice(None), *cell.place)] = estimate[:2]
        found[name] = (sweep.dims, pair[0], about)
        found[f"{name}_error"] = (sweep.dims, pair[1], about)
    return xr.Dataset(found, labels(sweep), attributes(sweep))


def gradient(sweep: Findings) -> dict[str, xr.DataArray]:
    """That of the validation loss in each cell, along ``knob``; none, if it was not
    searched by."""
    if sweep.plan.search != HYPERGRADIENT:
        return {}
    knobs = [name for name in sweep.axes if name != SEED]
    values = np.full((*sweep.shape, len(knobs)), np.nan)
    for cell in sweep.cells:
        if slope := sweep.slopes.get(cell.spec.id):
            values[cell.place] = [slope.gradient[name] for name in knobs]
    dims, about = (*sweep.dims, KNOB), {"long_name": "d validation / d knob"}
    return {"gradient": xr.DataArray(values, {KNOB: knobs}, dims, attrs=about)}


def attributes(sweep: Findings) -> dict[str, Any]:
    """What a file must say that somebody finds without its sweep: the identity of that
    sweep, in which fields that were varied are under ``over``; as netCDF can hold it.
    """
    plan = sweep.plan
    steps, metrics = plan.length, config.plain(plan.metrics) or None
    known = {**plan.identity, "steps": steps, "metrics": metrics}
    return netcdf_attrs({"sweep": sweep.id, **known})


def labels(sweep: Findings) -> dict[str, Any]:
    """The values of the cells, the id of each run, how it came out and why, and how
    often it was tried again; of a population also which member each segment goes on
    from, -1 for none."""
    plan, found = sweep.plan, dict[str, Any]()
    for name, axis in sweep.axes.items():
        about = _about(sweep, name)
        if name in sweep.dims:
            found[name] = (name, _spelled(list(axis)), about)
        elif plan.bred:
            values = _of_each(sweep, lambda c, n=name: c.values[n])
            found[name] = (sweep.dims, values, about)
        else:
            values = {c.place[0]: c.values[name] for c in sweep.cells}
            found[name] = (TRIAL, _spelled([values[i] for i in sorted(values)]), about)
    for dim, size in zip(sweep.dims, sweep.shape, strict=True):
        found.setdefault(dim, np.arange(size))
    outcomes = sweep.outcomes
    found["run"] = (sweep.dims, _of_each(sweep, lambda c: c.spec.id))
    state = _of_each(sweep, lambda c: outcomes[c.spec.id].state)
    found["state"] = (sweep.dims, state)
    found["reason"] = (sweep.dims, _of_each(sweep, sweep.reason))
    retries = _of_each(sweep, lambda c: len(sweep.retries.get(c.spec.id, ())))
    found["retries"] = (sweep.dims, retries)
    if plan.bred:
        found["source"] = (sweep.dims, _of_each(sweep, partial(_source, sweep)))
    return found


def _about(sweep: Findings, name: str) -> dict[str, str]:
    """The help of a field; its last words are the unit, where variables of the task
    have that one too."""
    if name == SEED:
        return {"long_name": "seed of the run"}
    task = sweep.plan.task
    told = config.fields_of(type(task))[name].help
    known = {var.units for var in (*task.emits.values(), *task.observes.values())}
    what, _, unit = told.rpartition(", ")
    units = {"units": unit} if what and unit in known else {}
    return {"long_name": (what if units else told) or name, **units}


def _of_each(sweep: Findings, one: Callable[[Cell], Any]) -> np.ndarray:
    """A value of each cell, where it lies; -1, NaN or nothing where there is none."""
    values = {cell.place: one(cell) for cell in sweep.cells}
    spelled = _spelled(list(values.values()))
    empty: Any = {"i": -1, "f": np.nan, "b": False}.get(spelled.dtype.kind, "")
    kind = spelled.dtype if spelled.dtype.kind in "ifb" else np.dtypes.StringDType()
    table = np.full(sweep.shape, empty, kind)
    for place, value in zip(values, spelled, strict=True):
        table[place] = value
    return table


def _source(sweep: Findings, cell: Cell) -> int:
    """The member whose segment a cell goes on from."""
    source = sweep.source(cell)
    return source.place[0] if source else -1


def _spelled(values: Sequence[Any]) -> np.ndarray:
    """Values as a coordinate: as they are if all are numbers or texts, else spelled."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds in ({str}, {bool}):
        return np.array(values)
    return np.array([str(value) for value in values])


def _of_each_shape(cells: Sequence[Cell], steps: Mapping[str, int]) -> list[str]:
    """The longest run of each shape that rows may have: no number that is not whole,
    and no seed, is a size of anything."""
    found: dict[Any, str] = {}
    for cell in cells:
        shape = tuple(
            (name, value)
            for name, value in cell.values.items()
            if name != SEED and not isinstance(value, float)
        )
        known = found.setdefault(shape, cell.spec.id)
        if steps[cell.spec.id] > steps[known]:
            found[shape] = cell.spec.id
    return list(found.values())


def _largest(tables: Sequence[xr.Dataset]) -> dict[Any, int]:
    """How far each dim goes in the table where it goes farthest."""
    sizes: dict[Any, int] = {}
    for table in tables:
        for dim, size in table.sizes.items():
            sizes[dim] = max(size, sizes.get(dim, 0))
    return sizes


def _coords(tables: Sequence[xr.Dataset], sizes: Mapping[Any, int]) -> dict[Any, Any]:
    """The labels of each dim, from the table where it goes farthest."""
    found: dict[Any, Any] = {}
    for table in tables:
        for name, labels in table.coords.items():
            if labels.shape == tuple(sizes[dim] for dim in labels.dims):
                found.setdefault(name, (labels.dims, labels.values))
    return found


def _values(read: Callable[[Run], xr.Dataset], run: Run, name: Any) -> np.ndarray:
    return read(run)[name].values
