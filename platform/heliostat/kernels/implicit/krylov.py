"""Krylov solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.sparse.linalg import cg, gmres

Matvec = Callable[[Any], Any]
"""A symmetric linear map: x ↦ H x."""


class ConjugateGradient(NamedTuple):
    """Conjugate gradients, for H > 0; H⁺ v where H ≥ 0 is singular and v in its range.

    Elsewhere (v not in the range of H, as a rule where the inner problem has more
    unknowns than equations) no x has a residual below the tolerance, and what comes
    back grows until ``most`` ends it: entries of 1e17, infinite for H = 0.  Of an
    indefinite H nothing is promised.  Take :class:`NormalCG`.
    """

    tolerance: float = 1e-6  # of the residual, relative to |v|
    maxiter: int = 100  # products

    def solve(self, matvec: Matvec, v: Array) -> Array:
        return cg(matvec, v, tol=self.tolerance, maxiter=self.maxiter)[0]


class NormalCG(NamedTuple):
    """Conjugate gradients on H² x = H v: any symmetric H, and H⁺ v for any v.

    Each iteration costs two products, and the condition number is squared.  Where H v
    is rounding, as of v in the kernel of H, that is zero.
    """

    tolerance: float = 1e-6  # of the residual, relative to |H v|
    maxiter: int = 100  # iterations

    def solve(self, matvec: Matvec, v: Array) -> Array:
        def normal(x: Array) -> Array:
            return matvec(matvec(x))

        b = matvec(v)
        least: Any = jax.lax.stop_gradient(_rounding(matvec, v, b))
        return cg(normal, b, tol=self.tolerance, atol=least, maxiter=self.maxiter)[0]


def _rounding(matvec: Matvec, v: Array, b: Array) -> Array:
    """How long b = H v is at most if it is nothing but rounding, (): then it points
    anywhere, and H makes of it what it makes of most vectors."""
    length = jnp.linalg.norm(b)
    scale = jnp.linalg.norm(matvec(b)) / jnp.where(length > 0, length, 1)
    return 10 * jnp.finfo(v.dtype).eps * scale * jnp.linalg.norm(v)


class GMRES(NamedTuple):
    """The generalised minimal residual method, restarted: H may be indefinite.

    Of a singular H it is H⁺ v where v is in its range; elsewhere it is NaN: the
    residual stops falling, and what is solved in the Krylov space is singular, too.
    Take :class:`NormalCG`.
    """

    tolerance: float = 1e-6  # of the residual, relative to |v|
    maxiter: int = 10  # restarts
    restart: int = 20  # products between them

    def solve(self, matvec: Matvec, v: Array) -> Array:
        restart = min(self.restart, v.size)
        return gmres(
            matvec, v, tol=self.tolerance, maxiter=self.maxiter, restart=restart
        )[0]
