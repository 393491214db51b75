"""The record of a run by its path: one of its own, or a cell of a pack.

The folder of a run may have any name. A name like an id is that of its run; of other
folders the definition says the id.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Set
from functools import lru_cache
from pathlib import Path

from heliostat.errors import StoreError
from heliostat.store.cell import CellRecord
from heliostat.store.definition import ID, stored_id
from heliostat.store.pack import PACK_FILE, PACKS_FOLDER, Pack
from heliostat.store.record import SPEC_FILE, Record


def find_record(path: Path) -> Record | None:
    """Return the record of a run, or None if it is not stored.

    Args:
        path: the folder of the run, or the one that its id would have: a renamed folder
            and a cell of a pack are found by it.
    """
    if path.exists():
        return Record(path)
    if folder := _renamed(path):
        return Record(folder)
    packs = _folders(path.parent / PACKS_FOLDER)
    cells = (_cell_records(pack, {path.name}).get(path.name) for pack in packs)
    return next(filter(None, cells), None)


def find_records(home: Path, ids: Set[str]) -> dict[str, Record]:
    """Return the records of many runs of one task, by id; without those not stored.

    Args:
        home: folder of the task, which is listed once.
        ids: ids of the runs.
    """
    folders = sorted(_folders(home), key=lambda f: bool(ID.fullmatch(f.name)))
    alone = {folder_id(f): f for f in folders if f.name != PACKS_FOLDER}
    records: dict[str, Record] = {i: Record(alone[i]) for i in ids if i in alone}
    for pack in _folders(home / PACKS_FOLDER):
        records |= _cell_records(pack, ids - records.keys())
    return records


def open_record(path: Path) -> Record:
    """Return the record of a run, see :func:`find_record`; reading it may fail."""
    return find_record(path) or Record(path)


def is_stored(path: Path) -> bool:
    """Return True if a run has a record of its own, or is a cell of a pack."""
    return find_record(path) is not None


def task_folders(store: Path, task: str | None = None) -> list[Path]:
    """Return the folders of a store that hold runs, of all tasks or of one."""
    return sorted(p for p in store.glob(task or "[!.]*") if p.is_dir())


def run_folders(task: Path) -> list[Path]:
    """Return the folders of the runs of one task that have a record of their own."""
    return sorted(folder for folder in _folders(task) if (folder / SPEC_FILE).exists())


def folder_id(folder: Path) -> str:
    """Return the id of the run in a folder: its name, or that of its definition.

    Returns:
        The name of the folder if its definition cannot be read.
    """
    if ID.fullmatch(folder.name):
        return folder.name
    try:
        return stored_id(folder / SPEC_FILE)
    except StoreError:
        return folder.name


def run_paths(store: Path, task: str | None = None) -> dict[Path, str]:
    """Return the id of every run of a store by its path.

    A cell of a pack has the path that it would have alone.
    """
    paths: dict[Path, str] = {}
    for home in task_folders(store, task):
        paths |= {
            home / id_: id_ for pack in list_packs(home) for id_ in cell_ids(pack)
        }
        paths |= {folder: folder_id(folder) for folder in run_folders(home)}
    return paths


def list_packs(task: Path) -> list[Path]:
    """Return the paths of the packs of one task."""
    return sorted(pack for pack in _folders(task / PACKS_FOLDER) if _changed(pack))


def cell_ids(pack: Path) -> list[str]:
    """Return the ids of a pack's cells; none if one is invalid: they become paths."""
    return list(_positions(pack, _changed(pack)))


@lru_cache(maxsize=256)
def _positions(pack: Path, changed: object) -> Mapping[str, int]:
    """Return the index of each cell of a pack, by its id."""
    try:
        ids = list(json.loads((pack / PACK_FILE).read_bytes())["cells"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    valid = all(ID.fullmatch(str(id_)) for id_ in ids)
    return {id_: index for index, id_ in enumerate(ids)} if valid else {}


def _renamed(path: Path) -> Path | None:
    """Return the folder of a run that does not have the name of its id."""
    others = (f for f in _folders(path.parent) if not ID.fullmatch(f.name))
    stored = (f for f in others if (f / SPEC_FILE).exists())
    return next((f for f in sorted(stored) if folder_id(f) == path.name), None)


def _cell_records(folder: Path, ids: Set[str]) -> dict[str, Record]:
    """Return the records of the runs that are cells of a pack, by id."""
    changed = _changed(folder)
    positions = _positions(folder, changed)
    if not (cells := positions.keys() & ids):
        return {}
    pack = _pack(folder, changed)
    return {id_: CellRecord(pack, positions[id_]) for id_ in cells}


def _folders(parent: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden; none if it is missing."""
    try:
        with os.scandir(parent) as entries:
            return [parent / e.name for e in entries if e.name[0] != "." and e.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(pack: Path) -> tuple[int, int] | None:
    """Return the time and size of a pack's definition; None without one."""
    try:
        stat = os.stat(f"{pack}/{PACK_FILE}")
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def _pack(path: Path, changed: object) -> Pack:
    """Return a pack that all of its cells share."""
    return Pack(path)
