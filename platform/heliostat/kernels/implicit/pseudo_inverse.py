"""H⁺."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from heliostat.kernels.implicit.krylov import Matvec


class PseudoInverse(NamedTuple):
    """H⁺ v by the eigenvalues of H, for n up to a few thousand; costs n products."""

    rtol: float | None = None  # relative to the largest |s|; None: n × machine epsilon

    def solve(self, matvec: Matvec, v: Array) -> Array:
        return pseudo_inverse(dense_matrix(matvec, v), self.rtol) @ v


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def pseudo_inverse(h: Array, rtol: float | None = None) -> Array:
    """H⁺ of a symmetric matrix, ``(n, n)``; it has derivatives of any order.

    They are those at constant rank, whether eigenvalues are repeated or not:

        dH⁺  =  −H⁺ dH H⁺  +  H⁺ H⁺ dH (I − H H⁺)  +  (I − H H⁺) dH H⁺ H⁺

    where eigenvalues below ``rtol`` are taken for exact zeros.

    Args:
        h: H, ``(n, n)``.
        rtol: relative to the largest |s|; None is n × machine epsilon.

    Example:
        >>> pseudo_inverse(jnp.diag(jnp.array([2.0, 0.0]))).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
        >>> float(jax.grad(lambda s: pseudo_inverse(s * jnp.eye(2)).sum())(2.0))
        -0.5

    Reference: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), eq. 4.12.
    """
    s, vectors = jnp.linalg.eigh(h)
    kept = nonzero_eigenvalues(s, rtol)
    filtered = jnp.where(kept, 1 / jnp.where(kept, s, 1), 0)
    return (vectors * filtered[None]) @ vectors.T


@pseudo_inverse.defjvp
def _pseudo_inverse_jvp(
    rtol: float | None, at: tuple[Array], along: tuple[Array]
) -> tuple[Array, Array]:
    """By itself, so that it has derivatives too: those of eigenvectors are not finite
    where eigenvalues are repeated."""
    (h,), (dh,) = at, along
    inverse = pseudo_inverse(h, rtol)
    outside = jnp.eye(len(h), dtype=h.dtype) - h @ inverse
    half = inverse @ inverse @ dh @ outside
    return inverse, half + half.T - inverse @ dh @ inverse


def dense_matrix(matvec: Matvec, like: Array) -> Array:
    """The matrix of a symmetric map, ``(n, n)``: one product for each column.

    Example:
        >>> dense(lambda x: 2 * x, jnp.zeros(2)).tolist()
        [[2.0, 0.0], [0.0, 2.0]]
    """
    matrix = jax.vmap(matvec)(jnp.eye(like.size, dtype=like.dtype))
    return (matrix + matrix.T) / 2


def nonzero_eigenvalues(s: Array, rtol: float | None = None) -> Array:
    """Which eigenvalues ``(n,)`` count as not zero.

    Args:
        rtol: relative to the largest |s|; None is n × machine epsilon.
    """
    tolerance = s.size * float(jnp.finfo(s.dtype).eps) if rtol is None else rtol
    return jnp.abs(s) > tolerance * jnp.max(jnp.abs(s))
