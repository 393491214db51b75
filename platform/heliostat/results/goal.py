"""Goal of a run: its length, or the first mark where a condition holds.

A condition is judged at marks only.  Marks are multiples of the stride, each about a
tenth further than the last.  A mark is judged once every block has reached it, on the
rows up to it.  So the last step depends on the rows alone, never on workers, chunks or
interruptions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from heliostat.answer import Estimate
from heliostat.config import registry
from heliostat.config.condition import Condition
from heliostat.errors import did_you_mean
from heliostat.results.headline import headline_of
from heliostat.store.record import Record
from heliostat.task import Task

EXAMPLE = "ess > 400 and rhat < 1.01"


class GoalOutcome(NamedTuple):
    """Outcome of a condition: True or False, and the step where it was judged."""

    condition: str
    met: bool | None = None  # None: not decided yet
    step: int | None = None

    def __str__(self) -> str:
        if self.met is None:
            return f"{self.condition}: not yet"
        if self.met:
            return f"{self.condition} held at step {self.step}"
        return f"{self.condition} did not hold by step {self.step}"


class Goal:
    """Last step of a run, or the next mark while the last step is not decided.

    Args:
        task: the task of the run.
        length: upper bound of the steps.
        until: a condition on the headline; without one, the length is the last step.

    Raises:
        RequestError: if the condition has no meaning for this task.
    """

    def __init__(self, task: Task, length: int, until: str | None = None) -> None:
        self.task, self.length = task, length
        self.condition = _parse_condition(task, until) if until else None
        self._next_marks = marks(task.stride, length) if until else iter([length])
        self.mark = next(self._next_marks)
        self.met: bool | None = None
        self.doubt: str | None = None
        """A name that the first headline lacks, of a task without ``finds``; a later
        headline may have it."""

    def __call__(self) -> int:
        """Return the mark, which no block may pass before it is judged."""
        return self.mark

    @property
    def decided(self) -> bool:
        """True once ``mark`` is known to be the last step."""
        return self.met is not None

    @property
    def outcome(self) -> GoalOutcome | None:
        """Outcome of the condition; None without one."""
        if self.condition is None:
            return None
        step = self.mark if self.decided else None
        return GoalOutcome(self.condition.text, self.met, step)

    @property
    def outcome_attrs(self) -> dict[str, Any] | None:
        """The outcome, as attributes of a record."""
        return self.outcome._asdict() if self.outcome else None

    def reached(self, record: Record) -> bool:
        """Judge every mark that all blocks have reached; return True at the last."""
        while not self.decided and record.steps >= self.mark:
            holds = self._holds(record)
            if holds or self.mark >= self.length:
                self.met = holds
            else:
                self.mark = next(self._next_marks)
        return self.decided

    def _holds(self, record: Record) -> bool:
        """Return True if the condition holds for the rows up to the mark."""
        if self.condition is None:
            return False
        estimates = estimates_at(self.task, record, self.mark)
        values = {f"{name}_error": float(e.error) for name, e in estimates.items()}
        values |= {name: float(e.value) for name, e in estimates.items()}
        values["steps"] = float(self.mark)
        if estimates and self.doubt is None:
            self.doubt = "" if self.task.finds else _doubt(self.condition, values)
        return self.condition.evaluate(lambda name: values.get(name, math.nan))


def estimates_at(task: Task, record: Record, step: int) -> Mapping[str, Estimate]:
    """Return the estimates of the rows up to a step; none where a headline fails, since
    it may need more rows."""
    rows = record.rows().isel({task.step_dim: slice(0, step)}).load()
    strides = {task.step_dim: slice(0, step // task.stride)}
    observed = record.observed().isel(strides, missing_dims="ignore")
    return headline_of(task, rows, observed).estimates


def marks(stride: int, length: int) -> Iterator[int]:
    """Yield the steps at which a condition is judged; the last is the length.

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
    """Parse a condition on numbers of the headline.

    Raises:
        RequestError: for a text among the numbers, or for an unknown name.
    """
    condition = Condition(text, "until", EXAMPLE)
    known = [*task.finds, *(f"{name}_error" for name in task.finds), "steps"]
    of = f"the headline of {registry.name_of(type(task))} with these fields"
    certain = bool(task.finds) or type(task).headline is Task.headline
    if certain and (line := _unknown_name(condition, of, known)):
        raise condition.error(line)
    if condition.texts:
        raise condition.error(f"expected numbers, got '{condition.texts[0]}'")
    return condition


def _doubt(condition: Condition, values: Mapping[str, float]) -> str:
    headline = "the first headline of this run"
    line = _unknown_name(condition, headline, list(values))
    return line and f"{condition.text}: {line}"


def _unknown_name(condition: Condition, headline: str, known: Sequence[str]) -> str:
    """Return a line about the first name that is not known; empty if all are."""
    for name in condition.names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            return f"{headline} has no '{name}'{hint}"
    return ""
