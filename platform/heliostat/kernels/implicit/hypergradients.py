"""The gradient of an outer loss through the solution of an inner problem.

With w*(u) a minimiser of f(u, ·), the total derivative of F(u, w*(u)) is

    dF/du  =  ∂F/∂u  +  (∂w*/∂u)ᵀ ∂F/∂w
              direct    indirect

and the two terms are kept apart: they mean different things, and in distillation or
meta-learning the first is zero.  The indirect one comes from the implicit function
theorem, which needs the solution only,

    (∂w*/∂u)ᵀ v  =  −(∂²f/∂w∂u)ᵀ H⁻¹ v,     H = ∂²f/∂w²

or from the steps of descent that led to it: all, or the last K of them.  Where H is
singular the two need not agree: see :mod:`heliostat.kernels.implicit.solutions`.

Reference: Vicol et al., arXiv:2212.14032, algorithms 3 and 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, PyTree

from heliostat.kernels.implicit.inverse_hessian import Method, hvp, inverse_hvp

Loss = Callable[[Any, Any], Array]
"""(u, w) ↦ a scalar; u and w are pytrees of arrays."""


class Hypergradient(NamedTuple):
    """Both terms of dF/du, each a pytree like u.

    Example:
        >>> float(Hypergradient(jnp.array(1.0), jnp.array(2.0)).total)
        3.0
    """

    direct: PyTree  # ∂F/∂u
    indirect: PyTree  # (∂w/∂u)ᵀ ∂F/∂w

    @property
    def total(self) -> PyTree:
        """Sum of both terms, which an outer optimiser follows."""
        return jax.tree.map(jnp.add, self.direct, self.indirect)


def hypergradient(
    outer: Loss, inner: Loss, u: PyTree, w: PyTree, method: Method
) -> Hypergradient:
    """Return dF/du by the implicit function theorem: one solve, one mixed product.

        dF/du  =  ∂F/∂u − (∂²f/∂w∂u)ᵀ H⁻¹ ∂F/∂w

    Args:
        outer: F(u, w), a scalar.
        inner: f(u, w), a scalar; w should minimise it.
        u: outer variables, a pytree.
        w: inner variables, a pytree.
        method: approximates H⁻¹ ∂F/∂w, see
            :mod:`heliostat.kernels.implicit.inverse_hessian`.

    Returns:
        Direct and indirect term, like ``u``.  No matrix is formed unless by the method.

    Example:
        Ridge regression with one weight: w* = 6 / (4 + u), F = (w − 1)² / 2.

        >>> from heliostat.kernels import ConjugateGradient
        >>> def inner(u, w):
        ...     return 0.5 * (2 * w - 3) ** 2 + 0.5 * u * w**2
        >>> def outer(u, w):
        ...     return 0.5 * (w - 1) ** 2
        >>> u, w = jnp.array(1.0), jnp.array(1.2)
        >>> result = hypergradient(outer, inner, u, w, ConjugateGradient())
        >>> round(float(result.total), 4)  # (w − 1) · (−6 / (4 + u)²)
        -0.048

    Reference: arXiv:2212.14032, algorithm 3.
    """
    direct, v = jax.grad(outer, (0, 1))(u, w)
    q = inverse_hvp(lambda x: hvp(lambda w: inner(u, w), w, x), v, method)
    return Hypergradient(direct, optax.tree.scale(-1, mixed_product(inner, u, w, q)))


def mixed_product(inner: Loss, u: PyTree, w: PyTree, q: PyTree) -> PyTree:
    """Return (∂²f/∂w∂u)ᵀ q: the gradient in u of ⟨∂f/∂w, q⟩.

    Args:
        inner: f(u, w), a scalar.
        u: outer variables, a pytree.
        w: inner variables, a pytree.
        q: a pytree like ``w``.

    Returns:
        A pytree like ``u``.

    Example:
        >>> u, w, q = jnp.array(3.0), jnp.array(2.0), jnp.array(1.0)
        >>> float(mixed_product(lambda u, w: u * w**2, u, w, q))
        4.0
    """
    return jax.grad(lambda u: optax.tree.vdot(jax.grad(inner, 1)(u, w), q))(u)


def descend(
    inner: Loss, u: PyTree, w: PyTree, rate: float | Float[Array, ""], steps: int
) -> PyTree:
    """Take steps of gradient descent on f(u, ·) from w: w ← w − a ∂f/∂w.

    The result can be differentiated in u, in w (the start) and in the rate, in both
    modes.

    Args:
        inner: f(u, w), a scalar.
        u: outer variables, a pytree.
        w: the start, a pytree.
        rate: a, 1 / units of ∂²f/∂w²; stable on quadratics below 2 / L.
        steps: number of steps; 0 returns ``w``.

    Returns:
        The point after the steps, a pytree like ``w``.

    Raises:
        ValueError: for a negative number of steps.

    Example:
        >>> def inner(u, w):
        ...     return 0.5 * (w - u) ** 2
        >>> float(descend(inner, jnp.array(1.0), jnp.array(0.0), 0.5, 2))
        0.75
    """
    _check_steps(steps)

    def body(w: PyTree, _: None) -> tuple[PyTree, None]:
        slope = jax.grad(inner, 1)(u, w)
        return jax.tree.map(lambda w, g: w - rate * g, w, slope), None

    return jax.lax.scan(body, w, length=steps)[0]


def unrolled(
    outer: Loss,
    inner: Loss,
    u: PyTree,
    w: PyTree,
    rate: float | Float[Array, ""],
    steps: int,
    last: int | None = None,
    forward: bool = False,
) -> tuple[PyTree, Hypergradient]:
    """Descend from w, and return dF/du through the last K steps.

        indirect = (∂w_T/∂u)ᵀ ∂F/∂w,      with w_{T−K} held constant

    For a quadratic f this is exactly the result of K Neumann terms.

    Args:
        outer: F(u, w), a scalar.
        inner: f(u, w), a scalar.
        u: outer variables, a pytree.
        w: the start, a pytree; it counts as a constant.
        rate: rate of descent, see :func:`descend`.
        steps: T, of descent.
        last: K, number of last steps that are differentiated; None is all.
        forward: True uses forward mode, whose memory does not grow with K and whose
            cost does with the size of u.

    Returns:
        The point after the steps, and both terms of the hypergradient there.

    Raises:
        ValueError: for a negative number of steps, or a ``last`` that is negative or
            more than there are.

    Example:
        >>> def inner(u, w):
        ...     return 0.5 * (w - u) ** 2
        >>> def outer(u, w):
        ...     return w
        >>> w, result = unrolled(outer, inner, jnp.array(1.0), jnp.array(0.0), 0.5, 2)
        >>> float(w), float(result.indirect)
        (0.75, 0.75)

    Reference: arXiv:2212.14032, algorithm 6; Shaban et al., arXiv:1810.10667
    [truncation]; Franceschi et al., arXiv:1703.01785 [both modes].
    """
    _check_steps(steps)
    k = steps if last is None else last
    if not 0 <= k <= steps:
        raise ValueError(f"last {last}: expected 0 to {steps}, the steps")
    near = descend(inner, u, w, rate, steps - k)

    def response(u: PyTree) -> PyTree:  # near is a constant in here, and only here
        return descend(inner, u, near, rate, k)

    end = response(u)
    direct, v = jax.grad(outer, (0, 1))(u, end)
    differentiate = jax.jacfwd if forward else jax.grad
    indirect = differentiate(lambda u: optax.tree.vdot(response(u), v))(u)
    return end, Hypergradient(direct, indirect)


def _check_steps(steps: int) -> None:
    if steps < 0:
        raise ValueError(f"steps {steps}: expected 0 or more")
