"""Runs of task ``discrete`` against exact values, on any number of workers.

A mean is judged by |mean − exact| < 4 errors: at the fixed seeds of these tests a false
alarm had probability 6e-5 each. The error itself must be small too.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from support.enumeration import states

import heliostat as hs
from heliostat.config import specify
from heliostat.driver.progress import silent
from heliostat.kernels.discrete.target import value
from heliostat_tasks.discrete import Discrete
from heliostat_tasks.discrete.samplers import SAMPLERS
from heliostat_tasks.discrete.targets import TARGETS, parameters
from heliostat_tasks.discrete.validate import ADAPTED, SAMPLER_FIELDS, TARGET_FIELDS

SMALL = {"size": 4, "coupling": 0.2, "warmup": 100}
PLAIN = {"sampler": "chromatic"}
"""Sampler that compiles fastest, for tests in which the sampler does not matter."""


def run_here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


def strides(run):
    blocks = range(-(-run.task.chains // run.task.width))
    return [run.record.strides(block, run.task.stride) for block in blocks]


CASES = {
    "gwg": (Discrete(size=8, coupling=0.2, warmup=200), 12_000),
    "chromatic": (Discrete(size=8, coupling=0.4, sampler="chromatic"), 4_000),
    "path": (Discrete(size=8, coupling=0.2, sampler="path", longest=12), 6_000),
    "independent": (Discrete(target="independent", size=20, field=0.7), 3_000),
    "curie-weiss": (Discrete(target="curie-weiss", size=12, coupling=0.3), 20_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_energies_are_exact_within_their_errors(tmp_path, name):
    task, steps = CASES[name]
    headline = run_here(task, tmp_path, steps=steps).headline
    energy, exact = headline["energy_per_site"], headline["exact"].value
    assert abs(energy.value - exact) < 4 * energy.error
    assert energy.error < 0.005 * abs(exact)


@pytest.mark.slow
@pytest.mark.parametrize(("coupling", "steps"), [(0.2, 40_000), (0.4, 8_000)])
def test_a_larger_torus_is_kaufmans(tmp_path, coupling, steps):
    sampler = "gwg" if coupling < 0.3 else "chromatic"
    task = Discrete(size=16, coupling=coupling, sampler=sampler, warmup=2_000)
    headline = run_here(task, tmp_path, steps=steps).headline
    energy, exact = headline["energy_per_site"], headline["exact"].value
    assert abs(energy.value - exact) < 3 * energy.error
    assert energy.error < 0.005 * abs(exact)


@pytest.mark.parametrize(
    ("task", "steps", "exact"),
    [
        pytest.param(
            Discrete(target="rbm", size=16, hidden=10, scale=1.5),
            4_000,
            -29.69604747 / 16,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Discrete(target="potts", size=4, coupling=0.5),
            6_000,
            -0.93826562,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Discrete(target="potts", size=4, coupling=0.5, sampler="chromatic"),
            2_000,
            -0.93826562,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["rbm", "potts", "potts-chromatic"],
)
def test_other_targets_are_exact_within_their_errors(tmp_path, task, steps, exact):
    """Values of independent enumerations and transfer matrices."""
    energy = run_here(task, tmp_path, steps=steps).headline["energy_per_site"]
    assert abs(energy.value - exact) < 4 * energy.error
    assert energy.error < 0.005 * abs(exact)


@pytest.mark.slow
def test_a_small_fhmm_has_its_exact_mean(tmp_path):
    """Σ E x of 4 times and 3 factors, by enumeration."""
    run = run_here(Discrete(target="fhmm", size=4, hidden=3), tmp_path, steps=20_000)
    mean = run.headline["magnetisation"]
    assert abs(12 * mean.value - 3.06110119) < 4 * 12 * mean.error
    assert mean.error < 0.005 * mean.value


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_an_fhmm_has_its_exact_marginals(tmp_path):
    """Σ E x and E x_00 by scaled forward-backward, of 20 times and 4 factors."""
    task = Discrete(target="fhmm", size=20, hidden=4, warmup=5_000)
    run = run_here(task, tmp_path, steps=200_000)
    mean = run.headline["magnetisation"]
    assert abs(80 * mean.value - 22.70752386) < 3 * 80 * mean.error
    assert mean.error < 0.005 * mean.value
    each = np.asarray(run.states().occupied)[:, 0, 0]  # running means after warm-up
    error = each.std(ddof=1) / len(each) ** 0.5
    assert abs(each.mean() - 0.16817396) < 4 * error


@pytest.mark.slow
def test_swap_rates_of_a_ladder_are_exact(tmp_path):
    """E min(1, exp[(β − β')(f(y) − f(x))]) over x ~ p_β, y ~ p_β', by enumeration.

    |mean − exact| < 4 errors of 64 chains, of both pairs: false alarm 1e-4.
    """
    task = Discrete(size=3, coupling=0.3, rungs=3, hottest=0.25, warmup=100)
    run = run_here(task, tmp_path, steps=2_000)
    f = np.asarray(jax.vmap(lambda x: value(task.model, x))(states(task.model)), float)
    heat = [1.0, 0.5, 0.25]
    p = [np.exp(b * f - np.logaddexp.reduce(b * f)) for b in heat]
    rates = run.rows.swap_rate[:, 100:].mean("draw").values
    for pair in (0, 1):
        gap = (heat[pair] - heat[pair + 1]) * (f[None] - f[:, None])
        exact = p[pair] @ np.minimum(1.0, np.exp(gap)) @ p[pair + 1]
        error = rates[:, pair].std(ddof=1) / 8
        assert error < 0.01 and abs(rates[:, pair].mean() - exact) < 4 * error
    worst = run.rows.swap_rate[:, 1_000:].mean(["chain", "draw"]).min()
    assert run.headline["swap_rate"].value == pytest.approx(float(worst), rel=1e-5)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reads_only_fields_that_are_checked_for_use(name):
    assert set(parameters(TARGETS[name])) <= {"size", *TARGET_FIELDS}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_reads_only_fields_that_are_checked_for_use(name):
    assert set(parameters(SAMPLERS[name])) <= {"target", *SAMPLER_FIELDS}
    task = Discrete(target="rbm" if name == "block" else "ising", sampler=name)
    assert (task.kernel.sizes is not None) == (name in ADAPTED)


def test_values_left_to_their_default_are_the_same_run():
    tasks = [Discrete(target="potts", values=q, **SMALL) for q in (None, 3)]
    assert len({specify(task).id for task in tasks}) == 1


@pytest.mark.slow
def test_workers_and_length_change_no_draw(fleet_ray, tmp_path):
    task = Discrete(chains=40, sampler="dmala", **SMALL)
    whole = run_here(task, tmp_path / "here", steps=400)
    fleet = {"gpus": 0, "progress": silent}
    for workers, steps in ((1, 400), (2, 200), (4, 400)):
        store = tmp_path / str(workers)
        run = hs.run(task, store=store, steps=steps, workers=workers, **fleet)
        if steps < 400:
            run = hs.extend(run, steps=400, workers=workers, **fleet)
        assert strides(run) == strides(whole)


@pytest.mark.slow
def test_more_chains_of_a_class_begin_with_the_same_ones(tmp_path):
    few = run_here(Discrete(chains=40, **PLAIN, **SMALL), tmp_path, steps=200).rows.lp
    many = run_here(Discrete(chains=70, **PLAIN, **SMALL), tmp_path, steps=200).rows.lp
    np.testing.assert_array_equal(few, many[:40])


@pytest.mark.slow
def test_a_step_size_is_fixed_after_warm_up(tmp_path):
    task = Discrete(size=4, coupling=0.2, chains=4, sampler="dmala", warmup=500)
    run = run_here(task, tmp_path, steps=1_000)
    size = run.rows.step_size.values
    assert (size[:, 500:] == size[:, 500:501]).all()
    assert (np.ptp(size[:, :500], axis=1) > 0).all()
    late = run.rows.acceptance_rate.values[:, 500:].mean()
    assert abs(late - 0.574) < 0.05


def test_observed_states_are_the_chains(tmp_path):
    task = Discrete(target="potts", size=4, coupling=0.5, chains=5, warmup=10, **PLAIN)
    run = run_here(task, tmp_path, steps=300)
    states = task.states(run.observed)
    assert dict(states.sizes) == {"chain": 5, "draw": 3, "site": 16}
    assert states.draw.values.tolist() == [100, 200, 300]
    last = np.asarray(run.states().chain.x)
    np.testing.assert_array_equal(states.isel(draw=-1), last)


def test_frozen_statistics_are_undefined_and_counted(tmp_path):
    """In a strong field nothing moves once all spins agree: no sample size exists."""
    task = Discrete(size=4, coupling=5.0, field=9.0, chains=8, sampler="chromatic")
    headline = run_here(task, tmp_path, steps=600).headline
    assert headline["frozen"].value >= 1
    assert np.isnan(headline["energy_per_site"].error)


def test_arviz_reads_the_tree(tmp_path):
    stats = pytest.importorskip("arviz_stats")
    run = run_here(Discrete(chains=40, **PLAIN, **SMALL), tmp_path, steps=600)
    tree = run.tree
    groups = {"posterior", "sample_stats", "warmup_posterior", "warmup_sample_stats"}
    assert groups <= set(tree.children)
    assert tree["posterior"].sizes == {"chain": 40, "draw": 500}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ess = stats.ess(tree, var_names=["energy_per_site"])
    ours = run.headline["ess"].value
    assert ours > 0 and float(np.asarray(ess.energy_per_site)) > 0


def test_until_stops_at_a_stride(tmp_path):
    task = Discrete(chains=40, **PLAIN, **SMALL)
    run = run_here(task, tmp_path, steps=5_000, until="ess > 1000 and rhat < 1.05")
    assert run.steps % task.stride == 0 and 100 < run.steps < 5_000
    assert run.headline["ess"].value > 1000 and run.headline["rhat"].value < 1.05


@pytest.mark.slow
def test_a_model_that_was_looked_at_is_no_other_model(tmp_path):
    """Neither the precision before a run nor an earlier use changes the numbers."""
    fields = {"target": "ebm", "size": 12, "hidden": 4, "chains": 2, "warmup": 0}
    seen = Discrete(**fields)
    assert seen.model.sites == 12
    rows = [
        run_here(task, tmp_path / name, steps=100, x64=True).rows.lp.values
        for name, task in (("seen", seen), ("fresh", Discrete(**fields)))
    ]
    np.testing.assert_array_equal(*rows)


@pytest.mark.slow
def test_chains_frozen_in_different_states_have_infinite_rhat_and_verify(tmp_path):
    np.save(tmp_path / "j.npy", 1 - np.eye(5))
    file = hs.File(tmp_path / "j.npy")
    task = Discrete(couplings=file, coupling=2.0, chains=8, sampler="metropolis")
    run = run_here(task, tmp_path, steps=1_200)
    assert hs.open(run.id, store=tmp_path).headline["rhat"].value == np.inf
    assert hs.verify(run, on="here", segments=1).status == "ACCEPT"


@pytest.mark.slow
def test_impossible_draws_have_no_sample_size(tmp_path):
    """Few random states are possible: some chains still walk when draws count."""
    fields = {"size": 10, "chains": 32, "warmup": 0, "sampler": "metropolis"}
    task = Discrete(target=f"{USERS}:few", **fields)
    headline = run_here(task, tmp_path, steps=16).headline
    assert 0 < headline["impossible"].value < 32
    assert np.isnan(headline["ess"].value)


USERS = Path(__file__).parents[2] / "support" / "user_densities.py"


@pytest.mark.slow
def test_a_users_density_is_sampled(tmp_path):
    """An open chain of 12 spins: ⟨s s'⟩ = tanh K of each of its 11 bonds."""
    task = Discrete(target=f"{USERS}:chain", size=12, warmup=200)
    run = run_here(task, tmp_path / "s", steps=4_000)
    energy = run.headline["lp"]
    assert abs(energy.value - 0.4 * 11 * np.tanh(0.4)) < 4 * energy.error
    again = hs.open(run.id, store=tmp_path / "s")
    assert again.headline.keys() == run.headline.keys()
    with pytest.raises(hs.RequestError, match=r"--code FILE\.py:chain"):
        again.task.target.load()
