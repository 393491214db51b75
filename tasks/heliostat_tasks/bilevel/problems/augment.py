"""Augmentation network: it makes the images that another network is trained on.

    f(u, w) = cross-entropy of w on g_u(x, z),     z fixed noise, x a few images
    F(w)    = cross-entropy of w on all images, as they are

The outer variables are the weights of g_u. They start at random, so at first the
images that g_u makes look like no digit.

Reference: Vicol et al., arXiv:2212.14032 [the problem; networks and sizes are this
task's own].
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat_tasks.bilevel.problems.digits import TRAIN, digits
from heliostat_tasks.bilevel.problems.distillation import (
    Classification,
    Network,
    apply,
    cross_entropy,
    network,
)
from heliostat_tasks.bilevel.problems.problem import Data, Examples, ProblemDefaults

NOISE, WIDTH = 8, 32
"""Length of z, and hidden units of g."""


@dataclass(frozen=True)
class Augment(Classification):
    """Inner loss on ``points`` images that pass through g; outer loss on all others."""

    settings = ProblemDefaults(100, "neumann", 200, 0.1, 0.003, "adam", 800)
    classes = 10

    @property
    def examples(self) -> int:
        return TRAIN - self.points

    def data(self) -> Data:
        train, test = digits(self.seed)
        n = self.points
        z = self._rng.normal(size=(n, NOISE))
        inner = Examples(np.concatenate([train.x[:n], z], axis=1), train.y[:n])
        return Data(Examples(train.x[n:], train.y[n:]), test, inner)

    def outer_start(self, key: Array, data: Data) -> Network:
        pixels = data.train.x.shape[1]
        return network(key, pixels + NOISE, WIDTH, pixels)

    def inner(self, u: Network, w: Network, data: Data) -> Float[Array, ""]:
        x, y = data.inner
        images = jax.nn.sigmoid(apply(u, jnp.asarray(x, float)))
        return cross_entropy(w, images, jax.nn.one_hot(y, self.classes))
