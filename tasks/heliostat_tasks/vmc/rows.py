"""Rows of a step: averages over its walkers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.sharding import replicate
from heliostat_tasks.vmc.hamiltonian import LocalEnergy
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.first_guess import Params


def averages(
    energy: LocalEnergy,
    accepted: Float[Array, " walkers"],
    width: Float[Array, ""],
    weights: Float[Array, " walkers"],
) -> dict[str, Array]:
    """Average over the walkers; those that are not finite are left out and counted.

    Args:
        energy: of each walker, hartree.
        accepted: accepted fraction of its small steps.
        width: of these steps.
        weights: of each walker; 1 where it samples |Ψ|².

    Returns:
        Scalars by the names of rows.
    """
    # four numbers per walker are gathered, so that every layout sums in one order
    total, kinetic, accepted, weights = replicate(
        jnp.stack([energy.total, energy.kinetic, accepted, weights])
    )
    valid = jnp.isfinite(total) & jnp.isfinite(weights)
    count, weights = jnp.sum(valid), jnp.where(valid, weights, 0.0)
    # no weight gives NaN, not a number that looks like an energy
    mean = lambda v: jnp.sum(jnp.where(valid, v, 0.0) * weights) / jnp.sum(weights)  # noqa: E731
    average = mean(total)
    return {
        "energy": average,
        "variance": mean((total - average) ** 2) * (count / (count - 1)),
        "kinetic": mean(kinetic),
        "acceptance": jnp.mean(accepted),
        "proposal": width,
        "nonfinite": jnp.sum(~valid).astype(jnp.int32),
    }


def mean_shares(
    ansatz: Ansatz,
    params: Params,
    walkers: Float[Array, "walkers n 3"],
    nuclei: Float[Array, "nuclei 3"],
) -> Float[Array, " heads"]:
    """Average the part of each head in Ψ; a walker at a node is left out.

    Args:
        ansatz: the wavefunction.
        params: its parameters.
        walkers: bohr.
        nuclei: bohr.
    """
    shares = jax.vmap(lambda x: ansatz.shares(params, x, nuclei))(walkers)
    shares = replicate(shares)
    finite = jnp.isfinite(shares)
    return jnp.sum(jnp.where(finite, shares, 0.0), 0) / jnp.sum(finite, 0)
