"""What a task's fields must satisfy, each said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heliostat as hs
from heliostat_tasks.bilevel.responses import COUNTED, DAMPED

if TYPE_CHECKING:
    from heliostat_tasks.bilevel.task import Bilevel

AT_LEAST = {
    "terms": 1,
    "hidden": 1,
    "batch": 0,
    "reset_every": 1,
    "inits": 0,
    "restarts": 1,
    "data_seed": 0,
}
CHOSEN_AT_LEAST = {"points": 1, "inner_steps": 1, "retrain_steps": 1}


def check(task: Bilevel) -> None:
    """Refuse fields that make no sense.

    Raises:
        ValueError: with what was given and what was expected.
    """
    counts = {name: getattr(task, name) for name in AT_LEAST}
    counts |= {name: getattr(task.chosen, name) for name in CHOSEN_AT_LEAST}
    for name, least in (AT_LEAST | CHOSEN_AT_LEAST).items():
        if not counts[name] >= least:
            raise ValueError(f"{name} {counts[name]}: expected {least} or more")
    rates = {name: getattr(task.chosen, name) for name in ("inner_lr", "outer_lr")}
    for name, rate in (rates | {"epsilon": task.epsilon}).items():
        if not 0 < rate < float("inf"):
            raise ValueError(f"{name} {rate}: expected a positive number")
    if not 0 <= task.anchor <= 1:
        raise ValueError(f"anchor {task.anchor}: expected a share, 0 to 1")
    if task.chosen.method == "truncated" and task.terms > task.chosen.inner_steps:
        raise ValueError(
            f"terms {task.terms}: expected at most {task.chosen.inner_steps}, the "
            "inner_steps that are truncated"
        )
    if task.chosen.method in ("cg", "gmres") and task.posed.singular:
        raise ValueError(
            f"method {task.chosen.method}: the Hessian of {task.problem} is singular, "
            "where it fails; take normal-cg, proximal or pinv"
        )
    _check_uses(task)


def _check_uses(task: Bilevel) -> None:
    """A field that nothing reads would make another run of the same numbers."""
    counted = ", ".join(COUNTED)
    hs.check_used(
        task,
        {
            "terms": (task.chosen.method in COUNTED, f"methods {counted}"),
            "epsilon": (task.chosen.method in DAMPED, "methods proximal, damped"),
            "reset_every": (task.policy == "reset", "policy reset"),
            "anchor": (task.policy == "anchor", "policy anchor"),
            "hidden": (task.posed.classifies, "problems that teach a network"),
        },
    )
