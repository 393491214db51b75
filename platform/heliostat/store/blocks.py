"""Stored rows of one block, as a chunk had them: for replays and verification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliostat.loop import state
from heliostat.loop.work import has_replica_dim
from heliostat.store.arrays import (
    VariableGroup,
    arrays_of,
    dim_labels,
    observed_group,
    region,
    rows_group,
)
from heliostat.store.damage import as_store_error
from heliostat.store.record import Record
from heliostat.store.zarr_format import CELL
from heliostat.task import Task

Arrays = dict[str, np.ndarray]


def rows(record: Record, task: Task, block: int, start: int, stop: int) -> Arrays:
    """Return the rows of steps (start, stop], each ``(replicas, steps, ...)``.

    Raises:
        StoreError: if a part of them is damaged.
    """
    return _read(record, rows_group(task), task, block, start, stop)


def observed(record: Record, task: Task, block: int, start: int, stop: int) -> Arrays:
    """Return the observations of full strides, each ``(replicas, strides, ...)``.

    Raises:
        StoreError: if a part of them is damaged.
    """
    if start // task.stride == stop // task.stride:
        return {}
    return _read(record, observed_group(task), task, block, start, stop)


def rows_digest(record: Record, task: Task, block: int, start: int, stop: int) -> bytes:
    """Return the digest of one stride's rows, recomputed from the disk."""
    interval = (record, task, block, start, stop)
    return state.rows_digest(rows(*interval), observed(*interval))


def coordinates(record: Record, task: Task) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the labels of every coordinate, by its path: stored, and expected."""
    labels = {}
    for group in (rows_group(task), observed_group(task)):
        if group.variables and record.steps >= group.every:
            for dim in _dims(group, task):
                path = f"{group.name}/{dim}"
                stored = np.asarray(record.read(path, slice(None)))
                labels[path] = stored, _expected(group, task, dim, len(stored))
    return labels


def declarations(record: Record, task: Task) -> dict[str, tuple[str, str]]:
    """Return dims and units of every variable, by its path: stored, and declared."""
    texts = {}
    for group in (rows_group(task), observed_group(task)):
        if record.steps < group.every:
            continue
        labels = {CELL, *_dims(group, task)}
        names = _names(record, group.name)
        for name in {*group.variables, *names - labels}:
            path = f"{group.name}/{name}"
            stored = _axes_text(*_axes(record, path)) if name in names else "missing"
            texts[path] = stored, _declared_axes(group, name, task)
    return texts


def _declared_axes(group: VariableGroup, name: str, task: Task) -> str:
    if name not in group.variables:
        return "not declared"
    var = group.variables[name]
    return _axes_text((*_replica_dims(task), task.step_dim, *var.dims), var.units)


def _names(record: Record, group: str) -> set[str]:
    """Return the names of the arrays of a group, coordinates included; maybe none."""
    with as_store_error(f"{record.path}: {group}"):
        return {array.basename for array in arrays_of(record.root, group)}


def _axes(record: Record, name: str) -> tuple[tuple[str, ...], str]:
    """Return the dims and the unit that an array is stored with."""
    with as_store_error(f"{record.path}: {name}"):
        array = record.root[name]
        dims = array.metadata.dimension_names or ()
        return tuple(d for d in dims if d != CELL), str(array.attrs.get("units"))


def _axes_text(dims: Sequence[str], units: str) -> str:
    return f"({', '.join(dims)}) in {units}"


def _dims(group: VariableGroup, task: Task) -> list[str]:
    return [task.step_dim, *_replica_dims(task), *dim_labels(group, task)]


def _replica_dims(task: Task) -> list[str]:
    return [task.replica_dim] if has_replica_dim(task) else []


def _expected(group: VariableGroup, task: Task, dim: str, length: int) -> np.ndarray:
    if dim == task.step_dim:
        return group.every * np.arange(1, length + 1)
    return (
        np.arange(length) if dim == task.replica_dim else dim_labels(group, task)[dim]
    )


def _read(
    record: Record, group: VariableGroup, task: Task, block: int, start: int, stop: int
) -> Arrays:
    index = region(task, block, group.entries(start, stop))
    arrays = {
        name: np.asarray(record.read(f"{group.name}/{name}", index))
        for name in group.variables
    }
    if has_replica_dim(task):
        return arrays
    return {name: array[None] for name, array in arrays.items()}
