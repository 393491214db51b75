"""Variables of a row, and those that training and evaluation measure alike."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

import heliostat as hs
from heliostat_tasks.learn.data import Data
from heliostat_tasks.learn.models import DensityFamily

EMITS = {
    "loss": hs.Var(about="mean energy of the data minus the model's"),
    "rmse": hs.Var(about="RMS of couplings minus the true ones (else minus 0)"),
    "log_p_train": hs.Var(about="mean log p of training states, not normalised"),
    "log_p_test": hs.Var(about="mean log p of test states, not normalised"),
    "acceptance": hs.Var(about="probability that a move was accepted"),
    "proposal": hs.Var(about="step size or radius of a move"),
    "gradient": hs.Var(about="length of the gradient"),
    "nonfinite": hs.Var(dtype="int32", about="chains whose log p is not finite"),
    "skipped": hs.Var(dtype="int32", about="updates skipped as not finite"),
    "baseline": hs.Var(units="nat", about="test log-likelihood, independent sites"),
    "beta": hs.Var(about="inverse temperature that a pass has come to"),
    "log_z": hs.Var(units="nat", about="log Z, Bennett"),
    "log_z_error": hs.Var(units="nat", about="standard error of it"),
    "log_z_lower": hs.Var(units="nat", about="log Z, annealed forwards"),
    "log_z_lower_error": hs.Var(units="nat", about="standard error of it"),
    "log_z_upper": hs.Var(units="nat", about="log Z, annealed backwards"),
    "log_z_upper_error": hs.Var(units="nat", about="standard error of it"),
}


SHOWN = 16
"""Number of persistent chains that are observed."""

OBSERVES = {
    "weights": hs.Var(("site", "unit"), about="couplings, or the first layer"),
    "samples": hs.Var(("sample", "site"), "uint8", about="persistent chains"),
    "forward": hs.Var(("particle",), units="nat", about="log-weights forwards"),
    "backward": hs.Var(("particle",), units="nat", about="log-weights backwards"),
}


def model_row(
    model: DensityFamily,
    averaged: Any,
    log_p: Float[Array, " sets"],
    data: Data,
    beta: Float[Array, ""],
) -> dict[str, Array]:
    """Measure the averaged parameters.

    Args:
        model: family of densities.
        averaged: its averaged parameters.
        log_p: mean log p of training and test states.
        data: states and what is known of them.
        beta: inverse temperature that a pass has reached.
    """
    couplings = model.couplings(averaged)
    return {
        "rmse": jnp.sqrt(jnp.mean((couplings - data.truth) ** 2)),
        "log_p_train": log_p[0],
        "log_p_test": log_p[1],
        "baseline": jnp.asarray(data.baseline, float),
        "beta": beta,
    }
