"""Normal scores of ranks of pooled draws: diagnostics that need no finite variance.

A draw x of S in all is replaced by the normal score of its rank r among them,

    z = Φ⁻¹((r − 3/8) / (S + 1/4)),

ties sharing the mean of their ranks.  Statistics of z do not change when the variable
is transformed monotonically, and exist for heavy tails and bits alike.

Reference: Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667
(2021); the offsets are Blom, Statistical Estimates and Transformed Beta-Variables
(Wiley, 1958).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Integer
from scipy.special import ndtri

MAX_LEVELS = 256
"""Up to this many levels are counted instead of sorted."""


def normal_scores(
    x: Float64[np.ndarray, " statistic *draws"],
) -> Float64[np.ndarray, " statistic *draws"]:
    """Return normal scores of the average ranks, among all draws of each statistic.

        z = Φ⁻¹((r − 3/8) / (S + 1/4))

    Args:
        x: ``(statistic, …)`` finite draws; the order of the axes behind is any.

    Returns:
        The same shape, dimensionless.

    Example:
        >>> normal_scores(np.array([[1.0, 0.0, 0.0, 5.0]])).round(3)
        array([[ 0.299, -0.629, -0.629,  1.049]])

    Reference: Vehtari et al., Bayesian Anal. 16, 667 (2021).
    """
    pooled = x.reshape(len(x), -1)
    scores = _scores_of_few(pooled)
    if scores is None:
        scores = _scores_of_any(pooled)
    return scores.reshape(x.shape)


def folded_draws(
    x: Float64[np.ndarray, " statistic *draws"],
) -> Float64[np.ndarray, " statistic *draws"]:
    """Return distances from each statistic's median: their ranks compare widths.

        |x − median|

    Args:
        x: ``(statistic, …)`` finite draws.

    Returns:
        The same shape, in the unit of the statistic.

    Example:
        >>> folded_draws(np.array([[1.0, 0.0, 5.0]])).tolist()
        [[0.0, 1.0, 4.0]]
    """
    ordered = np.sort(x.reshape(len(x), -1), axis=-1)  # faster than selecting
    size = ordered.shape[-1]
    median = (ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2
    return np.abs(x - median.reshape(-1, *[1] * (x.ndim - 1)))


Pooled = Float64[np.ndarray, "statistic draw"]


def _scores_of_any(x: Pooled) -> Pooled:
    """Return normal scores by sorting."""
    order = np.argsort(x, axis=-1)
    ordered = np.take_along_axis(x, order, axis=-1)
    scores = np.empty_like(x)
    places = _doubled_ranks(ordered)
    np.put_along_axis(scores, order, _table(x.shape[-1])[places], axis=-1)
    return scores


def _doubled_ranks(ordered: Pooled) -> Integer[np.ndarray, "rows draw"]:
    """Return twice the mean rank: first + last place of each group of ties."""
    place = np.arange(1, ordered.shape[-1] + 1, dtype=np.int32)
    steps = ordered[:, 1:] != ordered[:, :-1]
    if steps.all():
        return 2 * place[None]
    edge = np.ones((len(ordered), 1), dtype=bool)
    first = np.where(np.concatenate([edge, steps], axis=-1), place, 0)
    last = np.where(np.concatenate([steps, edge], axis=-1), place, place[-1])
    last = np.minimum.accumulate(last[:, ::-1], axis=-1)[:, ::-1]
    return np.maximum.accumulate(first, axis=-1) + last


def _scores_of_few(x: Pooled) -> Pooled | None:
    """Return normal scores by counting, or None where draws are not few levels.

    Levels are halves of whole numbers: bits, spins, counts.
    """
    levels = 2 * (x - x.min(axis=-1, keepdims=True))
    width = levels.max() + 1
    if not (width <= MAX_LEVELS and (levels == np.floor(levels)).all()):
        return None
    width = int(width)
    levels = levels.astype(np.intp) + width * np.arange(len(x))[:, None]
    counts = np.bincount(levels.ravel(), minlength=width * len(x)).reshape(-1, width)
    twice = 2 * np.cumsum(counts, axis=-1) - np.maximum(counts, 1) + 1
    return _table(x.shape[-1])[twice].ravel()[levels]


@lru_cache(maxsize=1)
def _table(size: int) -> Float64[np.ndarray, " doubled"]:
    """Return scores of all doubled ranks: Φ⁻¹ costs more than looking it up."""
    ranks = np.arange(2, 2 * size + 1) / 2
    scores = ndtri((ranks - 3 / 8) / (size + 1 / 4))
    return np.concatenate([[np.nan, np.nan], scores])  # a doubled rank is 2 or more
