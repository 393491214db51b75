"""Inverse-Hessian products and hypergradients against dense algebra and differences."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels import hypergradients
from heliostat.kernels.compiler import jit
from heliostat.kernels.hypergradients import mixed
from heliostat.kernels.implicit import (
    GMRES,
    ConjugateGradient,
    Identity,
    Neumann,
    NormalCG,
    Proximal,
    PseudoInverse,
    hvp,
    inverse_hvp,
    pseudo_inverse,
)

pytestmark = pytest.mark.usefixtures("x64")

SIZE, DATA, RATE = 12, 5, 0.3


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


# op by op they take seconds, and losses that are the same share a program
hypergradient = jit(hypergradients.hypergradient, static_argnums=(0, 1, 4))
descend = jit(hypergradients.descend, static_argnums=(0, 4))
unrolled = jit(
    hypergradients.unrolled,
    static_argnames=("outer", "inner", "steps", "last", "forward"),
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
    found = solved(h, v, Neumann(terms, RATE))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_methods_filter_eigenvalues_as_they_say():
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


def test_what_comes_back_where_a_method_fails_is_no_answer_that_might_be_one():
    h, v = matrix(rank=7), vector()
    assert np.isnan(solved(h, v, GMRES())).all()
    assert np.linalg.norm(solved(h, v, ConjugateGradient())) > 1e9
    assert np.isinf(solved(0 * h, v, ConjugateGradient())).all()


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
def test_what_makes_no_sense_is_refused(v, method, line):
    with pytest.raises(ValueError, match=line):
        inverse_hvp(lambda x: x, v, method)


def test_a_damping_that_is_traced_is_no_mistake():
    found = jit(lambda e: inverse_hvp(lambda x: x, jnp.ones(2), Proximal(e)))(1.0)
    np.testing.assert_allclose(found, [0.5, 0.5], rtol=1e-6)


# -- the derivative of a pseudo-inverse ------------------------------------------------

AXES = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 2)))[0].T


def turning(t, power):
    """R(t) D(t)^p R(t), R a reflection, with eigenvalues 2 + t and −1, two of each,
    and two zeros."""
    normal = jnp.stack([jnp.cos(t), jnp.sin(t)]) @ AXES
    reflection = jnp.eye(6) - 2 * jnp.outer(normal, normal)
    s = jnp.stack([2 + t, 2 + t, -1 + 0 * t, -1 + 0 * t]) ** power
    return reflection[:, :4] * s[None] @ reflection[:4]


def test_a_pseudo_inverse_has_derivatives_where_eigenvalues_are_repeated():
    """Of a family whose pseudo-inverse is known: first in both modes, and second."""
    a, v = vector(2)[:6], vector(3)[:6]

    def found(t):
        return a @ inverse_hvp(lambda x: turning(t, 1) @ x, v, PseudoInverse())

    def known(t):
        return a @ turning(t, -1) @ v

    def derivatives(f):
        slope = jax.grad(f)
        orders = f, jax.jacfwd(f), slope, jax.grad(slope)
        return jit(lambda t: [of(t) for of in orders])(0.3)

    np.testing.assert_allclose(derivatives(found), derivatives(known), rtol=1e-11)


def test_a_pseudo_inverse_has_the_slope_of_its_differences():
    """Of numpy's, along a direction that keeps the rank: dH = S H + H S."""
    h, tilt = np.asarray(matrix(rank=7)), np.asarray(matrix(seed=5))
    dh = tilt @ h + h @ tilt.T
    found = jax.jvp(pseudo_inverse, (jnp.asarray(h),), (jnp.asarray(dh),))[1]

    def there(t):
        moved = (np.eye(SIZE) + t * tilt) @ h @ (np.eye(SIZE) + t * tilt).T
        return np.linalg.pinv(moved, rcond=1e-10, hermitian=True)

    expected = (there(1e-5) - there(-1e-5)) / 2e-5
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_of_a_multiple_of_one_it_is_as_of_a_number():
    def total(s):
        return jnp.sum(inverse_hvp(lambda x: s * x, jnp.ones(3), PseudoInverse()))

    told = jit(lambda s: (total(s), jax.grad(total)(s), jax.hessian(total)(s)))
    slopes = [float(one) for one in told(2.0)]
    np.testing.assert_allclose(slopes, [3 / 2, -3 / 4, 6 / 8], rtol=1e-14)


@pytest.mark.parametrize("method", [*EXACT.values(), Identity(), Proximal(0.1)])
def test_every_method_is_linear_and_symmetric(method):
    """⟨a, M b⟩ = ⟨M a, b⟩, as of the symmetric H that it stands for."""
    h, a, b = matrix(), vector(2), vector(3)
    found = solved(h, a + 2 * b, method)
    parts = solved(h, a, method) + 2 * solved(h, b, method)
    np.testing.assert_allclose(found, parts, rtol=1e-5)
    left, right = a @ solved(h, b, method), b @ solved(h, a, method)
    np.testing.assert_allclose(left, right, rtol=1e-5)


