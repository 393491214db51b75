"""Interface of a game: losses of its players, a start, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jax import Array

import heliostat as hs
from heliostat.kernels.games.directions import Losses, Players


class GameDefaults(NamedTuple):
    """Defaults with which a game is played well."""

    lr: float
    beta: float
    angle: float  # radians
    steps: int
    size: int = 1
    method: str = "momentum"


class GameFields(NamedTuple):
    """Fields of the task that describe a game."""

    size: int  # numbers of a player, or hidden units of its network
    condition: float  # ratio of the largest to the smallest singular value
    mixing: float  # largest share of adversarial coupling
    penalty: float  # gradient penalty of the discriminator
    batch: int  # examples of a round
    seed: int  # seed of the game's own numbers
    file: hs.File | None = None  # images


@dataclass(frozen=True)
class Game:
    """Losses of n players, each with a tree of parameters of its own."""

    fields: GameFields

    defaults: ClassVar[GameDefaults]
    players: ClassVar[int] = 2

    uses: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that the game reads."""

    stochastic: ClassVar[bool] = False
    """True if losses are estimated from examples."""

    has_equilibrium: ClassVar[bool] = True
    """True if all parameters are zero at a known equilibrium."""

    evaluates: ClassVar[Mapping[str, hs.Var]] = {}
    """Variables that are evaluated once a stride."""

    def data(self) -> Any:
        """Make or load the data on the host; called once per worker."""
        return ()

    def start(self, key: Array, data: Any) -> Players:
        """Draw the parameters of all players."""
        raise NotImplementedError

    def losses(self, key: Array, data: Any) -> Losses:
        """Return the losses of one round.

        Args:
            key: of the examples of the round.
            data: from :meth:`data`.
        """
        raise NotImplementedError

    def evaluate(self, key: Array, players: Players, data: Any) -> dict[str, Array]:
        """Compute the variables of ``evaluates``."""
        return {}

    @property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.fields.seed)
