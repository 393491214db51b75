"""Finding a sampler's size in warm-up, by dual averaging, and then leaving it alone.

The size s (a step size or a radius) follows the acceptance a of each step::

    h_t = (1 − 1/(t + t₀)) h_{t−1} + (a* − a_t) / (t + t₀)
    log s_t = log s₁ − √t / γ · h_t,        γ = 0.05, t₀ = 10
    log s̄_t = t^−κ log s_t + (1 − t^−κ) log s̄_{t−1},    κ = 0.75

After warm-up s̄ is used and never changes: a size that follows its chain forever does
not leave the target stationary.  The target a* = 0.574 is optimal for locally balanced
proposals in high dimensions.

References: Hoffman and Gelman, J. Mach. Learn. Res. 15, 1593 (2014), sec. 3.2; Sun et
al., arXiv:2209.08183 [0.574].
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from heliostat.kernels.chain import Sizes

OPTIMAL = 0.574
GAMMA, DELAY, KAPPA = 0.05, 10.0, 0.75


class Search(NamedTuple):
    """Where the search for a size stands."""

    size: Array  # () the one to use in the next step
    mean: Array  # () log of the averaged one
    error: Array  # () h
    count: Array  # () int32, steps seen


def start(sizes: Sizes) -> Search:
    """The search before its first step.

    Example:
        >>> search = start(Sizes(0.2, 1e-3, 1e3))
        >>> bool(adapt(search, jnp.array(1.0), Sizes(0.2, 1e-3, 1e3)).size > 0.2)
        True
    """
    size = jnp.asarray(sizes.start, float)
    return Search(size, jnp.log(size), jnp.zeros(()), jnp.zeros((), jnp.int32))


def adapt(
    search: Search, acceptance: Array, sizes: Sizes, goal: float = OPTIMAL
) -> Search:
    """The search after one more step of warm-up.

    Args:
        acceptance: () probability with which the step's proposal was accepted.
        sizes: the range that is not left.
        goal: the acceptance aimed at.
    """
    t = search.count + 1
    weight = 1 / (t + DELAY)
    error = (1 - weight) * search.error + weight * (goal - acceptance)
    log = jnp.log(sizes.start) - jnp.sqrt(t * 1.0) / GAMMA * error
    log = jnp.clip(log, jnp.log(sizes.low), jnp.log(sizes.high))
    share = (t * 1.0) ** -KAPPA
    mean = share * log + (1 - share) * search.mean
    return Search(jnp.exp(log), mean, error, t)


def frozen(search: Search) -> Search:
    """The search with the averaged size in use, for good."""
    return search._replace(size=jnp.exp(search.mean))
