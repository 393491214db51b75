"""Solvers that do not converge say so; those that do are silent."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.convergence import ConvergenceWarning
from heliostat.kernels.implicit.inverse_hessian import (
    Neumann,
    Proximal,
    inverse_hvp,
)
from heliostat.kernels.implicit.krylov import GMRES, ConjugateGradient, NormalCG
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse

SIZE = 60
BASIS = np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))[0]
V = jnp.asarray(np.random.default_rng(1).normal(size=SIZE), jnp.float32)


def matrix(condition):
    """A symmetric matrix with eigenvalues from 1 down to 1 / condition, in float32."""
    s = np.logspace(0, -np.log10(condition), SIZE)
    return jnp.asarray(BASIS * s @ BASIS.T, jnp.float32)


def solve(h, method, v=V):
    return inverse_hvp(lambda x: h @ x, v, method)


@pytest.fixture
def caught():
    """The warnings of a test, as a list of texts."""
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        yield lambda: [str(record.message) for record in records]


HARD = {
    "conjugate gradients": ConjugateGradient(),
    "NormalCG": NormalCG(),
    "GMRES": GMRES(),
}


@pytest.mark.parametrize("name", HARD)
def test_a_solver_warns_of_the_residual_that_it_leaves(name, caught):
    h = matrix(1e6)
    x = solve(h, HARD[name])
    right, residual = (h @ V, h @ (h @ x - V)) if name == "NormalCG" else (V, h @ x - V)
    share = float(jnp.linalg.norm(residual) / jnp.linalg.norm(right))
    assert share > 1e-3
    line = f"{name} did not converge: the residual is {share:.2g} of the right side"
    assert [text[: len(line)] for text in caught()] == [line]


def test_a_series_that_diverges_is_noticed_and_a_short_one_is_not(caught):
    solve(matrix(1e6), Neumann(terms=5, step=1.9))
    assert caught() == []
    solve(matrix(10), Neumann(terms=30, step=2.5))
    assert len(caught()) == 1 and "Neumann series diverges" in caught()[0]


def test_programs_warn_when_they_run(caught):
    h = matrix(1e6)
    program = jax.jit(lambda v: solve(h, ConjugateGradient(), v))
    jax.block_until_ready([program(V), jax.vmap(program)(jnp.stack([V, 2 * V]))])
    jax.block_until_ready(jax.grad(lambda v: program(v).sum())(V))
    jax.effects_barrier()
    assert len(caught()) >= 4
    assert all("conjugate gradients did not converge" in text for text in caught())


@pytest.mark.parametrize("method", [ConjugateGradient(), NormalCG(), PseudoInverse()])
def test_a_matrix_that_is_not_symmetric_is_noticed(method, caught):
    tilted = jnp.diag(jnp.arange(1.0, 9.0)) + jnp.triu(jnp.ones((8, 8)), 1)
    solve(tilted, method, jnp.ones(8))
    assert any(text.startswith("H is not symmetric (by ") for text in caught())


@pytest.mark.parametrize(
    "method",
    [*HARD.values(), Neumann(20, 0.5), Proximal(0.1), PseudoInverse()],
    ids=lambda method: type(method).__name__,
)
def test_a_solver_that_converges_is_silent(method):
    for condition in (1, 10):
        solve(matrix(condition), method)
    solve(matrix(10), method, 0 * V)


def test_a_fixed_number_of_iterations_can_be_a_method(caught):
    solve(matrix(1e6), ConjugateGradient(maxiter=3, check=False))
    assert caught() == []


def test_the_warning_is_public():
    from heliostat import kernels

    assert kernels.ConvergenceWarning is ConvergenceWarning
