"""Determinants of orbitals, and the Vandermonde product, a determinant of powers.

    D = det φ_j(r_i),        V(a) = det a_i^(j−1) = Π_{i<j} (a_j − a_i)

Reference: Slater, Phys. Rev. 34, 1293 (1929); Pang, Yan, Lin, arXiv:2205.13205, where
products of differences make a wavefunction.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.signed_log import SignedLog


def determinant(matrix: Float[Array, "*batch n n"]) -> SignedLog:
    """Return the determinant of square matrices as sign and log.

    Args:
        matrix: ``(*batch, n, n)``; n = 0 gives 1.

    Returns:
        Sign (0 for a singular matrix) and log|D|, each ``(*batch)``.

    Example:
        >>> value = determinant(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
        >>> float(value.sign), round(float(jnp.exp(value.log)), 5)
        (-1.0, 6.0)
    """
    size, batch = matrix.shape[-1], matrix.shape[:-2]
    if size == 0:
        return SignedLog(jnp.ones(batch, matrix.dtype), jnp.zeros(batch, matrix.dtype))
    if size == 1:  # without a call of LAPACK
        value = matrix[..., 0, 0]
        return SignedLog(jnp.sign(value), jnp.log(jnp.abs(value)))
    sign, log = jnp.linalg.slogdet(matrix)
    return SignedLog(sign, log)


def vandermonde(scores: Float[Array, " n"]) -> SignedLog:
    """Return the product of all differences, smooth where scores cross.

        V(a) = Π_{i<j} (a_j − a_i)

    Args:
        scores: ``(n,)`` one real number per particle; n = 0 and 1 give 1.

    Returns:
        Sign (0 where two scores are equal) and log|V|.

    Example:
        >>> value = vandermonde(jnp.array([2.0, 0.0, 3.0]))  # −2 · 1 · 3
        >>> float(value.sign), round(float(jnp.exp(value.log)), 5)
        (-1.0, 6.0)

    Reference: arXiv:2205.13205.
    """
    i, j = np.triu_indices(scores.shape[0], 1)
    differences = scores[j] - scores[i]
    return SignedLog(
        jnp.prod(jnp.sign(differences)), jnp.sum(jnp.log(jnp.abs(differences)))
    )
