"""H⁻¹ v without H: one interface, and its approximations.

Implicit differentiation of w*(u) = argmin_w f(u, w) needs products of a vector with the
inverse of the Hessian H = ∂²f/∂w².  On an eigenvector of H with eigenvalue s,

    identity              c
    Neumann, K terms      (1 − (1 − a s)^K) / s      a Σ_{j<K} (I − a H)^j
    proximal              1 / (s + ε)                (H + ε)⁻¹
    pseudo-inverse        1 / s, or 0 where s = 0    H⁺

and conjugate gradients and GMRES are as good as the residual that they are stopped at.
A method is a tuple of its numbers with a ``solve``; a new one is one more such tuple.

References: Vicol, Lorraine, Pedregosa, Duvenaud and Grosse, arXiv:2212.14032 [the
method decides which solution of an over-parameterised outer problem is reached];
Lorraine, Vicol and Duvenaud, arXiv:1911.02590 [Neumann]; Rajeswaran et al.,
arXiv:1909.04630 [proximal].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from heliostat.kernels.convergence import warn_unless
from heliostat.kernels.implicit.krylov import ConjugateGradient, Matvec, Vector

TINY = 1e-30
"""Length below which a vector counts as zero."""


@runtime_checkable
class Method(Protocol):
    """An approximation of H⁻¹ v, for vectors ``(n,)``.

    Example:
        >>> method: Method = Identity(0.5)
        >>> method.solve(lambda x: 2 * x, jnp.ones(2)).tolist()
        [0.5, 0.5]
    """

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return H⁻¹ v.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            H⁻¹ v, ``(n,)``.
        """
        ...


def inverse_hvp(matvec: Matvec, v: PyTree, method: Method) -> PyTree:
    """Return H⁻¹ v, as a method approximates it.

    Args:
        matvec: x ↦ H x for pytrees like ``v``; H is symmetric.
        v: an array of any shape or a pytree of arrays.
        method: one of this package's, or anything with such a ``solve``.

    Returns:
        A pytree like ``v``.

    Raises:
        ValueError: for a ``v`` that is empty or of whole numbers, and from methods for
            parameters out of their range.

    Example:
        >>> H = jnp.diag(jnp.array([1.0, 2.0]))
        >>> inverse_hvp(lambda x: H @ x, jnp.ones(2), Neumann(2, 0.5)).tolist()
        [0.75, 0.5]
        >>> inverse_hvp(lambda x: H @ x, jnp.ones(2), Identity()).tolist()
        [1.0, 1.0]
    """
    _check_vector(v)
    flat, tree = ravel_pytree(v)

    def product(x: Vector) -> Vector:
        return ravel_pytree(matvec(tree(x)))[0]

    return tree(method.solve(product, flat))


def _check_vector(v: PyTree) -> None:
    """Raise for no entries and for whole numbers, which have no inverse."""
    leaves = jax.tree.leaves(v)
    if not sum(jnp.size(leaf) for leaf in leaves):
        raise ValueError("v is empty: expected at least one entry")
    for kind in map(jnp.result_type, leaves):
        if not jnp.issubdtype(kind, jnp.inexact):
            raise ValueError(f"v has entries of type {kind}: expected floats, as 1.0")


def hvp(f: Callable[[Any], Array], w: PyTree, x: PyTree) -> PyTree:
    """Return (∂²f/∂w²) x at w, by forward over reverse: the cost of two gradients.

    Args:
        f: w ↦ a scalar.
        w: a pytree of arrays.
        x: a pytree like ``w``.

    Returns:
        A pytree like ``w``.

    Example:
        >>> hvp(lambda w: jnp.sum(w**3), jnp.array([1.0, 2.0]), jnp.ones(2)).tolist()
        [6.0, 12.0]
    """
    return jax.jvp(jax.grad(f), (w,), (x,))[1]


class Identity(NamedTuple):
    """H⁻¹ ≈ c: one step of descent, differentiated ("T1-T2").

    Example:
        >>> Identity(0.5).solve(lambda x: 2 * x, jnp.ones(2)).tolist()
        [0.5, 0.5]

    Reference: Luketina et al., arXiv:1511.06727.
    """

    scale: float | Float[Array, ""] = 1.0  # c, 1 / units of H

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return c v.

        Args:
            matvec: x ↦ H x, not used.
            v: ``(n,)``.

        Returns:
            c v, ``(n,)``.
        """
        return self.scale * v


class Neumann(NamedTuple):
    """H⁻¹ ≈ a Σ_{j<K} (I − a H)^j: K *terms*, which cost K − 1 products.

    It converges for 0 < a < 2 / L, L the largest eigenvalue, to H⁺ v where H ≥ 0 is
    singular and v is in its range.  For a quadratic f it equals the derivative of K
    steps of descent with rate a.

    Example:
        >>> Neumann(terms=2, step=0.5).solve(lambda x: x, jnp.ones(1)).tolist()
        [0.75]

    Reference: arXiv:1911.02590, algorithm 3.
    """

    terms: int = 20  # K
    step: float | Float[Array, ""] = 0.1  # a, 1 / units of H; the inner learning rate
    check: bool = True  # warn of a series that diverges

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return a Σ_{j<K} (I − a H)^j v.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            The sum, ``(n,)``.

        Raises:
            ValueError: for fewer than one term.

        Warns:
            ConvergenceWarning: if the last term is longer than the first.
        """
        if self.terms < 1:
            raise ValueError(f"terms {self.terms}: expected 1 or more")

        def body(_: Any, both: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
            power, total = both
            power = power - self.step * matvec(power)
            return power, total + power

        last, total = jax.lax.fori_loop(0, self.terms - 1, body, (v, v))
        if self.check:
            growth = jnp.linalg.norm(last) / jnp.maximum(jnp.linalg.norm(v), TINY)
            message = (
                "the Neumann series diverges: its last term is {:.2g} times the first; "
                "take a step below 2 / L, L the largest eigenvalue of H, which is > 0"
            )
            warn_unless(growth <= 1 + 1e-3, message, growth)
        return self.step * total


class Proximal(NamedTuple):
    """(H + ε)⁻¹ v: the response of argmin f + ε/2 |w − w'|², for any H ≥ 0.

    ε = 1 / (a K) filters like K Neumann terms of step a: roughly, not exactly.

    Example:
        >>> method = Proximal(epsilon=1.0)
        >>> method.solve(lambda x: 3.0 * x, jnp.ones(1)).round(4).tolist()
        [0.25]

    Reference: arXiv:1909.04630; arXiv:2212.14032.
    """

    epsilon: float | Float[Array, ""] = 1e-3  # units of H
    solver: Method = ConjugateGradient()  # solver of the damped system

    def solve(self, matvec: Matvec, v: Vector) -> Vector:
        """Return (H + ε)⁻¹ v.

        Args:
            matvec: x ↦ H x.
            v: ``(n,)``.

        Returns:
            The solution, ``(n,)``.

        Raises:
            ValueError: for a negative ε.
        """
        if not isinstance(self.epsilon, Tracer) and self.epsilon < 0:
            raise ValueError(f"epsilon {self.epsilon}: expected 0 or more")
        return self.solver.solve(lambda x: matvec(x) + self.epsilon * x, v)
