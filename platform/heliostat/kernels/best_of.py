"""Best of N without waste: what N samples would give, from all n ≥ N that there are.

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
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class BestOfCurve(NamedTuple):
    """A mean over prompts for each N, and its bootstrap interval, ``(N,)`` each."""

    n: NDArray[np.int64]  # 1, 2, …
    mean: Array  # unit of the metric
    low: Array
    high: Array


def best_of(scores: ArrayLike, metric: ArrayLike, largest: int | None = None) -> Array:
    """The expected metric of the best of N = 1 … most samples of each prompt.

    Args:
        scores: ``(prompts, n)`` by which the best is chosen, the highest.
        metric: ``(prompts, n)`` what is of interest in the chosen one.
        most: largest N; default n.

    Returns:
        ``(prompts, most)``, unit of the metric; the first column is the plain mean.

    Raises:
        ValueError: for other shapes, numbers that are not finite, or most > n.

    Example:
        >>> best_of([[3, 1, 2]], [[1.0, 0.0, 0.0]]).round(3).tolist()
        [[0.333, 0.667, 1.0]]
    """
    from scipy.stats import rankdata

    s, m = _checked(scores, metric)
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


def subset_probabilities(n: int, largest: int) -> Array:
    """C(r, N) / C(n, N): the chance that all of N samples are among the lowest r.

    Returns:
        ``(most, n + 1)`` for N = 1 … most and r = 0 … n; differences along r are the
        weights w_N.

    Example:
        subset_probabilities(3, 2)[1].round(3).tolist()
        [0.0, 0.0, 0.333, 1.0]
    """
    k, r = np.arange(largest)[:, None], np.arange(n + 1)[None]
    return np.cumprod(np.maximum(r - k, 0) / (n - k), axis=0, dtype=np.float64)


def bootstrap_over_prompts(
    values: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> BestOfCurve:
    """The mean over prompts for each N, with a percentile bootstrap interval.

    Prompts are the units: they are drawn with replacement, each with its whole curve.
    So two preference models are compared, in pairs, by the curve of a difference::

        over_prompts(best_of(scores_1, metric) - best_of(scores_2, metric))

    Args:
        values: ``(prompts, N)``, of :func:`best_of` or differences of it.
        level: of the interval, for each N by itself.
        resamples: how often prompts are drawn.
        seed: of these draws: equal seeds draw equal prompts.

    Raises:
        ValueError: for other shapes, fewer than 2 prompts, or a level outside (0, 1).

    Example:
        >>> curve = over_prompts([[0.0, 1.0], [1.0, 1.0]])
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


def _checked(scores: ArrayLike, metric: ArrayLike) -> tuple[Array, Array]:
    s, m = np.asarray(scores, float), np.asarray(metric, float)
    if s.ndim != 2 or s.shape != m.shape or not s.size:
        raise ValueError(
            f"expected scores and metric of one shape (prompts, n), got {s.shape} and "
            f"{m.shape}"
        )
    if not (np.isfinite(s).all() and np.isfinite(m).all()):
        raise ValueError("expected finite scores and metrics")
    return s, m
