"""Play of a differentiable game: all players at once, or one after the other.

    simultaneous:  every player sees the game before the round
    alternating:   player i sees players 1, …, i − 1 where they have moved to

Each player has an optimiser of its own, an optax transformation.  It receives the
player's part of a direction in place of a gradient.

Reference: Lorraine, Acuna, Vicol, Duvenaud, arXiv:2102.08431, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from heliostat.kernels.games.directions import (
    Direction,
    Losses,
    Players,
    joint_gradient,
)

Order = Literal["simultaneous", "alternating"]
"""Orders in which players move."""


class GameState(NamedTuple):
    """Players, and the states of their optimisers.

    Example:
        >>> begin((1.0, 2.0), [optax.sgd(0.1), optax.sgd(0.1)]).players
        (1.0, 2.0)
    """

    players: Players  # parameters of each
    optimisers: tuple[Any, ...]  # state of the optimiser of each


def begin(
    players: Players, optimisers: Sequence[optax.GradientTransformation]
) -> GameState:
    """Return a game before its first round.

    Args:
        players: parameters of each.
        optimisers: of each.

    Returns:
        The game with the first states of the optimisers.

    Raises:
        ValueError: if there are not as many optimisers as players.

    Example:
        >>> begin((1.0, 2.0), [optax.sgd(0.1), optax.sgd(0.1)]).players
        (1.0, 2.0)
    """
    if len(optimisers) != len(players):
        raise ValueError(
            f"{len(players)} players need as many optimisers, got {len(optimisers)}"
        )
    states = tuple(o.init(w) for o, w in zip(optimisers, players, strict=True))
    return GameState(players, states)


def play_round(
    losses: Losses,
    game: GameState,
    optimisers: Sequence[optax.GradientTransformation],
    order: Order = "simultaneous",
    direction: Direction = joint_gradient,
) -> GameState:
    """Move every player once.

        w_i ← w_i + update_i(d_i)

    Args:
        losses: of each player.
        game: before the round.
        optimisers: of each player.
        order: simultaneous or alternating.
        direction: what optimisers take for gradients.

    Returns:
        The game after the round.

    Raises:
        ValueError: if a direction has not the shapes of the players.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> sgd = [optax.sgd(0.5), optax.sgd(0.5)]
        >>> game = begin((jnp.array(1.0), jnp.array(1.0)), sgd)
        >>> [w.item() for w in play_round(losses, game, sgd).players]
        [0.5, 1.5]
        >>> [w.item() for w in play_round(losses, game, sgd, "alternating").players]
        [0.5, 1.25]
    """
    if order == "simultaneous":
        directions = direction(losses, game.players)
        check_shapes(game.players, directions)
        return _moved(game, optimisers, directions, range(len(game.players)))
    for i in range(len(game.players)):
        directions = direction(losses, game.players)
        check_shapes(game.players, directions)
        game = _moved(game, optimisers, directions, [i])
    return game


def check_shapes(players: Players, directions: Players) -> None:
    """Refuse directions whose shapes differ from those of the players.

    Args:
        players: parameters of each.
        directions: of each.

    Raises:
        ValueError: names the player and both shapes.

    Example:
        >>> check_shapes((jnp.zeros(2),), (jnp.zeros(2),))
    """
    for i, (own, way) in enumerate(zip(players, directions, strict=True)):
        ours, theirs = (
            jax.tree.map(lambda a: jnp.shape(a), tree) for tree in (own, way)
        )
        if ours != theirs:
            raise ValueError(
                f"player {i}: parameters have shapes {ours}, but its direction has "
                f"{theirs}"
            )


def _moved(
    game: GameState,
    optimisers: Sequence[optax.GradientTransformation],
    directions: Players,
    moving: Sequence[int] | range,
) -> GameState:
    """Update the players that move."""
    players, states = list(game.players), list(game.optimisers)
    for i in moving:
        updates, states[i] = optimisers[i].update(directions[i], states[i], players[i])
        players[i] = optax.apply_updates(players[i], updates)
    return GameState(tuple(players), tuple(states))
