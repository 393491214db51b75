"""Linear problems, over-parameterised in both levels: all of their solutions are known.

    f(u, w) = ½ |Φ w − u|²,    F(w) = ½ |V w − y|²

With fewer targets u than weights w, descent from w₀ = 0 comes to w = Φ⁺ u; with fewer
examples y than targets u, descent from u₀ = 0 comes to

    u* = (V Φ⁺)⁺ y

the outer solution of least norm, if its hypergradients are exact; with K Neumann terms,
it comes to another one, longer, whose F is zero too.

Reference: Vicol et al., arXiv:2212.14032, §3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs
from heliostat.kernels.implicit.inverse_hessian import Method, inverse_hvp
from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem


@dataclass(frozen=True)
class Linear(Problem):
    """Two least-squares problems, one inside the other; a subclass has Φ, V and y."""

    singular = True
    drawn = ()

    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Φ (points, n), V (examples, n) and y (examples,)."""
        raise NotImplementedError

    def data(self) -> Data:
        phi, v, y = self.matrices()
        seen = Examples(v, y)
        return Data(seen, seen, phi, least_norm_solution(phi, v, y))

    def outer_start(self, key: Array, data: Data) -> Array:
        return jnp.zeros(self.points)

    def inner_start(self, key: Array, data: Data) -> Array:
        """Zero, whatever the key: so that descent finds the solution of least norm."""
        return jnp.zeros(data.inner.shape[1])

    def inner(self, u: Any, w: Any, data: Data) -> Array:
        return 0.5 * jnp.sum((jnp.asarray(data.inner, float) @ w - u) ** 2)

    def outer(self, u: Any, w: Any, seen: Examples) -> Array:
        x, y = (jnp.asarray(a, float) for a in seen)
        return 0.5 * self.examples * jnp.mean((x @ w - y) ** 2)

    @property
    def solved(self) -> bool:
        return True

    def known(self) -> Mapping[str, hs.Estimate]:
        return {"least_norm": hs.Estimate(_least_norm(self), source="|(V Φ⁺)⁺ y|")}


@lru_cache(maxsize=8)
def _least_norm(problem: Linear) -> float:
    """A grid asks a thousand times."""
    return float(np.linalg.norm(problem.data().solution))


def least_norm_solution(phi: np.ndarray, v: np.ndarray, y: np.ndarray) -> np.ndarray:
    """u* = (V Φ⁺)⁺ y, (points,).

    Example:
        >>> solution(np.eye(2), np.array([[1.0, 1.0]]), np.array([2.0])).round(6)
        array([1., 1.])
    """
    return np.linalg.pinv(v @ np.linalg.pinv(phi)) @ y


def solution_of(phi: Any, v: Any, y: Any, method: Method) -> Array:
    """The u that descent from zero comes to, (points,), if a method stands for H⁻¹.

    Every step is a combination of the columns of B = Φ H⁻¹ Vᵀ, and V Φ⁺ u = y in the
    end: u = B (V Φ⁺ B)⁻¹ y.  Exact methods give :func:`solution`; each has F = 0.

    Example:
        >>> from heliostat.kernels.implicit.inverse_hessian import Identity
        >>> phi, v = jnp.diag(jnp.array([1.0, 2.0])), jnp.array([[1.0, 1.0]])
        >>> reached(phi, v, jnp.array([2.0]), Identity()).round(3).tolist()
        [1.0, 2.0]
    """

    def answer(row: Array) -> Array:
        return phi @ inverse_hvp(lambda x: phi.T @ (phi @ x), row, method)

    back = jax.vmap(answer)(v).T
    return back @ jnp.linalg.solve(v @ jnp.linalg.pinv(phi) @ back, y)
