"""Runs of bilevel problems, with and without the platform."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.system.jit import jit


def run_here(task, store, **options):
    """Run a task in this process, without progress messages."""
    return hs.run(task, store=store, on="here", progress=silent, **options)


def values(run):
    """Return the values of a headline by name."""
    return {name: estimate.value for name, estimate in run.headline.items()}


def scan_steps(task, steps, key=0):
    """Return rows and last state of one replica, by a plain scan over ``step``."""
    root = jax.random.key(key)

    def run(data):  # data is an argument, since XLA folds constants for seconds
        def step(state, t):
            return task.step(jax.random.fold_in(root, t), state, data)

        start = task.init(jax.random.fold_in(root, 0), 0, data)
        return jax.lax.scan(step, start, jnp.arange(1, steps + 1))

    state, rows = jit(run)(task.prepare())
    return SimpleNamespace(**{k: np.asarray(v) for k, v in rows.items()}), state
