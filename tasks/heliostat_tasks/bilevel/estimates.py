"""Headline of a run: losses, accuracies and the leak, as means over restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from heliostat import Estimate
from heliostat_tasks.bilevel.problems.problem import Problem

if TYPE_CHECKING:
    import xarray as xr

ALWAYS = (
    "outer_loss retrained_loss fresh_loss leak outer_norm displacement inner_residual"
).split()
CLASSIFIED = "accuracy retrained_accuracy fresh_accuracy".split()


def variable_names(problem: Problem) -> tuple[str, ...]:
    """Return the variables whose last values are in the headline."""
    classified = CLASSIFIED if problem.classifies else []
    return (*ALWAYS, *classified, *(["distance"] if problem.has_solution else []))


def names(problem: Problem) -> tuple[str, ...]:
    """Return the names of all estimates that a headline may have."""
    return (*variable_names(problem), *problem.references())


def headline(rows: xr.Dataset, problem: Problem) -> Mapping[str, Estimate]:
    """Average the last row over restarts, and add the problem's references."""
    if not rows.sizes.get("step"):
        return {}
    table = rows.variables  # a thousand cells of a grid are summarised: skip labels
    estimates = {
        name: mean_over_restarts(table[name].values[..., -1])
        for name in variable_names(problem)
    }
    finite = {n: e for n, e in estimates.items() if np.isfinite(e.value)}
    return finite | dict(problem.references())


def mean_over_restarts(values: Float[np.ndarray, " ..."]) -> Estimate:
    """Return the mean of independent restarts; its error is NaN for a single one.

    Example:
        >>> str(mean_over_restarts(np.array([1.0, 2.0, 3.0])))
        '2.00(58)'
    """
    values = np.atleast_1d(values).astype(float)
    n = len(values)
    error = float(np.std(values, ddof=1)) / n**0.5 if n > 1 else float("nan")
    return Estimate(float(np.mean(values)), error)
