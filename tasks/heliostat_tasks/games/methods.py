"""Methods of play by name: a direction of all players, and an optimiser of each.

| method | direction | optimiser |
|---|---|---|
| momentum | gradient | complex momentum |
| adaptive | gradient | complex momentum, its angle best for the frequency of play |
| adam | gradient | Adam with complex momentum |
| aggregated | gradient | traces of decays 0, \\|β\\| and 1 − (1 − \\|β\\|)/10 |
| lookahead | gradient | complex momentum; all return half of the way every 5 rounds |
| optimistic | gradient | descent, plus the last change of the gradient |
| extragradient, consensus | of that name | complex momentum |
| symplectic, lola, competitive | of that name | complex momentum |

The last three rows add a correction to the gradient, which has a strength: of the last
change, of the pull and of the turn, and else the rate ahead, over the rate of the step.
Negative momentum is ``momentum`` with an angle of π.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from heliostat.kernels.games import directions
from heliostat.kernels.games.adam import complex_adam
from heliostat.kernels.games.directions import (
    Direction,
    Losses,
    Players,
    joint_gradient,
)
from heliostat.kernels.games.frequency import (
    begin_path,
    best_angle,
    eigenvalue_of,
    extend_path,
)
from heliostat.kernels.games.momentum import aggregated_momentum, complex_momentum
from heliostat.kernels.games.play import GameState, Order, begin, play_round

MethodName = Literal[
    "momentum",
    "adaptive",
    "adam",
    "aggregated",
    "lookahead",
    "optimistic",
    "extragradient",
    "consensus",
    "symplectic",
    "lola",
    "competitive",
]
"""Names of methods."""

CORRECTED = (
    "optimistic",
    "extragradient",
    "consensus",
    "symplectic",
    "lola",
    "competitive",
)
"""Methods that correct the gradient, with a strength; their default momentum is 0."""

LOOK_AHEAD = 5
"""Rounds of ``lookahead`` between returns."""


class Position(NamedTuple):
    """State of play: the game, and what the slow players of ``lookahead`` are."""

    rounds: Array  # played so far
    game: GameState
    slow: Any  # players at the last return of ``lookahead``; () for other methods
    path: Any  # of ``adaptive``; () for other methods


class Momentum(NamedTuple):
    """Momentum of one player."""

    lr: Any  # α
    beta: Any  # |β|
    angle: Any  # arg β, radians


@dataclass(frozen=True)
class MethodOfPlay:
    """One way of playing, with rates and momenta of every player."""

    name: MethodName
    order: Order
    momenta: Sequence[Momentum]
    strength: Any = 1.0  # of the correction

    @property
    def period(self) -> int:
        """Rounds after which the method does the same again."""
        return LOOK_AHEAD if self.name == "lookahead" else 1

    def begin(self, players: Players) -> Position:
        """Return the state before the first round."""
        slow = players if self.name == "lookahead" else ()
        path = begin_path(players) if self.name == "adaptive" else ()
        rounds = jnp.zeros((), jnp.int32)
        return Position(rounds, begin(players, self._optimisers), slow, path)

    def play(self, losses: Losses, position: Position) -> Position:
        """Play one round."""
        match self.name:
            case "adaptive":
                return self._play_adaptively(losses, position)
            case "lookahead":
                return _return_half(self._play(losses, position))
            case _:
                return self._play(losses, position)

    def _play(self, losses: Losses, position: Position) -> Position:
        game = play_round(
            losses, position.game, self._optimisers, self.order, self._direction
        )
        return position._replace(rounds=position.rounds + 1, game=game)

    def _play_adaptively(self, losses: Losses, position: Position) -> Position:
        """Play a round with the angle that is best for the eigenvalue of the path."""
        players = position.game.players
        path = extend_path(position.path, players, joint_gradient(losses, players))
        modulus, phase = eigenvalue_of(path)
        momenta = [
            m._replace(angle=best_angle(modulus, phase, m.lr, m.beta))
            for m in self.momenta
        ]
        fixed = replace(self, name="momentum", momenta=momenta)
        return fixed._play(losses, position._replace(path=path))

    @property
    def _optimisers(self) -> list[optax.GradientTransformation]:
        return [self._optimiser(m) for m in self.momenta]

    def _optimiser(self, momentum: Momentum) -> optax.GradientTransformation:
        lr, beta, angle = momentum
        match self.name:
            case "adam":
                return complex_adam(lr, beta, angle, eps_root=1e-16)
            case "aggregated":
                return aggregated_momentum(lr, [0.0, beta, 1 - (1 - beta) / 10])
            case "optimistic":
                return optax.optimistic_gradient_descent(lr, beta=self.strength)
            case _:
                return complex_momentum(lr, beta, angle)

    @property
    def _direction(self) -> Direction:
        ahead = self.strength * self.momenta[0].lr
        match self.name:
            case "extragradient":
                return directions.extragradient(ahead)
            case "consensus":
                return directions.consensus(self.strength)
            case "symplectic":
                return directions.symplectic_adjustment(self.strength)
            case "lola":
                return directions.lola(ahead)
            case "competitive":
                return directions.competitive(ahead)
            case _:
                return directions.joint_gradient


def _return_half(position: Position) -> Position:
    """Go back half of the way to the slow players, if a return is due."""
    due = position.rounds % LOOK_AHEAD == 0
    players = position.game.players
    half = jax.tree.map(lambda w, s: (w + s) / 2, players, position.slow)
    players, slow = (
        jax.tree.map(lambda a, b: jnp.where(due, a, b), half, other)
        for other in (players, position.slow)
    )
    return position._replace(game=position.game._replace(players=players), slow=slow)
