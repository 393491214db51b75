"""Sweeps: a set of runs over the fields of a task, and one labelled dataset of them.

``axes`` are what is varied, ``plan`` says which cells follow, ``cells`` are its runs;
``computing`` brings them to their length on a fleet, ``results`` is what they found,
and ``lazy`` reads it.  Each cell is an ordinary run: whatever is stored is not computed
again, so a sweep that was killed, or is asked for more values, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from heliostat.drive import Place
from heliostat.errors import RequestError
from heliostat.goal import Goal
from heliostat.stored import store_folder
from heliostat.sweeps.axes import Range, checked
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.computing import Asked, Cells, Outcome, compute
from heliostat.sweeps.display import Display, Watching
from heliostat.sweeps.ledger import Ledger
from heliostat.sweeps.plan import Plan, check_search
from heliostat.sweeps.results import Sweep
from heliostat.task import Task
from heliostat.verbs import check_steps

__all__ = ["Range", "Sweep", "sweep"]


def sweep(
    task: Task,
    *,
    over: Mapping[str, Iterable[Any] | Range],
    search: str = "grid",
    trials: int | None = None,
    seed: int = 0,
    search_seed: int = 0,
    steps: int | None = None,
    until: str | None = None,
    retries: int = 0,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    x64: bool = False,
    store: str | Path | None = None,
    progress: Watching | None = None,
) -> Sweep:
    """Compute the runs of a task over values of its fields; what is stored is reused.

    Args:
        task: with the fields that are not varied.
        over: for a field (or ``seed``), the values that it takes; or a :class:`Range`
            that a search draws from.
        search: ``"grid"`` every combination; ``"random"`` or ``"sobol"`` so many
            ``trials``, each with every seed.
        trials: how many are drawn; more extend a sweep, the first ones stay.
        seed: of every cell, where seeds are not varied.
        search_seed: of the drawing.
        steps: length of every run; default the task's natural one.
        until: a condition on the headline at which a run ends, as in :func:`run`.
        retries: times that a cell is tried again whose task raised. A worker that
            dies is replaced without that.
        on: ``"local"``, ``"here"``, ``"auto"`` or an address, as in :func:`run`.
        workers: cells that are computed at once; default the whole machine or cluster.
        gpus: GPUs for all of them together, each worker has its share of them.
        x64: compute in float64.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.

    Returns:
        Its dataset and tables; cells that failed are NaN, and in ``failures``.

    Raises:
        RequestError: if the request makes no sense; nothing is computed then.
        StoreError: if the store cannot be written or is damaged.

    Example:
        >>> grid = hs.sweep(VMC(molecule="Li"), over={"lr": [0.01, 0.05],
        ...                 "seed": range(4)})                 # doctest: +SKIP
        >>> grid.dataset.energy.mean("seed")                   # doctest: +SKIP
    """
    place = Place(on, workers, gpus).checked()
    plan = _planned(task, over, search, trials, seed, search_seed, x64)
    if steps is not None:
        check_steps(steps)
    if retries < 0:
        raise RequestError(f"retries {retries}: expected 0 or more")
    cells = Listed(plan.cells())
    Goal(task, steps or task.steps, until)  # refuses a condition that is none
    root = store_folder(store)
    ledger = Ledger(root, plan)

    watching = progress or Display()

    def goal(cell: Cell) -> Goal:
        return Goal(cell.task, steps or cell.task.steps, until)

    def tell(event: str, **details: Any) -> None:
        ledger.tell(event, **details)
        watching.told(event, details)

    ledger.begin(cells.runs)
    asked = Asked(goal, place, store, retries, tell)
    outcomes = _compute(cells, asked, ledger, watching)
    return Sweep(plan, cells.all, outcomes, root)


def _planned(
    task: Task,
    over: Mapping[str, Iterable[Any] | Range],
    search: str,
    trials: int | None,
    seed: int,
    search_seed: int,
    x64: bool,
) -> Plan:
    check_search(search, trials, list(over))
    axes = checked(type(task), over, drawn=search != "grid")
    return Plan(task, axes, search, trials or 0, seed, search_seed, x64)


def _compute(
    cells: Cells, asked: Asked, ledger: Ledger, watching: Watching
) -> dict[str, Outcome]:
    """Every run once, however many cells it is; what happens is told and kept."""
    outcomes: dict[str, Outcome] = {}
    with watching.following(ledger, cells.runs):
        for cell, outcome in compute(cells, asked):
            outcomes[cell.spec.id] = outcome
            ledger.ended(cell, outcome)
            watching.saw(cell, outcome)
    ledger.tell("complete", computed=sum(o.computed for o in outcomes.values()))
    return outcomes
