"""Metropolis-Hastings for |ψ|², one walker at a time.

A proposal x' drawn from q(x → x') is accepted with

    min(1, |ψ(x')/ψ(x)|² q(x' → x)/q(x → x'))

which satisfies detailed balance.  A point where ψ vanishes or is not finite is never
entered.

References: Metropolis et al., J. Chem. Phys. 21, 1087 (1953); W. K. Hastings,
Biometrika 57, 97 (1970).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from heliostat.kernels.vmc.proposals import (
    Move,
    Nuclei,
    nucleus_hop,
    small_step,
    spin_swap,
)

TARGET_ACCEPTANCE = 0.35
"""Accepted fraction of small steps aimed at, between the best of one dimension, 0.44,
and of many, 0.234 (Roberts et al., Ann. Appl. Probab. 7, 110 (1997))."""

PERIOD = 6
"""Moves from one hop or swap to the next; small steps lie between."""

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
    logpsi: LogPsi, key: Key[Array, ""], walker: Walker, proposal: Move
) -> tuple[Walker, Bool[Array, ""]]:
    """Accept a proposed move of one walker, or reject it.

        accept with min(1, |ψ(x')/ψ(x)|² q(x' → x)/q(x → x'))

    Args:
        logpsi: position ``(n, d)`` to log|ψ|.
        key: key of this decision.
        walker: its position and log|ψ| before the move.
        proposal: where it may go.

    Returns:
        The walker after the move, and True if it moved.

    Example:
        >>> def logpsi(x):
        ...     return -jnp.sum(x**2)
        >>> start = Walker(jnp.ones((2, 3)), jnp.array(-6.0))
        >>> inwards = Move(jnp.zeros((2, 3)), jnp.array(0.0))
        >>> walker, moved = metropolis(logpsi, jax.random.key(0), start, inwards)
        >>> bool(moved)
        True

    Reference: W. K. Hastings, Biometrika 57, 97 (1970).
    """
    proposed = logpsi(proposal.position)
    chance = jnp.log(jax.random.uniform(key, (), proposed.dtype))
    gain = 2 * (proposed - walker.logpsi) + proposal.log_ratio
    moves = ((chance < gain) | ~jnp.isfinite(walker.logpsi)) & jnp.isfinite(proposed)
    pick = lambda new, old: jnp.where(moves, new, old)  # noqa: E731
    position = pick(proposal.position, walker.position)
    return Walker(position, pick(proposed, walker.logpsi)), moves


def metropolis_sweep(
    logpsi: LogPsi,
    key: Key[Array, ""],
    positions: Float[Array, "walkers n d"],
    width: Float[Array, ""],
    moves: Int[Array, ""] | int,
    nuclei: Nuclei | None = None,
    up: int | None = None,
) -> tuple[Float[Array, "walkers n d"], Float[Array, " walkers"]]:
    """Make many moves of many walkers, as one compiled loop.

    Before the first small step and every fifth, a walker tries a hop between nuclei or
    a swap of two spins, so that none stays in a part of space where it started.

    Args:
        logpsi: function of one walker, position ``(n, d)`` to log|ψ|.
        key: key of the whole sweep; walker and move are folded in, so that values do
            not depend on the layout of walkers over devices.
        positions: ``(walkers, n, d)``, bohr.
        width: width of small steps, see :func:`small_step`.
        moves: small steps of each walker; may be traced.
        nuclei: centres of the density; hops need two.
        up: electrons of spin up, which come first; swaps need both spins.

    Returns:
        New positions, and the accepted fraction of each walker's small steps.

    Example:
        >>> def logpsi(x):
        ...     return -jnp.sum(x**2)
        >>> start, width = jnp.zeros((8, 2, 3)), jnp.array(0.3)
        >>> x, accepted = metropolis_sweep(logpsi, jax.random.key(0), start, width, 5)
        >>> x.shape, bool(((0 <= accepted) & (accepted <= 1)).all())
        ((8, 2, 3), True)
    """
    jumps = _jumps(nuclei, up, positions.shape[1])

    def move_one(
        key: Key[Array, ""],
        walker: Walker,
        i: Int[Array, ""],
        width: Float[Array, ""],
    ) -> tuple[Walker, Bool[Array, ""]]:
        moving, jumping, deciding = jax.random.split(key, 3)
        proposal = small_step(moving, walker.position, width, nuclei)
        if jumps:
            jump = _either(jumping, walker.position, jumps)
            proposal = _where(i % PERIOD == 1, jump, proposal)
        stay = Move(walker.position, jnp.zeros_like(proposal.log_ratio))
        # move 0 goes nowhere: it computes log|ψ| without a second copy of the program
        return metropolis(logpsi, deciding, walker, _where(i == 0, stay, proposal))

    def move(
        i: Int[Array, ""], carry: tuple[Walker, Int[Array, " walkers"]]
    ) -> tuple[Walker, Int[Array, " walkers"]]:
        walkers, count = carry
        keys = jax.random.split(jax.random.fold_in(key, i), len(positions))
        many = jax.vmap(move_one, (0, 0, None, None))
        walkers, moved = many(keys, walkers, i, width)
        apart = (i == 0) | ((i % PERIOD == 1) if jumps else False)
        return walkers, count + jnp.where(apart, 0, moved)

    extra = -(-moves // (PERIOD - 1)) if jumps else 0
    unknown = jnp.full(len(positions), jnp.nan, positions.dtype)
    start = (Walker(positions, unknown), jnp.zeros(len(positions), jnp.int32))
    walkers, count = jax.lax.fori_loop(0, moves + extra + 1, move, start)
    return walkers.position, count / jnp.asarray(moves, positions.dtype)


Jump = Callable[[Array, Array], Move]


def _jumps(nuclei: Nuclei | None, up: int | None, electrons: int) -> list[Jump]:
    """List the moves other than small steps that make sense."""
    jumps: list[Jump] = []
    if nuclei is not None and len(nuclei.charges) > 1:
        jumps.append(lambda key, x: nucleus_hop(key, x, nuclei))
    if up is not None and 0 < up < electrons:
        jumps.append(lambda key, x: spin_swap(key, x, up))
    return jumps


def _either(key: Key[Array, ""], x: Float[Array, "n d"], jumps: list[Jump]) -> Move:
    """Propose one of one or two jumps, by a coin that does not look at x."""
    coin, *keys = jax.random.split(key, 3)
    first, *rest = (jump(k, x) for jump, k in zip(jumps, keys, strict=False))
    return _where(jax.random.bernoulli(coin), first, rest[0]) if rest else first


def _where(condition: Bool[Array, ""], yes: Move, no: Move) -> Move:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def adapt_width(
    width: Float[Array, ""],
    accepted: Float[Array, ""],
    rate: Float[Array, ""] | float = 0.1,
) -> Float[Array, ""]:
    """Return the proposal width after one look at the accepted fraction.

        log w ← log w + rate · (accepted − 0.35)

    For training only: a width that follows the chain breaks detailed balance.

    Args:
        width: w, in any unit.
        accepted: accepted fraction of small steps, in [0, 1].
        rate: change of log w per unit of acceptance.

    Returns:
        The new width.

    Example:
        >>> width = adapt_width(jnp.array(1.0), jnp.array(0.9))
        >>> bool(width > 1)
        True
    """
    return width * jnp.exp(rate * (accepted - TARGET_ACCEPTANCE))
