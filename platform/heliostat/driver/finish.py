"""How a run ends, and its last words: a status, why, and what its rows say so far."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from heliostat.errors import Busy, Paused, RequestError, RunFailed
from heliostat.results.encoding import estimate_to_json
from heliostat.results.goal import Goal
from heliostat.store.record import Record
from heliostat.task import Task

if TYPE_CHECKING:
    import xarray as xr


@contextmanager
def finish_on_error(
    record: Record, task: Task, before: dict[str, Any]
) -> Iterator[None]:
    """Write down how a driver ended, if it did not come to its end.

    Args:
        before: what the record said before this driver; it does again, if the driver
            was refused before its first commit.

    Raises:
        RunFailed: if a task raised, or workers were lost again and again.
    """
    began = record.steps
    try:
        yield
    except KeyboardInterrupt:
        finish(record, task, "interrupted")
        raise
    except Busy:
        raise  # the record is another driver's now
    except Paused as error:
        record.log.append("paused", reason=first_line(error))
        finish(record, task, "stopped", reason=first_line(error))
    except RequestError as error:
        if record.steps == began:
            _undo_start(record, before, error)
        else:
            _fail(record, task, error)
        raise
    except Exception as error:
        _fail(record, task, error)
        if isinstance(error, RunFailed):
            told = f"run {record.path.name}: {first_line(error)}"
            raise RunFailed(told) from error
        raise


def complete(record: Record, task: Task, goal: Goal) -> None:
    """Last words; a run that ended early is as if it had been asked for its length."""
    there = _ends_at_last_step(record, goal)
    if there and goal.mark < goal.length:
        record.trim(task.stride)
    steps = min(record.attrs.get("steps") or record.steps, record.steps)
    finish(
        record,
        task,
        "complete",
        steps=steps,
        until=goal.outcome_attrs if there else None,
    )


def missing_status(record: Record, goal: Goal) -> bool:
    """Whether its last words are missing although the last commit is there."""
    attrs, come = record.attrs, record.steps
    if attrs["status"] == "complete":
        return False
    return 0 < (attrs.get("steps") or 0) <= come or _ends_at_last_step(record, goal)


def finish(record: Record, task: Task, status: str, **attrs: Any) -> None:
    """The last words of a driver: how it ended and what the run says so far."""

    def find(task: Task, rows: xr.Dataset) -> dict[str, Any]:
        try:
            return {n: estimate_to_json(e) for n, e in task.headline(rows).items()}
        except Exception as error:  # must not hide how the run ended
            record.log.append("no headline", reason=str(error))
            return {}

    try:
        attrs |= record.headline_attrs(task, find)
    except Exception as error:  # rows that cannot be read: the same
        record.log.append("no headline", reason=str(error))
        attrs |= {"headline": {}}
    record.update(status=status, ended=time.time(), **attrs)
    record.log.append(status, at=record.steps)


def first_line(error: BaseException) -> str:
    """The line that says what happened; of a traceback, the one after its frames.

    Example:
        >>> first_line(ValueError("no such element\\nXq"))
        'no such element'
        >>> first_line(RunFailed('  File "a.py", line 1, in f\\n    g()\\nOh: no\\nXq'))
        'Oh: no'
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    frames = [i for i, line in enumerate(lines) if line.startswith('  File "')]
    said = lines[frames[-1] + 1 :] if frames else lines
    flush = (line.strip() for line in said if not (frames and line.startswith(" ")))
    return next(flush, type(error).__name__)


def _ends_at_last_step(record: Record, goal: Goal) -> bool:
    """Whether a run ends with its last step, and not with one before it."""
    return goal.decided and goal.mark == record.steps


def _undo_start(record: Record, before: dict[str, Any], error: RequestError) -> None:
    """It never began: all is as before."""
    as_before = {name: before.get(name) for name in ("status", "steps", "until")}
    record.update(**as_before)
    record.log.append("refused", reason=str(error))


def _fail(record: Record, task: Task, error: Exception) -> None:
    """Write down why; a disk that is full must not hide it from who is waiting."""
    told = {"reason": str(error), "traceback": traceback.format_exc()}
    with suppress(OSError):
        record.log.append("failed", **told)
        finish(record, task, "failed", reason=first_line(error))
