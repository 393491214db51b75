"""Sweeps: a set of runs over the fields of a task, and one labelled dataset of them.

``axes`` are what is varied (``words`` reads them as they are typed), ``planning`` makes
a ``plan`` of what is asked, ``cells`` are the runs that follow from it; ``driving`` has
them computed, ``computing`` brings them to their goals on a fleet, ``preview`` only
says which would be; ``outcomes`` are how they came out, and ``ledger`` keeps that;
``findings`` are these by cell, ``trials`` on average over seeds, ``results`` all that
was found, as ``tables`` and ``datasets``, which ``lazy`` reads.

``searching`` and ``rungs`` let Ray Tune (``tuning``) decide which cells there are, and
how far each comes; ``hypergradients`` goes downhill, ``population`` breeds.

Each cell is an ordinary run: whatever is stored is not computed again, so a sweep that
was killed, or is asked for more values, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliostat.driver.placement import Placement
from heliostat.results.run import store_folder
from heliostat.sweeps.axes import Range
from heliostat.sweeps.open import open_sweep, remove_sweep
from heliostat.sweeps.preview import preview
from heliostat.sweeps.progress import SweepDisplay, SweepProgress
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
    progress: SweepProgress | None = None,
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
        metric: the number of the headline that is optimised, or several of them; with
            seeds, its mean over them.
        mode: ``"min"`` or ``"max"``, for each metric or for all.
        scheduler: ``"asha"`` prunes cells that are among the worst at a rung;
            ``"pbt"`` trains ``trials`` members in turn, the worst of which go on from
            the best with other values, see :mod:`heliostat.sweeps.search.pbt`.
        grace: steps before the first rung, or of one segment; default the stride.
        factor: between one rung and the next; default 3.
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
        progress: who shows how it goes; default a table, or lines, on stderr.

    Returns:
        Its dataset and tables; cells that failed are NaN, and in ``failures``, where
        those are, too, that came out once they were tried again. Of a dry run a
        :class:`~heliostat.sweeps.preview.Preview`.

    Raises:
        RequestError: if the request makes no sense; nothing is computed then.
        StoreError: if the store cannot be written or is damaged.

    Example:
        >>> grid = hs.sweep(VMC(molecule="Li"), over={"lr": [0.01, 0.05],
        ...                 "seed": range(4)})                 # doctest: +SKIP
        >>> grid.dataset.energy.mean("seed")                   # doctest: +SKIP
    """
    plan = build_plan(
        task,
        over,
        search=search,
        trials=trials,
        metric=metric,
        mode=mode,
        scheduler=scheduler,
        grace=grace,
        factor=factor,
        seed=seed,
        search_seed=search_seed,
        x64=x64,
        steps=steps,
    )
    place, root = Placement(on, workers, gpus), store_folder(store)
    request = SweepRequest(plan, until, retries, place, root).checked()
    watching = progress or SweepDisplay()
    return preview(request, watching) if dry_run else run_sweep(request, watching)
