"""Finish a run: write its final status, the reason, and the headline of its rows."""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from heliostat.config.lines import error_with_line
from heliostat.driver.progress import Progress, silent
from heliostat.errors import Busy, Paused, RequestError, RunFailed, StoreError
from heliostat.results.commands import details_of
from heliostat.results.encoding import estimate_to_json
from heliostat.results.goal import Goal
from heliostat.results.headline import headline_of
from heliostat.store.record import Record
from heliostat.task import Task

if TYPE_CHECKING:
    import xarray as xr

HEADLINE = "headline"
"""Event of a headline, or of one of its entries, that failed."""


@contextmanager
def finish_on_error(
    record: Record, task: Task, before: dict[str, Any], progress: Progress = silent
) -> Generator[None]:
    """Write the status of a driver that an exception ends.

    Args:
        record: the record of the run.
        task: the task of the run.
        before: attributes before this driver; restored if the request is refused before
            the first commit.
        progress: observer that an interrupt is shown to at once.

    Raises:
        RunFailed: if a task raised, or workers were lost again and again.
    """
    start = record.steps
    try:
        yield
    except KeyboardInterrupt:
        _write_interrupted(record, progress)
        _write_headline(record, task)
        raise
    except Busy:
        raise  # the record belongs to another driver now
    except Paused as error:
        record.log.append("paused", reason=error_line(error))
        finish(record, task, "stopped", reason=error_line(error))
    except RequestError as error:
        # nobody waits for a run of hs.start, so its record has to keep the reason
        detached = before["status"] == "created" and "asked" in before
        if record.steps == start and not detached:
            _undo_start(record, before, error)
        else:
            _fail(record, task, error)
        raise
    except Exception as error:
        _fail(record, task, error)
        if isinstance(error, RunFailed):
            failure = RunFailed(f"run {record.id}: {error_line(error)}")
            failure.add_note(details_of(record.path))
            raise failure from error
        error.add_note(f"run {record.id} failed; {details_of(record.path)}")
        raise


def complete(record: Record, task: Task, goal: Goal) -> None:
    """Write the final status and headline.

    A run that its goal stopped early is complete at its current length.
    """
    at_end = _ends_at_last_step(record, goal)
    if at_end and goal.mark < goal.length:
        record.trim(task.stride)
    steps = min(record.attrs.get("steps") or record.steps, record.steps)
    until = goal.outcome_attrs if at_end else None
    finish(record, task, "complete", steps=steps, until=until)


def lacks_final_status(record: Record, goal: Goal) -> bool:
    """Return True if the last commit is stored, but not the final status."""
    attrs = record.attrs
    if attrs["status"] == "complete":
        return False
    steps = record.steps
    return 0 < (attrs.get("steps") or 0) <= steps or _ends_at_last_step(record, goal)


def finish(record: Record, task: Task, status: str, **attrs: Any) -> None:
    """Write the final status of a driver, and the headline of the rows so far."""
    _write_headline(record, task, status=status, ended=time.time(), **attrs)
    record.log.append(status, at=record.steps)


def _write_interrupted(record: Record, progress: Progress) -> None:
    """Write and show the status before the headline: SIGKILL may follow in seconds."""
    steps = record.steps
    record.update(status="interrupted", ended=time.time())
    record.log.append("interrupted", at=steps)
    progress.on_event("interrupted", {"reason": f"{steps} steps are stored"})


def _write_headline(record: Record, task: Task, **attrs: Any) -> None:
    """Write the headline of the rows so far, and other attributes with it."""
    try:
        headline = record.headline_attrs(task, partial(_headline_attrs, record))
    except Exception as error:  # unreadable rows must not hide the status
        record.log.append(HEADLINE, reason=str(error))
        headline = {"headline": {}, "headline_errors": [f"no estimates: {error}"]}
    attrs = {"headline_errors": None, **headline, **attrs}
    record.update(**attrs, headline_version=task.headline_version)


def _headline_attrs(
    record: Record, task: Task, rows: xr.Dataset, observed: xr.Dataset
) -> dict[str, Any]:
    """Return a headline as attributes; the log receives what failed."""
    estimates, errors = headline_of(task, rows, observed)
    for reason in errors:
        record.log.append(HEADLINE, reason=reason)
    plain = {name: estimate_to_json(e) for name, e in estimates.items()}
    return {"headline": plain, "headline_errors": list(errors) or None}


def error_line(error: BaseException) -> str:
    """Return the line that names an error: in a traceback, the one after the frames.

    Example:
        >>> error_line(ValueError("no such element\\nXq"))
        'no such element'
        >>> error_line(RunFailed('  File "a.py", line 1, in f\\n    g()\\nOh: no\\nXq'))
        'Oh: no'
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    frames = [i for i, line in enumerate(lines) if line.startswith('  File "')]
    rest = lines[frames[-1] + 1 :] if frames else lines
    flush = (line.strip() for line in rest if not (frames and line.startswith(" ")))
    return next(flush, type(error).__name__)


def _ends_at_last_step(record: Record, goal: Goal) -> bool:
    """Return True if the goal is the last committed step, not an earlier one."""
    return goal.decided and goal.mark == record.steps


def _undo_start(record: Record, before: dict[str, Any], error: RequestError) -> None:
    """Restore the attributes of a run that was refused before its first commit."""
    names = ("status", "steps", "until")
    record.update(**{name: before.get(name) for name in names})
    record.log.append("refused", reason=str(error))


def _fail(record: Record, task: Task, error: Exception) -> None:
    """Write the reason of a failure, unless the disk is full."""
    own = isinstance(error, RunFailed | StoreError)
    reason = error_line(error) if own else error_with_line(error, task)
    detail = {"reason": str(error), "traceback": traceback.format_exc()}
    with suppress(OSError):
        record.log.append("failed", **detail)
        finish(record, task, "failed", reason=reason)
