"""Task ``games``: rounds of play between players with a momentum each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Int

import heliostat as hs
from heliostat import config
from heliostat.kernels.games.directions import joint_gradient
from heliostat.kernels.games.play import Order
from heliostat_tasks.games import estimates, measures
from heliostat_tasks.games.methods import (
    CORRECTED,
    MethodName,
    MethodOfPlay,
    Momentum,
    Position,
)
from heliostat_tasks.games.problems import PROBLEMS
from heliostat_tasks.games.problems.problem import Game, GameFields
from heliostat_tasks.games.theory import rate_of_play
from heliostat_tasks.games.validate import check_fields, uses

if TYPE_CHECKING:
    import xarray as xr

ProblemName = Literal[
    "bilinear",
    "mixed",
    "quadratic",
    "dirac",
    "cycle",
    "market",
    "mixture",
    "digits",
    "cifar",
]
"""Names of the games in :mod:`heliostat_tasks.games.problems`."""


class State(NamedTuple):
    """Play after a round."""

    step: Int[Array, ""]  # rounds played
    position: Position
    lost: Bool[Array, ""]  # True once play has diverged: it stands still
    evaluation: dict[str, Array]  # of the last stride


class ResolvedFields(NamedTuple):
    """Values of the fields that each game has its own defaults for."""

    method: MethodName
    lr: float
    beta: float
    angle: float
    size: int
    strength: float


@dataclass(frozen=True)
class Games(hs.Task):
    """Play of differentiable games by momentum of any complex phase,

        μ ← β μ + v,    w ← w − α Re μ,    β = |β| e^{i arg β}

    where v has the derivative of every player's loss by its own parameters. One step is
    one round, in which all players move at once or one after the other.

    Raises:
        ValueError: for fields that make no sense, in one line.

    Example:
        >>> Games(problem="bilinear", size=2).problem_instance.players
        2

    Reference: Lorraine, Acuna, Vicol, Duvenaud, arXiv:2102.08431.
    """

    problem: ProblemName = "bilinear"  # the game
    play: Order = "simultaneous"  # order: players move at once, or in turn
    method: MethodName | None = None  # way of play; default momentum, or the game's
    lr: float | None = None  # rate α; default the game's
    beta: float | None = None  # size of the momentum, |β|; default the game's
    angle: float | None = None  # arg β in radians; default the game's
    last_beta: float | None = None  # |β| of the last player; default that of all
    last_angle: float | None = None  # arg β of the last player; default that of all
    strength: float | None = None  # of the correction of the gradient; default 1
    size: int | None = None  # numbers of a player; default the game's
    condition: float = 1.0  # largest over smallest singular value of the game
    mixing: float = 1.0  # share of conflict of the mixed game, 0 to 1
    penalty: float = 0.0  # gradient penalty of discriminators
    batch: int = 256  # examples of a round
    starts: int = 1  # independent replicas, each with a start of its own
    game_seed: int = 0  # seed of the game's own numbers
    data: hs.File | None = None  # CIFAR-10's binary archive, or a .bin of it

    replica_dim = "start"
    packable = ("lr", "beta", "angle", "strength")
    stride = 50
    emits = measures.KNOWN | measures.ALWAYS

    def __post_init__(self) -> None:
        fields = {name: getattr(self, name) for name in config.fields_of(type(self))}
        problem = self.problem_instance
        check_fields(fields | self.resolved._asdict(), problem)
        hs.check_used(self, uses(self.resolved.method, problem))
        object.__setattr__(self, "emits", measures.variables(problem))
        self._warn()

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        """Return the commands ``heliostat games VERB``."""
        from heliostat_tasks.games import verbs

        return verbs.VERBS

    @property
    def finds(self) -> tuple[str, ...]:
        """Names of the estimates in a headline."""
        return estimates.names(self.problem_instance)

    @property
    def replicas(self) -> int:
        """Number of starts."""
        return self.starts

    @property
    def steps(self) -> int:
        """Natural length: the game's."""
        return PROBLEMS[self.problem].defaults.steps

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:  # pyright: ignore
        """Names of the players."""
        return {"player": tuple(map(str, range(self.problem_instance.players)))}

    @cached_property
    def resolved(self) -> ResolvedFields:
        """Fields with the game's defaults in place of None."""
        defaults = PROBLEMS[self.problem].defaults._asdict()
        given = {n: getattr(self, n) for n in ResolvedFields._fields}
        given = {n: v for n, v in given.items() if v is not None}
        method = given.get("method", defaults["method"])
        if method in CORRECTED:
            defaults |= {"beta": 0.0, "angle": 0.0}
        values: dict[str, Any] = defaults | {"strength": 1.0} | given
        return ResolvedFields(**{n: values[n] for n in ResolvedFields._fields})

    @cached_property
    def problem_instance(self) -> Game:
        """Game that the fields describe."""
        size = self.size or PROBLEMS[self.problem].defaults.size
        fields = GameFields(
            size,
            self.condition,
            self.mixing,
            self.penalty,
            self.batch,
            self.game_seed,
            self.data,
        )
        return PROBLEMS[self.problem](fields)

    @property
    def method_instance(self) -> MethodOfPlay:
        """Way of play, with the momentum of every player."""
        r = self.resolved
        same = Momentum(r.lr, r.beta, r.angle)
        last = Momentum(
            r.lr,
            r.beta if self.last_beta is None else self.last_beta,
            r.angle if self.last_angle is None else self.last_angle,
        )
        momenta = [same] * (self.problem_instance.players - 1) + [last]
        return MethodOfPlay(r.method, self.play, momenta, r.strength)

    def canonical(self) -> dict[str, Any]:
        """Return the fields that were None as the game's defaults."""
        return self.resolved._asdict()

    def prepare(self) -> Any:
        """Make or load the data of the game."""
        return self.problem_instance.data()

    def init(self, key: Array, replica: Array, data: Any) -> State:
        """Draw the players of a start.

        Args:
            key: randomness of the start.
            replica: () int32, number of the start; not used.
            data: result of :meth:`prepare`.

        Returns:
            The state before the first round.
        """
        players = self.problem_instance.start(key, data)
        evaluation = {n: jnp.full((), jnp.nan) for n in self.problem_instance.evaluates}
        position = self.method_instance.begin(players)
        step = jnp.zeros((), jnp.int32)
        return State(step, position, jnp.zeros((), bool), evaluation)

    def step(
        self, key: Array, state: State, data: Any
    ) -> tuple[State, dict[str, Array]]:
        """Play one round, and measure it.

        Play that has diverged stands still where it was before.

        Args:
            key: randomness of the round.
            state: state of the previous round.
            data: result of :meth:`prepare`.

        Returns:
            The next state, and the row of ``emits``.
        """
        problem = self.problem_instance
        play_key, measure_key = jax.random.split(key)
        losses = problem.losses(play_key, data)
        position = self.method_instance.play(losses, state.position)
        lost = state.lost | measures.is_lost(position.game.players)
        position = jax.tree.map(
            lambda new, old: jnp.where(lost, old, new), position, state.position
        )
        step, players = state.step + 1, position.game.players
        evaluation = jax.lax.cond(
            step % self.stride == 0,
            lambda: problem.evaluate(measure_key, players, data),
            lambda: state.evaluation,
        )
        row = measures.row_of(problem, losses, players, lost) | evaluation
        return State(step, position, lost, evaluation), row

    def validation(self, state: State, data: Any) -> Float[Array, ""]:
        """Compute a number that judges momenta, by how far play has come.

            log |w| if the equilibrium is at w = 0,    else log |v|, at fixed examples

        Args:
            state: at the end of a run.
            data: result of :meth:`prepare`.

        Returns:
            The logarithm.
        """
        players = state.position.game.players
        if self.problem_instance.has_equilibrium:
            length = players
        else:
            losses = self.problem_instance.losses(jax.random.key(0), data)
            length = joint_gradient(losses, players)
        return jnp.log(optax.tree.norm(length))

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Fit the rate of convergence, and compare it with theory.

        Args:
            rows: rows of the run so far.

        Returns:
            Estimates by name.
        """
        theory = rate_of_play(self.problem_instance, self.method_instance)
        return estimates.headline(rows, self.problem_instance, theory)

    def _warn(self) -> None:
        """Warn of a momentum that cannot decay."""
        betas = self.resolved.beta, self.last_beta or 0.0
        if isinstance(max(betas), int | float) and max(betas) >= 1:
            warnings.warn(
                f"beta {max(betas):g}: traces of gradients do not decay, so play "
                "diverges",
                stacklevel=4,
            )
