"""The stored form of one run: rows, digests and commits as a zarr tree.

The only folder that knows zarr; ``series`` lays out what has an entry per step::

    STORE/<task>/<run id>/
      spec.json       what defines the run
      record.zarr/    /rows (replica?, step, ...), /observed (replica?, stride, ...),
                      /committed (block), /digests
      checkpoints/    kept states; of step 0, if it began from another run's
      events.jsonl    started, committed, retried, failed, finished

A commit writes rows and digests, then the state, then ``committed[block]``: whatever
was killed in between, a run has come exactly as far as ``committed`` says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from heliostat.config import SCHEMA, Spec
from heliostat.errors import StoreError
from heliostat.loop.state import State, StrideDigests, rows_digest
from heliostat.loop.work import Chunk, Job, Span, block_count, has_replica_dim
from heliostat.store import arrays, digests, layout
from heliostat.store.arrays import EVERY_STEP, EVERY_STRIDE, VariableGroup
from heliostat.store.checkpoints import Checkpoints
from heliostat.store.events import EventLog
from heliostat.store.layout import MISSING, cell_index, create_folder
from heliostat.task import Task

HeadlineFunction = Callable[[Task, xr.Dataset], dict[str, Any]]
"""What a task finds in rows, as JSON values."""


class Record:
    """One run on disk. Its driver writes; anybody reads, also while it is written."""

    cell: int | None = None
    """Its place in a pack, if it lies in one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.log = EventLog(path / "events.jsonl")
        self._writing: Any = None

    @classmethod
    def create(
        cls,
        path: Path,
        spec: Spec,
        task: Task,
        about: Mapping[str, Any],
        states: Sequence[State] = (),
    ):
        """Lay out a new run; it appears at ``path`` whole or not at all.

        Args:
            states: that its blocks begin from, where they are another run's.

        Raises:
            StoreError: if the store cannot be written.
        """
        text = json.dumps(spec._asdict(), indent=1, sort_keys=True)
        create_folder(path, "spec.json", text, task, about, states=states)
        return cls(path)

    @property
    def folder(self) -> Path:
        """The folder that its files and its driver's lock are in."""
        return self.path

    # -- what it says of itself -------------------------------------------------

    @property
    def spec(self) -> Spec:
        """What defines the run.

        Raises:
            StoreError: if the file is damaged, or not of this run or schema.
        """
        file = self.path / "spec.json"
        with as_store_error(f"{file}: the spec"):
            text = file.read_bytes()
            stored = json.loads(text)
            spec = Spec(stored["identity"], stored["passed"])
            schema = spec.identity["schema"]
        if schema != SCHEMA:
            raise StoreError(f"{file}: schema {schema}; this heliostat reads {SCHEMA}")
        stored = (spec.id, hashlib.sha256(text).hexdigest())
        if stored != (self.path.name, self.attrs.get("spec_sha256")):
            raise StoreError(f"{file}: the spec is damaged (its digest differs)")
        return spec

    @property
    def attrs(self) -> dict[str, Any]:
        """Status, planned steps, headline and provenance, from the root alone."""
        return dict(self._root("r").attrs)

    def update(self, **attrs: Any) -> None:
        self._root("r+").attrs.update(attrs)

    @property
    def committed(self) -> np.ndarray:
        """Steps committed by each block, ``(blocks,)`` int64.

        Raises:
            StoreError: if a marker is missing or damaged.
        """
        with as_store_error(f"{self.path}: committed"):
            found = np.asarray(self._marks[... if self.cell is None else self.cell])
        if (found == MISSING).any():
            block = int(np.argwhere(found == MISSING)[0, -1])
            raise StoreError(f"{self.path}: the commit marker of block {block} is gone")
        return found

    @cached_property
    def _marks(self) -> Any:
        """The commit markers: read often, so opened once; their shape never changes."""
        return self._root("r")["committed"]

    @property
    def steps(self) -> int:
        """Steps that every block has committed: how far the run has come."""
        return int(self.committed.min())

    # -- writing ----------------------------------------------------------------

    def allocate(self, steps: int, stride: int) -> None:
        """Make room for ``steps``; what lies past the commits is overwritten later."""
        root = self._root("r+")
        if not self.committed.any():  # perhaps half made, and nothing of it counts
            for group in {EVERY_STEP, EVERY_STRIDE} & set(root):
                del root[group]
        self._resize(root, max(steps, int(self.committed.max())), stride)

    def trim(self, stride: int) -> None:
        """Give back the room past the commits, in a run that ended before its bound."""
        self._resize(self._root("r+"), int(self.committed.max()), stride)

    def _resize(self, root: Any, steps: int, stride: int) -> None:
        layout.resize_array(root["digests"], "stride", -(-steps // stride))
        arrays.resize_group(root, EVERY_STEP, steps, 1)
        arrays.resize_group(root, EVERY_STRIDE, steps // stride, stride)

    def job(self, task: Task, until: int) -> Job:
        """What is left to do, from the last state of each block on a full stride."""
        identity, spans = self.spec.identity, []
        for block in range(block_count(task)):
            start = self._resumes_at(block, int(self.committed[block]), task.stride)
            begun = start or "parent" in identity
            state = self.load_state(block, start) if begun else None
            spans.append(Span(block, start, until, state))
        return Job(task, identity["seed"], identity["x64"], tuple(spans))

    def _resumes_at(self, number: int, come: int, stride: int) -> int:
        """The last kept state on a full stride; 0 where there is none.

        A run that ended between two multiples of its stride continues from the last
        multiple, so that its digests become those of the longer run.
        """
        kept = self.checkpoints.steps(number)
        return max((s for s in kept if s <= come and s % stride == 0), default=0)

    def commit(self, chunk: Chunk, task: Task, until: int) -> None:
        """Rows, digests, state, and last the marker that makes them count."""
        root = self._root("r+")
        number, marks = self._number(chunk), root["committed"]
        where = (*cell_index(chunk), chunk.block)
        if np.any(marks[where] > chunk.start):  # what lies past that is written anew
            marks[where] = chunk.start
        later = [s for s in self.checkpoints.steps(number) if s > chunk.start]
        self.checkpoints.drop(number, later)
        for told in (arrays.rows_group(task), arrays.observed_group(task)):
            arrays.write_chunk(root, told, chunk, task, until)
        digests.write_chain(root, chunk, task.stride, self._geneses(chunk))
        self.checkpoints.save(number, chunk.stop, self._stored_state(chunk))
        marks[where] = chunk.stop
        if task.kept is not None:
            self.checkpoints.thin(number, task.stride, task.kept)

    def load_state(self, block: int, step: int) -> State:
        """Return a kept state as a span has it: with an axis of one member."""
        return {n: a[None] for n, a in self.checkpoints.load(block, step).items()}

    def _stored_state(self, chunk: Chunk) -> State:
        """Return the state of a chunk as a checkpoint has it: of its only member."""
        return {name: array[0] for name, array in chunk.state.items()}

    def _number(self, chunk: Chunk) -> int:
        """Which sequence of states it belongs to: one for each block."""
        return chunk.block

    def _geneses(self, chunk: Chunk) -> Sequence[str]:
        """What the chains of its cells begin with."""
        return [self.spec.genesis]

    def headline_attrs(self, task: Task, find: HeadlineFunction) -> dict[str, Any]:
        """What the rows say so far, as an attribute for the last words."""
        return {"headline": find(task, self.rows().load()) if self.steps else {}}

    # -- reading ----------------------------------------------------------------

    def rows(self) -> xr.Dataset:
        """The committed rows, lazily: dims replica (if any), step and each row's.

        Raises:
            StoreError: if chunks of the committed part are missing or damaged.
        """
        return self._open(EVERY_STEP, self.steps)

    def observed(self) -> xr.Dataset:
        """What was observed at the committed strides, lazily; like :meth:`rows`."""
        return self._open(EVERY_STRIDE, self.steps // self.spec.identity["stride"])

    def _open(self, group: str, entries: int) -> xr.Dataset:
        root = self._root("r")
        if group not in root:
            return xr.Dataset(attrs=self.attrs)
        store, step = self.folder / "record.zarr", root.attrs["step_dim"]
        with as_store_error(f"{self.path}: the record"):
            for file in arrays.missing_files(root, store, group, entries, self.cell):
                raise StoreError(f"{file}: this part of the record is missing")
            data = xr.open_zarr(
                store, group=group, consolidated=False, chunks=None, decode_times=False
            )
        return data.isel({step: slice(0, entries)}).assign_attrs(self.attrs)

    def strides(self, block: int, stride: int) -> list[tuple[StrideDigests, bytes]]:
        """The stored digests and link of every committed stride of a block."""
        stop = int(self.committed[block])
        count = -(-stop // stride)
        table = self._read("digests", (block, slice(0, count)))
        stops = [min((i + 1) * stride, stop) for i in range(count)]
        return [
            (StrideDigests(s, row[0].tobytes(), row[1].tobytes()), row[2].tobytes())
            for s, row in zip(stops, np.asarray(table), strict=True)
        ]

    def rows_digest(self, task: Task, block: int, start: int, stop: int) -> bytes:
        """The digest of one stored stride, recomputed from what is on disk now."""
        rows = self.block_rows(task, block, start, stop)
        return rows_digest(rows, self.block_observed(task, block, start, stop))

    def block_rows(
        self, task: Task, block: int, start: int, stop: int
    ) -> dict[str, np.ndarray]:
        """Stored rows as a chunk has them: ``(replicas of the block, steps, ...)``."""
        return self._block(arrays.rows_group(task), task, block, start, stop)

    def block_observed(
        self, task: Task, block: int, start: int, stop: int
    ) -> dict[str, np.ndarray]:
        """What was observed, as a chunk has it: nothing without a full stride."""
        if start // task.stride == stop // task.stride:
            return {}
        return self._block(arrays.observed_group(task), task, block, start, stop)

    def _block(
        self, told: VariableGroup, task: Task, block: int, start: int, stop: int
    ) -> dict[str, np.ndarray]:
        where = arrays.region(task, block, told.entries(start, stop))
        names, several = told.variables, has_replica_dim(task)
        found = {n: np.asarray(self._read(f"{told.group}/{n}", where)) for n in names}
        return {n: v if several else v[None] for n, v in found.items()}

    def coordinates(self, task: Task) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The coordinates of all that is told: as they are, and as they should be."""
        found = {}
        for told in (arrays.rows_group(task), arrays.observed_group(task)):
            for dim in self._coordinates(told, task):
                labels = np.asarray(self._read(f"{told.group}/{dim}", slice(None)))
                right = np.arange(len(labels))
                if dim == task.step_dim:
                    right = told.every * (right + 1)
                found[f"{told.group}/{dim}"] = labels, right
            if self._coordinates(told, task):
                for dim, right in arrays.dim_labels(told, task).items():
                    where = f"{told.group}/{dim}"
                    found[where] = np.asarray(self._read(where, slice(None))), right
        return found

    def _coordinates(self, told: VariableGroup, task: Task) -> list[str]:
        if not told.variables or self.steps < told.every:
            return []
        return [task.step_dim, *([task.replica_dim] if has_replica_dim(task) else [])]

    def _read(self, name: str, where: Any) -> Any:
        root = self._root("r")
        with as_store_error(f"{self.path}: {name}"):
            array = root[name]
            return array[where]

    def _root(self, mode: Any) -> Any:  # zarr's types do not tell arrays from groups
        if self._writing is not None:
            return self._writing
        with as_store_error(f"{self.path}: the record"):
            root = zarr.open_group(self.folder / "record.zarr", mode=mode)
            schema = root.attrs.get("schema")
        if schema != SCHEMA:
            raise StoreError(
                f"{self.path}: schema {schema}; this heliostat reads {SCHEMA}"
            )
        if mode == "r+":
            self._writing = root
        return root


@contextmanager
def as_store_error(what: str) -> Iterator[None]:
    """Whatever zarr, its codecs or JSON make of damaged bytes, said in one line."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{what} is damaged ({reason})") from error
