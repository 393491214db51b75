"""State of a run: walkers and a wavefunction."""

from __future__ import annotations

from typing import NamedTuple

from jax import Array
from jaxtyping import Float, Int

from heliostat_tasks.vmc.wavefunction.first_guess import Params


class State(NamedTuple):
    """Walkers and the wavefunction whose density they sample.

    ``energies`` belong to ``walkers`` and ``params``; their mean is the last row.
    """

    step: Int[Array, ""]  # steps taken
    nuclei: Float[Array, "nuclei 3"]  # bohr, in the order of the parameters
    walkers: Float[Array, "walkers n 3"]  # bohr, spin up first
    energies: Float[Array, " walkers"]  # hartree
    params: Params
    momentum: Float[Array, " params"]  # SPRING's φ, the last direction
    width: Float[Array, ""]  # of small steps, in lengths of the density
    scale: Float[Array, ""]  # log of a factor of Ψ in the density while pretraining
    pretrain: Int[Array, ""]  # last step of pretraining; 0 if there was a parent
