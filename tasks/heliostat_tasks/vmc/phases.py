"""Phases of a run: walkers settle, parameters are trained, then frozen.

| step | parameters | walkers sample |
|---|---|---|
| the first 20 | wait | the first density, by many moves |
| up to ``train`` | lower the energy | |Ψ|² |
| later | frozen | |Ψ|², after ``burn_in`` moves |
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

SETTLE = 20
"""First steps, in which walkers reach the density and the width adapts."""

WARM = 50
"""Steps of the linear rise of the rate; the first directions are the noisiest."""


class Phase(NamedTuple):
    """Work of one step."""

    training: Bool[Array, ""]  # parameters change
    rate: Float[Array, ""]  # factor on the learning rate, in [0, 1]
    moves: Int[Array, ""]  # Metropolis moves of every walker
    adapting: Float[Array, ""]  # rate at which the width adapts, 0 once it is frozen


def phase_at(step: Int[Array, ""], *, train: int, moves: int, burn_in: int) -> Phase:
    """Return the phase of a step.

    Args:
        step: counted from 1.
        train: last step of training.
        moves: moves of a usual step.
        burn_in: moves of the first steps together, and before evaluation.
    """
    settling = step <= SETTLE
    usual = jnp.where(settling, -(-burn_in // SETTLE), moves)
    training = step <= train
    return Phase(
        training=training,
        rate=schedule(step, train),
        moves=jnp.where(step == train + 1, burn_in, usual),
        adapting=jnp.where(training, jnp.where(settling, 1.0, 0.1), 0.0),
    )


def schedule(step: Int[Array, ""] | int, train: int) -> Float[Array, ""]:
    """Scale the learning rate: 0 while walkers settle, a rise, a plateau, a fall.

    Args:
        step: counted from 1.
        train: last training step.

    Returns:
        The factor on the learning rate, in [0, 1].

    Example:
        >>> [round(float(schedule(t, 1000)), 3) for t in (20, 45, 400, 700, 1000)]
        [0.0, 0.5, 1.0, 0.5, 0.02]
    """
    progress = step / max(train, 1)
    fall = jnp.clip((1 - progress) / 0.6, 0.02, 1.0)
    return jnp.clip((step - SETTLE) / WARM, 0.0, 1.0) * fall
