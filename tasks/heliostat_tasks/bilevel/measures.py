"""Variables of a row: of u and w in every step, of re-training once a stride.

Losses have the units of F: nats per example where a network classifies, squares of y
elsewhere. Norms are Euclidean, over all entries of a pytree.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float

import heliostat as hs
from heliostat.kernels.implicit.hypergradients import Hypergradient
from heliostat_tasks.bilevel.problems.problem import Data, Problem
from heliostat_tasks.bilevel.retraining import Evaluation

ALWAYS = {
    "outer_loss": hs.Var(about="F(u, w), all examples", known=("floor",)),
    "inner_residual": hs.Var(about="|df/dw| where the inner descent ended"),
    "outer_norm": hs.Var(about="|u|", known=("least_norm",)),
    "displacement": hs.Var(about="|w - w0|"),
    "direct": hs.Var(about="|dF/du| at fixed w"),
    "indirect": hs.Var(about="|dF/du| through w"),
    "retrained_loss": hs.Var(
        about="F of w re-trained from the same start", known=("floor",)
    ),
    "fresh_loss": hs.Var(
        about="mean F of w re-trained from new starts", known=("floor",)
    ),
    "leak": hs.Var(about="F of w minus F of w re-trained; below 0 w knows more"),
}

CLASSIFIED = {
    "accuracy": hs.Var(about="test accuracy of w"),
    "retrained_accuracy": hs.Var(about="of w re-trained from the same start"),
    "fresh_accuracy": hs.Var(about="mean, of w re-trained from new starts"),
}
"""Further variables of problems that classify."""

SOLVED = {"distance": hs.Var(about="|u - u*|, u* the outer solution of least norm")}
"""Further variables of problems with a closed form."""

Row = dict[str, Float[Array, ""]]
"""Values by variable."""


def variables(problem: Problem) -> dict[str, hs.Var]:
    """Return the variables of a problem's rows."""
    classified = CLASSIFIED if problem.classifies else {}
    return ALWAYS | classified | (SOLVED if problem.has_solution else {})


def pair_row(problem: Problem, u: Any, w: Any, w0: Any, data: Data) -> Row:
    """Measure u, and w that responds to it.

    Args:
        problem: its losses.
        u: outer variables.
        w: inner variables, the last point of the descent for ``u``.
        w0: start of the run, like ``w``.
        data: data of the problem.
    """
    row = {
        "outer_loss": problem.outer(u, w, data.train),
        "inner_residual": optax.tree.norm(jax.grad(problem.inner, 1)(u, w, data)),
        "outer_norm": optax.tree.norm(u),
        "displacement": optax.tree.norm(optax.tree.sub(w, w0)),
    }
    if problem.classifies:
        row["accuracy"] = problem.accuracy(w, data.test)
    if problem.has_solution:
        row["distance"] = problem.distance(u, data)
    return row


def gradient_row(gradient: Hypergradient) -> Row:
    """Measure the lengths of both terms of the hypergradient."""
    return {
        "direct": optax.tree.norm(gradient.direct),
        "indirect": optax.tree.norm(gradient.indirect),
    }


def evaluation_row(problem: Problem, evaluation: Evaluation) -> Row:
    """Summarise the last evaluation; rows repeat it until the next."""
    row = {
        "retrained_loss": evaluation.losses[0],
        "fresh_loss": mean(evaluation.losses[1:]),
        "leak": evaluation.loss - evaluation.losses[0],
    }
    if problem.classifies:
        row["retrained_accuracy"] = evaluation.accuracies[0]
        row["fresh_accuracy"] = mean(evaluation.accuracies[1:])
    return row


def mean(values: Float[Array, " n"]) -> Float[Array, ""]:
    """Return the mean, NaN if there are no values.

    Example:
        >>> float(mean(jnp.zeros(0)))
        nan
    """
    return jnp.mean(values) if values.size else jnp.full((), jnp.nan)
