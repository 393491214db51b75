"""Antisymmetric products of scores, by the names of the heads that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.determinant import vandermonde
from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat.kernels.vmc.sortlet import sortlet

Product = Callable[[Array, Array], SignedLog]
"""Scores ``(n,)`` and a smoothing length to sign and log."""

PRODUCTS: Mapping[str, Product] = {
    "sortlet": lambda scores, length: sortlet(scores),
    "smooth": lambda scores, length: sortlet(scores, length),
    "banded": lambda scores, length: sortlet(scores, band=2),
    "vandermonde": lambda scores, length: vandermonde(scores),
}
"""``sortlet`` as published; ``smooth`` with gaps ℓ tanh(g/ℓ); ``banded`` with the gaps
of next neighbours too; ``vandermonde`` with all differences."""

REACH = {"sortlet": 2, "smooth": 2, "banded": 3}
"""One more than the largest difference of two ranks whose gap counts."""


def products(
    name: str, scores: Float[Array, "n terms"], length: Float[Array, " terms"]
) -> SignedLog:
    """Compute the product of every term, sign and log ``(terms,)``."""
    return jax.vmap(PRODUCTS[name])(scores.T, length)
