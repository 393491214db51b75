"""Verbs that test: a stored run against its digests, a task against the laws."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.build import build_task, class_of, open_run
from heliostat.cli.fields import NO_FIELDS, Fields
from heliostat.cli.format import laws_answer, verdict_answer
from heliostat.cli.options import (
    COUNT,
    CodeFiles,
    Json,
    PlacementOptions,
    RunId,
    RunOptions,
    Store,
    TaskClass,
    TaskName,
    option,
)
from heliostat.errors import RequestError, StoreError
from heliostat.fields import presets


def verify(
    run: RunId,
    /,
    *,
    segments: Annotated[
        str, option("Number of strides to replay; all replays the whole run.")
    ] = "3",
    on: Annotated[
        str, option("local, here, auto, or the address of a cluster.")
    ] = "local",
    workers: Annotated[
        int | None, COUNT, option("Number of workers; default as in the run.")
    ] = None,
    store: Store = None,
    json: Json = False,
    task: TaskClass = None,
    code: CodeFiles = (),
) -> Answer:
    """Check a stored run against its digests, and recompute parts of it."""
    from heliostat.driver.verify import Verdict
    from heliostat.results.lookup import find_run

    if segments != "all" and not segments.isdecimal():
        raise RequestError(f"segments {segments}: expected a whole number, or all")
    count: Any = segments if segments == "all" else int(segments)
    path = find_run(run, store)
    PlacementOptions(on).apply()
    try:
        opened = open_run(run, store, task, code)
        verdict = hs.verify(opened, segments=count, on=on, workers=workers)
    except StoreError as error:
        verdict = Verdict("REJECT", [str(error)], [])
    return verdict_answer(path, verdict)


def check(
    task: TaskName,
    /,
    *,
    fields: Annotated[Fields, Parameter(parse=False)] = NO_FIELDS,
    preset: Annotated[
        str | None, option("Named fields; default quick, if the task has it.")
    ] = None,
    on: Annotated[
        Literal["local", "here"], option("here skips the laws that need Ray.")
    ] = "local",
) -> Answer:
    """Test a task against the laws that hold for every task."""
    quick = "quick" if "quick" in presets.names(class_of(task)) else None
    built, _ = build_task(task, fields, RunOptions(preset or quick))
    PlacementOptions(on).apply()
    results = hs.check_task(built, workers=() if on == "here" else (1, 2))
    return laws_answer(results)
