"""Which solution of an inner problem is meant, and whether its derivative is what the
implicit function theorem says.

Where H = ∂²f/∂w² is singular, minimisers of f(u, ·) fill a set S(u), and gradient
descent from w₀ takes the nearest one: for a quadratic f

    w*(u) = argmin_{w ∈ S(u)} |w − w₀|,     P(u) = H H⁺,     (I − P)(w* − w₀) = 0

If u turns the range of H, so does it turn the space that w* − w₀ lies in:

    dw*  =  −H⁺ (∂²f/∂w∂u) du  +  (I − P) dH H⁺ (w* − w₀)

The theorem's formula with H⁺ in the place of H⁻¹, and whatever approximates that, has
the first term only, silently.  :func:`diagnose` tells, :func:`projected` has both.

Reference: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), eq. 4.12 [the
derivative of a pseudo-inverse]; the formula here is that one for w* as a map.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from heliostat.kernels.compiler import jit
from heliostat.kernels.hypergradients import Hypergradient, Loss, mixed
from heliostat.kernels.implicit import (
    Method,
    PseudoInverse,
    dense,
    hvp,
    inverse_hvp,
    support,
)


class ImplicitFunctionWarning(UserWarning):
    """The implicit function theorem does not apply where it was asked to."""


class Diagnosis(NamedTuple):
    """What decides whether the theorem applies at (u, w)."""

    size: int  # n, of w
    rank: int  # of H
    near: tuple[int, ...]  # of H at other u nearby, and the same w
    lowest: float  # the lowest eigenvalue of H, relative to the largest |s|
    outside: float  # share of the mixed term outside range(H), 0 to 1
    turning: float  # |(I − P) dH P| / |dH|, 0 to 1: whether u turns range(H)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the theorem does not apply, one line each; none where it does."""
        singular = f"H is singular (rank {self.rank} of {self.size})"
        found = []
        if others := {*self.near} - {self.rank}:
            ranks = ", ".join(map(str, sorted(others)))
            found.append(
                f"the rank of H changes with u: {self.rank} of {self.size} here, "
                f"{ranks} nearby"
            )
        if self.rank < self.size and self.outside > TOLERANCE:
            found.append(
                f"{singular} and {self.outside:.1%} of the mixed term is outside its "
                "range: no minimiser moves with u"
            )
        if self.rank < self.size and self.turning > TOLERANCE:
            found.append(
                f"{singular} and u turns its range (by {self.turning:.1%}): the "
                "solution nearest to the start moves otherwise; take `projected` or "
                "`unrolled`"
            )
        return tuple(found)


TOLERANCE = 1e-3
"""Shares below it are rounding."""

EXACT = PseudoInverse()


