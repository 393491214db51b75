"""The fast route to the Laplacian, judged by the slow one and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc.laplacian import METHODS, derivatives
from heliostat.kernels.vmc.sortlet import sortlet

pytestmark = pytest.mark.usefixtures("x64")

POINT = np.random.default_rng(1).normal(size=(4, 3))


def attention(x):
    logits = x @ x.T
    return jnp.sum(jnp.tanh(jax.nn.softmax(logits, axis=1) @ x))


def sortlets(x):
    return sortlet(jnp.tanh(x) @ jnp.array([1.0, -0.4, 0.3])).log


def distances(x):
    i, j = np.triu_indices(len(x), 1)
    return jnp.sum(1 / (1 + jnp.linalg.norm(x[i] - x[j], axis=-1)))


FUNCTIONS = {f.__name__: f for f in (attention, sortlets, distances)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_equals_hessian(name):
    fast = jax.jit(derivatives(FUNCTIONS[name], "forward"))(POINT)
    slow = jax.jit(derivatives(FUNCTIONS[name], "hessian"))(POINT)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_gaussian_by_hand(method):
    """f = −a|x|²/2 has ∇f = −a x and ∇²f = −a d."""
    result = derivatives(lambda x: -0.7 * jnp.sum(x**2) / 2, method)(jnp.asarray(POINT))
    np.testing.assert_allclose(result.gradient, -0.7 * POINT, rtol=1e-12)
    assert float(result.laplacian) == pytest.approx(-0.7 * POINT.size)


def test_unknown_method_is_named():
    with pytest.raises(ValueError, match="'finite': expected one of forward, hessian"):
        derivatives(jnp.sum, "finite")
