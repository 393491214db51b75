"""The zarr arrays of a record: of one run, or of a pack's cells side by side.

A pack has an axis of cells before all others. Its zarr chunks span the cells that are
computed together, so that one commit writes each file once.
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
from heliostat.loop.state import NamedArrays
from heliostat.loop.work import MAX_MEMBERS, Chunk, block_count
from heliostat.store.attributes import netcdf_attrs
from heliostat.store.checkpoints import Checkpoints
from heliostat.store.damage import as_store_error
from heliostat.store.files import MARKERS, MISSING
from heliostat.store.validate import check_schema
from heliostat.task import Task

CODECS = [ZstdCodec(level=1), Crc32cCodec()]
"""The checksum comes last, so that any damaged byte is noticed when it is read."""

CELL = "cell"
"""Name of the axis of cells in a pack."""

LINKS_PER_CHUNK = 1024
"""Strides in one zarr chunk of digests, summed over the cells in it."""


class LeadingAxes(NamedTuple):
    """The axes before those of a run: none, or that of a pack's cells."""

    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()


def leading_axes(root: Any) -> LeadingAxes:
    """Return the leading axes of the arrays of a record."""
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
    members: int = MAX_MEMBERS,
    states: Sequence[NamedArrays] = (),
) -> None:
    """Create the files of a run or of a pack; they appear all at once or not at all.

    Args:
        name: name of the file with the definition, whose content is ``text``.
        about: attributes of the record.
        cells: ids of a pack's cells.
        members: cells that are computed together.
        states: by block, if a run starts from the states of another one.

    Raises:
        StoreError: if the store cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        (partial / name).write_bytes(text.encode())
        about = {**about, "spec_sha256": hashlib.sha256(text.encode()).hexdigest()}
        attrs = netcdf_attrs(about)
        root = zarr.create_group(partial / "record.zarr", attributes=attrs)
        create_arrays(root, block_count(task), cells, members)
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
    root: Any, blocks: int, cells: Sequence[str] = (), members: int = MAX_MEMBERS
) -> None:
    """Create the commit markers and digests of a run, or of the cells of a pack."""
    lead = LeadingAxes((CELL,), (len(cells),), (members,)) if cells else LeadingAxes()
    root.create_array(
        MARKERS,
        shape=(*lead.shape, blocks),
        chunks=(*lead.shape, 1),  # those of all cells in one file: they are read often
        dtype="int64",
        compressors=CODECS,
        dimension_names=[*lead.dims, "block"],
        attributes={"long_name": "steps committed"},
        fill_value=MISSING,
    )[:] = 0
    links = LINKS_PER_CHUNK // members if cells else LINKS_PER_CHUNK
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
    """Create the coordinate of a dim, with text or integers as labels."""
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
    """Return the array, set to write chunks of nothing but its fill value, too.

    A chunk that is missing then is a part of the record that was lost. The setting is
    per array, because zarr's own is shared by all threads, and several drive runs.
    """
    return array.with_config({"write_empty_chunks": True})


def resize_array(array: Any, dim: str, entries: int) -> None:
    """Resize an array to a number of entries along one dim."""
    dims = array.metadata.dimension_names or ()
    sizes = zip(dims, array.shape, strict=True)
    shape = tuple(entries if d == dim else n for d, n in sizes)
    if shape != array.shape:
        array.resize(shape)


def open_root(store: Path, mode: Any, run: Path) -> Any:
    """Open the root group of a record.

    Args:
        run: path of the run, for messages.

    Raises:
        StoreError: if it is damaged, or of another schema.
    """
    with as_store_error(f"{run}: the record"):
        root = zarr.open_group(store, mode=mode)
        attrs = dict(root.attrs)
    check_schema(attrs, str(run))
    return root
