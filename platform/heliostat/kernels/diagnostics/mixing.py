"""Potential scale reduction and effective sample size, of many statistics at once.

Chains that forgot their starts agree in their means: with W the mean variance within
chains of N draws and B the variance of their M means,

    R̂² = (N − 1)/N + B/W,        var⁺ = W (N − 1)/N + B.

The difference of var⁺ and W counts as correlation, so chains that disagree are worth
little:

    ρ(t) = 1 − (W − ⟨acov_m(t)⟩_m) / var⁺,
    ESS = M N / τ,    τ = −1 + 2 Σ_{k<K} min_{j≤k} P_j + ρ(2K),

where P_k = ρ(2k) + ρ(2k+1), and K is the first pair whose sum is not positive: for a
reversible chain the true sums are positive and fall; the rest is noise.

Reference: Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667
(2021); the pairs are Geyer, Stat. Sci. 7, 473 (1992); superchains are Margossian et
al., Bayesian Anal. (2024), arXiv:2110.13017, equations (4)-(8).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Shaped
from scipy import fft

from heliostat.kernels.diagnostics.ranks import folded_draws, normal_scores

Halves = Float64[np.ndarray, "statistic chain 2 draw"]
"""Half chains of many statistics."""

PerStatistic = Float64[np.ndarray, " statistic"]

TAILS = (0.05, 0.95)
"""The quantiles whose sample sizes are those of the tails."""


def split_chains(
    x: Float64[np.ndarray, "*axes draw"],
) -> Float64[np.ndarray, "*axes 2 half"]:
    """Split chains into halves, so that a drift shows like a difference between chains.

    Args:
        x: ``(…, chain, draw)``.

    Returns:
        ``(…, chain, 2, draw // 2)``; of an odd number the middle draw is left out.

    Example:
        >>> split_chains(np.arange(5.0)[None]).tolist()
        [[[0.0, 1.0], [3.0, 4.0]]]
    """
    half = x.shape[-1] // 2
    return np.stack([x[..., :half], x[..., -half:]], axis=-2)


def moments(
    x: Float64[np.ndarray, "*axes draw"],
) -> tuple[Float64[np.ndarray, "*axes"], Float64[np.ndarray, "*axes"]]:
    """Return mean and unbiased variance along the last axis.

    The variance is exactly 0 where nothing varies: the first entry is subtracted before
    the sums, since a mean of equal numbers is rounded.

    Args:
        x: ``(…, draw)``.

    Returns:
        Mean and variance, ``(…)`` each; the variance of one draw is NaN.

    Example:
        >>> mean, variance = moments(np.array([[1.0, 3.0], [0.1, 0.1]]))
        >>> mean.tolist(), variance.tolist()
        ([2.0, 0.1], [2.0, 0.0])
    """
    first = x[..., :1]
    moved = x - first
    mean = moved.mean(axis=-1, keepdims=True)
    variance = np.square(moved - mean).sum(axis=-1) / (x.shape[-1] - 1)
    return (first + mean)[..., 0], variance


def rank_rhat(x: Halves, scores: Halves | None = None) -> PerStatistic:
    """Return rank-normalised R̂: the larger one of values and of distances.

    Normal scores of values see chains that differ in place, those of distances from the
    median chains that differ in width.

    Args:
        x: half chains, ``(statistic, chain, 2, N)``.
        scores: normal scores of the values, where they are known.

    Returns:
        R̂, ``(statistic,)``; NaN for one chain alone.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(1, 4, 100))
        >>> bool(rank_rhat(split_chains(x))[0] < 1.05)
        True

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    if x.shape[1] == 1:
        return np.full(len(x), np.nan)
    values = normal_scores(x) if scores is None else scores
    shape = (len(x), -1, x.shape[-1])
    rows = (z.reshape(shape) for z in (values, normal_scores(folded_draws(x))))
    return np.fmax(*map(scale_reduction, rows))


def nested_rank_rhat(x: Halves, groups: int) -> PerStatistic:
    """Return rank-normalised nested R̂ of half chains sorted by superchain.

    Args:
        x: half chains, ``(statistic, chain, 2, N)``, superchain after superchain.
        groups: K, the number of superchains.

    Returns:
        Nested R̂, ``(statistic,)``: the larger one of values and of distances.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(1, 64, 10))
        >>> bool(nested_rank_rhat(split_chains(x), groups=4)[0] < 1.1)
        True

    Reference: Margossian et al., arXiv:2110.13017, eq. (8).
    """
    shape = (len(x), groups, -1, x.shape[-1])
    rows = (normal_scores(y).reshape(shape) for y in (x, folded_draws(x)))
    return np.fmax(*map(nested_scale_reduction, rows))


def sort_superchains(
    labels: Shaped[np.ndarray, "..."], chains: int
) -> tuple[Int[np.ndarray, " chain"], int]:
    """Return the order that brings chains of one superchain together.

    Args:
        labels: ``(chains,)`` of any type, one per superchain.
        chains: how many there are.

    Returns:
        Indices of chains, ``(chains,)``, and the number of superchains.

    Raises:
        ValueError: for other shapes, fewer than two superchains, or unequal ones.

    Example:
        >>> order, groups = sort_superchains(np.array([1, 0, 1, 0]), chains=4)
        >>> order.tolist(), groups
        ([1, 3, 0, 2], 2)
    """
    if labels.shape != (chains,):
        raise ValueError(f"expected {chains} superchain labels, got {labels.shape}")
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2 or np.ptp(counts):
        raise ValueError(
            "expected two or more superchains of equally many chains, got "
            f"{len(names)} of {counts.min()} to {counts.max()}"
        )
    return np.argsort(labels, kind="stable"), len(names)


