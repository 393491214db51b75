"""Conventions of optax, kept by every optimiser here."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from heliostat.kernels.games.adam import complex_adam
from heliostat.kernels.games.momentum import (
    aggregated_momentum,
    complex_momentum,
    linked_momentum,
)

LINKS = [[0.5, -0.3], [0.3, 0.5]]

OPTIMISERS = {
    "complex_momentum": (
        complex_momentum,
        {"learning_rate": 1e-3, "beta": 0.8, "angle": 0.4},
    ),
    "complex_adam": (complex_adam, {"learning_rate": 1e-3, "beta": 0.8, "angle": 0.4}),
    "linked_momentum": (
        lambda learning_rate: linked_momentum(learning_rate, jnp.array(LINKS)),
        {"learning_rate": 1e-3},
    ),
    "aggregated_momentum": (
        lambda learning_rate: aggregated_momentum(learning_rate, (0.0, 0.9)),
        {"learning_rate": 1e-3},
    ),
}

TREE = {"a": np.full((2, 3), -1.0, np.float32), "b": [np.ones(4, np.float32)]}
GRADIENTS = {
    "a": np.full((2, 3), 0.5, np.float32),
    "b": [np.arange(4, dtype=np.float32)],
}


@pytest.fixture(params=OPTIMISERS)
def made(request):
    """A factory with its arguments."""
    return OPTIMISERS[request.param]


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def types_of(tree):
    return jax.tree.map(jax.typeof, tree)


def test_rosenbrock_is_minimised(made):
    """Also with arguments that an optimiser does not know."""
    factory, arguments = made
    optimiser = factory(**arguments)

    def loss(w):
        return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2

    def step(carry, _):
        w, state = carry
        updates, state = optimiser.update(jax.grad(loss)(w), state, w, unexpected=1)
        return (optax.apply_updates(w, updates), state), None

    w = jnp.zeros(2)
    (w, _), _ = jax.lax.scan(step, (w, optimiser.init(w)), length=30_000)
    np.testing.assert_allclose(w, [1, 1], atol=0.03)


def test_a_state_has_the_parameters_that_optax_maps_over(made):
    factory, arguments = made
    optimiser = factory(**arguments)
    state = optimiser.init(on_device(TREE))
    mapped = optax.tree.map_params(optimiser, lambda v: v, state)
    assert jax.tree.structure(mapped) == jax.tree.structure(state)


def test_injected_numbers_change_nothing(made):
    factory, arguments = made
    one, two = factory(**arguments), optax.inject_hyperparams(factory)(**arguments)
    params, gradients = on_device(TREE), on_device(GRADIENTS)
    states = one.init(params), two.init(params)
    assert set(states[1].hyperparams) >= set(arguments)
    for _ in range(3):
        updates, first = one.update(gradients, states[0], params)
        others, second = two.update(gradients, states[1], params)
        states = first, second
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updates, others
        )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_updates_and_states_keep_their_types(made, dtype):
    factory, arguments = made
    optimiser = factory(**arguments)
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), TREE)
    state = optimiser.init(params)
    updates, after = optimiser.update(params, state, params)
    assert types_of(updates) == types_of(params)
    assert types_of(after) == types_of(state)


def test_gradients_may_be_accumulated(made):
    """Two halves of a batch are their mean."""
    factory, arguments = made
    params, gradients = on_device(TREE), on_device(GRADIENTS)
    whole = factory(**arguments)
    expected, _ = whole.update(gradients, whole.init(params), params)
    halves = optax.MultiSteps(factory(**arguments), every_k_schedule=2)
    state = halves.init(params)
    for share in (0.5, 1.5):
        part = jax.tree.map(lambda g, share=share: share * g, gradients)
        updates, state = halves.update(part, state, params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updates, expected
    )


def test_a_state_may_be_made_of_shapes_alone(made):
    factory, arguments = made
    shape = jax.ShapeDtypeStruct((2, 4), jnp.float32)
    assert factory(**arguments).init(shape) is not None


def test_states_are_sharded_as_parameters_are(made):
    factory, arguments = made
    optimiser = factory(**arguments)
    mesh = jax.make_mesh((1,), ("x",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, PartitionSpec(None, "x"))
    with jax.set_mesh(mesh):
        params = jnp.zeros((2, 8, 4), out_sharding=sharding)
        state = optimiser.init(params)
        _, after = optimiser.update(params, state, params)
        assert types_of(state) == types_of(after)
        assert types_of(jax.jit(optimiser.init)(params)) == types_of(state)
