"""A synthetic set of preferences, made by coefficients that are known.

Of each pair and feature a normal number says how far the responses are apart; only what
is far enough is noticed.  Features that mean nearly the same share part of it:

    d = √(1 − ρ) own + √ρ shared,     φ = sign(d) where |d| > τ, else 0,
    p(A ≻ B) = σ(φ · α)
"""

from __future__ import annotations

import numpy as np

from heliostat_tasks.preferences.features import FEATURES, TOGETHER
from heliostat_tasks.preferences.tables import Table

NOTICED = 0.42
"""Share of pairs in which a feature differs."""

THRESHOLD = 0.8064
"""τ, the normal quantile of 1 − 0.42/2."""

ALIKE = 0.5
"""ρ of features that are reported together; of others it is 0."""


def planted(pairs: int, seed: int = 0) -> Table:
    """That many labelled pairs, preferred at random by the planted coefficients.

    Args:
        pairs: how many.
        seed: of features and preferences.

    Example:
        >>> table = planted(1000)
        >>> table.phi.shape, len(table.features)
        ((1000, 23), 23)
    """
    rng = np.random.default_rng(seed)
    names = tuple(FEATURES)
    apart = rng.normal(size=(pairs, len(names)))
    for group in TOGETHER.values():
        here = [names.index(name) for name in group]
        shared = rng.normal(size=(pairs, 1))
        apart[:, here] = np.sqrt(1 - ALIKE) * apart[:, here] + np.sqrt(ALIKE) * shared
    phi = (np.sign(apart) * (np.abs(apart) > THRESHOLD)).astype(np.int8)
    alpha = np.array([feature.planted for feature in FEATURES.values()])
    first = rng.random(pairs) < 1 / (1 + np.exp(-(phi @ alpha)))
    return Table(names, phi, first, tuple(map(str, range(pairs))), alpha)
