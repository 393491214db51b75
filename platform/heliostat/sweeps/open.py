"""Stored sweeps: open one by its id, or delete it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat import config
from heliostat.config import Spec, registry
from heliostat.errors import StoreError
from heliostat.results.lookup import store_folder
from heliostat.results.run import Run
from heliostat.store.damage import as_store_error
from heliostat.store.index import (
    cell_ids,
    folder_id,
    list_packs,
    run_folders,
    task_folders,
)
from heliostat.store.lock import Lock
from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import FOLDER, Journal, find_sweep, run_ids
from heliostat.sweeps.outcomes import WAITING, CellOutcome, stored_records
from heliostat.sweeps.plan import Plan, plan_from_json
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.search import find_search, search_of
from heliostat.task import Task


def open_sweep(
    sweep: str, *, store: str | Path | None = None, task: type[Task] | str | None = None
) -> Sweep:
    """Open a stored sweep as far as it has come; cells that have not ended are
    ``waiting``.

    Args:
        sweep: its id, or the first digits of it.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        task: the class of a task that is not installed, or FILE.py:CLASS; default
            the class of that name in this process.

    Returns:
        Its dataset and tables.

    Raises:
        RequestError: if there is none, or if several begin like this.
        StoreError: if the stored sweep is damaged.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> over = {"coupling": [0.2, 0.4], "seed": range(2)}
        >>> grid = hs.sweep(task, over=over, steps=20, on="here")
        >>> dict(hs.open_sweep(grid.id).summary.sizes)
        {'coupling': 2, 'seed': 2}
    """
    plan, root = read_plan(sweep, store, task), store_folder(store)
    journal = Journal(root, plan)
    last = journal.last_outcomes()
    with as_store_error(f"{journal.path}: the journal"):
        cells = search_of(plan).recorded(plan, journal)
    records = stored_records(cells, root)
    outcomes = {c.id: _outcome(c, last.get(c.id), records.get(c.id)) for c in cells}
    return Sweep(plan, cells, outcomes, root)


def read_plan(
    sweep: str, store: str | Path | None = None, task: type[Task] | str | None = None
) -> Plan:
    """Return the plan of a stored sweep, by the first digits of its id.

    Raises:
        RequestError: if there is none, or several; or if its task is not installed.
        StoreError: if the stored sweep is damaged.
    """
    file = find_sweep(sweep, store) / "sweep.json"
    cls = None if task is None else registry.task_class(task)
    with as_store_error(str(file)):
        stored = json.loads(file.read_text())
        scheduler = stored["scheduled"][0] if stored["scheduled"] else None
        search = find_search(stored["search"], scheduler)
        rebuilt = config.rebuild(Spec(**stored["spec"]), cls)
        plan = plan_from_json(stored, rebuilt, search.depends_on)
    if plan.id != file.parent.name:
        raise StoreError(f"{file} is damaged: it is of another sweep")
    return plan


def _outcome(
    cell: Cell, event: Mapping[str, Any] | None, record: Record | None
) -> CellOutcome:
    """Return the outcome of a cell from its last event."""
    if event is None:
        return WAITING
    steps, run = event["steps"], None
    if record and steps:
        run = Run(record.path, cell.task, steps, record=record)
    why = [event.get(name, "") for name in ("reason", "traceback")]
    return CellOutcome(event["event"], False, steps, run, *why)


def remove_sweep(
    sweep: str,
    *,
    runs: bool = False,
    store: str | Path | None = None,
    dry_run: bool = False,
) -> list[Path]:
    """Delete a sweep. Its runs stay, unless ``runs`` is set.

    Args:
        sweep: its id, or the first digits of it.
        runs: delete its runs too, except those that another sweep of the store has;
            cells of a pack only all together.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        dry_run: return the folders without deleting them.

    Returns:
        The folders that are deleted.

    Raises:
        RequestError: if there is no such sweep.
        Busy: if another driver runs it, or one of these runs.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> grid = hs.sweep(task, over={"seed": range(2)}, steps=20, on="here")
        >>> [folder.name == grid.id for folder in hs.remove_sweep(grid.id)]
        [True]
    """
    path = find_sweep(sweep, store)
    if dry_run:
        return _folders(path, runs)
    with Lock(path):
        folders = _folders(path, runs)
        for folder in folders[:-1]:
            with Lock(folder):
                shutil.rmtree(folder)
        shutil.rmtree(path)
    return folders


def _folders(sweep: Path, runs: bool) -> list[Path]:
    """Return the folders to delete; the sweep last, so that a broken deletion can be
    repeated."""
    return [*(own_runs(sweep) if runs else []), sweep]


def own_runs(sweep: Path) -> list[Path]:
    """Return the records, of runs or of packs, that belong to one sweep alone."""
    root = sweep.parents[1]
    others = (p for p in (root / FOLDER).iterdir() if p != sweep)
    own = run_ids(sweep).difference(*map(run_ids, others))
    tasks = task_folders(root)
    alone = (folder for task in tasks for folder in run_folders(task))
    packs = (pack for task in tasks for pack in list_packs(task))
    return sorted(
        [
            *(folder for folder in alone if folder_id(folder) in own),
            *(pack for pack in packs if (ids := cell_ids(pack)) and own >= {*ids}),
        ]
    )
