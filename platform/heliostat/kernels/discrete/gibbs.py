"""Samplers that need no gradient: the comparators that any other has to beat.

    random_scan_gibbs        one random site from its conditional
    random_scan_metropolis   one random site to another value, accepted or not
    chromatic                all sites of a colour at once, colour after colour: a sweep
    block_gibbs              an RBM's hidden units, then its visible ones
    hamming_ball             from the target within a few changes of a shaken state

On lattices one chromatic sweep costs about as much as one evaluation of the field and
is worth several informed steps: see the exact table in the tests.

References: Geman and Geman, IEEE PAMI 6, 721 (1984) [Gibbs]; Metropolis et al.,
J. Chem. Phys. 21, 1087 (1953); Titsias and Yau, J. Am. Stat. Assoc. 112, 1598 (2017)
[the Hamming ball sampler].
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from heliostat.kernels.discrete.chain import (
    Chain,
    Info,
    Kernel,
    Tilt,
    metropolis_hastings,
    tilted,
)
from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import Target, alternatives, value

NO_GAINS = (0, 0)


def unnormalised_weights(logits: Array) -> Array:
    """e^logits up to a factor; all alike where nothing is possible, to get away."""
    top = jnp.max(logits)
    return jnp.where(top == -jnp.inf, 1.0, jnp.exp(logits - top))


def init_without_gains(target: Target):
    """``init`` of samplers that carry no gains."""

    def init(x: Array) -> Chain:
        f = value(target, x)
        return Chain(x, f, jnp.zeros(NO_GAINS, f.dtype))

    return init


def random_scan_gibbs(target: Target) -> Kernel:
    """Random-scan Gibbs: p(x_i | the rest) of a uniformly drawn site.

    A step costs K − 1 evaluations.

    Example:
        >>> from heliostat.kernels import ising, random_scan_gibbs
        >>> kernel = random_scan_gibbs(ising(4, coupling=0.2))
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = kernel.step(jax.random.key(0), chain)
    """
    init = init_without_gains(target)

    def step(
        key: Array, chain: Chain, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        siting, choosing = jax.random.split(key)
        site = jax.random.randint(siting, (), 0, target.sites)
        others = jax.vmap(init)(neighbours(target, chain.x, site))
        every = jax.tree.map(lambda a, b: jnp.stack([a, *b]), chain, others)
        logits = jax.vmap(lambda c: tilted(c, tilt)[0])(every)
        weights = unnormalised_weights(logits)
        chosen = select(jax.random.uniform(choosing, dtype=logits.dtype), weights)
        hops = jnp.where(chosen > 0, 1, 0).astype(jnp.int32)
        return jax.tree.map(lambda v: v[chosen], every), Info(one(logits), hops)

    return Kernel(init, step)


def random_scan_metropolis(target: Target) -> Kernel:
    """Random-scan Metropolis: a uniformly drawn site and value, one evaluation."""
    init = init_without_gains(target)

    def step(
        key: Array, chain: Chain, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        siting, shifting, deciding = jax.random.split(key, 3)
        site = jax.random.randint(siting, (), 0, target.sites)
        shift = jax.random.randint(shifting, (), 0, target.values - 1)
        there = init(neighbours(target, chain.x, site)[shift])
        ratio = tilted(there, tilt)[0] - tilted(chain, tilt)[0]
        return metropolis_hastings(deciding, chain, there, ratio)

    return Kernel(init, step)


def neighbours(target: Target, x: Array, site: Array) -> Array:
    """The K − 1 states that differ from ``x`` at one site, (K − 1, D)."""
    there = alternatives(x, target.values)[site]
    return jax.vmap(lambda v: x.at[site].set(v))(there)


def block_gibbs(target: Target) -> Kernel:
    """An RBM's hidden units given its visible ones, then the visible ones given them.

    Raises:
        ValueError: for a target that is no RBM.
    """
    if target.weights is None:
        raise ValueError("block Gibbs needs an RBM")
    weights = target.weights
    init = init_without_gains(target)

    def step(
        key: Array, chain: Chain, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        if tilt is not None:
            raise ValueError("block Gibbs cannot be tempered: the path is not an RBM's")
        hiding, showing = jax.random.split(key)
        w, b, c = (jnp.asarray(v, chain.logp.dtype) for v in weights)
        v = chain.x.astype(w.dtype)
        h = _bits(hiding, c + v @ w).astype(w.dtype)
        x = _bits(showing, b + w @ h).astype(chain.x.dtype)
        hops = jnp.sum(x != chain.x, dtype=jnp.int32)
        return init(x), Info(one(chain.logp), hops)

    return Kernel(init, step, tilts=False)


def _bits(key: Array, logits: Array) -> Array:
    u = jax.random.uniform(key, logits.shape, logits.dtype)
    return u < jax.nn.sigmoid(logits)


def one(like: Array) -> Array:
    return jnp.ones((), like.dtype)
