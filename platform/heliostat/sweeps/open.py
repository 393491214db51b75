"""Opening a stored sweep: its cells and how they came out, as they are written down."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat.driver.ensure import find_stored
from heliostat.results.run import Run, store_folder
from heliostat.store.index import cell_ids, list_packs
from heliostat.store.lock import Lock
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import FOLDER, Journal, find_sweep, read_plan, run_ids
from heliostat.sweeps.outcomes import WAITING, CellOutcome
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.search import pbt
from heliostat.task import Task


def open_sweep(
    sweep: str, *, store: str | Path | None = None, task: type[Task] | None = None
) -> Sweep:
    """A stored sweep by its id, or by the first digits of it, as far as it has come:
    cells that have not ended are ``waiting``.

    Args:
        task: the class of a task that is not installed.

    Raises:
        RequestError: if there is none, or if several begin like this.
        StoreError: if what is stored is damaged.

    Example:
        >>> hs.open_sweep("8c858a80").summary  # doctest: +SKIP
    """
    plan, root = read_plan(sweep, store, task), store_folder(store)
    ledger = Journal(root, plan)
    ended = ledger.last_outcomes()
    cells = _begun(plan, ledger, root)
    outcomes = {c.spec.id: _outcome(c, ended.get(c.spec.id), root) for c in cells}
    return Sweep(plan, cells, outcomes, root)


def _begun(plan: Plan, ledger: Journal, store: Path) -> list[Cell]:
    """The cells that a sweep has, as far as that was decided."""
    if plan.bred:
        return pbt.recorded(plan, ledger, store)
    events = ledger.events()
    return plan.cells([e["values"] for e in events if e["event"] == "proposed"])


def _outcome(cell: Cell, event: Mapping[str, Any] | None, store: Path) -> CellOutcome:
    """How a cell came out, as it was written down."""
    if event is None:
        return WAITING
    run, steps = find_stored(cell.task, cell.spec, store), event["steps"]
    run = Run(run.path, cell.task, steps) if run and steps else None
    why = [event.get(name, "") for name in ("reason", "traceback")]
    return CellOutcome(event["event"], False, steps, run, *why)


def remove_sweep(
    sweep: str,
    *,
    runs: bool = False,
    store: str | Path | None = None,
    dry_run: bool = False,
) -> list[Path]:
    """Delete a sweep. Its runs stay, unless it is said.

    Args:
        sweep: its id, or the first digits of it.
        runs: delete those of its runs, too, that no other sweep of the store has; cells
            of a pack only all together.
        dry_run: only say what would be deleted.

    Returns:
        What was deleted, or would be.

    Raises:
        RequestError: if there is no such sweep.
        Busy: if it, or one of these runs, is being driven.

    Example:
        >>> hs.remove_sweep("8c858a80", runs=True)  # doctest: +SKIP
    """
    path = find_sweep(sweep, store)
    if dry_run:
        return _doomed(path, runs)
    with Lock(path):
        doomed = _doomed(path, runs)
        for folder in doomed[:-1]:
            with Lock(folder):
                shutil.rmtree(folder)
        shutil.rmtree(path)
    return doomed


def _doomed(sweep: Path, runs: bool) -> list[Path]:
    """What goes; the sweep last: whatever comes between, it can be done again."""
    return [*(own_runs(sweep) if runs else []), sweep]


def own_runs(sweep: Path) -> list[Path]:
    """The records, of runs or of packs, that belong to one sweep alone."""
    root = sweep.parents[1]
    others = (p for p in (root / FOLDER).iterdir() if p != sweep)
    own = run_ids(sweep).difference(*map(run_ids, others))
    alone = (spec.parent for spec in root.glob("*/*/spec.json"))
    packs = (
        pack for pack in list_packs(root) if (ids := cell_ids(pack)) and own >= {*ids}
    )
    return sorted([*(folder for folder in alone if folder.name in own), *packs])
