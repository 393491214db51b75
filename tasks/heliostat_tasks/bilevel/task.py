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
from heliostat_tasks.bilevel import estimates
from heliostat_tasks.bilevel.checks import check
from heliostat_tasks.bilevel.problems import PROBLEMS
from heliostat_tasks.bilevel.problems.problem import Data, Problem, Seen
from heliostat_tasks.bilevel.responses import Named, respond
from heliostat_tasks.bilevel.retraining import Judged, retrained, unjudged
from heliostat_tasks.bilevel.settings import Chosen, chosen

if TYPE_CHECKING:
    import xarray as xr

Posed = Literal["quadratic", "pair", "moons", "digits", "augment", "antidistillation"]
"""Problems, see :mod:`heliostat_tasks.bilevel.problems`."""

Policy = Literal["cold", "warm", "reset", "anchor", "redrawn"]
"""Inner descent starts at w₀, at the last w, at either, between them, or anywhere."""

CLASSIFIED = {
    "accuracy": hs.Var(about="test accuracy of w"),
    "retrained_accuracy": hs.Var(about="of w re-trained from the same start"),
    "fresh_accuracy": hs.Var(about="mean, of w re-trained from new starts"),
}
"""What rows tell besides, of problems that classify."""

SOLVED = {"distance": hs.Var(about="|u - u*|, u* the outer solution of least norm")}
"""What rows tell besides, of problems with a closed form."""


class State(NamedTuple):
    """Both variables, the outer optimiser, and the last judgement."""

    step: Array  # () int32, steps taken
    u: Any  # outer variables
    w: Any  # inner variables, the response to the u before the last update
    start: Any  # like w: w₀
    optimiser: Any
    judged: Judged


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

    problem: Posed = "digits"  # what is learned
    policy: Policy = "cold"  # where the inner descent of a step starts
    method: Named | None = None  # how w is differentiated; default the problem's
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
    emits = {
        "outer_loss": hs.Var(about="F(u, w), all examples"),
        "inner_residual": hs.Var(about="|df/dw| where the inner descent ended"),
        "outer_norm": hs.Var(about="|u|"),
        "displacement": hs.Var(about="|w - w0|"),
        "direct": hs.Var(about="|dF/du| at fixed w"),
        "indirect": hs.Var(about="|dF/du| through w"),
        "retrained_loss": hs.Var(about="F of w re-trained from the same start"),
        "fresh_loss": hs.Var(about="mean F of w re-trained from new starts"),
        "leak": hs.Var(about="F of w minus F of w re-trained; below 0 w knows more"),
    }
    observes = {
        "u": hs.Var(("variable",), about="outer variables in a row"),
        "fresh_losses": hs.Var(("init",), about="F of w re-trained from new starts"),
    }

    def __post_init__(self) -> None:
        check(self)
        extra = CLASSIFIED if self.posed.classifies else {}
        extra = extra | (SOLVED if self.posed.solved else {})
        object.__setattr__(self, "emits", {**self.emits, **extra})

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
    def chosen(self) -> Chosen:
        """Fields that were left to the problem, with its numbers."""
        return chosen(self)

    @cached_property
    def posed(self) -> Problem:
        """The problem that the fields describe."""
        return PROBLEMS[self.problem](self.chosen.points, self.hidden, self.data_seed)

    def canonical(self) -> dict[str, Any]:
        """Fields that were left to the problem are its numbers."""
        return self.chosen._asdict()

    def prepare(self) -> Data:
        data = self.posed.data()
        if self.batch > len(data.train.y):
            raise hs.RequestError(
                f"batch {self.batch}: expected at most {len(data.train.y)}, the "
                f"examples of {self.problem}"
            )
        return data

    def init(self, key: Array, replica: Array, data: Data) -> State:
        above, below = jax.random.split(key)
        u = self.posed.outer_start(above, data)
        w = self.posed.inner_start(below, data)
        return State(
            jnp.zeros((), jnp.int32), u, w, w, self._outer.init(u), unjudged(self.inits)
        )

    def step(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        starting, batching, judging = jax.random.split(key, 3)
        u, step = state.u, state.step + 1
        seen = self._seen(batching, data.train)
        start = self._start(starting, state, data)
        w, gradient = respond(self, u, start, seen, data)
        updates, optimiser = self._outer.update(gradient.total, state.optimiser)
        rate = self.chosen.outer_lr
        moved = jax.tree.map(lambda a, b: a - rate * b, u, updates)
        due = step % self.stride == 0
        judged = retrained(self, judging, u, w, state, data, due)
        row = {
            "direct": optax.tree.norm(gradient.direct),
            "indirect": optax.tree.norm(gradient.indirect),
            "displacement": optax.tree.norm(optax.tree.sub(w, state.start)),
        }
        row |= self._told(u, w, data) | self._retold(judged)
        return State(step, moved, w, state.start, optimiser, judged), row

    def observe(self, state: State, data: Data) -> dict[str, Array]:
        return {
            "u": ravel_pytree(state.u)[0],
            "fresh_losses": state.judged.losses[1:],
        }

    def validation(self, state: State, data: Data) -> Array:
        """F of both variables as they are, all examples; of the run, its fields."""
        return self.posed.outer(state.u, state.w, data.train)

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        return estimates.headline(rows, self)

    @property
    def _outer(self) -> optax.GradientTransformation:
        """The direction of an outer step; its length is the rate's business."""
        plain = self.chosen.optimiser == "sgd"
        return optax.identity() if plain else optax.scale_by_adam()

    def _start(self, key: Array, state: State, data: Data) -> Any:
        """Where inner descent starts: the policy."""
        w0, w = state.start, state.w
        if self.policy == "cold":
            return w0
        if self.policy == "redrawn":
            return self.posed.inner_start(key, data)
        if self.policy == "reset":
            back = state.step % self.reset_every == 0
            return jax.tree.map(lambda a, b: jnp.where(back, a, b), w0, w)
        if self.policy == "anchor":
            return jax.tree.map(lambda a, b: b + self.anchor * (a - b), w0, w)
        return w

    def _seen(self, key: Array, examples: Seen) -> Seen:
        """The examples of one outer step, without replacement."""
        if not self.batch:
            return examples
        n = len(examples.y)
        picked = jax.random.choice(key, n, (self.batch,), replace=False)
        return Seen(*(jnp.asarray(a)[picked] for a in examples))

    def _told(self, u: Any, w: Any, data: Data) -> dict[str, Array]:
        """Of the pair (u, w), w being the response to u."""
        problem = self.posed
        row = {
            "outer_loss": problem.outer(u, w, data.train),
            "inner_residual": optax.tree.norm(jax.grad(problem.inner, 1)(u, w, data)),
            "outer_norm": optax.tree.norm(u),
        }
        if problem.classifies:
            row["accuracy"] = problem.accuracy(w, data.test)
        if problem.solved:
            row["distance"] = problem.distance(u, data)
        return row

    def _retold(self, judged: Judged) -> dict[str, Array]:
        """The last judgement, in rows until the next one."""
        row = {
            "retrained_loss": judged.losses[0],
            "fresh_loss": mean(judged.losses[1:]),
            "leak": judged.loss - judged.losses[0],
        }
        if self.posed.classifies:
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
