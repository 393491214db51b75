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


number = 3
WHOLE = Target(chain, sites=12)


def few(x):  # at most four of ten are on
    return jnp.where(jnp.sum(x) <= 4, FIELD @ x, -jnp.inf)


def exactly(x):  # exactly four of ten
    return jnp.where(jnp.sum(x) == 4, FIELD @ x, -jnp.inf)


def rare(x):  # no random state of forty sites is possible
    return jnp.where(jnp.sum(x) == 4, 0.0, -jnp.inf)


def table(x):  # whole numbers have no gradient
    return TABLE[x.astype(int) @ (2 ** jnp.arange(10))]


FIELD = jnp.linspace(-1.0, 1.0, 10)
TABLE = 2 * jnp.sin(jnp.arange(1024.0))
