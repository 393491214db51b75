"""Adaptation of a sampler's size in warm-up; afterwards the size is frozen.

The size s (a step size or a radius) follows the acceptance a of each step by stochastic
approximation, and its average forgets the beginning::

    log s_t+1 = log s_t + t^−0.6 (a_t − a*)
    log s̄_t  = log s̄_t−1 + min(1, 3/t) (log s_t − log s̄_t−1)

A step without an acceptance (NaN, of a lost chain) changes nothing.  After warm-up s̄
is used and never changes: a size that follows its chain forever does not leave the
target stationary.  The acceptance a* = 0.574 is optimal for locally
balanced proposals in high dimensions.

References: Robbins and Monro, Ann. Math. Stat. 22, 400 (1951); Polyak and Juditsky,
SIAM J. Control Optim. 30, 838 (1992) [averaging]; Andrieu and Thoms, Stat. Comput. 18,
343 (2008) [for MCMC]; Sun et al., arXiv:2209.08183 [0.574].
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from heliostat.kernels.discrete.chain import Sizes

OPTIMAL_ACCEPTANCE = 0.574
DECAY, RECENT = 0.6, 3.0


class SizeAdaptation(NamedTuple):
    """The state of the adaptation of one chain's size.

    Example:
        >>> int(init_adaptation(Sizes(0.2, 1e-3, 1e3)).seen)
        0
    """

    size: Float[Array, ""]  # size of the next step
    mean: Float[Array, ""]  # log of the averaged size
    seen: Int[Array, ""]  # int32, steps so far


def init_adaptation(sizes: Sizes) -> SizeAdaptation:
    """Return the adaptation before its first step.

    Args:
        sizes: range and start of the size.

    Returns:
        The state, with the size at its start.

    Example:
        >>> round(float(init_adaptation(Sizes(0.2, 1e-3, 1e3)).size), 3)
        0.2
    """
    size = jnp.asarray(sizes.start, float)
    return SizeAdaptation(size, jnp.log(size), jnp.zeros((), jnp.int32))


def adapt_size(
    state: SizeAdaptation,
    acceptance: Float[Array, ""],
    sizes: Sizes,
    target: Float[Array, ""] | float = OPTIMAL_ACCEPTANCE,
) -> SizeAdaptation:
    """Return the adaptation after one more step of warm-up.

        log s ← log s + t^−0.6 (a − a*)

    Args:
        state: the state before.
        acceptance: a, () probability with which the step's proposal was accepted; NaN
            if there was none.
        sizes: the range that the size stays in.
        target: a*, the acceptance aimed at.

    Returns:
        The state after; the same one if there was no acceptance.

    Example:
        >>> sizes = Sizes(0.2, 1e-3, 1e3)
        >>> state = init_adaptation(sizes)
        >>> bool(adapt_size(state, jnp.array(1.0), sizes).size > 0.2)
        True
        >>> adapt_size(state, jnp.array(jnp.nan), sizes) == state
        True

    Reference: Andrieu and Thoms, Stat. Comput. 18, 343 (2008).
    """
    t = state.seen + 1
    log = jnp.log(state.size) + (1.0 * t) ** -DECAY * (acceptance - target)
    log = jnp.clip(log, jnp.log(sizes.low), jnp.log(sizes.high))
    mean = state.mean + jnp.minimum(1.0, RECENT / t) * (log - state.mean)
    new, known = SizeAdaptation(jnp.exp(log), mean, t), ~jnp.isnan(acceptance)
    return jax.tree.map(lambda a, b: jnp.where(known, a, b), new, state)


def freeze_size(state: SizeAdaptation) -> SizeAdaptation:
    """Return the adaptation with the averaged size s̄ in use.

    Args:
        state: the state at the end of warm-up.

    Returns:
        The state whose size is e^mean.

    Example:
        >>> state = SizeAdaptation(jnp.array(3.0), jnp.array(0.0), jnp.array(9))
        >>> float(freeze_size(state).size)
        1.0
    """
    return state._replace(size=jnp.exp(state.mean))
