"""The stored form of one run: rows, digests and commits as a zarr tree.

The only module that knows zarr::

    STORE/<task>/<run id>/
      spec.json       what defines the run
      record.zarr/    /rows (replica?, step, ...), /committed (block), /digests
      checkpoints/    kept states
      events.jsonl    started, committed, retried, failed, finished

A commit writes rows and digests, then the state, then ``committed[block]``: whatever
was killed in between, a run has come exactly as far as ``committed`` says.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from heliostat.checkpoint import (
    Checkpoints,
    Stride,
    digest,
    first_link,
    next_link,
)
from heliostat.config import SCHEMA, Spec
from heliostat.errors import StoreError
from heliostat.grid import Chunk, blocks_of, valid_of
from heliostat.log import Log
from heliostat.task import Task

CHUNK_ELEMENTS = 4096
"""Elements of a row array in one zarr chunk, roughly: small enough to rewrite often."""

LOST = -1
"""What zarr reads where the file of a commit marker is gone."""

CODECS = [ZstdCodec(level=1), Crc32cCodec()]
"""The checksum comes last, so that any damaged byte is noticed when it is read."""


class Record:
    """One run on disk. Its driver writes; anybody reads, also while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.log = Log(path / "events.jsonl")
        self._writing: Any = None

    @classmethod
    def create(cls, path: Path, spec: Spec, task: Task, about: Mapping[str, Any]):
        """Lay out a new run; it appears at ``path`` whole or not at all.

        Raises:
            StoreError: if the store cannot be written.
        """
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            partial.mkdir(parents=True)
            text = json.dumps(spec._asdict(), indent=1, sort_keys=True).encode()
            (partial / "spec.json").write_bytes(text)
            about = {**about, "spec_sha256": hashlib.sha256(text).hexdigest()}
            root = zarr.create_group(partial / "record.zarr", attributes=about)
            blocks = blocks_of(task)
            root.create_array(
                "committed",
                shape=(blocks,),
                chunks=(1,),
                dtype="int64",
                compressors=CODECS,
                dimension_names=["block"],
                attributes={"long_name": "steps committed"},
                fill_value=LOST,
            )[:] = 0
            root.create_array(
                "digests",
                shape=(blocks, 0, 3, 32),
                chunks=(1, 1024, 3, 32),
                dtype="uint8",
                compressors=CODECS,
                dimension_names=["block", "stride", "kind", "byte"],
                attributes={"long_name": "SHA-256 of state, of rows, and the link"},
            )
            try:
                partial.rename(path)
            except OSError:
                if not path.exists():
                    raise
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(
                f"store {path.parents[1]} is not writable: {reason}"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(path)

    # -- what it says of itself -------------------------------------------------

    @property
    def spec(self) -> Spec:
        """What defines the run.

        Raises:
            StoreError: if the file is damaged, or not of this run or schema.
        """
        file = self.path / "spec.json"
        with _damage(f"{file}: the spec"):
            text = file.read_bytes()
            stored = json.loads(text)
            spec = Spec(stored["identity"], stored["passed"])
            schema = spec.identity["schema"]
        if schema != SCHEMA:
            raise StoreError(f"{file}: schema {schema}; this heliostat reads {SCHEMA}")
        digests = (spec.id, hashlib.sha256(text).hexdigest())
        if digests != (self.path.name, self.attrs.get("spec_sha256")):
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
        found = np.asarray(self._read("committed", slice(None)))
        if (found == LOST).any():
            block = int(np.argmax(found == LOST))
            raise StoreError(f"{self.path}: the commit marker of block {block} is gone")
        return found

    @property
    def steps(self) -> int:
        """Steps that every block has committed: how far the run has come."""
        return int(self.committed.min())

    # -- writing ----------------------------------------------------------------

    def allocate(self, steps: int, stride: int) -> None:
        """Make room for ``steps``; what lies past the commits is overwritten later."""
        root = self._root("r+")
        if "rows" in root and not self.committed.any():
            del root["rows"]  # perhaps half made, and nothing of it counts
        _grow(root["digests"], 1, -(-steps // stride))
        for array in _arrays(root, "rows"):
            for axis, dim in enumerate(array.metadata.dimension_names or ()):
                if dim == root.attrs["step_dim"]:
                    _grow(array, axis, steps)
        if "rows" in root:
            _fill_steps(root["rows"][root.attrs["step_dim"]])

    def commit(self, chunk: Chunk, task: Task, until: int) -> None:
        """Rows, digests, state, and last the marker that makes them count."""
        with zarr.config.set({"array.write_empty_chunks": True}):
            self._commit(self._root("r+"), chunk, task, until)

    def _commit(self, root: Any, chunk: Chunk, task: Task, until: int) -> None:
        if "rows" not in root:
            _create_rows(root, chunk, task, until)
        self._drop_after(root, chunk.block, chunk.start)
        first = chunk.block * task.width
        last = first + valid_of(task, chunk.block)
        for name, values in chunk.rows.items():
            array, steps = root["rows"][name], slice(chunk.start, chunk.stop)
            if task.replicas == 1:
                array[steps] = values[0]
            else:
                array[first:last, steps] = values
        self._write_digests(root, chunk, task.stride)
        self.checkpoints.save(chunk.block, chunk.stop, chunk.state)
        root["committed"][chunk.block] = chunk.stop
        self.checkpoints.thin(chunk.block, task.stride)

    def resumes_at(self, block: int, stride: int) -> int:
        """The last kept state of a block on a full stride; 0 where there is none.

        A run that ended between two multiples of its stride continues from the last
        multiple, so that its digests become those of the longer run.
        """
        come = int(self.committed[block])
        kept = self.checkpoints.steps(block)
        return max((s for s in kept if s <= come and s % stride == 0), default=0)

    def _drop_after(self, root: Any, block: int, step: int) -> None:
        """What lies past a step no longer counts: it is about to be written anew."""
        if root["committed"][block] > step:
            root["committed"][block] = step
        later = [s for s in self.checkpoints.steps(block) if s > step]
        self.checkpoints.drop(block, later)

    def _write_digests(self, root: Any, chunk: Chunk, stride: int) -> None:
        index = chunk.start // stride
        link = self._link_before(root, chunk.block, index)
        table = np.empty((len(chunk.strides), 3, 32), np.uint8)
        for row, entry in zip(table, chunk.strides, strict=True):
            link = next_link(link, entry)
            row[:] = [np.frombuffer(d, np.uint8) for d in (*entry[1:], link)]
        root["digests"][chunk.block, index : index + len(table)] = table

    def _link_before(self, root: Any, block: int, index: int) -> bytes:
        if index == 0:
            return first_link(self.spec.genesis, block)
        return np.asarray(root["digests"][block, index - 1, 2]).tobytes()

    # -- reading ----------------------------------------------------------------

    def rows(self) -> xr.Dataset:
        """The committed rows, lazily: dims replica (if several), step and each row's.

        Raises:
            StoreError: if chunks of the committed part are missing or damaged.
        """
        root, steps = self._root("r"), self.steps
        if "rows" not in root:
            return xr.Dataset(attrs=self.attrs)
        with _damage(f"{self.path}: the record"):
            self._check_files(root, steps)
            data = xr.open_zarr(
                self.path / "record.zarr",
                group="rows",
                consolidated=False,
                chunks=None,
                decode_times=False,
            )
        step = {root.attrs["step_dim"]: slice(0, steps)}
        return data.isel(step).assign_attrs(self.attrs)

    def strides(self, block: int, stride: int) -> list[tuple[Stride, bytes]]:
        """The stored digests and link of every committed stride of a block."""
        stop = int(self.committed[block])
        count = -(-stop // stride)
        table = self._read("digests", (block, slice(0, count)))
        stops = [min((i + 1) * stride, stop) for i in range(count)]
        return [
            (Stride(s, row[0].tobytes(), row[1].tobytes()), row[2].tobytes())
            for s, row in zip(stops, np.asarray(table), strict=True)
        ]

    def rows_digest(self, task: Task, block: int, start: int, stop: int) -> bytes:
        """The digest of stored rows, recomputed from what is on disk now."""
        return digest(self.block_rows(task, block, start, stop))

    def block_rows(
        self, task: Task, block: int, start: int, stop: int
    ) -> dict[str, np.ndarray]:
        """Stored rows as a chunk has them: ``(replicas of the block, steps, ...)``."""
        first = block * task.width
        last = first + valid_of(task, block)
        single = task.replicas == 1
        where = (
            slice(start, stop) if single else (slice(first, last), slice(start, stop))
        )
        found = {n: np.asarray(self._read(f"rows/{n}", where)) for n in task.emits}
        return {n: v[None] if single else v for n, v in found.items()}

    def labels(self, task: Task) -> dict[str, np.ndarray]:
        """The coordinates of the rows, read whole."""
        dims = [task.step_dim, *([task.replica_dim] if task.replicas > 1 else [])]
        return {d: np.asarray(self._read(f"rows/{d}", slice(None))) for d in dims}

    def _read(self, name: str, where: Any) -> Any:
        root = self._root("r")
        with _damage(f"{self.path}: {name}"):
            array = root[name]
            return array[where]

    def _check_files(self, root: Any, steps: int) -> None:
        """Every committed chunk is there: zarr would read holes as fill values."""
        for array in _arrays(root, "rows"):
            dims = array.metadata.dimension_names or ()
            shape = [
                steps if d == root.attrs["step_dim"] else n
                for d, n in zip(dims, array.shape, strict=True)
            ]
            grid = [-(-n // c) for n, c in zip(shape, array.chunks, strict=True)]
            folder = self.path / "record.zarr" / array.path / "c"
            for index in np.ndindex(*grid):
                file = folder.joinpath(*map(str, index))
                if not file.is_file() or not file.stat().st_size:
                    raise StoreError(f"{file}: this part of the record is missing")

    def _root(self, mode: Any) -> Any:  # zarr's types do not tell arrays from groups
        if self._writing is not None:
            return self._writing
        with _damage(f"{self.path}: the record"):
            root = zarr.open_group(self.path / "record.zarr", mode=mode)
            schema = root.attrs.get("schema")
        if schema != SCHEMA:
            raise StoreError(
                f"{self.path}: schema {schema}; this heliostat reads {SCHEMA}"
            )
        if mode == "r+":
            self._writing = root
        return root


@contextmanager
def _damage(what: str) -> Iterator[None]:
    """Whatever zarr, its codecs or JSON make of damaged bytes, said in one line."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{what} is damaged ({reason})") from error


def _create_rows(root: Any, chunk: Chunk, task: Task, until: int) -> None:
    """Arrays for the rows and their coordinates, shaped as the first chunk is."""
    several = task.replicas > 1
    group = root.create_group("rows")
    for name, var in task.emits.items():
        sizes = chunk.rows[name].shape[2:]
        shape = (task.replicas, until, *sizes) if several else (until, *sizes)
        dims = ([task.replica_dim] if several else []) + [task.step_dim, *var.dims]
        length = _chunk_length(task, int(np.prod(sizes)))
        chunks = (task.width, length, *sizes) if several else (length, *sizes)
        values = chunk.rows[name]
        text = values.dtype.kind == "T"
        group.create_array(
            name,
            shape=shape,
            chunks=tuple(max(1, c) for c in chunks),
            dtype=str if text else values.dtype,
            fill_value="" if text else (np.nan if values.dtype.kind == "f" else 0),
            compressors=CODECS,
            dimension_names=dims,
            attributes={"units": var.units, "long_name": var.about or name},
        )
    for dim, size, origin in [
        (task.step_dim, until, 1),
        *([(task.replica_dim, task.replicas, 0)] if several else []),
    ]:
        _coordinate(group, dim, size, origin)


def _coordinate(group: zarr.Group, dim: str, size: int, origin: int) -> None:
    array = group.create_array(
        dim,
        shape=(size,),
        chunks=(max(size, 4096),),
        dtype="int64",
        compressors=CODECS,
        dimension_names=[dim],
    )
    array[:] = np.arange(origin, origin + size)


def _fill_steps(array: Any) -> None:
    array[:] = np.arange(1, array.shape[0] + 1)


def _chunk_length(task: Task, elements: int) -> int:
    """Steps in one zarr chunk: whole strides, about ``CHUNK_ELEMENTS`` numbers."""
    strides = CHUNK_ELEMENTS // max(1, task.stride * task.width * elements)
    return task.stride * max(1, strides)


def _arrays(root: Any, group: str) -> list[Any]:
    if group not in root:
        return []
    members = root[group]
    return [array for _, array in members.arrays()]


def _grow(array: Any, axis: int, size: int) -> None:
    if array.shape[axis] < size:
        shape = list(array.shape)
        shape[axis] = size
        array.resize(tuple(shape))
