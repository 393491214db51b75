"""Driving one run: chunks from wherever it is computed, committed as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from heliostat.driver.finish import complete, end, ending, unsaid
from heliostat.driver.placement import Place, Source, chunks
from heliostat.driver.progress import Progress, silent
from heliostat.errors import Busy, StoreError
from heliostat.loop.work import Chunk, Job, Slab
from heliostat.results.goal import Goal
from heliostat.store.lock import Lock
from heliostat.store.record import Record
from heliostat.system import device
from heliostat.task import Task


def drive(
    record: Record,
    task: Task,
    goal: Goal,
    place: Place,
    progress: Progress = silent,
    source: Source = chunks,
) -> None:
    """Bring a run to its goal, from wherever it stands; one driver at a time.

    Ends with status ``complete``; or ``stopped`` on request or by a task that pauses,
    ``interrupted`` by the keyboard, ``failed`` for a reason that the log tells.  What
    was committed stays.

    Raises:
        Busy: if another driver owns the run.
        RunFailed: if a task raised, or workers were lost again and again.
    """
    with Lock(record.path) as lock:
        if goal.reached(record):  # another driver has brought it there
            if unsaid(record, goal):
                complete(record, task, goal)
            return
        before = record.attrs
        job = _begin(record, task, goal, place, progress)
        with ending(record, task, before):
            arriving = source(job, place, _telling(record, progress), goal)
            if _commit_all(record, task, arriving, goal, progress, lock):
                complete(record, task, goal)
            else:
                end(record, task, "stopped")


def stop_request(record: Record) -> Path:
    """The file whose presence asks the driver to stop after its next commit."""
    return record.folder / "stop"


def _begin(
    record: Record, task: Task, goal: Goal, place: Place, progress: Progress
) -> Job:
    """First words, and what is to be computed."""
    stop_request(record).unlink(missing_ok=True)
    job, began, before = record.job(task, goal.length), record.steps, record.attrs
    record.allocate(goal.length, task.stride)
    record.update(status="running", steps=goal.length, reason=None, until=goal.told)
    event = "resumed" if began else "started"
    record.log.append(event, at=began, until=goal.length, **place._asdict())
    if began and (change := device.changed(before.get("provenance", {}))):
        _telling(record, progress)("changed", reason=change)
    return job


def _telling(record: Record, progress: Progress) -> Callable[..., None]:
    """Where what happens is told: in the log, and to who watches."""

    def tell(event: str, **details: object) -> None:
        record.log.append(event, **details)
        progress.told(event, details)

    return tell


def _commit_all(
    record: Record,
    task: Task,
    arriving: Generator[Chunk, None, None],
    goal: Goal,
    progress: Progress,
    lock: Lock,
) -> bool:
    """Whether it came to its end, and was not asked to stop."""
    with closing(arriving), progress.following(record, task, goal.length):
        for chunk in arriving:
            if lock.lost:
                raise Busy(f"another driver has taken over {record.path.name}")
            _commit(record, chunk, task, goal.length)
            progress.saw(chunk)
            if chunk.stop >= goal.mark and goal.reached(record):
                break
            if stop_request(record).exists():
                stop_request(record).unlink()
                return False
    return True


def _commit(record: Record, chunk: Chunk | Slab, task: Task, until: int) -> None:
    lanes = chunk.members if isinstance(chunk, Slab) else ()
    cells = {"cells": [lanes[0].cell, lanes[-1].cell + 1]} if lanes else {}
    try:
        record.commit(chunk, task, until)
        record.log.append(
            "committed",
            **cells,
            block=chunk.block,
            start=chunk.start,
            stop=chunk.stop,
            seconds=round(chunk.seconds, 4),
            layout=chunk.layout,
            environment=chunk.environment,
        )
    except OSError as error:
        raise StoreError(
            f"{record.path} cannot be written ({error.strerror}); what was committed "
            f"stays: make room, then `heliostat resume {record.path.name}`"
        ) from error
