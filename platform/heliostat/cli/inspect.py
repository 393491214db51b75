"""Verbs that show tasks and runs: as text, as pictures and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.build import class_of, open_run
from heliostat.cli.format import log_lines, watch_answer
from heliostat.cli.help import describe_run, describe_task, list_runs, list_tasks
from heliostat.cli.options import (
    CodeFiles,
    Json,
    Output,
    RunId,
    Store,
    TaskClass,
    option,
)
from heliostat.cli.sweep_report import sweep_answer
from heliostat.config import registry
from heliostat.errors import RequestError


def tasks() -> Answer:
    """List the tasks that can be run."""
    return list_tasks()


def show(
    what: Annotated[str, option("A task, a run or a sweep.")],
    /,
    *,
    store: Store = None,
    task: TaskClass = None,
) -> Answer:
    """Describe a task (its fields, presets and rows), a stored run or a sweep."""
    if ":" in what or what in registry.available():
        return describe_task(class_of(what))
    if _is_sweep(what, store):
        return sweep_answer(hs.open_sweep(what, store=store, task=task))
    try:
        return describe_run(hs.open(what, store=store, task=task))
    except RequestError:
        if set(what) - set("0123456789abcdef"):
            registry.find_task(what)  # suggests a name
        raise


def watch(
    run: RunId,
    /,
    *,
    store: Store = None,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Follow the progress of a run in another process; Ctrl-C does not stop the run."""
    return watch_answer(open_run(run, store, task, code))


def logs(
    run: RunId,
    /,
    *,
    follow: Annotated[
        bool, option("Wait for further events until the run ends.")
    ] = False,
    full: Annotated[bool, option("Include the tracebacks of failures.")] = False,
    store: Store = None,
) -> Answer:
    """Print the events of a run, and the last output of its driver."""
    return Answer(log_lines(open_run(run, store), follow, full))


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
        option("trace, rank or energy; for a sweep: line, map, parallel or lineage."),
    ] = "trace",
    store: Store = None,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Plot a variable of a run over its steps, or a number of a sweep's headlines."""
    if _is_sweep(run, store):
        sweep = hs.open_sweep(run, store=store, task=task)
        kind = "auto" if kind == "trace" else kind
        return Answer([str(sweep.plot(var, output or f"{sweep.id}.png", kind=kind))])
    opened = open_run(run, store, task, code)
    picture = hs.plot(opened, var, output or f"{opened.id}.png", kind=kind)
    return Answer([str(picture)])


def export(
    run: RunId,
    /,
    *,
    output: Output,
    store: Store = None,
) -> Answer:
    """Write the rows of a run to FILE.nc (netCDF, with all attributes) or FILE.csv."""
    return Answer([str(open_run(run, store).export(output))])


def runs(
    *,
    task: Annotated[str | None, option("Only runs of this task.")] = None,
    where: Annotated[
        str, option('Condition: "energy < -8.07 and seed == 0", "\'paper\' in tags".')
    ] = "",
    csv: Annotated[bool, option("Print a table with all columns as CSV.")] = False,
    store: Store = None,
    json: Json = False,
) -> Answer:
    """List the runs of a store."""
    from heliostat.results.lookup import store_folder

    if csv and json:
        raise RequestError("--csv and --json: expected one of them")
    table = hs.runs(task, where, store)
    if csv:
        return Answer([table.to_csv(index=False).rstrip()])
    return list_runs(table, store_folder(store))


def _is_sweep(id_: str, store: str | None) -> bool:
    from heliostat.sweeps.journal import is_sweep

    return is_sweep(id_, store)
