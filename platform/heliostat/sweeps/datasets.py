"""Datasets of a sweep: the dims of the cells come before those of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from heliostat import config
from heliostat.store.attributes import netcdf_attrs
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.lazy import LazyStack, variable
from heliostat.sweeps.slabs import slabs_of


def stack_rows(sweep: Findings, group: str, every: int) -> xr.Dataset:
    """Stack one group of all records; each record is read when it is needed.

    Args:
        group: name of the group: of the rows, or of the observations.
        every: steps between two entries of the group.
    """
    outcomes = sweep.outcomes.items()
    entries = {id_: o.steps // every for id_, o in outcomes if o.data}
    full = [cell for cell in sweep.cells if entries.get(cell.id)]
    slabs = slabs_of(full, sweep.runs, group, entries)
    longest = _longest_of_each_shape(full, entries)
    tables = [slab.one for slab in slabs if not longest.isdisjoint(slab.runs)]
    sizes, shape = _largest_sizes(tables), sweep.shape
    variables = {}
    for name in dict.fromkeys(name for table in tables for name in table):
        like = next(table[name] for table in tables if name in table)
        rest = tuple(sizes[dim] for dim in like.dims)
        dtype = like.dtype if like.dtype.kind in "fT" else np.dtype(float)
        array = LazyStack(name, slabs, shape, rest, dtype)
        dims = (*sweep.dims, *map(str, like.dims))
        variables[name] = variable(dims, array, like.attrs)
    coords = {**_coords(tables, sizes), **labels(sweep)}
    return xr.Dataset(variables, coords, attributes(sweep))


def summary(sweep: Findings) -> xr.Dataset:
    """Return the headline of every cell: each number and its ``_error``."""
    variables: dict[str, Any] = {}
    for name, units in sweep.quantities.items():
        pair, attrs = np.full((2, *sweep.shape), np.nan), {"units": units}
        for cell in sweep.cells:
            estimate = sweep.headlines.get(cell.id, {}).get(name)
            if estimate:
                pair[(slice(None), *cell.place)] = estimate[:2]
        variables[name] = (sweep.dims, pair[0], attrs)
        variables[f"{name}_error"] = (sweep.dims, pair[1], attrs)
    return xr.Dataset(variables, labels(sweep), attributes(sweep))


def vectors(sweep: Findings) -> dict[str, xr.DataArray]:
    """Return the vectors that a search gives each run, along dims of their own."""
    arrays = {}
    for name, (dim, entries, long_name, by_run) in sweep.extras.vectors.items():
        values = np.full((*sweep.shape, len(entries)), np.nan)
        for cell in sweep.cells:
            if cell.id in by_run:
                values[cell.place] = by_run[cell.id]
        dims, attrs = (*sweep.dims, dim), {"long_name": long_name}
        arrays[name] = xr.DataArray(values, {dim: list(entries)}, dims, attrs=attrs)
    return arrays


def attributes(sweep: Findings) -> dict[str, Any]:
    """Return the identity of a sweep, for a file that is read without its journal; the
    fields that are varied are under ``over``."""
    plan = sweep.plan
    steps, metrics = plan.length, config.json_value(plan.metrics) or None
    identity = {**plan.identity, "steps": steps, "metrics": metrics}
    return netcdf_attrs({"sweep": sweep.id, **identity})


def labels(sweep: Findings) -> dict[str, Any]:
    """Return the coordinates of the cells: their values, run, state, reason, number of
    retries, and the labels that the search gives them."""
    outcomes = sweep.outcomes
    by_cell: dict[str, Callable[[Cell], Any]] = {
        "run": lambda c: c.id,
        "state": lambda c: outcomes[c.id].state,
        "reason": sweep.reason,
        "retries": lambda c: len(sweep.retries.get(c.id, ())),
    }
    for name, by_run in sweep.extras.labels.items():
        by_cell[name] = lambda c, by_run=by_run: by_run[c.id]
    arrays = {name: (sweep.dims, _by_cell(sweep, of)) for name, of in by_cell.items()}
    return {**_axis_labels(sweep), **arrays}


def _axis_labels(sweep: Findings) -> dict[str, Any]:
    """Return the values of the cells: along their own dim, or along those of trials."""
    coords: dict[str, Any] = {}
    varied = tuple(dim for dim in sweep.dims if dim != SEED)
    for name, axis in sweep.axes.items():
        dims: Any = varied
        if name in sweep.dims:
            dims, values = name, _as_labels(list(axis))
        elif len(varied) == 1:
            by_trial = {c.place[0]: c.values[name] for c in sweep.cells}
            values = _as_labels([by_trial[i] for i in sorted(by_trial)])
        else:
            values = _by_cell(sweep, lambda c, n=name: c.values[n])
        coords[name] = (dims, values, _axis_attributes(sweep, name))
    for dim, size in zip(sweep.dims, sweep.shape, strict=True):
        coords.setdefault(dim, np.arange(size))
    return coords


def _axis_attributes(sweep: Findings, name: str) -> dict[str, str]:
    """Return the help of a field; its last words are the unit, if a variable of the
    task has that unit too."""
    if name == SEED:
        return {"long_name": "seed of the run"}
    task = sweep.plan.task
    text = config.fields_of(type(task))[name].help
    known = {var.units for var in (*task.emits.values(), *task.observes.values())}
    what, _, unit = text.rpartition(", ")
    units = {"units": unit} if what and unit in known else {}
    return {"long_name": (what if units else text) or name, **units}


def _by_cell(sweep: Findings, value: Callable[[Cell], Any]) -> np.ndarray:
    """Return a value of each cell at its place; -1, NaN or "" where there is none."""
    array = _as_labels([value(cell) for cell in sweep.cells])
    empty: Any = {"i": -1, "f": np.nan, "b": False}.get(array.dtype.kind, "")
    kind = array.dtype if array.dtype.kind in "ifb" else np.dtypes.StringDType()
    table = np.full(sweep.shape, empty, kind)
    table[tuple(np.transpose([cell.place for cell in sweep.cells]))] = array
    return table


def _as_labels(values: Sequence[Any]) -> np.ndarray:
    """Return values as a coordinate: numbers or texts as they are, others as texts.

    None among numbers is NaN, so that numbers can be selected, and netCDF holds them.
    """
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds in ({str}, {bool}):
        return np.array(values)
    if kinds - {type(None)} and kinds <= {int, float, type(None)}:
        return np.array([np.nan if value is None else value for value in values])
    return np.array([str(value) for value in values])


def _longest_of_each_shape(
    cells: Sequence[Cell], entries: Mapping[str, int]
) -> set[str]:
    """Return the longest run for each shape that rows may have; floats and seeds do not
    decide on a shape."""
    longest: dict[Any, str] = {}
    for cell in cells:
        shape = tuple(
            (name, value)
            for name, value in cell.values.items()
            if name != SEED and not isinstance(value, float)
        )
        run = longest.setdefault(shape, cell.id)
        if entries[cell.id] > entries[run]:
            longest[shape] = cell.id
    return set(longest.values())


def _largest_sizes(tables: Sequence[xr.Dataset]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for table in tables:
        for dim, size in table.sizes.items():
            sizes[dim] = max(size, sizes.get(dim, 0))
    return sizes


def _coords(tables: Sequence[xr.Dataset], sizes: Mapping[Any, int]) -> dict[Any, Any]:
    """Return the labels of each dim, from the table where it is largest."""
    coords: dict[Any, Any] = {}
    for table in tables:
        for name, array in table.coords.items():
            if array.shape == tuple(sizes[dim] for dim in array.dims):
                coords.setdefault(name, (array.dims, array.values))
    return coords
