"""Spectra of momentum dynamics against matrices, thresholds and exact rates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.kernels.games.spectrum import (
    alternating_jacobian,
    alternating_margin,
    augmented_jacobian,
    is_schur_stable,
    momentum_cubic,
    roots,
    simultaneous_margin,
    spectral_radius,
)

pytestmark = pytest.mark.usefixtures("x64")

BILINEAR = np.array([[0.0, 1.0], [-1.0, 0.0]])
PLAYERS = (0, 1)

THRESHOLDS = [
    # arg β, |β| above which small steps converge: simultaneous, alternating
    (1 / 8, 0.72700, 0.66818),
    (1 / 4, 0.60361, 2**0.5 - 1),
    (1 / 2, 3**-0.5, 0.0),
    (3 / 4, 0.77978, 0.0),
    (7 / 8, 0.92945, 0.0),
]


def radius(matrix):
    return float(np.abs(np.linalg.eigvals(np.asarray(matrix))).max())


@pytest.mark.parametrize("seed", range(5))
def test_eigenvalues_of_the_matrix_are_roots_of_the_cubic(seed):
    draw = np.random.default_rng(seed)
    game = draw.normal(size=(5, 5))
    alpha, beta, angle = draw.uniform(0, 1), draw.uniform(0, 1), draw.uniform(0, 3.1)
    matrix = augmented_jacobian(jnp.asarray(game), alpha, beta, angle)
    found = np.linalg.eigvals(np.asarray(matrix))
    cubics = momentum_cubic(jnp.linalg.eigvals(jnp.asarray(game)), alpha, beta, angle)
    expected = np.asarray(roots(cubics)).ravel()
    gaps = np.abs(found[:, None] - expected[None])
    assert max(gaps.min(axis=0).max(), gaps.min(axis=1).max()) < 1e-13
    whole = spectral_radius(jnp.linalg.eigvals(jnp.asarray(game)), alpha, beta, angle)
    assert float(whole) == pytest.approx(radius(matrix), abs=1e-12)


@given(st.floats(0.01, 2), st.floats(0, 1.2), st.floats(0, 3.14), st.floats(-2, 2))
def test_schur_and_cohn_agree_with_the_roots(alpha, beta, angle, real):
    with jax.enable_x64(True):
        cubic = momentum_cubic(jnp.asarray(real + 1j), alpha, beta, angle)
        largest = float(jnp.abs(roots(cubic)).max())
        if abs(largest - 1) > 1e-6:
            assert bool(is_schur_stable(cubic)) == (largest < 1)


@pytest.mark.parametrize(("part", "simultaneous", "alternating"), THRESHOLDS)
def test_small_steps_converge_beyond_the_threshold(part, simultaneous, alternating):
    """Eigenvalues at α = 0.003 and the closed forms agree on both sides."""
    angle, alpha = part * np.pi, 0.003
    for threshold, margin, matrix in [
        (simultaneous, simultaneous_margin, augmented_jacobian),
        (
            alternating,
            alternating_margin,
            lambda g, *rest: alternating_jacobian(g, PLAYERS, *rest),
        ),
    ]:
        for beta in (threshold - 0.01, threshold + 0.01):
            if beta <= 0:
                continue
            converges = beta > threshold
            assert bool(margin(beta, angle) < 0) == converges
            step = matrix(jnp.asarray(BILINEAR), alpha, beta, angle)
            assert (radius(step) < 1) == converges


@pytest.mark.parametrize("angle", [0.0, np.pi])
def test_no_real_momentum_converges_simultaneously(angle):
    betas = jnp.linspace(0, 0.99, 50)
    assert (simultaneous_margin(betas, angle) > 0).all()


def test_gradient_descent_on_a_cooperative_game_has_the_rate_of_heavy_ball():
    """(√κ − 1)/(√κ + 1) at the best α and β; κ = 16."""
    low, high = 0.25, 4.0
    beta = ((high**0.5 - low**0.5) / (high**0.5 + low**0.5)) ** 2
    alpha = (2 / (high**0.5 + low**0.5)) ** 2
    found = spectral_radius(jnp.linspace(low, high, 7), alpha, beta, 0.0)
    assert float(found) == pytest.approx(0.6, abs=1e-6)  # a double root


def test_alternating_descent_without_momentum_is_symplectic():
    """|x| = 1 for α σ < 2."""
    for alpha in (0.1, 1.0, 1.9):
        step = alternating_jacobian(jnp.asarray(BILINEAR), PLAYERS, alpha, 0.0, 0.0)
        assert radius(step) == pytest.approx(1, abs=1e-12)


def test_the_product_of_roots_is_the_squared_decay():
    cubic = momentum_cubic(jnp.asarray(0.3 + 1j), 0.2, 0.8, 0.4)
    assert complex(jnp.prod(roots(cubic))) == pytest.approx(0.64, abs=1e-12)
