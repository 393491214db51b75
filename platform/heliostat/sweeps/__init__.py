"""Sweeps: a set of runs over the fields of a task, and one labelled dataset of them.

``axes`` are what is varied, ``plan`` says which cells follow, ``cells`` are its runs;
``computing`` brings them to their length on a fleet, ``results`` is what they found,
and ``lazy`` reads it.  ``searching`` and ``rungs`` let Ray Tune (``tuning``) decide
which cells there are, and how far each comes; ``hypergradients`` goes downhill.

Each cell is an ordinary run: whatever is stored is not computed again, so a sweep that
was killed, or is asked for more values, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from heliostat.bringing import check_steps
from heliostat.errors import RequestError
from heliostat.goal import Goal
from heliostat.lock import Lock
from heliostat.place import Place
from heliostat.stored import store_folder
from heliostat.sweeps import hypergradients, population
from heliostat.sweeps.axes import Range, checked
from heliostat.sweeps.cells import Cell, Listed
from heliostat.sweeps.computing import Asked, Cells, Outcome, compute
from heliostat.sweeps.display import Display, Watching
from heliostat.sweeps.ledger import Ledger
from heliostat.sweeps.plan import (
    HYPERGRADIENT,
    VALIDATION,
    Metric,
    Plan,
    Scheduled,
    check,
)
from heliostat.sweeps.population import Population
from heliostat.sweeps.preview import preview
from heliostat.sweeps.removing import remove_sweep
from heliostat.sweeps.results import Sweep, open_sweep
from heliostat.sweeps.rungs import Rungs, halving
from heliostat.sweeps.searching import Searched
from heliostat.sweeps.tuning import check_installed
from heliostat.task import Task

__all__ = ["Range", "Sweep", "open_sweep", "remove_sweep", "sweep"]


def sweep(
    task: Task,
    *,
    over: Mapping[str, Iterable[Any] | Range],
    search: str = "grid",
    trials: int | None = None,
    metric: str | Sequence[str] | None = None,
    mode: str | Sequence[str] = "min",
    scheduler: str | None = None,
    grace: int | None = None,
    factor: int = 3,
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
    dry_run: bool = False,
    progress: Watching | None = None,
) -> Sweep:
    """Compute the runs of a task over values of its fields; what is stored is reused.

    Args:
        task: with the fields that are not varied.
        over: for a field (or ``seed``), the values that it takes; or a :class:`Range`
            that a search draws from.
        search: ``"grid"`` every combination; ``"random"`` or ``"sobol"`` so many
            ``trials``, each with every seed; ``"tpe"``, ``"gp"``, ``"cmaes"`` or
            ``"nsga2"`` propose each trial from what those before it found;
            ``"hypergradient"`` goes downhill, by the derivative of the task's
            ``validation`` through the whole run in its packable fields, from the middle
            of each range (with a ``search_seed``, from a point that is drawn).
        trials: how many are drawn; more extend a sweep, the first ones stay. Default 12
            for hypergradient, which ends before where it stands still.
        metric: the number of the headline that is optimised, or several of them.
        mode: ``"min"`` or ``"max"``, for each metric or for all.
        scheduler: ``"asha"`` prunes cells that are among the worst at a rung;
            ``"pbt"`` trains ``trials`` members in turn, the worst of which go on from
            the best with other values, see :mod:`heliostat.sweeps.population`.
        grace: steps before the first rung, or of one segment; default the stride.
        factor: between one rung and the next.
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
        dry_run: look only at what is stored; nothing is computed or written.

    Returns:
        Its dataset and tables; cells that failed are NaN, and in ``failures``. Of a dry
        run a :class:`~heliostat.sweeps.preview.Preview`.

    Raises:
        RequestError: if the request makes no sense; nothing is computed then.
        StoreError: if the store cannot be written or is damaged.

    Example:
        >>> grid = hs.sweep(VMC(molecule="Li"), over={"lr": [0.01, 0.05],
        ...                 "seed": range(4)})                 # doctest: +SKIP
        >>> grid.dataset.energy.mean("seed")                   # doctest: +SKIP
    """
    place = Place(on, workers, gpus).checked()
    if search == HYPERGRADIENT:
        trials = hypergradients.TRIALS if trials is None else trials
        metric = metric or VALIDATION
    plan = Plan(
        task,
        checked(type(task), over, drawn=search != "grid"),
        search,
        trials or 0,
        seed,
        search_seed,
        x64,
        steps,
        _metrics(metric, mode),
        _scheduled(task, scheduler, grace, factor),
    )
    check(plan, trials)
    if search == HYPERGRADIENT:
        hypergradients.check(plan, until)
    if plan.bred:
        population.check(plan)
    check_installed(search)
    if steps is not None:
        check_steps(steps)
    if retries < 0:
        raise RequestError(f"retries {retries}: expected 0 or more")
    if until and scheduler:
        raise RequestError("until: a scheduler ends runs already, give one of the two")
    Goal(task, steps or task.steps, until)  # refuses a condition that is none
    root, watching = store_folder(store), progress or Display()
    ledger = Ledger(root, plan)
    asked = partial(_asked, plan, until, place, store, retries, ledger, watching)
    if dry_run:
        return preview(plan, asked(), ledger, root)
    listed = None if plan.learns or plan.bred else Listed(plan.cells())
    ledger.begin()
    with Lock(ledger.path):  # who learns from what was found, learns alone
        cells = listed or _proposed(plan, ledger, place)
        outcomes = _compute(cells, asked(), ledger, watching)
    return Sweep(plan, cells.all, outcomes, root)


def _metrics(
    metric: str | Sequence[str] | None, mode: str | Sequence[str]
) -> tuple[Metric, ...]:
    """Each number with its direction; one direction may serve all.

    Raises:
        RequestError: if there are other directions than numbers.
    """
    names = [metric] if isinstance(metric, str) else list(metric or ())
    modes = [mode] if isinstance(mode, str) else list(mode)
    modes *= len(names) if len(modes) == 1 else 1
    if len(names) != len(modes):
        told = f"mode: {len(modes)} for {len(names)} metrics"
        raise RequestError(f"{told}, expected one for each")
    return tuple(map(Metric, names, modes))


def _scheduled(
    task: Task, scheduler: str | None, grace: int | None, factor: int
) -> Scheduled | None:
    if scheduler is None:
        if grace is not None:
            raise RequestError(f"grace {grace}: it is for a scheduler, such as asha")
        return None
    return Scheduled(scheduler, task.stride if grace is None else grace, factor)


def _proposed(plan: Plan, ledger: Ledger, place: Place) -> Searched | Population:
    if plan.bred:
        return Population(plan, ledger)
    if plan.search == HYPERGRADIENT:
        return hypergradients.Descending(plan, ledger, place)
    return Searched(plan, ledger)


def _asked(
    plan: Plan,
    until: str | None,
    place: Place,
    store: str | Path | None,
    retries: int,
    ledger: Ledger,
    watching: Watching,
) -> Asked:
    """What is asked of every cell, as far as it follows from what is written down."""

    def tell(event: str, **details: Any) -> None:
        ledger.tell(event, **details)
        watching.told(event, details)

    goal, together = _goals(plan, until, ledger), not (until or plan.scheduled)
    return Asked(goal, together, place, store, retries, tell, watching.beside)


def _goals(plan: Plan, until: str | None, ledger: Ledger) -> Callable[[Cell], Goal]:
    """How far each cell shall come."""
    scheduled = plan.scheduled
    if scheduled is None:
        return lambda cell: Goal(cell.task, plan.steps or cell.task.steps, until)
    if plan.bred:
        return lambda cell: Goal(cell.task, scheduled.grace)
    length = plan.steps or plan.task.steps
    judge = halving(plan.metrics[0], scheduled, length, ledger)
    return lambda cell: Rungs(cell, length, scheduled, judge, ledger.tell)


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
