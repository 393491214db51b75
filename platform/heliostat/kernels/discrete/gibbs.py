"""Samplers that need no gradient: the baselines of all others.

    random_scan_gibbs        one random site from its conditional
    random_scan_metropolis   one random site to another value, accepted or not
    block_gibbs              an RBM's hidden units, then its visible ones

:mod:`~heliostat.kernels.discrete.chromatic` and
:mod:`~heliostat.kernels.discrete.hamming_ball` draw many sites at once.

References: Geman and Geman, IEEE PAMI 6, 721 (1984) [Gibbs]; Metropolis et al.,
J. Chem. Phys. 21, 1087 (1953).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key, UInt8

from heliostat.kernels.discrete.chain import (
    Chain,
    Info,
    MarkovKernel,
    Tilt,
    metropolis_hastings,
    tilted,
)
from heliostat.kernels.discrete.moves import Size
from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import (
    State,
    StateLike,
    Target,
    alternatives,
    as_state,
    value,
)

NO_GAINS = (0, 0)


def unnormalised_weights(logits: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return e^logits up to a factor; all ones where nothing is possible.

    Equal weights let a chain leave an impossible state.

    Args:
        logits: ``(n,)``, −inf for what is impossible.

    Returns:
        ``(n,)``, the largest one 1.

    Example:
        >>> unnormalised_weights(jnp.array([-jnp.inf, 2.0])).tolist()
        [0.0, 1.0]
        >>> unnormalised_weights(jnp.array([-jnp.inf, -jnp.inf])).tolist()
        [1.0, 1.0]
    """
    top = jnp.max(logits)
    return jnp.where(top == -jnp.inf, 1.0, jnp.exp(logits - top))


def init_without_gains(target: Target) -> Callable[[StateLike], Chain]:
    """Return the ``init`` of samplers that carry no gains.

    Args:
        target: the density.

    Returns:
        x (D,) -> :class:`Chain`, with gains of shape (0, 0).

    Example:
        >>> chain = init_without_gains(Target(jnp.sum, 2))(jnp.ones(2, jnp.uint8))
        >>> float(chain.logp), chain.gains.shape
        (2.0, (0, 0))
    """

    def init(x: StateLike) -> Chain:
        x = as_state(target, x)
        f = value(target, x)
        return Chain(x, f, jnp.zeros(NO_GAINS, f.dtype))

    return init


def random_scan_gibbs(target: Target) -> MarkovKernel:
    """Return random-scan Gibbs: a uniformly drawn site from p(x_i | the rest).

    A step costs K − 1 evaluations.

    Args:
        target: the density.

    Returns:
        The sampler; it has no size.

    Example:
        >>> from heliostat.kernels import ising, random_scan_gibbs
        >>> kernel = random_scan_gibbs(ising(4, coupling=0.2))
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> int(info.hops) <= 1, float(info.acceptance)
        (True, 1.0)

    Reference: Geman and Geman, IEEE PAMI 6, 721 (1984).
    """
    init = init_without_gains(target)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        siting, choosing = jax.random.split(key)
        site = jax.random.randint(siting, (), 0, target.sites)
        others = jax.vmap(init)(neighbours(target, chain.x, site))
        every = jax.tree.map(lambda a, b: jnp.stack([a, *b]), chain, others)
        logits = jax.vmap(lambda c: tilted(c, tilt)[0])(every)
        weights = unnormalised_weights(logits)
        chosen = select(jax.random.uniform(choosing, dtype=logits.dtype), weights)
        hops = jnp.where(chosen > 0, 1, 0).astype(jnp.int32)
        return jax.tree.map(lambda v: v[chosen], every), Info(unit(logits), hops)

    return MarkovKernel(init, step)


