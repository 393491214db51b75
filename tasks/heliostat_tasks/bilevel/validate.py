"""Checks of the fields of the task: one line says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat_tasks.bilevel.inner_solvers import COUNTED, DAMPED
from heliostat_tasks.bilevel.problems.problem import Problem

LEAST = {
    "terms": 1,
    "hidden": 1,
    "batch": 0,
    "reset_every": 1,
    "inits": 0,
    "restarts": 1,
    "data_seed": 0,
    "points": 1,
    "inner_steps": 1,
    "retrain_steps": 1,
}
"""Smallest values of the counts."""

SEEDS = 2**32
"""Seeds of scikit-learn are below this."""


def check_fields(fields: Mapping[str, Any], problem: Problem) -> None:
    """Refuse fields that make no sense.

    Args:
        fields: values by name, resolved.
        problem: that they describe.

    Raises:
        ValueError: with the value given and the value expected.
    """
    _check_counts(fields)
    _check_rates(fields)
    _check_examples(fields, problem)
    _check_starts(fields, problem)
    _check_method(fields, problem)


def uses(method: str, policy: str, problem: Problem) -> dict[str, tuple[bool, str]]:
    """Map each field that only some runs read to whether this one does, and its use."""
    counted = ", ".join(COUNTED)
    return {
        "terms": (method in COUNTED, f"methods {counted}"),
        "epsilon": (method in DAMPED, "methods proximal, damped"),
        "reset_every": (policy == "reset", "policy reset"),
        "anchor": (policy == "anchor", "policy anchor"),
        "hidden": (problem.classifies, "problems that teach a network"),
    }


def _check_counts(fields: Mapping[str, Any]) -> None:
    for name, least in LEAST.items():
        if fields[name] < least:
            raise ValueError(f"{name} {fields[name]}: expected {least} or more")
    if fields["data_seed"] >= SEEDS:
        seed = fields["data_seed"]
        raise ValueError(f"data_seed {seed}: expected less than {SEEDS}")


def _check_rates(fields: Mapping[str, Any]) -> None:
    for name in ("inner_lr", "outer_lr", "epsilon"):
        if fields[name] <= 0:
            raise ValueError(f"{name} {fields[name]}: expected a positive number")
    if not 0 <= fields["anchor"] <= 1:
        raise ValueError(f"anchor {fields['anchor']}: expected a share, 0 to 1")


def _check_examples(fields: Mapping[str, Any], problem: Problem) -> None:
    """Check that the outer loss has examples, and a batch no more than there are."""
    name, points, batch = (fields[n] for n in ("problem", "points", "batch"))
    examples = problem.examples
    if examples < 1:
        raise ValueError(
            f"points {points}: expected at most {points + examples - 1}, because the "
            f"outer loss of {name} is a mean over the other images"
        )
    if batch > examples:
        raise ValueError(
            f"batch {batch}: expected at most {examples}, the examples of {name}"
        )


def _check_starts(fields: Mapping[str, Any], problem: Problem) -> None:
    """Refuse a new draw of starts that are always zero: it would change nothing."""
    name, drawn = fields["problem"], problem.random_starts
    if fields["policy"] == "redrawn" and "w" not in drawn:
        raise ValueError(
            f"policy redrawn: w₀ of {name} is always zero, which is policy cold"
        )
    if fields["restarts"] > 1 and not drawn and not fields["batch"]:
        raise ValueError(
            f"restarts {fields['restarts']}: {name} always starts from zero, so all "
            "restarts would be the same; leave it out"
        )


def _check_method(fields: Mapping[str, Any], problem: Problem) -> None:
    method, steps, terms = (fields[n] for n in ("method", "inner_steps", "terms"))
    if method == "truncated" and terms > steps:
        raise ValueError(
            f"terms {terms}: expected at most {steps}, the inner_steps that are "
            "truncated"
        )
    if method in ("cg", "gmres") and problem.singular_hessian:
        raise ValueError(
            f"method {method}: the Hessian of {fields['problem']} is singular, where "
            f"{method} fails; take normal-cg, proximal or pinv"
        )
