"""The nearest of many solutions: the trap of a singular Hessian, and the way around."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.implicit.hypergradients import hypergradient, unrolled
from heliostat.kernels.implicit.krylov import NormalCG
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse
from heliostat.kernels.implicit.regularity import ImplicitFunctionWarning, diagnose
from heliostat.kernels.implicit.solutions import projected
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")

INPUTS, OUTPUTS = 5, 3


def pair(seed=1):
    """One pair (x, y) that a matrix W is fitted to; other data that judge it."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=INPUTS), draw.normal(size=OUTPUTS)
    inputs = jnp.asarray(draw.normal(size=(20, INPUTS)))
    targets = jnp.asarray(draw.normal(size=(20, OUTPUTS)))

    def inner(u, w):
        return 0.5 * jnp.sum((w @ u[0] - u[1]) ** 2)

    def outer(u, w):
        return 0.5 * jnp.mean(jnp.sum((inputs @ w.T - targets) ** 2, axis=1))

    return inner, outer, (jnp.asarray(x), jnp.asarray(y))


def nearest(u, start):
    """The W that fits the pair and is nearest to a start: a Kaczmarz step."""
    x, y = u
    return start + jnp.outer(y - start @ x, x) / (x @ x)


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def test_the_theorem_with_a_pseudo_inverse_is_no_gradient():
    """The theorem with H⁺ is no gradient of the map; a long unroll is, to 1e-12.

    Of the input x, whose direction the solution follows, it misses the larger part;
    and what it misses is orthogonal to what it has.
    """
    inner, outer, u = pair()
    zero = jnp.zeros((OUTPUTS, INPUTS))
    rate = 0.5 / float(u[0] @ u[0])

    def all_three(u):
        w = nearest(u, zero)
        truth = jax.grad(lambda u: outer(u, nearest(u, zero)))(u)
        theorem = hypergradient(outer, inner, u, w, PseudoInverse())
        return truth, theorem.total, unrolled(outer, inner, u, zero, rate, 60)

    truth, theorem, (moved, steps) = jit(all_three)(u)
    np.testing.assert_allclose(moved, nearest(u, zero), atol=1e-12)
    np.testing.assert_allclose(flat(steps.total), flat(truth), atol=1e-12)
    np.testing.assert_allclose(theorem[1], truth[1], atol=1e-12)  # the labels'
    x, exact = np.asarray(theorem[0]), np.asarray(truth[0])
    np.testing.assert_allclose(x @ (exact - x), 0, atol=1e-12)
    assert np.linalg.norm(x) < 0.7 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("method", "scale"),
    [
        (PseudoInverse(), 0.0),
        pytest.param(PseudoInverse(), 1.0, marks=pytest.mark.slow),
        pytest.param(NormalCG(1e-14, 200), 0.0, marks=pytest.mark.slow),
        (NormalCG(1e-14, 200), 1.0),
    ],
    ids=str,
)
def test_the_projection_has_its_own_derivative(method, scale):
    """Of the nearest solution to any start, with the turning of range(H)."""
    inner, outer, u = pair()
    draw = np.random.default_rng(3)
    start = scale * jnp.asarray(draw.normal(size=(OUTPUTS, INPUTS)))
    truth = flat(jit(jax.grad(lambda u: outer(u, nearest(u, start))))(u))
    w = nearest(u, start)
    result = jit(lambda u, w: projected(outer, inner, u, w, start, method))(u, w)
    np.testing.assert_allclose(flat(result.total), truth, atol=1e-10)


def test_projected_is_the_derivative_of_a_pseudo_inverse_solution():
    """w = Φ(u)⁺ y for a matrix that u enters everywhere (Golub and Pereyra)."""
    draw = np.random.default_rng(7)
    phi, y, c = (jnp.asarray(draw.normal(size=s)) for s in ((3, 6), 3, 6))

    def inner(phi, w):
        return 0.5 * jnp.sum((phi @ w - y) ** 2)

    def outer(phi, w):
        return c @ w + jnp.sum(phi**2)

    def through(phi):
        return outer(phi, phi.T @ jnp.linalg.solve(phi @ phi.T, y))

    w = phi.T @ jnp.linalg.solve(phi @ phi.T, y)
    result = jit(lambda phi: projected(outer, inner, phi, w, jnp.zeros(6)))(phi)
    truth = jit(jax.grad(through))(phi)
    np.testing.assert_allclose(result.total, truth, rtol=1e-9)


