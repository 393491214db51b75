"""Sortlets: an antisymmetric product from sorted scores, in O(n log n).

    S(a) = σ(π) · Π_{i<n} φ(a_{π(i+1)} − a_{π(i)}),      a_{π(1)} < … < a_{π(n)}

with σ(π) the parity of the sorting permutation: swapping two scores flips the sign and
nothing else.  The chain is open (n − 1 gaps): with the wrap-around gap two scores would
give the wrong, double node a|a|.  φ(g) = g as published, or ℓ tanh(g/ℓ), whose
Laplacian jumps less at a crossing (exponentially less with others beyond ℓ).

Reference: Richter-Powell, Thiede, Aspuru-Guzik, Duvenaud, arXiv:2311.05598, sec. 3.1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from heliostat.kernels.vmc.signed_log import SignedLog

MAX_COMPARED = 24
"""Up to this many scores, ranks by comparison are faster than XLA's sort on CPUs."""


def sortlet(
    scores: Float[Array, " n"],
    length: Float[Array, ""] | float | None = None,
    band: int = 1,
) -> SignedLog:
    """Return the antisymmetric product S(a) of one set of scores.

        S(a) = σ(π) · Π_{0<j−i≤band} φ(a_π(j) − a_π(i))

    Args:
        scores: ``(n,)`` one real number per particle; n = 0 and 1 give S = 1.
        length: ℓ of the smoothed gap ℓ tanh(g/ℓ), in units of the scores; None keeps
            the bare gap g.
        band: number of neighbours above each score whose gaps count. 1 is the published
            product; n − 1 has all pairs, the Vandermonde product, which is smooth.

    Returns:
        Sign (0 where two scores are equal) and log|S|.

    Example:
        >>> value = sortlet(jnp.array([2.0, 0.0, 3.0]))      # gaps 2, 1; one inversion
        >>> float(value.sign), round(float(jnp.exp(value.log)), 6)
        (-1.0, 2.0)

    Reference: arXiv:2311.05598, eq. 3 with the open chain.
    """
    steps, sign = gaps(scores, band)
    steps = steps if length is None else length * jnp.tanh(steps / length)
    closed = jnp.any(steps <= 0)
    return SignedLog(jnp.where(closed, 0.0, sign), jnp.sum(jnp.log(steps)))


def gaps(
    scores: Float[Array, " n"], band: int = 1
) -> tuple[Float[Array, " gaps"], Float[Array, ""]]:
    """Return gaps of the sorted scores, and the parity of the sort.

    The order is taken from ``stop_gradient(scores)``: the sort is piecewise linear, so
    derivatives of any order are those of the gather.

    Args:
        scores: ``(n,)``.
        band: largest difference of two ranks whose gap is returned.

    Returns:
        Gaps, not negative, those of neighbours first, and the parity, () −1 or 1.

    Example:
        >>> steps, sign = gaps(jnp.array([2.0, 0.0, 3.0]))
        >>> steps.tolist(), float(sign)
        ([2.0, 1.0], -1.0)
    """
    distances = range(1, min(band, scores.shape[0] - 1) + 1) or (1,)
    if scores.shape[0] > MAX_COMPARED:
        order = jnp.argsort(jax.lax.stop_gradient(scores))
        ordered = scores[order]
        steps = [ordered[d:] - ordered[:-d] for d in distances]
        return jnp.concatenate(steps), parity(order).astype(scores.dtype)
    rank = ranks(jax.lax.stop_gradient(scores))
    place = (rank[None, :] == jnp.arange(len(rank))[:, None]).astype(scores.dtype)
    # one product with rows e_{π(j)} − e_{π(i)}: exact, as all else is multiplied by 0
    rows = jnp.concatenate([place[d:] - place[:-d] for d in distances])
    return rows @ scores, _parity_of_ranks(rank, scores.dtype)


def ranks(scores: Float[Array, " n"]) -> Int[Array, " n"]:
    """Return the number of scores below each one; ties keep their order.

    Args:
        scores: ``(n,)``.

    Returns:
        ``(n,)`` from 0 to n − 1, each once.

    Example:
        >>> ranks(jnp.array([2.0, 0.0, 3.0])).tolist()
        [1, 0, 2]
    """
    below = scores[None, :] < scores[:, None]
    tied = jnp.tril(scores[None, :] == scores[:, None], -1)
    return jnp.sum(below | tied, axis=1)


def _parity_of_ranks(rank: Int[Array, " n"], dtype: jnp.dtype) -> Float[Array, ""]:
    """Return (−1)^inversions from all pairs: O(n²) comparisons, no sequential part."""
    inversions = jnp.sum(jnp.triu(rank[:, None] > rank[None, :]))
    return (1 - 2 * (inversions % 2)).astype(dtype)


def parity(permutation: Int[Array, " n"]) -> Int[Array, ""]:
    """Return the sign of a permutation, (−1)^(n − cycles), without a sequential loop.

    Every element learns the smallest index on its cycle by pointer doubling,
    m ← min(m, m∘p), p ← p∘p, ⌈log₂ n⌉ times; cycles are the fixed points of m.

    Args:
        permutation: ``(n,)`` the numbers 0 … n − 1 in any order.

    Returns:
        () −1 or 1.

    Example:
        >>> int(parity(jnp.array([1, 2, 0]))), int(parity(jnp.array([1, 0, 2])))
        (1, -1)
    """
    n = permutation.shape[0]
    own = jnp.arange(n)
    smallest, pointer = own, permutation
    for _ in range(max(n - 1, 0).bit_length()):
        smallest = jnp.minimum(smallest, smallest[pointer])
        pointer = pointer[pointer]
    cycles = jnp.sum(smallest == own)
    return 1 - 2 * ((n - cycles) % 2)
