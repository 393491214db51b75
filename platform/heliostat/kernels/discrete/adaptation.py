"""Finding a sampler's size in warm-up, and then leaving it alone.

The size s (a step size or a radius) follows the acceptance a of each step by stochastic
approximation, and a mean that forgets the beginning is what remains of the search::

    log s_t+1 = log s_t + t^−0.6 (a_t − a*)
    log s̄_t  = log s̄_t−1 + min(1, 3/t) (log s_t − log s̄_t−1)

After warm-up s̄ is used and never changes: a size that follows its chain forever does
not leave the target stationary.  The goal a* = 0.574 is optimal for locally balanced
proposals in high dimensions.

References: Robbins and Monro, Ann. Math. Stat. 22, 400 (1951); Polyak and Juditsky,
SIAM J. Control Optim. 30, 838 (1992) [averaging]; Andrieu and Thoms, Stat. Comput. 18,
343 (2008) [for MCMC]; Sun et al., arXiv:2209.08183 [0.574].
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from heliostat.kernels.discrete.chain import Sizes

OPTIMAL_ACCEPTANCE = 0.574
DECAY, RECENT = 0.6, 3.0


class SizeAdaptation(NamedTuple):
    """Where the search for a size stands."""

    size: Array  # () the one to use in the next step
    mean: Array  # () log of the averaged one
    seen: Array  # () int32, steps


def init_adaptation(sizes: Sizes) -> SizeAdaptation:
    """The search before its first step.

    Example:
        >>> search = start(Sizes(0.2, 1e-3, 1e3))
        >>> bool(adapt(search, jnp.array(1.0), Sizes(0.2, 1e-3, 1e3)).size > 0.2)
        True
    """
    size = jnp.asarray(sizes.start, float)
    return SizeAdaptation(size, jnp.log(size), jnp.zeros((), jnp.int32))


def adapt_size(
    search: SizeAdaptation,
    acceptance: Array,
    sizes: Sizes,
    target: float = OPTIMAL_ACCEPTANCE,
) -> SizeAdaptation:
    """The search after one more step of warm-up.

    Args:
        acceptance: () probability with which the step's proposal was accepted.
        sizes: the range that is not left.
        goal: the acceptance aimed at.
    """
    t = search.seen + 1
    log = jnp.log(search.size) + (1.0 * t) ** -DECAY * (acceptance - target)
    log = jnp.clip(log, jnp.log(sizes.low), jnp.log(sizes.high))
    mean = search.mean + jnp.minimum(1.0, RECENT / t) * (log - search.mean)
    return SizeAdaptation(jnp.exp(log), mean, t)


def freeze_size(search: SizeAdaptation) -> SizeAdaptation:
    """The search with the averaged size in use, for good."""
    return search._replace(size=jnp.exp(search.mean))
