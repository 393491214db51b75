"""The derivative of the nearest solution, where an inner problem has many.

Where H = ∂²f/∂w² is singular, minimisers of f(u, ·) fill a set S(u), and gradient
descent from w₀ takes the nearest one: for a quadratic f

    w*(u) = argmin_{w ∈ S(u)} |w − w₀|,     P(u) = H H⁺,     (I − P)(w* − w₀) = 0

If u turns the range of H, so does it turn the space that w* − w₀ lies in:

    dw*  =  −H⁺ (∂²f/∂w∂u) du  +  (I − P) dH H⁺ (w* − w₀)

The formula of the implicit function theorem with H⁺ in the place of H⁻¹, and any
approximation of it, has the first term only, without a warning.  :func:`projected` has
both; :func:`heliostat.kernels.implicit.regularity.diagnose` shows where it matters.

Reference: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), eq. 4.12 [the
derivative of a pseudo-inverse]; the formula here is that one for w* as a map.
"""

from __future__ import annotations

import jax
import optax
from jaxtyping import PyTree

from heliostat.kernels.implicit.hypergradients import Hypergradient, Loss, mixed_product
from heliostat.kernels.implicit.inverse_hessian import Method, hvp, inverse_hvp
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse

EXACT = PseudoInverse(check=False)  # Hessians are symmetric


def projected(
    outer: Loss,
    inner: Loss,
    u: PyTree,
    w: PyTree,
    start: PyTree,
    method: Method = EXACT,
) -> Hypergradient:
    """Return dF/du through the solution of f(u, ·) that is nearest to ``start``.

    With q = H⁺ v, p = v − H q and z = H⁺ (w − w₀), where v = ∂F/∂w,

        indirect = −∇_u ⟨∂f/∂w, q⟩ + ∇_u ⟨p, H z⟩

    It is exact for f that is quadratic in w (linear models with squared loss, any part
    of whose data is learned) and of constant rank; elsewhere differentiate the steps
    that led there, :func:`heliostat.kernels.implicit.hypergradients.unrolled`.

    Args:
        outer: F(u, w), a scalar.
        inner: f(u, w), a scalar, quadratic in w.
        u: outer variables, a pytree.
        w: the minimiser of f(u, ·) nearest to ``start``, a pytree.
        start: w₀, a pytree like ``w``.
        method: one that gives H⁺ v for any v: PseudoInverse or NormalCG.

    Returns:
        Direct and indirect term, like ``u``.

    Example:
        One input x and one output: w* = x / |x|², and |w*| falls with |x|.

        >>> import jax.numpy as jnp
        >>> def inner(x, w):
        ...     return 0.5 * (w @ x - 1) ** 2
        >>> x, w = jnp.array([2.0, 0.0]), jnp.array([0.5, 0.0])
        >>> result = projected(lambda x, w: w[1], inner, x, w, jnp.zeros(2))
        >>> result.total.round(4).tolist()  # ∂w₂/∂x₂ = 1 / |x|², which H⁺ alone lacks
        [0.0, 0.25]

    Reference: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), eq. 4.12.
    """
    direct, v = jax.grad(outer, (0, 1))(u, w)

    def product(u: PyTree, x: PyTree) -> PyTree:
        return hvp(lambda w: inner(u, w), w, x)

    def solve(x: PyTree) -> PyTree:
        return inverse_hvp(lambda x: product(u, x), x, method)

    q, z = solve(v), solve(optax.tree.sub(w, start))
    p = optax.tree.sub(v, product(u, q))
    turned = jax.grad(lambda u: optax.tree.vdot(p, product(u, z)))(u)
    return Hypergradient(direct, optax.tree.sub(turned, mixed_product(inner, u, w, q)))
