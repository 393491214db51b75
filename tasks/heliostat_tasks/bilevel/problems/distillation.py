"""Data-set distillation: a few examples, inputs and soft labels, that teach a network.

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

from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem


class Synthetic(NamedTuple):
    """What is learned."""

    x: Array  # (points, inputs)
    logits: Array  # (points, classes), whose softmax is the label


class Layer(NamedTuple):
    """x ↦ x @ weight + bias."""

    weight: Array  # (in, out)
    bias: Array  # (out,)


LEAN = 3.0
"""By how much the logit of a synthetic example's class is above the others at first."""

Network = tuple[Layer, ...]


def network(key: Array, *sizes: int) -> Network:
    """Layers of such sizes, with weights of variance 1 / inputs and no bias."""
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(
        Layer(jax.random.normal(k, (i, o)) / i**0.5, jnp.zeros(o))
        for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True)
    )


def apply(w: Network, x: Array) -> Array:
    """Logits (n, out) of inputs (n, in); tanh between layers: H wants smooth ones."""
    for layer in w[:-1]:
        x = jnp.tanh(x @ layer.weight + layer.bias[None])
    return x @ w[-1].weight + w[-1].bias[None]


def cross_entropy(w: Network, x: Array, labels: Array) -> Array:
    """⟨−Σ_c labels_c log p(c | x)⟩ in nats, with labels (n, classes)."""
    return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(apply(w, x)), axis=1))


@dataclass(frozen=True)
class Classification(Problem):
    """A network judged by its cross-entropy on real examples."""

    classifies = True
    classes: ClassVar[int]

    def inner_start(self, key: Array, data: Data) -> Network:
        return network(key, data.train.x.shape[1], self.hidden, self.classes)

    def outer(self, u: Any, w: Network, seen: Examples) -> Array:
        labels = jax.nn.one_hot(seen.y, self.classes)
        return cross_entropy(w, jnp.asarray(seen.x, float), labels)

    def accuracy(self, w: Network, seen: Examples) -> Array:
        found = jnp.argmax(apply(w, jnp.asarray(seen.x, float)), axis=1)
        return jnp.mean((found == seen.y).astype(float))


@dataclass(frozen=True)
class Distillation(Classification):
    """Synthetic examples, of each class in turn, with labels that lean to it."""

    def outer_start(self, key: Array, data: Data) -> Synthetic:
        centre, spread = jnp.mean(data.train.x, 0), jnp.std(data.train.x, 0)
        noise = jax.random.normal(key, (self.points, len(centre)))
        labels = jnp.arange(self.points) % self.classes
        lean = LEAN * jax.nn.one_hot(labels, self.classes)
        return Synthetic(centre[None] + spread[None] * noise, lean)

    def inner(self, u: Synthetic, w: Network, data: Data) -> Array:
        return cross_entropy(w, u.x, jax.nn.softmax(u.logits))
