"""Trainer of a run: pretraining if the head needs it, SPRING, then nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from heliostat_tasks.vmc.phases import Phase
from heliostat_tasks.vmc.pretraining import SCALE_RATE, fit_mean_field, fit_update
from heliostat_tasks.vmc.training import Update, scores, spring_update
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.evaluation import Data, wavefunction
from heliostat_tasks.vmc.wavefunction.first_guess import Params


class BranchResult(NamedTuple):
    """Result of one branch."""

    update: Update
    scale: Float[Array, ""]
    overlap: Float[Array, ""]  # NaN if it was not computed


class Learned(NamedTuple):
    """Parameters, and what goes with them from step to step."""

    params: Params  # θ
    direction: Float[Array, " params"]  # φ, the last direction
    scale: Float[Array, ""]  # log c of the density while pretraining


class Batch(NamedTuple):
    """Walkers of the last step."""

    walkers: Float[Array, "walkers n 3"]  # bohr
    energies: Float[Array, " walkers"]  # hartree


@dataclass(frozen=True)
class Trainer:
    """Rates of a run; :meth:`update` takes one step."""

    ansatz: Ansatz
    lr: float
    damping: float
    momentum: float
    max_squared_norm: float
    pretrains: bool  # False compiles no pretraining

    def update(
        self, learned: Learned, batch: Batch, data: Data, phase: Phase
    ) -> tuple[Learned, dict[str, Array]]:
        """Update the parameters as the phase says.

        Args:
            learned: after the last step.
            batch: walkers of the last step, of its density.
            data: the molecule.
            phase: phase of this step.

        Returns:
            What was learned, and the entries of the row.
        """
        flat, unravel = ravel_pytree(learned.params)
        branches = [self._freeze, self._train] + [self._pretrain] * self.pretrains
        # 0 evaluation, 1 training, 2 pretraining, which is a part of training
        chosen = phase.training.astype(int) + phase.pretraining.astype(int)
        update, scale, overlap = jax.lax.switch(
            chosen, branches, flat, learned, batch, data, phase
        )
        row = {"update": update.length, "skipped": update.skipped, "overlap": overlap}
        return Learned(unravel(update.params), update.direction, scale), row

    def _freeze(self, flat: Array, learned: Learned, *_: Any) -> BranchResult:
        zero = jnp.zeros(()), jnp.zeros((), jnp.int32)
        update = Update(flat, learned.direction, *zero)
        return BranchResult(update, learned.scale, jnp.full((), jnp.nan))

    def _train(
        self, flat: Array, learned: Learned, batch: Batch, data: Data, phase: Phase
    ) -> BranchResult:
        def log(params: Params, x: Array) -> Array:
            return wavefunction(self.ansatz, params, x, data).log

        update = spring_update(
            flat,
            learned.direction,
            scores(log, learned.params, batch.walkers),
            batch.energies,
            rate=self.lr * phase.rate,
            damping=self.damping,
            momentum=self.momentum,
            max_squared_norm=self.max_squared_norm,
        )
        return BranchResult(update, learned.scale, jnp.full((), jnp.nan))

    def _pretrain(
        self, flat: Array, learned: Learned, batch: Batch, data: Data, phase: Phase
    ) -> BranchResult:
        params, scale = learned.params, learned.scale
        fit = fit_mean_field(self.ansatz, params, batch.walkers, data, scale)
        update = fit_update(
            fit,
            flat,
            learned.direction,
            rate=phase.rate,
            damping=self.damping,
            momentum=self.momentum,
        )
        return BranchResult(update, scale + SCALE_RATE * fit.log_ratio, fit.overlap)
