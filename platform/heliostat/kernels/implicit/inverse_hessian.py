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
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree

from heliostat.kernels.implicit.krylov import ConjugateGradient, Matvec


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


class Proximal(NamedTuple):
    """(H + ε)⁻¹ v: the response of argmin f + ε/2 |w − w'|², whatever H ≥ 0 is.

    ε = 1 / (a K) filters like K Neumann terms of step a: roughly, not exactly.

    Reference: arXiv:1909.04630; arXiv:2212.14032.
    """

    epsilon: float | Array = 1e-3  # units of H
    solver: Method = ConjugateGradient()  # how the damped system is solved

    def solve(self, matvec: Matvec, v: Array) -> Array:
        if not isinstance(self.epsilon, Tracer) and self.epsilon < 0:
            raise ValueError(f"epsilon {self.epsilon}: expected 0 or more")
        return self.solver.solve(lambda x: matvec(x) + self.epsilon * x, v)
