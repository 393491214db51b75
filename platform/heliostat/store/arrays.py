"""What a run tells over its steps, as zarr arrays: its rows, and what it observed.

A series is a group of the record: an array for each variable, with dims ``(cell?,
replica?, step, ...)``, and their coordinates.  Rows have an entry for every step, what
a task observes one for every stride.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heliostat.loop.work import Chunk, has_replica_dim, valid_replicas
from heliostat.store import layout
from heliostat.store.layout import (
    CELL,
    CODECS,
    LeadingAxes,
    cell_index,
    create_coordinate,
    leading_axes,
    write_all_chunks,
)
from heliostat.task import Task, Var

ELEMENTS_PER_CHUNK = 4096
"""Elements of an array in one zarr chunk, roughly: small enough to rewrite often."""

EVERY_STEP = "rows"
EVERY_STRIDE = "observed"


class VariableGroup(NamedTuple):
    """The variables of one group, and how many steps lie between two entries."""

    group: str
    variables: Mapping[str, Var]
    every: int

    def entries(self, start: int, stop: int) -> slice:
        """The entries that the steps (start, stop] have; from a full stride on."""
        return slice(start // self.every, stop // self.every)

    def arrays(self, chunk: Chunk) -> Mapping[str, np.ndarray]:
        return chunk.rows if self.group == EVERY_STEP else chunk.observed


def rows_group(task: Task) -> VariableGroup:
    return VariableGroup(EVERY_STEP, task.emits, 1)


def observed_group(task: Task) -> VariableGroup:
    return VariableGroup(EVERY_STRIDE, task.observes, task.stride)


def write_chunk(
    root: Any, series: VariableGroup, chunk: Chunk, task: Task, until: int
) -> None:
    """The part of a chunk that belongs to a series; the first one lays it out."""
    arrays = series.arrays(chunk)
    if not arrays:
        return
    if series.group not in root:
        _create(root, series, arrays, task, until)
    cells, group = cell_index(chunk), root[series.group]
    entries = series.entries(chunk.start, chunk.stop)
    where = (*cells, *region(task, chunk.block, entries))
    for name, values in arrays.items():
        values = values if has_replica_dim(task) else values[:, 0]
        write_all_chunks(group[name])[where] = values if cells else values[0]


def region(task: Task, block: int, entries: slice) -> tuple[slice, ...]:
    """Where in an array of a run some entries of a block are."""
    if not has_replica_dim(task):
        return (entries,)
    first = block * task.width
    return slice(first, first + valid_replicas(task, block)), entries


def resize_group(root: Any, group: str, entries: int, every: int) -> None:
    """Give a series room for so many entries; one that is half made is dropped."""
    dim = str(root.attrs["step_dim"])
    if group not in root:
        return
    if dim not in (found := root[group]):  # its coordinate is laid out last
        del root[group]
        return
    for array in arrays_of(root, group):
        layout.resize_array(array, dim, entries)
    write_all_chunks(found[dim])[:] = every * np.arange(1, entries + 1)


def missing_files(
    root: Any, store: Path, group: str, entries: int, cell: int | None = None
) -> Iterator[Path]:
    """Files of the first entries that are not there: zarr would read fill values.

    Args:
        cell: of a pack, if only its own files matter.
    """
    step = root.attrs["step_dim"]
    for array in arrays_of(root, group):
        ranges = []
        dims = array.metadata.dimension_names or ()
        for dim, size, chunk in zip(dims, array.shape, array.chunks, strict=True):
            if dim == CELL and cell is not None:
                ranges.append([cell // chunk])
            else:
                ranges.append(range(-(-(entries if dim == step else size) // chunk)))
        folder = store / array.path / "c"
        for index in itertools.product(*ranges):
            file = folder.joinpath(*map(str, index))
            if not file.is_file() or not file.stat().st_size:
                yield file


def arrays_of(root: Any, group: str) -> list[Any]:
    """The arrays of a group, or none where there is no such group."""
    if group not in root:
        return []
    members: Any = root[group]
    return [array for _, array in members.arrays()]


def _create(
    root: Any,
    series: VariableGroup,
    arrays: Mapping[str, np.ndarray],
    task: Task,
    until: int,
) -> None:
    """Arrays for variables and coordinates, shaped as the first chunk is."""
    group, entries = root.create_group(series.group), until // series.every
    lead = leading_axes(root)
    for name, var in series.variables.items():
        _create_array(group, name, var, arrays[name], series, task, entries, lead)
    for dim in lead.dims:
        create_coordinate(group, dim, root[dim][:])
    if has_replica_dim(task):
        create_coordinate(group, task.replica_dim, np.arange(task.replicas))
    labels = series.every * np.arange(1, entries + 1)
    create_coordinate(group, task.step_dim, labels)
    for dim, names in dim_labels(series, task).items():
        create_coordinate(group, dim, names)


def dim_labels(series: VariableGroup, task: Task) -> dict[str, np.ndarray]:
    """The names of entries along dims of a series, where its task names them."""
    dims = {dim for var in series.variables.values() for dim in var.dims}
    text = np.dtypes.StringDType()
    return {d: np.array(list(n), text) for d, n in task.coords.items() if d in dims}


def _create_array(
    group: Any,
    name: str,
    var: Var,
    values: np.ndarray,
    series: VariableGroup,
    task: Task,
    entries: int,
    lead: LeadingAxes,
) -> None:
    several, sizes = has_replica_dim(task), values.shape[3:]
    length = _chunk_length(task, series, int(np.prod(sizes)))
    text = values.dtype.kind == "T"
    replicas, width = ((task.replicas,), (task.width,)) if several else ((), ())
    group.create_array(
        name,
        shape=(*lead.shape, *replicas, entries, *sizes),
        chunks=tuple(max(1, c) for c in (*lead.chunks, *width, length, *sizes)),
        dtype=str if text else values.dtype,
        fill_value="" if text else (np.nan if values.dtype.kind == "f" else 0),
        compressors=CODECS,
        dimension_names=[
            *lead.dims,
            *([task.replica_dim] if several else []),
            task.step_dim,
            *var.dims,
        ],
        attributes={
            "units": var.units,
            "long_name": var.about or name,
            **({"known": " ".join(var.known)} if var.known else {}),
        },
    )


def _chunk_length(task: Task, series: VariableGroup, elements: int) -> int:
    """Entries in one zarr chunk: of whole strides, about ``CHUNK_ELEMENTS`` numbers."""
    stride = task.stride // series.every
    return stride * max(1, ELEMENTS_PER_CHUNK // max(1, stride * task.width * elements))
