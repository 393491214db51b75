"""Games of two numbers: a generative model of one point, and games that never end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat.kernels.games.directions import Losses, Players
from heliostat_tasks.games.problems.problem import Game, GameDefaults


@dataclass(frozen=True)
class Dirac(Game):
    """A generator at θ, a discriminator ψ x, and data at zero.

        ℓ_1 = f(θψ),    ℓ_2 = −f(θψ) + ½ γ ψ²,    f(t) = −log(1 + e^{−t})

    The eigenvalues of the joint gradient at the equilibrium are ±i/2 without the
    penalty γ.

    Reference: Mescheder, Geiger, Nowozin, arXiv:1801.04406, definition 2.1.
    """

    defaults = GameDefaults(0.19, 0.806, np.pi / 8, 1000)
    uses = ("penalty",)

    def start(self, key: Array, data: Any) -> Players:
        return jnp.ones(1), jnp.ones(1)

    def losses(self, key: Array, data: Any) -> Losses:
        def value(w: Players) -> Array:
            return -jax.nn.softplus(-w[0] * w[1]).sum()

        def opposed(w: Players) -> Array:
            return -value(w) + self.fields.penalty / 2 * jnp.sum(w[1] ** 2)

        return [value, opposed]


@dataclass(frozen=True)
class Cycle(Game):
    """A zero-sum game whose only critical point, the origin, repels both players.

        ℓ_1 = −ℓ_2 = xy − x²/2 + y²/2 + x⁴/4 − y⁴/4

    Its losses keep players in a bounded region, so that no method that leaves strict
    maxima converges.

    Reference: Letcher, arXiv:2005.12649, section 4.
    """

    defaults = GameDefaults(0.05, 0.8, np.pi / 8, 1000)

    def start(self, key: Array, data: Any) -> Players:
        x, y = jax.random.normal(key, (2, 1))
        return x, y

    def losses(self, key: Array, data: Any) -> Losses:
        def value(w: Players) -> Array:
            x, y = w[0][0], w[1][0]
            return x * y - x**2 / 2 + y**2 / 2 + x**4 / 4 - y**4 / 4

        return [value, lambda w: -value(w)]


@dataclass(frozen=True)
class Market(Game):
    """Two sellers whose only critical point is a strict maximum of both losses.

        ℓ_1 = x⁶/6 − x²/2 + xy + (y⁴/(1 + x²) − x⁴/(1 + y²))/4
        ℓ_2 = y⁶/6 − y²/2 − xy − (y⁴/(1 + x²) − x⁴/(1 + y²))/4

    Reference: Letcher, arXiv:2005.12649, section 3.
    """

    defaults = GameDefaults(0.05, 0.8, np.pi / 8, 1000)

    def start(self, key: Array, data: Any) -> Players:
        x, y = jax.random.normal(key, (2, 1))
        return x, y

    def losses(self, key: Array, data: Any) -> Losses:
        def first(w: Players) -> Array:
            x, y = w[0][0], w[1][0]
            return x**6 / 6 - x**2 / 2 + x * y + _exchange(x, y)

        def second(w: Players) -> Array:
            x, y = w[0][0], w[1][0]
            return y**6 / 6 - y**2 / 2 - x * y - _exchange(x, y)

        return [first, second]


def _exchange(x: Array, y: Array) -> Array:
    return (y**4 / (1 + x**2) - x**4 / (1 + y**2)) / 4
