"""Diagnosis of a problem: does the implicit function theorem apply to it?

The theorem needs a minimiser w of f(u, ·) at which H = ∂²f/∂w² is regular; it then says
dw = −H⁻¹ (∂²f/∂w∂u) du.  With P = H H⁺, the projection onto the range of H, four
violations are measured along random directions du:

    away      |d| / (|w| + |d|),  d = H⁺ ∂f/∂w       w is no minimiser
    near      rank H(u + du)                         the rank changes with u
    outside   |(I − P) (∂²f/∂w∂u) du| / |…|          no minimiser moves with u
    turning   |(I − P) dH P| / |dH|                  u turns the range of H

Where the last is not zero, H⁺ in the place of H⁻¹ misses a part of the gradient without
a warning: see :mod:`heliostat.kernels.implicit.solutions`, which has that part.

Reference: the conditions are those of the theorem, and of Golub and Pereyra, SIAM J.
Numer. Anal. 10, 413 (1973), for its formula with a pseudo-inverse: constant rank.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int, PyTree

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
    """Measures of how far the theorem applies at (u, w).

    Example:
        >>> diagnosis = diagnose(lambda u, w: (w - u) ** 2, jnp.ones(()), jnp.ones(()))
        >>> diagnosis.size, diagnosis.rank, diagnosis.near
        (1, 1, (1, 1, 1, 1))
    """

    size: int  # n, of w
    rank: int  # rank of H
    near: tuple[int, ...]  # ranks of H at other u nearby, and the same w
    lowest: float  # the lowest eigenvalue of H, relative to the largest |s|
    away: float  # |d| / (|w| + |d|), d the Newton step from w; 0 at a minimiser
    outside: float  # share of the mixed term outside range(H), 0 to 1
    turning: float  # |(I − P) dH P| / |dH|, 0 to 1: not 0 where u turns range(H)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons against the theorem, one line each; none where it applies."""
        singular = f"H is singular (rank {self.rank} of {self.size})"
        reasons = []
        if self.away > TOLERANCE:
            reasons.append(
                "w does not minimise f(u, ·): a Newton step moves it by "
                f"{self.away:.1%}; descend further"
            )
        if others := {*self.near} - {self.rank}:
            ranks = ", ".join(map(str, sorted(others)))
            reasons.append(
                f"the rank of H changes with u: {self.rank} of {self.size} here, "
                f"{ranks} nearby"
            )
        if self.rank < self.size and self.outside > TOLERANCE:
            reasons.append(
                f"{singular} and {self.outside:.1%} of the mixed term is outside its "
                "range: no minimiser moves with u"
            )
        if self.rank < self.size and self.turning > TOLERANCE:
            reasons.append(
                f"{singular} and u turns its range (by {self.turning:.1%}): the "
                "solution nearest to the start moves otherwise; take `projected` or "
                "`unrolled`"
            )
        return tuple(reasons)


TOLERANCE = 1e-3
"""Shares below it are rounding, or the rest of a descent that has ended."""


