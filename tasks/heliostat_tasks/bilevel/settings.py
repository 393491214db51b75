"""Fields whose default is the problem's own setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from heliostat_tasks.bilevel.problems.problem import ProblemDefaults


class Resolved(NamedTuple):
    """Values of the fields that each problem has its own defaults for."""

    points: int
    method: str
    inner_steps: int
    inner_lr: float
    outer_lr: float
    optimiser: str
    retrain_steps: int


def resolve(fields: Mapping[str, Any], settings: ProblemDefaults) -> Resolved:
    """Replace every field that is None by the problem's setting.

    Args:
        fields: values by name; those of other fields are ignored.
        settings: settings of the problem, without ``retrain_steps``: their default is
            as many steps as descent from a cold start takes.

    Example:
        >>> settings = ProblemDefaults(1, "unroll", 100, 0.05, 0.03, "adam", 1000)
        >>> resolve({"inner_steps": 7, "points": None}, settings).retrain_steps
        100
    """
    given = {name: value for name, value in fields.items() if value is not None}
    values: dict[str, Any] = settings._asdict() | given
    steps = max(settings.inner_steps, values["inner_steps"])
    values.setdefault("retrain_steps", steps)
    return Resolved(**{name: values[name] for name in Resolved._fields})
