"""Electrons of one walker, as the parts of a wavefunction see them."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

TINY = 1e-20
"""Added to squared distances, bohr²: the norm has no derivative at 0."""


class Electrons(NamedTuple):
    """Positions of one walker, and its distances from the nuclei.

    s = r − u(r) is smooth at a nucleus, where u(r) = (1 − e^{−αr})/α has slope 1.
    """

    x: Float[Array, "n 3"]  # bohr, spin up first
    away: Float[Array, "n nuclei 3"]  # bohr, from the nuclei
    u: Float[Array, "n nuclei"]  # bohr, the part of a distance with the cusp
    s: Float[Array, "n nuclei"]  # bohr, the smooth rest
    spins: Int[np.ndarray, " n"]  # 0 for up, 1 for down

    @property
    def blocks(self) -> tuple[slice, slice]:
        """Indices of the electrons of spin up, and of spin down."""
        up = int(np.sum(self.spins == 0))
        return slice(0, up), slice(up, None)


def describe_electrons(
    x: Float[Array, "n 3"],
    nuclei: Float[Array, "nuclei 3"],
    alpha: Float[Array, " nuclei"],
    up: int,
) -> Electrons:
    """Compute what the parts of a wavefunction see of one walker.

    Args:
        x: electrons in bohr, spin up first.
        nuclei: bohr.
        alpha: decay of each cusp, 1/bohr.
        up: electrons of spin up.
    """
    away = x[:, None, :] - nuclei[None, :, :]
    r = jnp.sqrt(jnp.sum(away**2, axis=-1) + TINY)
    u = -jnp.expm1(-alpha[None] * r) / alpha[None]
    return Electrons(x, away, u, r - u, np.repeat([0, 1], [up, len(x) - up]))
