"""Determinants against sums over permutations."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc.determinant import determinant, vandermonde

pytestmark = pytest.mark.usefixtures("x64")


def by_permutations(matrix):
    n = len(matrix)
    return sum(
        np.linalg.det(np.eye(n)[list(order)])
        * np.prod([matrix[i, j] for i, j in enumerate(order)])
        for order in permutations(range(n))
    )


@pytest.mark.parametrize("n", range(5))
def test_a_determinant_is_the_sum_over_permutations(n):
    matrices = np.random.default_rng(n).normal(size=(3, n, n))
    value = determinant(jnp.asarray(matrices))
    expected = [by_permutations(matrix) for matrix in matrices]
    np.testing.assert_allclose(value.sign * jnp.exp(value.log), expected, rtol=1e-10)


def test_equal_rows_are_a_node():
    value = determinant(jnp.ones((2, 2)))
    assert float(value.sign) == 0 and float(value.log) == -np.inf


@pytest.mark.parametrize("n", range(1, 6))
def test_the_product_of_differences_is_a_determinant_of_powers(n):
    scores = np.random.default_rng(n).normal(size=n)
    value = jax.jit(vandermonde)(jnp.asarray(scores))
    expected = np.linalg.det(np.vander(scores, increasing=True))
    assert float(value.sign * jnp.exp(value.log)) == pytest.approx(expected)
