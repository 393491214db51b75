"""What many chains tell together: potential scale reduction, effective sample size.

Chains that forgot their starts agree in their means: with W the mean variance within
chains of N draws and B the variance of their M means,

    R̂² = (N − 1)/N + B/W,        var⁺ = W (N − 1)/N + B.

What W misses of var⁺ counts as correlation, so chains that disagree are worth little:

    ρ(t) = 1 − (W − ⟨acov_m(t)⟩_m) / var⁺,
    ESS = M N / τ,    τ = −1 + 2 Σ_{k<K} min_{j≤k} P_j + ρ(2K),

where P_k = ρ(2k) + ρ(2k+1), and K is the first pair whose sum is not positive: for a
reversible chain the true sums are positive and fall, what does not is noise.

Reference: Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667
(2021); the pairs are Geyer, Stat. Sci. 7, 473 (1992); superchains are Margossian et
al., Bayesian Anal. (2024), arXiv:2110.13017, equations (4)-(8).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from heliostat.kernels.diagnostics.ranks import folded_draws, normal_scores

Array = NDArray[np.float64]

TAILS = (0.05, 0.95)
"""The quantiles whose sample sizes the tails are judged by."""


def split_chains(x: Array) -> Array:
    """``(…, chain, draw)`` to ``(…, chain, 2, draw // 2)``; a middle draw is left out.

    A drift within chains then shows like a difference between them.
    """
    half = x.shape[-1] // 2
    return np.stack([x[..., :half], x[..., -half:]], axis=-2)


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and unbiased variance along the last axis, exactly 0 where nothing varies.

    The first entry goes off before the sums: a mean of equal numbers is rounded, and
    chains that never moved would seem to have moved by 1e-16.
    """
    first = x[..., :1]
    moved = x - first
    mean = moved.mean(axis=-1, keepdims=True)
    variance = np.square(moved - mean).sum(axis=-1) / (x.shape[-1] - 1)
    return (first + mean)[..., 0], variance


def rank_rhat(x: Array, scores: Array | None = None) -> Array:
    """R̂ of half chains ``(statistic, chain, 2, N)``, the larger of two.

    Normal scores of values see chains that differ in place, those of distances from the
    median chains that differ in width.  NaN for one chain alone.  The scores of values
    may be given where they are known.
    """
    if x.shape[1] == 1:
        return np.full(len(x), np.nan)
    values = normal_scores(x) if scores is None else scores
    shape = (len(x), -1, x.shape[-1])
    rows = (z.reshape(shape) for z in (values, normal_scores(folded_draws(x))))
    return np.fmax(*map(scale_reduction, rows))


def nested_rank_rhat(x: Array, groups: int) -> Array:
    """The same of half chains that stand sorted by superchain."""
    shape = (len(x), groups, -1, x.shape[-1])
    rows = (normal_scores(y).reshape(shape) for y in (x, folded_draws(x)))
    return np.fmax(*map(nested_scale_reduction, rows))


def sort_superchains(labels: NDArray[Any], chains: int) -> tuple[NDArray[np.intp], int]:
    """The order that brings chains of one superchain together, and how many there are.

    Raises:
        ValueError: for other shapes, fewer than two superchains, or unequal ones.
    """
    if labels.shape != (chains,):
        raise ValueError(f"expected {chains} superchain labels, got {labels.shape}")
    found, counts = np.unique(labels, return_counts=True)
    if len(found) < 2 or np.ptp(counts):
        raise ValueError(
            "expected two or more superchains of equally many chains, got "
            f"{len(found)} of {counts.min()} to {counts.max()}"
        )
    return np.argsort(labels, kind="stable"), len(found)


def scale_reduction(x: Array) -> Array:
    """R̂ of ``(…, M, N)`` chains: inf where all are frozen apart, NaN where together."""
    draws = x.shape[-1]
    means, within = moments(x)
    between = moments(means)[1]
    return np.sqrt((draws - 1) / draws + between / within.mean(axis=-1))


def nested_scale_reduction(x: Array) -> Array:
    """√(1 + B/W) of ``(…, K, M, N)``: K superchains of M chains with one start each.

    W holds the variance between the chains of a superchain, which is what tells the
    end of warm-up where single chains are too short to tell it.
    """
    means, within = moments(x)
    centres, scatter = moments(means)
    inside = (within.mean(axis=-1) + scatter).mean(axis=-1)
    return np.sqrt(1 + moments(centres)[1] / inside)


def effective_size(x: Array) -> Array:
    """ESS of the mean of half chains ``(statistic, chain, 2, N)``.

    NaN where nothing varies; at most the number of chains where all are frozen, of
    which the formula says a little more for lack of the last lags; and at most
    S log₁₀ S of S draws in all, so that antithetic chains keep an error.  That bound is
    also what comes out where N < 5, too few for any pair of lags.
    """
    rows = x.reshape(len(x), -1, x.shape[-1])
    total = rows.shape[1] * rows.shape[2]
    size = total / np.maximum(_monotone_time(_correlations(rows)), 1 / np.log10(total))
    still = (rows == rows[..., :1]).all(axis=(1, 2))
    return np.where(still, np.minimum(size, x.shape[1]), size)


def tail_size(x: Array) -> Array:
    """The smaller ESS of x ≤ q at the two quantiles, of whole ``(…, chain, N)`` chains.

    A side where that never varies is left out.
    """
    quantiles = np.quantile(x, TAILS, axis=(1, 2))
    steps = ((x <= q[:, None, None]).astype(np.float64) for q in quantiles)
    return np.fmin(*(effective_size(split_chains(step)) for step in steps))


def _correlations(x: Array) -> Array:
    """ρ(t), t = 0 … N − 1, with ρ(0) = 1; NaN where nothing varies."""
    draws = x.shape[-1]
    moved = x - x[..., :1]  # as in moments: what never moves stays exactly there
    mean = moved.mean(axis=-1, keepdims=True)
    covariances = _autocovariances(moved - mean)
    biased = covariances[:, :1]
    total = biased + moments((x[..., :1] + mean)[..., 0])[1][:, None]
    rho = 1 - (biased * draws / (draws - 1) - covariances) / total
    rho[:, 0] = np.where(total[:, 0] > 0, 1, np.nan)
    return rho


def _autocovariances(x: Array) -> Array:
    """⟨acov_m(t)⟩_m: chains are pooled as spectra, so only one goes back."""
    draws = x.shape[-1]
    length = fft.next_fast_len(2 * draws, real=True)  # no lag meets its mirror image
    waves: NDArray[np.complex128] = np.asarray(fft.rfft(x, length, axis=-1))
    power = (waves.real**2 + waves.imag**2).mean(axis=-2)
    return np.asarray(fft.irfft(power, length, axis=-1))[..., :draws] / draws


def _monotone_time(rho: Array) -> Array:
    """τ of the initial monotone sequence of ``(…, N)`` correlations."""
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
