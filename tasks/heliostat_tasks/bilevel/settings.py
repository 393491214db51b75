"""Fields that may be left to the problem, which has numbers that work for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from heliostat_tasks.bilevel.problems import PROBLEMS

if TYPE_CHECKING:
    from heliostat_tasks.bilevel.task import Bilevel


class Resolved(NamedTuple):
    """Fields that a problem has numbers of its own for."""

    points: int
    method: str
    inner_steps: int
    inner_lr: float
    outer_lr: float
    optimiser: str
    retrain_steps: int


def resolve(task: Bilevel) -> Resolved:
    """Each as given, or the problem's."""
    settings = PROBLEMS[task.problem].settings._asdict()
    found: dict[str, Any] = {
        name: settings.get(name) if (given := getattr(task, name)) is None else given
        for name in Resolved._fields
    }
    if found["retrain_steps"] is None:  # as long as it takes from a cold start
        found["retrain_steps"] = max(settings["inner_steps"], found["inner_steps"])
    return Resolved(**found)
