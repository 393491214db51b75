"""Bilevel optimisation: an outer update around steps of descent on an inner problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

import heliostat as hs
from heliostat_tasks.bilevel import estimates, measures
from heliostat_tasks.bilevel.inner_solvers import MethodName, solve_inner
from heliostat_tasks.bilevel.policies import PolicyName, initial_point
from heliostat_tasks.bilevel.problems import PROBLEMS
from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem
from heliostat_tasks.bilevel.retraining import Evaluation, evaluate, not_evaluated
from heliostat_tasks.bilevel.settings import Resolved, resolve
from heliostat_tasks.bilevel.validate import check

if TYPE_CHECKING:
    import xarray as xr

ProblemName = Literal[
    "quadratic", "pair", "moons", "digits", "augment", "antidistillation"
]
"""Problems, see :mod:`heliostat_tasks.bilevel.problems`."""


class State(NamedTuple):
    """Both variables, the outer optimiser, and the last judgement."""

    step: Array  # () int32, steps taken
    u: Any  # outer variables
    w: Any  # inner variables, the response to the u before the last update
    start: Any  # like w: w₀
    optimiser: Any
    judged: Evaluation


@dataclass(frozen=True)
class Bilevel(hs.Task):
    """min_u F(u, w) with w from descent on f(u, ·): which w, the policy decides.

        cold    w ← descend from w₀,     warm    w ← descend from the last w
        u ← u − η (∂F/∂u + (∂w/∂u)ᵀ ∂F/∂w)

    A step is one outer update.  Once a stride the model is re-trained with u as it is
    now, from w₀ and from new starts: what a warm-started w knows beyond that, u cannot
    teach.

    Example:
        >>> Bilevel(problem="pair").posed.points
        1

    Reference: Vicol et al., arXiv:2212.14032.
    """

    problem: ProblemName = "digits"  # what is learned
    policy: PolicyName = "cold"  # where the inner descent of a step starts
    method: MethodName | None = None  # how w is differentiated; default the problem's
    terms: int = 20  # Neumann terms, last steps of truncated, iterations of a solver
    epsilon: float = 0.01  # added to curvatures by methods proximal and damped
    inner_steps: int | None = None  # of descent in a step; default the problem's
    inner_lr: float | None = None  # of that descent; default the problem's
    outer_lr: float | None = None  # of the outer optimiser; default the problem's
    optimiser: Literal["sgd", "adam"] | None = None  # outer; default the problem's
    points: int | None = None  # synthetic examples; default the problem's
    hidden: int = 64  # hidden units of the network that is taught
    batch: int = 0  # examples of the outer loss in a step; 0 is all
    reset_every: int = 100  # steps between starts at w₀, policy reset
    anchor: float = 0.1  # share of the way back to w₀, policy anchor
    retrain_steps: int | None = None  # of re-training; default the problem's
    inits: int = 3  # new starts of re-training
    restarts: int = 1  # independent replicas, each with starts of its own
    data_seed: int = 0  # of the problem's data

    replica_dim = "restart"
    packable = ("inner_lr", "outer_lr", "epsilon", "anchor")
    kept = 4
    stride = 100
    emits = measures.ALWAYS
    observes = {
        "u": hs.Var(("variable",), about="outer variables in a row"),
        "fresh_losses": hs.Var(("init",), about="F of w re-trained from new starts"),
    }

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "emits", measures.variables(self.problem_instance))

    @property
    def finds(self) -> tuple[str, ...]:
        return estimates.finds(self)

    @property
    def replicas(self) -> int:
        return self.restarts

    @property
    def steps(self) -> int:
        """The problem's."""
        return PROBLEMS[self.problem].settings.steps

    @cached_property
    def resolved(self) -> Resolved:
        """Fields that were left to the problem, with its numbers."""
        return resolve(self)

    @cached_property
    def problem_instance(self) -> Problem:
        """The problem that the fields describe."""
        return PROBLEMS[self.problem](self.resolved.points, self.hidden, self.data_seed)

    def canonical(self) -> dict[str, Any]:
        """Fields that were left to the problem are its numbers."""
        return self.resolved._asdict()

    def prepare(self) -> Data:
        return self.problem_instance.data()

    def init(self, key: Array, replica: Array, data: Data) -> State:
        above, below = jax.random.split(key)
        u = self.problem_instance.outer_start(above, data)
        w = self.problem_instance.inner_start(below, data)
        return State(
            jnp.zeros((), jnp.int32),
            u,
            w,
            w,
            self._outer.init(u),
            not_evaluated(self.inits),
        )

    def step(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        starts, batches, judges = jax.random.split(key, 3)
        u, step = state.u, state.step + 1
        seen = self._seen(batches, data.train)
        start = initial_point(self, starts, state, data)
        w, gradient = solve_inner(self, u, start, seen, data)
        moved, optimiser = self._moved(u, gradient.total, state.optimiser)
        due = step % self.stride == 0
        judged = evaluate(self, judges, u, w, state, data, due)
        row = measures.pair_row(self.problem_instance, u, w, state.start, data)
        row |= measures.gradient_row(gradient)
        row |= measures.evaluation_row(self.problem_instance, judged)
        return State(step, moved, w, state.start, optimiser, judged), row

    def observe(self, state: State, data: Data) -> dict[str, Array]:
        return {
            "u": ravel_pytree(state.u)[0],
            "fresh_losses": state.judged.losses[1:],
        }

    def validation(self, state: State, data: Data) -> Array:
        """F of both variables as they are, all examples; of the run, its fields."""
        return self.problem_instance.outer(state.u, state.w, data.train)

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        return estimates.headline(rows, self)

    @property
    def _outer(self) -> optax.GradientTransformation:
        """The direction of an outer step; its length is the rate's business."""
        plain = self.resolved.optimiser == "sgd"
        return optax.identity() if plain else optax.scale_by_adam()

    def _moved(self, u: Any, gradient: Any, optimiser: Any) -> tuple[Any, Any]:
        """u ← u − η (the direction), and the optimiser's state after it."""
        updates, optimiser = self._outer.update(gradient, optimiser)
        rate = self.resolved.outer_lr
        return jax.tree.map(lambda a, b: a - rate * b, u, updates), optimiser

    def _seen(self, key: Array, examples: Examples) -> Examples:
        """The examples of one outer step, without replacement."""
        if not self.batch:
            return examples
        n = len(examples.y)
        picked = jax.random.choice(key, n, (self.batch,), replace=False)
        return Examples(*(jnp.asarray(a)[picked] for a in examples))
