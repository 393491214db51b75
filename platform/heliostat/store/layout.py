"""How a record lies in zarr: the arrays of one run, or of many cells side by side.

A pack has an axis of cells before all others, in zarr chunks of whole slabs, so that
one commit writes each file once.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from heliostat.errors import StoreError
from heliostat.loop.state import State
from heliostat.loop.work import MAX_MEMBERS, Chunk, block_count
from heliostat.store.checkpoints import Checkpoints
from heliostat.task import Task

CODECS = [ZstdCodec(level=1), Crc32cCodec()]
"""The checksum comes last, so that any damaged byte is noticed when it is read."""

MISSING = -1
"""What zarr reads where the file of a commit marker is gone."""

CELL = "cell"

LINKS_PER_CHUNK = 1024
"""Strides whose digests are in one zarr chunk, of one cell or of a slab."""


class LeadingAxes(NamedTuple):
    """The axes before those of a run: none, or that of cells."""

    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()


def leading_axes(root: Any) -> LeadingAxes:
    links = root["digests"]
    dims = links.metadata.dimension_names
    return LeadingAxes(dims[:-4], links.shape[:-4], links.chunks[:-4])


def cell_index(chunk: Chunk) -> tuple[slice, ...]:
    """Return the index of a chunk along the leading axes of stored arrays."""
    return () if chunk.cells is None else (chunk.cells,)


def create_folder(
    path: Path,
    name: str,
    text: str,
    task: Task,
    about: Mapping[str, Any],
    cells: Sequence[str] = (),
    lanes: int = MAX_MEMBERS,
    states: Sequence[State] = (),
) -> None:
    """Lay out a folder with what defines its run or runs, and empty arrays for them;
    also the states that blocks begin from, where they are another run's."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        (partial / name).write_bytes(text.encode())
        about = {**about, "spec_sha256": hashlib.sha256(text.encode()).hexdigest()}
        root = zarr.create_group(partial / "record.zarr", attributes=about)
        create_arrays(root, block_count(task), cells, lanes)
        for block, state in enumerate(states):
            Checkpoints(partial / "checkpoints").save(block, 0, state)
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


def create_arrays(
    root: Any, blocks: int, cells: Sequence[str] = (), lanes: int = MAX_MEMBERS
) -> None:
    """Commit markers and digests, of a run or of the cells with these ids, so many of
    them in a slab."""
    lead = LeadingAxes((CELL,), (len(cells),), (lanes,)) if cells else LeadingAxes()
    root.create_array(
        "committed",
        shape=(*lead.shape, blocks),
        chunks=(*lead.shape, 1),  # those of all cells in one file: they are read often
        dtype="int64",
        compressors=CODECS,
        dimension_names=[*lead.dims, "block"],
        attributes={"long_name": "steps committed"},
        fill_value=MISSING,
    )[:] = 0
    links = LINKS_PER_CHUNK // lanes if cells else LINKS_PER_CHUNK
    root.create_array(
        "digests",
        shape=(*lead.shape, blocks, 0, 3, 32),
        chunks=(*lead.chunks, 1, links, 3, 32),
        dtype="uint8",
        compressors=CODECS,
        dimension_names=[*lead.dims, "block", "stride", "kind", "byte"],
        attributes={"long_name": "SHA-256 of state, of rows, and the link"},
    )
    if cells:
        create_coordinate(root, CELL, np.array(cells, np.dtypes.StringDType()))


def create_coordinate(group: Any, dim: str, labels: np.ndarray) -> None:
    array = group.create_array(
        dim,
        shape=labels.shape,
        chunks=(max(len(labels), 4096),),
        dtype=str if labels.dtype.kind == "T" else "int64",
        compressors=CODECS,
        dimension_names=[dim],
    )
    write_all_chunks(array)[:] = labels


def write_all_chunks(array: Any) -> Any:
    """An array that is written with all its chunks, also those of nothing but its fill
    value: one that is not there is a part of the record that was lost.

    It is said of each array, since zarr's own setting is one for all threads, and runs
    are driven by several.
    """
    return array.with_config({"write_empty_chunks": True})


def resize_array(array: Any, dim: str, entries: int) -> None:
    """Give an array room for so many entries along a dim."""
    dims = array.metadata.dimension_names or ()
    sizes = zip(dims, array.shape, strict=True)
    shape = tuple(entries if d == dim else n for d, n in sizes)
    if shape != array.shape:
        array.resize(shape)
