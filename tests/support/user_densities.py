"""Densities as users write them, good ones and bad ones."""

import jax.numpy as jnp

from heliostat.kernels import Target

K = 0.4


def chain(x):
    s = 2 * x - 1
    return K * jnp.sum(s[1:] * s[:-1])


def colours(x):  # one-hot (sites, 3): any two neighbours differ
    return -1e9 * jnp.sum(x[1:] * x[:-1])


def nan(x):
    return jnp.sum(x) * jnp.nan


def vector(x):
    return x


def broken(x):
    return x @ jnp.zeros((2, 2))


def odd(x):  # exactly six of twelve are on
    return jnp.where(jnp.sum(x) == 6, 0.0, -jnp.inf)


number = 3
WHOLE = Target(chain, sites=12)
