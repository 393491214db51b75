"""Which cells are computed together: those that one program serves, in one record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from heliostat.driver import packs
from heliostat.driver.ensure import at_path
from heliostat.store.index import ids_in
from heliostat.sweeps.cells import Cell


def groups(
    cells: Sequence[Cell], missing: Sequence[Cell], store: str | Path | None
) -> list[list[Cell]]:
    """The missing cells, those together that make a pack; others are alone.

    A pack that was begun goes on as it is, if all of its cells are wanted; if only some
    are, these go on alone.

    Args:
        cells: all that are wanted, also those that are stored.
    """
    wanted, fresh, alone = {cell.spec.id: cell for cell in cells}, [], []
    begun: dict[Path, None] = {}
    for cell in missing:
        run = at_path(cell.task, cell.spec, store) if cell.task.packable else None
        if not cell.task.packable or (run and run.record.home == run.path):
            alone.append([cell])
        elif run is None:
            fresh.append(cell)
        elif set(ids_in(run.record.home)) <= set(wanted):
            begun[run.record.home] = None
        else:
            alone.append([cell])
    whole = [[wanted[id_] for id_ in ids_in(home)] for home in begun]
    return [*whole, *_alike(fresh), *alone]


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells by the program that they want."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[packs.alike(cell.task, cell.spec)].append(cell)
    return list(found.values())
