"""Whether the implicit function theorem applies to a problem, before it is relied on.

The theorem wants a minimiser w of f(u, ·) at which H = ∂²f/∂w² is regular; it then says
dw = −H⁻¹ (∂²f/∂w∂u) du.  With P = H H⁺, the projection onto the range of H, what may be
wrong is measured along random directions du:

    away      |d| / (|w| + |d|),  d = H⁺ ∂f/∂w       w is no minimiser
    near      rank H(u + du)                         the rank changes with u
    outside   |(I − P) (∂²f/∂w∂u) du| / |…|          no minimiser moves with u
    turning   |(I − P) dH P| / |dH|                  u turns the range of H

Where the last is not zero, H⁺ in the place of H⁻¹ misses a part of the gradient,
silently: see :mod:`heliostat.kernels.implicit.solutions`, which has that part.

Reference: the conditions are those of the theorem, and of Golub and Pereyra, SIAM J.
Numer. Anal. 10, 413 (1973), for its formula with a pseudo-inverse: constant rank.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree

from heliostat.kernels.implicit.hypergradients import Loss
from heliostat.kernels.implicit.inverse_hessian import hvp
from heliostat.kernels.implicit.pseudo_inverse import (
    PseudoInverse,
    dense_matrix,
    nonzero_eigenvalues,
)
from heliostat.system.jit import jit


class ImplicitFunctionWarning(UserWarning):
    """The implicit function theorem does not apply where it was asked to."""


class Diagnosis(NamedTuple):
    """What decides whether the theorem applies at (u, w)."""

    size: int  # n, of w
    rank: int  # of H
    near: tuple[int, ...]  # of H at other u nearby, and the same w
    lowest: float  # the lowest eigenvalue of H, relative to the largest |s|
    away: float  # |d| / (|w| + |d|), d the Newton step from w; 0 at a minimiser
    outside: float  # share of the mixed term outside range(H), 0 to 1
    turning: float  # |(I − P) dH P| / |dH|, 0 to 1: whether u turns range(H)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the theorem does not apply, one line each; none where it does."""
        singular = f"H is singular (rank {self.rank} of {self.size})"
        found = []
        if self.away > TOLERANCE:
            found.append(
                "w does not minimise f(u, ·): a Newton step moves it by "
                f"{self.away:.1%}; descend further"
            )
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
"""Shares below it are rounding, or what is left of a descent that has ended."""


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

    It does where w is a minimiser and H regular, here and nearby.  Where H is singular,
    its formula with H⁺ still holds if the range of H stands still as u moves and the
    mixed term ∂²f/∂w∂u is in it; that passes, too.

    H is formed, so for n up to a few thousand; directions in u are drawn at random.
    Run under x64: ranks are decided by rounding.

    Args:
        inner: f(u, w), a scalar.
        u: outer variables, a pytree.
        w: inner variables that minimise f(u, ·), a pytree.
        probes: directions in u that are tried.
        reach: length of a probe, relative to |u| (to 1 for u = 0).
        rtol: below which eigenvalues count as 0; None is n × machine epsilon.
        seed: of the directions.

    Raises:
        ValueError: if it is traced, by ``jit``, ``grad`` or ``vmap``.

    Warns:
        ImplicitFunctionWarning: with each of :attr:`Diagnosis.reasons`.

    Example:
        >>> found = diagnose(lambda u, w: (w - u) ** 2, jnp.array(1.0), jnp.array(1.0))
        >>> found.rank, found.reasons
        (1, ())

        One equation for two weights, whose solution turns with its input:

        >>> def inner(x, w):
        ...     return 0.5 * (w @ x - 1) ** 2
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     found = diagnose(inner, jnp.array([2.0, 0.0]), jnp.array([0.5, 0.0]))
        >>> found.rank, found.size, found.turning > 0.1
        (1, 2, True)
    """
    if isinstance(inner(u, w), Tracer):
        raise ValueError(
            "diagnose looks at numbers and warns of them: call it outside of jit, grad "
            "and vmap"
        )
    flat, tree = ravel_pytree(u)
    length = reach * jnp.maximum(jnp.linalg.norm(flat), float(not jnp.any(flat)))
    drawn = jax.random.normal(jax.random.key(seed), (probes, flat.size), flat.dtype)
    drawn = length * drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)

    def look(directions: Array) -> tuple[Array, Array, DirectionProbe]:
        probe = jax.vmap(lambda d: _probe(inner, u, w, tree(d), rtol))(directions)
        h = _hessian(inner, u, w)
        return jnp.linalg.eigvalsh(h), _away(inner, u, w, h, rtol), probe

    s, away, probe = jit(look)(drawn)
    found = Diagnosis(
        size=s.size,
        rank=int(nonzero_eigenvalues(s, rtol).sum()),
        near=tuple(int(rank) for rank in probe.rank),
        lowest=float(_share(jnp.min(s), jnp.max(jnp.abs(s)))),
        away=float(away),
        outside=float(jnp.max(probe.outside)),
        turning=float(jnp.max(probe.turning)),
    )
    for reason in found.reasons:
        warnings.warn(reason, ImplicitFunctionWarning, stacklevel=2)
    return found


def _hessian(inner: Loss, u: Any, w: Any) -> Array:
    """∂²f/∂w², ``(n, n)``."""
    flat, tree = ravel_pytree(w)
    return dense_matrix(lambda x: hvp(lambda w: inner(u, tree(w)), flat, x), flat)


def _slope(inner: Loss, u: Any, w: Any) -> Array:
    """∂f/∂w, ``(n,)``."""
    return ravel_pytree(jax.grad(inner, 1)(u, w))[0]


def _away(inner: Loss, u: Any, w: Any, h: Array, rtol: float | None) -> Array:
    """How far w is from a stationary point of f(u, ·), see :class:`Diagnosis`."""
    step = jnp.linalg.norm(
        PseudoInverse(rtol).solve(lambda x: h @ x, _slope(inner, u, w))
    )
    return _share(step, step + jnp.linalg.norm(ravel_pytree(w)[0]))


class DirectionProbe(NamedTuple):
    """What one direction in u tells, see :class:`Diagnosis`."""

    rank: Array  # ()
    outside: Array  # ()
    turning: Array  # ()


def _probe(inner: Loss, u: Any, w: Any, du: Any, rtol: float | None) -> DirectionProbe:
    h, dh = jax.jvp(lambda u: _hessian(inner, u, w), (u,), (du,))
    j = jax.jvp(lambda u: _slope(inner, u, w), (u,), (du,))[1]
    s, vectors = jnp.linalg.eigh(h)
    inside = nonzero_eigenvalues(s, rtol)[None]
    kernel, basis = vectors * ~inside, vectors * inside
    there = _hessian(inner, optax.tree.add(u, du), w)
    return DirectionProbe(
        nonzero_eigenvalues(jnp.linalg.eigvalsh(there), rtol).sum(),
        _share(jnp.linalg.norm(kernel.T @ j), jnp.linalg.norm(j)),
        _share(jnp.linalg.norm(kernel.T @ dh @ basis), jnp.linalg.norm(dh)),
    )


def _share(part: Array, whole: Array) -> Array:
    """One in the other, and nothing in nothing."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)
