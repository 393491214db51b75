"""Compute cells that differ in seeds and packable fields only as one pack.

The cells of a pack share one compiled program and one record.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heliostat import config
from heliostat.config import Spec
from heliostat.driver.driver import drive
from heliostat.driver.ensure import initial_attrs, whole_steps
from heliostat.driver.placement import ChunkSource, Placement, chunks
from heliostat.driver.progress import Progress, silent
from heliostat.errors import RequestError
from heliostat.loop.work import MAX_MEMBERS
from heliostat.results.goal import Goal
from heliostat.results.lookup import store_folder
from heliostat.results.run import Run
from heliostat.store import lock
from heliostat.store.cell import pack_cells
from heliostat.store.definition import pack_id
from heliostat.store.pack import PACKS_FOLDER, Pack, create_pack
from heliostat.task import Task


class CellSpec(NamedTuple):
    """Task and identity of one cell."""

    task: Task
    spec: Spec


def pack_key(task: Task, spec: Spec) -> str:
    """Return a text that is equal for all cells that may share a pack."""
    identity = spec.identity
    fields = {n: v for n, v in identity["fields"].items() if n not in task.packable}
    return config.canonical_json({**identity, "fields": fields, "seed": 0}).decode()


def ensure_pack(
    cells: Sequence[CellSpec],
    steps: int,
    placement: Placement,
    store: str | Path | None = None,
    progress: Progress = silent,
    source: ChunkSource = chunks,
    workers: int = 1,
) -> list[Run]:
    """Return runs of one pack, computing what is missing, with the bits of single runs.

    Args:
        cells: different runs with one :func:`pack_key`, of a task with packable fields.
        steps: length of each run; a longer one extends the pack.
        placement: where steps are computed.
        store: folder of runs.
        progress: observer of the pack.
        source: yields the chunks of a job.
        workers: number of workers; a new pack is divided into batches for all of them.

    Returns:
        The runs, in the order of the cells, each ``steps`` long.

    Raises:
        RequestError: if the cells make no pack; nothing is stored then.
        RunFailed: if the task raised; the runs keep what they have committed.
    """
    steps = whole_steps(steps)
    task = _common_task(cells)
    pack = _find_or_create(cells, store, _members_per_batch(len(cells), workers))
    goal = Goal(task, steps)
    try:
        drive(pack, task, goal, placement, progress, source)
    except RequestError:
        if not pack.committed.any():  # a bad request stores nothing
            with lock.Lock(pack.path):
                shutil.rmtree(pack.path)
        raise
    limit = steps if steps < pack.steps else None
    records = {cell.spec.id: cell for cell in pack_cells(pack)}
    return [
        Run(records[c.spec.id].path, c.task, limit, record=records[c.spec.id])
        for c in cells
    ]


def _members_per_batch(cells: int, workers: int) -> int:
    """Return the members of a batch, for the fewest batches that occupy all workers.

    Example:
        >>> [_members_per_batch(*a) for a in [(200, 2), (5, 2), (1000, 1)]]
        [50, 3, 63]
    """
    rounds = -(-cells // (MAX_MEMBERS * workers))
    return -(-cells // (rounds * workers))


def _common_task(cells: Sequence[CellSpec]) -> Task:
    """Return the task whose program serves all cells.

    Raises:
        RequestError: if the cells cannot share one.
    """
    if not cells or not cells[0].task.packable:
        raise RequestError("a pack wants cells of a task that has packable fields")
    if len({pack_key(*cell) for cell in cells}) > 1:
        names = ", ".join((*cells[0].task.packable, "seed"))
        raise RequestError(f"cells of a pack may differ in {names} only")
    if len({cell.spec.id for cell in cells}) < len(cells):
        raise RequestError("a cell is twice in a pack")
    return cells[0].task


def _find_or_create(
    cells: Sequence[CellSpec], store: str | Path | None, members: int
) -> Pack:
    by_id = {cell.spec.id: cell.task for cell in cells}
    first = cells[0]
    name = first.spec.identity["task"]
    path = store_folder(store) / name / PACKS_FOLDER / pack_id(list(by_id))
    if not path.exists():
        specs = [cell.spec for cell in cells]
        create_pack(path, specs, first.task, initial_attrs(first.task, name), members)
    order = [spec.id for spec in Pack(path).specs]  # of the stored pack
    return Pack(path, [by_id[id_] for id_ in order])
