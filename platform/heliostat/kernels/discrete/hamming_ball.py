"""The Hamming ball sampler: Gibbs steps among states within a few changes.

Reference: Titsias and Yau, J. Am. Stat. Assoc. 112, 1598 (2017).
"""

from __future__ import annotations

from itertools import combinations, product

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, Int32, Key, UInt8

from heliostat.kernels.discrete.chain import Chain, Info, MarkovKernel, Tilt, tilted
from heliostat.kernels.discrete.gibbs import (
    init_without_gains,
    unit,
    unnormalised_weights,
)
from heliostat.kernels.discrete.moves import Size
from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import State, Target


def hamming_ball(target: Target, block: int = 10, radius: int = 1) -> MarkovKernel:
    """Return the Hamming ball sampler on a random block of sites.

    An auxiliary state u is drawn uniformly within ``radius`` changes of x inside the
    block, then x from the target restricted to the ball around u: a Gibbs step on
    (x, u), of Σ_r C(block, r) (K − 1)^r evaluations.

    Args:
        target: the density.
        block: sites that may change in one step.
        radius: most changes between x and u.

    Returns:
        The sampler; it has no size.

    Raises:
        ValueError: unless 1 ≤ radius ≤ block ≤ D.

    Example:
        >>> from heliostat.kernels import hamming_ball, ising
        >>> kernel = hamming_ball(ising(4, coupling=0.2), block=3)
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> int(info.hops) <= 2  # one to u, one to the new state
        True

    Reference: Titsias and Yau, J. Am. Stat. Assoc. 112, 1598 (2017).
    """
    if not 1 <= radius <= block <= target.sites:
        raise ValueError(
            f"block={block}, radius={radius}: expected "
            f"1 <= radius <= block <= {target.sites}, the sites"
        )
    init, shifts = init_without_gains(target), ball_shifts(block, radius, target.values)

    def around(x: State, sites: Int[Array, " block"]) -> UInt8[Array, "n sites"]:
        """Return all states within the ball around ``x``."""
        others = (x[sites][None].astype(jnp.int32) + shifts) % target.values
        return jax.vmap(lambda v: x.at[sites].set(v.astype(x.dtype)))(others)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        siting, shaking, choosing = jax.random.split(key, 3)
        sites = jax.random.choice(siting, target.sites, (block,), replace=False)
        u = around(chain.x, sites)[jax.random.randint(shaking, (), 0, len(shifts))]
        every = jax.vmap(init)(around(u, sites))
        logits = jax.vmap(lambda c: tilted(c, tilt)[0])(every)
        weights = unnormalised_weights(logits)
        chosen = select(jax.random.uniform(choosing, dtype=logits.dtype), weights)
        new = jax.tree.map(lambda v: v[chosen], every)
        hops = jnp.sum(new.x != chain.x, dtype=jnp.int32)
        return new, Info(unit(logits), hops)

    return MarkovKernel(init, step)


def ball_shifts(block: int, radius: int, values: int) -> Int32[np.ndarray, "n block"]:
    """Return the shift of each site for every state in a Hamming ball.

    Args:
        block: sites that may change.
        radius: most of them that do.
        values: K.

    Returns:
        ``(n, block)`` int32, from 0 to K − 1; the first row is no change.

    Example:
        >>> ball_shifts(block=2, radius=1, values=3).tolist()
        [[0, 0], [1, 0], [2, 0], [0, 1], [0, 2]]
    """
    rows = []
    for size in range(radius + 1):
        for sites in combinations(range(block), size):
            for shift in product(range(1, values), repeat=size):
                row = np.zeros(block, np.int32)
                row[list(sites)] = shift
                rows.append(row)
    return np.array(rows)
