"""Cells that may end early: at rungs they are compared, and the worst are pruned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from heliostat.results.goal import Goal, estimates_at
from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.plan import Metric, Schedule
from heliostat.sweeps.search.optuna import Halving


def rungs(grace: int, factor: int, stride: int, length: int) -> Iterator[int]:
    """The steps at which cells are compared, multiples of the stride; then the length.

    Example:
        >>> list(rungs(10, 3, 10, 200))
        [10, 30, 90, 200]
    """
    rung = -(-grace // stride) * stride
    while rung < length:
        yield rung
        rung *= factor
    yield length


class RungGoal(Goal):
    """Where a cell ends: at its length, or at a rung where it is among the worst.

    Args:
        halving: decides, for all cells of a sweep.
        tell: receives each decision.
    """

    def __init__(
        self,
        cell: Cell,
        length: int,
        asked: Schedule,
        halving: Halving,
        tell: Callable[..., None],
    ) -> None:
        super().__init__(cell.task, length)
        self._run, self._halving, self._tell = cell.spec.id, halving, tell
        self._ahead = rungs(asked.grace, asked.factor, cell.task.stride, length)
        self.mark = next(self._ahead)

    def _holds(self, record: Record) -> bool:
        """Whether it ends at this rung: so ``met`` says that a cell was pruned."""
        if self.mark >= self.length:
            return False
        value = _value(self._halving.metric, self.task, record, self.mark)
        stops, now = self._halving.stops(self._run, self.mark, value)
        if now:
            told = value if math.isfinite(value) else None
            self._tell("rung", run=self._run, step=self.mark, value=told, stops=stops)
        return stops


def halving(metric: Metric, asked: Schedule, length: int, ledger: Journal) -> Halving:
    """The scheduler of a sweep, with what it has decided already."""
    found = Halving(metric, asked.grace, length, asked.factor)
    for event in ledger.events():
        if event["event"] == "rung":
            value = math.nan if event["value"] is None else event["value"]
            found.recall(event["run"], event["step"], value, event["stops"])
    return found


def _value(metric: Metric, task: Any, record: Record, step: int) -> float:
    found = estimates_at(task, record, step).get(metric.name)
    return float(found.value) if found else math.nan
