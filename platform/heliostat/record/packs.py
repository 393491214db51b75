"""Many cells of one task in one record: runs that differ in seeds and knobs only.

    STORE/<task>/packs/<pack id>/
      pack.json       what defines each cell, by its id
      record.zarr/    as that of a run, with an axis of cells before all others
      checkpoints/    kept states, those of a slab in one file
      headlines.json  what each cell found
      events.jsonl

Every cell is a run with an id and chains of its own: it is found, read and verified as
if it had a record of its own, at the path where that would be.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat import config
from heliostat.checkpoint import Checkpoints, State
from heliostat.config import Spec
from heliostat.errors import StoreError
from heliostat.grid import LANES, Chunk, Job, Lane, Slab, Span, blocks_of
from heliostat.log import Log
from heliostat.record import Find, Record, damage, layout
from heliostat.record.layout import CELL, lay_out
from heliostat.task import Task

FOLDER = "packs"
FILE = "pack.json"
ID = re.compile("[0-9a-f]{16}")


def id_of(cells: Sequence[str]) -> str:
    """The id of a pack: that of the set of its cells."""
    return hashlib.sha256("\n".join(sorted(cells)).encode()).hexdigest()[:16]


def create(
    path: Path,
    specs: Sequence[Spec],
    task: Task,
    about: Mapping[str, Any],
    lanes: int = LANES,
) -> None:
    """Lay out a new pack, of slabs of so many cells; it appears at ``path`` whole or
    not at all.

    Raises:
        StoreError: if the store cannot be written.
    """
    cells = {spec.id: spec._asdict() for spec in specs}
    text = json.dumps({"cells": cells}, separators=(",", ":"))
    lay_out(path, FILE, text, task, about, list(cells), lanes)


class Pack(Record):
    """Cells side by side; its driver brings all of them to the same length.

    Args:
        tasks: of its cells, in their order; only who drives it needs them.
    """

    def __init__(self, path: Path, tasks: Sequence[Task] = ()) -> None:
        super().__init__(path)
        self.tasks = tasks

    @cached_property
    def specs(self) -> list[Spec]:
        """What defines each cell.

        Raises:
            StoreError: if the file is damaged, or not of this pack.
        """
        file = self.path / FILE
        with damage(f"{file}: the specs"):
            text = file.read_bytes()
            cells = json.loads(text)["cells"]
            specs = [Spec(c["identity"], c["passed"]) for c in cells.values()]
            ids = [spec.id for spec in specs]
        digests = (ids, id_of(ids), hashlib.sha256(text).hexdigest())
        if digests != (list(cells), self.path.name, self.attrs.get("spec_sha256")):
            raise StoreError(f"{file}: the specs are damaged (a digest differs)")
        return specs

    # -- writing ----------------------------------------------------------------

    def job(self, task: Task, until: int) -> Job:
        """What is left to do of every slab, from its last state on a full stride."""
        committed, spans = self.committed, []
        for first in range(0, len(self.specs), self._lanes):
            lanes = self._slab(first)
            for block in range(blocks_of(task)):
                number = self.number(first, block)
                come = int(committed[first, block])
                start = self._resumes_at(number, come, task.stride)
                load = partial(self.checkpoints.load, number, start)
                spans.append(Span(block, start, until, load if start else None, lanes))
        identity = self.specs[0].identity
        return Job(task, identity["seed"], identity["x64"], tuple(spans))

    def _slab(self, first: int) -> tuple[Lane, ...]:
        cells = range(first, min(first + self._lanes, len(self.specs)))
        return tuple(
            Lane(self.specs[i].identity["seed"], config.knobs(self.tasks[i]), i)
            for i in cells
        )

    @cached_property
    def _lanes(self) -> int:
        """Cells in one slab, as it was laid out."""
        return layout.lead_of(self._root("r")).chunks[0]

    def number(self, cell: int, block: int) -> int:
        """Which sequence of states a block of a cell is in."""
        blocks = self._marks.shape[1]
        return cell // self._lanes * blocks + block

    def _number(self, chunk: Chunk | Slab) -> int:
        assert isinstance(chunk, Slab)
        return self.number(chunk.lanes[0].cell, chunk.block)

    def _geneses(self, chunk: Chunk | Slab) -> Sequence[str]:
        assert isinstance(chunk, Slab)
        return [self.specs[lane.cell].genesis for lane in chunk.lanes]

    def conclude(self, task: Task, find: Find) -> dict[str, Any]:
        """What each cell found, in a file of its own: the rows are read once."""
        found = {}
        if self.steps:
            cells = zip(self.specs, self.tasks, self._by_cell(), strict=True)
            found = {spec.id: find(task, rows) for spec, task, rows in cells}
        unfinished = self.path / "headlines.partial"
        unfinished.write_text(json.dumps(found))
        unfinished.replace(self.path / "headlines.json")
        return {}

    def _by_cell(self) -> list[xr.Dataset]:
        """The rows of each cell, in memory."""
        rows = self.rows().load()
        first, tables = rows.isel({CELL: 0}, drop=True), rows.data_vars.items()
        values = {name: table.values for name, table in tables}
        return [
            first.copy(data={name: table[i] for name, table in values.items()})
            for i in range(rows.sizes[CELL])
        ]

    # -- reading ----------------------------------------------------------------

    @property
    def headlines(self) -> dict[str, Any]:
        """What each cell found, by its id."""
        file = self.path / "headlines.json"
        if not file.exists():
            return {}
        with damage(f"{file}: what cells found"):
            return dict(_json(file, file.stat().st_mtime_ns))

    def cells(self) -> list[Cell]:
        return [Cell(self, i) for i in range(len(self.specs))]


class Cell(Record):
    """One cell of a pack, read as the record of a run."""

    cell: int

    def __init__(self, pack: Pack, cell: int) -> None:
        self.pack, self.cell = pack, cell
        super().__init__(pack.path.parents[1] / self.spec.id)
        self.checkpoints = _States(pack, cell)
        self.log = _Events(pack.log.path, cell)

    @property
    def home(self) -> Path:
        return self.pack.path

    @property
    def spec(self) -> Spec:
        return self.pack.specs[self.cell]

    @property
    def attrs(self) -> dict[str, Any]:
        headline = self.pack.headlines.get(self.spec.id)
        return self.pack.attrs | ({} if headline is None else {"headline": headline})

    @property
    def _marks(self) -> Any:
        return self.pack._marks

    def _root(self, mode: Any) -> Any:
        if mode != "r":
            raise StoreError(f"{self.path.name} lies in {self.home}, which writes it")
        return self.pack._root(mode)

    def _read(self, name: str, where: Any) -> Any:
        with damage(f"{self.path}: {name}"):
            array = self._root("r")[name]
            if CELL not in array.metadata.dimension_names[:1] or name == CELL:
                return array[where]
            within = where if isinstance(where, tuple) else (where,)
            return array[(self.cell, *within)]

    def _open(self, group: str, entries: int) -> xr.Dataset:
        data = super()._open(group, entries)
        return data.isel({CELL: self.cell}, drop=True) if CELL in data.dims else data


class _States(Checkpoints):
    """The kept states of one cell, among those of its slabs."""

    def __init__(self, pack: Pack, cell: int) -> None:
        super().__init__(pack.checkpoints.folder)
        self.pack, self.cell = pack, cell

    def load(self, block: int, step: int) -> dict[str, np.ndarray]:
        stored = super().load(self.pack.number(self.cell, block), step)
        lane = self.cell % self.pack._lanes
        return {name: array[lane] for name, array in stored.items()}

    def steps(self, block: int) -> list[int]:
        return super().steps(self.pack.number(self.cell, block))

    def save(self, block: int, step: int, state: State) -> None:
        raise StoreError(f"states of a pack are written by its driver: {self.folder}")


class _Events(Log):
    """What happened to one cell, and to all of its pack."""

    def __init__(self, path: Path, cell: int) -> None:
        super().__init__(path)
        self.cell = cell

    def events(self) -> list[dict[str, Any]]:
        return [e for e in super().events() if self._concerned(e.get("cells"))]

    def _concerned(self, cells: list[int] | None) -> bool:
        return cells is None or cells[0] <= self.cell < cells[1]


# -- finding ----------------------------------------------------------------------


def opened(path: Path) -> Record:
    """The record of a run at its path; if there is none, its cell of a pack."""
    if path.exists():
        return Record(path)
    for pack in _around(path):
        if path.name in (ids := ids_in(pack)):
            return Cell(_pack(pack, _stamp(pack)), ids.index(path.name))
    return Record(path)


def exists(path: Path) -> bool:
    """Whether a run is stored, in a record of its own or in a pack."""
    return path.exists() or any(path.name in ids_in(pack) for pack in _around(path))


def _around(path: Path) -> list[Path]:
    """Where a run could be a cell: the packs of its task."""
    return packs_in(path.parents[1], path.parent.name)


def packed(store: Path) -> list[Path]:
    """The paths of all cells of a store, where their runs would be."""
    return [p.parents[1] / id_ for p in packs_in(store) for id_ in ids_in(p)]


def packs_in(store: Path, task: str = "*") -> list[Path]:
    """The packs of a store, or of one task in it."""
    return sorted(p.parent for p in store.glob(f"{task}/{FOLDER}/[!.]*/{FILE}"))


def ids_in(pack: Path) -> list[str]:
    """The ids of the cells of a pack; none, if one is no id: they become paths."""
    try:
        ids = list(_json(pack / FILE, _stamp(pack))["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return ids if all(ID.fullmatch(str(id_)) for id_ in ids) else []


def _stamp(pack: Path) -> int:
    return (pack / FILE).stat().st_mtime_ns


@lru_cache(maxsize=8)
def _pack(path: Path, stamp: int) -> Pack:
    """Opened once for all of its cells."""
    return Pack(path)


@lru_cache(maxsize=16)
def _json(file: Path, stamp: int) -> Any:
    return json.loads(file.read_bytes())


# -- leaving ----------------------------------------------------------------------


def unpack(cell: Cell, task: Task) -> Record:
    """A record of its own for a cell, so that it can go on alone.

    It has the rows, digests and kept states that the cell has; the pack stays as it
    is, and from now on the record comes first.
    """
    record = Record.create(cell.path, cell.spec, task, cell.attrs)
    for event in cell.log.events():
        record.log.tell(**{k: v for k, v in event.items() if k != "cells"})
    come = cell.committed
    record.allocate(int(come.max()), task.stride)
    for block, stop in enumerate(come.tolist()):
        kept = [step for step in cell.checkpoints.steps(block) if step <= stop]
        for pair in pairwise([0, *kept]):
            record.commit(_stored(cell, task, block, *pair), task, int(come.max()))
    return record


def _stored(cell: Cell, task: Task, block: int, start: int, stop: int) -> Chunk:
    """What is stored of a block between two kept states, as it was computed."""
    strides = [stride for stride, _ in cell.strides(block, task.stride)]
    return Chunk(
        block,
        start,
        stop,
        cell.block_rows(task, block, start, stop),
        tuple(stride for stride in strides if start < stride.stop <= stop),
        cell.checkpoints.load(block, stop),
        seconds=0.0,
        observed=cell.block_observed(task, block, start, stop),
    )