def scale_reduction(
    x: Float64[np.ndarray, "*axes chain draw"],
) -> Float64[np.ndarray, "*axes"]:
    """Return R̂ = √((N − 1)/N + B/W) of M chains of N draws.

    Args:
        x: ``(…, M, N)``.

    Returns:
        ``(…)``; inf where all chains are frozen apart, NaN where frozen together.

    Example:
        >>> with np.errstate(divide="ignore"):
        ...     scale_reduction(np.array([[[0.0, 0.0], [1.0, 1.0]]])).tolist()
        [inf]

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    draws = x.shape[-1]
    means, within = moments(x)
    between = moments(means)[1]
    return np.sqrt((draws - 1) / draws + between / within.mean(axis=-1))


def nested_scale_reduction(
    x: Float64[np.ndarray, "*axes group chain draw"],
) -> Float64[np.ndarray, "*axes"]:
    """Return √(1 + B/W) of K superchains of M chains with one start each.

    W includes the variance between the chains of a superchain, which shows the end of
    warm-up where single chains are too short for it.

    Args:
        x: ``(…, K, M, N)``.

    Returns:
        ``(…)``.

    Example:
        >>> equal = np.tile([0.0, 1.0], (1, 2, 8, 1))  # equal means of superchains
        >>> nested_scale_reduction(equal).tolist()
        [1.0]

    Reference: Margossian et al., arXiv:2110.13017, eqs. (4)-(8).
    """
    means, within = moments(x)
    centres, scatter = moments(means)
    inside = (within.mean(axis=-1) + scatter).mean(axis=-1)
    return np.sqrt(1 + moments(centres)[1] / inside)


def effective_size(x: Halves) -> PerStatistic:
    """Return the effective sample size of the mean, M N / τ.

    It is at most the number of chains where all are frozen (the formula says a little
    more, since it lacks the last lags), and at most S log₁₀ S of S draws in all, so
    that antithetic chains keep an error.  With N < 5, too few for any pair of lags, it
    is that bound.

    Args:
        x: half chains, ``(statistic, chain, 2, N)``.

    Returns:
        ESS in draws, ``(statistic,)``; NaN where nothing varies.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(1, 4, 1000))
        >>> bool(3500 < effective_size(split_chains(x))[0] < 4500)
        True

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021); Geyer, Stat. Sci. 7, 473
    (1992) [pairs of lags].
    """
    rows = x.reshape(len(x), -1, x.shape[-1])
    total = rows.shape[1] * rows.shape[2]
    size = total / np.maximum(_monotone_time(_correlations(rows)), 1 / np.log10(total))
    still = (rows == rows[..., :1]).all(axis=(1, 2))
    return np.where(still, np.minimum(size, x.shape[1]), size)


def tail_size(x: Float64[np.ndarray, "statistic chain draw"]) -> PerStatistic:
    """Return the smaller ESS of the steps x ≤ q at the 5 % and 95 % quantiles q.

    A side where the step never varies is left out.

    Args:
        x: whole chains, ``(statistic, chain, draw)``.

    Returns:
        ESS in draws, ``(statistic,)``; NaN where neither side varies.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(1, 4, 1000))
        >>> bool(3000 < tail_size(x)[0] < 4500)
        True

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    quantiles = np.quantile(x, TAILS, axis=(1, 2))
    steps = ((x <= q[:, None, None]).astype(np.float64) for q in quantiles)
    return np.fmin(*(effective_size(split_chains(step)) for step in steps))


def _correlations(
    x: Float64[np.ndarray, "statistic chain draw"],
) -> Float64[np.ndarray, "statistic draw"]:
    """Return ρ(t), t = 0 … N − 1, with ρ(0) = 1; NaN where nothing varies."""
    draws = x.shape[-1]
    moved = x - x[..., :1]  # as in moments: what never moves stays exactly there
    mean = moved.mean(axis=-1, keepdims=True)
    covariances = _autocovariances(moved - mean)
    biased = covariances[:, :1]
    total = biased + moments((x[..., :1] + mean)[..., 0])[1][:, None]
    rho = 1 - (biased * draws / (draws - 1) - covariances) / total
    rho[:, 0] = np.where(total[:, 0] > 0, 1, np.nan)
    return rho


def _autocovariances(
    x: Float64[np.ndarray, "statistic chain draw"],
) -> Float64[np.ndarray, "statistic draw"]:
    """Return ⟨acov_m(t)⟩_m; chains are pooled as spectra, so one goes back."""
    draws = x.shape[-1]
    length = fft.next_fast_len(2 * draws, real=True)  # no lag meets its mirror image
    waves: Any = np.asarray(fft.rfft(x, length, axis=-1))
    power = (waves.real**2 + waves.imag**2).mean(axis=-2)
    return np.asarray(fft.irfft(power, length, axis=-1))[..., :draws] / draws


def _monotone_time(rho: Float64[np.ndarray, "statistic draw"]) -> PerStatistic:
    """Return τ of the initial monotone sequence of correlations."""
    pairs = max(0, -(-(rho.shape[-1] - 4) // 2)) + 1  # later lags have too few products
    even, odd = rho[..., 0 : 2 * pairs : 2], rho[..., 1 : 2 * pairs : 2]
    sums = even + odd
    goes_on = sums > 0
    goes_on[..., -1] = False
    end = np.argmin(goes_on, axis=-1)[..., None]
    before = np.arange(pairs) < end
    falling = np.where(before, np.minimum.accumulate(sums, axis=-1), 0).sum(axis=-1)
    # an even lag is positive by itself: half a pair more, where it is no noise
    last = np.where(sums < 0, np.maximum(even, 0), even)
    return -1 + 2 * falling + np.take_along_axis(last, end, axis=-1)[..., 0]
