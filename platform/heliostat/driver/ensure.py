"""One run to its goal: found or created, driven if it is not there, shown as asked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heliostat import config
from heliostat.driver.driver import drive
from heliostat.driver.finish import missing_status
from heliostat.driver.parent import Parent
from heliostat.driver.placement import ChunkSource, Placement, chunks
from heliostat.driver.progress import Progress
from heliostat.errors import RequestError, StoreError
from heliostat.results.goal import Goal
from heliostat.results.lookup import store_folder
from heliostat.results.run import Run
from heliostat.store import lock
from heliostat.store.cell import CellRecord, unpack
from heliostat.store.index import is_stored, open_record
from heliostat.store.record import Record
from heliostat.system import environment
from heliostat.task import Task


def ensure(
    task: Task,
    spec: config.Spec,
    goal: Goal,
    placement: Placement,
    store: str | Path | None,
    progress: Progress,
    source: ChunkSource = chunks,
    parent: Parent | None = None,
) -> tuple[Run, bool]:
    """What :func:`run` does, for one run among many.

    Returns:
        The run, and whether anything was computed for it now.
    """
    record = find_or_create(task, spec, store, parent)
    with rollback_on_error(record, task):
        computed = compute_missing(record, task, goal, placement, progress, source)
    return view(record, task, goal), computed


def stored_run(
    task: Task, spec: config.Spec, goal: Goal, store: str | Path | None
) -> Run | None:
    """A run that has been brought to a goal already, if it has."""
    run = find_stored(task, spec, store)
    if run is None:
        return None
    record = run.record
    if not goal.reached(record) or is_abandoned(record, goal):
        return None
    return view(record, task, goal)


def find_stored(task: Task, spec: config.Spec, store: str | Path | None) -> Run | None:
    """The run of a task, if it is stored, however far it has come."""
    path = _folder(spec, store)
    return Run(path, task) if is_stored(path) else None


def plan_run(
    task: Task,
    seed: int,
    x64: bool,
    steps: int | None,
    until: str | None,
    parent: Parent | None = None,
) -> tuple[config.Spec, Goal]:
    spec = config.specify(task, seed, x64, parent and parent.identity)
    length = task.steps if steps is None else steps
    check_steps(length)
    return spec, Goal(task, length, until)


def compute_missing(
    record: Record,
    task: Task,
    goal: Goal,
    placement: Placement,
    progress: Progress,
    source: ChunkSource = chunks,
) -> bool:
    """Bring a run to its goal; whether it had not been there."""
    if goal.reached(record) and not is_abandoned(record, goal):
        return False
    drive(own_record(record, task), task, goal, placement, progress, source)
    return True


def own_record(record: Record, task: Task) -> Record:
    """A record that a run can be driven in: a cell leaves its pack first.

    Raises:
        Busy: if the pack is being driven.
    """
    if not isinstance(record, CellRecord):
        return record
    with lock.Lock(record.folder):
        return unpack(record, task)


@contextmanager
def rollback_on_error(record: Record, task: Task) -> Iterator[None]:
    """A bad request stores nothing."""
    try:
        yield
    except RequestError:
        if record.path.exists() and not record.steps:
            delete_run(record.path)
        raise


def view(record: Record, task: Task, goal: Goal) -> Run:
    """A run as far as it was asked for: perhaps the beginning of a longer one."""
    come = open_record(record.path).steps  # a cell may have left its pack
    limit = goal.mark if goal.decided and goal.mark < come else None
    return Run(record.path, task, limit, goal.outcome)


def check_steps(steps: Any) -> None:
    """
    Raises:
        RequestError: if that is no number of steps.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise RequestError(f"steps {steps!r}: expected a whole number of at least 1")


def find_or_create(
    task: Task,
    spec: config.Spec,
    store: str | Path | None,
    parent: Parent | None = None,
) -> Record:
    path = _folder(spec, store)
    try:
        if is_stored(path):
            return Run(path, task).record
    except OSError as error:
        reason = f"{path.parents[1]} cannot be read: {error.strerror}"
        raise StoreError(f"store {reason}") from error
    about = initial_attrs(task, spec.identity["task"])
    return Record.create(path, spec, task, about, parent.load() if parent else ())


def initial_attrs(task: Task, name: str) -> dict[str, Any]:
    """What a new record says of itself."""
    return {
        "schema": config.SCHEMA,
        "task": name,
        "replica_dim": task.replica_dim,
        "step_dim": task.step_dim,
        "status": "created",
        "created": time.time(),
        "provenance": environment.provenance(),
    }


def _folder(spec: config.Spec, store: str | Path | None) -> Path:
    return store_folder(store) / spec.identity["task"] / spec.id


def is_abandoned(record: Record, goal: Goal) -> bool:
    """Whether a driver was killed after its last commit, before its last words."""
    return missing_status(record, goal) and not lock.lock_owner(record.folder)


def delete_run(path: Path) -> None:
    """All that a run stored.

    Raises:
        Busy: if it is being driven.
    """
    with lock.Lock(path):
        shutil.rmtree(path)
