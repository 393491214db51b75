"""Task ``bilevel``: outer updates around steps of descent on an inner problem."""

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
from jaxtyping import Float, Int

import heliostat as hs
from heliostat import config
from heliostat_tasks.bilevel import estimates, measures
from heliostat_tasks.bilevel.inner_solvers import InnerSolver, MethodName, solve_inner
from heliostat_tasks.bilevel.policies import PolicyName, initial_point
from heliostat_tasks.bilevel.problems import PROBLEMS
from heliostat_tasks.bilevel.problems.problem import Data, Examples, Problem
from heliostat_tasks.bilevel.retraining import Evaluation, evaluate, no_evaluation
from heliostat_tasks.bilevel.settings import Resolved, resolve
from heliostat_tasks.bilevel.validate import check_fields, uses

if TYPE_CHECKING:
    import xarray as xr

ProblemName = Literal[
    "quadratic", "pair", "moons", "digits", "augment", "antidistillation"
]
"""Names of the problems in :mod:`heliostat_tasks.bilevel.problems`."""


class State(NamedTuple):
    """Both variables, the outer optimiser, and the last evaluation."""

    step: Int[Array, ""]  # steps taken
    u: Any  # outer variables
    w: Any  # inner variables, the response to u before its last update
    start: Any  # w₀, like w
    optimiser: Any  # state of the outer optimiser
    judged: Evaluation


