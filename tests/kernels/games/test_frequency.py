"""Eigenvalues that are estimated from a path, and the angles that they ask for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.kernels.games.frequency import (
    begin_path,
    best_angle,
    eigenvalue_of,
    extend_path,
)
from heliostat.kernels.games.spectrum import spectral_radius


def walked(matrix, points):
    path = begin_path(jnp.zeros(points.shape[1]))
    for w in points:
        path = extend_path(path, jnp.asarray(w), jnp.asarray(matrix @ w))
    return path


@given(
    modulus=st.floats(0.1, 10),
    phase=st.floats(0, np.pi),
    seed=st.integers(0, 99),
)
def test_one_eigenvalue_is_found_from_any_path(modulus, phase, seed):
    c, s = modulus * np.cos(phase), modulus * np.sin(phase)
    points = np.random.default_rng(seed).normal(size=(4, 2))
    with jax.enable_x64(True):
        found = eigenvalue_of(walked(np.array([[c, s], [-s, c]]), points))
    np.testing.assert_allclose(found[0], modulus, rtol=1e-9)
    np.testing.assert_allclose(found[1], phase, atol=1e-6)  # arccos near 1


def test_before_there_are_two_places_nothing_is_known():
    for points in (np.zeros((0, 2)), np.ones((1, 2)), np.ones((3, 2))):
        assert [float(v) for v in eigenvalue_of(walked(np.eye(2), points))] == [0, 0]


@pytest.mark.parametrize("phase", [0.0, 0.7, np.pi / 2, 2.5])
@pytest.mark.parametrize(("rate", "beta"), [(0.1, 0.8), (0.5, 0.5), (0.02, 0.95)])
def test_the_angle_is_the_best_of_all(x64, phase, rate, beta):
    """No angle of a finer grid is better by more than what the grid allows."""
    eigenvalue = jnp.array([2.0 * np.exp(1j * phase)])

    def radius(angle):
        return float(spectral_radius(eigenvalue, rate, beta, angle))

    angle = best_angle(jnp.array(2.0), jnp.array(phase), rate, beta)
    grid = [radius(a) for a in np.linspace(0, np.pi, 33)]
    assert radius(angle) == pytest.approx(min(grid), abs=2e-4)
