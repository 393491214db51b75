"""H⁻¹ v without H: one seam, and a table of ways to approximate what is behind it.

Implicit differentiation of w*(u) = argmin_w f(u, w) wants products of a vector with the
inverse of the Hessian H = ∂²f/∂w².  On an eigenvector of H with eigenvalue s,

    identity              c
    Neumann, K terms      (1 − (1 − a s)^K) / s      a Σ_{j<K} (I − a H)^j
    proximal              1 / (s + ε)                (H + ε)⁻¹
    pseudo-inverse        1 / s, or 0 where s = 0    H⁺

and conjugate gradients and GMRES are as good as the residual that they are stopped at.
A method is a tuple of its numbers with a ``solve``; another one is another such tuple.

References: Vicol, Lorraine, Pedregosa, Duvenaud and Grosse, arXiv:2212.14032 [which
of them is taken decides what an over-parameterised outer problem finds]; Lorraine,
Vicol and Duvenaud, arXiv:1911.02590 [Neumann]; Rajeswaran et al., arXiv:1909.04630
[proximal]; Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973) [the derivative
of H⁺].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jax.scipy.sparse.linalg import cg, gmres

Matvec = Callable[[Any], Any]
"""A symmetric linear map: x ↦ H x."""


class Method(Protocol):
    """How H⁻¹ v is approximated, for vectors ``(n,)``."""

    def solve(self, matvec: Matvec, v: Array) -> Array:
        """H⁻¹ v, ``(n,)``."""
        ...


def inverse_hvp(matvec: Matvec, v: Any, method: Method) -> Any:
    """H⁻¹ v, or what the method makes of it.

    Args:
        matvec: x ↦ H x for pytrees like ``v``; H is symmetric.
        v: an array of any shape or a pytree of arrays.
        method: one of this module's, or anything with such a ``solve``.

    Returns:
        A pytree like ``v``.

    Raises:
        ValueError: for numbers of a method that make no sense, a ``v`` that is empty,
            or one of whole numbers.

    Example:
        >>> H = jnp.diag(jnp.array([1.0, 2.0]))
        >>> inverse_hvp(lambda x: H @ x, jnp.ones(2), Neumann(2, 0.5)).tolist()
        [0.75, 0.5]
        >>> inverse_hvp(lambda x: H @ x, jnp.ones(2), Identity()).tolist()
        [1.0, 1.0]
    """
    _check(v)
    flat, tree = ravel_pytree(v)

    def product(x: Array) -> Array:
        return ravel_pytree(matvec(tree(x)))[0]

    return tree(method.solve(product, flat))


def _check(v: Any) -> None:
    """Nothing and whole numbers have no H⁻¹ v of their own kind."""
    leaves = jax.tree.leaves(v)
    if not sum(jnp.size(leaf) for leaf in leaves):
        raise ValueError("v is empty: expected at least one entry")
    for kind in map(jnp.result_type, leaves):
        if not jnp.issubdtype(kind, jnp.inexact):
            raise ValueError(f"v has entries of type {kind}: expected floats, as 1.0")


def hvp(f: Callable[[Any], Array], w: Any, x: Any) -> Any:
    """(∂²f/∂w²) x at w, by forward over reverse: the cost of about two gradients.

    Example:
        >>> hvp(lambda w: jnp.sum(w**3), jnp.array([1.0, 2.0]), jnp.ones(2)).tolist()
        [6.0, 12.0]
    """
    return jax.jvp(jax.grad(f), (w,), (x,))[1]


class Identity(NamedTuple):
    """H⁻¹ ≈ c: one step of descent, differentiated ("T1-T2").

    Reference: Luketina et al., arXiv:1511.06727.
    """

    scale: float | Array = 1.0  # c, 1 / units of H

    def solve(self, matvec: Matvec, v: Array) -> Array:
        return self.scale * v


class Neumann(NamedTuple):
    """H⁻¹ ≈ a Σ_{j<K} (I − a H)^j: K *terms*, which cost K − 1 products.

    It converges for 0 < a < 2 / L, L the largest eigenvalue, to H⁺ v where H ≥ 0 is
    singular and v is in its range.  For a quadratic f it is exactly what K steps of
    descent with rate a say when they are differentiated.

    Reference: arXiv:1911.02590, algorithm 3.
    """

    terms: int = 20  # K
    step: float | Array = 0.1  # a, 1 / units of H; as a rule the inner learning rate

    def solve(self, matvec: Matvec, v: Array) -> Array:
        if self.terms < 1:
            raise ValueError(f"terms {self.terms}: expected 1 or more")

        def body(_: Any, both: tuple[Array, Array]) -> tuple[Array, Array]:
            power, total = both
            power = power - self.step * matvec(power)
            return power, total + power

        return self.step * jax.lax.fori_loop(0, self.terms - 1, body, (v, v))[1]


class ConjugateGradient(NamedTuple):
    """Conjugate gradients, for H > 0; H⁺ v where H ≥ 0 is singular and v in its range.

    Elsewhere (v not in the range of H, as a rule where the inner problem has more
    unknowns than equations) no x has a residual below the tolerance, and what comes
    back grows until ``most`` ends it: entries of 1e17, infinite for H = 0.  Of an
    indefinite H nothing is promised.  Take :class:`NormalCG`.
    """

    tolerance: float = 1e-6  # of the residual, relative to |v|
    most: int = 100  # products

    def solve(self, matvec: Matvec, v: Array) -> Array:
        return cg(matvec, v, tol=self.tolerance, maxiter=self.most)[0]


class NormalCG(NamedTuple):
    """Conjugate gradients on H² x = H v: any symmetric H, and H⁺ v for any v.

    Each iteration costs two products, and the condition number is squared.  Where H v
    is rounding, as of v in the kernel of H, that is zero.
    """

    tolerance: float = 1e-6  # of the residual, relative to |H v|
    most: int = 100  # iterations

    def solve(self, matvec: Matvec, v: Array) -> Array:
        def normal(x: Array) -> Array:
            return matvec(matvec(x))

        b = matvec(v)
        least: Any = jax.lax.stop_gradient(_rounding(matvec, v, b))
        return cg(normal, b, tol=self.tolerance, atol=least, maxiter=self.most)[0]


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
    most: int = 10  # restarts
    restart: int = 20  # products between them

    def solve(self, matvec: Matvec, v: Array) -> Array:
        restart = min(self.restart, v.size)
        return gmres(matvec, v, tol=self.tolerance, maxiter=self.most, restart=restart)[
            0
        ]


class PseudoInverse(NamedTuple):
    """H⁺ v by the eigenvalues of H, for n up to a few thousand; costs n products."""

    rtol: float | None = None  # relative to the largest |s|; None: n × machine epsilon

    def solve(self, matvec: Matvec, v: Array) -> Array:
        return pseudo_inverse(dense(matvec, v), self.rtol) @ v


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
    kept = support(s, rtol)
    filtered = jnp.where(kept, 1 / jnp.where(kept, s, 1), 0)
    return (vectors * filtered[None]) @ vectors.T


@pseudo_inverse.defjvp
def _turned(
    rtol: float | None, at: tuple[Array], along: tuple[Array]
) -> tuple[Array, Array]:
    """By itself, so that it has derivatives too: those of eigenvectors are not finite
    where eigenvalues are repeated."""
    (h,), (dh,) = at, along
    inverse = pseudo_inverse(h, rtol)
    outside = jnp.eye(len(h), dtype=h.dtype) - h @ inverse
    half = inverse @ inverse @ dh @ outside
    return inverse, half + half.T - inverse @ dh @ inverse


class Proximal(NamedTuple):
    """(H + ε)⁻¹ v: the response of argmin f + ε/2 |w − w'|², whatever H ≥ 0 is.

    ε = 1 / (a K) filters like K Neumann terms of step a: roughly, not exactly.

    Reference: arXiv:1909.04630; arXiv:2212.14032.
    """

    epsilon: float | Array = 1e-3  # units of H
    by: Method = ConjugateGradient()  # how the damped system is solved

    def solve(self, matvec: Matvec, v: Array) -> Array:
        if not isinstance(self.epsilon, Tracer) and self.epsilon < 0:
            raise ValueError(f"epsilon {self.epsilon}: expected 0 or more")
        return self.by.solve(lambda x: matvec(x) + self.epsilon * x, v)


def dense(matvec: Matvec, like: Array) -> Array:
    """The matrix of a symmetric map, ``(n, n)``: one product for each column.

    Example:
        >>> dense(lambda x: 2 * x, jnp.zeros(2)).tolist()
        [[2.0, 0.0], [0.0, 2.0]]
    """
    matrix = jax.vmap(matvec)(jnp.eye(like.size, dtype=like.dtype))
    return (matrix + matrix.T) / 2


def support(s: Array, rtol: float | None = None) -> Array:
    """Which eigenvalues ``(n,)`` count as not zero.

    Args:
        rtol: relative to the largest |s|; None is n × machine epsilon.
    """
    tolerance = s.size * float(jnp.finfo(s.dtype).eps) if rtol is None else rtol
    return jnp.abs(s) > tolerance * jnp.max(jnp.abs(s))
