"""Krylov solvers of H x = v: they need products H x only.

Each stops at a residual.  Of a singular H they differ: see each class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.sparse.linalg import cg, gmres
from jaxtyping import Float, PyTree

Matvec = Callable[[PyTree], PyTree]
"""A symmetric linear map: x ↦ H x."""

Vector = Float[Array, " n"]


class ConjugateGradient(NamedTuple):
    """Conjugate gradients, for H > 0; H⁺ v where H ≥ 0 is singular and v in its range.

    Elsewhere (v not in the range of H, as a rule where the inner problem has more
    unknowns than equations) no x has a residual below the tolerance, and the result
    grows until ``maxiter`` ends it: entries of 1e17, infinite for H = 0.  For an
    indefinite H nothing is promised.  Take :class:`NormalCG`.

    Example:
        >>> solver = ConjugateGradient()
        >>> solver.solve(lambda x: 2.0 * x, jnp.ones(2)).round(4).tolist()
        [0.5, 0.5]
    """

    tolerance: float = 1e-6  # tolerance of the residual, relative to |v|
    maxiter: int = 100  # products

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return x with |H x − v| ≤ tolerance · |v|.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            x, ``(n,)``.
        """
        return cg(matvec, v, tol=self.tolerance, maxiter=self.maxiter)[0]


class NormalCG(NamedTuple):
    """Conjugate gradients on H² x = H v: any symmetric H, and H⁺ v for any v.

    Each iteration costs two products, and the condition number is squared.  Where H v
    is rounding, as of v in the kernel of H, the result is zero.

    Example:
        >>> singular = jnp.diag(jnp.array([2.0, 0.0]))
        >>> NormalCG().solve(lambda x: singular @ x, jnp.ones(2)).round(4).tolist()
        [0.5, 0.0]
    """

    tolerance: float = 1e-6  # tolerance of the residual, relative to |H v|
    maxiter: int = 100  # iterations

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return x with |H² x − H v| ≤ tolerance · |H v|.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            x, ``(n,)``.
        """

        def normal(x: Vector) -> Vector:
            return matvec(matvec(x))

        b = matvec(v)
        least: Any = jax.lax.stop_gradient(_rounding(matvec, v, b))
        return cg(normal, b, tol=self.tolerance, atol=least, maxiter=self.maxiter)[0]


def _rounding(matvec: Matvec, v: Vector, b: Vector) -> Float[Array, ""]:
    """Return the largest length of b = H v if b is nothing but rounding.

    Such a b points anywhere, and H scales it as it scales most vectors.
    """
    length = jnp.linalg.norm(b)
    scale = jnp.linalg.norm(matvec(b)) / jnp.where(length > 0, length, 1)
    return 10 * jnp.finfo(v.dtype).eps * scale * jnp.linalg.norm(v)


class GMRES(NamedTuple):
    """The generalised minimal residual method, restarted: H may be indefinite.

    For a singular H it is H⁺ v where v is in the range of H; elsewhere it is NaN: the
    residual stops falling, and the system in the Krylov space is singular, too.  Take
    :class:`NormalCG`.

    Example:
        >>> indefinite = jnp.diag(jnp.array([2.0, -1.0]))
        >>> GMRES().solve(lambda x: indefinite @ x, jnp.ones(2)).round(4).tolist()
        [0.5, -1.0]
    """

    tolerance: float = 1e-6  # tolerance of the residual, relative to |v|
    maxiter: int = 10  # restarts
    restart: int = 20  # products between them

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return x with |H x − v| ≤ tolerance · |v|.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            x, ``(n,)``.
        """
        return gmres(
            matvec,
            v,
            tol=self.tolerance,
            maxiter=self.maxiter,
            restart=min(self.restart, v.size),
        )[0]
