"""How w answers u: where descent ends, and what of it is differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

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

if TYPE_CHECKING:
    from heliostat_tasks.bilevel.problems.problem import Data, Examples
    from heliostat_tasks.bilevel.task import Bilevel

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
"""How the response of w to u is differentiated."""

INVERSE_HESSIANS: dict[str, Callable[[Bilevel], Method]] = {
    "identity": lambda task: Identity(task.resolved.inner_lr),
    "neumann": lambda task: Neumann(task.terms, task.resolved.inner_lr),
    "cg": lambda task: ConjugateGradient(maxiter=task.terms),
    "normal-cg": lambda task: NormalCG(maxiter=task.terms),
    "gmres": lambda task: GMRES(maxiter=1, restart=task.terms),
    "pinv": lambda task: PseudoInverse(),
    "proximal": lambda task: Proximal(
        task.epsilon, ConjugateGradient(maxiter=task.terms)
    ),
    "damped": lambda task: Proximal(
        task.epsilon, Neumann(task.terms, task.resolved.inner_lr)
    ),
}
"""Methods of the implicit function theorem: how each approximates H⁻¹."""

STEPS = ("unroll", "truncated", "forward")
"""Methods that differentiate the steps of descent."""

COUNTED = ("neumann", "cg", "normal-cg", "gmres", "proximal", "damped", "truncated")
"""Methods that read ``terms``."""

DAMPED = ("proximal", "damped")
"""Methods that read ``epsilon``."""


def solve_inner(
    task: Bilevel, u: Any, start: Any, seen: Examples, data: Data
) -> tuple[Any, Hypergradient]:
    """Descend on f(u, ·) from a start, and dF/du where it ends.

    Args:
        u: outer variables.
        start: inner variables, a constant.
        seen: the examples that F is taken over.
    """
    problem, numbers = task.problem_instance, task.resolved
    rate, steps = numbers.inner_lr, numbers.inner_steps

    def inner(u: Any, w: Any) -> Any:
        return problem.inner(u, w, data)

    def outer(u: Any, w: Any) -> Any:
        return problem.outer(u, w, seen)

    if task.resolved.method in STEPS:
        last = task.terms if task.resolved.method == "truncated" else None
        mode = task.resolved.method == "forward"
        return unrolled(outer, inner, u, start, rate, steps, last, mode)
    w = descend(inner, u, start, rate, steps)
    if task.resolved.method == "projection":
        return w, projected(outer, inner, u, w, start)
    return w, hypergradient(
        outer, inner, u, w, INVERSE_HESSIANS[task.resolved.method](task)
    )
