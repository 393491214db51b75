"""State of a run: persistent chains, learned parameters, and a pass of annealing."""

from __future__ import annotations

from typing import NamedTuple

from jax import Array
from jaxtyping import Float, Int, UInt8

from heliostat_tasks.learn.annealing import Particles
from heliostat_tasks.learn.updates import Learner


class State(NamedTuple):
    """Persistent chains, learned parameters, and a pass of annealing."""

    step: Int[Array, ""]  # steps taken
    buffer: UInt8[Array, "batch slots sites"]  # persistent chains
    learner: Learner
    size: Float[Array, ""]  # step size or radius of the sampler
    forward: Particles
    backward: Particles
    log_p: Float[Array, " sets"]  # unnormalised, means of training and test set
