"""Synthetic preferences with known coefficients.

A normal number per pair and feature is the difference of the two responses; a
difference below the threshold is not noticed. Correlated features share a part:

    d = √(1 − ρ) own + √ρ shared,     φ = sign(d) where |d| > τ, else 0,
    p(A ≻ B) = σ(φ · α)
"""

from __future__ import annotations

import numpy as np

from heliostat_tasks.preferences.features import FEATURES, SUMS
from heliostat_tasks.preferences.tables import Table

NOTICED = 0.42
"""Share of pairs in which a feature differs."""

THRESHOLD = 0.8064
"""τ, the normal quantile of 1 − 0.42/2."""

CORRELATION = 0.5
"""ρ of features that are reported as a sum; 0 between all others."""


def synthetic_table(pairs: int, seed: int = 0) -> Table:
    """Draw labelled pairs whose preferences follow the known coefficients.

    Args:
        pairs: number of pairs.
        seed: seed of features and preferences.

    Example:
        >>> table = synthetic_table(1000)
        >>> table.phi.shape, len(table.features)
        ((1000, 23), 23)
    """
    rng = np.random.default_rng(seed)
    names = tuple(FEATURES)
    difference = rng.normal(size=(pairs, len(names)))
    for group in SUMS.values():
        columns = [names.index(name) for name in group]
        shared = rng.normal(size=(pairs, 1))
        own = np.sqrt(1 - CORRELATION) * difference[:, columns]
        difference[:, columns] = own + np.sqrt(CORRELATION) * shared
    noticed = np.abs(difference) > THRESHOLD
    phi = (np.sign(difference) * noticed).astype(np.int8)
    alpha = np.array([feature.coefficient for feature in FEATURES.values()])
    first = rng.random(pairs) < 1 / (1 + np.exp(-(phi @ alpha)))
    return Table(names, phi, first, tuple(map(str, range(pairs))), alpha)
