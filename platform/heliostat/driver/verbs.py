"""The verbs that move a run: run, start, resume, extend, stop, remove."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliostat.config import registry
from heliostat.driver.driver import stop_file
from heliostat.driver.ensure import (
    check_steps,
    compute_missing,
    delete_run,
    find_or_create,
    is_abandoned,
    own_record,
    plan_run,
    rollback_on_error,
    view,
)
from heliostat.driver.parent import parent_of
from heliostat.driver.placement import Placement
from heliostat.driver.progress import Progress, default_progress
from heliostat.driver.spawn import argv, spawn
from heliostat.errors import Busy, RequestError, RunFailed
from heliostat.results.goal import Goal, GoalOutcome
from heliostat.results.lookup import as_run, find_run
from heliostat.results.run import Run
from heliostat.store import lock
from heliostat.store.index import is_stored, open_record
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
    progress: Progress | None = None,
) -> Run:
    """Compute a run, or return it if it is stored; more steps extend it.

    Args:
        task: what to run; with ``seed`` and ``x64`` it defines the run's id.
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
        parent: begin from a state of another run of this class of tasks, as wide and
            with as many replicas; its id and digests are part of the identity.
        parent_step: after which step; one that the parent has kept, -1 is the last.

    Raises:
        RequestError: if the request makes no sense; nothing is stored then.
        StoreError: if the store cannot be written or is damaged.
        RunFailed: if it failed; `resume` goes on from the last commit.
    """
    begin = parent and parent_of(task, x64, parent, parent_step)
    spec, goal = plan_run(task, seed, x64, steps, until, begin)
    place = Placement(on, workers, gpus).validate()
    record = find_or_create(task, spec, store, begin)
    if fresh and record.steps:
        _recompute(record, task, on, workers)
    with rollback_on_error(record, task):
        compute_missing(record, task, goal, place, progress or default_progress())
    return view(record, task, goal)


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
    """Like :func:`run`, but return at once: a driver of its own goes on.

    Raises:
        RequestError: also for a task that only exists in this session, since the
            driver could not import it.
    """
    if not registry.is_registered(type(task)):
        raise RequestError(
            f"{type(task).__name__} is not installed, so another process cannot find "
            "it; use run(), or register it as an entry point of heliostat.tasks"
        )
    spec, goal = plan_run(task, seed, x64, steps, until)
    place = Placement(on, workers, gpus).validate()
    record = find_or_create(task, spec, store)
    if goal.reached(record) and not is_abandoned(record, goal):
        return view(record, task, goal)
    if not lock.lock_owner(record.folder):
        record = own_record(record, task)
        outcome = GoalOutcome(goal.condition.text)._asdict() if goal.condition else None
        steps = max(goal.length, record.steps)
        about = {"status": "created", "steps": steps, "until": outcome}
        record.update(**about, asked=time.time())
        spawn(record, argv(record, task, goal, place))
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
    task: type[Task] | None = None,
    code: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> Run:
    """Bring an unfinished run to the length it was asked for.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        steps: another length; default the one it was planned for.
        until: another condition; default the one it has not come to yet, "" for none.
        task: the class of a task that is not installed.
        code: FILE.py:NAME of each function that is a field of the task.
    """
    place = Placement(on, workers, gpus).validate()
    found = as_run(run, store, task, code)
    attrs = found.record.attrs
    planned = int(attrs.get("steps") or found.task.steps)
    length = planned if steps is None else steps
    check_steps(length)
    asked = attrs.get("until")
    if until is None and asked and asked["met"] is None:
        until = asked["condition"]
    goal = Goal(found.task, length, until)
    watching = progress or default_progress()
    compute_missing(found.record, found.task, goal, place, watching)
    return view(found.record, found.task, goal)


def extend(
    run: str | Run, *, steps: int, until: str | None = None, **where: Any
) -> Run:
    """Continue a run to ``steps`` in total; exactly as if it had been asked at first.

    Args:
        until: a condition that may end it earlier; what it was asked before is over.

    Raises:
        RequestError: if the run is already as long.
    """
    typed = where.pop("task", None), where.pop("code", ())
    found = as_run(run, where.get("store"), *typed)
    if steps <= found.record.steps:
        raise RequestError(
            f"run {found.id} has {found.record.steps} steps already; "
            f"extend it to more than that, got {steps}"
        )
    return resume(found, steps=steps, until=until or "", **where)


def stop(run: str | Run, *, store: str | Path | None = None, wait: float = 0) -> Run:
    """Ask the driver of a run to stop after its next commit.

    Args:
        wait: seconds to wait for it.

    Raises:
        RequestError: if nobody drives the run.
    """
    found = as_run(run, store)
    if not lock.lock_owner(found.record.folder):
        raise RequestError(f"run {found.id} is not running; it is {found.status}")
    stop_file(found.record).touch()
    deadline = time.monotonic() + wait
    while lock.lock_owner(found.record.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def remove(run: str | Run, *, store: str | Path | None = None) -> None:
    """Delete a run and all it stored.

    Raises:
        Busy: if it is being driven.
        RequestError: for a cell of a pack, which others share.
    """
    path = run.path if isinstance(run, Run) else find_run(run, store)
    if not path.exists() and is_stored(path):
        home = open_record(path).folder
        raise RequestError(
            f"run {path.name} shares its record with other cells; remove the folder "
            f"{home} to remove all of them"
        )
    delete_run(path)


def _recompute(record: Record, task: Task, on: str, workers: int | None) -> None:
    from heliostat.driver.verify import verify

    verdict = verify(Run(record.path, task), segments="all", on=on, workers=workers)
    if verdict.status != "ACCEPT":
        known = "is not reproduced" if verdict.status == "REJECT" else "is not settled"
        raise RunFailed(f"run {record.path.name} {known}: {verdict.reasons[0]}")
