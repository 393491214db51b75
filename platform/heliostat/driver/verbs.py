"""The verbs that change a run: run, start, resume, extend, stop, remove."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliostat.config import registry
from heliostat.driver.driver import stop_file
from heliostat.driver.ensure import (
    compute_missing,
    delete_run,
    find_or_create,
    is_abandoned,
    own_record,
    plan_run,
    rollback_on_error,
    run_up_to_goal,
    whole_steps,
)
from heliostat.driver.parent import parent_of
from heliostat.driver.placement import Placement
from heliostat.driver.progress import Progress, display_of
from heliostat.driver.spawn import argv, spawn, spawn_with_code
from heliostat.errors import Busy, RequestError, RunFailed
from heliostat.results.goal import Goal, GoalOutcome
from heliostat.results.lookup import as_run, find_run
from heliostat.results.run import Run
from heliostat.store import lock
from heliostat.store.index import find_record
from heliostat.store.record import Record
from heliostat.task import Task


def run(
    task: Task,
    *,
    seed: int = 0,
    steps: int | None = None,
    until: str | None = None,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    x64: bool = False,
    store: str | Path | None = None,
    fresh: bool = False,
    parent: Run | None = None,
    parent_step: int = -1,
    progress: Progress | bool | None = None,
) -> Run:
    """Compute a run, or return it if it is stored; more steps extend it.

    Args:
        task: the task; with ``seed`` and ``x64`` it defines the run's id.
        seed: root of all random keys.
        steps: length; default the task's natural one. Not part of the identity.
        until: a condition on the headline, such as ``"ess > 400 and rhat < 1.01"``:
            the run ends at the first mark where it holds
            (:mod:`heliostat.results.goal`).
            ``steps`` stays the upper bound. Not part of the identity.
        on: ``"local"`` an embedded Ray, ``"here"`` this process, ``"auto"`` the
            cluster of this process, or a cluster's address.
        workers: processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        x64: compute in float64.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        fresh: recompute what is stored from its first step, and compare.
        parent: a run whose states this one starts from; its task has the same class,
            width and number of replicas.  Its id and digests are part of the identity.
        parent_step: a kept step of the parent, whose states are taken; -1 is the last.
        progress: False prints nothing; default a status line on standard error, or an
            observer of the run.

    Returns:
        The :class:`Run`, complete.

    Raises:
        RequestError: if the request makes no sense; nothing is stored then.
        StoreError: if the store cannot be written or is damaged.
        RunFailed: if it failed; `resume` goes on from the last commit.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> hs.run(task, seed=7, steps=20, on="here").status
        'complete'
        >>> hs.run(task, seed=7, steps=40, on="here").steps    # 20 of them are stored
        40
    """
    registry.check_is_task(task)
    parent_state = parent and parent_of(task, x64, parent, parent_step)
    spec, goal = plan_run(task, seed, x64, steps, until, parent_state)
    placement = Placement(on, workers, gpus).validate()
    record = find_or_create(task, spec, store, parent_state)
    if fresh and record.steps:
        _recompute(record, task, on, workers)
    with rollback_on_error(record, task):
        compute_missing(record, task, goal, placement, display_of(progress))
    return run_up_to_goal(record, task, goal)


def start(
    task: Task,
    *,
    seed: int = 0,
    steps: int | None = None,
    until: str | None = None,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    x64: bool = False,
    store: str | Path | None = None,
) -> Run:
    """Start a run in a driver of its own, and return at once.

    Args:
        task: the task; one that is not installed is sent to the driver as code.
        seed: root of all random keys.
        steps: length; default the task's natural one.
        until: a condition on the headline that may end the run earlier.
        on: ``"local"`` an embedded Ray, ``"here"`` this process, ``"auto"`` the
            cluster of this process, or a cluster's address.
        workers: processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        x64: compute in float64.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.

    Returns:
        The :class:`Run`, whose rows and status follow the driver.

    Raises:
        RequestError: if the request makes no sense.
        Busy: if a driver computes the run already, to fewer steps.

    Example:
        >>> import time, heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> run = hs.start(Discrete(size=3, chains=4), steps=20, on="here")
        >>> while run.status != "complete": time.sleep(0.1)
        >>> run.steps
        20
    """
    from heliostat.fleet.pickles import pickle_task

    registry.check_is_task(task)
    spec, goal = plan_run(task, seed, x64, steps, until)
    placement = Placement(on, workers, gpus).validate()
    code = b"" if registry.is_registered(type(task)) else pickle_task(task)
    record = find_or_create(task, spec, store)
    if goal.reached(record) and not is_abandoned(record, goal):
        return run_up_to_goal(record, task, goal)
    if not lock.lock_owner(record.folder):
        record = own_record(record, task)
        outcome = GoalOutcome(goal.condition.text)._asdict() if goal.condition else None
        steps = max(goal.length, record.steps)
        about = {"status": "created", "steps": steps, "until": outcome}
        record.update(**about, asked=time.time())
        if code:
            spawn_with_code(record, code, goal, placement)
        else:
            spawn(record, argv(record, task, goal, placement))
    elif (record.attrs.get("steps") or 0) < goal.length:
        raise Busy(f"run {spec.id} is being driven, to fewer steps; stop it first")
    return Run(record.path, task)


def resume(
    run: str | Run,
    *,
    steps: int | None = None,
    until: str | None = None,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    store: str | Path | None = None,
    task: type[Task] | str | None = None,
    code: str | Sequence[str] = (),
    progress: Progress | bool | None = None,
) -> Run:
    """Continue an unfinished run to its planned length.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        steps: another length; default the planned one.
        until: another condition; default the run's own if it is not decided; "" for
            none.
        on: ``"local"`` an embedded Ray, ``"here"`` this process, ``"auto"`` the
            cluster of this process, or a cluster's address.
        workers: processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        task: the class of a task that is not installed, or FILE.py:CLASS.
        code: FILE.py:NAME of each function that is a field of the task.
        progress: False prints nothing; default a status line on standard error, or an
            observer of the run.

    Returns:
        The :class:`Run`, complete.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, seed=3, steps=20, on="here")
        >>> hs.resume(run.id, steps=30, on="here").steps
        30
    """
    placement = Placement(on, workers, gpus).validate()
    opened = as_run(run, store, task, code)
    attrs = opened.record.attrs
    planned = int(attrs.get("steps") or opened.task.steps)
    length = planned if steps is None else whole_steps(steps)
    outcome = attrs.get("until")
    if until is None and outcome and outcome["met"] is None:
        until = outcome["condition"]
    goal = Goal(opened.task, length, until)
    compute_missing(opened.record, opened.task, goal, placement, display_of(progress))
    return run_up_to_goal(opened.record, opened.task, goal)


def extend(
    run: str | Run, *, steps: int, until: str | None = None, **options: Any
) -> Run:
    """Continue a run to ``steps`` in total.

    The rows are those of a run that had this length from the start. A run that has them
    already is returned as :func:`run` does: up to ``steps``.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        steps: the new length.
        until: a condition that may end the run earlier, in place of the old one.
        options: options of :func:`resume`.

    Returns:
        The :class:`Run`, complete.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, seed=4, steps=20, on="here")
        >>> hs.extend(run.id, steps=40, on="here").steps
        40
    """
    task_and_code = options.pop("task", None), options.pop("code", ())
    opened = as_run(run, options.get("store"), *task_and_code)
    return resume(opened, steps=steps, until=until or "", **options)


def stop(run: str | Run, *, store: str | Path | None = None, wait: float = 0) -> Run:
    """Ask the driver of a run to stop after its next commit.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        wait: seconds to wait for the driver.

    Returns:
        The :class:`Run`; as it is, if no driver computes it.

    Example:
        >>> import time, heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> run = hs.start(Discrete(size=3), steps=10_000_000, on="here")
        >>> while run.status != "running": time.sleep(0.1)
        >>> hs.stop(run, wait=60).status
        'stopped'
    """
    opened = as_run(run, store)
    if not lock.lock_owner(opened.record.folder):
        return opened
    stop_file(opened.record).touch()
    deadline = time.monotonic() + wait
    while lock.lock_owner(opened.record.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return opened


def remove(run: str | Run, *, store: str | Path | None = None) -> None:
    """Delete a run and all it stored.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.

    Raises:
        Busy: if a driver computes the run.
        RequestError: for a cell of a pack, whose record other cells share.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, seed=6, steps=20, on="here")
        >>> hs.remove(run)
        >>> run.path.exists()
        False
    """
    path = run.path if isinstance(run, Run) else find_run(run, store)
    check_removable(path)
    record = find_record(path)
    delete_run(record.path if record else path)


def check_removable(path: Path) -> None:
    """Check that a run has a record of its own.

    Raises:
        RequestError: for a cell of a pack, whose record other cells share.
    """
    record = find_record(path)
    if record is not None and record.folder != record.path:
        raise RequestError(
            f"run {path.name} shares its record with other cells; remove the folder "
            f"{record.folder} to remove all of them"
        )


def _recompute(record: Record, task: Task, on: str, workers: int | None) -> None:
    from heliostat.driver.verify import verify

    verdict = verify(Run(record.path, task), segments="all", on=on, workers=workers)
    if verdict.status != "ACCEPT":
        result = "is not reproduced" if verdict.status == "REJECT" else "is not settled"
        raise RunFailed(f"run {record.id} {result}: {verdict.reasons[0]}")
