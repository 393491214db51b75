"""log Z from both directions of annealing, against exact values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.enumeration import enumerated

from heliostat.kernels import anneal, informed, ising, potts, smc, two_sided
from heliostat.kernels.discrete.annealing import bennett, draw_product, log_z0
from heliostat.kernels.discrete.densities import sine_rbm
from heliostat.kernels.discrete.target import Target
from heliostat.system.jit import jit

PARTICLES, TEMPERATURES = 256, 400
TARGETS = {
    "rbm": sine_rbm(12, 8, 1.0),
    "ising": ising(3, 0.3, field=0.2),
    "potts": potts(3, 3, 0.4)._replace(sites=9),
}
MARGIN = 4.5  # standard errors; false alarm below 1e-5 per comparison


def weights(target, kernel, x, betas, base, seed):
    """Log-weights of particles that start at ``x``."""

    def one(key, x):
        return anneal(kernel, key, kernel.init(x), betas, base)[1]

    keys = jax.random.split(jax.random.key(seed), len(x))
    return np.asarray(jit(jax.vmap(one))(keys, x))


def both(target, temperatures=TEMPERATURES):
    """Forward and backward weights; backward from exact draws of the target."""
    base = jnp.asarray(
        np.random.default_rng(1).normal(size=(target.sites, target.values))
    )
    base = base.astype(float) / 4
    betas = np.linspace(0, 1, temperatures + 1, dtype=np.float32)
    kernel = informed(target)
    keys = jax.random.split(jax.random.key(3), PARTICLES)
    hot = jax.vmap(draw_product, (0, None))(keys, base)
    every, _, _, chances = enumerated(target)
    cold = every[np.random.default_rng(2).choice(len(every), PARTICLES, p=chances)]
    forward = weights(target, kernel, hot, betas, base, 4)
    backward = weights(target, kernel, jnp.asarray(cold), betas[::-1], base, 5)
    return forward, backward, float(log_z0(base))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n != "rbm")) for n in TARGETS],
)
def test_both_directions_bracket_log_z(name):
    target = TARGETS[name]
    exact = enumerated(target)[2]
    forward, backward, offset = both(target)
    result = two_sided(forward, backward, offset)
    noise = [MARGIN * np.std(w) / PARTICLES**0.5 for w in (forward, backward)]
    assert result.lower - noise[0] < exact < result.upper + noise[1]
    assert abs(result.value - exact) < 0.05
    assert abs(result.value - exact) < MARGIN * result.error


@pytest.mark.slow
def test_few_temperatures_widen_the_bounds_on_both_sides():
    """The bounds are true ones: a hasty schedule moves them apart, not together."""
    forward, backward, offset = both(TARGETS["rbm"], 8)
    exact, result = enumerated(TARGETS["rbm"])[2], two_sided(forward, backward, offset)
    assert result.lower < exact - 0.05
    assert result.upper > exact + 0.05
    assert abs(result.value - exact) < MARGIN * result.error


@pytest.mark.parametrize("counts", [(200_000, 200_000), (200_000, 20_000)])
def test_bennett_solves_the_gaussian_case(counts):
    """Weights N(μ − σ²/2, σ²) forwards and their mirror backwards: log Z = μ."""
    rng = np.random.default_rng(0)
    forward = rng.normal(3 - 0.5, 1, counts[0])
    backward = rng.normal(-3 - 0.5, 1, counts[1])
    f, b = jnp.asarray(forward), jnp.asarray(backward)
    (ahead, error), (behind, _) = bennett(f, b), bennett(b, f)
    assert abs(float(ahead) - 3) < 5 * float(error) < 0.1
    assert float(behind) == pytest.approx(-float(ahead), abs=1e-4)


@pytest.mark.slow
def test_smc_finds_log_z_and_the_target():
    target = TARGETS["rbm"]
    every, _, exact, chances = enumerated(target)
    run = jit(
        lambda key: smc(
            informed(target), key, 4000, jnp.zeros((target.sites, 2)), moves=20
        )
    )
    result = run(jax.random.key(0))
    assert float(result.log_z) == pytest.approx(exact, abs=0.1)
    assert int(result.rounds) < 30
    spread = 0.5 / 4000**0.5
    gap = np.abs(np.asarray(result.chains.x).mean(0) - chances @ every)
    assert gap.max() < 8 * spread  # resampled particles are not independent


@pytest.mark.slow
def test_smc_leaves_what_is_impossible_behind():
    """Of 512 states of nine bits ten are possible: log Z = log 10."""
    few = Target(lambda x: jnp.where(jnp.sum(x) <= 1, 0.0, -jnp.inf), 9)
    run = jit(lambda key: smc(informed(few), key, 4000, jnp.zeros((9, 2)), moves=20))
    result = run(jax.random.key(1))
    assert abs(float(result.log_z) - np.log(10)) < 5 * (50 / 4000) ** 0.5 < 0.6
    assert int(result.rounds) < 5
    assert (np.asarray(result.chains.x).sum(1) <= 1).all()


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        two_sided([np.nan, 1.0], [0.0])
