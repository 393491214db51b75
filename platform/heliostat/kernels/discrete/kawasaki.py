"""Kawasaki's exchanges: two sites swap their values, so that sums stay as they are.

If a density is possible only where a sum has one value ("exactly k of n"), no two
possible states differ at one site: single changes cannot move there, exchanges can.

Reference: Kawasaki, Phys. Rev. 145, 224 (1966).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Key

from heliostat.kernels.discrete.chain import (
    Chain,
    Info,
    MarkovKernel,
    Tilt,
    is_lost,
    metropolis_hastings,
    tilted,
)
from heliostat.kernels.discrete.gibbs import init_without_gains, single_change
from heliostat.kernels.discrete.moves import Size
from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import State, Target


def kawasaki(target: Target) -> MarkovKernel:
    """Return Metropolis over exchanges of two sites with different values.

        a = min(1, π(y) / π(x))

    It samples the target among the states in which each value occurs as often as in the
    first possible state of the chain. A lost chain changes single sites until a state
    is possible. A step costs one evaluation.

    Args:
        target: the density.

    Returns:
        The sampler; it has no size.

    Example:
        >>> from heliostat.kernels import ising, kawasaki
        >>> kernel = kawasaki(ising(4, coupling=0.2))
        >>> start = kernel.init(jnp.arange(16) % 2)
        >>> chain, info = kernel.step(jax.random.key(0), start)
        >>> int(chain.x.sum()), int(info.hops)
        (8, 2)

    Reference: Kawasaki, Phys. Rev. 145, 224 (1966).
    """
    init = init_without_gains(target)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        exchanging, walking, deciding = jax.random.split(key, 3)
        swap = exchanged(exchanging, chain.x)
        change = single_change(jax.random.split(walking), target, chain.x)
        proposed = init(jnp.where(is_lost(chain), change, swap))
        ratio = tilted(proposed, tilt)[0] - tilted(chain, tilt)[0]
        return metropolis_hastings(deciding, chain, proposed, ratio)

    return MarkovKernel(init, step)


def exchanged(key: Key[Array, ""], x: State) -> State:
    """Exchange the values of a random site and of a random one that differs from it.

    The way back is as probable, because the values occur as often as before.

    Args:
        key: key of the two sites.
        x: ``(D,)`` uint8.

    Returns:
        The new state; ``x`` where all sites agree.

    Example:
        >>> exchanged(jax.random.key(0), jnp.array([0, 1], jnp.uint8)).tolist()
        [1, 0]
    """
    first, second = jax.random.split(key)
    i = jax.random.randint(first, (), 0, len(x))
    j = select(jax.random.uniform(second), (x != x[i]).astype(float))
    value, other = x[i], x[j]
    swap = x.at[i].set(other).at[j].set(value)
    return jnp.where(value == other, x, swap)
