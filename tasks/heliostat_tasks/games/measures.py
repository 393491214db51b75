"""Variables of a row: of all players after a round."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool

import heliostat as hs
from heliostat.kernels.games.directions import Losses, Players, joint_gradient
from heliostat_tasks.games.problems.problem import Game

ALWAYS = {
    "losses": hs.Var(("player",), about="loss of each player"),
    "gradient_norm": hs.Var(about="|v|, length of the joint gradient"),
    "diverged": hs.Var(
        dtype="int32", about="1 once play has diverged and stands still"
    ),
}

KNOWN = {"distance": hs.Var(about="distance of all parameters from the equilibrium")}
"""Further variables of games with a known equilibrium."""

LIMIT = 1e12
"""Length of all parameters at which play has diverged."""


def variables(problem: Game) -> dict[str, hs.Var]:
    """Return the variables of a game's rows."""
    known = KNOWN if problem.has_equilibrium else {}
    return known | dict(problem.evaluates) | ALWAYS


def row_of(
    problem: Game, losses: Losses, players: Players, diverged: Array
) -> dict[str, Any]:
    """Measure a game after a round.

    Args:
        problem: the game.
        losses: of the round.
        players: after it.
        diverged: True once play stands still.
    """
    row: dict[str, Any] = {
        "losses": jnp.stack([jnp.asarray(loss(players)) for loss in losses]),
        "gradient_norm": optax.tree.norm(joint_gradient(losses, players)),
        "diverged": diverged.astype(jnp.int32),
    }
    if problem.has_equilibrium:
        row["distance"] = optax.tree.norm(players)
    return row


def is_lost(players: Players) -> Bool[Array, ""]:
    """Return True if parameters are not finite, or longer than the limit."""
    length = optax.tree.norm(players)
    return ~(length < LIMIT)
