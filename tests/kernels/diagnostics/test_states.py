"""R̂ of discrete states against R̂ of their indicators, and its rate of false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from heliostat.kernels import ess_estimate, rhat, rhat_estimate, rhat_of_states
from heliostat.kernels.diagnostics.states import chance_excess, occupation_rhat


def modes(rng, chains: int, draws: int, sites: int = 64, noise: float = 0.1):
    """Chains around a random state or its opposite, by turns."""
    state = rng.integers(0, 2, sites)
    flips = rng.random((chains, draws, sites)) < noise
    return (state + np.arange(chains)[:, None, None] + flips) % 2


@pytest.mark.parametrize("values", [2, 3])
def test_occupations_have_the_rhat_of_their_indicators(values):
    states = np.random.default_rng(0).integers(0, values, (5, 41, 7))
    kinds = range(1, 2) if values == 2 else range(values)
    each = np.stack([rhat(states == k) for k in kinds], axis=-1)
    got = occupation_rhat(states, values)
    np.testing.assert_allclose(got.reshape(each.shape), each, rtol=1e-12)


def test_rare_values_say_nothing_and_frozen_chains_a_finite_number():
    states = np.zeros((4, 20, 3), int)
    states[0, 0, 1] = 1  # once
    states[:2, :, 2] = 1  # half of the chains, always
    never, rare, frozen = occupation_rhat(states, 2)
    assert np.isnan(never) and np.isnan(rare) and 3 < frozen < np.inf


@pytest.mark.parametrize("draws", [4, 20, 200])
def test_modes_show_however_few_the_states_are(draws):
    rhats = rhat_of_states(modes(np.random.default_rng(1), 16, draws), 2)
    assert rhat_estimate(rhats).value > 1.5


@pytest.mark.parametrize("draws", [0, 1, 3])
def test_fewer_than_four_states_or_one_chain_are_unknown(draws):
    for shape in ((16, draws, 9), (1, 50, 9)):
        rhats = rhat_of_states(np.zeros(shape, np.uint8), 2)
        assert all(np.isnan(each).all() for each in rhats.values())


@pytest.mark.parametrize("draws", [4, 20])
def test_independent_states_seldom_exceed_one(draws):
    """At a chance of 0.2, 200 sets exceed 1 at most 40 times on average; more than 65
    have a probability below 1e-5, and fewer than 5 would mean a bound far too wide."""
    rng = np.random.default_rng(2)
    sets = (rng.integers(0, 2, (16, draws, 25)) for _ in range(200))
    worst = [rhat_estimate(rhat_of_states(x, 2, chance=0.2)).value for x in sets]
    assert 5 <= np.sum(np.array(worst) > 1) <= 65


def test_the_excess_is_the_quantile_of_independent_normal_draws():
    """2,000 sets of 8 half chains: 5 % ± 5 standard errors exceed it."""
    x = np.random.default_rng(3).normal(size=(2000, 8, 10))
    means, within = x.mean(-1), x.var(-1, ddof=1).mean(-1)
    squares = 0.9 + means.var(-1, ddof=1) / within
    share = np.mean(squares > 1 + chance_excess(8, 10, 0.05))
    assert abs(share - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 2000)


def test_the_worst_statistic_is_named_and_warned_of():
    two = {"energy": 1.002, "site": np.array([[1.0, np.nan], [1.3, 1.2]])}
    worst = rhat_estimate(two)
    assert (worst.value, worst.note) == (1.3, "site[1, 0], worst of 4")
    assert worst.warning.startswith("above 1.01")
    assert rhat_estimate({"energy": 1.01}).warning == ""
    least = ess_estimate({"energy": 401.0, "lp": 399.0}, groups=4)
    assert (least.value, least.note) == (399.0, "lp, least of 2")
    assert least.warning and not ess_estimate({"lp": 400.0}, groups=4).warning


def test_a_small_rhat_in_doubt_is_unknown_and_a_large_one_is_not():
    unknown = rhat_estimate({"lp": 1.001}, doubt="no states")
    assert np.isnan(unknown.value) and unknown.warning == "no states"
    assert rhat_estimate({"lp": 1.4}, doubt="no states").value == 1.4
    assert np.isnan(rhat_estimate({}).value) and np.isnan(ess_estimate({}, 4).value)
