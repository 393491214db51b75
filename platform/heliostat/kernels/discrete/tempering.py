"""Parallel tempering: hot chains cross barriers, and hand their states down.

Replicas r sample p_β(r) of the path from a product measure to the target; neighbours
exchange states with probability

    min(1, exp[(β_r − β_q) (φ(x_q) − φ(x_r))]),     φ(x) = f(x) − Σ_i b[i, x_i],

pairs (0,1), (2,3), … on even steps and (1,2), (3,4), … on odd ones, which moves states
along the ladder faster than random pairs do.  An exchange costs no evaluation.

References: Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996); Syed et al.,
J. R. Stat. Soc. B 84, 321 (2022) [the alternating scheme].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from heliostat.kernels.discrete.chain import Chain, Info, Kernel, Tilt, product
from heliostat.kernels.discrete.target import Target


class Ladder(NamedTuple):
    """One chain per rung; rung 0 is the target's."""

    chains: Chain  # each leaf (rungs, ...)
    odd: Array  # () bool, which pairs are next
    swaps: Array  # (rungs - 1,) probability with which each pair would exchange


def geometric_betas(rungs: int, coldest: float = 1.0, hottest: float = 0.1) -> Array:
    """Inverse temperatures from the target's down, evenly spaced in their logarithm.

    Example:
        >>> ladder(3, hottest=0.25)
        Array([1.  , 0.5 , 0.25], dtype=float32)
    """
    if rungs < 2 or not 0 < hottest < coldest:
        raise ValueError(
            f"a ladder of {rungs} rungs from {coldest} to {hottest}: expected at least "
            "2, falling and positive"
        )
    return jnp.geomspace(coldest, hottest, rungs)


def tempered(
    kernel: Kernel, target: Target, betas: ArrayLike, base: ArrayLike | None = None
) -> Kernel:
    """Parallel tempering around any sampler that can be tilted.

    Args:
        kernel: what moves each rung.
        target: what the kernel samples.
        betas: (rungs,) inverse temperatures, the first one 1.
        base: (D, K) log-weights of the product measure; default uniform.

    Returns:
        A kernel whose state is a :class:`Ladder`; its info is rung 0's.

    Raises:
        ValueError: for a sampler that cannot be tilted.
    """
    if not kernel.tilts:
        raise ValueError("this sampler cannot be tempered: it knows the target only")
    shape = (target.sites, target.values)
    weights = np.zeros(shape) if base is None else base
    rungs = np.shape(betas)[0]

    def init(x: Array) -> Ladder:
        one = kernel.init(x)
        chains = jax.tree.map(lambda v: jnp.stack([v] * rungs), one)
        return Ladder(chains, jnp.array(False), jnp.zeros(rungs - 1))

    def step(
        key: Array, state: Ladder, size: Any = 1.0, tilt: Tilt | None = None
    ) -> tuple[Ladder, Info]:
        moving, swapping = jax.random.split(key)
        keys = jax.random.split(moving, rungs)
        kind = state.chains.logp.dtype
        heat, flat = jnp.asarray(betas, kind), jnp.asarray(weights, kind)
        move = lambda k, c, b: kernel.step(k, c, size, Tilt(b, flat))  # noqa: E731
        chains, info = jax.vmap(move)(keys, state.chains, heat)
        order, chances = exchange_order(swapping, chains, heat, flat, state.odd)
        chains = jax.tree.map(lambda v: v[order], chains)
        hops = jnp.sum(chains.x[0] != state.chains.x[0], dtype=jnp.int32)
        return Ladder(chains, ~state.odd, chances), Info(info.acceptance[0], hops)

    return Kernel(init, step, kernel.sizes, reversible=False, tilts=False)


def exchange_order(
    key: Array, chains: Chain, betas: Array, base: Array, odd: Array
) -> tuple[Array, Array]:
    """Which rung each rung's new state comes from (rungs,), and the probability with
    which each pair of neighbours would exchange (rungs − 1,), tried or not: the mean of
    all is the same, and half the noise of those tried."""
    phi = chains.logp - jax.vmap(product, (None, 0))(base, chains.x)
    ratio = (betas[:-1] - betas[1:]) * (phi[1:] - phi[:-1])
    pairs = jnp.arange(len(betas) - 1)
    ratio = jnp.where(jnp.isnan(ratio), -jnp.inf, ratio)  # between impossible states
    chances = jnp.minimum(1.0, jnp.exp(ratio))
    draws = 1 - jax.random.uniform(key, chances.shape, chances.dtype)
    swaps = (pairs % 2 == odd) & (draws <= chances)
    up = jnp.pad(swaps, (0, 1)).astype(jnp.int32)  # rung r takes from r + 1
    down = jnp.pad(swaps, (1, 0)).astype(jnp.int32)
    return jnp.arange(len(betas)) + up - down, chances


def target_chain(state: Chain | Ladder) -> Chain:
    """The chain that samples the target itself."""
    if isinstance(state, Ladder):
        return jax.tree.map(lambda v: v[0], state.chains)
    return state
