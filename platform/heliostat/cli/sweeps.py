"""Verb ``sweep``: it parses axes and search, and prints the cells as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.build import build_task, class_of
from heliostat.cli.fields import NOTHING, Fields
from heliostat.cli.options import (
    COUNT,
    LOCAL,
    PLAIN,
    DryRun,
    PlacementOptions,
    RunOptions,
    TaskName,
    option,
)
from heliostat.cli.sweep_report import preview_answer, sweep_answer
from heliostat.errors import RequestError

Over = Annotated[
    tuple[str, ...],
    option(
        "FIELD=VALUE,VALUE or, for a search, FIELD=LOW..HIGH[:log]; also seed=0,1,2.",
        consume_multiple=True,
    ),
]
Several = Annotated[
    tuple[str, ...], Parameter(consume_multiple=True, show_default=False)
]


@Parameter(name="*")
@dataclass(frozen=True)
class SearchOptions:
    """Choice of the cells."""

    search: str = "grid"
    """grid; random, sobol draw; tpe, gp, cmaes, nsga2 learn; hypergradient descends."""
    trials: Annotated[int | None, COUNT] = None
    """Number of trials."""
    search_seed: int = 0
    """Seed of the search."""
    metric: Several = ()
    """Names in the headline to optimise."""
    mode: Several = ("min",)
    """min or max, for each metric or all; default min."""


@Parameter(name="*")
@dataclass(frozen=True)
class SchedulerOptions:
    """Length of each trial."""

    scheduler: str | None = None
    """asha prunes the worst at rungs; pbt breeds a population of trials."""
    grace: Annotated[int | None, COUNT] = None
    """Steps before the first rung, or of a segment; default the stride."""
    factor: int | None = None
    """Ratio of two successive rungs; default 3."""


GRID, WHOLE = SearchOptions(), SchedulerOptions()
"""Every combination, each to its length."""


def sweep(
    task: TaskName,
    /,
    *,
    over: Over,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    what: RunOptions = PLAIN,
    where: PlacementOptions = LOCAL,
    search: SearchOptions = GRID,
    schedule: SchedulerOptions = WHOLE,
    retries: Annotated[int, option("How many times a failed cell is tried again.")] = 0,
    dry_run: DryRun = False,
) -> Answer:
    """Compute a task over values of its fields; stored runs are not computed again.

    `heliostat sweep TASK --help` lists the fields of a task.
    """
    from heliostat.sweeps.axes import parse_axes
    from heliostat.sweeps.preview import Preview

    made, steps = build_task(task, fields, what)
    axes, how = parse_axes(class_of(task), over), {**vars(search), **vars(schedule)}
    _check_once(axes, fields)
    runs = {"steps": steps, "seed": what.seed, "until": what.until, "x64": what.x64}
    how |= {**runs, "retries": retries, "dry_run": dry_run}
    if not dry_run:
        where.apply()
    try:
        result = hs.sweep(made, over=axes, **how, **where.kwargs)
    except KeyboardInterrupt as error:
        advice = "what was computed is kept, the same line goes on from there"
        raise KeyboardInterrupt(f"interrupted; {advice}") from error
    return (
        preview_answer(result) if isinstance(result, Preview) else sweep_answer(result)
    )


def _check_once(axes: Mapping[str, Any], fields: Fields) -> None:
    for name in {*axes} & {*fields}:
        detail = f"{name}: it is given as a field, too, {fields[name]!r}"
        raise RequestError(f"over {detail}; leave one of the two out")
