"""The posterior's density and the synthetic sets, against plain formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from heliostat_tasks.preferences.features import FEATURES
from heliostat_tasks.preferences.ground_truth import NOTICED, synthetic_table
from heliostat_tasks.preferences.regression import (
    accuracy,
    potential_energy,
    predictive_losses,
)

RNG = np.random.default_rng(0)
X = RNG.integers(-1, 2, (40, 3)).astype(float)


def minus_log_posterior(alpha, x, scale: float) -> float:
    """Compute −log posterior with all its constants, pair by pair."""
    likelihood = sum(np.log(1 / (1 + np.exp(-row @ alpha))) for row in x)
    prior = sum(np.log(np.exp(-abs(a) / scale) / (2 * scale)) for a in alpha)
    return -(likelihood + prior)


@pytest.mark.parametrize("scale", [0.01, 0.3, 2.0])
def test_potential_energy_is_the_log_posterior_up_to_a_constant(x64, scale):
    at_zero = minus_log_posterior(np.zeros(3), X, scale)
    for alpha in RNG.normal(size=(5, 3)):
        result = float(potential_energy(jnp.asarray(alpha), jnp.asarray(X), scale))
        expected = minus_log_posterior(alpha, X, scale) - at_zero
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert float(potential_energy(jnp.zeros(3), jnp.asarray(X), scale)) == 0


def test_its_gradient_is_the_sum_of_likelihood_and_prior(x64):
    alpha = np.array([0.3, -0.2, 1.0])
    result = jax.grad(potential_energy)(jnp.asarray(alpha), jnp.asarray(X), 0.1)
    expected = -X.T @ expit(-X @ alpha) + np.sign(alpha) / 0.1
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_float32_keeps_the_digits_that_decide_on_acceptance():
    """15,000 pairs: the energy is known to 1e-3 nat, a thousandth of an acceptance."""
    x = RNG.integers(-1, 2, (15_000, 23)).astype(np.float32)
    alpha = RNG.normal(size=23).astype(np.float32) * 0.1
    result = float(potential_energy(jnp.asarray(alpha), jnp.asarray(x), 0.01))
    exact = np.logaddexp(0, -x.astype(float) @ alpha.astype(float)) - np.log(2)
    expected = exact.sum() + np.abs(alpha.astype(float)).sum() / 0.01
    assert abs(result - expected) < 1e-3


def test_accuracy_counts_ties_half():
    assert accuracy([1.0, -1.0], [[1, 0], [0, 1], [1, 1], [0, 0]]) == 0.5
    assert accuracy([1.0], [[1], [1], [0], [0]]) == 0.75
    assert np.isnan(accuracy([1.0], np.zeros((0, 1))))


def test_the_predictive_probability_is_the_mean_over_draws():
    """Over 600 pairs, more than a batch; draw by draw."""
    draws, x = RNG.normal(size=(7, 3)), RNG.integers(-1, 2, (600, 3))
    expected = [-np.log(sum(expit(row @ a) for a in draws) / 7) for row in x]
    np.testing.assert_allclose(predictive_losses(draws, x), expected, rtol=1e-12)


def test_synthetic_pairs_follow_their_coefficients():
    """Shares of 60,000 pairs within 4.5 binomial errors: false alarms 3e-4 in all."""
    table = synthetic_table(60_000, seed=3)
    share = (table.phi != 0).mean(axis=0)
    error = np.sqrt(NOTICED * (1 - NOTICED) / len(table.phi))
    assert np.all(np.abs(share - NOTICED) < 4.5 * error)
    p = expit(table.phi @ table.coefficients)
    z = (table.first - p).sum() / np.sqrt((p * (1 - p)).sum())
    assert abs(z) < 4.5
    alike = np.corrcoef(table.phi.T)
    assert 0.25 < alike[0, 1] < 0.5 and np.abs(alike[2:, :2]).max() < 0.03
    assert len(FEATURES) == 23


def test_a_longer_synthetic_set_holds_out_the_same_pairs():
    short, long = synthetic_table(100), synthetic_table(200)
    sizes = [len(part) for part in short.split(0.3)]
    assert sum(sizes) == 100 and 15 < sizes[1] < 45
    assert len(long.split(0.3)[1]) > sizes[1]
    assert short.pairs == long.pairs[:100]


def test_the_order_within_a_pair_drops_out():
    table = synthetic_table(50)
    swapped = table._replace(phi=-table.phi, first=~table.first)
    np.testing.assert_array_equal(table.x, swapped.x)
