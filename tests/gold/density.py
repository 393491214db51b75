"""Log-density of a ring of spins. Its text is part of a run's id: never edit it."""

import jax.numpy as jnp


def log_density(x):
    spins = 2 * x - 1
    return 0.3 * jnp.sum(spins * jnp.roll(spins, 1))
