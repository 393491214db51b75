"""Comparison of momentum, optimistic descent and extragradient, each at its best.

The game is the linear one at an equilibrium.  Every method has its best rate, and its
best |β| or strength.  Extragradient computes two gradients a round, so that factors per
gradient are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Complex, Float

import heliostat as hs
from heliostat.kernels.games.directions import joint_gradient
from heliostat.kernels.games.optima import best_correction, best_momentum
from heliostat.kernels.games.play import Order
from heliostat.kernels.games.radii import (
    Radius,
    alternating_radius,
    extragradient_radius,
    optimistic_radius,
    simultaneous_radius,
)
from heliostat_tasks.games.problems.problem import Game

ANGLES = {"0": 0.0, "π/8": np.pi / 8, "π/4": np.pi / 4, "π/2": np.pi / 2, "π": np.pi}
"""Angles of momentum that are compared, besides the best one."""


class Best(NamedTuple):
    """A method at its best."""

    method: str
    radius: float  # factor per round; 1 or more does not converge
    gradients: int  # of a round
    setting: str  # rate and momentum, or strength

    @property
    def converges(self) -> bool:
        """True if the distance shrinks, by more than rounding."""
        return self.radius < 1 - 1e-6

    @property
    def per_gradient(self) -> float:
        """Factor per gradient of every player."""
        return self.radius ** (1 / self.gradients)


def compare_methods(problem: Game, order: Order) -> list[Best]:
    """Return momentum and two other methods at their best, the fastest first.

    Args:
        problem: a game with a known equilibrium.
        order: of play.

    Raises:
        heliostat.RequestError: for a game without a known equilibrium, and for
            alternating play unless the game is bilinear.

    Example:
        >>> from heliostat_tasks.games import Games
        >>> methods = compare_methods(Games(size=1).problem_instance, "simultaneous")
        >>> methods[0].method, round(methods[0].radius, 2)
        ('optimistic', 0.71)
    """
    if not problem.has_equilibrium:
        raise hs.RequestError("this game has no known equilibrium: nothing to compare")
    game = jacobian_of(problem)
    if order == "simultaneous":
        values = np.linalg.eigvals(game)
        methods = [
            *_momenta(simultaneous_radius(values), values),
            *_corrections(values),
        ]
    else:
        values = _frequencies(problem, game)
        methods = list(_momenta(alternating_radius(values), values))
    return sorted(methods, key=lambda best: best.per_gradient)


def jacobian_of(problem: Game) -> Float[np.ndarray, "n n"]:
    """Compute the Jacobian of the joint gradient at the equilibrium."""
    with jax.enable_x64(True):
        key, data = jax.random.key(0), problem.data()
        players = jax.tree.map(jnp.zeros_like, problem.start(key, data))
        flat, unravel = ravel_pytree(players)
        losses = problem.losses(key, data)

        def gradient(w: jax.Array) -> jax.Array:
            return ravel_pytree(joint_gradient(losses, unravel(w)))[0]

        return np.asarray(jax.jacfwd(gradient)(flat))


def _frequencies(
    problem: Game, game: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, " m"]:
    """Return the singular values of a bilinear game of two players."""
    half = len(game) // 2
    own = game[:half, :half], game[half:, half:]
    across = game[:half, half:]
    zero_sum = np.allclose(across, -game[half:, :half].T)
    if problem.players != 2 or any(np.any(block) for block in own) or not zero_sum:
        raise hs.RequestError(
            "alternating play is compared on bilinear games; leave play out"
        )
    return np.linalg.svd(across, compute_uv=False)


def _momenta(
    radius: Radius, values: Complex[np.ndarray, " n"] | Float[np.ndarray, " n"]
) -> Iterator[Best]:
    """Yield momentum at every angle, and at the best."""
    scale = float(np.abs(values).max())
    for name, angle in {**ANGLES, "best": None}.items():
        best = best_momentum(radius, angle, scale)
        setting = f"lr {best.rate:.4g}, beta {best.beta:.3f}, angle {best.angle:.3f}"
        yield Best(f"momentum, arg β {name}", best.radius, 1, setting)


def _corrections(values: Complex[np.ndarray, " n"]) -> Iterator[Best]:
    """Yield methods that correct the gradient."""
    scale = float(np.abs(values).max())
    for name, radius, gradients in (
        ("optimistic", optimistic_radius, 1),
        ("extragradient", extragradient_radius, 2),
    ):
        best = best_correction(radius(values), scale)
        setting = f"lr {best.rate:.4g}, strength {best.strength:.3f}"
        yield Best(name, best.radius, gradients, setting)
