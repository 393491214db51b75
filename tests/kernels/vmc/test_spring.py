"""SPRING against the same linear algebra in parameter space, written plainly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc import spring as module
from heliostat.kernels.vmc.spring import (
    clip_outliers,
    constrain_norm,
    least_squares,
)
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")

spring = jit(module.spring)  # op by op it takes seconds

WALKERS, PARAMETERS, DAMPING = 40, 7, 1e-2


@pytest.fixture
def batch():
    """Scores with no outlier rows and energies within the clipping window."""
    draw = np.random.default_rng(3)
    scores = draw.uniform(-1, 1, size=(WALKERS, PARAMETERS))
    energies = -8 + draw.uniform(-0.1, 0.1, WALKERS)
    return jnp.asarray(scores), jnp.asarray(energies)


def centred(scores, energies):
    scores, energies = np.asarray(scores), np.asarray(energies)
    root = np.sqrt(len(energies))
    return (scores - scores.mean(0)) / root, (energies - energies.mean()) / root


def natural_gradient(scores, energies, last, decay):
    """argmin |Ō φ − ε|² + λ|φ − μ φ'|², solved over the parameters (P × P)."""
    O, e = centred(scores, energies)
    matrix = O.T @ O + DAMPING * np.eye(O.shape[1])
    return np.linalg.solve(matrix, O.T @ e + DAMPING * decay * np.asarray(last))


@pytest.mark.parametrize("decay", [0.0, 0.95])
def test_equals_the_least_squares_problem_it_solves(batch, decay):
    last = jnp.linspace(-1, 1, PARAMETERS)
    result = spring(*batch, last, DAMPING, decay)
    expected = natural_gradient(*batch, last, decay)
    np.testing.assert_allclose(result, expected, rtol=1e-9)


def test_a_shift_of_energies_or_scores_changes_nothing(batch):
    scores, energies = batch
    last = jnp.linspace(0, 1, PARAMETERS)
    result = spring(scores, energies, last, DAMPING)
    shifted = spring(scores + jnp.arange(7.0)[None], energies + 100, last, DAMPING)
    # the clip of score rows sees the shift; with no row clipped the result may not
    np.testing.assert_allclose(result, shifted, rtol=1e-8)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_walker_that_is_not_finite_is_left_out(batch, bad):
    scores, energies = batch
    last = jnp.ones(PARAMETERS)
    without = spring(scores[1:], energies[1:], last, DAMPING)
    by_energy = spring(scores, energies.at[0].set(bad), last, DAMPING)
    by_score = spring(scores.at[0, 2].set(bad), energies, last, DAMPING)
    np.testing.assert_allclose(by_energy, without, rtol=1e-9)
    np.testing.assert_allclose(by_score, without, rtol=1e-9)


def test_equal_energies_move_nothing(batch):
    scores, energies = batch
    result = spring(scores, jnp.zeros_like(energies), jnp.zeros(PARAMETERS), DAMPING)
    np.testing.assert_array_equal(result, np.zeros(PARAMETERS))


def test_float32_scores_are_solved_in_float64(batch):
    """At λ = 1e-6 the Gram matrix, of rank 7 in 40, is singular to float32."""
    scores, energies = batch
    last = jnp.zeros(PARAMETERS)
    with jax.enable_x64(False):
        narrow = [jnp.asarray(np.asarray(v), jnp.float32) for v in (*batch, last)]
        result = spring(*narrow, 1e-6, 0.0)
    assert result.dtype == jnp.float32
    wide = spring(scores, energies, last, 1e-6, 0.0)
    np.testing.assert_allclose(result, wide, rtol=1e-2, atol=1e-3)


def test_uncentred_rows_are_the_least_squares_problem_as_it_stands(batch):
    """argmin |A φ − r|² + λ|φ − μ φ'|², solved over the parameters (P × P)."""
    rows, residual, last = *batch, np.linspace(-1, 1, PARAMETERS)
    A, r = np.asarray(rows), np.asarray(residual)
    matrix = A.T @ A + DAMPING * np.eye(PARAMETERS)
    expected = np.linalg.solve(matrix, A.T @ r + DAMPING * 0.9 * last)
    result = least_squares(rows, residual, jnp.asarray(last), DAMPING, 0.9)
    np.testing.assert_allclose(result, expected, rtol=1e-8)


def test_outliers_are_clipped():
    energies = jnp.zeros(100).at[0].set(1000.0).at[1].set(1.0)
    norms = jnp.ones(100).at[5].set(1e6)
    clip = clip_outliers(energies, norms)
    spread = float(jnp.mean(jnp.abs(energies)))
    assert float(clip.energies[0]) == pytest.approx(5 * spread)
    assert float(clip.energies[1]) == 1.0
    assert float(clip.shrink[5]) == pytest.approx(10 / 1000)
    assert float(clip.shrink[6]) == 1.0


def test_a_batch_without_finite_walkers_only_decays_the_direction():
    last = jnp.arange(3.0)
    result = spring(jnp.full((4, 3), jnp.nan), jnp.full(4, jnp.nan), last, decay=0.5)
    np.testing.assert_array_equal(result, 0.5 * last)


@pytest.mark.parametrize(("rate", "length"), [(0.01, 0.01), (10.0, 0.1)])
def test_the_change_is_no_longer_than_allowed(rate, length):
    direction = jnp.array([0.6, -0.8])
    change = constrain_norm(direction, jnp.asarray(rate), 0.01)
    np.testing.assert_allclose(change, -length * direction, rtol=1e-12)
