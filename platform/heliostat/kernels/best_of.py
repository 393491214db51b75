"""Best of N, estimated from all n ≥ N samples of a prompt.

Of n samples of one prompt, each set of N is as likely as any other, and its best one
has rank r among all n in C(r − 1, N − 1) of the C(n, N) sets.  The mean over all sets,

    Ê_N = Σ_r w_N(r) m_(r),     w_N(r) = C(r − 1, N − 1) / C(n, N),

with m_(r) the metric of the sample with rank r by score, is unbiased for the expected
metric of the best of N, and varies less than any one set does.  Equal scores share the
weights of their ranks, as if ties were broken at random.

Reference: Hoeffding, Ann. Math. Stat. 19, 293 (1948) [a U-statistic]; Sharma et al.,
arXiv:2310.13548, §4.2 [the experiment].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import ArrayLike


class BestOfCurve(NamedTuple):
    """A mean over prompts for each N, and its bootstrap interval.

    Example:
        >>> bootstrap_over_prompts([[0.0, 1.0], [1.0, 1.0]]).n.tolist()
        [1, 2]
    """

    n: Int[np.ndarray, " n"]  # 1, 2, …
    mean: Float64[np.ndarray, " n"]  # unit of the metric
    low: Float64[np.ndarray, " n"]  # lower end of the interval
    high: Float64[np.ndarray, " n"]  # upper end


def best_of(
    scores: ArrayLike, metric: ArrayLike, largest: int | None = None
) -> Float64[np.ndarray, "prompts largest"]:
    """Return the expected metric of the best of N = 1 … largest samples of each prompt.

        Ê_N = Σ_r w_N(r) m_(r),     w_N(r) = C(r − 1, N − 1) / C(n, N)

    Args:
        scores: ``(prompts, n)``; the sample with the highest score is the best.
        metric: ``(prompts, n)``, the quantity of interest of each sample.
        largest: largest N; default n.

    Returns:
        ``(prompts, largest)``, unit of the metric; the first column is the plain mean.

    Raises:
        ValueError: for other shapes, numbers that are not finite, or largest > n.

    Example:
        >>> best_of([[3, 1, 2]], [[1.0, 0.0, 0.0]]).round(3).tolist()
        [[0.333, 0.667, 1.0]]

    Reference: Hoeffding, Ann. Math. Stat. 19, 293 (1948) [a U-statistic].
    """
    from scipy.stats import rankdata

    s, m = _as_samples(scores, metric)
    n = s.shape[1]
    count = n if largest is None else largest
    if not 1 <= count <= n:
        raise ValueError(
            f"largest {count}: expected 1 to {n}, the number of samples of a prompt"
        )
    below = rankdata(s, method="min", axis=1).astype(int) - 1
    upto = rankdata(s, method="max", axis=1).astype(int)
    chance = subset_probabilities(n, count)
    weights = (chance[:, upto] - chance[:, below]) / (upto - below)
    return np.einsum("kpn,pn->pk", weights, m)


def subset_probabilities(
    n: int, largest: int
) -> Float64[np.ndarray, "largest n_plus_1"]:
    """Return the chance that all of N samples are among the lowest r of n.

        C(r, N) / C(n, N)

    Args:
        n: samples of a prompt.
        largest: largest N.

    Returns:
        ``(largest, n + 1)`` for N = 1 … largest and r = 0 … n; differences along r are
        the weights w_N.

    Example:
        >>> subset_probabilities(3, 2)[1].round(3).tolist()
        [0.0, 0.0, 0.333, 1.0]
    """
    k, r = np.arange(largest)[:, None], np.arange(n + 1)[None]
    return np.cumprod(np.maximum(r - k, 0) / (n - k), axis=0, dtype=np.float64)


def bootstrap_over_prompts(
    values: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> BestOfCurve:
    """Return the mean over prompts for each N, with a percentile bootstrap interval.

    Prompts are the units: they are drawn with replacement, each with its whole curve.
    So two preference models are compared, in pairs, by the curve of a difference::

        bootstrap_over_prompts(best_of(scores_1, metric) - best_of(scores_2, metric))

    Args:
        values: ``(prompts, N)``, of :func:`best_of` or differences of it.
        level: level of the interval, for each N by itself.
        resamples: number of times that prompts are drawn.
        seed: seed of these draws: equal seeds draw equal prompts.

    Returns:
        The curve, ``(N,)``.

    Raises:
        ValueError: for other shapes, fewer than 2 prompts, or a level outside (0, 1).

    Example:
        >>> curve = bootstrap_over_prompts([[0.0, 1.0], [1.0, 1.0]])
        >>> curve.mean.tolist(), curve.low.tolist()
        ([0.5, 1.0], [0.0, 1.0])
    """
    x = np.asarray(values, float)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"expected finite numbers of 2 prompts or more, got {x.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level {level}: expected between 0 and 1")
    rng, prompts = np.random.default_rng(seed), len(x)
    counts = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    means = counts @ x / prompts
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return BestOfCurve(np.arange(x.shape[1]) + 1, x.mean(axis=0), low, high)


def _as_samples(
    scores: ArrayLike, metric: ArrayLike
) -> tuple[Float64[np.ndarray, "prompts n"], Float64[np.ndarray, "prompts n"]]:
    s, m = np.asarray(scores, float), np.asarray(metric, float)
    if s.ndim != 2 or s.shape != m.shape or not s.size:
        raise ValueError(
            f"expected scores and metric of one shape (prompts, n), got {s.shape} and "
            f"{m.shape}"
        )
    if not (np.isfinite(s).all() and np.isfinite(m).all()):
        raise ValueError("expected finite scores and metrics")
    return s, m
