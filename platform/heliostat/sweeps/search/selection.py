"""Truncation selection: each of the worst quarter continues from one of the best.

It takes values near those of its source::

    value ← value × 0.8 or × 1.2,  or drawn anew with probability 1/4

Reference: Jaderberg et al., arXiv:1711.09846, section 4.1.1 (truncation selection),
appendix A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from heliostat import config
from heliostat.sweeps.axes import Axis, Range, is_whole, value_at
from heliostat.task import Task

RESAMPLED = 0.25
"""Probability that a perturbed value is drawn anew."""

DOWN, UP = 0.8, 1.2


def select_sources(losses: Sequence[float], entropy: Sequence[int]) -> list[int]:
    """Return the source of each member: itself, or one of the best for the worst.

    Args:
        losses: losses of each member; smaller is better, not finite is worst of all.
        entropy: decides between the best.

    Example:
        >>> select_sources([3.0, 1.0, 2.0, float("nan")], [0, 1])
        [0, 1, 2, 1]
    """
    size, finite = len(losses), np.isfinite(losses)
    order = np.lexsort((np.arange(size), np.where(finite, losses, np.inf)))
    quarter = max(1, size // 4)
    best = [int(m) for m in order[:quarter] if finite[m]]
    worst = {int(m) for m in order[-quarter:]} | set(np.flatnonzero(~finite).tolist())
    picks = np.random.default_rng(list(entropy)).integers(len(best), size=size)
    return [best[picks[m]] if m in worst else m for m in range(size)]


def explore(
    task: type[Task],
    axes: Mapping[str, Axis],
    values: Mapping[str, Any],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return values near those of a good member, each on its axis; a listed value moves
    to its neighbour."""
    return {n: _near(task, n, axis, values[n], rng) for n, axis in axes.items()}


def _near(
    task: type[Task], name: str, axis: Axis, value: Any, rng: np.random.Generator
) -> Any:
    anew, coin, share = rng.random(3)
    up = coin < 0.5
    if anew < RESAMPLED:
        return value_at(task, name, axis, share)
    if isinstance(axis, Range):
        moved = min(max(value * (UP if up else DOWN), axis.low), axis.high)
        moved = round(moved) if is_whole(task, name) else axis.short(moved)
        return config.coerce_field(task, name, moved)
    place = axis.index(value) + (1 if up else -1)
    return axis[min(max(place, 0), len(axis) - 1)]
