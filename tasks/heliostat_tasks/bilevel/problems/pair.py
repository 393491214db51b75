"""Regression by few synthetic pairs: a floor that only a warm start can go below.

    f(u, W) = ½ Σ_p |W x_p − y_p|²,  u = (x, y);    F(W) = ½ ⟨|W x − y|²⟩ over real data

Descent from W = 0 leaves W in the span of the x_p, so its rank is at most ``points``,
whatever u and however many steps.  With the least-squares solution W* of the real data
and their covariance G, so

    F(W) ≥ F(W*) + ½ Σ_{i > points} s_i²,    s = singular values of W* G^½

(Eckart and Young).  A warm-started W has seen other pairs before, and goes below: it
holds what the pairs that are left cannot teach to anybody.

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

import heliostat as hs
from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem, Settings

INPUTS, OUTPUTS, REAL = 6, 4, 200


class Pairs(NamedTuple):
    """What is learned."""

    x: Array  # (points, INPUTS)
    y: Array  # (points, OUTPUTS)


@dataclass(frozen=True)
class Pair(Problem):
    """``points`` pairs in place of 200, for a linear map from 6 to 4 numbers."""

    settings = Settings(1, "unroll", 100, 0.05, 0.03, "adam", 1000)
    singular = True
    drawn = ("u",)

    @property
    def examples(self) -> int:
        return REAL

    def data(self) -> Data:
        draw = self._draw
        x = draw.normal(size=(REAL, INPUTS))
        y = x @ draw.normal(size=(INPUTS, OUTPUTS)) + draw.normal(size=(REAL, OUTPUTS))
        return Data(Examples(x, y), Examples(x, y))

    def outer_start(self, key: Array, data: Data) -> Pairs:
        keys = jax.random.split(key)
        shapes = (self.points, INPUTS), (self.points, OUTPUTS)
        return Pairs(*map(jax.random.normal, keys, shapes))

    def inner_start(self, key: Array, data: Data) -> Array:
        """Zero, whatever the key: the floor is for this start."""
        return jnp.zeros((OUTPUTS, INPUTS))

    def inner(self, u: Pairs, w: Any, data: Data) -> Array:
        return 0.5 * jnp.sum((u.x @ w.T - u.y) ** 2)

    def outer(self, u: Pairs, w: Any, seen: Examples) -> Array:
        x, y = (jnp.asarray(a, float) for a in seen)
        return 0.5 * jnp.mean(jnp.sum((x @ w.T - y) ** 2, axis=1))

    def known(self) -> Mapping[str, hs.Estimate]:
        lowest = floor(*self.data().train, self.points)
        source = f"Eckart and Young, rank {self.points}"
        return {"floor": hs.Estimate(lowest, source=source)}


def floor(x: np.ndarray, y: np.ndarray, rank: int) -> float:
    """The least ½⟨|W x − y|²⟩ that a matrix W of a rank can have.

    Args:
        x: ``(n, inputs)``, with n ≥ inputs.
        y: ``(n, outputs)``.

    Example:
        >>> round(floor(np.eye(2), np.diag([2.0, 1.0]), 1), 6)
        0.25
    """
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    rest = np.mean(np.sum((x @ best - y) ** 2, axis=1))
    s = np.linalg.svd(x @ best / len(x) ** 0.5, compute_uv=False)
    return float(0.5 * (rest + np.sum(s[rank:] ** 2)))
