"""The Hamming ball sampler."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat.kernels.discrete.chain import Chain, Info, Kernel, Tilt, tilted
from heliostat.kernels.discrete.gibbs import (
    init_without_gains,
    one,
    unnormalised_weights,
)
from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import Target


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
    init, shifts = init_without_gains(target), ball_shifts(block, radius, target.values)

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
        weights = unnormalised_weights(logits)
        chosen = select(jax.random.uniform(choosing, dtype=logits.dtype), weights)
        new = jax.tree.map(lambda v: v[chosen], every)
        hops = jnp.sum(new.x != chain.x, dtype=jnp.int32)
        return new, Info(one(logits), hops)

    return Kernel(init, step)


def ball_shifts(block: int, radius: int, values: int) -> np.ndarray:
    """The shifts of every state in a Hamming ball, (n, block) int32, none first."""
    found = []
    for size in range(radius + 1):
        for sites in combinations(range(block), size):
            for shift in product(range(1, values), repeat=size):
                row = np.zeros(block, np.int32)
                row[list(sites)] = shift
                found.append(row)
    return np.array(found)
