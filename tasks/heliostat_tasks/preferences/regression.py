"""Logistic regression without an intercept, under a Laplace prior.

    p(A ≻ B) = σ(φ · α),   φ ∈ {−1, 0, +1}^F,   α_i ~ Laplace(0, b)

With x = φ where A was preferred and −φ where B was, the order of a pair drops out: it
contributes σ(x · α), whichever response came first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike
from scipy.special import expit

SLAB = 256
"""Pairs whose probabilities are in memory at a time, for all draws."""


def potential_energy(alpha: Array, x: Array, scale: float) -> Array:
    """−log posterior of the coefficients, less its value at α = 0:

        U(α) = Σ_n [log(1 + e^{−x_n · α}) − log 2] + Σ_i |α_i| / b

    Without the constant, which is thousands for thousands of pairs, float32 keeps the
    digits that acceptance hangs on.

    Args:
        alpha: (F,) log-odds per unit of a feature.
        x: (pairs, F) features, the preferred response's less the other's.
        scale: b of the prior.

    Returns:
        () nat.

    Example:
        >>> x = jnp.array([[1.0], [-1.0]])
        >>> round(float(potential_energy(jnp.array([2.0]), x, 0.5)), 4)
        4.8676

    Reference: Sharma et al., arXiv:2310.13548, §4.1.
    """
    losses = jax.nn.softplus(-(x @ alpha)) - np.log(2.0)
    return jnp.sum(losses) + jnp.sum(jnp.abs(alpha)) / scale


def accuracy(alpha: ArrayLike, x: ArrayLike) -> float:
    """Share of pairs whose preferred response has the larger φ · α; a tie is half.

    Args:
        alpha: (F,) coefficients.
        x: (pairs, F), as above; NaN for no pairs.

    Example:
        >>> accuracy([1.0, 0.0], [[1, 0], [-1, 1], [0, 1], [1, 1]])
        0.625
    """
    margins = np.asarray(x, float) @ np.asarray(alpha, float)
    return float((0.5 + 0.5 * np.sign(margins)).mean()) if len(margins) else np.nan


def predictive_losses(alpha: ArrayLike, x: ArrayLike) -> np.ndarray:
    """−log of the probability that draws together give to what was preferred:

        L_n = −log [ Σ_s σ(x_n · α_s) / S ]

    Args:
        alpha: (S, F) draws of the posterior.
        x: (pairs, F), as above.

    Returns:
        (pairs,) nat; log 2 where the draws know nothing.

    Example:
        >>> predictive_losses([[0.0], [0.0]], [[1], [-1]]).round(4).tolist()
        [0.6931, 0.6931]
    """
    draws, pairs = np.asarray(alpha, float), np.asarray(x, float)
    slabs = np.array_split(pairs, len(pairs) // SLAB + 1)  # (S, SLAB) fits in memory
    return np.concatenate([-np.log(expit(draws @ s.T).mean(0)) for s in slabs])
