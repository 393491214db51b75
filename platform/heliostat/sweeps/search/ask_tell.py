"""Trials that an optimiser proposes one by one, from the results of earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from heliostat import config
from heliostat.errors import RequestError
from heliostat.sweeps.cells import Cell, trial_cells
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Plan, field_value

Measure = Callable[[Cell, CellOutcome], Mapping[str, float]]
"""The numbers of one run by name; those that it does not have are missing."""


class Optimiser(Protocol):
    """A rule that proposes values and learns from results, in a fixed order."""

    @property
    def exhausted(self) -> str:
        """Reason why the next proposal would repeat the last one; empty if not."""
        ...

    def ask(self, trial: int) -> dict[str, Any]:
        """Propose the values of a trial."""
        ...

    def tell(self, trial: int, values: Mapping[str, float]) -> None:
        """Receive the numbers of a trial, NaN for missing ones."""


class ProposedTrials:
    """Stream of the cells of proposed trials.

    The optimiser receives a trial's mean over its seeds.

    The trials in the journal come first: the optimiser proposes them once more and
    receives their results in the same order, so that it ends in the same state.

    Args:
        names: the numbers of a trial that the optimiser receives.
        measure: function that reads these numbers from a run; None to ignore all
            outcomes.
        sequential: propose a trial only when the one before has its result.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        optimiser: Optimiser,
        names: Sequence[str],
        measure: Measure | None,
        sequential: bool = False,
    ) -> None:
        self.plan, self._journal, self._optimiser = plan, journal, optimiser
        self._names, self._measure, self._sequential = names, measure, sequential
        self.all: list[Cell] = []
        self._numbers: dict[int, dict[str, Any]] = {}  # by trial and run; None: runs
        self._finished: set[int] = set()
        self._recorded = self._replay()

    @property
    def runs(self) -> int:
        return len(self.all) if self._over else most_runs(self.plan)

    @property
    def _over(self) -> bool:
        past = len(self._numbers) >= len(self._recorded)
        return past and bool(self._optimiser.exhausted)

    @property
    def ending(self) -> str:
        """Reason why there are fewer trials than the plan allows; else empty."""
        early = self._over and len(self._numbers) < self.plan.trials
        return self._optimiser.exhausted if early else ""

    def ask(self) -> list[Cell]:
        """Return the cells of one more trial."""
        trial = len(self._numbers)
        waits = self._sequential and trial > len(self._finished)
        if waits or self._over or trial >= self.plan.trials:
            return []
        cells = trial_cells(self.plan, trial, self._values(trial))
        self._numbers[trial] = {cell.id: None for cell in cells}
        self.all += cells
        return cells

    def tell(self, cell: Cell, outcome: CellOutcome) -> None:
        """Pass the result of a trial on, once all of its seeds have ended.

        A trial that was stopped stays open: the same sweep continues it.
        """
        trial = cell.place[0]
        if trial in self._finished or outcome.state == "stopped" or not self._measure:
            return
        numbers = self._numbers[trial]
        numbers[cell.id] = self._measure(cell, outcome)
        if None in numbers.values():
            return
        values = {name: _mean(numbers.values(), name) for name in self._names}
        self._finished.add(trial)
        self._optimiser.tell(trial, values)
        plain = {n: config.float_to_json(v) for n, v in values.items()}
        self._journal.append("told", trial=trial, values=plain)

    def _values(self, trial: int) -> dict[str, Any]:
        if trial < len(self._recorded):
            return self._recorded[trial]
        values = self._optimiser.ask(trial)
        plain = {name: config.json_value(value) for name, value in values.items()}
        self._journal.append("proposed", trial=trial, values=plain)
        return values

    def _replay(self) -> list[dict[str, Any]]:
        """Take the optimiser through the trials of the journal, and return these."""
        trials: list[dict[str, Any]] = []
        for event in self._journal.events():
            if event["event"] == "proposed" and event["trial"] == len(trials):
                values = _from_json(event)
                self._repeat(len(trials), values)
                trials.append(values)
            if event["event"] == "told" and event["trial"] < len(trials):
                numbers = event["values"].items()
                values = {n: config.float_from_json(v) for n, v in numbers}
                self._optimiser.tell(event["trial"], values)
                self._finished.add(event["trial"])
        return trials

    def _repeat(self, trial: int, expected: Mapping[str, Any]) -> None:
        """Let the optimiser propose a recorded trial again.

        Raises:
            RequestError: if it proposes other values.
        """
        if (values := self._optimiser.ask(trial)) != dict(expected):
            raise RequestError(
                f"trial {trial} was {dict(expected)}, the search proposes {values} "
                "now: it has another version; give another search_seed, and stored "
                "runs are reused where their values come up again"
            )


def recorded_cells(plan: Plan, journal: Journal) -> list[Cell]:
    """Return the cells of all proposed trials."""
    proposed = [e for e in journal.events() if e["event"] == "proposed"]
    trials = [trial_cells(plan, i, _from_json(e)) for i, e in enumerate(proposed)]
    return [cell for cells in trials for cell in cells]


def most_runs(plan: Plan) -> int:
    """Return the number of runs of all trials."""
    return plan.trials * max(1, len(plan.seeds))


def _from_json(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: field_value(value) for name, value in event["values"].items()}


def _mean(numbers: Collection[Mapping[str, float]], name: str) -> float:
    values = [run.get(name, math.nan) for run in numbers]
    return sum(values) / len(values)
