"""Scheduler ``asha``: at rungs cells are compared, and the worst are pruned."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from heliostat import config
from heliostat.errors import RequestError
from heliostat.results.goal import Goal, estimates_at
from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.plan import Metric, Plan, SweepSchedule
from heliostat.sweeps.search import WrappedSearch
from heliostat.sweeps.search.quiet import quiet_tune


class ASHA(WrappedSearch):
    """Any search whose cells end early if they are among the worst at a rung."""

    def check(self, plan: Plan) -> None:
        super().check(plan)
        grace, stride, length = _schedule(plan).grace, plan.task.stride, plan.length
        if grace % stride:
            message = f"grace {grace}: rungs are at multiples of the stride"
            raise RequestError(f"{message}, {stride}; expected one of them")
        if grace >= length:
            message = f"the first rung would be at step {grace} and runs have {length}"
            raise RequestError(f"scheduler asha: {message}; ask for more steps")

    def goals(
        self, plan: Plan, journal: Journal, until: str | None
    ) -> Callable[[Cell], Goal]:
        halving, schedule = recorded_halving(plan, journal), _schedule(plan)
        return lambda cell: RungGoal(
            cell, plan.length, schedule, halving, journal.append
        )


def rungs(grace: int, factor: int, stride: int, length: int) -> Iterator[int]:
    """Yield the steps at which cells are compared, multiples of the stride; then the
    length.

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
    """The end of a cell: its length, or a rung where it is among the worst.

    Args:
        halving: decides, for all cells of a sweep.
        on_event: receives each decision.
    """

    def __init__(
        self,
        cell: Cell,
        length: int,
        schedule: SweepSchedule,
        halving: Halving,
        on_event: Callable[..., None],
    ) -> None:
        super().__init__(cell.task, length)
        self._run, self._halving, self._on_event = cell.id, halving, on_event
        grace, factor = schedule.grace, schedule.factor
        self._next_marks = rungs(grace, factor, cell.task.stride, length)
        self.mark = next(self._next_marks)

    def _holds(self, record: Record) -> bool:
        """Return True if the cell is pruned at this rung."""
        if self.mark >= self.length:
            return False
        estimate = estimates_at(self.task, record, self.mark).get(
            self._halving.metric.name
        )
        value = float(estimate.value) if estimate else math.nan
        stops, new = self._halving.stops(self._run, self.mark, value)
        if new:
            plain = config.float_to_json(value)
            self._on_event(
                "rung", run=self._run, step=self.mark, value=plain, stops=stops
            )
        return stops


class Halving:
    """Asynchronous successive halving: at each rung the worst stop.

    A trial continues past a rung if it is among the best ``1/factor`` of those that
    reached the rung before it.

    Args:
        grace: steps before the first rung.
        length: steps of a trial that is never stopped.
        factor: between one rung and the next.

    Reference: Li et al., MLSys 2020, arXiv:1810.05934; by Ray Tune.
    """

    def __init__(self, metric: Metric, grace: int, length: int, factor: int) -> None:
        with quiet_tune():
            from ray.tune.schedulers import AsyncHyperBandScheduler

        self.metric, self._lock = metric, threading.Lock()
        self._decisions: dict[tuple[str, int], bool] = {}
        self._tune = AsyncHyperBandScheduler(
            time_attr="step",
            metric="value",
            mode=metric.mode,
            max_t=length,
            grace_period=grace,
            reduction_factor=factor,
            stop_last_trials=False,
        )

    def stops(self, run: str, step: int, value: float) -> tuple[bool, bool]:
        """Decide on a run at a rung.

        Returns:
            True if the run ends there; and True if the decision is new.
        """
        with self._lock:
            if (run, step) in self._decisions:
                return self._decisions[run, step], False
            stops = not math.isfinite(value) or self._tune_stops(run, step, value)
            self._decisions[run, step] = stops
            return stops, True

    def recall(self, run: str, step: int, value: float, stops: bool) -> None:
        """Repeat a recorded decision: it stands, and later values are compared with
        its value."""
        self.stops(run, step, value)
        self._decisions[run, step] = stops

    def _tune_stops(self, run: str, step: int, value: float) -> bool:
        trial: Any = SimpleNamespace(trial_id=run)
        if not any(run == known for known, _ in self._decisions):
            self._tune.on_trial_add(None, trial)  # pyright: ignore
        result = {"step": step, "value": value}
        return self._tune.on_trial_result(None, trial, result) == "STOP"  # pyright: ignore


def recorded_halving(plan: Plan, journal: Journal) -> Halving:
    """Return the scheduler of a sweep, with the decisions in its journal."""
    schedule = _schedule(plan)
    halving = Halving(plan.metrics[0], schedule.grace, plan.length, schedule.factor)
    for event in journal.events():
        if event["event"] == "rung":
            value = config.float_from_json(event["value"])
            halving.recall(event["run"], event["step"], value, event["stops"])
    return halving


def _schedule(plan: Plan) -> SweepSchedule:
    assert plan.schedule is not None
    return plan.schedule


SCHEDULERS = {"asha": ASHA}
