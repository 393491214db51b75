"""Verbs that compute: run, start, resume, extend, stop."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.build import build_task, open_run
from heliostat.cli.fields import NO_FIELDS, Fields
from heliostat.cli.format import (
    dry_run_answer,
    run_answer,
    start_answer,
    stop_answer,
)
from heliostat.cli.options import (
    COUNT,
    DEFAULT_PLACEMENT,
    DEFAULT_RUN,
    NO_PARENT,
    CodeFiles,
    DryRun,
    ParentOptions,
    PlacementOptions,
    RunId,
    RunOptions,
    Store,
    TaskClass,
    TaskName,
    Until,
    option,
)
from heliostat.config.lines import error_with_line
from heliostat.errors import RequestError, RunFailed, StoreError
from heliostat.results.commands import details_of, run_command
from heliostat.task import Task


class RunRequest(NamedTuple):
    """A task, with the length, folder and keyword arguments of its run."""

    task: Task
    steps: int | None
    path: Path
    kwargs: dict[str, Any]

    @property
    def length(self) -> int:
        return self.steps or self.task.steps


def _request(
    task: str,
    fields: Fields,
    options: RunOptions,
    store: str | None,
    parent: ParentOptions = NO_PARENT,
) -> RunRequest:
    """Build the task from all sources of fields, and check the request."""
    from heliostat.driver.ensure import plan_run
    from heliostat.driver.parent import parent_of
    from heliostat.results.lookup import store_folder

    built, steps = build_task(task, fields, options)
    about = parent.kwargs(type(built), store)
    state = parent_of(built, options.x64, *about.values()) if about else None
    request = options.seed, options.x64, steps, options.until
    spec, _ = plan_run(built, *request, state)  # --dry-run, too, checks it
    path = store_folder(store) / spec.identity["task"] / spec.id
    args = dict(zip(("seed", "x64", "steps", "until"), request, strict=True))
    return RunRequest(built, steps, path, args | about)


def _dry_run(request: RunRequest, options: RunOptions) -> Answer:
    about = request.length, options.seed, options.x64, options.until
    return dry_run_answer(request.task, request.path, *about)


@contextmanager
def _with_advice(path: Path, built: Task) -> Generator[None]:
    """Add the id of the run and the next command to an error that ends a run early."""
    run = path.name
    try:
        yield
    except KeyboardInterrupt as error:
        steps = hs.Run(path).steps if path.exists() else 0
        command = run_command("resume", path, task=built)
        line = f"interrupted; `{command}` continues from step {steps}"
        raise _with_run_id(KeyboardInterrupt(line), run) from error
    except (RequestError, StoreError) as error:
        raise _with_run_id(error, run) from error.__cause__
    except Exception as error:
        own = isinstance(error, RunFailed)
        if not own and f"run {run} failed" not in "".join(_notes(error)):
            raise _with_run_id(error, run) from error.__cause__  # not of the run
        line = str(error) if own else f"run {run}: {error_with_line(error, built)}"
        failure = RunFailed(f"{line}; {details_of(path)}")
        raise _with_run_id(failure, run) from error


def _notes(error: BaseException) -> list[str]:
    """Return the notes of an error; the driver notes those that end a run."""
    return getattr(error, "__notes__", [])


def _with_run_id(error: BaseException, run: str) -> BaseException:
    vars(error)["run_id"] = run
    return error


def run(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NO_FIELDS,
    options: RunOptions = DEFAULT_RUN,
    placement: PlacementOptions = DEFAULT_PLACEMENT,
    fresh: Annotated[bool, option("Compute a stored run again, and compare.")] = False,
    parent: ParentOptions = NO_PARENT,
    dry_run: DryRun = False,
) -> Answer:
    """Compute a run; a stored run is only read.

    `heliostat run TASK --help` lists the fields of a task, which are options too.
    """
    request = _request(task, fields, options, placement.store, parent)
    if dry_run:
        return _dry_run(request, options)
    placement.apply()
    with _with_advice(request.path, request.task):
        result = hs.run(request.task, fresh=fresh, **request.kwargs, **placement.kwargs)
    return run_answer(result, request.length)


def start(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NO_FIELDS,
    options: RunOptions = DEFAULT_RUN,
    placement: PlacementOptions = DEFAULT_PLACEMENT,
    dry_run: DryRun = False,
) -> Answer:
    """Start a run in a process of its own, and return at once."""
    request = _request(task, fields, options, placement.store)
    if dry_run:
        return _dry_run(request, options)
    with _with_advice(request.path, request.task):
        result = hs.start(request.task, **request.kwargs, **placement.kwargs)
    return start_answer(result, request.length)


def resume(
    run: RunId,
    /,
    *,
    steps: Annotated[
        int | None, COUNT, option("Length of the run; default as before.")
    ] = None,
    until: Until = None,
    placement: PlacementOptions = DEFAULT_PLACEMENT,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Continue an unfinished run to its length, or until its condition holds."""
    result = open_run(run, placement.store, task, code)
    placement.apply()
    with _with_advice(result.path, result.task):
        result = hs.resume(result, steps=steps, until=until, **placement.kwargs)
    return run_answer(result, steps or int(result.record.attrs["steps"]))


def extend(
    run: RunId,
    /,
    *,
    steps: Annotated[int, COUNT, option("New length, in total.")],
    until: Until = None,
    placement: PlacementOptions = DEFAULT_PLACEMENT,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Lengthen a run; the result is that of one longer run, bit for bit."""
    result = open_run(run, placement.store, task, code)
    placement.apply()
    with _with_advice(result.path, result.task):
        result = hs.extend(result, steps=steps, until=until, **placement.kwargs)
    return run_answer(result, steps)


def stop(
    run: RunId,
    /,
    *,
    wait: Annotated[float, option("Seconds to wait until the run has stopped.")] = 0,
    store: Store = None,
) -> Answer:
    """Stop a run after its next commit."""
    return stop_answer(hs.stop(run, store=store, wait=wait))
