"""Parallel tempering: hot chains cross barriers and exchange states with cold ones.

Replicas r sample p_β(r) of the path from a product measure to the target; neighbours
exchange states with probability

    min(1, exp[(β_r − β_q) (φ(x_q) − φ(x_r))]),     φ(x) = f(x) − Σ_i b[i, x_i],

pairs (0,1), (2,3), … on even steps and (1,2), (3,4), … on odd ones, which moves states
along the ladder faster than random pairs do.  An exchange costs no evaluation.

References: Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996); Syed et al.,
J. R. Stat. Soc. B 84, 321 (2022) [the alternating scheme].
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Key
from numpy.typing import ArrayLike

from heliostat.kernels.discrete.chain import Chain, Info, MarkovKernel, Tilt, product
from heliostat.kernels.discrete.target import StateLike, Target


class Ladder(NamedTuple):
    """One chain per rung; rung 0 is the target's.

    Example:
        >>> from heliostat.kernels import informed, ising
        >>> target = ising(3, coupling=0.2)
        >>> kernel = tempered(informed(target), target, geometric_betas(4))
        >>> kernel.init(jnp.zeros(9, jnp.uint8)).swaps.shape
        (3,)
    """

    chains: Chain  # each leaf (rungs, ...)
    odd: Bool[Array, ""]  # True if pairs (1,2), (3,4), … are next
    swaps: Float[Array, " pairs"]  # probability with which each pair would exchange


def geometric_betas(
    rungs: int, coldest: float = 1.0, hottest: float = 0.1
) -> Float[Array, " rungs"]:
    """Return inverse temperatures, evenly spaced in their logarithm.

        β_r = β₀ (β_R / β₀)^(r / R),      r = 0 … R

    Args:
        rungs: R + 1, how many.
        coldest: β₀, of the target.
        hottest: β_R.

    Returns:
        ``(rungs,)``, falling.

    Raises:
        ValueError: for fewer than two rungs, or unless 0 < hottest < coldest.

    Example:
        >>> geometric_betas(3, hottest=0.25).round(3).tolist()
        [1.0, 0.5, 0.25]
    """
    if rungs < 2 or not 0 < hottest < coldest:
        raise ValueError(
            f"a ladder of {rungs} rungs from {coldest} to {hottest}: expected at least "
            "2, falling and positive"
        )
    return jnp.geomspace(coldest, hottest, rungs)


def tempered(
    kernel: MarkovKernel,
    target: Target,
    betas: ArrayLike,
    base: ArrayLike | None = None,
) -> MarkovKernel:
    """Return parallel tempering around any sampler that can be tilted.

        a = min(1, exp[(β_r − β_q) (φ(x_q) − φ(x_r))])

    Args:
        kernel: moves each rung.
        target: the density that the kernel samples.
        betas: ``(rungs,)`` inverse temperatures, the first one 1.
        base: ``(D, K)`` log-weights of the product measure; default uniform.

    Returns:
        A kernel whose state is a :class:`Ladder`; its info is rung 0's.

    Raises:
        ValueError: for a sampler that cannot be tilted.

    Example:
        >>> from heliostat.kernels import informed, ising
        >>> target = ising(3, coupling=0.2)
        >>> kernel = tempered(informed(target), target, geometric_betas(4))
        >>> ladder = kernel.init(jnp.zeros(9, jnp.uint8))
        >>> ladder, info = jax.jit(kernel.step)(jax.random.key(0), ladder)
        >>> ladder.chains.x.shape, target_chain(ladder).x.shape, info.hops.shape
        ((4, 9), (9,), ())

    Reference: Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996).
    """
    if not kernel.tilts:
        raise ValueError("this sampler cannot be tempered: it knows the target only")
    shape = (target.sites, target.values)
    weights = np.zeros(shape) if base is None else base
    rungs = np.shape(betas)[0]

    def init(x: StateLike) -> Ladder:
        chain = kernel.init(x)
        chains = jax.tree.map(lambda v: jnp.stack([v] * rungs), chain)
        return Ladder(chains, jnp.array(False), jnp.zeros(rungs - 1))

    def step(
        key: Key[Array, ""],
        state: Ladder,
        size: Float[Array, ""] | float = 1.0,
        tilt: Tilt | None = None,
    ) -> tuple[Ladder, Info]:
        moving, swapping = jax.random.split(key)
        keys = jax.random.split(moving, rungs)
        kind = state.chains.logp.dtype
        heat, flat = jnp.asarray(betas, kind), jnp.asarray(weights, kind)
        move = lambda k, c, b: kernel.step(k, c, size, Tilt(b, flat))  # noqa: E731
        chains, info = jax.vmap(move)(keys, state.chains, heat)
        order, probs = exchange_order(swapping, chains, heat, flat, state.odd)
        chains = jax.tree.map(lambda v: v[order], chains)
        hops = jnp.sum(chains.x[0] != state.chains.x[0], dtype=jnp.int32)
        return Ladder(chains, ~state.odd, probs), Info(info.acceptance[0], hops)

    return MarkovKernel(init, step, kernel.sizes, reversible=False, tilts=False)


def exchange_order(
    key: Key[Array, ""],
    chains: Chain,
    betas: Float[Array, " rungs"],
    base: Float[Array, "sites values"],
    odd: Bool[Array, ""],
) -> tuple[Int[Array, " rungs"], Float[Array, " pairs"]]:
    """Return the rung of each rung's new state, and the exchange probabilities.

    The probabilities are those of all pairs, tried or not: their mean is that of the
    pairs tried, with half the noise.

    Args:
        key: key of the decisions.
        chains: one per rung, each leaf ``(rungs, ...)``.
        betas: ``(rungs,)`` inverse temperatures.
        base: ``(D, K)`` log-weights of the product measure.
        odd: () bool, True tries pairs (1,2), (3,4), …, else (0,1), (2,3), …

    Returns:
        ``(rungs,)`` indices, and ``(rungs − 1,)`` probabilities of pairs of neighbours.

    Example:
        >>> x, gains = jnp.zeros((2, 3), jnp.uint8), jnp.zeros((2, 0, 0))
        >>> chains = Chain(x, jnp.array([0.0, 9.0]), gains)  # the hot one is ahead
        >>> betas, base = jnp.array([1.0, 0.1]), jnp.zeros((3, 2))
        >>> key, odd = jax.random.key(0), jnp.array(False)
        >>> order, probs = exchange_order(key, chains, betas, base, odd)
        >>> order.tolist(), probs.tolist()
        ([1, 0], [1.0])

    Reference: Syed et al., J. R. Stat. Soc. B 84, 321 (2022) [alternating pairs].
    """
    phi = chains.logp - jax.vmap(product, (None, 0))(base, chains.x)
    ratio = (betas[:-1] - betas[1:]) * (phi[1:] - phi[:-1])
    pairs = jnp.arange(len(betas) - 1)
    ratio = jnp.where(jnp.isnan(ratio), -jnp.inf, ratio)  # between impossible states
    probs = jnp.minimum(1.0, jnp.exp(ratio))
    draws = 1 - jax.random.uniform(key, probs.shape, probs.dtype)
    swaps = (pairs % 2 == odd) & (draws <= probs)
    up = jnp.pad(swaps, (0, 1)).astype(jnp.int32)  # rung r takes from r + 1
    down = jnp.pad(swaps, (1, 0)).astype(jnp.int32)
    return jnp.arange(len(betas)) + up - down, probs


def target_chain(state: Chain | Ladder) -> Chain:
    """Return the chain that samples the target itself.

    Args:
        state: state of any sampler, tempered or not.

    Returns:
        Rung 0 of a ladder, or the chain as it is.

    Example:
        >>> chain = Chain(jnp.zeros(2, jnp.uint8), jnp.array(0.0), jnp.zeros((0, 0)))
        >>> target_chain(chain) is chain
        True
    """
    if isinstance(state, Ladder):
        return jax.tree.map(lambda v: v[0], state.chains)
    return state
