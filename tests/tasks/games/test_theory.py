"""Fitted rates of play against the spectral radius of a round, and against tables."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from heliostat.kernels.games.rates import fit_rate
from heliostat.kernels.games.spectrum import spectral_radius
from heliostat.system.jit import jit
from heliostat_tasks.games import Games
from heliostat_tasks.games.methods import CORRECTED
from heliostat_tasks.games.problems.linear import LinearGame
from heliostat_tasks.games.theory import rate_of_play


def distances(task, rounds, seed=0):
    """Distance from the equilibrium after every round, without the platform."""
    problem, method = task.problem_instance, task.method_instance
    key, data = jax.random.key(seed), task.prepare()

    def play(position, _):
        position = method.play(problem.losses(key, data), position)
        return position, optax.tree.norm(position.game.players)

    begin = method.begin(problem.start(key, data))
    return np.asarray(jit(lambda p: jax.lax.scan(play, p, None, rounds))(begin)[1])


def theory(task):
    return rate_of_play(task.problem_instance, task.method_instance)


CASES = [
    {"lr": 0.1, "beta": 0.8},
    {"lr": 0.1, "beta": 0.8, "play": "alternating"},
    {"lr": 0.1, "beta": 0.0, "angle": 0.0},
    {"lr": 0.2, "beta": 0.5, "angle": np.pi, "play": "alternating"},
    {"method": "optimistic", "lr": 0.4},
    {"method": "optimistic", "lr": 0.4, "strength": 0.5},
    {"method": "extragradient", "lr": 0.6},
    {"method": "extragradient", "lr": 0.3, "strength": 2.0},
    {"method": "consensus", "lr": 0.1},
    {"method": "symplectic", "lr": 0.1},
    {"method": "lola", "lr": 0.3},
    {"method": "competitive", "lr": 0.3},
    {"method": "lookahead", "lr": 0.1, "beta": 0.0, "angle": 0.0},
    {"method": "aggregated", "lr": 0.01, "beta": 0.5},
    {"problem": "mixed", "mixing": 0.5, "lr": 0.1, "beta": 0.5, "angle": 0.4},
    {"problem": "quadratic", "lr": 0.1, "beta": 0.5, "angle": 0.4},
    {"problem": "quadratic", "lr": 0.1, "beta": 0.5, "play": "alternating"},
    {"lr": 0.1, "beta": 0.8, "last_beta": 0.3, "last_angle": 2.0},
]


@pytest.mark.parametrize("fields", CASES, ids=str)
def test_fitted_rates_are_those_of_theory(x64, fields):
    """Within 1 %, whether play converges or not."""
    task = Games(**fields)
    rate = fit_rate(distances(task, 600)).rate
    assert rate == pytest.approx(theory(task), rel=0.01)


def test_descent_on_a_bilinear_game_is_exact(x64):
    """Simultaneous descent: √(1 + α²), at every step."""
    d = distances(Games(lr=0.1, beta=0.0, angle=0.0), 50)
    np.testing.assert_allclose(d[1:] / d[:-1], np.sqrt(1.01), rtol=1e-13)


@pytest.mark.parametrize(
    ("beta", "angle"), [*itertools.product((0.3, 0.9), (0.4, 2.5))]
)
@pytest.mark.parametrize("mixing", [0.0, 0.6, 1.0])
def test_a_round_has_the_eigenvalues_of_the_cubic(x64, beta, angle, mixing):
    task = Games(problem="mixed", mixing=mixing, lr=0.2, beta=beta, angle=angle)
    assert isinstance(task.problem_instance, LinearGame)
    eigenvalues = jnp.asarray(np.linalg.eigvals(task.problem_instance.jacobian()))
    expected = spectral_radius(eigenvalues, 0.2, beta, angle)
    assert theory(task) == pytest.approx(float(expected), rel=1e-9)


ROUNDS = [
    ("simultaneous", 0.19, 0.806, np.pi / 8, 202),
    ("alternating", 0.19, 0.806, np.pi / 8, 122),
    ("alternating", 1.148, 0.667, 1.2, 174),
    ("alternating", 0.2, 0.5, np.pi, 4896),
    ("simultaneous", 1.148, 0.667, 1.2, None),
    ("simultaneous", 0.19, 0.0, 0.0, None),
    ("simultaneous", 0.19, 0.9, 0.0, None),
    ("simultaneous", 0.19, 0.5, np.pi, None),
]
"""Rounds to a distance of 1e-3 from (1, 1)."""


@pytest.mark.parametrize(("play", "lr", "beta", "angle", "rounds"), ROUNDS)
def test_a_generator_of_one_point_takes_the_tabled_rounds(
    x64, play, lr, beta, angle, rounds
):
    """Within 5 %; None: not within 6,000."""
    task = Games(problem="dirac", play=play, lr=lr, beta=beta, angle=angle)
    d = distances(task, 6000)
    reached = np.flatnonzero(d < 1e-3)
    if rounds is None:
        assert not len(reached)
    else:
        assert reached[0] + 1 == pytest.approx(rounds, rel=0.05)


@pytest.mark.parametrize("problem", ["cycle", "market"])
@pytest.mark.parametrize(
    "method", ["momentum", "optimistic", "extragradient", "lola", "competitive"]
)
def test_no_method_converges_where_none_can(x64, problem, method):
    """Every method leaves the only critical point, and stays in a bounded region."""
    momentum = {} if method in CORRECTED else {"beta": 0.8, "angle": 0.4}
    d = distances(Games(problem=problem, method=method, lr=0.02, **momentum), 4000)
    assert d[2000:].min() > 0.3 and d.max() < 10


def test_the_equilibrium_of_a_cycle_repels_every_method(x64):
    for problem, method in itertools.product(("cycle", "market"), ("momentum", "lola")):
        assert theory(Games(problem=problem, method=method, lr=0.02)) > 1


def test_where_others_are_better_than_complex_momentum():
    """On one frequency optimistic descent wins, by one gradient a round; on the mixed
    game with all coupling complex momentum does."""
    best = theory(Games(lr=0.574, beta=0.667, angle=1.2))
    assert theory(Games(method="optimistic", lr=0.5)) == pytest.approx(0.7071, abs=1e-3)
    assert theory(Games(method="extragradient", lr=0.7071)) < 0.867 < best < 0.889


@pytest.mark.parametrize(("problem", "mixing"), [("bilinear", 1.0), ("mixed", 0.75)])
def test_an_adaptive_angle_is_as_good_as_the_best_fixed_one(x64, problem, mixing):
    """At one rate and size of momentum; within a hundredth of the rate's distance
    from one, plus what two frequencies cost."""
    game = {"problem": problem, "lr": 0.2, "beta": 0.5}
    game |= {"mixing": mixing} if problem == "mixed" else {}
    fixed = [theory(Games(**game, angle=a)) for a in np.linspace(0, np.pi, 9)]
    rate = fit_rate(distances(Games(**game, method="adaptive"), 800)).rate
    assert rate < min(fixed) + 0.02
