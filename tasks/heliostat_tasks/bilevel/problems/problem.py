"""Interface of a bilevel problem: min_u F(u, w), with w from descent on f(u, ·)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

import heliostat as hs


class Examples(NamedTuple):
    """Examples that an outer loss is a mean over."""

    x: Any  # (n, ...)
    y: Any  # (n, ...)


class Data(NamedTuple):
    """Data of a problem, made on the host."""

    train: Examples  # examples of the outer loss
    test: Examples  # examples of the accuracy
    inner: Any = ()  # data of the inner loss, besides u
    solution: Any = ()  # u* in closed form, if there is one


class ProblemDefaults(NamedTuple):
    """Defaults with which a problem is solved well."""

    points: int
    method: str
    inner_steps: int
    inner_lr: float
    outer_lr: float
    optimiser: str
    steps: int


@dataclass(frozen=True)
class Problem:
    """Two losses and two starts, and the values that are known without a run."""

    points: int  # synthetic examples, or as many of whatever u has several of
    hidden: int  # hidden units of the network, if there is one
    seed: int  # seed of the data

    settings: ClassVar[ProblemDefaults]
    classifies: ClassVar[bool] = False
    """True if the problem has an accuracy."""

    has_solution: ClassVar[bool] = False
    """True if the outer solution has a closed form."""

    singular_hessian: ClassVar[bool] = False
    """True if H is known to be singular, so that plain conjugate gradients fail."""

    random_starts: ClassVar[tuple[str, ...]] = ("u", "w")
    """Starts that depend on their key; the others are always zero."""

    @property
    def examples(self) -> int:
        """Number of examples of the outer loss."""
        raise NotImplementedError

    def data(self) -> Data:
        """Make or load the data on the host; called once per worker."""
        raise NotImplementedError

    def outer_start(self, key: Array, data: Data) -> Any:
        """Return u before the first step, a pytree."""
        raise NotImplementedError

    def inner_start(self, key: Array, data: Data) -> Any:
        """Return w₀, a pytree."""
        raise NotImplementedError

    def inner(self, u: Any, w: Any, data: Data) -> Float[Array, ""]:
        """Compute f(u, w), on which w descends."""
        raise NotImplementedError

    def outer(self, u: Any, w: Any, examples: Examples) -> Float[Array, ""]:
        """Compute F(u, w) over some examples, on which u descends."""
        raise NotImplementedError

    def accuracy(self, w: Any, examples: Examples) -> Float[Array, ""]:
        """Compute the share of examples that w classifies correctly."""
        return jnp.full((), jnp.nan)

    def distance(self, u: Any, data: Data) -> Float[Array, ""]:
        """Compute |u − u*|, the distance to the solution in closed form."""
        return jnp.linalg.norm(u - jnp.asarray(data.solution, float))

    def references(self) -> Mapping[str, hs.Estimate]:
        """Return the values that are known without a run, for headlines."""
        return {}

    @property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)