def diagnose(
    inner: Loss,
    u: Any,
    w: Any,
    probes: int = 4,
    reach: float = 0.1,
    rtol: float | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Whether the implicit function theorem applies to argmin f(u, ·) at (u, w).

    H is formed, so for n up to a few thousand; directions in u are drawn at random.  A
    Hessian that is regular here and nearby passes; a singular one passes if its range
    stands still and the mixed term is in it.  Run under x64: ranks are decided by
    rounding.

    Args:
        inner: f(u, w), a scalar.
        u: outer variables, a pytree.
        w: inner variables that minimise f(u, ·), a pytree.
        probes: directions in u that are tried.
        reach: length of a probe, relative to |u| (to 1 for u = 0).
        rtol: below which eigenvalues count as 0; None is n × machine epsilon.
        seed: of the directions.

    Warns:
        ImplicitFunctionWarning: with each of :attr:`Diagnosis.reasons`.

    Example:
        >>> found = diagnose(lambda u, w: (w - u) ** 2, jnp.array(1.0), jnp.array(1.0))
        >>> found.rank, found.reasons
        (1, ())
    """
    flat, tree = ravel_pytree(u)
    length = reach * jnp.maximum(jnp.linalg.norm(flat), float(not jnp.any(flat)))
    drawn = jax.random.normal(jax.random.key(seed), (probes, flat.size), flat.dtype)
    drawn = length * drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)

    def look(directions: Array) -> tuple[Array, Probe]:
        probe = jax.vmap(lambda d: _probe(inner, u, w, tree(d), rtol))(directions)
        return jnp.linalg.eigvalsh(_hessian(inner, u, w)), probe

    s, probe = jit(look)(drawn)
    found = Diagnosis(
        size=s.size,
        rank=int(support(s, rtol).sum()),
        near=tuple(int(rank) for rank in probe.rank),
        lowest=float(_share(jnp.min(s), jnp.max(jnp.abs(s)))),
        outside=float(jnp.max(probe.outside)),
        turning=float(jnp.max(probe.turning)),
    )
    for reason in found.reasons:
        warnings.warn(reason, ImplicitFunctionWarning, stacklevel=2)
    return found


def projected(
    outer: Loss,
    inner: Loss,
    u: Any,
    w: Any,
    start: Any,
    method: Method = EXACT,
) -> Hypergradient:
    """dF/du through the solution of f(u, ·) that is nearest to ``start``.

    With q = H⁺ v, p = v − H q and z = H⁺ (w − w₀), where v = ∂F/∂w,

        indirect = −∇_u ⟨∂f/∂w, q⟩ + ∇_u ⟨p, H z⟩

    Exact for f that is quadratic in w (linear models with squared loss, whatever is
    learned of their data) and of constant rank; elsewhere differentiate the steps that
    led there, :func:`heliostat.kernels.hypergradients.unrolled`.

    Args:
        outer: F(u, w), a scalar.
        inner: f(u, w), a scalar, quadratic in w.
        u: outer variables, a pytree.
        w: the minimiser of f(u, ·) nearest to ``start``, a pytree.
        start: w₀, a pytree like ``w``.
        method: one that gives H⁺ v for any v: PseudoInverse or NormalCG.

    Example:
        One input x and one output: w* = x / |x|², and |w*| falls with |x|.

        >>> def inner(x, w):
        ...     return 0.5 * (w @ x - 1) ** 2
        >>> x, w = jnp.array([2.0, 0.0]), jnp.array([0.5, 0.0])
        >>> found = projected(lambda x, w: w[1], inner, x, w, jnp.zeros(2))
        >>> found.total.tolist()  # ∂w₂/∂x₂ = 1 / |x|², of which H⁺ knows nothing
        [0.0, 0.25]
    """
    direct, v = jax.grad(outer, (0, 1))(u, w)

    def product(u: Any, x: Any) -> Any:
        return hvp(lambda w: inner(u, w), w, x)

    def solve(x: Any) -> Any:
        return inverse_hvp(lambda x: product(u, x), x, method)

    q, z = solve(v), solve(optax.tree.sub(w, start))
    p = optax.tree.sub(v, product(u, q))
    turned = jax.grad(lambda u: optax.tree.vdot(p, product(u, z)))(u)
    return Hypergradient(direct, optax.tree.sub(turned, mixed(inner, u, w, q)))


def _hessian(inner: Loss, u: Any, w: Any) -> Array:
    """∂²f/∂w², ``(n, n)``."""
    flat, tree = ravel_pytree(w)
    return dense(lambda x: hvp(lambda w: inner(u, tree(w)), flat, x), flat)


class Probe(NamedTuple):
    """What one direction in u tells, see :class:`Diagnosis`."""

    rank: Array  # ()
    outside: Array  # ()
    turning: Array  # ()


def _probe(inner: Loss, u: Any, w: Any, du: Any, rtol: float | None) -> Probe:
    def slope(u: Any) -> Array:
        return ravel_pytree(jax.grad(inner, 1)(u, w))[0]

    h, dh = jax.jvp(lambda u: _hessian(inner, u, w), (u,), (du,))
    j = jax.jvp(slope, (u,), (du,))[1]
    s, vectors = jnp.linalg.eigh(h)
    inside = support(s, rtol)[None]
    kernel, basis = vectors * ~inside, vectors * inside
    there = _hessian(inner, optax.tree.add(u, du), w)
    return Probe(
        support(jnp.linalg.eigvalsh(there), rtol).sum(),
        _share(jnp.linalg.norm(kernel.T @ j), jnp.linalg.norm(j)),
        _share(jnp.linalg.norm(kernel.T @ dh @ basis), jnp.linalg.norm(dh)),
    )


def _share(part: Array, whole: Array) -> Array:
    """One in the other, and nothing in nothing."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)
