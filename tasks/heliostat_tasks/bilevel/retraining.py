"""The leak meter: what a model knows that its training data, as they are now, do not.

A model that inherits its weights has seen all data before: it may be far better than
any that is trained on the last ones.  So every judgement trains again, with u fixed,
from the start that the run had and from new ones, and compares.

Reference: Vicol et al., arXiv:2212.14032, table 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from heliostat.kernels.implicit.hypergradients import descend

if TYPE_CHECKING:
    from heliostat_tasks.bilevel.problems.problem import Data
    from heliostat_tasks.bilevel.task import Bilevel, State


class Evaluation(NamedTuple):
    """The last judgement; NaN before the first."""

    loss: Array  # () F of w as it was then
    losses: Array  # (1 + inits,) F of w re-trained: same start first, then new ones
    accuracies: Array  # (1 + inits,) of these


def not_evaluated(inits: int) -> Evaluation:
    """Nothing is known yet."""
    return Evaluation(*(jnp.full(s, jnp.nan) for s in ((), 1 + inits, 1 + inits)))


def evaluate(
    task: Bilevel, key: Array, u: Any, w: Any, state: State, data: Data, due: Array
) -> Evaluation:
    """A new judgement of (u, w) where one is due, else the last one.

    It is a loop of no rounds where none is due, and not a branch: that costs nothing
    also for many runs side by side, where both sides of a branch would be computed.
    """
    problem, numbers = task.problem_instance, task.resolved

    def train(i: Array, judged: Evaluation) -> Evaluation:
        fresh = problem.inner_start(jax.random.fold_in(key, i), data)
        start = jax.tree.map(lambda a, b: jnp.where(i == 0, a, b), state.start, fresh)
        found = descend(
            lambda u, w: problem.inner(u, w, data),
            u,
            start,
            numbers.inner_lr,
            numbers.retrain_steps,
        )
        return judged._replace(
            losses=judged.losses.at[i].set(problem.outer(u, found, data.train)),
            accuracies=judged.accuracies.at[i].set(problem.accuracy(found, data.test)),
        )

    rounds = jnp.where(due, 1 + task.inits, 0)
    judged = jax.lax.fori_loop(0, rounds, train, state.judged)
    loss = problem.outer(u, w, data.train)
    return judged._replace(loss=jnp.where(due, loss, judged.loss))
