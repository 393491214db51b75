"""Directions of games against dense matrices on a random quadratic game."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.games import directions
from heliostat.kernels.games.directions import joint_gradient
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")

N = 2  # coordinates of each player


@pytest.fixture(scope="module")
def quadratic():
    """ℓ_i = ½ wᵀ Q_i w with symmetric Q_i: v and J are linear algebra."""
    draw = np.random.default_rng(4).normal(size=(2, 2 * N, 2 * N))
    q = draw + draw.transpose(0, 2, 1)

    def loss(w, i):
        whole = jnp.concatenate(w)
        return 0.5 * whole @ jnp.asarray(q[i]) @ whole

    losses = [partial(loss, i=0), partial(loss, i=1)]
    jacobian = np.concatenate([q[0][:N], q[1][N:]])
    w = np.random.default_rng(5).normal(size=2 * N)
    return losses, jacobian, q, w


def found(direction, losses, w):
    players = (jnp.asarray(w[:N]), jnp.asarray(w[N:]))
    return np.concatenate(jit(lambda p: direction(losses, p))(players))


def test_joint_gradient_is_the_row_of_each_player(quadratic):
    losses, jacobian, _, w = quadratic
    np.testing.assert_allclose(found(joint_gradient, losses, w), jacobian @ w)


def test_extragradient_looks_one_step_ahead(quadratic):
    losses, jacobian, _, w = quadratic
    expected = jacobian @ (w - 0.3 * jacobian @ w)
    result = found(directions.extragradient(0.3), losses, w)
    np.testing.assert_allclose(result, expected)


def test_consensus_adds_the_gradient_of_the_squared_joint_gradient(quadratic):
    losses, jacobian, _, w = quadratic
    expected = jacobian @ w + 0.2 * jacobian.T @ jacobian @ w
    np.testing.assert_allclose(found(directions.consensus(0.2), losses, w), expected)


def test_symplectic_adjustment_turns_by_the_antisymmetric_part(quadratic):
    losses, jacobian, _, w = quadratic
    v, turned = jacobian @ w, (jacobian - jacobian.T).T / 2 @ jacobian @ w
    sign = np.sign((v @ jacobian.T @ v) * (turned @ jacobian.T @ v) + 0.1)
    result = found(directions.symplectic_adjustment(0.7), losses, w)
    np.testing.assert_allclose(result, v + 0.7 * sign * turned)


def test_lola_is_the_gradient_of_the_expected_loss(quadratic):
    """By central differences of ℓ_i − α ⟨∂_j ℓ_i, ∂_j ℓ_j⟩."""
    losses, _, q, w = quadratic
    blocks = [slice(0, N), slice(N, 2 * N)]

    def expected(i, w):
        j = 1 - i
        seen, theirs = (q[i] @ w)[blocks[j]], (q[j] @ w)[blocks[j]]
        return 0.5 * w @ q[i] @ w - 0.3 * seen @ theirs

    slope, width = np.zeros(2 * N), 1e-5
    for i, block in enumerate(blocks):
        for k in range(block.start, block.stop):
            ends = [expected(i, w + s * width * np.eye(2 * N)[k]) for s in (1, -1)]
            slope[k] = (ends[0] - ends[1]) / (2 * width)
    result = found(directions.lola(0.3), losses, w)
    np.testing.assert_allclose(result, slope, rtol=1e-7, atol=1e-8)


def test_competitive_descent_solves_the_coupled_system(quadratic):
    losses, jacobian, _, w = quadratic
    coupling = jacobian.copy()
    coupling[:N, :N] = coupling[N:, N:] = 0
    expected = np.linalg.solve(np.eye(2 * N) + 0.4 * coupling, jacobian @ w)
    result = found(directions.competitive(0.4), losses, w)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_numbers_of_players_are_checked(quadratic):
    losses, *_ = quadratic
    with pytest.raises(ValueError, match="a game of 3 players needs as many losses"):
        joint_gradient(losses, (1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="two players, got 1"):
        directions.competitive(0.1)(losses[:1], (jnp.ones(2),))
