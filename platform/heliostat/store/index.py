"""Where runs lie: each in a record of its own, or as a cell of a pack."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from heliostat.store.cell import CellRecord
from heliostat.store.pack import PACK_FILE, PACKS_FOLDER, Pack, read_json
from heliostat.store.record import Record

ID = re.compile("[0-9a-f]{16}")


def open_record(path: Path) -> Record:
    """The record of a run at its path; if there is none, its cell of a pack."""
    if path.exists():
        return Record(path)
    for pack in _around(path):
        if path.name in (ids := cell_ids(pack)):
            return CellRecord(_pack(pack, _stamp(pack)), ids.index(path.name))
    return Record(path)


def is_stored(path: Path) -> bool:
    """Whether a run is stored, in a record of its own or in a pack."""
    return path.exists() or any(path.name in cell_ids(pack) for pack in _around(path))


def _around(path: Path) -> list[Path]:
    """Where a run could be a cell: the packs of its task."""
    return list_packs(path.parents[1], path.parent.name)


def cell_paths(store: Path) -> list[Path]:
    """The paths of all cells of a store, where their runs would be."""
    return [p.parents[1] / id_ for p in list_packs(store) for id_ in cell_ids(p)]


def list_packs(store: Path, task: str = "*") -> list[Path]:
    """The packs of a store, or of one task in it."""
    return sorted(
        p.parent for p in store.glob(f"{task}/{PACKS_FOLDER}/[!.]*/{PACK_FILE}")
    )


def cell_ids(pack: Path) -> list[str]:
    """The ids of the cells of a pack; none, if one is no id: they become paths."""
    try:
        ids = list(read_json(pack / PACK_FILE, _stamp(pack))["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return ids if all(ID.fullmatch(str(id_)) for id_ in ids) else []


def _stamp(pack: Path) -> int:
    return (pack / PACK_FILE).stat().st_mtime_ns


@lru_cache(maxsize=8)
def _pack(path: Path, stamp: int) -> Pack:
    """Opened once for all of its cells."""
    return Pack(path)