@dataclass(frozen=True)
class Bilevel(hs.Task):
    """Bilevel optimisation by descent in both levels,

        min_u F(u, w),    u ← u − η (∂F/∂u + (∂w/∂u)ᵀ ∂F/∂w)

    where w is the last point of descent on f(u, ·) from a start that the policy
    chooses: w₀ if cold, the previous w if warm. One step is one outer update. Once a
    stride the model is trained again with u fixed, from w₀ and from new starts, which
    shows how much of a warm-started w is not in u.

    Raises:
        ValueError: for fields that make no sense, in one line.

    Example:
        >>> Bilevel(problem="pair").problem_instance.points
        1

    Reference: Vicol et al., arXiv:2212.14032.
    """

    problem: ProblemName = "digits"  # what is learned
    policy: PolicyName = "cold"  # where the inner descent of a step starts
    method: MethodName | None = None  # how w is differentiated; default the problem's
    terms: int = 20  # Neumann terms, last steps of truncated, iterations of a solver
    epsilon: float = 0.01  # added to curvatures by methods proximal and damped
    inner_steps: int | None = None  # steps of descent in a step; default the problem's
    inner_lr: float | None = None  # rate of that descent; default the problem's
    outer_lr: float | None = None  # rate of the outer optimiser; default the problem's
    optimiser: Literal["sgd", "adam"] | None = None  # outer; default the problem's
    points: int | None = None  # synthetic examples; default the problem's
    hidden: int = 64  # hidden units of the network that is taught
    batch: int = 0  # examples of the outer loss in a step; 0 is all
    reset_every: int = 100  # steps between starts at w₀, policy reset
    anchor: float = 0.1  # share of the way back to w₀, policy anchor
    retrain_steps: int | None = None  # steps of re-training; default the problem's
    inits: int = 3  # new starts of re-training
    restarts: int = 1  # independent replicas, each with its own starts
    data_seed: int = 0  # seed of the problem's data

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
        fields = {name: getattr(self, name) for name in config.fields_of(type(self))}
        problem = self.problem_instance
        check_fields(fields | self.resolved._asdict(), problem)
        hs.check_used(self, uses(self.resolved.method, self.policy, problem))
        object.__setattr__(self, "emits", measures.variables(problem))

    @property
    def finds(self) -> tuple[str, ...]:
        """Names of the estimates in a headline."""
        return estimates.names(self.problem_instance)

    @property
    def replicas(self) -> int:
        """Number of restarts."""
        return self.restarts

    @property
    def steps(self) -> int:
        """Natural length: the problem's."""
        return PROBLEMS[self.problem].settings.steps

    @cached_property
    def resolved(self) -> Resolved:
        """Fields with the problem's settings in place of None."""
        fields = {name: getattr(self, name) for name in Resolved._fields}
        return resolve(fields, PROBLEMS[self.problem].settings)

    @cached_property
    def problem_instance(self) -> Problem:
        """Problem that the fields describe: losses, starts and data."""
        problem = PROBLEMS[self.problem]
        return problem(self.resolved.points, self.hidden, self.data_seed)

    @property
    def inner_solver(self) -> InnerSolver:
        """Inner descent and the method that differentiates it."""
        r = self.resolved
        return InnerSolver(
            r.method, r.inner_steps, r.inner_lr, self.terms, self.epsilon
        )

    def canonical(self) -> dict[str, Any]:
        """Return the fields that were None as the problem's settings."""
        return self.resolved._asdict()

    def prepare(self) -> Data:
        """Make or load the data of the problem."""
        return self.problem_instance.data()

    def init(self, key: Array, replica: Array, data: Data) -> State:
        """Draw both variables of a restart.

        Args:
            key: randomness of the starts.
            replica: () int32, number of the restart; not used.
            data: result of :meth:`prepare`.

        Returns:
            The state before the first step.
        """
        outer_key, inner_key = jax.random.split(key)
        u = self.problem_instance.outer_start(outer_key, data)
        w = self.problem_instance.inner_start(inner_key, data)
        evaluation = no_evaluation(self.inits)
        step = jnp.zeros((), jnp.int32)
        return State(step, u, w, w, self._optimiser.init(u), evaluation)

    def step(self, key: Array, state: State, data: Data) -> tuple[State, measures.Row]:
        """Solve the inner problem, update u, and evaluate once a stride.

        Args:
            key: randomness of the step.
            state: state of the previous step.
            data: result of :meth:`prepare`.

        Returns:
            The next state, and the row of ``emits``.
        """
        start_key, batch_key, evaluation_key = jax.random.split(key, 3)
        problem, u, step = self.problem_instance, state.u, state.step + 1
        examples = self._batch(batch_key, data.train)
        start = self._initial_point(start_key, state, data)
        w, gradient = solve_inner(self.inner_solver, problem, u, start, examples, data)
        new_u, optimiser = self._update(u, gradient.total, state.optimiser)
        due = step % self.stride == 0
        evaluation = evaluate(
            problem,
            self.resolved,
            evaluation_key,
            u,
            w,
            state.start,
            data,
            state.judged,
            due,
        )
        row = measures.pair_row(problem, u, w, state.start, data)
        row |= measures.gradient_row(gradient)
        row |= measures.evaluation_row(problem, evaluation)
        return State(step, new_u, w, state.start, optimiser, evaluation), row

    def observe(self, state: State, data: Data) -> dict[str, Array]:
        """Return all outer variables, and the losses of each re-trained model.

        Args:
            state: at a stride.
            data: result of :meth:`prepare`.

        Returns:
            The variables of ``observes``.
        """
        return {
            "u": ravel_pytree(state.u)[0],
            "fresh_losses": state.judged.losses[1:],
        }

    def validation(self, state: State, data: Data) -> Float[Array, ""]:
        """Compute F of both variables over all examples, which judges the fields.

        Args:
            state: at the end of a run.
            data: result of :meth:`prepare`.

        Returns:
            The loss.
        """
        return self.problem_instance.outer(state.u, state.w, data.train)

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Average the last losses, accuracies and norms over restarts.

        Args:
            rows: rows of the run so far.

        Returns:
            Estimates by name, and references such as the floor of the loss.
        """
        return estimates.headline(rows, self.problem_instance)

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        """Direction of an outer step, without the learning rate."""
        sgd = self.resolved.optimiser == "sgd"
        return optax.identity() if sgd else optax.scale_by_adam()

    def _initial_point(self, key: Array, state: State, data: Data) -> Any:
        return initial_point(
            self.policy,
            state.step,
            state.start,
            state.w,
            lambda: self.problem_instance.inner_start(key, data),
            self.reset_every,
            self.anchor,
        )

    def _update(self, u: Any, gradient: Any, optimiser: Any) -> tuple[Any, Any]:
        """Return u − η × direction, and the optimiser's next state."""
        direction, optimiser = self._optimiser.update(gradient, optimiser)
        rate = self.resolved.outer_lr
        return jax.tree.map(lambda a, b: a - rate * b, u, direction), optimiser

    def _batch(self, key: Array, examples: Examples) -> Examples:
        """Draw the examples of one outer step, without replacement."""
        if not self.batch:
            return examples
        n = len(examples.y)
        index = jax.random.choice(key, n, (self.batch,), replace=False)
        return Examples(*(jnp.asarray(a)[index] for a in examples))
