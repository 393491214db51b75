"""Logistic regression without an intercept, under a Laplace prior.

    p(A ≻ B) = σ(φ · α),   φ ∈ {−1, 0, +1}^F,   α_i ~ Laplace(0, b)

With x = φ where A was preferred and −φ where B was, the order of a pair drops out: the
pair contributes σ(x · α), whichever response came first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike
from scipy.special import expit

BATCH = 256
"""Pairs whose probabilities under all draws are in memory at a time."""


def potential_energy(
    alpha: Float[Array, " F"], x: Float[Array, "pairs F"], scale: float
) -> Float[Array, ""]:
    """Compute −log posterior of the coefficients, less its value at α = 0:

        U(α) = Σ_n [log(1 + e^{−x_n · α}) − log 2] + Σ_i |α_i| / b

    Without the constant, which grows with the number of pairs, float32 keeps the digits
    that decide on acceptance.

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
    """Compute the share of pairs with x · α > 0; a tie counts half.

    Args:
        alpha: (F,) coefficients.
        x: (pairs, F) features, the preferred response's less the other's.

    Returns:
        The share; NaN if there are no pairs.

    Example:
        >>> accuracy([1.0, 0.0], [[1, 0], [-1, 1], [0, 1], [1, 1]])
        0.625
    """
    margins = np.asarray(x, float) @ np.asarray(alpha, float)
    return float((0.5 + 0.5 * np.sign(margins)).mean()) if len(margins) else np.nan


def predictive_losses(alpha: ArrayLike, x: ArrayLike) -> Float64[np.ndarray, " pairs"]:
    """Compute −log of the posterior predictive probability of each preference:

        L_n = −log [ Σ_s σ(x_n · α_s) / S ]

    Args:
        alpha: (S, F) draws of the posterior.
        x: (pairs, F) features, the preferred response's less the other's.

    Returns:
        (pairs,) nat; log 2 where all draws are 0.

    Example:
        >>> predictive_losses([[0.0], [0.0]], [[1], [-1]]).round(4).tolist()
        [0.6931, 0.6931]
    """
    draws, pairs = np.asarray(alpha, float), np.asarray(x, float)
    batches = np.array_split(pairs, len(pairs) // BATCH + 1)
    return np.concatenate([-np.log(expit(draws @ b.T).mean(0)) for b in batches])
