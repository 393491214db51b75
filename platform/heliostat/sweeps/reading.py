"""Opening a stored sweep: its cells and how they came out, as they are written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat.driver.ensure import at_path
from heliostat.results.run import Run, store_folder
from heliostat.sweeps import population
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.ledger import Ledger, read
from heliostat.sweeps.outcomes import WAITS, Outcome
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.results import Sweep
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
    plan, root = read(sweep, store, task), store_folder(store)
    ledger = Ledger(root, plan)
    ended = ledger.last()
    cells = _begun(plan, ledger, root)
    outcomes = {c.spec.id: _outcome(c, ended.get(c.spec.id), root) for c in cells}
    return Sweep(plan, cells, outcomes, root)


def _begun(plan: Plan, ledger: Ledger, store: Path) -> list[Cell]:
    """The cells that a sweep has, as far as that was decided."""
    if plan.bred:
        return population.recorded(plan, ledger, store)
    events = ledger.events()
    return plan.cells([e["values"] for e in events if e["event"] == "proposed"])


def _outcome(cell: Cell, event: Mapping[str, Any] | None, store: Path) -> Outcome:
    """How a cell came out, as it was written down."""
    if event is None:
        return WAITS
    run, steps = at_path(cell.task, cell.spec, store), event["steps"]
    run = Run(run.path, cell.task, steps) if run and steps else None
    why = [event.get(name, "") for name in ("reason", "traceback")]
    return Outcome(event["event"], False, steps, run, *why)
