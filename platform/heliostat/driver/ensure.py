"""Ensure that a run is stored up to its goal: find or create it, compute the rest."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from heliostat import config
from heliostat.driver.driver import drive
from heliostat.driver.finish import lacks_final_status
from heliostat.driver.parent import Parent
from heliostat.driver.placement import ChunkSource, Placement, chunks
from heliostat.driver.progress import Progress
from heliostat.errors import RequestError, StoreError
from heliostat.fields.conversion import plain
from heliostat.results.goal import Goal
from heliostat.results.lookup import store_folder
from heliostat.results.run import Run
from heliostat.store import lock
from heliostat.store.annotations import copy_annotation
from heliostat.store.cell import CellRecord, extract_cell
from heliostat.store.index import find_record
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
    """Return a run at its goal, computing what is missing.

    Args:
        task: the task of the run.
        spec: the identity of the run.
        goal: the end of the run.
        placement: where steps are computed.
        store: folder of runs.
        progress: observer of the run.
        source: yields the chunks of a job.
        parent: the run that a new one starts from.

    Returns:
        The run, and True if anything was computed.
    """
    record = find_or_create(task, spec, store, parent)
    with rollback_on_error(record, task):
        computed = compute_missing(record, task, goal, placement, progress, source)
    return run_up_to_goal(record, task, goal), computed


def view_complete(record: Record | None, task: Task, goal: Goal) -> Run | None:
    """Return a run if it is stored up to a goal, else None."""
    if record is None or not goal.reached(record) or is_abandoned(record, goal):
        return None
    return run_up_to_goal(record, task, goal)


def find_stored(task: Task, spec: config.Spec, store: str | Path | None) -> Run | None:
    """Return a run if it is stored, at whatever step; else None."""
    record = find_record(_folder(spec, store))
    return Run(record.path, task, record=record) if record else None


def plan_run(
    task: Task,
    seed: int,
    x64: bool,
    steps: int | None,
    until: str | None,
    parent: Parent | None = None,
) -> tuple[config.Spec, Goal]:
    """Return the identity and the goal of a requested run.

    Raises:
        RequestError: if the task, the steps or the condition make no sense.
    """
    spec = config.specify(task, seed, x64, parent and parent.identity)
    length = (task.preset_steps or task.steps) if steps is None else steps
    length = whole_steps(length)
    return spec, Goal(task, length, until)


def compute_missing(
    record: Record,
    task: Task,
    goal: Goal,
    placement: Placement,
    progress: Progress,
    source: ChunkSource = chunks,
) -> bool:
    """Continue a run to its goal; return False if nothing was missing."""
    if goal.reached(record) and not is_abandoned(record, goal):
        return False
    drive(own_record(record, task), task, goal, placement, progress, source)
    return True


def own_record(record: Record, task: Task) -> Record:
    """Return a record of the run alone: a cell leaves its pack for a folder of its own.

    Raises:
        Busy: if the pack is being driven.
    """
    if not isinstance(record, CellRecord):
        return record
    with lock.Lock(record.folder):
        alone = extract_cell(record, task)
        copy_annotation(record, alone)
    return alone


@contextmanager
def rollback_on_error(record: Record, task: Task) -> Generator[None]:
    """Delete a new run if the request turns out to make no sense."""
    try:
        yield
    except RequestError:
        if record.path.exists() and not record.steps:
            delete_run(record.path)
            with suppress(OSError):  # other runs of the task are there
                record.path.parent.rmdir()
        raise


def run_up_to_goal(record: Record, task: Task, goal: Goal) -> Run:
    """Return a run up to its goal; it may be the beginning of a longer one."""
    if record.folder != record.path and record.path.exists():
        record = Record(record.path)  # the cell has left its pack
    limit = goal.mark if goal.decided and goal.mark < record.steps else None
    return Run(record.path, task, limit, goal.outcome, record)


def whole_steps(steps: Any) -> int:
    """Return a number of steps, also one of NumPy's, as an int.

    Raises:
        RequestError: if it is no whole number of at least 1.
    """
    steps = plain(steps)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise RequestError(f"steps {steps!r}: expected a whole number of at least 1")
    return steps


def find_or_create(
    task: Task,
    spec: config.Spec,
    store: str | Path | None,
    parent: Parent | None = None,
) -> Record:
    """Return the record of a run, created if it is not stored.

    Raises:
        StoreError: if the store cannot be read or written.
    """
    path = _folder(spec, store)
    try:
        if record := find_record(path):
            return record
    except OSError as error:
        reason = f"{path.parents[1]} cannot be read: {error.strerror}"
        raise StoreError(f"store {reason}") from error
    about = initial_attrs(task, spec.identity["task"])
    return Record.create(path, spec, task, about, parent.load() if parent else ())


def initial_attrs(task: Task, name: str) -> dict[str, Any]:
    """Return the root attributes of a new record."""
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
    """Return True if a driver died after its last commit, before the final status."""
    return lacks_final_status(record, goal) and not lock.lock_owner(record.folder)


def delete_run(path: Path) -> None:
    """Delete everything that a run stored.

    Raises:
        Busy: if it is being driven.
    """
    with lock.Lock(path):
        shutil.rmtree(path)
