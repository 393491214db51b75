"""Variables of a row: energy, order parameter and movement of one chain."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Integer, UInt8

import heliostat as hs
from heliostat.kernels.discrete.target import Target, relaxed

EMITS = {
    "energy_per_site": hs.Var(units="1/site", about="energy per site"),
    "magnetisation": hs.Var(about="mean spin, or mean value of a site"),
    "lp": hs.Var(about="log p, not normalised"),
    "hamming": hs.Var(dtype="int32", about="sites that differ from a fixed state"),
    "acceptance_rate": hs.Var(about="probability that the proposal was accepted"),
    "hops": hs.Var(dtype="int32", about="sites that changed"),
    "step_size": hs.Var(about="step size or radius in use"),
}

OF_A_LADDER = {
    "swap_rate": hs.Var(
        ("pair",), about="probability that neighbouring rungs would exchange"
    )
}
"""Further variables of parallel tempering."""


def state_row(
    target: Target, x: UInt8[Array, " sites"], logp: Float[Array, ""]
) -> dict[str, Array]:
    """Measure one state.

    Args:
        target: density of the state.
        x: the state.
        logp: log p of the state.
    """
    floats = relaxed(target, x)
    if target.energy is None:
        energy = -logp / target.sites
    else:
        energy = target.energy(floats).astype(logp.dtype)
    order = jnp.mean(x.astype(float)) if target.order is None else target.order(floats)
    return {
        "energy_per_site": energy,
        "magnetisation": order,
        "lp": logp,
        "hamming": jnp.sum(x != fixed_state(target), dtype=jnp.int32),
    }


def fixed_state(target: Target) -> UInt8[np.ndarray, " sites"]:
    """Return the state that Hamming distances are measured from."""
    rng = np.random.default_rng(1)
    return rng.integers(0, target.values, target.sites, np.uint8)


def update_occupation(
    mean: Float[Array, "sites others"],
    x: UInt8[Array, " sites"],
    n: Integer[Array, ""],
) -> Float[Array, "sites others"]:
    """Update the running means of the indicators x_i = 1, 2, … with the n-th draw.

    Draws with n < 1 belong to the warm-up and do not count.
    """
    values = jnp.arange(1, mean.shape[1] + 1, dtype=x.dtype)
    indicator = (x[:, None] == values[None]).astype(mean.dtype)
    new = mean + (indicator - mean) / jnp.maximum(n, 1)
    return jnp.where(n > 0, new, mean)