def random_scan_metropolis(target: Target) -> MarkovKernel:
    """Return random-scan Metropolis: a uniformly drawn site and value.

        a = min(1, π(y) / π(x))

    A step costs one evaluation.

    Args:
        target: the density.

    Returns:
        The sampler; it has no size.

    Example:
        >>> from heliostat.kernels import ising, random_scan_metropolis
        >>> kernel = random_scan_metropolis(ising(4, coupling=0.2))
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> round(float(info.acceptance), 4)  # e^(−8 · 0.2), one spin against four
        0.2019

    Reference: Metropolis et al., J. Chem. Phys. 21, 1087 (1953).
    """
    init = init_without_gains(target)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        keys = jax.random.split(key, 3)
        proposed = init(single_change(keys[:2], target, chain.x))
        ratio = tilted(proposed, tilt)[0] - tilted(chain, tilt)[0]
        return metropolis_hastings(keys[2], chain, proposed, ratio)

    return MarkovKernel(init, step)


def single_change(keys: Key[Array, "2"], target: Target, x: State) -> State:
    """Change one random site to a random other value.

    Args:
        keys: keys of the site and of its value.
        target: the density, which knows K.
        x: ``(D,)`` uint8.

    Returns:
        The new state.

    Example:
        >>> x, keys = jnp.zeros(5, jnp.uint8), jax.random.split(jax.random.key(0))
        >>> int(single_change(keys, Target(jnp.sum, 5), x).sum())
        1
    """
    siting, shifting = keys
    site = jax.random.randint(siting, (), 0, target.sites)
    shift = jax.random.randint(shifting, (), 0, target.values - 1)
    return neighbours(target, x, site)[shift]


def neighbours(
    target: Target, x: State, site: Int[Array, ""]
) -> UInt8[Array, "moves sites"]:
    """Return the K − 1 states that differ from ``x`` at one site.

    Args:
        target: the density, which knows K.
        x: ``(D,)`` uint8.
        site: () int32.

    Returns:
        ``(K − 1, D)`` uint8.

    Example:
        >>> three = Target(jnp.sum, sites=2, values=3)
        >>> neighbours(three, jnp.zeros(2, jnp.uint8), jnp.array(1)).tolist()
        [[0, 1], [0, 2]]
    """
    others = alternatives(x, target.values)[site]
    return jax.vmap(lambda v: x.at[site].set(v))(others)


def block_gibbs(target: Target) -> MarkovKernel:
    """Return block Gibbs of an RBM: hidden units given visible ones, then the reverse.

        P(h_j = 1 | v) = σ(c_j + Σ_i v_i W_ij)
        P(v_i = 1 | h) = σ(b_i + Σ_j W_ij h_j)

    Args:
        target: an RBM, as :func:`~heliostat.kernels.discrete.densities.rbm` gives.

    Returns:
        The sampler; it accepts no tilt, and a step with one raises ValueError.

    Raises:
        ValueError: for a target that is no RBM.

    Example:
        >>> from heliostat.kernels.discrete.densities import sine_rbm
        >>> kernel = block_gibbs(sine_rbm(6, 3))
        >>> chain = kernel.init(jnp.zeros(6, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
        >>> kernel.tilts, float(info.acceptance)
        (False, 1.0)
    """
    if target.weights is None:
        raise ValueError("block Gibbs needs an RBM")
    weights = target.weights
    init = init_without_gains(target)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        if tilt is not None:
            raise ValueError("block Gibbs cannot be tempered: the path is not an RBM's")
        hiding, showing = jax.random.split(key)
        w, b, c = (jnp.asarray(v, chain.logp.dtype) for v in weights)
        v = chain.x.astype(w.dtype)
        h = _bits(hiding, c + v @ w).astype(w.dtype)
        x = _bits(showing, b + w @ h).astype(chain.x.dtype)
        hops = jnp.sum(x != chain.x, dtype=jnp.int32)
        return init(x), Info(unit(chain.logp), hops)

    return MarkovKernel(init, step, tilts=False)


def _bits(key: Key[Array, ""], logits: Float[Array, " n"]) -> Bool[Array, " n"]:
    u = jax.random.uniform(key, logits.shape, logits.dtype)
    return u < jax.nn.sigmoid(logits)


def unit(like: Float[Array, "..."]) -> Float[Array, ""]:
    """Return the number 1 in the precision of ``like``: Gibbs steps accept always.

    Args:
        like: any floats.

    Returns:
        1, ().

    Example:
        >>> unit(jnp.zeros(3, jnp.float16))
        Array(1., dtype=float16)
    """
    return jnp.ones((), like.dtype)
