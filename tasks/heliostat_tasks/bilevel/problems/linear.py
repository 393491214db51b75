"""Linear problems, over-parameterised in both levels, with solutions in closed form.

    f(u, w) = ½ |Φ w − u|²,    F(w) = ½ |V w − y|²

With fewer targets u than weights w, descent from w₀ = 0 converges to w = Φ⁺ u. With
fewer examples y than targets u, descent from u₀ = 0 along exact hypergradients
converges to the outer solution of least norm,

    u* = (V Φ⁺)⁺ y.

With K Neumann terms it converges to a longer u, for which F is zero too.

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
from jaxtyping import Float

import heliostat as hs
from heliostat.kernels.implicit.inverse_hessian import Method, inverse_hvp
from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem


@dataclass(frozen=True)
class Linear(Problem):
    """Two nested least-squares problems; a subclass defines Φ, V and y."""

    has_solution = True
    singular_hessian = True
    random_starts = ()

    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return Φ (points, n), V (examples, n) and y (examples,)."""
        raise NotImplementedError

    def data(self) -> Data:
        phi, v, y = self.matrices()
        examples = Examples(v, y)
        return Data(examples, examples, phi, least_norm_solution(phi, v, y))

    def outer_start(self, key: Array, data: Data) -> Array:
        return jnp.zeros(self.points)

    def inner_start(self, key: Any, data: Data) -> Array:
        """Return zero for any key, so that descent finds the solution of least norm."""
        return jnp.zeros(data.inner.shape[1])

    def inner(self, u: Any, w: Any, data: Data) -> Float[Array, ""]:
        return 0.5 * jnp.sum((jnp.asarray(data.inner, float) @ w - u) ** 2)

    def outer(self, u: Any, w: Any, examples: Examples) -> Float[Array, ""]:
        x, y = (jnp.asarray(a, float) for a in examples)
        return 0.5 * self.examples * jnp.mean((x @ w - y) ** 2)

    def references(self) -> Mapping[str, hs.Estimate]:
        return {"least_norm": hs.Estimate(_least_norm(self), source="|(V Φ⁺)⁺ y|")}


@lru_cache(maxsize=8)
def _least_norm(problem: Linear) -> float:
    """Compute |u*| once for all cells of a grid."""
    return float(np.linalg.norm(problem.data().solution))


def least_norm_solution(
    phi: Float[np.ndarray, "points n"],
    v: Float[np.ndarray, "examples n"],
    y: Float[np.ndarray, " examples"],
) -> Float[np.ndarray, " points"]:
    """Compute u* = (V Φ⁺)⁺ y.

    Example:
        >>> v, y = np.array([[1.0, 1.0]]), np.array([2.0])
        >>> least_norm_solution(np.eye(2), v, y).round(6)
        array([1., 1.])
    """
    return np.linalg.pinv(v @ np.linalg.pinv(phi)) @ y


def solution_of(
    phi: Float[Array, "points n"],
    v: Float[Array, "examples n"],
    y: Float[Array, " examples"],
    method: Method,
) -> Float[Array, " points"]:
    """Compute the limit of descent from u = 0 with an approximation of H⁻¹.

    Every step is a combination of the columns of B = Φ H⁻¹ Vᵀ, and V Φ⁺ u = y in the
    limit: u = B (V Φ⁺ B)⁻¹ y. Exact methods give u*; F is zero for every method.

    Example:
        >>> from heliostat.kernels.implicit.inverse_hessian import Identity
        >>> phi, v = jnp.diag(jnp.array([1.0, 2.0])), jnp.array([[1.0, 1.0]])
        >>> solution_of(phi, v, jnp.array([2.0]), Identity()).round(3).tolist()
        [1.0, 2.0]
    """

    def column(row: Array) -> Array:
        return phi @ inverse_hvp(lambda x: phi.T @ (phi @ x), row, method)

    b = jax.vmap(column)(v).T
    return b @ jnp.linalg.solve(v @ jnp.linalg.pinv(phi) @ b, y)
