"""R-hat of runs whose chains are in different modes, and of well-mixed ones."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.discrete import Discrete, estimates

NEEL = Discrete(size=8, coupling=-0.7, chains=16)
"""An antiferromagnet: two ordered states of the same energy and magnetisation."""

MIXED = Discrete(size=8, coupling=0.2, chains=16, sampler="chromatic", warmup=100)

UNTIL = "rhat < 1.01 and ess > 400"


def run_here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


def warned(headline) -> set[str]:
    return {name for name, estimate in headline.items() if estimate.warning}


@pytest.mark.slow
def test_the_two_states_of_an_antiferromagnet_are_seen(tmp_path):
    run = run_here(NEEL, tmp_path, steps=4_000, until=UNTIL)
    assert (run.steps, run.until.met) == (4_000, False)
    rhat = run.headline["rhat"]
    assert rhat.value > 1.1 and "worst of" in rhat.note
    assert warned(run.headline) == {"ess", "rhat"}
    assert f"WARNING: {rhat.warning}" in repr(run)
    assert hs.verify(run, on="here", segments=1).status == "ACCEPT"


@pytest.mark.slow
def test_a_condition_looks_at_modes(tmp_path):
    task = Discrete(size=4, coupling=-0.9, chains=16, sampler="chromatic", warmup=100)
    run = run_here(task, tmp_path, steps=1_000, until=UNTIL)
    assert (run.steps, run.until.met) == (1_000, False)


def rows_of(rng, chains: int, draws: int, **more) -> xr.Dataset:
    """Rows of independent draws: nothing in them tells chains apart."""
    names = (*estimates.OF_THE_STATE, "acceptance_rate", "hops")
    values = {name: rng.normal(size=(chains, draws)) for name in names}
    values |= {"step_size": np.ones((chains, draws)), **more}
    dims = {name: (("chain", "draw"), value) for name, value in values.items()}
    return xr.Dataset(dims, {"draw": np.arange(1, draws + 1)})


def states_of(rng, chains: int, draws: int, sites: int = 30) -> xr.DataArray:
    """States at every 100th draw, around one of two modes by turns."""
    mode = rng.integers(0, 2, sites) ^ (np.arange(chains) % 2)[:, None]
    noise = rng.random((chains, draws // 100, sites)) < 0.05
    steps = {"draw": np.arange(100, draws + 1, 100)}
    return xr.DataArray(mode[:, None] ^ noise, steps, ("chain", "draw", "site"))


@pytest.mark.parametrize("draws", [800, 4_000])
def test_modes_are_seen_where_all_that_is_emitted_agrees(draws):
    rng = np.random.default_rng(0)
    rows, states = rows_of(rng, 16, draws), states_of(rng, 16, draws)
    blind = estimates.headline(rows, 0, 0)["rhat"]
    seen = estimates.headline(rows, 0, 0, states)["rhat"]
    assert blind.value < 1.01 and not blind.warning
    assert seen.value > 1.1 and seen.note.startswith(("occupation", "projection"))


def test_a_small_rhat_is_unknown_before_there_are_states():
    rng = np.random.default_rng(0)
    rows, states = rows_of(rng, 16, 700), states_of(rng, 16, 700)
    rhat = estimates.headline(rows, 500, 0, states)["rhat"]
    assert np.isnan(rhat.value) and "2 states of each chain" in rhat.warning


@pytest.mark.parametrize("name", ["hamming", "acceptance_rate", "hops"])
def test_every_statistic_counts(name):
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(4, 1_000)) + np.arange(4)[:, None]
    headline = estimates.headline(rows_of(rng, 4, 1_000, **{name: apart}), 0, 0)
    assert headline["rhat"].value > 1.1 and headline["rhat"].note.startswith(name)
    assert headline["ess"].value < 100 and headline["ess"].note.startswith(name)


def test_moves_do_not_count_where_step_sizes_differ():
    """Each chain tunes its own step size, and its acceptance follows from that."""
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(4, 1_000)) + np.arange(4)[:, None]
    sizes = np.broadcast_to(np.arange(1.0, 5)[:, None], (4, 1_000))
    rows = rows_of(rng, 4, 1_000, acceptance_rate=apart, step_size=sizes)
    assert not warned(estimates.headline(rows, 0, 0))


def test_chains_that_share_starts_are_judged_by_their_groups():
    rng = np.random.default_rng(0)
    hamming = rng.normal(size=(64, 40)) + 3 * (np.arange(64) % 4)[:, None]
    headline = estimates.headline(rows_of(rng, 64, 40, hamming=hamming), 0, 4)
    nested = headline["nested_rhat"]
    assert nested.value > 1.1 and nested.note.startswith("hamming") and nested.warning
    assert headline["ess"].warning == "below 400: 100 for each of 4 starts"


@pytest.mark.slow
def test_a_well_mixed_run_has_no_warning_and_ends_once_states_were_seen(tmp_path):
    """Draws 351 to 700 have the first four states of each chain; sites want more."""
    run = run_here(MIXED, tmp_path, steps=5_000, until="rhat < 1.01 and ess > 1600")
    assert 700 <= run.steps < 5_000 and not warned(run.headline)
    assert int(run.headline["rhat"].note.split()[-1]) >= 5 + 8


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_hundred_well_mixed_runs_have_no_warning(tmp_path):
    """1,600 chains are a hundred runs of 16: chains have keys of their own. By chance
    one in ten thousand such runs is warned of because of its states."""
    fields = {"size": 8, "coupling": 0.2, "sampler": "chromatic"}
    task = Discrete(chains=1_600, **fields)
    run = run_here(task, tmp_path, steps=4_000)
    rows, states = run.rows.load(), task.states(run.observed)
    for first in range(0, 1_600, 16):
        part = {"chain": slice(first, first + 16)}
        headline = estimates.headline(rows.isel(part), 500, 0, states.isel(part))
        assert headline["rhat"].value < 1.01 and not warned(headline)
