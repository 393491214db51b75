"""Laws of packable fields, with respect to which a loss may be differentiated."""

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
"""Half the distance of the ends of a difference, as a share of the knob."""

ROUNDING, WITHIN = 1e-12, 1e-6
"""Relative errors allowed: of a loss, of a slope."""


def packed_is_alone(bench: Harness) -> str | None:
    """Compare a cell stepped in a batch with the same cell stepped alone."""
    other, block = _retuned(bench.task), bench.blocks[-1]
    members = (
        Member(bench.seed + 1, config.traced_fields(bench.task), 0),
        Member(bench.seed, config.traced_fields(other), 1),
    )
    span = Span(block, 0, bench.length)
    alone = bench.job(span)._replace(task=other)
    packed = bench.job(span._replace(members=members))
    whole = bench.by_block(run(alone, seconds=1e-9))
    return first_difference(
        whole, bench.by_block(c.member(1) for c in run(packed, seconds=1e-9))
    )


def data_has_no_knobs(bench: Harness) -> str | None:
    """Check that ``prepare`` does not depend on a packable field."""
    here, there = (
        jax.tree.leaves(task.prepare()) for task in (bench.task, _retuned(bench.task))
    )
    if len(here) != len(there) or not all(map(np.array_equal, here, there)):
        return f"prepare depends on one of {', '.join(bench.task.packable)}"
    return None


def slopes_are_those_of_differences(bench: Harness) -> str | None:
    """Compare derivatives of ``validation`` with finite differences.

    In float64, by central differences D(h) ≈ dL/dk + c h² at two distances: their
    extrapolation (4 D(h/2) − D(h)) / 3 is compared, and how far they lie apart allowed.
    """
    at = config.traced_fields(bench.task)
    names = [name for name, value in at.items() if isinstance(value, float)]
    tangents = ForwardMode(bench.task, names, x64=True)

    def run(knobs: Mapping[str, float]) -> ValueAndGrad:
        return tangents.value_and_grad(knobs, bench.seed, bench.length)

    for name, slope in run(at).gradient.items():
        expected, error = _by_differences(run, at, name)
        if not abs(slope - expected) <= error:
            told = f"differences say {expected:.6g} ± {error:.1g}"
            return f"d validation / d {name} is {slope:.6g}, {told}"
    return None


def _by_differences(
    run: Callable[[Mapping[str, float]], ValueAndGrad],
    at: Mapping[str, float],
    name: str,
) -> tuple[float, float]:
    """The slope along one knob, and its error."""

    def over(h: float) -> float:
        above, below = (run({**at, name: at[name] + by}).loss for by in (h, -h))
        return (above - below) / (2 * h)

    h = STEP * (abs(at[name]) or 1.0)
    coarse, fine = over(h), over(h / 2)
    found = (4 * fine - coarse) / 3
    rounding = ROUNDING * abs(run(at).loss) / h
    return found, abs(fine - coarse) + WITHIN * abs(found) + rounding


def _retuned(task: Task) -> Task:
    """The task with another value of every packable field that takes one."""
    for name, value in config.traced_fields(task).items():
        other = value + 1 if isinstance(value, int) else 0.75 * value
        with suppress(RequestError):
            task = config.replace_fields(task, {name: other})
    return task
