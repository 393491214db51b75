"""Where runs lie: each in a record of its own, or as a cell of a pack."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from heliostat.store.cell import Cell
from heliostat.store.pack import FILE, FOLDER, Pack, read_json
from heliostat.store.record import Record

ID = re.compile("[0-9a-f]{16}")


def opened(path: Path) -> Record:
    """The record of a run at its path; if there is none, its cell of a pack."""
    if path.exists():
        return Record(path)
    for pack in _around(path):
        if path.name in (ids := ids_in(pack)):
            return Cell(_pack(pack, _stamp(pack)), ids.index(path.name))
    return Record(path)


def exists(path: Path) -> bool:
    """Whether a run is stored, in a record of its own or in a pack."""
    return path.exists() or any(path.name in ids_in(pack) for pack in _around(path))


def _around(path: Path) -> list[Path]:
    """Where a run could be a cell: the packs of its task."""
    return packs_in(path.parents[1], path.parent.name)


def packed(store: Path) -> list[Path]:
    """The paths of all cells of a store, where their runs would be."""
    return [p.parents[1] / id_ for p in packs_in(store) for id_ in ids_in(p)]


def packs_in(store: Path, task: str = "*") -> list[Path]:
    """The packs of a store, or of one task in it."""
    return sorted(p.parent for p in store.glob(f"{task}/{FOLDER}/[!.]*/{FILE}"))


def ids_in(pack: Path) -> list[str]:
    """The ids of the cells of a pack; none, if one is no id: they become paths."""
    try:
        ids = list(read_json(pack / FILE, _stamp(pack))["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return ids if all(ID.fullmatch(str(id_)) for id_ in ids) else []


def _stamp(pack: Path) -> int:
    return (pack / FILE).stat().st_mtime_ns


@lru_cache(maxsize=8)
def _pack(path: Path, stamp: int) -> Pack:
    """Opened once for all of its cells."""
    return Pack(path)
