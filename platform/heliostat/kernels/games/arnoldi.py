"""Eigenvalues of a game's Jacobian from products along vectors.

The Jacobian J of the joint gradient of networks is too large to be formed, and J v is
the derivative of the joint gradient along v.  Arnoldi's iteration projects J on the
space of v, J v, J² v, ….  Its eigenvalues there approach those on the border of
the spectrum.

Reference: W. E. Arnoldi, Q. Appl. Math. 9, 17 (1951).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Complex, Float, Key

from heliostat.kernels.games.directions import Losses, Players, joint_gradient


class Ritz(NamedTuple):
    """Approximate eigenvalues and their backward errors.

    A normal matrix has an eigenvalue within the residual; others may not.

    Example:
        >>> Ritz(np.array([2.0 + 0j]), np.array([0.1])).residuals.item()
        0.1
    """

    values: Complex[np.ndarray, " k"]  # the largest modulus first
    residuals: Float[np.ndarray, " k"]  # |J x − λ x| of unit x


def jacobian_product(
    losses: Losses, players: Players
) -> tuple[Callable[[Any], Any], int]:
    """Return v ↦ J v for flat vectors, and their length.

    Args:
        losses: of each player.
        players: where J is taken.

    Returns:
        The product of flat vectors, and their length.

    Example:
        >>> losses = [lambda w: 2 * w[0] * w[1], lambda w: -2 * w[0] * w[1]]
        >>> product, size = jacobian_product(losses, (jnp.array(0.0), jnp.array(0.0)))
        >>> product(jnp.array([1.0, 0.0])).tolist(), size
        ([0.0, -2.0], 2)
    """
    flat, unravel = ravel_pytree(players)

    def gradient(w: Float[Array, " n"]) -> Float[Array, " n"]:
        return ravel_pytree(joint_gradient(losses, unravel(w)))[0]

    return lambda v: jax.jvp(gradient, (flat,), (v,))[1], flat.size


def extreme_eigenvalues(
    product: Callable[[Any], Any],
    key: Key[Array, ""],
    size: int,
    iterations: int = 30,
) -> Ritz:
    """Approximate the eigenvalues on the border of a spectrum.

        J V_k = V_k H_k + h_{k+1,k} v_{k+1} e_kᵀ,    |J V y − λ V y| = |h_{k+1,k} y_k|

    Args:
        product: v ↦ J v, ``(size,)`` each; compiled by the caller, if at all.
        key: of the start.
        size: entries of a vector.
        iterations: k, products that are made; at most ``size``.

    Returns:
        Eigenvalues of H_k, with the norms of their residuals.

    Example:
        >>> matrix = jnp.diag(jnp.arange(1.0, 101.0))
        >>> ritz = extreme_eigenvalues(lambda v: matrix @ v, jax.random.key(0), 100)
        >>> abs(ritz.values[0] - 100) < 0.2
        np.True_

    Reference: W. E. Arnoldi, Q. Appl. Math. 9, 17 (1951).
    """
    k = min(iterations, size)
    basis = np.zeros((k + 1, size))
    hessenberg = np.zeros((k + 1, k))
    start = np.asarray(jax.random.normal(key, (size,)), float)
    basis[0] = start / np.linalg.norm(start)
    for j in range(k):
        w = np.array(product(jnp.asarray(basis[j], float)), float)
        scale = np.linalg.norm(w)
        for _ in range(2):  # once more against rounding
            along = basis[: j + 1] @ w
            hessenberg[: j + 1, j] += along
            w -= along @ basis[: j + 1]
        hessenberg[j + 1, j] = np.linalg.norm(w)
        if hessenberg[j + 1, j] <= 1e-12 * max(scale, 1e-300):  # J maps it to itself
            k, hessenberg[j + 1, j] = j + 1, 0.0
            break
        basis[j + 1] = w / hessenberg[j + 1, j]
    values, vectors = np.linalg.eig(hessenberg[:k, :k])
    residuals = np.abs(hessenberg[k, k - 1] * vectors[-1])
    order = np.argsort(-np.abs(values), kind="stable")
    return Ritz(values[order].astype(complex), residuals[order])
