"""Metropolis against exact distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from heliostat.kernels.vmc import metropolis as module
from heliostat.kernels.vmc.metropolis import (
    TARGET_ACCEPTANCE,
    Walker,
    adapt_width,
    metropolis,
)
from heliostat.kernels.vmc.proposals import small_step
from heliostat.system.jit import jit

sweep = jit(module.metropolis_sweep, static_argnums=(0, 4))  # op by op it takes seconds


def gaussian(x):
    return -jnp.sum(x**2) / 4  # |ψ|² is a normal density of unit variance


def test_a_sweep_leaves_the_exact_density_alone():
    """Walkers drawn from |ψ|² still follow it; one KS test, false alarms 1 in 1000."""
    start = jax.random.normal(jax.random.key(0), (4000, 1, 1))
    moved, accepted = sweep(gaussian, jax.random.key(1), start, jnp.array(1.5), 10)
    assert stats.kstest(np.ravel(moved), "norm").pvalue > 1e-3
    assert 0.3 < float(accepted.mean()) < 0.8


@pytest.mark.slow
def test_a_sweep_finds_the_density_from_afar():
    start = jnp.full((4000, 1, 1), 5.0)
    moved, _ = sweep(gaussian, jax.random.key(2), start, jnp.array(1.5), 200)
    assert stats.kstest(np.ravel(moved), "norm").pvalue > 1e-3


def test_acceptance_is_the_exact_one():
    """In one dimension a step of width w is accepted with (2/π) atan(2/w) on average.

    Exact for the unit normal; 40 000 walkers give 0.25 % (one sigma), so 1.2 % is a
    false alarm in about a million.
    """
    width = 1.3
    start = jax.random.normal(jax.random.key(3), (40_000, 1, 1))
    _, accepted = sweep(gaussian, jax.random.key(4), start, jnp.array(width), 1)
    exact = 2 / np.pi * np.arctan(2 / width)
    assert float(accepted.mean()) == pytest.approx(exact, abs=0.012)


def one_move(logpsi, position, log, seed=0):
    moving, deciding = jax.random.split(jax.random.key(seed))
    proposal = small_step(moving, position, jnp.array(0.5))
    return metropolis(logpsi, deciding, Walker(position, log), proposal)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_point_that_is_not_finite_is_never_entered(bad):
    x = jnp.zeros((2, 3))
    walker, moved = one_move(lambda _: jnp.array(bad), x, jnp.array(0.0))
    assert not bool(moved)
    assert float(walker.logpsi) == 0.0
    np.testing.assert_array_equal(walker.position, x)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_walker_on_such_a_point_leaves_it(bad):
    walker, moved = one_move(gaussian, jnp.ones((2, 3)), jnp.array(bad))
    assert bool(moved) and np.isfinite(walker.logpsi)


def test_no_moves_leave_walkers_where_they_are():
    start = jnp.ones((3, 2, 3))
    moved, _ = sweep(gaussian, jax.random.key(0), start, jnp.array(0.5), 0)
    np.testing.assert_array_equal(moved, start)


def test_a_walker_draws_by_its_own_index():
    """The moves of one walker depend neither on the number nor the place of others."""
    start = jnp.zeros((8, 1, 1))
    many, _ = sweep(gaussian, jax.random.key(5), start, jnp.array(0.5), 4)
    assert len(np.unique(many)) == 8


def test_adapted_width_reaches_the_target():
    width, key = jnp.array(20.0), jax.random.key(6)
    walkers = jnp.zeros((500, 2, 1))

    def move(chain, i):
        walkers, width = chain
        moved = jax.random.fold_in(key, i)
        walkers, accepted = module.metropolis_sweep(gaussian, moved, walkers, width, 5)
        width = adapt_width(width, accepted.mean(), rate=0.5)
        return (walkers, width), accepted.mean()

    run = jit(lambda *chain: jax.lax.scan(move, chain, jnp.arange(60))[1])
    accepted = run(walkers, width)[-1]
    assert float(accepted) == pytest.approx(TARGET_ACCEPTANCE, abs=0.05)
