"""Where a run ends: at its length, or at the first mark where a condition holds.

A condition is judged at marks only: at multiples of the stride, each about a tenth
further than the last, once every block has come there, on the rows up to there.  So
where a run ends depends on its rows alone, never on workers, chunks or interruptions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from heliostat.config import registry
from heliostat.config.condition import Condition
from heliostat.errors import did_you_mean
from heliostat.store.record import Record
from heliostat.task import Estimate, Task

EXAMPLE = "ess > 400 and rhat < 1.01"


class GoalOutcome(NamedTuple):
    """How a condition came out: whether it held, and at which step that was said."""

    condition: str
    met: bool | None = None  # None: the run has not come to its end
    step: int | None = None

    def __str__(self) -> str:
        if self.met is None:
            return f"{self.condition}: not yet"
        if self.met:
            return f"{self.condition} held at step {self.step}"
        return (
            f"{self.condition} did not hold by step {self.step}; "
            "`heliostat extend` goes on"
        )


class Goal:
    """The step that a run shall come to, as far as it is known.

    Args:
        task: the run's.
        length: steps that it has at most.
        until: a condition on the headline; without one, the length is the end.

    Raises:
        RequestError: if the condition is none, or names what the task does not find.
    """

    def __init__(self, task: Task, length: int, until: str | None = None) -> None:
        self.task, self.length = task, length
        self.condition = _parse_condition(task, until) if until else None
        self._next_marks = marks(task.stride, length) if until else iter([length])
        self.mark = next(self._next_marks)
        self.met: bool | None = None

    def __call__(self) -> int:
        """The step that no block may pass before it was judged."""
        return self.mark

    @property
    def decided(self) -> bool:
        """Whether it is known where the run ends: at ``mark``."""
        return self.met is not None

    @property
    def outcome(self) -> GoalOutcome | None:
        if self.condition is None:
            return None
        step = self.mark if self.decided else None
        return GoalOutcome(self.condition.text, self.met, step)

    @property
    def outcome_attrs(self) -> dict[str, Any] | None:
        """The outcome, as a record keeps it."""
        return self.outcome._asdict() if self.outcome else None

    def reached(self, record: Record) -> bool:
        """Judge every mark that all blocks have come to; whether the run is there."""
        while not self.decided and record.steps >= self.mark:
            held = self._holds(record)
            if held or self.mark >= self.length:
                self.met = held
            else:
                self.mark = next(self._next_marks)
        return self.decided

    def _holds(self, record: Record) -> bool:
        """Whether the condition holds for the rows up to the mark, and no further."""
        if self.condition is None:
            return False
        found = estimates_at(self.task, record, self.mark)
        values = {f"{name}_error": float(e.error) for name, e in found.items()}
        values |= {name: float(e.value) for name, e in found.items()}
        values["steps"] = float(self.mark)
        return self.condition.evaluate(lambda name: values.get(name, math.nan))


def estimates_at(task: Task, record: Record, step: int) -> Mapping[str, Estimate]:
    """What the rows up to a step say; nothing, where they are too few for it."""
    rows = record.rows().isel({task.step_dim: slice(0, step)}).load()
    try:
        return task.headline(rows)
    except Exception:
        return {}


def marks(stride: int, length: int) -> Iterator[int]:
    """The steps at which a condition is judged; the last is the length.

    Example:
        >>> list(marks(10, 55))
        [10, 20, 30, 40, 50, 55]
        >>> list(marks(1, 40))[-5:]
        [27, 30, 33, 37, 40]
    """
    mark = stride
    while mark < length:
        yield mark
        mark = -(-11 * mark // (10 * stride)) * stride
    yield length


def _parse_condition(task: Task, text: str) -> Condition:
    """A condition on numbers, each of which the task can find.

    Raises:
        RequestError: for a text among the numbers too, or a name that is none.
    """
    condition = Condition(text, "until", EXAMPLE)
    known = [*task.finds, *(f"{name}_error" for name in task.finds), "steps"]
    for name in condition.names:
        if task.finds and name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            of = f"{registry.name_of(type(task))} with these fields"
            found = f"the headline of {of} has no '{name}'"
            raise condition.error(f"{found}{hint}")
    if condition.texts:
        raise condition.error(f"expected numbers, got '{condition.texts[0]}'")
    return condition
