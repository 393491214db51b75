"""A generator of points in the plane, against a ring of eight normal distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

import heliostat as hs
from heliostat.kernels.games.directions import Losses, Players
from heliostat_tasks.games.problems.networks import (
    dense,
    dense_layers,
    gradient_penalty,
    logistic_losses,
)
from heliostat_tasks.games.problems.problem import Game, GameDefaults

MODES = 8
RADIUS = 1.0
"""Distance of the centres from the origin."""

WIDTH = 0.1
"""Standard deviation of each mode."""

NOISE = 8
"""Numbers that a generator makes a point of."""

SAMPLES = 1024
"""Generated points of an evaluation."""


@dataclass(frozen=True)
class Mixture(Game):
    """Generator and discriminator of three layers with ``size`` hidden units each."""

    defaults = GameDefaults(0.002, 0.8, np.pi / 8, 3000, size=64, method="adam")
    uses = ("size", "penalty", "batch")
    stochastic = True
    has_equilibrium = False
    evaluates = {
        "modes": hs.Var(about="modes with at least 1/40 of the generated points"),
        "quality": hs.Var(about="share of points within three sigma of a mode"),
        "evenness": hs.Var(about="entropy of points over modes, 1 if all are alike"),
    }

    def start(self, key: Array, data: Any) -> Players:
        one, two = jax.random.split(key)
        hidden = self.fields.size
        generator = dense_layers(one, (NOISE, hidden, hidden, 2))
        return generator, dense_layers(two, (2, hidden, hidden, 1))

    def losses(self, key: Array, data: Any) -> Losses:
        real_key, fake_key = jax.random.split(key)
        real = draw_ring(real_key, self.fields.batch)
        noise = jax.random.normal(fake_key, (self.fields.batch, NOISE))

        def both(w: Players) -> tuple[Array, Array]:
            fake = dense(w[1], dense(w[0], noise))
            generator, discriminator = logistic_losses(dense(w[1], real), fake)
            if self.fields.penalty:
                penalty = gradient_penalty(lambda x: dense(w[1], x), real)
                discriminator += self.fields.penalty / 2 * penalty
            return generator, discriminator

        return [lambda w: both(w)[0], lambda w: both(w)[1]]

    def evaluate(self, key: Array, players: Players, data: Any) -> dict[str, Array]:
        noise = jax.random.normal(key, (SAMPLES, NOISE))
        return coverage(dense(players[0], noise))

    def sample(self, key: Array, players: Players, count: int) -> Array:
        """Draw generated points, (count, 2)."""
        return dense(players[0], jax.random.normal(key, (count, NOISE)))


def centres() -> Float[np.ndarray, "modes 2"]:
    """Return the centres of the modes."""
    angle = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def draw_ring(key: Array, count: int) -> Float[Array, "count 2"]:
    """Draw points of the mixture."""
    mode_key, noise_key = jax.random.split(key)
    mode = jax.random.randint(mode_key, (count,), 0, MODES)
    noise = WIDTH * jax.random.normal(noise_key, (count, 2))
    return jnp.asarray(centres(), noise.dtype)[mode] + noise


def coverage(points: Float[Array, "count 2"]) -> dict[str, Array]:
    """Count modes that points cover, and how well.

    Args:
        points: generated ones.

    Returns:
        The variables of ``evaluates``.
    """
    middle = jnp.asarray(centres(), points.dtype)
    away = jnp.linalg.norm(points[:, None] - middle[None], axis=-1)
    near = jnp.min(away, axis=1) < 3 * WIDTH
    nearest = jax.nn.one_hot(jnp.argmin(away, axis=1), MODES) * near[:, None]
    share = jnp.sum(nearest, axis=0) / jnp.maximum(jnp.sum(near), 1)
    entropy = -jnp.sum(jax.scipy.special.xlogy(share, share)) / jnp.log(MODES)
    covered = jnp.sum(jnp.mean(nearest, axis=0) >= 1 / (5 * MODES))
    quality = jnp.mean(near.astype(points.dtype))
    return {
        "modes": covered.astype(points.dtype),
        "quality": quality,
        "evenness": entropy,
    }
