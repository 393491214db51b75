"""A convolutional generator of handwritten digits, 8 × 8 pixels.

Reference: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine
Learning Repository (1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array

from heliostat.kernels.games.directions import Players
from heliostat_tasks.games.problems.images import Images
from heliostat_tasks.games.problems.networks import (
    conv,
    conv_layer,
    dense,
    dense_layers,
    double,
    halve,
    logistic_losses,
)
from heliostat_tasks.games.problems.problem import GameDefaults
from heliostat_tasks.games.problems.scores import ImageData, fit_classifier


@dataclass(frozen=True)
class DigitGame(Images):
    """Generator and discriminator with ``size`` channels at full resolution."""

    defaults = GameDefaults(0.001, 0.8, np.pi / 8, 4000, size=16, method="adam")
    uses = ("size", "penalty", "batch", "game_seed")
    noise = 32

    def data(self) -> ImageData:
        from sklearn.datasets import load_digits

        x, labels = load_digits(return_X_y=True)
        images = np.round(np.asarray(x) / 16 * 255).astype(np.uint8)
        return fit_classifier(
            images.reshape(-1, 8, 8, 1), np.asarray(labels), self.fields.seed, 400
        )

    def start(self, key: Array, data: ImageData) -> Players:
        c = self.fields.size
        keys = jax.random.split(key, 6)
        generator = {
            "dense": dense_layers(keys[0], (self.noise, 16 * 2 * c)),
            "middle": conv_layer(keys[1], 2 * c, c),
            "last": conv_layer(keys[2], c, 1),
        }
        discriminator = {
            "first": conv_layer(keys[3], 1, c),
            "middle": conv_layer(keys[4], c, 2 * c),
            "dense": dense_layers(keys[5], (4 * 2 * c, 1)),
        }
        return generator, discriminator

    def generate(self, w: Any, noise: Array, labels: Array) -> Array:
        """Make images of noise alone: dense to 4 × 4, doubled, two convolutions."""
        x = jax.nn.silu(dense(w["dense"], noise)).reshape(len(noise), 4, 4, -1)
        x = jax.nn.silu(conv(w["middle"], double(x)))
        return jax.numpy.tanh(conv(w["last"], x))

    def discriminate(self, w: Any, images: Array, labels: Array) -> Array:
        """Compute logits by two convolutions, each halved after, and a dense layer."""
        x = halve(jax.nn.silu(conv(w["first"], images)))
        x = halve(jax.nn.silu(conv(w["middle"], x)))
        return dense(w["dense"], x.reshape(len(x), -1))[:, 0]

    def adversarial(self, real: Array, fake: Array) -> tuple[Array, Array]:
        return logistic_losses(real, fake)
