"""Arnoldi's eigenvalues against those of the whole matrix."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.games.arnoldi import extreme_eigenvalues, jacobian_product


def test_as_many_products_as_numbers_give_all_eigenvalues(x64):
    matrix = np.random.default_rng(0).normal(size=(12, 12))
    product = jnp.asarray(matrix).__matmul__
    ritz = extreme_eigenvalues(product, jax.random.key(0), 12, iterations=50)
    exact = np.linalg.eigvals(matrix)
    nearest = np.abs(ritz.values[:, None] - exact[None]).min(axis=0)
    assert len(ritz.values) == 12 and nearest.max() < 1e-10
    assert ritz.residuals.max() < 1e-10


@pytest.mark.parametrize("iterations", [5, 15, 30])
def test_residuals_bound_the_distance_of_normal_matrices(x64, iterations):
    """For a normal matrix an eigenvalue lies within the residual."""
    rng = np.random.default_rng(1)
    q = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    blocks = np.zeros((60, 60))
    for i in range(30):  # rotations: eigenvalues r e^{±iφ}
        r, angle = rng.uniform(0, 1), rng.uniform(0, np.pi)
        c, s = r * np.cos(angle), r * np.sin(angle)
        blocks[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    matrix = jnp.asarray(q @ blocks @ q.T)
    ritz = extreme_eigenvalues(lambda v: matrix @ v, jax.random.key(0), 60, iterations)
    exact = np.linalg.eigvals(np.asarray(matrix))
    nearest = np.abs(ritz.values[:, None] - exact[None]).min(axis=1)
    assert (nearest <= ritz.residuals + 1e-10).all()


def test_products_are_those_of_the_jacobian(x64):
    losses = [
        lambda w: jnp.sin(w[0][0] * w[1][0]) + w[0][1] ** 4,
        lambda w: jnp.cos(w[0][1]) * w[1][0] ** 2,
    ]
    players = (jnp.array([0.3, -0.2]), jnp.array([0.7]))
    product, size = jacobian_product(losses, players)

    def gradient(flat):
        w = flat[:2], flat[2:]
        parts = [jax.grad(lambda own: losses[0]((own, w[1])))(w[0])]
        parts.append(jax.grad(lambda own: losses[1]((w[0], own)))(w[1]))
        return jnp.concatenate(parts)

    exact = jax.jacfwd(gradient)(jnp.concatenate(players))
    ours = jnp.stack([product(e) for e in jnp.eye(size)], axis=1)
    np.testing.assert_allclose(ours, exact, atol=1e-14)