def test_projected_equals_the_theorem_where_the_hessian_is_regular():
    def inner(u, w):
        return 0.5 * jnp.sum(jnp.exp(u) * w**2) - jnp.sum(w)

    def outer(u, w):
        return jnp.sum(w**3)

    u = jnp.linspace(-1, 1, 4)
    w = jnp.exp(-u)

    @jit
    def both(u, w):
        theorem = hypergradient(outer, inner, u, w, PseudoInverse())
        return theorem, projected(outer, inner, u, w, jnp.ones(4))

    theorem, result = both(u, w)
    np.testing.assert_allclose(result.total, theorem.total, rtol=1e-10)


# -- diagnosis -------------------------------------------------------------------------


def warned(inner, u, w, **options):
    """The diagnosis, and what was warned of: the same reasons."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = diagnose(inner, u, w, **options)
    assert all(issubclass(w.category, ImplicitFunctionWarning) for w in caught)
    assert tuple(str(w.message) for w in caught) == result.reasons
    return result


def test_a_singular_hessian_whose_range_turns_is_diagnosed():
    inner, _, u = pair()
    result = warned(inner, u, nearest(u, jnp.zeros((OUTPUTS, INPUTS))))
    assert (result.rank, result.size) == (OUTPUTS, OUTPUTS * INPUTS)
    assert result.turning > 0.1 and result.outside < 1e-10
    (reason,) = result.reasons
    assert "rank 3 of 15" in reason and "`projected`" in reason


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_diagnose_is_refused_inside_jax_transformations(transform):
    def inner(u, w):
        return jnp.sum(u**2) * jnp.sum(w**2)

    with pytest.raises(ValueError, match="call it outside of jit, grad and vmap"):
        transform(lambda u: diagnose(inner, u, jnp.zeros(2)).away)(jnp.ones(2))


def test_a_regular_problem_passes():
    def inner(u, w):
        return 0.5 * jnp.sum((w - u) ** 2) + 0.1 * jnp.sum(w**4)

    result = warned(inner, 1.4 * jnp.ones(3), jnp.ones(3))  # w + 0.4 w³ = u
    assert result.rank == result.size == 3 and not result.reasons
    assert result.lowest > 0.9


def test_a_singular_hessian_whose_range_is_constant_passes():
    """Labels enter the mixed term only: H⁺ is right, and nothing is said."""
    phi = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6)))

    def inner(u, w):
        return 0.5 * jnp.sum((phi @ w - u) ** 2)

    def outer(u, w):
        return jnp.sum(w**3)

    u = jnp.ones(3)
    w = jnp.asarray(np.linalg.pinv(phi)) @ u
    assert not warned(inner, u, w).reasons
    back = jnp.asarray(np.linalg.pinv(phi))
    truth = jit(jax.grad(lambda u: outer(u, back @ u)))(u)
    theorem = jit(lambda u, w: hypergradient(outer, inner, u, w, PseudoInverse()))(u, w)
    np.testing.assert_allclose(theorem.total, truth, rtol=1e-10)


def test_a_change_of_rank_is_diagnosed():
    """H = diag(1, u²) loses a rank at u = 0, and not to first order."""

    def inner(u, w):
        return 0.5 * (w[0] - u) ** 2 + 0.5 * (u * w[1]) ** 2

    result = warned(inner, jnp.array(0.0), jnp.zeros(2))
    assert result.rank == 1 and set(result.near) == {2}
    assert result.reasons[0] == "the rank of H changes with u: 1 of 2 here, 2 nearby"


def test_a_lost_minimum_is_diagnosed():
    """u pushes along a flat direction: f has no minimum at any other u."""

    def inner(u, w):
        return 0.5 * w[0] ** 2 + u * w[1]

    result = warned(inner, jnp.array(0.0), jnp.zeros(2))
    assert result.outside == pytest.approx(1.0)
    assert "no minimiser moves with u" in result.reasons[0]


def test_a_point_that_is_no_minimum_is_diagnosed():
    """The Newton step of a quadratic is exact: its length is that of w − w*."""

    def inner(u, w):
        return 0.5 * jnp.sum(jnp.array([1.0, 10.0]) * (w - u) ** 2)

    u = jnp.array([3.0, 4.0])
    result = warned(inner, u, jnp.zeros(2) + u * 1.5)
    assert result.away == pytest.approx(2.5 / (2.5 + 7.5), rel=1e-12)
    (reason,) = result.reasons
    assert reason.startswith("w does not minimise f(u, ·)") and "25.0%" in reason
    assert warned(inner, u, u).away == 0
