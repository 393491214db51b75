"""Inner solver: descend on f(u, ·), and differentiate the response of w to u."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from jax import Array

from heliostat.kernels.implicit.hypergradients import (
    Hypergradient,
    descend,
    hypergradient,
    unrolled,
)
from heliostat.kernels.implicit.inverse_hessian import (
    Identity,
    Method,
    Neumann,
    Proximal,
)
from heliostat.kernels.implicit.krylov import GMRES, ConjugateGradient, NormalCG
from heliostat.kernels.implicit.pseudo_inverse import PseudoInverse
from heliostat.kernels.implicit.solutions import projected
from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem

MethodName = Literal[
    "identity",
    "neumann",
    "cg",
    "normal-cg",
    "gmres",
    "pinv",
    "proximal",
    "damped",
    "unroll",
    "truncated",
    "forward",
    "projection",
]
"""Names of the methods that differentiate the response."""


class InnerSolver(NamedTuple):
    """Settings of the descent and of the method that differentiates it."""

    method: str
    steps: int  # steps of descent
    rate: float | Array  # rate of descent
    terms: int  # Neumann terms, last steps of truncated, iterations of a solver
    epsilon: float | Array  # added to curvatures by proximal and damped


def _neumann(s: InnerSolver) -> Method:
    return Neumann(s.terms, s.rate, check=False)


def _conjugate_gradient(s: InnerSolver) -> Method:
    return ConjugateGradient(maxiter=s.terms, check=False)


INVERSE_HESSIANS: dict[str, Callable[[InnerSolver], Method]] = {
    "identity": lambda s: Identity(s.rate),
    "neumann": _neumann,
    "cg": _conjugate_gradient,
    "normal-cg": lambda s: NormalCG(maxiter=s.terms, check=False),
    "gmres": lambda s: GMRES(maxiter=1, restart=s.terms, check=False),
    "pinv": lambda s: PseudoInverse(check=False),
    "proximal": lambda s: Proximal(s.epsilon, _conjugate_gradient(s)),
    "damped": lambda s: Proximal(s.epsilon, _neumann(s)),
}
"""Approximations of H⁻¹, by the methods that use the implicit function theorem.

``terms`` cuts them short on purpose, so none of them checks its residual.
"""

UNROLLED = ("unroll", "truncated", "forward")
"""Methods that differentiate the steps of descent."""

COUNTED = ("neumann", "cg", "normal-cg", "gmres", "proximal", "damped", "truncated")
"""Methods that read ``terms``."""

DAMPED = ("proximal", "damped")
"""Methods that read ``epsilon``."""


def solve_inner(
    solver: InnerSolver,
    problem: Problem,
    u: Any,
    start: Any,
    examples: Examples,
    data: Data,
) -> tuple[Any, Hypergradient]:
    """Descend on f(u, ·) from a start; return the last point and dF/du there.

    Args:
        solver: method, and settings of the descent.
        problem: its losses.
        u: outer variables, a pytree.
        start: inner variables, a pytree; a constant of the derivative.
        examples: examples of the outer loss F.
        data: data of the problem.
    """

    def inner(u: Any, w: Any) -> Array:
        return problem.inner(u, w, data)

    def outer(u: Any, w: Any) -> Array:
        return problem.outer(u, w, examples)

    method, rate, steps = solver.method, solver.rate, solver.steps
    if method in UNROLLED:
        last = solver.terms if method == "truncated" else None
        return unrolled(outer, inner, u, start, rate, steps, last, method == "forward")
    w = descend(inner, u, start, rate, steps)
    if method == "projection":
        return w, projected(outer, inner, u, w, start)
    return w, hypergradient(outer, inner, u, w, INVERSE_HESSIANS[method](solver))