def test_trees_are_solved_as_the_vector_that_they_are():
    h, v = matrix(), vector()
    tree = {"a": v[:4].reshape(2, 2), "b": (v[4], v[5:])}

    def product(x):
        flat = jnp.concatenate([x["a"].ravel(), x["b"][0][None], x["b"][1]])
        y = h @ flat
        return {"a": y[:4].reshape(2, 2), "b": (y[4], y[5:])}

    found = jit(lambda tree: inverse_hvp(product, tree, PseudoInverse()))(tree)
    flat = [found["a"].ravel(), found["b"][0][None], found["b"][1]]
    expected = np.linalg.solve(h, v)
    np.testing.assert_allclose(np.concatenate(flat), expected, rtol=1e-10)


def test_hessian_products_are_columns_of_the_hessian():
    def f(w):
        return jnp.sum(jnp.tanh(w) ** 2 * w[::-1])

    w, x = vector(4), vector(5)
    found, hessian = jit(lambda w, x: (hvp(f, w, x), jax.hessian(f)(w)))(w, x)
    np.testing.assert_allclose(found, hessian @ x, rtol=1e-10)


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
    found = hypergradient(outer, inner, u, w, PseudoInverse())
    direct, indirect = exact(phi, u, problem)
    np.testing.assert_allclose(found.direct, direct, rtol=1e-12)
    np.testing.assert_allclose(found.indirect, indirect, rtol=1e-9)
    np.testing.assert_allclose(found.total, direct + indirect, rtol=1e-9)


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
        found = np.asarray(hypergradient(outer, inner, u, w, method).indirect)
        gap = np.linalg.norm(found - target) / np.linalg.norm(target)
        assert gap <= (1 - RATE * s.min()) ** terms
        cosines.append(cosine(found, target))
    assert cosines == sorted(cosines)
    assert cosines[0] < 0.99 and cosines[-1] > 1 - 1e-6


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
        found = hypergradients.hypergradient(outer, inner, u, w, NormalCG(1e-14, 40))
        return u - rate * found.total, None

    response = v @ np.linalg.pinv(phi)
    closed = np.linalg.pinv(response) @ y
    rate = 1 / np.linalg.norm(response, 2) ** 2
    last = jit(lambda u: jax.lax.scan(step, u, length=1000)[0])(jnp.zeros(8))
    assert np.linalg.norm(last - closed) < 1e-10


# -- unrolling -------------------------------------------------------------------------


def curved(u, w):
    """Nothing is quadratic or constant here."""
    return jnp.sum(jnp.log(1 + jnp.exp(w * u["a"]))) + 0.5 * u["b"] * jnp.sum(w**2)


def judged(u, w):
    return jnp.sum(jnp.sin(w)) + u["b"] * jnp.sum(u["a"] ** 2)


def here():
    draw = np.random.default_rng(5)
    a, w = (jnp.asarray(draw.normal(size=4)) for _ in range(2))
    return {"a": a, "b": jnp.asarray(0.7)}, w


@pytest.mark.parametrize("forward", [False, True])
def test_an_unroll_is_the_derivative_of_descent(forward):
    """Against central differences of u ↦ F(u, w_T(u)), T = 9."""
    u, w = here()
    _, found = unrolled(judged, curved, u, w, 0.2, 9, forward=forward)

    def through(u):
        return float(judged(u, descend(curved, u, w, 0.2, 9)))

    h = 1e-5
    for i in range(4):
        up, down = (u | {"a": u["a"].at[i].add(s * h)} for s in (1, -1))
        slope = (through(up) - through(down)) / (2 * h)
        np.testing.assert_allclose(found.total["a"][i], slope, rtol=1e-8)
    up, down = (u | {"b": u["b"] + s * h} for s in (1, -1))
    slope = (through(up) - through(down)) / (2 * h)
    np.testing.assert_allclose(found.total["b"], slope, rtol=1e-8)


@pytest.mark.parametrize("last", [0, 1, 4, None])
def test_both_modes_of_a_truncated_unroll_agree(last):
    u, w = here()
    args = (judged, curved, u, w, 0.2, 9, last)
    (there, reverse), (same, forward) = (
        unrolled(*args, forward=mode) for mode in (False, True)
    )
    np.testing.assert_array_equal(there, same)
    np.testing.assert_allclose(there, descend(curved, u, w, 0.2, 9), rtol=1e-12)
    for name in u:
        a, b = reverse.indirect[name], forward.indirect[name]
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-15)
        assert (float(jnp.max(jnp.abs(a))) == 0) == (last == 0)


def test_a_long_unroll_is_the_implicit_function_theorem():
    u, w = here()
    w, steps = unrolled(judged, curved, u, w, 0.4, 400)
    theorem = hypergradient(judged, curved, u, w, ConjugateGradient(1e-14))
    for name in u:
        np.testing.assert_allclose(steps.total[name], theorem.total[name], rtol=1e-9)


@pytest.mark.parametrize("last", [-1, 10])
def test_a_truncation_that_makes_no_sense_is_refused(last):
    with pytest.raises(ValueError, match=f"last {last}: expected 0 to 9"):
        unrolled(judged, curved, *here(), 0.2, 9, last)


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
    u, w = here()
    q = jnp.linspace(-1, 2, 4)
    du = {"a": jnp.linspace(1, -1, 4), "b": jnp.asarray(0.3)}

    @jit
    def both(u, w):
        slope = jax.jvp(lambda u: jax.grad(curved, 1)(u, w), (u,), (du,))[1]
        return slope, mixed(curved, u, w, q)

    slope, back = both(u, w)
    product = back["a"] @ du["a"] + back["b"] * du["b"]
    np.testing.assert_allclose(q @ slope, product, rtol=1e-12)
