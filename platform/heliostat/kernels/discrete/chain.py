"""One Markov chain over discrete states: what it carries, and how it may be tilted.

Every sampler here is a :class:`Kernel`, a pair of pure functions for one chain::

    chain = kernel.init(x)
    chain, info = kernel.step(key, chain, size, tilt)

A chain carries (x, f, Δ): f(x) and its gains, which are ∇f(x) restated, so that a
step evaluates the target only at its proposal: one value-and-gradient.  A tilt makes it
a sampler of the geometric path between a product measure and the target,

    log p_β(x) = β f(x) + (1 − β) Σ_i b[i, x_i],

without another evaluation, since f and gains enter linearly: that is what tempering and
annealing need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from heliostat.kernels.discrete.target import differences


class Chain(NamedTuple):
    """A state and the target there, untilted."""

    x: Array  # (D,) uint8
    logp: Array  # ()
    gains: Array  # (D, K - 1); (0, 0) for samplers that do without


class Info(NamedTuple):
    """What a person wants to know of a step."""

    acceptance: Array  # () probability with which the proposal was accepted
    hops: Array  # () int32, sites that changed


class Tilt(NamedTuple):
    """A point on the path from a product measure (β = 0) to the target (β = 1)."""

    beta: Array  # ()
    base: Array  # (D, K) log-weights


class Sizes(NamedTuple):
    """The range of a sampler's size (a step size or a radius), and where it starts."""

    start: float
    low: float
    high: float


class Kernel(NamedTuple):
    """A sampler of one chain.

    Args:
        init: x (D,) integers -> :class:`Chain`.
        step: (key, chain, size, tilt) -> (chain, info).  ``size`` is ignored by
            samplers that have none, ``tilt`` may be None.
        sizes: None if the sampler has no size.
        proposal: what informed samplers propose, for exact tests; else None.
        reversible: whether detailed balance holds, and not only stationarity.
        tilts: whether a tilt is possible.
    """

    init: Callable[[Array], Any]
    step: Callable[..., tuple[Any, Info]]
    sizes: Sizes | None = None
    proposal: Any = None
    reversible: bool = True
    tilts: bool = True


def tilted(chain: Chain, tilt: Tilt | None) -> tuple[Array, Array]:
    """log p_β and its gains at a chain's state."""
    if tilt is None:
        return chain.logp, chain.gains
    beta, base = tilt
    heat = lambda v: jnp.where(beta > 0, beta * v, 0.0)  # noqa: E731  0 · −inf is 0
    f = heat(chain.logp) + (1 - beta) * product(base, chain.x)
    if not chain.gains.size:
        return f, chain.gains
    return f, heat(chain.gains) + (1 - beta) * differences(base, chain.x)


def product(base: Array, x: Array) -> Array:
    """Σ_i base[i, x_i]: the unnormalised log-weight of a product measure, ()."""
    return jnp.sum(jnp.take_along_axis(base, x[:, None].astype(jnp.int32), 1))


def metropolis_hastings(
    key: Array, chain: Chain, proposed: Chain, log_ratio: Array
) -> tuple[Chain, Info]:
    """Accept with min(1, exp(log_ratio)); nothing impossible (−inf) is entered, unless
    the chain is at such a state already: then it walks until something is possible."""
    f = proposed.logp
    u = jax.random.uniform(key, dtype=log_ratio.dtype)
    wins = (jnp.log1p(-u) <= log_ratio) & jnp.isfinite(f)  # never log 0
    lost = ~jnp.isfinite(chain.logp)
    moves = jnp.where(lost, f < jnp.inf, wins)
    hops = jnp.sum(proposed.x != chain.x, dtype=jnp.int32)
    chance = jnp.where(jnp.isnan(log_ratio), 0.0, jnp.minimum(1.0, jnp.exp(log_ratio)))
    chosen = jax.tree.map(lambda new, old: jnp.where(moves, new, old), proposed, chain)
    return chosen, Info(chance, jnp.where(moves, hops, 0))


def lazy(kernel: Kernel, hold: float = 0.5) -> Kernel:
    """The same sampler, staying where it is with probability ``hold`` at each step.

    A sampler that always flips one bit has all chains on states of one parity, so that
    a snapshot across chains is no sample of the target however long they ran: at zero
    coupling it never becomes one.  Holding makes it one, and costs ``hold`` of the
    steps; averages over time do not need it.

    Example:
        >>> lazy(gibbs_with_gradients(ising(4, 0.2)), hold=0.1)  # doctest: +SKIP
    """

    def step(key: Array, chain: Any, size: Any = 1.0, tilt: Tilt | None = None) -> Any:
        waiting, moving = jax.random.split(key)
        new, info = kernel.step(moving, chain, size, tilt)
        holds = jax.random.uniform(waiting) < hold
        keep = lambda a, b: jnp.where(holds, a, b)  # noqa: E731
        hops = jnp.where(holds, 0, info.hops)
        return jax.tree.map(keep, chain, new), info._replace(hops=hops)

    return kernel._replace(step=step)
