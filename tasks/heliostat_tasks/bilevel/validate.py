"""What a task's fields must satisfy, each said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heliostat as hs
from heliostat import config
from heliostat_tasks.bilevel.inner_solvers import COUNTED, DAMPED

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

SEEDS = 2**32
"""scikit-learn takes no others."""


def check(task: Bilevel) -> None:
    """Refuse fields that make no sense.

    Raises:
        ValueError: with what was given and what was expected.
    """
    for name in config.fields_of(type(task)):  # in Python, anything may be given
        config.coerce_field(type(task), name, getattr(task, name))
    _check_counts(task)
    _check_rates(task)
    _check_examples(task)
    _check_starts(task)
    _check_method(task)
    _check_uses(task)


def _check_counts(task: Bilevel) -> None:
    counts = {name: getattr(task, name) for name in AT_LEAST}
    counts |= {name: getattr(task.resolved, name) for name in CHOSEN_AT_LEAST}
    for name, least in (AT_LEAST | CHOSEN_AT_LEAST).items():
        if counts[name] < least:
            raise ValueError(f"{name} {counts[name]}: expected {least} or more")
    if task.data_seed >= SEEDS:
        raise ValueError(f"data_seed {task.data_seed}: expected less than {SEEDS}")


def _check_rates(task: Bilevel) -> None:
    rates = {name: getattr(task.resolved, name) for name in ("inner_lr", "outer_lr")}
    for name, rate in (rates | {"epsilon": task.epsilon}).items():
        if rate <= 0:
            raise ValueError(f"{name} {rate}: expected a positive number")
    if not 0 <= task.anchor <= 1:
        raise ValueError(f"anchor {task.anchor}: expected a share, 0 to 1")


def _check_examples(task: Bilevel) -> None:
    """What the outer loss is taken over must be there, and as much as is asked for."""
    points, examples = task.resolved.points, task.problem_instance.examples
    if examples < 1:
        raise ValueError(
            f"points {points}: expected at most {points + examples - 1}, the outer "
            f"loss of {task.problem} is taken over the images that are left"
        )
    if task.batch > examples:
        raise ValueError(
            f"batch {task.batch}: expected at most {examples}, the examples of "
            f"{task.problem}"
        )


def _check_starts(task: Bilevel) -> None:
    """Where nothing is drawn, to draw it again gives the same numbers again."""
    drawn, problem = task.problem_instance.drawn, task.problem
    if task.policy == "redrawn" and "w" not in drawn:
        raise ValueError(
            f"policy redrawn: w₀ of {problem} is always zero, which is policy cold"
        )
    if task.restarts > 1 and not drawn and not task.batch:
        raise ValueError(
            f"restarts {task.restarts}: {problem} starts from zero always, and all "
            "would be the same; leave it out"
        )


def _check_method(task: Bilevel) -> None:
    method, steps = task.resolved.method, task.resolved.inner_steps
    if method == "truncated" and task.terms > steps:
        raise ValueError(
            f"terms {task.terms}: expected at most {steps}, the inner_steps that are "
            "truncated"
        )
    if method in ("cg", "gmres") and task.problem_instance.singular:
        raise ValueError(
            f"method {method}: the Hessian of {task.problem} is singular, where it "
            "fails; take normal-cg, proximal or pinv"
        )


def _check_uses(task: Bilevel) -> None:
    """A field that nothing reads would make another run of the same numbers."""
    counted = ", ".join(COUNTED)
    hs.check_used(
        task,
        {
            "terms": (task.resolved.method in COUNTED, f"methods {counted}"),
            "epsilon": (task.resolved.method in DAMPED, "methods proximal, damped"),
            "reset_every": (task.policy == "reset", "policy reset"),
            "anchor": (task.policy == "anchor", "policy anchor"),
            "hidden": (
                task.problem_instance.classifies,
                "problems that teach a network",
            ),
        },
    )
