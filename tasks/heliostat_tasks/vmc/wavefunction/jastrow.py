"""Jastrow factor with the cusps, which are exact at any parameters.

    J(x) = − Σ_{i<j} c_ij β²/(β + r_ij) − Σ_{iI} Z_I u_I(r_iI)

with c = ½ for opposite and ¼ for parallel spins: dJ/dr_ij = c at contact.

Reference: Kato, Commun. Pure Appl. Math. 10, 151 (1957).  The factor printed in
arXiv:2311.05598 has this slope for β = 1 only.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat_tasks.vmc.wavefunction.electrons import TINY, Electrons
from heliostat_tasks.vmc.wavefunction.first_guess import Guess, Params


def guess_jastrow(charges: Sequence[int]) -> Params:
    """Guess lengths of 1 bohr between electrons, and of 1/Z at nuclei."""
    return {
        "beta": Guess(jnp.zeros(2)),  # log β, bohr: parallel, opposite spins
        "core": Guess(jnp.log(jnp.asarray(charges, float))),  # log α, 1/bohr
    }


def jastrow(
    params: Params, electrons: Electrons, charges: Sequence[int]
) -> Float[Array, ""]:
    """Compute J of one walker."""
    x, spins = electrons.x, electrons.spins
    i, j = np.triu_indices(len(x), 1)
    r = jnp.sqrt(jnp.sum((x[i] - x[j]) ** 2, axis=-1) + TINY)
    opposite = (spins[i] != spins[j]).astype(int)
    beta = jnp.exp(params["beta"])[opposite]
    cusp = jnp.asarray(np.where(opposite, 0.5, 0.25), x.dtype)
    repulsion = jnp.sum(cusp * beta**2 / (beta + r))
    return -repulsion - jnp.sum(electrons.u @ jnp.asarray(charges, x.dtype))
