"""Games of a generator and a discriminator of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from heliostat.kernels.games.directions import Losses, Players
from heliostat_tasks.games.problems.networks import gradient_penalty
from heliostat_tasks.games.problems.problem import Game
from heliostat_tasks.games.problems.scores import (
    CLASSES,
    EVALUATES,
    ImageData,
    as_pixels,
    scores,
)

SAMPLES = 512
"""Generated images of an evaluation."""


@dataclass(frozen=True)
class Images(Game):
    """Interface of such a game: two networks, and the losses of their logits."""

    stochastic = True
    has_equilibrium = False
    evaluates = EVALUATES

    noise: ClassVar[int]
    """Numbers that a generator makes an image of."""

    def generate(
        self,
        w: Any,
        noise: Float[Array, "batch noise"],
        labels: Int[Array, " batch"],
    ) -> Float[Array, "batch side side channels"]:
        """Make images, from −1 to 1, of noise and classes."""
        raise NotImplementedError

    def discriminate(
        self,
        w: Any,
        images: Float[Array, "batch side side channels"],
        labels: Int[Array, " batch"],
    ) -> Float[Array, " batch"]:
        """Compute the logit that an image is real."""
        raise NotImplementedError

    def adversarial(self, real: Array, fake: Array) -> tuple[Array, Array]:
        """Return the losses of generator and discriminator, from its logits."""
        raise NotImplementedError

    def losses(self, key: Array, data: ImageData) -> Losses:
        pick_key, draw_key = jax.random.split(key)
        batch = self.fields.batch
        index = jax.random.randint(pick_key, (batch,), 0, len(data.images))
        real = as_pixels(jnp.asarray(data.images)[index])
        classes = jnp.asarray(data.labels)[index]
        noise, labels = self._draw(draw_key, batch)

        def both(w: Players) -> tuple[Array, Array]:
            images = self.generate(w[0], noise, labels)
            fake = self.discriminate(w[1], images, labels)
            generator, discriminator = self.adversarial(
                self.discriminate(w[1], real, classes), fake
            )
            if self.fields.penalty:
                penalty = gradient_penalty(
                    lambda x: self.discriminate(w[1], x, classes), real
                )
                discriminator += self.fields.penalty / 2 * penalty
            return generator, discriminator

        return [lambda w: both(w)[0], lambda w: both(w)[1]]

    def evaluate(
        self, key: Array, players: Players, data: ImageData
    ) -> dict[str, Array]:
        return scores(self.sample(key, players, SAMPLES), data)

    def sample(self, key: Array, players: Players, count: int) -> Array:
        """Draw generated images of all classes, (count, side, side, channels)."""
        return self.generate(players[0], *self._draw(key, count))

    def _draw(self, key: Array, count: int) -> tuple[Array, Array]:
        """Draw noise and classes."""
        noise_key, label_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (count, self.noise))
        return noise, jax.random.randint(label_key, (count,), 0, CLASSES)
