"""Laws of packable fields, and of derivatives with respect to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import jax
import numpy as np

from heliostat import config
from heliostat.errors import RequestError
from heliostat.laws.harness import Harness, first_difference
from heliostat.loop.forward_mode import ForwardMode, ValueAndGrad
from heliostat.loop.run import run
from heliostat.loop.work import Member, Span
from heliostat.task import Task

STEP = 1e-4
"""Step of the finite differences, relative to the value of the field."""

ROUNDING, TOLERANCE = 1e-12, 1e-6
"""Relative errors allowed: of a loss, of a derivative."""


def packed_cell_is_identical(bench: Harness) -> str | None:
    """Compare a cell stepped in a batch with the same cell stepped alone."""
    other, block = _with_other_values(bench.task), bench.blocks[-1]
    members = (
        Member(bench.seed + 1, config.traced_fields(bench.task), 0),
        Member(bench.seed, config.traced_fields(other), 1),
    )
    span = Span(block, 0, bench.length)
    single = bench.job(span)._replace(task=other)
    packed = bench.job(span._replace(members=members))
    expected = bench.by_block(run(single, seconds=1e-9))
    return first_difference(
        expected, bench.by_block(c.member(1) for c in run(packed, seconds=1e-9))
    )


def data_ignores_packable_fields(bench: Harness) -> str | None:
    """Check that ``prepare`` does not depend on a packable field."""
    tasks = bench.task, _with_other_values(bench.task)
    data, other = (jax.tree.leaves(task.prepare()) for task in tasks)
    if len(data) != len(other) or not all(map(np.array_equal, data, other)):
        return f"prepare depends on one of {', '.join(bench.task.packable)}"
    return None


def derivatives_match_finite_differences(bench: Harness) -> str | None:
    """Compare derivatives of ``validation`` with finite differences.

    The run is in float64.  Central differences D(h) ≈ dL/dk + c h² are taken at h and
    h/2.  The expected derivative is (4 D(h/2) − D(h)) / 3; the allowed error is
    |D(h/2) − D(h)| and rounding.
    """
    at = config.traced_fields(bench.task)
    names = [name for name, value in at.items() if isinstance(value, float)]
    forward_mode = ForwardMode(bench.task, names, x64=True)

    def run(values: Mapping[str, float]) -> ValueAndGrad:
        return forward_mode.value_and_grad(values, bench.seed, bench.length)

    for name, derivative in run(at).gradient.items():
        expected, error = _finite_difference(run, at, name)
        if not abs(derivative - expected) <= error:
            detail = f"finite differences give {expected:.6g} ± {error:.1g}"
            return f"d validation / d {name} is {derivative:.6g}, {detail}"
    return None


def _finite_difference(
    run: Callable[[Mapping[str, float]], ValueAndGrad],
    at: Mapping[str, float],
    name: str,
) -> tuple[float, float]:
    """Return the derivative with respect to one field, and its error."""

    def central(h: float) -> float:
        above, below = (run({**at, name: at[name] + by}).loss for by in (h, -h))
        return (above - below) / (2 * h)

    h = STEP * (abs(at[name]) or 1.0)
    coarse, fine = central(h), central(h / 2)
    derivative = (4 * fine - coarse) / 3
    rounding = ROUNDING * abs(run(at).loss) / h
    error = abs(fine - coarse) + TOLERANCE * abs(derivative) + rounding
    return derivative, error


def _with_other_values(task: Task) -> Task:
    """Return the task with other valid values of its packable fields."""
    for name, value in config.traced_fields(task).items():
        other = value + 1 if isinstance(value, int) else 0.75 * value
        with suppress(RequestError):
            task = config.replace_fields(task, {name: other})
    return task
