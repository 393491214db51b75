"""Krylov solvers of H x = v: they need products H x only.

Each stops at a residual.  Of a singular H they differ: see each class.  A solve that
does not reach ten times its tolerance warns, and so does one of an H that is not
symmetric, unless ``check`` is False: a fixed number of iterations is then a method of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.sparse.linalg import cg, gmres
from jaxtyping import Float, PyTree

from heliostat.kernels.convergence import warn_unless

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
    check: bool = True  # warn of the residual, and of an H that is not symmetric

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return x with |H x − v| ≤ tolerance · |v|.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            x, ``(n,)``.

        Warns:
            ConvergenceWarning: if the residual is larger, or H is not symmetric.
        """
        x = cg(matvec, v, tol=self.tolerance, maxiter=self.maxiter)[0]
        if self.check:
            warn_of_asymmetry(matvec, v)
            residual, length = matvec(x) - v, jnp.linalg.norm(v)
            _warn_of_residual("conjugate gradients", residual, length, self.tolerance)
        return x


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
    check: bool = True  # warn of the residual, and of an H that is not symmetric

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return x with |H² x − H v| ≤ tolerance · |H v|.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            x, ``(n,)``.

        Warns:
            ConvergenceWarning: if the residual is larger, or H is not symmetric.
        """

        def normal(x: Vector) -> Vector:
            return matvec(matvec(x))

        b = matvec(v)
        least: Any = jax.lax.stop_gradient(_rounding(matvec, v, b))
        x = cg(normal, b, tol=self.tolerance, atol=least, maxiter=self.maxiter)[0]
        if self.check:
            warn_of_asymmetry(matvec, v)
            residual, length = normal(x) - b, jnp.linalg.norm(b)
            _warn_of_residual("NormalCG", residual, length, self.tolerance, least)
        return x


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
    check: bool = True  # warn of the residual

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return x with |H x − v| ≤ tolerance · |v|.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            x, ``(n,)``.

        Warns:
            ConvergenceWarning: if the residual is larger.
        """
        restart = min(self.restart, v.size)
        options: Any = {"tol": self.tolerance, "maxiter": self.maxiter}
        x = gmres(matvec, v, restart=restart, **options)[0]
        if self.check:
            residual, length = matvec(x) - v, jnp.linalg.norm(v)
            _warn_of_residual("GMRES", residual, length, self.tolerance)
        return x


def _warn_of_residual(
    solver: str,
    residual: Vector,
    length: Float[Array, ""],
    tolerance: float,
    rounding: Float[Array, ""] | float = 0.0,
) -> None:
    """Warn of a residual that is neither small nor rounding.

    Args:
        length: length of the right side.
        rounding: length of a right side that is nothing else.
    """
    size = jnp.linalg.norm(residual)
    share = size / jnp.where(length > 0, length, 1)
    most = max(10 * tolerance, 100 * float(jnp.finfo(residual.dtype).eps))
    message = (
        f"{solver} did not converge: the residual is {{:.2g}} of the right side, "
        f"expected {tolerance:.0e}; raise maxiter, or damp H (Proximal)"
    )
    warn_unless((share <= most) | (size <= 10 * rounding), message, share)


def warn_of_asymmetry(matvec: Matvec, v: Vector) -> None:
    """Warn of an H that is not symmetric, by ⟨a, H b⟩ = ⟨b, H a⟩ of random vectors.

    Args:
        matvec: x ↦ H x; two products.
        v: any vector ``(n,)``.

    Warns:
        ConvergenceWarning: if the two differ by more than rounding.

    Example:
        >>> warn_of_asymmetry(lambda x: 2 * x, jnp.ones(2))  # symmetric: no warning
    """
    a, b = jax.random.normal(jax.random.key(0), (2, v.size), v.dtype)
    ha, hb = matvec(a), matvec(b)
    norm = jnp.linalg.norm
    scale = norm(a) * norm(hb) + norm(b) * norm(ha)
    share = jnp.abs(jnp.vdot(a, hb) - jnp.vdot(ha, b)) / jnp.where(scale > 0, scale, 1)
    most = float(jnp.finfo(v.dtype).eps) ** 0.5
    message = "H is not symmetric (by {:.1%}): the result is not that of H or of Hᵀ"
    warn_unless((share <= most) | ~jnp.isfinite(share), message, share)
