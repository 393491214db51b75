"""Task ``learn``: gradients, bounds and couplings against enumerated states."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.kernels.discrete.annealing import (
    bennett,
    draw_product,
    log_z0,
    two_sided,
)
from heliostat.kernels.discrete.proposals import informed
from heliostat.kernels.discrete.target import value
from heliostat.system.jit import jit
from heliostat_tasks.learn import Learn, lattice
from heliostat_tasks.learn.annealing import AnnealingPlan, Particles, advance, bounds
from heliostat_tasks.learn.chains import walk
from heliostat_tasks.learn.data import baseline, log_weights
from heliostat_tasks.learn.models import Couplings, Pairwise, Residual, zero_sum
from heliostat_tasks.learn.updates import init_learner, learning_rate, shrink, update


def every_state(sites, values=2):
    return np.array(list(itertools.product(range(values), repeat=sites)), np.uint8)


def log_ps(model, params):
    """Return all states, their unnormalised log p, and log Z."""
    target = model.target(params)
    states = every_state(model.sites, model.values)
    f = np.asarray(jit(jax.vmap(lambda x: value(target, x)))(states), float)
    return states, f, float(np.logaddexp.reduce(f))


def pairwise(values, sites=5, seed=0):
    model, rng = Pairwise(sites, values), np.random.default_rng(seed)
    shape = (values, values) if values > 2 else ()
    pairs = jnp.asarray(rng.normal(0, 0.4, (len(model.ends[0]), *shape)), float)
    fields = jnp.asarray(rng.normal(0, 0.3, (sites, *shape[1:])), float)
    return model, Couplings(pairs, fields)


def exact_moments(model, params):
    states, f, z = log_ps(model, params)
    each = jit(jax.vmap(lambda x: model.summary(x[None])))(states)
    return jax.tree.map(lambda v: np.tensordot(np.exp(f - z), v, 1), each)


# -- models ---------------------------------------------------------------------------


@pytest.mark.parametrize("values", [2, 3])
def test_the_mean_log_p_of_states_is_that_of_their_moments(values):
    model, params = pairwise(values, sites=4)
    states, f, _ = log_ps(model, params)
    assert np.isclose(model.mean(params, model.summary(states)), f.mean(), atol=1e-5)


@pytest.mark.parametrize("values", [2, 3])
def test_the_gradient_is_moments_of_the_data_minus_those_of_the_model(values):
    model, params = pairwise(values, sites=4)
    data = model.summary(every_state(4, values)[::3])
    states = jnp.asarray(every_state(4, values))

    def likelihood(params):
        target = model.target(params)
        f = jax.vmap(lambda x: value(target, x))(states)
        return model.mean(params, data) - jax.nn.logsumexp(f)

    gradient = jit(jax.grad(likelihood))(params)
    exact = exact_moments(model, params)
    for slope, of_data, of_model in zip(gradient, data, exact, strict=True):
        np.testing.assert_allclose(slope, of_data - of_model, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "moves"),
    [(2, "single"), (3, "factorised")],
)
def test_moments_of_chains_are_the_exact_ones(values, moves):
    """All moments of 4,000 chains within 5 standard errors of the enumerated ones."""
    model, params = pairwise(values, sites=5)
    chains, kernel = 4000, informed(model.target(params), moves=moves)
    x = jnp.zeros((chains, 5), jnp.uint8)
    run = jit(partial(walk, kernel, size=jnp.asarray(1.0), moves=61))
    moments = model.summary(run(jax.random.key(1), x)[0])
    for mean, exact in zip(moments, exact_moments(model, params), strict=True):
        spread = np.sqrt(np.maximum(1 - exact**2, 0.05) / chains)
        assert np.max(np.abs(mean - exact) / spread) < 5


def test_a_gauge_transformation_changes_no_potts_density():
    model, params = pairwise(3, sites=3)
    i, _ = model.ends
    a = np.random.default_rng(1).normal(size=(3, 3))  # functions of x_i
    moved = params.pairs + jnp.asarray(a)[:, :, None]
    fields = params.fields.at[i].add(-jnp.asarray(a))
    _, f, _ = log_ps(model, params)
    _, g, _ = log_ps(model, Couplings(moved, fields))
    np.testing.assert_allclose(f, g, atol=2e-5)
    np.testing.assert_allclose(zero_sum(moved), zero_sum(params.pairs), atol=1e-5)
    matrix = model.matrix(params.pairs)
    np.testing.assert_array_equal(matrix, matrix.transpose(1, 0, 3, 2))


# -- data -----------------------------------------------------------------------------


def test_lattice_states_have_the_exact_energy():
    """4 × 4, K = 0.2: −0.45613537 per site, by enumeration of all 2^16 states."""
    x = lattice.draw_states(4, 2, 0.2, 4000, 3)
    s, near = 2.0 * x - 1, lattice.adjacency(4)
    energy = -0.5 * np.einsum("ni,ij,nj->n", s, near, s) / 16
    error = energy.std() / np.sqrt(len(energy))
    assert abs(energy.mean() + 0.45613537) < 4 * error < 0.04


def test_potts_states_have_the_exact_energy():
    """q = 3, 5 × 5, K = 0.5: −0.92607273 per site, by transfer matrix."""
    x = lattice.draw_states(5, 3, 0.5, 3000, 1)
    alike = x[:, lattice.neighbours(5)] == x[:, :, None]
    energy = -alike.sum((1, 2)) / 50
    error = energy.std() / np.sqrt(len(energy))
    assert abs(energy.mean() + 0.92607273) < 4 * error < 0.03


def test_the_baseline_is_the_smoothed_product_of_means():
    x = np.array([[0, 1], [0, 1], [1, 1]], np.uint8)
    base = log_weights(x, 2)
    np.testing.assert_allclose(np.exp(base), [[0.6, 0.4], [0.2, 0.8]])
    assert np.isclose(baseline(base, x[:1]), np.log(0.6) + np.log(0.8))


def test_digits_have_a_fixed_split():
    states = Learn(model="ebm").states
    assert states.train.shape == (1438, 64) and states.test.shape == (359, 64)
    assert set(np.unique(states.train)) == {0, 1}


# -- updates --------------------------------------------------------------------------


def test_an_update_that_is_not_finite_changes_nothing():
    learner = init_learner(Couplings(jnp.ones(3), jnp.ones(3)))
    bad = Couplings(jnp.array([1.0, jnp.nan, 0.0]), jnp.zeros(3))
    step = jit(lambda learner, bad, rate: update(learner, bad, rate, 0.1, 0.9))
    new_learner, info = step(learner, bad, jnp.asarray(0.1))
    assert int(info.skipped) == 1 and float(info.gradient) == 0
    for old, new in zip(
        jax.tree.leaves(learner), jax.tree.leaves(new_learner), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_the_fixed_point_is_the_penalised_maximum():
    """With gradient a − J and λ = 0.3: J = 0.7 for a = 1, and 0 for a = 0.2."""
    a = jnp.array([1.0, 0.2, -1.0])
    learner = init_learner(Couplings(jnp.zeros(3), jnp.zeros(1)))
    step = jit(
        lambda learner, rate: update(
            learner,
            Couplings(a - learner.params.pairs, jnp.zeros(1)),
            rate,
            0.3,
            0.0,
        )[0]
    )
    for t in range(1, 401):
        learner = step(learner, learning_rate(jnp.asarray(t), 400, 0.03, 5, 0.5))
    np.testing.assert_allclose(learner.averaged.pairs, [0.7, 0.0, -0.7], atol=0.02)


def test_potts_blocks_shrink_as_a_whole():
    block = jnp.array([[[3.0, 0.0], [0.0, 4.0]], [[0.1, 0.0], [0.0, 0.0]]])
    small = shrink(block, jnp.ones_like(block))
    np.testing.assert_allclose(small[0], block[0] * 0.8, rtol=1e-6)
    assert not small[1].any()


# -- log Z ----------------------------------------------------------------------------


@pytest.mark.slow
def test_both_directions_bracket_the_enumerated_log_z():
    """A network of 10 bits, of no special form: each bound, and Bennett's estimate,
    within 4 standard errors of the right side of log Z; a pass in two pieces."""
    model = Residual(sites=10, features=8, blocks=1)
    base = jnp.asarray(np.random.default_rng(0).normal(0, 1, (10, 2)), float)
    params = model.start(jax.random.key(3), base)
    params = params._replace(write=40 * params.write)
    states, f, exact = log_ps(model, params)
    kernel, n, size = informed(model.target(params)), 256, jnp.asarray(1.0)
    plan, pick = AnnealingPlan(temperatures=200, pieces=2), np.random.default_rng(0)
    ahead = jax.vmap(draw_product, (0, None))(
        jax.random.split(jax.random.key(1), n), base
    )
    back = jnp.asarray(states[pick.choice(len(f), n, p=np.exp(f - exact))])
    moved = jit(lambda *args: advance(kernel, *args, base, size))
    both = (Particles(ahead, jnp.zeros(n)), Particles(back, jnp.zeros(n)))
    for piece in range(2):
        both = moved(jax.random.key(2 + piece), both, plan.betas(jnp.asarray(piece)))
    f, b = both[0].weight, both[1].weight
    z = {k: float(v) for k, v in bounds(f, b, log_z0(base)).items()}
    assert abs(z["log_z"] - exact) < 4 * z["log_z_error"] < 0.4
    assert z["log_z_lower"] < exact + 4 * z["log_z_lower_error"]
    assert z["log_z_upper"] > exact - 4 * z["log_z_upper_error"]
    assert 0 < z["log_z_upper"] - z["log_z_lower"] < 1.5
    host = two_sided(f, b, float(log_z0(base)))
    assert np.isclose(host.value, z["log_z"], atol=1e-3)
    assert 0.6 < host.error / z["log_z_error"] < 1.6


def test_bennetts_estimate_of_gaussian_weights_is_unbiased():
    """Normal weights with means c ∓ σ²/2: log Z/Z₀ = c, and Bennett's error is the
    spread over repetitions."""
    draw, c, sigma = np.random.default_rng(0), 1.3, 1.5
    f = draw.normal(c - sigma**2 / 2, sigma, (200, 100))
    b = draw.normal(-c - sigma**2 / 2, sigma, (200, 100))
    value, error = jax.vmap(bennett)(jnp.asarray(f, float), jnp.asarray(b, float))
    assert abs(float(value.mean()) - c) < 4 * float(value.std()) / 200**0.5
    assert 0.8 < float(value.std()) / float(error.mean()) < 1.25


# -- runs -----------------------------------------------------------------------------

SMALL = {"size": 4, "buffer": 256, "batch": 128, "moves": 10, "evaluate": 0}


def run_here(task, tmp_path, **options):
    return hs.run(task, store=tmp_path, on="here", progress=silent, **options)


@pytest.mark.slow
def test_a_small_lattice_is_recovered(tmp_path):
    """4 × 4, K = 0.3: error below 0.03, where 1/√samples is 0.022; edges stand out."""
    run = run_here(Learn(coupling=0.3, train=300, **SMALL), tmp_path)
    assert run.headline["rmse"].value < 0.03
    assert run.rows["skipped"].sum() == 0 and run.rows["nonfinite"].sum() == 0
    learned = run.observed["weights"].values[-1]
    edges = lattice.adjacency(4) > 0
    assert learned[edges].min() > 0.15 > np.abs(learned[~edges]).max()


@pytest.mark.slow
def test_every_law_holds_through_training_and_evaluation(fleet_ray):
    """25 steps: 12 of training, then passes of 10."""
    small = SMALL | {"buffer": 32, "batch": 16, "particles": 8, "settle": 10}
    task = Learn(train=12, **(small | {"evaluate": 10, "temperatures": 40}))
    reasons = hs.check_task(task)
    assert {law: reason for law, reason in reasons.items() if reason} == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("coupling", [0.2, 0.4])
def test_a_lattice_of_100_sites_is_recovered(tmp_path, coupling):
    """RMSE of all 4,950 couplings from 2,000 states; without penalty it is 0.022."""
    run = run_here(Learn(coupling=coupling), tmp_path)
    assert run.headline["rmse"].value < 0.03


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_potts_couplings_are_recovered_in_the_zero_sum_gauge(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from heliostat_tasks.learn.plots import plot_learned

    run = run_here(Learn(model="potts", size=5, coupling=0.5), tmp_path)
    assert run.headline["rmse"].value < 0.03
    figure = plot_learned(run, str(tmp_path / "learned.png"))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[:3] == [
        "learned couplings, norms of q × q blocks",
        "true couplings, norms of q × q blocks",
        "data",
    ]
    assert (tmp_path / "learned.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_digits_are_bracketed_and_likelier_than_independent_pixels(tmp_path):
    from heliostat import config
    from heliostat.fields import presets

    task = config.build(Learn, presets.load(Learn, "digits").fields)
    headline = run_here(task, tmp_path).headline
    assert -4 * headline["bracket"].error < headline["bracket"].value < 1
    assert headline["log_likelihood"].value > headline["baseline"].value + 5
