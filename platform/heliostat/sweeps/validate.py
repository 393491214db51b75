"""The plan of a sweep, by the words of who asks for it, if they make sense."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliostat.driver.ensure import check_steps
from heliostat.errors import RequestError, did_you_mean
from heliostat.sweeps.axes import SEED, Range, check_axes
from heliostat.sweeps.cells import of_grid
from heliostat.sweeps.plan import (
    HYPERGRADIENT,
    SCHEDULERS,
    SEARCHERS,
    SEARCHES,
    VALIDATION,
    Metric,
    Plan,
    Schedule,
)
from heliostat.sweeps.search import hypergradient, pbt
from heliostat.sweeps.search.optuna import check_installed
from heliostat.task import Task

MOST = 100_000
"""Cells of a sweep: each is a run with files of its own, or a line of a pack."""

FACTOR = 3
"""Between one rung and the next, where nothing else is asked for."""


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
    """What is asked for, in the words of :func:`heliostat.sweep`.

    Args:
        rest: of a :class:`Plan`, as it has them.

    Raises:
        RequestError: if it makes no sense, or wants what is not installed.
    """
    if search == HYPERGRADIENT:
        trials = hypergradient.TRIALS if trials is None else trials
        metric = metric or VALIDATION
    plan = Plan(
        task,
        check_axes(type(task), over, drawn=search != "grid"),
        search,
        trials or 0,
        metrics=_metrics(metric, mode),
        schedule=_scheduled(task, scheduler, grace, factor),
        **rest,
    )
    _check(plan, trials)
    return plan


def _metrics(
    metric: str | Sequence[str] | None, mode: str | Sequence[str]
) -> tuple[Metric, ...]:
    """Each number with its direction; one direction may serve all."""
    names = [metric] if isinstance(metric, str) else list(metric or ())
    modes = [mode] if isinstance(mode, str) else list(mode)
    if modes != ["min"] and not names:
        raise RequestError(f"mode {', '.join(modes)}: of which metric?")
    modes *= len(names) if len(modes) == 1 else 1
    if len(names) != len(modes):
        told = f"mode: {len(modes)} for {len(names)} metrics"
        raise RequestError(f"{told}, expected one for each")
    return tuple(map(Metric, names, modes))


def _scheduled(
    task: Task, scheduler: str | None, grace: int | None, factor: int | None
) -> Schedule | None:
    if scheduler is None:
        for name, value in (("grace", grace), ("factor", factor)):
            if value is not None:
                told = f"{name} {value}: it is for a scheduler, such as asha"
                raise RequestError(told)
        return None
    grace = task.stride if grace is None else grace
    return Schedule(scheduler, grace, FACTOR if factor is None else factor)


def _check(plan: Plan, trials: int | None) -> None:
    _check_search(plan, trials)
    _check_seeds(plan)
    _check_size(plan)
    _check_metrics(plan)
    _check_scheduled(plan)
    if plan.search == HYPERGRADIENT:
        hypergradient.check(plan)
    if plan.bred:
        pbt.check(plan)
    check_installed(plan.search)
    if plan.steps is not None:
        check_steps(plan.steps)


def _check_search(plan: Plan, trials: int | None) -> None:
    search = plan.search
    _check_known("search", search, ["grid", *SEARCHES, *SEARCHERS, HYPERGRADIENT])
    if search == "grid" and trials is not None:
        raise RequestError(
            f"trials {trials}: a grid has every combination; for so many draws give "
            "another search, such as sobol"
        )
    if search != "grid" and (not isinstance(trials, int) or trials < 1):
        raise RequestError(f"search {search}: expected trials of at least 1")
    if search != "grid" and not set(plan.axes) - {SEED}:
        raise RequestError(f"search {search}: there is nothing to draw but seeds")


def _check_seeds(plan: Plan) -> None:
    seed = plan.search_seed
    if not plan.drawn and seed:
        raise RequestError(f"search_seed {seed}: a grid draws nothing, leave it out")
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise RequestError(f"search_seed {seed}: expected 0 to 2^32 - 1")
    if plan.seeds and plan.seed:
        told = f"seed {plan.seed}: the sweep goes over seeds already"
        raise RequestError(f"{told}, leave one of the two out")


def _check_size(plan: Plan) -> None:
    lists = [axis for name, axis in plan.axes.items() if not plan.drawn or name == SEED]
    count = math.prod([max(plan.trials, 1), *map(len, lists)])
    if count > MOST:
        raise RequestError(f"{count} cells: expected at most {MOST} in a sweep")


def _check_metrics(plan: Plan) -> None:
    search, metrics = plan.search, plan.metrics
    if search in SEARCHERS and not metrics:
        raise RequestError(f"search {search} wants a metric{_such_as(plan.task)}")
    if len(metrics) > 1 and search in ("gp", "cmaes"):
        raise RequestError(f"search {search}: expected one metric; tpe takes several")
    for metric in metrics:
        _check_known("mode", metric.mode, ["min", "max"])
        if search != HYPERGRADIENT and metric.name not in plan.task.finds:
            _check_found(plan, metric.name)


def _check_found(plan: Plan, metric: str) -> None:
    """
    Raises:
        RequestError: if it is known that no cell can find such a number.
    """
    axes = {n: axis for n, axis in plan.axes.items() if not isinstance(axis, Range)}
    grid = of_grid(plan.task, axes, plan.seed, plan.x64) if axes else []
    finds = [cell.task.finds for cell in grid] or [plan.task.finds]
    if all(finds):  # what a task finds may hang on fields that are listed
        _check_known("metric", metric, sorted(set().union(*finds)))


def _check_scheduled(plan: Plan) -> None:
    if plan.schedule is None:
        return
    name, grace, factor = plan.schedule
    _check_known("scheduler", name, SCHEDULERS)
    if len(plan.metrics) != 1:
        raise RequestError(f"scheduler {name} wants one metric{_such_as(plan.task)}")
    if grace < 1 or factor < 2:
        expected = f"expected grace >= 1 and factor >= 2, got {grace} and {factor}"
        raise RequestError(f"scheduler {name}: {expected}")
    if not plan.bred:
        _check_rungs(grace, plan.task.stride, plan.length)


def _check_rungs(grace: int, stride: int, length: int) -> None:
    if grace % stride:
        told = f"grace {grace}: rungs are at multiples of the stride"
        raise RequestError(f"{told}, {stride}; expected one of them")
    if grace >= length:
        told = f"the first rung would be at step {grace} and runs have {length}"
        raise RequestError(f"scheduler asha: {told}; ask for more steps")


def _check_known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise RequestError(f"{what} '{name}': there is none of that name{hint}")


def _such_as(task: Task) -> str:
    return f", such as {task.finds[0]}" if task.finds else ", a number of the headline"
