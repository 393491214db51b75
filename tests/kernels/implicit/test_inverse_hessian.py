"""Inverse-Hessian products against dense algebra."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.implicit.inverse_hessian import (
    Identity,
    Neumann,
    Proximal,
    hvp,
    inverse_hvp,
)
from heliostat.kernels.implicit.krylov import GMRES, ConjugateGradient, NormalCG
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse, pseudo_inverse
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")

SIZE, RATE = 12, 0.3


def matrix(rank=SIZE, seed=0, sign=1):
    """A symmetric matrix with eigenvalues from 0.1 to 3, and zeros below ``rank``."""
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(SIZE, SIZE)))[0]
    s = np.where(np.arange(SIZE) < rank, np.linspace(0.1, 3, SIZE), 0)
    s = s * np.where(np.arange(SIZE) % 3 == 0, sign, 1)
    return jnp.asarray(basis * s @ basis.T)


def vector(seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=SIZE))


PROGRAM = jit(
    lambda h, v, method: inverse_hvp(lambda x: h @ x, v, method),
    static_argnames="method",
)


def solved(h, v, method):
    return np.asarray(PROGRAM(h, v, method=method))


# -- methods ---------------------------------------------------------------------------

EXACT = {
    "cg": ConjugateGradient(1e-13),
    "normal-cg": NormalCG(1e-13, 200),
    "gmres": GMRES(1e-13, 10),
    "pinv": PseudoInverse(),
    "neumann": Neumann(2000, 0.6),
}


@pytest.mark.parametrize("name", EXACT)
def test_on_a_definite_matrix_all_are_its_inverse(name):
    h, v = matrix(), vector()
    expected = np.linalg.solve(h, v)
    np.testing.assert_allclose(solved(h, v, EXACT[name]), expected, rtol=1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_on_a_singular_one_all_are_its_pseudo_inverse_in_the_range(name):
    h = matrix(rank=7)
    v = h @ vector()
    expected = np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ v
    np.testing.assert_allclose(solved(h, v, EXACT[name]), expected, atol=1e-9)


@pytest.mark.parametrize("name", ["normal-cg", "pinv"])
def test_outside_of_the_range_some_are_still_the_pseudo_inverse(name):
    h, v = matrix(rank=7), vector()
    expected = np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ v
    np.testing.assert_allclose(solved(h, v, EXACT[name]), expected, atol=1e-8)


@pytest.mark.parametrize("name", ["normal-cg", "gmres", "pinv"])
def test_an_indefinite_matrix_is_inverted_by_some(name):
    h, v = matrix(sign=-1), vector()
    expected = np.linalg.solve(h, v)
    np.testing.assert_allclose(solved(h, v, EXACT[name]), expected, rtol=1e-8)


@pytest.mark.parametrize("terms", [1, 2, 7])
def test_neumann_terms_are_counted_as_they_are_named(terms):
    """a Σ_{j<K} (I − a H)^j, summed as matrices: K terms, not K + 1."""
    h, v = matrix(), vector()
    step = np.eye(SIZE) - RATE * np.asarray(h)
    expected = RATE * sum(np.linalg.matrix_power(step, j) for j in range(terms)) @ v
    result = solved(h, v, Neumann(terms, RATE))
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_methods_filter_eigenvalues_as_documented():
    s = np.linspace(0.05, 2, SIZE)
    h, ones = jnp.diag(jnp.asarray(s)), jnp.ones(SIZE)
    filters = {
        Identity(0.7): np.full(SIZE, 0.7),
        Neumann(9, RATE): (1 - (1 - RATE * s) ** 9) / s,
        Proximal(0.2, PseudoInverse()): 1 / (s + 0.2),
        PseudoInverse(rtol=0.5): np.where(s > 1, 1 / s, 0),
    }
    for method, expected in filters.items():
        np.testing.assert_allclose(solved(h, ones, method), expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-3])
def test_in_the_kernel_the_pseudo_inverse_is_zero_though_products_are_rounded(scale):
    h, v = matrix(rank=7), vector()
    v = v - h @ (np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ v)
    assert 0 < float(jnp.linalg.norm(h @ v)) < 1e-14
    for method in (NormalCG(), PseudoInverse()):
        assert np.linalg.norm(solved(scale * h, v, method)) < 1e-11 / scale


def test_a_failed_method_returns_no_plausible_answer():
    h, v, cg = matrix(rank=7), vector(), ConjugateGradient(check=False)
    assert np.isnan(solved(h, v, GMRES(check=False))).all()
    assert np.linalg.norm(solved(h, v, cg)) > 1e9
    assert np.isinf(solved(0 * h, v, cg)).all()


@pytest.mark.parametrize(
    "v, method, line",
    [
        (jnp.ones(2), Neumann(0), "terms 0: expected 1 or more"),
        (jnp.ones(2), Proximal(-5.0), "epsilon -5.0: expected 0 or more"),
        (
            jnp.arange(2, dtype=jnp.int32),
            ConjugateGradient(),
            "type int32: expected floats, as 1.0",
        ),
        ({"a": jnp.ones(1), "b": 1}, Identity(), "type int64: expected floats"),
        (jnp.ones(0), PseudoInverse(), "v is empty: expected at least one entry"),
        ([], ConjugateGradient(), "v is empty: expected at least one entry"),
    ],
)
def test_invalid_arguments_are_refused(v, method, line):
    with pytest.raises(ValueError, match=line):
        inverse_hvp(lambda x: x, v, method)


def test_a_damping_that_is_traced_is_no_mistake():
    result = jit(lambda e: inverse_hvp(lambda x: x, jnp.ones(2), Proximal(e)))(1.0)
    np.testing.assert_allclose(result, [0.5, 0.5], rtol=1e-6)


# -- the derivative of a pseudo-inverse ------------------------------------------------

AXES = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 2)))[0].T


def turning(t, power):
    """R(t) D(t)^p R(t), R a reflection, with eigenvalues 2 + t and −1, two of each,
    and two zeros."""
    normal = jnp.stack([jnp.cos(t), jnp.sin(t)]) @ AXES
    reflection = jnp.eye(6) - 2 * jnp.outer(normal, normal)
    s = jnp.stack([2 + t, 2 + t, -1 + 0 * t, -1 + 0 * t]) ** power
    return reflection[:, :4] * s[None] @ reflection[:4]


@pytest.mark.slow
def test_a_pseudo_inverse_has_derivatives_where_eigenvalues_are_repeated():
    """Of a family whose pseudo-inverse is known: first in both modes, and second."""
    a, v = vector(2)[:6], vector(3)[:6]

    def solved_by_pinv(t):
        return a @ inverse_hvp(lambda x: turning(t, 1) @ x, v, PseudoInverse())

    def known(t):
        return a @ turning(t, -1) @ v

    def derivatives(f):
        slope = jax.grad(f)
        orders = f, jax.jacfwd(f), slope, jax.grad(slope)
        return jit(lambda t: [of(t) for of in orders])(0.3)

    np.testing.assert_allclose(
        derivatives(solved_by_pinv), derivatives(known), rtol=1e-11
    )


def test_a_pseudo_inverse_has_the_slope_of_its_differences():
    """Of numpy's, along a direction that keeps the rank: dH = S H + H S."""
    h, tilt = np.asarray(matrix(rank=7)), np.asarray(matrix(seed=5))
    dh = tilt @ h + h @ tilt.T
    result = jax.jvp(pseudo_inverse, (jnp.asarray(h),), (jnp.asarray(dh),))[1]

    def moved_inverse(t):
        moved = (np.eye(SIZE) + t * tilt) @ h @ (np.eye(SIZE) + t * tilt).T
        return np.linalg.pinv(moved, rcond=1e-10, hermitian=True)

    expected = (moved_inverse(1e-5) - moved_inverse(-1e-5)) / 2e-5
    np.testing.assert_allclose(result, expected, atol=1e-7 * np.abs(expected).max())


