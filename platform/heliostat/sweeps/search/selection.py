"""Who goes on from whom in a population, and with which values.

Each of the worst quarter goes on from one of the best, with values near its own::

    value ← value × 0.8 or × 1.2,  or drawn anew with probability 1/4

Reference: Jaderberg et al., arXiv:1711.09846, section 4.1.1 (truncation selection),
appendix A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from heliostat import config
from heliostat.sweeps import cells
from heliostat.sweeps.axes import Axis, Range, is_whole
from heliostat.task import Task

RESAMPLED = 0.25
"""Probability that a perturbed value is drawn anew."""

DOWN, UP = 0.8, 1.2


def select_sources(found: Sequence[float], entropy: Sequence[int]) -> list[int]:
    """Whom each member goes on from: itself, or one of the best if it is of the worst.

    Args:
        found: by each member, the less the better; not finite is worst of all.
        entropy: decides which of the best.

    Example:
        >>> select_sources([3.0, 1.0, 2.0, float("nan")], [0, 1])
        [0, 1, 2, 1]
    """
    finite = np.isfinite(found)
    order = np.lexsort((np.arange(len(found)), np.where(finite, found, np.inf)))
    quarter = max(1, len(found) // 4)
    best = [int(m) for m in order[:quarter] if finite[m]]
    worst = {int(m) for m in order[-quarter:]} | set(np.flatnonzero(~finite).tolist())
    chosen = np.random.default_rng(list(entropy)).integers(len(best), size=len(found))
    return [best[chosen[m]] if m in worst else m for m in range(len(found))]


def explore(
    task: type[Task],
    axes: Mapping[str, Axis],
    values: Mapping[str, Any],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Values near those of a good member, each on its axis; a listed value becomes its
    neighbour."""
    return {n: _near(task, n, axis, values[n], rng) for n, axis in axes.items()}


def _near(
    task: type[Task], name: str, axis: Axis, value: Any, rng: np.random.Generator
) -> Any:
    anew, coin, share = rng.random(3)
    up = coin < 0.5
    if anew < RESAMPLED:
        return cells.value_at(task, name, axis, share)
    if isinstance(axis, Range):
        moved = min(max(value * (UP if up else DOWN), axis.low), axis.high)
        moved = round(moved) if is_whole(task, name) else axis.short(moved)
        return config.as_field(task, name, moved)
    place = axis.index(value) + (1 if up else -1)
    return axis[min(max(place, 0), len(axis) - 1)]
