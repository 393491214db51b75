"""Regression from a few synthetic pairs, whose loss has a floor for cold starts.

    f(u, W) = ½ Σ_p |W x_p − y_p|²,  u = (x, y);    F(W) = ½ ⟨|W x − y|²⟩ over real data

Descent from W = 0 keeps the rows of W in the span of the x_p, so its rank is at most
``points`` for any u and any number of steps. With the least-squares solution W* of the
real data and their covariance G, it follows that

    F(W) ≥ F(W*) + ½ Σ_{i > points} s_i²,    s = singular values of W* G^½

(Eckart and Young). A warm-started W can go below this floor, because it has also seen
earlier pairs. The present pairs cannot teach such a W to a new model.

Reference: the bound is Eckart and Young, Psychometrika 1, 211 (1936), applied here; the
effect is arXiv:2212.14032, §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

import heliostat as hs
from heliostat_tasks.bilevel.problems.problem import (
    Data,
    Examples,
    Problem,
    ProblemDefaults,
)

INPUTS, OUTPUTS, REAL = 6, 4, 200
"""Sizes of x and of y, and number of real pairs."""


class Pairs(NamedTuple):
    """Synthetic pairs, the outer variables."""

    x: Float[Array, "points inputs"]
    y: Float[Array, "points outputs"]


@dataclass(frozen=True)
class Pair(Problem):
    """``points`` synthetic pairs for a linear map from 6 to 4 numbers."""

    settings = ProblemDefaults(1, "unroll", 100, 0.05, 0.03, "adam", 1000)
    singular_hessian = True
    random_starts = ("u",)

    @property
    def examples(self) -> int:
        return REAL

    def data(self) -> Data:
        rng = self._rng
        x = rng.normal(size=(REAL, INPUTS))
        y = x @ rng.normal(size=(INPUTS, OUTPUTS)) + rng.normal(size=(REAL, OUTPUTS))
        return Data(Examples(x, y), Examples(x, y))

    def outer_start(self, key: Array, data: Data) -> Pairs:
        keys = jax.random.split(key)
        shapes = (self.points, INPUTS), (self.points, OUTPUTS)
        return Pairs(*map(jax.random.normal, keys, shapes))

    def inner_start(self, key: Array, data: Data) -> Array:
        """Return zero for any key: the floor holds for this start only."""
        return jnp.zeros((OUTPUTS, INPUTS))

    def inner(self, u: Pairs, w: Any, data: Data) -> Float[Array, ""]:
        return 0.5 * jnp.sum((u.x @ w.T - u.y) ** 2)

    def outer(self, u: Any, w: Any, examples: Examples) -> Float[Array, ""]:
        x, y = (jnp.asarray(a, float) for a in examples)
        return 0.5 * jnp.mean(jnp.sum((x @ w.T - y) ** 2, axis=1))

    def references(self) -> Mapping[str, hs.Estimate]:
        lowest = floor(*self.data().train, self.points)
        source = f"Eckart and Young, rank {self.points}"
        return {"floor": hs.Estimate(lowest, source=source)}


def floor(
    x: Float[np.ndarray, "n inputs"], y: Float[np.ndarray, "n outputs"], rank: int
) -> float:
    """Compute the least ½⟨|W x − y|²⟩ over all matrices W of a rank; n ≥ inputs.

    Example:
        >>> round(floor(np.eye(2), np.diag([2.0, 1.0]), 1), 6)
        0.25
    """
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    rest = np.mean(np.sum((x @ best - y) ** 2, axis=1))
    s = np.linalg.svd(x @ best / len(x) ** 0.5, compute_uv=False)
    return float(0.5 * (rest + np.sum(s[rank:] ** 2)))
