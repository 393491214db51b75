"""Hypergradients against closed forms and differences."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.implicit import hypergradients
from heliostat.kernels.implicit.hypergradients import mixed_product
from heliostat.kernels.implicit.inverse_hessian import Neumann, Proximal
from heliostat.kernels.implicit.krylov import ConjugateGradient, NormalCG
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")

DATA, RATE = 5, 0.3

# op by op they take seconds, and losses that are the same share a program
hypergradient = jit(hypergradients.hypergradient, static_argnums=(0, 1, 4))
descend = jit(hypergradients.descend, static_argnums=(0, 4))
unrolled = jit(
    hypergradients.unrolled,
    static_argnames=("outer", "inner", "steps", "last", "forward"),
)


# -- hypergradients --------------------------------------------------------------------


@lru_cache
def overparameterised(rows=8, columns=30, seed=0):
    """½|Φ w − u|² with fewer equations than unknowns, and ½|V w − y|² + ¼|u|⁴."""
    draw = np.random.default_rng(seed)
    phi = jnp.asarray(draw.normal(size=(rows, columns)) / columns**0.5)
    v = jnp.asarray(draw.normal(size=(DATA, columns)))
    y = jnp.asarray(draw.normal(size=DATA))

    def inner(u, w):
        return 0.5 * jnp.sum((phi @ w - u) ** 2)

    def outer(u, w):
        return 0.5 * jnp.sum((v @ w - y) ** 2) + 0.25 * jnp.sum(u**2) ** 2

    u = jnp.asarray(draw.normal(size=rows))
    return inner, outer, u, phi, (v, y)


def exact(phi, u, problem):
    """Both terms with w = Φ⁺ u, by NumPy."""
    v, y = problem
    inverse = np.linalg.pinv(phi)
    direct = np.sum(np.asarray(u) ** 2) * np.asarray(u)
    return direct, inverse.T @ np.asarray(v).T @ (v @ inverse @ u - y)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_direct_and_indirect_term_are_kept_apart():
    inner, outer, u, phi, problem = overparameterised()
    w = jnp.asarray(np.linalg.pinv(phi) @ u)
    result = hypergradient(outer, inner, u, w, PseudoInverse())
    direct, indirect = exact(phi, u, problem)
    np.testing.assert_allclose(result.direct, direct, rtol=1e-12)
    np.testing.assert_allclose(result.indirect, indirect, rtol=1e-9)
    np.testing.assert_allclose(result.total, direct + indirect, rtol=1e-9)


@pytest.mark.parametrize(
    "terms", [1, 2, *(pytest.param(k, marks=pytest.mark.slow) for k in (5, 20)), 100]
)
def test_neumann_terms_are_the_steps_of_a_truncated_unroll(terms):
    """On a quadratic, K terms = the last K of many steps, to 1e-12."""
    inner, outer, u, _, _ = overparameterised()
    w, steps = unrolled(outer, inner, u, jnp.zeros(30), RATE, 150, last=terms)
    series = hypergradient(outer, inner, u, w, Neumann(terms, RATE))
    np.testing.assert_allclose(series.indirect, steps.indirect, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(series.direct, steps.direct)


def test_neumann_comes_to_the_exact_one_at_its_rate():
    """The error on range(H) is at most (1 − a μ)^K, and the direction gets better."""
    inner, outer, u, phi, problem = overparameterised()
    w = jnp.asarray(np.linalg.pinv(phi) @ u)
    _, target = exact(phi, u, problem)
    s = np.linalg.svd(phi, compute_uv=False) ** 2
    cosines = []
    for terms in (1, 2, 5, 20, 100):
        method = Neumann(terms, RATE)
        result = np.asarray(hypergradient(outer, inner, u, w, method).indirect)
        gap = np.linalg.norm(result - target) / np.linalg.norm(target)
        assert gap <= (1 - RATE * s.min()) ** terms
        cosines.append(cosine(result, target))
    assert cosines == sorted(cosines)
    assert cosines[0] < 0.99 and cosines[-1] > 1 - 1e-6


@pytest.mark.slow
def test_a_proximal_term_is_like_neumann_but_not_the_same():
    """With ε = 1 / (a K) they agree in the limit only."""
    inner, outer, u, phi, _ = overparameterised()
    w = jnp.asarray(np.linalg.pinv(phi) @ u)
    gaps = []
    for terms in (1, 5, 100, 10_000):
        methods = Neumann(terms, RATE), Proximal(1 / (RATE * terms), PseudoInverse())
        a, b = (hypergradient(outer, inner, u, w, m).indirect for m in methods)
        gaps.append(float(jnp.linalg.norm(a - b) / jnp.linalg.norm(a)))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.1 > 1e-3 > gaps[-1] > 0


@pytest.mark.parametrize("terms", [1, 5, 50, 1000])
def test_few_terms_find_a_longer_outer_solution(terms):
    """All have zero outer loss; K decides which one of them is found."""
    lengths = [found_solution(k)[0] for k in (terms, 4000)]
    minimum = found_solution(4000)[1]
    assert lengths[0] > lengths[1] - 1e-9
    np.testing.assert_allclose(lengths[1], minimum, rtol=1e-6)


def found_solution(terms):
    """|u| that descent with a Neumann hypergradient comes to, and the smallest."""
    _, _, _, phi, (v, y) = overparameterised()
    phi, v, y = (np.asarray(x) for x in (phi, v, y))
    step = np.eye(phi.shape[1]) - RATE * phi.T @ phi
    series = sum(np.linalg.matrix_power(step, j) for j in (0,))
    for _ in range(terms - 1):
        series = np.eye(len(step)) + step @ series
    back = RATE * phi @ series @ v.T  # of u: range that descent stays in
    response = v @ np.linalg.pinv(phi)
    u = back @ np.linalg.solve(response @ back, y)
    np.testing.assert_allclose(response @ u, y, atol=1e-8)
    return np.linalg.norm(u), np.linalg.norm(np.linalg.pinv(response) @ y)


def test_cold_start_comes_to_the_outer_solution_of_least_norm():
    """w₀ = 0, u₀ = 0, full inner solves: u → (V Φ⁺)⁺ y, to 1e-10."""
    inner, _, _, phi, (v, y) = overparameterised(rows=8, columns=32)
    v, y = v[:3], y[:3]  # well conditioned, so that few steps are enough

    def outer(u, w):
        return 0.5 * jnp.sum((v @ w - y) ** 2)

    def step(u, _):
        w = hypergradients.descend(inner, u, jnp.zeros(32), 0.8, 200)
        result = hypergradients.hypergradient(outer, inner, u, w, NormalCG(1e-14, 40))
        return u - rate * result.total, None

    response = v @ np.linalg.pinv(phi)
    closed = np.linalg.pinv(response) @ y
    rate = 1 / np.linalg.norm(response, 2) ** 2
    last = jit(lambda u: jax.lax.scan(step, u, length=1000)[0])(jnp.zeros(8))
    assert np.linalg.norm(last - closed) < 1e-10


# -- unrolling -------------------------------------------------------------------------


def inner_loss(u, w):
    """Nothing is quadratic or constant here."""
    return jnp.sum(jnp.log(1 + jnp.exp(w * u["a"]))) + 0.5 * u["b"] * jnp.sum(w**2)


def outer_loss(u, w):
    return jnp.sum(jnp.sin(w)) + u["b"] * jnp.sum(u["a"] ** 2)


def point():
    draw = np.random.default_rng(5)
    a, w = (jnp.asarray(draw.normal(size=4)) for _ in range(2))
    return {"a": a, "b": jnp.asarray(0.7)}, w


@pytest.mark.parametrize("forward", [False, True])
def test_an_unroll_is_the_derivative_of_descent(forward):
    """Against central differences of u ↦ F(u, w_T(u)), T = 9."""
    u, w = point()
    _, result = unrolled(outer_loss, inner_loss, u, w, 0.2, 9, forward=forward)

    def through(u):
        return float(outer_loss(u, descend(inner_loss, u, w, 0.2, 9)))

    h = 1e-5
    for i in range(4):
        up, down = (u | {"a": u["a"].at[i].add(s * h)} for s in (1, -1))
        slope = (through(up) - through(down)) / (2 * h)
        np.testing.assert_allclose(result.total["a"][i], slope, rtol=1e-8)
    up, down = (u | {"b": u["b"] + s * h} for s in (1, -1))
    slope = (through(up) - through(down)) / (2 * h)
    np.testing.assert_allclose(result.total["b"], slope, rtol=1e-8)


@pytest.mark.parametrize("last", [0, 1, 4, None])
def test_both_modes_of_a_truncated_unroll_agree(last):
    u, w = point()
    args = (outer_loss, inner_loss, u, w, 0.2, 9, last)
    (moved, reverse), (same, forward) = (
        unrolled(*args, forward=mode) for mode in (False, True)
    )
    np.testing.assert_array_equal(moved, same)
    np.testing.assert_allclose(moved, descend(inner_loss, u, w, 0.2, 9), rtol=1e-12)
    for name in u:
        a, b = reverse.indirect[name], forward.indirect[name]
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-15)
        assert (float(jnp.max(jnp.abs(a))) == 0) == (last == 0)


def test_a_long_unroll_is_the_implicit_function_theorem():
    u, w = point()
    w, steps = unrolled(outer_loss, inner_loss, u, w, 0.4, 400)
    theorem = hypergradient(outer_loss, inner_loss, u, w, ConjugateGradient(1e-14))
    for name in u:
        np.testing.assert_allclose(steps.total[name], theorem.total[name], rtol=1e-9)


@pytest.mark.parametrize("last", [-1, 10])
def test_a_truncation_that_makes_no_sense_is_refused(last):
    with pytest.raises(ValueError, match=f"last {last}: expected 0 to 9"):
        unrolled(outer_loss, inner_loss, *point(), 0.2, 9, last)


def test_a_negative_number_of_steps_is_refused():
    def loss(u, w):
        return (w - u) ** 2

    with pytest.raises(ValueError, match="steps -1: expected 0 or more"):
        hypergradients.descend(loss, 1.0, 1.0, 0.1, -1)
    with pytest.raises(ValueError, match="steps -1: expected 0 or more"):
        hypergradients.unrolled(loss, loss, 1.0, 1.0, 0.1, -1)


def test_the_start_has_a_derivative_too():
    """∂w_T/∂w₀ = (1 − a)^T of a unit quadratic."""

    def inner(u, w):
        return 0.5 * (w - u) ** 2

    through = jax.grad(lambda w: hypergradients.descend(inner, 1.0, w, 0.1, 8))
    slope = jit(through)(0.3)
    np.testing.assert_allclose(slope, 0.9**8, rtol=1e-12)


def test_mixed_products_are_the_same_in_both_modes():
    """⟨q, ∂(∂f/∂w)/∂u · du⟩ by jvp = ⟨(∂²f/∂w∂u)ᵀ q, du⟩ by vjp."""
    u, w = point()
    q = jnp.linspace(-1, 2, 4)
    du = {"a": jnp.linspace(1, -1, 4), "b": jnp.asarray(0.3)}

    @jit
    def both(u, w):
        slope = jax.jvp(lambda u: jax.grad(inner_loss, 1)(u, w), (u,), (du,))[1]
        return slope, mixed_product(inner_loss, u, w, q)

    slope, back = both(u, w)
    product = back["a"] @ du["a"] + back["b"] * du["b"]
    np.testing.assert_allclose(q @ slope, product, rtol=1e-12)
