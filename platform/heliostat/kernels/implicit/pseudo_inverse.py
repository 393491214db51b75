"""The pseudo-inverse H⁺ of a symmetric map, by eigenvalues, and its derivatives.

Reference: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), eq. 4.12.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from heliostat.kernels.implicit.krylov import Matvec, Vector, warn_of_asymmetry

Matrix = Float[Array, "n n"]


class PseudoInverse(NamedTuple):
    """H⁺ v by the eigenvalues of H, for n up to a few thousand; costs n products.

    Example:
        >>> singular = jnp.diag(jnp.array([2.0, 0.0]))
        >>> PseudoInverse().solve(lambda x: singular @ x, jnp.ones(2)).tolist()
        [0.5, 0.0]
    """

    rtol: float | None = None  # relative to the largest |s|; None: n × machine epsilon
    check: bool = True  # warn of an H that is not symmetric

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return H⁺ v.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            H⁺ v, ``(n,)``.

        Warns:
            ConvergenceWarning: if H is not symmetric.
        """
        if self.check:
            warn_of_asymmetry(matvec, v)
        return pseudo_inverse(dense_matrix(matvec, v), self.rtol) @ v


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def pseudo_inverse(h: Matrix, rtol: float | None = None) -> Matrix:
    """Return H⁺ of a symmetric matrix; it has derivatives of any order.

    They are those at constant rank, whether eigenvalues are repeated or not:

        dH⁺  =  −H⁺ dH H⁺  +  H⁺ H⁺ dH (I − H H⁺)  +  (I − H H⁺) dH H⁺ H⁺

    Eigenvalues below ``rtol`` count as exact zeros.

    Args:
        h: H, ``(n, n)``.
        rtol: relative to the largest |s|; None is n × machine epsilon.

    Returns:
        H⁺, ``(n, n)``.

    Example:
        >>> pseudo_inverse(jnp.diag(jnp.array([2.0, 0.0]))).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
        >>> float(jax.grad(lambda s: pseudo_inverse(s * jnp.eye(2)).sum())(2.0))
        -0.5

    Reference: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), eq. 4.12.
    """
    s, vectors = jnp.linalg.eigh(h)
    nonzero = nonzero_eigenvalues(s, rtol)
    filtered = jnp.where(nonzero, 1 / jnp.where(nonzero, s, 1), 0)
    return (vectors * filtered[None]) @ vectors.T


@pseudo_inverse.defjvp
def _pseudo_inverse_jvp(
    rtol: float | None, primals: tuple[Matrix], tangents: tuple[Matrix]
) -> tuple[Matrix, Matrix]:
    """Return H⁺ and dH⁺, in terms of H⁺ itself, so that dH⁺ has derivatives too.

    Derivatives of eigenvectors are not finite where eigenvalues are repeated.
    """
    (h,), (dh,) = primals, tangents
    inverse = pseudo_inverse(h, rtol)
    outside = jnp.eye(len(h), dtype=h.dtype) - h @ inverse
    half = inverse @ inverse @ dh @ outside
    return inverse, half + half.T - inverse @ dh @ inverse


def dense_matrix(matvec: Matvec, like: Vector) -> Matrix:
    """Return the matrix of a symmetric map: one product for each column.

    Args:
        matvec: x ↦ H x, of vectors ``(n,)``.
        like: any such vector.

    Returns:
        (H + Hᵀ) / 2, ``(n, n)``.

    Example:
        >>> dense_matrix(lambda x: 2 * x, jnp.zeros(2)).tolist()
        [[2.0, 0.0], [0.0, 2.0]]
    """
    matrix = jax.vmap(matvec)(jnp.eye(like.size, dtype=like.dtype))
    return (matrix + matrix.T) / 2


def nonzero_eigenvalues(s: Vector, rtol: float | None = None) -> Bool[Array, " n"]:
    """Mark the eigenvalues that count as not zero: |s| > rtol · max |s|.

    Args:
        s: eigenvalues, ``(n,)``.
        rtol: relative to the largest |s|; None is n × machine epsilon.

    Returns:
        ``(n,)`` bool.

    Example:
        >>> nonzero_eigenvalues(jnp.array([1.0, -1.0, 1e-9])).tolist()
        [True, True, False]
    """
    tolerance = s.size * float(jnp.finfo(s.dtype).eps) if rtol is None else rtol
    return jnp.abs(s) > tolerance * jnp.max(jnp.abs(s))
