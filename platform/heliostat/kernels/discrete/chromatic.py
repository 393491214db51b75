"""Chromatic Gibbs: sweeps that draw all sites of one colour at once.

Sites of one colour do not interact, so that drawing each from its conditional draws
them jointly.  On lattices one sweep costs about as much as one evaluation of the field
and is worth several informed steps: see the exact table in the tests.

Reference: Geman and Geman, IEEE PAMI 6, 721 (1984) [Gibbs].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Key

from heliostat.kernels.discrete.chain import Chain, Info, MarkovKernel, Tilt, tilted
from heliostat.kernels.discrete.gibbs import init_without_gains, unit
from heliostat.kernels.discrete.moves import Size
from heliostat.kernels.discrete.proposals import MAX_GAIN
from heliostat.kernels.discrete.target import (
    Gains,
    State,
    Target,
    alternatives,
    exact_gains,
)


def chromatic(target: Target) -> MarkovKernel:
    """Return chromatic Gibbs: one step draws all sites, colour after colour.

    A sweep keeps the target stationary, but is not reversible.

    Args:
        target: a density whose sites have colours.

    Returns:
        The sampler; it has no size.

    Raises:
        ValueError: for a target without colours.

    Example:
        >>> from heliostat.kernels import chromatic, ising
        >>> kernel = chromatic(ising(4, coupling=0.2))
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> int(info.hops) == int(chain.x.sum()), float(info.acceptance)
        (True, 1.0)
    """
    if target.colours is None:
        raise ValueError("chromatic Gibbs needs a target whose sites have colours")
    colours = np.asarray(target.colours)
    init = init_without_gains(target)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        kind = chain.logp.dtype
        u = jax.random.uniform(key, (target.sites, 1), kind)  # each site moves once

        def body(colour: Int[Array, ""], x: State) -> State:
            return recolour(target, u, x, colour, tilt)

        # a loop, and not one expression: XLA would evaluate the draws of one colour
        # anew for every neighbour that the next colour has
        x = jax.lax.fori_loop(0, colours.max() + 1, body, chain.x)
        hops = jnp.sum(x != chain.x, dtype=jnp.int32)
        return init(x), Info(unit(chain.logp), hops)

    return MarkovKernel(init, step, reversible=False)


def recolour(
    target: Target,
    u: Float[Array, "sites 1"],
    x: State,
    colour: Int[Array, ""] | int,
    tilt: Tilt | None = None,
) -> State:
    """Return ``x`` with all sites of one colour drawn from their conditionals.

    Args:
        target: a density whose sites have colours.
        u: ``(D, 1)`` uniform numbers in [0, 1).
        x: ``(D,)`` uint8.
        colour: colour of the sites to draw.
        tilt: point of the path to a product measure; None is the target.

    Returns:
        The new state, ``(D,)`` uint8.

    Example:
        >>> from heliostat.kernels import independent
        >>> target = independent([100.0, -100.0])
        >>> x = jnp.array([0, 1], jnp.uint8)
        >>> recolour(target, jnp.full((2, 1), 0.5), x, colour=0).tolist()
        [1, 0]
    """
    moves = conditionals(target, x, tilt)
    mine = jnp.asarray(target.colours) == colour
    if target.values == 2:
        return jnp.where(mine & (u < moves)[:, 0], 1 - x, x)
    passed = jnp.sum(jnp.cumsum(moves, 1) <= u, 1, dtype=jnp.int32)
    every = jnp.concatenate([alternatives(x, target.values), x[:, None]], 1)
    drawn = jnp.take_along_axis(every, passed[:, None], 1)[:, 0]
    return jnp.where(mine, drawn, x)


def conditionals(target: Target, x: State, tilt: Tilt | None = None) -> Gains:
    """Return the probability of each move of a site, given the rest.

        P(x_i → (x_i + 1 + k) mod K) = e^Δ[i, k] / (1 + Σ_k e^Δ[i, k])

    Args:
        target: the density.
        x: ``(D,)`` uint8.
        tilt: point of the path to a product measure; None is the target.

    Returns:
        ``(D, K − 1)`` in [0, 1]; what a row lacks of 1 is staying. At an impossible
        state a site moves where that leads out, else to any value.

    Example:
        >>> from heliostat.kernels import independent
        >>> target = independent(np.zeros((2, 4)))
        >>> conditionals(target, jnp.zeros(2, jnp.uint8)).tolist()
        [[0.25, 0.25, 0.25], [0.25, 0.25, 0.25]]
    """
    gains = exact_gains(target, x)
    _, gains = tilted(Chain(x, jnp.zeros((), gains.dtype), gains), tilt)
    if target.values == 2:
        return jax.nn.sigmoid(gains)
    gains = jnp.nan_to_num(gains, nan=-jnp.inf, posinf=MAX_GAIN, neginf=-jnp.inf)
    return jax.nn.softmax(jnp.pad(gains, ((0, 0), (1, 0))), axis=1)[:, 1:]
