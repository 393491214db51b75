"""Selection of one index by one uniform number: the inverse distribution function.

Index i is taken with probability w_i / Σ w, as the first whose cumulative weight
exceeds u Σ w.  In two levels, rows of about √n first, the sums cost O(√n) comparisons
instead of the n random numbers of the Gumbel trick, whose generation dominates cheap
targets.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

MAX_FLAT = 48
"""Up to this many weights one level is cheaper than two."""


def select(u: Float[Array, ""], weights: Float[Array, " n"]) -> Int[Array, ""]:
    """Return the index that a uniform number selects: P(i) = w_i / Σ w.

    Args:
        u: () in [0, 1).
        weights: ``(n,)``, not negative, not all zero; they need not sum to one.  An
            index of weight zero is never selected.

    Returns:
        The index, () int32.

    Example:
        >>> w = jnp.array([0.0, 1.0, 0.0, 3.0])
        >>> [int(select(jnp.array(u), w)) for u in (0.0, 0.24, 0.26, 0.999)]
        [1, 1, 3, 3]
    """
    n = weights.shape[0]
    if n <= MAX_FLAT:
        return _first(u * jnp.sum(weights), weights)[0]
    width = math.isqrt(n - 1) + 1
    rows = -(-n // width)
    table = jnp.pad(weights, (0, rows * width - n)).reshape(rows, width)
    sums = jnp.sum(table, 1)
    row, rest = _first(u * jnp.sum(sums), sums)
    return row * width + _first(rest, table[row])[0]


def _first(
    threshold: Float[Array, ""], weights: Float[Array, " n"]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """Return the first index whose cumulative weight exceeds the threshold, and the
    rest of the threshold there; the last positive one, should rounding leave none."""
    order = jnp.arange(weights.shape[0], dtype=jnp.int32)
    below = order[None] < order[:, None]
    before = jnp.sum(jnp.where(below, weights[None], 0), 1)  # cumulative, exclusive
    last = jnp.max(jnp.where(weights > 0, order, 0))
    beyond = (before + weights > threshold) & (weights > 0)
    index = jnp.min(jnp.where(beyond, order, last))
    return index, threshold - before[index]
