"""Best rate and momentum for a spectrum: the smallest spectral radius.

    min over α, |β| (and arg β) of max over λ of the radius of λ's cubic

The largest radius over a set of λ makes the choice robust: it is the best momentum for
the worst of the eigenvalues.  The radius is not smooth where two roots meet, which is
where the optimum lies, so the search takes no derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import differential_evolution, minimize

from heliostat.kernels.games.radii import Radius

RATES = (1e-4, 4.0)
"""Smallest and largest α that are tried, over the scale of the eigenvalues."""

STRENGTHS = (-0.5, 3.0)
"""Smallest and largest strength of a correction that are tried."""


POPULATION, ROUNDS = 20, 200
"""Points for each number that is searched, and their generations."""


class Optimum(NamedTuple):
    """Best momentum for a spectrum.

    Example:
        >>> Optimum(0.9, 0.3, 0.7, 0.8).radius
        0.9
    """

    radius: float  # factor per step, or per round of alternating play
    rate: float  # α
    beta: float  # |β|
    angle: float  # arg β, radians


class Correction(NamedTuple):
    """Best extragradient, or optimistic descent, for a spectrum.

    Example:
        >>> Correction(0.707, 0.5, 1.0).radius
        0.707
    """

    radius: float  # factor per round
    rate: float  # α
    strength: float  # s: the rate ahead, or the last change of the gradient, over α


def best_momentum(
    radius: Radius, angle: float | None = None, scale: float = 1.0
) -> Optimum:
    """Return the best rate and momentum.

    Args:
        radius: of the game, see :func:`simultaneous_radius`.
        angle: arg β in radians; None searches over it, too.
        scale: typical size of eigenvalues; rates are divided by it.

    Returns:
        The optimum.

    Example:
        >>> from heliostat.kernels.games.radii import simultaneous_radius
        >>> best = best_momentum(simultaneous_radius(np.array([1j])), np.pi / 2)
        >>> round(best.radius, 3)
        0.899
    """
    angles = (0.0, np.pi) if angle is None else (angle, angle)
    least, (rate, beta, angle) = _smallest(radius, scale, ((0.0, 1.0), angles))
    return Optimum(least, rate, beta, angle)


def best_correction(radius: Radius, scale: float = 1.0) -> Correction:
    """Return the best rate and strength of extragradient or optimistic descent.

    Strengths are from −½ to 3: on a single frequency extragradient converges the faster
    the further it looks ahead.

    Args:
        radius: of the game, see :func:`optimistic_radius`.
        scale: typical size of eigenvalues; rates are divided by it.

    Returns:
        The optimum.

    Example:
        >>> from heliostat.kernels.games.radii import optimistic_radius
        >>> best_correction(optimistic_radius(np.array([1j]))).radius < 0.7072
        True
    """
    least, (rate, strength) = _smallest(radius, scale, (STRENGTHS,))
    return Correction(least, rate, strength)


def _smallest(
    radius: Radius, scale: float, bounds: Sequence[tuple[float, float]]
) -> tuple[float, list[float]]:
    """Return the smallest radius within bounds, and where it is.

    A population of points finds the basin, a simplex its floor.  The rate is the first
    number, in its logarithm.
    """
    low, high = (float(np.log(rate / scale)) for rate in RATES)
    limits = [(low, high), *bounds]
    free = [i for i, (low, high) in enumerate(limits) if low < high]

    def place(x: Float[np.ndarray, " *_"]) -> list[Float[np.ndarray, " *_"]]:
        """Return the arguments of ``radius`` of the numbers that are free."""
        full = [np.full(x.shape[1:], low) for low, _ in limits]
        for i, value in zip(free, x, strict=True):
            full[i] = np.clip(value, limits[i][0], limits[i][1])
        return [np.asarray(v) for v in (np.exp(full[0]), *full[1:])]

    def value(x: Float[np.ndarray, " *_"]) -> Float[np.ndarray, " *_"]:
        return radius(*place(x))

    population = differential_evolution(
        value,
        [limits[i] for i in free],
        vectorized=True,
        updating="deferred",
        polish=False,
        rng=0,
        popsize=POPULATION,
        maxiter=ROUNDS,
        tol=1e-8,
    )
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 600}
    simplex = minimize(value, population.x, method="Nelder-Mead", options=options)
    return float(value(simplex.x)), [float(v) for v in place(simplex.x)]
