"""Random matrices Φ and V: the plainest problem that is over-parameterised twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliostat_tasks.bilevel.problems.linear import Linear
from heliostat_tasks.bilevel.problems.problem import Settings

STEEPEST = 8.0
"""The largest curvature of F in u, so that outer rates below a quarter are stable."""


@dataclass(frozen=True)
class Quadratic(Linear):
    """u has ``points`` targets, w four weights for each, y a third as many examples.

    Eigenvalues of ΦΦᵀ are about ¼ to 2¼ (Marchenko and Pastur).
    """

    settings = Settings(12, "neumann", 100, 0.8, 0.1, "sgd", 500)

    @property
    def examples(self) -> int:
        return max(1, self.points // 3)

    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        draw, n = self._draw, 4 * self.points
        phi = draw.normal(size=(self.points, n)) / n**0.5
        v = draw.normal(size=(self.examples, n))
        v *= STEEPEST**0.5 / np.linalg.norm(v @ np.linalg.pinv(phi), 2)
        return phi, v, draw.normal(size=self.examples)
