"""Determinants of orbitals, each with a symmetric factor of the backbone.

    T_k = det φ_k↑ · det φ_k↓ · Π_i e^{f_k·h_i}

Reference: arXiv:1909.02487 (determinants with a backflow by a network).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.determinant import determinant
from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat_tasks.vmc.wavefunction.first_guess import Guess, Params
from heliostat_tasks.vmc.wavefunction.heads.head import HeadInputs


@dataclass(frozen=True)
class Determinants:
    """Products of a determinant of each spin; the others of a sum start at a tenth.

    ``weight`` is the first weight: 0 beside another head, which then starts alone.
    """

    terms: int
    features: int
    weight: float = 1.0
    needs_orbitals: bool = True

    def guess(self, nuclei: Float[Array, "nuclei 3"]) -> Params:
        """Guess the determinant of the given orbitals, with a little of the others."""
        shares = jnp.where(jnp.arange(self.terms) == 0, 1.0, 0.1)
        return {
            "weight": Guess(self.weight * shares),
            "factor": Guess(jnp.zeros((self.features, self.terms))),
        }

    def __call__(self, params: Params, inputs: HeadInputs) -> SignedLog:
        """Compute sign and log of every term."""
        up, down = map(determinant, inputs.orbitals)
        factor = jnp.sum(inputs.h @ params["factor"], axis=0)
        return SignedLog(up.sign * down.sign, up.log + down.log + factor)
