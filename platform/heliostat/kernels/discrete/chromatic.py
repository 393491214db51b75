"""Chromatic Gibbs sampling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat.kernels.discrete.chain import Chain, Info, Kernel, Tilt, tilted
from heliostat.kernels.discrete.gibbs import init_without_gains, one
from heliostat.kernels.discrete.target import Target, alternatives, exact_gains


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
    init = init_without_gains(target)

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
        return init(x), Info(one(chain.logp), hops)

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
