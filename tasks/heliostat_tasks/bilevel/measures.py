"""What the rows of a run tell: of u and w in every step, of re-training once a stride.

Losses are in the units of F: nats an example where a network classifies, squares of y
elsewhere.  Norms are Euclidean, over all entries of a pytree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

import heliostat as hs

if TYPE_CHECKING:
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
"""What rows tell besides, of problems that classify."""

SOLVED = {"distance": hs.Var(about="|u - u*|, u* the outer solution of least norm")}
"""What rows tell besides, of problems with a closed form."""


def variables(problem: Problem) -> dict[str, hs.Var]:
    """The variables of a problem's rows."""
    classified = CLASSIFIED if problem.classifies else {}
    return ALWAYS | classified | (SOLVED if problem.solved else {})


Row = dict[str, Array]
"""Values of variables, each ()."""


def pair_row(problem: Problem, u: Any, w: Any, start: Any, data: Data) -> Row:
    """Of u and of w, the response to it.

    Args:
        start: w₀, like ``w``.
    """
    row = {
        "outer_loss": problem.outer(u, w, data.train),
        "inner_residual": optax.tree.norm(jax.grad(problem.inner, 1)(u, w, data)),
        "outer_norm": optax.tree.norm(u),
        "displacement": optax.tree.norm(optax.tree.sub(w, start)),
    }
    if problem.classifies:
        row["accuracy"] = problem.accuracy(w, data.test)
    if problem.solved:
        row["distance"] = problem.distance(u, data)
    return row


def gradient_row(gradient: Hypergradient) -> Row:
    """The lengths of its two terms."""
    return {
        "direct": optax.tree.norm(gradient.direct),
        "indirect": optax.tree.norm(gradient.indirect),
    }


def evaluation_row(problem: Problem, judged: Evaluation) -> Row:
    """The last one, in rows until the next."""
    row = {
        "retrained_loss": judged.losses[0],
        "fresh_loss": mean(judged.losses[1:]),
        "leak": judged.loss - judged.losses[0],
    }
    if problem.classifies:
        row["retrained_accuracy"] = judged.accuracies[0]
        row["fresh_accuracy"] = mean(judged.accuracies[1:])
    return row


def mean(values: Array) -> Array:
    """NaN of nothing.

    Example:
        >>> float(mean(jnp.zeros(0)))
        nan
    """
    return jnp.mean(values) if values.size else jnp.full((), jnp.nan)
