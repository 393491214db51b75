"""Verbs that compute: run, start, resume, extend, stop."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

import heliostat as hs
from heliostat import config
from heliostat.answer import Answer
from heliostat.cli.build import build_task, open_run
from heliostat.cli.fields import NOTHING, Fields
from heliostat.cli.format import (
    dry_run_answer,
    run_answer,
    start_answer,
    stop_answer,
)
from heliostat.cli.options import (
    COUNT,
    LOCAL,
    PLAIN,
    CodeFiles,
    DryRun,
    PlacementOptions,
    RunId,
    RunOptions,
    Store,
    TaskClass,
    TaskName,
    Until,
    option,
)
from heliostat.errors import RunFailed
from heliostat.task import Task


class RunRequest(NamedTuple):
    """A task, with the length, options and folder of its run."""

    task: Task
    steps: int | None
    path: Path
    options: dict[str, Any]

    @property
    def length(self) -> int:
        return self.steps or self.task.steps


def _request(
    task: str, fields: Fields, what: RunOptions, store: str | None
) -> RunRequest:
    """Build the task from all sources of fields, and refuse what makes no sense."""
    from heliostat.results.goal import Goal
    from heliostat.results.lookup import store_folder

    made, steps = build_task(task, fields, what)
    spec = config.specify(made, what.seed, what.x64)
    path = store_folder(store) / spec.identity["task"] / spec.id
    Goal(made, steps or made.steps, what.until)  # also --dry-run refuses what is none
    more = {"steps": steps, "until": what.until}
    options = {"seed": what.seed, "x64": what.x64, **more}
    return RunRequest(made, steps, path, options)


def _dry_run(request: RunRequest, what: RunOptions) -> Answer:
    return dry_run_answer(
        request.task, request.path, request.length, what.seed, what.x64
    )


@contextmanager
def _driving(path: Path, task: str | None, made: Task) -> Generator[None]:
    """Add the run's id and the next command to whatever ends a run early."""
    run, more = path.name, f" --task {task}" if task and ":" in task else ""
    more += "".join(f" --code {code}" for code in config.codes_of(made))
    try:
        yield
    except KeyboardInterrupt as error:
        steps = hs.Run(path).steps if path.exists() else 0
        again = f"`heliostat resume {run} --store {path.parents[1]}{more}`"
        line = f"interrupted; {again} goes on from step {steps}"
        raise _named(KeyboardInterrupt(line), run) from error
    except RunFailed as error:
        where = f"`heliostat logs {run} --full --store {path.parents[1]}`"
        raise _named(RunFailed(f"{error}; {where} tells more"), run) from error
    except Exception as error:
        raise _named(error, run) from error.__cause__


def _named(error: BaseException, run: str) -> BaseException:
    vars(error)["run_id"] = run
    return error


def run(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    what: RunOptions = PLAIN,
    where: PlacementOptions = LOCAL,
    fresh: Annotated[bool, option("Compute a stored run again, and compare.")] = False,
    dry_run: DryRun = False,
) -> Answer:
    """Compute a run; a stored run is only read.

    `heliostat run TASK --help` lists the fields of a task, which are options too.
    """
    request = _request(task, fields, what, where.store)
    if dry_run:
        return _dry_run(request, what)
    where.apply()
    with _driving(request.path, task, request.task):
        result = hs.run(request.task, fresh=fresh, **request.options, **where.kwargs)
    return run_answer(result, request.length)


def start(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    what: RunOptions = PLAIN,
    where: PlacementOptions = LOCAL,
    dry_run: DryRun = False,
) -> Answer:
    """Start a run in a process of its own, and return at once."""
    request = _request(task, fields, what, where.store)
    if dry_run:
        return _dry_run(request, what)
    with _driving(request.path, task, request.task):
        result = hs.start(request.task, **request.options, **where.kwargs)
    return start_answer(result, request.length)


def resume(
    run: RunId,
    /,
    *,
    steps: Annotated[
        int | None, COUNT, option("Length of the run; default as before.")
    ] = None,
    until: Until = None,
    where: PlacementOptions = LOCAL,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Continue an unfinished run to its length, or until its condition holds."""
    result = open_run(run, where.store, task, code)
    where.apply()
    with _driving(result.path, task, result.task):
        result = hs.resume(result, steps=steps, until=until, **where.kwargs)
    return run_answer(result, steps or int(result.record.attrs["steps"]))


def extend(
    run: RunId,
    /,
    *,
    steps: Annotated[int, COUNT, option("New length, in total.")],
    until: Until = None,
    where: PlacementOptions = LOCAL,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Lengthen a run; the result is that of one longer run, bit for bit."""
    result = open_run(run, where.store, task, code)
    where.apply()
    with _driving(result.path, task, result.task):
        result = hs.extend(result, steps=steps, until=until, **where.kwargs)
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
