"""The record of a run by its path: one of its own, or a cell of a pack."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from heliostat.store.cell import CellRecord
from heliostat.store.pack import PACK_FILE, PACKS_FOLDER, Pack, read_json
from heliostat.store.record import Record

ID = re.compile("[0-9a-f]{16}")


def open_record(path: Path) -> Record:
    """Return the record at the path of a run; if there is none, its cell of a pack."""
    if path.exists():
        return Record(path)
    for pack in _packs_near(path):
        if path.name in (ids := cell_ids(pack)):
            return CellRecord(_pack(pack, _changed(pack)), ids.index(path.name))
    return Record(path)


def is_stored(path: Path) -> bool:
    """Return True if a run has a record of its own, or is a cell of a pack."""
    return path.exists() or any(path.name in cell_ids(p) for p in _packs_near(path))


def cell_paths(store: Path) -> list[Path]:
    """Return the paths that the cells of all packs of a store would have alone."""
    return [p.parents[1] / id_ for p in list_packs(store) for id_ in cell_ids(p)]


def list_packs(store: Path, task: str = "*") -> list[Path]:
    """Return the paths of the packs in a store, of all tasks or of one."""
    return sorted(
        p.parent for p in store.glob(f"{task}/{PACKS_FOLDER}/[!.]*/{PACK_FILE}")
    )


def cell_ids(pack: Path) -> list[str]:
    """Return the ids of a pack's cells; none if one is invalid: they become paths."""
    try:
        ids = list(read_json(pack / PACK_FILE, _changed(pack))["cells"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return ids if all(ID.fullmatch(str(id_)) for id_ in ids) else []


def _packs_near(path: Path) -> list[Path]:
    """Return the packs that a run could be a cell of: those of its task."""
    return list_packs(path.parents[1], path.parent.name)


def _changed(pack: Path) -> int:
    return (pack / PACK_FILE).stat().st_mtime_ns


@lru_cache(maxsize=8)
def _pack(path: Path, changed: int) -> Pack:
    """Return a pack that all of its cells share."""
    return Pack(path)
