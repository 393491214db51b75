"""Leak meter: compare the model with models that are trained again from scratch.

A warm-started model has seen all earlier data, so it may be far better than any model
that the present u can teach. An evaluation trains again with u fixed, once from the
start of the run and from several new starts, and compares the losses.

Reference: Vicol et al., arXiv:2212.14032, table 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from heliostat.kernels.implicit.hypergradients import descend
from heliostat_tasks.bilevel.problems.problem import Data, Problem
from heliostat_tasks.bilevel.settings import Resolved


class Evaluation(NamedTuple):
    """Losses and accuracies of the last evaluation; NaN before the first."""

    loss: Float[Array, ""]  # F of w at that time
    losses: Float[Array, " models"]  # F of w re-trained: same start first, then new
    accuracies: Float[Array, " models"]  # test accuracies of these 1 + inits models


def no_evaluation(inits: int) -> Evaluation:
    """Return the NaNs that stand before the first evaluation."""
    return Evaluation(*(jnp.full(s, jnp.nan) for s in ((), 1 + inits, 1 + inits)))


def evaluate(
    problem: Problem,
    resolved: Resolved,
    key: Array,
    u: Any,
    w: Any,
    w0: Any,
    data: Data,
    last: Evaluation,
    due: Bool[Array, ""],
) -> Evaluation:
    """Evaluate (u, w) if that is due, else return the last evaluation.

    A loop of zero rounds skips the work. A branch would not: in a batch of runs both
    of its sides are computed.

    Args:
        problem: its losses and starts.
        resolved: rate and length of re-training.
        key: key of the new starts.
        u: outer variables, fixed.
        w: the model of the run.
        w0: start of the run, like ``w``.
        data: data of the problem.
        last: evaluation before this one.
        due: whether to evaluate now.
    """

    def train(i: Array, evaluation: Evaluation) -> Evaluation:
        new = problem.inner_start(jax.random.fold_in(key, i), data)
        start = jax.tree.map(lambda a, b: jnp.where(i == 0, a, b), w0, new)
        model = descend(
            lambda u, w: problem.inner(u, w, data),
            u,
            start,
            resolved.inner_lr,
            resolved.retrain_steps,
        )
        loss = problem.outer(u, model, data.train)
        accuracy = problem.accuracy(model, data.test)
        return evaluation._replace(
            losses=evaluation.losses.at[i].set(loss),
            accuracies=evaluation.accuracies.at[i].set(accuracy),
        )

    rounds = jnp.where(due, len(last.losses), 0)
    evaluation = jax.lax.fori_loop(0, rounds, train, last)
    loss = problem.outer(u, w, data.train)
    return evaluation._replace(loss=jnp.where(due, loss, evaluation.loss))
