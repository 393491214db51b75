"""Complex momentum against plain loops, and optax's conventions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from heliostat.kernels.games.momentum import (
    aggregated_momentum,
    complex_momentum,
    linked_momentum,
)
from heliostat.kernels.games.spectrum import augmented_jacobian

pytestmark = pytest.mark.usefixtures("x64")


def play(optimiser, gradient, w, steps):
    """Positions after every step."""

    def step(carry, _):
        w, state = carry
        updates, state = optimiser.update(gradient(w), state, w)
        w = optax.apply_updates(w, updates)
        return (w, state), w

    return jax.lax.scan(step, (w, optimiser.init(w)), length=steps)[1]


def bilinear(w):
    return jnp.stack([w[1], -w[0]])


def links(beta, angle):
    real, imaginary = beta * np.cos(angle), beta * np.sin(angle)
    return jnp.array([[real, -imaginary], [imaginary, real]])


def test_it_is_the_linear_map_of_its_matrix():
    start, beta, angle = np.array([1.0, 0.5]), 0.8, np.pi / 8
    path = play(complex_momentum(0.1, beta, angle), bilinear, jnp.asarray(start), 20)
    game = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    matrix = np.asarray(augmented_jacobian(game, 0.1, beta, angle))
    whole = np.linalg.matrix_power(matrix, 20) @ np.concatenate([np.zeros(4), start])
    np.testing.assert_allclose(path[-1], whole[4:], rtol=1e-12)


def test_two_linked_real_traces_are_a_complex_one():
    arguments = bilinear, jnp.array([1.0, -0.3]), 30
    one = play(complex_momentum(0.3, 0.7, 1.2), *arguments)
    two = play(linked_momentum(0.3, links(0.7, 1.2)), *arguments)
    np.testing.assert_allclose(one, two, rtol=1e-12)


@pytest.mark.parametrize(("angle", "decay"), [(0.0, 0.7), (np.pi, -0.7)])
def test_real_decays_are_heavy_balls(angle, decay):
    arguments = bilinear, jnp.array([1.0, -0.3]), 30
    one = play(complex_momentum(0.1, 0.7, angle), *arguments)
    two = play(optax.sgd(0.1, momentum=decay), *arguments)
    np.testing.assert_allclose(one, two, rtol=1e-9)


def test_aggregated_momentum_is_the_mean_of_heavy_balls_on_given_gradients():
    gradients = np.random.default_rng(0).normal(size=(12, 3))
    mixed, parts = (
        aggregated_momentum(0.2, (0.0, 0.9)),
        [optax.sgd(0.2, momentum=decay) for decay in (0.0, 0.9)],
    )
    state, states = mixed.init(jnp.zeros(3)), [p.init(jnp.zeros(3)) for p in parts]
    for g in gradients:
        update, state = mixed.update(jnp.asarray(g), state)
        each = [p.update(jnp.asarray(g), s) for p, s in zip(parts, states, strict=True)]
        states = [s for _, s in each]
        np.testing.assert_allclose(update, np.mean([u for u, _ in each], 0), rtol=1e-9)


@pytest.mark.parametrize(
    "optimiser",
    [
        complex_momentum(0.1, 0.8, 0.4),
        linked_momentum(0.1, links(0.8, 0.4)),
        aggregated_momentum(0.1, (0.0, 0.5)),
    ],
    ids=["complex", "linked", "aggregated"],
)
def test_a_complex_parameter_is_its_real_and_imaginary_part(optimiser):
    """L = |z − c|²·(1 + Re z²/4): JAX's gradient, conjugated, is that of (x, y)."""

    def loss(z):
        return jnp.abs(z - (1 + 2j)) ** 2 * (1 + z.real**2 / 4)

    def gradient(z):
        return jnp.conj(jax.grad(loss)(z))

    def pair_gradient(w):
        return jax.grad(lambda w: loss(w[0] + 1j * w[1]))(w)

    one = play(optimiser, gradient, jnp.asarray(0.3 - 0.2j), 15)
    two = play(optimiser, pair_gradient, jnp.array([0.3, -0.2]), 15)
    np.testing.assert_allclose(one, two[:, 0] + 1j * two[:, 1], rtol=1e-10)


def test_schedules_and_injected_hyperparameters_are_followed():
    """A rate or an angle that changes at step 5 is that of a new optimiser with the
    old trace."""
    gradient = jnp.array([1.0, -2.0])
    schedule = lambda count: jnp.where(count < 5, 0.2, 1.1)  # noqa: E731
    scheduled = complex_momentum(0.1, 0.9, schedule)
    injected = optax.inject_hyperparams(complex_momentum)(0.1, 0.9, 0.2)
    states = scheduled.init(gradient), injected.init(gradient)
    for step in range(9):
        if step == 5:
            states[1].hyperparams["angle"] = jnp.asarray(1.1)
        pairs = [
            o.update(gradient, s)
            for o, s in zip((scheduled, injected), states, strict=True)
        ]
        states = tuple(state for _, state in pairs)
        np.testing.assert_allclose(pairs[0][0], pairs[1][0], rtol=1e-6)


def test_a_sweep_over_angles_is_one_vmap_and_has_derivatives():
    def distance(beta, angle):
        path = play(complex_momentum(0.3, beta, angle), bilinear, jnp.ones(2), 40)
        return jnp.linalg.norm(path[-1])

    angles = jnp.linspace(0, 3, 4)
    many = jax.vmap(distance, (None, 0))(0.7, angles)
    alone = [float(distance(0.7, angle)) for angle in angles]
    np.testing.assert_allclose(many, alone, rtol=1e-10)
    slope, width = jax.grad(distance, 1)(0.7, 1.2), 1e-5
    ends = [float(distance(0.7, 1.2 + s * width)) for s in (1, -1)]
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * width), rel=1e-5)


def test_dtypes_of_updates_are_those_of_gradients():
    tree = {"a": jnp.ones(2, jnp.float32), "b": (jnp.ones((), jnp.bfloat16),)}
    optimiser = complex_momentum(0.1, 0.8, 0.4)
    updates, _ = optimiser.update(tree, optimiser.init(tree))
    assert jax.tree.map(lambda u: u.dtype, updates) == jax.tree.map(
        lambda g: g.dtype, tree
    )
