"""Driver of one run: it commits chunks as they arrive, until the goal is reached."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from heliostat.driver.finish import (
    HEADLINE,
    complete,
    finish,
    finish_on_error,
    lacks_final_status,
)
from heliostat.driver.placement import ChunkSource, Placement, chunks
from heliostat.driver.progress import Progress, silent
from heliostat.errors import Busy, StoreError
from heliostat.loop.work import Chunk, Job
from heliostat.results.commands import run_command
from heliostat.results.goal import Goal
from heliostat.store.lock import Lock
from heliostat.store.record import Record
from heliostat.system import environment
from heliostat.system.signals import sigterm_interrupts
from heliostat.task import Task


def drive(
    record: Record,
    task: Task,
    goal: Goal,
    placement: Placement,
    progress: Progress = silent,
    source: ChunkSource = chunks,
) -> None:
    """Continue a run to its goal, as its only driver.

    The final status is ``complete``; ``stopped`` on request or by a task that pauses;
    ``interrupted`` by Ctrl-C or SIGTERM; or ``failed``, with the reason in the log.
    What is committed stays.

    Args:
        record: the record of the run, or of a pack.
        task: the task of the run.
        goal: the end of the run.
        placement: where steps are computed.
        progress: observer of chunks and events.
        source: yields the chunks of a job.

    Raises:
        Busy: if another driver owns the run.
        RunFailed: if a task raised, or workers were lost again and again.
    """
    with sigterm_interrupts(), Lock(record.path) as lock:
        if goal.reached(record):  # by another driver, meanwhile
            if lacks_final_status(record, goal):
                complete(record, task, goal)
            return
        before = record.attrs
        job = _start_job(record, task, goal, placement, progress)
        with finish_on_error(record, task, before, progress):
            stream = source(job, placement, _event_sink(record, progress), goal)
            if _commit_all(record, task, stream, goal, progress, lock):
                complete(record, task, goal)
            else:
                finish(record, task, "stopped")
        for reason in record.headline_errors:
            progress.on_event(HEADLINE, {"reason": reason})


def stop_file(record: Record) -> Path:
    """Return the file that makes the driver stop after its next commit."""
    return record.folder / "stop"


def _start_job(
    record: Record, task: Task, goal: Goal, placement: Placement, progress: Progress
) -> Job:
    """Write the status and the first event, and return the job of what is missing."""
    stop_file(record).unlink(missing_ok=True)
    job, start, before = record.job(task, goal.length), record.steps, record.attrs
    record.allocate(goal.length, task.stride)
    status = {"status": "running", "steps": goal.length, "until": goal.outcome_attrs}
    record.update(**status, reason=None)
    event = "resumed" if start else "started"
    record.log.append(event, at=start, until=goal.length, **placement._asdict())
    if start and (change := environment.differences(before.get("provenance", {}))):
        _event_sink(record, progress)("changed", reason=change)
    return job


def _event_sink(record: Record, progress: Progress) -> Callable[..., None]:
    """Return a callback that writes events to the log and shows them."""

    def on_event(event: str, **details: object) -> None:
        record.log.append(event, **details)
        progress.on_event(event, details)

    return on_event


def _commit_all(
    record: Record,
    task: Task,
    chunks: Generator[Chunk, None, None],
    goal: Goal,
    progress: Progress,
    lock: Lock,
) -> bool:
    """Commit chunks until the goal is reached; return False if asked to stop."""
    with closing(chunks), progress.follow(record, task, goal.length):
        for chunk in chunks:
            if lock.lost:
                raise Busy(f"another driver has taken over {record.id}")
            _commit(record, chunk, task, goal.length)
            progress.on_chunk(chunk)
            reached = chunk.stop >= goal.mark and goal.reached(record)
            if goal.doubt:
                _event_sink(record, progress)("until", reason=goal.doubt)
                goal.doubt = ""
            if reached:
                break
            if stop_file(record).exists():
                stop_file(record).unlink()
                return False
    return True


def _commit(record: Record, chunk: Chunk, task: Task, until: int) -> None:
    """Write the rows, state and digests of a chunk, then the event."""
    cells = {"cells": [c.start, c.stop]} if (c := chunk.cells) else {}
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
        again = run_command("resume", record.path, task=task)
        raise StoreError(
            f"{record.path} cannot be written ({error.strerror}); what was committed "
            f"stays: make room, then `{again}`"
        ) from error
