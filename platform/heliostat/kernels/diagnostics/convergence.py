"""Convergence of many chains: R̂, effective sample sizes and Monte Carlo errors.

All take ``(chain, draw, …)`` numbers or booleans, one statistic or many (784 bits at
once), and give ``(…)`` arrays in float64; other shapes, no entries and text raise
ValueError.  Where a number means nothing it is NaN, never a flattering N or 1:

- a statistic that never varied, in no chain: R̂, sample sizes and error;
- one with a NaN or an infinity anywhere, or with fewer than 4 draws.

Chains frozen at different values are no missing data but a failure: R̂ is inf, and the
sample size is at most the number of chains.

Reference: Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667
(2021); the formulas stand in :mod:`heliostat.kernels.diagnostics.mixing`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heliostat.kernels.diagnostics.batches import as_draws, map_statistics
from heliostat.kernels.diagnostics.mixing import (
    effective_size,
    moments,
    nested_rank_rhat,
    rank_rhat,
    sort_superchains,
    split_chains,
    tail_size,
)
from heliostat.kernels.diagnostics.ranks import normal_scores

Array = NDArray[np.float64]


def after_warmup(draws: int, warmup: int) -> slice:
    """The draws that count: behind the warm-up, and of all at most the later half.

    Chains that start anywhere need time, and nobody knows beforehand how much.

    Example:
        >>> settled(1000, warmup=200), settled(1000, warmup=700)
        (slice(500, None, None), slice(700, None, None))
    """
    return slice(min(draws, max(warmup, draws // 2)), None)


class ConvergenceSummary(NamedTuple):
    """What many chains say of one statistic, or arrays ``(…)`` of many.

    ``constant`` is True where all draws of all chains are one number: then there is a
    mean and an sd of 0, and the rest is NaN.
    """

    mean: Any  # unit of the statistic
    sd: Any  # of one draw, all chains pooled, n − 1 in its denominator
    mcse: Any  # one sigma of the mean
    ess_bulk: Any  # draws
    ess_tail: Any  # draws
    rhat: Any  # dimensionless, 1 where chains agree
    constant: Any  # bool


def summary(draws: ArrayLike) -> ConvergenceSummary:
    """Mean, spread, error and convergence of every statistic, ranked only once.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Example:
        >>> fair = np.random.default_rng(0).normal(size=(4, 1000))
        >>> found = summary(fair)
        >>> f"{found.mean:.3f} ± {found.mcse:.3f}", bool(found.rhat < 1.01)
        ('-0.015 ± 0.016', True)
    """
    x = as_draws(draws)
    mean, sd, same = map_statistics(_pooled, x, min_draws=1)
    size, bulk, tail, reduction = map_statistics(_judged, x)
    return ConvergenceSummary(
        mean, sd, sd / np.sqrt(size), bulk, tail, reduction, same == 1
    )


def rhat(draws: ArrayLike) -> Any:
    """Rank-normalised split R̂, the larger of that of values and of distances.

    Normal scores z of the ranks of x and of |x − median| enter

        R̂² = (N − 1)/N + B/W,

    W the mean variance within half chains of N draws, B the variance of their means.
    Values see chains that differ in place, distances those that differ in width.  Below
    1.01 is fair; one chain alone gives NaN, it has nothing to agree with.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 500))
        >>> bool(rhat(x) < 1.01), bool(rhat(x + np.arange(4)[:, None]) > 1.5)
        (True, True)
    """
    return map_statistics(lambda x: rank_rhat(split_chains(x)), as_draws(draws))


def nested_rhat(draws: ArrayLike, superchain: ArrayLike) -> Any:
    """R̂ of superchains, groups of chains that started from one point.

    Thousands of chains may be too short to forget their start by themselves while
    their averages tell well that they did:

        R̂² = 1 + B/W,

    B the variance of superchains' means, W the mean variance within superchains, of
    rank-normalised half chains; the larger one of values and distances.

    Args:
        draws: ``(chain, draw, …)``.
        superchain: ``(chain,)`` labels, each on the same number of chains.

    Raises:
        ValueError: for fewer than two superchains, or unequal ones.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 10))
        >>> bool(nested_rhat(x, np.arange(64) // 16) < 1.05)
        True

    Reference: Margossian et al., Bayesian Anal. (2024), arXiv:2110.13017, eq. (8).
    """
    x = as_draws(draws)
    order, groups = sort_superchains(np.asarray(superchain), x.shape[0])
    return map_statistics(
        lambda y: nested_rank_rhat(split_chains(y[:, order]), groups), x
    )


def ess_bulk(draws: ArrayLike) -> Any:
    """Effective sample size of the rank-normalised statistic: how well its middle is
    known, ESS = M N / τ.

    With fewer than 10 draws no lag enters τ, and S log₁₀ S comes out for S draws in
    all: many short chains ask for :func:`nested_rhat` instead.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> bool(3500 < ess_bulk(x) < 4500), float(ess_bulk(0 * x))
        (True, nan)
    """
    return map_statistics(
        lambda x: effective_size(normal_scores(split_chains(x))), as_draws(draws)
    )


def ess_tail(draws: ArrayLike) -> Any:
    """The smaller sample size of the 5 % and 95 % quantiles q, of the steps x ≤ q.

    A step that never varies tells nothing and is left out; where both are, as for a bit
    that is set in 97 % of draws, the tails are unknown: NaN.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> bool(3000 < ess_tail(x) < 4500)
        True
    """
    return map_statistics(tail_size, as_draws(draws))


def ess_mean(draws: ArrayLike) -> Any:
    """Effective sample size of the mean: Var[x]/ESS is the variance of the average.

    Not rank-normalised, so it needs a finite variance.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> bool(3500 < ess_mean(x) < 4500)
        True
    """
    return map_statistics(lambda x: effective_size(split_chains(x)), as_draws(draws))


def mcse_mean(draws: ArrayLike) -> Any:
    """One-sigma error of the mean of all draws, sd/√ESS, in the statistic's unit.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 2500))
        >>> round(float(mcse_mean(x)), 3)
        0.01
    """
    x = as_draws(draws)
    return map_statistics(_pooled, x, min_draws=1)[1] / np.sqrt(ess_mean(x))


def _pooled(x: Array) -> Array:
    """Mean, sd and whether all is one number, of all draws of all chains."""
    flat = x.reshape(len(x), -1)
    mean, variance = moments(flat)
    return np.stack([mean, np.sqrt(variance), (flat == flat[:, :1]).all(axis=-1)])


def _judged(x: Array) -> Array:
    """ESS of the mean, of bulk and tails, and R̂ of one slab."""
    split = split_chains(x)
    scores = normal_scores(split)
    sizes = effective_size(split), effective_size(scores), tail_size(x)
    return np.stack([*sizes, rank_rhat(split, scores)])
