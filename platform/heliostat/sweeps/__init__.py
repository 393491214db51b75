"""Sweeps: sets of runs over the fields of a task, each as one labelled dataset.

In reading order:

    axes       fields and the values or ranges that they are varied over
    plan       a valid request, with its identity; ``validate`` builds it
    cells      the runs of a sweep, and where each lies in it
    search/    the rules that choose cells: grid, draws, Optuna, ASHA, PBT, descent, …
    run        runs a sweep; ``preview`` says what it would compute
    executor   brings cells to their goals, alone or packed, here or on a fleet
    outcomes   of cells: done, pruned, failed or stopped
    journal    the request and the events of a sweep, on disk; ``open`` reads them
    findings   cells with their outcomes and headlines
    trials     cells on average over their seeds
    results    the dataset and tables of a sweep, with ``datasets`` and ``plots``
    slabs      runs in one record, read together into the ``lazy`` arrays of a dataset
    progress   the display on a terminal

Each cell is an ordinary run: stored runs are not computed again, so a sweep that was
killed, or gets more values, continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliostat.config import registry
from heliostat.driver.placement import Placement
from heliostat.results.lookup import store_folder
from heliostat.sweeps.axes import Range
from heliostat.sweeps.open import open_sweep, remove_sweep
from heliostat.sweeps.preview import preview
from heliostat.sweeps.progress import SweepProgress, display_of
from heliostat.sweeps.results import Sweep
from heliostat.sweeps.run import SweepRequest, run_sweep
from heliostat.sweeps.validate import build_plan
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
    factor: int | None = None,
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
    progress: SweepProgress | bool | None = None,
) -> Sweep:
    """Compute the runs of a task over values of its fields; stored runs are reused.

    Args:
        task: task with the fields that are not varied.
        over: values of each field (or of ``seed``); or a :class:`Range` that a search
            draws from.
        search: ``"grid"`` every combination; ``"random"`` or ``"sobol"`` draw all
            ``trials``, each with every seed; ``"tpe"``, ``"gp"``, ``"cmaes"`` or
            ``"nsga2"`` propose each trial from the results of those before it;
            ``"hypergradient"`` follows the signs of the negative gradient of the task's
            ``validation`` through the whole run in its packable fields, from the middle
            of each range (with a ``search_seed``, from a drawn point).
        trials: number of trials; a larger one extends a sweep, the first trials stay.
            Default 12 for hypergradient, which ends early where it stands still.
        metric: the number of the headline that is optimised, or several of them; with
            seeds, its mean over them.
        mode: ``"min"`` or ``"max"``, for each metric or for all.
        scheduler: ``"asha"`` prunes cells that are among the worst at a rung;
            ``"pbt"`` trains ``trials`` members in turn, the worst of which continue
            from the best with other values, see :mod:`heliostat.sweeps.search.pbt`;
            ``"continuation"`` starts each cell of a grid from the last state of the one
            before it, along the first axis that is not seed, see
            :mod:`heliostat.sweeps.search.continuation`.
        grace: steps before the first rung, or of one segment; default the stride.
        factor: ratio of successive rungs; default 3.
        seed: seed of every cell, where seeds are not varied.
        search_seed: seed of the search.
        steps: length of every run; default the task's natural one.
        until: a condition on the headline at which a run ends, as in :func:`run`.
        retries: how often a cell whose task raised is tried again. A worker that dies
            is replaced without that.
        on: ``"local"``, ``"here"``, ``"auto"`` or an address, as in :func:`run`.
        workers: number of cells computed at once; default the whole machine or cluster.
        gpus: GPUs for all of them together; each worker has its share.
        x64: compute in float64.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        dry_run: look only at the store; compute and write nothing.
        progress: False prints nothing; default a table, or lines, on stderr, or a
            display.

    Returns:
        The sweep, with its dataset and tables. Cells that failed are NaN, and listed in
        ``failures`` with those that succeeded on a retry. For a dry run a
        :class:`~heliostat.sweeps.preview.Preview`.

    Raises:
        RequestError: if the request makes no sense; nothing is computed then.
        StoreError: if the store cannot be written or is damaged.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> over = {"coupling": [0.2, 0.4], "seed": range(2)}
        >>> grid = hs.sweep(task, over=over, steps=20, on="here")
        >>> dict(grid.dataset.lp.mean("seed").sizes)
        {'coupling': 2, 'chain': 4, 'draw': 20}
    """
    registry.check_is_task(task)
    steps = task.preset_steps if steps is None else steps
    rule: dict[str, Any] = {"search": search, "trials": trials}
    rule |= {"metric": metric, "mode": mode}
    rule |= {"scheduler": scheduler, "grace": grace, "factor": factor}
    runs: dict[str, Any] = {
        "seed": seed,
        "search_seed": search_seed,
        "x64": x64,
        "steps": steps,
    }
    plan = build_plan(task, over, **rule, **runs)
    placement, root = Placement(on, workers, gpus), store_folder(store)
    request = SweepRequest(plan, until, retries, placement, root).checked()
    display = display_of(progress)
    return preview(request, display) if dry_run else run_sweep(request, display)
