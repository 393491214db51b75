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
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import xarray as xr

from heliostat import config
from heliostat.config import Spec
from heliostat.errors import StoreError
from heliostat.loop.state import State
from heliostat.loop.work import MAX_MEMBERS, Chunk, Job, Member, Span, block_count
from heliostat.store import layout
from heliostat.store.layout import CELL, create_folder
from heliostat.store.record import HeadlineFunction, Record, as_store_error
from heliostat.task import Task

PACKS_FOLDER = "packs"
PACK_FILE = "pack.json"


def pack_id(cells: Sequence[str]) -> str:
    """The id of a pack: that of the set of its cells."""
    return hashlib.sha256("\n".join(sorted(cells)).encode()).hexdigest()[:16]


def create_pack(
    path: Path,
    specs: Sequence[Spec],
    task: Task,
    about: Mapping[str, Any],
    lanes: int = MAX_MEMBERS,
) -> None:
    """Lay out a new pack, of slabs of so many cells; it appears at ``path`` whole or
    not at all.

    Raises:
        StoreError: if the store cannot be written.
    """
    cells = {spec.id: spec._asdict() for spec in specs}
    text = json.dumps({"cells": cells}, separators=(",", ":"))
    create_folder(path, PACK_FILE, text, task, about, list(cells), lanes)


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
        file = self.path / PACK_FILE
        with as_store_error(f"{file}: the specs"):
            text = file.read_bytes()
            cells = json.loads(text)["cells"]
            specs = [Spec(c["identity"], c["passed"]) for c in cells.values()]
            ids = [spec.id for spec in specs]
        digests = (ids, pack_id(ids), hashlib.sha256(text).hexdigest())
        if digests != (list(cells), self.path.name, self.attrs.get("spec_sha256")):
            raise StoreError(f"{file}: the specs are damaged (a digest differs)")
        return specs

    # -- writing ----------------------------------------------------------------

    def job(self, task: Task, until: int) -> Job:
        """What is left to do of every slab, from its last state on a full stride."""
        committed, spans = self.committed, []
        for first in range(0, len(self.specs), self._lanes):
            lanes = self._slab(first)
            for block in range(block_count(task)):
                number = self.number(first, block)
                come = int(committed[first, block])
                start = self._resumes_at(number, come, task.stride)
                load = partial(self.checkpoints.load, number, start)
                spans.append(Span(block, start, until, load if start else None, lanes))
        identity = self.specs[0].identity
        return Job(task, identity["seed"], identity["x64"], tuple(spans))

    def _slab(self, first: int) -> tuple[Member, ...]:
        cells = range(first, min(first + self._lanes, len(self.specs)))
        return tuple(
            Member(
                self.specs[i].identity["seed"], config.traced_fields(self.tasks[i]), i
            )
            for i in cells
        )

    @cached_property
    def _lanes(self) -> int:
        """Cells in one slab, as it was laid out."""
        return layout.leading_axes(self._root("r")).chunks[0]

    def number(self, cell: int, block: int) -> int:
        """Which sequence of states a block of a cell is in."""
        blocks = self._marks.shape[1]
        return cell // self._lanes * blocks + block

    def _number(self, chunk: Chunk) -> int:
        assert chunk.cells is not None
        return self.number(chunk.cells.start, chunk.block)

    def _geneses(self, chunk: Chunk) -> Sequence[str]:
        return [spec.genesis for spec in self.specs[chunk.cells or slice(None)]]

    def _stored_state(self, chunk: Chunk) -> State:
        return chunk.state

    def headline_attrs(self, task: Task, find: HeadlineFunction) -> dict[str, Any]:
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
        with as_store_error(f"{file}: what cells found"):
            return dict(read_json(file, file.stat().st_mtime_ns))


@lru_cache(maxsize=16)
def read_json(file: Path, stamp: int) -> Any:
    """What stands in a file of that time of change."""
    return json.loads(file.read_bytes())
