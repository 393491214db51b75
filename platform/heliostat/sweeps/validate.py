"""Validation of a sweep request: every mistake gets one line before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliostat.config import registry
from heliostat.driver.ensure import whole_steps
from heliostat.errors import RequestError, did_you_mean
from heliostat.fields.conversion import plain
from heliostat.sweeps.axes import SEED, Range, check_axes
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Metric, Plan, SweepSchedule
from heliostat.sweeps.search import Search, check_name, find_search
from heliostat.sweeps.search.grid import grid_cells
from heliostat.task import Task

MOST = 100_000
"""Cells of a sweep: each is a run with files of its own, or a line of a pack."""

FACTOR = 3
"""The default factor between rungs."""


def build_plan(
    task: Task,
    over: Mapping[str, Iterable[Any] | Range],
    *,
    search: str,
    trials: int | None,
    metric: str | Sequence[str] | None,
    mode: str | Sequence[str],
    scheduler: str | None,
    grace: int | None,
    factor: int | None,
    **rest: Any,
) -> Plan:
    """Validate a sweep request and build its plan.

    Args:
        rest: further fields of the :class:`Plan`; the others as in
            :func:`heliostat.sweep`.

    Raises:
        RequestError: if the request makes no sense, or needs a package that is missing.
    """
    rule, rest = find_search(search, scheduler), {n: plain(v) for n, v in rest.items()}
    trials = rule.trials if trials is None else plain(trials)
    plan = Plan(
        task,
        check_axes(type(task), over, rule.draws),
        search,
        trials or 0,
        metrics=_metrics(metric or rule.metric, mode),
        schedule=_schedule(task, rule, scheduler, grace, factor),
        depends_on=rule.depends_on,
        **rest,
    )
    _check_trials(plan, rule, trials)
    _check_seeds(plan, rule)
    _check_size(plan, rule)
    _check_metrics(plan, rule)
    _check_schedule(plan, rule)
    rule.check(plan)
    return plan if plan.steps is None else plan._replace(steps=whole_steps(plan.steps))


def _metrics(
    metric: str | Sequence[str] | None, mode: str | Sequence[str]
) -> tuple[Metric, ...]:
    """Return each metric with its mode; one mode may serve all."""
    names = [metric] if isinstance(metric, str) else list(metric or ())
    modes = [mode] if isinstance(mode, str) else list(mode)
    if modes != ["min"] and not names:
        raise RequestError(f"mode {', '.join(modes)}: of which metric?")
    modes *= len(names) if len(modes) == 1 else 1
    if len(names) != len(modes):
        count = f"mode: {len(modes)} for {len(names)} metrics"
        raise RequestError(f"{count}, expected one for each")
    return tuple(map(Metric, names, modes))


def _schedule(
    task: Task,
    rule: Search,
    scheduler: str | None,
    grace: int | None,
    factor: int | None,
) -> SweepSchedule | None:
    if not rule.judges:
        for name, value in (("grace", grace), ("factor", factor)):
            if value is not None:
                compares = "that compares cells, such as asha"
                message = f"{name} {value}: it is for a scheduler {compares}"
                raise RequestError(message)
    if scheduler is None:
        return None
    grace = task.stride if grace is None else grace
    return SweepSchedule(scheduler, grace, FACTOR if factor is None else factor)


def _check_trials(plan: Plan, rule: Search, trials: int | None) -> None:
    search = plan.search
    if not rule.draws:
        if trials is not None:
            raise RequestError(
                f"trials {trials}: a grid has every combination; for so many draws "
                "give another search, such as sobol"
            )
        return
    if not isinstance(trials, int) or trials < 1:
        raise RequestError(f"search {search}: expected trials of at least 1")
    if not set(plan.axes) - {SEED}:
        raise RequestError(f"search {search}: there is nothing to draw but seeds")


def _check_seeds(plan: Plan, rule: Search) -> None:
    seed = plan.search_seed
    if not rule.draws and seed:
        raise RequestError(f"search_seed {seed}: a grid draws nothing, leave it out")
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise RequestError(f"search_seed {seed}: expected 0 to 2^32 - 1")
    if plan.seeds and plan.seed:
        message = f"seed {plan.seed}: the sweep goes over seeds already"
        raise RequestError(f"{message}, leave one of the two out")


def _check_size(plan: Plan, rule: Search) -> None:
    lists = [axis for name, axis in plan.axes.items() if name == SEED or not rule.draws]
    count = math.prod([max(plan.trials, 1), *map(len, lists)])
    if count > MOST:
        raise RequestError(f"{count} cells: expected at most {MOST} in a sweep")


def _check_metrics(plan: Plan, rule: Search) -> None:
    for metric in plan.metrics:
        check_name("mode", metric.mode, ["min", "max"])
        if not rule.metric and metric.name not in plan.task.finds:
            _check_headline(plan, metric.name)


def _check_headline(plan: Plan, metric: str) -> None:
    """Check that a headline may have a number.

    Raises:
        RequestError: if it is known that no cell has it.
    """
    if type(plan.task).headline is Task.headline:
        name = registry.name_of(type(plan.task))
        raise RequestError(f"metric '{metric}': {name} defines no headline to judge by")
    finds = [task.finds for task in listed_tasks(plan)]
    if all(finds):  # the headline may depend on fields that are listed
        check_name("metric", metric, sorted(set().union(*finds)))


def listed_tasks(plan: Plan) -> list[Task]:
    """Return the tasks with every combination of the values that are listed."""
    axes = {n: axis for n, axis in plan.axes.items() if not isinstance(axis, Range)}
    cells = grid_cells(plan._replace(axes=axes)) if axes else []
    return [cell.task for cell in cells] or [plan.task]


def check_metrics_of(plan: Plan, cell: Cell, outcome: CellOutcome) -> bool:
    """Check that a run that ended has the metrics, if its task does not list its names.

    Returns:
        True if the run has a headline, so that no further run must be checked.

    Raises:
        RequestError: for a metric that it does not have.
    """
    if find_search(plan.search).metric or cell.task.finds:
        return True
    known = list(outcome.estimates)
    if not known or outcome.headline_errors:
        return False
    for name in (metric.name for metric in plan.metrics if metric.name not in known):
        hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
        message = f"metric '{name}': the headline of the first run, {cell}, has none"
        raise RequestError(f"{message} of that name{hint}")
    return True


def _check_schedule(plan: Plan, rule: Search) -> None:
    if plan.schedule is None or not rule.judges:
        return
    name, grace, factor = plan.schedule
    if len(plan.metrics) != 1:
        finds = plan.task.finds
        example = f"such as {finds[0]}" if finds else "a number of the headline"
        raise RequestError(f"scheduler {name} needs one metric, {example}")
    if grace < 1 or factor < 2:
        expected = f"expected grace >= 1 and factor >= 2, got {grace} and {factor}"
        raise RequestError(f"scheduler {name}: {expected}")
