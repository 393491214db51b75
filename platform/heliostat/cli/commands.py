"""The verbs: each hands its typed options to the front door, and lays out the answer.

``hs.run`` and its like import what they need when they are called, so that ``--help``
and mistakes in typing are answered at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

import heliostat as hs
from heliostat import config, presets, registry
from heliostat.answer import Answer
from heliostat.cli import answers, pages
from heliostat.cli.fields import NOTHING, Fields
from heliostat.cli.making import class_of, make
from heliostat.cli.options import (
    COUNT,
    LOCAL,
    PLAIN,
    Dry,
    Foreign,
    Json,
    Output,
    RunId,
    Store,
    Supplied,
    TaskName,
    Until,
    What,
    Where,
    option,
)
from heliostat.cli.removing import rm
from heliostat.cli.sweeping import described, sweep
from heliostat.errors import RequestError, RunFailed, StoreError
from heliostat.task import Task


class Request(NamedTuple):
    """A task with all that its run is asked to be."""

    task: Task
    steps: int | None
    path: Path
    options: dict[str, Any]

    @property
    def length(self) -> int:
        return self.steps or self.task.steps


def _request(task: str, fields: Fields, what: What, store: str | None) -> Request:
    """Defaults, then the preset, then the file, then what was typed."""
    from heliostat.goal import Goal
    from heliostat.stored import store_folder

    made, steps = make(task, fields, what)
    spec = config.specify(made, what.seed, what.x64)
    path = store_folder(store) / spec.identity["task"] / spec.id
    Goal(made, steps or made.steps, what.until)  # also --dry-run refuses what is none
    more = {"steps": steps, "until": what.until}
    options = {"seed": what.seed, "x64": what.x64, **more}
    return Request(made, steps, path, options)


@contextmanager
def _driving(path: Path, task: str | None, made: Task) -> Iterator[None]:
    """Whatever ends a run early says which run it was, and how to go on."""
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


# -- verbs ---------------------------------------------------------------------------


def tasks() -> Answer:
    """List the tasks that can be run."""
    return pages.tasks()


def show(
    what: Annotated[str, option("A task, a run or a sweep.")],
    /,
    *,
    store: Store = None,
) -> Answer:
    """Describe a task (fields, presets, rows), a stored run or sweep."""
    if ":" in what or what in registry.available():
        return pages.task(class_of(what))
    if set(what) - set("0123456789abcdef"):
        registry.find(what)  # says which one was meant
    if _is_sweep(what, store):
        return described(hs.open_sweep(what, store=store))
    return pages.run(hs.open(what, store=store))


def run(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    what: What = PLAIN,
    where: Where = LOCAL,
    fresh: Annotated[bool, option("Recompute what is stored, and compare.")] = False,
    dry_run: Dry = False,
) -> Answer:
    """Compute a run, or return it if it is stored.

    `heliostat run TASK --help` lists the fields of a task, which are options too.
    """
    asked = _request(task, fields, what, where.store)
    if dry_run:
        return answers.plan(asked.task, asked.path, asked.length, what.seed, what.x64)
    where.settle()
    with _driving(asked.path, task, asked.task):
        found = hs.run(asked.task, fresh=fresh, **asked.options, **where.options)
    return answers.ended(found, asked.length)


def start(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    what: What = PLAIN,
    where: Where = LOCAL,
    dry_run: Dry = False,
) -> Answer:
    """Like run, but return at once: a driver of its own goes on."""
    asked = _request(task, fields, what, where.store)
    if dry_run:
        return answers.plan(asked.task, asked.path, asked.length, what.seed, what.x64)
    with _driving(asked.path, task, asked.task):
        found = hs.start(asked.task, **asked.options, **where.options)
    return answers.started(found, asked.length)


def resume(
    run: RunId,
    /,
    *,
    steps: Annotated[int | None, COUNT, option("Another length.")] = None,
    until: Until = None,
    where: Where = LOCAL,
    task: Foreign = None,
    code: Supplied = (),
) -> Answer:
    """Bring an unfinished run to the length, or the precision, it was asked for."""
    found = _open(run, where.store, task, code)
    where.settle()
    with _driving(found.path, task, found.task):
        found = hs.resume(found, steps=steps, until=until, **where.options)
    return answers.ended(found, steps or int(found.record.attrs["steps"]))


def extend(
    run: RunId,
    /,
    *,
    steps: Annotated[int, COUNT, option("Its new length, in total.")],
    until: Until = None,
    where: Where = LOCAL,
    task: Foreign = None,
    code: Supplied = (),
) -> Answer:
    """Continue a run, exactly as if it had been asked for more at first."""
    found = _open(run, where.store, task, code)
    where.settle()
    with _driving(found.path, task, found.task):
        found = hs.extend(found, steps=steps, until=until, **where.options)
    return answers.ended(found, steps)


def stop(
    run: RunId,
    /,
    *,
    wait: Annotated[float, option("Seconds to wait for it.")] = 0,
    store: Store = None,
) -> Answer:
    """Ask the driver of a run to stop after its next commit."""
    return answers.stopping(hs.stop(run, store=store, wait=wait))


def watch(
    run: RunId,
    /,
    *,
    store: Store = None,
    task: Foreign = None,
    code: Supplied = (),
) -> Answer:
    """Follow a run that is driven elsewhere; Ctrl-C leaves the run alone."""
    return answers.watch(_open(run, store, task, code))


def logs(
    run: RunId,
    /,
    *,
    follow: Annotated[bool, option("Go on until the run ends.")] = False,
    full: Annotated[bool, option("With the tracebacks of failures.")] = False,
    store: Store = None,
) -> Answer:
    """Print what happened to a run, and the last words of its driver."""
    return Answer(answers.log(_open(run, store), follow, full))


def gc(*, store: Store = None) -> Answer:
    """Remove what crashes left behind; runs are never touched."""
    removed = hs.gc(store)
    return Answer([f"removed {path}" for path in removed] or ["nothing to remove"])


def plot(
    run: Annotated[str, option("Id of a run or a sweep, or its first digits.")],
    var: Annotated[
        str | None, option("A variable of its rows, or a number of its headline.")
    ] = None,
    /,
    *,
    output: Annotated[Path | None, option("Default ID.png.", "--output", "-o")] = None,
    kind: Annotated[
        str,
        option("trace, rank or energy; of a sweep line, map, parallel or lineage."),
    ] = "trace",
    store: Store = None,
    task: Foreign = None,
    code: Supplied = (),
) -> Answer:
    """Draw a variable of a run over its steps, or a number that a sweep has found."""
    if _is_sweep(run, store):
        cls = class_of(task) if task else None
        sweep = hs.open_sweep(run, store=store, task=cls)
        kind = "auto" if kind == "trace" else kind
        return Answer([str(sweep.plot(var, output or f"{sweep.id}.png", kind=kind))])
    found = _open(run, store, task, code)
    picture = hs.plot(found, var, output or f"{found.id}.png", kind=kind)
    return Answer([str(picture)])


def export(
    run: RunId,
    /,
    *,
    output: Output,
    store: Store = None,
) -> Answer:
    """Write rows and provenance of a run to one netCDF-4 file."""
    return Answer([str(_open(run, store).export(output))])


def verify(
    run: RunId,
    /,
    *,
    segments: Annotated[
        str, option("How many strides to replay, or all for the whole run.")
    ] = "3",
    on: Annotated[
        str, option("local, here, auto, or the address of a cluster.")
    ] = "local",
    workers: Annotated[
        int | None, COUNT, option("Default what the run was computed with.")
    ] = None,
    store: Store = None,
    json: Json = False,
    task: Foreign = None,
    code: Supplied = (),
) -> Answer:
    """Check a stored run against its digests, and replay parts of it."""
    from heliostat.stored import find
    from heliostat.verification import Verdict

    if segments != "all" and not segments.isdecimal():
        raise RequestError(f"segments {segments}: expected a whole number, or all")
    count: Any = segments if segments == "all" else int(segments)
    path = find(run, store)
    Where(on).settle()
    try:
        found = _open(run, store, task, code)
        verdict = hs.verify(found, segments=count, on=on, workers=workers)
    except StoreError as error:
        verdict = Verdict("REJECT", [str(error)], [])
    return answers.verdict(path, verdict)


def check(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    preset: Annotated[
        str | None, option("Fields under a name; default quick, if there is one.")
    ] = None,
    on: Annotated[
        Literal["local", "here"], option("here leaves out the laws that want Ray.")
    ] = "local",
) -> Answer:
    """Try on a task the laws that every task inherits."""
    quick = "quick" if "quick" in presets.names(class_of(task)) else None
    made, _ = make(task, fields, What(preset or quick))
    Where(on).settle()
    found = hs.check_task(made, workers=() if on == "here" else (1, 2))
    return answers.laws(found)


def runs(
    *,
    task: Annotated[str | None, option("Only runs of this task.")] = None,
    where: Annotated[str, option('Such as "energy < -8.07 and seed == 0".')] = "",
    store: Store = None,
    json: Json = False,
) -> Answer:
    """List the runs of a store."""
    from heliostat.stored import store_folder

    root = store_folder(store)
    if task and not (root / task).exists():
        registry.find(task)  # says which one was meant
    return pages.runs(hs.runs(task, where, root), root)


def _open(
    run: str,
    store: str | None,
    task: str | None = None,
    code: Sequence[str] = (),
) -> hs.Run:
    cls = class_of(task) if task else None
    return hs.open(run, store=store, task=cls, code=code)


def _is_sweep(id_: str, store: str | None) -> bool:
    from heliostat.sweeps.ledger import is_sweep

    return is_sweep(id_, store)


VERBS: tuple[Any, ...] = (
    *(tasks, show, run, start, sweep, resume, extend, stop, watch, logs, rm, gc),
    *(plot, export, verify, check, runs),
)

OF_TASKS: Mapping[str, Any] = {
    "run": run,
    "start": start,
    "sweep": sweep,
    "check": check,
}
