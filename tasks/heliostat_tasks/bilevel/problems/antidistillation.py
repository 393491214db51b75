"""Anti-distillation: more synthetic points than real ones, on a line, in Fourier space.

    φ(x) = (1, cos x, sin x, ½ cos 2x, ½ sin 2x, …, 1/D cos D x, 1/D sin D x)

The labels u of synthetic inputs on a grid are learned, so that a model fitted to them
fits the real points. Many u do. The approximation of the inverse Hessian decides which
one is found and how smooth its curve is: with few Neumann terms, or a large ε, only low
frequencies are learned.

Reference: Vicol et al., arXiv:2212.14032 [the problem; features and sizes are this
task's own].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from heliostat_tasks.bilevel.problems.linear import Linear
from heliostat_tasks.bilevel.problems.problem import ProblemDefaults

REAL = 4
"""Number of real points."""


@dataclass(frozen=True)
class Antidistillation(Linear):
    """``points`` synthetic labels, twice as many frequencies, and four real points."""

    settings = ProblemDefaults(12, "neumann", 500, 0.1, 0.5, "sgd", 1000)

    @property
    def examples(self) -> int:
        return REAL

    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = self._rng
        grid = np.linspace(-np.pi, np.pi, self.points, endpoint=False)
        real = np.linspace(-2.2, 2.2, REAL) + rng.uniform(-0.3, 0.3, REAL)
        phi, v = (features(x, 2 * self.points) for x in (grid, real))
        return phi, v, rng.normal(size=REAL)


def features(x: Float[np.ndarray, " n"], most: int) -> Float[np.ndarray, "n waves"]:
    """Evaluate φ at the points x, for frequencies up to ``most``.

    Example:
        >>> features(np.array([0.0]), 2).tolist()
        [[1.0, 1.0, 0.5, 0.0, 0.0]]
    """
    k = np.arange(1, most + 1)
    waves = [np.cos(np.outer(x, k)) / k, np.sin(np.outer(x, k)) / k]
    return np.concatenate([np.ones((len(x), 1)), *waves], axis=1)
