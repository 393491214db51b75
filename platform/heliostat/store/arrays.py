"""Rows and observations as zarr arrays, created and written by chunk.

Each of the two groups of a record has an array for each variable, with dims ``(cell?,
replica?, step, ...)``, and their coordinates. Rows have an entry for every step,
observations one for every stride.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from heliostat.errors import StoreError
from heliostat.loop.work import Chunk, has_replica_dim, valid_replicas
from heliostat.store import zarr_format
from heliostat.store.damage import as_store_error, with_store_errors
from heliostat.store.zarr_format import (
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
"""Approximate size of a zarr chunk: small enough to be rewritten often."""

EVERY_STEP = "rows"
EVERY_STRIDE = "observed"


class VariableGroup(NamedTuple):
    """A group of a record: its variables, and the steps from one entry to the next."""

    name: str
    variables: Mapping[str, Var]
    every: int

    def entries(self, start: int, stop: int) -> slice:
        """Return the entries of steps (start, stop], from a full stride on."""
        return slice(start // self.every, stop // self.every)

    def arrays(self, chunk: Chunk) -> Mapping[str, np.ndarray]:
        """Return the part of a chunk that belongs to the group."""
        return chunk.rows if self.name == EVERY_STEP else chunk.observed


def rows_group(task: Task) -> VariableGroup:
    """Return the group of a task's rows."""
    return VariableGroup(EVERY_STEP, task.emits, 1)


def observed_group(task: Task) -> VariableGroup:
    """Return the group of a task's observations."""
    return VariableGroup(EVERY_STRIDE, task.observes, task.stride)


def dim_labels(group: VariableGroup, task: Task) -> dict[str, np.ndarray]:
    """Return the labels of the dims of a group that the task's ``coords`` names."""
    dims = {dim for var in group.variables.values() for dim in var.dims}
    text = np.dtypes.StringDType()
    return {d: np.array(list(n), text) for d, n in task.coords.items() if d in dims}


def region(task: Task, block: int, entries: slice) -> tuple[slice, ...]:
    """Return the index of some entries of a block in an array of a run."""
    if not has_replica_dim(task):
        return (entries,)
    first = block * task.width
    return slice(first, first + valid_replicas(task, block)), entries


# -- writing ------------------------------------------------------------------


def write_chunk(
    root: Any, group: VariableGroup, chunk: Chunk, task: Task, until: int
) -> None:
    """Write the part of a chunk that belongs to a group; the first one creates it.

    Args:
        until: planned length of the run, which the arrays get.
    """
    arrays = group.arrays(chunk)
    if not arrays:
        return
    if group.name not in root:
        _create(root, group, arrays, task, until)
    cells, entries = cell_index(chunk), group.entries(chunk.start, chunk.stop)
    index = (*cells, *region(task, chunk.block, entries))
    for name, values in arrays.items():  # (members, replicas, steps, ...)
        values = values if has_replica_dim(task) else values[:, 0]
        array = write_all_chunks(root[group.name][name])
        array[index] = values if cells else values[0]


def resize_group(root: Any, name: str, entries: int, every: int) -> None:
    """Resize a group to a number of entries; drop one that is half made."""
    dim = str(root.attrs["step_dim"])
    if name not in root:
        return
    if dim not in (group := root[name]):  # its coordinate is created last
        del root[name]
        return
    for array in arrays_of(root, name):
        zarr_format.resize_array(array, dim, entries)
    write_all_chunks(group[dim])[:] = every * np.arange(1, entries + 1)


