"""Rounds of play against rounds written out by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from heliostat.kernels.games.momentum import complex_momentum
from heliostat.kernels.games.play import begin, check_shapes, play_round
from heliostat.kernels.games.spectrum import alternating_jacobian, augmented_jacobian
from heliostat.system.jit import jit


def losses_of(game, sizes):
    """Losses whose joint gradient is G w, with players of the given sizes."""
    ends = np.cumsum(sizes)
    parts = [slice(end - n, end) for end, n in zip(ends, sizes, strict=True)]

    def loss(i, w):
        own, flat = w[i], jnp.concatenate(w)
        fixed = jax.lax.stop_gradient(flat)
        rows = game[parts[i]]
        quadratic = own @ rows[:, parts[i]] @ own / 2
        others = rows @ fixed - rows[:, parts[i]] @ jax.lax.stop_gradient(own)
        return quadratic + own @ others

    return [lambda w, i=i: loss(i, w) for i in range(len(sizes))]


def symmetric_blocks(game, sizes):
    """Own blocks are symmetric, so that G w is a joint gradient."""
    ends = np.cumsum(sizes)
    for end, n in zip(ends, sizes, strict=True):
        block = game[end - n : end, end - n : end]
        game[end - n : end, end - n : end] = (block + block.T) / 2
    return game


SIZES = (2, 3)


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_a_round_is_the_matrix_of_the_round(x64, order):
    @jit
    def ends(game, w, beta, angle):
        """Players after three rounds, and the same by the matrix of a round."""
        optimisers = [complex_momentum(0.1, beta, angle)] * 2
        state = begin((w[:2], w[2:]), optimisers)
        for _ in range(3):
            state = play_round(losses_of(game, SIZES), state, optimisers, order)
        if order == "simultaneous":
            matrix = augmented_jacobian(game, 0.1, beta, angle)
        else:
            matrix = alternating_jacobian(game, [0, 0, 1, 1, 1], 0.1, beta, angle)
        full = jnp.concatenate([jnp.zeros(10), w])
        expected = jnp.linalg.matrix_power(matrix, 3) @ full
        return jnp.concatenate(state.players), expected[10:]

    for seed in range(20):
        rng = np.random.default_rng(seed)
        game = symmetric_blocks(rng.normal(size=(5, 5)), SIZES)
        beta, angle = rng.uniform(0, 1.2), rng.uniform(-3, 3)
        found, expected = ends(game, rng.normal(size=5), beta, angle)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_players_may_be_trees_of_any_kind():
    players = ({"a": jnp.ones(2), "b": jnp.ones(())}, [jnp.ones((2, 2))])

    def first(w):
        return jnp.sum(w[0]["a"] @ w[1][0]) + w[0]["b"] ** 2

    sgd = [optax.sgd(0.1), optax.adam(0.1)]
    losses = [first, lambda w: -first(w)]
    game = play_round(losses, begin(players, sgd), sgd)
    assert jax.tree.structure(game.players) == jax.tree.structure(players)
    np.testing.assert_allclose(game.players[0]["b"], 0.8, rtol=1e-6)


def test_every_player_needs_an_optimiser():
    with pytest.raises(ValueError, match="2 players need as many optimisers, got 1"):
        begin((1.0, 2.0), [optax.sgd(0.1)])


def test_a_direction_of_other_shapes_is_named():
    line = r"player 1: parameters have shapes \(3,\), but its direction has \(2,\)"
    with pytest.raises(ValueError, match=line):
        check_shapes((jnp.zeros(2), jnp.zeros(3)), (jnp.zeros(2), jnp.zeros(2)))


def test_a_complex_player_descends_in_both_of_its_parts():
    """As one of two real numbers does: ½|z|² shrinks by 1 − α a round."""
    sgd = [optax.sgd(0.1)]
    game = begin((jnp.array(1 - 2j),), sgd)
    game = play_round([lambda w: jnp.abs(w[0]) ** 2 / 2], game, sgd)
    np.testing.assert_allclose(game.players[0], 0.9 * (1 - 2j), rtol=1e-6)
