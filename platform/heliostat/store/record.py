"""One run on disk: rows, digests and commits as a zarr tree.

::

    STORE/<task>/<run id>/
      spec.json       the definition of the run
      record.zarr/    /rows (replica?, step, ...), /observed (replica?, stride, ...),
                      /committed (block), /digests (block, stride, ...)
      checkpoints/    kept states; that of step 0, if the run has a parent
      events.jsonl    started, resumed, committed, retried, and how the run ended
      tags.jsonl      tags, name and note, if people gave some

A commit writes rows and digests, then the state, then ``committed[block]``: wherever a
crash comes in between, the run has exactly the steps that ``committed`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.config import Spec
from heliostat.errors import StoreError
from heliostat.loop.state import NamedArrays, StrideDigests
from heliostat.loop.work import Chunk, Job, Span, block_count
from heliostat.store import arrays, digests, zarr_format
from heliostat.store.arrays import EVERY_STEP, EVERY_STRIDE, observed_group, rows_group
from heliostat.store.attributes import netcdf_attrs, update_root
from heliostat.store.checkpoints import Checkpoints
from heliostat.store.damage import as_store_error
from heliostat.store.definition import ID, read_spec, spec_text
from heliostat.store.events import EventLog
from heliostat.store.files import MARKERS, MISSING, JsonFile, Markers
from heliostat.store.validate import parse_checked_root
from heliostat.store.zarr_format import cell_index, create_folder
from heliostat.task import Task

SPEC_FILE = "spec.json"
TAGS_FILE = "tags.jsonl"

HeadlineFunction = Callable[[Task, xr.Dataset, xr.Dataset], dict[str, Any]]
"""Estimates of a task from rows and observations, and what failed, as attributes."""


class Record:
    """One run on disk. Its driver writes; others may read at any time."""

    cell: int | None = None
    """Index in a pack; None for a run that has a record of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writable: Any = None

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The kept states."""
        return Checkpoints(self.path / "checkpoints")

    @cached_property
    def log(self) -> EventLog:
        """The events."""
        return EventLog(self.path / "events.jsonl")

    @classmethod
    def create(
        cls,
        path: Path,
        spec: Spec,
        task: Task,
        about: Mapping[str, Any],
        states: Sequence[NamedArrays] = (),
    ) -> Record:
        """Create the files of a new run; they appear all at once or not at all.

        Args:
            about: attributes of the record.
            states: by block, if the run starts from the states of another one.

        Raises:
            StoreError: if the store cannot be written.
        """
        create_folder(path, SPEC_FILE, spec_text(spec), task, about, states=states)
        return cls(path)

    @property
    def folder(self) -> Path:
        """The folder of the files and of the driver's lock."""
        return self.path

    @cached_property
    def _zarr(self) -> Path:
        return self.folder / "record.zarr"

    # -- definition and progress --------------------------------------------------

    @property
    def spec(self) -> Spec:
        """The definition of the run.

        Raises:
            StoreError: if the file is damaged, or of another run or schema.
        """
        id_ = self.path.name if ID.fullmatch(self.path.name) else None
        return read_spec(self.path / SPEC_FILE, id_, self.attrs.get("spec_sha256"))

    @property
    def id(self) -> str:
        """The id of the run; its folder may have another name."""
        return self.path.name if ID.fullmatch(self.path.name) else self.spec.id

    @property
    def attrs(self) -> dict[str, Any]:
        """Status, planned steps, headline and provenance: the root's attributes.

        Raises:
            StoreError: if one is missing or has another type.
        """
        with as_store_error(f"{self.path}: the record"):
            return dict(self._root_file.read())

    @cached_property
    def _root_file(self) -> JsonFile:
        parse = partial(parse_checked_root, subject=f"{self.path}: the record")
        return JsonFile(self._zarr / "zarr.json", parse)

    @property
    def headline_errors(self) -> list[str]:
        """Reasons why entries of the headline failed, a line each."""
        return list(self.attrs.get("headline_errors") or ())

    def update(self, **attrs: Any) -> None:
        """Set attributes; None removes one."""
        update_root(self._root("r+"), attrs)

    @property
    def committed(self) -> np.ndarray:
        """Steps committed by each block, ``(blocks,)`` int64.

        Raises:
            StoreError: if a marker is missing or damaged.
        """
        with as_store_error(f"{self.path}: committed"):
            steps = self._markers.read()
            steps = steps if self.cell is None else steps[self.cell]
        if (steps == MISSING).any():
            block = int(np.argwhere(steps == MISSING)[0, -1])
            raise StoreError(f"{self.path}: the commit marker of block {block} is gone")
        return steps

    @cached_property
    def _markers(self) -> Markers:
        return Markers(self._zarr)

    @property
    def steps(self) -> int:
        """Steps that every block has committed."""
        return int(self.committed.min())

    # -- writing ------------------------------------------------------------------

    def allocate(self, steps: int, stride: int) -> None:
        """Make room for ``steps``; what lies past the commits is overwritten later."""
        root = self._root("r+")
        if not self.committed.any():  # perhaps half made, and no part of it counts
            for group in {EVERY_STEP, EVERY_STRIDE} & set(root):
                del root[group]
        self._resize(root, max(steps, int(self.committed.max())), stride)

    def trim(self, stride: int) -> None:
        """Drop the room past the commits, of a run that ended before its length."""
        self._resize(self._root("r+"), int(self.committed.max()), stride)

    def _resize(self, root: Any, steps: int, stride: int) -> None:
        zarr_format.resize_array(root["digests"], "stride", -(-steps // stride))
        arrays.resize_group(root, EVERY_STEP, steps, 1)
        arrays.resize_group(root, EVERY_STRIDE, steps // stride, stride)

    def job(self, task: Task, until: int) -> Job:
        """Return the work left: each block from its last state on a full stride."""
        identity, spans = self.spec.identity, []
        for block in range(block_count(task)):
            start = self._resume_step(block, int(self.committed[block]), task.stride)
            stored = start or "parent" in identity
            state = self.load_state(block, start) if stored else None
            if state and start:
                own = self.read("digests", (block, start // task.stride - 1, 0))
                digests.checked_state(state, own[None], f"{self.path}: step {start}")
            spans.append(Span(block, start, until, state, resumed=True))
        return Job(task, identity["seed"], identity["x64"], tuple(spans))

    def _resume_step(self, sequence: int, committed: int, stride: int) -> int:
        """Return the step of the last kept state on a full stride; 0 without one.

        A run that ended between two multiples of its stride continues from the last
        multiple, so that its digests become those of the longer run.
        """
        kept = self.checkpoints.steps(sequence)
        return max((s for s in kept if s <= committed and s % stride == 0), default=0)

    def commit(self, chunk: Chunk, task: Task, until: int) -> None:
        """Write rows, digests and state, and last the marker that makes them count."""
        root = self._root("r+")
        sequence, markers = self._sequence(chunk), root[MARKERS]
        at = (*cell_index(chunk), chunk.block)
        if np.any(markers[at] > chunk.start):  # what lies past that is written anew
            markers[at] = chunk.start
        later = [s for s in self.checkpoints.steps(sequence) if s > chunk.start]
        self.checkpoints.drop(sequence, later)
        for group in (rows_group(task), observed_group(task)):
            arrays.write_chunk(root, group, chunk, task, until)
        digests.write_chain(root, chunk, task.stride, self._geneses(chunk))
        self.checkpoints.save(sequence, chunk.stop, self._state_of(chunk))
        markers[at] = chunk.stop
        if task.kept is not None:
            self.checkpoints.thin(sequence, task.stride, task.kept, self.log.ends)

    def _sequence(self, chunk: Chunk) -> int:
        """Return the number of the chunk's sequence of checkpoints: its block."""
        return chunk.block

    def _geneses(self, chunk: Chunk) -> Sequence[str]:
        """Return the genesis of the chain of each member."""
        return [self.spec.genesis]

    def _state_of(self, chunk: Chunk) -> NamedArrays:
        """Return the state of a chunk as a checkpoint has it: without members."""
        return {name: array[0] for name, array in chunk.state.items()}

    def headline_attrs(self, task: Task, headline: HeadlineFunction) -> dict[str, Any]:
        """Return the headline so far, and its errors, as attributes."""
        if not self.steps:
            return {"headline": {}}
        return headline(task, self.rows().load(), self.observed())

    # -- reading ------------------------------------------------------------------

    def rows(self) -> xr.Dataset:
        """Return the committed rows, lazily: dims replica (if any), step and the row's.

        Raises:
            StoreError: if a part of them is missing or damaged.
        """
        return self.table(EVERY_STEP, self.steps)

    def observed(self) -> xr.Dataset:
        """Return the observations of committed strides, lazily; like :meth:`rows`."""
        return self.table(EVERY_STRIDE, self.steps // self.spec.identity["stride"])

    def table(
        self, group: str, entries: int, cells: Collection[int] | None = None
    ) -> xr.Dataset:
        """Return the first entries of a group, lazily; of a pack for all of its cells.

        Args:
            cells: those of a pack whose files must be complete; default all.

        Raises:
            StoreError: if a part of them is missing or damaged.
        """
        attrs = self.attrs
        with as_store_error(f"{self.path}: {group}"):
            stored = group in self._root("r")
        if stored:
            self.check_files(group, entries, cells)
            data = arrays.open_group(self._zarr, group, attrs["step_dim"], entries)
            return data.assign_attrs(netcdf_attrs(attrs))
        if group == EVERY_STEP and entries:
            raise arrays.missing_part(self._zarr / group)
        return xr.Dataset(attrs=netcdf_attrs(attrs))

    def check_files(
        self, group: str, entries: int, cells: Collection[int] | None = None
    ) -> None:
        """Check that no file of the first entries of a group is missing.

        Args:
            cells: cells of a pack whose files must be complete; default all.

        Raises:
            StoreError: naming the file.
        """
        arrays.check_files(self._root("r"), self._zarr, group, entries, cells)

    def load_state(self, block: int, step: int) -> NamedArrays:
        """Return a kept state as a span has it, ``(1, replicas, ...)``.

        Raises:
            StoreError: if it is missing or damaged.
        """
        return {n: a[None] for n, a in self.checkpoints.load(block, step).items()}

    def strides(self, block: int, stride: int) -> list[tuple[StrideDigests, bytes]]:
        """Return the stored digests and link of every committed stride of a block.

        Raises:
            StoreError: if they are missing or damaged.
        """
        stop = int(self.committed[block])
        count = -(-stop // stride)
        table = np.asarray(self.read("digests", (block, slice(0, count))))
        if table.shape != (count, 3, 32) or table.dtype != np.uint8:
            name = f"{self.path}: digests"
            raise StoreError(f"{name} are damaged ({table.dtype}{list(table.shape)})")
        return digests.entries(table, stride, stop)

    def read(self, name: str, index: Any) -> Any:
        """Return a part of an array of this run."""
        root = self._root("r")
        with as_store_error(f"{self.path}: {name}"):
            return root[name][index]

    @property
    def root(self) -> Any:
        """The root group, to be read."""
        return self._root("r")

    def _root(self, mode: Any) -> Any:  # zarr's types do not tell arrays from groups
        """Return the root group; for a driver, one that stays open."""
        if self._writable is not None:
            return self._writable
        root = zarr_format.open_root(self._zarr, mode, self.path)
        if mode == "r+":
            self._writable = root
        return root
