"""Trials: cells that differ in their seeds alone, with the mean of their headlines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heliostat.answer import Estimate
from heliostat.errors import RequestError, did_you_mean
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.findings import Findings
from heliostat.sweeps.plan import Metric


@dataclass(frozen=True)
class Trial:
    """The cells of one choice of values: one, or one for each seed.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> over = {"coupling": [0.2, 0.4], "seed": range(2)}
        >>> grid = hs.sweep(task, over=over, steps=20, on="here")
        >>> best = grid.best("exact")
        >>> best.values, best.headline["lp"].source
        ({'coupling': 0.4}, 'mean of 2 seeds')
    """

    cells: tuple[Cell, ...]
    headline: Mapping[str, Estimate]
    """The headline of its cell, or the mean over the seeds; a number that one of them
    lacks is missing."""
    ended: bool
    """All cells came to their end, and none was pruned."""

    @property
    def values(self) -> dict[str, Any]:
        """Its value on each axis except the seeds."""
        values = self.cells[0].values.items()
        return {name: value for name, value in values if name != SEED}

    @property
    def runs(self) -> list[str]:
        """The ids of its runs, seed by seed."""
        return [cell.id for cell in self.cells]

    def __str__(self) -> str:
        texts = [f"{name}={value}" for name, value in self.values.items()]
        return " ".join(texts) or "all seeds"


def trials(sweep: Findings) -> list[Trial]:
    """Return all trials of a sweep, in the order of its cells."""
    groups: dict[Any, list[Cell]] = defaultdict(list)
    for cell in sweep.cells:
        place = zip(sweep.dims, cell.place, strict=True)
        groups[tuple(index for dim, index in place if dim != SEED)].append(cell)
    return [_trial(sweep, cells) for cells in groups.values()]


def _trial(sweep: Findings, cells: Sequence[Cell]) -> Trial:
    headlines = [sweep.headlines[cell.id] for cell in cells]
    complete = len(cells) >= len(sweep.plan.seeds)  # an active trial lacks seeds
    ended = all(sweep.outcomes[cell.id].state == "done" for cell in cells)
    headline = _mean_headline(headlines) if complete else {}
    return Trial(tuple(cells), headline, complete and ended)


def _mean_headline(
    headlines: Sequence[Mapping[str, Estimate]],
) -> Mapping[str, Estimate]:
    """Return the mean of each number that all have; of one cell its headline."""
    if len(headlines) == 1:
        return headlines[0]
    common = [name for name in headlines[0] if all(name in h for h in headlines)]
    return {n: mean_estimate([h[n] for h in headlines], "seeds") for n in common}


def mean_estimate(estimates: Sequence[Estimate], of: str) -> Estimate:
    """Return the mean of independent estimates, with its one-sigma error.

        x̄ = Σ x / n        σ = t s / √n

    where s is the standard deviation, with n - 1, to which the error of each estimate
    contributes already, and t the quantile of Student's distribution of n - 1 degrees
    of freedom for which x̄ ± σ holds the expectation in 68.3 % of cases, however small
    n is: 1.84 for two, 1.32 for three, 1 for many.

    Args:
        estimates: at least one.
        of: their plural, for the source of the mean.

    Returns:
        The mean. A single estimate keeps its own error, and a number from elsewhere,
        which is the same in all, stays as it is.

    Example:
        >>> import heliostat as hs
        >>> mean = mean_estimate([hs.Estimate(1.0), hs.Estimate(3.0)], "seeds")
        >>> mean.value, round(mean.error, 2), mean.source
        (2.0, 1.84, 'mean of 2 seeds')

    Source: Student, Biometrika 6, 1 (1908).
    """
    first = estimates[0]
    if first.source != "this run" and all(e == first for e in estimates):
        return first
    n, values = len(estimates), np.array([e.value for e in estimates])
    if n == 1:
        return first._replace(source=f"mean of 1 {of.removesuffix('s')}")
    spread = values.std(ddof=1) if np.ptp(values) > 0 else np.nan  # nothing was drawn
    error = _student(n - 1) * spread / n**0.5
    return first._replace(
        value=float(values.mean()), error=float(error), source=f"mean of {n} {of}"
    )


def _student(freedom: int) -> float:
    """Return the quantile t for which the mean is within ± t in 68.3 % of cases."""
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(freedom, ndtr(1.0)))


def rank_trials(candidates: Sequence[Trial], metric: Metric) -> list[Trial]:
    """Return the trials with a finite number, the best first.

    Trials with a pruned cell come last, since their number is of fewer steps.
    """
    sign = 1 if metric.mode == "min" else -1

    def rank(trial: Trial) -> tuple[bool, float]:
        return not trial.ended, sign * trial.headline[metric.name].value

    return sorted((t for t in candidates if _finite(t, metric.name)), key=rank)


def _finite(trial: Trial, name: str) -> bool:
    return name in trial.headline and bool(np.isfinite(trial.headline[name].value))


def best_trial(sweep: Findings, metric: Metric) -> Trial:
    """Return the first of the ranked trials.

    Raises:
        RequestError: if no trial has a finite number.
    """
    ranked = rank_trials(trials(sweep), metric)
    if not ranked:
        raise RequestError(f"metric: {why_none(sweep, metric.name)}")
    return ranked[0]


def only_number(sweep: Findings) -> str:
    """Return the name of the only number that the runs themselves found.

    Raises:
        RequestError: if there are several, or none.
    """
    numbers = {
        name: None
        for headline in sweep.headlines.values()
        for name, estimate in headline.items()
        if estimate.source == "this run"
    }
    if len(numbers) != 1:
        names = f"one of {', '.join(numbers)}" if numbers else "no run has found any"
        raise RequestError(f"metric: expected a number of the headline; {names}")
    return next(iter(numbers))


def why_none(sweep: Findings, name: str) -> str:
    """Return the reason why no trial is the best, in one line."""
    known = sorted(sweep.quantities)
    if name in known or not known:
        seeds = " with every seed" if len(sweep.plan.seeds) > 1 else ""
        errors = next(iter(sweep.headline_errors.values()), ())
        because = "".join(f" ({error})" for error in errors[:1])
        return f"no trial has found a finite '{name}'{seeds}{because}"
    hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    return f"no cell has found '{name}'{hint}"


def lineage(sweep: Findings, cell: Cell) -> list[Cell]:
    """Return the cells that a cell goes back to, the first generation first."""
    line = [cell]
    while source := sweep.source(line[-1]):
        line.append(source)
    return line[::-1]
