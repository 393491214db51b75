"""Random-walk Metropolis for |ψ|², one walker at a time.

    x' = x + w ε,   ε ~ N(0, 1),   accept with min(1, |ψ(x')/ψ(x)|²)

satisfies detailed balance, |ψ(x)|² P(x → x') = |ψ(x')|² P(x' → x), since the proposal
is symmetric.  A point where ψ vanishes or is not finite is never entered.

Reference: Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

TARGET_ACCEPTANCE = 0.525
"""Accepted fraction aimed at: the middle of the field's usual window, 0.50-0.55."""

LogPsi = Callable[[Array], Array]
"""Position (n, d) -> log|ψ|, ()."""


class Walker(NamedTuple):
    """One Markov chain's position and its log|ψ| there.

    Example:
        >>> Walker(jnp.zeros((2, 3)), jnp.array(0.0)).position.shape
        (2, 3)
    """

    position: Float[Array, "n d"]  # bohr
    logpsi: Float[Array, ""]  # log|ψ|


def metropolis(
    logpsi: LogPsi, key: Key[Array, ""], walker: Walker, width: Float[Array, ""]
) -> tuple[Walker, Bool[Array, ""]]:
    """Propose one move of all particles of one walker, and accept or reject it.

        x' = x + w ε,   ε ~ N(0, 1),   accept with min(1, |ψ(x')/ψ(x)|²)

    Args:
        logpsi: position ``(n, d)`` to log|ψ|.
        key: key of this walker and this move.
        walker: its position and log|ψ| before the move.
        width: w, standard deviation of the proposal per coordinate, bohr.

    Returns:
        The walker after the move, and True if it moved.

    Example:
        >>> def logpsi(x):
        ...     return -jnp.sum(x**2)
        >>> start = Walker(jnp.ones((2, 3)), jnp.array(-6.0))
        >>> walker, moved = metropolis(logpsi, jax.random.key(0), start, jnp.array(0.1))
        >>> walker.position.shape, moved.dtype.name
        ((2, 3), 'bool')

    Reference: Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
    """
    moving, deciding = jax.random.split(key)
    x = walker.position
    proposal = x + width * jax.random.normal(moving, x.shape, x.dtype)
    proposed = logpsi(proposal)
    chance = jnp.log(jax.random.uniform(deciding, (), x.dtype))
    wins = (chance < 2 * (proposed - walker.logpsi)) | ~jnp.isfinite(walker.logpsi)
    moves = wins & jnp.isfinite(proposed)
    pick = lambda new, old: jnp.where(moves, new, old)  # noqa: E731
    return Walker(pick(proposal, x), pick(proposed, walker.logpsi)), moves


def metropolis_sweep(
    logpsi: LogPsi,
    key: Key[Array, ""],
    positions: Float[Array, "walkers n d"],
    width: Float[Array, ""],
    moves: Int[Array, ""] | int,
) -> tuple[Float[Array, "walkers n d"], Float[Array, " walkers"]]:
    """Make many moves of many walkers, as one compiled loop.

    Args:
        logpsi: function of one walker, position ``(n, d)`` to log|ψ|.
        key: key of the whole sweep; walker and move are folded in, so that values do
            not depend on the layout of walkers over devices.
        positions: ``(walkers, n, d)``, bohr.
        width: width of the proposal, bohr.
        moves: moves of each walker; may be traced.

    Returns:
        New positions, and each walker's accepted fraction ``(walkers,)``.

    Example:
        >>> def logpsi(x):
        ...     return -jnp.sum(x**2)
        >>> start, width = jnp.zeros((8, 2, 3)), jnp.array(0.3)
        >>> x, accepted = metropolis_sweep(logpsi, jax.random.key(0), start, width, 5)
        >>> x.shape, bool(((0 <= accepted) & (accepted <= 1)).all())
        ((8, 2, 3), True)
    """
    many = jax.vmap(lambda k, w, s: metropolis(logpsi, k, w, s), (0, 0, None))

    def move(
        i: Int[Array, ""], carry: tuple[Walker, Int[Array, " walkers"]]
    ) -> tuple[Walker, Int[Array, " walkers"]]:
        walkers, count = carry
        keys = jax.random.split(jax.random.fold_in(key, i), len(positions))
        # move 0 goes nowhere: it computes log|ψ| without a second copy of the program
        walkers, moved = many(keys, walkers, jnp.where(i == 0, 0.0, width))
        return walkers, count + jnp.where(i == 0, 0, moved)

    unknown = jnp.full(len(positions), jnp.nan, positions.dtype)
    start = (Walker(positions, unknown), jnp.zeros(len(positions), jnp.int32))
    walkers, count = jax.lax.fori_loop(0, moves + 1, move, start)
    return walkers.position, count / jnp.asarray(moves, positions.dtype)


def adapt_width(
    width: Float[Array, ""],
    accepted: Float[Array, ""],
    rate: Float[Array, ""] | float = 0.1,
) -> Float[Array, ""]:
    """Return the proposal width after one look at the accepted fraction.

        log w ← log w + rate · (accepted − 0.525)

    For training only: a width that follows the chain breaks detailed balance.

    Args:
        width: w, bohr.
        accepted: accepted fraction, in [0, 1].
        rate: change of log w per unit of acceptance.

    Returns:
        The new width, bohr.

    Example:
        >>> width = adapt_width(jnp.array(1.0), jnp.array(0.9))
        >>> bool(width > 1)
        True
    """
    return width * jnp.exp(rate * (accepted - TARGET_ACCEPTANCE))
