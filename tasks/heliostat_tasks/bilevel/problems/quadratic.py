"""Linear problem with random matrices Φ and V, over-parameterised in both levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliostat_tasks.bilevel.problems.linear import Linear
from heliostat_tasks.bilevel.problems.problem import ProblemDefaults

STEEPEST = 8.0
"""Largest curvature of F in u, so that outer rates below a quarter are stable."""


@dataclass(frozen=True)
class Quadratic(Linear):
    """``points`` targets u, four weights w for each, and a third as many examples y.

    The eigenvalues of ΦΦᵀ lie between about ¼ and 2¼ (Marchenko and Pastur).
    """

    settings = ProblemDefaults(12, "neumann", 100, 0.8, 0.1, "sgd", 500)

    @property
    def examples(self) -> int:
        return max(1, self.points // 3)

    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng, n = self._rng, 4 * self.points
        phi = rng.normal(size=(self.points, n)) / n**0.5
        v = rng.normal(size=(self.examples, n))
        v *= STEEPEST**0.5 / np.linalg.norm(v @ np.linalg.pinv(phi), 2)
        return phi, v, rng.normal(size=self.examples)
