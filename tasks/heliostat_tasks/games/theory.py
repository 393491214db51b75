"""Rate of play near an equilibrium: the spectral radius of the derivative of a round.

A round maps parameters and the states of optimisers to new ones.  Near an equilibrium
that map is linear, and the distance shrinks by its largest |eigenvalue|.  This holds
for every method whose round has a derivative there, which that of ``adam`` and of
``adaptive`` has not.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat_tasks.games.methods import MethodOfPlay, Position
from heliostat_tasks.games.problems.problem import Game

SOURCE = "spectral radius of a round at the equilibrium"


def rate_of_play(problem: Game, method: MethodOfPlay) -> float:
    """Compute the factor per round by which the distance from equilibrium shrinks.

    Args:
        problem: with an equilibrium at zero.
        method: of play.

    Returns:
        ρ; above 1 play diverges. NaN if the round has no derivative.

    Example:
        >>> from heliostat_tasks.games import Games
        >>> task = Games(problem="bilinear", size=1, lr=0.1, beta=0.0, angle=0.0)
        >>> round(rate_of_play(task.problem_instance, task.method_instance), 6)
        1.004988
    """
    if method.name in ("adam", "adaptive") or not problem.has_equilibrium:
        return float("nan")
    with jax.enable_x64(True):
        key, data = jax.random.key(0), problem.data()
        players = jax.tree.map(jnp.zeros_like, problem.start(key, data))
        position = method.begin(players)
        for _ in range(2 * method.period):  # the first rounds of some are special
            position = method.play(problem.losses(key, data), position)
        leaves, tree = jax.tree.flatten(position)

        def after(flat: Array) -> Array:
            position: Position = jax.tree.unflatten(tree, _unravel(flat, leaves))
            for _ in range(method.period):
                position = method.play(problem.losses(key, data), position)
            return _ravel(jax.tree.leaves(position))

        matrix = np.asarray(jax.jacfwd(after)(_ravel(leaves)))
    if not np.isfinite(matrix).all():
        return float("nan")
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    return float(radius ** (1 / method.period))


def _ravel(leaves: list[Any]) -> Array:
    """Return all real numbers of a state; integers, which count, are left out."""
    parts = []
    for leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            parts += [leaf.real.ravel(), leaf.imag.ravel()]
        elif jnp.issubdtype(leaf.dtype, jnp.floating):
            parts.append(leaf.ravel())
    return jnp.concatenate(parts)


def _unravel(flat: Array, like: list[Any]) -> list[Any]:
    """Undo :func:`_ravel`; integers are those of ``like``."""
    leaves, at = [], 0

    def take(leaf: Array) -> Array:
        nonlocal at
        at += leaf.size
        return flat[at - leaf.size : at].reshape(leaf.shape)

    for leaf in like:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            leaves.append(take(leaf) + 1j * take(leaf))
        else:
            real = jnp.issubdtype(leaf.dtype, jnp.floating)
            leaves.append(take(leaf) if real else leaf)
    return leaves
