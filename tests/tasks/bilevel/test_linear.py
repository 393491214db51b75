"""Linear problems, over-parameterised in both levels, against closed forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from support.bilevel_runs import run_here, scan_steps, values

from heliostat.kernels.implicit.inverse_hessian import (
    Identity,
    Neumann,
    Proximal,
    inverse_hvp,
)
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse
from heliostat.system.jit import jit
from heliostat_tasks.bilevel import Bilevel
from heliostat_tasks.bilevel.inner_solvers import (
    INVERSE_HESSIANS,
    InnerSolver,
    solve_inner,
)
from heliostat_tasks.bilevel.plots import solution_norms
from heliostat_tasks.bilevel.problems.linear import solution_of


@pytest.mark.parametrize(
    "method", [pytest.param("pinv", marks=pytest.mark.slow), "unroll"]
)
def test_a_cold_start_converges_to_the_outer_solution_of_least_norm(tmp_path, method):
    """u → (V Φ⁺)⁺ y, to 1e-10, with zero outer loss."""
    task = Bilevel(problem="quadratic", method=method, inits=0)
    result = values(run_here(task, tmp_path, x64=True, steps=300))
    assert result["distance"] < 1e-10
    assert result["outer_loss"] < 1e-20
    assert result["outer_norm"] == pytest.approx(result["least_norm"], abs=1e-10)


METHODS = {
    "identity": ({}, Identity(0.8)),
    "neumann": ({"terms": 3}, Neumann(3, 0.8)),
    "truncated": ({"terms": 3}, Neumann(3, 0.8)),
    "damped": ({"terms": 3, "epsilon": 0.1}, Proximal(0.1, Neumann(3, 0.8))),
    "proximal": ({"terms": 60, "epsilon": 0.1}, Proximal(0.1, PseudoInverse())),
}


LONG = ("damped",)
"""Slow cases; others cover their two parts, the series and the proximal term."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in METHODS],
)
@pytest.mark.usefixtures("x64")
def test_a_run_converges_to_the_solution_of_its_approximation(name):
    """Each has F = 0; the filter of H⁻¹ alone decides which u it is."""
    fields, method = METHODS[name]
    task = Bilevel(problem="quadratic", method=name, inits=0, **fields)
    rows, state = scan_steps(task, 1000)
    phi, v, y = (jnp.asarray(a) for a in task.problem_instance.matrices())
    expected = jit(lambda: solution_of(phi, v, y, method))()
    np.testing.assert_allclose(state.u, expected, atol=1e-6)
    assert rows.outer_loss[-1] < 1e-12
    assert rows.distance[-1] > 1e-3


@pytest.mark.usefixtures("x64")
def test_exact_methods_agree():
    """H⁺, unrolled steps in both modes and the projection; the range of H is fixed."""
    fields = {
        "pinv": {},
        "normal-cg": {"terms": 60},
        "projection": {},
        "unroll": {},
        "forward": {},
        "truncated": {"terms": 300},
    }
    tasks = [
        Bilevel(problem="quadratic", method=name, inner_steps=300, **given)
        for name, given in fields.items()
    ]
    data = tasks[0].prepare()
    u = jnp.asarray(np.random.default_rng(0).normal(size=12))

    def gradients(u, data):
        problem = tasks[0].problem_instance
        start, train = problem.inner_start(None, data), data.train
        solved = (
            solve_inner(task.inner_solver, problem, u, start, train, data)
            for task in tasks
        )
        return [gradient.total for _, gradient in solved]

    expected, *others = jit(gradients)(u, data)
    for gradient in others:
        np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["cg", "gmres", "normal-cg"])
@pytest.mark.usefixtures("x64")
def test_terms_are_the_iterations_of_a_solver(name):
    """Four iterations solve a system of four unknowns, two do not."""
    s = jnp.arange(1.0, 5.0)

    def residual(terms):
        solver = InnerSolver(name, 1, 0.1, terms, 0.0)
        method = INVERSE_HESSIANS[name](solver)
        x = jit(lambda v: inverse_hvp(lambda x: s * x, v, method))(jnp.ones(4))
        return float(jnp.max(jnp.abs(s * x - 1)))

    assert residual(4) < 1e-6 and residual(2) > 1e-2


def test_fewer_terms_find_longer_labels_and_shorter_weights():
    """Anti-distillation: |u| falls with K, |w| rises, and K → ∞ is the closed form."""
    task = Bilevel(problem="antidistillation")
    terms = (1, 5, 20, 1000)
    u, w, gap = solution_norms(task, terms, [1e-6])[:, 0].T
    for falling in (u, -w, gap):
        assert np.all(np.diff(falling) < 1e-4)
    assert gap[-1] < 1e-3 and u[0] > 1.2 * u[-1] and w[0] < 0.6 * w[-1]


def test_there_are_more_synthetic_points_than_real_ones():
    data = Bilevel(problem="antidistillation").prepare()
    real, weights = data.train.x.shape
    assert real < data.inner.shape[0] < weights
