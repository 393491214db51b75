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

TARGET_ACCEPTANCE = 0.525
"""Accepted fraction aimed at: the middle of the field's usual window, 0.50-0.55."""


class Walker(NamedTuple):
    """One Markov chain's position and its log|ψ| there."""

    position: Array  # (n, d), bohr
    logpsi: Array  # ()


def metropolis(
    logpsi: Callable[[Array], Array], key: Array, walker: Walker, width: Array
) -> tuple[Walker, Array]:
    """One move of all particles of one walker.

    Args:
        logpsi: position ``(n, d)`` to log|ψ|.
        key: of this walker and this move.
        walker: where it stands.
        width: standard deviation of the proposal per coordinate, in bohr.

    Returns:
        The walker after the move, and whether it moved.

    Example:
        >>> def logpsi(x):
        ...     return -jnp.sum(x**2)
        >>> start = Walker(jnp.ones((2, 3)), jnp.array(-6.0))
        >>> walker, moved = metropolis(logpsi, jax.random.key(0), start, jnp.array(0.1))
        >>> walker.position.shape, moved.dtype.name
        ((2, 3), 'bool')
    """
    moving, deciding = jax.random.split(key)
    x = walker.position
    proposal = x + width * jax.random.normal(moving, x.shape, x.dtype)
    there = logpsi(proposal)
    chance = jnp.log(jax.random.uniform(deciding, (), x.dtype))
    wins = (chance < 2 * (there - walker.logpsi)) | ~jnp.isfinite(walker.logpsi)
    moves = wins & jnp.isfinite(there)
    pick = lambda new, old: jnp.where(moves, new, old)  # noqa: E731
    return Walker(pick(proposal, x), pick(there, walker.logpsi)), moves


def metropolis_sweep(
    logpsi: Callable[[Array], Array],
    key: Array,
    positions: Array,
    width: Array,
    moves: Array | int,
) -> tuple[Array, Array]:
    """Many moves of many walkers, as one compiled loop.

    Args:
        logpsi: of one walker.
        key: of the whole sweep; walker and move are folded in, so that values do not
            depend on how walkers are laid out over devices.
        positions: ``(walkers, n, d)``, bohr.
        width: of the proposal, bohr.
        moves: how many; may be traced.

    Returns:
        New positions, and each walker's accepted fraction ``(walkers,)``.
    """
    many = jax.vmap(lambda k, w, s: metropolis(logpsi, k, w, s), (0, 0, None))

    def move(i: Array, carry: tuple[Walker, Array]) -> tuple[Walker, Array]:
        walkers, count = carry
        keys = jax.random.split(jax.random.fold_in(key, i), len(positions))
        # move 0 goes nowhere: it finds log|ψ| without a second copy of the program
        walkers, moved = many(keys, walkers, jnp.where(i == 0, 0.0, width))
        return walkers, count + jnp.where(i == 0, 0, moved)

    unknown = jnp.full(len(positions), jnp.nan, positions.dtype)
    start = (Walker(positions, unknown), jnp.zeros(len(positions), jnp.int32))
    walkers, count = jax.lax.fori_loop(0, moves + 1, move, start)
    return walkers.position, count / jnp.asarray(moves, positions.dtype)


def adapt_width(width: Array, accepted: Array, rate: Array | float = 0.1) -> Array:
    """The proposal width after one look at the accepted fraction.

        log w ← log w + rate · (accepted − 0.525)

    For training only: a width that follows the chain breaks detailed balance.

    Example:
        >>> bool(adapt(jnp.array(1.0), jnp.array(0.9)) > 1)
        True
    """
    return width * jnp.exp(rate * (accepted - TARGET_ACCEPTANCE))
