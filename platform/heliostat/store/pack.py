"""A pack: many runs of one task in one record, which differ in traced fields and seeds.

::

    STORE/<task>/packs/<pack id>/
      pack.json       the definition of each cell, by its id
      record.zarr/    as that of a run, with an axis of cells before all others
      checkpoints/    kept states, those of cells computed together in one file
      headlines.json  the headline of each cell
      events.jsonl, tags.jsonl

Every cell is a run with an id and a digest chain of its own. It is found, read and
verified as if it had a record of its own, at the path where that would be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import xarray as xr

from heliostat.config import Spec, traced_fields
from heliostat.loop.state import NamedArrays
from heliostat.loop.work import MAX_MEMBERS, Chunk, Job, Member, Span, block_count
from heliostat.store import digests
from heliostat.store.arrays import EVERY_STRIDE
from heliostat.store.damage import as_store_error
from heliostat.store.definition import pack_text, read_specs
from heliostat.store.files import JsonFile
from heliostat.store.record import HeadlineFunction, Record
from heliostat.store.validate import check_headline
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
    def _by_id(self) -> dict[str, Spec]:
        """The definition of each cell, by its id.

        Raises:
            StoreError: if the file is damaged, or of another pack.
        """
        file, sha256 = self.path / PACK_FILE, self.attrs.get("spec_sha256")
        return read_specs(file, self.path.name, sha256)

    @cached_property
    def specs(self) -> list[Spec]:
        """The definition of each cell."""
        return list(self._by_id.values())

    @cached_property
    def ids(self) -> list[str]:
        """The id of each cell."""
        return list(self._by_id)

    @cached_property
    def task_folder(self) -> Path:
        """The folder of its task, where each cell would have a folder of its own."""
        return self.path.parents[1]

    @property
    def id(self) -> str:
        return self.path.name

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
                load = partial(self._checked_state, first, block, start, task.stride)
                state = load if start else None
                spans.append(Span(block, start, until, state, members, True))
        identity = self.specs[0].identity
        return Job(task, identity["seed"], identity["x64"], tuple(spans))

    def _checked_state(
        self, first: int, block: int, step: int, stride: int
    ) -> NamedArrays:
        """Return the kept state of cells that are computed together.

        Raises:
            StoreError: if it is missing, damaged or of other cells.
        """
        state = self.checkpoints.load(self.sequence(first, block), step)
        cells = slice(first, first + self.members_together)
        expected = self.read("digests", (cells, block, step // stride - 1, 0))
        return digests.checked_state(state, expected, f"{self.path}: step {step}")

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
        blocks = self._markers.shape[-1]
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
        attrs: dict[str, dict[str, Any]] = {}
        if self.steps:
            rows, observed = map(self._by_cell, (self.rows(), self.observed()))
            cells = zip(self.specs, self.tasks, rows, observed, strict=True)
            for spec, task, own, strides in cells:
                attrs[spec.id] = headline(task, own, strides)
        unfinished = self.path / "headlines.partial"
        unfinished.write_text(json.dumps({i: a["headline"] for i, a in attrs.items()}))
        unfinished.replace(self.path / "headlines.json")
        errors = {i: e for i, a in attrs.items() if (e := a.get("headline_errors"))}
        return {"headline_errors": errors or None}

    def _by_cell(self, data: xr.Dataset) -> list[xr.Dataset]:
        """Return a table of each cell, in memory."""
        if CELL not in data.dims:  # a task observes nothing
            return [data] * len(self.specs)
        data = data.load()
        first, tables = data.isel({CELL: 0}, drop=True), data.data_vars.items()
        values = {name: table.values for name, table in tables}
        return [
            first.copy(data={name: table[i] for name, table in values.items()})
            for i in range(data.sizes[CELL])
        ]

    # -- reading ------------------------------------------------------------------

    def observed(self) -> xr.Dataset:
        """Return the observations of all cells, lazily; like :meth:`rows`."""
        stride = self.specs[0].identity["stride"]
        return self.table(EVERY_STRIDE, self.steps // stride)

    @property
    def headline_errors(self) -> list[str]:
        errors = self.attrs.get("headline_errors") or {}
        if not isinstance(errors, dict):  # of all cells: the rows were unreadable
            return list(errors)
        return [f"{id_}: {e}" for id_, own in errors.items() for e in own]

    @property
    def headlines(self) -> Mapping[str, Any]:
        """The headline of each cell, by its id.

        Raises:
            StoreError: if the file is damaged.
        """
        with as_store_error(f"{self.path}: the headlines"):
            try:
                return MappingProxyType(self._headlines_file.read())
            except FileNotFoundError:
                return {}

    @cached_property
    def _headlines_file(self) -> JsonFile:
        return JsonFile(self.path / "headlines.json", _parse_headlines)


def _parse_headlines(content: bytes) -> dict[str, Any]:
    headlines = json.loads(content)
    for id_, headline in headlines.items():
        check_headline(headline, id_)
    return headlines


def _cells(chunk: Chunk) -> slice:
    assert chunk.cells is not None
    return chunk.cells
