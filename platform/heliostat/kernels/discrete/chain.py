"""One Markov chain over discrete states: its state, its sampler, and its tilt.

Every sampler is a :class:`MarkovKernel`, a pair of pure functions for one chain::

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
from jaxtyping import Bool, Float, Int, Key

from heliostat.kernels.discrete.target import (
    Gains,
    State,
    StateLike,
    differences,
)


class Chain(NamedTuple):
    """A state and the target there, untilted.

    Example:
        >>> chain = Chain(jnp.zeros(2, jnp.uint8), jnp.array(0.0), jnp.ones((2, 1)))
        >>> chain.gains.shape
        (2, 1)
    """

    x: State  # (D,) uint8
    logp: Float[Array, ""]  # f(x)
    gains: Gains  # (D, K - 1); (0, 0) for samplers that do without


class Info(NamedTuple):
    """Diagnostics of one step.

    Example:
        >>> Info(jnp.array(0.5), jnp.array(1)).hops.shape
        ()
    """

    acceptance: Float[
        Array, ""
    ]  # probability of the proposal; NaN if the chain was lost
    hops: Int[Array, ""]  # int32, sites that changed


class Tilt(NamedTuple):
    """A point on the path from a product measure (β = 0) to the target (β = 1).

    Example:
        >>> float(Tilt(jnp.array(0.5), jnp.zeros((9, 2))).beta)
        0.5
    """

    beta: Float[Array, ""]  # β in [0, 1]
    base: Float[Array, "sites values"]  # b, (D, K) log-weights


class Sizes(NamedTuple):
    """The range of a sampler's size (a step size or a radius), and its start.

    Example:
        >>> Sizes(0.2, 1e-3, 1e3).start
        0.2
    """

    start: float  # in the first step of warm-up
    low: float  # lowest
    high: float  # highest


class MarkovKernel(NamedTuple):
    """A sampler of one chain.

    Args:
        init: x (D,) -> :class:`Chain`; x as
            :func:`~heliostat.kernels.discrete.target.as_state` takes it.
        step: (key, chain, size, tilt) -> (chain, info).  ``size`` is ignored by
            samplers that have none, ``tilt`` may be None.
        sizes: None if the sampler has no size.
        proposal: what informed samplers propose, for exact tests; else None.
        reversible: True if detailed balance holds, and not only stationarity.
        tilts: True if the sampler accepts a tilt.

    Example:
        >>> from heliostat.kernels import chromatic, ising
        >>> kernel = chromatic(ising(4, coupling=0.2))
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> chain.x.shape, kernel.reversible
        ((16,), False)
    """

    init: Callable[[StateLike], Any]
    step: Callable[..., tuple[Any, Info]]
    sizes: Sizes | None = None
    proposal: Any = None
    reversible: bool = True
    tilts: bool = True


def tilted(chain: Chain, tilt: Tilt | None) -> tuple[Float[Array, ""], Gains]:
    """Return log p_β and its gains at a chain's state.

        log p_β(x) = β f(x) + (1 − β) Σ_i b[i, x_i]

    Args:
        chain: state, f and gains.
        tilt: β and b; None is the target itself.

    Returns:
        log p_β(x), (), and its gains, ``(D, K − 1)``, or ``(0, 0)`` as in the chain.

    Example:
        >>> chain = Chain(jnp.zeros(2, jnp.uint8), jnp.array(3.0), jnp.ones((2, 1)))
        >>> f, gains = tilted(chain, Tilt(jnp.array(0.5), jnp.zeros((2, 2))))
        >>> float(f), gains.ravel().tolist()
        (1.5, [0.5, 0.5])
    """
    if tilt is None:
        return chain.logp, chain.gains
    beta, base = tilt
    heat = lambda v: jnp.where(beta > 0, beta * v, 0.0)  # noqa: E731  0 · −inf is 0
    f = heat(chain.logp) + (1 - beta) * product(base, chain.x)
    if not chain.gains.size:
        return f, chain.gains
    return f, heat(chain.gains) + (1 - beta) * differences(base, chain.x)


def product(base: Float[Array, "sites values"], x: State) -> Float[Array, ""]:
    """Return the unnormalised log-weight of a product measure, Σ_i b[i, x_i].

    Args:
        base: b, ``(D, K)`` log-weights.
        x: ``(D,)`` uint8.

    Returns:
        The sum, ().

    Example:
        >>> base = jnp.array([[0.0, 1.0], [0.0, 2.0]])
        >>> float(product(base, jnp.array([1, 1], jnp.uint8)))
        3.0
    """
    return jnp.sum(jnp.take_along_axis(base, x[:, None].astype(jnp.int32), 1))


def is_lost(chain: Chain) -> Bool[Array, ""]:
    """Return True if the chain is at a state that its target calls impossible.

    Args:
        chain: state of any sampler that is not tempered.

    Returns:
        () bool: f(x) is −inf, +inf or NaN.

    Example:
        >>> x = jnp.zeros(2, jnp.uint8)
        >>> bool(is_lost(Chain(x, jnp.array(-jnp.inf), jnp.zeros((0, 0)))))
        True
    """
    return ~jnp.isfinite(chain.logp)


def metropolis_hastings(
    key: Key[Array, ""], chain: Chain, proposed: Chain, log_ratio: Float[Array, ""]
) -> tuple[Chain, Info]:
    """Accept a proposal with probability min(1, e^log_ratio).

    An impossible state (−inf or NaN) is never entered, unless the chain is lost, at
    such a state already: then it walks until a state is possible.

    Args:
        key: key of this decision.
        chain: the current state.
        proposed: the proposed state.
        log_ratio: log of π(y) q(y → x) / π(x) q(x → y), ().

    Returns:
        One of the two chains, and the acceptance with the number of changed sites. The
        acceptance is NaN where it says nothing: of a lost chain, or if log p is NaN.

    Example:
        >>> old = Chain(jnp.zeros(2, jnp.uint8), jnp.array(0.0), jnp.ones((2, 1)))
        >>> new = old._replace(x=jnp.ones(2, jnp.uint8))
        >>> chain, info = metropolis_hastings(
        ...     jax.random.key(0), old, new, jnp.array(0.0)
        ... )
        >>> chain.x.tolist(), float(info.acceptance), int(info.hops)
        ([1, 1], 1.0, 2)

    Reference: Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
    """
    f = proposed.logp
    u = jax.random.uniform(key, dtype=log_ratio.dtype)
    wins = (jnp.log1p(-u) <= log_ratio) & jnp.isfinite(f)  # never log 0
    lost = is_lost(chain)
    moves = jnp.where(lost, f < jnp.inf, wins)
    hops = jnp.sum(proposed.x != chain.x, dtype=jnp.int32)
    chance = jnp.where(lost, jnp.nan, jnp.minimum(1.0, jnp.exp(log_ratio)))
    chosen = jax.tree.map(lambda new, old: jnp.where(moves, new, old), proposed, chain)
    return chosen, Info(chance, jnp.where(moves, hops, 0))


def lazy(kernel: MarkovKernel, hold: Float[Array, ""] | float = 0.5) -> MarkovKernel:
    """Return the same sampler, which stays put with probability ``hold`` at each step.

    A sampler that always flips one bit has all chains on states of one parity, so that
    a snapshot across chains is no sample of the target however long they ran: at zero
    coupling it never becomes one.  Holding makes it one, and costs ``hold`` of the
    steps; averages over time do not need it.

    Args:
        kernel: any sampler.
        hold: probability of staying, in [0, 1).

    Returns:
        The lazy sampler.

    Example:
        >>> from heliostat.kernels import gibbs_with_gradients, ising
        >>> kernel = lazy(gibbs_with_gradients(ising(4, coupling=0.2)), hold=1.0)
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> int(info.hops)
        0
    """

    def step(
        key: Key[Array, ""],
        chain: Any,
        size: Float[Array, ""] | float = 1.0,
        tilt: Tilt | None = None,
    ) -> tuple[Any, Info]:
        waiting, moving = jax.random.split(key)
        new, info = kernel.step(moving, chain, size, tilt)
        holds = jax.random.uniform(waiting) < hold
        keep = lambda a, b: jnp.where(holds, a, b)  # noqa: E731
        hops = jnp.where(holds, 0, info.hops)
        return jax.tree.map(keep, chain, new), info._replace(hops=hops)

    return kernel._replace(step=step)
