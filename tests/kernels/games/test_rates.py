"""Fitted rates against those of the spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from heliostat.kernels.games.rates import fit_rate


def spiral(matrix, steps, start=None):
    w = np.ones(len(matrix)) if start is None else start
    distances = []
    for _ in range(steps):
        w = matrix @ w
        distances.append(np.linalg.norm(w))
    return np.array(distances)


def augmented(alpha, beta, angle):
    """Bilinear play on (Re μ, Im μ, w), written out for σ = 1."""
    real, imaginary = beta * np.cos(angle), beta * np.sin(angle)
    game, one, zero = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.eye(2), np.zeros((2, 2))
    trace = np.block([real * one, -imaginary * one, -game])
    turned = np.block([imaginary * one, real * one, zero])
    return np.concatenate([trace, turned, np.block([zero, zero, one]) + alpha * trace])


@pytest.mark.parametrize(
    ("alpha", "beta", "angle"),
    [(0.0959, 0.8059, np.pi / 8), (0.3, 0.7, np.pi / 4), (0.5, 0.5, np.pi / 2)],
)
def test_fitted_rates_are_spectral_radii(alpha, beta, angle):
    matrix = augmented(alpha, beta, angle)
    theory = np.abs(np.linalg.eigvals(matrix)).max()
    fit = fit_rate(spiral(matrix, 600))
    assert fit.rate == pytest.approx(theory, rel=0.01)


def test_plain_descent_ascent_diverges_exactly():
    fit = fit_rate(spiral(np.array([[1.0, -0.1], [0.1, 1.0]]), 300))
    assert fit.rate == pytest.approx(np.sqrt(1.01), rel=1e-9) and fit.power == 0


def test_double_roots_are_recognised():
    """A Jordan block shrinks as t ρ^t."""
    fit = fit_rate(spiral(np.array([[0.9, 1.0], [0.0, 0.9]]), 200))
    assert fit.power == 1 and fit.rate == pytest.approx(0.9, rel=1e-3)


def test_the_end_of_convergence_and_divergence_is_left_out():
    shrinking = 0.5 ** np.arange(1, 400)  # below rounding after a tenth
    floor = np.maximum(shrinking, 1e-15)
    assert fit_rate(floor).rate == pytest.approx(0.5, rel=1e-6)
    growing = 2.0 ** np.arange(1, 900)
    growing[-1] = np.inf
    assert fit_rate(growing).rate == pytest.approx(2.0, rel=1e-6)


def test_too_few_steps_have_no_rate():
    assert np.isnan(fit_rate(np.ones(5)).rate)
