"""What a bilevel problem is: min_u F(u, w), where w is found by descent on f(u, ·)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs


class Examples(NamedTuple):
    """Examples that an outer loss is taken over."""

    x: Any  # (n, ...)
    y: Any  # (n, ...)


class Data(NamedTuple):
    """All that a problem is made of, on the host."""

    train: Examples  # of the outer loss
    test: Examples  # of accuracy
    inner: Any = ()  # what the inner loss sees besides u
    solution: Any = ()  # the outer solution in closed form, where there is one


class Settings(NamedTuple):
    """What a problem is solved with, unless the fields say otherwise."""

    points: int
    method: str
    inner_steps: int
    inner_lr: float
    outer_lr: float
    optimiser: str
    steps: int


@dataclass(frozen=True)
class Problem:
    """Two losses and two starts; a problem adds what it knows of its solution.

    Args:
        points: synthetic examples, or whatever u has several of.
        hidden: hidden units of the network, if there is one.
        seed: of the data.
    """

    points: int
    hidden: int
    seed: int

    settings: ClassVar[Settings]
    classifies: ClassVar[bool] = False
    """Whether there is an accuracy."""

    singular: ClassVar[bool] = False
    """Whether H is known to be singular, so that plain conjugate gradients fail."""

    drawn: ClassVar[tuple[str, ...]] = ("u", "w")
    """Which starts are drawn by their key; the others are zero, whatever it is."""

    @property
    def examples(self) -> int:
        """How many examples F is taken over."""
        raise NotImplementedError

    def data(self) -> Data:
        """Made or loaded on the host, once per worker."""
        raise NotImplementedError

    def outer_start(self, key: Array, data: Data) -> Any:
        """u before the first step, a pytree."""
        raise NotImplementedError

    def inner_start(self, key: Array, data: Data) -> Any:
        """w₀, a pytree."""
        raise NotImplementedError

    def inner(self, u: Any, w: Any, data: Data) -> Array:
        """f(u, w), which w descends."""
        raise NotImplementedError

    def outer(self, u: Any, w: Any, seen: Examples) -> Array:
        """F(u, w) of some examples, which u descends."""
        raise NotImplementedError

    def accuracy(self, w: Any, seen: Examples) -> Array:
        """Share of examples that w classifies as they are."""
        return jnp.full((), jnp.nan)

    def distance(self, u: Any, data: Data) -> Array:
        """|u − u*| to the outer solution in closed form."""
        return jnp.linalg.norm(u - jnp.asarray(data.solution, float))

    @property
    def solved(self) -> bool:
        """Whether there is an outer solution in closed form."""
        return False

    def known(self) -> Mapping[str, hs.Estimate]:
        """What is known of the problem without a run, for headlines."""
        return {}

    @property
    def _draw(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)
