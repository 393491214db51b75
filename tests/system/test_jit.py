"""Programs compiled for CPUs are correct, with constants and without."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.system.jit import jit, sound_options


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("reduce", [jnp.sum, jnp.max])
@pytest.mark.parametrize("walkers", [64, 128, 512])
def test_products_with_constant_matrices_are_correct(constant, reduce, walkers):
    """Bare XLA of jaxlib 0.10 fails most of these, differently at every compilation."""
    draw = np.random.default_rng(walkers)
    e = draw.normal(size=(walkers, 5, 8)).astype(np.float32)
    h = draw.normal(size=(walkers, 5, 32)).astype(np.float32)
    matrix = jnp.full((32, 8), constant)

    def walker(e, h):
        return reduce(e + h @ matrix, axis=0)

    for _ in range(4):
        actual = jit(jax.vmap(lambda *args: walker(*args)))(e, h)
        expected = np.asarray(reduce(e + h @ np.asarray(matrix), axis=1))
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", [None, "default", "high"])
def test_products_have_the_highest_precision_by_default(precision):
    """The text of the program is tested: only GPUs have other precisions."""

    def f(x):
        return jnp.sum(jnp.tanh(jnp.dot(x, x, precision=precision)))

    text = jit(jax.grad(f)).lower(jnp.ones((3, 3))).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    named = f"[{(precision or 'highest').upper()}, {(precision or 'highest').upper()}]"
    assert len(products) == 3 and all(named in line for line in products)


def test_this_xla_accepts_the_options():
    program = jax.jit(lambda x: x + 1, compiler_options=sound_options())
    assert program(1) == 2