def diagnose(
    inner: Loss,
    u: PyTree,
    w: PyTree,
    probes: int = 4,
    reach: float = 0.1,
    rtol: float | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Check whether the implicit function theorem applies to argmin f(u, ·) at (u, w).

    It does where w is a minimiser and H regular, at u and nearby.  Where H is singular,
    its formula with H⁺ still holds if the range of H stands still as u moves and the
    mixed term ∂²f/∂w∂u is in it; that passes, too.

    H is formed, so for n up to a few thousand; directions in u are drawn at random.
    Run under x64: ranks are decided by rounding.

    Args:
        inner: f(u, w), a scalar.
        u: outer variables, a pytree.
        w: inner variables that minimise f(u, ·), a pytree.
        probes: number of directions in u.
        reach: length of a probe, relative to |u| (to 1 for u = 0).
        rtol: eigenvalues below it count as 0; None is n × machine epsilon.
        seed: seed of the directions.

    Returns:
        The measures, and the reasons against the theorem.

    Raises:
        ValueError: inside of ``jit``, ``grad`` or ``vmap``.

    Warns:
        ImplicitFunctionWarning: with each of :attr:`Diagnosis.reasons`.

    Example:
        >>> diagnosis = diagnose(lambda u, w: (w - u) ** 2, jnp.ones(()), jnp.ones(()))
        >>> diagnosis.rank, diagnosis.reasons
        (1, ())

        One equation for two weights, whose solution turns with its input:

        >>> def inner(x, w):
        ...     return 0.5 * (w @ x - 1) ** 2
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     x, w = jnp.array([2.0, 0.0]), jnp.array([0.5, 0.0])
        ...     diagnosis = diagnose(inner, x, w)
        >>> diagnosis.rank, diagnosis.size, diagnosis.turning > 0.1
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

    def measure(
        directions: Float[Array, "probes m"],
    ) -> tuple[Float[Array, " n"], Float[Array, ""], DirectionProbe]:
        probe = jax.vmap(lambda d: _probe(inner, u, w, tree(d), rtol))(directions)
        h = _hessian(inner, u, w)
        return jnp.linalg.eigvalsh(h), _away(inner, u, w, h, rtol), probe

    s, away, probe = jit(measure)(drawn)
    diagnosis = Diagnosis(
        size=s.size,
        rank=int(nonzero_eigenvalues(s, rtol).sum()),
        near=tuple(int(rank) for rank in probe.rank),
        lowest=float(_share(jnp.min(s), jnp.max(jnp.abs(s)))),
        away=float(away),
        outside=float(jnp.max(probe.outside)),
        turning=float(jnp.max(probe.turning)),
    )
    for reason in diagnosis.reasons:
        warnings.warn(reason, ImplicitFunctionWarning, stacklevel=2)
    return diagnosis


def _hessian(inner: Loss, u: PyTree, w: PyTree) -> Float[Array, "n n"]:
    """Return ∂²f/∂w²."""
    flat, tree = ravel_pytree(w)
    return dense_matrix(lambda x: hvp(lambda w: inner(u, tree(w)), flat, x), flat)


def _slope(inner: Loss, u: PyTree, w: PyTree) -> Float[Array, " n"]:
    """Return ∂f/∂w."""
    return ravel_pytree(jax.grad(inner, 1)(u, w))[0]


def _away(
    inner: Loss, u: PyTree, w: PyTree, h: Float[Array, "n n"], rtol: float | None
) -> Float[Array, ""]:
    """Return the relative distance of w from a stationary point of f(u, ·)."""
    step = jnp.linalg.norm(
        PseudoInverse(rtol, check=False).solve(lambda x: h @ x, _slope(inner, u, w))
    )
    return _share(step, step + jnp.linalg.norm(ravel_pytree(w)[0]))


class DirectionProbe(NamedTuple):
    """Measures along one direction in u, see :class:`Diagnosis`.

    Example:
        >>> DirectionProbe._fields
        ('rank', 'outside', 'turning')
    """

    rank: Int[Array, ""]  # rank of H at u + du
    outside: Float[Array, ""]  # share of the mixed term outside range(H)
    turning: Float[Array, ""]  # |(I − P) dH P| / |dH|


def _probe(
    inner: Loss, u: PyTree, w: PyTree, du: PyTree, rtol: float | None
) -> DirectionProbe:
    h, dh = jax.jvp(lambda u: _hessian(inner, u, w), (u,), (du,))
    j = jax.jvp(lambda u: _slope(inner, u, w), (u,), (du,))[1]
    s, vectors = jnp.linalg.eigh(h)
    inside = nonzero_eigenvalues(s, rtol)[None]
    kernel, basis = vectors * ~inside, vectors * inside
    moved = _hessian(inner, optax.tree.add(u, du), w)
    return DirectionProbe(
        nonzero_eigenvalues(jnp.linalg.eigvalsh(moved), rtol).sum(),
        _share(jnp.linalg.norm(kernel.T @ j), jnp.linalg.norm(j)),
        _share(jnp.linalg.norm(kernel.T @ dh @ basis), jnp.linalg.norm(dh)),
    )


def _share(part: Float[Array, ""], whole: Float[Array, ""]) -> Float[Array, ""]:
    """Return part / whole, and 0 for 0 / 0."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)
