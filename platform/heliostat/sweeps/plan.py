"""Plan of a sweep: its fields, its identity, and its form on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from heliostat import config
from heliostat.config import canonical_json
from heliostat.sweeps.axes import SEED, Axis, Range
from heliostat.task import Task


class Metric(NamedTuple):
    """A number of the headline, and the direction that is better."""

    name: str
    mode: str = "min"


class SweepSchedule(NamedTuple):
    """A scheduler with its options."""

    name: str
    grace: int  # steps before the first rung, or of a segment
    factor: int = 3  # between rungs


class Plan(NamedTuple):
    """A valid request for a sweep, as :func:`~heliostat.sweeps.validate.build_plan`
    makes it.

    The number of trials is not part of the identity, so that more trials extend a
    sweep. A search whose cells depend on results names further fields that are.
    """

    task: Task
    axes: Mapping[str, Axis]
    search: str = "grid"
    trials: int = 0
    seed: int = 0  # seed of every cell, where seeds are no axis
    search_seed: int = 0
    x64: bool = False
    steps: int | None = None
    metrics: tuple[Metric, ...] = ()
    schedule: SweepSchedule | None = None
    depends_on: tuple[str, ...] = ()  # fields of the identity, besides the usual ones

    @property
    def length(self) -> int:
        """Steps of a run at most, for a task whose length is not a field."""
        return self.steps or self.task.steps

    @property
    def seeds(self) -> tuple[Any, ...]:
        """Seeds of every trial; empty where seeds are no axis."""
        return tuple(self.axes.get(SEED, ()))

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that distinguish this sweep from every other."""
        spec = dict(config.specify(self.task, self.seed, self.x64).identity)
        fields = {n: v for n, v in spec.pop("fields").items() if n not in self.axes}
        spec.pop("seed")
        over = {name: _plain_axis(axis) for name, axis in self.axes.items()}
        seed = {} if SEED in self.axes else {"seed": self.seed}
        search = self._plain("search", "search_seed", *self.depends_on)
        return {**spec, **seed, **search, "fields": fields, "over": over}

    @property
    def id(self) -> str:
        return hashlib.sha256(canonical_json(self.identity)).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return all of the plan as JSON values, the task as its spec."""
        spec = config.specify(self.task, self.seed, self.x64)
        over = {name: _plain_axis(axis) for name, axis in self.axes.items()}
        names = ("search", "trials", "search_seed", "steps", "metrics", "schedule")
        return {"spec": spec._asdict(), "over": over, **self._plain(*names)}

    def _plain(self, *names: str) -> dict[str, Any]:
        """Return fields as JSON values, by their names on disk."""
        on_disk = {"schedule": "scheduled"}
        return {on_disk.get(n, n): config.json_value(getattr(self, n)) for n in names}


def plan_from_json(
    stored: Mapping[str, Any], task: Task, depends_on: tuple[str, ...]
) -> Plan:
    """Return the plan that :meth:`Plan.to_json` has written.

    Args:
        task: task rebuilt from the stored spec.
        depends_on: fields of the plan that its search depends on.
    """
    axes = {
        name: Range(**axis) if isinstance(axis, dict) else tuple(map(field_value, axis))
        for name, axis in stored["over"].items()
    }
    identity, schedule = stored["spec"]["identity"], stored["scheduled"]
    return Plan(
        task,
        axes,
        stored["search"],
        stored["trials"],
        identity["seed"],
        stored["search_seed"],
        identity["x64"],
        stored["steps"],
        tuple(Metric(*metric) for metric in stored["metrics"]),
        SweepSchedule(*schedule) if schedule else None,
        depends_on,
    )


def field_value(value: Any) -> Any:
    """Return the value of a field from JSON: its lists are tuples."""
    return tuple(map(field_value, value)) if isinstance(value, list) else value


def _plain_axis(axis: Axis) -> Any:
    return axis._asdict() if isinstance(axis, Range) else config.json_value(axis)
