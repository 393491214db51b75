"""Convergence of many chains: R̂, effective sample sizes and Monte Carlo errors.

All functions take ``(chain, draw, …)`` numbers or booleans, one statistic or many (784
bits at once), and return ``(…)`` arrays in float64; other shapes, no entries and text
raise ValueError.  A number that means nothing is NaN, never a flattering N or 1:

- R̂, sample sizes and error of a statistic that never varied in any chain;
- all of a statistic with a NaN or an infinity, or with fewer than 4 draws.

Chains frozen at different values are a failure and not missing data: R̂ is inf, and the
sample size is at most the number of chains.

Reference: Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667
(2021); the formulas stand in :mod:`heliostat.kernels.diagnostics.mixing`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike

from heliostat.kernels.diagnostics.batches import Values, as_draws, map_statistics
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


def after_warmup(draws: int, warmup: int) -> slice:
    """Return the draws that count: after the warm-up, at most the later half of all.

    Chains that start anywhere need time, and nobody knows beforehand how much.

    Args:
        draws: number of draws per chain.
        warmup: draws of warm-up among them.

    Returns:
        A slice of the draws.

    Example:
        >>> after_warmup(1000, warmup=200), after_warmup(1000, warmup=700)
        (slice(500, None, None), slice(700, None, None))
    """
    return slice(min(draws, max(warmup, draws // 2)), None)


class ConvergenceSummary(NamedTuple):
    """Mean, error and convergence of one statistic, or arrays ``(…)`` of many.

    ``constant`` is True where all draws of all chains are one number: then there is a
    mean and an sd of 0, and the rest is NaN.

    Example:
        >>> bool(summary(np.ones((4, 10))).constant)
        True
    """

    mean: Values  # unit of the statistic
    sd: Values  # standard deviation of a draw, chains pooled, denominator n − 1
    mcse: Values  # one sigma of the mean
    ess_bulk: Values  # draws
    ess_tail: Values  # draws
    rhat: Values  # dimensionless, 1 where chains agree
    constant: Bool[np.ndarray, "..."] | Bool[np.generic, ""]  # True where none varies


def summary(draws: ArrayLike) -> ConvergenceSummary:
    """Summarise mean, spread, error and convergence of every statistic.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Returns:
        All numbers, ``(…)`` each.

    Example:
        >>> fair = np.random.default_rng(0).normal(size=(4, 1000))
        >>> result = summary(fair)
        >>> f"{result.mean:.3f} ± {result.mcse:.3f}", bool(result.rhat < 1.01)
        ('-0.015 ± 0.016', True)
    """
    x = as_draws(draws)
    mean, sd, constant = map_statistics(_pooled, x, min_draws=1)
    size, bulk, tail, reduction = map_statistics(_sizes_and_rhat, x)
    return ConvergenceSummary(
        mean, sd, sd / np.sqrt(size), bulk, tail, reduction, constant == 1
    )


def rhat(draws: ArrayLike) -> Values:
    """Return rank-normalised split R̂, the larger one of values and of distances.

    Normal scores z of the ranks of x and of |x − median| enter

        R̂² = (N − 1)/N + B/W,

    W the mean variance within half chains of N draws, B the variance of their means.
    Values see chains that differ in place, distances those that differ in width.  Below
    1.01 is fair; one chain alone gives NaN, it has nothing to agree with.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Returns:
        R̂, ``(…)``, dimensionless.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 500))
        >>> bool(rhat(x) < 1.01), bool(rhat(x + np.arange(4)[:, None]) > 1.5)
        (True, True)

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    return map_statistics(lambda x: rank_rhat(split_chains(x)), as_draws(draws))


def nested_rhat(draws: ArrayLike, superchain: ArrayLike) -> Values:
    """Return R̂ of superchains, groups of chains that started from one point.

    Thousands of chains may be too short for R̂ while their averages show that they
    forgot their start:

        R̂² = 1 + B/W,

    B the variance of superchains' means, W the mean variance within superchains, of
    rank-normalised half chains; the larger one of values and distances.

    Args:
        draws: ``(chain, draw, …)``.
        superchain: ``(chain,)`` labels, each on the same number of chains.

    Returns:
        Nested R̂, ``(…)``, dimensionless.

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


def ess_bulk(draws: ArrayLike) -> Values:
    """Return the effective sample size of the rank-normalised statistic, M N / τ.

    With fewer than 10 draws no lag enters τ, and the result is S log₁₀ S for S draws in
    all: for many short chains see :func:`nested_rhat` instead.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Returns:
        ESS in draws, ``(…)``.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> bool(3500 < ess_bulk(x) < 4500), float(ess_bulk(0 * x))
        (True, nan)

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    return map_statistics(
        lambda x: effective_size(normal_scores(split_chains(x))), as_draws(draws)
    )


def ess_tail(draws: ArrayLike) -> Values:
    """Return the smaller effective sample size of the 5 % and 95 % quantiles.

    It is that of the steps x ≤ q.  A step that never varies is left out; where both do
    not, as for a bit that is set in 97 % of draws, the tails are unknown: NaN.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Returns:
        ESS in draws, ``(…)``.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> bool(3000 < ess_tail(x) < 4500)
        True

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    return map_statistics(tail_size, as_draws(draws))


def ess_mean(draws: ArrayLike) -> Values:
    """Return the effective sample size of the mean: Var[x]/ESS is its variance.

    It is not rank-normalised, so it needs a finite variance.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Returns:
        ESS in draws, ``(…)``.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> bool(3500 < ess_mean(x) < 4500)
        True
    """
    return map_statistics(lambda x: effective_size(split_chains(x)), as_draws(draws))


def mcse_mean(draws: ArrayLike) -> Values:
    """Return the one-sigma error of the mean of all draws, sd/√ESS.

    Args:
        draws: ``(chain, draw, …)`` after the warm-up.

    Returns:
        The error, ``(…)``, in the unit of the statistic.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 2500))
        >>> round(float(mcse_mean(x)), 3)
        0.01
    """
    x = as_draws(draws)
    return map_statistics(_pooled, x, min_draws=1)[1] / np.sqrt(ess_mean(x))


def _pooled(
    x: Float64[np.ndarray, "statistic chain draw"],
) -> Float64[np.ndarray, "3 statistic"]:
    """Return mean, sd and 1 if all is one number, of all draws of all chains."""
    flat = x.reshape(len(x), -1)
    mean, variance = moments(flat)
    return np.stack([mean, np.sqrt(variance), (flat == flat[:, :1]).all(axis=-1)])


def _sizes_and_rhat(
    x: Float64[np.ndarray, "statistic chain draw"],
) -> Float64[np.ndarray, "4 statistic"]:
    """Return ESS of the mean, of bulk and tails, and R̂: draws are ranked only once."""
    split = split_chains(x)
    scores = normal_scores(split)
    sizes = effective_size(split), effective_size(scores), tail_size(x)
    return np.stack([*sizes, rank_rhat(split, scores)])