def _create(
    root: Any,
    group: VariableGroup,
    arrays: Mapping[str, np.ndarray],
    task: Task,
    until: int,
) -> None:
    """Create the arrays of variables and coordinates, with the first chunk's shapes."""
    folder, entries = root.create_group(group.name), until // group.every
    lead = leading_axes(root)
    for name, var in group.variables.items():
        _create_array(folder, name, var, arrays[name], group, task, entries, lead)
    for dim in lead.dims:
        create_coordinate(folder, dim, root[dim][:])
    if has_replica_dim(task):
        create_coordinate(folder, task.replica_dim, np.arange(task.replicas))
    steps = group.every * np.arange(1, entries + 1)
    create_coordinate(folder, task.step_dim, steps)
    for dim, labels in dim_labels(group, task).items():
        create_coordinate(folder, dim, labels)


def _create_array(
    folder: Any,
    name: str,
    var: Var,
    values: np.ndarray,
    group: VariableGroup,
    task: Task,
    entries: int,
    lead: LeadingAxes,
) -> None:
    several, sizes = has_replica_dim(task), values.shape[3:]
    length = _chunk_length(task, group, int(np.prod(sizes)))
    text = values.dtype.kind == "T"
    replicas, width = ((task.replicas,), (task.width,)) if several else ((), ())
    folder.create_array(
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


def _chunk_length(task: Task, group: VariableGroup, elements: int) -> int:
    """Return entries per zarr chunk: whole strides, about ``ELEMENTS_PER_CHUNK``."""
    stride = task.stride // group.every
    return stride * max(1, ELEMENTS_PER_CHUNK // max(1, stride * task.width * elements))


# -- reading ------------------------------------------------------------------


def arrays_of(root: Any, name: str) -> list[Any]:
    """Return the arrays of a group; none if there is no such group."""
    if name not in root:
        return []
    members: Any = root[name]
    return [array for _, array in members.arrays()]


def open_group(store: Path, name: str, step_dim: str, entries: int) -> xr.Dataset:
    """Return the first entries of a group, lazily.

    Raises:
        StoreError: if it is damaged; of a damaged part, when that is read.
    """
    options: Any = {"consolidated": False, "chunks": None}
    with as_store_error(f"{store.parent}: the record"):
        # undecoded: attributes that scale or mask would change what digests bind
        data = xr.open_zarr(store, group=name, decode_cf=False, **options)
        for variable, array in data.variables.items():
            if isinstance(array.encoding.get("dtype"), str):  # xarray casts it
                raise ValueError(f"{variable} has an attribute dtype")
        data = data.isel({step_dim: slice(0, entries)})
    return with_store_errors(data, str(store.parent))


def check_files(
    root: Any, store: Path, name: str, entries: int, cells: Collection[int] | None
) -> None:
    """Check that no file of a group's first entries is missing.

    Args:
        cells: cells of a pack whose files must be complete; None for all.

    Raises:
        StoreError: naming the file.
    """
    with as_store_error(f"{store.parent}: the record"):
        for file in _missing_files(root, store, name, entries, cells):
            raise missing_part(file)


def missing_part(path: Path) -> StoreError:
    """Return the error to raise for a part of a record that is not there."""
    return StoreError(f"{path}: this part of the record is missing")


def _missing_files(
    root: Any, store: Path, name: str, entries: int, cells: Collection[int] | None
) -> Iterator[Path]:
    """Yield missing files of first entries: zarr reads them as fill values."""
    step = root.attrs["step_dim"]
    for array in arrays_of(root, name):
        ranges = []
        dims = array.metadata.dimension_names or ()
        for dim, size, chunk in zip(dims, array.shape, array.chunks, strict=True):
            if dim == CELL and cells is not None:
                ranges.append(sorted({cell // chunk for cell in cells}))
            else:
                ranges.append(range(-(-(entries if dim == step else size) // chunk)))
        folder = store / array.path / "c"
        for index in _indices(ranges):
            file = folder.joinpath(*map(str, index))
            if not file.is_file() or not file.stat().st_size:
                yield file


def _indices(ranges: Sequence[Iterable[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the product of ranges, which may be as long as a damaged file says."""
    if not ranges:
        yield ()
        return
    for first in ranges[0]:
        for rest in _indices(ranges[1:]):
            yield (first, *rest)
