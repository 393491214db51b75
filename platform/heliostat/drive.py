"""Driving one run: chunks from here or from the fleet, committed as they arrive."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from heliostat import device
from heliostat.errors import Busy, Paused, RequestError, RunFailed, StoreError
from heliostat.goal import Goal
from heliostat.grid import Chunk, Job, Slab, unbounded
from heliostat.lock import Lock
from heliostat.progress import Progress, silent
from heliostat.record import Record
from heliostat.task import Estimate, Task
from heliostat.unfold import unfold as unfold_here

if TYPE_CHECKING:
    import xarray as xr


class Place(NamedTuple):
    """Where a run is computed. Nothing here can change its rows, except the layout of
    a sharded replica, within rounding."""

    on: str = "local"
    workers: int | None = None
    gpus: float | None = None
    seconds: float = 2.0  # between commits

    def checked(self) -> Place:
        """The same, if it makes sense.

        Raises:
            RequestError: if it names nowhere, or no worker.
        """
        on, workers, gpus, _ = self
        if not on:
            raise RequestError("on '': expected local, here, auto or an address")
        if workers is not None and workers < 1:
            raise RequestError(f"workers {workers}: expected at least 1")
        if workers not in (None, 1) and on == "here":
            one = "there is one process with on='here'"
            raise RequestError(f"workers {workers}: {one}")
        if gpus is not None and gpus < 0:
            raise RequestError(f"gpus {gpus:g}: expected 0 or more")
        return self


Source = Callable[..., Generator[Chunk, None, None]]
"""Gives the chunks of a job, as :func:`chunks` does."""


def chunks(
    job: Job,
    place: Place,
    tell: Callable[..., None],
    goal: Callable[[], int] = unbounded,
) -> Generator[Chunk, None, None]:
    """The chunks of a job from wherever it is computed; slabs, of several lanes."""
    if place.on == "here":
        device.remember_programs()
        device.narrow(place.gpus)
        yield from unfold_here(job, place.seconds, goal)
        return
    device.authenticate(place.on)
    from heliostat import fleet

    yield from fleet.unfold(
        job, place.seconds, place.on, place.workers, place.gpus, tell, goal
    )


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
                _complete(record, task, goal)
            return
        stop_request(record).unlink(missing_ok=True)
        job = record.job(task, goal.length)
        record.allocate(goal.length, task.stride)
        began, before = record.steps, record.attrs
        record.update(
            status="running", steps=goal.length, reason=None, until=_told(goal)
        )
        event = "resumed" if began else "started"
        record.log.tell(event, at=began, until=goal.length, **place._asdict())
        if began and (change := device.changed(before.get("provenance", {}))):
            record.log.tell("changed", reason=change)
            progress.told("changed", {"reason": change})
        try:
            arriving = source(job, place, _telling(record, progress), goal)
            status = _commit_all(record, task, arriving, goal, progress, lock)
        except KeyboardInterrupt:
            _end(record, task, "interrupted")
            raise
        except Busy:
            raise  # the record is another driver's now
        except Paused as error:
            record.log.tell("paused", reason=first_line(error))
            _end(record, task, "stopped", reason=first_line(error))
            return
        except RequestError as error:
            if record.steps != began:
                _fail(record, task, error)
                raise
            # it never began: all is as before
            record.update(
                status=before["status"],
                steps=before.get("steps"),
                until=before.get("until"),
            )
            record.log.tell("refused", reason=str(error))
            raise
        except Exception as error:
            _fail(record, task, error)
            if isinstance(error, RunFailed):
                raise RunFailed(
                    f"run {record.path.name}: {first_line(error)}"
                ) from error
            raise
        if status == "complete":
            _complete(record, task, goal)
        else:
            _end(record, task, status)


def stop_request(record: Record):
    """The file whose presence asks the driver to stop after its next commit."""
    return record.home / "stop"


def _telling(record: Record, progress: Progress) -> Callable[..., None]:
    """Where what happens to workers is told: in the log, and to who watches."""

    def tell(event: str, **details: object) -> None:
        record.log.tell(event, **details)
        progress.told(event, details)

    return tell


def _commit_all(
    record: Record,
    task: Task,
    arriving: Generator[Chunk, None, None],
    goal: Goal,
    progress: Progress,
    lock: Lock,
) -> str:
    with closing(arriving), progress.following(record, task, goal.length):
        for chunk in arriving:
            if lock.lost:
                raise Busy(f"another driver has taken over {record.path.name}")
            _commit(record, chunk, task, goal.length)
            progress.saw(chunk)
            if chunk.stop >= goal.mark and goal.reached(record):
                return "complete"
            if stop_request(record).exists():
                stop_request(record).unlink()
                return "stopped"
    return "complete"


def _commit(record: Record, chunk: Chunk | Slab, task: Task, until: int) -> None:
    lanes = chunk.lanes if isinstance(chunk, Slab) else ()
    cells = {"cells": [lanes[0].cell, lanes[-1].cell + 1]} if lanes else {}
    try:
        record.commit(chunk, task, until)
        record.log.tell(
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


def unsaid(record: Record, goal: Goal) -> bool:
    """Whether its last words are missing although the last commit is there."""
    attrs, come = record.attrs, record.steps
    if attrs["status"] == "complete":
        return False
    return 0 < (attrs.get("steps") or 0) <= come or _ends_there(record, goal)


def _ends_there(record: Record, goal: Goal) -> bool:
    """Whether a run ends with its last step, and not with one before it."""
    return goal.ended and goal.mark == record.steps


def _complete(record: Record, task: Task, goal: Goal) -> None:
    """Last words; a run that ended early is as if it had been asked for its length."""
    there = _ends_there(record, goal)
    if there and goal.mark < goal.length:
        record.trim(task.stride)
    steps = min(record.attrs.get("steps") or record.steps, record.steps)
    until = _told(goal) if there else None
    _end(record, task, "complete", steps=steps, until=until)


def _told(goal: Goal) -> dict[str, Any] | None:
    return goal.outcome._asdict() if goal.outcome else None


def _fail(record: Record, task: Task, error: Exception) -> None:
    """Write down why; a disk that is full must not hide it from who is waiting."""
    told = {"reason": str(error), "traceback": traceback.format_exc()}
    with suppress(OSError):
        record.log.tell("failed", **told)
        _end(record, task, "failed", reason=first_line(error))


def _end(record: Record, task: Task, status: str, **attrs: Any) -> None:
    """The last words of a driver: how it ended and what the run says so far."""

    def find(task: Task, rows: xr.Dataset) -> dict[str, Any]:
        try:
            return {n: _plain(e) for n, e in task.headline(rows).items()}
        except Exception as error:  # must not hide how the run ended
            record.log.tell("no headline", reason=str(error))
            return {}

    try:
        attrs |= record.conclude(task, find)
    except Exception as error:  # rows that cannot be read: the same
        record.log.tell("no headline", reason=str(error))
        attrs |= {"headline": {}}
    record.update(status=status, ended=time.time(), **attrs)
    record.log.tell(status, at=record.steps)


def _plain(estimate: Estimate) -> list[Any]:
    """For JSON, which has no NaN: what is unknown is null, and infinity a word."""
    return [
        v if isinstance(v, str) or math.isfinite(v) else None if v != v else str(v)
        for v in estimate
    ]


def first_line(error: BaseException) -> str:
    """The line of a traceback that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
