"""Best momenta of bilinear and mixed games, in the table of the literature."""

from __future__ import annotations

import numpy as np
import pytest

from heliostat.kernels.games.optima import best_correction, best_momentum
from heliostat.kernels.games.radii import (
    alternating_radius,
    extragradient_radius,
    optimistic_radius,
    simultaneous_radius,
)

BILINEAR = [
    # arg β over π, best radius simultaneous, alternating; σ = 1
    (1 / 8, 0.93538, 0.92072),
    (1 / 4, 0.89945, 0.84294),
    (3 / 8, 0.88819, 0.76357),
    (1 / 2, 0.89876, 0.67808),
    (5 / 8, 0.92787, 0.57967),
    (3 / 4, 0.96713, 0.45668),
    (7 / 8, 0.99567, 0.43617),
]


@pytest.mark.slow
@pytest.mark.parametrize(("part", "simultaneous", "alternating"), BILINEAR)
def test_optimum_of_each_angle(part, simultaneous, alternating):
    angle = part * np.pi
    one = best_momentum(simultaneous_radius(np.array([1j, -1j])), angle)
    two = best_momentum(alternating_radius(np.array([1.0])), angle)
    assert one.radius == pytest.approx(simultaneous, abs=2e-3)
    assert two.radius == pytest.approx(alternating, abs=2e-3)


def test_one_optimum_of_simultaneous_play():
    best = best_momentum(simultaneous_radius(np.array([1j, -1j])), np.pi / 4)
    assert best.radius == pytest.approx(0.89945, abs=2e-3)


def test_negative_momentum_is_best_alternating_at_a_closed_form():
    """ρ = 2√3 − 3 at |β| = 7 − 4√3."""
    best = best_momentum(alternating_radius(np.array([1.0])), np.pi)
    assert best.radius == pytest.approx(2 * 3**0.5 - 3, abs=2e-3)


def test_a_cooperative_game_gets_heavy_ball():
    """ρ = (√κ − 1)/(√κ + 1) = 0.6 for eigenvalues from ¼ to 4."""
    best = best_momentum(simultaneous_radius(np.linspace(0.25, 4, 7)), 0.0)
    assert best.radius == pytest.approx(0.6, abs=2e-3)
    assert best.beta == pytest.approx(0.36, abs=0.01)


def test_rates_scale_with_the_frequency():
    one = best_momentum(simultaneous_radius(np.array([1j])), 1.2)
    two = best_momentum(simultaneous_radius(np.array([2j])), 1.2)
    assert two.radius == pytest.approx(one.radius, abs=1e-3)
    assert two.rate == pytest.approx(one.rate / 2, rel=0.05)


MIXED = [
    # γ, best radius of arg β = 0, π/8, π/4, π/2, π on the published grid
    (0.0, [0.6000, 0.694, 0.805, 0.883, 0.885]),
    (0.25, [0.8225, 0.829, 0.844, 0.865, 0.865]),
    (0.5, [0.890, 0.890, 0.890, 0.890, 0.890]),
    (0.75, [0.9643, 0.9643, 0.9644, 0.946, 0.923]),
    (0.9, [0.9945, 0.9911, 0.9782, 0.9597, 0.9600]),
    (1.0, [None, 0.9917, 0.9847, 0.9659, 1.0]),
]
"""Mixed game of 14 numbers with shares of conflict up to γ; None: above 1."""


def mixed_eigenvalues(mixing):
    """Eigenvalues of the task's game: a (1 − γ) ± i a γ."""
    curvatures = np.linspace(0.25, 4, 7)
    shares = np.random.RandomState(0).uniform(0, 1, 7)
    shares[0], shares[-1] = 0.0, 1.0
    gamma = mixing * shares
    return curvatures * (1 - gamma) + 1j * curvatures * gamma


@pytest.mark.parametrize(("mixing", "expected"), MIXED)
def test_best_momenta_between_cooperation_and_conflict(mixing, expected):
    radius = simultaneous_radius(mixed_eigenvalues(mixing))
    grid = np.meshgrid(np.linspace(0.02, 1, 50), np.linspace(0, 0.98, 50))
    for part, known in zip((0, 1 / 8, 1 / 4, 1 / 2, 1), expected, strict=True):
        best = radius(*grid, part * np.pi).min()
        assert best > 1 if known is None else best == pytest.approx(known, abs=2e-3)


def test_where_others_are_better():
    """On one frequency optimistic descent is, per gradient, and extragradient per
    round; per gradient momentum is better than extragradient of equal rates."""
    one = np.array([1j])
    momentum = best_momentum(simultaneous_radius(one))
    optimistic = best_correction(optimistic_radius(one))
    ahead = extragradient_radius(one)(np.geomspace(0.1, 2, 400), 1.0).min()
    assert momentum.radius == pytest.approx(0.888, abs=2e-3)
    assert ahead == pytest.approx(0.75**0.5, abs=1e-4)
    assert optimistic.radius < 0.7072 < ahead < momentum.radius < ahead**0.5


@pytest.mark.parametrize(("mixing", "expected"), [(0.25, 0.835), (0.9, 0.9626)])
def test_extragradient_with_two_rates_on_the_mixed_game(mixing, expected):
    """Per gradient, as tabled."""
    best = best_correction(extragradient_radius(mixed_eigenvalues(mixing)))
    assert best.radius**0.5 == pytest.approx(expected, abs=2e-3)


SPREAD = np.linspace(0.5, 2, 5)
"""Frequencies of a bilinear game."""


def test_one_momentum_for_a_range_of_frequencies():
    """Minimax: the best of each angle, and of negative momentum, as tabled."""
    radius = simultaneous_radius(1j * SPREAD)
    known = {3 / 8: 0.9956, 1 / 8: 0.9972, 1 / 2: 0.9963}
    for part, value in known.items():
        best = best_momentum(radius, part * np.pi)
        assert best.radius == pytest.approx(value, abs=2e-3)
        each = [simultaneous_radius(np.array([1j * s]))(*best[1:]) for s in SPREAD]
        assert best.radius == pytest.approx(max(each), abs=1e-12)
    negative = best_momentum(alternating_radius(SPREAD), np.pi)
    assert negative.radius == pytest.approx(0.9812, abs=2e-3)


def test_an_eigenvalue_counts_without_its_conjugate():
    """Roots of conjugate eigenvalues have equal moduli, so either may be given."""
    one, two = (simultaneous_radius(np.array(v)) for v in ([0.1 - 2j, 1j], [0.1 + 2j]))
    assert one(0.3, 0.5, 0.7) == pytest.approx(float(two(0.3, 0.5, 0.7)), abs=1e-12)
