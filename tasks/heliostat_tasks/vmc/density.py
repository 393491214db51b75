"""Density that walkers sample: |Ψ|², or c² Ψ² + D² while pretraining."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat_tasks.vmc.phases import Phase
from heliostat_tasks.vmc.pretraining import log_amplitude
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.evaluation import Data, wavefunction
from heliostat_tasks.vmc.wavefunction.first_guess import Params


@dataclass(frozen=True)
class Density:
    """Density of one step, for one walker or for all."""

    ansatz: Ansatz
    data: Data
    phase: Phase
    scale: Float[Array, ""]  # log c
    pretrains: bool  # False compiles |Ψ|² only

    def log(self, params: Params, x: Float[Array, "n 3"]) -> Float[Array, ""]:
        """Evaluate the log of its square root at one walker."""
        if not self.pretrains:
            return self._log_psi(params, x)
        return jax.lax.cond(
            self.phase.pretraining, self._log_mixture, self._log_psi, params, x
        )

    def weights(
        self, params: Params, walkers: Float[Array, "walkers n 3"]
    ) -> Float[Array, " walkers"]:
        """Compute the weights of walkers in averages over |Ψ|²."""
        ones = jnp.ones(len(walkers), walkers.dtype)
        if not self.pretrains:
            return ones

        def weigh(x: Array) -> Array:
            return jnp.exp(
                2 * (self._log_psi(params, x) - self._log_mixture(params, x))
            )

        pretraining = self.phase.pretraining
        return jax.lax.cond(pretraining, jax.vmap(weigh), lambda _: ones, walkers)

    def _log_psi(self, params: Params, x: Array) -> Array:
        return wavefunction(self.ansatz, params, x, self.data).log

    def _log_mixture(self, params: Params, x: Array) -> Array:
        return log_amplitude(self.ansatz, params, x, self.data, self.scale)
