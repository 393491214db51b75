"""Rows of a step: averages over its walkers."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.sharding import replicate
from heliostat_tasks.vmc.hamiltonian import LocalEnergy


def averages(
    energy: LocalEnergy, accepted: Float[Array, " walkers"], width: Float[Array, ""]
) -> dict[str, Array]:
    """Average over the walkers; those that are not finite are left out and counted.

    Args:
        energy: of each walker, hartree.
        accepted: accepted fraction of its small steps.
        width: of these steps.

    Returns:
        Scalars by the names of rows.
    """
    # three numbers per walker are gathered, so that every layout sums in one order
    total, kinetic, accepted = replicate(
        jnp.stack([energy.total, energy.kinetic, accepted])
    )
    valid = jnp.isfinite(total)
    count = jnp.sum(valid)  # 0 gives NaN, not a number that looks like an energy
    mean = lambda v: jnp.sum(jnp.where(valid, v, 0.0)) / count  # noqa: E731
    average = mean(total)
    return {
        "energy": average,
        "variance": mean((total - average) ** 2) * (count / (count - 1)),
        "kinetic": mean(kinetic),
        "acceptance": jnp.mean(accepted),
        "proposal": width,
        "nonfinite": jnp.sum(~valid).astype(jnp.int32),
    }
