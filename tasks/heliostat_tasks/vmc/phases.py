"""Phases of a run: pretraining if the head needs it, training, evaluation.

| step | parameters | walkers sample |
|---|---|---|
| up to ``pretrain`` | fit Hartree-Fock | Ψ² + D² |
| up to ``train`` | lower the energy | Ψ² |
| later | frozen | Ψ², after ``burn_in`` moves |

During the first 20 steps of pretraining and of training the parameters stay fixed, and
walkers equilibrate by many moves.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

EQUILIBRATION = 20
"""First steps of a phase, in which walkers reach the density and the width adapts."""

WARMUP = 50
"""Steps of the linear rise of the rate; the first directions are the noisiest."""


class Phase(NamedTuple):
    """Work of one step."""

    pretraining: Bool[Array, ""]  # parameters fit Hartree-Fock
    training: Bool[Array, ""]  # parameters change, also while pretraining
    rate: Float[Array, ""]  # factor on the learning rate, in [0, 1]
    moves: Int[Array, ""]  # Metropolis moves of every walker
    adapting: Float[Array, ""]  # rate at which the width adapts, 0 once it is frozen


def phase_at(
    step: Int[Array, ""],
    *,
    pretrain: Int[Array, ""] | int = 0,
    train: int,
    moves: int,
    burn_in: int,
) -> Phase:
    """Return the phase of a step.

    Args:
        step: counted from 1.
        pretrain: last step of pretraining.
        train: last step of training.
        moves: moves of a usual step.
        burn_in: moves of the first steps of a phase together, and before evaluation.
    """
    pretraining, training = step <= pretrain, step <= train
    phase_step = jnp.where(pretraining, step, step - pretrain)
    settling = training & (phase_step <= EQUILIBRATION)
    usual = jnp.where(settling, -(-burn_in // EQUILIBRATION), moves)
    rise = jnp.clip((phase_step - EQUILIBRATION) / WARMUP, 0.0, 1.0)
    return Phase(
        pretraining=pretraining,
        training=training,
        rate=jnp.where(pretraining, rise, schedule(phase_step, train - pretrain)),
        moves=jnp.where(step == train + 1, burn_in, usual),
        adapting=jnp.where(training, jnp.where(settling, 1.0, 0.1), 0.0),
    )


def schedule(
    step: Int[Array, ""] | int, train: Int[Array, ""] | int
) -> Float[Array, ""]:
    """Scale the learning rate: 0 while walkers settle, a rise, a plateau, a fall.

    Args:
        step: of training, counted from 1.
        train: number of steps of training.

    Returns:
        The factor on the learning rate, in [0, 1].

    Example:
        >>> [round(float(schedule(t, 1000)), 3) for t in (20, 45, 400, 700, 1000)]
        [0.0, 0.5, 1.0, 0.5, 0.02]
    """
    progress = step / jnp.maximum(train, 1)
    fall = jnp.clip((1 - progress) / 0.6, 0.02, 1.0)
    return jnp.clip((step - EQUILIBRATION) / WARMUP, 0.0, 1.0) * fall
