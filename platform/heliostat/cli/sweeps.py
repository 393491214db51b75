"""Verb ``sweep``: parse axes and search, and print the cells as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.build import build_task, class_of
from heliostat.cli.fields import NO_FIELDS, Fields
from heliostat.cli.options import (
    COUNT,
    DEFAULT_PLACEMENT,
    DEFAULT_RUN,
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
    """Search: the choice of the cells."""

    search: str = "grid"
    """grid, random, sobol, tpe, gp, cmaes, nsga2 or hypergradient."""
    trials: Annotated[int | None, COUNT] = None
    """Number of trials."""
    search_seed: int = 0
    """Seed of the search."""
    metric: Several = ()
    """Estimates of the headline to optimise."""
    mode: Several = ("min",)
    """min or max, for each metric or all; default min."""


@Parameter(name="*")
@dataclass(frozen=True)
class SchedulerOptions:
    """Scheduler: the length of each trial."""

    scheduler: str | None = None
    """asha stops the worst trials at rungs; pbt trains a population of trials;
    continuation starts each cell from its neighbour, along the first field."""
    grace: Annotated[int | None, COUNT] = None
    """Steps before the first rung, or per segment; default the stride."""
    factor: int | None = None
    """Ratio of successive rungs; default 3."""


GRID_SEARCH, FULL_LENGTH = SearchOptions(), SchedulerOptions()
"""Default: every combination of values, each run to its full length."""


def sweep(
    task: TaskName,
    /,
    *,
    over: Over,
    fields: Annotated[Fields, Parameter(parse=False)] = NO_FIELDS,
    options: RunOptions = DEFAULT_RUN,
    placement: PlacementOptions = DEFAULT_PLACEMENT,
    search: SearchOptions = GRID_SEARCH,
    schedule: SchedulerOptions = FULL_LENGTH,
    retries: Annotated[
        int, option("Number of times that a failed cell is computed again.")
    ] = 0,
    dry_run: DryRun = False,
) -> Answer:
    """Compute a task over values of its fields; stored runs are not computed again.

    `heliostat sweep TASK --help` lists the fields of a task.
    """
    from heliostat.sweeps.axes import parse_axes
    from heliostat.sweeps.preview import Preview

    built, steps = build_task(task, fields, options)
    axes = parse_axes(class_of(task), over)
    _check_once(axes, fields)
    kwargs = {**vars(search), **vars(schedule)}
    kwargs |= {
        "steps": steps,
        "seed": options.seed,
        "until": options.until,
        "x64": options.x64,
    }
    kwargs |= {"retries": retries, "dry_run": dry_run}
    if not dry_run:
        placement.apply()
    try:
        result = hs.sweep(built, over=axes, **kwargs, **placement.kwargs)
    except KeyboardInterrupt as error:
        advice = "committed steps are kept; the same command continues"
        raise KeyboardInterrupt(f"interrupted; {advice}") from error
    if isinstance(result, Preview):
        return preview_answer(result, options.until)
    return sweep_answer(result)


def _check_once(axes: Mapping[str, Any], fields: Fields) -> None:
    """Check that no field has both an axis and a value."""
    for name in {*axes} & {*fields}:
        option = f"--{name.replace('_', '-')}"
        raise RequestError(
            f"over {name}: {option} {fields[name]!r} is given, too; remove one of them"
        )
