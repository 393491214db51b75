"""Pretraining of sortlets on the Hartree-Fock determinant, by overlap and sign.

Heads without a determinant have no orbitals that could be matched with those of
Hartree-Fock, but overlap and sign need values only.  Eight sortlets of the five
electrons of one spin in boron reach a squared overlap above 0.99 in 100 steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.determinant import determinant
from heliostat.kernels.vmc.overlap import OverlapFit, log_mixture, overlap_fit
from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat.kernels.vmc.spring import least_squares
from heliostat_tasks.vmc.training import Update, apply_direction, scores
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.electrons import describe_electrons
from heliostat_tasks.vmc.wavefunction.evaluation import Data, wavefunction
from heliostat_tasks.vmc.wavefunction.first_guess import Params
from heliostat_tasks.vmc.wavefunction.jastrow import guess_jastrow, jastrow

RATE = 0.3
"""Share of a Gauss-Newton step that is taken."""

SCALE_RATE = 0.5
"""Rate at which the scale follows the ratio of |D| and |Ψ|."""

MAX_SQUARED_NORM = 1.0
"""Largest squared length of an update while pretraining."""


def mean_field(ansatz: Ansatz, x: Float[Array, "n 3"], data: Data) -> SignedLog:
    """Evaluate D: the Hartree-Fock determinant with the first Jastrow factor.

    Args:
        ansatz: with orbitals, whose coefficients are in ``data``.
        x: one walker in bohr, spin up first.
        data: from the task.

    Returns:
        Sign and log|D|.
    """
    assert ansatz.orbitals, "only a head of orbitals is pretrained"
    charges = jnp.asarray(ansatz.charges, x.dtype)
    electrons = describe_electrons(
        x, jnp.asarray(data.nuclei, x.dtype), charges, ansatz.up
    )
    exponents = ansatz.orbitals.first_exponents(x.dtype)
    values = ansatz.orbitals.basis(exponents, electrons)
    up, down = (
        determinant(values[block] @ jnp.asarray(c, x.dtype))
        for block, c in zip(electrons.blocks, data.orbitals, strict=True)
    )
    guess = guess_jastrow(ansatz.charges)
    params = {name: value.mean.astype(x.dtype) for name, value in guess.items()}
    cusps = jastrow(params, electrons, ansatz.charges)
    return SignedLog(up.sign * down.sign, up.log + down.log + cusps)


def log_amplitude(
    ansatz: Ansatz,
    params: Params,
    x: Float[Array, "n 3"],
    data: Data,
    scale: Float[Array, ""],
) -> Float[Array, ""]:
    """Evaluate ½ log(c² Ψ² + D²) of one walker, which pretraining samples.

    Args:
        scale: log c, which makes Ψ as large as D.
    """
    psi = wavefunction(ansatz, params, x, data).log + scale
    return log_mixture(psi, mean_field(ansatz, x, data).log)


def fit_mean_field(
    ansatz: Ansatz,
    params: Params,
    walkers: Float[Array, "walkers n 3"],
    data: Data,
    scale: Float[Array, ""],
) -> OverlapFit:
    """Compare c Ψ with D at walkers that sample c² Ψ² + D²."""

    def psi(params: Params, x: Array) -> SignedLog:
        return wavefunction(ansatz, params, x, data)

    sign, log = jax.vmap(lambda x: psi(params, x))(walkers)
    target = jax.vmap(lambda x: mean_field(ansatz, x, data))(walkers)
    score = scores(lambda params, x: psi(params, x).log, params, walkers)
    return overlap_fit(SignedLog(sign, log + scale), target, score)


def fit_update(
    fit: OverlapFit,
    params: Float[Array, " params"],
    direction: Float[Array, " params"],
    *,
    rate: Float[Array, ""],
    damping: float,
    momentum: float,
) -> Update:
    """Move the parameters towards D.

    Args:
        fit: from :func:`fit_mean_field`.
        params: θ, flat.
        direction: the previous φ.
        rate: factor on the share of a Gauss-Newton step, in [0, 1].
        damping: added to the Gram matrix of the rows.
        momentum: decay of the previous direction, in [0, 1).
    """
    rows = fit.rows, fit.residual
    next_direction = least_squares(*rows, direction, damping=damping, decay=momentum)
    return apply_direction(params, next_direction, RATE * rate, MAX_SQUARED_NORM)
