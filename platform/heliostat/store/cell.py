"""Cells of a pack: read as records of runs, and unpacked to continue alone."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.config import Spec
from heliostat.errors import StoreError
from heliostat.loop.state import NamedArrays
from heliostat.loop.work import Chunk
from heliostat.store import blocks
from heliostat.store.checkpoints import Checkpoints
from heliostat.store.damage import as_store_error
from heliostat.store.events import EventLog
from heliostat.store.files import Markers
from heliostat.store.pack import Pack
from heliostat.store.record import Record
from heliostat.store.zarr_format import CELL
from heliostat.task import Task


class CellRecord(Record):
    """One cell of a pack, read as the record of a run."""

    cell: int

    def __init__(self, pack: Pack, cell: int) -> None:
        self.pack, self.cell = pack, cell
        super().__init__(pack.task_folder / pack.ids[cell])

    @cached_property
    def checkpoints(self) -> Checkpoints:
        return _CellCheckpoints(self.pack, self.cell)

    @cached_property
    def log(self) -> EventLog:
        return _CellEvents(self.pack.log.path, self.cell)

    @property
    def folder(self) -> Path:
        return self.pack.path

    @property
    def spec(self) -> Spec:
        return self.pack.specs[self.cell]

    @property
    def attrs(self) -> dict[str, Any]:
        attrs, id_ = self.pack.attrs, self.id
        if isinstance(errors := attrs.get("headline_errors"), dict):
            attrs["headline_errors"] = errors.get(id_)
        if (headline := self.pack.headlines.get(id_)) is not None:
            attrs["headline"] = headline
        return attrs

    @property
    def _markers(self) -> Markers:
        return self.pack._markers

    def _root(self, mode: Any) -> Any:
        if mode != "r":
            raise StoreError(f"{self.path.name} lies in {self.folder}, which writes it")
        return self.pack._root(mode)

    def read(self, name: str, index: Any) -> Any:
        with as_store_error(f"{self.path}: {name}"):
            array = self._root("r")[name]
            if CELL not in array.metadata.dimension_names[:1] or name == CELL:
                return array[index]
            within = index if isinstance(index, tuple) else (index,)
            return array[(self.cell, *within)]

    def table(
        self, group: str, entries: int, cells: Collection[int] | None = None
    ) -> xr.Dataset:
        data = super().table(group, entries, [self.cell])
        return data.isel({CELL: self.cell}, drop=True) if CELL in data.dims else data


class _CellCheckpoints(Checkpoints):
    """The kept states of one cell, out of those of the cells computed with it."""

    def __init__(self, pack: Pack, cell: int) -> None:
        super().__init__(pack.checkpoints.folder)
        self.pack, self.cell = pack, cell

    def load(self, block: int, step: int) -> dict[str, np.ndarray]:
        stored = super().load(self.pack.sequence(self.cell, block), step)
        member = self.cell % self.pack.members_together
        return {name: array[member] for name, array in stored.items()}

    def steps(self, block: int) -> list[int]:
        return super().steps(self.pack.sequence(self.cell, block))

    def save(self, block: int, step: int, state: NamedArrays) -> None:
        raise StoreError(f"states of a pack are written by its driver: {self.folder}")


class _CellEvents(EventLog):
    """The events of one cell, and those of its whole pack."""

    def __init__(self, path: Path, cell: int) -> None:
        super().__init__(path)
        self.cell = cell

    def events(self, name: str = "") -> list[dict[str, Any]]:
        return [e for e in super().events(name) if self._concerned(e.get("cells"))]

    def _concerned(self, cells: Any) -> bool:
        match cells:
            case [int(first), int(stop)]:
                return first <= self.cell < stop
        return cells is None


def pack_cells(pack: Pack) -> list[CellRecord]:
    """Return the records of all cells, in their order."""
    return [CellRecord(pack, i) for i in range(len(pack.specs))]


def extract_cell(cell: CellRecord, task: Task) -> Record:
    """Create a record of its own for a cell, so that it can continue alone.

    The record has the rows, digests and kept states of the cell. The pack stays as it
    is; from now on the record is found first.
    """
    record = Record.create(cell.path, cell.spec, task, cell.attrs)
    left_out = ("event", "cells")
    record.log.extend(
        (event["event"], {k: v for k, v in event.items() if k not in left_out})
        for event in cell.log.events()
    )
    committed = cell.committed
    record.allocate(int(committed.max()), task.stride)
    for block, stop in enumerate(committed.tolist()):
        kept = [step for step in cell.checkpoints.steps(block) if step <= stop]
        for pair in pairwise([0, *kept]):
            chunk = _stored_chunk(cell, task, block, *pair)
            record.commit(chunk, task, int(committed.max()))
    return record


def _stored_chunk(
    cell: CellRecord, task: Task, block: int, start: int, stop: int
) -> Chunk:
    """Return a block between two kept states as the chunk that it was computed as."""
    strides = [stride for stride, _ in cell.strides(block, task.stride)]
    return Chunk(
        block,
        start,
        stop,
        _one_member(blocks.rows(cell, task, block, start, stop)),
        (tuple(stride for stride in strides if start < stride.stop <= stop),),
        cell.load_state(block, stop),
        seconds=0.0,
        observed=_one_member(blocks.observed(cell, task, block, start, stop)),
    )


def _one_member(arrays: NamedArrays) -> NamedArrays:
    return {name: array[None] for name, array in arrays.items()}
