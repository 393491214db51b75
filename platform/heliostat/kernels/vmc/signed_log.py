"""Real numbers as sign and logarithm, and sums of them.

Products of many factors neither over- nor underflow as (sign, log|x|).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


class SignedLog(NamedTuple):
    """A real number as (sign, log|x|), so that products neither over- nor underflow.

    Example:
        >>> float(SignedLog(jnp.array(-1.0), jnp.array(0.0)).sign)
        -1.0
    """

    sign: Float[Array, "*shape"]  # −1, 0 or 1
    log: Float[Array, "*shape"]  # log|x|, −inf for 0


def signed_logsumexp(
    terms: SignedLog, weights: Float[Array, " K"] | None = None
) -> SignedLog:
    """Return the sum Σ_k w_k s_k exp(l_k) of signed terms, as sign and log.

    The shift by the largest log is a constant to differentiation: the result does not
    depend on it. A weight may be zero, and has a derivative there.

    Args:
        terms: sign and log, ``(K,)`` each.
        weights: w_k of either sign; None means 1.

    Returns:
        Sign and log of the sum, () each.

    Example:
        >>> logs = jnp.log(jnp.array([5.0, 2.0]))
        >>> total = signed_logsumexp(SignedLog(jnp.array([1.0, -1.0]), logs))
        >>> round(float(total.sign * jnp.exp(total.log)), 5)
        3.0
    """
    top = jax.lax.stop_gradient(jnp.max(terms.log))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    values = terms.sign * jnp.exp(terms.log - top)
    total = jnp.sum(values if weights is None else weights * values)
    return SignedLog(jnp.sign(total), jnp.log(jnp.abs(total)) + top)
