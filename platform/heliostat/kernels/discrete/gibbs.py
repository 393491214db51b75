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

from itertools import combinations, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
from heliostat.kernels.discrete.target import Target, alternatives, exact_gains, value

NO_GAINS = (0, 0)


def chances(logits: Array) -> Array:
    """e^logits up to a factor; all alike where nothing is possible, to get away."""
    top = jnp.max(logits)
    return jnp.where(top == -jnp.inf, 1.0, jnp.exp(logits - top))


def _plain(target: Target):
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
    init = _plain(target)

    def step(
        key: Array, chain: Chain, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        siting, choosing = jax.random.split(key)
        site = jax.random.randint(siting, (), 0, target.sites)
        others = jax.vmap(init)(neighbours(target, chain.x, site))
        every = jax.tree.map(lambda a, b: jnp.stack([a, *b]), chain, others)
        logits = jax.vmap(lambda c: tilted(c, tilt)[0])(every)
        weights = chances(logits)
        chosen = select(jax.random.uniform(choosing, dtype=logits.dtype), weights)
        hops = jnp.where(chosen > 0, 1, 0).astype(jnp.int32)
        return jax.tree.map(lambda v: v[chosen], every), Info(_one(logits), hops)

    return Kernel(init, step)


def random_scan_metropolis(target: Target) -> Kernel:
    """Random-scan Metropolis: a uniformly drawn site and value, one evaluation."""
    init = _plain(target)

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


def chromatic(target: Target) -> Kernel:
    """Chromatic Gibbs: a sweep that draws all sites of each colour at once.

    Sites of one colour do not interact, so that drawing each from its conditional draws
    them jointly.  A sweep keeps the target stationary, but is not reversible.

    Raises:
        ValueError: for a target without colours.
    """
    if target.colours is None:
        raise ValueError("chromatic Gibbs needs a target whose sites have colours")
    colours = np.asarray(target.colours)
    init = _plain(target)

    def step(
        key: Array, chain: Chain, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        kind = chain.logp.dtype
        u = jax.random.uniform(key, (target.sites, 1), kind)  # each site moves once

        def body(colour: Array, x: Array) -> Array:
            return recolour(target, u, x, colour, tilt)

        # a loop, and not one expression: XLA would evaluate the draws of one colour
        # anew for every neighbour that the next colour has
        x = jax.lax.fori_loop(0, colours.max() + 1, body, chain.x)
        hops = jnp.sum(x != chain.x, dtype=jnp.int32)
        return init(x), Info(_one(chain.logp), hops)

    return Kernel(init, step, reversible=False)


def recolour(
    target: Target,
    u: Array,
    x: Array,
    colour: Array | int,
    tilt: Tilt | None = None,
) -> Array:
    """``x`` with all sites of one colour drawn from their conditionals, by uniform
    numbers (D, 1)."""
    moves = conditionals(target, x, tilt)
    mine = jnp.asarray(target.colours) == colour
    if target.values == 2:
        return jnp.where(mine & (u < moves)[:, 0], 1 - x, x)
    passed = jnp.sum(jnp.cumsum(moves, 1) <= u, 1, dtype=jnp.int32)
    every = jnp.concatenate([alternatives(x, target.values), x[:, None]], 1)
    drawn = jnp.take_along_axis(every, passed[:, None], 1)[:, 0]
    return jnp.where(mine, drawn, x)


def conditionals(target: Target, x: Array, tilt: Tilt | None = None) -> Array:
    """p(x_i moves so | the rest) of every move, (D, K − 1); the rest is staying."""
    gains = exact_gains(target, x)
    _, gains = tilted(Chain(x, jnp.zeros((), gains.dtype), gains), tilt)
    if target.values == 2:
        return jax.nn.sigmoid(gains)
    return jax.nn.softmax(jnp.pad(gains, ((0, 0), (1, 0))), axis=1)[:, 1:]


def block_gibbs(target: Target) -> Kernel:
    """An RBM's hidden units given its visible ones, then the visible ones given them.

    Raises:
        ValueError: for a target that is no RBM.
    """
    if target.weights is None:
        raise ValueError("block Gibbs needs an RBM")
    weights = target.weights
    init = _plain(target)

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
        return init(x), Info(_one(chain.logp), hops)

    return Kernel(init, step, tilts=False)


def _bits(key: Array, logits: Array) -> Array:
    u = jax.random.uniform(key, logits.shape, logits.dtype)
    return u < jax.nn.sigmoid(logits)


def hamming_ball(target: Target, block: int = 10, radius: int = 1) -> Kernel:
    """The Hamming ball sampler on a random block of sites.

    An auxiliary state u is drawn uniformly within ``radius`` changes of x inside the
    block, then x from the target restricted to the ball around u: a Gibbs step on
    (x, u), of Σ_r C(block, r) (K − 1)^r evaluations.

    Raises:
        ValueError: unless 1 ≤ radius ≤ block ≤ D.
    """
    if not 1 <= radius <= block <= target.sites:
        raise ValueError(
            f"block={block}, radius={radius}: expected "
            f"1 <= radius <= block <= {target.sites}, the sites"
        )
    init, shifts = _plain(target), ball(block, radius, target.values)

    def around(x: Array, sites: Array) -> Array:
        """All states within the ball around ``x``, (n, D)."""
        there = (x[sites][None].astype(jnp.int32) + shifts) % target.values
        return jax.vmap(lambda v: x.at[sites].set(v.astype(x.dtype)))(there)

    def step(
        key: Array, chain: Chain, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        siting, shaking, choosing = jax.random.split(key, 3)
        sites = jax.random.choice(siting, target.sites, (block,), replace=False)
        u = around(chain.x, sites)[jax.random.randint(shaking, (), 0, len(shifts))]
        every = jax.vmap(init)(around(u, sites))
        logits = jax.vmap(lambda c: tilted(c, tilt)[0])(every)
        weights = chances(logits)
        chosen = select(jax.random.uniform(choosing, dtype=logits.dtype), weights)
        new = jax.tree.map(lambda v: v[chosen], every)
        hops = jnp.sum(new.x != chain.x, dtype=jnp.int32)
        return new, Info(_one(logits), hops)

    return Kernel(init, step)


def ball(block: int, radius: int, values: int) -> np.ndarray:
    """The shifts of every state in a Hamming ball, (n, block) int32, none first."""
    found = []
    for size in range(radius + 1):
        for sites in combinations(range(block), size):
            for shift in product(range(1, values), repeat=size):
                row = np.zeros(block, np.int32)
                row[list(sites)] = shift
                found.append(row)
    return np.array(found)


def _one(like: Array) -> Array:
    return jnp.ones((), like.dtype)
