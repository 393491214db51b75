"""Small discrete spaces, enumerated: the slow, obvious oracle of samplers."""

from __future__ import annotations

from itertools import product

import jax
import numpy as np

from heliostat.kernels.discrete.target import value
from heliostat.system.jit import jit


def states(target):
    """Return every state, (K^D, D) uint8, in the order of :func:`index`."""
    every = product(range(target.values), repeat=target.sites)
    return np.array(list(every), np.uint8)


def index(x, values):
    """Return the places of states (..., D) in the list of all."""
    return x.astype(int) @ values ** np.arange(x.shape[-1])[::-1]


def enumerated(target):
    """Return all states, log p of each, log Z, and their probabilities."""
    every = states(target)
    logs = np.asarray(jit(jax.vmap(lambda x: value(target, x)))(every), float)
    log_z = np.logaddexp.reduce(logs)
    return every, logs, log_z, np.exp(logs - log_z)
