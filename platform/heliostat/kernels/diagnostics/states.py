"""R̂ of discrete states: the occupation of every site, and random projections.

Chains in different modes may agree in every number that is usually looked at: the two
ordered states of an antiferromagnet have the same energy and the same magnetisation.
Their sites differ.

A run keeps few states, and R̂ of few draws scatters.  For M half chains of N independent
draws

    R̂² = 1 + (F − 1)/N,

F of Fisher's distribution with M − 1 and M (N − 1) degrees of freedom.  R̂ counts here
as far as it exceeds what chance reaches:

    R̂² − (F_q − 1)/N,    q = 1 − chance / K,

the quantile of F for the largest of K statistics.  So well-mixed chains give less than
1, and chains in different modes much more, however few states there are.

Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021) [R̂]; the distribution is that
of an analysis of variance, Gelman and Rubin, Stat. Sci. 7, 457 (1992), §3.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Integer
from scipy.special import fdtri

from heliostat.kernels.diagnostics.batches import MIN_DRAWS, Values
from heliostat.kernels.diagnostics.mixing import scale_reduction, split_chains

CHANCE = 1e-4
"""Probability that any statistic of independent draws exceeds what is subtracted."""

MIN_EXPECTED = 2
"""Least expected number of either value in half a chain: a rarer one says nothing."""

PROJECTIONS = 8
"""Number of random directions."""

BATCH_ENTRIES = 2_000_000
"""Sites that are projected at once: a work array of 16 MB."""

States = Integer[np.ndarray, "chain draw site"]


def rhat_of_states(
    states: States, values: int, chance: float = CHANCE
) -> dict[str, Values]:
    """Return R̂ of states beyond what chance reaches with so few of them.

    Args:
        states: ``(chain, draw, site)`` whole numbers below ``values``, after the
            warm-up; independent draws, or more of correlated ones.
        values: number of values of a site.
        chance: probability that any R̂ of chains that agree is above 1.

    Returns:
        ``occupation``, ``(site,)`` of two values or ``(site, value)`` of more, NaN
        where a value is too rare; and ``projection``, ``(direction,)``.  All are NaN
        for fewer than 4 draws or a single chain.

    Example:
        >>> spins = np.random.default_rng(0).integers(0, 2, (16, 60, 9))
        >>> alike = rhat_of_states(spins, 2)
        >>> spins[:8, :, 4] = 1  # half of the chains in another mode
        >>> apart = rhat_of_states(spins, 2)
        >>> bool(alike["occupation"][4] < 1), bool(apart["occupation"][4] > 1.1)
        (True, True)
    """
    rhats = {
        "occupation": occupation_rhat(states, values),
        "projection": projection_rhat(states, values),
    }
    count = sum(int(np.sum(~np.isnan(each))) for each in rhats.values())
    if not count:
        return rhats
    chains, half = states.shape[0], states.shape[1] // 2
    excess = chance_excess(2 * chains, half, chance / count)
    squares = {name: np.square(np.asarray(each)) for name, each in rhats.items()}
    return {n: np.sqrt(np.maximum(s - excess, 0)) for n, s in squares.items()}


def occupation_rhat(states: States, values: int) -> Values:
    """Return split R̂ of the indicators x_i = k, from their frequencies.

    Ranks of an indicator and its distances from the median are linear in it, so this is
    the rank-normalised R̂; with p the frequency in half a chain of N draws,

        R̂² = (N − 1)/N + B/W,    W = ⟨p (1 − p)⟩ N/(N − 1),    B = Var p.

    Frozen chains have the W of one draw that differs from all others: so few draws
    cannot show that R̂ is infinite.

    Args:
        states: ``(chain, draw, site)`` whole numbers below ``values``.
        values: number of values of a site.

    Returns:
        ``(site,)`` of the value 1 of two, else ``(site, value)``; NaN where half a
        chain expects fewer than 2 draws with the value, or without it.

    Example:
        >>> from heliostat.kernels import rhat
        >>> bits = np.random.default_rng(0).integers(0, 2, (4, 50, 3))
        >>> bool(np.allclose(occupation_rhat(bits, 2), rhat(bits)))
        True
    """
    shape = (states.shape[2],) if values == 2 else (states.shape[2], values)
    if _too_few(states):
        return np.full(shape, np.nan)
    half = states.shape[1] // 2
    halves = np.concatenate([states[:, :half], states[:, -half:]])
    kinds = (1,) if values == 2 else range(values)
    each = [_rhat_of_bits((halves == k).mean(axis=1), half) for k in kinds]
    return np.stack(each, axis=-1).reshape(shape)


def _rhat_of_bits(
    p: Float64[np.ndarray, "half site"], draws: int
) -> Float64[np.ndarray, " site"]:
    """Return R̂ of bits with given frequencies in half chains."""
    pooled = p.mean(axis=0)
    expected = draws * np.minimum(pooled, 1 - pooled)
    within = (p * (1 - p)).mean(axis=0) * draws / (draws - 1)
    within = np.maximum(within, 1 / (draws * len(p)))
    r = np.sqrt((draws - 1) / draws + p.var(axis=0, ddof=1) / within)
    return np.where(expected < MIN_EXPECTED, np.nan, r)


def projection_rhat(states: States, values: int) -> Float64[np.ndarray, " direction"]:
    """Return split R̂ of random projections.

    They are bounded and nearly normal, so they need no ranks, which would hide the
    distance of modes: R̂ of two modes is at most 1.7 in ranks.

    Args:
        states: ``(chain, draw, site)`` whole numbers below ``values``.
        values: number of values of a site.

    Returns:
        ``(direction,)``; inf where all chains are frozen apart, NaN where together.

    Example:
        >>> bits = np.random.default_rng(0).integers(0, 2, (4, 200, 9))
        >>> bool((projection_rhat(bits, 2) < 1.02).all())
        True

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    if _too_few(states):
        return np.full(PROJECTIONS, np.nan)
    halves = split_chains(np.moveaxis(project(states, values), 2, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return scale_reduction(halves.reshape(PROJECTIONS, -1, halves.shape[-1]))


def _too_few(states: States) -> bool:
    return states.shape[0] < 2 or states.shape[1] < MIN_DRAWS


def project(states: States, values: int) -> Float64[np.ndarray, "chain draw direction"]:
    """Return sums over the sites, Σ_i w[i, x_i], with fixed normal weights.

    Args:
        states: ``(chain, draw, site)`` whole numbers below ``values``.
        values: number of values of a site.

    Returns:
        ``(chain, draw, direction)``, dimensionless.

    Example:
        >>> project(np.zeros((2, 5, 9), np.uint8), values=2).shape
        (2, 5, 8)
    """
    sites = states.shape[2]
    weights = np.random.default_rng(2).normal(size=(values, sites, PROJECTIONS))
    rows = states.reshape(-1, sites)
    step = max(1, BATCH_ENTRIES // sites)
    sums = np.empty((len(rows), PROJECTIONS))
    for start in range(0, len(rows), step):
        batch = rows[start : start + step]
        parts = ((batch == k) @ weights[k] for k in range(values))
        sums[start : start + step] = sum(parts)
    return sums.reshape(*states.shape[:2], PROJECTIONS)


def chance_excess(groups: int, draws: int, level: float) -> float:
    """Return (F − 1)/N: independent draws exceed R̂² = 1 + this at a given rate.

    Args:
        groups: M, half chains.
        draws: N, draws of each, at least 2.
        level: probability of more.

    Returns:
        The excess of R̂², dimensionless.

    Example:
        >>> round(chance_excess(32, 10, 1e-6), 2)
        0.2

    Reference: Gelman and Rubin, Stat. Sci. 7, 457 (1992), §3.
    """
    quantile = float(fdtri(groups - 1, groups * (draws - 1), 1 - level))
    return (quantile - 1) / draws
