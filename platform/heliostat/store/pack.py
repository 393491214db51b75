"""A pack: many runs of one task in one record, which differ in traced fields and seeds.

::

    STORE/<task>/packs/<pack id>/
      pack.json       the definition of each cell, by its id
      record.zarr/    as that of a run, with an axis of cells before all others
      checkpoints/    kept states, those of cells computed together in one file
      headlines.json  the headline of each cell
      events.jsonl

Every cell is a run with an id and a digest chain of its own. It is found, read and
verified as if it had a record of its own, at the path where that would be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import xarray as xr

from heliostat.config import Spec, traced_fields
from heliostat.loop.state import NamedArrays
from heliostat.loop.work import MAX_MEMBERS, Chunk, Job, Member, Span, block_count
from heliostat.store.attributes import check_headline
from heliostat.store.damage import as_store_error
from heliostat.store.definition import pack_text, read_specs
from heliostat.store.record import HeadlineFunction, Record
from heliostat.store.zarr_format import (
    CELL,
    create_folder,
    leading_axes,
)
from heliostat.task import Task

PACKS_FOLDER = "packs"
PACK_FILE = "pack.json"


def create_pack(
    path: Path,
    specs: Sequence[Spec],
    task: Task,
    about: Mapping[str, Any],
    members: int = MAX_MEMBERS,
) -> None:
    """Create the files of a new pack; they appear all at once or not at all.

    Args:
        specs: specs of its cells.
        about: attributes of the record.
        members: cells that are computed together.

    Raises:
        StoreError: if the store cannot be written.
    """
    cells = [spec.id for spec in specs]
    create_folder(path, PACK_FILE, pack_text(specs), task, about, cells, members)


class Pack(Record):
    """Runs side by side; the driver brings all of them to the same length.

    Args:
        tasks: tasks of its cells, in their order; only a driver needs them.
    """

    def __init__(self, path: Path, tasks: Sequence[Task] = ()) -> None:
        super().__init__(path)
        self.tasks = tasks

    @cached_property
    def specs(self) -> list[Spec]:
        """The definition of each cell.

        Raises:
            StoreError: if the file is damaged, or of another pack.
        """
        file, sha256 = self.path / PACK_FILE, self.attrs.get("spec_sha256")
        return read_specs(file, self.path.name, sha256)

    # -- writing ------------------------------------------------------------------

    def job(self, task: Task, until: int) -> Job:
        """Return the work left: each block from its last state on a full stride."""
        committed, spans = self.committed, []
        for first in range(0, len(self.specs), self.members_together):
            members = self._members(first)
            for block in range(block_count(task)):
                sequence = self.sequence(first, block)
                come = int(committed[first, block])
                start = self._resume_step(sequence, come, task.stride)
                load = partial(self.checkpoints.load, sequence, start)
                state = load if start else None
                spans.append(Span(block, start, until, state, members))
        identity = self.specs[0].identity
        return Job(task, identity["seed"], identity["x64"], tuple(spans))

    def _members(self, first: int) -> tuple[Member, ...]:
        """Return the cells that are computed together, from the first one on."""
        cells = range(first, min(first + self.members_together, len(self.specs)))
        return tuple(
            Member(self.specs[i].identity["seed"], traced_fields(self.tasks[i]), i)
            for i in cells
        )

    @cached_property
    def members_together(self) -> int:
        """Number of cells that are computed together, fixed when it was created."""
        return leading_axes(self._root("r")).chunks[0]

    def sequence(self, cell: int, block: int) -> int:
        """Return the number of the sequence of checkpoints of a block of a cell."""
        blocks = self._markers.shape[1]
        return cell // self.members_together * blocks + block

    def _sequence(self, chunk: Chunk) -> int:
        return self.sequence(_cells(chunk).start, chunk.block)

    def _geneses(self, chunk: Chunk) -> Sequence[str]:
        return [spec.genesis for spec in self.specs[_cells(chunk)]]

    def _state_of(self, chunk: Chunk) -> NamedArrays:
        return chunk.state

    def headline_attrs(self, task: Task, headline: HeadlineFunction) -> dict[str, Any]:
        """Write the headline of each cell to a file: the rows are read once.

        Returns:
            Attributes with the errors of headlines, by the id of their cell.
        """
        attrs = {}
        if self.steps:
            cells = zip(self.specs, self.tasks, self._rows_by_cell(), strict=True)
            attrs = {spec.id: headline(task, rows) for spec, task, rows in cells}
        unfinished = self.path / "headlines.partial"
        unfinished.write_text(json.dumps({i: a["headline"] for i, a in attrs.items()}))
        unfinished.replace(self.path / "headlines.json")
        errors = {i: e for i, a in attrs.items() if (e := a.get("headline_errors"))}
        return {"headline_errors": errors or None}

    def _rows_by_cell(self) -> list[xr.Dataset]:
        """Return the rows of each cell, in memory."""
        rows = self.rows().load()
        first, tables = rows.isel({CELL: 0}, drop=True), rows.data_vars.items()
        values = {name: table.values for name, table in tables}
        return [
            first.copy(data={name: table[i] for name, table in values.items()})
            for i in range(rows.sizes[CELL])
        ]

    # -- reading ------------------------------------------------------------------

    @property
    def headline_errors(self) -> list[str]:
        by_cell = dict(self.attrs.get("headline_errors") or {})
        return [f"{id_}: {e}" for id_, errors in by_cell.items() for e in errors]

    @property
    def headlines(self) -> dict[str, Any]:
        """The headline of each cell, by its id.

        Raises:
            StoreError: if the file is damaged.
        """
        file = self.path / "headlines.json"
        if not file.exists():
            return {}
        with as_store_error(f"{file}: the headlines"):
            headlines = dict(read_json(file, file.stat().st_mtime_ns))
        for headline in headlines.values():
            check_headline(headline, str(file))
        return headlines


def _cells(chunk: Chunk) -> slice:
    assert chunk.cells is not None
    return chunk.cells


@lru_cache(maxsize=16)
def read_json(file: Path, changed: int) -> Any:
    """Return the content of a JSON file, cached until its time of change differs."""
    return json.loads(file.read_bytes())
