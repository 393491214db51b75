"""Traces that training leaves in a model: tests that need no replay.

A model fits records it has just seen a little better than others, for a while::

    M(d, W)  = mean loss of held-out records − loss of d
    ΔM(d, i) = M(d, W_i) − M(d, W_{i−1})

Records that a segment trained on have larger ΔM over it than held-out ones. From that:

    PBQ(d)     the share of held-out records whose ΔM is below that of d
    FBQ(p)     the share of a segment's records with PBQ <= p: far below p if trained on
    λ(p)       FBQ(p) / p, an upper bound on the share of records not trained on
    p-value    of "not trained on this segment at all", by exact permutation

These tests are heuristic, have no power in the first segments, and detect missing data
from about 20 % on. So they select segments for a closer look, and decide nothing.

Reference: Choi, Shavit and Duvenaud, arXiv:2307.00682.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from scipy.stats import beta, rankdata

QUANTILES = (0.05, 0.1)
PERMUTATIONS = 999


class Traces(NamedTuple):
    """Statistics of a segment's records."""

    effect: float  # difference of mean ΔM, in standard deviations
    auc: float  # P(ΔM of a trained record > ΔM of a held-out one)
    fbq: tuple[float, ...]  # at QUANTILES
    bound: tuple[float, ...]  # λ at QUANTILES, 95 % upper limits
    p_value: float  # p-value of "not trained on"


def memorisation(
    losses: Float[np.ndarray, "checkpoints n"],
    held_out: Float[np.ndarray, "checkpoints m"],
) -> Float[np.ndarray, "checkpoints n"]:
    """Compute M of records under each checkpoint; NaN without held-out records.

    Args:
        losses: (checkpoints, n) nats.
        held_out: (checkpoints, m) nats, of records that were never trained on.

    Returns:
        (checkpoints, n) nats.
    """
    if not held_out.shape[1]:
        return np.full_like(losses, np.nan)
    return held_out.mean(axis=1, keepdims=True) - losses


def traces(
    trained: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"], seed: int = 0
) -> Traces:
    """Test the changes in loss over a segment, which are −ΔM up to a constant.

    With fewer than two records of a kind statistics are NaN; bounds and p are 1.

    Args:
        trained: (n,) loss after minus before, of records that the segment claims.
        held_out: (m,) the same of records that were never trained on.
        seed: seed of the permutations.
    """
    if min(len(trained), len(held_out)) < 2:
        missing = (np.nan,) * len(QUANTILES)
        return Traces(np.nan, np.nan, missing, (1.0,) * len(QUANTILES), 1.0)
    a, b = -np.asarray(trained, float), -np.asarray(held_out, float)
    below = np.searchsorted(np.sort(b), a) / len(b)
    hits = [int(np.sum(below <= p)) for p in QUANTILES]
    spread = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    gap = float(a.mean() - b.mean())
    ranks = rankdata(np.concatenate([a, b]))[: len(a)].sum()
    auc = (ranks - len(a) * (len(a) + 1) / 2) / (len(a) * len(b))
    limits = (_upper(h, len(a)) / p for h, p in zip(hits, QUANTILES, strict=True))
    return Traces(
        gap / spread if spread > 0 else 0.0,
        float(auc),
        tuple(hit / len(a) for hit in hits),
        tuple(min(1.0, limit) for limit in limits),
        _permutation_p_value(a, b, gap, seed),
    )


def holm(p_values: Float[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Adjust the p-values of many tests by Holm's step-down procedure.

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
    """Upper limit of a proportion, by Clopper and Pearson."""
    return 1.0 if hits == count else float(beta.ppf(level, hits + 1, count - hits))


def _permutation_p_value(
    a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " m"], gap: float, seed: int
) -> float:
    """Share of shuffled labels with at least this gap: exact for any sizes."""
    rng, both = np.random.default_rng(seed), np.concatenate([a, b])
    shuffled = rng.permuted(np.tile(both, (PERMUTATIONS, 1)), axis=1)
    n, m = len(a), len(b)
    sums = shuffled[:, :n].sum(axis=1)
    gaps = sums / n - (both.sum() - sums) / m
    return float((1 + np.sum(gaps >= gap)) / (1 + PERMUTATIONS))
