"""Searches ``random`` and ``sobol``: all trials are drawn at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from heliostat.sweeps.axes import SEED, value_at
from heliostat.sweeps.cells import Cell, trial_cells
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.search import Search


class Draws(Search):
    """Trials at points of the unit cube, one coordinate for each axis.

    Args:
        shares: ``(count, axes, seed)`` -> ``(count, axes)`` in [0, 1); the first rows
            must not depend on the count, so that more trials extend a sweep.
    """

    def __init__(self, shares: Callable[[int, int, int], np.ndarray]) -> None:
        self.shares = shares

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        cls = type(plan.task)
        axes = {name: axis for name, axis in plan.axes.items() if name != SEED}
        cells = []
        for trial, row in enumerate(
            self.shares(plan.trials, len(axes), plan.search_seed)
        ):
            shares = zip(axes.items(), row, strict=True)
            values = {n: value_at(cls, n, axis, share) for (n, axis), share in shares}
            cells += trial_cells(plan, trial, values)
        return cells


def random_shares(count: int, axes: int, seed: int) -> np.ndarray:
    """Return independent draws, ``(count, axes)``; the first rows hold for any count.

    Example:
        >>> a, b = random_shares(3, 2, seed=0), random_shares(5, 2, seed=0)
        >>> a.shape, bool((a == b[:3]).all())
        ((3, 2), True)
    """
    rows = [np.random.default_rng([seed, row]).random(axes) for row in range(count)]
    return np.array(rows).reshape(count, axes)


def sobol_shares(count: int, axes: int, seed: int) -> np.ndarray:
    """Return a scrambled Sobol sequence, ``(count, axes)``; the first rows hold for any
    count.

    Reference: Owen, J. Complexity 14, 466 (1998); by SciPy.
    """
    from scipy.stats.qmc import Sobol

    power = max(0, int(np.ceil(np.log2(count))))
    return Sobol(axes, rng=np.random.default_rng(seed)).random_base2(power)[:count]


SEARCHES = {"random": Draws(random_shares), "sobol": Draws(sobol_shares)}
