"""What a run found: how good w is, how good what u teaches, and what leaked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate

if TYPE_CHECKING:
    import xarray as xr

    from heliostat_tasks.bilevel.task import Bilevel

ALWAYS = (
    "outer_loss retrained_loss fresh_loss leak outer_norm displacement inner_residual"
).split()
CLASSIFIED = "accuracy retrained_accuracy fresh_accuracy".split()


def reported(task: Bilevel) -> tuple[str, ...]:
    """Rows whose last values are reported, means over restarts."""
    classified = CLASSIFIED if task.problem_instance.classifies else []
    return (
        *ALWAYS,
        *classified,
        *(["distance"] if task.problem_instance.solved else []),
    )


def finds(task: Bilevel) -> tuple[str, ...]:
    """What a headline may have."""
    return (*reported(task), *task.problem_instance.known())


def headline(rows: xr.Dataset, task: Bilevel) -> Mapping[str, Estimate]:
    """Of the last row, or the last judgement, with the standard error over restarts."""
    if not rows.sizes.get("step"):
        return {}
    table = rows.variables  # a grid asks a thousand times: nothing is labelled anew
    found = {n: mean_over_restarts(table[n].values[..., -1]) for n in reported(task)}
    told = {name: one for name, one in found.items() if np.isfinite(one.value)}
    return told | dict(task.problem_instance.known())


def mean_over_restarts(values: np.ndarray) -> Estimate:
    """The mean of independent restarts and its error, which one alone does not have.

    Example:
        >>> str(over_restarts(np.array([1.0, 2.0, 3.0])))
        '2.00(58)'
    """
    values = np.atleast_1d(values).astype(float)
    n = len(values)
    error = float(np.std(values, ddof=1)) / n**0.5 if n > 1 else float("nan")
    return Estimate(float(np.mean(values)), error)
