"""Adam with complex momentum against optax and against its definition."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from heliostat.kernels.games.adam import complex_adam, scale_by_complex_adam


def gradients(steps=20):
    return np.random.default_rng(0).normal(size=(steps, 3))


def updates_of(optimiser, steps=20):
    """Updates for a fixed series of gradients."""
    state, result = optimiser.init(jnp.zeros(3)), []
    for g in gradients(steps):
        update, state = optimiser.update(jnp.asarray(g), state)
        result.append(update)
    return np.array(result)


def test_without_momentum_it_is_adam_without_a_first_moment(x64):
    ours = updates_of(complex_adam(0.1, 0.0))
    theirs = updates_of(optax.adam(0.1, b1=0.0, b2=0.999, eps=1e-8))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(("beta", "angle"), [(0.8, np.pi / 8), (0.5, np.pi), (0.9, 1)])
def test_updates_are_those_of_the_definition(x64, beta, angle):
    trace, squares, decay = np.zeros(3, complex), np.zeros(3), beta * np.exp(1j * angle)
    expected = []
    for t, g in enumerate(gradients(), start=1):
        trace, squares = decay * trace + g, 0.99 * squares + 0.01 * g**2
        size = np.sqrt(squares / (1 - 0.99**t))
        expected.append(trace.real / (size + 1e-8))
    ours = updates_of(scale_by_complex_adam(beta, angle, b2=0.99))
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_a_complex_parameter_is_two_real_ones(x64):
    optimiser = complex_adam(0.1, 0.7, 0.5)
    z = jnp.array([1.0 + 2.0j, -0.5 + 0.1j])
    pair = {"x": z.real, "y": z.imag}

    def loss(z):
        return jnp.sum(jnp.abs(z) ** 4 + z.real * z.imag)

    complex_state, pair_state = optimiser.init(z), optimiser.init(pair)
    for _ in range(5):
        g = jnp.conj(jax.grad(loss)(z))
        update, complex_state = optimiser.update(g, complex_state)
        z = optax.apply_updates(z, update)
        g = jax.grad(lambda p: loss(p["x"] + 1j * p["y"]))(pair)
        update, pair_state = optimiser.update(g, pair_state)
        pair = optax.apply_updates(pair, update)
    np.testing.assert_allclose(z, pair["x"] + 1j * pair["y"], rtol=1e-12)


def test_hyperparameters_are_injected_scheduled_and_mapped():
    injected = optax.inject_hyperparams(complex_adam)(0.1, beta=0.8, angle=0.4)
    state = injected.init(jnp.zeros(3))
    assert {"learning_rate", "beta", "angle"} <= set(state.hyperparams)
    fixed = updates_of(complex_adam(0.1, 0.8, 0.4))
    np.testing.assert_allclose(updates_of(injected), fixed, rtol=1e-5)
    scheduled = complex_adam(optax.constant_schedule(0.1), lambda t: 0.8, 0.4)
    np.testing.assert_allclose(updates_of(scheduled), fixed, rtol=1e-5)

    def first(beta):
        optimiser = complex_adam(0.1, beta, 0.4)
        return optimiser.update(jnp.ones(3), optimiser.init(jnp.zeros(3)))[0]

    assert jax.vmap(first)(jnp.array([0.1, 0.9])).shape == (2, 3)
