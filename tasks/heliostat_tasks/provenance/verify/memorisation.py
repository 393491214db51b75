"""Did training leave the traces that data leave?  Tests that need no replay.

A model fits what it has just seen a little better than what it has not, for a while::

    M(d, W)  = mean loss of held-out records − loss of d
    ΔM(d, i) = M(d, W_i) − M(d, W_{i−1})

Records of a segment that were trained on have larger ΔM over it than held-out ones,
which were not.  From that:

    PBQ(d)     the share of held-out records whose ΔM is below that of d
    FBQ(p)     the share of a segment's records with PBQ <= p: far below p if trained on
    λ(p)       FBQ(p) / p, an upper bound on the share of records that were not
    p-value    that the segment was not trained on at all, by exact permutation

They are heuristic, have no power in the first segments, and see missing data from some
20 % on.  So they decide what to look at, never what to believe.

Reference: Choi, Shavit and Duvenaud, arXiv:2307.00682.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import beta, rankdata

QUANTILES = (0.05, 0.1)
PERMUTATIONS = 999


class Traces(NamedTuple):
    """What a segment's records say about it."""

    effect: float  # difference of mean ΔM, in standard deviations
    auc: float  # P(ΔM of a trained record > ΔM of a held-out one)
    fbq: tuple[float, ...]  # at QUANTILES
    bound: tuple[float, ...]  # λ at QUANTILES, 95 % upper limits
    p_value: float  # of "not trained on"


def of(losses: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """M of records under each checkpoint; NaN where nothing was held out.

    Args:
        losses: (checkpoints, n) nats.
        held_out: (checkpoints, m) nats, of records that nobody trained on.
    """
    if not held_out.shape[1]:
        return np.full_like(losses, np.nan)
    return held_out.mean(axis=1, keepdims=True) - losses


def traces(trained: np.ndarray, held_out: np.ndarray, seed: int = 0) -> Traces:
    """Of the changes in loss over a segment, −ΔM up to a constant.

    Args:
        trained: (n,) loss after minus before, of records that the segment claims.
        held_out: (m,) the same of records that nobody trained on.
        seed: of the permutations.

    With fewer than two records of either kind there is nothing to compare: NaN, and p
    is 1.
    """
    if min(len(trained), len(held_out)) < 2:
        nothing = (np.nan,) * len(QUANTILES)
        return Traces(np.nan, np.nan, nothing, (1.0,) * len(QUANTILES), 1.0)
    a, b = -np.asarray(trained, float), -np.asarray(held_out, float)
    below = np.searchsorted(np.sort(b), a) / len(b)
    hits = [int(np.sum(below <= p)) for p in QUANTILES]
    spread = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    gap = float(a.mean() - b.mean())
    ranks = rankdata(np.concatenate([a, b]))[: len(a)].sum()
    auc = (ranks - len(a) * (len(a) + 1) / 2) / (len(a) * len(b))
    return Traces(
        gap / spread if spread > 0 else 0.0,
        float(auc),
        tuple(hit / len(a) for hit in hits),
        tuple(
            min(1.0, _upper(h, len(a)) / p)
            for h, p in zip(hits, QUANTILES, strict=True)
        ),
        _permuted(a, b, gap, seed),
    )


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values of many tests at once, adjusted after Holm.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, float)
    ranks = np.argsort(p, kind="stable")
    scaled = p[ranks] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[ranks] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def _upper(hits: int, count: int, level: float = 0.95) -> float:
    """The upper limit of a share, after Clopper and Pearson."""
    return 1.0 if hits == count else float(beta.ppf(level, hits + 1, count - hits))


def _permuted(a: np.ndarray, b: np.ndarray, gap: float, seed: int) -> float:
    """How often records under shuffled labels differ as much: exact for any sizes."""
    draw, both = np.random.default_rng(seed), np.concatenate([a, b])
    shuffled = draw.permuted(np.tile(both, (PERMUTATIONS, 1)), axis=1)
    n, m = len(a), len(b)
    sums = shuffled[:, :n].sum(axis=1)
    gaps = sums / n - (both.sum() - sums) / m
    return float((1 + np.sum(gaps >= gap)) / (1 + PERMUTATIONS))
