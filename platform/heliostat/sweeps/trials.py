"""Trials: cells that differ in their seeds alone, and what these found on average."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heliostat.errors import did_you_mean
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.plan import Metric
from heliostat.task import Estimate


@dataclass(frozen=True)
class Trial:
    """The cells of one choice of values: one, or one for each seed.

    Example:
        >>> best = grid.best("energy")                     # doctest: +SKIP
        >>> best.values, best.headline["energy"].source    # doctest: +SKIP
        ({'lr': 0.01}, 'mean of 4 seeds')
    """

    cells: tuple[Cell, ...]
    headline: Mapping[str, Estimate]
    """The cell's own, or its mean over the seeds; nothing, if one of them has none."""
    ended: bool
    """Whether all of them came to their end, and none was pruned."""

    @property
    def values(self) -> dict[str, Any]:
        """What it has on each axis but that of the seeds."""
        values = self.cells[0].values.items()
        return {name: value for name, value in values if name != SEED}

    @property
    def runs(self) -> list[str]:
        """The ids of its runs, seed by seed."""
        return [cell.spec.id for cell in self.cells]

    def __str__(self) -> str:
        told = [f"{name}={value}" for name, value in self.values.items()]
        return " ".join(told) or "all seeds"


def trials(sweep: Findings) -> list[Trial]:
    """All of a sweep, in the order of its cells."""
    found: dict[Any, list[Cell]] = defaultdict(list)
    for cell in sweep.cells:
        place = zip(sweep.dims, cell.place, strict=True)
        found[tuple(index for dim, index in place if dim != SEED)].append(cell)
    return [_trial(sweep, cells) for cells in found.values()]


def _trial(sweep: Findings, cells: Sequence[Cell]) -> Trial:
    headlines = [sweep.headlines[cell.spec.id] for cell in cells]
    there = len(cells) >= len(sweep.plan.seeds)  # of one under way seeds are missing
    ended = all(sweep.outcomes[cell.spec.id].state == "done" for cell in cells)
    return Trial(tuple(cells), _mean(headlines) if there else {}, there and ended)


def _mean(headlines: Sequence[Mapping[str, Estimate]]) -> Mapping[str, Estimate]:
    """Each quantity that all have; of one cell as it is."""
    if len(headlines) == 1:
        return headlines[0]
    common = [name for name in headlines[0] if all(name in h for h in headlines)]
    return {
        name: mean_estimate([h[name] for h in headlines], "seeds") for name in common
    }


def mean_estimate(found: Sequence[Estimate], of: str) -> Estimate:
    """The mean of independent estimates, with its one-sigma error.

        x̄ = Σ x / n        σ = t s / √n

    where s is the standard deviation, with n - 1, to which the error of each estimate
    contributes already, and t the quantile of Student's distribution of n - 1 degrees
    of freedom for which x̄ ± σ holds the expectation in 68.3 % of cases, however few
    they are: 1.84 for two, 1.32 for three, 1 for many.  Of one estimate it is its own;
    what is known from elsewhere, and so is the same for all, stays as it is.

    Source: Student, Biometrika 6, 1 (1908).
    """
    first = found[0]
    if first.source != "this run" and all(one == first for one in found):
        return first
    n, values = len(found), np.array([one.value for one in found])
    if n == 1:
        return first._replace(source=f"mean of 1 {of.removesuffix('s')}")
    spread = values.std(ddof=1) if np.ptp(values) > 0 else np.nan  # nothing was drawn
    error = _student(n - 1) * spread / n**0.5
    return first._replace(
        value=float(values.mean()), error=float(error), source=f"mean of {n} {of}"
    )


def _student(freedom: int) -> float:
    """How far a mean lies off in 68.3 % of cases, in units of its estimated error."""
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(freedom, ndtr(1.0)))


def ranked(found: Sequence[Trial], metric: Metric) -> list[Trial]:
    """Those that have found a finite number, the best first; those of which a cell was
    pruned, so that its number is of fewer steps, come last."""
    sign = 1 if metric.mode == "min" else -1

    def rank(trial: Trial) -> tuple[bool, float]:
        return not trial.ended, sign * trial.headline[metric.name].value

    return sorted((t for t in found if _finite(t, metric.name)), key=rank)


def _finite(trial: Trial, name: str) -> bool:
    return name in trial.headline and bool(np.isfinite(trial.headline[name].value))


def why_none(sweep: Findings, name: str) -> str:
    """Why no trial is the best, in one line."""
    known = sorted(sweep.quantities)
    if name in known or not known:
        seeds = " with every seed" if len(sweep.plan.seeds) > 1 else ""
        return f"no trial has found a finite '{name}'{seeds}"
    hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    return f"no cell has found '{name}'{hint}"
