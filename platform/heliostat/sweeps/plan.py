"""What a sweep was asked for: its identity, and the cells that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from heliostat import config
from heliostat.config import canonical_json
from heliostat.sweeps import cells
from heliostat.sweeps.axes import SEED, Axis, Range
from heliostat.sweeps.cells import Cell
from heliostat.task import Task

SEARCHES = {"random": cells.random_shares, "sobol": cells.sobol_shares}
"""Ways to draw all trials at once; ``grid`` takes every combination."""


SEARCHERS = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "nsga2": "NSGAIISampler",
}
"""Searches that learn from what was found, by the names of Optuna's samplers."""

HYPERGRADIENT = "hypergradient"
"""The search that differentiates the task's ``validation``."""

VALIDATION = "validation"
"""The number that it minimises."""

PBT = "pbt"

SCHEDULERS = ("asha", PBT)


class Metric(NamedTuple):
    """A number of the headline, and which way is better."""

    name: str
    mode: str = "min"


class Schedule(NamedTuple):
    """A scheduler as it was asked for."""

    name: str
    grace: int  # steps before the first rung, or of a segment
    factor: int = 3  # between rungs


class Plan(NamedTuple):
    """A sweep as it was asked for.

    How many trials is not its identity; nor are steps, unless what is computed follows
    from what was found.  Of a population it is the other way round: more steps are
    more generations, which begin with the same ones.
    """

    task: Task
    axes: Mapping[str, Axis]
    search: str = "grid"
    trials: int = 0
    seed: int = 0  # of every cell, where seeds are no axis
    search_seed: int = 0
    x64: bool = False
    steps: int | None = None
    metrics: tuple[Metric, ...] = ()
    schedule: Schedule | None = None

    @property
    def length(self) -> int:
        """Steps of a run at most, where it is no field that decides on it."""
        return self.steps or self.task.steps

    @property
    def drawn(self) -> bool:
        return self.search != "grid"

    @property
    def seeds(self) -> tuple[Any, ...]:
        """The seeds of every trial, where they are varied."""
        return tuple(self.axes.get(SEED, ()))

    @property
    def learns(self) -> bool:
        """Whether trials follow from what was found."""
        return self.search in SEARCHERS or self.search == HYPERGRADIENT

    @property
    def bred(self) -> bool:
        """Whether its cells are segments of a population."""
        return self.schedule is not None and self.schedule.name == PBT

    @property
    def adaptive(self) -> bool:
        """Whether what is computed follows from what was found."""
        return self.learns or self.schedule is not None

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this sweep, as JSON values."""
        spec = dict(config.specify(self.task, self.seed, self.x64).identity)
        fields = {n: v for n, v in spec.pop("fields").items() if n not in self.axes}
        spec.pop("seed")
        over = {name: _plain(axis) for name, axis in self.axes.items()}
        how: dict[str, Any] = {"search": self.search, "search_seed": self.search_seed}
        seed = {} if SEED in self.axes else {"seed": self.seed}
        if self.adaptive:
            how |= {"metrics": config.plain(self.metrics)}
            how |= {"scheduled": config.plain(self.schedule)}
            how |= {"trials": self.trials} if self.bred else {"steps": self.steps}
        return {**spec, **seed, **how, "fields": fields, "over": over}

    @property
    def id(self) -> str:
        return hashlib.sha256(canonical_json(self.identity)).hexdigest()[:16]

    def cells(self, proposed: Sequence[Mapping[str, Any]] = ()) -> list[Cell]:
        """All its cells.

        Args:
            proposed: the values of each trial, for searches that learn.

        Raises:
            RequestError: if the values of one do not go together.
        """
        if not self.drawn:
            return cells.of_grid(self.task, self.axes, self.seed, self.x64)
        if self.learns:
            return cells.of_trials(self.task, proposed, self.seeds, self.seed, self.x64)
        names = [name for name in self.axes if name != SEED]
        shares = SEARCHES[self.search](self.trials, len(names), self.search_seed)
        return cells.of_draws(self.task, self.axes, shares, self.seed, self.x64)


def _plain(axis: Axis) -> Any:
    if isinstance(axis, Range):
        return {"low": axis.low, "high": axis.high, "log": axis.log}
    return config.plain(axis)