def test_the_pseudo_inverse_of_s_times_identity_has_the_derivatives_of_1_over_s():
    def total(s):
        return jnp.sum(inverse_hvp(lambda x: s * x, jnp.ones(3), PseudoInverse()))

    values = jit(lambda s: (total(s), jax.grad(total)(s), jax.hessian(total)(s)))
    slopes = [float(one) for one in values(2.0)]
    np.testing.assert_allclose(slopes, [3 / 2, -3 / 4, 6 / 8], rtol=1e-14)


@pytest.mark.parametrize("method", [*EXACT.values(), Identity(), Proximal(0.1)])
def test_every_method_is_linear_and_symmetric(method):
    """⟨a, M b⟩ = ⟨M a, b⟩, as of the symmetric H that it stands for."""
    h, a, b = matrix(), vector(2), vector(3)
    result = solved(h, a + 2 * b, method)
    parts = solved(h, a, method) + 2 * solved(h, b, method)
    np.testing.assert_allclose(result, parts, rtol=1e-5)
    left, right = a @ solved(h, b, method), b @ solved(h, a, method)
    np.testing.assert_allclose(left, right, rtol=1e-5)


def test_pytrees_are_solved_like_their_flat_vector():
    h, v = matrix(), vector()
    tree = {"a": v[:4].reshape(2, 2), "b": (v[4], v[5:])}

    def product(x):
        flat = jnp.concatenate([x["a"].ravel(), x["b"][0][None], x["b"][1]])
        y = h @ flat
        return {"a": y[:4].reshape(2, 2), "b": (y[4], y[5:])}

    result = jit(lambda tree: inverse_hvp(product, tree, PseudoInverse()))(tree)
    flat = [result["a"].ravel(), result["b"][0][None], result["b"][1]]
    expected = np.linalg.solve(h, v)
    np.testing.assert_allclose(np.concatenate(flat), expected, rtol=1e-10)


def test_hessian_products_are_columns_of_the_hessian():
    def f(w):
        return jnp.sum(jnp.tanh(w) ** 2 * w[::-1])

    w, x = vector(4), vector(5)
    result, hessian = jit(lambda w, x: (hvp(f, w, x), jax.hessian(f)(w)))(w, x)
    np.testing.assert_allclose(result, hessian @ x, rtol=1e-10)
