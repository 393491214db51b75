"""Data-set distillation: learn a few examples and soft labels that teach a network.

    f(u, w) = ⟨−Σ_c softmax(l)_c log p_w(c | x)⟩ over synthetic (x, l) = u
    F(w)    = ⟨−log p_w(y | x)⟩ over real examples

Reference: Wang, Zhu, Torralba and Efros, arXiv:1811.10959; warm and cold starts of it:
Vicol et al., arXiv:2212.14032.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem


class Synthetic(NamedTuple):
    """Synthetic examples, the outer variables."""

    x: Float[Array, "points inputs"]
    logits: Float[Array, "points classes"]  # their softmax is the label


class Layer(NamedTuple):
    """Affine map x ↦ x @ weight + bias."""

    weight: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"]


LEAN = 3.0
"""Initial logit of a synthetic example's class; the others are 0."""

Network = tuple[Layer, ...]


def network(key: Array, *sizes: int) -> Network:
    """Draw layers of these sizes: weights of variance 1 / inputs, biases 0."""
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(
        Layer(jax.random.normal(k, (i, o)) / i**0.5, jnp.zeros(o))
        for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True)
    )


def apply(w: Network, x: Float[Array, "n n_in"]) -> Float[Array, "n n_out"]:
    """Compute logits; between layers is tanh, whose second derivatives are smooth."""
    for layer in w[:-1]:
        x = jnp.tanh(x @ layer.weight + layer.bias[None])
    return x @ w[-1].weight + w[-1].bias[None]


def cross_entropy(
    w: Network, x: Float[Array, "n n_in"], labels: Float[Array, "n classes"]
) -> Float[Array, ""]:
    """Compute ⟨−Σ_c labels_c log p(c | x)⟩, in nats."""
    return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(apply(w, x)), axis=1))


@dataclass(frozen=True)
class Classification(Problem):
    """Problem whose outer loss is a network's cross-entropy on real examples."""

    classifies = True
    classes: ClassVar[int]

    def inner_start(self, key: Array, data: Data) -> Network:
        return network(key, data.train.x.shape[1], self.hidden, self.classes)

    def outer(self, u: Any, w: Network, examples: Examples) -> Float[Array, ""]:
        labels = jax.nn.one_hot(examples.y, self.classes)
        return cross_entropy(w, jnp.asarray(examples.x, float), labels)

    def accuracy(self, w: Network, examples: Examples) -> Float[Array, ""]:
        predicted = jnp.argmax(apply(w, jnp.asarray(examples.x, float)), axis=1)
        return jnp.mean((predicted == examples.y).astype(float))


@dataclass(frozen=True)
class Distillation(Classification):
    """Synthetic examples of each class in turn, with labels that favour the class."""

    def outer_start(self, key: Array, data: Data) -> Synthetic:
        centre, spread = jnp.mean(data.train.x, 0), jnp.std(data.train.x, 0)
        noise = jax.random.normal(key, (self.points, len(centre)))
        labels = jnp.arange(self.points) % self.classes
        lean = LEAN * jax.nn.one_hot(labels, self.classes)
        return Synthetic(centre[None] + spread[None] * noise, lean)

    def inner(self, u: Synthetic, w: Network, data: Data) -> Float[Array, ""]:
        return cross_entropy(w, u.x, jax.nn.softmax(u.logits))
